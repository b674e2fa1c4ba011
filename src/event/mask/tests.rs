use super::*;
use serde_json::json;

fn masked_of(kind: &str, mut value: Value) -> Value {
    mask(kind, &mut value);
    value
}

fn masked(value: Value) -> Value {
    masked_of("some.kind", value)
}

#[test]
fn words_are_found_in_every_spelling() {
    for key in
        ["card_number", "CardNumber", "cardNumber", "card-number", "Card Number", "CARD_NUMBER"]
    {
        assert_eq!(words(key), "card_number", "{key}");
    }
    assert_eq!(words("CallSID"), "call_sid");
    assert_eq!(words("SIPHeaders"), "sip_headers");
    assert_eq!(words("isTMobileRegistered"), "is_t_mobile_registered");
    assert_eq!(words("\u{c9}t\u{e9}"), "\u{e9}t\u{e9}");
}

#[test]
fn private_values_go_and_their_types_stay() {
    let before = json!({
        "text": "Your code is 4711", "Body": "hi", "subject": "Your receipt", "custom_code": "25565",
        "code": 25565, "client_state": "aGk=", "digits": "1234", "password": true, "extra": {"api_token": "t"},
        "payment_card_number": "4111", "payment_card_type": "visa", "security_code": "123",
        "bank_account_number": "99", "payment_token": "tok", "iban": null, "subject_2": 7, "caption": "",
        "transcription_data": {"transcript": "hello", "confidence": 0.97, "is_final": true, "id": "t1"},
        "custom_headers": [{"name": "X-Key", "value": "s3cret"}],
        "message_history": [{"role": "user", "content": "my name is"}],
        "results": [{"insight_id": "i1", "result": "angry about the bill"}],
        "OTP": "123456", "oneTimePassword": "abc", "TranscriptionText": "said", "StableSpeechResult": "yes",
        "SmsBody": "hi", "email_subject": "s", "api_key": "k", "comment": {"body": "b", "user_type": "admin"},
        "card": {"ids": [{"number": "4111"}], "id": "c1"},
    });
    let after = json!({
        "text": MASKED, "Body": MASKED, "subject": MASKED, "custom_code": MASKED,
        "code": 0, "client_state": MASKED, "digits": MASKED, "password": true, "extra": {"api_token": MASKED},
        "payment_card_number": MASKED, "payment_card_type": MASKED, "security_code": MASKED,
        "bank_account_number": MASKED, "payment_token": MASKED, "iban": null, "subject_2": 7, "caption": "",
        "transcription_data": {"transcript": MASKED, "confidence": 0, "is_final": true, "id": "t1"},
        "custom_headers": [{"name": "X-Key", "value": MASKED}],
        "message_history": [{"role": MASKED, "content": MASKED}],
        "results": [{"insight_id": "i1", "result": MASKED}],
        "OTP": MASKED, "oneTimePassword": MASKED, "TranscriptionText": MASKED, "StableSpeechResult": MASKED,
        "SmsBody": MASKED, "email_subject": MASKED, "api_key": MASKED, "comment": {"body": MASKED, "user_type": "admin"},
        "card": {"ids": [{"number": MASKED}], "id": "c1"},
    });
    assert_eq!(masked(before), after);
}

#[test]
fn what_rules_and_people_need_stays() {
    let value: Value = serde_json::from_str(
        r#"{"id": "x", "call_leg_id": "leg", "CallSid": "v3:a", "sim_card_id": "s", "sim_card_status": "active",
        "recording_transcription_id": "r", "transcription_status": "done", "token_id": "t", "card_count": 2,
        "from": {"phone_number": "+15550100001", "agent_name": "Acme"}, "to": [{"phone_number": "+15550100002",
        "status": "delivered"}], "cc": "a@example.com", "total_cost": 0.01060, "cost": {"amount": "0.0051",
        "currency": "USD"}, "status": {"value": "exception", "details": [{"code": "LOA_ILLEGIBLE"}]},
        "errors": [{"code": "40333", "title": "limit", "detail": "spend limit", "message": "m"}],
        "error_evidence": {"code": "30001", "message": "rejected"}, "country_code": "US", "smtp_code": 550,
        "hangup_cause": "user_busy", "pay_error_code": "declined", "pinned": true,
        "parts": 1, "sim_card": {"iccid": "89"}}"#,
    )
    .expect("json");
    assert_eq!(masked_of("message.finalized", value.clone()), value);
}

