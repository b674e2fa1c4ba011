//! What becomes of a delivery after an attempt. Pure.

use jiff::Timestamp;

use super::pacer;
use crate::clock;
use crate::notify::{Outcome, Reason, RetryPolicy};
use crate::store::{Delivery, Next};

/// What is next: `roll` in 0..1 places the retry within its backoff.
pub(super) fn next(
    delivery: &Delivery,
    policy: &RetryPolicy,
    outcome: &Outcome,
    now: Timestamp,
    roll: f64,
) -> Next {
    match outcome {
        Outcome::Delivered => Next::Delivered,
        Outcome::Rejected { .. } => Next::Dead,
        Outcome::Retry { .. } if now >= clock::add(delivery.created_at, policy.max_age) => {
            Next::Dead
        }
        Outcome::Retry { after, .. } => {
            let jitter = pacer::backoff(policy, delivery.attempts, roll);
            let asked = after.unwrap_or_default().min(pacer::RETRY_AFTER_MAX);
            Next::RetryAt(clock::add(now, jitter.max(asked)))
        }
    }
}

/// Whether the fallback is rung at once; otherwise it is rung when `fallback_after` has passed.
pub(super) fn rings_fallback(next: Next, outcome: &Outcome) -> bool {
    next == Next::Dead || matches!(outcome, Outcome::Retry { reason: Reason::AuthError, .. })
}

/// The outcome in words: the store's, the metric's, the person's.
pub(super) fn describe(outcome: &Outcome) -> (&'static str, Option<Reason>, String) {
    match outcome {
        Outcome::Delivered => ("delivered", None, String::new()),
        Outcome::Retry { reason, detail, .. } => ("retry", Some(*reason), detail.clone()),
        Outcome::Rejected { reason, detail } => ("rejected", Some(*reason), detail.clone()),
    }
}
