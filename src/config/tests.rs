//! The whole way from a file's text to the list of problems, or to the checked configuration.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::words::{CONFIG, Kind, LATER, RULE_FILE, Shape};
use super::*;
use crate::notify::Channel;

/// A real public key, from Telnyx's own SDK tests.
const KEY: &str = "jrMBoswHlhhVx2W2Www72WU/xn4UMpjreslD0m2u0qs=";
pub(super) const ACCOUNT: &str = "accounts: [{name: default, public_keys: [\"${KEY}\"]}]\n";
const REST: &str = "route: {receiver: ops}\nreceivers: [{name: ops}]\n";

pub(super) fn env(name: &str) -> Option<String> {
    match name {
        "KEY" | "TELNYX_PUBLIC_KEY" => Some(KEY.to_owned()),
        "SLACK" => Some("https://hooks.slack.com/services/T0/B0/s3cr3t".to_owned()),
        "HOOK" => Some("http://tok3n-s3cr3t@127.0.0.1:1/in/s3cr3t".to_owned()),
        "PASSWORD" => Some("s3cr3t".to_owned()),
        "BAD_URL" => Some("s3cr3t not a url".to_owned()),
        _ => None,
    }
}

pub(super) fn check(text: &str) -> String {
    check_in(Path::new(""), text)
}

fn check_in(base: &Path, text: &str) -> String {
    let loaded = parse("t.yaml", text, base, &env);
    let errors = loaded.problems.iter().any(|problem| problem.severity == Severity::Error);
    assert_eq!(loaded.config.is_none(), errors, "a config is there exactly without errors");
    loaded.problems.iter().fold(String::new(), |mut out, problem| {
        let line = problem.to_string();
        assert!(!line.contains("s3cr3t"), "a secret in a problem: {line}");
        writeln!(out, "{line}").expect("string");
        out
    })
}

/// A file with everything in it, beside the files it names.
fn kitchen_sink() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("directory");
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("cert");
    for (name, text) in [
        ("keys", "\n+7E99DXiiQXvceNX4nHm3Lbm5mqPWad5RhDr2ufuCik=\n".to_owned()),
        ("slack", "https://slack.example/s3cr3t\n".to_owned()),
        ("smtp", "s3cr3t\n".to_owned()),
        ("hook", "whsec_czNjcjN0\n".to_owned()),
        ("url", "https://hook.example/s3cr3t\n".to_owned()),
        ("body", "{{ status }}".to_owned()),
        ("auth", "Bearer s3cr3t".to_owned()),
        ("routing", "s3cr3ts3cr3ts3cr3ts3cr3ts3cr3ts3".to_owned()),
        ("mail.txt", "{{ headline }}".to_owned()),
        (
            "mail.subject",
            "[{{ status }}] {{ message.commonLabels.alertname | default('several') }}".to_owned(),
        ),
        ("pagerduty.summary", "{{ subject }}".to_owned()),
        ("ca.pem", certificate.cert.pem()),
        ("a.rules.yaml", include_str!("testdata/rules.yaml").to_owned()),
    ] {
        std::fs::write(dir.path().join(name), text).expect("write");
    }
    (dir, include_str!("testdata/kitchen-sink.yaml").to_owned())
}

#[test]
fn the_kitchen_sink_is_read_to_the_last_key() {
    let (dir, text) = kitchen_sink();
    let loaded = parse("sink.yaml", &text, dir.path(), &env);
    let shown: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    assert_eq!(shown, Vec::<String>::new());
    let config = loaded.config.expect("config");

    assert_eq!(config.server.max_body, 2 << 20);
    assert_eq!(config.server.public_url.as_deref(), Some("https://hooks.example.com/base"));
    assert_eq!(config.server.trusted_proxies.len(), 2);
    let [account] = &*config.accounts else { panic!("one account") };
    assert_eq!(account.public_keys.len(), 2);
    assert_eq!(account.tolerance, Duration::from_mins(2));
    assert_eq!(account.labels["team"], "voice");
    assert_eq!(config.store.path, Path::new("elsewhere/t.db"));
    assert_eq!(config.store.payload, PayloadPolicy::None);
    assert_eq!(config.route.walk().len(), 4);
    assert_eq!(config.route.routes[0].routes[0].receiver, "oncall", "inherited");
    let [ops, oncall, finance] = &*config.receivers else { panic!("three receivers") };
    assert_eq!(oncall.fallback.as_deref(), Some("ops"));
    assert_eq!(oncall.fallback_after, Duration::from_mins(2));
    let slack = &ops.integrations[0];
    assert_eq!(slack.id, "ops/slack/main");
    assert!(!slack.send_resolved);
    assert_eq!(slack.concurrency, 1);
    assert_eq!(slack.retry.max_age, Duration::from_hours(1));
    assert!((slack.rate_limit.per_second - 0.5).abs() < f64::EPSILON);
    let Channel::Webhook(hook) = &oncall.integrations[1].channel else { panic!("a webhook") };
    assert_eq!(hook.max_alerts, 7);
    assert_eq!(hook.headers.len(), 2);
    let Channel::Email(mail) = &finance.integrations[0].channel else { panic!("mail") };
    assert_eq!((&*mail.host, mail.port), ("smtp.example.com", 465));
    assert_eq!(mail.to.len(), 2);
    let api = config.accounts[0].api.as_ref().expect("a key");
    assert_eq!((&*api.account, &*api.url), ("default", "https://telnyx.example.com:8443/v2"));
    assert_eq!((api.poll_interval.as_secs(), api.currency.as_deref()), (30, Some("USD")));
    assert_eq!(api.backfill.map(|age| age.as_secs()), Some(2 * 86_400));
    assert_eq!(api.public_url.as_deref(), Some("https://hooks.example.com/base"));
    assert_eq!(config.heartbeats.len(), 1);
    assert_eq!(config.hash.len(), 16);

    let debug = format!("{config:?}");
    assert!(!debug.contains("s3cr3t"), "a secret in Debug");
}

