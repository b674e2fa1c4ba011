//! What makes two deliveries the same event.
//!
//! Receives an envelope before anything is masked, so that the identity does not depend on what is kept. Promises
//! an id that [`is_id`].

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::envelope::Envelope;

/// Longest id, in bytes; longer ones are hashed.
pub(super) const ID_BYTES_MAX: usize = 255;

/// What is hashed for an event without identity; fields in alphabetical order, objects inside sort theirs.
#[derive(Serialize)]
struct Content<'a> {
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    occurred_at: Option<&'a Value>,
    payload: &'a Value,
}

/// The event's id, and whether it is a hash of the content because the sender gave none.
pub(super) fn of(envelope: &Envelope) -> (String, bool) {
    let given = envelope.id.as_deref().map(str::trim).filter(|id| !id.is_empty());
    if let Some(id) = given {
        return (bounded(id), false);
    }
    let occurred_at = envelope.occurred_as_sent.as_ref();
    (of_content(&envelope.kind, occurred_at, &envelope.payload), true)
}

/// `sha256:` and the hash of kind, time as sent, and payload, in canonical JSON (sorted keys, no white space).
pub(super) fn of_content(kind: &str, occurred_at: Option<&Value>, payload: &Value) -> String {
    let content = Content { kind, occurred_at, payload };
    // Writing JSON into memory cannot fail: every key is text.
    let json = serde_json::to_vec(&content).unwrap_or_default();
    format!("sha256:{}", sha256_hex(&json))
}

/// Lower-case hex of the SHA-256.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
    }
    hex
}

/// The sender's id, or its hash where it is none that could be stored, logged or sent in a header. A UUID is in small
/// letters: Telnyx's log of deliveries writes in capitals what a webhook writes in small ones.
fn bounded(id: &str) -> String {
    if is_id(id) { small(id) } else { format!("sha256:{}", sha256_hex(id.as_bytes())) }
}

/// Whether a text can be an id: no white space, so that no sentence passes for one, no control characters, and at most
/// [`ID_BYTES_MAX`] long.
pub fn is_id(text: &str) -> bool {
    let is_odd = |letter: char| letter.is_whitespace() || letter.is_control();
    !text.is_empty() && text.len() <= ID_BYTES_MAX && !text.contains(is_odd)
}

/// An id as it is, save that a UUID is in small letters.
pub fn small(id: &str) -> String {
    if is_uuid(id) { id.to_ascii_lowercase() } else { id.to_owned() }
}

/// Whether it is a UUID with its hyphens, in letters of any size.
fn is_uuid(id: &str) -> bool {
    let digit = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    id.len() == 36 && id.bytes().enumerate().all(digit)
}
