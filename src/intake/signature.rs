//! Whether a delivery was signed by one of an account's keys, and whether it is fresh.
//!
//! Telnyx signs `<telnyx-timestamp header text>|<raw body>` with Ed25519 (RFC 8032, no prehash, no context)
//! and sends the signature as standard, padded base64 in `telnyx-signature-ed25519`. The header's *text* is
//! signed, not the number it spells, and the body's bytes, not the JSON they spell: nothing is re-serialised.
//!
//! Receives header bytes and body bytes. Promises that a [`Verified`] exists only for bytes that a configured
//! key signed. Never parses a body, never reads a clock, never keeps anything.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{PUBLIC_KEY_LENGTH, SIGNATURE_LENGTH, Signature, VerifyingKey};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

/// Longest timestamp text, in digits: every such number fits an `i64`; today's have ten.
pub const TIMESTAMP_DIGITS_MAX: usize = 18;

/// Length of a signature's base64 text: 64 bytes, padded.
const SIGNATURE_TEXT_LEN: usize = 88;

/// Bytes of a key's SHA-256 that its fingerprint shows.
const FINGERPRINT_BYTES: usize = 6;

/// The separator between timestamp and body in the signed bytes.
const SEPARATOR: u8 = b'|';

/// How the DER form of an Ed25519 public key begins in base64: what stands between the lines of a PEM file.
const DER_PREFIX: &str = "MCowBQYDK2Vw";

/// One Ed25519 public key of an account. `Debug` shows a fingerprint.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// Why a text is no usable public key. Never shows the text: what was pasted may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing there; most often an unset variable.
    #[error("the public key is empty")]
    Empty,
    /// Quotes came along from an environment file.
    #[error("the public key has quotes around it: remove them")]
    Quoted,
    /// A PEM file, or the DER inside one.
    #[error("this is a PEM or DER key: the portal's base64 text of 32 bytes is wanted")]
    Pem,
    /// The same 32 bytes in hex.
    #[error("this is a hex key: base64 of the same 32 bytes is wanted")]
    Hex,
    /// An API key in the place of the public key.
    #[error("this looks like an API key, not like a public key")]
    ApiKey,
    /// The alphabet with `-` and `_`.
    #[error("the public key is in url-safe base64: the standard alphabet is wanted")]
    UrlSafe,
    /// Some other text.
    #[error("the public key is not standard, padded base64")]
    NotBase64,
    /// A wrong number of bytes.
    #[error("the public key has {0} bytes, and 32 are wanted")]
    Length(usize),
    /// The bytes decode to no point of the curve, or encode one in a form RFC 8032 section 5.1.3 refuses.
    #[error("the public key is not a valid Ed25519 key: no point, or not its canonical form")]
    Invalid,
    /// A point of small order: anyone can sign for it.
    #[error("the public key is weak: anyone could sign for it")]
    Weak,
}

