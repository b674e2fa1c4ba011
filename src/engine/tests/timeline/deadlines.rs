//! When a notification goes out: after what keeps an alert quiet, and after the last one that was delivered.

use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn the_end_of_what_keeps_quiet_is_a_deadline() {
    check(&[
        ("muted", &[DAILY], &["22:00 - fire a", "+2 07:00 - done"], &["+1 08:00:00 a"]),
        (
            "silenced",
            &[DAILY],
            &["09:00 - silence a 10:00", "09:10 - fire a", "19:00 - done"],
            &["10:00:00 a"],
        ),
        (
            "a silence that is taken back",
            &[DAILY],
            &["09:00 - silence a 18:00", "09:10 - fire a", "10:30 - unsilence", "19:00 - done"],
            &["10:30:00 a"],
        ),
        (
            "inhibited",
            &[DAILY],
            &["09:00 - inhibit a", "09:10 - fire a", "11:00 - uninhibit a", "19:00 - done"],
            &["11:00:00 a"],
        ),
        (
            "one after the other: the last counts",
            &[DAILY],
            &[
                "19:00 - inhibit a",
                "19:10 - fire a",
                "19:20 - silence a +1 09:00",
                "21:00 - uninhibit a",
                "+2 07:00 - done",
            ],
            &["+1 09:00:00 a"],
        ),
        (
            "where another was told, a day lies between the two",
            &[DAILY],
            &["09:00 - fire a", "22:00 - fire b", "+2 07:00 - done"],
            &[
                "email slack pagerduty|09:00:30 a",
                "email slack pagerduty|+1 09:00:30 a b",
                "alertmanager|09:00:30 a",
                "alertmanager|+1 08:00:00 b",
            ],
        ),
        (
            "the mute is taken out of the configuration",
            &[DAILY, Setup { night: false, ..DAILY }],
            &["22:00 - fire a", "23:00 - setup 1", "+1 07:00 - done"],
            &["23:00:00 a"],
        ),
        (
            "over before it could be told",
            &[DAILY],
            &["22:00 - oneshot a", "+2 09:00 - done"],
            &["+1 08:00:00 -a", "pagerduty|+2 08:00:00 resolve -a"],
        ),
        (
            "fires and ends in one night",
            &[DAILY],
            &["22:00 - fire a", "23:00 - end a", "+2 09:00 - done"],
            &["+1 08:00:00 -a", "pagerduty|+2 08:00:00 resolve -a"],
        ),
        (
            "what ends under a silence or inhibited was never there",
            &[DAILY],
            &[
                "09:00 - silence a 12:00",
                "09:00 - inhibit b",
                "09:10 - fire a",
                "09:10 - fire b",
                "10:00 - end a",
                "10:00 - end b",
                "11:00 - uninhibit b",
                "19:00 - done",
            ],
            &[],
        ),
    ]);
}

#[test]
fn repeats_and_ends_count_from_what_was_delivered() {
    let hourly = Setup { repeat: "1h", ..SETUP };
    check(&[
        (
            "a repeat comes after what was delivered; Alertmanager is refreshed another way",
            &[hourly],
            &["09:00 - answer refused", "09:00 - fire a", "09:08 - answer taken", "11:30 - done"],
            &[
                "09:09:45 a",
                "email slack pagerduty|10:09:45 repeat a",
                "email slack pagerduty|11:09:45 repeat a",
            ],
        ),
        (
            "a repeat that died is owed again after group_interval",
            &[hourly],
            &["09:00 - fire a", "10:00 - answer rejected", "10:02 - answer taken", "11:00 - done"],
            &["09:00:30 a", "email slack pagerduty|10:05:30 repeat a"],
        ),
        (
            "a silent expiry that nobody looked at while something else waited is no news afterwards",
            &[Setup { expires: "1h", ..SETUP }],
            &[
                "09:00 - fire a",
                "09:55 - answer refused",
                "09:55 - fire b",
                "10:01 - answer taken",
                "10:30 - done",
            ],
            &["09:00:30 a", "email slack|10:02:15 b", "pagerduty alertmanager|10:02:15 b -a"],
        ),
        (
            "no ends",
            &[Setup { send_resolved: false, ..SETUP }],
            &["09:00 - fire a", "10:00 - end a", "11:00 - fire a", "12:00 - done"],
            &["09:00:30 a", "11:00:30 a"],
        ),
    ]);
}
