//! A group by itself; what is owed to whom, and when, is tested by the timelines of the engine.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::alerts::{LogEntry, Timing};
use crate::rules::Labels;

const TIMING: Timing = Timing {
    group_wait: Duration::from_secs(30),
    group_interval: Duration::from_mins(5),
    repeat_interval: Duration::from_hours(1),
};

/// Seconds after the start of a timeline.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).expect("in range")
}

fn alert(name: &str, state: AlertState, starts_at: Timestamp) -> Alert {
    let labels: Labels = [("alertname".to_owned(), name.to_owned())].into();
    Alert {
        fingerprint: Fingerprint::of(&labels),
        rule: format!("g/{name}"),
        labels,
        annotations: Labels::new(),
        state,
        starts_at,
        ends_at: None,
        updated_at: starts_at,
        event_at: None,
        missed: false,
        usual: None,
        value: None,
        notify_expired: false,
        event: Value::Null.into(),
    }
}

fn target(kind: PeerKind) -> Target {
    Target {
        id: TargetId::new("it", ""),
        kind,
        scope: Scope::All,
        send_resolved: true,
        interval: None,
        max_age: Duration::from_hours(24),
        alerts_max: 500,
        elsewhere: BTreeSet::new(),
    }
}

fn group() -> Group {
    Group::new("k".to_owned(), "r".to_owned(), Labels::new(), at(0))
}

#[test]
fn a_full_group_drops_the_oldest_ended_ones_or_leaves_the_new_one_out() {
    let mut group = group();
    let note = |group: &mut Group, name: usize, state, second| {
        let alert = alert(&name.to_string(), state, at(0));
        (group.note(&alert, None, false, at(second)).len(), alert.fingerprint)
    };
    for name in 0..MEMBERS_MAX {
        assert_eq!(note(&mut group, name, AlertState::Firing, 0).0, 0);
    }
    let (lost, new) = note(&mut group, MEMBERS_MAX, AlertState::Firing, 0);
    assert_eq!((lost, group.members.contains_key(&new)), (1, false), "all fire");
    let (_, young) = note(&mut group, 0, AlertState::Resolved, 9);
    for name in 1..=1_000 {
        assert_eq!(note(&mut group, name, AlertState::Resolved, 5).0, 0);
    }
    let (lost, new) = note(&mut group, MEMBERS_MAX, AlertState::Firing, 9);
    assert_eq!((lost, group.members.contains_key(&new)), (1_000, true), "some ended");
    assert!(group.members.contains_key(&young));
    assert_eq!(group.members.len(), MEMBERS_MAX - 999);
}

#[test]
fn causes_are_the_newest_few() {
    let mut group = group();
    let alert = alert("a", AlertState::Firing, at(0));
    for cause in 0..800 {
        group.note(&alert, Some(cause), false, at(0));
    }
    let causes: Vec<i64> = (784..800).collect();
    assert_eq!(group.members[&alert.fingerprint].causes, causes);
}

/// What happens, each with whether it is dropped, and the life and the first life after it; none where the alert is gone.
type Story<'s> = (&'s [(AlertState, bool)], Option<(u64, u64)>);

#[test]
fn a_life_grows_with_each_firing_and_its_chain_breaks_where_nobody_hears_of_the_end() {
    let cases: &[Story<'_>] = &[
        (&[(AlertState::Firing, false), (AlertState::Firing, false)], Some((1, 1))),
        (&[(AlertState::Firing, false), (AlertState::Resolved, false)], Some((1, 1))),
        (
            &[
                (AlertState::Firing, false),
                (AlertState::Resolved, false),
                (AlertState::Firing, false),
            ],
            Some((2, 1)),
        ),
        (
            &[
                (AlertState::Firing, false),
                (AlertState::Expired, false),
                (AlertState::Firing, false),
            ],
            Some((2, 2)),
        ),
        (&[(AlertState::Expired, false), (AlertState::Expired, false)], Some((2, 2))),
        (&[(AlertState::Firing, false), (AlertState::Resolved, true)], None),
        (&[(AlertState::Firing, false), (AlertState::RuleRemoved, false)], None),
        (
            &[
                (AlertState::Firing, false),
                (AlertState::Resolved, true),
                (AlertState::Firing, false),
            ],
            Some((2, 2)),
        ),
    ];
    for (story, want) in cases {
        let mut group = group();
        for (second, (state, dropped)) in (0..).zip(*story) {
            group.note(&alert("a", *state, at(0)), None, *dropped, at(second));
        }
        let lives = group.members.values().next().map(|member| (member.life, member.first_life));
        assert_eq!(lives, *want, "{story:?}");
    }
}

/// A clock that is set back keeps nobody waiting until it has caught up.
#[test]
fn a_clock_that_is_set_back_postpones_nothing() {
    let (a, mut group) = (alert("a", AlertState::Firing, at(5_000)), group());
    group.note(&a, None, false, at(5_000));
    group.close_gate(&TargetId::new("it", ""), at(9_000), true);
    let entry = LogEntry { notified_at: Some(at(5_030)), ..LogEntry::default() };
    let look = Look::new(&group, &|_| Some(&a), &|_, _| None, at(1_000));
    for kind in [PeerKind::People, PeerKind::Incident, PeerKind::Alerts] {
        let due = look.due(&target(kind), Some(&entry), &TIMING).expect("owed");
        assert_eq!(
            due.at,
            at(1_000),
            "{kind:?}: what waits for another clock's time waits no longer"
        );
    }
    // A clock that is ahead by less than the interval is waited for, and no longer at the next look.
    let entry = LogEntry { notified_at: Some(at(5_100)), ..LogEntry::default() };
    group.gates.clear();
    for now in [5_000, 5_099, 5_399] {
        let look = Look::new(&group, &|_| Some(&a), &|_, _| None, at(now));
        let due = look.due(&target(PeerKind::People), Some(&entry), &TIMING).expect("owed");
        assert_eq!(due.at, at(5_400), "{now}");
    }
    let look = Look::new(&group, &|_| Some(&a), &|_, _| None, at(1_000));
    // The end of time.
    let forever =
        Timing { group_interval: Duration::MAX, repeat_interval: Duration::MAX, ..TIMING };
    let due = look.due(&target(PeerKind::People), Some(&entry), &forever).expect("owed");
    assert_eq!(due.at, Timestamp::MAX);
}

#[test]
fn what_fires_again_is_new_though_its_end_could_not_be_read_back() {
    let mut group = group();
    group.note(&alert("a", AlertState::Firing, at(0)), None, false, at(0));
    group.note(&alert("a", AlertState::Resolved, at(0)), None, false, at(60));
    let fingerprint = alert("a", AlertState::Firing, at(0)).fingerprint;
    let life = group.members[&fingerprint].life;
    group.members.get_mut(&fingerprint).expect("a member").ended = None;
    group.note(&alert("a", AlertState::Firing, at(120)), None, false, at(120));
    let member = &group.members[&fingerprint];
    assert!(!member.over, "it fires");
    assert_eq!(member.life, life + 1);
}
