//! What all notifiers that speak HTTP share, over the client of [`crate::http`].
//!
//! Receives a finished request; promises an [`Answer`] or a failure that is already classified, within the deadline.
//! Reads 4 KiB of a reply at most, and repeats nothing by itself. No text it returns holds an address, header or token.
//!
//! | reply                     | outcome                                  |
//! |---------------------------|------------------------------------------|
//! | 2xx                       | delivered                                |
//! | 3xx                       | rejected, clientError                    |
//! | 401, 403, 407             | retry, authError: a person rotates a token within hours |
//! | 408                       | retry, timeout                           |
//! | 425, 5xx                  | retry, serverError, Retry-After obeyed   |
//! | 429                       | retry, rateLimited, Retry-After obeyed   |
//! | any other                 | rejected, clientError                    |

use std::error::Error as _;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};

use super::{NotifyError, Outcome, Reason};
use crate::http::{describe, retry_after};
use crate::secret::Secret;
use crate::text::one_line;

/// How much of a reply is read, in bytes; the rest is dropped together with the connection.
pub const REPLY_BYTES_MAX: usize = 4 * 1024;
/// Bound on reading a body, once the status is known.
const BODY_PATIENCE: Duration = Duration::from_secs(1);
/// Longest quotation of a peer's own words, in characters.
const QUOTE_CHARACTERS: usize = 80;
/// A secret shorter than this is too common a text to be blotted out, in bytes.
const BLOT_BYTES_MIN: usize = 4;

/// Headers that we set ourselves, or that belong to the connection.
const RESERVED_HEADERS: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "idempotency-key",
    "te",
    "transfer-encoding",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

/// A reply as far as it matters.
#[derive(Debug)]
pub(super) struct Answer {
    /// Status.
    pub(super) status: StatusCode,
    /// The wait that the peer asks for, capped.
    pub(super) after: Option<Duration>,
    /// The first bytes of the body, as text.
    pub(super) body: String,
    /// False when the body broke off or did not end in time, so that `body` is only its beginning.
    pub(super) whole: bool,
}

/// Posts `body` to `url` and reads the answer; a failure to get one is an outcome already.
pub(super) async fn post(
    client: &Client,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
    now: Timestamp,
) -> Result<Answer, Outcome> {
    let sent = client.post(url).headers(headers).body(body).send().await;
    let mut response = sent.map_err(failure)?;
    let status = response.status();
    let after = response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value, now));
    let mut body = Vec::new();
    // The status decides; a body that breaks off, drips or never ends changes nothing.
    let read = async {
        while body.len() < REPLY_BYTES_MAX {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        true
    };
    let whole = tokio::time::timeout(BODY_PATIENCE, read).await.unwrap_or(false);
    body.truncate(REPLY_BYTES_MAX);
    Ok(Answer { status, after, body: String::from_utf8_lossy(&body).into_owned(), whole })
}

/// How long a peer that answers as if there were nothing at its address is taken for one that is being replaced.
const ROLLOUT_MAX: Duration = Duration::from_mins(10);

/// The outcome that a status alone means; `said` is what the peer wrote, in a form fit for [`Outcome`].
pub(super) fn classify(answer: &Answer, said: &str) -> Outcome {
    let detail = match said {
        "" => format!("status {}", answer.status.as_u16()),
        said => format!("status {}: {said}", answer.status.as_u16()),
    };
    let retry = |reason, after, detail| Outcome::Retry {
        reason,
        after,
        lasting: None,
        // A gateway that waited in vain does not know what became of the request behind it.
        maybe_taken: answer.status == StatusCode::GATEWAY_TIMEOUT,
        peer_works: false,
        detail,
    };
    match answer.status.as_u16() {
        200..=299 => Outcome::Delivered,
        300..=399 => rollout(answer, format!("{detail} (a redirect, which is never followed)")),
        404 | 405 | 410 => rollout(answer, detail),
        401 | 403 | 407 => retry(Reason::AuthError, answer.after, detail),
        408 => retry(Reason::Timeout, answer.after, detail),
        429 => retry(Reason::RateLimited, answer.after, detail),
        425 | 500..=599 => retry(Reason::ServerError, answer.after, detail),
        _ => Outcome::Rejected { reason: Reason::ClientError, detail },
    }
}

