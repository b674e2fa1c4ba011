//! Events that are fetched afterwards, and events that overtook each other.

use super::*;

const HOUR: i64 = 3_600_000;

const RULE: &str = "{alert: A, on: [call.hangup], by: {who: payload.who}, active_for: 2h, \
     resolve_on: {on: [call.answered]}, annotations: {summary: '{{ event.id }}'}}";

fn rules(rule: &str) -> Policy {
    policy(&format!("  - {rule}\n"), PLAIN)
}

/// An event of `who` that happened at one time and comes at another, both in milliseconds.
fn come(seq: i64, kind: &str, happened: i64, came: i64) -> StoredEvent {
    let mut stored = of(seq, kind, at(came), "a");
    stored.event.occurred_at = Some(at(happened));
    stored
}

/// The same, fetched.
fn fetched(seq: i64, kind: &str, happened: i64, came: i64) -> StoredEvent {
    let mut stored = come(seq, kind, happened, came);
    stored.event.source = Source::Backfill;
    stored
}

/// Judges each as it comes, with a crash after each.
fn live(policy: &Policy, events: &[StoredEvent]) -> World {
    let mut world = World::new(policy);
    for stored in events {
        world.live(policy, stored.event.received_at);
        world.judge(policy, &[stored], stored.event.received_at);
        world.live(policy, stored.event.received_at);
        world.crash();
    }
    world
}

fn outcomes(world: &World) -> Vec<&str> {
    world.disk.judgements.iter().map(|judgement| judgement.outcome.as_str()).collect()
}

fn told(world: &World) -> Vec<(i64, String, String)> {
    let told = world.told("ops").into_iter();
    told.map(|(second, _, firing, ended)| (second, firing, ended)).collect()
}

fn fires(second: i64) -> (i64, String, String) {
    (second, "a".to_owned(), String::new())
}

fn ended(second: i64) -> (i64, String, String) {
    (second, String::new(), "a".to_owned())
}

#[test]
fn a_fetched_event_rings_and_its_alert_ends_by_the_events_own_time() {
    let policy = rules(RULE);
    let mut world = live(&policy, &[fetched(1, "call.hangup", 0, HOUR)]);
    assert_eq!(told(&world), [fires(3_600)]);
    let alert = &world.arrived[0].message.alerts[0];
    assert!(alert.missed);
    assert_eq!((alert.starts_at, alert.ends_at), (at(0), Some(at(2 * HOUR))));
    world.live(&policy, at(2 * HOUR - 1));
    assert_eq!(world.state.alerts().count(), 1);
    world.live(&policy, at(3 * HOUR));
    assert_eq!(
        (world.state.alerts().count(), told(&world).len()),
        (0, 1),
        "its end is told to nobody"
    );
}

#[test]
fn what_is_over_by_then_is_told_once_as_ended() {
    let policy = rules(RULE);
    let mut world = live(&policy, &[fetched(1, "call.hangup", 0, 3 * HOUR)]);
    world.live(&policy, at(40 * HOUR));
    assert_eq!(told(&world), [ended(3 * 3_600)]);
    let alert = &world.arrived[0].message.alerts[0];
    assert!(alert.missed && alert.expired);
    assert_eq!((alert.starts_at, alert.ends_at), (at(0), Some(at(2 * HOUR))));
    // Without a time of its own it happened when it came.
    let mut timeless = fetched(1, "call.hangup", 0, 3 * HOUR);
    timeless.event.occurred_at = None;
    let world = live(&policy, &[timeless]);
    assert_eq!(told(&world), [fires(3 * 3_600)]);
    assert!(!world.arrived[0].message.alerts[0].missed);
}

