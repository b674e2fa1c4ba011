//! The life of an event alert: fires, is extended by further matches, ends by word or by time.

use std::time::Duration;

use jiff::Timestamp;

use super::{Alert, AlertState, Fingerprint};
use crate::clock;
use crate::event::Snapshot;
use crate::rules::{Firing, Labels, Series};

/// An event that was fetched this long after it happened was missed: messages say so.
const MISSED_MIN: Duration = Duration::from_mins(5);

/// What happened to an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// It was not there, or had ended, and fires now.
    Fired,
    /// It fired already: its end moved, its annotations are fresh. Nobody is told.
    Extended,
    /// The match is so old that the alert was over before it began: told once, as ended.
    FiredAndEnded,
    /// Something said that it is over.
    Resolved,
    /// `active_for` passed.
    Expired,
    /// No reading came.
    NoData,
    /// Its rule is gone.
    RuleRemoved,
}

/// A match of an event rule: what the alert is now. `current` is the alert of the same fingerprint, if one is kept.
///
/// The alert lasts `active_for` from when the event happened, not from when we heard of it. One that is older than what
/// the alert knows makes it begin earlier, and takes nothing else from it.
pub fn fire(
    current: Option<&Alert>,
    rule: &str,
    firing: &Firing,
    event: Snapshot,
    now: Timestamp,
) -> (Alert, Transition) {
    let starts_at = firing.at.min(now);
    let ends_at = clock::add(starts_at, firing.active_for);
    let active =
        current.filter(|alert| alert.is_firing() && alert.ends_at.is_none_or(|at| at > now));
    let over = ends_at <= now;
    let mut alert = Alert {
        fingerprint: Fingerprint::of(&firing.labels),
        rule: rule.to_owned(),
        labels: firing.labels.clone(),
        annotations: firing.annotations.clone(),
        state: if over { AlertState::Expired } else { AlertState::Firing },
        starts_at,
        ends_at: Some(ends_at),
        updated_at: now,
        event_at: firing.sent_at,
        missed: firing.backfilled && clock::until(starts_at, now) >= MISSED_MIN,
        value: None,
        notify_expired: firing.notify_expired,
        event,
    };
    match active {
        Some(active) => {
            alert.state = AlertState::Firing;
            alert.starts_at = active.starts_at.min(starts_at);
            alert.ends_at = active.ends_at.max(alert.ends_at);
            if is_before(firing.sent_at, active.event_at) {
                alert.annotations.clone_from(&active.annotations);
                alert.event = active.event.clone();
            }
            alert.event_at = active.event_at.max(firing.sent_at);
            // Who was told that it fires knows; what comes in by itself later says that it is no old story.
            alert.missed = active.missed && firing.backfilled;
            (alert, Transition::Extended)
        }
        None if over => (alert, Transition::FiredAndEnded),
        None => (alert, Transition::Fired),
    }
}

/// Whether one event happened before another, by the sender's word; where that is not known they are in the order in
/// which they came.
fn is_before(one: Option<Timestamp>, other: Option<Timestamp>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one < other)
}

/// A series' alert begins to fire, or goes on with fresh values: it lasts until word comes.
pub fn raise(
    current: Option<&Alert>,
    series: &Series,
    annotations: Labels,
    since: Timestamp,
    now: Timestamp,
) -> (Alert, Transition) {
    let active = current.filter(|alert| alert.is_firing());
    let labels = series.labels.unpack();
    let alert = Alert {
        fingerprint: Fingerprint::of(&labels),
        rule: series.rule.to_string(),
        labels,
        annotations,
        state: AlertState::Firing,
        starts_at: active.map_or(since, |active| active.starts_at),
        ends_at: None,
        updated_at: now,
        event_at: None,
        missed: false,
        value: series.value,
        notify_expired: false,
        event: series.event.clone(),
    };
    (alert, if active.is_some() { Transition::Extended } else { Transition::Fired })
}

/// A match of `resolve_on`: the ended alert, or `None` when it does not fire, or fires by an event that happened after
/// this one.
pub fn resolve(
    current: &Alert,
    event: Snapshot,
    sent_at: Option<Timestamp>,
    now: Timestamp,
) -> Option<(Alert, Transition)> {
    if is_before(sent_at, current.event_at) {
        return None;
    }
    let (ended, transition) = end(current, AlertState::Resolved, now)?;
    let event_at = sent_at.or(ended.event_at);
    Some((Alert { event_at, event, ..ended }, transition))
}

/// The alert ends now, in the given way; `None` when it does not fire.
pub fn end(current: &Alert, state: AlertState, now: Timestamp) -> Option<(Alert, Transition)> {
    current.is_firing().then(|| {
        let ended = Alert { state, ends_at: Some(now), updated_at: now, ..current.clone() };
        let transition = match state {
            AlertState::Expired => Transition::Expired,
            AlertState::NoData => Transition::NoData,
            AlertState::RuleRemoved => Transition::RuleRemoved,
            AlertState::Firing | AlertState::Resolved => Transition::Resolved,
        };
        (ended, transition)
    })
}