/// A refusal by which a proxy answers for a service that is being replaced, too: worth trying again for a while.
fn rollout(answer: &Answer, detail: String) -> Outcome {
    Outcome::Retry {
        reason: Reason::ClientError,
        after: answer.after,
        lasting: Some(ROLLOUT_MAX),
        maybe_taken: false,
        peer_works: false,
        detail,
    }
}

fn failure(error: reqwest::Error) -> Outcome {
    let reason = match &error {
        error if error.is_connect() => Reason::Connect,
        error if error.is_timeout() => Reason::Timeout,
        error if is_garbage(error) => Reason::Other,
        error if error.is_builder() => Reason::Other,
        _ => Reason::Connect,
    };
    // Before a connection stands, nothing is sent; afterwards nobody knows how much of it arrived.
    let maybe_taken = !(error.is_connect() || error.is_builder());
    let detail = match reason {
        Reason::Timeout => "no answer in time; it may have been taken".to_owned(),
        _ => describe(error),
    };
    Outcome::Retry { reason, after: None, lasting: None, maybe_taken, peer_works: false, detail }
}

/// Whether the peer speaks, but not HTTP. hyper's error types are out of reach here, so its words have to do; they only
/// choose between two reasons of the same retry.
fn is_garbage(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.to_string().contains("invalid HTTP") {
            return true;
        }
        source = cause.source();
    }
    false
}

/// The address in a secret.
pub(super) fn read_url(secret: &Secret) -> Result<Url, Outcome> {
    let text = read_secret(secret, "the address")?;
    if text.expose_secret().contains('\\') {
        return Err(no_credentials("a backslash in the address: write / where it says \\/"));
    }
    let url = Url::parse(text.expose_secret()).ok();
    let usable = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = usable.ok_or_else(|| no_credentials("the address is no http or https URL"))?;
    if url.host_str().is_some_and(crate::address::is_host_permitted) {
        Ok(url)
    } else {
        Err(no_credentials(crate::address::REASON))
    }
}

/// A secret's text; one that cannot be read is put right by a person, as a refused one is.
pub(super) fn read_secret(secret: &Secret, what: &str) -> Result<SecretString, Outcome> {
    match secret.read() {
        Ok(text) => Ok(text),
        Err(error) => {
            Err(no_credentials(&format!("{what} cannot be read from its file: {}", error.kind())))
        }
    }
}

/// Names and values of the user's own headers; refuses names that are malformed or not the user's to set.
pub(super) fn own_headers(
    headers: &[(String, Secret)],
) -> Result<Vec<(HeaderName, Secret)>, NotifyError> {
    let parse = |(name, value): &(String, Secret)| {
        let parsed = name.parse::<HeaderName>().ok();
        match parsed.filter(|parsed| !RESERVED_HEADERS.contains(&parsed.as_str())) {
            Some(parsed) => Ok((parsed, value.clone())),
            None => Err(NotifyError::Header { name: name.clone() }),
        }
    };
    headers.iter().map(parse).collect()
}

/// Adds the user's own headers, and their values to what no text may show.
pub(super) fn add_own(
    headers: &mut HeaderMap,
    own: &[(HeaderName, Secret)],
    secrets: &mut Vec<String>,
) -> Result<(), Outcome> {
    for (name, value) in own {
        let value = read_secret(value, "a header's value")?;
        headers.insert(name, header_value(value.expose_secret())?);
        secrets.push(value.expose_secret().to_owned());
    }
    Ok(())
}

