//! Entries of every shape, whole and broken.

use super::*;

const URL: &str = "https://hooks.example.com/webhooks/telnyx";

fn ours() -> Ours {
    Ours::new("https://hooks.example.com", "default").expect("an address")
}

fn context() -> Context<'static> {
    Context {
        account: "default",
        currency: Some("EUR"),
        policy: PayloadPolicy::Redacted,
        now: time("2026-03-10T12:00:00Z"),
        since: time("2026-03-09T12:00:00Z"),
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("time")
}

fn entry(webhook: &Value, status: &str) -> Value {
    json!({
        "id": "5b1c7b60-0000-4000-8000-00000000d001",
        "record_type": "webhook_delivery",
        "status": status,
        "started_at": "2026-03-10T09:00:00.500Z",
        "finished_at": "2026-03-10T09:02:00Z",
        "webhook": webhook,
        "attempts": [{
            "status": status,
            "started_at": "2026-03-10T09:00:00.500Z",
            "http": {
                "request": {"url": URL, "headers": [["Accept", "*/*"]]},
                "response": {"status": 503, "headers": [], "body": "planted-answer"},
            },
            "errors": [75500],
        }],
    })
}

fn webhook() -> Value {
    json!({
        "id": "9AF0C0DE-0000-4000-8000-0000000000AA",
        "record_type": "event",
        "event_type": "messaging-profile.spend-limit-reached",
        "occurred_at": "2026-03-10T08:59:59.000Z",
        "payload": {"profile_id": "p-1", "configured_limit": "10.00", "current_cost": "10.020"},
    })
}

fn read_one(entry: &Value) -> Option<Missed> {
    read(entry, &ours(), &context())
}

#[test]
fn what_is_beneath_the_public_address_is_ours() {
    let takes = |public: &str, address: &str| Ours::new(public, "default").unwrap().takes(address);
    let plain = "https://hooks.example.com";
    for address in [
        URL,
        "https://hooks.example.com/webhooks/telnyx/",
        "https://hooks.example.com/webhooks/telnyx/default?token=a/b",
        "https://hooks.example.com/webhooks/telnyx/default/",
        "http://HOOKS.Example.com/webhooks/telnyx",
        "http://hooks.example.com:80/webhooks/telnyx#x",
        "https://hooks.example.com.:443/webhooks/telnyx",
    ] {
        assert!(takes(plain, address), "{address}");
    }
    for address in [
        "",
        "nonsense",
        "mailto:hooks@example.com",
        "https://hooks.example.com",
        "https://hooks.example.com/",
        "https://hooks.example.com/webhooks/telnyx2",
        "https://hooks.example.com/other/webhooks/telnyx",
        "https://hooks.example.com/webhooks/telnyx/other",
        "https://hooks.example.com:8443/webhooks/telnyx",
        "https://hooks.example.org/webhooks/telnyx",
        "https://evil.example/https://hooks.example.com/webhooks/telnyx",
    ] {
        assert!(!takes(plain, address), "{address}");
    }
    let based = "https://hooks.example.com:8443/base";
    assert!(takes(based, "https://hooks.example.com:8443/base"));
    assert!(takes(based, "https://hooks.example.com:8443/base/webhooks/telnyx/default"));
    assert!(takes(based, "https://hooks.example.com:8443/base/elsewhere"));
    assert!(!takes(based, "https://hooks.example.com:8443/base/webhooks/telnyx/other"));
    assert!(!takes(based, "https://hooks.example.com/base/webhooks/telnyx"));
    assert!(!takes(based, "https://hooks.example.com:8443/webhooks/telnyx"));
    assert_eq!(Ours::new("no address", "default"), None);
}

#[test]
fn a_whole_webhook_is_the_event_that_it_would_have_been() {
    for status in ["failed", "delivered", "dlivered", ""] {
        let Missed { event, content_id, .. } = read_one(&entry(&webhook(), status)).expect(status);
        assert_eq!(event.id, "9af0c0de-0000-4000-8000-0000000000aa");
        assert_eq!(event.kind, "messaging-profile.spend-limit-reached");
        assert_eq!((event.source, event.attempt), (Source::Backfill, None));
        assert_eq!(event.occurred_at, Some(time("2026-03-10T08:59:59Z")));
        assert_eq!(event.received_at, context().now);
        assert_eq!(event.payload["current_cost"], "10.020");
        assert!(!event.content_hashed && content_id.is_none());
    }
}

#[test]
fn the_log_s_flat_shape_and_text_are_opened_and_private_parts_masked() {
    let flat = json!({
        "webhook_id": "w-1", "event_type": "recording_saved", "created_at": "2026-03-10T08:00:00Z",
        "payload": {"call_leg_id": "leg", "text": "planted-text"},
    });
    let event = read_one(&entry(&flat, "failed")).unwrap().event;
    assert_eq!((event.id.as_str(), event.kind.as_str()), ("w-1", "call.recording.saved"));
    assert_eq!(event.occurred_at, Some(time("2026-03-10T08:00:00Z")));
    assert!(!event.payload.to_string().contains("planted"), "{}", event.payload);
    let as_text = read_one(&entry(&Value::from(webhook().to_string()), "failed")).unwrap().event;
    assert_eq!(as_text, read_one(&entry(&webhook(), "failed")).unwrap().event);
}