#[test]
fn the_kitchen_sink_holds_every_key_of_the_table() {
    let words = |text: &str| -> BTreeSet<String> {
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).map(str::to_owned).collect()
    };
    let sink = words(include_str!("testdata/kitchen-sink.yaml"));
    let rules = words(include_str!("testdata/rules.yaml"));
    let shipped = words(include_str!("../../config/tollbell.yaml"));
    for shape in shapes(&CONFIG) {
        for key in shape.keys {
            assert!(sink.contains(key.name), "{}.{} is not in the sink", shape.name, key.name);
            assert!(shipped.contains(key.name), "{} is not in config/tollbell.yaml", key.name);
        }
    }
    for key in shapes(&RULE_FILE).iter().flat_map(|shape| shape.keys) {
        assert!(rules.contains(key.name), "{} is not in the sink's rules", key.name);
    }
}

fn shapes(root: &'static Shape) -> Vec<&'static Shape> {
    let mut shapes: Vec<&'static Shape> = Vec::new();
    let mut open = vec![root];
    while let Some(shape) = open.pop() {
        if shapes.iter().any(|known| known.name == shape.name) {
            continue;
        }
        shapes.push(shape);
        open.extend(shape.keys.iter().filter_map(|key| match key.kind {
            Kind::Map(shape) | Kind::Maps(shape) => Some(shape),
            _ => None,
        }));
    }
    shapes
}

#[test]
fn every_bound_of_the_table_can_be_read_and_holds_its_default() {
    fn hold<T: PartialOrd>(parse: impl Fn(&str) -> Option<T>, bounds: &words::Bounds) -> bool {
        match (parse(bounds.min), parse(bounds.default), parse(bounds.max)) {
            (Some(min), Some(default), Some(max)) => min <= default && default <= max,
            _ => false,
        }
    }
    for shape in shapes(&CONFIG).into_iter().chain(shapes(&RULE_FILE)) {
        for key in shape.keys {
            let fine = match &key.kind {
                Kind::Duration(bounds) => hold(units::duration, bounds),
                Kind::Size(bounds) => hold(units::size, bounds),
                Kind::Integer(bounds) => hold(|text| text.parse::<u32>().ok(), bounds),
                Kind::Number(bounds) => hold(|text| text.parse::<f64>().ok(), bounds),
                Kind::Choice { default, words } => words.contains(default),
                _ => true,
            };
            assert!(fine, "{}.{}", shape.name, key.name);
        }
    }
    let retry = crate::notify::RetryPolicy::default();
    let text = format!(
        "{ACCOUNT}route: {{receiver: ops}}\nreceivers: [{{name: ops, slack_configs: [{{api_url: http://x}}]}}]\n"
    );
    let config = parse("t", &text, Path::new(""), &env).config.expect("config");
    assert_eq!(config.receivers[0].integrations[0].retry, retry);
}

#[test]
fn the_shipped_file_runs_as_it_is_and_shows_the_defaults() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let text = include_str!("../../config/tollbell.yaml");
    let shipped = parse("config/tollbell.yaml", text, &root, &env);
    let shown: Vec<String> = shipped.problems.iter().map(ToString::to_string).collect();
    assert_eq!(shown, Vec::<String>::new());
    let shipped = shipped.config.expect("config");

    let bare = format!(
        "{ACCOUNT}route: {{receiver: ops}}\nreceivers: [{{name: ops}}, {{name: oncall, fallback: ops}}]\n"
    );
    let bare = parse("bare", &bare, Path::new(""), &env).config.expect("config");
    assert_eq!(format!("{:?}", shipped.server), format!("{:?}", bare.server));
    assert_eq!(format!("{:?}", shipped.store), format!("{:?}", bare.store));
    assert_eq!(format!("{:?}", shipped.accounts), format!("{:?}", bare.accounts));
    assert_eq!(format!("{:?}", shipped.receivers), format!("{:?}", bare.receivers));

    // The commented-out keys, too: each `key: value` of a bounded key shows the table's default.
    for shape in shapes(&CONFIG)
        .into_iter()
        .filter(|shape| !["slack_rate_limit", "pagerduty_rate_limit"].contains(&shape.name))
    {
        for key in shape.keys {
            let default = match &key.kind {
                Kind::Duration(bounds) | Kind::Size(bounds) | Kind::Integer(bounds) => {
                    bounds.default
                }
                Kind::Choice { default, .. } => default,
                Kind::Flag(true) => "true",
                Kind::Flag(false) => "false",
                _ => continue,
            };
            let shown = format!("{}: {default}", key.name);
            assert!(text.contains(&shown), "{shown} is not shown for {}", shape.name);
        }
    }
}

