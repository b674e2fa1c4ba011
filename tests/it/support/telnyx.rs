//! The sender: signs as Telnyx does, and builds event bodies of the shapes it sends.
//!
//! Signing is written out here and shares no code with the product: a mistake that both had would show nothing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The header that holds the signature.
pub const SIGNATURE_HEADER: &str = "telnyx-signature-ed25519";

/// The header that holds the time of signing, in seconds since 1970 as text.
pub const TIMESTAMP_HEADER: &str = "telnyx-timestamp";

/// Signs deliveries with a key pair of its own.
#[derive(Debug, Clone)]
pub struct Signer(SigningKey);

impl Signer {
    /// The key pair of an account in tests.
    pub fn new() -> Self {
        Self::from_seed([0x5a; 32])
    }

    /// The key pair of a seed; two seeds are two accounts.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// The seed, base64, for tools that sign for us.
    pub fn seed_base64(&self) -> String {
        STANDARD.encode(self.0.to_bytes())
    }

    /// The public key as Mission Control shows it: base64 of its 32 bytes.
    pub fn public_key_base64(&self) -> String {
        STANDARD.encode(self.0.verifying_key().to_bytes())
    }

    /// The signature of `timestamp|body`, base64. The text of the timestamp is signed as it is.
    pub fn sign(&self, timestamp: &str, body: &[u8]) -> String {
        let signed = [timestamp.as_bytes(), b"|", body].concat();
        STANDARD.encode(self.0.sign(&signed).to_bytes())
    }

    /// The headers of a delivery of `body` signed at `now`.
    pub fn headers(&self, now: Timestamp, body: &[u8]) -> Vec<(String, String)> {
        let timestamp = now.as_second().to_string();
        let signature = self.sign(&timestamp, body);
        vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            (SIGNATURE_HEADER.to_owned(), signature),
            (TIMESTAMP_HEADER.to_owned(), timestamp),
        ]
    }
}

/// A body in the standard envelope of API v2, pretty-printed as on the wire.
pub fn event(id: &str, kind: &str, at: Timestamp, payload: &Value) -> Vec<u8> {
    envelope(id, kind, at, payload, 1)
}

/// [`event`] as the given attempt delivers it: its bytes differ, its id does not.
pub fn envelope(id: &str, kind: &str, at: Timestamp, payload: &Value, attempt: u32) -> Vec<u8> {
    let body = json!({
        "data": {
            "record_type": "event",
            "event_type": kind,
            "id": id,
            "occurred_at": at.to_string(),
            "payload": payload,
        },
        "meta": {"attempt": attempt, "delivered_to": "https://hooks.example.com/webhooks/telnyx"},
    });
    serde_json::to_vec_pretty(&body).unwrap()
}

/// `messaging-profile.spend-limit-reached`: the profile's limit and what it has cost, decimal text without currency.
pub fn spend_limit(id: &str, at: Timestamp, profile: &str, limit: &str, cost: &str) -> Vec<u8> {
    let payload = json!({"profile_id": profile, "configured_limit": limit, "current_cost": cost});
    event(id, "messaging-profile.spend-limit-reached", at, &payload)
}

/// `call.cost` of one leg, decimal text in USD; `null` where the cost is not known.
pub fn call_cost(id: &str, at: Timestamp, leg: &str, total: Option<&str>) -> Vec<u8> {
    let parts: Vec<Value> = total
        .map(|cost| {
            json!({
                "billed_duration_secs": 42, "call_part": "sip-trunking", "cost": cost,
                "currency": "USD", "rate": "0.0070",
            })
        })
        .into_iter()
        .collect();
    let payload = json!({
        "billed_duration_secs": 42,
        "call_control_id": format!("v3:control-of-{leg}"),
        "call_leg_id": leg,
        "call_session_id": format!("session-of-{leg}"),
        "connection_id": "1494404757140276705",
        "cost_parts": parts,
        "occurred_at": at.to_string(),
        "status": "success",
        "total_cost": total,
    });
    event(id, "call.cost", at, &payload)
}

/// `message.finalized` of an outbound SMS with its cost in USD.
pub fn message_finalized(id: &str, at: Timestamp, message: &str, amount: &str) -> Vec<u8> {
    let payload = json!({
        "id": message,
        "record_type": "message",
        "direction": "outbound",
        "type": "SMS",
        "from": {"phone_number": "+13125550111", "carrier": "Telnyx", "line_type": "Wireless"},
        "to": [{"phone_number": "+13125550122", "status": "delivered", "carrier": "Example Mobile"}],
        "text": PLANTED_TEXT,
        "parts": 1,
        "cost": {"amount": amount, "currency": "USD"},
        "completed_at": at.to_string(),
        "errors": [],
    });
    event(id, "message.finalized", at, &payload)
}

/// The text of every message here: wherever it turns up beside the payload, something leaked.
pub const PLANTED_TEXT: &str = "planted-text: your code is 481516";

#[test]
fn the_signer_makes_the_signature_that_another_library_made() {
    // Computed with pyca/cryptography from the test key that Telnyx's Java SDK publishes.
    let seed = STANDARD.decode("i1xxSkIuQOY9H8laaRslIoYGTJ1NwBAFdjsQwiwJH04=").unwrap();
    let signer = Signer::from_seed(seed.try_into().unwrap());
    assert_eq!(signer.public_key_base64(), "jrMBoswHlhhVx2W2Www72WU/xn4UMpjreslD0m2u0qs=");
    assert_eq!(
        signer.sign("1735689600", br#"{"event_type":"test","id":"abc123"}"#),
        "t5S4DX0YMWRPW2C/q8g9UQlglAu7Hl23T+8WKJnTXfqhBpBPyYc1Myjn5TRSNzU3Iz7jw4XTWScgQzB+GpFNAg=="
    );
}

#[test]
fn two_attempts_of_an_event_differ_in_bytes_only() {
    let at = Timestamp::UNIX_EPOCH;
    let [first, second] =
        [1, 2].map(|attempt| envelope("e1", "call.cost", at, &json!({}), attempt));
    assert_ne!(first, second);
    let id = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap()["data"]["id"].clone();
    assert_eq!(id(&first), id(&second));
}
