//! What is due when: one deadline for each thing that has one, the earliest first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::alerts::Fingerprint;

/// Something that waits for a time. At the same time, ends come before flushes: so a notification says the newest state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// `active_for` of an event rule's alert.
    Alert(Fingerprint),
    /// A series is to be judged.
    Series(SeriesKey),
    /// The engine notes that it was ready until now.
    Ready,
    /// A group is to be looked at.
    Group(String),
}

/// The deadlines.
#[derive(Debug, Clone, Default)]
pub(super) struct Timers {
    order: BTreeSet<(Timestamp, Due)>,
    deadlines: BTreeMap<Due, Timestamp>,
    /// Groups whose deadline was set since it was last asked which.
    moved: BTreeSet<String>,
}

impl Timers {
    /// Sets, moves or (with `None`) removes a deadline.
    pub(super) fn set(&mut self, due: Due, at: Option<Timestamp>) {
        if self.deadlines.get(&due).copied() == at {
            return;
        }
        if let Due::Group(key) = &due {
            self.moved.insert(key.clone());
        }
        let before = match at {
            Some(at) => self.deadlines.insert(due.clone(), at),
            None => self.deadlines.remove(&due),
        };
        if let Some(before) = before {
            self.order.remove(&(before, due.clone()));
        }
        if let Some(at) = at {
            self.order.insert((at, due));
        }
    }

    /// Sets a deadline unless an earlier one is set.
    pub(super) fn set_earlier(&mut self, due: Due, at: Timestamp) {
        if self.deadlines.get(&due).is_none_or(|planned| *planned > at) {
            self.set(due, Some(at));
        }
    }

    /// When something is due.
    pub(super) fn of(&self, due: &Due) -> Option<Timestamp> {
        self.deadlines.get(due).copied()
    }

    /// Groups whose deadline was set since this was last asked.
    pub(super) fn take_moved(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.moved)
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes the earliest that is due by `until`.
    pub(super) fn pop(&mut self, until: Timestamp) -> Option<(Timestamp, Due)> {
        let (at, due) = self.order.first().filter(|(at, _)| *at <= until)?.clone();
        self.set(due.clone(), None);
        Some((at, due))
    }
}

/// Identity of a series: its rule, and the fingerprint of its alert.
pub(super) type SeriesKey = (Arc<str>, Fingerprint);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("in range")
    }

    #[test]
    fn each_thing_has_one_deadline_and_the_earliest_comes_first() {
        let mut timers = Timers::default();
        let group = |name: &str| Due::Group(name.to_owned());
        timers.set(group("a"), Some(at(30)));
        timers.set(group("b"), Some(at(20)));
        timers.set(Due::Ready, Some(at(20)));
        timers.set(group("a"), Some(at(10)));
        timers.set(group("c"), Some(at(5)));
        timers.set(group("c"), None);
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.pop(at(9)), None);
        assert_eq!(timers.pop(at(99)), Some((at(10), group("a"))));
        assert_eq!(timers.pop(at(99)), Some((at(20), Due::Ready)));
        assert_eq!(timers.pop(at(20)), Some((at(20), group("b"))));
        assert_eq!(timers.pop(at(99)), None);
    }
}
