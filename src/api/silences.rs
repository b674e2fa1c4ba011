//! How silences are made, changed and ended, by whichever way somebody asks for it.
//!
//! Promises that a change is decided by the silences as they are when it is kept, and that its entry of the audit log is kept
//! with it or not at all.

use jiff::Timestamp;

use super::{Audit, Principal};
use crate::alerts::{Silence, SilenceDraft, SilenceError, SilenceUpdate};
use crate::store::{Silences, SilencesChange, StoreError};

/// Changes that are tried again because others came between, at most.
const TRIES_MAX: usize = 5;

/// Why nothing is changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No silence has the id.
    #[error("silence not found")]
    Unknown,
    /// There can be no such silence.
    #[error(transparent)]
    Unfit(#[from] SilenceError),
    /// The store does not answer, or is changed by others again and again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a silence; gives its id.
pub async fn create(
    audit: &Audit,
    who: &Principal,
    draft: SilenceDraft,
) -> Result<String, Refused> {
    let made = change(audit, who, "silence.create", |_, now| {
        let silence = Silence::new(draft.clone(), now)?;
        Ok(Change { id: silence.id.clone(), silences: vec![silence] })
    });
    Ok(made.await?.0)
}

/// Changes the silence with this id; gives the id of the one that is in force then, a new one where the former was history.
pub async fn update(
    audit: &Audit,
    who: &Principal,
    id: &str,
    draft: SilenceDraft,
) -> Result<String, Refused> {
    let changed = change(audit, who, "silence.update", |silences, now| {
        let before = silences.iter().find(|one| one.id == id).ok_or(Refused::Unknown)?;
        let SilenceUpdate { silence, ended } = before.update(draft.clone(), now)?;
        let id = silence.id.clone();
        Ok(Change { id, silences: [silence].into_iter().chain(ended).collect() })
    });
    Ok(changed.await?.0)
}

/// Ends the silence with this id; false when it had ended before.
pub async fn expire(audit: &Audit, who: &Principal, id: &str) -> Result<bool, Refused> {
    let changed = change(audit, who, "silence.expire", |silences, now| {
        let silence = silences.iter().find(|one| one.id == id).ok_or(Refused::Unknown)?;
        Ok(Change { id: id.to_owned(), silences: silence.expire(now).into_iter().collect() })
    });
    Ok(changed.await?.1)
}

/// What is to be put into the store, nothing where all is as it should be, and the id that the audit log names.
struct Change {
    id: String,
    silences: Vec<Silence>,
}

/// Changes silences as of one moment: what was decided by silences that others have changed since is decided again. Says
/// the id, and whether anything was changed.
async fn change(
    audit: &Audit,
    who: &Principal,
    action: &str,
    decide: impl Fn(&[Silence], Timestamp) -> Result<Change, Refused>,
) -> Result<(String, bool), Refused> {
    for _ in 0..TRIES_MAX {
        let Silences { version, silences } = audit.store.silences().await?;
        let Change { id, silences } = decide(&silences, audit.clock.now())?;
        let Some(first) = silences.first() else { return Ok((id, false)) };
        let matchers: Vec<String> = first.matchers.iter().map(ToString::to_string).collect();
        let entry = audit.entry(who, action, &id, &matchers.join(", "));
        let put = SilencesChange { silences, version: Some(version), audit: Some(entry) };
        match audit.store.change_silences(put).await {
            Ok(()) => return Ok((id, true)),
            Err(StoreError::Stale(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Unavailable("others keep changing silences".to_owned()).into())
}
