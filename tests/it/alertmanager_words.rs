//! Alertmanager's words against Alertmanager's own program: what `amtool` takes a matcher, a pattern or a routing tree
//! for, tollbell takes it for, or refuses it. `docs/alertmanager.md` lists what differs.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::json;
use tollbell::alerts::Matcher;
use tollbell::config;
use tollbell::rules::Labels;

use crate::support::tools::tool;

/// An account, as every file has it here and none there.
const ACCOUNT: &str = "accounts: [{name: default, public_keys: [\"jrMBoswHlhhVx2W2Www72WU/xn4UMpjreslD0m2u0qs=\"]}]\n";

/// What `amtool` says, if it takes the file.
fn amtool(config: &str, arguments: &[&str]) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("alertmanager.yml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(tool("amtool"));
    command.args(["config", "routes"]).args(arguments.iter().take(1));
    command.arg(format!("--config.file={}", file.display())).args(arguments.iter().skip(1));
    let output = command.output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// A file with one child for each text of matchers; YAML takes JSON.
fn children<'t>(texts: impl IntoIterator<Item = &'t str>, continues: bool) -> String {
    let mut receivers = vec![json!({"name": "root"})];
    let mut routes = Vec::new();
    for (n, text) in texts.into_iter().enumerate() {
        receivers.push(json!({"name": format!("r{n}")}));
        routes
            .push(json!({"receiver": format!("r{n}"), "matchers": [text], "continue": continues}));
    }
    json!({"route": {"receiver": "root", "routes": routes}, "receivers": receivers}).to_string()
}

/// The matchers of the only child as `amtool` shows them, sorted.
fn theirs(text: &str) -> Option<Vec<String>> {
    let shown = amtool(&children([text], false), &["show"])?;
    let line = shown.lines().find(|line| line.contains("receiver: r0")).unwrap();
    let (_, matchers) = line.split_once("── ").unwrap();
    let (matchers, _) = matchers.rsplit_once("  receiver: ").unwrap();
    // Without matchers it is called so.
    let inner = matchers.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let mut list = inner.map(split).unwrap_or_default();
    list.sort();
    Some(list)
}

/// The matchers between commas outside of quotes; all values stand in quotes here.
fn split(text: &str) -> Vec<String> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        match c {
            ',' if !quoted => parts.push(std::mem::take(&mut part)),
            c => part.push(c),
        }
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
    }
    parts.extend(Some(part).filter(|part| !part.is_empty()));
    parts
}

/// Refused here, though taken there: nobody means them.
const STRICTER: &[&str] =
    &["", "{}", "{foo=bar", "foo=bar}", "foo=~a{2}", "foo='bar'", "a:b=c", "{foo=\n'}"];
/// Taken here, though refused there by this version: newer ones take them, or mean nothing else.
const LAXER: &[&str] = &["\"foo\"=\"bar\"", " {foo=bar}", "foo=\"x\\,\", bar=y"];
/// Taken by both, or refused by both.
const ALIKE: &[&str] = &[
    "foo=bar",
    "foo=\"bar\"",
    "foo = bar",
    " foo\t=\n bar ",
    "foo=bar,bar!=baz",
    "foo=bar, bar=~\"b.z\"",
    "{foo=\"bar\", baz!~\"quux.*\", derp=wat}",
    "{foo=bar,}",
    "foo=bar,",
    "foo=bar , ",
    "foo=",
    "foo=,bar=x",
    "foo=\"\"",
    "{foo=bar}}",
    "{foo=~a{2}}",
    "foo=a{b",
    "foo=\"bar,quux\",job=\"job1\"",
    "foo=\"{}\"",
    "foo=\"}\"",
    "tricky=~~~",
    "tricky==x",
    "tricky=!x",
    "tricky=!~x",
    "trickier==\\\\=\\=\\\"",
    "foo=\\n",
    "foo=bar\\n",
    "foo=bar\\t",
    "foo=bar\\",
    "foo=bar\\\\",
    "foo=\\\"",
    "foo=bar\\\"",
    "foo=\"\\d+\\.\\\"\\\\\\n\"",
    "foo=\"\\xf0\\u0041\"",
    "foo=\"a\nb\"",
    "foo=a b",
    "foo=\"'\"",
    "foo=a'b",
    "quote=\"She said: \\\"Hi, ladies!\\\"\"",
    "statuscode=~\"5..\"",
    "a!=\"\\\"\" , b !~ \"foo,bar\" , ",
    "foo=\u{1f642}",
    "foo=\"\u{1f642}, \u{e9}\"",
    "_a1=x",
    "__a__=x",
    "A=x",
    // Refused by both.
    ",",
    "{,}",
    ",foo=bar",
    "foo=bar,,bar=baz",
    "foo",
    "foo!bar",
    "=bar",
    "1a=b",
    "a-b=c",
    "\u{1f642}=x",
    "foo=~a{1,2}",
    "foo=\"bar",
    "foo=bar\"",
    "foo=b\"a\"r",
    "foo=\"b\"ar",
    "{{foo=bar}",
    "\"{foo=\\\"bar\\\"}\"",
    "\"foo=\\\"bar\\\"\"",
    "foo=~\"[\"",
    "foo=~\"(\"",
    "foo=~\"a(?=b)\"",
];

#[test]
fn a_text_of_matchers_means_the_same_or_is_refused() {
    let mut taken = 0;
    for text in [ALIKE, STRICTER, LAXER].concat() {
        let ours = Matcher::parse_list(text).map(|list| {
            let list: BTreeSet<String> = list.iter().map(ToString::to_string).collect();
            list.into_iter().collect::<Vec<_>>()
        });
        match (theirs(text), ours) {
            (Some(theirs), Ok(ours)) => {
                assert_eq!(ours, theirs, "{text}");
                taken += 1;
            }
            (Some(theirs), Err(error)) => {
                assert!(STRICTER.contains(&text), "{text} is {theirs:?} there: {error}");
            }
            (None, Ok(ours)) => assert!(LAXER.contains(&text), "{text} is refused there: {ours:?}"),
            (None, Err(_)) => {}
        }
    }
    assert!(taken > 30, "{taken}");
}

