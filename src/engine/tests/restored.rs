//! After an older database was restored; what is raised once in a while only.

use super::*;
use crate::alerts::MEMBERS_MAX;

const RULE: &str = "  - {alert: R, on: [call.hangup], by: {who: payload.who}, active_for: 1h, \
                    resolve_on: {on: [call.answered]}}\n";

/// An event that happened at one time and was received at another.
fn happened(seq: i64, kind: &str, occurred_at: Timestamp, received_at: Timestamp) -> StoredEvent {
    let mut stored = of(seq, kind, received_at, "a");
    stored.event.occurred_at = Some(occurred_at);
    stored
}

/// How many deliveries an event opens.
fn opens(state: &mut State, policy: &Policy, stored: &StoredEvent) -> usize {
    let now = stored.event.received_at;
    let judged = step(state, policy, &[stored], now);
    let opened = judged.changes.deliveries.len();
    deliver(state, policy, judged, now);
    opened
}

#[test]
fn what_happened_before_a_restored_database_ended_is_judged_and_not_notified() {
    let policy = policy(RULE, PLAIN);
    let mut state = State::default();
    state.restored_at = Some(at(10_000));
    let old = happened(1, "call.hangup", at(9_000), at(11_000));
    assert_eq!(opens(&mut state, &policy, &old), 0);
    assert_eq!(state.alerts().count(), 1, "it fires");
    // Its end, whenever it happened, is news to nobody.
    let end = happened(2, "call.answered", at(12_000), at(12_000));
    assert_eq!(opens(&mut state, &policy, &end), 0);
    assert_eq!(state.alerts().count(), 0);
    // One that goes on is notified.
    let old = happened(3, "call.hangup", at(12_500), at(13_000));
    state.restored_at = Some(at(12_600));
    assert_eq!(opens(&mut state, &policy, &old), 0);
    let news = happened(4, "call.hangup", at(14_000), at(14_000));
    assert_eq!(opens(&mut state, &policy, &news), 1);
    // Without the option the same is notified.
    let mut state = State::default();
    let old = happened(1, "call.hangup", at(9_000), at(11_000));
    assert_eq!(opens(&mut state, &policy, &old), 1);
}

#[test]
fn what_is_not_notified_stays_so_over_reloads_and_restarts() {
    let first = policy(RULE, PLAIN);
    let reloaded = policy(RULE, &PLAIN.replace("/ops'", "/other'"));
    let mut world = World::new(&first);
    world.state.restored_at = Some(at(10_000));
    let old = happened(1, "call.hangup", at(9_000), at(11_000));
    world.judge(&first, &[&old], at(11_000));
    world.pass(&reloaded, at(12_000));
    world.crash();
    world.pass(&reloaded, at(13_000));
    assert_eq!(world.state.alerts().count(), 1, "it fires");
    assert_eq!(world.arrived.len(), 0, "and nobody is notified");
    let news = happened(2, "call.hangup", at(14_000), at(14_000));
    world.judge(&reloaded, &[&news], at(14_000));
    assert_eq!(world.arrived.len(), 1, "until something extends it");
}

#[test]
fn a_full_group_is_raised_once_in_five_minutes() {
    let rule = "  - {alert: R, on: [call.hangup], by: {who: payload.who}, active_for: 1h, max_series: 20000}\n";
    let policy = policy(
        rule,
        "route: {receiver: ops, group_by: [alertname], group_wait: 1h}\n\
         receivers: [{name: ops, webhook_configs: [{url: 'https://example.com/ops'}]}]\n",
    );
    let mut state = State::default();
    let mut raised = Vec::new();
    let room = i64::try_from(MEMBERS_MAX).expect("fits");
    for seq in 1..=room + 3 {
        // The third that finds no room comes minutes later.
        let time = if seq == room + 3 { at(900_000) } else { at(600_000) };
        let stored = of(seq, "call.hangup", time, &format!("w{seq}"));
        raised.extend(step(&mut state, &policy, &[&stored], time).changes.events);
    }
    let ids: BTreeSet<_> = raised.iter().map(|event| event.id.as_str()).collect();
    assert!(raised.iter().all(|event| event.kind == "tollbell.group_full"), "{raised:?}");
    assert_eq!(raised.len(), 3);
    assert_eq!(ids.len(), 2, "{ids:?}");
    assert_eq!(raised[0].id, raised[1].id, "the inbox takes it once");
    assert_ne!(raised[0].id, raised[2].id, "and again after five minutes");
    let expected = json!({"receiver": "ops", "rule": "g/R", "count": MEMBERS_MAX});
    assert_eq!(raised[0].payload, expected);
}

#[test]
fn a_cost_that_cannot_be_kept_is_raised() {
    let policy = policy(RULE, PLAIN);
    let mut state = State::default();
    let stored = event(1, "call.cost", at(0), json!({"total_cost": "1e19"}));
    let changes = step(&mut state, &policy, &[&stored], at(0)).changes;
    let kinds: Vec<_> = changes.events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["tollbell.amount_unread"]);
    let fine = event(2, "call.cost", at(1), json!({"total_cost": null}));
    assert!(step(&mut state, &policy, &[&fine], at(1)).changes.events.is_empty());
}

#[test]
fn a_series_takes_little() {
    let rule = "  - {alert: S, on: [call.hangup], by: {who: payload.who}, over: 1h, value: count(), \
                fire: 'value >= 100.0'}\n";
    let policy = policy(rule, PLAIN);
    let mut state = State::default();
    step(&mut state, &policy, &[&of(1, "call.hangup", at(0), "somebody")], at(0));
    let series = state.series.values().next().expect("a series");
    let texts = series.event.len() + series.labels.len();
    assert!(texts + size_of_val(series) < 800, "{texts} + {}", size_of_val(series));
    let kept = serde_json::to_vec(series).expect("json");
    assert!(kept.len() < 800, "{} bytes", kept.len());
}
