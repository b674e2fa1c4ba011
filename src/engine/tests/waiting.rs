//! What waits to be sent while alerts go on: it is withdrawn, or says that they ended.

use super::telling::RULES;
use super::*;
use crate::alerts::{Matcher, Silence, Status};

/// What waits at each target says what the group knows: of all that is queued, corrected as it is withdrawn, the last
/// message of a lane names as firing just what the integration is taken to know.
pub(super) fn assert_waiting_is_known(world: &World) {
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
