//! What has to hold for any bytes: one function for each way in. They depend on nothing but their argument, so that any
//! fuzzer can call them.

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
use tollbell::event::{self, Event, Incoming, PayloadPolicy};
use tollbell::problem::{At, Position, Severity};
use tollbell::rules::{self, Expression, Inputs, Labels, Level, Scope, Want};
use tollbell::template::{self, Templates};

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
    let wrapped = json!({"data": {"event_type": "x.y", "id": "1", "payload": kept.payload}});
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
        loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems))
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
    let has_error = loaded.problems.iter().any(|problem| problem.severity == Severity::Error);
    assert_eq!(loaded.config.is_none(), has_error);
    let lines = data.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 16;
    let secret_is_given = String::from_utf8_lossy(data).contains(SECRET);
    let mut kinds = Vec::new();
    for problem in &loaded.problems {
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

/// Events with something private in every text.
fn sample_events() -> &'static [Event] {
    static EVENTS: OnceLock<Vec<Event>> = OnceLock::new();
    EVENTS.get_or_init(|| {
        let deep = json!({
            "a": PRIVATE, "text": format!("{PRIVATE} ").repeat(200), "total_cost": "0.0070", "status": "success",
            "items": [1, 2, {"call_part": "x", "cost": "5.5"}], "cost_parts": [{"call_part": "x", "cost": "5.5"}],
            "to": [{"phone_number": "+13125550100"}], "available_credit": "12.34", "none": null,
            "big": "x".repeat(2_000), "many": vec![PRIVATE; 500],
        });
        let own = Event::tollbell("call.cost", "default", "e1".to_owned(), now(), deep);
        let samples = event::samples().take(8).map(|(_, content_type, body)| {
            event::parse(&Incoming {
                account: "default",
                default_currency: None,
                content_type: Some(content_type),
                body,
                received_at: now(),
                policy: PayloadPolicy::Full,
            })
        });
        std::iter::once(own).chain(samples).collect()
    })
}

/// An expression over events and one over values.
pub fn expression(data: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(data);
    let source = At::new(text.to_string(), Position::new("fuzz.yaml", 7, 9));
    let want = [Want::Bool, Want::Label, Want::Number][text.len() % 3];
    let mut seen = Vec::new();
    for (scope, want) in [(Scope::EVENT, want), (Scope::LINE, Want::Bool)] {
        let compiled = match Expression::compile(&source, scope, want) {
            Ok(compiled) => compiled,
            Err(problem) => {
                let place = problem.position.unwrap();
                assert!(
                    (7..=7 + u32::try_from(text.lines().count()).unwrap()).contains(&place.line)
                );
                assert!(place.column as usize <= 10 + text.chars().count(), "{place}: {text:?}");
                seen.push(words(&problem.message));
                continue;
            }
        };
        assert!(text.len() <= EXPRESSION_BYTES_MAX, "a long one is refused");
        let labels = Labels::from([("account".to_owned(), PRIVATE.to_owned())]);
        let level = Level { value: Some("12.5".parse().unwrap()), count: 3 };
        if scope == Scope::LINE {
            for level in [level, Level::default()] {
                run(&compiled, Inputs::Line { level: &level, labels: &labels }, &text, &mut seen);
            }
        } else {
            for event in sample_events() {
                run(&compiled, Inputs::of(event), &text, &mut seen);
            }
        }
    }
    seen.sort();
    seen.dedup();
    outcome(seen)
}

/// All that is asked of an expression: bounded answers, and failures without what the payload says.
fn run(compiled: &Expression, inputs: Inputs<'_>, source: &str, seen: &mut Vec<String>) {
    let holds = compiled.holds(inputs);
    assert_eq!(holds, compiled.holds(inputs), "the same answer each time");
    let (label, text) = (compiled.label(inputs), compiled.text(inputs));
    for text in [&label, &text].into_iter().flatten().flatten() {
        assert!(text.len() <= LABEL_BYTES_MAX, "a label is bounded");
    }
    let failures = [holds.err(), label.err(), text.err(), compiled.number(inputs).err()];
    for failure in failures.into_iter().flatten() {
        let detail = failure.detail;
        assert!(source.contains(PRIVATE) || !detail.contains(PRIVATE), "a value in {detail:?}");
        assert!(detail.len() < 4 * 1024);
        seen.push(words(&detail));
    }
}

