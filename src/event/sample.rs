//! Bodies to try things out with.
//!
//! Promises at least one realistic body for every shape of envelope and every kind that is about money, with invented
//! ids, numbers and names. Receives a body to freshen. Never invents a field that its shape does not have.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::envelope;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

struct Sample {
    name: &'static str,
    kind: &'static str,
    content_type: &'static str,
    body: &'static [u8],
}

macro_rules! samples {
    ($($content_type:ident $kind:literal $file:literal)*) => {
        &[$(Sample {
            name: $file,
            kind: $kind,
            content_type: $content_type,
            body: include_bytes!(concat!("samples/", $file)),
        }),*]
    };
}

/// Of several samples of one kind the first is the kind's.
#[rustfmt::skip]
const SAMPLES: &[Sample] = samples! {
    JSON "call.cost" "call.cost.json"
    JSON "call.analyzed" "call.analyzed.json"
    JSON "call.initiated" "call.initiated.json"
    JSON "call.hangup" "call.hangup.json"
    JSON "call.hangup" "call.hangup-log-view.json"
    FORM "call.hangup" "call.hangup-query.form"
    JSON "call.answered" "call_answered-v1.json"
    JSON "call.recording.saved" "call.recording.saved.json"
    JSON "call.dtmf.received" "call.dtmf.received.json"
    JSON "call.payment.completed" "call.payment.completed.json"
    FORM "texml.status" "texml.status.form"
    JSON "messaging-profile.spend-limit-reached" "messaging-profile.spend-limit-reached.json"
    JSON "message.finalized" "message.finalized.json"
    JSON "message.received" "message.received.json"
    JSON "message.received" "message.received-v1.json"
    JSON "link.clicked" "link.clicked.json"
    JSON "10dlc.campaign.update" "10dlc.campaign.update.json"
    JSON "campaign.status" "campaign.status.json"
    JSON "whatsapp.template.rejected" "whatsapp.template.rejected.json"
    JSON "fax.failed" "fax.failed.json"
    JSON "fax.delivered" "fax.delivered.json"
    JSON "verify.delivered" "verify.delivered.json"
    JSON "verification.complete" "verification.complete.json"
    JSON "number_order.complete" "number_order.complete.json"
    JSON "porting_order.deleted" "porting_order.deleted.json"
    JSON "portout.status_changed" "portout.status_changed.json"
    JSON "email.bounced" "email.bounced.json"
    JSON "session.status_changed" "session.status_changed.json"
    JSON "conversation.insights.completed" "conversation.insights.completed.json"
    JSON "assistant.initialization" "assistant.initialization.json"
    JSON "account.balance" "account.balance.json"
    JSON "account.low_available_credit" "account.low_available_credit.json"
};

/// Every sample: file name, content type, body.
pub fn samples() -> impl Iterator<Item = (&'static str, &'static str, &'static [u8])> {
    SAMPLES.iter().map(|sample| (sample.name, sample.content_type, sample.body))
}

/// The body of a sample by its kind, or by its file name with or without the ending.
pub fn sample(kind: &str) -> Option<Vec<u8>> {
    let by_kind = SAMPLES.iter().find(|sample| sample.kind == kind);
    let by_name = || {
        SAMPLES.iter().find(|sample| {
            sample
                .name
                .strip_prefix(kind)
                .is_some_and(|rest| ["", ".json", ".form"].contains(&rest))
        })
    };
    by_kind.or_else(by_name).map(|sample| sample.body.to_vec())
}

/// The content type to send a body with: a form if it does not begin like JSON.
pub fn content_type(body: &[u8]) -> &'static str {
    let is_form = body.first().is_some_and(u8::is_ascii_alphanumeric)
        && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_err();
    if is_form { FORM } else { JSON }
}

/// A body with a new event id and time, in the places where its shape has them.
///
/// What the event is about keeps its ids: the same call, the same message (but a TeXML callback is told by its call,
/// so there the call's id is the new one). A shape without an id gets the time,
/// which makes it another event as well; one that has neither, and a body that cannot be read, comes back unchanged.
pub fn freshen(body: &[u8], content_type: &str, id: &str, now: Timestamp) -> Vec<u8> {
    let Some(Value::Object(mut root)) = envelope::decode(Some(content_type), body) else {
        return body.to_vec();
    };
    let now = Value::String(now.to_string());
    let is_json = matches!(body.trim_ascii_start().first(), Some(b'{' | 0xef));
    let is_wrapped = !root.contains_key("event_type") && !root.contains_key("event");
    match root.get_mut("data") {
        Some(Value::Object(data)) if is_wrapped => freshen_fields(data, id, &now),
        _ => freshen_fields(&mut root, id, &now),
    }
    if !is_json {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(
            root.iter().map(|(key, value)| (key, value.as_str().unwrap_or_default())),
        );
        return form.finish().into_bytes();
    }
    serde_json::to_vec_pretty(&root).unwrap_or_else(|_| body.to_vec())
}

fn freshen_fields(fields: &mut Map<String, Value>, id: &str, now: &Value) {
    let mut has_id = false;
    for key in ["id", "webhook_id", "CallSid"] {
        if let Some(field) = fields.get_mut(key) {
            *field = Value::String(id.to_owned());
            has_id = true;
        }
    }
    if !has_id && fields.contains_key("event_type") {
        fields.insert("occurred_at".to_owned(), now.clone());
    }
    for key in [
        "occurred_at",
        "created_at",
        "time_clicked",
        "Timestamp",
        "createDate",
        "created",
        "date_created",
    ] {
        if let Some(field) = fields.get_mut(key) {
            *field = now.clone();
        }
    }
    if let Some(inside) =
        fields.get_mut("payload").and_then(|payload| payload.get_mut("occurred_at"))
    {
        *inside = now.clone();
    }
}