/// The passing of time: the expired alert, or `None` when it lasts.
pub fn expire(current: &Alert, now: Timestamp) -> Option<(Alert, Transition)> {
    (current.is_firing() && current.ends_at.is_some_and(|at| at <= now))
        .then(|| (Alert { state: AlertState::Expired, ..current.clone() }, Transition::Expired))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minutes * 60).expect("in range")
    }

    fn firing(at: Timestamp) -> Firing {
        Firing {
            labels: [("alertname".to_owned(), "X".to_owned())].into(),
            annotations: [("summary".to_owned(), at.to_string())].into(),
            active_for: HOUR,
            notify_expired: false,
            template_errors: vec![],
            at,
            sent_at: Some(at),
            backfilled: false,
        }
    }

    fn kept(id: &str) -> Snapshot {
        serde_json::json!({ "id": id }).into()
    }

    #[test]
    fn a_further_match_extends_and_tells_nobody() {
        let (first, transition) = fire(None, "g/X", &firing(at(0)), Snapshot::NONE, at(1));
        assert_eq!((transition, first.ends_at), (Transition::Fired, Some(at(60))));
        let (second, transition) =
            fire(Some(&first), "g/X", &firing(at(30)), Snapshot::NONE, at(30));
        assert_eq!((transition, second.ends_at), (Transition::Extended, Some(at(90))));
        assert_eq!(
            (second.starts_at, &second.annotations["summary"]),
            (at(0), &at(30).to_string())
        );
        // An older event that comes late does not shorten it.
        let (third, transition) =
            fire(Some(&second), "g/X", &firing(at(10)), Snapshot::NONE, at(31));
        assert_eq!((transition, third.ends_at), (Transition::Extended, Some(at(90))));
    }

    #[test]
    fn it_ends_by_word_or_by_time_and_fires_again() {
        let (alert, _) = fire(None, "g/X", &firing(at(0)), Snapshot::NONE, at(0));
        assert_eq!(expire(&alert, at(59)), None);
        let (expired, _) = expire(&alert, at(60)).expect("over");
        assert_eq!(expired.state, AlertState::Expired);
        assert_eq!(resolve(&expired, Snapshot::NONE, None, at(61)), None);
        let (resolved, _) = resolve(&alert, Snapshot::NONE, Some(at(5)), at(5)).expect("fires");
        assert_eq!((resolved.state, resolved.ends_at), (AlertState::Resolved, Some(at(5))));
        let (again, transition) =
            fire(Some(&resolved), "g/X", &firing(at(6)), Snapshot::NONE, at(6));
        assert_eq!((transition, again.starts_at), (Transition::Fired, at(6)));
    }

    #[test]
    fn an_event_older_than_its_alert_would_last_is_told_once_as_ended() {
        let (alert, transition) = fire(None, "g/X", &firing(at(0)), Snapshot::NONE, at(90));
        assert_eq!((transition, alert.state), (Transition::FiredAndEnded, AlertState::Expired));
        assert_eq!(alert.ends_at, Some(at(60)));
    }

    #[test]
    fn what_was_fetched_says_so_unless_it_is_news() {
        let fetched = |at| Firing { backfilled: true, ..firing(at) };
        let (alert, _) = fire(None, "g/X", &fetched(at(0)), Snapshot::NONE, at(5));
        assert!(alert.missed);
        let (news, _) = fire(None, "g/X", &fetched(at(0)), Snapshot::NONE, at(4));
        assert!(!news.missed);
        let (late, _) = fire(None, "g/X", &firing(at(0)), Snapshot::NONE, at(30));
        assert!(!late.missed, "a webhook that was long under way");
        // Who was told that it fires has nothing to be told of it; what comes by itself makes it news.
        let (more, _) = fire(Some(&alert), "g/X", &fetched(at(1)), Snapshot::NONE, at(6));
        assert!(more.missed);
        let (more, _) = fire(Some(&more), "g/X", &firing(at(7)), Snapshot::NONE, at(7));
        assert!(!more.missed);
        let (more, _) = fire(Some(&late), "g/X", &fetched(at(1)), Snapshot::NONE, at(40));
        assert!(!more.missed);
    }

    #[test]
    fn an_older_event_makes_it_begin_earlier_and_says_nothing_else() {
        let (alert, _) = fire(None, "g/X", &firing(at(30)), kept("new"), at(30));
        let (alert, transition) = fire(Some(&alert), "g/X", &firing(at(0)), kept("old"), at(31));
        assert_eq!((transition, alert.starts_at), (Transition::Extended, at(0)));
        assert_eq!((alert.ends_at, alert.event_at), (Some(at(90)), Some(at(30))));
        assert_eq!(
            (&alert.event, &alert.annotations["summary"]),
            (&kept("new"), &at(30).to_string())
        );
        // One without a time of its own is news.
        let silent = Firing { sent_at: None, ..firing(at(32)) };
        let (alert, _) = fire(Some(&alert), "g/X", &silent, kept("newest"), at(32));
        assert_eq!((&alert.event, alert.event_at), (&kept("newest"), Some(at(30))));
    }

    #[test]
    fn an_end_that_is_older_than_what_fired_it_ends_nothing() {
        let (alert, _) = fire(None, "g/X", &firing(at(30)), Snapshot::NONE, at(30));
        assert_eq!(resolve(&alert, Snapshot::NONE, Some(at(29)), at(31)), None);
        for sent_at in [Some(at(30)), Some(at(31)), None] {
            let (ended, _) = resolve(&alert, Snapshot::NONE, sent_at, at(31)).expect("ends");
            assert_eq!((ended.state, ended.ends_at), (AlertState::Resolved, Some(at(31))));
            assert_eq!(ended.event_at, sent_at.or(Some(at(30))));
        }
    }
}
