//! What is printed and kept: one line for every event's fate, and no secret anywhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::app::route;
use crate::support::http::{HttpSink, Reply};
use crate::support::process::{Addresses, Running, Service};
use crate::support::raw::{self, RawClient};
use crate::support::smtp::SmtpSink;
use crate::support::telnyx::{Signer, event, spend_limit};
use crate::support::wait::{SOON, eventually};

/// What is planted in payloads: each of it must be masked before it is kept.
const PAYLOADS: [&str; 9] = [
    "PlantedMessageText",
    "PlantedOneTimeCode",
    "4111111111111111",
    "PlantedCardCvc",
    "PlantedUrlToken",
    "PlantedUrlPath",
    "PlantedClientState",
    "PlantedTranscript",
    "PlantedNeitherJsonNorForm",
];

/// What is planted in the configuration of receivers, and echoed by receivers that fail.
const SECRETS: [&str; 7] = [
    "PlantedSlackToken",
    "PlantedHookToken",
    "PlantedHeaderValue",
    "PlantedHeaderFile",
    "UGxhbnRlZFNpZ25pbmdLZXlQbGFudGVkU2lnbmluZ0tleQ==",
    "PlantedSmtpPassword",
    "PlantedFileToken",
];

/// What strangers send, who know no key.
const STRANGERS: [&str; 3] =
    ["PlantedStrangerBody", "PlantedStrangerQuery", "PlantedStrangerHeader"];

/// Fires on everything; labels and annotations show what they can get hold of.
const RULES: &str = r#"
groups:
  - name: all
    rules:
      - alert: Any
        on: ["*"]
        by: {event: event.id}
        labels: {severity: critical}
        annotations: {summary: "{{ payload }}"}
      - alert: Said
        on: [message.received]
        by: {said: payload.text}
        annotations: {summary: "{{ payload.text }}"}
"#;

/// A running service with its peers, all of which fail and quote what they got.
struct Scene {
    dir: tempfile::TempDir,
    running: Running,
    _http: HttpSink,
    _smtp: SmtpSink,
}

async fn scene(payload: &'static str, format: &str) -> Scene {
    let (dir, http, smtp) =
        (tempfile::tempdir().unwrap(), HttpSink::start().await, SmtpSink::start().await);
    let echo = SECRETS.join(" ");
    http.always("/services/T0/B0/PlantedSlackToken", Reply::status(404).body(echo));
    let quoted = json!({"error": "PlantedHookToken or PlantedHeaderValue is wrong"});
    http.always("/hook", Reply::status(400).body(quoted.to_string()));
    http.always(
        "/file/PlantedFileToken",
        Reply::status(302).header("location", &http.url("/PlantedHookToken")),
    );
    smtp.refuse_auth(Some(535));
    fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    fs::write(dir.path().join("header"), SECRETS[3]).unwrap();
    fs::write(dir.path().join("url"), http.url("/file/PlantedFileToken")).unwrap();
    let (key, base, smarthost) =
        (Signer::new().public_key_base64(), http.url(""), smtp.smarthost());
    let config = move |Addresses { public, private }| {
        format!(
            r#"
server: {{listen: "{public}", private_listen: "{private}"}}
accounts: [{{name: default, public_keys: ["{key}"]}}]
store: {{url: "sqlite:data/tollbell.db", payload: {payload}}}
rule_files: [rules.yaml]
{route}receivers:
  - name: ops
    fallback: other
    slack_configs:
      - {{api_url: "{base}/services/T0/B0/PlantedSlackToken", rate_limit: {{per_second: 100, burst: 100}}}}
    webhook_configs:
      - url: "{base}/hook?token=PlantedHookToken"
        secret: whsec_{signing}
        headers: {{X-Key: PlantedHeaderValue}}
        header_files: {{Authorization: header}}
      - {{name: file, url_file: url}}
      - {{name: nowhere, url: "http://user:PlantedHookToken@127.0.0.1:1/PlantedHookToken", retry: {{max_age: 1s}}}}
    email_configs:
      - to: [ops@example.com]
        from: tollbell@example.com
        smarthost: {smarthost}
        tls: none
        auth: {{username: me, password: PlantedSmtpPassword}}
  - name: other
"#,
            route = route("ops"),
            signing = SECRETS[4]
        )
    };
    let service = Service::new(dir.path(), config).env("TOLLBELL_LOG_FORMAT", format);
    let running = service.env("RUST_BACKTRACE", "0").start().await;
    Scene { dir, running, _http: http, _smtp: smtp }
}

