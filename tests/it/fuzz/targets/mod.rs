//! What has to hold for any bytes: one function for each way in. They depend on nothing but their argument, so that any
//! fuzzer can call them.

mod language;
mod routing;

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::OnceLock;

use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use tollbell::alerts::{
    DayRange, IntervalError, IntervalSpec, MatchOp, Matcher, MonthRange, TimeInterval, TimeRange,
    WeekdayRange, YearRange,
};
use tollbell::config::{self, Config, Loaded};
use tollbell::diagnostic::{At, Position, Severity};
use tollbell::event::{self, Event, Incoming, PayloadPolicy};
use tollbell::rules::{self, Expression, Inputs, Labels, Level, Scope, Want};
use tollbell::template::{self, Templates};

use language::sample_events;
pub use language::{expression, template};
pub use routing::{interval, matcher};

/// What came of an input, without what differs from input to input; a new one makes the input worth keeping.
pub type Outcome = u64;

/// Stands in payloads; must not show in what people read of an error.
const PRIVATE: &str = "pr1vate";
/// Stands in secrets of the configuration.
const SECRET: &str = "s3cr3t";
const KEY: &str = "jrMBoswHlhhVx2W2Www72WU/xn4UMpjreslD0m2u0qs=";
const LABEL_BYTES_MAX: usize = 1024;
const EXPRESSION_BYTES_MAX: usize = 1024;
const RENDERED_BYTES_MAX: usize = 256 * 1024;
const TIMES: [i64; 6] = [-377_705_023_201, -1, 0, 951_827_696, 1_769_898_605, 253_402_207_200];

fn outcome(parts: impl Hash) -> Outcome {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

/// A message's kind: its words without digits and without what it quotes.
fn words(message: &str) -> String {
    let plain = message.split(['`', '"', '\'']).step_by(2);
    plain.flat_map(str::chars).filter(|c| c.is_ascii_alphabetic() || *c == ' ').take(80).collect()
}

fn now() -> Timestamp {
    "2026-01-31T22:30:05Z".parse().unwrap()
}

/// A signed body. The first byte chooses the content type.
pub fn body(data: &[u8]) -> Outcome {
    let Some((first, body)) = data.split_first() else { return 0 };
    let content_type = match first % 4 {
        0 => Some("application/json"),
        1 => Some("application/x-www-form-urlencoded; charset=utf-8"),
        2 => Some("text/plain"),
        _ => None,
    };
    let take = |body: &[u8], policy| {
        let default_currency = Some("USD");
        let received_at = now();
        let account = "default";
        event::parse(&Incoming {
            account,
            default_currency,
            content_type,
            body,
            received_at,
            policy,
        })
    };
    let full = take(body, PayloadPolicy::Full);
    let kept = take(body, PayloadPolicy::Redacted);
    assert_eq!(kept, take(body, PayloadPolicy::Redacted), "the same bytes are the same event");
    let identity = |event: &Event| {
        (
            event.id.clone(),
            event.kind.clone(),
            event.cost,
            event.currency.clone(),
            event.occurred_at,
        )
    };
    assert_eq!(identity(&full), identity(&kept), "what is kept does not change what it is");
    assert!(!kept.id.is_empty() && kept.id.len() <= 255 && !kept.id.contains(char::is_control));
    assert!(
        !kept.kind.is_empty() && kept.kind.len() <= 128 && !kept.kind.contains(char::is_control)
    );
    for event in [&full, &kept] {
        let text = serde_json::to_vec(&event.payload).unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&text).unwrap(),
            event.payload,
            "survives the store"
        );
        let text = serde_json::to_vec(event).unwrap();
        assert_eq!(serde_json::from_slice::<Event>(&text).unwrap(), *event, "and other JSON");
        judge(event);
    }
    masked_once(&kept, &take);
    event::freshen(body, event::content_type(body), "new", now());
    let shape = kept
        .payload
        .as_object()
        .map_or(0, |fields| fields.keys().fold(0, |sum, key| sum ^ outcome(key)));
    let known = event::metric_kind(&kept.kind);
    outcome((
        known,
        kept.content_hashed,
        kept.cost.is_some(),
        kept.occurred_at.is_some(),
        kept.attempt.is_some(),
        shape % 64,
    ))
}

