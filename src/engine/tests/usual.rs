//! What is usual at this hour of the week: over weeks, crashes, outages of our own and new rules.

use std::time::Duration;

use super::*;
use crate::engine::fill::{fill, leave_out};

const HOUR: i64 = 3_600_000;

/// Fires at more than three times the usual, or at 50 where nothing is known.
const OFTEN: &str = "  - {alert: Often, on: [call.hangup], by: {who: payload.who}, over: 1h, value: count(), \
     fire: 'has(usual) ? value > 3.0 * usual + 2.0 : value > 50.0', clear: 'has(usual) ? value < 1.5 * usual : value < 25.0', \
     annotations: {summary: '{{ value }}, {{ factor }} by {{ weeks }}: {{ compared }}'}}\n";
/// Names no kind that comes.
const NONE: &str = "  - {alert: None, on: [call.nothing], active_for: 1m}\n";
/// Fires when a tenth of the usual is left.
const SILENT: &str = "  - {alert: Silent, on: [call.hangup], by: {who: payload.who}, over: 1h, value: count(), \
     fire: 'has(usual) && usual >= 5.0 && value < 0.1 * usual'}\n";

/// Ten calls in each of the hours eight to eighteen, on each of so many days from the start.
fn calls(days: std::ops::Range<i64>) -> Vec<StoredEvent> {
    let mut seq = days.start * 1_000;
    let mut calls = Vec::new();
    for day in days {
        for minute in 0..100 {
            seq += 1;
            calls.push(of(seq, "call.hangup", at(day * 24 * HOUR + minute * HOUR / 10), "a"));
        }
    }
    calls
}

impl World {
    /// Takes events in one by one, each when it comes, and lets the time run between them.
    fn take(&mut self, policy: &Policy, events: &[StoredEvent], mut after: impl FnMut(&mut Self)) {
        for event in events {
            self.judge(policy, &[event], event.event.received_at);
            after(self);
        }
    }

    /// Takes in what was stored before a rule was there, so many events at a time.
    fn fill(&mut self, policy: &Policy, stored: &[StoredEvent], page: usize) {
        while let Some(after) = self.state.fill_after() {
            let page: Vec<_> =
                stored.iter().filter(|one| one.seq > after).take(page).cloned().map(Ok).collect();
            let judged = fill(&mut self.state, policy, &page);
            self.disk.commit(judged.changes);
        }
    }

    fn firing(&self) -> Vec<&str> {
        self.state.alerts().map(|alert| alert.labels["alertname"].as_str()).collect()
    }
}

/// Three weeks, then a burst at night and one by day.
fn with_bursts() -> Vec<StoredEvent> {
    let mut events = calls(0..22);
    let burst = |seq: i64, from: i64, count: i64| {
        (0..count).map(move |n| of(seq + n, "call.hangup", at(from + n * 60_000), "a"))
    };
    // At night, with nothing usual, three calls are enough; by day ten of ten are not, and 40 are.
    events.extend(burst(30_000, 21 * 24 * HOUR + 14 * HOUR, 3));
    events.extend(burst(31_000, 22 * 24 * HOUR + 2 * HOUR, 40));
    events
}

#[test]
fn more_than_usual_fires_and_says_how_much() {
    let policy = policy(OFTEN, PLAIN);
    let mut world = World::new(&policy);
    world.take(&policy, &calls(0..14), |world| assert_eq!(world.firing(), Vec::<&str>::new()));
    let mut fired = Vec::new();
    world.take(&policy, &with_bursts()[1_400..], |world| {
        fired.extend(
            world.state.alerts().next().map(|alert| {
                (world.now, alert.usual.clone(), alert.annotations["summary"].clone())
            }),
        );
    });
    let (first, compared, _) = &fired[0];
    assert_eq!(*first, at(21 * 24 * HOUR + 14 * HOUR + 120_000));
    let night = "the usual 0 for a Friday between 22:00 and 23:00";
    assert_eq!(compared.as_deref(), Some(night));
    let by_day = fired.iter().find(|(when, ..)| *when > at(22 * 24 * HOUR)).expect("it fired");
    let (when, compared, summary) = by_day;
    let compared = compared.as_deref().expect("something is known");
    assert!(
        compared.ends_with("× the usual 10 for a Saturday between 10:00 and 11:00"),
        "{compared}"
    );
    assert_eq!(*summary, format!("33, 3.3 by 3: {compared}"));
    assert_eq!(*when, at(22 * 24 * HOUR + 2 * HOUR + 32 * 60_000));
}

