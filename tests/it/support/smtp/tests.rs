//! The mail server against lettre's client, and against bare lines where lettre is too polite.

use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::AsyncSmtpTransportBuilder;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::*;

type Client = AsyncSmtpTransport<Tokio1Executor>;

fn message(to: &[&str]) -> Message {
    let mut builder = Message::builder()
        .from("tollbell@example.com".parse().unwrap())
        .subject("Guthaben läuft aus €")
        .message_id(Some("<one@tollbell>".to_owned()));
    for address in to {
        builder = builder.to(address.parse::<Mailbox>().unwrap());
    }
    let parts = MultiPart::alternative_plain_html(
        ".a line that begins with a dot\r\nüber".to_owned(),
        "<p>five left</p>".to_owned(),
    );
    builder.multipart(parts).unwrap()
}

fn builder(sink: &SmtpSink) -> AsyncSmtpTransportBuilder {
    let ca = std::fs::read(SmtpSink::ca_pem_path()).unwrap();
    let ca = Certificate::from_pem(&ca).unwrap();
    let tls = TlsParameters::builder("localhost".to_owned()).add_root_certificate(ca);
    let tls = tls.build().unwrap();
    let tls = match sink.state.encryption {
        Encryption::None => Tls::None,
        Encryption::StartTls => Tls::Required(tls),
        Encryption::Implicit => Tls::Wrapper(tls),
    };
    Client::builder_dangerous("127.0.0.1").port(sink.port()).tls(tls)
}

fn client(sink: &SmtpSink) -> Client {
    builder(sink).build()
}

#[tokio::test]
async fn a_mail_arrives_parsed_with_its_envelope() {
    let sink = SmtpSink::start().await;
    client(&sink).send(message(&["a@example.com", "b@example.com"])).await.unwrap();
    let mail = sink.one();
    assert_eq!(mail.from, "tollbell@example.com");
    assert_eq!(mail.to, ["a@example.com", "b@example.com"]);
    assert_eq!(mail.subject, "Guthaben läuft aus €");
    assert_eq!(mail.text.unwrap().trim_end(), ".a line that begins with a dot\r\nüber");
    assert_eq!(mail.html.unwrap().trim_end(), "<p>five left</p>");
    assert_eq!(mail.message_id.as_deref(), Some("one@tollbell"));
    assert!(!mail.tls && mail.auth.is_none());
    assert_eq!(sink.attempts_for("a@example.com"), 1);
}

#[tokio::test]
async fn credentials_arrive_encrypted_by_each_mechanism() {
    for encryption in [Encryption::StartTls, Encryption::Implicit] {
        for mechanism in [Mechanism::Plain, Mechanism::Login, Mechanism::Xoauth2] {
            let sink = SmtpSink::start_with(encryption).await;
            let credentials = Credentials::new("me".to_owned(), "secret".to_owned());
            let client = builder(&sink).authentication(vec![mechanism]).credentials(credentials);
            let client: Client = client.build();
            client.send(message(&["a@example.com"])).await.unwrap();
            let mail = sink.one();
            let auth = mail.auth.unwrap();
            assert_eq!((auth.username.as_str(), auth.secret.as_str()), ("me", "secret"));
            assert!(mail.tls);
        }
    }
}

#[tokio::test]
async fn a_client_that_checks_refuses_each_bad_certificate() {
    for bad in [Shown::OtherName, Shown::SelfSigned, Shown::Expired] {
        let sink = SmtpSink::start_with(Encryption::StartTls).await;
        sink.show(bad);
        client(&sink).send(message(&["a@example.com"])).await.unwrap_err();
        sink.show(Shown::Good);
        client(&sink).send(message(&["a@example.com"])).await.unwrap();
        assert_eq!(sink.one().session, 1, "{bad:?}");
    }
}

