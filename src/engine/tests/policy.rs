//! A new configuration: nobody is notified twice, nothing is lost, what is removed ends without a word.

use super::*;
use crate::alerts::{Matcher, Silence};

const EVENTS: &str = "  - {alert: R, on: [call.hangup], by: {who: payload.who}, active_for: 1d}\n";

const ROUTES: &str = "\
route:
  receiver: ops
  group_by: [alertname]
  group_wait: 30s
  group_interval: 2m
  repeat_interval: 1h
  routes:
  - {matchers: [who=a], receiver: a}
receivers:
- {name: ops, webhook_configs: [{url: 'https://example.com/ops'}]}
- {name: a, webhook_configs: [{url: 'https://example.com/a'}]}
- {name: new, webhook_configs: [{url: 'https://example.com/new'}]}
";

fn hangups(world: &mut World, policy: &Policy, whos: &[(i64, &str)]) {
    for (seq, who) in whos {
        let now = world.now;
        world.judge(policy, &[&of(*seq, "call.hangup", now, who)], now);
    }
}

#[test]
fn a_new_sibling_resends_nothing_and_loses_nothing() {
    let old = policy(EVENTS, ROUTES);
    let sibling = "  - {matchers: [who=z], receiver: new}\n  - {matchers: [who=a]";
    let new = policy(EVENTS, &ROUTES.replace("  - {matchers: [who=a]", sibling));
    let mut world = World::new(&old);
    hangups(&mut world, &old, &[(1, "a"), (2, "b")]);
    world.live(&old, at(60_000));
    // Comes before the change, and is to be notified after it.
    hangups(&mut world, &old, &[(3, "c")]);
    world.live(&new, at(90_000));
    world.crash();
    hangups(&mut world, &new, &[(4, "z")]);
    world.live(&new, at(3_700_000));
    let line = |second, reason, firing: &str| (second, reason, firing.to_owned(), String::new());
    assert_eq!(
        world.told("ops"),
        [line(30, "first notification", "b"), line(150, "new alerts added", "b c"),]
    );
    assert_eq!(
        world.told("a"),
        [line(30, "first notification", "a"), line(3_630, "repeat interval elapsed", "a")]
    );
    assert_eq!(world.told("new"), [line(120, "first notification", "z")]);
}

#[test]
fn an_alert_that_another_route_takes_now_is_told_there() {
    let old = policy(EVENTS, ROUTES);
    let sibling = "  - {matchers: ['who=~\"b|c\"'], receiver: new}\n  - {matchers: [who=a]";
    let new = policy(EVENTS, &ROUTES.replace("  - {matchers: [who=a]", sibling));
    let mut world = World::new(&old);
    hangups(&mut world, &old, &[(1, "a"), (2, "b")]);
    world.live(&old, at(60_000));
    world.live(&new, at(200_000));
    let first = |second, who: &str| (second, "first notification", who.to_owned(), String::new());
    assert_eq!(world.told("ops"), [first(30, "b")]);
    assert_eq!(world.told("new"), [first(90, "b")]);
    assert_eq!(world.told("a"), [first(30, "a")]);
}

#[test]
fn alerts_of_a_rule_that_is_gone_end_without_a_word() {
    let gauge = "  - {alert: G, on: [account.balance], by: {who: payload.who}, value: payload.n, fire: 'value > 1.0'}\n";
    let other = "  - {alert: O, on: [call.cost]}\n";
    let old = policy(&format!("{EVENTS}{gauge}{other}"), PLAIN);
    let new = policy(other, PLAIN);
    let mut world = World::new(&old);
    hangups(&mut world, &old, &[(1, "a")]);
    world.judge(&old, &[&event(2, "account.balance", at(5), json!({"who": "g", "n": 3}))], at(5));
    assert_eq!(world.told("ops").len(), 2);
    world.crash();
    world.live(&new, at(100_000_000));
    assert_eq!(world.told("ops").len(), 2);
    assert_eq!(world.state.alerts().count(), 0);
    let whats: Vec<&str> = world.disk.journal.iter().map(|entry| &*entry.what).collect();
    assert_eq!(whats.iter().filter(|what| **what == "rule_removed").count(), 2, "{whats:?}");
    // What is in force is noted for good.
    let left: Vec<_> = world.disk.rows.keys().filter(|(_, key)| key != "in_force").collect();
    assert_eq!(left, Vec::<&(Space, String)>::new());
}

