//! What tests store: one of each kind, as they need it.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::*;

/// Minutes after some moment.
pub(in crate::store) fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + minutes * 60).expect("in range")
}

pub(in crate::store) fn event(id: &str) -> Event {
    Event {
        id: id.to_owned(),
        account: "default".to_owned(),
        kind: "call.cost".to_owned(),
        type_as_sent: "call_cost".to_owned(),
        occurred_at: Some(at(-1)),
        received_at: at(0),
        attempt: Some(1),
        source: Source::Webhook,
        payload: serde_json::from_str(
            r#"{"cost": 0.1000, "big": 12345678901234567890.10, "nul": "a\u0000b"}"#,
        )
        .expect("json"),
        cost: Some("0.1000".parse().expect("decimal")),
        charge: None,
        currency: Some("USD".to_owned()),
        content_hashed: false,
    }
}

pub(in crate::store) fn judgement(seq: i64, outcome: &str, fingerprint: &str) -> Judgement {
    Judgement {
        seq,
        rule: "balance/LowBalance".to_owned(),
        outcome: outcome.to_owned(),
        fingerprint: Some(fingerprint.to_owned()),
        detail: "value 3".to_owned(),
        config: "abc".to_owned(),
    }
}

pub(in crate::store) fn alert(fingerprint: &str, state: AlertState) -> Alert {
    Alert {
        fingerprint: Fingerprint::from(fingerprint.to_owned()),
        rule: "balance/LowBalance".to_owned(),
        labels: [("alertname".to_owned(), "LowBalance".to_owned())].into(),
        annotations: Labels::new(),
        state,
        starts_at: at(0),
        ends_at: Some(at(60)),
        updated_at: at(0),
        event_at: None,
        missed: false,
        usual: None,
        value: None,
        notify_expired: false,
        event: json!({"cost": "1.10"}).into(),
    }
}

/// A delivery of a group to the one target of Slack.
pub(in crate::store) fn queued(id: &str, group: &str, minutes: i64) -> NewDelivery {
    NewDelivery {
        id: id.to_owned(),
        target: slack(),
        receiver: "oncall".to_owned(),
        group_key: group.to_owned(),
        opened_at: at(minutes),
        fallback_at: None,
        fallback_of: None,
        caused_by: Vec::new(),
    }
}

pub(in crate::store) fn slack() -> TargetId {
    TargetId::new("slack", "hook")
}

/// What is composed for a group.
pub(in crate::store) fn message(group: &str) -> Message {
    Message {
        receiver: "oncall".to_owned(),
        status: Status::Firing,
        reason: Reason::First,
        reopens: false,
        group_key: group.to_owned(),
        group_labels: Labels::new(),
        common_labels: Labels::new(),
        common_annotations: Labels::new(),
        alerts: vec![message_alert(&alert("f1", AlertState::Firing))],
        truncated_alerts: 0,
        external_url: String::new(),
        created_at: at(0),
        fallback_for: None,
    }
}

/// A message as it is claimed.
pub(in crate::store) fn content(message: &Message, revision: u32) -> Content {
    let message = serde_json::to_vec(message).expect("json");
    let digest = Sha256::digest(&message).to_vec();
    Content { revision, digest, message, why: Reason::First.as_str() }
}

/// An entry of the notification log: when, and which alerts its target knows as firing.
pub(in crate::store) fn told(minutes: i64, firing: &[(&str, u64)]) -> LogEntry {
    let firing = firing.iter().map(|(one, life)| (Fingerprint::from((*one).to_owned()), *life));
    LogEntry { notified_at: Some(at(minutes)), firing: firing.collect(), ..LogEntry::default() }
}

