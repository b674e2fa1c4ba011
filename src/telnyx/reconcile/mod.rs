//! The charge ledger, compared with Telnyx's own records.
//!
//! Receives what `GET /detail_records` and the ledger say of a range of time that has settled. Promises each range once:
//! what is found and how far it was found go into the inbox in one commit, so that an end at any instant neither doubles nor
//! skips. Never asks faster than other programs of the account can bear, and never moves money.
//!
//! [`record`] reads a record, [`compare`] decides, this file asks and keeps the place.

mod compare;
mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use self::compare::{Compared, Ground, Range, compare};
use self::record::{RECORD_TYPES, Record, RecordType};
use super::{ApiError, ApiSettings, Client, Deps, Endpoint, Means};
use crate::clock::{self, Clock};
use crate::rules::{CallKey, Entry, LedgerKey};
use crate::store::{ChargeFilter, Checkpoint, Feed, StoreError};
use crate::tasks::Tasks;

/// The name of the place.
const SOURCE: &str = "reconcile";
/// How often there is a comparison.
const EVERY: Duration = Duration::from_hours(6);
/// The first one after a start comes this late: what was missed meanwhile is fetched before.
const FIRST_AFTER: Duration = Duration::from_mins(15);
/// When there is another try after one that failed.
const RETRY_AFTER: Duration = Duration::from_hours(1);
/// How old a record must be: Telnyx books behind the event.
const SETTLED: Duration = Duration::from_hours(1);
/// Longest range of one comparison; when more is open, the next one follows.
const RANGE_MAX: Duration = Duration::from_hours(24);
/// What is read before the range, so that a charge at its edge is seen with its record.
const BEFORE: Duration = Duration::from_hours(1);
/// What is read behind it, so that the parts of a call are all there.
const BEHIND: Duration = Duration::from_mins(5);
/// Records on a page: Telnyx gives no more, whatever is asked.
const PAGE_SIZE: u32 = 50;
/// Pages of one record type in one comparison.
const PAGES_MAX: u32 = 200;
/// Between two pages. Telnyx allows 40 calls a minute for all programs of an account.
const PAGE_PAUSE: Duration = Duration::from_secs(3);
/// Charges of the ledger in one comparison.
const CHARGES_MAX: usize = 50_000;
/// Charges that are read at a time, and keys that are looked up at a time.
const BATCH: usize = 500;

/// Why a comparison did not happen.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(super) async fn run((deps, settings, client): Means, tasks: Tasks) {
    let Some(max_age) = settings.backfill else { return tasks.stopping().await };
    let worker = Worker { deps, settings, client, max_age };
    tokio::select! {
        () = tasks.stopping() => {}
        () = worker.work() => {}
    }
}

struct Worker {
    deps: Deps,
    settings: Arc<ApiSettings>,
    client: Client,
    max_age: Duration,
}

impl Worker {
    async fn work(&self) {
        let clock = &self.deps.clock;
        let mut not_before = clock::add(clock.now(), FIRST_AFTER);
        loop {
            if let Err(error) = self.once(clock, not_before).await {
                let account = &self.settings.account;
                tracing::warn!(account, %error, "the ledger could not be compared with detail records");
                not_before = clock::add(clock.now(), RETRY_AFTER);
                clock.sleep_until(not_before).await;
            }
        }
    }

    /// Waits for the next comparison and makes it.
    async fn once(&self, clock: &Clock, not_before: Timestamp) -> Result<(), Failed> {
        let Some(until) = self.place().await? else {
            // What was charged before there was a ledger is none of its business.
            return self.keep(clock.now(), Vec::new()).await;
        };
        clock.sleep_until(due(until).max(not_before)).await;
        let now = clock.now();
        let range = range(until, now, self.max_age);
        let compared = self.compare(range, now).await?;
        let Compared { events, records, booked, unbooked, void } = compared;
        self.keep(range.to, events).await?;
        let account = &self.settings.account;
        if void > 0 {
            tracing::warn!(account, records = void, "detail records that say nothing are left out");
        }
        let (from, to) = (range.from.to_string(), range.to.to_string());
        tracing::info!(
            account,
            from,
            to,
            records,
            booked,
            unbooked,
            "the ledger was compared with detail records"
        );
        Ok(())
    }

