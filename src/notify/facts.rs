//! What an event says about money, and what else is worth a line.
//!
//! Reads the event snapshot of a message; is content with any shape, `null` too. Amounts are shown from their source
//! text, never by way of a float.

use serde::Serialize;
use serde_json::Value;

use crate::template::{duration_text, money_text};
use crate::text::one_line;

/// Longest value of a fact, in characters.
const VALUE_CHARACTERS: usize = 200;
/// Longest name of a fact, in characters.
const NAME_CHARACTERS: usize = 40;

/// A name and a value: one row of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Fact {
    /// What.
    pub(super) name: String,
    /// How much, when, who.
    pub(super) value: String,
}

impl Fact {
    /// A fact in displayable form, or `None` when there is nothing to say.
    pub(super) fn new(name: &str, value: &str) -> Option<Self> {
        let value = one_line(value, VALUE_CHARACTERS);
        (!value.is_empty()).then(|| Self { name: one_line(name, NAME_CHARACTERS), value })
    }
}

/// Fields that [`money`] shows under a name of its own, and those that say nothing to a person.
const NOT_REPEATED: [&str; 18] = [
    "available_credit",
    "balance",
    "billed_duration_secs",
    "burn_per_hour",
    "charge",
    "configured_limit",
    "cost",
    "credit_limit",
    "currency",
    "current_cost",
    "day_of_year",
    "event_type",
    "hours_left",
    "id",
    "occurred_at",
    "pending",
    "record_type",
    "total_cost",
];

/// The amounts of an event, the most telling first.
pub(super) fn money(event: &Value) -> Vec<Fact> {
    let own = |name: &str| event.get(name).and_then(scalar);
    let field = |name: &str| event.get("fields").and_then(|fields| scalar(fields.get(name)?));
    let currency = own("currency").or_else(|| field("currency")).unwrap_or_default();
    let currency = one_line(&currency, 8);
    let amount = |name: &str| money_text(&field(name)?, &currency);

    let mut facts = Vec::new();
    let mut tell = |name: &str, value: Option<String>| {
        facts.extend(value.and_then(|value| Fact::new(name, &value)));
    };
    if let (Some(spent), Some(limit)) = (field("current_cost"), amount("configured_limit")) {
        let spent = money_text(&spent, "");
        tell("Spent", spent.map(|spent| format!("{spent} of {limit}")));
    } else {
        tell("Spent", amount("current_cost"));
        tell("Limit", amount("configured_limit"));
    }
    tell("Available credit", amount("available_credit"));
    tell("Balance", amount("balance"));
    tell("Credit limit", amount("credit_limit"));
    tell("Pending", amount("pending"));
    tell("Burn", amount("burn_per_hour").map(|amount| format!("{amount} per hour")));
    tell("Lasts", field("hours_left").map(|hours| format!("about {hours} h at this rate")));
    let cost = own("cost").or_else(|| field("total_cost"));
    tell("Cost", cost.as_deref().and_then(|cost| money_text(cost, &currency)));
    let charge = own("charge").filter(|charge| Some(charge) != cost.as_ref());
    tell("Charged", charge.and_then(|charge| money_text(&charge, &currency)));
    let billed = field("billed_duration_secs").and_then(|seconds| seconds.parse().ok());
    tell("Billed time", billed.map(duration_text));
    facts
}

/// Further scalar fields of an event, at most `limit`, without those whose value is already in `shown`.
pub(super) fn others(event: &Value, shown: &[Fact], limit: usize) -> Vec<Fact> {
    let fields = event.get("fields").and_then(Value::as_object);
    fields
        .into_iter()
        .flatten()
        .filter(|(name, _)| !NOT_REPEATED.contains(&name.as_str()))
        .filter_map(|(name, value)| Fact::new(&in_words(name), &scalar(value)?))
        .filter(|fact| shown.iter().all(|other| other.value != fact.value))
        .take(limit)
        .collect()
}

/// `failure_reason`, and `failureReason`, as `Failure reason`.
pub(super) fn in_words(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    let mut rest = name.chars().peekable();
    while let Some(character) = rest.next() {
        let begins =
            character.is_ascii_uppercase() && words.ends_with(|it: char| it.is_ascii_lowercase());
        if begins {
            words.push(' ');
        }
        // An abbreviation keeps its capitals.
        let is_word = begins && rest.peek().is_some_and(|next| !next.is_ascii_uppercase());
        words.push(match character {
            '_' | '.' | '-' => ' ',
            _ if is_word => character.to_ascii_lowercase(),
            _ => character,
        });
    }
    let mut characters = words.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => words,
    }
}

/// Text, number or flag as text; everything else, the empty text included, is nothing.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(facts: &[Fact]) -> Vec<String> {
        facts.iter().map(|fact| format!("{}={}", fact.name, fact.value)).collect()
    }

    #[test]
    fn amounts_come_from_their_source_text() {
        for (event, expected) in [
            ("null", &[][..]),
            ("[1]", &[]),
            (r#"{"cost": null, "fields": null}"#, &[]),
            (
                r#"{"currency": "USD", "fields": {"current_cost": "10.02", "configured_limit": "10.00"}}"#,
                &["Spent=10.02 of 10.00 USD"],
            ),
            (
                r#"{"fields": {"current_cost": 10.0200000000000000001}}"#,
                &["Spent=10.0200000000000000001"],
            ),
            (
                r#"{"cost": "0.0106", "charge": "0.0106", "currency": "USD", "fields": {"total_cost": "0.0106"}}"#,
                &["Cost=0.0106 USD"],
            ),
            (
                r#"{"cost": "0.5", "charge": "-0.1", "currency": "unknown"}"#,
                &["Cost=0.50", "Charged=-0.10"],
            ),
            (
                r#"{"currency": "USD", "fields": {"available_credit": "42.1", "burn_per_hour": "3.2", "hours_left": 13}}"#,
                &[
                    "Available credit=42.10 USD",
                    "Burn=3.20 USD per hour",
                    "Lasts=about 13 h at this rate",
                ],
            ),
            (r#"{"fields": {"current_cost": "lots", "configured_limit": "x"}}"#, &[]),
        ] {
            let json = serde_json::from_str(event).expect("json");
            assert_eq!(told(&money(&json)), expected, "{event}");
        }
    }

    #[test]
    fn other_fields_are_told_once() {
        let event = serde_json::json!({"fields": {
            "failure_reason": "busy", "from": "+1", "id": "x", "profile_id": "p", "to": {"a": 1},
        }});
        let shown = [Fact::new("Profile", "p").expect("fact")];
        assert_eq!(told(&others(&event, &shown, 9)), ["Failure reason=busy", "From=+1"]);
        assert_eq!(others(&event, &shown, 1).len(), 1);
        let words = ["failure_reason", "failureReason", "brandID", "PIN"].map(in_words);
        assert_eq!(words, ["Failure reason", "Failure reason", "Brand ID", "PIN"]);
    }
}