#[test]
fn amounts_are_exact_and_take_the_account_s_currency() {
    let cost: Value = serde_json::from_str(
        r#"{"id": "c-1", "event_type": "call.cost", "payload": {"call_leg_id": "l", "total_cost": 0.10600}}"#,
    )
    .unwrap();
    let event = read_one(&entry(&cost, "failed")).unwrap().event;
    assert_eq!(event.cost.map(|cost| cost.to_string()).as_deref(), Some("0.10600"));
    assert_eq!(event.currency.as_deref(), Some("EUR"));
    // It tells no time of its own: that of the delivery is better than now.
    assert_eq!(event.occurred_at, Some(time("2026-03-10T09:00:00.5Z")));
}

#[test]
fn without_identity_the_delivery_s_is_taken_and_what_was_delivered_is_left_out() {
    let nameless = json!({"campaignId": "C1", "status": "ACCEPTED"});
    let Missed { event, content_id, .. } = read_one(&entry(&nameless, "failed")).unwrap();
    assert_eq!(event.kind, "campaign.status");
    assert_eq!(event.id, "delivery:5b1c7b60-0000-4000-8000-00000000d001");
    assert!(!event.content_hashed, "it is the same event for as long as events are kept");
    assert!(content_id.unwrap().starts_with("sha256:"));
    assert_eq!(read_one(&entry(&nameless, "delivered")), None);
    let mut answered = entry(&nameless, "failed");
    answered["attempts"][0]["http"]["response"]["status"] = json!(200);
    assert_eq!(read_one(&answered), None);
    let mut silent = entry(&nameless, "delivered");
    silent["attempts"][0].as_object_mut().unwrap().remove("status");
    assert_eq!(read_one(&silent), None, "the entry's word counts where the attempt has none");
    // Nor has the delivery one.
    let mut unknown = entry(&nameless, "failed");
    unknown["id"] = json!(null);
    let first = read_one(&unknown).unwrap().event.id;
    assert!(first.starts_with("delivery:2026-03-10T09:00:00.5Z:sha256:"), "{first}");
    unknown["started_at"] = json!("2026-03-10T09:00:01Z");
    assert_ne!(read_one(&unknown).unwrap().event.id, first);
}

#[test]
fn what_was_cut_is_unparsed() {
    let whole = webhook().to_string();
    let half: String = whole.chars().take(60).collect();
    for webhook in [json!(half), json!(null), json!([1]), json!("a=b"), json!("\"text\""), json!(7)]
    {
        let event = read_one(&entry(&webhook, "failed")).expect("kept").event;
        assert_eq!((event.kind.as_str(), event.type_as_sent.as_str()), ("unparsed", ""));
        assert_eq!(event.id, "delivery:5b1c7b60-0000-4000-8000-00000000d001", "{webhook}");
        assert_eq!(event.source, Source::Backfill);
        assert_eq!(event.occurred_at, Some(time("2026-03-10T09:00:00.5Z")));
        assert_eq!(event.payload["size_bytes"], json!(webhook.as_str().map_or(0, str::len)));
        assert_eq!(read_one(&entry(&webhook, "delivered")), None);
    }
    let mut absent = entry(&json!(null), "failed");
    absent.as_object_mut().unwrap().remove("webhook");
    assert_eq!(read_one(&absent).unwrap().event.kind, "unparsed");
}

#[test]
fn any_attempt_may_be_the_one_to_us() {
    let mut two = entry(&webhook(), "delivered");
    let mut other = two["attempts"][0].clone();
    other["http"]["request"]["url"] = json!("https://fallback.example.org/hooks");
    two["attempts"].as_array_mut().unwrap().insert(0, other.clone());
    two["attempts"][1]["status"] = json!("failed");
    assert!(read_one(&two).is_some());
    // Delivered elsewhere is not delivered here.
    two["webhook"] = json!({"campaignId": "C1", "status": "ACCEPTED"});
    assert!(read_one(&two).is_some());
    two["attempts"] = json!([other]);
    assert_eq!(read_one(&two), None);
}

#[test]
fn what_is_too_old_is_left_out() {
    let mut old = entry(&webhook(), "failed");
    old["started_at"] = json!("2026-03-09T11:59:59Z");
    assert_eq!(read_one(&old), None);
    old["started_at"] = json!("2026-03-09T12:00:00Z");
    assert!(read_one(&old).is_some());
    // Only the attempt tells.
    old["started_at"] = json!(null);
    old["attempts"][0]["started_at"] = json!("2026-03-01T12:00:00Z");
    assert_eq!(read_one(&old), None);
}

#[test]
fn what_is_no_entry_is_left_out_and_oddities_are_taken() {
    for text in [
        "null",
        "1",
        "\"x\"",
        "[]",
        "{}",
        r#"{"attempts": null}"#,
        r#"{"attempts": {}}"#,
        r#"{"attempts": [null, 1, [], {}, {"http": 1}, {"http": {"request": null}}]}"#,
        r#"{"attempts": [{"http": {"request": {"url": 5}}}]}"#,
    ] {
        assert_eq!(read_one(&serde_json::from_str(text).unwrap()), None, "{text}");
    }
    let mut odd = entry(&webhook(), "failed");
    odd["status"] = json!({"strange": true});
    odd["id"] = json!(12);
    odd["started_at"] = json!("yesterday");
    odd["attempts"][0]["errors"] = json!([{"code": "75001", "title": "DNS"}, 7, null]);
    odd["attempts"][0]["status"] = json!(null);
    odd["attempts"][0]["started_at"] = json!(null);
    odd["attempts"][0]["http"]["response"] = json!(null);
    assert!(read_one(&odd).is_some());
}
