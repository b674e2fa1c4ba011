//! Who is told, and when: what must hold whatever the routes, silences, inhibitions, mutes and crashes.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::alerts::{Inhibitor, Matcher, Reason, Route, Silence, Status};
use crate::clock;
use crate::rules::Labels;

const RULES: [&str; 2] = [
    "{alert: A, on: [call.hangup], by: {who: payload.who}, active_for: 6h, resolve_on: {on: [call.answered]}}",
    "{alert: B, on: [message.received], by: {who: payload.who}, active_for: 6h, resolve_on: {on: [message.sent]}}",
];

const KINDS: [&str; 4] = ["call.hangup", "call.answered", "message.received", "message.sent"];

/// Seconds in which something happens.
const SPAN: u32 = 1_500;

#[derive(Debug, Clone)]
struct Plan {
    wait: u32,
    interval: u32,
    repeat: u32,
    group_by: &'static str,
    continues: bool,
    mute: bool,
    inhibit: bool,
    /// From, for how long, whom.
    silences: Vec<(u32, u32, &'static str)>,
    /// When, what, whose.
    events: Vec<(u32, usize, &'static str)>,
    crashes: Vec<u32>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let who = || prop::sample::select(vec!["a", "b", "c"]);
    let timing = (
        prop::sample::select(vec![0, 10, 30]),
        prop::sample::select(vec![60, 300]),
        prop::sample::select(vec![200, 900]),
    );
    let shape = (
        prop::sample::select(vec!["[]", "[alertname]", "['...']"]),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    let silences = prop::collection::vec((0..SPAN, 1..600_u32, who()), 0..3);
    // Each second has one event at most, so that it is known what was there before what.
    let events = prop::collection::btree_map(0..SPAN, (0..KINDS.len(), who()), 1..40);
    let crashes = prop::collection::vec(0..SPAN, 0..6);
    (timing, shape, silences, events, crashes).prop_map(
        |(
            (wait, interval, repeat),
            (group_by, continues, mute, inhibit),
            silences,
            events,
            crashes,
        )| Plan {
            wait,
            interval,
            repeat,
            group_by,
            continues,
            mute,
            inhibit,
            silences,
            events: events.into_iter().map(|(second, (kind, who))| (second, kind, who)).collect(),
            crashes,
        },
    )
}

impl Plan {
    fn policy(&self) -> Policy {
        let mute = if self.mute { ", mute_time_intervals: [some]" } else { "" };
        let inhibit = if self.inhibit {
            "inhibit_rules: [{source_matchers: [alertname=B], target_matchers: [alertname=A], equal: [who]}]\n"
        } else {
            ""
        };
        let sections = format!(
            "route:\n  receiver: ops\n  group_by: {}\n  group_wait: {}s\n  group_interval: {}s\n  \
             repeat_interval: {}s\n  routes:\n  - {{matchers: ['who=~\"a|b\"'], receiver: night, continue: {}{mute}}}\n  \
             - {{matchers: [who=a], receiver: late}}\n{inhibit}\
             time_intervals: [{{name: some, time_intervals: [{{times: [{{start_time: '08:05', end_time: '08:12'}}]}}]}}]\n\
             receivers:\n- {{name: ops, webhook_configs: [{{url: 'https://example.com/ops'}}]}}\n\
             - {{name: night, webhook_configs: [{{url: 'https://example.com/1'}}, {{url: 'https://example.com/2'}}]}}\n\
             - {{name: late, webhook_configs: [{{url: 'https://example.com/late'}}]}}\n",
            self.group_by, self.wait, self.interval, self.repeat, self.continues,
        );
        policy(&RULES.map(|rule| format!("  - {rule}\n")).concat(), &sections)
    }

    fn silences(&self) -> Silences {
        let silence = |(n, (from, long, who)): (usize, &(u32, u32, &str))| Silence {
            id: format!("s-{n}"),
            matchers: vec![Matcher::parse(&format!("who={who}")).expect("a matcher")],
            starts_at: second(*from),
            ends_at: second(from + long),
            created_by: "me".to_owned(),
            comment: "test".to_owned(),
            created_at: at(0),
            updated_at: at(0),
        };
        Silences { version: 3, silences: self.silences.iter().enumerate().map(silence).collect() }
    }
}

fn second(second: u32) -> Timestamp {
    at(i64::from(second) * 1_000)
}

/// What an alert was like at each step, and why it was quiet in each route that takes it.
struct Seen {
    at: Timestamp,
    /// Fires before and after this time.
    firing: BTreeMap<Fingerprint, Alert>,
    inhibited: Vec<Fingerprint>,
}

/// Runs the plan a second at a time.
fn run(plan: &Plan, policy: &Policy) -> (World, Vec<Seen>) {
    let mut world = World::with(policy, plan.silences());
    let mut seen = Vec::new();
    let mut events = plan.events.iter().zip(1..).peekable();
    for now in 0..SPAN + 900 {
        if plan.crashes.contains(&now) {
            world.crash();
        }
        // What is due at this second is told before what comes in it.
        world.live(policy, second(now));
        let alerts: Vec<Alert> = world.state.alerts().cloned().collect();
        let inhibitor = Inhibitor::new(&policy.inhibit_rules, &alerts);
        let inhibited = alerts.iter().filter(|alert| inhibitor.inhibited_by(alert).is_some());
        let inhibited = inhibited.map(|alert| alert.fingerprint.clone()).collect();
        let firing =
            alerts.iter().map(|alert| (alert.fingerprint.clone(), alert.clone())).collect();
        seen.push(Seen { at: second(now), firing, inhibited });
        if let Some(((_, kind, who), seq)) = events.next_if(|((due, ..), _)| *due == now) {
            let came = second(now);
            world.judge(policy, &[&of(seq, KINDS[*kind], came, who)], came);
        }
    }
    (world, seen)
}

fn routes<'p>(policy: &'p Policy, alert: &Alert) -> Vec<&'p Route> {
    policy.route.take(&alert.labels)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 16))]

    #[test]
    fn the_outbox_holds_what_it_must_and_nothing_else(plan in plan()) {
        let policy = plan.policy();
        let (world, seen) = run(&plan, &policy);
        let silences = plan.silences().silences;
        let silenced =
            |labels: &Labels, now| silences.iter().any(|one| one.silences(labels, now));
        let (interval, repeat) =
            (u64::from(plan.interval), u64::from(plan.repeat.max(plan.interval)));
        let route_of = |key: &str| policy.route_by_id(key.rsplit_once('/').expect("a key").0).expect("a route");

        // Nothing that is silenced, inhibited or muted reaches the outbox.
        for delivery in &world.disk.deliveries {
            let now = delivery.created_at;
            let muted = policy.muted(route_of(&delivery.group_key), now);
            prop_assert!(muted.is_none(), "{muted:?} at {now}");
            for alert in &delivery.message.alerts {
                prop_assert!(!silenced(&alert.labels, now), "{alert:?} at {now}");
                let seen = seen.iter().rfind(|seen| seen.at <= now).expect("seen");
                // By what fired before this second's event, and still does.
                let inhibited = alert.status == Status::Firing && seen.at == now
                    && seen.inhibited.contains(&alert.fingerprint)
                    && !plan.events.iter().any(|(due, ..)| second(*due) == now);
                prop_assert!(!inhibited, "{alert:?} is inhibited at {now}");
            }
        }

        // One notice in an interval for each integration of a group; a repeat exactly when it is due.
        let mut last: BTreeMap<(String, String), &NewDelivery> = BTreeMap::new();
        for delivery in &world.disk.deliveries {
            let key = (delivery.group_key.clone(), delivery.integration.clone());
            let reason = delivery.message.reason;
            let before = last.insert(key, delivery).filter(|_| reason != Reason::First);
            let since = before.map(|before| clock::until(before.created_at, delivery.created_at));
            prop_assert!(since.is_none_or(|since| since >= Duration::from_secs(interval)), "{delivery:?}");
            if reason == Reason::Repeat {
                // Later only where it was quiet, or did not fire, when it was due.
                let due = clock::add(before.expect("told before").created_at, Duration::from_secs(repeat));
                let quiet = delivery.message.alerts.iter().all(|alert| {
                    silenced(&alert.labels, due)
                        || policy.muted(route_of(&delivery.group_key), due).is_some()
                        || seen.iter().any(|seen| {
                            // Ended then, and fires again before its end was told.
                            let fired = seen.firing.contains_key(&alert.fingerprint);
                            seen.at == due && (!fired || seen.inhibited.contains(&alert.fingerprint))
                        })
                });
                prop_assert!(delivery.created_at == due || quiet, "due {due}: {delivery:?}");
            }
        }

        assert_waiting_is_known(&world);

        // What fires and may be told is told in time, by each integration, across crashes.
        let window = usize::try_from(plan.wait + plan.interval).expect("small");
        for span in seen.windows(window + 1).step_by(7) {
            let (Some(first), Some(end)) = (span.first(), span.last()) else { continue };
            // What the event of the last second ends may be told as ended in that very second.
            if plan.events.iter().any(|(due, ..)| second(*due) == end.at) {
                continue;
            }
            for (fingerprint, alert) in &first.firing {
                let fires = |seen: &Seen| seen.firing.get(fingerprint)
                    .is_some_and(|now| now.starts_at == alert.starts_at);
                let quiet = |seen: &Seen| silenced(&alert.labels, seen.at) || seen.inhibited.contains(fingerprint);
                if !span.iter().all(|seen| fires(seen) && !quiet(seen)) {
                    continue;
                }
                for route in routes(&policy, alert) {
                    if span.iter().any(|seen| policy.muted(route, seen.at).is_some()) {
                        continue;
                    }
                    for integration in &policy.receivers[&route.receiver].integrations {
                        let heard = world.disk.deliveries.iter().rfind(|delivery| {
                            delivery.integration == integration.id
                                && delivery.group_key.starts_with(&format!("{}/", route.id))
                                && delivery.created_at <= end.at
                                && delivery.message.alerts.iter().any(|it| it.fingerprint == *fingerprint)
                        });
                        let status = heard.and_then(|delivery| {
                            let mut alerts = delivery.message.alerts.iter();
                            alerts.find(|it| it.fingerprint == *fingerprint).map(|it| it.status)
                        });
                        prop_assert_eq!(
                            status, Some(Status::Firing),
                            "{} fires from {} to {}", fingerprint, first.at, end.at
                        );
                    }
                }
            }
        }
    }
}