/// A template of each kind of text.
pub fn template(data: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(data);
    let mut templates = Templates::new();
    let mut seen = Vec::new();
    let context = context();
    for name in ["a", "a.html", "a.mrkdwn"] {
        let rendered = templates.add(name, &text).and_then(|()| templates.render(name, context));
        templates.variables(name);
        match rendered {
            Ok(text) => assert!(text.len() <= RENDERED_BYTES_MAX, "what is rendered is bounded"),
            Err(error) => {
                assert!(
                    !error.message.contains(PRIVATE) || text.contains(PRIVATE),
                    "a value in {error}"
                );
                assert!(
                    error.line.is_none_or(|line| line as usize <= 1 + text.matches('\n').count())
                );
                seen.push(words(&error.message));
            }
        }
    }
    outcome((seen, text.len() / 64))
}

fn context() -> &'static minijinja::Value {
    static CONTEXT: OnceLock<minijinja::Value> = OnceLock::new();
    CONTEXT.get_or_init(|| {
        let event = &sample_events()[0];
        template::value(&json!({
            "labels": {"account": "default", "alertname": "A", "x": PRIVATE},
            "event": event.snapshot(), "payload": event.payload, "value": "12.34", "count": 3,
        }))
    })
}

/// A matcher of labels.
pub fn matcher(data: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(data);
    let labels = Labels::from([
        ("severity".to_owned(), "critical".to_owned()),
        ("team".to_owned(), "billing".to_owned()),
        ("a".to_owned(), "x".repeat(1_000)),
    ]);
    // Any text can be a value.
    for op in [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Matches, MatchOp::NotMatches] {
        if let Ok(made) = Matcher::new("a", op, text.to_string()) {
            same_again(&made, &labels);
        }
    }
    match Matcher::parse(&text) {
        Ok(read) => {
            same_again(&read, &labels);
            outcome((read.op().as_str(), read.name().len(), read.value().len() / 4))
        }
        Err(error) => {
            assert!((1..=1 + text.chars().count()).contains(&(error.column as usize)), "{error:?}");
            outcome(words(&error.message))
        }
    }
}

/// What is written can be read back, and means the same.
fn same_again(matcher: &Matcher, labels: &Labels) {
    let written = matcher.to_string();
    let again = Matcher::parse(&written).unwrap_or_else(|error| panic!("{written:?}: {error}"));
    assert_eq!(again, *matcher);
    assert_eq!(again.to_string(), written);
    assert_eq!(again.matches(labels), matcher.matches(labels));
    let opposite = match matcher.op() {
        MatchOp::Equal => MatchOp::NotEqual,
        MatchOp::NotEqual => MatchOp::Equal,
        MatchOp::Matches => MatchOp::NotMatches,
        MatchOp::NotMatches => MatchOp::Matches,
    };
    let opposite = Matcher::new(matcher.name(), opposite, matcher.value().to_owned()).unwrap();
    assert_ne!(opposite.matches(labels), matcher.matches(labels));
    let stored = serde_json::to_string(matcher).unwrap();
    assert_eq!(serde_json::from_str::<Matcher>(&stored).unwrap(), *matcher);
}

/// A part of a time interval; the first byte chooses which.
pub fn interval(data: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(data);
    let mut chars = text.chars();
    let (kind, text) = (chars.next().unwrap_or('t'), chars.as_str());
    let spec = |text: &str| -> Result<IntervalSpec, IntervalError> {
        let always = IntervalSpec::default();
        Ok(match kind {
            'w' => IntervalSpec { weekdays: vec![WeekdayRange::parse(text)?], ..always },
            'd' => IntervalSpec { days_of_month: vec![DayRange::parse(text)?], ..always },
            'm' => IntervalSpec { months: vec![MonthRange::parse(text)?], ..always },
            'y' => IntervalSpec { years: vec![YearRange::parse(text)?], ..always },
            'l' => IntervalSpec { location: IntervalSpec::location(text)?, ..always },
            _ => {
                let minute = TimeRange::minute(text)?;
                assert_eq!(
                    format!("{:02}:{:02}", minute / 60, minute % 60),
                    text,
                    "read as written"
                );
                IntervalSpec { times: vec![TimeRange::new(minute, 24 * 60)?], ..always }
            }
        })
    };
    match spec(text) {
        Ok(read) => {
            if matches!(kind, 'w' | 'd' | 'm' | 'y') {
                let other = text.to_ascii_uppercase().replace(':', " : ");
                assert_eq!(spec(&other).as_ref(), Ok(&read), "case and blanks do not matter");
            }
            let holds = TIMES.map(|at| read.holds(Timestamp::from_second(at).unwrap()));
            let extremes = [Timestamp::MIN, Timestamp::MAX].map(|at| read.holds(at));
            let interval = TimeInterval { name: "n".to_owned(), specs: vec![read] };
            assert_eq!(interval.holds(now()), interval.specs[0].holds(now()));
            outcome((kind, holds, extremes))
        }
        Err(error) => {
            assert!((1..=1 + text.chars().count()).contains(&(error.column as usize)), "{error:?}");
            outcome((kind, words(&error.message)))
        }
    }
}
