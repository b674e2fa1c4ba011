mod views;
mod any_body;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const RECEIVED_AT: Timestamp = Timestamp::constant(1_787_000_000, 0);

fn read_as(content_type: &str, body: &[u8], policy: PayloadPolicy) -> Event {
    parse(&Incoming {
        account: "default",
        default_currency: Some("USD"),
        content_type: Some(content_type),
        body,
        received_at: RECEIVED_AT,
        policy,
    })
}

fn read(body: impl AsRef<[u8]>) -> Event {
    read_as("application/json", body.as_ref(), PayloadPolicy::Full)
}

fn sample_named(name: &str) -> Event {
    let (_, content_type, body) = samples()
        .find(|(sample, ..)| *sample == name)
        .unwrap_or_else(|| panic!("no sample {name}"));
    read_as(content_type, body, PayloadPolicy::Full)
}

fn fixture(name: &str) -> Event {
    let path = format!("{}/tests/fixtures/telnyx/{name}", env!("CARGO_MANIFEST_DIR"));
    read(std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}")))
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("time")
}

/// One row for each shape of facts §B: sample, kind, type, id (empty: content hash), time (empty: none), attempt (0:
/// none), product.
#[rustfmt::skip]
const SHAPES: &[(&str, &str, &str, &str, &str, u32, &str)] = &[
    ("call.cost.json", "call.cost", "call.cost", "7b0e1105-5a1d-4c3e-9f00-000000000005", "2026-08-20T14:05:41.87Z", 1, "voice"),
    ("fax.delivered.json", "fax.delivered", "fax.delivered", "7b0e110f-5a1d-4c3e-9f00-00000000000f", "2026-08-20T16:10:00.5001Z", 0, "fax"),
    ("whatsapp.template.rejected.json", "whatsapp.template.rejected", "whatsapp.template.rejected", "", "", 0, "messaging"),
    ("porting_order.deleted.json", "porting_order.deleted", "porting_order.deleted", "7b0e1112-5a1d-4c3e-9f00-000000000012", "2026-08-20T11:00:00Z", 0, "numbers"),
    ("call.hangup-log-view.json", "call.hangup", "call.hangup", "7b0e1103-5a1d-4c3e-9f00-000000000003", "2026-08-20T14:05:09.301Z", 0, "voice"),
    ("call_answered-v1.json", "call.answered", "call_answered", "7b0e1106-5a1d-4c3e-9f00-000000000006", "2026-08-20T14:02:12.4Z", 0, "voice"),
    ("message.received-v1.json", "message.received", "", "", "", 0, "messaging"),
    ("campaign.status.json", "campaign.status", "", "", "", 0, "messaging"),
    ("link.clicked.json", "link.clicked", "", "", "2026-08-20T15:09:31.7Z", 0, "messaging"),
    ("verification.complete.json", "verification.complete", "verification.complete", "", "", 0, "verify"),
    ("texml.status.form", "texml.status", "", "v3:tollbell-sample-texml-0001:completed:4:call-progress-events", "2026-08-20T14:05:09Z", 0, "voice"),
    ("session.status_changed.json", "session.status_changed", "session.status_changed", "whdel_sample0001", "2026-08-20T09:00:02.4Z", 0, "meeting"),
    ("conversation.insights.completed.json", "conversation.insights.completed", "conversation.insights.completed", "", "", 0, "ai"),
    ("assistant.initialization.json", "assistant.initialization", "assistant.initialization", "7b0e1115-5a1d-4c3e-9f00-000000000015", "2026-08-20T13:00:00Z", 0, "ai"),
    ("call.hangup-query.form", "call.hangup", "call.hangup", "7b0e1104-5a1d-4c3e-9f00-000000000004", "2026-08-20T14:05:09.25Z", 0, "voice"),
    ("account.low_available_credit.json", "account.low_available_credit", "account.low_available_credit", "7b0e1117-5a1d-4c3e-9f00-000000000017", "2026-08-20T19:01:00Z", 1, "account"),
];

#[test]
fn every_published_shape_becomes_an_event() {
    for (name, kind, type_as_sent, id, at, attempt, product_name) in SHAPES {
        let event = sample_named(name);
        assert_eq!(event.kind, *kind, "{name}");
        assert_eq!(event.type_as_sent, *type_as_sent, "{name}");
        assert_eq!(event.content_hashed, id.is_empty(), "{name}");
        if id.is_empty() {
            assert_eq!(event.id.len(), "sha256:".len() + 64, "{name}");
        } else {
            assert_eq!(event.id, *id, "{name}");
        }
        assert_eq!(event.occurred_at, (!at.is_empty()).then(|| time(at)), "{name}");
        assert_eq!(event.attempt, (*attempt > 0).then_some(*attempt), "{name}");
        assert_eq!(product(&event.kind), *product_name, "{name}");
        assert_eq!(event.received_at, RECEIVED_AT, "{name}");
        assert_eq!(event.source, Source::Webhook, "{name}");
    }
}

