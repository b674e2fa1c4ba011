//! Rules as users meet them: from what is written to verdicts, and what is said of mistakes.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::diagnostic::{Diagnostic, Position, Severity};
use crate::event::{self, Event, Incoming, PayloadPolicy};

pub(super) type Pairs<'s> = &'s [(&'s str, &'s str)];

/// A rule as a test writes it; its parts stand on lines of their own.
#[derive(Clone, Copy)]
struct Draft<'s> {
    name: &'s str,
    on: &'s [&'s str],
    when: Option<&'s str>,
    by: Pairs<'s>,
    resolve: Option<(&'s [&'s str], Option<&'s str>)>,
    labels: Pairs<'s>,
    annotations: Pairs<'s>,
}

const DRAFT: Draft<'static> = Draft {
    name: "A",
    on: &["call.cost"],
    when: None,
    by: &[],
    resolve: None,
    labels: &[],
    annotations: &[],
};

pub(super) fn at(line: u32, text: &str) -> At<String> {
    At::new(text.to_owned(), Position::new("r.yaml", line, 10))
}

fn spec(draft: Draft<'_>) -> RuleSpec {
    let kinds = |line, on: &[&str]| on.iter().map(|kind| at(line, kind)).collect();
    let pairs = |line, pairs: Pairs<'_>| {
        pairs.iter().map(|(name, text)| (at(line, name), at(line, text))).collect()
    };
    RuleSpec {
        group: "g".to_owned(),
        alert: at(1, draft.name),
        on: kinds(2, draft.on),
        when: draft.when.map(|when| at(3, when)),
        by: pairs(4, draft.by),
        max_series: 1_000,
        kind: KindSpec::Event {
            active_for: Duration::from_hours(1),
            notify_expired: false,
            resolve_on: draft.resolve.map(|(on, when)| ResolveSpec {
                on: kinds(5, on),
                when: when.map(|when| at(6, when)),
            }),
        },
        labels: pairs(7, draft.labels),
        annotations: pairs(8, draft.annotations),
    }
}

pub(super) fn accounts() -> [AccountLabels; 1] {
    let labels = [("team", "voice"), ("region", "eu")];
    let labels = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    [AccountLabels { name: "main".to_owned(), labels }]
}

