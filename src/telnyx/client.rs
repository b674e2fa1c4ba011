//! The client of Telnyx's REST API.
//!
//! Receives an [`Endpoint`] with its parameters. Promises the answer as JSON with every number's source text kept, or a
//! typed error, within a bounded time: each attempt has a deadline, attempts are few, and waits between them are
//! Telnyx's own (`Retry-After`, `x-ratelimit-reset`) or a growing backoff with full jitter; `retry.rs` decides. The key
//! is read at each call, is sent to the configured address only, and appears in no text. Never follows a redirect.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::endpoint::Query;
use super::error::{ApiError, items, unreadable};
use super::retry::{Failed, again, pause, should_retry, wait_asked};
use super::{ApiSettings, Endpoint};
use crate::clock::{self, Clock};
use crate::http::{self, Via, describe};
use crate::secret::Secret;
use crate::tls::TlsError;

/// Bound on one attempt, from connecting to the last byte, when [`Client::patience`] sets no other.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest answer, in bytes: a page of the log of deliveries holds 100 entries of some 50 kB at most.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Connections kept to Telnyx.
const CONNECTIONS: usize = 2;
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Told of each attempt: the endpoint's name and the status, or `timeout` or `error`.
pub type Observer = Arc<dyn Fn(&'static str, &str) + Send + Sync>;

/// The client of one account. Cheap to clone; all clones obey the same rate limit.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    via: Via,
    url: String,
    key: Secret,
    clock: Clock,
    observer: Observer,
    attempt_timeout: Duration,
    /// No call before this: Telnyx said that none is left.
    not_before: Arc<Mutex<Timestamp>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Client {
    /// A client for one account; connects to nobody yet.
    pub fn new(settings: &ApiSettings, clock: Clock, observer: Observer) -> Result<Self, TlsError> {
        let via = Via { proxy: settings.proxy.clone(), ca_file: None };
        Ok(Self {
            http: http::client(ATTEMPT_TIMEOUT, CONNECTIONS, &via)?,
            via,
            url: settings.url.clone(),
            key: settings.key.clone(),
            clock,
            observer,
            attempt_timeout: ATTEMPT_TIMEOUT,
            not_before: Arc::new(Mutex::new(Timestamp::MIN)),
        })
    }

    /// The way to Telnyx.
    pub(super) fn via(&self) -> &Via {
        &self.via
    }

    /// The same client with another bound on one attempt, from connecting to the last byte; 20 s without it. Several
    /// attempts may be made, with waits between them.
    #[must_use]
    pub fn patience(self, attempt: Duration) -> Self {
        Self { attempt_timeout: attempt, ..self }
    }

    /// Whether the API is asked without TLS, as in tests.
    pub(super) fn is_in_clear(&self) -> bool {
        self.url.starts_with("http://")
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
            let not_before = *self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
            self.clock.sleep_until(not_before).await;
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

    async fn attempt(
        &self,
        endpoint: &Endpoint,
        id: Option<&str>,
        query: Query<'_>,
        body: Option<&Value>,
    ) -> Result<Value, Failed> {
        let key = self.key()?;
        let url = address(&self.url, endpoint, id, query)?;
        let request = self.http.request(endpoint.method.clone(), url);
        let request = request.header(AUTHORIZATION, bearer(&key)?).header(ACCEPT, JSON);
        let request = request.timeout(self.attempt_timeout);
        let request = match body {
            Some(body) => request.header(CONTENT_TYPE, JSON).body(body.to_string()),
            None => request,
        };
        let name = endpoint.name;
        let answer = exchange(request).await.map_err(|error| {
            let timeout = error.is_timeout();
            (self.observer)(name, if timeout { "timeout" } else { "error" });
            if timeout {
                ApiError::Timeout { endpoint: name }
            } else {
                ApiError::Connect { endpoint: name, detail: describe(error) }
            }
        })?;
        (self.observer)(name, answer.status.as_str());
        let now = self.clock.now();
        if let Some(pause) = pause(&answer.headers, answer.status, now) {
            let mut not_before = self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
            *not_before = (*not_before).max(clock::add(now, pause));
        }
        answer.read(endpoint, key.expose_secret(), now)
    }

    fn key(&self) -> Result<SecretString, ApiError> {
        self.key.read().map_err(|error| {
            // Our own words have no kind.
            let detail = match error.kind() {
                std::io::ErrorKind::Other => error.to_string(),
                kind => kind.to_string(),
            };
            ApiError::Key { detail: format!("cannot be read: {detail}") }
        })
    }
}

/// What came back, of whatever status.
struct ApiAnswer {
    status: StatusCode,
    headers: HeaderMap,
    /// One chunk more than [`BODY_BYTES_MAX`] at most.
    body: Vec<u8>,
}

async fn exchange(request: reqwest::RequestBuilder) -> Result<ApiAnswer, reqwest::Error> {
    let mut response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > BODY_BYTES_MAX {
            break;
        }
    }
    Ok(ApiAnswer { status, headers, body })
}

impl ApiAnswer {
    fn read(&self, endpoint: &Endpoint, key: &str, now: Timestamp) -> Result<Value, Failed> {
        let large = self.body.len() > BODY_BYTES_MAX;
        let json = if large { Ok(Value::Null) } else { serde_json::from_slice(&self.body) };
        if !self.status.is_success() {
            let error = ApiError::Refused {
                endpoint: endpoint.name,
                status: self.status.as_u16(),
                items: items(&json.unwrap_or_default(), key),
                after: wait_asked(&self.headers, self.status, now),
            };
            return Err(Failed { error, should_retry: should_retry(&self.headers) });
        }
        if large {
            return Err(unreadable(endpoint, &format!("larger than {BODY_BYTES_MAX} bytes")).into());
        }
        match json {
            Ok(answer) => Ok(answer),
            Err(_) if self.body.trim_ascii().is_empty() => Ok(Value::Null),
            Err(error) => Err(unreadable(endpoint, &place(&error)).into()),
        }
    }
}

/// The header that shows who asks. A key is one word; more is a file that holds something else.
fn bearer(key: &SecretString) -> Result<HeaderValue, ApiError> {
    let key = key.expose_secret();
    let no_key = |detail: &str| ApiError::Key { detail: detail.to_owned() };
    if key.is_empty() {
        return Err(no_key("it is empty"));
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(no_key("it is not one word of ASCII"));
    }
    let mut bearer = HeaderValue::from_str(&format!("Bearer {key}"))
        .map_err(|_malformed| no_key("it cannot stand in a header"))?;
    bearer.set_sensitive(true);
    Ok(bearer)
}

/// The endpoint's address. The id is one segment, whatever is in it.
fn address(
    base: &str,
    endpoint: &Endpoint,
    id: Option<&str>,
    query: Query<'_>,
) -> Result<reqwest::Url, ApiError> {
    let no_call =
        |detail: &str| ApiError::Unsendable { endpoint: endpoint.name, detail: detail.to_owned() };
    let mut url = reqwest::Url::parse(base).map_err(|_malformed| no_call("api_url is no URL"))?;
    {
        let mut segments =
            url.path_segments_mut().map_err(|()| no_call("api_url cannot have a path"))?;
        segments.pop_if_empty();
        for segment in endpoint.path.split('/').filter(|segment| !segment.is_empty()) {
            if segment != "{id}" {
                segments.push(segment);
                continue;
            }
            // Some of these vanish from a path: the call would then be for all that has ids.
            let fits = |id: &str| !matches!(id, "" | "." | "..") && !id.contains(char::is_control);
            let id = id.filter(|id| fits(id));
            segments.push(id.ok_or_else(|| no_call("there is no id that fits"))?);
        }
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(url)
}

/// Where JSON broke off, without quoting it.
fn place(error: &serde_json::Error) -> String {
    format!("no JSON at line {}, column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_segment_whatever_is_in_it() {
        let delete = &Endpoint::NOTIFICATION_CHANNEL_DELETE;
        let url = |id| address("https://api.telnyx.com/v2", delete, id, &[]);
        let base = "https://api.telnyx.com/v2/notification_channels/";
        for (id, segment) in [
            ("12455643-3cf1-4683-ad23-1cd32f7d5e0a", "12455643-3cf1-4683-ad23-1cd32f7d5e0a"),
            ("1293384261075731499", "1293384261075731499"),
            ("a/b", "a%2Fb"),
            ("../balance", "..%2Fbalance"),
            ("/", "%2F"),
            ("a?b=c#d", "a%3Fb=c%23d"),
            ("%2e%2e", "%252e%252e"),
            ("{id}", "%7Bid%7D"),
            ("a b\u{e9}", "a%20b%C3%A9"),
            ("\\", "%5C"),
        ] {
            let url = url(Some(id)).expect("a URL");
            assert_eq!(url.as_str(), format!("{base}{segment}"), "{id}");
        }
        for id in [None, Some(""), Some("."), Some(".."), Some(".\t."), Some("\n"), Some("a\r")] {
            let error = url(id).expect_err("no such call");
            let said = error.to_string();
            assert_eq!(
                said, "notification_channels: cannot be asked: there is no id that fits",
                "{id:?}"
            );
            assert_eq!(error.reason(), "client");
        }
    }

    #[test]
    fn the_base_keeps_its_path_and_the_query_is_encoded() {
        let query = [("filter[status][eq]", "a&b=c".to_owned()), ("page[size]", "2".to_owned())];
        for (base, expected) in [
            ("https://api.telnyx.com/v2", "https://api.telnyx.com/v2/webhook_deliveries"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/webhook_deliveries"),
            ("http://mock/a/b/", "http://mock/a/b/webhook_deliveries"),
        ] {
            let url = |query| address(base, &Endpoint::WEBHOOK_DELIVERIES, None, query);
            assert_eq!(url(&[]).expect("a URL").as_str(), expected);
            let url = url(&query).expect("a URL");
            assert_eq!(url.query(), Some("filter%5Bstatus%5D%5Beq%5D=a%26b%3Dc&page%5Bsize%5D=2"));
        }
        let error = address("mailto:me", &Endpoint::BALANCE, None, &[]).expect_err("no base");
        assert_eq!(error.to_string(), "balance: cannot be asked: api_url cannot have a path");
    }

    #[test]
    fn a_key_is_one_word() {
        let key = |text: &str| bearer(&SecretString::from(text.to_owned()));
        let header = key("KEY0123_abc").expect("a key");
        assert!(header.is_sensitive() && header.as_bytes() == b"Bearer KEY0123_abc");
        for (text, why) in [
            ("", "it is empty"),
            ("KEY0 abc", "it is not one word of ASCII"),
            ("KEY0\nX-Other: 1", "it is not one word of ASCII"),
            ("KEY0\u{e9}", "it is not one word of ASCII"),
        ] {
            let error = key(text).expect_err("no key");
            assert_eq!(error.to_string(), format!("the API key cannot be used: {why}"));
            assert_eq!(error.reason(), "key");
        }
    }

    #[test]
    fn an_answer_is_json_or_tells_why_not_without_quoting_it() {
        let read = |status: u16, body: &str| {
            let status = StatusCode::from_u16(status).expect("status");
            let answer = ApiAnswer { status, headers: HeaderMap::new(), body: body.into() };
            answer.read(&Endpoint::BALANCE, "KEY0", Timestamp::UNIX_EPOCH).map_err(|it| it.error)
        };
        assert_eq!(read(200, "{\"a\": 1.10}").expect("JSON").to_string(), r#"{"a":1.10}"#);
        assert_eq!(read(204, "").expect("nothing"), Value::Null);
        assert_eq!(read(200, " \r\n").expect("nothing"), Value::Null);
        for (body, said) in [
            (
                "<html>secret</html>",
                "balance: the answer cannot be read: no JSON at line 1, column 1",
            ),
            (
                "{\"data\": \"secr",
                "balance: the answer cannot be read: no JSON at line 1, column 14",
            ),
        ] {
            assert_eq!(read(200, body).expect_err("no JSON").to_string(), said);
        }
        let large = "1".repeat(BODY_BYTES_MAX + 1);
        let error = read(200, &large).expect_err("too large");
        assert_eq!(
            error.to_string(),
            "balance: the answer cannot be read: larger than 16777216 bytes"
        );
        assert_eq!(read(503, &large).expect_err("down").to_string(), "balance: status 503");
        assert_eq!(read(502, "<html>").expect_err("down").to_string(), "balance: status 502");
        let body = r#"{"errors": [{"code": "10009", "title": "Authentication failed"}]}"#;
        let error = read(401, body).expect_err("refused");
        assert_eq!(error.to_string(), "balance: status 401 (10009 Authentication failed)");
        assert_eq!((error.status(), error.reason()), (Some(401), "auth"));
    }
}
