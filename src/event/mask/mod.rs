//! What must not be kept as it came.
//!
//! Receives a kind and its payload. Promises that text stays only where its field is known to be harmless, and has the form
//! that its field has: ids, words of fixed sets, amounts, numbers, times, the numbers and addresses of the parties, names of
//! products. All other text becomes `[masked]`; a URL keeps scheme and host; of a card or a code the number becomes 0. Keys
//! and types stay, and the same payload always gives the same result. Null, flags and empty text stay: they tell nothing,
//! and a wrong flag would be a lie. Other numbers stay.
//!
//! A key is compared as lower-case words joined by `_`, so `CardNumber`, `card-number` and `card_number` are one. What is
//! harmless stands in [`fields`]: an unknown field of a known kind, and the text of a kind nobody has published yet, is masked.

mod fields;
mod form;

pub use form::MASKED;

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;

use serde_json::{Number, Value};

use fields::{Form, Harmless, form_of_ending};

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

/// [`WORDS`] for look-up.
static IS_WORD: LazyLock<HashSet<&str>> = LazyLock::new(|| WORDS.iter().copied().collect());

/// A key with one of [`WORDS`] and such an ending tells about the thing, not the thing.
const HARMLESS_ENDINGS: &[&str] = &["_status", "_at", "_count", "_secs", "_enabled", "_required"];

/// Pairs of words that look like one of [`WORDS`] and are not.
const HARMLESS_PAIRS: &[&str] = &["sim_card"];

/// Under these keys `code`, `title`, `message` and the like are a diagnosis, not a one-time code or a message.
const DIAGNOSES: &[&str] =
    &["error", "errors", "error_evidence", "details", "reasons", "warnings", "status", "cause"];

/// Under these keys `name` and `value` are a header's.
const HEADERS: &[&str] = &["headers", "custom_headers", "sip_headers", "http_headers"];

/// Under these keys `result` is what was found out about a conversation.
const FINDINGS: &[&str] = &["insights", "conversation_insights", "results"];

/// Masks the payload of an event of a kind in place.
pub(super) fn mask(kind: &str, payload: &mut Value) {
    walk(payload, "", Form::Unknown, Harmless::of(kind));
}

/// `key` is the name the value stands under, `form` what may be kept of it; items of a list stand under the list's.
fn walk(value: &mut Value, key: &str, form: Form, harmless: Harmless) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                let name = words(name);
                let form = form_of(&name, key, field, form, harmless);
                walk(field, &name, form, harmless);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, key, form, harmless)),
        Value::String(text) => form::keep(text, form),
        Value::Number(number) if form == Form::Hidden => *number = Number::from(0),
        Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

/// The form of a field. What is hidden hides all that is in it, save ids; below a list or an object of URLs are URLs.
fn form_of(key: &str, parent: &str, value: &Value, outer: Form, harmless: Harmless) -> Form {
    let ending = form_of_ending(key.rsplit('_').next().unwrap_or_default());
    if ending == Some(Form::Id) && is_flat(value) {
        return Form::Id;
    }
    if outer == Form::Hidden {
        return outer;
    }
    let inherited = if outer == Form::Url { outer } else { Form::Unknown };
    beside(key, parent, value, harmless)
        .or_else(|| harmless.form(key))
        .or_else(|| has_telling_word(key).then_some(Form::Hidden))
        .or(ending)
        .unwrap_or(inherited)
}

/// The form of a field whose meaning depends on where it stands; `None` where it does not.
fn beside(key: &str, parent: &str, value: &Value, harmless: Harmless) -> Option<Form> {
    let is_scalar = !value.is_object() && !value.is_array();
    let is_diagnosis = DIAGNOSES.contains(&parent);
    let diagnosis = |form| if harmless.has_diagnoses() { form } else { Form::Unknown };
    Some(match key {
        "code" if is_diagnosis => Form::Word,
        "title" if is_diagnosis => diagnosis(Form::Name),
        "detail" | "message" | "text" | "description" if is_diagnosis => diagnosis(Form::Diagnosis),
        "code" | "message" | "messages" => Form::Hidden,
        // An object tells who wrote a comment and when; its `body` is masked by name.
        "comment" | "comments" if is_scalar => Form::Hidden,
        // `result: "success"` is a status; an object is what a caller answered.
        "result" if !is_scalar || FINDINGS.contains(&parent) => Form::Hidden,
        "name" if HEADERS.contains(&parent) => Form::Word,
        "value" if HEADERS.contains(&parent) => Form::Hidden,
        "value" if parent == "status" => Form::Word,
        "value" if matches!(parent, "numbers" | "phone_numbers") => Form::Party,
        _ => return None,
    })
}

/// A text or number, or a list of them.
fn is_flat(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().all(|item| item.is_string() || item.is_number()),
        value => !value.is_object(),
    }
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

#[cfg(test)]
mod tests;
