//! What must not be kept as it came.
//!
//! Receives a payload. Promises that the values named in the tables below are replaced, keys and types stay, and the
//! same payload always gives the same result: text becomes `[masked]`, a number 0, a URL keeps
//! scheme and host. Null, flags and empty text stay: they tell nothing, and a wrong flag would be a lie. Never touches ids, amounts, statuses, and the
//! numbers and addresses of the parties.
//!
//! A key is compared as lower-case words joined by `_`, so `CardNumber`, `card-number` and `card_number` are one.
//! The tables hold for every kind, so that a kind nobody has published yet is masked too.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;

use serde_json::{Number, Value};

/// What stands in place of masked text.
pub const MASKED: &str = "[masked]";

/// Keys whose whole value is masked, by their exact name.
#[rustfmt::skip]
const KEYS: &[&str] = &[
    // Message text: SMS, RCS, WhatsApp, e-mail, comments of porting orders.
    "text", "body", "body_html", "html", "content", "contents", "caption", "note", "notes", "subject", "preview",
    "snippet", "reply", "suggestion_response", "postback_data",
    // One-time codes and what a caller types or says.
    "custom_code", "customcode", "verification_code", "verify_code", "confirmation_code",
    "payment_confirmation_code", "auth_code", "access_code", "security_code", "securitycode", "login_code",
    "sms_code", "mfa_code", "totp", "one_time_code", "code_value", "digit", "digits", "dtmf", "dtmf_digits",
    "utterance", "answer",
    // Credentials that no word below tells.
    "api_key", "private_key", "secret_key", "access_key", "encryption_key",
    // Opaque data that the customer attached; Telnyx only carries it.
    "client_state", "client_data", "custom_data", "user_data",
    // Cards and bank accounts.
    "cardnumber", "accountnumber", "routingnumber", "expiration_date", "expiry", "expiry_date", "exp_date", "exp_month", "exp_year", "account_number",
    "routing_number", "sort_code", "postal_code", "pan",
    // Conversations with people and with assistants, and what was made of them.
    "message_history", "partial_results", "summary", "query",
    "dynamic_variables", "arguments", "parameters", "instructions", "prompt", "memory",
    // Papers handed in with an order.
    "field_value",
];

/// Words that mask any key they occur in, save for the endings in [`HARMLESS_ENDINGS`].
#[rustfmt::skip]
const WORDS: &[&str] = &[
    // One-time codes and credentials.
    "otp", "pin", "password", "passwd", "pwd", "passcode", "passphrase", "secret", "secrets", "token", "apikey",
    "authorization", "credential", "credentials", "cookie", "signature",
    // Cards and bank accounts.
    "card", "cardholder", "cvv", "cvc", "cvn", "iban", "bank", "ssn",
    // What was said.
    "transcript", "transcripts", "transcription", "speech",
];

/// Last words of keys that hold message text.
const TEXT_ENDINGS: &[&str] = &["text", "body", "subject", "content"];

/// [`KEYS`] and [`WORDS`] for look-up: every key of every event is asked for.
static IS_KEY: LazyLock<HashSet<&str>> = LazyLock::new(|| KEYS.iter().copied().collect());
static IS_WORD: LazyLock<HashSet<&str>> = LazyLock::new(|| WORDS.iter().copied().collect());

/// A key with one of [`WORDS`] and such an ending tells about the thing, not the thing.
const HARMLESS_ENDINGS: &[&str] = &["_status", "_at", "_count", "_secs", "_enabled", "_required"];

/// Pairs of words that look like one of [`WORDS`] and are not.
const HARMLESS_PAIRS: &[&str] = &["sim_card"];

/// Under these keys `code`, `message` and `text` are a diagnosis, not a one-time code or a message.
const DIAGNOSES: &[&str] =
    &["error", "errors", "error_evidence", "details", "reasons", "warnings", "status", "cause"];

/// Under these keys `value` is a header's.
const HEADERS: &[&str] = &["headers", "custom_headers", "sip_headers", "http_headers"];