/// What waits at each target says what the group knows: of all that is queued, corrected as it is withdrawn, the last
/// message of a lane names as firing just what the integration is taken to know.
fn assert_waiting_is_known(world: &World) {
    let mut waiting: BTreeMap<(String, String, String), crate::alerts::Message> = BTreeMap::new();
    let mut withdrawals = world.disk.withdrawals.iter().peekable();
    let mut queued = world.disk.deliveries.iter().enumerate().peekable();
    loop {
        let next = queued.peek().map(|(place, _)| *place);
        let due =
            |withdrawal: &&(usize, Withdrawal)| next.is_none_or(|place| withdrawal.0 <= place);
        if let Some((_, one)) = withdrawals.next_if(due) {
            let lane = (one.integration.clone(), one.target.clone(), one.group_key.clone());
            if let Some(message) = waiting.get_mut(&lane) {
                let ended: Vec<_> = one.ended.iter().chain(&one.unwanted).cloned().collect();
                message.correct(&one.gone, &ended);
            }
        } else if let Some((_, one)) = queued.next() {
            let lane = (one.integration.clone(), one.target.clone(), one.group_key.clone());
            waiting.insert(lane, one.message.clone());
        } else {
            break;
        }
    }
    for ((integration, _, group_key), message) in waiting {
        let group = world.state.groups().find(|group| group.key == group_key);
        let told = group.and_then(|group| group.told.get(&integration));
        let known = told.map(|told| told.firing.clone()).unwrap_or_default();
        let firing: BTreeSet<Fingerprint> = message
            .alerts
            .iter()
            .filter(|alert| alert.status == Status::Firing)
            .map(|alert| alert.fingerprint.clone())
            .collect();
        assert_eq!(firing, known, "{integration} {group_key}");
    }
}

