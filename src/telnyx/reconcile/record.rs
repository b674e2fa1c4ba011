//! Detail records: which kinds are read, and what one of them says.
//!
//! Pure. Receives the JSON of one record. Promises to be total: what a record does not say, or says in no form that is
//! known, is unknown. Money keeps every digit. Never guesses whose charge a record is: it gives the ids that it names.
//!
//! Sources. Messages, `verify` and `wireless`: API reference "Search detail records" and the types of Telnyx's SDK (`uuid` is the
//! id of the message, `cost` the amount billed, `carrier_fee` a fee that is passed on beside it, `created_at`; of a SIM the cost
//! is `data_cost`, a float; a verification costs its `verify_usage_fee`, its messages are records of their own). All others are
//! typed nowhere: that `call-control` names `telnyx_leg_id` and `sip-trunking` `call_control_id`, that the `id` of
//! `sip-trunking` is the leg of SIP's `X-Telnyx-Leg-ID`, and that both begin at `started_at`, was seen by several users of the
//! API.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::Value;

use crate::event::{amount, small_id, time_of};

/// Longest id that is taken for one, in bytes; as in the ledger.
const ID_BYTES_MAX: usize = 255;
/// Longest number, address or word that is kept, in characters.
const WORD_CHARACTERS: usize = 255;
/// The currency of amounts that name none, in an account that has none; as in the ledger.
pub(super) const UNKNOWN: &str = "unknown";

/// A kind of record that tells charges.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RecordType {
    /// `filter[record_type]`.
    pub(super) word: &'static str,
    /// The product whose charges it tells.
    pub(super) product: &'static str,
    /// Whether the product's charges are known in part only where this type cannot be read.
    pub(super) is_essential: bool,
    /// The fields by which it may be asked for a range of time, the likely one first: a filter by a field that a type does
    /// not have is refused with 400.
    pub(super) times: &'static [&'static str],
    /// The comparison for the end of the range.
    pub(super) until: &'static str,
    /// Where it names its amount.
    costs: &'static [&'static str],
    /// Where it names the call leg.
    legs: &'static [&'static str],
    /// Where it names the call by `call_control_id`.
    controls: &'static [&'static str],
}

/// A type whose records name no charge of the ledger: they are compared in sums alone.
const fn in_sum(word: &'static str, product: &'static str, is_essential: bool) -> RecordType {
    RecordType {
        word,
        product,
        is_essential,
        times: &["created_at", "started_at"],
        until: "lt",
        costs: &["cost"],
        legs: &[],
        controls: &[],
    }
}

/// What is read, the ones first that name charges of the ledger. What a call costs is told in parts, one record each.
pub(super) const RECORD_TYPES: [RecordType; 13] = [
    RecordType { times: &["created_at"], ..in_sum("messaging", "messaging", true) },
    RecordType {
        times: &["started_at"],
        until: "lte",
        legs: &["call_leg_id", "telnyx_leg_id"],
        controls: &["call_control_id", "telnyx_call_control_id"],
        ..in_sum("call-control", "voice", true)
    },
    RecordType {
        times: &["started_at"],
        until: "lte",
        legs: &["call_leg_id", "telnyx_leg_id", "id"],
        controls: &["call_control_id", "telnyx_call_control_id"],
        ..in_sum("sip-trunking", "voice", true)
    },
    RecordType {
        legs: &["call_leg_id", "telnyx_leg_id"],
        controls: &["call_control_id", "telnyx_call_control_id"],
        ..in_sum("recording", "voice", false)
    },
    in_sum("ai-voice-assistant", "ai", true),
    in_sum("inference", "ai", true),
    in_sum("inference-speech-to-text", "ai", false),
    in_sum("stt", "ai", false),
    in_sum("tts", "ai", false),
    in_sum("embedding", "ai", false),
    RecordType {
        times: &["created_at"],
        costs: &["verify_usage_fee", "cost"],
        ..in_sum("verify", "verify", true)
    },
    in_sum("fax", "fax", true),
    RecordType {
        times: &["created_at"],
        costs: &["data_cost", "cost"],
        ..in_sum("wireless", "wireless", true)
    },
];

/// Products of which events tell costs, so that the ledger has them.
pub(super) const COUNTED: [&str; 3] = ["messaging", "voice", "ai"];