impl PublicKey {
    /// Reads a key as the portal shows it: standard, padded base64 of the 32 bytes.
    ///
    /// White space around the text is ignored, since files end in a newline; anything else is refused.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let bytes = STANDARD.decode(text).map_err(|_where| mistake(text))?;
        let length = bytes.len();
        let bytes: [u8; PUBLIC_KEY_LENGTH] =
            bytes.try_into().map_err(|_bytes| wrong_length(text, length))?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_opaque| KeyError::Invalid)?;
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        if !is_canonical(&bytes) {
            return Err(KeyError::Invalid);
        }
        Ok(Self(key))
    }

    /// A short name for logs and output: the first bytes of the key's SHA-256, in hex.
    pub fn fingerprint(&self) -> String {
        let hash = Sha256::digest(self.0.as_bytes());
        hash.iter()
            .take(FINGERPRINT_BYTES)
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

/// Says which common mistake a text that is no base64 shows.
fn mistake(text: &str) -> KeyError {
    let alphanumeric = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'=';
    if text.is_empty() {
        KeyError::Empty
    } else if text.starts_with(['"', '\'', '`']) || text.ends_with(['"', '\'', '`']) {
        KeyError::Quoted
    } else if text.starts_with("-----BEGIN") || text.starts_with(DER_PREFIX) {
        KeyError::Pem
    } else if is_hex(text) {
        KeyError::Hex
    } else if text.starts_with("KEY") {
        KeyError::ApiKey
    } else if text.contains(['-', '_'])
        && text.bytes().all(|byte| alphanumeric(byte) || matches!(byte, b'-' | b'_'))
    {
        KeyError::UrlSafe
    } else {
        KeyError::NotBase64
    }
}

/// Says which common mistake a text shows that is base64 of `length` bytes.
fn wrong_length(text: &str, length: usize) -> KeyError {
    if text.is_empty() {
        KeyError::Empty
    } else if is_hex(text) {
        KeyError::Hex
    } else if text.starts_with(DER_PREFIX) {
        KeyError::Pem
    } else if text.starts_with("KEY") {
        KeyError::ApiKey
    } else {
        KeyError::Length(length)
    }
}

/// Whether a text spells 32 bytes in hex, with or without `0x`.
fn is_hex(text: &str) -> bool {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    digits.len() == 2 * PUBLIC_KEY_LENGTH && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether the y coordinate is below 2^255 - 19. dalek's decoder follows ZIP 215 and does not ask.
fn is_canonical(bytes: &[u8; PUBLIC_KEY_LENGTH]) -> bool {
    let [low, middle @ .., high] = bytes;
    // From the least byte 0xed on, with all others at their largest, y is at or above the prime.
    !(*low >= 0xed && middle.iter().all(|byte| *byte == 0xff) && high & 0x7f == 0x7f)
}

/// The two headers of a delivery, well formed but not yet believed.
#[derive(Clone)]
pub struct SignedHeaders {
    seconds: i64,
    signature: Signature,
}

impl fmt::Debug for SignedHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedHeaders").field("seconds", &self.seconds).finish_non_exhaustive()
    }
}

/// Why the headers cannot belong to a genuine delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The timestamp is not one to eighteen ASCII digits.
    #[error("the timestamp is not a decimal number of seconds")]
    Timestamp,
    /// The signature is not standard, padded base64 of 64 bytes.
    #[error("the signature is not standard, padded base64 of 64 bytes")]
    Signature,
}

impl SignedHeaders {
    /// Reads both header values as sent. The timestamp is looked at first.
    pub fn parse(timestamp: &[u8], signature: &[u8]) -> Result<Self, HeaderError> {
        let seconds = parse_seconds(timestamp).ok_or(HeaderError::Timestamp)?;
        let signature = parse_signature(signature).ok_or(HeaderError::Signature)?;
        Ok(Self { seconds, signature })
    }
}

/// Digits and nothing else: no sign, space, underscore or radix prefix.
fn parse_seconds(text: &[u8]) -> Option<i64> {
    let well_formed =
        (1..=TIMESTAMP_DIGITS_MAX).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    well_formed
        .then(|| text.iter().fold(0_i64, |seconds, digit| seconds * 10 + i64::from(digit - b'0')))
}

fn parse_signature(text: &[u8]) -> Option<Signature> {
    if text.len() != SIGNATURE_TEXT_LEN {
        return None;
    }
    // The decoder asks for room for the padding's two bytes as well, which it never writes.
    let mut bytes = [0; SIGNATURE_LENGTH + 2];
    let length = STANDARD.decode_slice(text, &mut bytes).ok()?;
    Signature::from_slice(bytes.get(..length)?).ok()
}

/// The signed bytes: timestamp text, `|`, raw body. One buffer, so that the body is copied only once.
#[derive(Clone)]
pub struct Message {
    bytes: Vec<u8>,
    body_at: usize,
}

impl Message {
    /// Starts with the timestamp header's text, as sent, and room for `body_len` bytes of body.
    pub fn new(timestamp: &[u8], body_len: usize) -> Self {
        let body_at = timestamp.len() + 1;
        let mut bytes = Vec::with_capacity(body_at + body_len);
        bytes.extend_from_slice(timestamp);
        bytes.push(SEPARATOR);
        Self { bytes, body_at }
    }