const RECEIVERS: &str = "\
route: {receiver: ops, group_by: [], group_wait: 0s, group_interval: 1m, repeat_interval: 1h}
receivers:
- name: ops
  webhook_configs: [{url: 'https://example.com/all'}, {url: 'https://example.com/firing', send_resolved: false}]
";

fn rules() -> String {
    RULES.iter().map(|rule| ["  - ", rule, "\n"].concat()).collect()
}

#[test]
fn an_end_that_an_integration_is_not_told_is_withdrawn_from_what_waits() {
    let policy = policy(&rules(), RECEIVERS);
    let mut world = World::new(&policy);
    let fired = of(1, "call.hangup", at(0), "a");
    world.judge(&policy, &[&fired], at(0));
    assert_waiting_is_known(&world);
    world.judge(&policy, &[&of(2, "call.answered", at(10_000), "a")], at(10_000));
    world.live(&policy, at(120_000));
    assert_waiting_is_known(&world);
    let withdrawals = &world.disk.withdrawals;
    let [(_, one)] = withdrawals.as_slice() else { panic!("{withdrawals:#?}") };
    assert!(one.gone.is_empty() && one.ended.is_empty() && one.unwanted.len() == 1, "{one:#?}");
    assert!(one.target.is_empty() && one.integration != world.disk.deliveries[0].integration);
}

