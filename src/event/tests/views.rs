//! What is kept, what is shown, and the samples.

use super::*;

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
        "notification",
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
        "late parcel",
        "webhooks/telnyx",
    ];
    for (name, content_type, body) in samples() {
        let kept = read_as(content_type, body, PayloadPolicy::Redacted);
        let payload = kept.payload.to_string();
        let shown = kept.snapshot().to_string();
        let template = if name.starts_with("whatsapp") { "notification" } else { "" };
        for secret in secrets.iter().filter(|secret| **secret != template) {
            assert!(!payload.contains(secret), "{name} keeps {secret}: {payload}");
            assert!(!shown.contains(secret), "{name} shows {secret}");
        }
    }
}

/// Puts the text in place of every text of a value, save for the keys that are told.
fn plant(value: &mut Value, key: &str, text: &str, spared: &[&str]) {
    match value {
        Value::Object(fields) => {
            fields.iter_mut().for_each(|(key, it)| plant(it, key, text, spared));
        }
        Value::Array(items) => items.iter_mut().for_each(|it| plant(it, key, text, spared)),
        // What stands under the name of an id is one.
        Value::String(old) if !spared.contains(&key) && !is_id(key) => text.clone_into(old),
        _ => {}
    }
}

fn is_id(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["id", "ids", "sid", "support_key", "customer_reference", "spid"]
        .iter()
        .any(|end| key.ends_with(end))
}

/// Wherever a sentence stands in a payload of a published shape, it is not kept: save where a carrier or Telnyx says what
/// went wrong, and in the name of a carrier or an agent.
#[test]
fn no_sentence_is_kept_wherever_it_stands() {
    let sentence = "Mrs Meier of 7 Mill Lane asked twice for her money";
    let diagnoses = [
        "carrier",
        "carrier_name",
        "agent_name",
        "brandName",
        "line_type",
        "title",
        "detail",
        "message",
        "description",
        "rejection_reason",
        "smtp_response",
    ];
    let mut leaves = 0;
    for (name, event) in every_payload() {
        let mut payload = event.payload;
        plant(&mut payload, "", sentence, &diagnoses);
        leaves += payload.to_string().matches(sentence).count();
        mask::mask(&event.kind, &mut payload);
        assert!(!payload.to_string().contains("Meier"), "{name}: {payload}");
    }
    assert!(leaves > 250, "{leaves} places");
}

#[test]
fn what_is_harmless_in_published_payloads_is_kept() {
    let kept: BTreeSet<String> = every_payload()
        .into_iter()
        .flat_map(|(_, event)| {
            let mut payload = event.payload;
            mask::mask(&event.kind, &mut payload);
            let mut masked = BTreeSet::new();
            keys_of_masked(&payload, "", &mut masked);
            masked.into_iter().map(move |key| format!("{}: {key}", event.kind))
        })
        .collect();
    insta::assert_snapshot!(Vec::from_iter(kept).join("\n"), @"
    call.analyzed: client_state
    call.analyzed: result
    call.answered: client_state
    call.cost: client_state
    call.dtmf.received: client_state
    call.dtmf.received: digit
    call.hangup: client_state
    call.initiated: client_state
    call.payment.completed: client_state
    call.payment.completed: expiration_date
    call.payment.completed: payment_card_number
    call.payment.completed: payment_card_postal_code
    call.payment.completed: payment_card_type
    call.payment.completed: payment_confirmation_code
    call.payment.completed: security_code
    call.recording.saved: client_state
    conversation.insights.completed: insight_group_name
    conversation.insights.completed: insight_name
    conversation.insights.completed: mood
    conversation.insights.completed: result
    email.bounced: name
    email.bounced: subject
    fax.failed: client_state
    message.echo: text
    message.finalized: text
    message.received: body
    message.received: text
    message.sent: text
    portout.status_changed: subscriber_name
    verify.delivered: custom_code
    ");
}

fn keys_of_masked(value: &Value, key: &str, keys: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, it)| keys_of_masked(it, key, keys)),
        Value::Array(items) => items.iter().for_each(|it| keys_of_masked(it, key, keys)),
        Value::String(text) if text == MASKED => drop(keys.insert(key.to_owned())),
        _ => {}
    }
}

/// Every payload in the tree: samples and fixtures.
fn every_payload() -> Vec<(String, Event)> {
    let directory = format!("{}/tests/fixtures/telnyx", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(&directory)
        .expect("fixtures")
        .map(|entry| entry.expect("an entry").path());
    let json = files.filter(|path| path.extension().is_some_and(|end| end == "json"));
    let fixtures = json.map(|path| {
        let name = path.file_name().expect("a name").to_str().expect("text").to_owned();
        (name.clone(), fixture(&name))
    });
    let samples = samples().map(|(name, ..)| (name.to_owned(), sample_named(name)));
    samples.chain(fixtures).collect()
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
