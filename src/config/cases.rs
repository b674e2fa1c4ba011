//! Files of cases that test rules: from YAML to [`Case`]s, and to what they are run against.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::accounts::unique;
use super::diagnostics::{Diagnostics, closest, quote};
use super::section::Section;
use super::trial::Candidate;
use super::words::{
    CaseWords, CasesWords, ExpectWords, NotificationWords, RepeatWords, SilenceWords, StepWords,
};
use super::yaml::{self, Data, Node};
use super::{folder, matchers};
use crate::diagnostic::{Diagnostic, Position, Severity};
use crate::event::Source;
use crate::rules::Labels;
use crate::simulation::{
    Body, Case, EventSpec, Expect, Field, NotificationSpec, Quiet, QuietSpec, Repeat, SilenceSpec,
    Step,
};

/// Cases in one file at most.
const CASES_MAX: usize = 10_000;
/// Steps of one case at most.
const STEPS_MAX: usize = 10_000;
/// Kinds of integration.
const CHANNELS: [&str; 5] = ["email", "slack", "webhook", "pagerduty", "alertmanager"];

/// What a file of cases gives.
#[derive(Debug)]
pub struct CaseFile {
    /// What the cases are run against; `None` after an error, or when the file does not say.
    pub candidate: Option<Candidate>,
    /// The cases.
    pub cases: Vec<Case>,
    /// What is wrong with the file, in its order; an empty list means that the cases can be run.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads the file of cases at `path`. With `config`, that file is what they are run against.
pub fn cases(path: &Path, config: Option<&Path>) -> CaseFile {
    let name: Arc<str> = Arc::from(path.to_string_lossy());
    let diagnostics = Diagnostics::default();
    let (mut candidate, mut read) = (None, Vec::new());
    match folder::read(path) {
        Ok(text) => {
            if let Some(tree) = yaml::parse(&name, &text, &diagnostics) {
                let root = CasesWords::from(Section::open(
                    &tree,
                    CasesWords::shape(),
                    String::new(),
                    &diagnostics,
                ));
                let base = path.parent().unwrap_or_else(|| Path::new(""));
                candidate = Some(run_against(&root, base, config));
                read = read_cases(&root, base, &diagnostics);
            }
        }
        Err(message) => {
            let message = format!("{}: {message}", path.display());
            let (severity, key) = (Severity::Error, String::new());
            diagnostics.push(Diagnostic { severity, position: None, key, message, hint: None });
        }
    }
    CaseFile { candidate, cases: read, diagnostics: diagnostics.into_sorted(&[name]) }
}

fn run_against(root: &CasesWords<'_>, base: &Path, instead: Option<&Path>) -> Candidate {
    let config = root.config().map(|path| base.join(path.value));
    let rules = root.rule_files().cloned();
    if config.is_none() && rules.is_none() && instead.is_none() {
        let diagnostic =
            Diagnostic::error(root.position.clone(), "", "nothing to run the cases against");
        root.push(diagnostic.hint("give config or rule_files, or the option --config"));
    }
    let account = root.account().cloned();
    if account.is_some() && config.is_some() {
        root.error("account", "the accounts are those of config");
    }
    let candidate = Candidate::of_cases(config, rules, account, base, root.position.clone());
    match instead {
        Some(config) => candidate.within(config),
        None => candidate,
    }
}

fn read_cases(root: &CasesWords<'_>, base: &Path, diagnostics: &Diagnostics) -> Vec<Case> {
    let sections = root.tests();
    if root.is_empty("tests") {
        root.error("tests", "no cases");
    }
    if sections.len() > CASES_MAX {
        root.error("tests", format!("more than {CASES_MAX} cases"));
    }
    unique(&sections, CaseWords::name);
    sections.iter().filter_map(|section| case(section, base, diagnostics)).collect()
}

fn case(section: &CaseWords<'_>, base: &Path, diagnostics: &Diagnostics) -> Option<Case> {
    let start = section.start().value;
    let start = time(section, "start", &start);
    if section.len("steps") > STEPS_MAX {
        section.error("steps", format!("more than {STEPS_MAX} steps"));
    }
    let mut steps = Vec::new();
    let mut reached = Duration::ZERO;
    for section in section.steps() {
        let step = step(&section, base, diagnostics);
        if step.at < reached {
            section.error("at", "before the step above it ends: steps stand in the order of time");
        }
        reached = step.end();
        steps.push(step);
    }
    if section.has("steps") && !steps.iter().any(|step| step.expect.is_some()) {
        section.error("steps", "nothing is expected: the case could not fail");
    }
    Some(Case { name: section.name()?.value, start: start?, steps })
}

fn time(section: &Section<'_>, key: &str, text: &str) -> Option<Timestamp> {
    let parsed = text.parse().ok();
    if parsed.is_none() {
        section.error(key, "expected a time such as 2026-01-05T09:00:00Z");
    }
    parsed
}

fn step(section: &StepWords<'_>, base: &Path, diagnostics: &Diagnostics) -> Step {
    let event = event(section, base);
    if event.is_none() && section.has("repeat") && !section.has_any(&["event", "event_file"]) {
        section.error("repeat", "there is no event to repeat");
    }
    Step {
        place: section.position.clone(),
        at: section.at(),
        silence: section.has("silence").then(|| silence(&section.silence())),
        event,
        expect: section.has("expect").then(|| expect(&section.expect(), diagnostics)),
    }
}

fn silence(section: &SilenceWords<'_>) -> SilenceSpec {
    if section.is_empty("matchers") {
        section.error("matchers", "no matchers: it would silence everything");
    }
    let matchers = matchers::read(section, "matchers", section.matchers()).matchers;
    let place = section.position.clone();
    SilenceSpec { place, matchers, lasts: section.r#for() }
}

fn event(step: &StepWords<'_>, base: &Path) -> Option<EventSpec> {
    let repeat = if step.has("repeat") { repeat(&step.repeat()) } else { Repeat::once() };
    match (step.has("event"), step.event_file()) {
        (false, None) => None,
        (true, Some(_)) => {
            step.error("event_file", "give event or event_file, not both");
            None
        }
        (false, Some(path)) => match folder::read(&base.join(&path.value)) {
            Ok(text) => Some(EventSpec {
                place: path.position,
                account: None,
                source: Source::Webhook,
                body: Body::Whole(text.into_bytes()),
                repeat,
            }),
            Err(message) => {
                step.error("event_file", message);
                None
            }
        },
        (true, None) => {
            let section = step.event();
            let occurred_at = section.occurred_at();
            let occurred_at =
                occurred_at.and_then(|text| time(&section, "occurred_at", &text.value));
            let source = match section.source() {
                "poller" => Source::Poller,
                "backfill" => Source::Backfill,
                "tollbell" => Source::Tollbell,
                _ => Source::Webhook,
            };
            let payload = section.payload().map(json).unwrap_or_default();
            let body = Body::Parts {
                kind: section.kind()?.value,
                id: section.id().map(|id| id.value),
                occurred_at,
                payload,
            };
            let (place, account) = (section.position.clone(), section.account());
            Some(EventSpec { place, account, source, body, repeat })
        }
    }
}

fn repeat(section: &RepeatWords<'_>) -> Repeat {
    let vary = if section.has("vary") {
        let fields = section.vary().into_iter().enumerate();
        let field = |(n, text): (usize, crate::diagnostic::At<String>)| {
            let field = Field::parse(&text.value);
            if field.is_none() {
                let key = format!("{}[{n}]", section.at("vary"));
                let message = "expected id or a field such as payload.call_leg_id";
                section.push(Diagnostic::error(text.position, key, message));
            }
            field
        };
        fields.filter_map(field).collect()
    } else {
        vec![Field::Id]
    };
    Repeat { times: section.times(), every: section.every(), vary }
}

fn expect(section: &ExpectWords<'_>, diagnostics: &Diagnostics) -> Expect {
    let alerts = |section: &Section<'_>, node: Option<&Node>| {
        Some(label_sets(node?, &section.at("alerts"), diagnostics))
    };
    let mut notified = section.has("notified").then(|| {
        let sections = section.notified();
        sections
            .iter()
            .map(|section| notice(section, alerts(section, section.alerts())))
            .collect::<Vec<_>>()
    });
    if section.has("nothing") {
        if !section.nothing() {
            section.error("nothing", "expected true; use notified for what was notified");
        } else if notified.as_ref().is_some_and(|notified| !notified.is_empty()) {
            section.error("nothing", "give nothing or notified, not both");
        }
        notified.get_or_insert_default();
    }
    let suppressed = section.suppressed().map(|node| {
        let key = section.at("suppressed");
        let sets = label_sets(node, &key, diagnostics).into_iter();
        sets.filter_map(|labels| quiet(labels, section, &key)).collect()
    });
    let expect = Expect {
        place: section.position.clone(),
        alerts: alerts(section, section.alerts()),
        notified,
        suppressed,
    };
    if expect.is_empty() {
        let message = "nothing is looked at";
        let diagnostic = Diagnostic::error(section.position.clone(), &*section.path, message);
        section.push(diagnostic.hint("give alerts, notified, suppressed or nothing: true"));
    }
    expect
}

fn quiet(mut labels: Labels, section: &Section<'_>, key: &str) -> Option<QuietSpec> {
    let by = labels.remove("by").unwrap_or_default();
    let found = Quiet::WORDS.into_iter().find(|word| *word == by);
    if found.is_none() {
        let message = format!("expected by, one of {}", Quiet::WORDS.join(", "));
        section.push(Diagnostic::error(section.place("suppressed"), key, message));
    }
    Some(QuietSpec { by: found?, labels })
}

fn notice(section: &NotificationWords<'_>, alerts: Option<Vec<Labels>>) -> NotificationSpec {
    let channels = section.has("channels").then(|| {
        let mut channels: Vec<&'static str> = Vec::new();
        for text in section.channels() {
            match CHANNELS.into_iter().find(|known| *known == text.value) {
                Some(known) => channels.push(known),
                None => {
                    section.error("channels", format!("expected one of {}", CHANNELS.join(", ")));
                }
            }
        }
        channels.sort_unstable();
        channels.dedup();
        channels
    });
    NotificationSpec {
        receiver: section.receiver().map(|name| name.value),
        reason: section.has("reason").then(|| section.reason()),
        status: section.has("status").then(|| section.status()),
        alerts,
        subject: section.subject().map(|text| text.value),
        text: section.text().into_iter().map(|text| text.value).collect(),
        channels,
    }
}

/// A list of maps of labels.
fn label_sets(node: &Node, key: &str, diagnostics: &Diagnostics) -> Vec<Labels> {
    let error = |position: &Position, message: &str| {
        let diagnostic = Diagnostic::error(position.clone(), key, message);
        diagnostics
            .push(diagnostic.hint("a list of labels, such as [{alertname: LowBalance}], or []"));
    };
    let Data::List(nodes) = &node.data else {
        error(&node.position, "expected a list");
        return Vec::new();
    };
    let mut sets = Vec::new();
    for node in nodes {
        let Data::Map(entries) = &node.data else {
            error(&node.position, "expected a map of labels");
            continue;
        };
        let mut labels = BTreeMap::new();
        for (name, value) in entries {
            match &value.data {
                Data::Scalar(text) => drop(labels.insert(name.value.clone(), text.clone())),
                _ => error(&value.position, "expected the value of a label"),
            }
            if closest(&name.value, ["alertname"]).is_some() && name.value != "alertname" {
                let message = format!("no alert has the label {:?}", quote(&name.value));
                let diagnostic = Diagnostic::error(name.position.clone(), key, message);
                diagnostics.push(diagnostic.hint("did you mean alertname?"));
            }
        }
        sets.push(labels);
    }
    sets
}

/// YAML as JSON. A scalar in quotes is text; a plain one is what JSON takes it for, and else text.
fn json(node: &Node) -> Value {
    match &node.data {
        Data::Null | Data::Broken => Value::Null,
        Data::List(nodes) => nodes.iter().map(json).collect(),
        Data::Map(entries) => {
            entries.iter().map(|(key, node)| (key.value.clone(), json(node))).collect()
        }
        Data::Scalar(text) if node.plain => match serde_json::from_str(text) {
            Ok(value @ (Value::Bool(_) | Value::Number(_))) => value,
            _ => Value::String(text.clone()),
        },
        Data::Scalar(text) => Value::String(text.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> CaseFile {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("t.yaml");
        std::fs::write(&path, text).expect("write");
        cases(&path, None)
    }

    #[test]
    fn plain_scalars_are_what_json_takes_them_for() {
        let text = "rule_files: [r.yaml]\ntests:\n  - name: a\n    steps:\n      - at: 0s\n        event:\n          \
            kind: k\n          payload: {a: 1.10, b: \"1.10\", c: true, d: 'true', e: ~, f: x, g: [1, y], h: 2026-01-01}\n        \
            expect: {nothing: true}\n";
        let file = read(text);
        assert!(file.diagnostics.is_empty(), "{:?}", file.diagnostics);
        let event = file.cases[0].steps[0].event.as_ref().expect("event");
        let Body::Parts { payload, .. } = &event.body else { panic!("{event:?}") };
        assert_eq!(
            payload.to_string(),
            r#"{"a":1.10,"b":"1.10","c":true,"d":"true","e":null,"f":"x","g":[1,"y"],"h":"2026-01-01"}"#
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let text = "confg: x\naccount: {}\ntests:\n  - name: a\n    start: yesterday\n    steps:\n      \
            - at: 1m\n        evnt: {kind: k}\n        repeat: {times: 2}\n        expect: {}\n      \
            - at: 30s\n        event: {kind: k, source: me, payload: {}}\n        repeat: {times: 0, vary: [payloads.x]}\n        \
            expect: {alerts: {a: b}, suppressed: [{alertname: A}], notified: [{reason: again, channels: [sms]}], nothing: false}\n  \
            - name: a\n    steps:\n      - at: 0s\n        event_file: none.json\n        silence: {matchers: [a], for: 2y}\n  - name: c\n    steps:\n      - at: 0s\n        expect: {alerts: [{alert_name: x, b: []}]}\n";
        let file = read(text);
        let lines: Vec<String> = file
            .diagnostics
            .iter()
            .map(|diagnostic| {
                let text = diagnostic.to_string();
                text.split_once("t.yaml:").expect("place").1.to_owned()
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        1:1: confg: unknown key (hint: did you mean config?)
        1:1: nothing to run the cases against (hint: give config or rule_files, or the option --config)
        5:12: tests[0].start: expected a time such as 2026-01-05T09:00:00Z
        8:9: tests[0].steps[0].evnt: unknown key (hint: did you mean event?)
        9:17: tests[0].steps[0].repeat: there is no event to repeat
        10:17: tests[0].steps[0].expect: nothing is looked at (hint: give alerts, notified, suppressed or nothing: true)
        11:13: tests[0].steps[1].at: before the step above it ends: steps stand in the order of time
        12:34: tests[0].steps[1].event.source: expected one of webhook, poller, backfill, tollbell
        13:25: tests[0].steps[1].repeat.times: must be between 1 and 100000
        13:35: tests[0].steps[1].repeat.vary[0]: expected id or a field such as payload.call_leg_id
        14:26: tests[0].steps[1].expect.alerts: expected a list (hint: a list of labels, such as [{alertname: LowBalance}], or [])
        14:46: tests[0].steps[1].expect.suppressed: expected by, one of inhibited, inactive, muted, silenced
        14:84: tests[0].steps[1].expect.notified[0].reason: expected one of first notification, new alerts added, some alerts resolved, all alerts resolved, repeat interval elapsed
        14:101: tests[0].steps[1].expect.notified[0].channels: expected one of email, slack, webhook, pagerduty, alertmanager
        14:119: tests[0].steps[1].expect.nothing: expected true; use notified for what was notified
        15:11: tests[1].name: name given twice, first in line 4
        17:7: tests[1].steps: nothing is expected: the case could not fail
        18:21: tests[1].steps[0].event_file: cannot be read: No such file or directory (os error 2)
        19:31: tests[1].steps[0].silence.matchers[0]: expected one of = != =~ !~ after the label name
        19:39: tests[1].steps[0].silence.for: must be between 1s and 366d
        23:28: tests[2].steps[0].expect.alerts: no alert has the label "alert_name" (hint: did you mean alertname?)
        23:46: tests[2].steps[0].expect.alerts: expected the value of a label (hint: a list of labels, such as [{alertname: LowBalance}], or [])
        "#);
    }
}
