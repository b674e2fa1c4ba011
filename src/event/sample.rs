//! Bodies to try things out with.
//!
//! Promises at least one realistic body for every shape of envelope and every kind that is about money, with invented
//! ids, numbers and names. Receives a body to freshen. Never invents a field that its shape does not have.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{edit, envelope};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

struct Sample {
    name: &'static str,
    /// What it reports, for people.
    about: &'static str,
    kind: &'static str,
    content_type: &'static str,
    body: &'static [u8],
}

macro_rules! samples {
    ($($content_type:ident $kind:literal $file:literal $about:literal)*) => {
        &[$(Sample {
            name: $file,
            about: $about,
            kind: $kind,
            content_type: $content_type,
            body: include_bytes!(concat!("samples/", $file)),
        }),*]
    };
}

/// Of several samples of one kind the first is the kind's.
#[rustfmt::skip]
const SAMPLES: &[Sample] = samples! {
    JSON "call.cost" "call.cost.json" "a call was charged; needs call_cost_in_webhooks (tollbell provision)"
    JSON "call.analyzed" "call.analyzed.json" "what an AI assistant cost in a call, part by part"
    JSON "call.initiated" "call.initiated.json" "a call begins"
    JSON "call.hangup" "call.hangup.json" "a call ended, and why"
    JSON "call.hangup" "call.hangup-log-view.json" "the same as Telnyx's log of webhooks shows it"
    FORM "call.hangup" "call.hangup-query.form" "the same as a form, as some applications send it"
    JSON "call.answered" "call_answered-v1.json" "a call was answered, in the envelope of API v1"
    JSON "call.recording.saved" "call.recording.saved.json" "a recording is ready"
    JSON "call.dtmf.received" "call.dtmf.received.json" "a key was pressed; masked before it is stored"
    JSON "call.payment.completed" "call.payment.completed.json" "a card was charged in a call; masked before it is stored"
    FORM "texml.status" "texml.status.form" "a status callback of a TeXML call"
    JSON "messaging-profile.spend-limit-reached" "messaging-profile.spend-limit-reached.json" "a messaging profile reached its daily limit: it sends no more"
    JSON "message.finalized" "message.finalized.json" "an outbound message reached its end, with its cost"
    JSON "message.received" "message.received.json" "an inbound message, with its cost"
    JSON "message.received" "message.received-v1.json" "the same in the envelope of API v1"
    JSON "link.clicked" "link.clicked.json" "somebody opened a shortened link"
    JSON "10dlc.campaign.update" "10dlc.campaign.update.json" "a 10DLC campaign changed its state"
    JSON "campaign.status" "campaign.status.json" "the same in the older, nameless shape"
    JSON "whatsapp.template.rejected" "whatsapp.template.rejected.json" "a WhatsApp template was refused"
    JSON "fax.failed" "fax.failed.json" "a fax could not be sent"
    JSON "fax.delivered" "fax.delivered.json" "a fax was sent"
    JSON "verify.delivered" "verify.delivered.json" "a verification code was delivered"
    JSON "verification.complete" "verification.complete.json" "a phone number was verified"
    JSON "number_order.complete" "number_order.complete.json" "ordered numbers are there"
    JSON "porting_order.deleted" "porting_order.deleted.json" "a porting order is gone"
    JSON "portout.status_changed" "portout.status_changed.json" "somebody ports a number away"
    JSON "email.bounced" "email.bounced.json" "a mail bounced"
    JSON "session.status_changed" "session.status_changed.json" "a session changed its state"
    JSON "conversation.insights.completed" "conversation.insights.completed.json" "insights into an AI conversation; masked before they are stored"
    JSON "assistant.initialization" "assistant.initialization.json" "an AI assistant asks for its variables"
    JSON "account.balance" "account.balance.json" "a balance, in the words of tollbell's own readings"
    JSON "account.low_available_credit" "account.low_available_credit.json" "a notice of low credit"
};

/// Every sample: file name, content type, body.
pub fn samples() -> impl Iterator<Item = (&'static str, &'static str, &'static [u8])> {
    SAMPLES.iter().map(|sample| (sample.name, sample.content_type, sample.body))
}

/// Every sample: file name, and what it reports.
pub fn described_samples() -> impl Iterator<Item = (&'static str, &'static str)> {
    SAMPLES.iter().map(|sample| (sample.name, sample.about))
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
    let is_wrapped = !root.contains_key("event_type") && !root.contains_key("event");
    match root.get_mut("data") {
        Some(Value::Object(data)) if is_wrapped => freshen_fields(data, id, &now),
        _ => freshen_fields(&mut root, id, &now),
    }
    edit::encode(&Value::Object(root), body)
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
