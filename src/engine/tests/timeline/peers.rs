//! Peers that keep alerts or incidents themselves.

use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_peer_that_keeps_state_is_brought_back_in_line() {
    check(&[
        (
            "ends under a silence, and fires again after it",
            &[SETUP],
            &[
                "09:00 - fire a",
                "10:00 - silence a 11:00",
                "10:10 - end a",
                "12:00 - fire a",
                "13:00 - done",
            ],
            &[
                "09:00:30 a",
                "pagerduty|10:10:00 resolve -a",
                "alertmanager|10:10:00 -a",
                "12:00:30 a",
            ],
        ),
        (
            "ends while inhibited",
            &[SETUP],
            &[
                "09:00 - fire a",
                "10:00 - inhibit a",
                "10:10 - end a",
                "11:00 - uninhibit a",
                "12:00 - fire a",
                "13:00 - done",
            ],
            &[
                "09:00:30 a",
                "pagerduty|10:10:00 resolve -a",
                "alertmanager|10:10:00 -a",
                "12:00:30 a",
            ],
        ),
        (
            "ends while muted: people hear it in the morning",
            &[Setup { night: true, ..SETUP }],
            &["19:00 - fire a", "22:00 - end a", "+1 09:00 - done"],
            &[
                "19:00:30 a",
                "email slack|+1 08:00:00 -a",
                "pagerduty|22:00:30 resolve -a",
                "alertmanager|22:00:30 -a",
            ],
        ),
        (
            "quiet, but fires: nothing has ended",
            &[SETUP],
            &["09:00 - fire a", "10:00 - silence a 11:00", "12:00 - done"],
            &["09:00:30 a"],
        ),
        (
            "the rule is gone, comes back, and fires",
            &[SETUP, Setup { has_rule: false, ..SETUP }],
            &[
                "09:00 - fire a",
                "10:00 - setup 1",
                "11:00 - setup 0",
                "12:00 - fire a",
                "13:00 - done",
            ],
            &[
                "09:00:30 a",
                "pagerduty|10:00:00 resolve -a",
                "alertmanager|10:00:00 -a",
                "12:00:30 a",
            ],
        ),
        (
            "and fires again at once",
            &[SETUP, Setup { has_rule: false, ..SETUP }],
            &[
                "09:00 - fire a",
                "09:02 - setup 1",
                "09:02:05 - setup 0",
                "09:02:10 - fire a",
                "10:00 - done",
            ],
            &[
                "09:00:30 a",
                "alertmanager|09:02:00 -a",
                "email slack alertmanager|09:02:40 a",
                "pagerduty|09:05:30 again a",
            ],
        ),
        (
            "its labels change",
            &[SETUP, Setup { labels: "{team: x}", ..SETUP }],
            &["09:00 - fire a", "10:00 - setup 1", "11:00 - fire a", "12:00 - done"],
            &[
                "09:00:30 a",
                "pagerduty|10:00:00 resolve -a",
                "alertmanager|10:00:00 -a",
                "11:00:30 a",
            ],
        ),
        (
            "group_by changes: PagerDuty's old incident ends, Alertmanager's alert does not",
            &[SETUP, Setup { group_by: "[who]", ..SETUP }],
            &["09:00 - fire a", "10:00 - setup 1", "11:00 - end a", "12:00 - done"],
            &[
                "09:00:30 a",
                "pagerduty|10:00:00 resolve -a",
                "10:00:30 a",
                "email slack alertmanager|11:00:30 -a",
                "pagerduty|11:00:30 resolve -a",
            ],
        ),
        (
            "the receiver leaves the route",
            &[SETUP, Setup { routed: false, ..SETUP }],
            &["09:00 - fire a", "10:00 - setup 1", "11:00 - done"],
            &["09:00:30 a", "pagerduty|10:00:00 resolve -a", "alertmanager|10:00:00 -a"],
        ),
        (
            "the trigger arrived, its answer did not; silenced, it ends",
            &[SETUP],
            &[
                "09:00 - answer arrives",
                "09:00 - fire a",
                "09:00:31 - silence a 11:00",
                "09:00:32 - answer taken",
                "10:00 - end a",
                "12:00 - done",
            ],
            &[
                "09:00:30 a",
                "09:00:30 a",
                "pagerduty|10:00:00 resolve -a",
                "alertmanager|10:00:00 -a",
            ],
        ),
    ]);
}

#[test]
fn pagerduty_is_resolved_however_it_ended() {
    check(&[
        (
            "expired",
            &[Setup { expires: "1h", ..SETUP }],
            &["09:00 - fire a", "11:00 - fire a", "11:30 - done"],
            &[
                "09:00:30 a",
                "pagerduty|10:00:30 resolve -a",
                "alertmanager|10:00:30 -a",
                "11:00:30 a",
            ],
        ),
        (
            "the rule is gone",
            &[SETUP, Setup { has_rule: false, ..SETUP }],
            &["09:00 - fire a", "10:00 - setup 1", "11:00 - done"],
            &["09:00:30 a", "pagerduty|10:00:00 resolve -a", "alertmanager|10:00:00 -a"],
        ),
        (
            "only when nothing fires any more",
            &[SETUP],
            &["09:00 - fire a", "09:00 - fire b", "10:00 - end a", "11:00 - end b", "12:00 - done"],
            &[
                "09:00:30 a b",
                "email slack pagerduty|10:00:30 b -a",
                "alertmanager|10:00:30 -a",
                "email slack alertmanager|11:00:30 -b",
                "pagerduty|11:00:30 resolve -b",
            ],
        ),
    ]);
}
