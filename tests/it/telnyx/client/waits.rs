//! How long the client waits, and for whom.

use std::pin::pin;
use std::time::Duration;

use futures_util::poll;
use jiff::Timestamp;
use serde_json::json;
use tollbell::telnyx::{ApiError, Endpoint};

use super::{NOW, Setting, is_there};
use crate::support::http::Reply;
use crate::support::telnyx_api::error;

/// [`NOW`] in Unix seconds.
fn now_seconds() -> i64 {
    NOW.parse::<Timestamp>().unwrap().as_second()
}

/// Lets everything run that can.
async fn run_all() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

#[tokio::test]
async fn telnyx_says_how_long_to_wait_in_four_ways() {
    let epoch = (now_seconds() + 7).to_string();
    let limited = || error(429, "10011", "Too many requests");
    for reply in [
        Reply::too_many("7"),
        Reply::too_many("Thu, 20 Aug 2026 19:17:15 GMT"),
        limited().header("x-ratelimit-reset", "7"),
        limited().header("x-ratelimit-reset", &epoch),
        limited().header("retry-after", "7").header("x-ratelimit-reset", "3"),
        Reply::status(503).header("retry-after", "7"),
    ] {
        let it = Setting::new().await;
        it.api.next("/balance", [reply.clone()]);
        let mut call = pin!(it.client.get(&Endpoint::BALANCE, &[]));
        assert!(it.until(call.as_mut(), 1).await.is_pending(), "{reply:?}");
        it.clock.advance(Duration::from_millis(6_999));
        assert!(poll!(call.as_mut()).is_pending());
        run_all().await;
        assert_eq!(it.api.requests("/balance").len(), 1, "too early: {reply:?}");
        it.clock.advance(Duration::from_millis(1));
        assert!(is_there(call.await), "{reply:?}");
        assert_eq!(it.attempts().len(), 2);
    }
}

#[tokio::test]
async fn who_is_told_to_wait_long_says_so_instead() {
    let it = Setting::new().await;
    it.api.next("/balance", [Reply::too_many("600")]);
    // Without a step of the clock: it does not wait.
    let error = it.client.get(&Endpoint::BALANCE, &[]).await.unwrap_err();
    let ApiError::Refused { status: 429, after, .. } = &error else { panic!("{error:?}") };
    assert_eq!((*after, error.reason()), (Some(seconds(600)), "rate_limited"));
    // Nobody else calls with this key for a while, but for no longer than a minute.
    let clone = it.client.clone();
    let mut call = pin!(clone.get(&Endpoint::BALANCE, &[]));
    assert!(poll!(call.as_mut()).is_pending());
    it.clock.advance(seconds(59));
    assert!(poll!(call.as_mut()).is_pending());
    run_all().await;
    assert_eq!(it.api.requests("/balance").len(), 1);
    it.clock.advance(seconds(1));
    assert!(is_there(call.await));
}

#[tokio::test]
async fn nobody_calls_when_no_call_is_left() {
    let epoch = (now_seconds() + 3).to_string();
    for reset in ["3", &epoch] {
        let it = Setting::new().await;
        let answer = Reply::json(&json!({"data": []}));
        let last = answer.header("x-ratelimit-remaining", "0").header("x-ratelimit-reset", reset);
        it.api.always("/invoices", last);
        it.list(1, 1).await;
        let clone = it.client.clone().patience(seconds(5));
        let mut call = pin!(clone.get(&Endpoint::BALANCE, &[]));
        it.clock.advance(Duration::from_millis(2_999));
        assert!(poll!(call.as_mut()).is_pending());
        run_all().await;
        it.api.sink.expect_none("/v2/balance");
        it.clock.advance(Duration::from_millis(1));
        assert!(is_there(call.await), "{reset}");
    }
}