/// A header's value that is never logged.
pub(super) fn header_value(text: &str) -> Result<HeaderValue, Outcome> {
    let value = HeaderValue::from_str(text);
    let mut value = value.map_err(|_malformed| no_credentials("a header's value is malformed"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The outcome where a credential of ours is missing or malformed.
pub(super) fn no_credentials(detail: &str) -> Outcome {
    Outcome::Retry {
        reason: Reason::AuthError,
        after: None,
        lasting: None,
        maybe_taken: false,
        peer_works: false,
        detail: detail.to_owned(),
    }
}

/// What the peer says about an error, in its own words: the usual fields of a JSON body, without our secrets.
///
/// Free text is not quoted, nor is anything that stands in `sent`: a peer may echo the message.
pub(super) fn quote(body: &str, sent: &str, secrets: &[String]) -> String {
    let json: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let words = ["error", "message", "code"].iter().find_map(|name| json.get(name)?.as_str());
    let mut words = words.unwrap_or_default().to_owned();
    if sent.contains(&words) {
        return String::new();
    }
    for piece in pieces(secrets) {
        words = words.replace(piece, "***");
    }
    match words.len() {
        ..=QUOTE_CHARACTERS => one_line(&words, QUOTE_CHARACTERS),
        _ => String::new(),
    }
}

/// Secrets, whole and in their parts (of an address, a query, `Bearer …`), the longest first.
fn pieces(secrets: &[String]) -> Vec<&str> {
    let mut pieces: Vec<&str> = secrets
        .iter()
        .flat_map(|secret| secret.split(|c: char| " /?&=:;,@".contains(c)).chain([secret.as_str()]))
        .filter(|piece| piece.len() >= BLOT_BYTES_MIN)
        .collect();
    pieces.sort_by_key(|piece| std::cmp::Reverse(piece.len()));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Answer {
        let status = StatusCode::from_u16(status).expect("status");
        Answer { status, after: Some(Duration::from_secs(2)), body: String::new(), whole: true }
    }

    #[test]
    fn a_status_means_one_thing() {
        for (status, expected) in [
            (200, None),
            (204, None),
            (301, Some((true, Reason::ClientError))),
            (307, Some((true, Reason::ClientError))),
            (400, Some((false, Reason::ClientError))),
            (401, Some((true, Reason::AuthError))),
            (403, Some((true, Reason::AuthError))),
            (404, Some((true, Reason::ClientError))),
            (408, Some((true, Reason::Timeout))),
            (410, Some((true, Reason::ClientError))),
            (413, Some((false, Reason::ClientError))),
            (425, Some((true, Reason::ServerError))),
            (429, Some((true, Reason::RateLimited))),
            (500, Some((true, Reason::ServerError))),
            (503, Some((true, Reason::ServerError))),
            (599, Some((true, Reason::ServerError))),
        ] {
            let outcome = match classify(&answer(status), "") {
                Outcome::Delivered => None,
                Outcome::Retry { reason, after, .. } => {
                    assert_eq!(after, Some(Duration::from_secs(2)));
                    Some((true, reason))
                }
                Outcome::Rejected { reason, .. } => Some((false, reason)),
            };
            assert_eq!(outcome, expected, "{status}");
        }
    }

    #[test]
    fn only_a_gateway_that_waited_in_vain_leaves_open_whether_it_was_taken() {
        for status in [301, 404, 401, 408, 429, 500, 502, 503, 504] {
            let Outcome::Retry { maybe_taken, .. } = classify(&answer(status), "") else {
                panic!("{status} is worth trying again");
            };
            assert_eq!(maybe_taken, status == 504, "{status}");
        }
    }

    #[test]
    fn a_quotation_holds_no_secret_and_no_free_text() {
        let secrets = ["s3cret!".to_owned(), "a".to_owned()];
        for (body, expected) in [
            (r#"{"message": "Unknown Webhook", "code": 10015}"#, "Unknown Webhook"),
            (r#"{"error": "bad token s3cret!"}"#, "bad token ***"),
            (r#"{"error": {"nested": 1}}"#, ""),
            (r#"{"message": "limit reached"}"#, ""),
            ("the message we sent", ""),
            ("", ""),
        ] {
            assert_eq!(quote(body, "the limit reached us", &secrets), expected, "{body}");
        }
        let long = format!(r#"{{"error": "{}"}}"#, "x".repeat(100));
        assert_eq!(quote(&long, "", &[]), "");
    }
}
