//! Webhooks that were missed, fetched from Telnyx's log of deliveries.
//!
//! Receives the log through [`Client`], a slice of time after the other, oldest first. Promises that what the log shows
//! as sent to us and the inbox does not hold is fed as an event with [`crate::event::Source::Backfill`], once; the events of
//! a slice and how far the log is read are kept in one transaction, so that a crash skips nothing. Never logs a payload,
//! and never tells Telnyx to send anything again: it has no such call.
//!
//! `entry` reads one entry of the log, `plan` decides from when, how much at a time, and when again.

mod entry;
mod plan;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use self::entry::{Context, Missed, Ours};
use self::plan::{BATCH, CONTENT_NEAR, PAGE_SIZE, PAGES_MAX, Run};
use super::{ApiError, ApiSettings, Client, Deps, Endpoint, Means};
use crate::clock;
use crate::event::{self, Event};
use crate::store::{Checkpoint, Feed, Recorded, StoreError};
use crate::tasks::Tasks;

/// The name under which the store keeps how far the log is read.
const SOURCE: &str = "backfill";

/// Fetches what was missed, at once and then at intervals, until `tasks` ends; nothing where it is not asked for.
pub(super) async fn run((deps, settings, client): Means, tasks: Tasks) {
    let ours = settings.public_url.as_deref().and_then(|url| Ours::new(url, &settings.account));
    let (Some(max_age), Some(ours)) = (settings.backfill, ours) else {
        tasks.stopping().await;
        return;
    };
    let (runs, width, failures, said) = (0, plan::SLICE_MAX, 0, None);
    let worker = Worker {
        deps,
        settings,
        client,
        ours,
        max_age,
        covered: None,
        runs,
        width,
        failures,
        said,
    };
    tokio::select! {
        () = tasks.stopping() => {}
        _ = worker.work() => {}
    }
}

struct Worker {
    deps: Deps,
    settings: Arc<ApiSettings>,
    client: Client,
    ours: Ours,
    max_age: Duration,
    /// Up to when all is known, as far as the log shows it.
    covered: Option<Timestamp>,
    /// Runs that came to their end.
    runs: u32,
    /// How much time a slice has at present.
    width: Duration,
    /// Runs in a row that did not come to their end.
    failures: u32,
    /// The reason that was said last.
    said: Option<String>,
}

