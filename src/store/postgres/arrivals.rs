//! How events get their places.
//!
//! Places grow in the order in which they are drawn, but transactions that drew them commit in another. Whoever reads on
//! from a place would pass over one that becomes visible later. So writers hold a lock, shared among them, from before they
//! draw until they have committed; and the reader takes it for itself for a moment to learn the highest place
//! ([`horizon`]): below it nothing can appear any more.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio_postgres::Row;

use super::failure::Failure;
use super::link::{DURABLE_HERE, Lent, Link};
use super::sql::{Parameter, Typed as _, params, some_text, text};
use super::values::{column, signed};
use crate::clock;
use crate::event::Event;
use crate::store::values::{json, micros};
use crate::store::{Recorded, StoreError};

/// The lock of those who draw places.
const LOCK: [u8; 4] = *b"arri";

/// So long a hash of the content counts as the same event.
const CONTENT_WINDOW: Duration = Duration::from_hours(1);

/// An event on its way into the inbox, its payload already text.
#[derive(Debug)]
pub(super) struct NewRow {
    event: Event,
    pub(super) payload: Vec<u8>,
    until: i64,
}

impl NewRow {
    pub(super) fn new(mut event: Event, retention: Duration) -> Result<Self, StoreError> {
        let payload = json(&event.payload)?;
        event.payload = Value::Null;
        let window = if event.content_hashed { CONTENT_WINDOW } else { retention };
        let until = micros(clock::add(event.received_at, window));
        Ok(Self { event, payload, until })
    }
}

/// Takes the lock of those who draw places, until the transaction ends. Before any row is locked.
pub(super) async fn lock_shared(tx: &Lent<'_>) -> Result<(), Failure> {
    tx.lock_shared(LOCK).await
}

/// The highest place; below it nothing appears any more.
pub(super) async fn horizon(link: &Link) -> Result<i64, Failure> {
    let tx = link.begin().await?;
    tx.lock(LOCK).await?;
    // A statement of its own: it sees what was committed before the lock was given.
    let row = tx.first("SELECT coalesce(max(seq), 0) FROM ~inbox", params![]).await?;
    let highest = row.map_or(Ok(0), |row| column(&row, 0)).map_err(Failure::unstorable)?;
    tx.commit().await?;
    Ok(highest)
}

/// Inserts events that are not here already, as a transaction of its own.
pub(super) async fn insert_alone(link: &Link, rows: &[&NewRow]) -> Result<Vec<Recorded>, Failure> {
    let statement = Statement::of(rows);
    let answered = link.query(&Statement::sql(link), &statement.parameters()).await?;
    statement.recorded(&answered)
}

/// Inserts events that are not here already.
pub(super) async fn insert(tx: &Lent<'_>, rows: &[NewRow]) -> Result<Vec<Recorded>, Failure> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<&NewRow> = rows.iter().collect();
    let statement = Statement::of(&rows);
    let answered = tx.query(&Statement::sql(tx.link()), &statement.parameters()).await?;
    statement.recorded(&answered)
}

/// The statement that inserts events: one round trip, one transaction, nothing that could stay half done.
struct Statement<'r> {
    /// For each event that was asked for, its place among the columns: an id that comes twice goes in once.
    places: Vec<usize>,
    /// Whether the event is the first of its id.
    firsts: Vec<bool>,
    columns: Columns<'r>,
}

#[derive(Default)]
struct Columns<'r> {
    ids: Vec<Cow<'r, str>>,
    accounts: Vec<Cow<'r, str>>,
    kinds: Vec<Cow<'r, str>>,
    types: Vec<Cow<'r, str>>,
    occurred: Vec<Option<i64>>,
    received: Vec<i64>,
    attempts: Vec<Option<i32>>,
    sources: Vec<&'static str>,
    costs: Vec<Option<String>>,
    charges: Vec<Option<String>>,
    currencies: Vec<Option<Cow<'r, str>>>,
    hashed: Vec<bool>,
    payloads: Vec<&'r [u8]>,
    until: Vec<i64>,
}

impl<'r> Statement<'r> {
    fn of(rows: &[&'r NewRow]) -> Self {
        let mut known: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let mut columns = Columns::default();
        let (mut places, mut firsts) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            let next = columns.ids.len();
            let place = *known.entry((&row.event.id, &row.event.account)).or_insert(next);
            places.push(place);
            firsts.push(place == next);
            if place == next {
                columns.push(row);
            }
        }
        Self { places, firsts, columns }
    }