impl Scene {
    async fn post(&self, path: &str, headers: &[(String, String)], body: &[u8]) -> u16 {
        let to = self.running.addresses().public;
        raw::request(to, "POST", path, headers, body).await.unwrap().status
    }

    async fn deliver(&self, body: &[u8]) -> u16 {
        let headers = Signer::new().headers(Timestamp::now(), body);
        self.post("/webhooks/telnyx", &headers, body).await
    }

    /// Sends every body that holds something private, then what strangers send.
    async fn provoke(&self) {
        for body in private_bodies() {
            assert_eq!(self.deliver(&body).await, 200);
        }
        let body = spend_limit("evt-limit", Timestamp::now(), "profile-1", "1.00", "1.01");
        for _ in 0..2 {
            assert_eq!(self.deliver(&body).await, 200);
        }
        let mut headers =
            Signer::from_seed([9; 32]).headers(Timestamp::now(), b"PlantedStrangerBody");
        headers.push(("x-odd".to_owned(), "PlantedStrangerHeader".to_owned()));
        assert_eq!(
            self.post("/webhooks/telnyx?x=PlantedStrangerQuery", &headers, b"PlantedStrangerBody")
                .await,
            401
        );
        assert_eq!(self.post("/webhooks/telnyx/PlantedStrangerQuery", &headers, b"x").await, 404);
        assert_eq!(self.post("/webhooks/telnyx", &[], b"PlantedStrangerBody").await, 400);
        let mut garbage = RawClient::connect(self.running.addresses().public).await.unwrap();
        garbage.send(b"\x16\x03\x01PlantedStrangerBody \r\n\r\n").await.unwrap();
        let _closed = garbage.response().await;
        // Every integration has failed at least once, and what nobody retries is dead.
        eventually(SOON, || self.failures().len() == 5).await;
    }

    /// The integrations that have failed so far, each with a reason.
    fn failures(&self) -> BTreeMap<String, String> {
        let listed = self.run(&["deliveries", "list", "--format", "json", "--limit", "1000"]);
        let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
        let text = |delivery: &Value, key: &str| delivery[key].as_str().unwrap().to_owned();
        let failed = listed.iter().filter(|delivery| delivery["reason"] != "");
        failed.map(|it| (text(it, "integration"), text(it, "reason"))).collect()
    }