#[test]
fn the_telnyx_side_of_an_account_is_checked() {
    let account = "accounts:\n  - name: default\n    public_keys: [\"${KEY}\"]\n";
    let mut said = String::new();
    for (keys, rest) in [
        ("api_key: k\n    backfill: {enabled: false}", ""),
        ("api_key: k", ""),
        ("api_url: https://api.telnyx.com/v2\n    balance: {poll_interval: 1m}", ""),
        ("api_key: k\n    api_key_file: f", ""),
        ("api_key: \"\"\n    api_url: http://api.example.com/v2", ""),
        ("api_key: k\n    api_url: api.telnyx.com\n    balance: {poll_interval: 1ms}", ""),
        ("api_key: k\n    backfill: {max_age: 8d}", "server: {public_url: https://a.example.com}"),
        ("currency: USD", "heartbeats: [{interval: 1m}, {url: nowhere}]"),
    ] {
        let text = format!("{account}    {keys}\n{REST}{rest}\n");
        writeln!(said, "--- {}\n{}", keys.replace("\n    ", ", "), check(&text)).expect("writes");
    }
    insta::assert_snapshot!(said, @r#"
        --- api_key: k, backfill: {enabled: false}
        t.yaml:1:1: warning: rule_files: no rules: nothing will ever ring

        --- api_key: k
        t.yaml:1:1: warning: rule_files: no rules: nothing will ever ring
        t.yaml:4:14: warning: accounts[0].api_key: webhooks that were missed cannot be looked for without server.public_url (hint: backfill: {enabled: false}, if that is meant)

        --- api_url: https://api.telnyx.com/v2, balance: {poll_interval: 1m}
        t.yaml:1:1: warning: rule_files: no rules: nothing will ever ring
        t.yaml:4:14: warning: accounts[0].api_url: has no effect without api_key or api_key_file

        --- api_key: k, api_key_file: f
        t.yaml:1:1: warning: rule_files: no rules: nothing will ever ring
        t.yaml:5:19: accounts[0].api_key_file: give api_key or api_key_file, not both

        --- api_key: "", api_url: http://api.example.com/v2
        t.yaml:1:1: warning: rule_files: no rules: nothing will ever ring
        t.yaml:4:15: accounts[0].api_key: the secret is empty
        t.yaml:5:14: warning: accounts[0].api_url: the API key would travel in clear: use https

        --- api_key: k, api_url: api.telnyx.com, balance: {poll_interval: 1ms}
        t.yaml:1:1: warning: rule_files: no rules: nothing will ever ring
        t.yaml:4:14: warning: accounts[0].api_key: webhooks that were missed cannot be looked for without server.public_url (hint: backfill: {enabled: false}, if that is meant)
        t.yaml:5:14: accounts[0].api_url: expected a URL such as https://example.com/path
        t.yaml:6:30: accounts[0].balance.poll_interval: must be between 1s and 1d

        --- api_key: k, backfill: {max_age: 8d}
        t.yaml:1:1: warning: rule_files: no rules: nothing will ever ring
        t.yaml:5:25: accounts[0].backfill.max_age: must be between 1m and 7d

        --- currency: USD
        t.yaml:1:1: warning: rule_files: no rules: nothing will ever ring
        t.yaml:7:14: heartbeats[0]: missing key "url" or "url_file"
        t.yaml:7:36: heartbeats[1].url: expected a URL such as https://example.com/path
        "#);
}

#[test]
fn words_of_later_parts_are_refused() {
    for word in LATER {
        let line = check(&format!("{ACCOUNT}{REST}{word}: []\n"));
        let refused = line.contains("unknown key") && line.contains("not in this version");
        assert!(refused, "{word}: {line}");
    }
    insta::assert_snapshot!(check(include_str!("testdata/later.yaml")), @r"
        t.yaml:1:1: warning: rule_files: no rules: nothing will ever ring
        t.yaml:2:3: server.auth: unknown key (hint: not in this version of tollbell)
        t.yaml:7:8: store.url: PostgreSQL is not in this version of tollbell: use sqlite:
        ");
}

#[test]
#[expect(clippy::too_many_lines, reason = "one long list is the point")]
fn all_problems_come_at_once() {
    insta::assert_snapshot!(check(include_str!("testdata/bad.yaml")), @r#"
        t.yaml:1:1: warning: rule_files: no rules: nothing will ever ring
        t.yaml:2:11: server.listen: expected an IP address and a port (hint: such as 0.0.0.0:8080, 127.0.0.1:9464 or [::1]:9464)
        t.yaml:3:19: warning: server.private_listen: not a loopback address: whoever reaches it can read alerts and events (hint: this version has no authentication there; keep the network closed)
        t.yaml:4:15: server.public_url: the URL is not http or https
        t.yaml:5:17: server.external_url: the URL must end with its path: no ? and no #
        t.yaml:6:13: server.max_body: expected a size such as 512KiB, 1MiB, or bytes
        t.yaml:7:21: server.shutdown_timeout: expected a duration such as 500ms, 30s, 5m, 4h, 30d, 1w
        t.yaml:8:21: server.trusted_proxies[0]: expected a network such as 10.0.0.0/8, or an IP address
        t.yaml:8:34: server.trusted_proxies[1]: expected a network such as 10.0.0.0/8, or an IP address
        t.yaml:9:3: server.lisen: unknown key (hint: did you mean listen?)
        t.yaml:11:11: accounts[0].name: expected 1 to 64 of a-z, 0-9, _ and -: it stands in a URL
        t.yaml:12:19: accounts[0].public_keys[0]: the public key has 3 bytes, and 32 are wanted
        t.yaml:12:26: environment variable UNSET_KEY is not set (hint: set it, or give a default: ${UNSET_KEY:-…})
        t.yaml:13:16: accounts[0].tolerance: must be between 1s and 1h
        t.yaml:14:14: accounts[0].labels.account: tollbell sets this label itself
        t.yaml:14:27: accounts[0].labels.a-b: no label name: letters, digits and _, no digit and no __ first
        t.yaml:14:43: accounts[0].labels.__x: no label name: letters, digits and _, no digit and no __ first
        t.yaml:15:15: accounts[0].currency: expected an ISO 4217 code such as USD
        t.yaml:16:5: accounts[1]: missing key "name" (hint: Name: the last part of /webhooks/telnyx/{account}.)
        t.yaml:16:23: accounts[1].public_keys_file: cannot be read: No such file or directory (os error 2)
        t.yaml:18:30: warning: accounts[2].public_keys[1]: this key is given twice
        t.yaml:19:5: accounts[3]: no public key (hint: public_keys: ["${TELNYX_PUBLIC_KEY}"], from Mission Control)
        t.yaml:19:11: accounts[3].name: name given twice, first in line 17
        t.yaml:20:15: store.url: expected sqlite: and a path, such as sqlite:data/tollbell.db
        t.yaml:20:36: store.retention: must be between 7d and 3650d
        t.yaml:20:49: store.payload: expected one of full, redacted, none
        t.yaml:22:13: route.receiver: no receiver has the name "opps" (hint: did you mean ops?)
        t.yaml:23:13: route.matchers: not on the root: it takes every alert that no child takes
        t.yaml:25:7: route.routes[0].receiver: no value (hint: give a value, or remove the key)
        t.yaml:25:7: warning: route.routes[0]: takes every alert: the routes after it are never asked (hint: give it matchers, or continue: true)
        t.yaml:26:29: route.routes[1].matchers[0]: bad regular expression: unclosed group
        t.yaml:26:37: route.routes[1].matchers[1]: expected one of = != =~ !~ after the label name
        t.yaml:26:40: route.routes[1].matchers[2]: expected a single value, found a map
        t.yaml:28:7: route.routes[1].match: unknown key (hint: use matchers: ['label="value"'])
        t.yaml:29:7: warning: route.routes[2]: takes every alert: the routes after it are never asked (hint: give it matchers, or continue: true)
        t.yaml:29:17: route.routes[2].continue: expected true or false
        t.yaml:30:13: route.routes[2].name: another route has this name; root is taken, too
        t.yaml:32:7: warning: route.routes[4]: an earlier sibling has the same matchers and receiver (hint: remove it, or give both a name)
        t.yaml:35:15: receivers[0].fallback: no receiver has the name "oncal" (hint: did you mean oncall?)
        t.yaml:38:9: receivers[0].slack_configs[0]: missing key "api_url" or "api_url_file"
        t.yaml:40:23: receivers[0].slack_configs[1].api_url_file: give api_url or api_url_file, not both
        t.yaml:42:19: warning: receivers[0].slack_configs[2].channel: ignored by webhooks of hooks.slack.com: each posts to the channel it was made for
        t.yaml:43:18: receivers[0].slack_configs[2].timeout: expected a duration such as 500ms, 30s, 5m, 4h, 30d, 1w
        t.yaml:44:34: receivers[0].slack_configs[2].rate_limit.per_second: must be between 0.001 and 1000
        t.yaml:44:44: receivers[0].slack_configs[2].rate_limit.burst: expected a whole number
        t.yaml:44:49: receivers[0].slack_configs[2].rate_limit.bust: unknown key (hint: did you mean burst?)
        t.yaml:45:34: receivers[0].slack_configs[2].retry.initial_backoff: longer than max_backoff
        t.yaml:46:11: warning: receivers[1].name: no route and no fallback uses this receiver
        t.yaml:47:15: receivers[1].fallback: fallbacks lead in a circle
        t.yaml:49:14: receivers[1].webhook_configs[0].url: expected a URL such as https://example.com/path
        t.yaml:50:17: receivers[1].webhook_configs[0].secret: what follows whsec_ is not standard, padded base64
        t.yaml:51:21: receivers[1].webhook_configs[0].max_alerts: must be between 1 and 10000
        t.yaml:53:20: receivers[1].webhook_configs[0].body_file: give body or body_file, not both
        t.yaml:54:20: receivers[1].webhook_configs[0].headers.a b: not the name of a header
        t.yaml:54:33: receivers[1].webhook_configs[0].headers.c: a control character in a header
        t.yaml:54:46: receivers[1].webhook_configs[0].headers.D: header given twice
        t.yaml:55:19: receivers[1].webhook_configs[1].url_file: missing secret file: No such file or directory (os error 2)
        t.yaml:56:27: receivers[1].webhook_configs[1].header_files.x: missing secret file: No such file or directory (os error 2)
        t.yaml:60:11: receivers[1].webhook_configs[1].body: syntax error: unexpected end of block
        t.yaml:62:31: receivers[1].webhook_configs[1].tls_config.ca_file: cannot be read: No such file or directory (os error 2)
        t.yaml:64:16: receivers[1].webhook_configs[2].body: undefined value: `commonLabels.nope` is undefined
        t.yaml:65:9: warning: receivers[1].webhook_configs[3]: another one of this receiver goes to the same place: only their order tells them apart, and a change of it mixes them up (hint: give each a name)
        t.yaml:69:11: receivers[1].webhook_configs[3].body: unknown filter: filter nofilter is unknown
        t.yaml:70:11: warning: receivers[2].name: no route and no fallback uses this receiver
        t.yaml:71:15: receivers[2].fallback: fallbacks lead in a circle
        t.yaml:72:21: receivers[2].fallback_after: must be between 1s and 1d
        t.yaml:74:14: receivers[2].email_configs[0].to[0]: not a mail address
        t.yaml:74:45: receivers[2].email_configs[0].to[2]: recipient given twice
        t.yaml:75:15: receivers[2].email_configs[0].from: not a mail address
        t.yaml:76:20: receivers[2].email_configs[0].smarthost: expected host:port, such as smtp.example.com:587
        t.yaml:77:14: receivers[2].email_configs[0].tls: expected one of starttls, implicit, none
        t.yaml:78:19: receivers[2].email_configs[0].headers.Subject: tollbell sets this header itself
        t.yaml:78:32: receivers[2].email_configs[0].headers.X\n: not the name of a header
        t.yaml:79:13: receivers[2].email_configs[1].to: no recipient
        t.yaml:83:69: receivers[2].email_configs[1].auth.password_file: give password or password_file, not both
        t.yaml:84:9: receivers[2].email_configs[2]: missing key "from" (hint: Sender.)
        t.yaml:84:9: receivers[2].email_configs[2]: missing key "smarthost" (hint: Mail server, host:port.)
        t.yaml:84:13: receivers[2].email_configs[2].to: expected a list, found a single value
        t.yaml:85:15: receivers[2].email_configs[2].auth: missing key "username" (hint: User name.)
        t.yaml:85:15: receivers[2].email_configs[2].auth: missing key "password" or "password_file"
        t.yaml:86:15: receivers[2].email_configs[3].name: expected 1 to 64 characters, no / among them
        t.yaml:91:15: warning: receivers[2].email_configs[3].auth: without TLS the password crosses the network in plain text
        t.yaml:92:11: receivers[3].name: name given twice, first in line 34
        t.yaml:93:5: receivers[4]: missing key "name" (hint: Name, as routes use it.)
        "#);
}

#[test]
fn each_bad_file_has_its_words() {
    let mut out = String::new();
    for text in [
        "",
        "just text\n",
        "- a\n",
        "accounts: {}\nroute: []\nreceivers: x\n",
        "accounts: []\nroute: {}\nreceivers: []\n",
        "accounts: [{name: a, public_keys: [\"${NOPE}\"]}]\nroute: {receiver: ops}\nreceivers: [{name: ops}]\n",
        "server:\n\tlisten: x\n",
        "a: &a [1]\nb: *a\n",
    ] {
        writeln!(out, "--- {text:?}\n{}", check(text)).expect("string");
    }
    insta::assert_snapshot!(out, @r#"
        --- ""
        t.yaml:1:1: missing key "accounts" (hint: The Telnyx accounts that send webhooks here.)
        t.yaml:1:1: missing key "route" (hint: Who hears of which alert.)
        t.yaml:1:1: missing key "receivers" (hint: Who can be told, and how.)
        t.yaml:1:1: warning: rule_files: no rules: nothing will ever ring

        --- "just text\n"
        t.yaml:1:1: expected a map of keys, found a single value
        t.yaml:1:1: warning: rule_files: no rules: nothing will ever ring

        --- "- a\n"
        t.yaml:1:1: expected a map of keys, found a list
        t.yaml:1:1: warning: rule_files: no rules: nothing will ever ring

        --- "accounts: {}\nroute: []\nreceivers: x\n"
        t.yaml:1:1: warning: rule_files: no rules: nothing will ever ring
        t.yaml:1:11: accounts: expected a list, found a map
        t.yaml:2:8: route: expected a map of keys, found a list
        t.yaml:2:8: route: missing key "receiver" (hint: the root takes every alert that no child takes)
        t.yaml:3:12: receivers: expected a list, found a single value

        --- "accounts: []\nroute: {}\nreceivers: []\n"
        t.yaml:1:1: warning: rule_files: no rules: nothing will ever ring
        t.yaml:1:11: accounts: no account: nobody could sign a webhook
        t.yaml:2:8: route: missing key "receiver" (hint: the root takes every alert that no child takes)
        t.yaml:3:12: receivers: no receiver: nobody could be told

        --- "accounts: [{name: a, public_keys: [\"${NOPE}\"]}]\nroute: {receiver: ops}\nreceivers: [{name: ops}]\n"
        t.yaml:1:1: warning: rule_files: no rules: nothing will ever ring
        t.yaml:1:37: environment variable NOPE is not set (hint: set it, or give a default: ${NOPE:-…})

        --- "server:\n\tlisten: x\n"
        t.yaml:2:2: not YAML: tabs disallowed within this context (block indentation)

        --- "a: &a [1]\nb: *a\n"
        t.yaml:1:1: a: unknown key (hint: known here: server, accounts, store, rule_files, metrics, route, inhibit_rules, time_intervals, receivers, templates, heartbeats)
        t.yaml:1:1: missing key "accounts" (hint: The Telnyx accounts that send webhooks here.)
        t.yaml:1:1: missing key "route" (hint: Who hears of which alert.)
        t.yaml:1:1: missing key "receivers" (hint: Who can be told, and how.)
        t.yaml:1:1: warning: rule_files: no rules: nothing will ever ring
        t.yaml:2:1: b: unknown key (hint: known here: server, accounts, store, rule_files, metrics, route, inhibit_rules, time_intervals, receivers, templates, heartbeats)
        "#);
}

#[test]
fn an_unknown_key_has_the_nearest_one_as_its_hint() {
    let shown = check(&format!("{ACCOUNT}{REST}rulefiles: []\nservr: {{}}\nzzz: 1\n"));
    insta::assert_snapshot!(shown, @r"
        t.yaml:1:1: warning: rule_files: no rules: nothing will ever ring
        t.yaml:4:1: rulefiles: unknown key (hint: did you mean rule_files?)
        t.yaml:5:1: servr: unknown key (hint: did you mean server?)
        t.yaml:6:1: zzz: unknown key (hint: known here: server, accounts, store, rule_files, metrics, route, inhibit_rules, time_intervals, receivers, templates, heartbeats)
        ");
}

#[test]
fn rule_files_are_found_once_and_checked() {
    let dir = tempfile::tempdir().expect("directory");
    for (name, text) in [
        (
            "a.yaml",
            "groups:\n  - name: g\n    rules:\n      - alert: A\n        on: [call.cost]\n        for: 5m\n        lables: {a: b}\n",
        ),
        (
            "b.yaml",
            "groups:\n  - name: g\n    rules:\n      - {alert: B, on: [], active_for: 0s}\n      - {on: [x]}\n",
        ),
        ("c.txt", "groups: [\n"),
    ] {
        std::fs::write(dir.path().join(name), text).expect("write");
    }
    let text = format!(
        "{ACCOUNT}{REST}rule_files: [\"*.yaml\", a.yaml, c.txt, nope.yaml, \"no*.yaml\"]\n"
    );
    let shown = check_in(dir.path(), &text).replace(&dir.path().display().to_string(), "DIR");
    insta::assert_snapshot!(shown, @r#"
        t.yaml:4:39: rule_files[3]: no such file
        t.yaml:4:51: warning: rule_files[4]: no file matches
        DIR/a.yaml:6:14: groups[0].rules[0].for: an event rule, which has neither value, over nor absent_for, takes no for (hint: one event is the alert; active_for says how long it lasts)
        DIR/a.yaml:7:9: groups[0].rules[0].lables: unknown key (hint: did you mean labels?)
        DIR/b.yaml:2:11: groups[0].name: group given twice, first at DIR/a.yaml:2:11
        DIR/b.yaml:4:17: g/B.on: names no kind of event
        DIR/b.yaml:4:40: groups[0].rules[0].active_for: must be between 1s and 366d
        DIR/b.yaml:5:9: groups[0].rules[1]: missing key "alert" (hint: Name of the alert.)
        DIR/c.txt:1:9: not YAML: unclosed bracket '['
        "#);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn the_keys_of_a_rule_say_of_which_kind_it_is_and_which_keys_it_may_have() {
    let dir = tempfile::tempdir().expect("directory");
    let check_rules = |rules: &[&str]| {
        let file = rules
            .iter()
            .enumerate()
            .fold("groups:\n- name: g\n  rules:\n".to_owned(), |file, (n, keys)| {
                format!("{file}  - {{alert: A{n}, on: [call.cost], {keys}}}\n")
            });
        std::fs::write(dir.path().join("r.yaml"), file).expect("write");
        let intervals = "time_intervals: [{name: x, time_intervals: [{weekdays: [monday]}]}]";
        let text = format!("{ACCOUNT}{REST}rule_files: [r.yaml]\n{intervals}\n");
        let shown = check_in(dir.path(), &text).replace(&dir.path().display().to_string(), "DIR");
        let used = |line: &&str| !line.contains("no route and no rule uses this time interval");
        shown.lines().filter(used).collect::<Vec<_>>().join("\n")
    };
    let fine = [
        "active_for: 2h, notify_expired: true, max_series: 5",
        "value: payload.x, fire: value < 5, clear: value > 6, for: 1m, keep_firing_for: 2m, stale_after: 1h",
        "over: 15m, value: sum(event.charge), fire: value > 5.0, by: {p: event.product}",
        "over: week, time_zone: Europe/Berlin, value: distinct(call.country), fire: value > 5",
        "absent_for: 2h, for: 5m, active_time_intervals: [x], when: event.source == 'webhook'",
    ];
    let known = "A4: ";
    let shown = check_rules(&fine);
    assert!(shown.lines().all(|line| line.contains(known)), "{shown}");
    let wrong = [
        "keep_firing_for: 5m, stale_after: 5m, time_zone: UTC, clear: value > 1",
        "value: payload.x, fire: value < 5, active_for: 1h, notify_expired: true, active_time_intervals: [x]",
        "value: payload.x",
        "fire: value < 5, stale_after: soon",
        "over: 15m",
        "over: fortnight, value: count(), fire: value > 1, stale_after: 0s",
        "over: 1s, time_zone: UTC, value: count(), fire: value > 1",
        "over: month, time_zone: Mars/Base, value: count(), fire: value > 1, resolve_on: {on: [x]}",
        "absent_for: 2h, by: {a: event.id}, max_series: 5, value: count(), fire: value > 1, over: 5m",
        "absent_for: 0s, clear: value > 1",
        "value: payload.x, fire: value < 5, max_series: 0",
        "over: 5m, value: sum(payload.x) + 1, fire: value > 1",
        "over: 5m, value: sum(event.chrge), fire: value.x > 1, clear: payload.x == 1",
        "value: payload.x, fire: valu > 1",
        "value: event.kind, fire: value == 'x'",
    ];
    insta::assert_snapshot!(check_rules(&wrong), @r#"
        DIR/r.yaml:4:51: groups[0].rules[0].keep_firing_for: an event rule, which has neither value, over nor absent_for, takes no keep_firing_for (hint: one event is the alert; active_for says how long it lasts)
        DIR/r.yaml:4:68: groups[0].rules[0].stale_after: an event rule, which has neither value, over nor absent_for, takes no stale_after (hint: only the latest value of a gauge rule gets old)
        DIR/r.yaml:4:83: groups[0].rules[0].time_zone: an event rule, which has neither value, over nor absent_for, takes no time_zone (hint: it is for over: day, week or month)
        DIR/r.yaml:4:95: groups[0].rules[0].clear: an event rule, which has neither value, over nor absent_for, takes no clear (hint: to judge a value give value and fire)
        DIR/r.yaml:5:81: groups[0].rules[1].active_for: a gauge rule, which has value and fire, takes no active_for (hint: the alert ends when its condition does; see clear)
        DIR/r.yaml:5:101: groups[0].rules[1].notify_expired: a gauge rule, which has value and fire, takes no notify_expired (hint: its alerts do not expire; they are resolved)
        DIR/r.yaml:5:130: groups[0].rules[1].active_time_intervals: a gauge rule, which has value and fire, takes no active_time_intervals (hint: mute or activate the route instead)
        DIR/r.yaml:6:5: groups[0].rules[2]: missing key "fire" (hint: fire: value > 100.0)
        DIR/r.yaml:7:5: groups[0].rules[3]: missing key "value" (hint: value: payload.available_credit)
        DIR/r.yaml:7:64: groups[0].rules[3].stale_after: expected a duration such as 30s, 5m, 4h, 30d, 1w
        DIR/r.yaml:8:5: groups[0].rules[4]: missing key "value" (hint: value: sum(event.charge), or count())
        DIR/r.yaml:8:5: groups[0].rules[4]: missing key "fire" (hint: fire: value > 100.0)
        DIR/r.yaml:9:40: groups[0].rules[5].over: expected a duration such as 15m, 4h, 7d, or day, week, month
        DIR/r.yaml:9:97: groups[0].rules[5].stale_after: a window rule, which has over, takes no stale_after (hint: only the latest value of a gauge rule gets old)
        DIR/r.yaml:10:40: groups[0].rules[6].over: must be between 10s and 366d
        DIR/r.yaml:10:55: groups[0].rules[6].time_zone: only days, weeks and months begin somewhere (hint: it is for over: day, week or month)
        DIR/r.yaml:11:58: groups[0].rules[7].time_zone: unknown time zone (hint: a name such as America/Chicago or UTC)
        DIR/r.yaml:11:114: groups[0].rules[7].resolve_on: a window rule, which has over, takes no resolve_on (hint: the alert ends when its condition does; see clear)
        DIR/r.yaml:12:54: groups[0].rules[8].by: an absence rule, which has absent_for, takes no by (hint: there is one series per account)
        DIR/r.yaml:12:81: groups[0].rules[8].max_series: an absence rule, which has absent_for, takes no max_series (hint: there is one series per account)
        DIR/r.yaml:12:91: groups[0].rules[8].value: an absence rule, which has absent_for, takes no value (hint: what counts is said in on and when)
        DIR/r.yaml:12:106: groups[0].rules[8].fire: an absence rule, which has absent_for, takes no fire (hint: it fires by itself after absent_for)
        DIR/r.yaml:12:123: groups[0].rules[8].over: an absence rule, which has absent_for, takes no over (hint: give absent_for or over, in two rules if need be)
        DIR/r.yaml:13:46: groups[0].rules[9].absent_for: must be between 1m and 366d
        DIR/r.yaml:13:57: groups[0].rules[9].clear: an absence rule, which has absent_for, takes no clear (hint: to judge a value give value and fire)
        DIR/r.yaml:14:82: groups[0].rules[10].max_series: must be between 1 and 100000
        DIR/r.yaml:15:67: g/A11.value: nothing may stand behind the aggregate (hint: compute inside of its brackets, compare in fire and clear)
        DIR/r.yaml:16:62: g/A12.value: `event` has no field `chrge` (hint: did you mean `charge`?)
        DIR/r.yaml:16:82: g/A12.fire: double has no field `x`
        DIR/r.yaml:16:96: g/A12.clear: unknown variable `payload` (hint: known here: value, count, labels)
        DIR/r.yaml:17:59: g/A13.fire: unknown variable `valu` (hint: did you mean `value`?)
        DIR/r.yaml:18:42: g/A14.value: expected a number or decimal text, found string (hint: write num(…))
        DIR/r.yaml:18:66: g/A14.fire: `==` cannot compare double with string
        "#);
}

#[test]
fn metrics_are_checked() {
    let metrics = [
        "{name: a_total, type: counter, help: h, on: [call.cost]}",
        "{name: a_total, type: gauge, help: h, on: [call.cost], value: payload.x}",
        "{name: b, type: counter, help: h, on: [call.cost], value: event.cost, by: {currency: event.currency}}",
        "{name: c, type: gauge, help: h, on: [call.cost]}",
        "{name: tollbell_x, type: histogram, help: h, on: [], value: event.kind, by: {le: event.id, 9x: event.id}}",
        "{name: process_x, type: summary, help: h, on: [call.cost], when: 1 + 1}",
        "{name: a-b, type: gauge, on: [call.cost], value: value}",
    ];
    let text = format!("{ACCOUNT}{REST}metrics:\n- {}\n", metrics.join("\n- "));
    insta::assert_snapshot!(check(&text), @r#"
    t.yaml:1:1: warning: rule_files: no rules: nothing will ever ring
    t.yaml:6:10: metrics.a_total: metric `a_total` is already defined at t.yaml:5:10
    t.yaml:7:10: warning: metrics.b: the name of a counter ends in _total
    t.yaml:7:78: metrics.b.by.currency: tollbell sets the label `currency` itself
    t.yaml:8:10: metrics.c: a gauge has to have a value
    t.yaml:9:10: metrics.tollbell_x.on: names no kind of event
    t.yaml:9:10: metrics.tollbell_x: names that begin with tollbell_ are tollbell's own
    t.yaml:9:63: metrics.tollbell_x.value: expected a number or decimal text, found string (hint: write num(…))
    t.yaml:9:80: metrics.tollbell_x.by.le: tollbell sets the label `le` itself
    t.yaml:9:94: metrics.tollbell_x.by.9x: expected letters, digits and _, no digit first and not two _
    t.yaml:10:10: metrics.process_x: names that begin with process_ are tollbell's own
    t.yaml:10:10: warning: metrics.process_x: the name of a counter ends in _total
    t.yaml:10:27: metrics[5].type: expected one of counter, gauge, histogram
    t.yaml:10:68: metrics.process_x.when: expected bool, found int
    t.yaml:11:3: metrics[6]: missing key "help" (hint: What it says, for people.)
    t.yaml:11:10: metrics.a-b: expected letters, digits, _ and :, no digit first
    t.yaml:11:52: metrics.a-b.value: unknown variable `value` (hint: known here: event, payload, call)
    "#);
}

#[test]
fn the_hash_follows_every_byte_of_every_file() {
    let dir = tempfile::tempdir().expect("directory");
    let hash = |text: &str, rules: &str| {
        std::fs::write(dir.path().join("r.yaml"), rules).expect("write");
        parse("t", text, dir.path(), &env).config.expect("config").hash
    };
    let text = format!("{ACCOUNT}{REST}rule_files: [r.yaml]\n");
    let first = hash(&text, "groups: []\n");
    assert_eq!(first, hash(&text, "groups: []\n"));
    assert_ne!(first, hash(&text, "groups: []\n\n"));
    assert_ne!(first, hash(&format!("{text}\n"), "groups: []\n"));
}

#[test]
fn an_integration_keeps_its_id_when_its_secret_changes() {
    let id = |entry: &str| {
        let text = format!(
            "{ACCOUNT}route: {{receiver: ops}}\nreceivers: [{{name: ops, webhook_configs: [{entry}]}}]\n"
        );
        let config = parse("t", &text, Path::new(""), &env).config.expect("config");
        config.receivers[0].integrations.iter().map(|i| i.id.clone()).collect::<Vec<_>>()
    };
    let (a, b) = (id("{url: http://h:1/one}"), id("{url: http://h:1/two}"));
    assert_eq!(a, b);
    assert_ne!(a, id("{url: http://h:2/one}"));
    let twins = id("{url: http://h:1/one}, {url: http://h:1/two}");
    assert_eq!(twins[0], a[0]);
    assert_eq!(twins[1], format!("{}-2", a[0]));
    assert_eq!(id("{url: http://h:1/one, name: x}"), ["ops/webhook/x"]);
}

#[test]
fn a_missing_file_is_a_problem_without_a_place() {
    let loaded = load(Path::new("/nowhere/tollbell.yaml"), &env);
    assert!(loaded.config.is_none());
    assert!(loaded.problems[0].to_string().starts_with("/nowhere/tollbell.yaml: cannot be read"));
}

#[test]
fn the_schema_knows_what_the_reader_knows() {
    let schema = schema();
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["$defs"]["route"]["properties"]["routes"]["items"]["$ref"], "#/$defs/route");
    for shape in shapes(&CONFIG).into_iter().chain(shapes(&RULE_FILE)) {
        let object = if shape.name == "config" { &schema } else { &schema["$defs"][shape.name] };
        let known: BTreeSet<&str> =
            object["properties"].as_object().expect("object").keys().map(String::as_str).collect();
        let table: BTreeSet<&str> = shape.keys.iter().map(|key| key.name).collect();
        assert_eq!(known, table, "{}", shape.name);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        parse("t", &String::from_utf8_lossy(&bytes), Path::new("/nowhere"), &env);
    }

    #[test]
    fn no_edit_of_a_good_file_makes_it_panic(at in 0usize..4000, with in "[ -~\n]{0,6}", cut in 0usize..40) {
        let mut text: Vec<char> = include_str!("testdata/kitchen-sink.yaml").chars().collect();
        let at = at.min(text.len());
        let end = (at + cut).min(text.len());
        text.splice(at..end, with.chars());
        parse("t", &text.into_iter().collect::<String>(), Path::new("/nowhere"), &env);
    }
}

#[test]
fn template_files_replace_texts_by_their_name_and_are_tried_at_load() {
    let dir = tempfile::tempdir().expect("directory");
    let write =
        |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("write");
    let text = |list: &str| format!("{ACCOUNT}{REST}templates: {list}\n");
    let check = |list: &str| {
        let found = check_in(dir.path(), &text(list));
        let lines = found.lines().filter(|line| !line.contains("no rules"));
        let base = format!("{}/", dir.path().display());
        lines.map(|line| line.replace(&base, "DIR/") + "\n").collect::<String>()
    };
    std::fs::create_dir(dir.path().join("sub")).expect("directory");
    write("mail.txt", "{{ headline }}\n{{ nope }}");
    write("mail.html", "{{ headline }}\n\n{% if %}");
    write("mail.subject", "{{ message.commonLabels.alertname }}");
    write("slack.title", "{% if status == 'NO DATA' %}\n{{ gone }}{% endif %}");
    write("slack.mrkdwn", "{{ headline | truncate(9) }} {{ now | ago(now) }}");
    write("mail.tex", "");
    write("sub/slack.mrkdwn", "");
    insta::assert_snapshot!(check("[mail.*, \"s*.*\", sub/slack.mrkdwn, body.txt, nothing.*]"), @r###"
    t.yaml:4:13: templates[0]: no text has the name "mail.tex" (hint: did you mean mail.txt?)
    t.yaml:4:29: templates[2]: slack.mrkdwn is replaced twice, first by DIR/slack.mrkdwn
    t.yaml:4:47: templates[3]: no such file
    t.yaml:4:57: templates[4]: no such file
    DIR/mail.html:3:1: templates[0]: syntax error: unexpected end of block
    DIR/mail.subject:1:1: warning: templates[0]: undefined value: `message.commonLabels.alertname` is undefined, in a message whose alerts have nothing in common (hint: plain text goes out then; write {{ name | default('') }}, or use alerts[0])
    DIR/mail.txt:2:1: templates[0]: undefined value: `nope` is undefined
    DIR/slack.title:2:1: templates[1]: undefined value: `gone` is undefined, in a message that ends by no data
    "###);
    write("mail.subject", "{{ message.commonLabels.alertname | default('several') }}");
    assert_eq!(check("[mail.subject, slack.mrkdwn]"), "");
    write("mail.subject", &"x".repeat(70_000));
    assert_eq!(
        check("[mail.subject]"),
        "t.yaml:4:13: templates[0]: DIR/mail.subject: larger than 65536 bytes\n"
    );
}

#[test]
fn a_webhook_body_is_tried_with_messages_of_every_kind() {
    let body = |body: &str| {
        check(&format!(
            "{ACCOUNT}route: {{receiver: ops}}\nreceivers:\n  - name: ops\n    webhook_configs:\n      - url: http://127.0.0.1/\n        body: \"{body}\"\n"
        ))
    };
    let common = body("{{ commonLabels.alertname }}");
    assert!(
        common.contains("warning: receivers[0].webhook_configs[0].body: undefined"),
        "{common}"
    );
    assert!(common.contains("in a message whose alerts have nothing in common"), "{common}");
    assert!(!body("{{ commonLabels.alertname | default('') }}").contains("body"));
    let over = body("{% if status == 'resolved' and alerts[0].expired %}{{ nope }}{% endif %}");
    assert!(over.contains("is undefined, in a message that expires"), "{over}");
    let several = body("{{ alerts[1].status if alerts | length > 1 else x }}");
    assert!(several.contains("receivers[0].webhook_configs[0].body: undefined"), "{several}");
}

#[test]
fn pagerduty_and_alertmanager_say_what_is_wrong() {
    let text = format!(
        "{ACCOUNT}route: {{receiver: ops}}\nreceivers:\n  - name: ops\n    pagerduty_configs:\n      - url: ftp://x\n      - {{routing_key: short, client_url: \"x y\", severity: {{sev1: fatal}}}}\n      - {{service_key: x}}\n    alertmanager_configs:\n      - url: http://am:9093/api/v2/alerts/\n      - {{url: \"http://am:9093/?x=1\", resend_interval: 5s, headers: {{Host: x}}}}\n      - {{}}\n"
    );
    let found = check(&text);
    let found: String = found
        .lines()
        .filter(|line| !line.contains("no rules"))
        .map(|l| l.to_owned() + "\n")
        .collect();
    insta::assert_snapshot!(found, @r#"
        t.yaml:6:9: receivers[0].pagerduty_configs[0]: missing key "routing_key" or "routing_key_file"
        t.yaml:6:14: receivers[0].pagerduty_configs[0].url: the URL is not http or https
        t.yaml:7:23: warning: receivers[0].pagerduty_configs[1].routing_key: a routing key of PagerDuty has 32 characters
        t.yaml:7:43: receivers[0].pagerduty_configs[1].client_url: expected a URL such as https://example.com/path
        t.yaml:7:66: receivers[0].pagerduty_configs[1].severity.sev1: expected one of info, warning, error, critical
        t.yaml:8:9: receivers[0].pagerduty_configs[2]: missing key "routing_key" or "routing_key_file"
        t.yaml:8:10: receivers[0].pagerduty_configs[2].service_key: unknown key (hint: use routing_key: only the Events API v2 is spoken)
        t.yaml:10:14: receivers[0].alertmanager_configs[0].url: leave /api/v2/alerts away: it is added
        t.yaml:11:9: warning: receivers[0].alertmanager_configs[1]: another one of this receiver goes to the same place: only their order tells them apart, and a change of it mixes them up (hint: give each a name)
        t.yaml:11:9: receivers[0].alertmanager_configs[1]: header "Host" cannot be set
        t.yaml:11:16: receivers[0].alertmanager_configs[1].url: the URL must end with its path: no ? and no #
        t.yaml:11:55: receivers[0].alertmanager_configs[1].resend_interval: must be between 10s and 1h
        t.yaml:12:9: receivers[0].alertmanager_configs[2]: missing key "url" or "url_file"
        "#);
}
