//! Mail by SMTP: what a mail looks like, that it is never sent in the clear, and every way a server can fail.

mod charts;
mod peers;
mod servers;

use std::time::Duration;

use serde_json::json;
use tollbell::store::DeliveryState;

use crate::dispatch::{
    deliveries, email, quiet, receiver, ring, routing, slack, stop_ringing, until,
    until_nothing_waits, until_tried,
};
use crate::support::app::{GROUP_INTERVAL, Setup, TestApp};
use crate::support::certs::Shown;
use crate::support::http::HttpSink;
use crate::support::smtp::{Encryption, Mail, Script, SmtpSink, Stage};
use crate::support::telnyx;

async fn app(smtp: &SmtpSink, to: &str, keys: &str) -> TestApp {
    Setup::new(routing(&[receiver("ops", &[&email(smtp, to, keys)])])).start().await
}

/// Trust in the sinks' authority.
fn trusted() -> String {
    format!("tls_config: {{ca_file: {}}}", SmtpSink::ca_pem_path().display())
}

fn auth(mechanism: &str) -> String {
    format!("auth: {{mechanism: {mechanism}, username: bell, password: s3cret}}")
}

#[tokio::test]
async fn a_mail_says_who_sent_it_to_whom_and_what_it_belongs_to() {
    let smtp = SmtpSink::start().await;
    let to = "\"Ops <ops@example.com>\", cfo@example.com";
    let app = app(&smtp, to, "tls: none, headers: {Reply-To: noc@example.com}").await;
    ring(&app, "e-1", "profile-1").await;
    app.settle().await;
    app.clock.advance(Duration::from_hours(1));
    stop_ringing(&app, "e-2", "profile-1").await;
    app.settle().await;
    app.clock.advance(GROUP_INTERVAL);
    smtp.wait_for(4).await;
    app.settle().await;
    ring(&app, "e-3", "profile-2").await;
    app.settle().await;
    let mails = smtp.mails();
    assert_eq!(mails.len(), 6);
    let of = |to: &str| -> Vec<&Mail> { mails.iter().filter(|mail| mail.to == [to]).collect() };
    let [firing, resolved, other] = of("ops@example.com").try_into().unwrap();
    assert_eq!(of("cfo@example.com").len(), 3);
    for mail in &mails {
        assert_eq!(mail.from, "tollbell@example.com");
        assert_eq!(mail.header("from"), Some("tollbell@example.com"));
        assert_eq!(mail.header("to"), Some("Ops <ops@example.com>, cfo@example.com"));
        assert_eq!(mail.header("auto-submitted"), Some("auto-generated"));
        assert_eq!(mail.header("reply-to"), Some("noc@example.com"));
        assert!(mail.header("content-type").unwrap().starts_with("multipart/alternative"));
        assert_eq!(mail.header("references"), mail.header("in-reply-to"));
        for name in ["subject", "date", "message-id", "to", "from", "references"] {
            assert_eq!(mail.headers_named(name).len(), 1, "{name}");
        }
    }
    let ids: std::collections::BTreeSet<_> = mails.iter().map(|mail| &mail.message_id).collect();
    assert_eq!(ids.len(), 6, "each delivery has its own: {ids:?}");
    // One thread for one alert.
    assert_eq!(firing.header("references"), resolved.header("references"));
    assert_ne!(firing.header("references"), other.header("references"));

    let summary = "Messaging profile profile-1 spent 10.02 USD of 10.00 USD";
    assert_eq!(firing.subject, format!("[FIRING] {summary} · account default"));
    assert!(resolved.subject.starts_with("[RESOLVED]"), "{}", resolved.subject);
    assert_eq!((firing.header("importance"), resolved.header("importance")), (Some("high"), None));
    let (text, html) = (firing.text.as_ref().unwrap(), firing.html.as_ref().unwrap());
    for part in [text, html] {
        for word in [summary, "critical", "default", "10.02 of 10.00 USD", "profile-1"] {
            assert!(part.contains(word), "{word}: {part}");
        }
    }
    assert_eq!(smtp.violations(), Vec::<String>::new());
    app.stop().await;
}