/// One record, as far as it matters here.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    pub(super) of: &'static RecordType,
    /// Its own id, by which it is known when a page brings it again.
    pub(super) id: Option<String>,
    /// The message that it is of.
    pub(super) message: Option<String>,
    /// The call legs that it may be of.
    pub(super) legs: Vec<String>,
    /// The calls that it may be of, by `call_control_id`.
    pub(super) controls: Vec<String>,
    /// When it began.
    pub(super) at: Option<Timestamp>,
    /// What it costs; `None` is unknown, never zero.
    pub(super) cost: Option<Decimal>,
    /// A carrier's fee that is passed on beside the cost; `None` where there is none.
    pub(super) fee: Option<Decimal>,
    /// ISO 4217 code, or `unknown`.
    pub(super) currency: String,
    pub(super) direction: Option<String>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) connection_id: Option<String>,
}

impl Record {
    /// Reads a record; `default` is the account's currency.
    pub(super) fn read(of: &'static RecordType, json: &Value, default: Option<&str>) -> Self {
        let first = |names: &[&str]| names.iter().find_map(|name| id(json, name));
        let all = |names: &[&str]| names.iter().filter_map(|name| id(json, name)).collect();
        let word = |names: &[&str]| names.iter().find_map(|name| word(json, name));
        let is_message = of.product == "messaging";
        Self {
            of,
            id: first(&["uuid", "id"]),
            message: is_message.then(|| first(&["uuid"])).flatten(),
            legs: all(of.legs),
            controls: all(of.controls),
            at: of.times.iter().find_map(|time| json.get(time).and_then(time_of)),
            cost: of.costs.iter().find_map(|cost| json.get(cost).and_then(amount)),
            fee: is_message
                .then(|| json.get("carrier_fee").and_then(amount).filter(|fee| !fee.is_zero()))
                .flatten(),
            currency: currency(json.get("currency"), default),
            direction: word(&["direction"]),
            from: word(&["cli", "caller_number"]),
            to: word(&["cld", "dest_number", "destination_phone_number"]),
            connection_id: first(&["connection_id"]),
        }
    }

    /// The keys that the ledger may know its message by; the second where it is of a group.
    pub(super) fn message_keys(&self) -> impl Iterator<Item = String> + '_ {
        let one = self.message.iter().map(|message| format!("message:{message}"));
        let to = self.message.iter().zip(&self.to);
        one.chain(to.map(|(message, to)| format!("message:{message}:{to}")))
    }

    /// What it comes to, with the carrier's fee: what a webhook tells as the cost of a message holds both.
    pub(super) fn charged(&self) -> Option<Decimal> {
        self.cost?.checked_add(self.fee.unwrap_or_default())
    }

    /// Whether it tells neither whose charge it is, nor when it was made, nor its amount.
    pub(super) fn is_void(&self) -> bool {
        let names_nothing = self.id.is_none() && self.legs.is_empty() && self.controls.is_empty();
        names_nothing && self.at.is_none() && self.cost.is_none()
    }
}

fn currency(value: Option<&Value>, default: Option<&str>) -> String {
    let code = |text: &str| {
        let text = text.trim();
        let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
        is_code.then(|| text.to_ascii_uppercase())
    };
    let found = match value {
        None | Some(Value::Null) => default.and_then(code),
        Some(value) => value.as_str().and_then(code),
    };
    found.unwrap_or_else(|| UNKNOWN.to_owned())
}

