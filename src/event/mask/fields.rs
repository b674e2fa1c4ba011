//! Which fields are known to be harmless, and what their values look like.
//!
//! Data. Keys are lower-case words joined by `_`. What stands here is kept as far as it has the [`Form`] of its field;
//! what does not stand here is masked. Sources: the schemas of Telnyx's SDK (`types/*_webhook_event.py`), its product
//! pages, and the payloads under `samples/`.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::event::kind;

/// What a field holds, and so what of a text under its key is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing is kept, neither text nor number.
    Hidden,
    /// An id: no white space.
    Id,
    /// A word of a fixed set: a status, a code, the name of a product, a model, a codec. No spaces.
    Word,
    /// A number or an amount, as text.
    Number,
    /// A time or a date.
    Time,
    /// A party's number or address.
    Party,
    /// A name that Telnyx or a carrier gives to a thing, of several words: `T-Mobile USA`.
    Name,
    /// Telnyx's or a carrier's own sentence about what went wrong.
    Diagnosis,
    /// A URL, or an object or list of them: scheme and host are kept.
    Url,
    /// Nobody knows: no text is kept.
    Unknown,
}

type Rows = &'static [(Form, &'static [&'static str])];

/// Fields of any kind of event, by their exact key.
#[rustfmt::skip]
const GENERAL: Rows = &[
    (Form::Hidden, &[
        // Message text: SMS, RCS, WhatsApp, e-mail, comments of porting orders.
        "text", "body", "body_html", "html", "content", "contents", "caption", "note", "notes", "subject", "preview",
        "snippet", "reply", "suggestion_response", "postback_data",
        // One-time codes and what a caller types or says.
        "custom_code", "customcode", "verification_code", "verify_code", "confirmation_code",
        "payment_confirmation_code", "auth_code", "access_code", "security_code", "securitycode", "login_code",
        "sms_code", "mfa_code", "totp", "one_time_code", "code_value", "digit", "digits", "dtmf", "dtmf_digits",
        "utterance", "answer",
        // Credentials that no word below tells.
        "api_key", "private_key", "secret_key", "access_key", "encryption_key",
        // Opaque data that the customer attached; Telnyx only carries it.
        "client_state", "client_data", "custom_data", "user_data",
        // Cards and bank accounts.
        "cardnumber", "accountnumber", "routingnumber", "expiration_date", "expiry", "expiry_date", "exp_date",
        "exp_month", "exp_year", "account_number", "routing_number", "sort_code", "postal_code", "pan",
        // Conversations with people and with assistants, and what was made of them.
        "message_history", "partial_results", "summary", "query", "dynamic_variables", "arguments", "parameters",
        "instructions", "prompt", "memory",
        // Papers handed in with an order, and whom they are of.
        "field_value", "subscriber_name", "caller_id_name", "birthday", "birth_date", "date_of_birth",
        // Where somebody is.
        "latitude", "longitude",
    ]),
    (Form::Id, &[
        "support_key", "sha256", "hash_sha256", "spid", "iccid", "imsi",
    ]),
    (Form::Word, &[
        // What it is, and how it went.
        "event", "kind", "state", "status", "type", "result_code", "reason", "cause", "source", "origin", "track", "feature",
        "direction", "method", "mode", "format", "encoding", "version", "api_version", "level", "severity",
        "channels", "channel", "queue", "region", "role", "platform", "provider", "model", "llm_model", "stt_model", "language", "locale", "country",
        "country_code", "country_iso_alpha2", "decision", "approval_decision", "new_quality_rating",
        "previous_quality_rating", "overlay", "call_part", "call_screening_result", "answered_by", "product",
        "products", "period", "unit", "record_type", "record_types", "errors", "error", "warnings", "reasons",
        "failure_reason", "internal_failure_reason", "failure_cause", "hangup_cause", "hangup_source",
        "sip_hangup_cause", "removal_reason", "flag_reason", "error_message", "error_code", "status_code", "status_detail", "pay_error_code", "attestation",
        "shaken_stir_attestation", "connection_codecs", "offered_codecs", "codec", "payment_step", "payment_method", "payment_connector",
        "tts_provider", "transcription_track", "tags", "tcr_campaign_registered", "carrier_code", "mcc", "mnc", "timezone", "time_zone", "callback_source",
        "template_name", "telnyx_conversation_channel", "enhanced_code", "smtp_code", "currency", "rate_measured_in",
        "is_final", "enabled", "paid", "pointer", "service", "plan", "service_plan", "traffic_type",
    ]),
    (Form::Number, &[
        "amount", "attempt", "attempts", "balance", "pending", "threshold", "total", "cost", "rate", "fee", "price", "tax", "charge",
        "billed_duration_secs", "burn_per_hour", "hours_left", "mos", "jitter", "jitter_max_variance", "parts",
        "packet_loss", "confidence", "score", "consistency", "sequence_number", "last_seq", "current_position",
        "queue_position", "sip_response_code", "sip_notify_response", "available_credit", "credit_limit",
        "spent", "remaining", "spend", "limit", "daily_spend_limit", "carrier_fee",
    ]),
    (Form::Time, &["expires", "since", "until", "time_clicked", "created", "updated", "started", "ended", "valid_until", "confirm_by", "approval_deadline", "last_seen"]),
    (Form::Party, &[
        "from", "to", "cc", "bcc", "phone_number", "phone_numbers", "number", "numbers", "e164", "caller_id",
        "caller_number", "dest_number", "cli", "cld", "called", "caller", "forwarded_from", "email", "emails",
        "from_number", "to_number", "telnyx_agent_target", "telnyx_end_user_target",
    ]),
    (Form::Name, &["line_type"]),
];

/// Last words of keys that tell what the key holds, whatever stands before them.
#[rustfmt::skip]
const ENDINGS: Rows = &[
    (Form::Id, &["id", "ids", "sid", "uuid", "guid"]),
    (Form::Word, &["status", "state", "type", "event", "currency", "direction", "source", "reason", "cause", "codec", "country"]),
    (Form::Number, &[
        "amount", "balance", "bytes", "charge", "cost", "count", "credit", "duration", "fee", "limit", "millis", "minutes", "mrc",
        "ms", "otc", "percent", "price", "quantity", "rate", "sec", "secs", "seconds", "size", "spend", "tax", "threshold", "total",
        "usd",
    ]),
    (Form::Time, &["at", "created", "date", "datetime", "time", "timestamp", "updated"]),
    (Form::Url, &["url", "urls", "uri", "uris", "link", "links", "href"]),
    // Message text by whatever name: `sms_text`, `email_subject`.
    (Form::Hidden, &["text", "body", "subject", "content"]),
];

/// Fields of some kinds only, by the beginning of the kind; of several beginnings the first that fits.
#[rustfmt::skip]
const OF_KINDS: &[(&[&str], Rows)] = &[
    // What an assistant made of a conversation may be in any field of it.
    (&["call.analyzed"], &[]),
    (&["call.recording.error"], &[(Form::Diagnosis, &["reason"])]),
    (&["call.machine.", "call.payment.", "call.deepfake_detection.", "call.refer.", "call.conversation."], &[
        (Form::Word, &["result"]),
    ]),
    (&["message.", "whatsapp.", "rcs."], &[
        (Form::Name, &["carrier", "agent_name"]),
        (Form::Diagnosis, &["detail"]),
    ]),
    (&["10dlc.", "campaign."], &[
        (Form::Word, &["fields"]),
        (Form::Name, &["brand_name"]),
        (Form::Diagnosis, &["description", "reasons"]),
    ]),
    (&["number_order.", "sub_number_order.", "advanced_order.", "porting_order.", "portout.",
        "messaging_hosted_numbers_orders.", "number_reputation."], &[
        (Form::Id, &["customer_reference"]),
        (Form::Name, &["carrier_name"]),
        (Form::Diagnosis, &["description", "rejection_reason"]),
    ]),
    (&["email.", "email_domain."], &[
        (Form::Diagnosis, &["detail", "smtp_response"]),
    ]),
    (&["fax.", "verify.", "call.", "conference.", "streaming.", "siprec."], &[
        (Form::Diagnosis, &["detail"]),
    ]),
];

type Table = HashMap<&'static str, Form>;

fn table(rows: Rows) -> Table {
    rows.iter().flat_map(|(form, keys)| keys.iter().map(|key| (*key, *form))).collect()
}

static GENERAL_TABLE: LazyLock<Table> = LazyLock::new(|| table(GENERAL));
static ENDINGS_TABLE: LazyLock<Table> = LazyLock::new(|| table(ENDINGS));
static OF_KINDS_TABLES: LazyLock<Vec<Table>> =
    LazyLock::new(|| OF_KINDS.iter().map(|(_, rows)| table(rows)).collect());

/// The fields that are harmless in events of one kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Harmless(Option<&'static Table>);

impl Harmless {
    /// The fields of a kind; none of its own for a kind that nobody has published yet.
    pub(super) fn of(kind: &str) -> Self {
        if !kind::is_known(kind) {
            return Self(None);
        }
        let at = OF_KINDS
            .iter()
            .position(|(begins, _)| begins.iter().any(|begin| kind.starts_with(begin)));
        Self(at.and_then(|at| OF_KINDS_TABLES.get(at)))
    }

    /// The form of a field by its exact key.
    pub(super) fn form(self, key: &str) -> Option<Form> {
        let of_kind = self.0.and_then(|table| table.get(key));
        of_kind.or_else(|| GENERAL_TABLE.get(key)).copied()
    }

    /// Whether Telnyx's diagnoses are kept: for kinds whose schema is known.
    pub(super) fn has_diagnoses(self) -> bool {
        self.0.is_some_and(|table| table.values().any(|form| *form == Form::Diagnosis))
    }
}

/// The form of a field by the last word of its key.
pub(super) fn form_of_ending(last: &str) -> Option<Form> {
    ENDINGS_TABLE.get(last).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_has_two_forms() {
        let rows = OF_KINDS.iter().map(|(_, rows)| *rows).chain([GENERAL, ENDINGS]);
        for rows in rows {
            let keys = rows.iter().map(|(_, keys)| keys.len()).sum::<usize>();
            assert_eq!(table(rows).len(), keys);
        }
    }
}
