//! What a peer refuses, or may not have taken.

use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_refusal_is_not_a_notification() {
    check(&[
        (
            "refused for some minutes",
            &[SETUP],
            &["09:00 - answer refused", "09:00 - fire a", "09:08 - answer taken", "10:00 - done"],
            &["09:09:45 a"],
        ),
        (
            "given up: owed again after group_interval",
            &[SETUP],
            &["09:00 - answer rejected", "09:00 - fire a", "09:12 - answer taken", "10:00 - done"],
            &["09:15:30 a"],
        ),
        (
            "a quarter of an hour at most",
            &[DAILY],
            &["09:00 - answer rejected", "09:00 - fire a", "09:20 - answer taken", "10:00 - done"],
            &["09:30:30 a"],
        ),
        (
            "who takes another group's is well",
            &[Setup { group_by: "['...']", ..DAILY }],
            &[
                "09:00 - answer rejected",
                "09:00 - fire a",
                "09:05 - answer taken",
                "09:05 - fire b",
                "10:00 - done",
            ],
            &["09:05:30 b", "09:05:30 a"],
        ),
        (
            "over by then",
            &[SETUP],
            &[
                "09:00 - answer rejected",
                "09:00 - fire a",
                "09:01 - end a",
                "09:12 - answer taken",
                "10:00 - done",
            ],
            &["09:15:30 -a", "pagerduty|09:20:30 resolve -a"],
        ),
        (
            "over before it began, and refused",
            &[SETUP],
            &[
                "09:00 - answer rejected",
                "09:00 - oneshot a",
                "09:12 - answer taken",
                "10:00 - done",
            ],
            &["09:15:30 -a", "pagerduty|09:20:30 resolve -a"],
        ),
        (
            "the end is refused",
            &[SETUP],
            &[
                "09:00 - fire a",
                "10:00 - answer rejected",
                "10:00 - end a",
                "10:12 - answer taken",
                "11:00 - done",
            ],
            &[
                "09:00:30 a",
                "email slack|10:15:30 -a",
                "pagerduty|10:15:30 resolve -a",
                "alertmanager|10:15:30 -a",
            ],
        ),
        (
            "silenced meanwhile: nothing is left to say",
            &[SETUP],
            &[
                "09:00 - answer refused",
                "09:00 - fire a",
                "09:02 - silence a 10:00",
                "09:03 - answer taken",
                "11:00 - done",
            ],
            &["10:00:00 a"],
        ),
        (
            "inhibited meanwhile",
            &[SETUP],
            &[
                "09:00 - answer refused",
                "09:00 - fire a",
                "09:02 - inhibit a",
                "09:03 - answer taken",
                "10:00 - uninhibit a",
                "11:00 - done",
            ],
            &["10:00:00 a"],
        ),
        (
            "muted meanwhile",
            &[DAILY],
            &[
                "19:55 - answer refused",
                "19:55 - fire a",
                "20:01 - answer taken",
                "+1 11:00 - done",
            ],
            &["+1 08:00:00 a"],
        ),
        (
            "another joins while it is refused",
            &[SETUP],
            &[
                "09:00 - answer refused",
                "09:00 - fire a",
                "09:05 - fire b",
                "09:08 - answer taken",
                "10:00 - done",
            ],
            &["09:09:45 a b"],
        ),
        (
            "another joins that is inhibited",
            &[SETUP],
            &[
                "08:30 - inhibit b",
                "09:00 - answer refused",
                "09:00 - fire a",
                "09:05 - fire b",
                "09:08 - answer taken",
                "10:00 - done",
            ],
            &["09:09:45 a"],
        ),
    ]);
}
