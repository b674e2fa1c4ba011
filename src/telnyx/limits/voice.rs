//! Outbound voice profiles with a daily limit, and what was spent of it by the ledger. Pure.
//!
//! Telnyx tells the limit and refuses calls beyond it, and neither tells what was spent nor sends a webhook. So the calls of
//! the day are added up here, by the connections that use the profile. Source: types of Telnyx's SDK,
//! `outbound_voice_profile.py`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::spend_limit::{event, percent};
use crate::event::{Event, amount};
use crate::rules::Entry;
use crate::text::one_line;

/// Longest name of a profile, in characters.
const NAME_CHARACTERS: usize = 120;

/// An outbound voice profile whose limit is switched on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) id: String,
    name: String,
    limit: Decimal,
}

/// Which profile a connection uses, by their ids.
pub(super) type Connections = BTreeMap<String, String>;

/// Profiles whose limit is switched on; a limit that cannot be read is none.
pub(super) fn profiles(items: &[Value]) -> Vec<Profile> {
    let read = |item: &Value| {
        let is_on = item.get("daily_spend_limit_enabled").and_then(Value::as_bool) == Some(true);
        Some(Profile {
            id: item.get("id")?.as_str()?.to_owned(),
            name: one_line(
                item.get("name").and_then(Value::as_str).unwrap_or_default(),
                NAME_CHARACTERS,
            ),
            limit: item.get("daily_spend_limit").and_then(amount).filter(|_| is_on)?,
        })
    };
    items.iter().filter_map(read).collect()
}

/// The profile that a connection or application uses.
pub(super) fn connection(item: &Value) -> Option<(String, String)> {
    let id = match item.get("id")? {
        Value::Number(number) => number.to_string(),
        id => id.as_str()?.to_owned(),
    };
    let profile = item.get("outbound")?.get("outbound_voice_profile_id")?;
    let profile = match profile {
        Value::Number(number) => number.to_string(),
        profile => profile.as_str()?.to_owned(),
    };
    (!id.is_empty() && !profile.is_empty()).then_some((id, profile))
}

/// When the day began: Telnyx counts from midnight UTC.
pub(super) fn midnight(now: Timestamp) -> Timestamp {
    let start = now.to_zoned(TimeZone::UTC).start_of_day();
    start.map_or(now, |start| start.timestamp())
}

/// What was spent by the charges of a day, by profile. Inbound calls use none; a call of which the direction is not known
/// counts, since its connection is.
pub(super) fn spent<'e>(
    charges: impl IntoIterator<Item = &'e Entry>,
    connections: &Connections,
) -> BTreeMap<String, Decimal> {
    let mut spent: BTreeMap<String, Decimal> = BTreeMap::new();
    for charge in charges {
        let is_inbound = charge.call.direction.as_deref() == Some("inbound");
        if charge.product != "voice" || charge.currency != "USD" || is_inbound {
            continue;
        }
        let profile = charge.call.connection_id.as_ref().and_then(|id| connections.get(id));
        if let Some(profile) = profile {
            let sum = spent.entry(profile.clone()).or_default();
            *sum = sum.saturating_add(charge.amount);
        }
    }
    spent
}

