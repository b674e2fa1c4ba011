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

#[test]
fn what_is_kept_depends_on_the_policy_and_nothing_else_does() {
    for (name, content_type, body) in samples() {
        let full = read_as(content_type, body, PayloadPolicy::Full);
        let redacted = read_as(content_type, body, PayloadPolicy::Redacted);
        assert_eq!(redacted, read_as(content_type, body, PayloadPolicy::None), "{name}");
        assert_eq!(
            Event { payload: Value::Null, ..full },
            Event { payload: Value::Null, ..redacted },
            "{name}"
        );
    }
    let secrets = [
        "parcel",
        "neighbour",
        "anyone there",
        "40817",
        "4242",
        "0931",
        "00501",
        "SAMPLE-4711",
        "c2FtcGxl",
        "X-Amz-Signature",
        "c0ffee00.mp3",
        "token=",
        "contracts",
        "Your order 77",
        "annoyed",
        "webhooks/telnyx",
    ];
    for (name, content_type, body) in samples() {
        let kept = read_as(content_type, body, PayloadPolicy::Redacted);
        let payload = kept.payload.to_string();
        let shown = kept.snapshot().to_string();
        let template = if name.starts_with("whatsapp") { "parcel" } else { "" };
        for secret in secrets.iter().filter(|secret| **secret != template) {
            assert!(!payload.contains(secret), "{name} keeps {secret}: {payload}");
            assert!(!shown.contains(secret), "{name} shows {secret}");
        }
    }
}