#[test]
fn what_overtook_each_other_is_judged_in_the_order_in_which_it_happened() {
    let policy = rules(RULE);
    let minute = 60_000;
    for make in [come, fetched] {
        // The match is older than the end, so it begins nothing.
        let events = [
            come(1, "call.hangup", 0, 0),
            come(2, "call.answered", 5 * minute, 5 * minute),
            make(3, "call.hangup", 4 * minute, 6 * minute),
            make(4, "call.hangup", 3 * minute, HOUR),
        ];
        let world = live(&policy, &events);
        assert_eq!(outcomes(&world), ["fired", "resolved", "late", "late"]);
        assert_eq!(told(&world), [fires(0), ended(300)]);
        // As old as the end, or younger: it fires. The old one of before the end makes it begin no earlier.
        let mut events = events.to_vec();
        events.push(make(5, "call.hangup", 5 * minute, HOUR));
        events.push(make(6, "call.hangup", 2 * minute, HOUR + 1));
        let world = live(&policy, &events);
        assert_eq!(outcomes(&world)[4..], ["fired", "late"]);
        let alert = world.state.alerts().next().expect("fires");
        assert_eq!(alert.starts_at, at(5 * minute));

        // The end is older than the match: the alert goes on.
        let events = [
            come(1, "call.hangup", 10 * minute, 10 * minute),
            make(2, "call.answered", 9 * minute, 20 * minute),
        ];
        let world = live(&policy, &events);
        assert_eq!(outcomes(&world), ["fired"]);
        assert_eq!(world.state.alerts().count(), 1);
    }
}

#[test]
fn an_end_without_a_time_of_its_own_shuts_nothing_out() {
    let policy = rules(RULE);
    let mut end = come(2, "call.answered", 0, 5_000);
    end.event.occurred_at = None;
    let events = [come(1, "call.hangup", 0, 0), end, come(3, "call.hangup", 4_000, 6_000)];
    assert_eq!(outcomes(&live(&policy, &events)), ["fired", "resolved", "fired"]);
}

#[test]
fn ends_are_remembered_up_to_a_bound() {
    let mut state = State::default();
    let of = |n: i64| Fingerprint::from(format!("{n:016x}"));
    for n in 0..10_001 {
        state.note_end(&of(n), Some(at(n)));
    }
    let (rows, _) = state.changed_rows();
    // The first thousand made room, and their rows go.
    let (kept, gone): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.value.is_some());
    assert_eq!((kept.len(), gone.len()), (9_001, 1_000));
    assert!(!state.ended_after(&of(999), Some(at(0))));
    assert!(state.ended_after(&of(1_000), Some(at(999))));
    assert!(!state.ended_after(&of(1_000), Some(at(1_000))));
    // An end that happened before the last one moves nothing.
    state.note_end(&of(1_000), Some(at(5)));
    assert!(state.ended_after(&of(1_000), Some(at(999))));
}

#[test]
fn a_fetched_event_counts_in_the_window_that_it_happened_in() {
    let policy =
        rules("{alert: A, on: [call.hangup], over: 1h, value: count(), fire: 'value >= 2.0'}");
    let events = [
        come(1, "call.hangup", 2 * HOUR, 2 * HOUR),
        fetched(2, "call.hangup", HOUR - 1, 2 * HOUR),
        fetched(3, "call.hangup", 2 * HOUR - 60_000, 2 * HOUR),
    ];
    let world = live(&policy, &events[..2]);
    assert_eq!((world.state.alerts().count(), outcomes(&world).len()), (0, 0));
    let world = live(&policy, &events);
    assert_eq!(outcomes(&world), ["fired"]);
    // Of a rule over time: when an event happened is not when the alert did.
    assert!(!world.state.alerts().next().expect("fires").missed);
}

#[test]
fn a_fetched_event_ends_no_absence_that_goes_on() {
    let policy = rules("{alert: A, on: [call.hangup], absent_for: 1h}");
    let mut world = World::new(&policy);
    let alive =
        |world: &World| world.state.alerts().filter(|one| one.labels["account"] == "main").count();
    world.live(&policy, at(HOUR + 1_000));
    assert_eq!(alive(&world), 1);
    for (seq, happened, came, expected) in [
        (1, -60_000, HOUR + 2_000, 1),
        (2, HOUR + 1_500, 3 * HOUR, 1),
        (3, 2 * HOUR + 60_000, 3 * HOUR + 1_000, 0),
    ] {
        let stored = fetched(seq, "call.hangup", happened, came);
        world.live(&policy, at(came));
        world.judge(&policy, &[&stored], at(came));
        assert_eq!(alive(&world), expected, "event {seq}");
    }
    // Since it happened, not since it came.
    world.live(&policy, at(3 * HOUR + 61_000));
    assert_eq!(alive(&world), 1);
    // A webhook that was long under way came by itself: the way is open.
    let stored = come(4, "call.hangup", HOUR, 5 * HOUR);
    world.live(&policy, at(5 * HOUR));
    world.judge(&policy, &[&stored], at(5 * HOUR));
    assert_eq!(alive(&world), 0);
}
