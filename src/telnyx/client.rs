//! The client of Telnyx's REST API.
//!
//! Receives an [`Endpoint`] with its parameters. Promises the answer as JSON with every number's source text kept, or a
//! typed error, within a bounded time: each attempt has a deadline, attempts are few, and waits between them are
//! Telnyx's own (`Retry-After`, `x-ratelimit-reset`) or a growing backoff with full jitter. The key is read at each
//! call, is sent to the configured address only, and appears in no text.
//!
//! | answer                  | again?                                                     |
//! |-------------------------|------------------------------------------------------------|
//! | 2xx                     | no                                                         |
//! | 408, 409, 429, 5xx      | yes; calls that change something after 429 only            |
//! | any other               | no                                                         |
//! | none in time, or cut    | yes, unless the call changes something                     |
//! | `x-should-retry`        | as it says, where a repeat is allowed at all               |

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::error::{ApiError, items};
use super::{Endpoint, Settings};
use crate::clock::{self, Clock, until};
use crate::http::{self, ClientError, describe};
use crate::secret::Secret;

/// Bound on one attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// Attempts of one call at most.
const ATTEMPTS_MAX: u32 = 4;
/// Longest wait before an attempt; when Telnyx asks for more, the call fails instead.
const WAIT_MAX: Duration = Duration::from_mins(1);
/// Upper bound of the first wait; it doubles with each attempt.
const BACKOFF: Duration = Duration::from_millis(500);
/// Largest answer, in bytes: a page of the log of deliveries holds 100 entries of some 50 kB at most.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Connections kept to Telnyx.
const CONNECTIONS: usize = 2;
/// A reset above this is a time in Unix seconds, not a number of seconds: Telnyx's pages say both.
const EPOCH_MIN: f64 = 1e9;
/// Where Telnyx says how many calls are left, and when there are more.
const RATE_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RATE_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// Where it overrules what the status says.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Told of each attempt: the endpoint's name and the status, or `timeout` or `error`.
pub type Observer = Arc<dyn Fn(&'static str, &str) + Send + Sync>;

/// The client of one account. Cheap to clone; all clones obey the same rate limit.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    key: Secret,
    clock: Clock,
    observer: Observer,
    /// No call before this: Telnyx said that none is left.
    not_before: Arc<Mutex<Timestamp>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Query parameters; names as Telnyx writes them, such as `filter[status][eq]`.
pub type Query<'a> = &'a [(&'a str, String)];

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// `data`.
    pub items: Vec<Value>,
    /// Its number, from 1.
    pub number: u32,
    /// How many there are, where Telnyx says; at least this one.
    pub pages: u32,
    /// How many items there are on all pages, where Telnyx says.
    pub results: Option<u64>,
}

impl Client {
    /// A client for one account; connects to nobody yet.
    pub fn new(settings: &Settings, clock: Clock, observer: Observer) -> Result<Self, ClientError> {
        Ok(Self {
            http: http::client(ATTEMPT_TIMEOUT, CONNECTIONS, None)?,
            url: settings.url.clone(),
            key: settings.key.clone(),
            clock,
            observer,
            not_before: Arc::new(Mutex::new(Timestamp::MIN)),
        })
    }

    /// Asks for something that has no id in its path.
    pub async fn get(&self, endpoint: &Endpoint, query: Query<'_>) -> Result<Value, ApiError> {
        self.call(endpoint, None, query, None).await
    }

    /// Calls an endpoint; `id` takes the place of `{id}` in its path. An answer without a body is null.
    pub async fn call(
        &self,
        endpoint: &Endpoint,
        id: Option<&str>,
        query: Query<'_>,
        body: Option<&Value>,
    ) -> Result<Value, ApiError> {
        let mut attempt = 1;
        loop {
            self.obey_rate_limit(endpoint).await?;
            let error = match self.attempt(endpoint, id, query, body).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let Some(wait) = again(&error, &endpoint.method, attempt, fastrand::f64()) else {
                return Err(error.error);
            };
            tracing::debug!(endpoint = endpoint.name, attempt, error = %error.error, ?wait, "asking Telnyx again");
            self.clock.sleep_until(clock::add(self.clock.now(), wait)).await;
            attempt += 1;
        }
    }

    /// One page of a list, from 1. `size` is bound by the endpoint: 250 in general.
    pub async fn page(
        &self,
        endpoint: &Endpoint,
        query: Query<'_>,
        number: u32,
        size: u32,
    ) -> Result<Page, ApiError> {
        let mut query = query.to_vec();
        query.push(("page[number]", number.to_string()));
        query.push(("page[size]", size.to_string()));
        let mut answer = self.get(endpoint, &query).await?;
        let meta = |key: &str| answer.get("meta").and_then(|meta| meta.get(key)?.as_u64());
        let pages = meta("total_pages").and_then(|pages| u32::try_from(pages).ok());
        let (pages, results) = (pages.unwrap_or(number).max(number), meta("total_results"));
        match answer.get_mut("data").map(Value::take) {
            Some(Value::Array(items)) => Ok(Page { items, number, pages, results }),
            _ => Err(unreadable(endpoint, "there is no list under data")),
        }
    }

    /// All items of a list, `pages_max` pages at most; `progress` is told of each page as it comes. The last page that was
    /// read tells by `number < pages` that there were more.
    pub async fn list(
        &self,
        endpoint: &Endpoint,
        query: Query<'_>,
        size: u32,
        pages_max: u32,
        mut progress: impl FnMut(&Page),
    ) -> Result<(Vec<Value>, bool), ApiError> {
        let mut items = Vec::new();
        let mut number = 1;
        loop {
            let mut page = self.page(endpoint, query, number, size).await?;
            progress(&page);
            items.append(&mut page.items);
            if number >= page.pages {
                return Ok((items, true));
            }
            if number >= pages_max {
                return Ok((items, false));
            }
            number += 1;
        }
    }

    async fn obey_rate_limit(&self, endpoint: &Endpoint) -> Result<(), ApiError> {
        let not_before = *self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = until(self.clock.now(), not_before);
        if wait > WAIT_MAX {
            let (status, items) = (StatusCode::TOO_MANY_REQUESTS.as_u16(), Vec::new());
            return Err(ApiError::Refused {
                endpoint: endpoint.name,
                status,
                items,
                after: Some(wait),
            });
        }
        self.clock.sleep_until(not_before).await;
        Ok(())
    }

    async fn attempt(
        &self,
        endpoint: &Endpoint,
        id: Option<&str>,
        query: Query<'_>,
        body: Option<&Value>,
    ) -> Result<Value, Failed> {
        let name = endpoint.name;
        let key = self.key.read().map_err(|error| ApiError::Key {
            detail: format!("cannot be read: {}", error.kind()),
        })?;
        let key = key.expose_secret();
        let mut bearer = HeaderValue::from_str(&format!("Bearer {key}"))
            .map_err(|_malformed| ApiError::Key { detail: "not a key".to_owned() })?;
        bearer.set_sensitive(true);
        let url = address(&self.url, endpoint, id, query)
            .ok_or_else(|| unreadable(endpoint, "the address is no URL"))?;
        let mut request =
            self.http.request(endpoint.method.clone(), url).header(AUTHORIZATION, bearer);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answered = async {
            let mut response = request.send().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            let mut bytes = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                bytes.extend_from_slice(&chunk);
                if bytes.len() > BODY_BYTES_MAX {
                    break;
                }
            }
            Ok((status, headers, bytes))
        };
        let (status, headers, bytes) = answered.await.map_err(|error: reqwest::Error| {
            let timeout = error.is_timeout();
            (self.observer)(name, if timeout { "timeout" } else { "error" });
            if timeout {
                ApiError::Timeout { endpoint: name }
            } else {
                ApiError::Connect { endpoint: name, detail: describe(error) }
            }
        })?;
        (self.observer)(name, status.as_str());
        let now = self.clock.now();
        self.heed(&headers, now);
        if bytes.len() > BODY_BYTES_MAX {
            return Err(unreadable(endpoint, &format!("larger than {BODY_BYTES_MAX} bytes")).into());
        }
        let json: Result<Value, serde_json::Error> = serde_json::from_slice(&bytes);
        if status.is_success() {
            return match json {
                Ok(answer) => Ok(answer),
                Err(_) if bytes.trim_ascii().is_empty() => Ok(Value::Null),
                Err(error) => Err(unreadable(endpoint, &place(&error)).into()),
            };
        }
        let after = wait_asked(&headers, status, now);
        let items = items(&json.unwrap_or_default(), key);
        let error = ApiError::Refused { endpoint: name, status: status.as_u16(), items, after };
        Err(Failed { error, should_retry: should_retry(&headers) })
    }

    /// Remembers when there are calls again, once Telnyx says that none is left.
    fn heed(&self, headers: &HeaderMap, now: Timestamp) {
        let none_left = headers.get(RATE_REMAINING).is_some_and(|left| left.as_bytes() == b"0");
        let Some(wait) = reset(headers, now).filter(|_| none_left) else { return };
        let mut not_before = self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        *not_before = (*not_before).max(clock::add(now, wait.min(http::RETRY_AFTER_MAX)));
    }
}

/// An attempt that gave no answer.
struct Failed {
    error: ApiError,
    /// What Telnyx says of a repeat, where it does.
    should_retry: Option<bool>,
}

impl From<ApiError> for Failed {
    fn from(error: ApiError) -> Self {
        Self { error, should_retry: None }
    }
}

/// How long to wait before the next attempt; `None` when there is to be none. `random` is from 0 until 1.
fn again(failed: &Failed, method: &Method, attempt: u32, random: f64) -> Option<Duration> {
    if attempt >= ATTEMPTS_MAX {
        return None;
    }
    let (transient, limited, after) = match &failed.error {
        ApiError::Refused { status, after, .. } => {
            (matches!(status, 408 | 409 | 429 | 500..), *status == 429, *after)
        }
        ApiError::Timeout { .. } | ApiError::Connect { .. } => (true, false, None),
        ApiError::Unreadable { .. } | ApiError::Key { .. } => (false, false, None),
    };
    // What was refused for its rate was not done. Of all else that cannot be known.
    let repeatable = *method == Method::GET || limited;
    if !(repeatable && failed.should_retry.unwrap_or(transient)) {
        return None;
    }
    let backoff = (BACKOFF * 2_u32.pow(attempt - 1)).mul_f64(random);
    let wait = after.unwrap_or_default().max(backoff);
    (wait <= WAIT_MAX).then_some(wait)
}

/// The wait that a refusal asks for: `Retry-After`, else for a 429 the time of the rate limit's reset.
fn wait_asked(headers: &HeaderMap, status: StatusCode, now: Timestamp) -> Option<Duration> {
    let asked = headers.get(RETRY_AFTER).and_then(|value| http::retry_after(value, now));
    asked.or_else(|| reset(headers, now).filter(|_| status == StatusCode::TOO_MANY_REQUESTS))
}

/// `x-ratelimit-reset`: seconds from now, or a time in Unix seconds.
fn reset(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RATE_RESET)?.to_str().ok()?;
    let number: f64 = text.trim().parse().ok()?;
    if !number.is_finite() || number < 0.0 {
        return None;
    }
    let seconds =
        if number > EPOCH_MIN { number - now.as_duration().as_secs_f64() } else { number };
    Some(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(http::RETRY_AFTER_MAX))
}

fn should_retry(headers: &HeaderMap) -> Option<bool> {
    match headers.get(SHOULD_RETRY)?.as_bytes() {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

/// The endpoint's address. The id is one segment, whatever is in it.
fn address(
    base: &str,
    endpoint: &Endpoint,
    id: Option<&str>,
    query: Query<'_>,
) -> Option<reqwest::Url> {
    let mut url = reqwest::Url::parse(base).ok()?;
    {
        let mut segments = url.path_segments_mut().ok()?;
        segments.pop_if_empty();
        for segment in endpoint.path.split('/').filter(|segment| !segment.is_empty()) {
            segments.push(if segment == "{id}" { id? } else { segment });
        }
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Some(url)
}

fn unreadable(endpoint: &Endpoint, detail: &str) -> ApiError {
    ApiError::Unreadable { endpoint: endpoint.name, detail: detail.to_owned() }
}

/// Where JSON broke off, without quoting it.
fn place(error: &serde_json::Error) -> String {
    format!("no JSON at line {}, column {}", error.line(), error.column())
}
