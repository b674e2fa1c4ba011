//! `is_new`: what was not seen before, over crashes, new rules and other accounts.

use super::*;
use crate::engine::fill::fill;

const DAY: i64 = 24 * 3_600_000;
/// Names no kind that comes.
const NONE: &str = "  - {alert: None, on: [call.nothing], active_for: 1m}\n";
const FIRST: &str = "  - {alert: First, on: [call.hangup], when: 'is_new(payload.who, duration(\"30d\")) && payload.n > 0', \
     by: {who: payload.who}, active_for: 1m}\n";

fn call(seq: i64, when: i64, who: &str, n: i64) -> StoredEvent {
    event(seq, "call.hangup", at(when), json!({"who": who, "n": n}))
}

fn judge(world: &mut World, policy: &Policy, stored: &StoredEvent) -> bool {
    let when = stored.event.received_at;
    world.pass(policy, when);
    world.judge(policy, &[stored], when);
    world.state.alerts().count() > 0
}

#[test]
fn a_value_is_new_once_and_again_after_so_long() {
    let policy = policy(FIRST, PLAIN);
    let mut world = World::new(&policy);
    let mut seq = 0;
    let mut fires = |world: &mut World, when: i64, who: &str, n: i64| {
        seq += 1;
        judge(world, &policy, &call(seq, when, who, n))
    };
    // In its first week the rule does not know what is new.
    assert!(!fires(&mut world, 0, "DE", 1));
    assert!(!fires(&mut world, 7 * DAY - 1_000, "FR", 1));
    assert!(fires(&mut world, 7 * DAY, "LV", 1));
    world.crash();
    world.pass(&policy, world.now);
    assert!(!fires(&mut world, 7 * DAY + 120_000, "LV", 1));
    assert!(!fires(&mut world, 8 * DAY, "DE", 1));
    // It was seen by the event, whatever the rest of the condition says of that.
    assert!(!fires(&mut world, 9 * DAY, "SO", 0));
    assert!(!fires(&mut world, 10 * DAY, "SO", 1));
    assert!(!fires(&mut world, 38 * DAY - 1_000, "DE", 1));
    // 31 days after it was last seen it is new again; another account's are its own.
    assert!(fires(&mut world, 69 * DAY, "DE", 1));
    let mut other = call(99, 69 * DAY + 120_000, "DE", 1);
    other.event.account = "other".to_owned();
    assert!(judge(&mut world, &policy, &other));
}

#[test]
fn a_new_rule_knows_what_is_stored() {
    let (without, with) = (policy(NONE, PLAIN), policy(FIRST, PLAIN));
    let stored = [call(1, 0, "DE", 1), call(2, 9 * DAY, "FR", 1)];
    let mut world = World::new(&without);
    for one in &stored {
        judge(&mut world, &without, one);
    }
    world.pass(&with, at(10 * DAY - 1_000));
    // While that is taken in, nothing is new.
    assert!(!judge(&mut world, &with, &call(3, 10 * DAY, "AA", 1)));
    while let Some(after) = world.state.fill_after() {
        let page: Vec<_> =
            stored.iter().filter(|one| one.seq > after).take(1).cloned().map(Ok).collect();
        let judged = fill(&mut world.state, &with, &page);
        world.disk.commit(judged.changes);
        world.crash();
    }
    assert!(!judge(&mut world, &with, &call(4, 10 * DAY + 1_000, "DE", 1)));
    assert!(!judge(&mut world, &with, &call(5, 10 * DAY + 2_000, "AA", 1)));
    assert!(judge(&mut world, &with, &call(6, 10 * DAY + 3_000, "BB", 1)));
    // A rule that is gone leaves nothing.
    world.pass(&without, at(10 * DAY + 4_000));
    assert!(!world.disk.rows.keys().any(|(space, _)| *space == Space::Seen));
}
