//! What stands around an event's own data.
//!
//! Receives bytes. Promises to find name, identity, time and payload in every shape that Telnyx publishes: the v2
//! wrapper, the same without its wrapper, v1, the delivery log's view, nameless updates, Meeting's, and TeXML forms.
//! Bytes that are neither JSON nor a form are no envelope. Never looks at what the payload means.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{kind, time};

/// Deepest nesting of a body; what is deeper is not parsed. Well below the 127 levels that a JSON reader takes, so
/// that an event can be kept inside other JSON.
const NESTING_MAX: usize = 100;
/// Longest name of a form field, in bytes; more is not a form.
const FORM_KEY_BYTES_MAX: usize = 128;
/// `serde_json` gives objects with such keys a meaning of its own when it reads them back.
const RESERVED_KEYS: &str = "$serde_json::private::";

type Fields = Map<String, Value>;

/// An event, taken out of its envelope.
#[derive(Debug)]
pub(super) struct Envelope {
    /// The sender's name for the kind; empty where it gave none.
    pub(super) name: String,
    /// The dotted kind.
    pub(super) kind: String,
    /// The sender's identity for the event, as sent.
    pub(super) id: Option<String>,
    /// When it happened.
    pub(super) occurred_at: Option<Timestamp>,
    /// The envelope's word for that time; two events without identity differ by it.
    pub(super) occurred_as_sent: Option<Value>,
    /// Delivery attempt, from 1.
    pub(super) attempt: Option<u32>,
    /// The event's own data.
    pub(super) payload: Value,
}

/// Takes an event out of its envelope; `None` when the body is neither JSON nor a form.
pub(super) fn open(content_type: Option<&str>, body: &[u8]) -> Option<Envelope> {
    Some(match decode(content_type, body)? {
        Value::Object(root) => of_object(root),
        payload => Envelope {
            name: String::new(),
            kind: kind::UNNAMED.to_owned(),
            id: None,
            occurred_at: None,
            occurred_as_sent: None,
            attempt: None,
            payload,
        },
    })
}

/// JSON if it is JSON, else a form if it is one, whatever the content type claims.
pub(super) fn decode(content_type: Option<&str>, body: &[u8]) -> Option<Value> {
    let json = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match serde_json::from_slice::<Value>(json) {
        Ok(value) => is_storable(&value, 0).then_some(value),
        Err(_) => form(content_type, body),
    }
}

/// Whether the value survives being written and read again.
fn is_storable(value: &Value, depth: usize) -> bool {
    match value {
        Value::Object(fields) => {
            depth < NESTING_MAX
                && fields.iter().all(|(key, field)| {
                    !key.starts_with(RESERVED_KEYS) && is_storable(field, depth + 1)
                })
        }
        Value::Array(items) => {
            depth < NESTING_MAX && items.iter().all(|item| is_storable(item, depth + 1))
        }
        _ => true,
    }
}

/// An object of strings. A field name with anything unusual in it means that this is no form: else the text of a
/// broken JSON body would become a name, and names are not masked.
fn form(content_type: Option<&str>, body: &[u8]) -> Option<Value> {
    let is_declared = content_type
        .is_some_and(|text| text.to_ascii_lowercase().contains("x-www-form-urlencoded"));
    let text = str::from_utf8(body).ok()?.trim_ascii_end();
    if text.is_empty()
        || text.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control())
    {
        return None;
    }
    if !is_declared && !text.split('&').all(|pair| pair.contains('=')) {
        return None;
    }
    let mut fields = Fields::new();
    for (key, value) in form_urlencoded::parse(text.as_bytes()) {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.[]".contains(&byte);
        if key.is_empty() || key.len() > FORM_KEY_BYTES_MAX || !key.bytes().all(is_plain) {
            return None;
        }
        fields.insert(key.into_owned(), Value::String(value.into_owned()));
    }
    Some(Value::Object(fields))
}

fn of_object(mut root: Fields) -> Envelope {
    let attempt = root.remove("meta").as_ref().and_then(attempt);
    let is_wrapped = name_of(&root).is_none();
    let fields = match root.remove("data") {
        Some(Value::Object(data)) if is_wrapped => data,
        Some(data) => {
            root.insert("data".to_owned(), data);
            root
        }
        None => root,
    };
    match name_of(&fields) {
        Some(name) => named(name, fields, attempt),
        None => nameless(fields, attempt),
    }
}

/// `event_type`; Meeting says `event`, beside its `data`.
fn name_of(fields: &Fields) -> Option<String> {
    let text =
        |key: &str| fields.get(key).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    let meeting = || if fields.contains_key("data") { text("event") } else { None };
    text("event_type").or_else(meeting).map(str::to_owned)
}