/// The rows of a group with members, each with its life and whether it is over.
pub(in crate::store) fn group_rows(key: &str, members: &[(&str, u64, bool)]) -> Vec<Row> {
    let group = Group::new(key.to_owned(), "route".to_owned(), Labels::new(), at(0));
    let value = serde_json::to_vec(&group).expect("json");
    let mut rows = vec![row(Space::Group, key, Some(&value))];
    for (fingerprint, life, over) in members {
        let member = json!({"life": life, "first_life": life, "changed_at": at(0), "over": over});
        let key = member_key(key, &Fingerprint::from((*fingerprint).to_owned()));
        rows.push(row(Space::Member, &key, Some(member.to_string().as_bytes())));
    }
    rows
}

/// The leg's charge, at its fullest.
pub(in crate::store) fn entry(leg: &str, amount: &str, minutes: i64) -> Entry {
    Entry {
        key: LedgerKey { account: "default".to_owned(), key: format!("call:{leg}") },
        amount: amount.parse().expect("decimal"),
        currency: "USD".to_owned(),
        product: "voice".to_owned(),
        kind: "call.cost".to_owned(),
        at: at(minutes),
        updated_at: at(minutes),
        reported_at: at(minutes),
        call: context(),
    }
}

pub(in crate::store) fn context() -> CallContext {
    CallContext {
        from: Some("+15550100".to_owned()),
        to: Some("+445550100".to_owned()),
        direction: Some("outbound".to_owned()),
        connection_id: Some("7".to_owned()),
        country: Some("GB".to_owned()),
        started_at: Some(at(-2)),
        ended_at: Some(at(-1)),
    }
}

pub(in crate::store) fn leg(leg: &str) -> CallKey {
    CallKey { account: "default".to_owned(), leg: leg.to_owned() }
}

pub(in crate::store) fn row(space: Space, key: &str, value: Option<&[u8]>) -> Row {
    Row { space, key: key.to_owned(), value: value.map(<[u8]>::to_vec) }
}

pub(in crate::store) fn line(fingerprint: &str, what: &str, minutes: i64) -> JournalEntry {
    JournalEntry {
        at: at(minutes),
        fingerprint: fingerprint.to_owned(),
        group_key: "g".to_owned(),
        what: what.to_owned(),
        detail: "value 3".to_owned(),
    }
}

pub(in crate::store) fn silence(id: &str, from: i64, until: i64) -> Silence {
    Silence {
        id: id.to_owned(),
        matchers: ["team=\"billing\"", "severity=~\"a|b\""]
            .map(|text| Matcher::parse(text).expect("parses"))
            .into(),
        starts_at: at(from),
        ends_at: at(until),
        created_by: "somebody".to_owned(),
        comment: "\u{2026} \"quoted\"".to_owned(),
        created_at: at(from),
        updated_at: at(from),
    }
}

/// What judging the first event may change, all of it.
pub(in crate::store) fn full_batch() -> Changes {
    Changes {
        cursor: 1,
        judgements: vec![judgement(1, "fired", "f1")],
        alerts: vec![alert("f1", AlertState::Firing)],
        deliveries: vec![NewDelivery { caused_by: vec![1], ..queued("d1", "lane", 0) }],
        rows: vec![row(Space::Series, "s", Some(b"bytes"))],
        ledger: vec![entry("leg", "0.1000", 0)],
        calls: vec![(leg("leg"), context(), at(0))],
        charges: vec![(1, "0.1000".parse().expect("decimal"))],
        journal: vec![line("f1", "fired", 0)],
        ..Changes::default()
    }
}

pub(in crate::store) fn settlement(id: &str, number: u32, next: Next) -> Settlement {
    let (outcome, reason) = match next {
        Next::Delivered => ("delivered", ""),
        Next::RetryAt(_) => ("retry", "timeout"),
        Next::Dead => ("rejected", "clientError"),
    };
    let attempt = Attempt {
        number,
        finished_at: at(0),
        outcome: outcome.to_owned(),
        reason: reason.to_owned(),
        detail: String::new(),
    };
    Settlement {
        id: id.to_owned(),
        attempt,
        revision: 0,
        next,
        maybe_taken: false,
        fallback_of: None,
        entry: None,
        journal: vec![],
        fallbacks: vec![],
        events: vec![],
    }
}
