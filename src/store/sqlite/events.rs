//! Events for people: lists, and all that is known of one.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::failure::Failure;
use super::{Sqlite, deliveries, inbox, judged, rows, time};
use crate::store::operations;
use crate::store::{
    CausedDelivery, EventFilter, EventRecord, EventState, EventSummary, Judgement, LOOK_BACK,
    StoreError,
};

#[async_trait]
impl operations::Events for Sqlite {
    async fn events(&self, filter: EventFilter) -> Result<Vec<EventSummary>, StoreError> {
        self.read(move |conn| list(conn, &filter)).await
    }

    async fn event(
        &self,
        id: &str,
        account: Option<&str>,
    ) -> Result<Option<EventRecord>, StoreError> {
        let (id, account) = (id.to_owned(), account.map(str::to_owned));
        self.read(move |conn| find(conn, &id, account.as_deref())).await
    }
}

fn list(conn: &Connection, filter: &EventFilter) -> Result<Vec<EventSummary>, Failure> {
    let (from, state) = match filter.state {
        None => ("inbox LEFT JOIN faulted USING (seq)", ""),
        Some(EventState::Waiting) => ("inbox LEFT JOIN faulted USING (seq)", "AND seq > ?5"),
        Some(EventState::Judged) => {
            ("inbox LEFT JOIN faulted USING (seq)", "AND seq <= ?5 AND faulted.detail IS NULL")
        }
        Some(EventState::Faulted) => ("faulted CROSS JOIN inbox USING (seq)", ""),
    };
    let cursor = judged::cursor(conn)?;
    let mut statement = conn.prepare_cached(&format!(
        "SELECT seq, id, account, kind, occurred_at, received_at, source, cost, currency, \
         faulted.detail IS NOT NULL FROM {from} \
         WHERE seq > (SELECT coalesce(max(seq), 0) FROM inbox) - ?1 \
         AND (?2 IS NULL OR kind GLOB ?2) AND (?3 IS NULL OR account = ?3) AND ?5 IS NOT NULL \
         {state} ORDER BY seq DESC LIMIT ?4"
    ))?;
    let kind = filter.kind.as_deref().map(glob);
    let mut found =
        statement.query((LOOK_BACK, kind, &filter.account, rows(filter.limit), cursor))?;
    let mut events = Vec::new();
    while let Some(row) = found.next()? {
        match summary(row, cursor) {
            Ok(event) => events.push(event),
            Err(detail) => {
                let seq: i64 = row.get(0)?;
                tracing::error!(seq, detail, "an event cannot be read back");
            }
        }
    }
    Ok(events)
}

/// Only `*` is a wild card to us; to SQLite, `?` and `[` are, too.
fn glob(pattern: &str) -> String {
    let mut escaped = String::with_capacity(pattern.len());
    for c in pattern.chars() {
        match c {
            '?' => escaped.push_str("[?]"),
            '[' => escaped.push_str("[[]"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn summary(row: &Row<'_>, cursor: i64) -> Result<EventSummary, String> {
    let column = |error: rusqlite::Error| error.to_string();
    let seq = row.get(0).map_err(column)?;
    Ok(EventSummary {
        seq,
        id: row.get(1).map_err(column)?,
        account: row.get(2).map_err(column)?,
        kind: row.get(3).map_err(column)?,
        occurred_at: row.get::<_, Option<i64>>(4).map_err(column)?.map(time).transpose()?,
        received_at: time(row.get(5).map_err(column)?)?,
        source: inbox::source(row.get_ref(6).map_err(column)?)?,
        cost: row.get(7).map_err(column)?,
        currency: row.get(8).map_err(column)?,
        state: state(seq, cursor, row.get(9).map_err(column)?),
    })
}

fn state(seq: i64, cursor: i64, faulted: bool) -> EventState {
    match (faulted, seq > cursor) {
        (true, _) => EventState::Faulted,
        (false, true) => EventState::Waiting,
        (false, false) => EventState::Judged,
    }
}

fn find(
    conn: &Connection,
    id: &str,
    account: Option<&str>,
) -> Result<Option<EventRecord>, Failure> {
    let seq: Option<i64> = conn
        .prepare_cached(
            "SELECT max(seq) FROM dedupe WHERE id = ?1 AND (?2 IS NULL OR account = ?2)",
        )?
        .query_row((id, account), |row| row.get(0))?;
    let Some(seq) = seq else { return Ok(None) };
    let found = conn
        .prepare_cached(&format!("SELECT {} FROM inbox WHERE seq = ?1", inbox::COLUMNS))?
        .query_row([seq], |row| Ok((inbox::stored(row), inbox::payload_is_dropped(row)?)))
        .optional()?;
    let Some((stored, payload_dropped)) = found else { return Ok(None) };
    let fault: Option<String> = conn
        .prepare_cached("SELECT detail FROM faulted WHERE seq = ?1")?
        .query_row([seq], |row| row.get(0))
        .optional()?;
    Ok(Some(EventRecord {
        stored: stored.map_err(Failure::unstorable)?,
        payload_dropped,
        state: state(seq, judged::cursor(conn)?, fault.is_some()),
        fault,
        judgements: judgements(conn, seq)?,
        deliveries: caused(conn, seq)?,
    }))
}

fn judgements(conn: &Connection, seq: i64) -> Result<Vec<Judgement>, Failure> {
    Ok(conn
        .prepare_cached(
            "SELECT rule, outcome, fingerprint, detail, config FROM judgements WHERE seq = ?1 ORDER BY n",
        )?
        .query_map([seq], |row| {
            Ok(Judgement {
                seq,
                rule: row.get(0)?,
                outcome: row.get(1)?,
                fingerprint: row.get(2)?,
                detail: row.get(3)?,
                config: row.get(4)?,
            })
        })?
        .collect::<Result<_, _>>()?)
}

fn caused(conn: &Connection, seq: i64) -> Result<Vec<CausedDelivery>, Failure> {
    let mut statement = conn.prepare_cached(
        "SELECT deliveries.id, receiver, state FROM caused \
         CROSS JOIN deliveries ON deliveries.id = caused.delivery \
         WHERE seq = ?1 ORDER BY deliveries.n",
    )?;
    let mut found = statement.query([seq])?;
    let mut caused = Vec::new();
    while let Some(row) = found.next()? {
        let state = deliveries::state(&row.get::<_, String>(2)?).map_err(Failure::unstorable)?;
        caused.push(CausedDelivery { id: row.get(0)?, receiver: row.get(1)?, state });
    }
    Ok(caused)
}