/// `meta.attempt`; an old example has `meta` within `meta`.
fn attempt(meta: &Value) -> Option<u32> {
    let number = meta.get("attempt").or_else(|| meta.get("meta")?.get("attempt"))?;
    let attempt = match number {
        Value::String(text) => text.parse().ok()?,
        number => u32::try_from(number.as_u64()?).ok()?,
    };
    (attempt > 0).then_some(attempt)
}

fn named(name: String, mut fields: Fields, attempt: Option<u32>) -> Envelope {
    // A number is an identity as well as a text is.
    let number = || fields.get("id").and_then(Value::as_number).map(ToString::to_string);
    let id = text_of(&fields, "id").or_else(number).or_else(|| text_of(&fields, "webhook_id"));
    let is_log_view = fields.contains_key("webhook_id");
    let occurred_as_sent = fields.remove("occurred_at");
    let created_at = fields.remove("created_at");
    let payload = own_data(fields);
    let created = || created_at.as_ref().and_then(time::lenient);
    let inside = || payload.get("occurred_at").and_then(time::lenient);
    let occurred_at = occurred_as_sent.as_ref().and_then(time::lenient).or_else(|| {
        // The delivery log's view has its time under `created_at`, v1 inside the payload.
        if is_log_view { created().or_else(inside) } else { inside().or_else(created) }
    });
    let kind = kind::from_name(&name);
    Envelope { name, kind, id, occurred_at, occurred_as_sent, attempt, payload }
}

/// The payload; without one, everything that is not envelope (AI insights).
fn own_data(mut fields: Fields) -> Value {
    if let Some(payload) = fields.remove("payload").or_else(|| fields.remove("data")) {
        return payload;
    }
    for key in
        ["id", "webhook_id", "event_type", "event", "record_type", "version", "urls", "format"]
    {
        fields.remove(key);
    }
    Value::Object(fields)
}

/// An object that names no kind. Its `id`, if any, is not taken for the event's: it may be that of the thing that
/// changed, and the next change would pass for a repeat.
fn nameless(mut fields: Fields, attempt: Option<u32>) -> Envelope {
    let kind = shape_of(&fields);
    let id = if kind == "texml.status" { texml_id(&fields) } else { None };
    // The last two are v1's, of a text message.
    let times =
        ["occurred_at", "time_clicked", "Timestamp", "timestamp", "date_created", "created"];
    let occurred_at = times.iter().find_map(|key| time::lenient(fields.get(*key)?));
    open_quality_stats(&mut fields);
    Envelope {
        name: String::new(),
        kind: kind.to_owned(),
        id,
        occurred_at,
        occurred_as_sent: None,
        attempt,
        payload: Value::Object(fields),
    }
}

fn shape_of(fields: &Fields) -> &'static str {
    let has = |key: &str| fields.contains_key(key);
    let is = |key: &str, words: &[&str]| {
        fields.get(key).and_then(Value::as_str).is_some_and(|text| words.contains(&text))
    };
    match () {
        () if is("record_type", &["link_clicked"]) => "link.clicked",
        () if has("campaignId") && has("status") => "campaign.status",
        () if has("sms_id") && is("direction", &["inbound", "incoming"]) => "message.received",
        () if has("sms_id") => "message.legacy",
        () if has("ConferenceSid") => "texml.conference",
        () if has("QueueSid") => "texml.queue",
        () if has("CallStatus") && has("CallSid") => "texml.status",
        () if has("TranscriptionSid") => "texml.transcription",
        () if has("RecordingSid") => "texml.recording",
        () if has("MessageSid") => "texml.message",
        () if has("CallSid") => "texml.status",
        () => kind::UNNAMED,
    }
}

/// The three fields that tell TeXML callbacks apart, and the source where it is named: two sources may count alike.
fn texml_id(fields: &Fields) -> Option<String> {
    let field = |key: &str| fields.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let mut id =
        format!("{}:{}:{}", field("CallSid")?, field("CallStatus")?, field("SequenceNumber")?);
    if let Some(source) = field("CallbackSource") {
        id.push(':');
        id.push_str(source);
    }
    Some(id)
}

/// A form can carry an object only as text. It is opened where it is one, so that rules reach its figures and the
/// masks its keys.
fn open_quality_stats(fields: &mut Fields) {
    let Some(stats) = fields.get_mut("CallQualityStats") else { return };
    let opened = stats.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    if let Some(opened) = opened.filter(|value| value.is_object() && is_storable(value, 1)) {
        *stats = opened;
    }
}

fn text_of(fields: &Fields, key: &str) -> Option<String> {
    fields.get(key).and_then(Value::as_str).map(str::to_owned)
}