/// Under these keys `result` is what was found out about a conversation.
const FINDINGS: &[&str] = &["insights", "results"];

/// Last words of keys that hold a URL, or an object or list of them.
const URL_ENDINGS: &[&str] = &["url", "urls", "uri", "uris", "link", "links", "href"];

/// What happens to a value and, unless a key inside says otherwise, to all that is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Kept; URLs in text lose what may be a credential.
    Keep,
    /// Every URL keeps only scheme and host: a path can be the secret.
    Url,
    /// Replaced.
    Hide,
}

/// Masks a payload in place.
pub(super) fn mask(payload: &mut Value) {
    walk(payload, "", Fate::Keep);
}

/// `key` is the name the value stands under; items of a list stand under the list's.
fn walk(value: &mut Value, key: &str, fate: Fate) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                let name = words(name);
                let fate = fate_of(&name, key, field, fate);
                walk(field, &name, fate);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, key, fate)),
        Value::String(text) => mask_text(text, fate),
        Value::Number(number) if fate == Fate::Hide => *number = Number::from(0),
        Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

fn fate_of(key: &str, parent: &str, value: &Value, outer: Fate) -> Fate {
    if is_id(key) && is_flat(value) {
        return Fate::Keep;
    }
    if outer == Fate::Hide || is_hidden(key, parent, value) {
        return Fate::Hide;
    }
    let last = key.rsplit('_').next().unwrap_or_default();
    if URL_ENDINGS.contains(&last) { Fate::Url } else { outer }
}

fn is_id(key: &str) -> bool {
    let last = key.rsplit('_').next().unwrap_or_default();
    matches!(last, "id" | "ids" | "sid" | "uuid")
}

/// A text or number, or a list of them.
fn is_flat(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().all(|item| item.is_string() || item.is_number()),
        value => !value.is_object(),
    }
}

fn is_hidden(key: &str, parent: &str, value: &Value) -> bool {
    if matches!(key, "code" | "message" | "messages" | "text") {
        return !DIAGNOSES.contains(&parent);
    }
    let is_scalar = !value.is_object() && !value.is_array();
    match key {
        // An object tells who wrote a comment and when; its `body` is masked by name.
        "comment" | "comments" => is_scalar,
        // `result: "success"` is a status; an object is what a caller answered.
        "result" => !is_scalar || FINDINGS.contains(&parent),
        "value" if HEADERS.contains(&parent) => true,
        _ => IS_KEY.contains(key) || has_telling_word(key) || is_text(key),
    }
}

/// `message_body`, `sms_text`, `email_subject`.
fn is_text(key: &str) -> bool {
    key.rsplit_once('_').is_some_and(|(_, last)| TEXT_ENDINGS.contains(&last))
}

fn has_telling_word(key: &str) -> bool {
    let is_told = |key: &str| key.split('_').any(|word| IS_WORD.contains(word));
    is_told(key)
        && !HARMLESS_ENDINGS.iter().any(|ending| key.ends_with(ending))
        && !HARMLESS_PAIRS.iter().any(|pair| key.contains(pair) && !is_told(&key.replace(pair, "")))
}

/// `CardNumber`, `card-number` and `card number` as `card_number`.
fn words(key: &str) -> Cow<'_, str> {
    // As nearly all keys are written.
    if key.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')) {
        return Cow::Borrowed(key);
    }
    let mut words = String::with_capacity(key.len() + 4);
    let mut letters = key.chars().peekable();
    let mut before = '_';
    while let Some(letter) = letters.next() {
        // A capital begins a word after a small letter, and before one: `callSID`, `SIPHeader`.
        let is_start = letter.is_uppercase()
            && (!before.is_uppercase() || letters.peek().is_some_and(|next| next.is_lowercase()));
        if is_start && !words.is_empty() && !words.ends_with('_') {
            words.push('_');
        }
        if matches!(letter, '-' | '.' | ' ') {
            words.push('_');
        } else {
            words.extend(letter.to_lowercase());
        }
        before = letter;
    }
    Cow::Owned(words)
}

