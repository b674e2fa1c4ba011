//! Notifiers against peers that misbehave, over real sockets.

mod certificates;
mod documented;
pub(super) mod samples;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::{TcpListener, TcpStream};

use self::samples::told;
use super::*;
use crate::http::Via;
use crate::secret::Secret;

const SHORT: Duration = Duration::from_millis(400);
const LONG: Duration = Duration::from_secs(20);

fn integration(channel: Channel, timeout: Duration) -> Integration {
    Integration {
        id: "ops/x".to_owned(),
        receiver: "ops".to_owned(),
        channel,
        send_resolved: true,
        resend: None,
        timeout,
        retry: RetryPolicy::default(),
        rate_limit: RateLimit { per_second: 1.0, burst: 3 },
        concurrency: 2,
    }
}

fn slack(address: &str) -> Channel {
    let api_url = Secret::inline(format!("http://{address}/services/T0/B0/planted-token"));
    Channel::Slack(slack::SlackSettings {
        api_url,
        channel: None,
        mention: BTreeMap::new(),
        via: Via::default(),
    })
}

fn webhook(address: &str) -> webhook::WebhookSettings {
    webhook::WebhookSettings {
        url: Secret::inline(format!("http://{address}/hook/planted-token?key=planted-query")),
        secret: Some(Secret::inline("planted-signing-key")),
        max_alerts: 100,
        body: None,
        headers: vec![("Authorization".to_owned(), Secret::inline("Bearer planted-bearer"))],
        via: Via::default(),
    }
}

fn email(port: u16, auth: Option<email::Auth>) -> Channel {
    Channel::Email(email::EmailSettings {
        to: vec!["finance@example.com".to_owned()],
        from: "bell@example.org".to_owned(),
        host: "127.0.0.1".to_owned(),
        port,
        tls: email::Tls::None,
        ca_file: None,
        auth,
        headers: vec![],
        hello: Some("client.example.org".to_owned()),
    })
}

async fn listen() -> (TcpListener, String, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address.to_string(), address.port())
}

async fn send(channel: Channel, timeout: Duration, notification: &Notification) -> Outcome {
    let notifier = Notifier::new(&integration(channel, timeout), &MessageTemplates::default())
        .expect("a notifier");
    notifier.send(notification).await.outcome
}

/// Reads one HTTP request, answers it, and returns what was read.
async fn answer(listener: &TcpListener, reply: &[u8]) -> String {
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let request = read_request(&mut stream).await;
    // The client may have hung up in the midst of a long reply.
    let _written = stream.write_all(reply).await.is_ok();
    let _closed = stream.shutdown().await.is_ok();
    request
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1).and_then(|rest| {
                rest.split("\r\n").next().and_then(|digits| digits.parse::<usize>().ok())
            });
            // Lower case may change lengths of exotic letters; none of the samples here has any.
            if body.len() >= length.unwrap_or(0) {
                return String::from_utf8_lossy(&read).into_owned();
            }
        }
        if stream.read_buf(&mut read).await.expect("a read") == 0 {
            return String::from_utf8_lossy(&read).into_owned();
        }
    }
}

/// Plays an SMTP server: each command is answered by the first matching prefix; unknown ones are never answered.
async fn serve_smtp(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    replies: &[(&str, &str)],
) -> Vec<String> {
    serve_some_mails(stream, replies, usize::MAX).await
}

/// As [`serve_smtp`], and silent once it has taken so many mails.
async fn serve_some_mails(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    replies: &[(&str, &str)],
    mails_max: usize,
) -> Vec<String> {
    let mut stream = BufReader::new(stream);
    let mut heard = Vec::new();
    let mut in_text = false;
    if let Some((_, banner)) = replies.iter().find(|(prefix, _)| prefix.is_empty()) {
        stream.write_all(banner.as_bytes()).await.expect("banner");
    }
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        let command = std::mem::take(&mut line);
        let command = command.trim_end();
        let key = match (in_text, command) {
            (true, ".") => ".",
            (true, _) => continue,
            (false, command) => command,
        };
        let taken = heard.iter().filter(|heard| *heard == ".").count();
        heard.push(key.to_owned());
        if taken >= mails_max {
            continue;
        }
        in_text = key == "DATA";
        let reply =
            replies.iter().find(|(prefix, _)| !prefix.is_empty() && key.starts_with(prefix));
        if let Some((_, reply)) = reply
            && stream.write_all(reply.as_bytes()).await.is_err()
        {
            break;
        }
    }
    heard
}