/// The event that tells a profile's limit and what was spent of it; `None` where that is not known.
pub(super) fn told(
    profile: &Profile,
    spent: Option<Decimal>,
    partial: bool,
    account: &str,
    now: Timestamp,
) -> Event {
    let number = |number: Option<Decimal>| number.map(|number| number.to_string());
    let payload = json!({
        "profile_id": profile.id,
        "profile_name": profile.name,
        "limit": profile.limit.to_string(),
        "spend": number(spent),
        "percent": number(percent(spent, Some(profile.limit))),
        "since": midnight(now).to_string(),
        "partial": partial,
        "currency": "USD",
    });
    let id = format!("account.voice_profile:{}:{}", now.as_microsecond(), profile.id);
    event("account.voice_profile", account, id, now, payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{CallContext, LedgerKey};

    fn charge(
        product: &str,
        currency: &str,
        amount: &str,
        connection: Option<&str>,
        direction: Option<&str>,
    ) -> Entry {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let at = Timestamp::UNIX_EPOCH;
        Entry {
            key: LedgerKey { account: "main".to_owned(), key: "call:leg".to_owned() },
            amount: amount.parse().expect("decimal"),
            currency: currency.to_owned(),
            product: product.to_owned(),
            kind: "call.cost".to_owned(),
            at,
            reported_at: at,
            updated_at: at,
            call: CallContext {
                connection_id: text(connection),
                direction: text(direction),
                ..CallContext::default()
            },
        }
    }

    #[test]
    fn only_limits_that_are_switched_on_and_can_be_read_count() {
        let items = [
            json!({"id": "1", "name": "Sales", "daily_spend_limit": "40.00", "daily_spend_limit_enabled": true}),
            json!({"id": "2", "name": "Off", "daily_spend_limit": "40.00", "daily_spend_limit_enabled": false}),
            json!({"id": "3", "daily_spend_limit": null, "daily_spend_limit_enabled": true}),
            json!({"id": "4", "daily_spend_limit": 5.5, "daily_spend_limit_enabled": true}),
            json!({"daily_spend_limit": "1", "daily_spend_limit_enabled": true}),
            json!(null),
        ];
        let told: Vec<String> = profiles(&items)
            .iter()
            .map(|it| format!("{} {} {}", it.id, it.name, it.limit))
            .collect();
        assert_eq!(told, ["1 Sales 40.00", "4  5.5"]);
    }

    #[test]
    fn the_calls_of_the_day_are_added_up_by_the_profile_of_their_connection() {
        let connections: Connections = [
            json!({"id": "c1", "outbound": {"outbound_voice_profile_id": "1"}}),
            json!({"id": 24, "outbound": {"outbound_voice_profile_id": 1}}),
            json!({"id": "c3", "outbound": {"outbound_voice_profile_id": null}}),
            json!({"id": "c4", "outbound": null}),
            json!({"id": "c5"}),
        ]
        .iter()
        .filter_map(connection)
        .collect();
        assert_eq!(connections.len(), 2);
        let charges = [
            charge("voice", "USD", "1.50", Some("c1"), Some("outbound")),
            charge("voice", "USD", "0.25", Some("24"), None),
            charge("voice", "USD", "9", Some("c1"), Some("inbound")),
            charge("voice", "USD", "9", Some("c9"), Some("outbound")),
            charge("voice", "USD", "9", None, Some("outbound")),
            charge("voice", "EUR", "9", Some("c1"), Some("outbound")),
            charge("ai", "USD", "9", Some("c1"), Some("outbound")),
        ];
        let spent = spent(&charges, &connections);
        assert_eq!(spent, BTreeMap::from([("1".to_owned(), "1.75".parse().expect("decimal"))]));
    }

    #[test]
    fn what_was_spent_is_told_beside_the_limit() {
        let profile =
            Profile { id: "1".to_owned(), name: "Sales".to_owned(), limit: Decimal::from(40) };
        let now: Timestamp = "2026-11-30T10:02:00Z".parse().expect("time");
        let event = told(&profile, Some(Decimal::from(33)), false, "main", now);
        assert_eq!(
            (event.kind.as_str(), event.currency.as_deref()),
            ("account.voice_profile", Some("USD"))
        );
        assert_eq!(
            event.payload,
            json!({"profile_id": "1", "profile_name": "Sales", "limit": "40", "spend": "33", "percent": "82.5",
                "since": "2026-11-30T00:00:00Z", "partial": false, "currency": "USD"})
        );
        let unknown = told(&profile, None, true, "main", now).payload;
        assert_eq!((&unknown["spend"], &unknown["percent"]), (&Value::Null, &Value::Null));
    }
}
