//! The bound on label sets, and ids.

use super::*;

fn whos(disk: &Disk) -> Vec<(String, String)> {
    let alerts = disk.alerts.values();
    let alerts = alerts.map(|json| serde_json::from_slice::<Alert>(json).expect("an alert"));
    let line = |alert: Alert| (alert.labels["who"].clone(), alert.state.as_str().to_owned());
    alerts.map(line).collect()
}

fn raised(disk: &Disk) -> Vec<(String, Value)> {
    disk.raised.iter().map(|event| (event.kind.clone(), event.payload.clone())).collect()
}

#[test]
fn what_comes_beyond_a_thousand_series_comes_together_and_that_is_said_once() {
    for rule in [
        "{alert: R, on: [call.hangup], by: {who: payload.who}, active_for: 1h}",
        "{alert: R, on: [call.hangup], by: {who: payload.who}, over: 1h, value: count(), fire: 'value >= 1.0'}",
        "{alert: R, on: [call.hangup], by: {who: payload.who}, value: payload.who.size(), fire: 'value >= 1.0', \
         stale_after: 1h}",
    ] {
        let policy = policy(&format!("  - {rule}\n"), PLAIN);
        let mut world = World::new(&policy);
        let kind = "call.hangup";
        let events: Vec<_> = (1..=1_003).map(|n| of(n, kind, at(n), &format!("w{n}"))).collect();
        let (inside, outside) = events.split_at(1_000);
        world.judge(&policy, &inside.iter().collect::<Vec<_>>(), at(2_000));
        assert_eq!(raised(&world.disk), [], "{rule}");
        assert_eq!(world.disk.alerts.len(), 1_000);
        for stored in outside {
            world.judge(&policy, &[stored], at(2_000));
            world.crash();
            world.pass(&policy, at(2_000));
        }
        let said = ("tollbell.series_limit".to_owned(), json!({"rule": "g/R", "count": 1_000}));
        assert_eq!(raised(&world.disk), [said], "{rule}");
        let overflow = ("__overflow__".to_owned(), "firing".to_owned());
        assert_eq!(whos(&world.disk).iter().filter(|who| **who == overflow).count(), 1);
        assert_eq!(world.disk.alerts.len(), 1_001);
        // A known one is known; when all are over there is room again.
        world.judge(&policy, &[&of(1_004, kind, at(3_000), "w7")], at(3_000));
        assert_eq!(world.disk.alerts.len(), 1_001);
        world.live(&policy, at(3 * 3_600_000));
        assert!(whos(&world.disk).iter().all(|(_, state)| state != "firing"), "{rule}");
        world.judge(&policy, &[&of(1_005, kind, at(4 * 3_600_000), "fresh")], at(4 * 3_600_000));
        assert!(whos(&world.disk).contains(&("fresh".to_owned(), "firing".to_owned())), "{rule}");
        assert_eq!(raised(&world.disk).len(), 1, "{rule}");
    }
}

#[test]
fn a_late_event_beyond_the_limit_is_late_and_no_more() {
    let rule = "  - {alert: R, on: [call.hangup], by: {who: payload.who}, over: 10m, value: count(), \
                fire: 'value >= 1.0', max_series: 1}\n";
    let policy = policy(rule, PLAIN);
    let mut world = World::new(&policy);
    world.judge(&policy, &[&of(1, "call.hangup", at(1_000), "a")], at(1_000));
    for seq in 2..4 {
        let mut late = of(seq, "call.hangup", at(2_000), "b");
        late.event.occurred_at = Some(at(-3_600_000));
        world.judge(&policy, &[&late], at(2_000));
    }
    assert_eq!(raised(&world.disk), []);
    assert_eq!(world.disk.alerts.len(), 1);
}

/// A one-shot alert is over as soon as it is notified, and its group with it. The next one, taken in within the same
/// microsecond, as by a back-fill, is another message.
#[test]
fn one_shots_of_the_same_instant_are_all_told() {
    let rule = "  - {alert: R, on: [call.hangup], by: {who: payload.who}, active_for: 1m}\n";
    let policy = policy(rule, &PLAIN.replace("['...']", "[]"));
    let mut world = World::new(&policy);
    let events: Vec<_> = (1..4)
        .map(|seq| {
            let mut stored = of(seq, "call.hangup", at(3_600_000), &format!("w{seq}"));
            stored.event.occurred_at = Some(at(0));
            stored
        })
        .collect();
    let first = |who: &str| (3_600, "first notification", String::new(), who.to_owned());
    world.judge(&policy, &events.iter().collect::<Vec<_>>(), at(3_600_000));
    assert_eq!(world.told("ops"), [first("w1 w2 w3")], "in one batch");
    let mut world = World::new(&policy);
    for stored in &events {
        world.judge(&policy, &[stored], at(3_600_000));
    }
    assert_eq!(world.told("ops"), ["w1", "w2", "w3"].map(first), "each by itself");
}

/// Buckets of half a second: a crash between two of them changes no time.
#[test]
fn a_short_window_ends_at_the_same_time_after_a_crash() {
    let rule =
        "  - {alert: R, on: [call.hangup], over: 30s, value: count(), fire: 'value >= 1.0'}\n";
    let policy = policy(rule, PLAIN);
    let story = |crash: bool| {
        let mut world = World::new(&policy);
        for (seq, millis) in [(1, 100), (2, 600), (3, 1_100), (4, 1_600)] {
            world.judge(&policy, &[&of(seq, "call.hangup", at(millis), "a")], at(millis));
        }
        for millis in (29_000..33_000).step_by(100) {
            if crash {
                world.crash();
            }
            world.pass(&policy, at(millis));
        }
        world.disk.story()
    };
    assert_eq!(story(false), story(true));
}
