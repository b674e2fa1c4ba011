//! One entry of Telnyx's log of deliveries, and the event in it.
//!
//! Receives the entry's JSON, of which nothing is certain: fields are missing, `status` says anything, `errors` are
//! numbers or objects. Promises an event only for what was sent to us, with an identity that is the same whenever the
//! entry is read again. Looks at an attempt's address and outcome only, never at its headers and bodies.

use jiff::Timestamp;
use reqwest::Url;
use serde_json::{Value, json};

use crate::event::{self, Event, Incoming, PayloadPolicy, Source};

/// Where webhooks are taken when the public address has no path of its own.
const PATH: &str = "/webhooks/telnyx";
/// The kind of what was cut beyond reading.
const UNPARSED: &str = "unparsed";
/// Longest id of an entry that is used as it is, in bytes.
const ID_BYTES_MAX: usize = 128;
/// Ports that an address need not name.
const DEFAULT_PORTS: [u16; 2] = [80, 443];

/// What counts as addressed to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ours {
    host: String,
    port: Option<u16>,
    path: String,
    account: String,
}

impl Ours {
    /// All beneath the public address, save other accounts' paths; `None` when it is no address.
    pub(super) fn new(public_url: &str, account: &str) -> Option<Self> {
        let url = Url::parse(public_url).ok()?;
        let (host, port) = peer(&url)?;
        let path = match url.path().trim_end_matches('/') {
            "" => PATH.to_owned(),
            path => path.to_owned(),
        };
        Some(Self { host, port, path, account: account.to_owned() })
    }

    /// Whether a webhook with this address came, or would have come, to us. Scheme and query do not matter.
    pub(super) fn takes(&self, address: &str) -> bool {
        let Ok(url) = Url::parse(address) else { return false };
        let is_here = peer(&url).is_some_and(|(host, port)| host == self.host && port == self.port);
        let rest = url.path().strip_prefix(self.path.as_str());
        let is_beneath = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        is_here && is_beneath && self.is_of_account(url.path())
    }

    /// Whether the path names no account, or this one.
    fn is_of_account(&self, path: &str) -> bool {
        let Some((before, name)) = path.trim_end_matches('/').rsplit_once('/') else { return true };
        !before.ends_with(PATH) || name == self.account
    }
}

/// Host and port; an address with the default port of either scheme has none.
fn peer(url: &Url) -> Option<(String, Option<u16>)> {
    let host = url.host_str()?.trim_end_matches('.').to_owned();
    Some((host, url.port().filter(|port| !DEFAULT_PORTS.contains(port))))
}

/// What the event's maker has to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    /// The account's name.
    pub(super) account: &'a str,
    /// ISO 4217 code, where an event names none.
    pub(super) currency: Option<&'a str>,
    /// How much of a payload is stored.
    pub(super) policy: PayloadPolicy,
    /// When the entry was read.
    pub(super) now: Timestamp,
    /// Deliveries that began before are left out.
    pub(super) since: Timestamp,
}

/// A webhook that may have been missed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Missed {
    /// The event, with the time of its delivery where it tells none of its own.
    pub(super) event: Event,
    /// When its delivery began, as far as the log says.
    pub(super) began: Option<Timestamp>,
    /// For one without identity: the id that its content has if it came by webhook.
    pub(super) content_id: Option<String>,
}