    /// `guard` is evaluated before a place is drawn: no row comes out of the join without it. Rows go in sorted by id: two
    /// replicas with the same events must not wait for each other. `again` writes to what was there before: so the commit of
    /// a repeated webhook waits for the standby, too, whose copy of the first may have been given up on while the row
    /// became visible here (PostgreSQL says so in a warning).
    fn sql(link: &Link) -> String {
        let lock = link.lock(LOCK);
        let window = CONTENT_WINDOW.as_micros();
        format!(
            "WITH guard AS MATERIALIZED \
               (SELECT pg_advisory_xact_lock_shared({lock}), {DURABLE_HERE}), \
             fresh AS MATERIALIZED (SELECT sorted.*, nextval('~inbox_seq') AS seq FROM (\
               SELECT new.* FROM guard, \
               unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) WITH ORDINALITY \
               AS new (id, account, kind, type, occurred_at, received_at, attempt, source, cost, \
                       charge, currency, hashed, payload, until, place) \
               WHERE NOT EXISTS (SELECT 1 FROM ~dedupe AS known WHERE known.id = new.id \
                 AND known.account = new.account AND (NOT new.hashed OR known.until > new.received_at)) \
               ORDER BY place) AS sorted), \
             kept AS (INSERT INTO ~dedupe AS known (id, account, seq, until, hashed) \
               SELECT id, account, seq, until, hashed FROM fresh ORDER BY id, account \
               ON CONFLICT (id, account) DO UPDATE SET seq = excluded.seq, until = excluded.until \
               WHERE excluded.hashed AND known.until <= excluded.until - {window} \
               RETURNING seq), \
             added AS (INSERT INTO ~inbox (seq, id, account, kind, type, occurred_at, received_at, \
               attempt, source, cost, charge, currency, content_hashed, payload) \
               SELECT seq, id, account, kind, type, occurred_at, received_at, attempt, source, cost, \
               charge, currency, hashed, payload FROM fresh JOIN kept USING (seq)), \
             again AS (UPDATE ~dedupe AS known SET until = known.until FROM (\
               SELECT old.id, old.account FROM ~dedupe AS old JOIN unnest($1, $2) AS new (id, account) \
               USING (id, account) WHERE NOT EXISTS (SELECT 1 FROM fresh \
                 WHERE fresh.id = old.id AND fresh.account = old.account) \
               ORDER BY old.id, old.account FOR NO KEY UPDATE OF old) AS old \
               WHERE known.id = old.id AND known.account = old.account) \
             SELECT place FROM fresh JOIN kept USING (seq)"
        )
    }

    fn parameters(&self) -> [Parameter<'_>; 14] {
        let c = &self.columns;
        [
            c.ids.parameter(),
            c.accounts.parameter(),
            c.kinds.parameter(),
            c.types.parameter(),
            c.occurred.parameter(),
            c.received.parameter(),
            c.attempts.parameter(),
            c.sources.parameter(),
            c.costs.parameter(),
            c.charges.parameter(),
            c.currencies.parameter(),
            c.hashed.parameter(),
            c.payloads.parameter(),
            c.until.parameter(),
        ]
    }

    /// What became of each event.
    fn recorded(&self, answered: &[Row]) -> Result<Vec<Recorded>, Failure> {
        let mut added = vec![false; self.columns.ids.len()];
        for row in answered {
            // Counted from 1.
            let place = column::<i64>(row, 0).map_err(Failure::unstorable)? - 1;
            let place = usize::try_from(place).ok().and_then(|place| added.get_mut(place));
            if let Some(place) = place {
                *place = true;
            }
        }
        let whether = self.places.iter().zip(&self.firsts).map(|(place, first)| {
            let is_new = *first && added.get(*place).copied().unwrap_or(false);
            if is_new { Recorded::New } else { Recorded::Duplicate }
        });
        Ok(whether.collect())
    }
}

impl<'r> Columns<'r> {
    fn push(&mut self, row: &'r NewRow) {
        let event = &row.event;
        self.ids.push(text(&event.id));
        self.accounts.push(text(&event.account));
        self.kinds.push(text(&event.kind));
        self.types.push(text(&event.type_as_sent));
        self.occurred.push(event.occurred_at.map(micros));
        self.received.push(micros(event.received_at));
        self.attempts.push(event.attempt.map(signed));
        self.sources.push(event.source.as_str());
        self.costs.push(event.cost.map(|cost| cost.to_string()));
        self.charges.push(event.charge.map(|charge| charge.to_string()));
        self.currencies.push(some_text(event.currency.as_ref()));
        self.hashed.push(event.content_hashed);
        self.payloads.push(&row.payload);
        self.until.push(row.until);
    }
}
