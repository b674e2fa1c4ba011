//! The whole way from a file's text to the list of problems, or to the checked configuration.

mod addresses;
mod api;
mod diagnostics;
mod loading;
mod routing;
mod rule_files;
mod traps;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::words::{ConfigWords, Kind, RuleFileWords, Shape};
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
    let errors = loaded.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    assert_eq!(loaded.config.is_none(), errors, "a config is there exactly without errors");
    loaded.diagnostics.iter().fold(String::new(), |mut out, diagnostic| {
        let line = diagnostic.to_string();
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
        ("tokens", "s3cr3t-0123456789abcdef-new\n\n s3cr3t-0123456789abcdef-old \n".to_owned()),
        ("routing", "s3cr3ts3cr3ts3cr3ts3cr3ts3cr3ts3".to_owned()),
        ("mail.txt", "{{ headline }}".to_owned()),
        (
            "mail.subject",
            "[{{ status }}] {{ message.commonLabels.alertname | default('several') }}".to_owned(),
        ),
        ("pagerduty.summary", "{{ subject }}".to_owned()),
        ("ca.pem", certificate.cert.pem()),
        ("ca.key", certificate.signing_key.serialize_pem()),
        ("a.rules.yaml", include_str!("../testdata/rules.yaml").to_owned()),
    ] {
        std::fs::write(dir.path().join(name), text).expect("write");
    }
    (dir, include_str!("../testdata/kitchen-sink.yaml").to_owned())
}

#[test]
fn the_kitchen_sink_is_read_to_the_last_key() {
    let (dir, text) = kitchen_sink();
    let loaded = parse("sink.yaml", &text, dir.path(), &env);
    let shown: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(shown, Vec::<String>::new());
    let config = loaded.config.expect("config");

    assert_eq!(config.server.max_body, 2 << 20);
    assert_eq!(config.server.public_url.as_deref(), Some("https://hooks.example.com/base"));
    assert_eq!(config.server.trusted_proxies.len(), 2);
    let names = config.server.tokens.0.iter().map(|token| token.name).collect::<Vec<_>>();
    assert_eq!(names, ["token", "token", "read_token"]);
    let [account] = &*config.accounts else { panic!("one account") };
    assert_eq!(account.public_keys.len(), 2);
    assert_eq!(account.tolerance, Duration::from_mins(2));
    assert_eq!(account.labels["team"], "voice");
    assert_eq!(config.store.place.path(), Some(dir.path().join("elsewhere/t.db").as_path()));
    assert_eq!(config.store.payload, PayloadPolicy::None);
    assert_eq!(config.route.walk().len(), 4);
    assert_eq!(config.route.routes[0].routes[0].receiver, "oncall", "inherited");
    let [ops, oncall, finance] = &*config.receivers else { panic!("three receivers") };
    assert_eq!(oncall.fallback.as_deref(), Some("ops"));
    assert_eq!(oncall.fallback_after, Duration::from_mins(2));
    let slack = &ops.integrations[0];
    assert_eq!(slack.id, "ops/slack/main");
    assert!(!slack.send_resolved);
    assert_eq!(slack.concurrency, 2);
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
fn postgresql_as_the_store_is_read_to_the_last_key() {
    let (dir, _) = kitchen_sink();
    let text = format!("{ACCOUNT}{}", include_str!("../testdata/postgres.yaml"));
    let loaded = parse("postgres.yaml", &text, dir.path(), &env);
    let shown: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        ["postgres.yaml:10:13: warning: rule_files: no rules: no alert can ever fire"]
    );
    let place = loaded.config.expect("config").store.place;
    let Place::Postgres(address) = &place else { panic!("{place}") };
    assert_eq!((address.schema.as_str(), address.connections), ("alerts", 4));
    let (statement, lock) = (address.statement_timeout, address.lock_timeout);
    assert_eq!((statement, lock), (Duration::from_secs(3), Duration::from_secs(1)));
    assert!(address.password.is_some() && address.ca_file.is_some());
}

#[test]
fn the_kitchen_sink_holds_every_key_of_the_table() {
    let words = |text: &str| -> BTreeSet<String> {
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).map(str::to_owned).collect()
    };
    let mut sink = words(include_str!("../testdata/kitchen-sink.yaml"));
    sink.extend(words(include_str!("../testdata/postgres.yaml")));
    let rules = words(include_str!("../testdata/rules.yaml"));
    let shipped = words(include_str!("../../../config/tollbell.yaml"));
    for shape in shapes(ConfigWords::shape()) {
        for key in shape.keys {
            assert!(sink.contains(key.name), "{}.{} is not in the sink", shape.name, key.name);
            assert!(shipped.contains(key.name), "{} is not in config/tollbell.yaml", key.name);
        }
    }
    for key in shapes(RuleFileWords::shape()).iter().flat_map(|shape| shape.keys) {
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
            Kind::Map(shape) | Kind::Maps(shape) => Some(shape()),
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
    for shape in shapes(ConfigWords::shape()).into_iter().chain(shapes(RuleFileWords::shape())) {
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
    let text = include_str!("../../../config/tollbell.yaml");
    let shipped = parse("config/tollbell.yaml", text, &root, &env);
    let shown: Vec<String> = shipped.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(shown, Vec::<String>::new());
    let shipped = shipped.config.expect("config");

    let bare = format!(
        "{ACCOUNT}route: {{receiver: ops}}\nreceivers: [{{name: ops}}, {{name: oncall, fallback: ops}}]\n"
    );
    let bare = parse("bare", &bare, &root, &env).config.expect("config");
    assert_eq!(format!("{:?}", shipped.server), format!("{:?}", bare.server));
    assert_eq!(format!("{:?}", shipped.store), format!("{:?}", bare.store));
    assert_eq!(format!("{:?}", shipped.accounts), format!("{:?}", bare.accounts));
    assert_eq!(format!("{:?}", shipped.receivers), format!("{:?}", bare.receivers));

    // The commented-out keys, too: each `key: value` of a bounded key shows the table's default.
    for shape in shapes(ConfigWords::shape())
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
