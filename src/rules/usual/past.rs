//! A series' past at work: what a rule gives to it and asks it at each judgement.

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::week::Cell;
use super::{History, OpenHours, Outages, Terms, Usual, civil};
use crate::rules::Observation;

/// The history of a series while the series is judged, and what changed in it.
#[derive(Debug)]
pub struct Past<'p> {
    history: &'p mut History,
    outages: &'p Outages,
    /// Whether what was stored before has been taken in.
    is_whole: bool,
    changed: Changed,
}

/// What changed in a history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// Numbers of the weeks that did; those that are gone, too.
    pub weeks: Vec<i64>,
    /// Whether it begins with another hour now.
    pub from: bool,
}

impl<'p> Past<'p> {
    /// The past of a series that is about to be judged. While it is not whole nothing is called usual.
    pub fn new(history: &'p mut History, outages: &'p Outages, is_whole: bool) -> Self {
        Self { history, outages, is_whole, changed: Changed::default() }
    }

    /// What changed.
    pub fn into_changed(self) -> Changed {
        self.changed
    }

    /// What is usual now. Hours that are over go to the history first.
    pub(in crate::rules) fn usual(
        &mut self,
        terms: &Terms,
        hours: &mut OpenHours,
        now: Timestamp,
    ) -> Option<Usual> {
        for (hour, cell) in hours.close(terms, now) {
            self.keep(terms, hour, cell);
        }
        if !self.is_whole {
            return None;
        }
        self.history.usual(terms, self.outages, now)
    }

    /// Takes a number that was observed.
    pub(in crate::rules) fn observe(
        &mut self,
        terms: &Terms,
        hours: &mut OpenHours,
        number: Decimal,
        at: Timestamp,
        now: Timestamp,
    ) {
        if !hours.observe(terms, number, at, now) {
            let hour = civil::hour_of(civil::seconds(&terms.zone, at));
            self.keep(terms, hour, Cell::Some(number, 1));
        }
    }

    fn keep(&mut self, terms: &Terms, hour: i64, cell: Cell) {
        let from = self.history.from();
        let changed = self.history.keep(hour, cell, terms.kept);
        self.changed.weeks.extend(changed);
        self.changed.from |= self.history.from() != from;
    }

    /// Takes the hours under way of a series that is forgotten.
    pub fn close_all(&mut self, terms: &Terms, hours: &mut OpenHours) {
        for (hour, cell) in hours.close_all(terms) {
            self.keep(terms, hour, cell);
        }
    }

    /// Takes what was observed before the series' rule was there.
    pub fn fill(&mut self, terms: &Terms, observation: &Observation) {
        let hour = civil::hour_of(civil::seconds(&terms.zone, observation.at));
        self.changed.from |= self.history.begin(hour + 1);
        if let Some(number) = observation.value.number() {
            self.keep(terms, hour, Cell::Some(number, 1));
        }
    }
}

impl History {
    /// The history of a series that is observed for the first time: the hour at hand is not whole, and does not count.
    pub fn beginning(terms: &Terms, now: Timestamp) -> Self {
        Self::new(civil::hour_of(civil::seconds(&terms.zone, now)) + 1)
    }
}
