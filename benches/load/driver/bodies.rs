//! Requests, signed ahead: events as Telnyx sends them, each with an id, a leg or message and amounts of its own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use uuid::Uuid;

const KEY: &[u8; 32] = b"tollbell load test, known to all";
/// Connections (SIP or Call Control) of the account whose events these are.
const CONNECTIONS: u64 = 8;
/// Countries that are called, by their first digits.
const DESTINATIONS: [&str; 10] = [
    "+1555010", "+4420794", "+4930230", "+3314277", "+3460010", "+9142424", "+8611111", "+6121234",
    "+5511988", "+2348012",
];

/// The public half of the key, as a configuration names it.
pub(crate) fn public_key() -> String {
    STANDARD.encode(SigningKey::from_bytes(KEY).verifying_key().as_bytes())
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mix {
    /// `message.received`: no shipped rule names it.
    Received,
    /// Half `call.cost`, half `message.finalized`: the shipped rules count what they cost, by account, connection and country.
    Mixed,
    /// As `Mixed`, but one in a hundred is a spend limit that is reached, of a profile of its own: an alert each.
    Notify,
    /// Only such spend limits: each event fires an alert and, with a rule by profile, begins a series.
    Unique,
}

impl Mix {
    pub(crate) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "received" => Self::Received,
            "mixed" => Self::Mixed,
            "notify" => Self::Notify,
            "unique" => Self::Unique,
            _ => return None,
        })
    }

    fn event(self, n: u64, now: &str) -> (&'static str, Value) {
        match self {
            Self::Received => ("message.received", message(n, now, true)),
            Self::Unique => ("messaging-profile.spend-limit-reached", spend_limit(n)),
            Self::Notify if n % 100 == 99 => {
                ("messaging-profile.spend-limit-reached", spend_limit(n))
            }
            Self::Mixed | Self::Notify if n.is_multiple_of(2) => ("call.cost", call_cost(n, now)),
            Self::Mixed | Self::Notify => ("message.finalized", message(n, now, false)),
        }
    }
}

fn number(n: u64) -> String {
    let at = usize::try_from(n / 2).unwrap_or(0) % DESTINATIONS.len();
    let prefix = DESTINATIONS.get(at).unwrap_or(&"+1555010");
    format!("{prefix}{:04}", n % 10_000)
}

fn spend_limit(n: u64) -> Value {
    json!({
        "profile_id": Uuid::new_v4(),
        "configured_limit": "10.00",
        "current_cost": format!("{}.{:02}", 10 + n % 90, n % 100),
    })
}

fn call_cost(n: u64, now: &str) -> Value {
    let leg = Uuid::new_v4();
    let seconds = 20 + n % 400;
    json!({
        "billed_duration_secs": seconds,
        "billing_group_id": "b1111111-2222-4333-8444-000000000001",
        "call_control_id": format!("v3:{leg}"),
        "call_leg_id": leg,
        "call_session_id": leg,
        "client_state": "bG9hZA==",
        "connection_id": (1_494_404_757_140_276_705 + n / 2 % CONNECTIONS).to_string(),
        "cost_parts": [
            {"billed_duration_secs": seconds, "call_part": "sip-trunking", "cost": "0.0035", "currency": "USD", "rate": "0.0050"},
            {"billed_duration_secs": seconds, "call_part": "call-control", "cost": "0.0035", "currency": "USD", "rate": "0.0050"},
        ],
        "occurred_at": now,
        "status": "success",
        "total_cost": "0.0070",
    })
}

fn message(n: u64, now: &str, inbound: bool) -> Value {
    let (own, other) = ("+15550100001".to_owned(), number(n));
    let (from, to) = if inbound { (other, own) } else { (own, other) };
    let status = if inbound { "webhook_delivered" } else { "delivered" };
    json!({
        "messaging_profile_id": format!("e1111111-2222-4333-8444-{:012}", n / 2 % CONNECTIONS),
        "organization_id": "a2222222-2222-4333-8444-000000000001",
        "record_type": "message",
        "type": "SMS",
        "encoding": "GSM-7",
        "errors": [],
        "media": [],
        "tags": ["orders"],
        "id": Uuid::new_v4(),
        "direction": if inbound { "inbound" } else { "outbound" },
        "from": {"carrier": "Telnyx", "line_type": "Wireless", "phone_number": from},
        "to": [{"carrier": "EXAMPLE WIRELESS", "line_type": "Wireless", "phone_number": to, "status": status}],
        "text": "Your parcel arrives today between 3 and 5.",
        "parts": 1 + n % 3,
        "cost": {"amount": "0.0132", "currency": "USD"},
        "received_at": now,
        "sent_at": now,
        "completed_at": now,
        "valid_until": null,
        "webhook_url": "https://hooks.example.com/webhooks/telnyx",
        "webhook_failover_url": "",
    })
}

/// Whole requests, one after the other, and where each begins. With `bad` the signatures are those of other bodies, and each
/// request names another client to the proxies that are trusted.
#[derive(Debug)]
pub(crate) struct Requests {
    bytes: Vec<u8>,
    begins: Vec<usize>,
}

impl Requests {
    pub(crate) fn sign(mix: Mix, count: u64, target: (&str, &str), bad: bool) -> Self {
        let (host, path) = target;
        let key = SigningKey::from_bytes(KEY);
        let at = tollbell::clock::Clock::system().now();
        let (now, at) = (at.as_second(), at.to_string());
        let (mut bytes, mut begins) = (Vec::new(), vec![0]);
        for n in 0..count {
            let (kind, payload) = mix.event(n, &at);
            let body = json!({
                "data": {"record_type": "event", "event_type": kind, "id": Uuid::new_v4(), "occurred_at": at, "payload": payload},
                "meta": {"attempt": 1, "delivered_to": "https://hooks.example.com/webhooks/telnyx"},
            });
            let mut body = body.to_string();
            let signature = key.sign(format!("{now}|{body}").as_bytes());
            let mut forwarded = String::new();
            if bad {
                body.push(' ');
                forwarded = format!(
                    "x-forwarded-for: 10.{}.{}.{}\r\n",
                    n >> 16 & 255,
                    n >> 8 & 255,
                    n & 255
                );
            }
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n{forwarded}\
                 telnyx-timestamp: {now}\r\ntelnyx-signature-ed25519: {}\r\ncontent-length: {}\r\n\r\n",
                STANDARD.encode(signature.to_bytes()),
                body.len(),
            );
            bytes.extend_from_slice(head.as_bytes());
            bytes.extend_from_slice(body.as_bytes());
            begins.push(bytes.len());
        }
        Self { bytes, begins }
    }

    pub(crate) fn get(&self, n: usize) -> Option<&[u8]> {
        self.bytes.get(*self.begins.get(n)?..*self.begins.get(n + 1)?)
    }
}