    /// Both outputs of a command that looks at the service.
    fn run(&self, args: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollbell"));
        command.args(args).args(["--config", "tollbell.yaml"]).current_dir(self.dir.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    }

    /// All that `list` and `show` print, both transports.
    fn shown(&self) -> String {
        let mut all = String::new();
        for noun in ["deliveries", "events"] {
            let list = self.run(&[noun, "list", "--format", "json", "--limit", "1000"]);
            let rows: Vec<Value> = serde_json::from_str(&list).unwrap();
            assert!(rows.len() >= 5, "{noun}: {list}");
            all += &list;
            all += &self.run(&[noun, "list", "--limit", "1000"]);
            // One of each integration and kind: the others look the same.
            let mut seen = Vec::new();
            for row in rows {
                let sort = if noun == "events" { &row["kind"] } else { &row["integration"] };
                if !seen.contains(sort) {
                    seen.push(sort.clone());
                    let id = row["id"].as_str().unwrap();
                    all += &self.run(&[noun, "show", id]);
                    all += &self.run(&[noun, "show", id, "--format", "json"]);
                }
            }
        }
        all
    }

    async fn metrics(&self) -> String {
        raw::get(self.running.addresses().private, "/metrics").await.unwrap().text()
    }
}

/// Signed bodies that hold what nobody but the account may read.
fn private_bodies() -> Vec<Vec<u8>> {
    let at = Timestamp::now();
    let message = json!({
        "id": "m-1", "text": "PlantedMessageText", "subject": "PlantedMessageText",
        "media": [{"url": "https://media.example.com/PlantedUrlPath?sig=PlantedUrlToken"}],
        "client_state": STANDARD.encode("PlantedClientState"),
    });
    let verify =
        json!({"id": "v-1", "custom_code": "PlantedOneTimeCode", "phone_number": "+15550100002"});
    let payment = json!({
        "payment_card_number": "4111111111111111", "security_code": "PlantedCardCvc",
        "client_state": "PlantedClientState",
    });
    let recording = json!({
        "recording_urls": {"mp3": "https://s3.example.com/PlantedUrlPath.mp3?X-Amz-Signature=PlantedUrlToken"},
        "transcription_text": "PlantedTranscript",
    });
    let transcription =
        json!({"transcription_data": {"transcript": "PlantedTranscript", "is_final": true}});
    // A kind and a shape that nobody has published: the same words are private there.
    let unknown = json!({"deep": [{"access_token": "PlantedUrlToken", "cvv": "PlantedCardCvc", "otp": "PlantedOneTimeCode"}]});
    let mut bodies: Vec<Vec<u8>> = [
        ("message.received", message),
        ("verify.delivered", verify),
        ("call.payment.completed", payment),
        ("call.recording.saved", recording),
        ("call.transcription", transcription),
        ("brand.new_kind", unknown),
    ]
    .into_iter()
    .map(|(kind, payload)| event(&format!("evt-{kind}"), kind, at, &payload))
    .collect();
    bodies.push(b"\xff\x00 PlantedNeitherJsonNorForm {".to_vec());
    bodies
}

/// Which planted texts are in `text`, in the clear or in base64.
fn found(planted: &[&str], text: &[u8]) -> Vec<String> {
    let has = |needle: &str| text.windows(needle.len()).any(|window| window == needle.as_bytes());
    let planted =
        planted.iter().filter(|it| has(it) || has(STANDARD.encode(it).trim_end_matches('=')));
    planted.map(|it| (*it).to_owned()).collect()
}

/// Every byte of the store's files.
fn store_bytes(dir: &Path) -> Vec<u8> {
    let files = fs::read_dir(dir.join("data")).unwrap();
    let bytes: Vec<u8> = files.flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(bytes.len() > 10_000, "the store was not found");
    bytes
}

#[track_caller]
fn assert_clean(what: &str, planted: &[&str], text: &[u8]) {
    let found = found(planted, text);
    assert!(found.is_empty(), "{what} shows {found:?}:\n{}", String::from_utf8_lossy(text));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_private_is_logged_shown_or_kept() {
    let mut scene = scene("redacted", "text").await;
    scene.provoke().await;
    let reasons: Vec<String> = scene.failures().into_values().collect();
    for reason in ["authError", "clientError", "connect"] {
        assert!(reasons.iter().any(|it| it == reason), "{reason} is not in {reasons:?}");
    }
    let (shown, metrics) = (scene.shown(), scene.metrics().await);
    let checked = scene.run(&["check"]) + &scene.run(&["check", "--format", "json"]);
    assert!(scene.running.terminate(SOON).await.success(), "{}", scene.running.log());
    let all = [&PAYLOADS[..], &SECRETS, &STRANGERS].concat();
    assert_clean("the log", &all, scene.running.log().as_bytes());
    assert!(
        scene.running.log().contains("*** or *** is wrong"),
        "the peer's words are quoted without"
    );
    assert_clean("/metrics", &all, metrics.as_bytes());
    assert_clean("list and show", &all, shown.as_bytes());
    assert_clean("check", &all, checked.as_bytes());
    let found = found(&all, &store_bytes(scene.dir.path()));
    assert!(found.is_empty(), "the store holds {found:?}");
    // The masks are there, so it was looked in the right place.
    assert!(shown.contains("[masked]") && shown.contains("https://s3.example.com"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_may_hold_in_full_is_not_logged_either() {
    let mut scene = scene("full", "json").await;
    scene.provoke().await;
    let (metrics, checked) = (scene.metrics().await, scene.run(&["check"]));
    assert!(scene.running.terminate(SOON).await.success(), "{}", scene.running.log());
    let all = [&PAYLOADS[..], &SECRETS, &STRANGERS].concat();
    assert_clean("the log", &all, scene.running.log().as_bytes());
    assert_clean("/metrics", &all, metrics.as_bytes());
    assert_clean("check", &all, checked.as_bytes());
    let kept = store_bytes(scene.dir.path());
    assert!(
        found(&PAYLOADS, &kept).len() >= 8,
        "full keeps payloads: {:?}",
        found(&PAYLOADS, &kept)
    );
    let secrets = found(&[&SECRETS[..], &STRANGERS].concat(), &kept);
    assert!(secrets.is_empty(), "the store holds {secrets:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fate_has_one_line_and_json_lines_are_json() {
    let mut scene = scene("redacted", "json").await;
    scene.provoke().await;
    assert!(scene.running.terminate(SOON).await.success());
    let log = scene.running.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for line in &lines {
        assert!(
            line["timestamp"].is_string()
                && line["level"].is_string()
                && line["message"].is_string(),
            "{line}"
        );
        assert!(line["target"].as_str().unwrap().starts_with("tollbell::"), "{line}");
    }
    let with = |message: &str| -> Vec<&Value> {
        lines.iter().filter(|line| line["message"] == message).collect()
    };
    let kept: Vec<_> =
        with("webhook stored").into_iter().filter(|line| line["event.id"] == "evt-limit").collect();
    assert_eq!(kept.len(), 2, "{log}");
    assert_eq!((&kept[0]["duplicate"], &kept[1]["duplicate"]), (&json!(false), &json!(true)));
    assert_eq!(kept[0]["account"], "default");
    assert_eq!(kept[0]["kind"], "messaging-profile.spend-limit-reached");
    let fired: Vec<_> =
        with("alert fired").into_iter().filter(|line| line["event.id"] == "evt-limit").collect();
    assert_eq!(fired.len(), 1, "{log}");
    assert_eq!(fired[0]["rule"], "all/Any");
    let refused: Vec<_> = with("webhook refused").into_iter().map(|line| &line["reason"]).collect();
    assert_eq!(refused, [&json!("bad_signature")], "{log}");
    let ids = |message: &str| -> Vec<&str> {
        with(message).iter().map(|line| line["delivery.id"].as_str().unwrap()).collect()
    };
    let dead = ids("not delivered, given up");
    assert!(!dead.is_empty(), "{log}");
    let mut once = dead.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), dead.len(), "a delivery died twice:\n{log}");
    assert_eq!((with("tollbell is ready").len(), with("shut down").len()), (1, 1), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_arrives_has_one_line_in_text_too() {
    let (dir, sink) = (tempfile::tempdir().unwrap(), HttpSink::start().await);
    fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    let (key, url) = (Signer::new().public_key_base64(), sink.url("/slack"));
    let service = Service::new(dir.path(), move |Addresses { public, private }| {
        format!(
            "server: {{listen: '{public}', private_listen: '{private}'}}\n\
             accounts: [{{name: default, public_keys: ['{key}']}}]\n\
             store: {{url: 'sqlite:tollbell.db'}}\nrule_files: [rules.yaml]\n{route}\
             receivers: [{{name: ops, slack_configs: [{{api_url: '{url}'}}]}}]\n",
            route = route("ops"),
        )
    });
    let mut running = service.start().await;
    let body = spend_limit("evt-1", Timestamp::now(), "profile-1", "1.00", "1.01");
    let headers = Signer::new().headers(Timestamp::now(), &body);
    let to = running.addresses().public;
    let reply = raw::request(to, "POST", "/webhooks/telnyx", &headers, &body).await.unwrap();
    assert_eq!(reply.status, 200);
    sink.wait_for("/slack", 1).await;
    assert!(running.terminate(SOON).await.success());
    let log = running.log();
    for (said, times) in [
        ("INFO tollbell::app: tollbell is ready", 1),
        (
            "INFO tollbell::intake::receive: webhook stored account=\"default\" kind=\"messaging-profile.spend-limit-reached\" event.id=\"evt-1\" duplicate=false",
            1,
        ),
        ("INFO tollbell::engine: alert fired account=\"default\"", 1),
        ("INFO tollbell::dispatch::lane::outcome: delivered delivery.id=", 1),
        ("ERROR", 0),
        ("actix", 0),
        ("\u{1b}[", 0),
    ] {
        assert_eq!(log.matches(said).count(), times, "{said}\n{log}");
    }
}
