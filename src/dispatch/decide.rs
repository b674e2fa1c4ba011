//! What becomes of a delivery after an attempt. Pure.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::pacer;
use crate::alerts::Message;
use crate::clock;
use crate::event::{Event, Source};
use crate::notify::{Outcome, Reason, RetryPolicy};
use crate::store::{Delivery, Next};

/// What is next: `roll` in 0..1 places the retry within its backoff.
pub(crate) fn next(
    delivery: &Delivery,
    policy: &RetryPolicy,
    outcome: &Outcome,
    now: Timestamp,
    roll: f64,
) -> Next {
    match outcome {
        Outcome::Delivered => Next::Delivered,
        Outcome::Rejected { .. } => Next::Dead,
        Outcome::Retry { lasting, .. }
            if now
                >= clock::add(
                    delivery.created_at,
                    lasting.unwrap_or(policy.max_age).min(policy.max_age),
                ) =>
        {
            Next::Dead
        }
        Outcome::Retry { after, .. } => {
            let jitter = pacer::backoff(policy, delivery.attempts, roll);
            let asked = after.unwrap_or_default().min(pacer::RETRY_AFTER_MAX);
            Next::RetryAt(clock::add(now, jitter.max(asked)))
        }
    }
}

/// Whether the fallback is notified at once; otherwise it is when `fallback_after` has passed.
pub(super) fn triggers_fallback(next: Next, outcome: &Outcome) -> bool {
    next == Next::Dead || matches!(outcome, Outcome::Retry { reason: Reason::AuthError, .. })
}

/// The event about a dead delivery.
///
/// A dead message about tollbell itself raises none: that could go on for ever.
pub(super) fn dead_letter(
    delivery: &Delivery,
    message: &Message,
    next: Next,
    reason: Option<Reason>,
    now: Timestamp,
) -> Option<Event> {
    let about_itself = message.alerts.iter().any(|alert| {
        alert.event.get("source").and_then(Value::as_str) == Some(Source::Tollbell.as_str())
    });
    if next != Next::Dead || about_itself {
        return None;
    }
    let account = message.common_labels.get("account").map_or("", String::as_str);
    let id = format!("tollbell.dead_letter:{}:{}", delivery.id, delivery.attempts);
    let payload = json!({
        "delivery": delivery.id,
        "receiver": delivery.receiver,
        "integration": delivery.integration,
        "attempts": delivery.attempts,
        "reason": reason.map(Reason::as_str),
    });
    Some(Event::tollbell("tollbell.dead_letter", account, id, now, payload))
}

/// The outcome in words: the store's, the metric's, the person's.
pub(super) fn describe(outcome: &Outcome) -> (&'static str, Option<Reason>, String) {
    match outcome {
        Outcome::Delivered => ("delivered", None, String::new()),
        Outcome::Retry { reason, detail, .. } => ("retry", Some(*reason), detail.clone()),
        Outcome::Rejected { reason, detail } => ("rejected", Some(*reason), detail.clone()),
    }
}