#[test]
fn a_crash_at_any_event_changes_nothing() {
    let policy = policy(&format!("{OFTEN}{SILENT}"), PLAIN);
    let events = with_bursts();
    let mut whole = World::new(&policy);
    let mut broken = World::new(&policy);
    whole.take(&policy, &events, |_| {});
    let mut n = 0;
    broken.take(&policy, &events, |world| {
        n += 1;
        if n % 7 == 0 {
            world.crash();
            world.pass(&policy, world.now);
        }
    });
    assert_eq!(whole.disk.story(), broken.disk.story());
    let past = |world: &World| {
        let known = world.state.pasts.known();
        known.map(|(key, history)| (key.clone(), history.clone())).collect::<Vec<_>>()
    };
    assert_eq!(past(&whole), past(&broken));
    assert!(!past(&whole).is_empty());
}

#[test]
fn silence_where_there_usually_are_calls_fires_unless_we_were_away() {
    let policy = policy(SILENT, PLAIN);
    for away in [false, true] {
        let mut world = World::new(&policy);
        world.take(&policy, &calls(0..21), |_| {});
        assert_eq!(world.firing(), Vec::<&str>::new());
        // The next day nothing comes.
        let begin = 21 * 24 * HOUR;
        world.pass(&policy, at(begin));
        if away {
            world.crash();
            world.now = at(begin + HOUR);
            world.pass(&policy, at(begin + HOUR));
        }
        world.pass(&policy, at(begin + HOUR + HOUR / 2));
        assert_eq!(world.firing().len(), usize::from(!away));
        // An hour after we are back all of the window is known.
        world.pass(&policy, at(begin + 2 * HOUR + HOUR / 2));
        assert_eq!(world.firing(), ["Silent"]);
        // In the evening it is usual, and a series of which nothing was heard for weeks is gone.
        world.pass(&policy, at(begin + 15 * HOUR));
        assert_eq!(world.firing(), Vec::<&str>::new());
    }
}

#[test]
fn what_cannot_be_taken_in_is_left_out_and_the_rest_is_not() {
    let (without, with) = (policy(NONE, PLAIN), policy(OFTEN, PLAIN));
    let events = calls(0..15);
    let mut world = World::new(&without);
    world.take(&without, &events, |_| {});
    world.pass(&with, world.now);
    let page: Vec<_> = events.iter().take(7).cloned().map(Ok).collect();
    let judged = leave_out(&mut world.state, &page);
    world.disk.commit(judged.changes);
    assert_eq!(world.state.fill_after(), Some(events[6].seq));
    world.crash();
    assert_eq!(world.state.fill_after(), Some(events[6].seq));
    world.fill(&with, &events, 100);
    assert_eq!(world.state.fill_after(), None);
}

#[test]
fn a_new_rule_takes_in_what_is_stored() {
    let (without, with) = (policy(NONE, PLAIN), policy(OFTEN, PLAIN));
    let events = calls(0..15);
    for page in [7, 10_000] {
        let mut world = World::new(&without);
        world.take(&without, &events, |_| {});
        world.pass(&with, world.now);
        assert_eq!(world.state.fill_after(), Some(0));
        // A page is stored or it is not.
        world.crash();
        world.pass(&with, world.now);
        world.fill(&with, &events, page);
        assert_eq!(world.state.fill_after(), None);
        world.crash();
        assert_eq!(world.state.fill_after(), None);
        let next = calls(15..23);
        world.take(&with, &next, |_| {});
        let mut same = World::new(&with);
        same.take(&with, &events, |_| {});
        same.take(&with, &next, |_| {});
        let past = |world: &World| {
            let known = world.state.pasts.known();
            known.map(|(key, history)| (key.clone(), history.clone())).collect::<Vec<_>>()
        };
        assert_eq!(past(&world), past(&same), "{page} at a time");
    }
}

#[test]
fn a_rule_that_counts_something_else_begins_anew() {
    let old = policy(OFTEN, PLAIN);
    let new = policy(&OFTEN.replace("count()", "sum(2)"), PLAIN);
    let mut world = World::new(&old);
    world.take(&old, &calls(0..15), |_| {});
    let now = at(15 * 24 * HOUR);
    world.pass(&new, now);
    world.fill(&new, &[], 10);
    assert_eq!(world.state.pasts.known().count(), 0);
    assert!(!world.disk.rows.keys().any(|(space, _)| *space == Space::Usual), "rows are left");
    // A rule that is gone leaves nothing at all.
    let mut world = World::new(&old);
    world.take(&old, &calls(0..15), |_| {});
    world.pass(&policy(NONE, PLAIN), now + Duration::from_secs(1));
    assert_eq!(world.state.pasts.known().count(), 0);
    assert!(!world.disk.rows.keys().any(|(_, key)| key.contains("usual/fill")));
}