    /// Makes room for a body of `body_len` bytes, and not more.
    pub fn reserve(&mut self, body_len: usize) {
        let missing = (self.body_at + body_len).saturating_sub(self.bytes.len());
        self.bytes.reserve_exact(missing);
    }

    /// Adds a piece of the body.
    pub fn push(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
    }

    pub(super) fn body(&self) -> &[u8] {
        self.bytes.get(self.body_at..).unwrap_or_default()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("body_len", &self.body().len()).finish_non_exhaustive()
    }
}

/// A body that one of the account's keys signed. Only [`verify`] makes one.
#[derive(Debug)]
pub struct Verified {
    message: Message,
    seconds: i64,
}

impl Verified {
    /// The raw body.
    pub fn body(&self) -> &[u8] {
        self.message.body()
    }

    /// Our time minus the sender's, in whole seconds: positive when the delivery is old or our clock is fast.
    pub fn skew_secs(&self, now: Timestamp) -> i64 {
        now.as_second().saturating_sub(self.seconds)
    }

    /// Whether the delivery's age is within `tolerance`, in the past and in the future, both ends included.
    pub fn is_fresh(&self, now: Timestamp, tolerance: Duration) -> bool {
        Duration::from_secs(self.skew_secs(now).unsigned_abs()) <= tolerance
    }
}

/// No key of the account signed these bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no key of the account signed this")]
pub struct BadSignature;

/// Checks the signature against each key in turn: while a key rotates, either of two may sign.
///
/// Strict: a non-canonical S, a small-order R and a small-order key are refused too (RFC 8032 section 8.4 and
/// dalek's `verify_strict`), so that no delivery has a second valid signature.
pub fn verify(
    keys: &[PublicKey],
    headers: &SignedHeaders,
    message: Message,
) -> Result<Verified, BadSignature> {
    verify_any([keys], headers, message).map(|(_, verified)| verified)
}

