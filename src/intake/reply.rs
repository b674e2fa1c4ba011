//! What Telnyx is told, and why: the only place of the public listener that knows status codes.
//!
//! Telnyx takes 200 for "never tell again", tries again after a time-out, 408, 429 and 5xx, and gives up on any
//! other 4xx. So: 200 only after the commit; 4xx only for what no repetition could mend; 503 for all that
//! another attempt may find mended. A redirect is never sent.
//!
//! | status | reason (metric label) | when | Telnyx |
//! |---|---|---|---|
//! | 200 | - | kept, now or before (a duplicate changes nothing) | never tells again |
//! | 400 | `missing_header` | a signature header is absent or empty: not from Telnyx, or stripped on the way | gives up |
//! | 400 | `repeated_header` | a signature header came twice: which one was meant is a guess we do not make | gives up |
//! | 400 | `bad_timestamp` | not one to eighteen ASCII digits | gives up |
//! | 400 | `bad_signature_encoding` | not standard, padded base64 of 64 bytes | gives up |
//! | 400 | `bad_body` | the body ended early or its chunks are malformed: only a broken client gets here | gives up |
//! | 401 | `bad_signature` | no key of the account signed these bytes | gives up |
//! | 401 | `source` | the address is not in `allowed_sources`; same words as above, so that a prober learns nothing | gives up |
//! | 404 | `unknown_account` | no such path or account | gives up |
//! | 404 | `wrong_path` | no such path or account, yet with Telnyx's headers: of an account that was removed or is misspelt, and whose key is not known | gives up |
//! | 405 | `method` | not POST; with `Allow` | gives up |
//! | 413 | `body_too_large` | more than `max_body`; it would be as large the next time | gives up |
//! | 503 | `clock` | genuine, but too old or too new: our clock may be the wrong one, and the next attempt is stamped afresh | tries again |
//! | 503 | `peer_limit` | the address sent many bad signatures and no time is left to check one more; the next one may be genuine, so it is put off, not refused | tries again |
//! | 503 | `body_timeout` | the body came too slowly | tries again |
//! | 503 | `busy` | too many large bodies at once | tries again |
//! | 503 | `store` | queue full, or the store is not writable, or closed, or cannot hold the event | tries again |
//! | 503 | `store_timeout` | not committed in time; it may be yet, and then the repetition is a duplicate | tries again |
//!
//! Every 503 carries `Retry-After`. Below us the HTTP layer itself answers 400 to what is no HTTP, 408 to a head
//! that comes too slowly, and 431 to one that is too large.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::web::Bytes;

/// Seconds after which another attempt is welcome: enough for a disk or a clock to recover, and well within
/// the minutes in which Telnyx tries again.
const RETRY_AFTER_SECS: &str = "2";

/// Why a webhook was refused: all values of the metric label.
pub const REASONS: &[&str] = &[
    "bad_body",
    "bad_signature",
    "bad_signature_encoding",
    "bad_timestamp",
    "body_timeout",
    "body_too_large",
    "busy",
    "clock",
    "method",
    "missing_header",
    "peer_limit",
    "repeated_header",
    "source",
    "store",
    "store_timeout",
    "unknown_account",
    "wrong_path",
];

/// Why a webhook was refused. The module's table says what each means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    UnknownAccount,
    WrongPath,
    Method,
    Source,
    PeerLimit,
    BodyTooLarge,
    BodyTimeout,
    BadBody,
    Busy,
    MissingHeader,
    RepeatedHeader,
    BadTimestamp,
    BadSignatureEncoding,
    BadSignature,
    Clock,
    Store,
    StoreTimeout,
}

