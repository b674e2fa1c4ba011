//! What other replicas have written, and the operations by which duties are asked for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Postgres;
use super::duties::Duties;
use super::failure::Failure;
use super::link::Link;
use super::sql::params;
use super::values::column;
use crate::store::operations;
use crate::store::{Offer, Replica, Role, Signals};

/// How often it is looked for what other replicas have written.
const LOOK: Duration = Duration::from_millis(250);

impl Duties {
    /// Tells of what other replicas have written, as long as there are any.
    pub(super) async fn watch_others(
        self: Arc<Self>,
        link: Arc<Link>,
        signals: Arc<Signals>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut seen = (0, 0);
        while !*stop.borrow_and_update() {
            if self.state().replicas.len() > 1
                && let Ok(now) = newest(&link).await
            {
                if now.0 != seen.0 && self.epoch(&Role::Judge).is_some() {
                    signals.recorded.send_modify(|count| *count += 1);
                }
                if now.1 != seen.1 {
                    signals.queued.send_modify(|count| *count += 1);
                }
                seen = now;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = stop.changed() => {}
            }
        }
    }
}

/// The newest event and the newest delivery.
async fn newest(link: &Link) -> Result<(i64, i64), Failure> {
    let sql = "SELECT coalesce((SELECT max(seq) FROM ~inbox), 0), \
         coalesce((SELECT max(n) FROM ~deliveries), 0)";
    let found = link.query(sql, params![]).await?;
    let Some(row) = found.first() else { return Ok((0, 0)) };
    let read = |index| column(row, index).map_err(Failure::unstorable);
    Ok((read(0)?, read(1)?))
}

impl operations::Duties for Postgres {
    fn offer(&self, offer: Offer) {
        self.duties.state().offer = offer;
        self.duties.offered.notify_one();
    }

    fn epoch(&self, role: &Role) -> Option<i64> {
        self.duties.epoch(role)
    }

    fn duties(&self) -> watch::Receiver<u64> {
        self.duties.changed.subscribe()
    }

    fn replicas(&self) -> Vec<Replica> {
        self.duties.state().replicas.clone()
    }
}
