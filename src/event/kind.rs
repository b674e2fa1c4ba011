//! What an event is called.
//!
//! Receives the sender's name. Promises one dotted name of bounded length in printable ASCII, and bounded words for
//! what must not grow with the network's imagination: metric labels and products. Never refuses a name.
//!
//! The table of kinds makes this file long; it is data.

/// Longest kind, in bytes.
pub(super) const KIND_BYTES_MAX: usize = 128;
/// Kind of a JSON event that neither names its kind nor has a shape we know.
pub(super) const UNNAMED: &str = "unnamed";
/// Kind of a body that is neither JSON nor a form.
pub(super) const UNPARSED: &str = "unparsed";

/// Every kind that is published or ours, sorted.
///
/// Source: Telnyx's webhook catalogue (developers.telnyx.com/data/webhook-events.json), the SDKs' event union, and
/// the product pages on e-mail, meeting, 10DLC and porting. It grows; kinds that are not here work all the same.
#[rustfmt::skip]
const KNOWN: &[&str] = &[
    "10dlc.brand.update", "10dlc.campaign.update", "10dlc.phone_number.update",
    // Ours, from the billing API.
    "account.balance", "account.reachable", "account.topped_up", "account.unreachable",
    "advanced_order.new_comment", "advanced_order.status_update",
    "artifact.completed", "artifact.failed",
    "assistant.initialization",
    "call.ai_gather.ended", "call.ai_gather.message_history_updated", "call.ai_gather.partial_results",
    "call.answered", "call.bridged", "call.conversation.ended", "call.conversation_insights.generated",
    "call.cost", "call.deepfake_detection.error", "call.deepfake_detection.result", "call.dequeued",
    "call.dtmf.received", "call.enqueued", "call.fork.started", "call.fork.stopped", "call.gather.ended",
    "call.hangup", "call.hold", "call.initiated", "call.machine.detection.ended",
    "call.machine.greeting.ended", "call.machine.premium.detection.ended",
    "call.machine.premium.greeting.ended", "call.payment.completed", "call.payment.progress",
    "call.playback.ended", "call.playback.started", "call.recording.error", "call.recording.saved",
    "call.recording.transcription.saved", "call.refer.completed", "call.refer.failed", "call.refer.started",
    "call.speak.ended", "call.speak.started", "call.transcription", "call.unhold",
    // Ours: the flat campaign update that names no kind.
    "campaign.status",
    // Ours: a charge that a detail record tells and no event told.
    "charge.reconciled",
    "conference.created", "conference.ended", "conference.floor.changed", "conference.participant.joined",
    "conference.participant.left", "conference.participant.playback.ended",
    "conference.participant.playback.started", "conference.participant.speak.ended",
    "conference.participant.speak.started", "conference.playback.ended", "conference.playback.started",
    "conference.recording.saved", "conference.speak.ended", "conference.speak.started",
    "conversation.insights.completed",
    "dialogflow.detectintent.response",
    "email.bounced", "email.cancelled", "email.clicked", "email.complained", "email.daily_limit_exceeded",
    "email.deferred", "email.delivered", "email.failed", "email.opened", "email.queued", "email.received",
    "email.sandbox", "email.scheduled", "email.sending", "email.sent", "email.unsubscribed",
    "email_domain.created", "email_domain.degraded", "email_domain.deleted", "email_domain.dkim_rotated",
    "email_domain.suspended", "email_domain.verified",
    "fax.delivered", "fax.failed", "fax.media.processed", "fax.media.processing.started", "fax.queued",
    "fax.received", "fax.receiving.started", "fax.sending.started",
    // Ours: a click on a shortened link, which names no kind.
    "link.clicked",
    "message.echo", "message.finalized",
    // Ours: a v1 message update other than an inbound message.
    "message.legacy",
    "message.read", "message.received", "message.sent",
    "messaging-profile.spend-limit-reached",
    "messaging_hosted_numbers_orders.created", "messaging_hosted_numbers_orders.deleted",
    "messaging_hosted_numbers_orders.internal_transfer_approval_requested",
    "messaging_hosted_numbers_orders.internal_transfer_approved",
    "messaging_hosted_numbers_orders.internal_transfer_auto_approved",
    "messaging_hosted_numbers_orders.internal_transfer_detected",
    "messaging_hosted_numbers_orders.internal_transfer_rejected",
    "messaging_hosted_numbers_orders.updated",
    "number_order.complete",
    "porting_order.deleted", "porting_order.messaging_changed", "porting_order.new_comment",
    "porting_order.split", "porting_order.status_changed",
    "portout.foc_date_changed", "portout.new_comment", "portout.status_changed",
    "recording.available",
    "session.status_changed",
    "siprec.failed", "siprec.started", "siprec.stopped",
    // Ours: what the ledger and Telnyx's records differ in.
    "spend.reconciled",
    "streaming.failed", "streaming.started", "streaming.stopped",
    // Ours: TeXML callbacks name no kind.
    "texml.conference", "texml.message", "texml.queue", "texml.recording", "texml.status",
    "texml.transcription",
    // Ours, about tollbell itself.
    "tollbell.clock_skew", "tollbell.dead_letter", "tollbell.event_faulted",
    "tollbell.misdirected_webhooks", "tollbell.notice_withheld",
    "tollbell.rejected_signatures",
    "tollbell.reload_failed", "tollbell.series_limit",
    "transcript.completed",
    UNNAMED, UNPARSED,
    "verification.complete",
    "verify.delivered", "verify.failed", "verify.sent",
    "whatsapp.account.restricted", "whatsapp.account.update", "whatsapp.phone_number.quality_changed",
    "whatsapp.template.approved", "whatsapp.template.disabled", "whatsapp.template.rejected",
];