/// A payload that is masked already stays as it is.
fn masked_once(kept: &Event, take: &dyn Fn(&[u8], PayloadPolicy) -> Event) {
    if !kept.payload.is_object() {
        return;
    }
    let wrapped = json!({"data": {"event_type": kept.kind, "id": "1", "payload": kept.payload}});
    let wrapped = serde_json::to_vec(&wrapped).unwrap();
    // One that was nested as deep as may be is too deep in another envelope.
    if take(&wrapped, PayloadPolicy::Full).payload == kept.payload {
        let again = take(&wrapped, PayloadPolicy::Redacted).payload;
        assert_eq!(again, kept.payload, "masking twice is masking once");
    }
}

/// Everything that looks at an event: no answer is asked for but that there is one.
fn judge(event: &Event) {
    rules::ledger_key(event);
    let calls = rules::call_keys(event);
    assert!(calls.len() <= 2);
    let snapshot = event.snapshot();
    template::value(&snapshot);
    let config = shipped();
    for verdict in config.rules.judge(event, None) {
        let text = format!("{:?}", verdict.finding);
        assert!(text.len() < 64 * 1024, "a verdict is bounded");
    }
    config.rules.measure(event, None);
}

/// The shipped configuration, which knows every kind of rule but the ones in [`super::seeds`].
fn shipped() -> &'static Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    CONFIG.get_or_init(|| {
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        let text = "accounts: [{name: default, public_keys: [\"${KEY}\"]}]\nrule_files: [\"rules/*.yaml\"]\n\
                    route: {receiver: a}\nreceivers: [{name: a}]\n";
        let loaded = config::parse("main.yaml", text, &base, &environment);
        loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
    })
}

fn environment(name: &str) -> Option<String> {
    match name {
        "KEY" | "TELNYX_PUBLIC_KEY" => Some(KEY.to_owned()),
        "HOOK" => Some("http://tok3n-s3cr3t@127.0.0.1:1/in/s3cr3t".to_owned()),
        "SLACK" => Some("https://hooks.slack.com/services/T0/B0/s3cr3t".to_owned()),
        "PASSWORD" => Some(SECRET.to_owned()),
        _ => None,
    }
}

/// A file of rules, named by a main file that is sound.
pub fn rule_file(data: &[u8]) -> Outcome {
    thread_local! {
        static FOLDER: TempDir = tempfile::tempdir().unwrap();
    }
    let main = "accounts: [{name: default, public_keys: [\"${KEY}\"]}]\nrule_files: [fuzz.yaml]\n\
                route: {receiver: a}\nreceivers: [{name: a}]\n\
                time_intervals: [{name: night, time_intervals: [{times: [{start_time: \"00:00\", end_time: \"06:00\"}]}]}]\n";
    let loaded = FOLDER.with(|folder| {
        std::fs::write(folder.path().join("fuzz.yaml"), data).unwrap();
        config::parse("main.yaml", main, folder.path(), &environment)
    });
    sound(&loaded, data)
}

/// A main file; it names no rule files that are there.
pub fn main_file(data: &[u8]) -> Outcome {
    let Ok(text) = str::from_utf8(data) else { return 0 };
    sound(&config::parse("main.yaml", text, Path::new("/nonexistent"), &environment), data)
}

/// There is a configuration exactly when there is no error; each problem has a place in the file, and shows no secret.
fn sound(loaded: &Loaded, data: &[u8]) -> Outcome {
    let has_error = loaded.diagnostics.iter().any(|problem| problem.severity == Severity::Error);
    assert_eq!(loaded.config.is_none(), has_error);
    let lines = data.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 16;
    let secret_is_given = String::from_utf8_lossy(data).contains(SECRET);
    let mut kinds = Vec::new();
    for problem in &loaded.diagnostics {
        let place = problem.position.as_ref().unwrap_or_else(|| panic!("no place: {problem}"));
        assert!(place.line >= 1 && place.column >= 1, "{problem}");
        assert!(place.line as usize <= lines, "{problem}: a place behind the end");
        assert!(!problem.message.is_empty());
        let text = problem.to_string();
        assert!(secret_is_given || !text.contains(SECRET), "a secret in a problem: {text}");
        kinds.push(words(&problem.message));
    }
    if let Some(config) = &loaded.config {
        for event in sample_events() {
            config.rules.judge(event, None);
            config.rules.measure(event, None);
        }
        kinds.push(format!("{} rules", config.rules.len()));
    }
    kinds.sort();
    kinds.dedup();
    kinds.truncate(3);
    outcome(kinds)
}
