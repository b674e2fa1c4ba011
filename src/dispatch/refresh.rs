//! Sends a peer that forgets, again and again, what it knows as firing: an Alertmanager drops an alert that is not sent
//! again. No delivery is made of it: nothing is owed, and nobody waits for it.

use std::sync::Arc;

use super::compose;
use super::lane::Lane;
use crate::alerts::Message;
use crate::clock;
use crate::notify::{Integration, Notification, Outcome};
use crate::store::StoreError;

/// Groups read at a time.
const GROUPS_MAX: usize = 100;
/// The key of what is no delivery.
const KEY: &str = "refresh";

impl Lane {
    /// Refreshes the peer until the lane ends; returns at once where the peer does not forget.
    pub(super) async fn refresh(self: Arc<Self>) {
        let mut failing = false;
        while !self.tasks().is_stopping() {
            let sender = self.sender();
            let Some(resend) = sender.integration.resend else { return };
            let next = clock::add(self.deps().clock.now(), resend);
            tokio::select! {
                () = self.deps().clock.sleep_until(next) => {}
                () = self.tasks().stopping() => return,
            }
            if self.is_paused() || !self.is_ours() {
                continue;
            }
            let failed = match self.refresh_unless_paused(&sender.integration).await {
                Ok(failed) => failed,
                Err(error) => Some(error.to_string()),
            };
            let (receiver, id) = (&sender.integration.receiver, &sender.integration.id);
            match &failed {
                Some(detail) if !failing => {
                    tracing::warn!(
                        receiver,
                        integration = id,
                        detail,
                        "firing alerts could not be refreshed"
                    );
                }
                None if failing => {
                    tracing::info!(receiver, integration = id, "firing alerts are refreshed again");
                }
                Some(_) | None => {}
            }
            failing = failed.is_some();
        }
    }

    /// One round, unless somebody has paused the receiver.
    async fn refresh_unless_paused(
        &self,
        integration: &Integration,
    ) -> Result<Option<String>, StoreError> {
        let pauses = self.deps().store.receiver_pauses().await?;
        if pauses.iter().any(|pause| pause.receiver == integration.receiver) {
            return Ok(None);
        }
        self.refresh_once(integration).await
    }

    /// One round; why it was cut short, if it was.
    async fn refresh_once(&self, integration: &Integration) -> Result<Option<String>, StoreError> {
        let store = &self.deps().store;
        let mut after = Some(String::new());
        while let Some(from) = after.take() {
            let (known, next) = store.known_groups(&integration.id, &from, GROUPS_MAX).await?;
            after = next;
            if known.is_empty() {
                continue;
            }
            let version = store.silences_version().await?;
            let silences = self.deps().silences.of(store, version).await?;
            let routing = self.deps().routing.load_full();
            let now = self.deps().clock.now();
            let mut all: Option<Message> = None;
            for group in &known {
                let message = compose::refreshed(group, integration, &routing, &silences, now);
                match (&mut all, message) {
                    (Some(all), Some(message)) => all.alerts.extend(message.alerts),
                    (None, Some(message)) => all = Some(message),
                    (_, None) => {}
                }
            }
            let Some(message) = all else { continue };
            let notification = Notification {
                key: KEY.to_owned(),
                target: String::new(),
                attempt: 1,
                now,
                message,
                charts: Vec::new(),
            };
            let sent = self.sender().notifier.send(&notification).await;
            match sent.outcome {
                Outcome::Delivered => {}
                Outcome::Retry { detail, .. } | Outcome::Rejected { detail, .. } => {
                    return Ok(Some(detail));
                }
            }
        }
        Ok(None)
    }
}
