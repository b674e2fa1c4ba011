//! Judges that share no code with us: Telnyx's own SDK for signatures, aiosmtpd for mail.

use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use mail_parser::{MessageParser, MimeHeaders};
use serde_json::Value;

use tollbell::event;

use crate::support::app::{Setup, route};
use crate::support::certs;
use crate::support::interop::{Aiosmtpd, sdk_sign, sdk_verify};
use crate::support::process::{Addresses, Service};
use crate::support::raw;
use crate::support::telnyx::{SIGNATURE_HEADER, Signer, TIMESTAMP_HEADER, spend_limit};
use crate::support::wait::SOON;

#[test]
fn the_official_sdk_accepts_what_send_signs() {
    let dir = tempfile::tempdir().unwrap();
    let signer = Signer::new();
    let key_file = dir.path().join("key.txt");
    std::fs::write(&key_file, signer.seed_base64()).unwrap();
    let sample = "messaging-profile.spend-limit-reached";
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollbell"));
    command.args(["send", sample, "--print", "--key-file"]).arg(&key_file);
    let printed = command.output().unwrap();
    assert!(printed.status.success(), "{printed:?}");
    let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
    let headers: Vec<(String, String)> = printed["headers"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    let body = STANDARD.decode(printed["body_base64"].as_str().unwrap()).unwrap();
    let key = signer.public_key_base64();
    assert_eq!(sdk_verify(&key, &headers, &body), Ok(Some(sample.to_owned())));
    let refused = sdk_verify(&key, &headers, &[&body[..], b"\n"].concat());
    assert!(refused.is_err(), "the judge takes anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_sdks_own_key_signs_is_accepted_here() {
    let body = event::sample("call.cost").unwrap();
    let timestamp = Timestamp::now().as_second().to_string();
    let (sdk_key, signature) = sdk_sign(&timestamp, &body);
    // Telnyx's test key beside ours, as while a key rotates.
    let ours = Signer::new().public_key_base64();
    let dir = tempfile::tempdir().unwrap();
    let service = Service::new(dir.path(), move |Addresses { public, private }| {
        format!(
            "server: {{listen: '{public}', private_listen: '{private}'}}\n\
             accounts: [{{name: default, public_keys: ['{ours}', '{sdk_key}']}}]\n\
             store: {{url: 'sqlite:tollbell.db'}}\n\
             route: {{receiver: ops}}\nreceivers: [{{name: ops}}]\n"
        )
    });
    let mut running = service.start().await;
    let headers =
        [(SIGNATURE_HEADER.to_owned(), signature), (TIMESTAMP_HEADER.to_owned(), timestamp)];
    let post = async |body: Vec<u8>| {
        let to = running.addresses().public;
        raw::request(to, "POST", "/webhooks/telnyx", &headers, &body).await.unwrap().status
    };
    assert_eq!(post(body.clone()).await, 200);
    assert_eq!(post([&body[..], b" "].concat()).await, 401);
    let metrics = raw::get(running.addresses().private, "/metrics").await.unwrap().text();
    let received = "tollbell_webhooks_received_total{account=\"default\",kind=\"call.cost\"} 1\n";
    assert!(metrics.contains(received), "{metrics}");
    assert!(running.terminate(SOON).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_independent_mail_server_takes_our_mail_over_starttls_with_both_parts() {
    let server = Aiosmtpd::start_strict("bell", "Sesame-9").await;
    let app = Setup::new(format!(
        "{route}receivers:\n  - name: ops\n    email_configs:\n      \
         - to: [Ops <ops@example.com>]\n        from: Tollbell <tollbell@example.com>\n        \
         smarthost: localhost:{port}\n        tls_config: {{ca_file: {ca:?}}}\n        \
         auth: {{username: bell, password: Sesame-9}}\n        headers: {{Reply-To: noc@example.com}}\n",
        route = route("ops"),
        port = server.port(),
        ca = certs::ca_pem_path(),
    ))
    .start()
    .await;
    let body = spend_limit("evt-1", app.clock.now(), "profile-ä€", "10.00", "12.50");
    assert_eq!(app.deliver(body).await, 200);
    let mail = server.wait_for(1).await.remove(0);
    app.settle().await;
    assert_eq!(
        (mail.from.as_str(), mail.to.as_slice()),
        ("tollbell@example.com", &["ops@example.com".to_owned()][..])
    );
    assert!(mail.tls && mail.user.as_deref() == Some("bell"), "{mail:?}");

    let parsed = MessageParser::default().parse(&mail.raw).unwrap();
    let subject = parsed.subject().unwrap();
    assert!(subject.starts_with("[FIRING]") && subject.contains("profile-ä€"), "{subject}");
    assert_eq!(parsed.header("Auto-Submitted").and_then(|it| it.as_text()), Some("auto-generated"));
    assert_eq!(
        parsed.reply_to().and_then(|it| it.first()).and_then(|it| it.address()),
        Some("noc@example.com")
    );
    assert!(parsed.message_id().is_some() && parsed.date().is_some());
    let kind = parsed.content_type().unwrap();
    assert_eq!((kind.ctype(), kind.subtype()), ("multipart", Some("alternative")));
    assert_eq!((parsed.text_body_count(), parsed.html_body_count()), (1, 1));
    let (text, html) = (parsed.body_text(0).unwrap(), parsed.body_html(0).unwrap());
    assert!(html.starts_with("<!") && !text.contains('<'), "{text}\n{html}");
    for part in [&text, &html] {
        assert!(
            part.contains("profile-ä€") && part.contains("12.50") && part.contains("10.00"),
            "{part}"
        );
    }
    let lines = mail.raw.split(|byte| *byte == b'\n');
    assert!(lines.clone().all(|line| line.len() <= 998), "a line is too long");
    app.stop().await;
    assert_eq!(server.mails().len(), 1);
}
