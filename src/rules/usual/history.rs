//! The hours of a series that are over, week by week.

use std::collections::VecDeque;

use super::computed::Cache;
use super::week::{Cell, Week};
use super::{Kept, WEEK_HOURS, WEEKS_MAX};

/// Bytes that the packed weeks of a series take at most. With all that is around them, what is computed from them
/// included, a history stays within 4 KiB. Where eight weeks do not fit, as many as do are kept: eight of two bytes an
/// hour, five of three, four of four.
const WEEKS_BYTES_MAX: usize = 3_480;

/// What a series had in each hour of the last weeks.
#[derive(Debug, Clone)]
pub struct History {
    /// The first hour that counts; before it nothing is known.
    from: i64,
    /// Weeks that have something, oldest first: number (hours since 1970 by 168) and content.
    weeks: VecDeque<(i64, Week)>,
    /// What was computed last.
    pub(super) cache: Option<Box<Cache>>,
}

impl PartialEq for History {
    fn eq(&self, other: &Self) -> bool {
        (self.from, &self.weeks) == (other.from, &other.weeks)
    }
}

/// The week of an hour.
fn week_of(hour: i64) -> i64 {
    hour.div_euclid(WEEK_HOURS)
}

impl History {
    /// One that begins with this hour.
    pub(super) fn new(from: i64) -> Self {
        Self { from, weeks: VecDeque::new(), cache: None }
    }

    /// The first hour that counts.
    pub(super) fn from(&self) -> i64 {
        self.from
    }

    /// Lets it begin with an earlier hour.
    pub(super) fn begin(&mut self, hour: i64) -> bool {
        let is_earlier = hour < self.from;
        if is_earlier {
            self.from = hour;
            self.cache = None;
        }
        is_earlier
    }

    /// Keeps an hour, merged with what is known of it; the numbers of the weeks that changed. What was before the first
    /// hour that counts is not kept.
    pub(super) fn keep(&mut self, hour: i64, cell: Cell, kept: Kept) -> Vec<i64> {
        let number = week_of(hour);
        let place = usize::try_from(hour.rem_euclid(WEEK_HOURS)).unwrap_or(0);
        let newest = self.weeks.back().map_or(number, |(newest, _)| *newest);
        if hour < self.from || number + i64::from(WEEKS_MAX) < newest {
            return Vec::new();
        }
        self.cache = None;
        let at = self.weeks.binary_search_by_key(&number, |(number, _)| *number);
        let mut cells = at
            .ok()
            .and_then(|at| self.weeks.get(at))
            .map(|(_, week)| week.unpack())
            .unwrap_or_default();
        match cells.binary_search_by_key(&place, |(place, _)| *place) {
            Ok(at) => {
                if let Some((_, known)) = cells.get_mut(at) {
                    *known = merged(*known, cell, kept);
                }
            }
            Err(at) => cells.insert(at, (place, cell)),
        }
        let week = Week::pack(&cells, kept == Kept::Mean);
        match at {
            Ok(at) => {
                if let Some(known) = self.weeks.get_mut(at) {
                    known.1 = week;
                }
            }
            Err(at) => self.weeks.insert(at, (number, week)),
        }
        let mut changed = vec![number];
        changed.extend(self.fit());
        changed
    }

    /// Forgets weeks that are too old, and those that do not fit; their numbers.
    fn fit(&mut self) -> Vec<i64> {
        let newest = self.weeks.back().map_or(0, |(newest, _)| *newest);
        let mut gone = Vec::new();
        while let Some((oldest, _)) = self.weeks.front() {
            let oldest = *oldest;
            let is_old = oldest + i64::from(WEEKS_MAX) < newest;
            let is_much = self.weeks.len() > 1 && self.len() > WEEKS_BYTES_MAX;
            if !is_old && !is_much {
                break;
            }
            self.weeks.pop_front();
            gone.push(oldest);
            if is_much {
                self.from = self.from.max((oldest + 1) * WEEK_HOURS);
            }
        }
        gone
    }

    /// Bytes of its packed weeks.
    fn len(&self) -> usize {
        self.weeks.iter().map(|(_, week)| week.bytes().len()).sum()
    }

    /// The week of an hour, if it has something.
    pub(super) fn week(&self, hour: i64) -> Option<&Week> {
        let at = self.weeks.binary_search_by_key(&week_of(hour), |(number, _)| *number).ok()?;
        self.weeks.get(at).map(|(_, week)| week)
    }

    /// The last hour of which something is kept, to the week; for who has to make room.
    pub fn newest(&self) -> i64 {
        self.weeks.back().map_or(self.from, |(number, _)| (number + 1) * WEEK_HOURS)
    }

    /// What is stored of one of its weeks; `None` when nothing is.
    pub fn stored_week(&self, number: i64) -> Option<&[u8]> {
        self.week(number * WEEK_HOURS).map(Week::bytes)
    }

    /// The numbers of its weeks.
    pub fn weeks(&self) -> impl Iterator<Item = i64> {
        self.weeks.iter().map(|(number, _)| *number)
    }

    /// One as it was stored, without its weeks.
    pub fn resume(from: i64) -> Self {
        Self::new(from)
    }

    /// Sets the first hour that counts, as it was stored.
    pub fn set_from(&mut self, from: i64) {
        self.from = from;
    }

    /// Adds a week as it was stored; `false` when it cannot be read back.
    pub fn resume_week(&mut self, number: i64, bytes: &[u8]) -> bool {
        let Some(week) = Week::read(bytes) else { return false };
        match self.weeks.binary_search_by_key(&number, |(number, _)| *number) {
            Ok(_) => return false,
            Err(at) => self.weeks.insert(at, (number, week)),
        }
        true
    }

    /// What is stored beside the weeks.
    pub fn stored_from(&self) -> i64 {
        self.from
    }
}

/// Two parts of one hour.
fn merged(known: Cell, more: Cell, kept: Kept) -> Cell {
    let (Cell::Some(a, count), Cell::Some(b, further)) = (known, more) else { return Cell::Void };
    let count_in_all = count.saturating_add(further);
    match kept {
        Kept::Total | Kept::Mean => Cell::Some(a.saturating_add(b), count_in_all),
        Kept::Greatest => Cell::Some(a.max(b), count_in_all),
        Kept::Least => Cell::Some(a.min(b), count_in_all),
        // The number of readings was not kept: the mean of the hour as it was first closed stays.
        Kept::Reading => known,
    }
}