#[tokio::test]
async fn a_mail_that_may_have_been_taken_comes_again_under_the_same_id() {
    let smtp = SmtpSink::start().await;
    smtp.next([
        Script::Drop(Stage::Body),
        Script::Reset(Stage::Body),
        Script::Reply(Stage::Body, 451),
        Script::Reply(Stage::Data, 421),
    ]);
    let app = app(&smtp, "ops@example.com", "tls: none").await;
    ring(&app, "e-1", "p").await;
    until_tried(&app, 1).await;
    until_nothing_waits(&app).await;
    let taken = smtp.one();
    let seen = smtp.transmissions();
    assert_eq!((seen.len(), smtp.sessions().len()), (4, 5));
    assert!(seen.iter().all(|mail| mail.message_id == taken.message_id));
    let delivered = deliveries(&app, DeliveryState::Delivered).await;
    let id = taken.message_id.unwrap();
    assert_eq!(id, format!("{}@example.com", delivered[0].id));
    app.stop().await;
}

#[tokio::test]
async fn nothing_is_sent_in_the_clear_where_tls_is_wanted() {
    let smtp = SmtpSink::start().await;
    let app = app(&smtp, "ops@example.com", &auth("plain")).await;
    ring(&app, "e-1", "p").await;
    let waiting = until_tried(&app, 1).await;
    assert_eq!(waiting.reason, "connect");
    assert!(waiting.detail.contains("STARTTLS"), "{}", waiting.detail);
    let session = smtp.sessions().remove(0);
    assert_eq!(session.auth, None);
    let harmless =
        |command: &String| ["EHLO", "QUIT", "RSET", "NOOP"].iter().any(|c| command.starts_with(c));
    assert!(session.commands.iter().all(harmless), "{:?}", session.commands);
    assert!(smtp.transmissions().is_empty());
    app.stop().await;
}

