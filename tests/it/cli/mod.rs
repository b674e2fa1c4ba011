//! Every subcommand of the real binary, as someone meets it who has just installed it.

mod beside;
mod cases;
mod first;
mod remote;
mod replay;
mod explain;
mod forget;
mod store;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::telnyx::{SIGNATURE_HEADER, Signer, TIMESTAMP_HEADER};

/// What a command printed and how it ended.
#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    /// Its standard output, when it ended well and complained of nothing.
    #[track_caller]
    fn ok(self) -> String {
        assert!(self.code == 0 && self.err.is_empty(), "{self:?}");
        self.out
    }

    /// Its standard output as JSON, when it ended well.
    #[track_caller]
    fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// Its complaint, when it ended with `code`.
    #[track_caller]
    fn fails(self, code: i32) -> String {
        assert!(self.code == code && !self.err.contains("panicked"), "{self:?}");
        self.err
    }
}

/// Runs the binary in `dir` with nothing in its environment but `env`.
fn run_with(dir: &Path, args: &[&str], env: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollbell"));
    command.args(args).current_dir(dir).env_clear().envs(env.iter().copied());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran {
        code: output.status.code().expect("no signal ended it"),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

fn run(dir: &Path, args: &[&str]) -> Ran {
    run_with(dir, args, &[])
}

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

const CONFIG: [&str; 2] = ["--config", "tollbell.yaml"];

fn with_config<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [args, &CONFIG].concat()
}

/// All of them, in the order of the help.
const COMMANDS: &str = "init serve check test replay send demo status notify deliveries alerts silence events explain \
    spend invoices usage accounts provision store forget healthcheck schema";

#[test]
fn help_tells_a_new_user_where_to_go() {
    let help = run(root(), &["--help"]).ok();
    insta::assert_snapshot!(help, @r#"
    Notifies the right people before Telnyx service stops: signed webhooks in, rules, mail, Slack,
    webhooks and Prometheus out

    Usage: tollbell <COMMAND>

    Commands:
      init         Write a small working configuration, with rules and their tests, from a few questions
                   or options
      serve        Receive webhooks, evaluate rules, notify
      check        Check a configuration and its rules: all problems at once
      test         Run test cases of rules: events in, alerts and notifications out; nothing is sent
      replay       Evaluate candidate rules on stored events: who would be notified; changes nothing
      tune         Show how a value was distributed, and what other thresholds would have done
      send         Sign a sample event or a file and post it, to try things out
      demo         Show the whole path on this machine: throw-away key, local sinks, sample events
      status       Show on one screen whether all is well
      notify       Send a test notification to a receiver, and show what each peer answers
      deliveries   List and show deliveries; retry dead ones
      receivers    Pause a receiver for a time, resume it, list who is paused
      alerts       List alerts: what fires, what is suppressed; show the history of one
      silence      Silence alerts for a time: add, list, update and expire silences
      events       List and show stored events, and the judgement of each rule
      explain      Explain what the rules make of one event, who is notified, and why or why not
      spend        Show what was spent, by product, day, kind, connection, country or number
      balance      Show what is left on each account, and how long it lasts
      invoices     List the invoices that Telnyx has
      usage        Ask Telnyx for its usage reports
      accounts     List the accounts of the configuration, and those that they manage at Telnyx
      provision    Set up Telnyx's notifications: plan, create, repair, delete
      store        Move, back up and check the database
      forget       Erase a phone number from everything that is stored
      healthcheck  Ask a running tollbell whether it is ready (exit code 0 or 1)
      completions  Print a script by which a shell completes commands and flags
      man          Print the manual page, or write those of all commands
      schema       Print the JSON Schema of the configuration and of rule files
      help         Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version
    "#);
    for command in COMMANDS.split_whitespace() {
        assert!(help.contains(&format!("\n  {command} ")), "{command} is not in the help");
        let said = run(root(), &[command, "--help"]).ok();
        assert!(said.contains(&format!("Usage: tollbell {command}")), "{said}");
        let lines = said.lines().all(|line| line.chars().count() <= 100);
        assert!(lines, "a line is too wide for a terminal:\n{said}");
    }
    for part in [["deliveries", "list"], ["deliveries", "retry"], ["events", "show"]] {
        assert!(run(root(), &[&part[..], &["--help"]].concat()).ok().contains("--config <FILE>"));
    }
    assert_eq!(
        run(root(), &["--version"]).ok(),
        concat!("tollbell ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_wrong() {
    for (args, said) in [
        (&["rings"][..], "unrecognized subcommand 'rings'"),
        (&["check", "--nix"], "unexpected argument '--nix'"),
        (&["send"], "<SAMPLE|FILE>"),
        (&["send", "call.cost"], "--key-file is missing: make a key with"),
        (&["send", "call.cost", "--count", "0"], "0 is not in 1..=100000"),
        (&["deliveries", "retry"], "<ID|--all|--receiver <RECEIVER>>"),
        (&["deliveries", "list", "--state", "lost"], "expected one of pending, sending, delivered"),
        (&["events", "list", "--state", "lost"], "expected one of waiting, judged, faulted"),
        (&["healthcheck", "--address", "nowhere"], "invalid socket address"),
        (&["store", "copy", "--from", "sqlite:a"], "--to <URL>"),
        (&["store", "backup"], "<FILE>"),
        (&["forget", "--number", "15550100"], "expected a number with its country"),
    ] {
        let err = run(root(), args).fails(2);
        assert!(err.contains(said), "{args:?}: {err}");
    }
    assert!(run(root(), &[]).fails(2).contains("Usage: tollbell <COMMAND>"));
}

#[test]
fn check_likes_the_shipped_configuration() {
    let key = Signer::new().public_key_base64();
    let env = [("TELNYX_PUBLIC_KEY", key.as_str())];
    let said = run_with(root(), &["check"], &env).ok();
    assert!(said.starts_with("config/tollbell.yaml: ok: 1 account, "), "{said}");
    assert!(said.ends_with(" 2 receivers, 0 warnings\n"), "{said}");
    let report = run_with(root(), &["check", "--format", "json"], &env).json();
    assert_eq!(report, json!({"ok": true, "errors": 0, "warnings": 0, "problems": []}));
    let said = run(root(), &["check", "--no-secrets", "--strict"]).ok();
    assert!(said.ends_with(" 2 receivers, 0 warnings\n"), "{said}");
    run(root(), &["check", "--syntax-only"]).ok();
    let unset = run(root(), &["check"]).fails(2);
    let expected = "config/tollbell.yaml:33:10: environment variable TELNYX_PUBLIC_KEY is not set";
    assert!(unset.starts_with(expected), "{unset}");
}

#[test]
fn check_tells_all_problems_at_once_with_their_places() {
    let dir = tempfile::tempdir().unwrap();
    let config = "server:\n  listen: nonsense\n  max_boddy: 2MiB\n\
        accounts:\n  - name: default\n    public_keys: [AAAA]\n    tolerance: 2d\n\
        rule_files: [rules.yaml]\n\
        route:\n  receiver: nobody\n  group_by: [a-b]\n\
        receivers:\n  - name: ops\n    slack_configs: [{api_url: 'ftp://example.com/PLANTED-SECRET'}]\n";
    let rules = "groups:\n  - name: g\n    rules:\n      - alert: Broken\n        on: [call.cost]\n        \
        when: payload.total_cost >\n      - alert: Unknown\n        on: [call.cost]\n        when: evnt.kind == 'x'\n        \
        annotations: {summary: '{{ nothing }'}\n";
    fs::write(dir.path().join("tollbell.yaml"), config).unwrap();
    fs::write(dir.path().join("rules.yaml"), rules).unwrap();
    let ran = run(dir.path(), &with_config(&["check"]));
    assert_eq!(ran.out, "tollbell.yaml: 10 errors, 1 warning\n");
    let err = ran.fails(2);
    insta::assert_snapshot!(err, @r#"
    tollbell.yaml:2:11: server.listen: expected an IP address and a port (hint: such as 0.0.0.0:8080, 127.0.0.1:9464 or [::1]:9464)
    tollbell.yaml:3:3: server.max_boddy: unknown key (hint: did you mean max_body?)
    tollbell.yaml:6:19: accounts[0].public_keys[0]: the public key has 3 bytes, and 32 are wanted
    tollbell.yaml:7:16: accounts[0].tolerance: must be between 1s and 1h
    tollbell.yaml:10:13: route.receiver: no receiver has the name "nobody"
    tollbell.yaml:11:14: route.group_by[0]: no label name: letters, digits and _, no digit and no __ first
    tollbell.yaml:13:11: warning: receivers[0].name: no route and no fallback uses this receiver
    tollbell.yaml:14:32: receivers[0].slack_configs[0].api_url: the URL is not http or https
    rules.yaml:6:35: g/Broken.when: the expression ends too early
    rules.yaml:9:15: g/Unknown.when: unknown variable `evnt` (hint: did you mean `event`?)
    rules.yaml:10:33: g/Unknown.annotations.summary: syntax error: unexpected `}`, expected end of variable block
    "#);
    let ran = run(dir.path(), &with_config(&["check", "--format", "json"]));
    assert_eq!(ran.code, 2);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (&report["ok"], &report["errors"], &report["warnings"]),
        (&json!(false), &json!(10), &json!(1))
    );
    // The same, in the same order, as the text.
    let problems = report["problems"].as_array().unwrap();
    assert_eq!(problems.len(), err.lines().count());
    for (problem, line) in problems.iter().zip(err.lines()) {
        let position = &problem["position"];
        let place = format!(
            "{}:{}:{}: ",
            position["file"].as_str().unwrap(),
            position["line"],
            position["column"]
        );
        let says = |field: &str| problem[field].as_str().is_none_or(|text| line.contains(text));
        assert!(
            line.starts_with(&place) && says("key") && says("message") && says("hint"),
            "{problem} {line}"
        );
    }
    assert!(!ran.out.contains("PLANTED-SECRET") && !err.contains("PLANTED-SECRET"));
    // What cannot be checked cannot be served.
    assert_eq!(run(dir.path(), &with_config(&["serve"])).fails(2), err);
}

#[test]
fn a_strict_check_fails_on_warnings_and_with_another_code_than_on_errors() {
    let dir = tempfile::tempdir().unwrap();
    let key = Signer::new().public_key_base64();
    let write = |more: &str| {
        let config = format!(
            "accounts: [{{name: default, public_keys: ['{key}']}}]\nroute: {{receiver: ops}}\n\
             receivers: [{{name: ops}}{more}]\n"
        );
        fs::write(dir.path().join("tollbell.yaml"), config).unwrap();
    };
    let strict = with_config(&["check", "--strict"]);
    write("");
    assert_eq!(run(dir.path(), &with_config(&["check"])).code, 0);
    let ran = run(dir.path(), &strict);
    assert_eq!((ran.code, &*ran.out), (1, "tollbell.yaml: 1 warning\n"));
    assert!(ran.err.contains("warning: rule_files: no rules"), "{}", ran.err);
    let report = run(dir.path(), &[&strict[..], &["--format", "json"]].concat());
    let report: Value = serde_json::from_str(&report.out).unwrap();
    assert_eq!((&report["ok"], &report["errors"]), (&json!(false), &json!(0)));
    write(", {}");
    assert_eq!(run(dir.path(), &strict).code, 2);
}

#[test]
fn a_missing_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for command in [&["serve"][..], &["check"], &["deliveries", "list"], &["events", "list"]] {
        let err = run(dir.path(), &[command, &["--config", "nowhere.yaml"]].concat()).fails(2);
        assert!(
            err.starts_with("nowhere.yaml: cannot be read: No such file"),
            "{command:?}: {err}"
        );
    }
}

#[test]
fn schema_and_chart_know_the_same_words() {
    let schema = run(root(), &["schema"]).json();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    check_schema(&schema, &schema);
    let chart = fs::read(root().join("helm/tollbell/values.schema.json")).unwrap();
    let chart: Value = serde_json::from_slice(&chart).unwrap();
    let words = |shape: &Value| -> Vec<String> {
        let properties = shape["properties"].as_object();
        let mut words: Vec<String> =
            properties.into_iter().flatten().map(|(key, _)| key.clone()).collect();
        words.sort();
        words
    };
    let root_of_chart = &chart["properties"]["config"];
    assert_eq!(words(&schema), words(root_of_chart), "top level");
    let mut compared = 0;
    for (name, shape) in schema["$defs"].as_object().unwrap() {
        // The chart takes rule files as text, and one shape serves it for all rate limits.
        let theirs = match name.as_str() {
            "rules" | "group" | "rule" | "resolve_on" => continue,
            "slack_rate_limit" | "pagerduty_rate_limit" => "rate_limit",
            same => same,
        };
        assert_eq!(words(shape), words(&chart["definitions"][theirs]), "{name}");
        compared += 1;
    }
    assert!(compared >= 10, "only {compared} shapes were compared");
}

/// That a schema uses the words of JSON Schema rightly, as far as ours uses them.
fn check_schema(node: &Value, root: &Value) {
    for (word, value) in node.as_object().unwrap() {
        match word.as_str() {
            "$schema" | "title" | "description" => assert!(value.is_string(), "{word}"),
            "$defs" | "properties" => {
                value.as_object().unwrap().values().for_each(|node| check_schema(node, root));
            }
            "$ref" => {
                let target = value.as_str().unwrap().strip_prefix('#').unwrap();
                assert!(root.pointer(target).is_some_and(Value::is_object), "{target}");
            }
            "items" => check_schema(value, root),
            "anyOf" => value.as_array().unwrap().iter().for_each(|node| check_schema(node, root)),
            "additionalProperties" => {
                if !value.is_boolean() {
                    check_schema(value, root);
                }
            }
            "type" => {
                const KNOWN: [&str; 7] =
                    ["object", "array", "string", "number", "integer", "boolean", "null"];
                let one = |name: &Value| KNOWN.contains(&name.as_str().unwrap());
                assert!(
                    value.as_array().map_or_else(|| one(value), |all| all.iter().all(one)),
                    "{value}"
                );
            }
            "pattern" => drop(regex::Regex::new(value.as_str().unwrap()).unwrap()),
            "required" => {
                let known = |key: &Value| node["properties"].get(key.as_str().unwrap()).is_some();
                assert!(value.as_array().unwrap().iter().all(known), "{value}");
            }
            "enum" => assert!(!value.as_array().unwrap().is_empty()),
            "minimum" | "maximum" => assert!(value.is_number(), "{value}"),
            "default" => {}
            other => panic!("{other} is no word of ours"),
        }
    }
}

#[test]
fn send_makes_keys_lists_samples_and_prints_what_it_would_send() {
    let dir = tempfile::tempdir().unwrap();
    let public = run(dir.path(), &["send", "--new-key", "key.txt"]).ok();
    let mode = fs::metadata(dir.path().join("key.txt")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = run(dir.path(), &["send", "--new-key", "key.txt"]).fails(1);
    assert!(again.contains("cannot create key.txt: File exists"), "{again}");

    let samples = run(root(), &["send", "--list"]).ok();
    // A name and what it reports.
    let samples: Vec<&str> =
        samples.lines().skip(1).filter_map(|line| Some(line.split_once("  ")?.0)).collect();
    assert!(samples.len() > 20 && samples.contains(&"messaging-profile.spend-limit-reached.json"));
    for sample in samples {
        // By the kind, too.
        let kind = sample.trim_end_matches(".json").trim_end_matches(".form");
        for name in [sample, kind] {
            let print = run(dir.path(), &["send", name, "--key-file", "key.txt", "--print"]).json();
            let headers = print["headers"].as_object().unwrap();
            assert!(
                [SIGNATURE_HEADER, TIMESTAMP_HEADER].iter().all(|it| headers.contains_key(*it)),
                "{print}"
            );
        }
    }
    fs::write(dir.path().join("short.txt"), "AAAA").unwrap();
    for (args, said) in [
        (["call.cost", "--key-file", "none.txt"], "cannot read none.txt: No such file"),
        (["call.cost", "--key-file", "short.txt"], "short.txt is not the base64 of 32 bytes"),
        (
            ["call.costs", "--key-file", "key.txt"],
            "call.costs is neither a sample (see `tollbell send --list`) nor a file",
        ),
    ] {
        let err = run(dir.path(), &[&["send"][..], &args].concat()).fails(1);
        assert!(err.contains(said), "{err}");
    }
    assert_eq!(public.trim().len(), 44);
}
