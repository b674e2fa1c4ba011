//! What the engine commits: one batch, one transaction, guarded by the cursor.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::Sqlite;
use super::alerts::{self, NewAlert};
use super::deliveries::{self, NewRow as NewDeliveryRow};
use super::failure::Failure;
use super::inbox::{self, NewRow as NewEventRow};
use super::job::Effects;
use crate::event::PayloadPolicy;
use crate::store::{Changes, Committed, Judgement, Recorded, Resumed, StoreError};

/// Outcomes of a judgement that tell somebody.
const TELLING: [&str; 2] = ["fired", "resolved"];

impl Sqlite {
    pub(in crate::store) async fn resume(&self) -> Result<Resumed, StoreError> {
        self.read(|conn| {
            Ok(Resumed {
                cursor: cursor(conn)?,
                alerts: alerts::firing(conn)?,
                ..Resumed::default()
            })
        })
        .await
    }

    pub(in crate::store) async fn commit(&self, changes: Changes) -> Result<Committed, StoreError> {
        let retention = self.retention;
        let prepared = Prepared {
            cursor: changes.cursor,
            judgements: changes.judgements,
            faulted: changes.faulted,
            alerts: changes.alerts.into_iter().map(NewAlert::new).collect::<Result<_, _>>()?,
            deliveries: changes
                .deliveries
                .into_iter()
                .map(NewDeliveryRow::new)
                .collect::<Result<_, _>>()?,
            events: changes
                .events
                .into_iter()
                .map(|event| NewEventRow::new(event, retention))
                .collect::<Result<_, _>>()?,
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
    deliveries: Vec<NewDeliveryRow>,
    events: Vec<NewEventRow>,
    drop_payloads: bool,
}

impl Prepared {
    fn commit(&self, tx: &Connection, effects: &mut Effects) -> Result<Committed, Failure> {
        self.advance(tx)?;
        self.explain(tx)?;
        for alert in &self.alerts {
            alerts::upsert(tx, alert)?;
        }
        let mut committed = Committed::default();
        for delivery in &self.deliveries {
            committed.queued += usize::from(deliveries::insert(tx, delivery)?);
        }
        self.link(tx)?;
        for event in &self.events {
            committed.recorded += usize::from(inbox::insert(tx, event)? == Recorded::New);
        }
        effects.queued |= committed.queued > 0;
        effects.recorded |= committed.recorded > 0;
        Ok(committed)
    }

    /// Moves the cursor, unless any of this is judged already: then it would take effect twice.
    fn advance(&self, tx: &Connection) -> Result<(), Failure> {
        let stood = cursor(tx)?;
        let judged = self.judgements.iter().map(|judgement| judgement.seq);
        let mut touched = judged.chain(self.faulted.iter().map(|(seq, _)| *seq));
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

    /// Notes which deliveries came of which event: those that tell of an alert that the event began or ended.
    fn link(&self, tx: &Connection) -> Result<(), Failure> {
        let mut causes = BTreeMap::<&str, Vec<i64>>::new();
        for judgement in &self.judgements {
            if let Some(fingerprint) = &judgement.fingerprint
                && TELLING.contains(&judgement.outcome.as_str())
            {
                causes.entry(fingerprint).or_default().push(judgement.seq);
            }
        }
        for delivery in &self.deliveries {
            let told = delivery.new.message.alerts.iter().map(|alert| alert.fingerprint.as_str());
            for seq in told.filter_map(|fingerprint| causes.get(fingerprint)).flatten() {
                tx.prepare_cached("INSERT OR IGNORE INTO caused (seq, delivery) VALUES (?1, ?2)")?
                    .execute((seq, &delivery.new.id))?;
            }
        }
        Ok(())
    }
}
