//! What the engine commits: one batch, one transaction, guarded by the cursor.

use async_trait::async_trait;
use rusqlite::Connection;

use super::Sqlite;
use super::alerts::{self, NewAlert};
use super::failure::Failure;
use super::inbox::{self, NewRow as NewEventRow};
use super::job::Effects;
use super::ledger::{self, NewCall, NewEntry};
use super::{deliveries, journal, notification_log, silences, state};
use crate::event::PayloadPolicy;
use crate::store::operations;
use crate::store::{
    Changes, Committed, JournalEntry, Judgement, NewDelivery, Recorded, Resumed, Row, Space,
    StoreError,
};

#[async_trait]
impl operations::Judging for Sqlite {
    async fn newest_seq(&self) -> Result<i64, StoreError> {
        self.read(|conn| {
            let sql = "SELECT max(coalesce((SELECT max(seq) FROM inbox), 0), ?1)";
            Ok(conn.prepare_cached(sql)?.query_row([cursor(conn)?], |row| row.get(0))?)
        })
        .await
    }

    async fn resume_but(&self, without: &'static [Space]) -> Result<Resumed, StoreError> {
        self.read(|conn| {
            // One snapshot: a silence may be made meanwhile, by another process too.
            let tx = conn.unchecked_transaction()?;
            Ok(Resumed {
                cursor: cursor(&tx)?,
                alerts: alerts::firing(&tx)?,
                ended: alerts::ended_members(&tx)?,
                rows: state::all_but(&tx, without)?,
                silences: silences::all(&tx)?,
                log: notification_log::all(&tx)?,
                open: notification_log::open(&tx)?,
            })
        })
        .await
    }

    async fn commit(&self, changes: Changes) -> Result<Committed, StoreError> {
        let retention = self.retention;
        let prepared = Prepared {
            cursor: changes.cursor,
            judgements: changes.judgements,
            faulted: changes.faulted,
            alerts: changes.alerts.into_iter().map(NewAlert::new).collect::<Result<_, _>>()?,
            deliveries: changes.deliveries,
            causes: changes.causes,
            noted: changes.noted,
            forgotten: changes.forgotten,
            events: changes
                .events
                .into_iter()
                .map(|event| NewEventRow::new(event, retention))
                .collect::<Result<_, _>>()?,
            rows: changes.rows,
            ledger: changes.ledger.into_iter().map(NewEntry::from).collect(),
            calls: changes.calls.into_iter().map(NewCall::new).collect::<Result<_, _>>()?,
            charges: changes
                .charges
                .into_iter()
                .map(|(seq, charge)| (seq, charge.to_string()))
                .collect(),
            journal: changes.journal,
            drop_payloads: self.payload == PayloadPolicy::None,
        };
        self.write(move |tx, effects| prepared.commit(tx, effects)).await
    }
}

/// The last event that is judged.
pub(super) fn cursor(conn: &Connection) -> Result<i64, Failure> {
    Ok(conn
        .prepare_cached("SELECT value FROM meta WHERE key = 'cursor'")?
        .query_row((), |row| row.get(0))?)
}

/// [`Changes`], with everything already text.
struct Prepared {
    cursor: i64,
    judgements: Vec<Judgement>,
    faulted: Vec<(i64, String)>,
    alerts: Vec<NewAlert>,
    deliveries: Vec<NewDelivery>,
    causes: Vec<(String, Vec<i64>)>,
    noted: Vec<i64>,
    forgotten: Vec<String>,
    events: Vec<NewEventRow>,
    rows: Vec<Row>,
    ledger: Vec<NewEntry>,
    calls: Vec<NewCall>,
    charges: Vec<(i64, String)>,
    journal: Vec<JournalEntry>,
    drop_payloads: bool,
}

impl Prepared {
    fn commit(&self, tx: &Connection, effects: &mut Effects) -> Result<Committed, Failure> {
        self.advance(tx)?;
        self.explain(tx)?;
        for alert in &self.alerts {
            alerts::upsert(tx, alert)?;
        }
        for row in &self.rows {
            state::put(tx, row)?;
        }
        for line in &self.journal {
            journal::insert(tx, line)?;
        }
        let mut committed = Committed { calls_evicted: self.book(tx)?, ..Committed::default() };
        for n in &self.noted {
            tx.prepare_cached("UPDATE deliveries SET noted = 1 WHERE n = ?1")?.execute([n])?;
        }
        for key in &self.forgotten {
            notification_log::forget(tx, key)?;
        }
        for delivery in &self.deliveries {
            committed.opened += usize::from(deliveries::open(tx, delivery)?);
        }
        for (id, causes) in &self.causes {
            deliveries::caused(tx, id, causes)?;
        }
        for event in &self.events {
            committed.recorded += usize::from(inbox::insert(tx, event)? == Recorded::New);
        }
        effects.queued |= committed.opened > 0;
        effects.recorded |= committed.recorded > 0;
        Ok(committed)
    }

    /// Moves the cursor, unless any of this is judged already: then it would take effect twice.
    fn advance(&self, tx: &Connection) -> Result<(), Failure> {
        let stood = cursor(tx)?;
        let judged = self.judgements.iter().map(|judgement| judgement.seq);
        let charged = self.charges.iter().map(|(seq, _)| *seq);
        let mut touched = judged.chain(self.faulted.iter().map(|(seq, _)| *seq)).chain(charged);
        if self.cursor < stood || touched.any(|seq| seq <= stood) {
            return Err(StoreError::Stale(stood).into());
        }
        if self.cursor == stood {
            return Ok(());
        }
        let last: Option<i64> =
            tx.prepare_cached("SELECT max(seq) FROM inbox")?.query_row((), |row| row.get(0))?;
        if last.is_none_or(|last| self.cursor > last) {
            return Err(Failure::unstorable(format!("no event has place {}", self.cursor)));
        }
        tx.prepare_cached("UPDATE meta SET value = ?1 WHERE key = 'cursor'")?
            .execute([self.cursor])?;
        if self.drop_payloads {
            tx.prepare_cached("UPDATE inbox SET payload = NULL WHERE seq > ?1 AND seq <= ?2")?
                .execute((stood, self.cursor))?;
        }
        Ok(())
    }

    /// Notes what was charged and what is known of calls; says how many calls were too many.
    fn book(&self, tx: &Connection) -> Result<usize, Failure> {
        for (seq, charge) in &self.charges {
            tx.prepare_cached("UPDATE inbox SET charge = ?2 WHERE seq = ?1")?
                .execute((seq, charge))?;
        }
        for entry in &self.ledger {
            ledger::put_entry(tx, entry)?;
        }
        for call in &self.calls {
            ledger::put_call(tx, call)?;
        }
        if self.calls.is_empty() { Ok(0) } else { ledger::evict_calls(tx) }
    }

    /// Notes what the rules said, and what could not be judged.
    fn explain(&self, tx: &Connection) -> Result<(), Failure> {
        for (n, judgement) in (0_i64..).zip(&self.judgements) {
            tx.prepare_cached(
                "INSERT INTO judgements (seq, n, rule, outcome, fingerprint, detail, config) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute((
                judgement.seq,
                n,
                &judgement.rule,
                &judgement.outcome,
                &judgement.fingerprint,
                &judgement.detail,
                &judgement.config,
            ))?;
        }
        for (seq, detail) in &self.faulted {
            tx.prepare_cached("INSERT OR REPLACE INTO faulted (seq, detail) VALUES (?1, ?2)")?
                .execute((seq, detail))?;
        }
        Ok(())
    }
}
