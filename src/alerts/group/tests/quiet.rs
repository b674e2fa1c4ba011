//! What is kept quiet, withdrawn, and told after all.

use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_is_quiet_is_not_told() {
    check(
        &[MAIL, PAGE],
        &[
            (
                "inhibited until its source ends",
                &["0 fire a", "0 fire b", "0..9000 inhibit b by a", "400 resolve a", "1000 end"],
                &["30 mail first: a", "30 page first: a", "630 mail new: b -a", "630 page new: b"],
            ),
            (
                "a silence's end is seen at the next step",
                &["0..400 silence a", "0 fire a", "700 end"],
                &["630 mail first: a", "630 page first: a"],
            ),
            (
                "what ends while silenced is dropped",
                &["0..400 silence a", "0 fire a", "0 fire b", "100 resolve a", "1000 end"],
                &["30 mail first: b", "30 page first: b"],
            ),
            (
                "also when it was told before, and then it is new",
                &[
                    "0 fire a",
                    "0 fire b",
                    "50..400 silence a",
                    "100 resolve a",
                    "500 fire a",
                    "700 end",
                ],
                &[
                    "30 mail first: a b",
                    "30 page first: a b",
                    "630 mail new: a b",
                    "630 page new: a b",
                ],
            ),
            (
                "a silence's start is no resolve",
                &[
                    "0 fire a",
                    "50..400 silence a",
                    "60 oneshot b",
                    "300..400 silence b",
                    "3700 end",
                ],
                &[
                    "30 mail first: a",
                    "30 page first: a",
                    "3630 mail repeat: a",
                    "3630 page repeat: a",
                ],
            ),
            (
                "silenced while others are told: new afterwards",
                &["0 fire a", "50..700 silence a", "60 fire b", "1000 end"],
                &[
                    "30 mail first: a",
                    "30 page first: a",
                    "330 mail new: b",
                    "330 page new: b",
                    "930 mail new: a b",
                    "930 page new: a b",
                ],
            ),
            (
                "a repeat that found all silenced comes at the step after",
                &["0 fire a", "3000..4000 silence a", "9000 end"],
                &[
                    "30 mail first: a",
                    "30 page first: a",
                    "4230 mail repeat: a",
                    "4230 page repeat: a",
                    "7830 mail repeat: a",
                    "7830 page repeat: a",
                ],
            ),
        ],
    );
}

#[test]
fn what_ends_while_the_route_is_muted_is_told_when_that_ends() {
    check(
        &[MAIL, PAGE],
        &[
            (
                "told before: to who wants ends",
                &["0 fire a", "100..2000 mute", "200 resolve a", "3000 end"],
                &["30 mail first: a", "30 page first: a", "2130 mail all: -a"],
            ),
            (
                "never told: to all",
                &["0..2000 mute", "200 fire a", "300 resolve a", "300 fire b", "3000 end"],
                &["2030 mail first: b -a", "2030 page first: b -a"],
            ),
            (
                "one-shots and expiries too",
                &["0..2000 mute", "200 oneshot a", "300 fire b", "400 expire b", "3000 end"],
                &["2030 mail first: -a -b", "2030 page first: -a -b"],
            ),
            (
                "fires all night: known",
                &["0 fire a", "100..4000 mute", "9000 end"],
                &[
                    "30 mail first: a",
                    "30 page first: a",
                    "4230 mail repeat: a",
                    "4230 page repeat: a",
                    "7830 mail repeat: a",
                    "7830 page repeat: a",
                ],
            ),
            (
                "silenced as well: dropped",
                &["0 fire a", "100..2000 mute", "100..1000 silence a", "200 resolve a", "3000 end"],
                &["30 mail first: a", "30 page first: a"],
            ),
        ],
    );
}

#[test]
fn what_is_quiet_is_recorded_once_with_its_reason() {
    let mut sim = run(
        &[MAIL],
        &[
            "0 fire a",
            "0 fire b",
            "0..2000 silence a",
            "0..700 inhibit a by b",
            "0..300 mute",
            "1000..2000 mute",
            "1500 resolve b",
            "3000 end",
        ],
    );
    sim.quieted.sort();
    let quieted = sim.quieted.iter().map(|(at, name, why)| (*at, name.as_str(), *why));
    // The order of asking: inhibited, muted, silenced.
    assert_eq!(
        quieted.collect::<Vec<_>>(),
        [
            (30, "a", "inhibited"),
            (30, "b", "muted"),
            (930, "a", "silenced"),
            (1230, "a", "muted"),
            (1230, "b", "muted"),
        ]
    );
}

#[test]
fn what_an_integration_knows_no_more_without_a_notice_is_withdrawn() {
    let withdrawn = |script: &[&str]| -> Vec<String> {
        let all = run(&[MAIL, PAGE], script).withdrawn;
        all.into_iter().map(|(at, id, told)| format!("{at} {id} {told}")).collect()
    };
    let none: [&str; 0] = [];
    // An end that is not wanted; the other gets a notice.
    assert_eq!(withdrawn(&["0 fire a", "100 resolve a", "700 end"]), ["330 page true"]);
    // Dropped for all.
    let silenced = ["0 fire a", "50..400 silence a", "100 resolve a", "700 end"];
    assert_eq!(withdrawn(&silenced), ["330 mail false", "330 page false"]);
    // Never told, and only kept quiet.
    assert_eq!(withdrawn(&["0..90 silence a", "0 fire a", "10 resolve a", "700 end"]), none);
    assert_eq!(withdrawn(&["0 fire a", "50..400 silence a", "3700 end"]), none);
    // Ended while muted: when that ends.
    let muted = ["0 fire a", "100..2000 mute", "200 resolve a", "3000 end"];
    assert_eq!(withdrawn(&muted), ["2130 page true"]);
}

#[test]
fn what_was_not_told_after_all_is_new() {
    let (a, b) = (alert("a", AlertState::Firing, at(0)), alert("b", AlertState::Firing, at(0)));
    let find = |fingerprint: &Fingerprint| {
        [&a, &b].into_iter().find(|alert| alert.fingerprint == *fingerprint)
    };
    let tellers = ["mail", "page"].map(|id| Teller { id, send_resolved: true, every: None });
    let mut group = Group::new("k".to_owned(), "r".to_owned(), Labels::new(), at(0));
    for alert in [&a, &b] {
        group.note(alert, None, &TIMING, at(0));
    }
    group.flush(&TIMING, &tellers, &find, &|_| None, None, at(30));
    assert_eq!(group.next_flush, None);
    let untold = [a.fingerprint.clone()];
    group.untell("nobody", &untold, &TIMING, at(40));
    assert_eq!(group.next_flush, None);
    group.untell("mail", &untold, &TIMING, at(40));
    assert_eq!(group.knowers(&a.fingerprint), ["page"]);
    assert!(group.members[&a.fingerprint].told, "somebody was");
    group.untell("page", &untold, &TIMING, at(40));
    assert!(!group.members[&a.fingerprint].told && group.members[&b.fingerprint].told);
    let flushed = group.flush(&TIMING, &tellers, &find, &|_| None, None, at(330));
    let told: Vec<_> = flushed.notices.iter().map(|one| (one.reason, one.alerts.len())).collect();
    assert_eq!(told, [(Reason::NewAlerts, 2); 2]);
}