impl Refusal {
    /// Status, metric label and the sender's text.
    fn row(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::UnknownAccount => (S::NOT_FOUND, "unknown_account", "not found"),
            Self::WrongPath => (S::NOT_FOUND, "wrong_path", "not found"),
            Self::Method => (S::METHOD_NOT_ALLOWED, "method", "only POST is served here"),
            Self::Source => (S::UNAUTHORIZED, "source", "not authorised"),
            Self::BadSignature => (S::UNAUTHORIZED, "bad_signature", "not authorised"),
            Self::BodyTooLarge => (S::PAYLOAD_TOO_LARGE, "body_too_large", "body too large"),
            Self::BadBody => (S::BAD_REQUEST, "bad_body", "malformed body"),
            Self::MissingHeader => {
                (S::BAD_REQUEST, "missing_header", "a signature header is missing")
            }
            Self::RepeatedHeader => {
                (S::BAD_REQUEST, "repeated_header", "a signature header is repeated")
            }
            Self::BadTimestamp => (S::BAD_REQUEST, "bad_timestamp", "malformed timestamp"),
            Self::BadSignatureEncoding => {
                (S::BAD_REQUEST, "bad_signature_encoding", "malformed signature")
            }
            Self::Clock => (S::SERVICE_UNAVAILABLE, "clock", "outside the time window"),
            Self::PeerLimit => (S::SERVICE_UNAVAILABLE, "peer_limit", "try again later"),
            Self::BodyTimeout => {
                (S::SERVICE_UNAVAILABLE, "body_timeout", "the body came too slowly")
            }
            Self::Busy => (S::SERVICE_UNAVAILABLE, "busy", "try again later"),
            Self::Store => (S::SERVICE_UNAVAILABLE, "store", "try again later"),
            Self::StoreTimeout => (S::SERVICE_UNAVAILABLE, "store_timeout", "try again later"),
        }
    }

    /// The value of the metric label, one of [`REASONS`].
    pub(super) fn reason(self) -> &'static str {
        self.row().1
    }

    /// Whether it says that the webhook has no right signature of the account. One that was not checked does not.
    pub(super) fn is_for_the_signature(self) -> bool {
        match self {
            Self::MissingHeader
            | Self::RepeatedHeader
            | Self::BadTimestamp
            | Self::BadSignatureEncoding
            | Self::BadSignature => true,
            Self::UnknownAccount
            | Self::WrongPath
            | Self::Method
            | Self::Source
            | Self::PeerLimit
            | Self::BodyTooLarge
            | Self::BodyTimeout
            | Self::BadBody
            | Self::Busy
            | Self::Clock
            | Self::Store
            | Self::StoreTimeout => false,
        }
    }

    /// The reply. It takes what is left of the body: see [`Reply`].
    pub(super) fn respond(self, rest: Payload) -> HttpResponse {
        let (status, _, text) = self.row();
        let mut response = HttpResponse::build(status);
        response.insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((header::RETRY_AFTER, RETRY_AFTER_SECS));
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            response.insert_header((header::ALLOW, "POST"));
        }
        let text = Some(Bytes::from_static(text.as_bytes()));
        response.body(BoxBody::new(Reply { text, _rest: rest }))
    }
}

/// The event is on disk.
pub(super) fn kept() -> HttpResponse {
    HttpResponse::Ok().finish()
}

/// A text that holds on to the unread rest of the request's body until it is sent.
///
/// If the rest were dropped first, actix would read a chunked body to its end, however long, before it looks at
/// the connection again. While it is held, actix ends the connection after the reply: it throws away what still
/// comes for a moment, so that the sender can read the reply, and then closes.
struct Reply {
    text: Option<Bytes>,
    _rest: Payload,
}

impl MessageBody for Reply {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.text.as_ref().map_or(0, |text| text.len() as u64))
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(self.get_mut().text.take().map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Refusal; 17] = [
        Refusal::UnknownAccount,
        Refusal::WrongPath,
        Refusal::Method,
        Refusal::Source,
        Refusal::PeerLimit,
        Refusal::BodyTooLarge,
        Refusal::BodyTimeout,
        Refusal::BadBody,
        Refusal::Busy,
        Refusal::MissingHeader,
        Refusal::RepeatedHeader,
        Refusal::BadTimestamp,
        Refusal::BadSignatureEncoding,
        Refusal::BadSignature,
        Refusal::Clock,
        Refusal::Store,
        Refusal::StoreTimeout,
    ];

    #[test]
    fn each_refusal_has_a_reason_of_its_own_in_the_list() {
        let mut reasons: Vec<_> = ALL.iter().map(|refusal| refusal.reason()).collect();
        reasons.sort_unstable();
        assert_eq!(reasons, REASONS);
    }

    #[test]
    fn the_table_above_and_the_replies_agree() {
        let source = include_str!("reply.rs");
        for refusal in ALL {
            let (status, reason, _) = refusal.row();
            let row = format!("//! | {} | `{reason}` |", status.as_u16());
            let line = source.lines().find(|line| line.starts_with(&row)).expect(&row);
            let again = line.ends_with("| tries again |");
            assert_eq!(again, status == StatusCode::SERVICE_UNAVAILABLE, "{reason}");
        }
    }

    #[test]
    fn replies_carry_the_headers_that_their_status_asks_for() {
        for refusal in ALL {
            let response = refusal.respond(Payload::None);
            let status = response.status();
            let has = |name| response.headers().contains_key(name);
            assert_eq!(has(header::RETRY_AFTER), status == StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(has(header::ALLOW), status == StatusCode::METHOD_NOT_ALLOWED);
            assert!(!has(header::SERVER) && !has(header::LOCATION));
        }
    }
}