#[test]
fn urls_keep_scheme_and_host() {
    for (key, url, expected) in [
        (
            "media_url",
            "https://s3.example.com/a/b.pdf?X-Amz-Signature=1",
            "https://s3.example.com/[masked]",
        ),
        ("webhook_url", "https://hooks.example.com/tok3n", "https://hooks.example.com/[masked]"),
        ("webhook_url", "https://u:p@hooks.example.com:8443", "https://hooks.example.com:8443"),
        ("webhook_url", "https://hooks.example.com/", "https://hooks.example.com/"),
        ("stream_url", "wss://media.example.com", "wss://media.example.com"),
        ("RecordingUrl", "HTTPS://h.example.com#t", "HTTPS://h.example.com/[masked]"),
        ("url", "data:image/png;base64,AAAA", MASKED),
        ("webhook_failover_url", "", ""),
        (
            "detail",
            "see https://h.example.com/docs/40333 for help",
            "see https://h.example.com/docs/40333 for help",
        ),
        (
            "detail",
            "got <https://h.example.com/a?k=s>, gave up",
            "got <https://h.example.com/[masked]>, gave up",
        ),
        ("detail", "cause:https://me:pw@h.example.com/a", "cause:https://h.example.com/[masked]"),
        ("detail", "a@b://?", MASKED),
    ] {
        // A diagnosis is kept in kinds whose errors are Telnyx's or a carrier's.
        let after = masked_of("fax.failed", json!({ key: url }));
        assert_eq!(after, json!({ key: expected }), "{key}");
    }
    assert_eq!(
        masked(
            json!({"recording_urls": {"wav": "https://h.example.com/r?s=1"}, "urls": ["https://h.example.com/x"]})
        ),
        json!({"recording_urls": {"wav": "https://h.example.com/[masked]"}, "urls": ["https://h.example.com/[masked]"]}),
    );
}

/// A sentence as nobody's status, id or amount reads.
const PLANTED: &str = "Mrs Meier of 7 Mill Lane asked twice for her money";

#[test]
fn a_text_at_an_unknown_key_of_any_kind_is_masked_and_so_is_one_in_a_wrong_form_at_a_known_one() {
    let payload = json!({
        "remark": PLANTED, "blurb": ["word", PLANTED], "status": PLANTED, "foo_id": "a b", "call_leg_id": "c",
        "started_at": PLANTED, "amount": PLANTED, "total_cost": PLANTED, "from": PLANTED, "to": [{"phone_number": PLANTED}],
        "errors": [{"title": PLANTED, "detail": PLANTED, "code": PLANTED}], "error": PLANTED, "result": "angry",
        "deep": {"deeper": [{"deepest": "word", "reason": PLANTED}]}, "cost": PLANTED, "media_url": PLANTED,
        "name": "Meier", "conversation_insights": [{"conversation_insights": [{"result": "angry", "insight_id": "i1"}]}],
        "id": "i-1", "state": "done", "balance": "9.50", "count": 3, "is_final": true, "currency": "USD",
        "created_at": "2026-08-20T14:05:09Z", "direction": "inbound", "flag": "false", "none": null, "empty": "",
    });
    let after = json!({
        "remark": MASKED, "blurb": [MASKED, MASKED], "status": MASKED, "foo_id": MASKED, "call_leg_id": "c",
        "started_at": MASKED, "amount": MASKED, "total_cost": MASKED, "from": MASKED, "to": [{"phone_number": MASKED}],
        "errors": [{"title": MASKED, "detail": MASKED, "code": MASKED}], "error": MASKED, "result": MASKED,
        "deep": {"deeper": [{"deepest": MASKED, "reason": MASKED}]}, "cost": MASKED, "media_url": MASKED,
        "name": MASKED, "conversation_insights": [{"conversation_insights": [{"result": MASKED, "insight_id": "i1"}]}],
        "id": "i-1", "state": "done", "balance": "9.50", "count": 3, "is_final": true, "currency": "USD",
        "created_at": "2026-08-20T14:05:09Z", "direction": "inbound", "flag": "false", "none": null, "empty": "",
    });
    for kind in ["unnamed", "calls.summarised", "account.note", "assistant.initialization"] {
        assert_eq!(masked_of(kind, payload.clone()), after, "{kind}");
    }
    let analyzed = masked_of("call.analyzed", payload);
    assert_eq!(analyzed["conversation_insights"], after["conversation_insights"]);
    assert_eq!(analyzed["result"], MASKED);
}
