//! Writes down who changes what, before it is changed.

use super::access::Principal;
use crate::clock::Clock;
use crate::store::{AuditEntry, Retried, Retry, Store, StoreError};

/// Writes the audit log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Audit {
    /// Where it is kept.
    pub store: Store,
    /// Time.
    pub clock: Clock,
}

impl Audit {
    /// Notes that somebody changes something; `action` is a word such as `silence.create`. To be called once all that can
    /// be wrong with the request has been looked at, and before the change: what cannot be noted is not to be done.
    pub async fn note(
        &self,
        principal: &Principal,
        action: &str,
        subject: &str,
        detail: &str,
    ) -> Result<(), StoreError> {
        self.store.append_audit(self.entry(principal, action, subject, detail)).await
    }

    /// The entry of a change whose operation of the store writes the log itself.
    pub fn entry(
        &self,
        principal: &Principal,
        action: &str,
        subject: &str,
        detail: &str,
    ) -> AuditEntry {
        tracing::info!(who = principal.name, action, subject, "a change was asked for");
        AuditEntry {
            at: self.clock.now(),
            who: principal.name.clone(),
            from: principal.from,
            action: action.to_owned(),
            subject: subject.to_owned(),
            detail: detail.to_owned(),
        }
    }

    /// Lets deliveries be tried again, and notes first who asked for it.
    pub async fn retry(&self, who: &Principal, selection: Retry) -> Result<Retried, StoreError> {
        let (subject, detail) = match &selection {
            Retry::One(id) => (id.as_str(), ""),
            Retry::Receiver(receiver) => (receiver.as_str(), "all to this receiver"),
            Retry::All => ("all", ""),
        };
        self.note(who, "delivery.retry", subject, detail).await?;
        self.store.retry(selection, self.clock.now()).await
    }
}