/// The webhook of an entry; `None` when it was not sent to us, is too old, or must not be told twice: without an
/// identity nobody could say whether a delivered one is here.
pub(super) fn read(entry: &Value, ours: &Ours, context: &Context<'_>) -> Option<Missed> {
    let sent: Vec<&Value> = entry
        .get("attempts")?
        .as_array()?
        .iter()
        .filter(|attempt| address(attempt).is_some_and(|address| ours.takes(address)))
        .collect();
    // The newest comes first.
    let oldest = *sent.last()?;
    let begun = |value: &Value| value.get("started_at").and_then(event::time_of);
    let began = begun(entry).or_else(|| begun(oldest));
    if began.is_some_and(|began| began < context.since) {
        return None;
    }
    let was_delivered = || sent.iter().any(|attempt| is_delivered(attempt, entry));
    let body = body(entry.get("webhook"));
    let mut event = event::parse(&Incoming {
        account: context.account,
        default_currency: context.currency,
        content_type: None,
        body: &body.bytes,
        received_at: context.now,
        policy: context.policy,
    });
    if !body.is_whole || event.kind == UNPARSED {
        let id = delivery_id(entry, began, &event.id);
        let event = cut(entry, id, body.bytes.len(), context);
        let event = Event { occurred_at: began, ..event };
        let missed = Missed { event, began, content_id: None };
        return (!was_delivered()).then_some(missed);
    }
    event.source = Source::Backfill;
    event.attempt = None;
    event.occurred_at = event.occurred_at.or(began);
    if !event.content_hashed {
        return Some(Missed { event, began, content_id: None });
    }
    // A hash counts for an hour only, and an entry is read again after days.
    let id = delivery_id(entry, began, &event.id);
    let content_id = Some(std::mem::replace(&mut event.id, id));
    event.content_hashed = false;
    (!was_delivered()).then_some(Missed { event, began, content_id })
}

fn address(attempt: &Value) -> Option<&str> {
    attempt.get("http")?.get("request")?.get("url")?.as_str()
}

/// Whether an attempt succeeded, by its own word, the answer's status, or else the entry's word.
fn is_delivered(attempt: &Value, entry: &Value) -> bool {
    let says = |value: &Value| {
        let status = value.get("status").and_then(Value::as_str);
        status.map(|status| status.eq_ignore_ascii_case("delivered"))
    };
    let answer = attempt.get("http").and_then(|http| http.get("response")?.get("status"));
    let is_ok = answer.is_some_and(|status| status.as_u64() == Some(200) || status == "200");
    is_ok || says(attempt).or_else(|| says(entry)).unwrap_or(false)
}

/// What the entry has of the webhook's body.
struct Body {
    bytes: Vec<u8>,
    is_whole: bool,
}

/// An object, also one written as text, is whole; all else was cut.
fn body(webhook: Option<&Value>) -> Body {
    match webhook {
        // Writing JSON into memory cannot fail: every key is text.
        Some(Value::Object(fields)) => {
            Body { bytes: serde_json::to_vec(fields).unwrap_or_default(), is_whole: true }
        }
        Some(Value::String(text)) => {
            let opened: Option<Value> = serde_json::from_str(text).ok();
            let is_whole = opened.is_some_and(|value| value.is_object());
            Body { bytes: text.clone().into_bytes(), is_whole }
        }
        _ => Body { bytes: Vec::new(), is_whole: false },
    }
}

fn cut(entry: &Value, id: String, size_bytes: usize, context: &Context<'_>) -> Event {
    let payload = json!({"size_bytes": size_bytes, "delivery_id": own_id(entry)});
    Event {
        type_as_sent: String::new(),
        source: Source::Backfill,
        ..Event::tollbell(UNPARSED, context.account, id, context.now, payload)
    }
}

/// The identity of an event that has none: that of its delivery, else what is known of it.
fn delivery_id(entry: &Value, began: Option<Timestamp>, content: &str) -> String {
    match own_id(entry) {
        Some(id) => format!("delivery:{id}"),
        None => {
            format!("delivery:{}:{content}", began.map(|at| at.to_string()).unwrap_or_default())
        }
    }
}

fn own_id(entry: &Value) -> Option<&str> {
    let id = entry.get("id")?.as_str()?.trim();
    let is_plain = !id.is_empty() && id.len() <= ID_BYTES_MAX && !id.chars().any(char::is_control);
    is_plain.then_some(id)
}

#[cfg(test)]
mod tests;