/// Its new group has never said anything of it, and says nothing of what is silenced; the old one has.
#[test]
fn what_a_reload_moved_ends_for_alertmanager_although_it_is_silenced() {
    let rule = "  - {alert: R, on: [call.hangup], by: {who: payload.who}, active_for: 1d, \
                resolve_on: {on: [call.answered]}}\n";
    let by = |label: &str| {
        let route =
            format!("{{receiver: ops, group_by: [{label}], group_wait: 0s, group_interval: 1m}}");
        let receiver = "{name: ops, alertmanager_configs: [{url: 'https://example.com'}]}";
        policy(rule, &format!("route: {route}\nreceivers: [{receiver}]\n"))
    };
    let (old, new) = (by("alertname"), by("who"));
    let mut world = World::new(&old);
    hangups(&mut world, &old, &[(1, "a")]);
    world.disk.silences = Silences {
        version: 1,
        silences: vec![Silence {
            id: "s".to_owned(),
            matchers: vec![Matcher::parse("who=a").expect("parses")],
            starts_at: at(0),
            ends_at: at(3_600_000),
            created_by: "me".to_owned(),
            comment: "test".to_owned(),
            created_at: at(0),
            updated_at: at(0),
        }],
    };
    world.live(&new, at(10_000));
    world.judge(&new, &[&of(2, "call.answered", at(20_000), "a")], at(20_000));
    world.live(&new, at(600_000));
    let (_, _, firing, ended) = world.told("ops").pop().expect("notified");
    assert_eq!((&*firing, &*ended), ("", "a"));
    assert_eq!(world.state.groups().count(), 0, "what is over is forgotten");
}

/// Of a rule that judged values and takes each event for itself now: nothing else would ever end its alert.
#[test]
fn an_alert_without_an_end_does_not_outlive_the_kind_of_its_rule() {
    let on = "alert: G, on: [account.balance], by: {who: payload.who}";
    let old = policy(&format!("  - {{{on}, value: payload.n, fire: 'value > 1.0'}}\n"), PLAIN);
    let new = policy(&format!("  - {{{on}}}\n"), PLAIN);
    let mut world = World::new(&old);
    world.judge(&old, &[&event(1, "account.balance", at(5), json!({"who": "g", "n": 3}))], at(5));
    assert_eq!(world.state.alerts().count(), 1);
    world.live(&new, at(1_000));
    assert_eq!(world.state.alerts().count(), 0);
}

#[test]
fn a_new_threshold_keeps_the_window_and_another_value_does_not() {
    let rule = |value: &str, fire: &str| {
        let rule = format!(
            "  - {{alert: W, on: [call.hangup], over: 1h, value: {value}, fire: 'value >= {fire}'}}\n"
        );
        policy(&rule, PLAIN)
    };
    let old = rule("count()", "3.0");
    for (new, fires) in [(rule("count()", "2.0"), true), (rule("sum(1)", "2.0"), false)] {
        let mut world = World::new(&old);
        hangups(&mut world, &old, &[(1, "a")]);
        world.pass(&new, at(1_000));
        hangups(&mut world, &new, &[(2, "a")]);
        assert_eq!(world.state.alerts().count() == 1, fires);
    }
}

/// An account that is no longer configured sends nothing: its silence is no alert, and what rang of it ends.
#[test]
fn nobody_misses_an_account_that_is_gone() {
    let rule = "  - {alert: S, on: ['call.*'], absent_for: 10m}\n";
    let accounts = |names: &[&str]| {
        let one = |name: &&str| format!("{{name: {name}, public_keys: [KEY]}}");
        format!("[{}]", names.iter().map(one).collect::<Vec<_>>().join(", "))
    };
    let all = policy_of(&accounts(&["main", "other", "third"]), rule, PLAIN);
    let few = policy_of(&accounts(&["main", "third"]), rule, PLAIN);
    let least = policy_of(&accounts(&["main"]), rule, PLAIN);
    let mut world = World::new(&all);
    world.live(&few, at(601_000));
    let accounts = |world: &World| -> Vec<String> {
        let mut names: Vec<_> =
            world.state.alerts().map(|alert| alert.labels["account"].clone()).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(accounts(&world), ["main", "third"]);
    world.crash();
    world.live(&least, at(700_000));
    assert_eq!(accounts(&world), ["main"]);
    assert_eq!(world.told("ops").len(), 2);
}

/// The series of one metric have the same labels: those with other ones are of another time.
#[test]
fn a_metric_with_other_labels_begins_anew() {
    let metric = |by: &str| {
        let metric = format!(
            "metrics: [{{name: my_total, type: counter, help: h, on: [call.hangup], by: {{{by}: payload.who}}}}]\n"
        );
        policy(EVENTS, &(metric + PLAIN))
    };
    let (old, new) = (metric("who"), metric("name"));
    let mut world = World::new(&old);
    hangups(&mut world, &old, &[(1, "a"), (2, "b")]);
    world.crash();
    hangups(&mut world, &new, &[(3, "a")]);
    let rows = world.disk.rows.iter().filter(|((space, _), _)| *space == Space::Metric);
    let keys: Vec<&str> = rows.map(|((_, key), _)| key.as_str()).collect();
    assert_eq!(keys, [r#"["my_total",{"name":"a"}]"#]);
}