    async fn place(&self) -> Result<Option<Timestamp>, StoreError> {
        let place = self.deps.store.place(&self.settings.account, SOURCE).await?;
        Ok(place.and_then(|bytes| read_checkpoint(&bytes)))
    }

    async fn keep(&self, until: Timestamp, events: Vec<crate::event::Event>) -> Result<(), Failed> {
        let account = self.settings.account.clone();
        let value = json!({"until": until.to_string()}).to_string().into_bytes();
        let checkpoint = Some(Checkpoint { account, source: SOURCE, value });
        self.deps.store.feed(Feed { events, reading: None, checkpoint }).await?;
        Ok(())
    }

    async fn compare(&self, range: Range, now: Timestamp) -> Result<Compared, Failed> {
        let (mut records, mut whole, mut refused) = (Vec::new(), BTreeSet::new(), 0);
        for of in &RECORD_TYPES {
            match self.records(of, range, &mut records).await {
                Ok(true) => drop(whole.insert(of.word)),
                Ok(false) => self.tell_partial(of, "there are more than are read at once, or Telnyx does not say clearly that these are all"),
                // A type that this account does not have, or that its key may not read; the others may be there.
                Err(error) if is_of_type(&error, of) && refused + 1 < RECORD_TYPES.len() => {
                    refused += 1;
                    self.tell_partial(of, &error.to_string());
                }
                Err(error) => return Err(error.into()),
            }
        }
        let (mut entries, ledger_whole) = self.charges(range, now).await?;
        if !ledger_whole {
            tracing::warn!(
                account = self.settings.account,
                "the ledger holds more charges of this range than are compared"
            );
        }
        let legs = self.known(&records, &mut entries).await?;
        let account = &self.settings.account;
        Ok(compare(&Ground { account, range, records, whole, entries, ledger_whole, legs, now }))
    }

    fn tell_partial(&self, of: &RecordType, reason: &str) {
        let account = &self.settings.account;
        let record_type = of.word;
        tracing::warn!(account, record_type, reason, "detail records are compared in part only");
    }

    /// Reads the records of one type, by the first of its times that Telnyx takes; tells whether these are all.
    async fn records(
        &self,
        of: &'static RecordType,
        range: Range,
        records: &mut Vec<Record>,
    ) -> Result<bool, ApiError> {
        let mut refusal = None;
        for time in of.times {
            match self.records_by(of, time, range, records).await {
                Err(error) if matches!(error.status(), Some(400 | 422)) => refusal = Some(error),
                read => return read,
            }
        }
        refusal.map_or(Ok(true), Err)
    }

    async fn records_by(
        &self,
        of: &'static RecordType,
        time: &str,
        range: Range,
        records: &mut Vec<Record>,
    ) -> Result<bool, ApiError> {
        let (from, to) = (clock::sub(range.from, BEFORE), clock::add(range.to, BEHIND));
        let query = [
            ("filter[record_type]", of.word.to_owned()),
            (&*format!("filter[{time}][gte]"), from.to_string()),
            (&*format!("filter[{time}][{}]", of.until), to.to_string()),
        ];
        let ApiSettings { account, currency, .. } = &*self.settings;
        let default = self.deps.store.currencies().or_read(currency.as_deref(), account);
        let clock = &self.deps.clock;
        let mut pages = self.client.pages(&Endpoint::DETAIL_RECORDS, &query, PAGE_SIZE);
        while let Some(page) = pages.next().await? {
            let read = page.items.iter().map(|json| Record::read(of, json, default.as_deref()));
            records.extend(read.filter(|record| record.at.is_none_or(|at| from <= at && at < to)));
            if pages.is_over() {
                break;
            }
            if page.number >= PAGES_MAX {
                return Ok(false);
            }
            clock.sleep_until(clock::add(clock.now(), PAGE_PAUSE)).await;
        }
        Ok(pages.end().is_whole())
    }

