//! Silences as text for people.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::alerts::{Alert, Silence, SilenceState};
use crate::cli::alerts::{fields, from_now, labels_text, lasted, name, short, span};
use crate::cli::output::{count, table_text};
use crate::template::truncate;

/// Alerts that are named one by one, at most.
const NAMED_MAX: usize = 20;
/// Characters of a comment in a list, at most.
const COMMENT_MAX: usize = 60;

pub(super) fn list_text(silences: &[Silence], now: Timestamp) -> String {
    let rows: Vec<Vec<String>> = silences
        .iter()
        .map(|silence| {
            vec![
                short(&silence.id).to_owned(),
                silence.state(now).as_str().to_owned(),
                standing(silence, now),
                format!("{:.0}", silence.ends_at),
                silence.created_by.clone(),
                matchers_text(silence),
                truncate(&silence.comment, COMMENT_MAX),
            ]
        })
        .collect();
    table_text(&["ID", "STATE", "WHEN", "UNTIL", "BY", "MATCHERS", "COMMENT"], &rows)
}

pub(super) fn standing(silence: &Silence, now: Timestamp) -> String {
    match silence.state(now) {
        SilenceState::Pending => format!("begins {}", from_now(silence.starts_at, now)),
        SilenceState::Active => format!("{} left", span(now, silence.ends_at)),
        SilenceState::Expired => format!("ended {}", from_now(silence.ends_at, now)),
    }
}