/// Names of the v1 voice API that differ from today's by more than their punctuation.
const RENAMED: &[(&str, &str)] = &[
    ("conference_join", "conference.participant.joined"),
    ("conference_leave", "conference.participant.left"),
    ("dtmf", "call.dtmf.received"),
];

/// Product by the first segment of the kind.
#[rustfmt::skip]
const PRODUCTS: &[(&str, &[&str])] = &[
    ("voice", &["call", "conference", "streaming", "siprec", "dialogflow", "texml"]),
    ("messaging", &[
        "message", "messaging-profile", "messaging_profile", "10dlc", "campaign", "link", "whatsapp", "rcs",
        "toll_free_verification",
    ]),
    ("fax", &["fax"]),
    ("numbers", &[
        "number_order", "sub_number_order", "advanced_order", "porting_order", "portout",
        "messaging_hosted_numbers_orders", "requirement_group", "phone_number",
    ]),
    ("verify", &["verify", "verification"]),
    ("email", &["email", "email_domain"]),
    ("wireless", &["sim_card", "sim_card_data_usage", "wireless"]),
    ("ai", &["assistant", "conversation"]),
    ("meeting", &["session", "transcript", "recording", "artifact"]),
    ("account", &["account", "billing", "invoice", "payment", "charge", "spend"]),
    ("tollbell", &["tollbell"]),
];

/// Every kind that is published or ours, sorted: for completion, for `check`, and for metric labels.
pub fn known_kinds() -> &'static [&'static str] {
    KNOWN
}

/// The kind as a metric label: itself when it is known, else `other`.
pub fn metric_kind(kind: &str) -> &'static str {
    KNOWN.binary_search(&kind).ok().and_then(|at| KNOWN.get(at)).copied().unwrap_or("other")
}

/// The product an event belongs to: voice, messaging, fax, numbers, verify, email, wireless, ai, meeting, account or
/// tollbell; `other` when the kind says nothing.
pub fn product(kind: &str) -> &'static str {
    let first = kind.split('.').next().unwrap_or_default();
    let found = PRODUCTS.iter().find(|(_, segments)| segments.contains(&first));
    // A text message is not a call, though TeXML reports both.
    match found {
        Some(_) if kind == "texml.message" => "messaging",
        Some((product, _)) => product,
        None => "other",
    }
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
    renamed.or_else(|| KNOWN.iter().copied().find(|kind| is_spelled_alike(kind, name))).or_else(
        || {
            KNOWN.iter().copied().find(|kind| {
                kind.strip_prefix("call.").is_some_and(|rest| is_spelled_alike(rest, name))
            })
        },
    )
}

/// Equal but for dots and hyphens, which v1 wrote as underscores.
fn is_spelled_alike(kind: &str, name: &str) -> bool {
    let underscored = |byte: u8| if matches!(byte, b'.' | b'-') { b'_' } else { byte };
    kind.len() == name.len() && kind.bytes().map(underscored).eq(name.bytes().map(underscored))
}

/// Cut to the bound, with `_` for whatever is not visible ASCII; a name of nothing is [`UNNAMED`].
fn printable(name: &str) -> String {
    if name.is_empty() {
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
        assert!(KNOWN.is_sorted_by(|a, b| a < b), "binary search needs order");
        for kind in KNOWN {
            assert_eq!(from_name(kind), *kind);
            assert_eq!(metric_kind(kind), *kind);
            let is_ours = [UNNAMED, UNPARSED].contains(kind);
            assert_eq!(product(kind) == "other", is_ours, "{kind} has no product");
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
        assert_eq!(from_name("a b\u{0}c\u{e9}\u{1f514}.d"), "a_b_c__.d");
        assert_eq!(from_name("  "), UNNAMED);
        assert_eq!(from_name(&"\u{1f514}".repeat(500)).len(), KIND_BYTES_MAX);
    }

    #[test]
    fn labels_are_bounded() {
        assert_eq!(metric_kind("call.cost"), "call.cost");
        assert_eq!(metric_kind("call.cost2"), "other");
        assert_eq!(metric_kind(""), "other");
        for (kind, expected) in [
            ("call.cost", "voice"),
            ("texml.status", "voice"),
            ("texml.message", "messaging"),
            ("10dlc.campaign.update", "messaging"),
            ("sim_card.status.changed", "wireless"),
            ("account.low_available_credit", "account"),
            ("callback.received", "other"),
            ("", "other"),
        ] {
            assert_eq!(product(kind), expected, "{kind}");
        }
    }
}
