//! Causes, full groups and odd times.

use super::*;

#[test]
fn causes_are_those_since_it_was_told_and_the_newest_stay() {
    let sim = run(
        &[MAIL],
        &["0 fire a", "1 fire a", "2 fire b", "40 fire a", "50 resolve b", "4000 end"],
    );
    let causes: Vec<_> = sim.heard.iter().map(|heard| heard.causes.clone()).collect();
    assert_eq!(causes, [vec![1, 2, 3], vec![4, 5], vec![]]);

    let mut group = Group::new("k".to_owned(), "r".to_owned(), Labels::new(), at(0));
    let alerts: Vec<Alert> =
        (0..8).map(|n| alert(&n.to_string(), AlertState::Firing, at(0))).collect();
    for cause in 0..800 {
        let alert = &alerts[usize::try_from(cause % 8).expect("small")];
        group.note(alert, Some(cause), &TIMING, at(0));
    }
    assert!(group.members.values().all(|member| member.causes.len() == MEMBER_CAUSES_MAX));
    let find = |fingerprint: &Fingerprint| alerts.iter().find(|x| x.fingerprint == *fingerprint);
    let tellers = [Teller { id: "mail", send_resolved: true, every: None }];
    let flushed = group.flush(&TIMING, &tellers, &find, &|_| None, None, at(30));
    assert_eq!(flushed.notices[0].causes, (700..800).collect::<Vec<_>>());
}

#[test]
fn a_full_group_drops_the_oldest_ended_ones_or_leaves_the_new_one_out() {
    let mut group = Group::new("k".to_owned(), "r".to_owned(), Labels::new(), at(0));
    let note = |group: &mut Group, name: u32, state, updated_at| {
        let alert = alert(&name.to_string(), state, at(updated_at));
        (group.note(&alert, None, &TIMING, at(0)), alert.fingerprint)
    };
    let most = u32::try_from(MEMBERS_MAX).expect("small");
    for name in 0..most {
        assert_eq!(note(&mut group, name, AlertState::Firing, 0).0, 0);
    }
    let (lost, new) = note(&mut group, most, AlertState::Firing, 0);
    assert_eq!((lost, group.members.contains_key(&new)), (1, false), "all fire");
    let (_, young) = note(&mut group, 0, AlertState::Resolved, 9);
    for name in 1..=1_000 {
        assert_eq!(note(&mut group, name, AlertState::Resolved, 5).0, 0);
    }
    let (lost, new) = note(&mut group, most, AlertState::Firing, 0);
    assert_eq!((lost, group.members.contains_key(&new)), (1_000, true), "some ended");
    assert!(group.members.contains_key(&young));
    assert_eq!(group.members.len(), MEMBERS_MAX - 999);
}

#[test]
fn odd_times_neither_spin_nor_postpone() {
    let a = alert("a", AlertState::Firing, at(0));
    let b = alert("b", AlertState::Firing, at(0));
    let find = |fingerprint: &Fingerprint| {
        [&a, &b].into_iter().find(|alert| alert.fingerprint == *fingerprint)
    };
    let tellers = [Teller { id: "mail", send_resolved: true, every: None }];
    let new = || {
        let mut group = Group::new("k".to_owned(), "r".to_owned(), Labels::new(), at(5000));
        group.note(&a, None, &TIMING, at(5000));
        group.flush(&TIMING, &tellers, &find, &|_| None, None, at(5030));
        group
    };
    // The clock is set back: what changes is not kept waiting for it to catch up.
    let mut group = new();
    group.note(&b, None, &TIMING, at(1000));
    assert_eq!(group.deadline(&TIMING), Some(at(1300)));
    assert_eq!(group.flush(&TIMING, &tellers, &find, &|_| None, None, at(1300)).notices.len(), 0);
    assert_eq!(group.deadline(&TIMING), Some(at(1600)));
    assert_eq!(group.flush(&TIMING, &tellers, &find, &|_| None, None, at(1600)).notices.len(), 1);
    // No interval and no repeat interval.
    let mut group = new();
    let none = Timing { group_interval: Duration::ZERO, repeat_interval: Duration::ZERO, ..TIMING };
    let silenced = |_: &Alert| Some(Suppression::Silenced("s".to_owned()));
    group.flush(&none, &tellers, &find, &silenced, None, at(6000));
    assert_eq!(group.deadline(&none), Some(at(6001)));
    // The end of time.
    let forever =
        Timing { group_interval: Duration::MAX, repeat_interval: Duration::MAX, ..TIMING };
    let mut group = new();
    group.note(&b, None, &forever, at(6000));
    assert_eq!(group.deadline(&forever), Some(Timestamp::MAX));
    // The row of a firing alert is lost: it goes without a word.
    group.flush(&TIMING, &tellers, &|_| None, &|_| None, None, at(7000));
    assert!(group.is_over());
}
