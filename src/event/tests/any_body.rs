//! Bodies of any kind: what must hold for all of them.

use super::*;

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
    mask::mask(&kept.kind, &mut twice);
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