fn compile(drafts: &[Draft<'_>]) -> (RuleSet, Vec<Diagnostic>) {
    RuleSet::compile(drafts.iter().map(|draft| spec(*draft)).collect(), Vec::new(), &accounts())
}

fn rules(drafts: &[Draft<'_>]) -> RuleSet {
    let (set, problems) = compile(drafts);
    assert_eq!(problems, [], "{problems:?}");
    set
}

pub(super) fn sample(kind: &str) -> Event {
    let (_, content_type, body) = event::samples()
        .find(|(name, ..)| name.starts_with(kind))
        .unwrap_or_else(|| panic!("no sample of {kind}"));
    event::parse(&Incoming {
        account: "main",
        default_currency: None,
        content_type: Some(content_type),
        body,
        received_at: "2026-08-21T00:00:00Z".parse().expect("a time"),
        policy: PayloadPolicy::Redacted,
    })
}

pub(super) fn only(set: &RuleSet, event: &Event) -> Finding {
    let mut verdicts = set.judge(event, None);
    assert_eq!(verdicts.len(), 1, "{verdicts:?}");
    verdicts.remove(0).finding
}

pub(super) fn labels(pairs: Pairs<'_>) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_match_has_all_labels_and_rendered_annotations() {
    let set = rules(&[Draft {
        name: "SpendLimitReached",
        on: &["messaging-profile.*"],
        when: Some("num(payload.current_cost) >= num(payload.configured_limit)"),
        by: &[("profile", "payload.profile_id"), ("gone", "payload.nope"), ("attempt", "1 + 1")],
        labels: &[("severity", "warning"), ("team", "billing")],
        annotations: &[
            ("summary", "{{ labels.alertname }}: {{ payload.current_cost | money('USD') }}"),
            ("kind", "{{ event.kind }} {{ event.fields.configured_limit }} {{ labels.region }}"),
        ],
        ..DRAFT
    }]);
    let event = sample("messaging-profile.spend-limit-reached");
    let Finding::Fire(firing) = only(&set, &event) else { panic!("fires") };
    let profile = event.payload["profile_id"].as_str().expect("there");
    let wanted: Pairs<'_> = &[
        ("account", "main"),
        ("alertname", "SpendLimitReached"),
        ("attempt", "2"),
        ("gone", ""),
        ("profile", profile),
        ("region", "eu"),
        ("severity", "warning"),
        ("team", "billing"),
    ];
    assert_eq!(firing.labels, labels(wanted));
    let cost = event.payload["current_cost"].as_str().expect("there");
    assert_eq!(firing.annotations["summary"], format!("SpendLimitReached: {cost} USD"));
    assert!(firing.annotations["kind"].starts_with("messaging-profile.spend-limit-reached "));
    assert!(firing.template_errors.is_empty());
    assert_eq!(Some(firing.at), event.occurred_at);
    assert_eq!(set.names().collect::<Vec<_>>(), ["g/SpendLimitReached"]);
    assert_eq!(set.alert_names().collect::<Vec<_>>(), ["SpendLimitReached"]);
}

#[test]
fn a_rule_that_looks_at_money_has_a_label_for_the_currency() {
    let set = rules(&[Draft { when: Some("event.cost > 0.001"), ..DRAFT }]);
    let mut event = sample("call.cost");
    let Finding::Fire(firing) = only(&set, &event) else { panic!("fires") };
    assert_eq!(firing.labels["currency"], "USD");
    event.currency = None;
    let Finding::Fire(firing) = only(&set, &event) else { panic!("fires") };
    assert_eq!(firing.labels["currency"], "unknown");
    event.cost = None;
    let Finding::Failed(failure) = only(&set, &event) else { panic!("fails") };
    assert_eq!(failure.reason, FailureReason::MissingField);
    assert_eq!(failure.detail, "when at r.yaml:3:16: no field `cost`");
}

#[test]
fn only_rules_that_name_the_kind_speak_and_one_failure_stops_no_other() {
    let set = rules(&[
        Draft { name: "A", on: &["call.*"], when: Some("payload.nope > 1"), ..DRAFT },
        Draft { name: "B", on: &["fax.*", "message.sent"], ..DRAFT },
        Draft { name: "C", on: &["call.cost", "*"], when: Some("false"), ..DRAFT },
        Draft { name: "D", on: &["call.hangup", "call.cost"], ..DRAFT },
        Draft { name: "E", by: &[("x", "payload.cost_parts")], ..DRAFT },
    ]);
    let verdicts = set.judge(&sample("call.cost"), None);
    let mut seen = String::new();
    for Verdict { rule, finding } in &verdicts {
        let word = match finding {
            Finding::Observe(_) => "observes".to_owned(),
            Finding::Fire(_) => "fires".to_owned(),
            Finding::Resolve { .. } => "resolves".to_owned(),
            Finding::NoMatch => "no match".to_owned(),
            Finding::Failed(Failure { reason, detail }) => format!("{reason:?} {detail}"),
        };
        writeln!(seen, "{rule}: {word}").expect("a string");
    }
    insta::assert_snapshot!(seen, @r"
    g/A: MissingField when at r.yaml:3:18: no field `nope`
    g/C: no match
    g/D: fires
    g/E: Type by.x at r.yaml:4:18: expected string, number or bool, found list
    ");
}

#[test]
fn what_resolves_has_the_labels_of_what_fired() {
    let set = rules(&[Draft {
        name: "Down",
        on: &["fax.failed"],
        by: &[("connection", "payload.connection_id")],
        resolve: Some((&["fax.delivered"], Some("has(payload.connection_id)"))),
        ..DRAFT
    }]);
    let mut failed = sample("fax.failed");
    let mut delivered = sample("fax.delivered");
    failed.payload = json!({"connection_id": "c1"});
    delivered.payload = json!({"connection_id": "c1"});
    let Finding::Fire(firing) = only(&set, &failed) else { panic!("fires") };
    let Finding::Resolve { labels, .. } = only(&set, &delivered) else { panic!("resolves") };
    assert_eq!(labels, firing.labels);
    delivered.payload = json!({});
    assert_eq!(only(&set, &delivered), Finding::NoMatch);
}

#[test]
fn of_firing_and_resolving_on_one_event_firing_wins_and_a_failure_hides_neither() {
    let both = |when, resolve| {
        let draft = Draft { when, resolve: Some((&["call.*"], resolve)), ..DRAFT };
        only(&rules(&[draft]), &sample("call.cost"))
    };
    let failing = Some("payload.nope == 1");
    assert!(matches!(both(Some("true"), Some("true")), Finding::Fire(_)));
    assert!(matches!(both(None, failing), Finding::Fire(_)));
    assert!(matches!(both(Some("false"), None), Finding::Resolve { .. }));
    assert!(matches!(both(failing, Some("true")), Finding::Resolve { .. }));
    assert!(matches!(both(failing, Some("false")), Finding::Failed(_)));
    assert!(matches!(both(Some("false"), failing), Finding::Failed(_)));
    assert_eq!(both(Some("false"), Some("false")), Finding::NoMatch);
}

#[test]
fn an_annotation_that_cannot_be_rendered_swallows_nothing() {
    let set = rules(&[Draft {
        annotations: &[("summary", "cost {{ payload.total_cost }}"), ("other", "fine")],
        ..DRAFT
    }]);
    let mut event = sample("call.cost");
    event.payload = json!({});
    let Finding::Fire(firing) = only(&set, &event) else { panic!("fires") };
    assert_eq!(firing.template_errors, ["summary"]);
    assert_eq!(firing.annotations["other"], "fine");
    assert_eq!(
        firing.annotations["summary"],
        "A (cannot render: undefined value: `payload.total_cost` is undefined)"
    );
}

#[test]
fn a_time_well_ahead_of_ours_is_not_believed() {
    let set = rules(&[DRAFT]);
    let mut event = sample("call.cost");
    for (ahead, believed) in [(-3600, true), (300, true), (301, false)] {
        let occurred_at = event.received_at + jiff::SignedDuration::from_secs(ahead);
        event.occurred_at = Some(occurred_at);
        let Finding::Fire(firing) = only(&set, &event) else { panic!("fires") };
        assert_eq!(firing.at, if believed { occurred_at } else { event.received_at });
    }
}

/// All problems of the rules, one a line.
fn problems(drafts: &[Draft<'_>]) -> String {
    let (_, problems) = compile(drafts);
    problems.iter().fold(String::new(), |all, problem| all + &problem.to_string() + "\n")
}

#[test]
fn all_mistakes_of_all_rules_are_found_at_once() {
    let draft = Draft {
        when: Some("event.knd == 'x'"),
        by: &[("9x", "payload.x"), ("account", "payload.y"), ("ok", "payload.total_cost > 1")],
        labels: &[("ok", "twice"), ("__name", "x"), ("long", &"x".repeat(1025))],
        resolve: Some((&["call.[ab]"], Some("1 + 1"))),
        annotations: &[
            ("sum mary", "x"),
            ("one", "a\nb {{ event.nope }} {{ evnt.kind }}"),
            ("two", "{{ payload.total_cost | monney }}"),
            ("three", "{{ labels.nope }} {{ event.fields.nope }}"),
            ("four", "{% if %}"),
            (
                "four",
                "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}",
            ),
        ],
        ..DRAFT
    };
    let drafts = [
        draft,
        Draft { name: "B", on: &[], ..DRAFT },
        Draft { name: "B", ..DRAFT },
        Draft { name: " ", on: &["", "call cost"], resolve: Some((&[], None)), ..DRAFT },
    ];
    insta::assert_snapshot!(problems(&drafts), @r"
    r.yaml:5:10: g/A.resolve_on.on: the only special character in a kind is *
    r.yaml:3:16: g/A.when: `event` has no field `knd` (hint: did you mean `kind`?)
    r.yaml:6:10: g/A.resolve_on.when: expected bool, found int
    r.yaml:4:10: g/A.by.9x: expected letters, digits and _, no digit first and not two _
    r.yaml:4:10: g/A.by.account: tollbell sets the label `account` itself
    r.yaml:7:10: g/A.labels.ok: the label is already set in `by`
    r.yaml:7:10: g/A.labels.__name: expected letters, digits and _, no digit first and not two _
    r.yaml:7:10: g/A.labels.long: a label value longer than 1024 bytes
    r.yaml:8:10: g/A.annotations.sum mary: expected letters, digits and _, no digit first and not two _
    r.yaml:8:10: g/A.annotations.four: the annotation is already there
    r.yaml:4:29: g/A.by.ok: `>` on `payload.total_cost`, which Telnyx sends as decimal text (hint: write num(payload.total_cost))
    r.yaml:9:15: g/A.annotations.one: `event` has no field `nope`
    r.yaml:9:32: g/A.annotations.one: unknown variable `evnt`
    r.yaml:8:10: g/A.annotations.two: unknown filter: filter monney is unknown
    r.yaml:8:31: g/A.annotations.three: `event.fields` has no field `nope`
    r.yaml:8:13: g/A.annotations.three: this rule's alerts have no label `nope`
    r.yaml:8:10: g/A.annotations.four: syntax error: unexpected end of block
    r.yaml:8:10: g/A.annotations.four: the template does too much work
    r.yaml:1:10: g/B.on: names no kind of event
    r.yaml:1:10: g/B: rule `g/B` is already defined at r.yaml:1:10
    r.yaml:2:10: g/ .on: an empty kind
    r.yaml:2:10: g/ .on: a kind has no spaces and only ASCII characters
    r.yaml:1:10: g/ .resolve_on.on: names no kind of event
    r.yaml:1:10: g/ : a group or alert name has 1 to 128 bytes and no control characters
    ");
    assert!(compile(&drafts).0.is_empty(), "no rule with a mistake judges");
}

#[test]
fn what_is_probably_wrong_is_a_warning() {
    let drafts = [
        Draft { on: &["call.costs", "cal.*", "call.*", "my.own.kind"], ..DRAFT },
        Draft {
            name: "B",
            annotations: &[
                ("a", "{{ payload.missing }}"),
                ("b", "{{ payload.missing | default('none') }}"),
                ("c", "{{ payload.missing.deep + 1 }}"),
            ],
            ..DRAFT
        },
        // A kind without a sample says nothing of its payload.
        Draft {
            name: "C",
            on: &["call.speak.ended"],
            annotations: &[("a", "{{ payload.x }}")],
            ..DRAFT
        },
    ];
    insta::assert_snapshot!(problems(&drafts), @r"
    r.yaml:2:10: warning: g/A.on: no known kind of event is `call.costs` (hint: did you mean `call.cost`?)
    r.yaml:2:10: warning: g/A.on: no known kind of event is `cal.*`
    r.yaml:2:10: warning: g/A.on: no known kind of event is `my.own.kind`
    r.yaml:8:10: warning: g/B.annotations.a: undefined value: `payload.missing` is undefined (hint: no sample event has it; where it may be missing write `| default('…')`)
    r.yaml:8:10: warning: g/B.annotations.c: undefined value: `payload.missing` is undefined (hint: no sample event has it; where it may be missing write `| default('…')`)
    ");
    let (set, problems) = compile(&drafts);
    assert!(problems.iter().all(|problem| problem.severity == Severity::Warning));
    assert_eq!(set.len(), 3);
}

#[test]
fn a_template_that_compares_a_text_with_a_number_is_refused() {
    let compare = |source: &str| problems(&[Draft { annotations: &[("a", source)], ..DRAFT }]);
    for source in
        ["{% if event.cost > 5 or event.charge < 0.1 %}x{% endif %}", "{{ event.cost == 0.5 }}"]
    {
        assert_eq!(compare(source), "", "{source}");
    }
    for source in ["{% if event.id > 5 %}x{% endif %}", "{{ labels.alertname == 1 }}"] {
        let problem = compare(source);
        assert!(!problem.contains("warning"), "{problem}");
        assert!(problem.contains("a text is compared with a number"), "{problem}");
    }
}

#[test]
fn a_rule_set_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + std::fmt::Debug>(_: &T) {}
    shared(&rules(&[DRAFT]));
    assert!(RuleSet::default().is_empty());
}