/// As [`verify`], for the keys of several accounts in their order; says whose key it was.
pub(super) fn verify_any<'a>(
    accounts: impl IntoIterator<Item = &'a [PublicKey]>,
    headers: &SignedHeaders,
    message: Message,
) -> Result<(usize, Verified), BadSignature> {
    let signed = |key: &PublicKey| key.0.verify_strict(&message.bytes, &headers.signature).is_ok();
    match accounts.into_iter().position(|keys| keys.iter().any(signed)) {
        Some(account) => Ok((account, Verified { message, seconds: headers.seconds })),
        None => Err(BadSignature),
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Fixture {
        vectors: Vec<Vector>,
        keys: Vec<KeyCase>,
        speccheck: Vec<Speccheck>,
    }

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        expect: String,
        public_keys: Vec<String>,
        timestamp: String,
        body_base64: String,
        signature: String,
    }

    #[derive(Deserialize)]
    struct KeyCase {
        expect: String,
        text: String,
    }

    #[derive(Deserialize)]
    struct Speccheck {
        message: String,
        pub_key: String,
        signature: String,
        expect: String,
    }

    fn fixture() -> Fixture {
        let text = include_str!("../../tests/fixtures/signature-vectors.json");
        serde_json::from_str(text).unwrap()
    }

    fn unhex(text: &str) -> Vec<u8> {
        let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
        text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    }

    fn judge(keys: &[PublicKey], timestamp: &[u8], signature: &[u8], body: &[u8]) -> &'static str {
        let headers = match SignedHeaders::parse(timestamp, signature) {
            Ok(headers) => headers,
            Err(HeaderError::Timestamp) => return "bad_timestamp",
            Err(HeaderError::Signature) => return "bad_signature_encoding",
        };
        let mut message = Message::new(timestamp, 0);
        message.push(body);
        match verify(keys, &headers, message) {
            Ok(verified) => {
                assert_eq!(verified.body(), body);
                "ok"
            }
            Err(BadSignature) => "bad_signature",
        }
    }

    #[test]
    fn every_vector_gets_its_verdict() {
        for vector in fixture().vectors {
            let keys: Vec<_> =
                vector.public_keys.iter().map(|key| PublicKey::parse(key).unwrap()).collect();
            let body = STANDARD.decode(&vector.body_base64).unwrap();
            let verdict =
                judge(&keys, vector.timestamp.as_bytes(), vector.signature.as_bytes(), &body);
            assert_eq!(verdict, vector.expect, "{}", vector.name);
        }
    }

    #[test]
    fn a_key_is_refused_with_the_mistake_that_was_made() {
        for case in fixture().keys {
            let verdict = match PublicKey::parse(&case.text) {
                Ok(_) => "ok".to_owned(),
                Err(error) => format!("{error:?}"),
            };
            assert_eq!(verdict, case.expect, "{:?}", case.text);
        }
    }

    #[test]
    fn published_edge_cases_are_judged_strictly() {
        for (number, case) in fixture().speccheck.iter().enumerate() {
            let verdict = match PublicKey::parse(&STANDARD.encode(unhex(&case.pub_key))) {
                Err(KeyError::Weak) => "weak",
                Err(error) => panic!("case {number}: {error}"),
                Ok(key) => {
                    let signature = Signature::from_slice(&unhex(&case.signature)).unwrap();
                    let message = unhex(&case.message);
                    if key.0.verify_strict(&message, &signature).is_ok() {
                        "valid"
                    } else {
                        "invalid"
                    }
                }
            };
            assert_eq!(verdict, case.expect, "case {number}");
        }
    }

    #[test]
    fn debug_shows_a_fingerprint_and_errors_never_the_text() {
        let text = fixture().keys.into_iter().next().unwrap().text;
        let shown = format!("{:?}", PublicKey::parse(&text).unwrap());
        assert!(shown.starts_with("PublicKey(") && !shown.contains(&text), "{shown}");
        let error = PublicKey::parse("KEY0123_secret").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn freshness_counts_both_ways_and_both_ends() {
        let tolerance = Duration::from_mins(5);
        let verified = |seconds| Verified { message: Message::new(b"0", 0), seconds };
        let now = Timestamp::from_second(1_735_689_600).unwrap();
        for (seconds, fresh) in [(0, true), (300, true), (-300, true), (301, false), (-301, false)]
        {
            let verified = verified(now.as_second() - seconds);
            assert_eq!(verified.is_fresh(now, tolerance), fresh, "{seconds}");
            assert_eq!(verified.skew_secs(now), seconds);
        }
        assert!(!verified(999_999_999_999_999_999).is_fresh(now, tolerance));
        assert!(!verified(0).is_fresh(now, tolerance));
    }

    proptest! {
        #[test]
        fn any_one_bit_counts(seed: [u8; 32], body: Vec<u8>, seconds in 0..=i64::from(u32::MAX), bit: usize) {
            let secret = SigningKey::from_bytes(&seed);
            let keys = [PublicKey::parse(&STANDARD.encode(secret.verifying_key().as_bytes())).unwrap()];
            let timestamp = seconds.to_string().into_bytes();
            let signed = [timestamp.as_slice(), b"|", body.as_slice()].concat();
            let signature = secret.sign(&signed).to_bytes();
            let text = STANDARD.encode(signature).into_bytes();
            prop_assert_eq!(judge(&keys, &timestamp, &text, &body), "ok");

            let mut other = signature;
            other[bit / 8 % 64] ^= 1 << (bit % 8);
            prop_assert_eq!(judge(&keys, &timestamp, STANDARD.encode(other).as_bytes(), &body), "bad_signature");
            let mut other = timestamp.clone();
            let at = bit % other.len();
            other[at] ^= 1;
            prop_assert_ne!(judge(&keys, &other, &text, &body), "ok");
            if !body.is_empty() {
                let mut other = body.clone();
                let at = bit / 8 % other.len();
                other[at] ^= 1 << (bit % 8);
                prop_assert_eq!(judge(&keys, &timestamp, &text, &other), "bad_signature");
            }
        }

        #[test]
        fn no_header_panics(timestamp: Vec<u8>, signature: Vec<u8>) {
            prop_assert!(SignedHeaders::parse(&timestamp, &signature).is_err() || signature.len() == 88);
        }
    }
}