/// Text that can be an id, a UUID in small letters; a number as its text.
fn id(json: &Value, name: &str) -> Option<String> {
    let text = match json.get(name)? {
        Value::String(text) => small_id(text.trim()),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let is_id =
        !text.is_empty() && text.len() <= ID_BYTES_MAX && !text.chars().any(char::is_control);
    is_id.then_some(text)
}

fn word(json: &Value, name: &str) -> Option<String> {
    let text = json.get(name)?.as_str()?.trim();
    let text: String =
        text.chars().filter(|letter| !letter.is_control()).take(WORD_CHARACTERS).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(of: usize, json: &str, default: Option<&str>) -> Record {
        Record::read(&RECORD_TYPES[of], &serde_json::from_str(json).expect("JSON"), default)
    }

    #[test]
    fn a_record_says_whose_charge_it_is() {
        let message = read(
            0,
            r#"{"record_type": "message_detail_record", "uuid": "m-1", "id": "other", "cost": "0.0051", "currency": "usd",
                "carrier_fee": "0.003", "cli": "+12025550131", "cld": "+37126123456", "direction": "outbound",
                "created_at": "2026-08-21T10:00:00Z"}"#,
            None,
        );
        assert_eq!(message.message.as_deref(), Some("m-1"));
        assert_eq!((message.legs.len(), message.controls.len()), (0, 0));
        assert_eq!(message.cost.map(|it| it.to_string()).as_deref(), Some("0.0051"));
        assert_eq!(message.fee.map(|it| it.to_string()).as_deref(), Some("0.003"));
        assert_eq!(message.currency, "USD");
        assert_eq!(message.at, Some("2026-08-21T10:00:00Z".parse().expect("time")));
        assert_eq!(
            (message.from.as_deref(), message.to.as_deref()),
            (Some("+12025550131"), Some("+37126123456"))
        );
        // A UUID in capitals is the same one.
        let id = "C9C0797E-901D-4349-A33C-C2C8F31A92C2";
        let record = read(0, &format!(r#"{{"uuid": "{id}"}}"#), None);
        assert_eq!(record.message, Some(id.to_lowercase()));
        // An id that is not documented as the message's is none.
        assert_eq!(read(0, r#"{"id": "m-1"}"#, None).message, None);

        let control =
            read(1, r#"{"telnyx_leg_id": "leg", "id": "own", "call_control_id": ""}"#, None);
        assert_eq!((control.legs, control.controls), (vec!["leg".to_owned()], vec![]));
        let trunk =
            read(2, r#"{"id": "leg", "call_control_id": "v3:c", "connection_id": 2519}"#, None);
        assert_eq!((trunk.legs, trunk.controls), (vec!["leg".to_owned()], vec!["v3:c".to_owned()]));
        assert_eq!(trunk.connection_id.as_deref(), Some("2519"));
        assert_eq!(trunk.message, None);
    }

    #[test]
    fn money_keeps_its_digits_and_the_unknown_stays_unknown() {
        for (json, cost, currency) in [
            (r#"{"cost": "1.666E-4", "currency": "USD"}"#, "0.0001666", "USD"),
            (r#"{"cost": 0.1, "currency": "EUR"}"#, "0.1", "EUR"),
            (r#"{"cost": "-0.0"}"#, "0.0", "GBP"),
            (r#"{"cost": null, "currency": null}"#, "-", "GBP"),
            (r#"{"cost": "free", "currency": "dollars"}"#, "-", "unknown"),
            (r#"{"cost": [1], "currency": 840}"#, "-", "unknown"),
            (r#""odd""#, "-", "GBP"),
            ("[]", "-", "GBP"),
        ] {
            let record = read(0, json, Some("gbp"));
            let found = record.cost.map_or("-".to_owned(), |cost| cost.to_string());
            assert_eq!((found.as_str(), record.currency.as_str()), (cost, currency), "{json}");
        }
        assert_eq!(read(0, "{}", None).currency, UNKNOWN);
    }

    #[test]
    fn other_types_have_their_amounts_and_times_elsewhere() {
        let of = |word: &str| RECORD_TYPES.iter().position(|of| of.word == word).expect("a type");
        for (word, json, product, cost) in [
            (
                "verify",
                r#"{"id": "v", "verify_usage_fee": "0.0300", "rate": "0.05", "created_at": "2026-08-21T10:00:00Z"}"#,
                "verify",
                "0.0300",
            ),
            (
                "wireless",
                r#"{"id": "s", "data_cost": 0.0042, "data_rate": "0.01", "created_at": "2026-08-21T10:00:00Z"}"#,
                "wireless",
                "0.0042",
            ),
            (
                "fax",
                r#"{"id": "f", "cost": "0.0070", "started_at": "2026-08-21T10:00:00Z"}"#,
                "fax",
                "0.0070",
            ),
            (
                "inference",
                r#"{"id": "i", "cost": "0.0001", "carrier_fee": "9", "created_at": "2026-08-21T10:00:00Z"}"#,
                "ai",
                "0.0001",
            ),
            (
                "recording",
                r#"{"id": "r", "cost": "0.0018", "call_leg_id": "leg", "created_at": "2026-08-21T10:00:00Z"}"#,
                "voice",
                "0.0018",
            ),
        ] {
            let record = read(of(word), json, None);
            assert_eq!(record.of.product, product);
            assert_eq!(record.charged().map(|it| it.to_string()).as_deref(), Some(cost), "{word}");
            assert_eq!(record.at, Some("2026-08-21T10:00:00Z".parse().expect("time")), "{word}");
            assert_eq!(record.legs.len(), usize::from(word == "recording"));
        }
        let words: std::collections::BTreeSet<&str> =
            RECORD_TYPES.iter().map(|of| of.word).collect();
        assert_eq!(words.len(), RECORD_TYPES.len());
    }

    #[test]
    fn ids_and_words_are_bounded() {
        let long = "x".repeat(300);
        let json = serde_json::json!({"uuid": long, "id": "a\u{7}b", "cli": format!("{long}\n"), "cld": " "}).to_string();
        let record = read(0, &json, None);
        assert_eq!((record.id, record.message, record.to), (None, None, None));
        assert_eq!(record.from.map(|from| from.len()), Some(WORD_CHARACTERS));
    }
}
