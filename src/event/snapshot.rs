//! What templates may see of an event.
//!
//! Receives an event. Promises an object in which every key is always present, null where unknown, so that strict
//! templates work for every kind; and only values from the list below, so that no template can leak what is not on
//! it. Never shows message text, codes, card data or URLs. What is kept of it is the text without its nulls: most of the
//! keys are null in every event, and there may be one for each of a hundred thousand series.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
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

/// Keys beside `fields`.
const KEYS: &[&str] = &[
    "id",
    "account",
    "kind",
    "type",
    "product",
    "occurred_at",
    "received_at",
    "source",
    "cost",
    "charge",
    "currency",
];

/// An event's snapshot as it is kept: without what is null. Cheap to clone; none before the first event.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Snapshot(Option<Arc<str>>);

impl Snapshot {
    /// Of no event.
    pub const NONE: Self = Self(None);

    /// Whether it is of no event.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The snapshot with every key present, as [`Event::snapshot`] gives it; null when it is of no event.
    pub fn full(&self) -> Value {
        let Some(text) = &self.0 else { return Value::Null };
        let mut value = serde_json::from_str(text).unwrap_or(Value::Null);
        if let Value::Object(map) = &mut value {
            for key in KEYS {
                map.entry(*key).or_insert(Value::Null);
            }
            let fields = map.entry("fields").or_insert_with(|| Map::new().into());
            for (name, _) in FIELDS {
                if let Value::Object(fields) = fields {
                    fields.entry(*name).or_insert(Value::Null);
                }
            }
        }
        value
    }

    /// Bytes that its text takes.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |text| text.len())
    }

    /// Whether it takes none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Value> for Snapshot {
    fn from(mut value: Value) -> Self {
        strip(&mut value);
        Self((!value.is_null()).then(|| value.to_string().into()))
    }
}

/// Removes what is null within objects.
fn strip(value: &mut Value) {
    if let Value::Object(map) = value {
        map.retain(|_, value| {
            strip(value);
            !value.is_null()
        });
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("null"))
    }
}

impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.0.as_deref().unwrap_or("null");
        let raw: &RawValue = serde_json::from_str(text).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Snapshot {
    /// Also of rows that were kept with their nulls.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_has_no_nulls_and_what_is_shown_has_them_all() {
        let payload =
            json!({"from": "+15550100", "status": "failed", "errors": [{"code": "40001"}]});
        let at = "2026-01-01T00:00:00Z".parse().expect("time");
        let mut event = Event::tollbell("tollbell.test", "main", "id-1".to_owned(), at, payload);
        event.cost = Some("0.0051".parse().expect("number"));
        let full = event.snapshot();
        let kept = Snapshot::from(full.clone());
        assert_eq!(kept.full(), full);
        assert!(kept.len() < 400, "{} bytes: {kept:?}", kept.len());
        let text = serde_json::to_string(&kept).expect("json");
        assert!(!text.contains("null"), "{text}");
        assert_eq!(serde_json::from_str::<Snapshot>(&text).expect("json"), kept);
        // Rows of before, with their nulls, mean the same.
        assert_eq!(serde_json::from_value::<Snapshot>(full).expect("json"), kept);
        assert_eq!(serde_json::from_str::<Snapshot>("null").expect("json"), Snapshot::NONE);
        assert_eq!(Snapshot::NONE.full(), Value::Null);
    }
}
