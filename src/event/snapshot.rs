//! What templates may see of an event.
//!
//! Receives an event. Promises an object in which every key is always present, null where unknown, so that strict
//! templates work for every kind; and only values from the list below, so that no template can leak what is not on
//! it. Never shows message text, codes, card data or URLs.

use serde_json::{Map, Value, json};

use super::{Event, kind};

/// Longest text of a field, in characters; more is cut.
const FIELD_CHARS_MAX: usize = 256;

/// Fields of the payload that are shown, each with the places where it may stand, first found wins. A place is a
/// path; in a list the first item counts. TeXML writes names in capitals, 10DLC in camel case.
#[rustfmt::skip]
const FIELDS: &[(&str, &[&str])] = &[
    // The parties.
    ("from", &["from.phone_number", "from.email", "from.agent_id", "from", "From"]),
    ("to", &["to.phone_number", "to.email", "to.agent_id", "to", "To"]),
    ("phone_number", &["phone_number", "phoneNumber", "phone_numbers.phone_number", "phone_numbers"]),
    ("direction", &["direction", "Direction"]),
    // How it went.
    ("status", &["status.value", "status", "order_status", "new_status", "to.status", "CallStatus", "MessageStatus"]),
    ("old_status", &["old_status"]),
    ("state", &["state"]),
    ("result", &["result"]),
    ("failure_reason", &["failure_reason"]),
    ("rejection_reason", &["rejection_reason"]),
    ("hangup_cause", &["hangup_cause", "HangupCause"]),
    ("hangup_source", &["hangup_source", "HangupSource"]),
    ("sip_hangup_cause", &["sip_hangup_cause", "SipHangupCause"]),
    ("error_code", &["errors.code", "error_evidence.code", "pay_error_code"]),
    ("error_title", &["errors.title"]),
    ("reason", &["reason"]),
    // Which thing.
    ("id", &["id"]),
    ("profile_id", &["profile_id", "verify_profile_id"]),
    ("messaging_profile_id", &["messaging_profile_id"]),
    ("connection_id", &["connection_id", "ConnectionId"]),
    ("billing_group_id", &["billing_group_id"]),
    ("call_leg_id", &["call_leg_id"]),
    ("call_session_id", &["call_session_id"]),
    ("call_control_id", &["call_control_id", "CallSid"]),
    ("message_id", &["message_id", "sms_id"]),
    ("fax_id", &["fax_id"]),
    ("order_id", &["order_id", "porting_order_id"]),
    ("session_id", &["session_id"]),
    ("conversation_id", &["conversation_id"]),
    ("sim_card_id", &["sim_card_id"]),
    ("brandId", &["brandId"]),
    ("campaignId", &["campaignId", "tcr_campaign_id"]),
    ("type", &["type"]),
    ("eventType", &["eventType", "event"]),
    // Money and use.
    ("configured_limit", &["configured_limit"]),
    ("current_cost", &["current_cost"]),
    ("billed_duration_secs", &["billed_duration_secs"]),
    ("duration_secs", &["call_duration_secs", "CallDuration"]),
    ("parts", &["parts"]),
    ("page_count", &["page_count"]),
    ("balance", &["balance"]),
    ("available_credit", &["available_credit"]),
    ("credit_limit", &["credit_limit"]),
    ("pending", &["pending"]),
    ("threshold", &["threshold"]),
    ("burn_per_hour", &["burn_per_hour"]),
    ("hours_left", &["hours_left"]),
    ("ledger_amount", &["ledger_amount"]),
    ("telnyx_amount", &["telnyx_amount"]),
    ("recharge_threshold", &["auto_recharge.threshold_amount"]),
    ("amount", &["amount"]),
    // Limits of what may be spent.
    ("product_name", &["product_name", "product"]),
    ("profile_name", &["profile_name"]),
    ("period", &["period"]),
    ("limit", &["limit"]),
    ("spend", &["spend"]),
    ("percent", &["percent"]),
    ("blocked_until", &["blocked_until"]),
    // How long Telnyx has not answered.
    ("failures", &["failures"]),
    ("since", &["since"]),
    // What tollbell says about itself.
    ("receiver", &["receiver"]),
    ("integration", &["integration"]),
    ("rule", &["rule"]),
    ("count", &["count"]),
    ("skew_seconds", &["skew_seconds"]),
    ("window_seconds", &["window_seconds"]),
];

impl Event {
    /// The allow-listed view for templates, with every key always present.
    ///
    /// Times are RFC 3339 text; amounts are decimal text; `fields` holds the payload's scalars under fixed names
    /// (`from`, `status`, `current_cost`, …). Unknown is null.
    pub fn snapshot(&self) -> Value {
        let fields: Map<String, Value> = FIELDS
            .iter()
            .map(|(name, places)| ((*name).to_owned(), first(&self.payload, places)))
            .collect();
        json!({
            "id": self.id,
            "account": self.account,
            "kind": self.kind,
            "type": self.type_as_sent,
            "product": kind::product(&self.kind),
            "occurred_at": self.occurred_at.map(|at| at.to_string()),
            "received_at": self.received_at.to_string(),
            "source": self.source.as_str(),
            "cost": self.cost.map(|cost| cost.to_string()),
            "charge": self.charge.map(|charge| charge.to_string()),
            "currency": self.currency,
            "fields": fields,
        })
    }
}

fn first(payload: &Value, places: &[&str]) -> Value {
    places.iter().find_map(|place| scalar(payload, place)).unwrap_or(Value::Null)
}

fn scalar(payload: &Value, place: &str) -> Option<Value> {
    let mut value = head(payload)?;
    for key in place.split('.') {
        value = head(value.get(key)?)?;
    }
    match value {
        Value::String(text) => Some(text.chars().take(FIELD_CHARS_MAX).collect::<String>().into()),
        Value::Number(number) if number.to_string().len() > FIELD_CHARS_MAX => None,
        Value::Number(_) | Value::Bool(_) => Some(value.clone()),
        _ => None,
    }
}

/// The value, or the first item where it is a list.
fn head(value: &Value) -> Option<&Value> {
    match value {
        Value::Array(items) => items.first(),
        value => Some(value),
    }
}
