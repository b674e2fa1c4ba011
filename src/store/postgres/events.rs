//! Events for people: lists, and all that is known of one.

use async_trait::async_trait;
use tokio_postgres::Row;

use super::failure::Failure;
use super::link::Lent;
use super::sql::{params, some_text, text};
use super::values::{column, moment, some_moment};
use super::{Postgres, deliveries, inbox, judged};
use crate::store::operations;
use crate::store::values::rows;
use crate::store::{
    CausedDelivery, EventFilter, EventRecord, EventState, EventSummary, Judgement, LOOK_BACK,
    StoreError,
};

#[async_trait]
impl operations::Events for Postgres {
    async fn events_before(
        &self,
        filter: EventFilter,
        before: Option<i64>,
    ) -> Result<Vec<EventSummary>, StoreError> {
        let state = match filter.state {
            None => "",
            Some(EventState::Waiting) => "AND inbox.seq > $5",
            Some(EventState::Judged) => "AND inbox.seq <= $5 AND faulted.detail IS NULL",
            Some(EventState::Faulted) => "AND faulted.detail IS NOT NULL",
        };
        let tx = self.link.begin_reading().await?;
        let cursor = judged::cursor(&tx).await?;
        let sql = format!(
            "SELECT inbox.seq, id, account, kind, occurred_at, received_at, source, cost, currency, \
             faulted.detail IS NOT NULL FROM ~inbox AS inbox LEFT JOIN ~faulted AS faulted USING (seq) \
             WHERE inbox.seq > (SELECT coalesce(max(seq), 0) FROM ~inbox) - $1 \
             AND ($2::text IS NULL OR kind LIKE $2) AND ($3::text IS NULL OR account = $3) \
             AND $5::bigint IS NOT NULL AND inbox.seq < $6 {state} ORDER BY inbox.seq DESC LIMIT $4"
        );
        let kind = filter.kind.as_deref().map(pattern);
        let account = some_text(filter.account.as_ref());
        let before = before.unwrap_or(i64::MAX);
        let limit = rows(filter.limit);
        let found =
            tx.query(&sql, params![LOOK_BACK, kind, account, limit, cursor, before]).await?;
        tx.commit().await?;
        let mut events = Vec::new();
        for row in &found {
            match summary(row, cursor) {
                Ok(event) => events.push(event),
                Err(detail) => {
                    let seq: i64 = column(row, 0).map_err(Failure::unstorable)?;
                    tracing::error!(seq, detail, "an event cannot be read back");
                }
            }
        }
        Ok(events)
    }

    async fn event(
        &self,
        id: &str,
        account: Option<&str>,
    ) -> Result<Option<EventRecord>, StoreError> {
        let tx = self.link.begin_reading().await?;
        let record = find(&tx, id, account).await?;
        tx.commit().await?;
        Ok(record)
    }
}

/// Only `*` is a wild card to us; to LIKE `%` and `_` are.
fn pattern(glob: &str) -> String {
    let mut pattern = String::with_capacity(glob.len());
    for c in glob.chars() {
        match c {
            '*' => pattern.push('%'),
            '%' | '_' | '\\' => pattern.extend(['\\', c]),
            other => pattern.push(other),
        }
    }
    text(&pattern).into_owned()
}

fn summary(row: &Row, cursor: i64) -> Result<EventSummary, String> {
    let seq = column(row, 0)?;
    Ok(EventSummary {
        seq,
        id: column(row, 1)?,
        account: column(row, 2)?,
        kind: column(row, 3)?,
        occurred_at: some_moment(row, 4)?,
        received_at: moment(row, 5)?,
        source: inbox::source(column(row, 6)?)?,
        cost: column(row, 7)?,
        currency: column(row, 8)?,
        state: state(seq, cursor, column(row, 9)?),
    })
}

fn state(seq: i64, cursor: i64, faulted: bool) -> EventState {
    match (faulted, seq > cursor) {
        (true, _) => EventState::Faulted,
        (false, true) => EventState::Waiting,
        (false, false) => EventState::Judged,
    }
}

async fn find(
    tx: &Lent<'_>,
    id: &str,
    account: Option<&str>,
) -> Result<Option<EventRecord>, Failure> {
    let sql = format!(
        "SELECT {}, (SELECT detail FROM ~faulted AS faulted WHERE faulted.seq = inbox.seq) \
         FROM ~inbox AS inbox WHERE inbox.seq = (SELECT max(seq) FROM ~dedupe \
           WHERE id = $1 AND ($2::text IS NULL OR account = $2))",
        inbox::COLUMNS
    );
    let Some(row) = tx.first(&sql, params![text(id), account.map(text)]).await? else {
        return Ok(None);
    };
    let fault: Option<String> = column(&row, 14).map_err(Failure::unstorable)?;
    let stored = inbox::stored(&row).map_err(Failure::unstorable)?;
    let seq = stored.seq;
    Ok(Some(EventRecord {
        stored,
        payload_dropped: inbox::payload_is_dropped(&row).map_err(Failure::unstorable)?,
        state: state(seq, judged::cursor(tx).await?, fault.is_some()),
        fault,
        judgements: judgements(tx, seq).await?,
        deliveries: caused(tx, seq).await?,
    }))
}

async fn judgements(tx: &Lent<'_>, seq: i64) -> Result<Vec<Judgement>, Failure> {
    let sql = "SELECT rule, outcome, fingerprint, detail, config FROM ~judgements \
         WHERE seq = $1 ORDER BY n";
    let one = |row: &Row| -> Result<_, String> {
        Ok(Judgement {
            seq,
            rule: column(row, 0)?,
            outcome: column(row, 1)?,
            fingerprint: column(row, 2)?,
            detail: column(row, 3)?,
            config: column(row, 4)?,
        })
    };
    let found = tx.query(sql, params![seq]).await?;
    found.iter().map(|row| one(row).map_err(Failure::unstorable)).collect()
}

async fn caused(tx: &Lent<'_>, seq: i64) -> Result<Vec<CausedDelivery>, Failure> {
    let sql = "SELECT deliveries.id, deliveries.receiver, deliveries.state FROM ~caused AS caused \
         JOIN ~deliveries AS deliveries ON deliveries.id = caused.delivery \
         WHERE caused.seq = $1 ORDER BY deliveries.n";
    let one = |row: &Row| -> Result<_, String> {
        Ok(CausedDelivery {
            id: column(row, 0)?,
            receiver: column(row, 1)?,
            state: deliveries::state(column(row, 2)?)?,
        })
    };
    let found = tx.query(sql, params![seq]).await?;
    found.iter().map(|row| one(row).map_err(Failure::unstorable)).collect()
}