pub(super) fn matchers_text(silence: &Silence) -> String {
    silence.matchers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

pub(super) fn silence_text(silence: &Silence, matched: &[&Alert], now: Timestamp) -> String {
    let state = silence.state(now);
    let mut text = format!("silence {} is {}", silence.id, state.as_str());
    let facts = [
        ("matchers", matchers_text(silence)),
        ("from", format!("{:.0}", silence.starts_at)),
        ("until", format!("{:.0} ({})", silence.ends_at, standing(silence, now))),
        ("by", silence.created_by.clone()),
        ("comment", silence.comment.clone()),
    ];
    fields(&mut text, &facts);
    let many = count(matched.len(), "alert that fires", "alerts that fire");
    let will = match (state, matched.len()) {
        (SilenceState::Expired, _) => return text,
        (_, 0) => return text + "\n\nno alert that fires now matches it",
        (SilenceState::Active, 1) => "is silenced",
        (SilenceState::Active, _) => "are silenced",
        (SilenceState::Pending, _) => "would be silenced",
    };
    let rows: Vec<Vec<String>> = matched
        .iter()
        .take(NAMED_MAX)
        .map(|alert| {
            let labels = labels_text(&alert.labels);
            vec![alert.fingerprint.to_string(), name(alert).to_owned(), lasted(alert, now), labels]
        })
        .collect();
    let table = table_text(&["FINGERPRINT", "ALERT", "LASTS", "LABELS"], &rows);
    write!(text, "\n\n{many} now {will} by it\n\n{table}")
        .expect("writing to a string cannot fail");
    if let Some(more @ 1..) = matched.len().checked_sub(NAMED_MAX) {
        write!(text, "\nand {more} more: see tollbell alerts")
            .expect("writing to a string cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::alerts::{AlertState, Fingerprint, Matcher, SilenceDraft};
    use crate::event::Snapshot;
    use crate::rules::Labels;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-23T{text}Z").parse().expect(text)
    }

    fn silence(starts: &str, ends: &str) -> Silence {
        let draft = SilenceDraft {
            matchers: ["alertname=LowBalance", "team=~\"billing|finance\""]
                .map(|text| Matcher::parse(text).expect(text))
                .to_vec(),
            starts_at: at(starts),
            ends_at: at(ends),
            created_by: "ada".to_owned(),
            comment: "paying\nin the morning".to_owned(),
        };
        Silence {
            id: format!("3f2a9c{}-0d6b-4c1f-9a57-6d3f1a2b4c5d", starts.get(..2).expect(starts)),
            ..Silence::new(draft, at("00:00:00")).expect("silence")
        }
    }

    fn alerts(count: usize) -> Vec<Alert> {
        (0..count)
            .map(|number| {
                let labels: Labels =
                    [("alertname", "LowBalance".to_owned()), ("account", number.to_string())]
                        .map(|(name, value)| (name.to_owned(), value))
                        .into();
                Alert {
                    fingerprint: Fingerprint::of(&labels),
                    rule: "money/LowBalance".to_owned(),
                    labels,
                    annotations: Labels::new(),
                    state: AlertState::Firing,
                    starts_at: at("01:52:40"),
                    ends_at: None,
                    updated_at: at("02:30:00"),
                    event_at: None,
                    missed: false,
                    value: None,
                    notify_expired: false,
                    event: Snapshot::NONE,
                }
            })
            .collect()
    }

    #[test]
    fn a_list_says_until_when() {
        let silences = [
            silence("02:00:00", "05:30:00"),
            silence("22:00:00", "23:00:00"),
            silence("01:00:00", "02:59:00"),
        ];
        insta::assert_snapshot!(list_text(&silences, at("03:00:00")), @r#"
        ID        STATE    WHEN           UNTIL                 BY   MATCHERS                                        COMMENT
        3f2a9c02  active   2h 30m left    2026-11-23T05:30:00Z  ada  alertname="LowBalance" team=~"billing|finance"  paying in the morning
        3f2a9c22  pending  begins in 19h  2026-11-23T23:00:00Z  ada  alertname="LowBalance" team=~"billing|finance"  paying in the morning
        3f2a9c01  expired  ended 1m ago   2026-11-23T02:59:00Z  ada  alertname="LowBalance" team=~"billing|finance"  paying in the morning
        "#);
    }

    #[test]
    fn a_silence_says_what_it_keeps_quiet_now() {
        let firing = alerts(2);
        let firing: Vec<&Alert> = firing.iter().collect();
        let active = silence("02:00:00", "05:30:00");
        insta::assert_snapshot!(silence_text(&active, &firing, at("03:00:00")), @r#"
        silence 3f2a9c02-0d6b-4c1f-9a57-6d3f1a2b4c5d is active
          matchers     alertname="LowBalance" team=~"billing|finance"
          from         2026-11-23T02:00:00Z
          until        2026-11-23T05:30:00Z (2h 30m left)
          by           ada
          comment      paying in the morning

        2 alerts that fire now are silenced by it

        FINGERPRINT       ALERT       LASTS  LABELS
        657dcafc5816bcb1  LowBalance  1h 7m  account="0"
        e76e5494c74e1dfe  LowBalance  1h 7m  account="1"
        "#);
        for (silence, count, last) in [
            (&active, 0, "no alert that fires now matches it"),
            (&silence("22:00:00", "23:00:00"), 0, "no alert that fires now matches it"),
            (&silence("01:00:00", "02:00:00"), 2, "  comment      paying in the morning"),
        ] {
            let text = silence_text(silence, &firing[..count], at("03:00:00"));
            assert_eq!(text.lines().last(), Some(last), "{text}");
        }
        for (silence, count, words) in [
            (&active, 1, "\n1 alert that fires now is silenced by it\n"),
            (
                &silence("22:00:00", "23:00:00"),
                2,
                "\n2 alerts that fire now would be silenced by it\n",
            ),
        ] {
            let text = silence_text(silence, &firing[..count], at("03:00:00"));
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn a_flood_is_counted_not_listed() {
        let now = at("03:00:00");
        let firing = alerts(NAMED_MAX + 3);
        let firing: Vec<&Alert> = firing.iter().collect();
        let silence = silence("02:00:00", "05:30:00");
        let text = silence_text(&silence, &firing, now);
        assert_eq!(text.lines().last(), Some("and 3 more: see tollbell alerts"));
        let whole = silence_text(&silence, &firing[..NAMED_MAX], now);
        assert!(!whole.contains("more"), "{whole}");
    }
}