#[tokio::test]
async fn each_way_of_tls_and_each_mechanism_gets_through() {
    for (encryption, tls, mechanism) in [
        (Encryption::StartTls, "starttls", "plain"),
        (Encryption::StartTls, "starttls", "login"),
        (Encryption::Implicit, "implicit", "xoauth2"),
        (Encryption::Implicit, "implicit", "plain"),
    ] {
        let smtp = SmtpSink::start_with(encryption).await;
        let keys = format!("tls: {tls}, {}, {}", trusted(), auth(mechanism));
        let app = app(&smtp, "ops@example.com", &keys).await;
        ring(&app, "e-1", "p").await;
        app.settle().await;
        let mail = smtp.one();
        assert!(mail.tls);
        let auth = mail.auth.unwrap();
        assert_eq!(auth.mechanism.to_lowercase(), mechanism);
        assert_eq!((auth.username.as_str(), auth.secret.as_str()), ("bell", "s3cret"));
        app.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_cannot_prove_who_it_is_gets_nothing() {
    for (encryption, tls) in
        [(Encryption::StartTls, "starttls"), (Encryption::Implicit, "implicit")]
    {
        let smtp = SmtpSink::start_with(encryption).await;
        let keys = format!("tls: {tls}, {}, {}", trusted(), auth("plain"));
        let app = app(&smtp, "ops@example.com", &keys).await;
        smtp.show(Shown::SelfSigned);
        ring(&app, "e-1", "p").await;
        for (attempt, next) in [(1, Shown::OtherName), (2, Shown::Expired), (3, Shown::Good)] {
            let waiting = until_tried(&app, attempt).await;
            assert_eq!(waiting.reason, "connect", "{waiting:?}");
            smtp.expect_none();
            assert!(smtp.sessions().iter().all(|session| session.auth.is_none()));
            smtp.show(next);
            app.clock.advance(Duration::from_secs(4));
        }
        until(&app, DeliveryState::Delivered, 1).await;
        smtp.one();
        app.stop().await;
    }
}

#[tokio::test]
async fn an_authority_that_nobody_named_is_not_trusted() {
    let smtp = SmtpSink::start_with(Encryption::StartTls).await;
    let app = app(&smtp, "ops@example.com", "tls: starttls").await;
    ring(&app, "e-1", "p").await;
    assert_eq!(until_tried(&app, 1).await.reason, "connect");
    smtp.expect_none();
    app.stop().await;
}

#[tokio::test]
async fn refused_credentials_pause_ring_the_fallback_and_may_be_renewed_without_a_restart() {
    let (smtp, http) = (SmtpSink::start_with(Encryption::StartTls).await, HttpSink::start().await);
    smtp.refuse_auth(Some(535));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "old\n").unwrap();
    for (n, mechanism) in ["plain", "login", "xoauth2"].into_iter().enumerate() {
        std::fs::write(&file, "old\n").unwrap();
        smtp.refuse_auth(Some(535));
        let auth = format!(
            "auth: {{mechanism: {mechanism}, username: bell, password_file: {}}}",
            file.display()
        );
        let receivers = [
            receiver(
                "oncall",
                &[
                    &email(&smtp, "a@example.com", &format!("{}, {auth}", trusted())),
                    "fallback: ops",
                ],
            ),
            receiver("ops", &[&slack(&http, &format!("/{mechanism}"), "")]),
        ];
        let app = Setup::new(routing(&receivers)).start().await;
        ring(&app, "e-1", "p").await;
        let copy = http.wait_for(&format!("/{mechanism}"), 1).await.remove(0);
        assert!(copy.text().contains("receiver oncall"), "{}", copy.text());
        let waiting = until_tried(&app, 1).await;
        assert_eq!(waiting.reason, "authError");
        assert!(!waiting.detail.contains("old"), "{}", waiting.detail);
        // All of the integration pauses for a minute.
        ring(&app, "e-2", "q").await;
        quiet(&app).await;
        app.clock.advance(Duration::from_secs(59));
        assert_eq!(smtp.sessions().len(), 3 * n + 1);
        std::fs::write(&file, "new\n").unwrap();
        smtp.refuse_auth(None);
        app.clock.advance(Duration::from_secs(1));
        let mails = smtp.wait_for(2 * (n + 1)).await;
        assert!(mails[2 * n..].iter().all(|mail| mail.auth.as_ref().unwrap().secret == "new"));
        until(&app, DeliveryState::Delivered, 3).await;
        app.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_hangs_anywhere_or_speaks_nonsense_is_tried_again() {
    let troubles = [
        (Script::Hang(Stage::Banner), "timeout"),
        (Script::Hang(Stage::Ehlo), "timeout"),
        (Script::Hang(Stage::StartTls), "timeout"),
        (Script::Hang(Stage::Handshake), "timeout"),
        (Script::Hang(Stage::Auth), "timeout"),
        (Script::Hang(Stage::Mail), "timeout"),
        (Script::Hang(Stage::Rcpt), "timeout"),
        (Script::Hang(Stage::Data), "timeout"),
        (Script::Hang(Stage::Body), "timeout"),
        (Script::Slow(Duration::from_millis(500)), "timeout"),
        (Script::GarbageBanner, "connect"),
        (Script::Drop(Stage::Banner), "connect"),
        (Script::Reset(Stage::Rcpt), "connect"),
        (Script::Reply(Stage::Banner, 421), "serverError"),
        (Script::Reply(Stage::Ehlo, 554), "serverError"),
        (Script::Reply(Stage::StartTls, 454), "serverError"),
        (Script::Reply(Stage::Mail, 452), "serverError"),
    ];
    let mut sinks = Vec::new();
    let mut mails = Vec::new();
    for (n, (script, _)) in troubles.iter().enumerate() {
        let smtp = SmtpSink::start_with(Encryption::StartTls).await;
        smtp.next([script.clone()]);
        // Room for a busy machine, and none for a test that waits.
        let keys = format!("name: \"{n}\", timeout: 2s, {}, {}", trusted(), auth("plain"));
        let entry = email(&smtp, "ops@example.com", &keys);
        let entry = entry.strip_prefix("email_configs: [").unwrap().strip_suffix(']').unwrap();
        mails.push(entry.to_owned());
        sinks.push(smtp);
    }
    let mails = format!("email_configs: [{}]", mails.join(", "));
    let app = Setup::new(routing(&[receiver("ops", &[&mails])])).start().await;
    ring(&app, "e-1", "p").await;
    let waiting = until(&app, DeliveryState::Pending, troubles.len()).await;
    drop(waiting);
    crate::support::wait::eventually_async(crate::support::wait::SOON, async || {
        let waiting = deliveries(&app, DeliveryState::Pending).await;
        (waiting.len() == troubles.len() && waiting.iter().all(|d| d.attempts == 1)).then_some(())
    })
    .await;
    for delivery in deliveries(&app, DeliveryState::Pending).await {
        let n: usize = delivery.integration.rsplit_once('/').unwrap().1.parse().unwrap();
        let (script, reason) = &troubles[n];
        assert_eq!(&delivery.reason, reason, "{script:?}: {}", delivery.detail);
        let maybe = delivery.detail.contains("may have been taken");
        assert_eq!(maybe, *script == Script::Hang(Stage::Body), "{script:?}: {}", delivery.detail);
    }
    until_nothing_waits(&app).await;
    for ((script, _), smtp) in troubles.iter().zip(&sinks) {
        let mail = smtp.one();
        let same = smtp.transmissions().iter().all(|seen| seen.message_id == mail.message_id);
        assert!(same, "{script:?}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_slow_server_is_waited_for() {
    let smtp = SmtpSink::start().await;
    smtp.always(Script::Slow(Duration::from_millis(1)));
    let app = app(&smtp, "ops@example.com", "tls: none, timeout: 20s").await;
    ring(&app, "e-1", "p").await;
    app.settle().await;
    smtp.one();
    assert_eq!(smtp.sessions().len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn no_event_can_add_a_header_a_recipient_or_a_line() {
    let smtp = SmtpSink::start().await;
    let rules = r#"
groups:
  - name: g
    rules:
      - alert: Injected
        on: [brand.new]
        by: {who: payload.who, severity: payload.who}
        annotations:
          summary: "{{ payload.who }}"
          description: "{{ payload.lines }}"
"#;
    let mail = email(&smtp, "ops@example.com", "tls: none");
    let app = Setup::new(routing(&[receiver("ops", &[&mail])]))
        .rules(rules)
        .store("  payload: full\n")
        .start()
        .await;
    let long = "x".repeat(3_000);
    let names = [
        "Zoë 💸 überzogen\r\nBcc: thief@example.net\r\n\r\n<b>body</b>",
        "a\nTo: thief@example.net\n.\nMAIL FROM:<thief@example.net>",
        "=?utf-8?B?QmNjOg==?=\rX-Evil: 1",
        ".",
        &long,
    ];
    for (n, who) in names.iter().enumerate() {
        let lines = format!(".\r\n..two\r\n.\nQUIT\n{long}\n.{who}");
        let payload = json!({"who": who, "lines": lines});
        let body = telnyx::event(&format!("e-{n}"), "brand.new", app.clock.now(), &payload);
        assert_eq!(app.deliver(body).await, 200);
    }
    app.settle().await;
    let mails = smtp.wait_for(names.len()).await;
    assert_eq!(smtp.violations(), Vec::<String>::new());
    for mail in &mails {
        assert_eq!(mail.to, ["ops@example.com"]);
        assert_eq!(mail.headers_named("to"), ["ops@example.com"]);
        for name in ["bcc", "cc", "x-evil", "mail from"] {
            assert_eq!(mail.header(name), None, "{name}");
        }
        assert_eq!(mail.headers_named("subject").len(), 1);
        assert!(!mail.subject.contains(['\r', '\n']), "{:?}", mail.subject);
        assert!(mail.text.is_some() && mail.html.is_some());
        assert!(!mail.html.as_ref().unwrap().contains("<b>body"));
    }
    let subject = |start: &str| mails.iter().any(|mail| mail.subject.starts_with(start));
    assert!(subject("[FIRING] Zoë 💸 überzogen Bcc: thief@example.net"));
    assert!(subject("[FIRING] = ?utf-8?B?QmNjOg== ?= X-Evil: 1"));
    // The lone dot is a line of the mail, and did not end it.
    let dotted = mails.iter().find(|mail| mail.subject.starts_with("[FIRING] . ")).unwrap();
    let text = dotted.text.as_ref().unwrap().replace("\r\n", "\n");
    assert!(text.contains("\n.\n") && text.contains("..two"), "{text}");
    app.stop().await;
}
