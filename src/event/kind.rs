//! What an event is called.
//!
//! Receives the sender's name. Promises one dotted name of bounded length in printable ASCII, and bounded words for
//! what must not grow with the network's imagination: metric labels and products. Never refuses a name.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Longest kind, in bytes.
pub(super) const KIND_BYTES_MAX: usize = 128;
/// Kind of a JSON event that neither names its kind nor has a shape we know.
pub(super) const UNNAMED: &str = "unnamed";
/// Kind of a body that is neither JSON nor a form.
pub(super) const UNPARSED: &str = "unparsed";

/// Kinds, products and money. Tabs between the columns; what they mean stands at its head.
///
/// Source: Telnyx's SDKs, which `scripts/kinds.py` compares it with, its webhook catalogue
/// (developers.telnyx.com/data/webhook-events.json), and the product pages on e-mail, meeting, 10DLC and porting. It
/// grows; kinds that are not here work all the same.
const TABLE: &str = include_str!("kinds.tsv");

/// Whether events of a kind tell amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Money {
    /// They have a cost, which the ledger books.
    Charge,
    /// They have a cost, which the event of another kind books.
    Cost,
    /// They have neither.
    None,
}

#[derive(Debug)]
struct Kind {
    product: &'static str,
    money: Money,
}

/// [`TABLE`], read.
#[derive(Debug, Default)]
struct Kinds {
    /// Their names, sorted.
    names: Vec<&'static str>,
    /// What is known of each, in the same order.
    rows: Vec<Kind>,
    /// Product by the first segment of the name, for kinds that are not here.
    products: HashMap<&'static str, &'static str>,
}

static KINDS: LazyLock<Kinds> = LazyLock::new(|| {
    let mut read = Kinds::default();
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t');
        let (Some(name), Some(product), Some(money)) =
            (columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        if let Some(segment) = name.strip_suffix(".*") {
            read.products.insert(segment, product);
            continue;
        }
        let money = match money {
            "charge" => Money::Charge,
            "cost" => Money::Cost,
            _ => Money::None,
        };
        read.names.push(name);
        read.rows.push(Kind { product, money });
    }
    read
});

/// Words of the first segment of a kind by which it is about the account's money, where the segment itself is unknown:
/// Telnyx does not publish how it names such notices.
const ACCOUNT_WORDS: &[&str] =
    &["account", "balance", "billing", "credit", "invoice", "notification", "payment", "recharge"];

/// Names of the v1 voice API that differ from today's by more than their punctuation.
const RENAMED: &[(&str, &str)] = &[
    ("conference_join", "conference.participant.joined"),
    ("conference_leave", "conference.participant.left"),
    ("dtmf", "call.dtmf.received"),
];

/// Every kind that is published or ours, sorted: for completion, for `check`, and for metric labels.
pub fn known_kinds() -> &'static [&'static str] {
    &KINDS.names
}

/// The kind as a metric label: itself when it is known, else `other`.
pub fn metric_kind(kind: &str) -> &'static str {
    KINDS
        .names
        .binary_search(&kind)
        .ok()
        .and_then(|at| KINDS.names.get(at))
        .copied()
        .unwrap_or("other")
}

/// The product an event belongs to; `other` when the kind says nothing.
///
/// Voice, messaging, fax, numbers, verify, email, wireless, ai, meeting, account or tollbell. A kind that is not known goes
/// by the first segment of its name.
pub fn product(kind: &str) -> &'static str {
    if let Some(known) = known(kind) {
        return known.product;
    }
    let segment = kind.split('.').next().unwrap_or_default();
    if let Some(product) = KINDS.products.get(segment) {
        return product;
    }
    let is_account = segment.split(['_', '-']).any(|word| {
        ACCOUNT_WORDS.contains(&word)
            || word.strip_suffix('s').is_some_and(|one| ACCOUNT_WORDS.contains(&one))
    });
    if is_account { "account" } else { "other" }
}

/// Whether a pattern stands for a family of kinds that has a product, though none of its kinds may be known: `billing.*`.
pub fn is_family(pattern: &str) -> bool {
    pattern.strip_suffix(".*").is_some_and(|segment| KINDS.products.contains_key(segment))
}

/// Whether events of a kind tell amounts; `None` for kinds that are not known.
pub fn money(kind: &str) -> Option<Money> {
    known(kind).map(|kind| kind.money)
}

/// Whether Telnyx, or tollbell itself, has published a kind.
pub(super) fn is_known(kind: &str) -> bool {
    known(kind).is_some()
}

fn known(kind: &str) -> Option<&'static Kind> {
    KINDS.names.binary_search(&kind).ok().and_then(|at| KINDS.rows.get(at))
}

/// The dotted kind of a name as sent: v1's underscores become dots where that makes a known kind, all else passes.
pub(super) fn from_name(sent: &str) -> String {
    let name = printable(sent.trim());
    if name.contains('.') {
        return name;
    }
    match from_v1(&name) {
        Some(kind) => kind.to_owned(),
        None => name,
    }
}

