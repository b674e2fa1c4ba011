//! Receivers that somebody pauses, and resumes: by the API, the console and the command line.

use std::time::Duration;

use jiff::Timestamp;

use super::access::Principal;
use super::audit::Audit;
use crate::clock;
use crate::store::{ReceiverPause, StoreError};

/// Longest pause of a receiver: what nobody ends by then is sent.
pub const RECEIVER_PAUSE_MAX: Duration = Duration::from_hours(7 * 24);
/// Longest comment of a pause, in characters.
pub const PAUSE_COMMENT_CHARS_MAX: usize = 200;

/// Why a receiver is not paused.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There can be no such pause.
    #[error("{0}")]
    Unfit(String),
    /// The store does not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Pauses a receiver that is configured, or changes its pause.
pub async fn pause(
    audit: &Audit,
    who: &Principal,
    receiver: &str,
    until: Timestamp,
    comment: &str,
) -> Result<ReceiverPause, Refused> {
    let (now, comment) = (audit.clock.now(), comment.trim());
    let unfit = |text: String| Err(Refused::Unfit(text));
    if until <= now {
        return unfit(format!("the pause would be over already: until {until:.0}"));
    }
    if clock::until(now, until) > RECEIVER_PAUSE_MAX {
        let days = RECEIVER_PAUSE_MAX.as_secs() / 86_400;
        return unfit(format!("a receiver is paused for {days} days at most"));
    }
    if comment.is_empty() || comment.contains(char::is_control) {
        return unfit("comment: expected one line that says why".to_owned());
    }
    if comment.chars().count() > PAUSE_COMMENT_CHARS_MAX {
        return unfit(format!("comment: longer than {PAUSE_COMMENT_CHARS_MAX} characters"));
    }
    let pause = ReceiverPause {
        receiver: receiver.to_owned(),
        since: as_stored(now),
        until: as_stored(until),
        who: who.name.clone(),
        comment: comment.to_owned(),
    };
    let detail = format!("until {until:.0}: {comment}");
    let entry = audit.entry(who, "receiver.pause", receiver, &detail);
    audit.store.pause_receiver(pause.clone(), entry).await?;
    Ok(pause)
}

/// A time as the store keeps it, to the microsecond: what is answered is what is read back.
fn as_stored(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

/// Ends the pause of a receiver; false when there is none.
pub async fn resume(audit: &Audit, who: &Principal, receiver: &str) -> Result<bool, StoreError> {
    let entry = audit.entry(who, "receiver.resume", receiver, "");
    audit.store.resume_receiver(receiver, audit.clock.now(), entry).await
}