fn mask_text(text: &mut String, fate: Fate) {
    if text.is_empty() {
        return;
    }
    match fate {
        Fate::Hide => MASKED.clone_into(text),
        Fate::Url => *text = origin(text).unwrap_or_else(|| MASKED.to_owned()),
        Fate::Keep if text.contains("://") => *text = mask_urls_within(text),
        Fate::Keep => {}
    }
}

/// Masks the URLs in a text that carry a query, a fragment or a user; the others are left to be read.
fn mask_urls_within(text: &str) -> String {
    let is_border = |letter: char| letter.is_whitespace() || "\"'<>()".contains(letter);
    text.split_inclusive(is_border)
        .map(|piece| {
            let word = piece.trim_end_matches(is_border);
            let border = piece.strip_prefix(word).unwrap_or_default();
            if word.contains("://") && word.contains(['?', '#', '@']) {
                origin(word).unwrap_or_else(|| MASKED.to_owned()) + border
            } else {
                piece.to_owned()
            }
        })
        .collect()
}

/// `https://user:password@host/path?query` as `https://host/[masked]`; a bare `https://host` stays. `None` for what
/// is not a URL.
fn origin(url: &str) -> Option<String> {
    let (before, rest) = url.split_once("://")?;
    if before.is_empty() || before.contains(['?', '#', '@', '/']) {
        return None;
    }
    let (authority, tail) = match rest.find(['/', '?', '#', '\\']) {
        Some(end) => rest.split_at_checked(end)?,
        None => (rest, ""),
    };
    let host = authority.rsplit('@').next().unwrap_or_default();
    let path = if matches!(tail, "" | "/") { tail } else { "/[masked]" };
    Some(format!("{before}://{host}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn masked(mut value: Value) -> Value {
        mask(&mut value);
        value
    }

    #[test]
    fn words_are_found_in_every_spelling() {
        for key in
            ["card_number", "CardNumber", "cardNumber", "card-number", "Card Number", "CARD_NUMBER"]
        {
            assert_eq!(words(key), "card_number", "{key}");
        }
        assert_eq!(words("CallSID"), "call_sid");
        assert_eq!(words("SIPHeaders"), "sip_headers");
        assert_eq!(words("isTMobileRegistered"), "is_t_mobile_registered");
        assert_eq!(words("\u{c9}t\u{e9}"), "\u{e9}t\u{e9}");
    }

    #[test]
    fn private_values_go_and_their_types_stay() {
        let before = json!({
            "text": "Your code is 4711", "Body": "hi", "subject": "Your receipt", "custom_code": "25565",
            "code": 25565, "client_state": "aGk=", "digits": "1234", "password": true, "extra": {"api_token": "t"},
            "payment_card_number": "4111", "payment_card_type": "visa", "security_code": "123",
            "bank_account_number": "99", "payment_token": "tok", "iban": null, "subject_2": "kept", "caption": "",
            "transcription_data": {"transcript": "hello", "confidence": 0.97, "is_final": true, "id": "t1"},
            "custom_headers": [{"name": "X-Key", "value": "s3cret"}],
            "message_history": [{"role": "user", "content": "my name is"}],
            "results": [{"insight_id": "i1", "result": "angry about the bill"}],
            "OTP": "123456", "oneTimePassword": "abc", "TranscriptionText": "said", "StableSpeechResult": "yes",
            "SmsBody": "hi", "email_subject": "s", "api_key": "k", "comment": {"body": "b", "user_type": "admin"},
            "card": {"ids": [{"number": "4111"}], "id": "c1"},
        });
        let after = json!({
            "text": MASKED, "Body": MASKED, "subject": MASKED, "custom_code": MASKED,
            "code": 0, "client_state": MASKED, "digits": MASKED, "password": true, "extra": {"api_token": MASKED},
            "payment_card_number": MASKED, "payment_card_type": MASKED, "security_code": MASKED,
            "bank_account_number": MASKED, "payment_token": MASKED, "iban": null, "subject_2": "kept", "caption": "",
            "transcription_data": {"transcript": MASKED, "confidence": 0, "is_final": true, "id": "t1"},
            "custom_headers": [{"name": "X-Key", "value": MASKED}],
            "message_history": [{"role": MASKED, "content": MASKED}],
            "results": [{"insight_id": "i1", "result": MASKED}],
            "OTP": MASKED, "oneTimePassword": MASKED, "TranscriptionText": MASKED, "StableSpeechResult": MASKED,
            "SmsBody": MASKED, "email_subject": MASKED, "api_key": MASKED, "comment": {"body": MASKED, "user_type": "admin"},
            "card": {"ids": [{"number": MASKED}], "id": "c1"},
        });
        assert_eq!(masked(before), after);
    }

    #[test]
    fn what_rules_and_people_need_stays() {
        let value: Value = serde_json::from_str(
            r#"{"id": "x", "call_leg_id": "leg", "CallSid": "v3:a", "sim_card_id": "s", "sim_card_status": "active",
            "recording_transcription_id": "r", "transcription_status": "done", "token_id": "t", "card_count": 2,
            "from": {"phone_number": "+15550100001", "agent_name": "Acme"}, "to": [{"phone_number": "+15550100002",
            "status": "delivered"}], "cc": "a@example.com", "total_cost": 0.01060, "cost": {"amount": "0.0051",
            "currency": "USD"}, "status": {"value": "exception", "details": [{"code": "LOA_ILLEGIBLE"}]},
            "errors": [{"code": "40333", "title": "limit", "detail": "spend limit", "message": "m"}],
            "error_evidence": {"code": "30001", "message": "rejected"}, "country_code": "US", "smtp_code": 550,
            "result": "machine", "hangup_cause": "user_busy", "pay_error_code": "declined", "pinned": true,
            "description": "dormant", "parts": 1, "sim_card": {"iccid": "89"}}"#,
        )
        .expect("json");
        assert_eq!(masked(value.clone()), value);
    }

    #[test]
    fn urls_keep_scheme_and_host() {
        for (key, url, expected) in [
            (
                "media_url",
                "https://s3.example.com/a/b.pdf?X-Amz-Signature=1",
                "https://s3.example.com/[masked]",
            ),
            (
                "webhook_url",
                "https://hooks.example.com/tok3n",
                "https://hooks.example.com/[masked]",
            ),
            ("webhook_url", "https://u:p@hooks.example.com:8443", "https://hooks.example.com:8443"),
            ("webhook_url", "https://hooks.example.com/", "https://hooks.example.com/"),
            ("stream_url", "wss://media.example.com", "wss://media.example.com"),
            ("RecordingUrl", "HTTPS://h.example.com#t", "HTTPS://h.example.com/[masked]"),
            ("url", "data:image/png;base64,AAAA", MASKED),
            ("webhook_failover_url", "", ""),
            (
                "detail",
                "see https://h.example.com/docs/40333 for help",
                "see https://h.example.com/docs/40333 for help",
            ),
            (
                "detail",
                "got <https://h.example.com/a?k=s>, gave up",
                "got <https://h.example.com/[masked]>, gave up",
            ),
            (
                "detail",
                "cause:https://me:pw@h.example.com/a",
                "cause:https://h.example.com/[masked]",
            ),
            ("detail", "a@b://?", MASKED),
        ] {
            assert_eq!(masked(json!({ key: url })), json!({ key: expected }), "{key}");
        }
        assert_eq!(
            masked(
                json!({"recording_urls": {"wav": "https://h.example.com/r?s=1"}, "urls": ["https://h.example.com/x"]})
            ),
            json!({"recording_urls": {"wav": "https://h.example.com/[masked]"}, "urls": ["https://h.example.com/[masked]"]}),
        );
    }
}