    /// The ledger's charges since the range begins; tells whether these are all.
    async fn charges(
        &self,
        range: Range,
        now: Timestamp,
    ) -> Result<(BTreeMap<String, Entry>, bool), StoreError> {
        let mut filter = ChargeFilter {
            account: Some(self.settings.account.clone()),
            from: clock::sub(range.from, BEFORE),
            to: clock::add(now, SETTLED),
            after: None,
            limit: BATCH,
        };
        let mut entries = BTreeMap::new();
        loop {
            let page = self.deps.store.charges(filter.clone()).await?;
            let is_last = page.len() < BATCH;
            filter.after = page.last().map(|entry| (entry.at, entry.key.clone()));
            entries.extend(page.into_iter().map(|entry| (entry.key.key.clone(), entry)));
            if is_last {
                return Ok((entries, true));
            }
            if entries.len() >= CHARGES_MAX {
                return Ok((entries, false));
            }
        }
    }

    /// Looks up what the records name and `entries` do not hold; gives the legs that events have told of.
    async fn known(
        &self,
        records: &[Record],
        entries: &mut BTreeMap<String, Entry>,
    ) -> Result<BTreeSet<String>, StoreError> {
        let account = &self.settings.account;
        let mut legs = BTreeSet::new();
        for records in records.chunks(BATCH) {
            let names = records.iter().flat_map(|record| {
                let calls = record.legs.iter().chain(&record.controls);
                let calls = calls.map(|name| format!("call:{name}"));
                calls.chain(record.message_keys())
            });
            let keys = names.filter(|key| !entries.contains_key(key));
            let keys = keys.map(|key| LedgerKey { account: account.clone(), key }).collect();
            let calls = records.iter().flat_map(|record| &record.legs);
            let calls =
                calls.map(|leg| CallKey { account: account.clone(), leg: leg.clone() }).collect();
            let known = self.deps.store.known(keys, calls).await?;
            let found = known.entries.into_iter().map(|entry| (entry.key.key.clone(), entry));
            entries.extend(found);
            legs.extend(known.calls.into_iter().map(|(key, _)| key.leg));
        }
        Ok(legs)
    }
}

/// Whether a refusal is about one type of records, and says nothing of the others.
fn is_of_type(error: &ApiError, of: &RecordType) -> bool {
    error.reason() == "client" || (!of.is_essential && error.status() == Some(403))
}

/// When the next comparison is due, after one that went as far as `until`.
fn due(until: Timestamp) -> Timestamp {
    clock::add(until, SETTLED + EVERY)
}

/// The next range. What is older than `max_age` is given up.
fn range(until: Timestamp, now: Timestamp, max_age: Duration) -> Range {
    let settled = clock::sub(now, SETTLED);
    let from = until.max(clock::sub(settled, max_age)).min(settled);
    Range { from, to: settled.min(clock::add(from, RANGE_MAX)) }
}

/// Where the last comparison ended; `None` when it cannot be read, and then it begins anew.
fn read_checkpoint(bytes: &[u8]) -> Option<Timestamp> {
    let json: Value = serde_json::from_slice(bytes).ok()?;
    json.get("until")?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + hours * 3_600).expect("time")
    }

    #[test]
    fn ranges_follow_each_other_within_bounds() {
        let days = Duration::from_hours(48);
        for (until, now, from, to) in [
            // As usual.
            (0, 7, 0, 6),
            // Down for long: a day at a time, and no further back than is configured.
            (0, 40, 0, 24),
            (24, 41, 24, 40),
            (0, 100, 51, 75),
            // A clock that was set back.
            (10, 5, 4, 4),
        ] {
            let range = range(at(until), at(now), days);
            assert_eq!(range, Range { from: at(from), to: at(to) }, "{until} at {now}");
        }
        assert_eq!(due(at(6)), at(13));
    }

    #[test]
    fn a_place_is_read_back() {
        let value = json!({"until": at(3).to_string()}).to_string();
        assert_eq!(read_checkpoint(value.as_bytes()), Some(at(3)));
        for odd in ["", "{}", r#"{"until": 5}"#, r#"{"until": "soon"}"#] {
            assert_eq!(read_checkpoint(odd.as_bytes()), None, "{odd}");
        }
    }
}