#[test]
fn a_pattern_matches_the_same_values() {
    let patterns = [
        r"\d+",
        r"\w+",
        r"\s",
        r"\S\D\W",
        r"[\d,]+",
        r"[^\d]",
        r"[\W]",
        r"a\b.*",
        "[a&&b]+",
        "[a~~b]+",
        "[a[bc]",
        "[a[bc]]",
        "[[]",
        "[]a]",
        "[^]a]",
        "[[:alpha:]_-]+",
        "[[:alpha]+",
        r"[\]\[-]+",
        r"a\<b",
        "a{,2}",
        "a{",
        "a{2}",
        "a{x}",
        r"\Qa.b\E",
        "(?i)ab",
        "a|b",
        ".",
        "a.*|",
        r"\pL+",
        r"\x41",
        r"a\-b",
        "(a|b)c",
    ];
    let values = [
        "12", "1,2", "\u{663}", "a", "ab", "AB", "aa", "\u{e9}", "a\u{e9}", "a b", "a-b", "a&b",
        "a~b", "[", "]", "a]", "[]", "b]", "&", "c", "b", "bc", "-", "[-", "[:", "a<b", "a{,2}",
        "a{", "a{x}", "a{2}", "a.b", "A", "\u{a0}", "_", "a_b", "1",
    ];
    let texts: Vec<String> = patterns
        .iter()
        .map(|pattern| format!("v=~\"{}\"", pattern.replace('\\', "\\\\")))
        .collect();
    let config = children(texts.iter().map(String::as_str), true);
    for value in values {
        let label = format!("v={value}");
        let said = amtool(&config, &["test", &label]).unwrap();
        let theirs: BTreeSet<&str> =
            said.trim().split(',').filter(|name| *name != "root").collect();
        let labels = Labels::from([("v".to_owned(), value.to_owned())]);
        for (n, text) in texts.iter().enumerate() {
            let matcher = Matcher::parse(text).unwrap();
            let name = format!("r{n}");
            assert_eq!(
                matcher.matches(&labels),
                theirs.contains(name.as_str()),
                "{text} {value:?}"
            );
        }
    }
}

/// A configuration of Alertmanager whose routes are to be tried, the labels to try them with, and how often who hears.
struct Tree {
    routes: &'static str,
    labels: &'static [&'static [&'static str]],
}

const TREES: &[Tree] = &[
    Tree {
        routes: include_str!("../fixtures/alertmanager/teams.yml"),
        labels: &[
            &[],
            &["service=shop"],
            &["service=shops"],
            &["service=pay", "severity=critical"],
            &["service=files", "severity=critical"],
            &["service=files", "severity=warning"],
            &["service=database"],
            &["service=database", "owner=web"],
            &["service=database", "owner=web", "cluster=test-1"],
            &["service=database", "owner=storage"],
            &["severity=critical"],
        ],
    },
    Tree {
        routes: include_str!("../fixtures/alertmanager/hours.yml"),
        labels: &[&[], &["team=dev"], &["team=dev", "env=test"], &["team=ops"]],
    },
    Tree {
        routes: include_str!("../fixtures/alertmanager/quotes.yml"),
        labels: &[
            &["path=/srv/a", "method=GET"],
            &["path=/srv/\u{e9}", "method=GET"],
            &["text=She said: \"Hi, all!\""],
            &["note=one two"],
            &["note=one two", "empty=x"],
            &["code=500"],
            &["code=503"],
            &["name=WEB-12"],
            &["name=web-\u{661}"],
            &["set=[ab"],
            &["set=c"],
        ],
    },
];

#[test]
fn a_routing_tree_takes_the_same_alerts_without_a_warning() {
    for tree in TREES {
        let receivers: BTreeSet<&str> = tree
            .routes
            .split("receiver: ")
            .skip(1)
            .filter_map(|rest| rest.split([',', '\n']).next())
            .collect();
        let list = |more: &str| -> String {
            let entries = receivers.iter().map(|name| format!("  - {{name: {name}{more}}}\n"));
            format!("receivers:\n{}", entries.collect::<String>())
        };
        let theirs = format!("{}{}", tree.routes, list(""));
        let webhook = ", webhook_configs: [{url: https://hooks.example.com/}]";
        let ours = format!("{ACCOUNT}{}{}", tree.routes, list(webhook));
        let loaded = config::parse("t", &ours, std::path::Path::new(""), &|_| None);
        let mut said: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        // Advice of our own, about what both take.
        said.retain(|line| !line.contains("critical alerts wait for"));
        assert_eq!(said, ["t:1:1: warning: rule_files: no rules: no alert can ever fire"]);
        let config = loaded.config.unwrap();
        for labels in tree.labels {
            let pairs = labels.iter().map(|pair| pair.split_once('=').unwrap());
            let set: Labels =
                pairs.clone().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            let quoted: Vec<String> =
                pairs.map(|(name, value)| format!("{name}={}", json!(value))).collect();
            let mut arguments = vec!["test"];
            arguments.extend(quoted.iter().map(String::as_str));
            let said = amtool(&theirs, &arguments).unwrap();
            let taken: Vec<&str> =
                config.route.take(&set).into_iter().map(|route| &*route.receiver).collect();
            assert_eq!(taken.join(","), said.trim(), "{labels:?}");
        }
    }
}