#[test]
fn the_payload_is_the_events_own_data_only() {
    assert_eq!(sample_named("call.cost.json").payload["total_cost"], "0.0421");
    assert_eq!(sample_named("session.status_changed.json").payload["status"], "failed");
    assert_eq!(sample_named("link.clicked.json").payload["to"], "15550100002");
    assert_eq!(sample_named("campaign.status.json").payload["status"], "DORMANT");
    assert_eq!(sample_named("call.hangup-query.form").payload["hangup_cause"], "normal_clearing");
    let texml = sample_named("texml.status.form").payload;
    assert_eq!(texml["CallDuration"], "177");
    assert_eq!(texml["CallQualityStats"]["packet_loss"].to_string(), "0.25");
    let insights = sample_named("conversation.insights.completed.json").payload;
    let keys: Vec<_> = insights.as_object().expect("object").keys().collect();
    assert_eq!(keys, ["conversation_id", "insight_group_id", "insight_group_name", "insights"]);
    assert_eq!(read("[1, 2]").payload, json!([1, 2]));
    assert_eq!(read("\"text\"").payload, json!("text"));
    assert_eq!(
        read("\u{feff}{\"event_type\": \"fax.sent\", \"payload\": null}").payload,
        Value::Null
    );
}

#[test]
fn odd_bodies_are_read_for_what_they_mean() {
    let zero = fixture("call.cost-zero.json");
    assert_eq!((zero.cost, zero.currency.as_deref()), (Some(Decimal::new(0, 4)), Some("USD")));
    let error = fixture("call.cost-error.json");
    assert_eq!((error.cost, error.attempt), (None, Some(2)));
    let legacy = fixture("call.cost-legacy-numeric.json");
    assert_eq!((legacy.cost, legacy.attempt), (Some(Decimal::new(305, 5)), Some(1)));
    assert_eq!(legacy.payload["total_cost"].to_string(), "0.00305");
    assert_eq!(fixture("message.finalized-rcs-null-cost.json").cost, None);
    assert_eq!(fixture("message.echo.json").cost, None);
    let minimal = fixture("hosted_numbers.updated-minimal.json");
    assert_eq!(minimal.kind, "messaging_hosted_numbers_orders.updated");
    assert!(minimal.content_hashed);
    let recording = fixture("recording_saved-v1-log-view.json");
    assert_eq!(recording.kind, "call.recording.saved");
    assert_eq!(recording.type_as_sent, "recording_saved");
    assert_eq!(recording.id, "0dd00000-0000-4000-8000-0000000000e9");
    assert_eq!(recording.occurred_at, Some(time("2026-08-20T11:36:13.612978Z")));
}

#[test]
fn what_is_neither_json_nor_a_form_is_kept_as_unparsed() {
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let too_deep = format!("{}{}", "[".repeat(101), "]".repeat(101));
    let reserved = r#"{"event_type": "x", "a": 1, "$serde_json::private::RawValue": "[1"}"#;
    let cut = r#"{"data":{"payload":{"text":"a secret=1&b=2"#;
    for body in ["", "hello", "\u{0}", "a=b\nc=d", "{\"a\":=1}", cut, &deep, &too_deep, reserved] {
        for content_type in ["application/json", "application/x-www-form-urlencoded; charset=utf-8"]
        {
            let event = read_as(content_type, body.as_bytes(), PayloadPolicy::Redacted);
            if body == "hello" && content_type.contains("form") {
                assert_eq!(event.payload, json!({"hello": ""}));
                continue;
            }
            assert_eq!(event.kind, "unparsed", "{body} as {content_type}");
            assert!(event.content_hashed);
            assert_eq!(event.payload["size_bytes"], body.len());
            assert_eq!(event.payload["sha256"].as_str().map(str::len), Some(64));
            assert_eq!(event.payload.get("body_base64"), None);
        }
    }
    let full = read([0xff, 0xfe]);
    assert_eq!(full.payload["body_base64"], "//4=");
    assert_eq!(full.id, read_as("", &[0xff, 0xfe], PayloadPolicy::None).id);
    assert_eq!(read("[".repeat(100) + &"]".repeat(100)).kind, "unnamed");
}

