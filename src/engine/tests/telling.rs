//! Who is told, and when: what must hold whatever the routes, silences, inhibitions, mutes and crashes.

use std::time::Duration;

use proptest::prelude::*;

use super::waiting::assert_waiting_is_known;
use super::*;
use crate::alerts::{Inhibitor, Matcher, Reason, Route, Silence, Status};
use crate::clock;
use crate::rules::Labels;

pub(super) const RULES: [&str; 2] = [
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
