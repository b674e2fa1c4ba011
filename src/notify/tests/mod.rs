//! Notifiers against peers that misbehave, over real sockets.

mod certificates;
mod documented;
mod http_peers;
pub(super) mod samples;
mod smtp_peers;
mod smtp_server;

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
        charts: true,
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

#[test]
fn previews_need_no_network() {
    let notification = samples::spend_limit();
    for channel in [slack("x"), email(25, None), Channel::Webhook(webhook("x"))] {
        let preview =
            preview(&channel, &notification, &MessageTemplates::default()).expect("renders");
        assert!(preview.contains("Messaging profile reached its spend limit"), "{preview}");
    }
}
