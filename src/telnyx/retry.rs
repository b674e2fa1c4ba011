//! Whether a call of Telnyx's API is tried again, and when. Pure: what came, and `now`.
//!
//! | answer                  | again?                                                     |
//! |-------------------------|------------------------------------------------------------|
//! | 2xx                     | no                                                         |
//! | 408, 409, 429, 5xx      | yes; calls that change something after 429 only            |
//! | any other               | no                                                         |
//! | none in time, or cut    | yes, unless the call changes something                     |
//! | `x-should-retry`        | as it says, where a repeat is allowed at all               |

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::{Method, StatusCode};

use super::error::{ApiError, WAIT_MAX};
use crate::http;

/// Attempts of one call at most.
const ATTEMPTS_MAX: u32 = 4;
/// Upper bound of the first wait; it doubles with each attempt.
const BACKOFF: Duration = Duration::from_millis(500);
/// A reset above this is a time in Unix seconds, not a number of seconds: Telnyx's pages say both.
const EPOCH_MIN: f64 = 1e9;
/// Above this it is a time in Unix milliseconds.
const EPOCH_MILLIS_MIN: f64 = 1e12;
/// Where Telnyx says how many calls are left, and when there are more.
const RATE_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RATE_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// Where it overrules what the status says.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// An attempt that gave no answer.
#[derive(Debug)]
pub(super) struct Failed {
    /// Why.
    pub(super) error: ApiError,
    /// What Telnyx says of a repeat, where it does.
    pub(super) should_retry: Option<bool>,
}

impl From<ApiError> for Failed {
    fn from(error: ApiError) -> Self {
        Self { error, should_retry: None }
    }
}

/// How long to wait before the next attempt; `None` when there is to be none. `attempt` is the one that failed, from 1;
/// `random` is from 0 until 1.
pub(super) fn again(
    failed: &Failed,
    method: &Method,
    attempt: u32,
    random: f64,
) -> Option<Duration> {
    if attempt >= ATTEMPTS_MAX {
        return None;
    }
    let (transient, limited, after) = match &failed.error {
        ApiError::Refused { status, after, .. } => {
            (matches!(status, 408 | 409 | 429 | 500..), *status == 429, *after)
        }
        ApiError::Timeout { .. } | ApiError::Connect { .. } => (true, false, None),
        ApiError::Unreadable { .. } | ApiError::Unsendable { .. } | ApiError::Key { .. } => {
            return None;
        }
    };
    // What was refused for its rate was not done. Of all else that cannot be known.
    let repeatable = *method == Method::GET || limited;
    if !(repeatable && failed.should_retry.unwrap_or(transient)) {
        return None;
    }
    let backoff = (BACKOFF * 2_u32.pow(attempt.saturating_sub(1))).mul_f64(random);
    let wait = after.unwrap_or_default().max(backoff);
    (wait <= WAIT_MAX).then_some(wait)
}

/// The wait that a refusal asks for: `Retry-After`, else for a 429 the time of the rate limit's reset.
pub(super) fn wait_asked(
    headers: &HeaderMap,
    status: StatusCode,
    now: Timestamp,
) -> Option<Duration> {
    let asked = headers.get(RETRY_AFTER).and_then(|value| http::retry_after(value, now));
    asked.or_else(|| reset(headers, now).filter(|_| status == StatusCode::TOO_MANY_REQUESTS))
}

/// How long nobody is to call with this key, whatever they ask for: after a 429, and when no call is left.
///
/// [`WAIT_MAX`] at most: a header that was misread must not blind the balance poller for longer than that.
pub(super) fn pause(headers: &HeaderMap, status: StatusCode, now: Timestamp) -> Option<Duration> {
    let none_left = headers.get(RATE_REMAINING).is_some_and(|left| left.as_bytes() == b"0");
    let pause = if status == StatusCode::TOO_MANY_REQUESTS {
        wait_asked(headers, status, now)
    } else {
        reset(headers, now).filter(|_| none_left)
    };
    pause.map(|pause| pause.min(WAIT_MAX))
}

