//! What is told, when, and to whom.

use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_is_told_and_when() {
    check(
        &[MAIL],
        &[
            (
                "wait groups",
                &["0 fire a", "29 fire b", "31 fire c", "400 end"],
                &["30 mail first: a b", "330 mail new: a b c"],
            ),
            (
                "at the very step",
                &["0 fire a", "330 fire b", "700 end"],
                &["30 mail first: a", "330 mail new: a b"],
            ),
            (
                "the grid goes on in quiet times",
                &["0 fire a", "700 fire b", "931 fire c", "1300 end"],
                &["30 mail first: a", "930 mail new: a b", "1230 mail new: a b c"],
            ),
            (
                "repeats are exact",
                &["0 fire a", "700 fire b", "8500 end"],
                &[
                    "30 mail first: a",
                    "930 mail new: a b",
                    "4530 mail repeat: a b",
                    "8130 mail repeat: a b",
                ],
            ),
            (
                "a repeat takes what is new along, and begins the grid anew",
                &["0 fire a", "3601 fire b", "3640 fire c", "4300 end"],
                &["30 mail first: a", "3630 mail new: a b", "3930 mail new: a b c"],
            ),
            (
                "further matches tell nothing",
                &["0 fire a", "100 fire a", "900 fire a", "1000 end"],
                &["30 mail first: a"],
            ),
            (
                "resolve, by and by",
                &["0 fire a", "0 fire b", "40 resolve a", "400 nodata b", "5000 end"],
                &["30 mail first: a b", "330 mail some: b -a", "630 mail all: -b"],
            ),
            (
                "a new group after all is over",
                &["0 fire a", "40 resolve a", "340 fire a", "400 end"],
                &["30 mail first: a", "330 mail all: -a", "370 mail first: a"],
            ),
            (
                "ended before its first notice",
                &["0 fire a", "10 expire a", "9000 end"],
                &["30 mail first: -a"],
            ),
            (
                "over before it began",
                &["0 fire a", "50 oneshot b", "60 oneshot c", "700 end"],
                &["30 mail first: a", "330 mail new: a -b -c"],
            ),
            (
                "twice, told once",
                &["0 oneshot a", "10 oneshot a", "400 end"],
                &["30 mail first: -a"],
            ),
            (
                "ends, fires and ends again untold",
                &["0 fire a", "40 resolve a", "50 oneshot a", "400 end"],
                &["30 mail first: a", "330 mail all: -a"],
            ),
            (
                "silent expiry",
                &["0 fire a", "0 fire b", "60 expire a", "4000 end"],
                &["30 mail first: a b", "3630 mail repeat: b"],
            ),
            (
                "after a silent expiry it is new",
                &["0 fire a", "0 fire b", "60 expire a", "70 fire a", "400 end"],
                &["30 mail first: a b", "330 mail new: a b"],
            ),
            (
                "expiry that is told",
                &["0 fire a", "60 expire_loud a", "400 end"],
                &["30 mail first: a", "330 mail all: -a"],
            ),
            (
                "rule removed",
                &["0 fire a", "0 fire b", "10 remove b", "60 remove a", "9000 end"],
                &["30 mail first: a"],
            ),
            (
                "fires again before the end is told",
                &["0 fire a", "60 resolve a", "90 fire a", "3700 end"],
                &["30 mail first: a", "3630 mail repeat: a"],
            ),
            (
                "fires again after the end is told",
                &["0 fire a", "0 fire b", "60 resolve a", "340 fire a", "700 end"],
                &["30 mail first: a b", "330 mail some: b -a", "630 mail new: a b"],
            ),
        ],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_integration_has_its_own_record() {
    check(
        &[MAIL, PAGE],
        &[
            (
                "ends only for who wants them",
                &["0 fire a", "0 fire b", "40 resolve a", "700 resolve b", "5000 end"],
                &[
                    "30 mail first: a b",
                    "30 page first: a b",
                    "330 mail some: b -a",
                    "930 mail all: -b",
                ],
            ),
            (
                "what was never told is told to all, as ended",
                &["0 fire a", "10 resolve a", "400 end"],
                &["30 mail first: -a", "30 page first: -a"],
            ),
            (
                "whose end was settled is new when it fires again",
                &["0 fire a", "0 fire b", "40 resolve a", "340 fire a", "700 end"],
                &[
                    "30 mail first: a b",
                    "30 page first: a b",
                    "330 mail some: b -a",
                    "630 mail new: a b",
                    "630 page new: a b",
                ],
            ),
            (
                "own repeats; one takes along what is new",
                &[
                    "0 fire a",
                    "0 fire b",
                    "40 resolve a",
                    "3625 fire c",
                    "3650 resolve c",
                    "4000 end",
                ],
                &[
                    "30 mail first: a b",
                    "30 page first: a b",
                    "330 mail some: b -a",
                    // The change comes with page's repeat; mail was told long ago.
                    "3630 mail new: b c",
                    "3630 page new: b c",
                    "3930 mail some: b -c",
                ],
            ),
            (
                "a repeat and an end at one step",
                &["0 fire a", "0 fire b", "3340 resolve a", "3631 fire c", "4100 end"],
                &[
                    "30 mail first: a b",
                    "30 page first: a b",
                    // Noted at 3340, told by mail at the step 3630, where page repeats.
                    "3630 mail some: b -a",
                    "3630 page repeat: b",
                    "3930 mail new: b c",
                    "3930 page new: b c",
                ],
            ),
            (
                "one that leaves is forgotten",
                &["0 fire a", "60 leave page", "400 join_firing page", "700 end"],
                &["30 mail first: a", "30 page first: a", "630 page first: a"],
            ),
        ],
    );
    check(
        &[MAIL],
        &[
            (
                "a new one gets its own first notice",
                &["0 fire a", "100 join_firing page", "4000 end"],
                &[
                    "30 mail first: a",
                    "330 page first: a",
                    "3630 mail repeat: a",
                    "3930 page repeat: a",
                ],
            ),
            // The repeat of one is no occasion for another that was told less than group_interval ago.
            (
                "at most once in group_interval each",
                &["0 fire a", "3610 join page", "3605 fire b", "3931 fire c", "4500 end"],
                &[
                    "30 mail first: a",
                    "3630 mail new: a b",
                    "3630 page first: a b",
                    "4230 mail new: a b c",
                    "4230 page new: a b c",
                ],
            ),
        ],
    );
}

#[test]
fn who_was_just_told_waits_for_its_turn() {
    let mut group = Group::new("k".to_owned(), "r".to_owned(), Labels::new(), at(0));
    let a = alert("a", AlertState::Firing, at(0));
    let b = alert("b", AlertState::Firing, at(350));
    let tellers = [
        Teller { id: "mail", send_resolved: true, every: None },
        Teller { id: "page", send_resolved: true, every: None },
    ];
    let timing = Timing { repeat_interval: Duration::from_secs(400), ..TIMING };
    let flush = |group: &mut Group, second| {
        let firing = |fingerprint: &Fingerprint| {
            [&a, &b].into_iter().find(|x| x.fingerprint == *fingerprint)
        };
        let flushed = group.flush(&timing, &tellers, &firing, &|_| None, None, at(second));
        flushed.notices.into_iter().map(|n| (n.integration, n.causes)).collect::<Vec<_>>()
    };
    group.note(&a, Some(1), &timing, at(0));
    assert_eq!(flush(&mut group, 30).len(), 2);
    group.told.get_mut("mail").expect("told").at = at(200);
    group.note(&b, Some(2), &timing, at(350));
    assert_eq!(group.deadline(&timing), Some(at(430)), "page's repeat is before the step at 630");
    assert_eq!(flush(&mut group, 430), [("page".to_owned(), vec![2])]);
    assert_eq!(group.deadline(&timing), Some(at(500)), "mail's turn");
    assert_eq!(flush(&mut group, 500), [("mail".to_owned(), vec![2])], "with the same causes");
    assert_eq!(group.next_flush, None);
}
