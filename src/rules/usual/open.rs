//! The hours under way of a series.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::week::Cell;
use super::{Kept, Terms, civil};

/// Hours that are held open at most: the one at hand and the one before, for what comes late.
const OPEN_MAX: i64 = 2;

/// The hours of a series that may still change: that at hand and the one before. Part of the series' row.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OpenHours(Vec<Hour>);

/// One of them. An array in JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Hour(
    /// Its name, see [`civil`].
    i64,
    /// Sum, greatest or least; none before the first.
    Option<Decimal>,
    /// Numbers in it.
    u64,
    /// Whether the alert fired in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    bool,
);

impl OpenHours {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a number that was observed at this time; `false` when that hour is over, and belongs to the history.
    pub(super) fn observe(
        &mut self,
        terms: &Terms,
        number: Decimal,
        at: Timestamp,
        now: Timestamp,
    ) -> bool {
        if terms.kept.is_of_level() {
            return true;
        }
        let hour = civil::hour_of(civil::seconds(&terms.zone, at.min(now)));
        let first = civil::hour_of(civil::seconds(&terms.zone, now)) - OPEN_MAX + 1;
        if hour < first {
            return false;
        }
        let open = self.at(hour);
        open.1 = Some(open.1.map_or(number, |sum| sum.saturating_add(number)));
        open.2 = open.2.saturating_add(1);
        true
    }

    /// Notes how the window was judged: its value, and whether the alert fires.
    pub(in crate::rules) fn judge(
        &mut self,
        terms: &Terms,
        value: Option<Decimal>,
        fires: bool,
        begins: bool,
        now: Timestamp,
    ) {
        let hour = civil::hour_of(civil::seconds(&terms.zone, now));
        if let Some(value) = value.filter(|_| terms.kept.is_of_level()) {
            let open = self.at(hour);
            open.1 = Some(match (open.1, terms.kept) {
                (None, _) => value,
                (Some(known), Kept::Least) => known.min(value),
                (Some(known), _) => known.max(value),
            });
            open.2 = 1;
        }
        if fires {
            self.at(hour).3 = true;
        }
        // What made it fire may have begun in the hour before.
        if begins && let Some(before) = self.0.iter_mut().find(|open| open.0 == hour - 1) {
            before.3 = true;
        }
    }

    /// Takes out the hours that are over now: the name of each, and what is kept of it.
    pub(super) fn close(&mut self, terms: &Terms, now: Timestamp) -> Vec<(i64, Cell)> {
        let first = civil::hour_of(civil::seconds(&terms.zone, now)) - OPEN_MAX + 1;
        if self.0.iter().all(|open| open.0 >= first) {
            return Vec::new();
        }
        self.0
            .extract_if(.., |open| open.0 < first)
            .filter_map(|hour| hour.cell(terms.kept))
            .collect()
    }

    /// Takes out all hours: the series is to be forgotten.
    pub(super) fn close_all(&mut self, terms: &Terms) -> Vec<(i64, Cell)> {
        std::mem::take(&mut self.0).iter().filter_map(|hour| hour.cell(terms.kept)).collect()
    }

    fn at(&mut self, hour: i64) -> &mut Hour {
        let place = match self.0.binary_search_by_key(&hour, |open| open.0) {
            Ok(place) => place,
            Err(place) => {
                self.0.insert(place, Hour(hour, None, 0, false));
                place
            }
        };
        #[expect(clippy::indexing_slicing, reason = "found, or just inserted")]
        &mut self.0[place]
    }
}

impl Hour {
    fn cell(&self, kept: Kept) -> Option<(i64, Cell)> {
        if self.3 {
            return Some((self.0, Cell::Void));
        }
        let sum = self.1?;
        let value = match kept {
            Kept::Reading => {
                let mean = sum.checked_div(Decimal::from(self.2.max(1)))?;
                mean.round_dp(sum.scale())
            }
            _ => sum,
        };
        Some((self.0, Cell::Some(value, self.2)))
    }
}
