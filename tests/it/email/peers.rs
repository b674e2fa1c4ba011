//! Mail servers of every age, what they lack, and what they bear on one connection.

use tollbell::store::DeliveryState;

use super::{app, auth, trusted};
use crate::dispatch::{deliveries, ring, until_nothing_waits, until_tried};
use crate::support::certs::Shown;
use crate::support::smtp::{Encryption, Script, Session, SmtpSink, Stage};

#[tokio::test]
async fn a_server_of_any_age_is_understood() {
    const LOWER: &[&str] = &["sink.test", "auth plain login", "starttls"];
    const OLD: &[&str] = &["sink.test", "STARTTLS", "AUTH=LOGIN", "8BITMIME"];
    const BARE_END: &[&str] = &["sink.test", "StartTLS", "AUTH Plain", ""];
    const ONE_LINE: &[&str] = &["sink.test"];
    const NO_TEXT: &[&str] = &[""];
    let (start_tls, none) = (Encryption::StartTls, Encryption::None);
    for (encryption, script, mechanism) in [
        (start_tls, Script::Offers(LOWER), Some("plain")),
        (start_tls, Script::Offers(LOWER), Some("login")),
        (start_tls, Script::Offers(OLD), Some("login")),
        (start_tls, Script::Offers(BARE_END), Some("plain")),
        (none, Script::Offers(ONE_LINE), None),
        (none, Script::Offers(NO_TEXT), None),
        (none, Script::OnlyHelo(500), None),
        (none, Script::OnlyHelo(502), None),
    ] {
        let smtp = SmtpSink::start_with(encryption).await;
        smtp.always(script.clone());
        let keys = match mechanism {
            Some(mechanism) => format!("tls: starttls, {}, {}", trusted(), auth(mechanism)),
            None => "tls: none".to_owned(),
        };
        let app = app(&smtp, "ops@example.com", &keys).await;
        ring(&app, "e-1", "p").await;
        app.settle().await;
        let mail = smtp.one();
        assert_eq!(mail.auth.is_some(), mechanism.is_some(), "{script:?}");
        let greeted = ["EHLO", "HELO"].map(|verb| {
            let session = &smtp.sessions()[0];
            session.commands.iter().filter(|command| command.starts_with(verb)).count()
        });
        let expected = match script {
            Script::OnlyHelo(_) => [1, 1],
            _ if encryption == start_tls => [2, 0],
            _ => [1, 0],
        };
        assert_eq!(greeted, expected, "{script:?}");
        app.stop().await;
    }
}

#[tokio::test]
async fn what_the_server_lacks_is_named() {
    const LOGIN_ONLY: &[&str] = &["sink.test", "AUTH LOGIN CRAM-MD5"];
    for (encryption, script, keys, reason, told) in [
        (Encryption::Implicit, Script::Accept, "tls: starttls", "connect", "set `tls: implicit`"),
        (Encryption::Implicit, Script::Accept, "tls: none", "connect", "set `tls: implicit`"),
        (
            Encryption::StartTls,
            Script::Accept,
            "tls: implicit",
            "connect",
            "the server does not speak TLS from the first byte",
        ),
        (Encryption::StartTls, Script::OnlyHelo(502), "tls: starttls", "connect", "STARTTLS"),
        (
            Encryption::None,
            Script::Offers(LOGIN_ONLY),
            "tls: none, auth: {username: u, password: p}",
            "authError",
            "the server does not offer AUTH PLAIN; of auth.mechanism it offers login",
        ),
    ] {
        let smtp = SmtpSink::start_with(encryption).await;
        smtp.always(script);
        let app = app(&smtp, "ops@example.com", &format!("timeout: 4s, {keys}")).await;
        ring(&app, "e-1", "p").await;
        let waiting = until_tried(&app, 1).await;
        assert_eq!(waiting.reason, reason, "{keys}: {}", waiting.detail);
        assert!(waiting.detail.contains(told), "{keys}: {}", waiting.detail);
        smtp.expect_none();
        app.stop().await;
    }
}

/// As `openssl req -x509` makes it: the certificate is for the server and an authority in one.
#[tokio::test]
async fn a_certificate_that_is_its_own_authority_is_told_with_what_to_do() {
    for (encryption, tls) in
        [(Encryption::StartTls, "starttls"), (Encryption::Implicit, "implicit")]
    {
        let smtp = SmtpSink::start_with(encryption).await;
        smtp.show(Shown::OwnAuthority);
        let app = app(&smtp, "ops@example.com", &format!("tls: {tls}, {}", trusted())).await;
        ring(&app, "e-1", "p").await;
        let waiting = until_tried(&app, 1).await;
        assert_eq!(waiting.reason, "connect");
        for words in ["CaUsedAsEndEntity", "openssl req -x509", "CA:FALSE", "tls_config.ca_file"] {
            assert!(waiting.detail.contains(words), "{words}: {}", waiting.detail);
        }
        assert!(!waiting.detail.to_lowercase().contains("connection error"), "{}", waiting.detail);
        app.stop().await;
    }
}

