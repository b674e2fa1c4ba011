//! A mail as the sink took it: envelope, the raw bytes, and what a reader's program would show.

use jiff::Timestamp;
use mail_parser::{MessageParser, PartType};
use tokio::time::Instant;

use super::Auth;

/// One mail that arrived whole.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The connection it came on.
    pub session: usize,
    /// Whether it came encrypted.
    pub tls: bool,
    /// The credentials of its connection.
    pub auth: Option<Auth>,
    /// The envelope's sender; empty for the null sender.
    pub from: String,
    /// The envelope's recipients, those that were accepted.
    pub to: Vec<String>,
    /// The message, dots unstuffed, CRLF kept.
    pub raw: Vec<u8>,
    /// Whether the final 250 was sent.
    pub acknowledged: bool,
    /// When its last byte came.
    pub arrived: Instant,
    /// When its last byte came, by the wall clock.
    pub arrived_at: Timestamp,
    /// The decoded subject.
    pub subject: String,
    /// The decoded `text/plain` part.
    pub text: Option<String>,
    /// The decoded `text/html` part.
    pub html: Option<String>,
    /// The top headers in order, unfolded, not decoded.
    pub headers: Vec<(String, String)>,
    /// The Message-ID without its brackets.
    pub message_id: Option<String>,
}

/// What the connection knew when the mail came.
pub(super) struct Envelope {
    pub(super) session: usize,
    pub(super) tls: bool,
    pub(super) auth: Option<Auth>,
    pub(super) from: String,
    pub(super) to: Vec<String>,
}

impl Mail {
    pub(super) fn parse(envelope: Envelope, raw: Vec<u8>) -> Self {
        let Envelope { session, tls, auth, from, to } = envelope;
        let message = MessageParser::default().parse(&raw).expect("a mail has headers");
        let text = message.parts.iter().find_map(|part| match &part.body {
            PartType::Text(text) => Some(text.clone().into_owned()),
            _ => None,
        });
        let html = message.parts.iter().find_map(|part| match &part.body {
            PartType::Html(html) => Some(html.clone().into_owned()),
            _ => None,
        });
        let headers = message
            .headers_raw()
            .map(|(name, value)| (name.to_owned(), value.replace("\r\n", "").trim().to_owned()))
            .collect();
        Self {
            session,
            tls,
            auth,
            from,
            to,
            acknowledged: true,
            arrived: Instant::now(),
            arrived_at: Timestamp::now(),
            subject: message.subject().unwrap_or_default().to_owned(),
            text,
            html,
            headers,
            message_id: message.message_id().map(str::to_owned),
            raw,
        }
    }

    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.as_str())
    }

    /// The values of all headers of this name, in any case.
    pub fn headers_named(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The whole message as text, bad bytes replaced.
    pub fn raw_text(&self) -> String {
        String::from_utf8_lossy(&self.raw).into_owned()
    }
}