/// `x-ratelimit-reset`: seconds from now, or a time in Unix seconds or milliseconds. An hour at most.
fn reset(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RATE_RESET)?.to_str().ok()?;
    let number: f64 = text.trim().parse().ok()?;
    if !number.is_finite() || number < 0.0 {
        return None;
    }
    let time = if number > EPOCH_MILLIS_MIN { number / 1e3 } else { number };
    let seconds = if time > EPOCH_MIN { time - now.as_duration().as_secs_f64() } else { time };
    let wait = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(http::RETRY_AFTER_MAX);
    Some(wait.min(http::RETRY_AFTER_MAX))
}

/// `x-should-retry`: `true` or `false`.
pub(super) fn should_retry(headers: &HeaderMap) -> Option<bool> {
    match headers.get(SHOULD_RETRY)?.as_bytes() {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    const NOW: &str = "2026-08-20T19:17:08Z";
    /// [`NOW`] in Unix seconds.
    const NOW_SECONDS: i64 = 1_787_253_428;

    fn now() -> Timestamp {
        let now: Timestamp = NOW.parse().expect("time");
        assert_eq!(now.as_second(), NOW_SECONDS);
        now
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let value = |text| HeaderValue::from_str(text).expect("header");
        pairs.iter().map(|(name, text)| (HeaderName::from_static(name), value(text))).collect()
    }

    fn refused(status: u16, after: Option<u64>, should_retry: Option<bool>) -> Failed {
        let after = after.map(Duration::from_secs);
        let error = ApiError::Refused { endpoint: "balance", status, items: Vec::new(), after };
        Failed { error, should_retry }
    }

    fn wait(failed: &Failed, method: &Method) -> Option<Duration> {
        again(failed, method, 1, 0.5)
    }

    #[test]
    fn what_may_pass_is_asked_again_and_what_is_refused_is_not() {
        for (status, expected) in [
            (300, false),
            (302, false),
            (400, false),
            (401, false),
            (402, false),
            (403, false),
            (404, false),
            (408, true),
            (409, true),
            (410, false),
            (422, false),
            (425, false),
            (429, true),
            (500, true),
            (501, true),
            (502, true),
            (503, true),
            (504, true),
            (599, true),
        ] {
            let failed = refused(status, None, None);
            assert_eq!(wait(&failed, &Method::GET).is_some(), expected, "{status}");
        }
        let endpoint = "balance";
        let detail = String::new;
        for (error, expected) in [
            (ApiError::Timeout { endpoint }, true),
            (ApiError::Connect { endpoint, detail: detail() }, true),
            (ApiError::Unreadable { endpoint, detail: detail() }, false),
            (ApiError::Unsendable { endpoint, detail: detail() }, false),
            (ApiError::Key { detail: detail() }, false),
        ] {
            let failed = Failed::from(error);
            assert_eq!(wait(&failed, &Method::GET).is_some(), expected, "{failed:?}");
        }
    }

    #[test]
    fn what_changes_something_is_repeated_only_when_it_was_certainly_not_done() {
        let timeout = Failed::from(ApiError::Timeout { endpoint: "notification_channels" });
        for method in [Method::POST, Method::PATCH, Method::DELETE, Method::PUT] {
            for status in [408, 409, 500, 503] {
                assert_eq!(wait(&refused(status, None, None), &method), None, "{method} {status}");
                let told = refused(status, None, Some(true));
                assert_eq!(wait(&told, &method), None, "{method} {status}, told to");
            }
            assert_eq!(wait(&timeout, &method), None, "{method}");
            assert!(wait(&refused(429, None, None), &method).is_some(), "{method}");
        }
    }

    #[test]
    fn telnyx_may_overrule_its_status() {
        let again = |status, should| wait(&refused(status, None, should), &Method::GET).is_some();
        assert!(again(400, Some(true)) && again(503, Some(true)));
        assert!(!again(503, Some(false)) && !again(429, Some(false)));
        for (text, expected) in
            [("true", Some(true)), ("false", Some(false)), ("TRUE", None), ("1", None), ("", None)]
        {
            assert_eq!(should_retry(&headers(&[("x-should-retry", text)])), expected, "{text}");
        }
        assert_eq!(should_retry(&HeaderMap::new()), None);
    }

    #[test]
    fn attempts_are_few_and_waits_grow_with_jitter_up_to_a_minute() {
        let failed = refused(503, None, None);
        let waits = |random| -> Vec<Option<u128>> {
            let one = |attempt| again(&failed, &Method::GET, attempt, random);
            (1..=5).map(|attempt| one(attempt).map(|wait| wait.as_millis())).collect()
        };
        assert_eq!(waits(0.0), [Some(0), Some(0), Some(0), None, None]);
        assert_eq!(waits(0.5), [Some(250), Some(500), Some(1000), None, None]);
        let longest = waits(0.99);
        assert_eq!(longest, [Some(495), Some(990), Some(1980), None, None]);
        let asked = |seconds| wait(&refused(429, Some(seconds), None), &Method::GET);
        assert_eq!(asked(0), Some(Duration::from_millis(250)));
        assert_eq!(asked(7), Some(Duration::from_secs(7)));
        assert_eq!(asked(60), Some(WAIT_MAX));
        assert_eq!(asked(61), None);
    }

    #[test]
    fn a_reset_is_seconds_or_a_time() {
        let (soon, past) = (NOW_SECONDS + 30, NOW_SECONDS - 30);
        for (text, expected) in [
            ("0", Some(0)),
            ("1", Some(1_000)),
            (" 2 ", Some(2_000)),
            ("0.25", Some(250)),
            ("1e1", Some(10_000)),
            ("999999999", Some(3_600_000)),
            (&soon.to_string(), Some(30_000)),
            (&past.to_string(), Some(0)),
            (&format!("{soon}.5"), Some(30_500)),
            // Milliseconds, nanoseconds, and what fits no clock.
            (&(soon * 1000).to_string(), Some(30_000)),
            (&(past * 1000).to_string(), Some(0)),
            (&(soon * 1_000_000_000).to_string(), Some(3_600_000)),
            ("1e300", Some(3_600_000)),
            ("-1", None),
            ("inf", None),
            ("NaN", None),
            ("soon", None),
            ("", None),
            ("1,5", None),
        ] {
            let wait = reset(&headers(&[("x-ratelimit-reset", text)]), now());
            let millis = wait.map(|wait| (wait.as_secs_f64() * 1000.0).round());
            assert_eq!(millis, expected.map(f64::from), "{text}");
        }
        assert_eq!(reset(&HeaderMap::new(), now()), None);
    }

    #[test]
    fn retry_after_goes_before_the_reset_which_counts_for_a_429_only() {
        let both = headers(&[("retry-after", "5"), ("x-ratelimit-reset", "9")]);
        let reset = headers(&[("x-ratelimit-reset", "9")]);
        let garbage = headers(&[("retry-after", "soon"), ("x-ratelimit-reset", "9")]);
        let date = headers(&[("retry-after", "Thu, 20 Aug 2026 19:17:38 GMT")]);
        let limited = StatusCode::TOO_MANY_REQUESTS;
        let down = StatusCode::SERVICE_UNAVAILABLE;
        for (headers, status, expected) in [
            (&both, limited, Some(5)),
            (&both, down, Some(5)),
            (&reset, limited, Some(9)),
            (&reset, down, None),
            (&garbage, limited, Some(9)),
            (&date, down, Some(30)),
            (&HeaderMap::new(), limited, None),
        ] {
            let wait = wait_asked(headers, status, now());
            assert_eq!(wait, expected.map(Duration::from_secs), "{headers:?} {status}");
        }
    }

    #[test]
    fn everybody_pauses_when_no_call_is_left_for_a_minute_at_most() {
        let limited = StatusCode::TOO_MANY_REQUESTS;
        let epoch = (NOW_SECONDS + 2).to_string();
        for (pairs, status, expected) in [
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "3")][..], 200, Some(3)),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &epoch)], 200, Some(2)),
            (&[("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", "3")], 200, None),
            (&[("x-ratelimit-remaining", "0")], 200, None),
            (&[("x-ratelimit-reset", "3")], 200, None),
            (&[("x-ratelimit-reset", "3")], 429, Some(3)),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1800")], 200, Some(60)),
            (&[("retry-after", "1800")], 429, Some(60)),
            (&[("retry-after", "5")], 503, None),
            (&[], 429, None),
        ] {
            let status = StatusCode::from_u16(status).expect("status");
            let pause = pause(&headers(pairs), status, now());
            let seconds = pause.map(|pause| pause.as_secs_f64().round());
            assert_eq!(seconds, expected.map(f64::from), "{pairs:?} {status}");
        }
        assert_eq!(pause(&headers(&[("retry-after", "0")]), limited, now()), Some(Duration::ZERO));
    }
}
