//! When tollbell was not ready: what happened then is not known, so hours with such a time weigh nothing.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::WEEKS_MAX;
use crate::clock;

/// A shorter time does not count: Telnyx tries again for some minutes.
pub const OUTAGE_MIN: Duration = Duration::from_mins(5);
/// Outages that are kept at most; of more the two that are nearest to each other count as one.
const OUTAGES_MAX: usize = 256;
/// How long they are kept: as long as they can matter.
const KEPT_FOR: Duration = Duration::from_hours((WEEKS_MAX as u64 + 2) * 168);

/// Times in which tollbell was not ready, of the last ten weeks, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outages(Vec<(Timestamp, Timestamp)>);

impl Outages {
    /// Notes one, if it lasted [`OUTAGE_MIN`]; whether it did. They come in the order of time.
    pub fn note(&mut self, from: Timestamp, until: Timestamp) -> bool {
        if clock::until(from, until) < OUTAGE_MIN {
            return false;
        }
        self.0.retain(|(_, end)| clock::add(*end, KEPT_FOR) > until);
        self.0.push((from, until));
        if self.0.len() > OUTAGES_MAX {
            let gap = |pair: &[(Timestamp, Timestamp)]| match pair {
                [(_, end), (next, _)] => clock::until(*end, *next),
                _ => Duration::MAX,
            };
            let nearest = self.0.windows(2).enumerate().min_by_key(|(_, pair)| gap(pair));
            if let Some(at) = nearest.map(|(at, _)| at + 1) {
                let (_, end) = self.0.remove(at);
                if let Some(kept) = self.0.get_mut(at - 1) {
                    kept.1 = kept.1.max(end);
                }
            }
        }
        true
    }

    /// Whether one has a part in this time.
    pub fn any_between(&self, from: Timestamp, until: Timestamp) -> bool {
        self.0.iter().rev().any(|(begin, end)| *begin < until && from < *end)
    }
}