fn from_v1(name: &str) -> Option<&'static str> {
    let renamed = RENAMED.iter().find(|(old, _)| *old == name).map(|(_, kind)| *kind);
    // `recording_saved` is a call's: v1 left the word out.
    renamed
        .or_else(|| KINDS.names.iter().copied().find(|kind| is_spelled_alike(kind, name)))
        .or_else(|| {
            KINDS.names.iter().copied().find(|kind| {
                kind.strip_prefix("call.").is_some_and(|rest| is_spelled_alike(rest, name))
            })
        })
}

/// Equal but for dots and hyphens, which v1 wrote as underscores.
fn is_spelled_alike(kind: &str, name: &str) -> bool {
    let underscored = |byte: u8| if matches!(byte, b'.' | b'-') { b'_' } else { byte };
    kind.len() == name.len() && kind.bytes().map(underscored).eq(name.bytes().map(underscored))
}

/// Cut to the bound, with `_` for whatever is not visible ASCII; a name of nothing, and words that are no name, are
/// [`UNNAMED`]: kinds are in logs and tables.
fn printable(name: &str) -> String {
    if name.is_empty() || name.contains(char::is_whitespace) {
        return UNNAMED.to_owned();
    }
    let visible = |letter: char| if letter.is_ascii_graphic() { letter } else { '_' };
    name.chars().take(KIND_BYTES_MAX).map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_without_twins() {
        assert!(known_kinds().is_sorted_by(|a, b| a < b), "binary search needs order");
        let products = [
            "voice",
            "messaging",
            "fax",
            "numbers",
            "verify",
            "email",
            "wireless",
            "ai",
            "meeting",
            "account",
            "tollbell",
        ];
        for kind in known_kinds() {
            assert_eq!(from_name(kind), *kind);
            assert_eq!(metric_kind(kind), *kind);
            let is_ours = [UNNAMED, UNPARSED].contains(kind);
            assert_eq!(product(kind) == "other", is_ours, "{kind} has no product");
            assert!(is_ours || products.contains(&product(kind)), "{kind}");
        }
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let columns: Vec<&str> = line.split('\t').collect();
            let [name, _, money, source] = columns[..] else { panic!("{line}: four columns") };
            assert!(["charge", "cost", "limit", "-"].contains(&money), "{name}: {money}");
            assert!(["sdk", "docs", "ours"].contains(&source), "{name}: {source}");
        }
    }

    #[test]
    fn v1_names_become_dotted_ones() {
        for (sent, kind) in [
            ("call_cost", "call.cost"),
            ("call_answered", "call.answered"),
            ("call_initiated", "call.initiated"),
            ("recording_saved", "call.recording.saved"),
            ("call_recording_saved", "call.recording.saved"),
            ("machine_detection_ended", "call.machine.detection.ended"),
            ("gather_ended", "call.gather.ended"),
            ("call_ai_gather_ended", "call.ai_gather.ended"),
            ("dtmf", "call.dtmf.received"),
            ("conference_join", "conference.participant.joined"),
            ("streaming_stopped", "streaming.stopped"),
            ("number_order_complete", "number_order.complete"),
            ("messaging_profile_spend_limit_reached", "messaging-profile.spend-limit-reached"),
            // Not v1, or not known: as sent.
            ("call_teleported", "call_teleported"),
            ("fax.delivered", "fax.delivered"),
            ("call.recording_saved", "call.recording_saved"),
        ] {
            assert_eq!(from_name(sent), kind);
        }
    }

    #[test]
    fn odd_names_are_made_presentable() {
        assert_eq!(from_name(" call.cost\n"), "call.cost");
        assert_eq!(from_name("ab\u{0}c\u{e9}\u{1f514}.d"), "ab_c__.d");
        assert_eq!(from_name("Mrs Meier asked for a refund"), UNNAMED);
        assert_eq!(from_name("  "), UNNAMED);
        assert_eq!(from_name(&"\u{1f514}".repeat(500)).len(), KIND_BYTES_MAX);
    }

    #[test]
    fn labels_are_bounded() {
        assert_eq!(metric_kind("call.cost"), "call.cost");
        assert_eq!(metric_kind("call.cost2"), "other");
        assert_eq!(metric_kind(""), "other");
        assert!(is_family("billing.*") && !is_family("billing") && !is_family("biling.*"));
        for (kind, expected) in [
            ("call.cost", "voice"),
            ("texml.status", "voice"),
            ("texml.message", "messaging"),
            ("10dlc.campaign.update", "messaging"),
            ("sim_card.status.changed", "wireless"),
            // The AI's share of a call is no part of what the call cost.
            ("call.analyzed", "ai"),
            ("call.conversation.created", "voice"),
            ("number_reputation.number.flagged", "numbers"),
            ("number_reputation.number.praised", "numbers"),
            ("whatsapp.waba_added", "messaging"),
            // Notices that Telnyx may come to send.
            ("billing.low_balance", "account"),
            ("balance.low", "account"),
            ("credit.available.low", "account"),
            ("invoice.created", "account"),
            ("payment.failed", "account"),
            ("payments.failed", "account"),
            ("notification.created", "account"),
            ("low_balance_notification", "account"),
            ("available-credit.low", "account"),
            ("credential_connection.changed", "other"),
            ("account.low_available_credit", "account"),
            ("callback.received", "other"),
            ("", "other"),
        ] {
            assert_eq!(product(kind), expected, "{kind}");
        }
    }
}