#[test]
fn snapshots_have_every_key_whatever_the_event() {
    let cost = sample_named("call.cost.json").snapshot();
    assert_eq!(cost["cost"], "0.0421");
    assert_eq!(cost["currency"], "USD");
    assert_eq!(cost["charge"], Value::Null);
    assert_eq!(cost["product"], "voice");
    assert_eq!(cost["occurred_at"], "2026-08-20T14:05:41.87Z");
    assert_eq!(cost["source"], "webhook");
    assert_eq!(cost["fields"]["billed_duration_secs"], 240);
    let message = sample_named("message.finalized.json").snapshot();
    assert_eq!(message["fields"]["from"], "+15550100001");
    assert_eq!(message["fields"]["to"], "+15550100002");
    assert_eq!(message["fields"]["status"], "delivered");
    let texml = sample_named("texml.status.form").snapshot();
    assert_eq!(texml["fields"]["status"], "completed");
    assert_eq!(
        fixture("message.sent-from-as-string.json").snapshot()["fields"]["from"],
        "+15550100001"
    );
    assert_eq!(
        fixture("porting_order.status_changed.json").snapshot()["fields"]["status"],
        "exception"
    );
    let limit = sample_named("messaging-profile.spend-limit-reached.json").snapshot();
    assert_eq!(
        (&limit["fields"]["current_cost"], &limit["currency"]),
        (&json!("50.04"), &json!("USD"))
    );

    let shape = |value: &Value| {
        let keys =
            |value: &Value| value.as_object().expect("object").keys().cloned().collect::<Vec<_>>();
        (keys(value), keys(&value["fields"]))
    };
    let now = RECEIVED_AT;
    let own =
        Event::tollbell("tollbell.dead_letter", "", "1".into(), now, json!({"receiver": "ops"}));
    assert_eq!(own.snapshot()["fields"]["receiver"], "ops");
    assert_eq!((own.source, own.occurred_at), (Source::Tollbell, Some(now)));
    for body in ["null", "[]", "\u{1}", r#"{"event_type":"x.y","payload":"text"}"#] {
        assert_eq!(shape(&read(body).snapshot()), shape(&cost), "{body}");
    }
    let long =
        read(format!(r#"{{"event_type":"x","payload":{{"from":"{}"}}}}"#, "\u{e9}".repeat(9_000)));
    assert_eq!(
        long.snapshot()["fields"]["from"].as_str().map(|text| text.chars().count()),
        Some(256)
    );
}

#[test]
fn samples_are_what_their_names_say() {
    let mut names = BTreeSet::new();
    for (name, content_type, body) in samples() {
        let event = read_as(content_type, body, PayloadPolicy::Full);
        assert_ne!(event.kind, "unparsed", "{name}");
        assert_eq!(super::content_type(body), content_type, "{name}");
        assert!(sample(&event.kind).is_some(), "{name} is not found by its kind {}", event.kind);
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        assert!(sample(name).is_some() && sample(stem).is_some(), "{name}");
        assert!(names.insert(name), "{name} twice");
        let kind = event.kind.split('.').next().unwrap_or_default();
        assert!(name.starts_with(kind), "{name} is a {}", event.kind);
    }
    assert_eq!(sample("call.hangup"), sample("call.hangup.json"));
    assert_eq!(sample("no.such"), None);
}

#[test]
fn a_freshened_sample_is_another_event_at_another_time() {
    let now = time("2027-01-02T03:04:05.678Z");
    for (name, content_type, body) in samples() {
        let before = read_as(content_type, body, PayloadPolicy::Full);
        let fresh = freshen(body, content_type, "fresh-id", now);
        let after = read_as(content_type, &fresh, PayloadPolicy::Full);
        assert_eq!((&after.kind, after.cost), (&before.kind, before.cost), "{name}");
        assert_eq!(after.content_hashed, before.content_hashed, "{name}");
        if after.content_hashed {
            // A v1 message has neither id nor time.
            assert_eq!(after.id != before.id, name != "message.received-v1.json", "{name}");
        } else {
            assert!(after.id.starts_with("fresh-id"), "{name}");
            assert_eq!(after.occurred_at, Some(now), "{name}");
        }
    }
    assert_eq!(freshen(b"\xff", "", "id", now), b"\xff");
    assert_eq!(freshen(b"[1]", "", "id", now), b"[1]");
    let money =
        freshen(br#"{"event_type":"call.cost","payload":{"total_cost":0.00305}}"#, "", "id", now);
    assert!(String::from_utf8_lossy(&money).contains("0.00305"));
}

/// What must hold for an event of any body.
fn assert_sound(body: &[u8], content_type: &str) {
    let full = read_as(content_type, body, PayloadPolicy::Full);
    let kept = read_as(content_type, body, PayloadPolicy::Redacted);
    for event in [&full, &kept] {
        assert!(!event.id.is_empty() && event.id.len() <= identity::ID_BYTES_MAX);
        assert!(!event.id.chars().any(char::is_control));
        assert!(!event.kind.is_empty() && event.kind.len() <= kind::KIND_BYTES_MAX);
        assert!(event.kind.bytes().all(|byte| byte.is_ascii_graphic()));
        let json = serde_json::to_vec(event).expect("an event can be written");
        assert_eq!(&serde_json::from_slice::<Event>(&json).expect("and read again"), event);
        assert!(event.snapshot().is_object());
    }
    assert_eq!(full.id, kept.id);
    let mut twice = kept.payload.clone();
    mask::mask(&mut twice);
    if kept.kind != kind::UNPARSED {
        assert_eq!(twice, kept.payload, "masking again changes nothing");
    }
    assert!(!freshen(body, content_type, "id", RECEIVED_AT).is_empty() || body.is_empty());
}

fn any_json() -> impl Strategy<Value = Value> {
    let keys = prop::sample::select(vec![
        "data",
        "meta",
        "payload",
        "event_type",
        "event",
        "id",
        "webhook_id",
        "occurred_at",
        "created_at",
        "attempt",
        "record_type",
        "text",
        "code",
        "media_url",
        "from",
        "to",
        "cost",
        "amount",
        "currency",
        "total_cost",
        "cost_parts",
        "errors",
        "CallSid",
        "CallStatus",
        "SequenceNumber",
        "CallQualityStats",
        "sms_id",
        "campaignId",
        "status",
        "result",
        "",
        "\u{0}",
        "$serde_json::private::Number",
        "$serde_json::private::RawValue",
    ]);
    let texts = prop_oneof![
        any::<String>(),
        prop::sample::select(vec![
            "call.cost",
            "call_cost",
            "link_clicked",
            "message.sent",
            "USD",
            "0.0051",
            "1e400"
        ])
        .prop_map(str::to_owned),
        "[a-z]{1,5}://[a-z@:]{0,9}[/?#][a-z=&]{0,9}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        texts.prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(keys.clone().prop_map(str::to_owned), inner, 0..7)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_become_an_event(body in prop::collection::vec(any::<u8>(), 0..300), form in any::<bool>()) {
        assert_sound(&body, if form { "application/x-www-form-urlencoded" } else { "application/json" });
    }

    #[test]
    fn any_json_becomes_an_event(value in any_json()) {
        assert_sound(value.to_string().as_bytes(), "application/json");
    }

    #[test]
    fn any_form_becomes_an_event(body in "[A-Za-z_]{1,9}=[%+&=A-Za-z0-9]{0,40}") {
        assert_sound(body.as_bytes(), "application/x-www-form-urlencoded");
    }

    #[test]
    fn damaged_samples_become_events(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let all: Vec<_> = samples().collect();
        let (_, content_type, body) = which.get(&all);
        let mut body = body.to_vec();
        for (at, byte) in damage {
            let at = at.index(body.len());
            body[at] = byte;
        }
        if is_cut {
            body.truncate(cut.index(body.len()));
        }
        assert_sound(&body, content_type);
    }
}