const GOOD: [(&str, &str); 8] = [
    ("", "220 mx.example.com\r\n"),
    ("EHLO", "250-mx.example.com\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME\r\n"),
    ("AUTH", "235 ok\r\n"),
    ("MAIL", "250 ok\r\n"),
    ("RCPT", "250 ok\r\n"),
    ("DATA", "354 go ahead\r\n"),
    (".", "250 taken\r\n"),
    ("NOOP", "250 ok\r\n"),
];

/// The good script with one line replaced, or taken away.
fn script<'a>(command: &str, reply: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    let mut script: Vec<(&str, &str)> = GOOD.to_vec();
    script.retain(|(prefix, _)| *prefix != command);
    if let Some(reply) = reply {
        let name = GOOD.iter().find(|(prefix, _)| *prefix == command).expect("a command").0;
        script.push((name, reply));
    }
    script
}

#[tokio::test]
async fn http_peers_that_misbehave_cost_no_more_than_the_timeout() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: ";
    let huge = format!("{head}10485760\r\n\r\n{}", "x".repeat(10 << 20));
    for (name, reply, timeout, expected) in [
        ("good", format!("{head}2\r\n\r\nok"), LONG, "delivered"),
        ("ten megabytes", huge, LONG, "retry other"),
        ("garbage", "220 smtp.example.com ESMTP\r\n".to_owned(), LONG, "retry other"),
        ("drop", String::new(), LONG, "retry connect"),
        ("half a body", format!("{head}100\r\n\r\nok"), LONG, "delivered"),
        (
            "redirect",
            "HTTP/1.1 302 F\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".to_owned(),
            LONG,
            "retry clientError",
        ),
    ] {
        let (listener, address, _) = listen().await;
        let notification = samples::spend_limit();
        let (_, outcome) = tokio::join!(
            answer(&listener, reply.as_bytes()),
            send(slack(&address), timeout, &notification)
        );
        assert_eq!(told(&outcome), expected, "{name}: {outcome:?}");
        assert!(!format!("{outcome:?}").contains("planted"), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_hung_http_peer_is_left_in_time() {
    let (listener, address, _) = listen().await;
    let notification = samples::spend_limit();
    let begun = tokio::time::Instant::now();
    let hang = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        read_request(&mut stream).await;
        stream
    };
    let (_stream, outcome) = tokio::join!(hang, send(slack(&address), SHORT, &notification));
    assert_eq!(told(&outcome), "retry timeout");
    assert!(begun.elapsed() < SHORT * 3, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn nobody_listens() {
    let (listener, address, port) = listen().await;
    drop(listener);
    let notification = samples::spend_limit();
    for channel in [slack(&address), Channel::Webhook(webhook(&address)), email(port, None)] {
        let outcome = send(channel, LONG, &notification).await;
        assert_eq!(told(&outcome), "retry connect");
        assert!(!format!("{outcome:?}").contains("planted"), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_webhook_carries_key_and_signature_and_shows_no_secret() {
    let (listener, address, _) = listen().await;
    let notification = samples::spend_limit();
    let reply = b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 88\r\n\r\n\
        {\"error\": \"planted-bearer planted-token planted-query planted-signing-key\"}             ";
    let notifier = Notifier::new(
        &integration(Channel::Webhook(webhook(&address)), LONG),
        &MessageTemplates::default(),
    );
    let notifier = notifier.expect("a notifier");
    let (request, sent) = tokio::join!(answer(&listener, reply), notifier.send(&notification));
    let request = request.to_lowercase();
    for expected in [
        "content-type: application/json",
        "idempotency-key: 0198c8f2-7d1e-7c3a-9d51-3f0c6a1b2c3d",
        "webhook-id: 0198c8f2-7d1e-7c3a-9d51-3f0c6a1b2c3d",
        "webhook-timestamp: 1787253628",
        "webhook-signature: v1,",
        "authorization: bearer planted-bearer",
        "user-agent: tollbell/",
    ] {
        assert!(request.contains(expected), "{expected} in {request}");
    }
    assert_eq!(
        sent.outcome,
        Outcome::Retry {
            reason: Reason::RateLimited,
            after: Some(Duration::from_secs(7)),
            lasting: None,
            maybe_taken: false,
            peer_works: false,
            detail: "status 429: *** *** *** ***".to_owned(),
        }
    );
    assert!(!format!("{notifier:?}").contains("planted"), "{notifier:?}");
}

#[tokio::test]
async fn smtp_peers_that_misbehave_cost_no_more_than_the_timeout() {
    for (command, reply, timeout, expected) in [
        ("NOOP", Some("250 ok\r\n"), LONG, "delivered"),
        ("", None, SHORT, "retry timeout"),
        ("", Some("HTTP/1.1 400 Bad Request\r\n\r\n"), LONG, "retry connect"),
        ("", Some("554 go away\r\n"), LONG, "retry serverError"),
        ("MAIL", Some("450 later\r\n"), LONG, "retry serverError"),
        ("RCPT", Some("550 5.1.1 nobody here\r\n"), LONG, "rejected clientError"),
        ("RCPT", Some("530 5.7.0 log in first\r\n"), LONG, "retry authError"),
        ("DATA", Some("250 out of step\r\n"), LONG, "retry connect"),
        (".", Some("554 5.7.1 refused\r\n"), LONG, "rejected clientError"),
        (".", None, SHORT, "retry timeout"),
    ] {
        let (listener, _, port) = listen().await;
        let notification = samples::spend_limit();
        let script = script(command, reply);
        let peer = async {
            let (stream, _) = listener.accept().await.expect("a connection");
            serve_smtp(stream, &script).await
        };
        let (_, outcome) = tokio::join!(peer, send(email(port, None), timeout, &notification));
        assert_eq!(told(&outcome), expected, "{command} {reply:?}: {outcome:?}");
        if command == "." && reply.is_none() {
            assert!(format!("{outcome:?}").contains("may have been taken"), "{outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_connection_is_kept_after_success_and_closed_after_a_hang() {
    let (listener, _, port) = listen().await;
    let mut notification = samples::spend_limit();
    let notifier =
        Notifier::new(&integration(email(port, None), SHORT), &MessageTemplates::default())
            .expect("a notifier");
    let hangs = script(".", None);
    let peer = async {
        let (stream, _) = listener.accept().await.expect("a connection");
        let hung = serve_smtp(stream, &hangs).await;
        let (stream, _) = listener.accept().await.expect("a connection");
        (hung, serve_smtp(stream, &GOOD).await)
    };
    let sends = async {
        let mut outcomes = Vec::new();
        for _ in 0..3 {
            outcomes.push(told(&notifier.send(&notification).await.outcome));
        }
        notification.target = "not an address".to_owned();
        outcomes.push(told(&notifier.send(&notification).await.outcome));
        drop(notifier);
        outcomes
    };
    let ((hung, good), outcomes) = tokio::join!(peer, sends);
    assert_eq!(outcomes, ["retry timeout", "delivered", "delivered", "rejected clientError"]);
    assert_eq!(hung.last().map(String::as_str), Some("."));
    assert_eq!(good.iter().filter(|command| command.starts_with("EHLO")).count(), 1);
    assert_eq!(good.iter().filter(|command| command.starts_with("MAIL")).count(), 2);
}

#[tokio::test]
async fn of_kept_connections_that_fell_silent_one_is_waited_for() {
    let (listener, _, port) = listen().await;
    let notification = samples::spend_limit();
    let integration = Integration { concurrency: 3, ..integration(email(port, None), LONG) };
    let notifier = Notifier::new(&integration, &MessageTemplates::default()).expect("a notifier");
    let peer = async {
        let mut silent = Vec::new();
        for _ in 0..3 {
            silent.push(listener.accept().await.expect("a connection").0);
        }
        let silent = silent.into_iter().map(|stream| serve_some_mails(stream, &GOOD, 1));
        let new = async {
            let (stream, _) = listener.accept().await.expect("a connection");
            serve_smtp(stream, &GOOD).await
        };
        tokio::join!(join_all(silent), new)
    };
    let sends = async {
        let send = || async { told(&notifier.send(&notification).await.outcome) };
        let at_once = join_all([send(), send(), send()]).await;
        let next = send().await;
        drop(notifier);
        (at_once, next)
    };
    let ((silent, new), outcomes) = tokio::join!(peer, sends);
    assert_eq!(outcomes, (vec!["delivered".to_owned(); 3], "delivered".to_owned()));
    let mails =
        |heard: &Vec<String>| heard.iter().filter(|command| command.starts_with("MAIL")).count();
    let mut asked: Vec<usize> = silent.iter().map(mails).collect();
    asked.sort_unstable();
    assert_eq!((asked, mails(&new)), (vec![1, 1, 2], 1));
}

#[tokio::test]
async fn a_new_password_gets_a_new_connection() {
    let (listener, _, port) = listen().await;
    let notification = samples::spend_limit();
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "old\n").expect("written");
    let auth = email::Auth {
        mechanism: email::Mechanism::Plain,
        username: "bell".to_owned(),
        password: Secret::File(file.path().to_path_buf()),
    };
    let notifier =
        Notifier::new(&integration(email(port, Some(auth)), LONG), &MessageTemplates::default())
            .expect("a notifier");
    let refuses = script("AUTH", Some("535 5.7.8 planted\r\n"));
    let peer = async {
        let (stream, _) = listener.accept().await.expect("a connection");
        let first = serve_smtp(stream, &GOOD).await;
        let (stream, _) = listener.accept().await.expect("a connection");
        (first, serve_smtp(stream, &refuses).await)
    };
    let sends = async {
        let first = notifier.send(&notification).await.outcome;
        std::fs::write(file.path(), "new").expect("written");
        (first, notifier.send(&notification).await.outcome)
    };
    let ((first, second), outcomes) = tokio::join!(peer, sends);
    assert_eq!(
        (told(&outcomes.0), told(&outcomes.1)),
        ("delivered".to_owned(), "retry authError".to_owned())
    );
    assert!(!format!("{:?}", outcomes.1).contains("planted"), "{:?}", outcomes.1);
    // \0bell\0old and \0bell\0new in base64.
    assert!(first.contains(&"AUTH PLAIN AGJlbGwAb2xk".to_owned()), "{first:?}");
    assert!(second.contains(&"AUTH PLAIN AGJlbGwAbmV3".to_owned()), "{second:?}");
}

#[tokio::test]
async fn starttls_is_required_unless_waived() {
    let (listener, _, port) = listen().await;
    let notification = samples::spend_limit();
    let Channel::Email(mut settings) = email(port, None) else { unreachable!() };
    settings.tls = email::Tls::StartTls;
    let peer = async {
        let (stream, _) = listener.accept().await.expect("a connection");
        serve_smtp(stream, &GOOD).await
    };
    let (heard, outcome) = tokio::join!(peer, send(Channel::Email(settings), LONG, &notification));
    assert_eq!(told(&outcome), "retry connect");
    assert!(heard.iter().all(|command| !command.starts_with("MAIL")), "{heard:?}");
}

#[test]
fn previews_need_no_network() {
    let notification = samples::spend_limit();
    for channel in [slack("x"), email(25, None), Channel::Webhook(webhook("x"))] {
        let preview =
            preview(&channel, &notification, &MessageTemplates::default()).expect("renders");
        assert!(preview.contains("Messaging profile reached its spend limit"), "{preview}");
    }
}
