//! Slack incoming webhooks: what is posted, that no event can make Slack refuse it, and what each answer means.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tollbell::store::{DeliveryFilter, DeliveryState};

use crate::dispatch::{deliveries, receiver, ring, routing, slack, stop_ringing};
use crate::support::app::{GROUP_INTERVAL, Setup, TestApp};
use crate::support::http::{HttpSink, Reply};
use crate::support::telnyx;
use crate::support::wait::{SOON, eventually_async};

async fn app(sink: &HttpSink) -> TestApp {
    Setup::new(routing(&[receiver("ops", &[&slack(sink, "/slack", "")])]))
        .server("  external_url: https://tollbell.example.com\n")
        .start()
        .await
}

#[tokio::test]
async fn a_message_is_blocks_beside_a_bar_in_the_colour_of_what_happened() {
    let sink = HttpSink::start().await;
    let app = app(&sink).await;
    ring(&app, "e-1", "profile-1").await;
    app.settle().await;
    app.clock.advance(Duration::from_mins(90));
    stop_ringing(&app, "e-2", "profile-1").await;
    app.settle().await;
    app.clock.advance(GROUP_INTERVAL);
    let [firing, resolved] = sink.wait_for("/slack", 2).await.try_into().unwrap();
    assert!(firing.header("content-type").unwrap().starts_with("application/json"));
    let [firing, resolved] = [firing.json(), resolved.json()];
    let summary = "Messaging profile profile-1 spent 10.02 USD of 10.00 USD";
    assert_eq!(
        firing["blocks"],
        json!([{"type": "header", "text": {
            "type": "plain_text", "text": format!("🔴 FIRING: {summary}"), "emoji": false,
        }}])
    );
    assert_eq!(firing["text"], format!("🔴 [FIRING] {summary} · account default"));
    assert_eq!((&firing["unfurl_links"], &firing["unfurl_media"]), (&json!(false), &json!(false)));
    let bar = &firing["attachments"][0];
    assert_eq!((&bar["color"], &bar["fallback"]), (&json!("#c1121f"), &firing["text"]));
    let kinds: Vec<&str> =
        bar["blocks"].as_array().unwrap().iter().map(|b| b["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["section", "section", "actions", "context"]);
    let amounts = bar["blocks"][0]["text"]["text"].as_str().unwrap();
    assert!(amounts.contains("10.02 of 10.00 USD") && amounts.contains("*Since:*"), "{amounts}");
    let fields = bar["blocks"][1]["fields"].to_string();
    assert!(fields.contains("critical") && fields.contains("profile-1"), "{fields}");
    let buttons = bar["blocks"][2]["elements"].to_string();
    for page in ["/alerts/", "/silences/new?matcher="] {
        assert!(buttons.contains(&format!("https://tollbell.example.com{page}")), "{buttons}");
    }

    assert_eq!(resolved["attachments"][0]["color"], "#1a7f37");
    let text = resolved["text"].as_str().unwrap();
    assert!(text.starts_with("🟢 [RESOLVED]"), "{text}");
    assert!(resolved.to_string().contains("1h 30m"), "{resolved:#}");
    app.stop().await;
}

/// Every text object: its kind and its text.
fn texts(json: &Value, found: &mut Vec<(String, String)>) {
    match json {
        Value::Object(fields) => {
            if let (Some(Value::String(kind)), Some(Value::String(text))) =
                (fields.get("type"), fields.get("text"))
            {
                found.push((kind.clone(), text.clone()));
            }
            fields.values().for_each(|value| texts(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        _ => {}
    }
}

fn texts_of(message: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    texts(message, &mut found);
    found.push(("mrkdwn".to_owned(), message["text"].as_str().unwrap().to_owned()));
    found
}

#[tokio::test]
async fn an_event_can_call_nobody_and_forge_no_link() {
    let sink = HttpSink::start().await;
    let app = app(&sink).await;
    ring(
        &app,
        "e-1",
        "<!channel><!here><@U024BE7LH><#C1|x><https://evil.example|ok>@everyone&lt;!channel&gt;",
    )
    .await;
    app.settle().await;
    let message = sink.one("/slack").json();
    let texts = texts_of(&message);
    assert!(texts.iter().any(|(_, text)| text.contains("U024BE7LH")), "{texts:#?}");
    for (kind, text) in &texts {
        assert!(
            !text.contains("<!") && !text.contains("<@") && !text.contains("<#"),
            "{kind} {text}"
        );
        assert!(!text.contains("<https://evil"), "{kind} {text}");
        assert!(!text.contains("@everyone"), "{kind} {text}");
    }
    app.stop().await;
}

/// Limits from docs.slack.dev, in UTF-16 units.
fn check_limits(message: &Value) {
    let units = |text: &Value| text.as_str().unwrap().encode_utf16().count();
    let mut blocks: Vec<Value> = message["blocks"].as_array().unwrap().clone();
    blocks.extend(message["attachments"][0]["blocks"].as_array().unwrap().iter().cloned());
    assert!(blocks.len() <= 50);
    for block in &blocks {
        match block["type"].as_str().unwrap() {
            "header" => assert!(units(&block["text"]["text"]) <= 150),
            "section" => {
                if !block["text"].is_null() {
                    assert!((1..=3000).contains(&units(&block["text"]["text"])));
                }
                let fields = block["fields"].as_array().cloned().unwrap_or_default();
                assert!(fields.len() <= 10);
                assert!(fields.iter().all(|field| (1..=2000).contains(&units(&field["text"]))));
            }
            "actions" => {
                for button in block["elements"].as_array().unwrap() {
                    assert!(units(&button["text"]["text"]) <= 75 && units(&button["url"]) <= 3000);
                }
            }
            "context" => assert!(block["elements"].as_array().unwrap().len() <= 10),
            other => panic!("{other}"),
        }
    }
    let all: usize = texts_of(message).iter().map(|(_, text)| text.encode_utf16().count()).sum();
    assert!(all <= 13_000, "{all}");
    assert!(message.to_string().len() < 64 * 1024);
}

#[tokio::test]
async fn no_input_is_too_large_for_slack() {
    let sink = HttpSink::start().await;
    let rules = r#"
groups:
  - name: g
    rules:
      - alert: Giant
        on: [brand.new]
        by: {a: payload.note, b: payload.note, c: payload.note, d: payload.note, e: payload.note, f: payload.note,
             g: payload.note, h: payload.note, i: payload.note, j: payload.note, k: payload.note, l: payload.note}
        annotations:
          summary: "{{ payload.note }}"
          description: "{{ payload.note }}"
          action: "{{ payload.note }}"
          runbook_url: "https://example.com/{{ payload.note }}"
"#;
    let setup = Setup::new(routing(&[receiver(
        "ops",
        &[&slack(&sink, "/slack", "rate_limit: {burst: 9}")],
    )]));
    // Long texts would be masked.
    let app = setup.rules(rules).store("  payload: full\n").start().await;
    let texts = [
        "x".repeat(60_000),
        "&<>".repeat(20_000),
        "🔥\n".repeat(20_000),
        " \u{202e}\r\n".repeat(9_000),
    ];
    for (n, text) in texts.iter().enumerate() {
        let payload =
            json!({"note": text, "from": text, "to": text, "status": text, "reason": text});
        let body = telnyx::event(&format!("e-{n}"), "brand.new", app.clock.now(), &payload);
        assert_eq!(app.deliver(body).await, 200);
    }
    for request in sink.wait_for("/slack", texts.len()).await {
        check_limits(&request.json());
    }
    app.stop().await;
}

#[tokio::test]
async fn what_slack_refuses_for_its_form_goes_out_as_plain_text() {
    let sink = HttpSink::start().await;
    sink.next("/slack", [Reply::status(400).body("invalid_blocks"), Reply::ok()]);
    let hook = slack(&sink, "/slack", "");
    let app = Setup::new(routing(&[receiver("ops", &[&hook])])).start().await;
    ring(&app, "e-1", "p<1>").await;
    app.settle().await;
    let [formed, plain] = sink.requests("/slack").try_into().unwrap();
    assert!(formed.json()["blocks"].is_array());
    let plain = plain.json();
    assert!(plain.get("blocks").or(plain.get("attachments")).is_none(), "{plain}");
    let text = plain["text"].as_str().unwrap();
    assert!(text.contains("p&lt;1&gt;") && text.contains("10.02"), "{text}");
    let delivered = deliveries(&app, DeliveryState::Delivered).await;
    assert_eq!((delivered.len(), delivered[0].attempts), (1, 1));
    assert_eq!(app.metric("tollbell_template_errors_total{template=\"slack\"}").await, 1.0);
    app.stop().await;
}

#[tokio::test]
async fn every_answer_of_slack_means_one_thing() {
    let sink = HttpSink::start().await;
    let json = |text: &str| Reply::json(&serde_json::from_str(text).unwrap());
    let table = [
        ("ok", Reply::ok(), "delivered"),
        ("slow", Reply::ok().drip(Duration::from_millis(2)), "delivered"),
        ("late", Reply::ok().after(Duration::from_millis(300)), "delivered"),
        ("invalid_payload", Reply::status(400).body("invalid_payload"), "dead clientError"),
        ("channel_not_found", Reply::status(404).body("channel_not_found"), "pending clientError"),
        ("no_service", Reply::status(404).body("no_service"), "pending authError"),
        ("invalid_token", Reply::status(403).body("invalid_token"), "pending authError"),
        ("429", Reply::too_many("60"), "pending rateLimited"),
        ("rollup", Reply::status(500).body("rollup_error"), "pending serverError"),
        ("not_ok", json(r#"{"ok": false, "error": "invalid_blocks"}"#), "dead clientError"),
        ("fatal", json(r#"{"ok": false, "error": "fatal_error"}"#), "pending serverError"),
        ("portal", Reply::status(200).body("<html>Sign in to the guest network"), "pending other"),
        ("redirect", Reply::redirect(&sink.url("/followed")), "pending clientError"),
        ("large", Reply::large(10 * 1024 * 1024), "pending other"),
        ("cut", Reply::ok().close_mid_body(), "pending other"),
        ("stuck", Reply::ok().hang_mid_body(), "pending other"),
        ("closed", Reply::close(), "pending connect"),
        ("garbage", Reply::garbage(), "pending other"),
        ("silent", Reply::hang(), "pending timeout"),
    ];
    let hooks: Vec<String> = table
        .iter()
        .map(|(name, reply, _)| {
            sink.always(&format!("/{name}"), reply.clone());
            let retry = "retry: {initial_backoff: 1h, max_backoff: 1h}";
            let url = sink.url(&format!("/{name}"));
            format!("{{name: \"{name}\", api_url: \"{url}\", timeout: 2s, {retry}}}")
        })
        .collect();
    let hooks = format!("slack_configs: [{}]", hooks.join(", "));
    let app = Setup::new(routing(&[receiver("ops", &[&hooks])])).start().await;
    ring(&app, "e-1", "p").await;
    let found = eventually_async(SOON, async || {
        let filter = DeliveryFilter { limit: 100, ..Default::default() };
        let all = app.app().store.deliveries(filter).await.unwrap();
        let ended = all.iter().all(|d| d.attempts == 1 && d.state != DeliveryState::Sending);
        (all.len() == table.len() && ended).then_some(all)
    })
    .await;
    let found: BTreeMap<&str, String> = found
        .iter()
        .map(|delivery| {
            let name = delivery.integration.rsplit_once('/').unwrap().1;
            (name, format!("{} {}", delivery.state.as_str(), delivery.reason).trim().to_owned())
        })
        .collect();
    let expected: BTreeMap<&str, String> =
        table.iter().map(|(name, _, meaning)| (*name, (*meaning).to_owned())).collect();
    assert_eq!(found, expected);
    sink.expect_none("/followed");
}