#[tokio::test]
async fn a_client_sees_the_scripted_codes() {
    for (script, code) in [
        (Script::Reply(Stage::Banner, 554), "554"),
        (Script::Reply(Stage::Mail, 451), "451"),
        (Script::Reply(Stage::Data, 452), "452"),
        (Script::Reply(Stage::Body, 552), "552"),
    ] {
        let sink = SmtpSink::start().await;
        sink.always(script.clone());
        let error = client(&sink).send(message(&["a@example.com"])).await.unwrap_err();
        assert_eq!(error.status().map(|status| status.to_string()).as_deref(), Some(code));
        sink.expect_none();
        assert_eq!(sink.transmissions().len(), usize::from(code == "552"), "{script:?}");
    }
}

#[tokio::test]
async fn ends_and_garbage_are_errors_without_a_code() {
    for stage in [Stage::Banner, Stage::Ehlo, Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Body] {
        for script in [Script::Drop(stage), Script::Reset(stage), Script::GarbageBanner] {
            let sink = SmtpSink::start().await;
            sink.next([script]);
            let error = client(&sink).send(message(&["a@example.com"])).await.unwrap_err();
            assert_eq!(error.status(), None);
            client(&sink).send(message(&["a@example.com"])).await.unwrap();
            assert_eq!(sink.mails().len(), 1, "only the first connection was scripted");
        }
    }
}

#[tokio::test]
async fn a_hang_behind_the_body_leaves_a_mail_that_was_never_acknowledged() {
    let sink = SmtpSink::start().await;
    sink.next([Script::Hang(Stage::Body)]);
    // Not by lettre: its pool keeps the connection of a send that was given up, and this one must close.
    let mut client = TcpStream::connect(sink.smarthost()).await.unwrap();
    let mail = "EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<a@x>\r\nDATA\r\nA: b\r\n\r\nhi\r\n.\r\n";
    client.write_all(mail.as_bytes()).await.unwrap();
    eventually(SOON, || sink.transmissions().len() == 1).await;
    assert!(!sink.sessions()[0].closed);
    drop(client);
    eventually(SOON, || sink.sessions()[0].closed).await;
    sink.expect_none();
}

/// Sends all lines at once and returns all replies up to the end of the connection.
async fn pipelined(sink: &SmtpSink, lines: &str) -> String {
    let stream = TcpStream::connect(sink.smarthost()).await.unwrap();
    let mut stream = BufReader::new(stream);
    let mut banner = String::new();
    stream.read_line(&mut banner).await.unwrap();
    stream.write_all(lines.as_bytes()).await.unwrap();
    let mut replies = String::new();
    stream.read_to_string(&mut replies).await.unwrap();
    replies
}

#[tokio::test]
async fn recipients_have_answers_of_their_own_also_when_pipelined() {
    let sink = SmtpSink::start().await;
    sink.rcpt("bad@x.example", 550);
    sink.rcpt_later("slow@x.example", 451, 1);
    let dialogue = "EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<bad@x.example>\r\nRCPT TO:<slow@x.example>\r\n\
        RCPT TO:<slow@x.example>\r\nRSET\r\nNOOP\r\nQUIT\r\n";
    let replies = pipelined(&sink, dialogue).await;
    let codes: Vec<&str> = replies.lines().skip(6).filter_map(|line| line.get(..3)).collect();
    assert_eq!(codes, ["250", "550", "451", "250", "250", "250", "221"], "{replies}");
    assert_eq!(sink.attempts_for("slow@x.example"), 2);
    assert_eq!(sink.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn what_breaks_the_protocol_is_told() {
    let sink = SmtpSink::start().await;
    let long = "x".repeat(999);
    let dialogue = format!(
        "RCPT TO:<a@x>\r\nEHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<a@x>\r\nDATA\r\nA: b\r\n\r\nbare\n{long}\r\né\r\n.single\r\n.\r\nQUIT\r\n"
    );
    pipelined(&sink, &dialogue).await;
    assert_eq!(
        sink.violations(),
        [
            "RCPT out of order",
            "a bare CR or LF in the mail",
            "a line of the mail is longer than 998 octets",
            "8-bit data without BODY=8BITMIME",
            "a leading dot that is not doubled",
        ]
    );
}
