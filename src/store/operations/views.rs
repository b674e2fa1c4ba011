//! The operations that pages ask: what goes on, how a balance went, what was spent, what was sent of a group, who is paused.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rust_decimal::Decimal;

use crate::alerts::Alert;
use crate::spend::By;
use crate::store::{
    Delivery, Judgement, Pause, Reading, SpendFilter, Spent, Standing, StoreError, StoredEvent,
};

/// What is asked in order to show it: sums and samples, so that only what is shown leaves the store.
#[async_trait]
pub trait Views {
    /// What goes on. Of the engine's rows only those of groups are read: a page that is shown anew with each change must not
    /// cost what all series and metrics weigh.
    async fn standing(&self) -> Result<Standing, StoreError>;

    /// The last reading of an account's balance in each `step` of time since then and before another time, oldest first:
    /// few, however often the balance is read.
    async fn balances(
        &self,
        account: &str,
        since: Timestamp,
        before: Option<Timestamp>,
        step: Duration,
    ) -> Result<Vec<Reading>, StoreError>;

    /// What was charged from `from` until before `to`, summed up by account, currency and group, exact; in no order. `by` is
    /// no [`By::Day`], which needs a time zone: ask for each day.
    async fn spent(&self, from: Timestamp, to: Timestamp, by: By)
    -> Result<Vec<Spent>, StoreError>;

    /// What was charged from `from` until before `to` in each hour of UTC in which anything was: when the hour begins, and
    /// how much, exact; in the order of time.
    async fn spent_by_hour(
        &self,
        filter: &SpendFilter,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(Timestamp, Decimal)>, StoreError>;

    /// The last deliveries to a receiver of one group, newest first; `limit` at most, among the last 20,000 of all.
    async fn deliveries_of(
        &self,
        receiver: &str,
        group_key: &str,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError>;

    /// Events of an account and of these kinds that were taken in since then, in the order of the inbox: the last `limit`,
    /// among the last 200,000 of all. A payload that was dropped reads as null.
    async fn events_of(
        &self,
        account: &str,
        kinds: Vec<String>,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError>;

    /// The last judgement of each rule, or of this one, and when its event was taken in; among the last 20,000 judgements of
    /// all.
    async fn last_judgements(
        &self,
        rule: Option<&str>,
    ) -> Result<Vec<(Judgement, Timestamp)>, StoreError>;

    /// The alerts of this `alertname` that fire, by their fingerprints, `limit` at most.
    async fn firing_of(&self, alertname: &str, limit: usize) -> Result<Vec<Alert>, StoreError>;

    /// The integrations that are left alone at this time.
    async fn pauses(&self, now: Timestamp) -> Result<Vec<Pause>, StoreError>;
}