#[tokio::test]
async fn a_connection_carries_ten_mails_and_no_idle_word() {
    let smtp = SmtpSink::start().await;
    let fast = "tls: none, rate_limit: {per_second: 1000, burst: 1000}";
    let app = app(&smtp, "ops@example.com", fast).await;
    // One after the other, and then many at once.
    for n in 0..25 {
        ring(&app, &format!("e-{n}"), &format!("p-{n}")).await;
        smtp.wait_for(n + 1).await;
        app.settle().await;
    }
    let counts = |verb: &str| -> Vec<usize> {
        let of = |session: &Session| {
            session.commands.iter().filter(|command| command.starts_with(verb)).count()
        };
        smtp.sessions().iter().map(of).collect()
    };
    assert_eq!(counts("MAIL"), [10, 10, 5]);
    assert_eq!(counts("EHLO"), [1, 1, 1]);
    assert_eq!(counts("QUIT"), [1, 1, 0]);
    for n in 25..100 {
        ring(&app, &format!("e-{n}"), &format!("p-{n}")).await;
    }
    smtp.wait_for(100).await;
    app.settle().await;
    let mails = counts("MAIL");
    assert!(mails.iter().all(|count| (1..=10).contains(count)), "{mails:?}");
    assert_eq!(mails.iter().sum::<usize>(), 100);
    let idle: usize = ["NOOP", "RSET"].iter().flat_map(|verb| counts(verb)).sum();
    assert_eq!(idle, 0);
    app.stop().await;
}

#[tokio::test]
async fn a_kept_connection_that_is_gone_or_has_enough_costs_no_attempt() {
    for script in [
        Script::Drop(Stage::Mail),
        Script::Reset(Stage::Mail),
        Script::Hang(Stage::Mail),
        Script::Reply(Stage::Mail, 421),
        Script::Reply(Stage::Mail, 452),
    ] {
        let smtp = SmtpSink::start().await;
        let app = app(&smtp, "ops@example.com", "tls: none").await;
        ring(&app, "e-1", "p").await;
        smtp.wait_for(1).await;
        app.settle().await;
        smtp.change_open(&script);
        ring(&app, "e-2", "q").await;
        smtp.wait_for(2).await;
        app.settle().await;
        let delivered = deliveries(&app, DeliveryState::Delivered).await;
        assert!(delivered.iter().all(|it| it.attempts == 1), "{script:?}: {delivered:?}");
        assert_eq!((delivered.len(), smtp.sessions().len()), (2, 2), "{script:?}");
        app.stop().await;
    }
}

#[tokio::test]
async fn a_domain_beyond_ascii_goes_out_in_the_form_that_every_server_takes() {
    const UTF8: &[&str] = &["sink.test", "8BITMIME", "SMTPUTF8"];
    for script in [Script::Accept, Script::Offers(UTF8)] {
        let smtp = SmtpSink::start().await;
        smtp.always(script.clone());
        let to = "\"Bär <info@münchen.example>\", ops@example.com, jürgen@example.com";
        let app = app(&smtp, to, "tls: none").await;
        ring(&app, "e-1", "p").await;
        let taken = if script == Script::Accept { 2 } else { 3 };
        smtp.wait_for(taken).await;
        until_nothing_waits(&app).await;
        assert_eq!(smtp.violations(), Vec::<String>::new());
        let mut mails = smtp.mails();
        mails.sort_by(|a, b| a.to.cmp(&b.to));
        let to: Vec<&str> = mails.iter().flat_map(|mail| &mail.to).map(String::as_str).collect();
        let expected = ["info@xn--mnchen-3ya.example", "jürgen@example.com", "ops@example.com"];
        match script {
            Script::Accept => assert_eq!(to, [expected[0], expected[2]]),
            _ => assert_eq!(to, expected),
        }
        // The others' copies stay such that a server without SMTPUTF8 may take them.
        for mail in mails.iter().filter(|mail| mail.to != ["jürgen@example.com"]) {
            assert!(mail.raw.is_ascii(), "{:?}", mail.to);
            let head = mail.header("to").unwrap();
            assert!(head.contains("info@xn--mnchen-3ya.example"), "{head}");
        }
        let dead = deliveries(&app, DeliveryState::Dead).await;
        // What a target does not know is owed again after a while, so there may be more than one.
        assert_eq!(dead.is_empty(), taken == 3, "{dead:?}");
        assert!(dead.iter().all(|it| it.target == "jürgen@example.com"), "{dead:?}");
        assert!(dead.iter().all(|it| it.detail.contains("SMTPUTF8")), "{dead:?}");
        app.stop().await;
    }
}