#[test]
fn a_silent_expiry_is_told_as_that_by_what_waits_and_a_removed_rule_not_at_all() {
    let policy = policy(&rules(), RECEIVERS);
    let mut world = World::new(&policy);
    world.judge(&policy, &[&of(1, "call.hangup", at(0), "a")], at(0));
    world.judge(&policy, &[&of(2, "message.received", at(1_000), "b")], at(1_000));
    world.live(&policy, at(120_000));
    let other = policy_of(
        "[{name: main, public_keys: [KEY]}, {name: other, public_keys: [KEY]}]",
        &format!("  - {}\n", RULES[0]),
        RECEIVERS,
    );
    world.pass(&other, at(180_000));
    assert_waiting_is_known(&world);
    let gone = |world: &World| -> Vec<(usize, usize, usize)> {
        let all = world.disk.withdrawals.iter();
        all.map(|(_, one)| (one.gone.len(), one.ended.len(), one.unwanted.len())).collect()
    };
    assert_eq!(gone(&world), [(1, 0, 0), (1, 0, 0)], "the removed rule, at both");
    world.live(&other, at(7 * 3_600_000));
    assert_eq!(
        gone(&world)[2..],
        [(0, 1, 0), (0, 0, 1)],
        "expired: told as that to who wants ends, and to who does not only if the beginning was not heard"
    );
    assert_waiting_is_known(&world);
}

#[test]
fn a_silent_expiry_of_what_is_silenced_or_inhibited_is_told_by_nothing() {
    let silence = Silence {
        id: "s".to_owned(),
        matchers: vec![Matcher::parse("who=a").expect("parses")],
        starts_at: at(10_000),
        ends_at: at(8 * 3_600_000),
        created_by: "me".to_owned(),
        comment: "a test".to_owned(),
        created_at: at(10_000),
        updated_at: at(10_000),
    };
    let inhibit = "inhibit_rules: [{source_matchers: [alertname=B], target_matchers: [alertname=A], equal: [who]}]\n";
    // Each by its own hour: who is silenced, inhibited, or neither.
    for (silences, inhibitor, want) in [
        (vec![], "x", [(0, 1, 0), (0, 0, 1)]),
        (vec![silence], "x", [(1, 0, 0), (1, 0, 0)]),
        (vec![], "a", [(1, 0, 0), (1, 0, 0)]),
    ] {
        let policy = policy(&rules(), &format!("{RECEIVERS}{inhibit}"));
        let mut world = World::with(&policy, Silences { version: 1, silences });
        world.judge(&policy, &[&of(1, "call.hangup", at(0), "a")], at(0));
        let late = at(6 * 3_600_000 - 10_000);
        world.judge(&policy, &[&of(2, "message.received", late, inhibitor)], late);
        world.judge(&policy, &[], at(6 * 3_600_000));
        let all = world.disk.withdrawals.iter();
        let found: Vec<(usize, usize, usize)> =
            all.map(|(_, one)| (one.gone.len(), one.ended.len(), one.unwanted.len())).collect();
        assert_eq!(found, want, "{inhibitor}");
        assert_waiting_is_known(&world);
    }
}

#[test]
fn what_was_silenced_while_it_waited_is_new_when_the_silence_ends() {
    let silence = Silence {
        id: "s".to_owned(),
        matchers: vec![Matcher::parse("who=a").expect("parses")],
        starts_at: at(10_000),
        ends_at: at(300_000),
        created_by: "me".to_owned(),
        comment: "a test".to_owned(),
        created_at: at(10_000),
        updated_at: at(10_000),
    };
    let policy = policy(&rules(), RECEIVERS);
    let mut world = World::with(&policy, Silences { version: 1, silences: vec![silence] });
    world.judge(&policy, &[&of(1, "call.hangup", at(0), "a")], at(0));
    let first = world.disk.deliveries[0].clone();
    let withheld = |seq, fingerprints: Value| {
        let payload = json!({"integration": first.integration, "group": first.group_key, "fingerprints": fingerprints});
        let event = Event::tollbell(
            "tollbell.notice_withheld",
            "main",
            format!("w-{seq}"),
            at(20_000),
            payload,
        );
        StoredEvent { seq, event }
    };
    let fingerprint = first.message.alerts[0].fingerprint.to_string();
    // One that names nothing known changes nothing; nor does one that Telnyx would sign.
    let mut signed = withheld(2, json!([fingerprint]));
    signed.event.source = Source::Webhook;
    world.judge(&policy, &[&signed, &withheld(3, json!(["x"]))], at(20_000));
    let knows = |world: &World| {
        world.state.groups().next().expect("one").told[&first.integration].firing.len()
    };
    assert_eq!(knows(&world), 1);
    world.judge(&policy, &[&withheld(4, json!([fingerprint]))], at(20_000));
    assert_eq!(knows(&world), 0);
    world.crash();
    world.live(&policy, at(1_200_000));
    let told: Vec<(i64, &str, bool)> = world
        .disk
        .deliveries
        .iter()
        .map(|one| {
            let second = one.created_at.as_second() - START;
            (second, one.message.reason.as_str(), one.integration == first.integration)
        })
        .collect();
    assert_eq!(
        told,
        [
            (0, "first notification", true),
            (0, "first notification", false),
            (300, "new alerts added", true),
        ]
    );
}