/// What came of a slice.
enum Slice {
    /// All of it.
    Whole(Vec<Missed>, u32),
    /// More than is read at a time; what was read of it.
    TooMany(Vec<Missed>),
    /// Telnyx gave less than it says there is.
    Partial(Vec<Missed>),
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Worker {
    async fn work(mut self) -> Infallible {
        loop {
            let began = self.deps.clock.now();
            let again_at = match self.fetch(began).await {
                Ok(()) => {
                    self.succeeded();
                    clock::add(began, plan::EVERY)
                }
                Err(failure) => clock::add(self.deps.clock.now(), self.failed(&failure)),
            };
            self.deps.clock.sleep_until(again_at).await;
        }
    }

    /// One run: from what is known until now.
    async fn fetch(&mut self, now: Timestamp) -> Result<(), FetchError> {
        if self.covered.is_none() {
            self.covered = self.kept_checkpoint().await?;
        }
        let run = Run::new(self.covered, now, self.max_age, self.runs);
        let (mut from, mut new, mut over) = (run.from, 0, 0_u32);
        while from < run.to {
            let to = run.slice_end(from, self.width);
            let may_halve = self.width > plan::SLICE_MIN;
            let found = match self.read(&run, from, to, may_halve).await? {
                Slice::TooMany(_) if may_halve => {
                    self.width = plan::narrower(self.width);
                    continue;
                }
                Slice::TooMany(found) | Slice::Partial(found) => {
                    self.deps.metrics.backfill_cut(&self.settings.account);
                    over += 1;
                    found
                }
                Slice::Whole(found, pages) => {
                    self.width = plan::width_after(self.width, pages);
                    found
                }
            };
            new += self.keep(found, run.covered(self.covered, to)).await?;
            from = to;
        }
        let account = self.settings.account.as_str();
        if over > 0 {
            tracing::warn!(
                account,
                slices = over,
                "Telnyx's log of deliveries has more than is read at a time, or does not say clearly how much: some of what was missed may be left out",
            );
        }
        if new > 0 {
            tracing::info!(account, events = new, "missed webhooks were fetched");
        }
        Ok(())
    }

    /// Where an earlier process stopped.
    async fn kept_checkpoint(&self) -> Result<Option<Timestamp>, StoreError> {
        let account = self.settings.account.as_str();
        let Some(kept) = self.deps.store.place(account, SOURCE).await? else { return Ok(None) };
        let value: Value = serde_json::from_slice(&kept).unwrap_or_default();
        let covered = value.get("covered").and_then(event::time_of);
        if let Some(covered) = covered {
            self.deps.metrics.backfilled_until(account, covered);
        } else {
            tracing::warn!(account, "how far the log was read is not known any more");
        }
        Ok(covered)
    }

    /// Reads one slice, page by page, and keeps of each page only what is addressed to us.
    async fn read(
        &self,
        run: &Run,
        from: Timestamp,
        to: Timestamp,
        may_halve: bool,
    ) -> Result<Slice, ApiError> {
        let query = query(run.any_status, from, to);
        let ApiSettings { account, currency, .. } = &*self.settings;
        let currency = self.deps.store.currencies().or_read(currency.as_deref(), account);
        let context = Context {
            account,
            currency: currency.as_deref(),
            policy: self.deps.payload,
            now: self.deps.clock.now(),
            since: run.from,
        };
        let (mut found, mut last) = (Vec::new(), 1);
        let mut pages = self.client.pages(&Endpoint::WEBHOOK_DELIVERIES, &query, PAGE_SIZE);
        while let Some(page) = pages.next().await? {
            let entries = page.items.iter();
            found.extend(entries.filter_map(|entry| entry::read(entry, &self.ours, &context)));
            last = page.number;
            let over = last >= PAGES_MAX || (may_halve && page.pages > PAGES_MAX);
            if over && !pages.is_over() {
                return Ok(Slice::TooMany(found));
            }
        }
        Ok(if pages.end().is_whole() { Slice::Whole(found, last) } else { Slice::Partial(found) })
    }

    /// Feeds the events of a slice in batches, and with the last of them how far the log is read; gives how many were new.
    async fn keep(&mut self, found: Vec<Missed>, covered: Timestamp) -> Result<u64, StoreError> {
        let mut events = Vec::new();
        for missed in found {
            if !self.is_held(&missed).await? {
                events.push(missed.event);
            }
        }
        events.sort_by(|a, b| (a.occurred_at, &a.id).cmp(&(b.occurred_at, &b.id)));
        let mut new = 0;
        while events.len() > BATCH {
            let rest = events.split_off(BATCH);
            new += self.feed(events, None).await?;
            events = rest;
        }
        let account = self.settings.account.clone();
        let value = json!({"covered": covered}).to_string().into_bytes();
        new += self.feed(events, Some(Checkpoint { account, source: SOURCE, value })).await?;
        self.covered = Some(covered);
        self.deps.metrics.backfilled_until(&self.settings.account, covered);
        Ok(new)
    }

    /// Whether the inbox has an event without identity already, as it came by webhook around the time of its delivery.
    /// The time that the event itself tells may lie long before.
    async fn is_held(&self, missed: &Missed) -> Result<bool, StoreError> {
        let Some(id) = &missed.content_id else { return Ok(false) };
        let known = self.deps.store.event(id, Some(&self.settings.account)).await?;
        let at = missed.began.or(missed.event.occurred_at).unwrap_or(missed.event.received_at);
        Ok(known.is_some_and(|known| {
            let received_at = known.stored.event.received_at;
            received_at.duration_since(at).unsigned_abs() <= CONTENT_NEAR
        }))
    }

    /// Feeds one batch. What can never be stored is left out, so that it does not hold up the rest.
    async fn feed(
        &self,
        mut events: Vec<Event>,
        checkpoint: Option<Checkpoint>,
    ) -> Result<u64, StoreError> {
        let now = self.deps.clock.now();
        for event in &mut events {
            event.received_at = now;
        }
        let feed =
            Feed { events: events.clone(), checkpoint: checkpoint.clone(), ..Feed::default() };
        let recorded = match self.deps.store.feed(feed).await {
            Ok(recorded) => recorded,
            Err(StoreError::Unstorable(_)) if !events.is_empty() => {
                let mut recorded = Vec::new();
                for event in &events {
                    recorded.push(self.feed_alone(event).await?);
                }
                self.deps.store.feed(Feed { checkpoint, ..Feed::default() }).await?;
                recorded
            }
            Err(error) => return Err(error),
        };
        let account = self.settings.account.as_str();
        let new = events.iter().zip(&recorded).filter(|(_, recorded)| **recorded == Recorded::New);
        let mut count = 0;
        for (event, _) in new {
            count += 1;
            let (kind, id) = (event.kind.as_str(), event.id.as_str());
            tracing::info!(account, kind, event.id = id, "missed webhook stored");
        }
        self.deps.metrics.backfilled(account, count);
        Ok(count)
    }

    async fn feed_alone(&self, event: &Event) -> Result<Recorded, StoreError> {
        let feed = Feed { events: vec![event.clone()], ..Feed::default() };
        match self.deps.store.feed(feed).await {
            Err(StoreError::Unstorable(error)) => {
                let (account, id) = (event.account.as_str(), event.id.as_str());
                tracing::error!(account, event.id = id, %error, "a missed webhook cannot be stored");
                Ok(Recorded::Duplicate)
            }
            recorded => Ok(recorded?.first().copied().unwrap_or(Recorded::Duplicate)),
        }
    }

    fn succeeded(&mut self) {
        self.runs = self.runs.saturating_add(1);
        self.failures = 0;
        if self.said.take().is_some() {
            let account = self.settings.account.as_str();
            tracing::info!(account, "missed webhooks can be searched for again");
        }
    }

    /// Says why, once for each reason, and gives how long to wait.
    fn failed(&mut self, failure: &FetchError) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let account = self.settings.account.as_str();
        let (reason, wait) = match failure {
            FetchError::Api(error) => (plan::reason(error), plan::wait(Some(error), self.failures)),
            FetchError::Store(_) => ("store".to_owned(), plan::wait(None, self.failures)),
        };
        if self.said.as_ref() == Some(&reason) {
            tracing::debug!(account, error = %failure, ?wait, "missed webhooks cannot be searched for");
        } else if matches!(failure, FetchError::Api(error) if plan::is_forbidden(error)) {
            tracing::warn!(
                account,
                error = %failure,
                "this API key may not read Telnyx's log of deliveries: missed webhooks are not fetched; retried hourly",
            );
        } else {
            tracing::warn!(account, error = %failure, "missed webhooks cannot be searched for; tried again");
        }
        self.said = Some(reason);
        wait
    }
}

/// The parameters of a slice, whose ends are whole seconds and both belong to it.
fn query(any_status: bool, from: Timestamp, to: Timestamp) -> Vec<(&'static str, String)> {
    let mut query = vec![
        ("filter[started_at][gte]", from.to_string()),
        ("filter[started_at][lte]", to.to_string()),
    ];
    if !any_status {
        query.push(("filter[status][eq]", "failed".to_owned()));
    }
    query
}
