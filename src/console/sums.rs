//! What was spent on each day, remembered: the past changes little, and summing it up takes time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::clock;
use crate::spend::By;
use crate::store::{Spent, Store, StoreError};

/// How long the sums of a day that is over are believed: charges come late, and are corrected.
const BELIEVED: Duration = Duration::from_mins(10);
/// How long what was usual by this time of the day is believed.
const USUAL_BELIEVED: Duration = Duration::from_mins(5);
/// Sums of one day that are remembered at most; a day with more is summed up at each look.
const SUMS_MAX: usize = 5_000;
/// Days, each by one grouping, that are remembered at most.
const DAYS_MAX: usize = 400;
/// Sums of all days together that are remembered at most; the days that were summed up longest ago go first.
const KEPT_MAX: usize = 100_000;

/// The sums of one day.
type Day = Arc<Vec<Spent>>;

/// A day by a grouping, whole or until the present time of the day: when it was summed up, and what came of it.
type Known = BTreeMap<(Date, u8, bool), (Timestamp, Day)>;

/// What is remembered. One for all requests.
#[derive(Debug, Default)]
pub(super) struct Sums(Mutex<Known>);

impl Sums {
    /// What was spent on a day of UTC, by a grouping; of today so far.
    pub(super) async fn of_day(
        &self,
        store: &Store,
        day: Date,
        by: By,
        now: Timestamp,
    ) -> Result<Day, StoreError> {
        let [from, to] = edges(day);
        if to > now {
            return Ok(Arc::new(store.spent(from, to, by).await?));
        }
        self.remembered((day, rank(by), false), BELIEVED, now, store.spent(from, to, by)).await
    }

    /// What was spent on a day by the time of the day that it is now, by account.
    pub(super) async fn by_now(
        &self,
        store: &Store,
        day: Date,
        now: Timestamp,
    ) -> Result<Day, StoreError> {
        let [from, _] = edges(day);
        let [midnight, _] = edges(now.to_zoned(TimeZone::UTC).date());
        let to = clock::add(from, clock::until(midnight, now));
        let key = (day, rank(By::Account), true);
        self.remembered(key, USUAL_BELIEVED, now, store.spent(from, to, By::Account)).await
    }

    async fn remembered(
        &self,
        key: (Date, u8, bool),
        believed: Duration,
        now: Timestamp,
        ask: impl Future<Output = Result<Vec<Spent>, StoreError>>,
    ) -> Result<Day, StoreError> {
        if let Some((at, sums)) = self.lock().get(&key)
            && clock::until(*at, now) < believed
            && *at <= now
        {
            return Ok(Arc::clone(sums));
        }
        let sums = Arc::new(ask.await?);
        if sums.len() <= SUMS_MAX {
            remember(&mut self.lock(), key, (now, Arc::clone(&sums)));
        }
        Ok(sums)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Remembers a day, and forgets those for which there is no room.
fn remember(known: &mut Known, key: (Date, u8, bool), day: (Timestamp, Day)) {
    known.remove(&key);
    let mut kept: usize = known.values().map(|(_, sums)| sums.len()).sum();
    while known.len() >= DAYS_MAX || kept + day.1.len() > KEPT_MAX {
        let oldest = known.iter().min_by_key(|(_, (at, _))| *at).map(|(key, _)| *key);
        let Some((_, sums)) = oldest.and_then(|key| known.remove(&key)) else { break };
        kept -= sums.len();
    }
    known.insert(key, day);
}

/// When a day of UTC begins, and the next.
pub(super) fn edges(day: Date) -> [Timestamp; 2] {
    let begins = |day: Date| {
        day.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |midnight| midnight.timestamp())
    };
    [begins(day), day.tomorrow().map_or(Timestamp::MAX, begins)]
}

fn rank(by: By) -> u8 {
    match by {
        By::Account => 0,
        By::Product => 1,
        By::Day => 2,
        By::Kind => 3,
        By::Connection => 4,
        By::Country => 5,
        By::Number => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spend::Sum;

    #[test]
    fn days_of_many_sums_make_room() {
        let sum = Spent {
            account: "a".to_owned(),
            currency: "USD".to_owned(),
            group: None,
            sum: Sum { charges: 1, amount: rust_decimal::Decimal::ONE },
        };
        let day = |number: i64, sums: usize| {
            let at = Timestamp::from_second(number).expect("in range");
            (at, Arc::new(vec![sum.clone(); sums]))
        };
        let first: Date = "2026-01-01".parse().expect("date");
        let mut known = Known::new();
        let days = KEPT_MAX / SUMS_MAX;
        for (number, date) in first.series(jiff::Span::new().days(1)).take(days + 3).enumerate() {
            remember(&mut known, (date, 0, false), day(number.try_into().unwrap(), SUMS_MAX));
        }
        assert_eq!(known.len(), days);
        assert_eq!(known.first_key_value().map(|(key, _)| key.0.day()), Some(4), "the newest stay");
        // The same day again takes its own place.
        let last = *known.last_key_value().expect("some").0;
        remember(&mut known, last, day(99, SUMS_MAX));
        assert_eq!(known.len(), days);
        for (number, date) in first.series(jiff::Span::new().days(1)).take(DAYS_MAX + 5).enumerate()
        {
            remember(&mut known, (date, 1, false), day(1000 + i64::try_from(number).unwrap(), 0));
        }
        assert_eq!(known.len(), DAYS_MAX);
    }
}