#[test]
fn identity_is_the_senders_or_the_contents() {
    let wrap =
        |id: &str| format!(r#"{{"data":{{"event_type":"fax.sent","id":{id},"payload":{{}}}}}}"#);
    assert_eq!(read(wrap(r#""abc""#)).id, "abc");
    assert_eq!(read(wrap("7")).id, "7");
    for none in ["null", "{}", r#""""#, r#"" ""#] {
        assert!(read(wrap(none)).content_hashed, "{none}");
    }
    for odd in [&format!("\"{}\"", "x".repeat(256)), r#""a\u0000b""#, r#""a\nb""#] {
        let event = read(wrap(odd));
        assert!(!event.content_hashed && event.id.starts_with("sha256:"), "{odd}");
        assert_eq!(event.id, read(wrap(odd)).id);
    }
    assert_ne!(read(wrap(r#""a\u0000b""#)).id, read(wrap(r#""a\nb""#)).id);
    // A UUID is the same in letters of any size; nothing else is.
    let capitals = r#""C9C0797E-901D-4349-A33C-C2C8F31A92C2""#;
    assert_eq!(read(wrap(capitals)).id, "c9c0797e-901d-4349-a33c-c2c8f31a92c2");
    for other in ["C9C0797E", "G9C0797E-901D-4349-A33C-C2C8F31A92C2"] {
        assert_eq!(read(wrap(&format!("\"{other}\""))).id, other);
    }
}

#[test]
fn a_content_hash_sees_the_content_and_nothing_else() {
    let id = |body: &str| {
        let event = read(body);
        assert!(event.content_hashed, "{body}");
        event.id
    };
    let first =
        id(r#"{"data":{"event_type":"a.b","payload":{"x":1,"y":2.50}},"meta":{"attempt":1}}"#);
    assert_eq!(
        first,
        id(r#"{"meta":{"attempt":2}, "data":{"payload":{"y":2.50,"x":1},"event_type":"a.b"}}"#)
    );
    assert_ne!(first, id(r#"{"data":{"event_type":"a.b","payload":{"x":1,"y":2.5}}}"#));
    assert_ne!(first, id(r#"{"data":{"event_type":"a.c","payload":{"x":1,"y":2.50}}}"#));
    let at = |time: &str| {
        id(&format!(r#"{{"event_type":"a.b","occurred_at":"{time}","payload":{{}}}}"#))
    };
    assert_ne!(at("2026-08-20T00:00:00Z"), at("2026-08-20T00:00:01Z"));
    // The id in a nameless object may be that of the thing that changed.
    assert_ne!(id(r#"{"id":"order","status":"new"}"#), id(r#"{"id":"order","status":"done"}"#));
    let expected = identity::sha256_hex(br#"{"kind":"a.b","payload":{"x":1,"y":2.50}}"#);
    assert_eq!(first, format!("sha256:{expected}"));
}

#[test]
fn texml_callbacks_are_told_apart() {
    let form = |body: &str| {
        read_as("application/x-www-form-urlencoded", body.as_bytes(), PayloadPolicy::Full)
    };
    assert_eq!(form("CallSid=c&CallStatus=ringing&SequenceNumber=1").id, "c:ringing:1");
    assert!(form("CallSid=c&CallStatus=ringing").content_hashed);
    for (body, kind) in [
        (
            "CallSid=c&ConferenceSid=f&StatusCallbackEvent=conference-start&SequenceNumber=0",
            "texml.conference",
        ),
        ("CallSid=c&RecordingSid=r&RecordingStatus=completed", "texml.recording"),
        ("CallSid=c&TranscriptionSid=t&TranscriptionText=hi", "texml.transcription"),
        ("MessageSid=m&MessageStatus=sent", "texml.message"),
        ("CallSid=c&AnsweredBy=human", "texml.status"),
        ("foo=bar", "unnamed"),
    ] {
        assert_eq!(form(body).kind, kind, "{body}");
        // The header is not trusted.
        assert_eq!(read(body).kind, kind, "{body}");
    }
    let odd = form(
        "CallSid=c&CallQualityStats=%5B1%5D&Timestamp=Thu%2C+20+Aug+2026+14%3A05%3A09+%2B0000",
    );
    assert_eq!(odd.payload["CallQualityStats"], "[1]");
    assert_eq!(odd.occurred_at, Some(time("2026-08-20T14:05:09Z")));
}

#[test]
fn a_v1_text_message_has_its_time_too() {
    let body = |time: &str| {
        format!(
            r#"{{"sms_id":"s-1","direction":"inbound","from":"+15550100001","to":"+15550100002","body":"hi"{time}}}"#
        )
    };
    for (field, expected) in [
        ("", None),
        (r#","created":1787000000"#, Some("2026-08-17T20:53:20Z")),
        (r#","created":"2026-08-17 20:53:20""#, Some("2026-08-17T20:53:20Z")),
        (
            r#","date_created":"2026-08-17T20:53:20.5Z","created":"soon""#,
            Some("2026-08-17T20:53:20.5Z"),
        ),
    ] {
        let event = read(body(field));
        assert_eq!(event.kind, "message.received");
        assert_eq!(event.occurred_at, expected.map(time), "{field}");
    }
    let fresh = freshen(body(r#","created":1"#).as_bytes(), "application/json", "id", RECEIVED_AT);
    assert_eq!(read(fresh).occurred_at, Some(RECEIVED_AT));
}

#[test]
fn attempts_come_from_the_envelope_only() {
    let with = |meta: &str| {
        read(format!(
            r#"{{"data":{{"event_type":"call.payment.progress","id":"1","payload":{{"attempt":7}}}},"meta":{meta}}}"#
        ))
        .attempt
    };
    assert_eq!(with(r#"{"attempt":3}"#), Some(3));
    assert_eq!(with(r#"{"attempt":"3"}"#), Some(3));
    for none in [
        "null",
        "{}",
        r#"{"attempt":0}"#,
        r#"{"attempt":-1}"#,
        r#"{"attempt":1e9}"#,
        r#"{"attempt":5000000000}"#,
    ] {
        assert_eq!(with(none), None, "{none}");
    }
}
