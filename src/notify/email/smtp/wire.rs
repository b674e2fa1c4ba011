//! The lines of SMTP over one connection, plain or encrypted: commands out, replies in.
//!
//! Takes replies as RFC 5321 asks of a client and as old servers write them: over one line or many, with or without
//! text, in any character set. Every reply has a bound.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::BufReader;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
};
use tokio_rustls::TlsConnector;

use crate::tls;

/// Longest reply over all its lines, in bytes.
const REPLY_BYTES_MAX: usize = 32 * 1024;

/// What both kinds of connection are.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection to a mail server.
pub(super) struct Wire(BufReader<Box<dyn Stream>>);

/// What a server said to one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) code: u16,
    /// The text of each line, without the code.
    pub(super) lines: Vec<String>,
}

/// Why there is no reply.
#[derive(Debug)]
pub(super) enum WireError {
    /// The connection broke.
    Lost(io::Error),
    /// The server closed it.
    Closed,
    /// What came is no SMTP.
    NotSmtp,
    /// The server sent more than belongs to its answer to STARTTLS: someone may have put it in on the way.
    Injected,
}

impl Wire {
    pub(super) fn new(stream: impl Stream + 'static) -> Self {
        Self(BufReader::new(Box::new(stream)))
    }

    /// Goes on encrypted.
    pub(super) async fn encrypt(
        self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, WireError> {
        if !self.0.buffer().is_empty() {
            return Err(WireError::Injected);
        }
        let connected = TlsConnector::from(config).connect(name, self.0.into_inner()).await;
        Ok(Self::new(connected.map_err(WireError::Lost)?))
    }

    /// Whether nothing has come meanwhile, nor the end: between commands a server speaks only to say that it closes. Does
    /// not wait.
    pub(super) async fn is_quiet(&mut self) -> bool {
        tokio::select! {
            biased;
            _ = self.0.fill_buf() => false,
            () = std::future::ready(()) => true,
        }
    }

    /// Sends one line and reads the reply.
    pub(super) async fn command(&mut self, line: &str) -> Result<Reply, WireError> {
        self.write(format!("{line}\r\n").as_bytes()).await?;
        self.reply().await
    }

    /// Sends a mail's text with its end and reads the reply.
    pub(super) async fn text(&mut self, bytes: &[u8]) -> Result<Reply, WireError> {
        self.write(&stuffed(bytes)).await?;
        self.reply().await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        self.0.write_all(bytes).await.map_err(WireError::Lost)?;
        self.0.flush().await.map_err(WireError::Lost)
    }

    /// Reads one reply, which counts by its last line.
    pub(super) async fn reply(&mut self) -> Result<Reply, WireError> {
        let mut lines = Vec::new();
        let mut left = REPLY_BYTES_MAX;
        loop {
            let mut line = Vec::new();
            let bound = u64::try_from(left).unwrap_or(u64::MAX);
            let read = (&mut self.0).take(bound).read_until(b'\n', &mut line).await;
            left -= read.map_err(WireError::Lost)?;
            if !line.ends_with(b"\n") {
                // Cut by the end of the connection, or by our own bound.
                let ended = line.is_empty() && left > 0;
                return Err(if ended { WireError::Closed } else { WireError::NotSmtp });
            }
            let line = String::from_utf8_lossy(&line);
            let (code, last, text) = parse(&line).ok_or(WireError::NotSmtp)?;
            lines.push(text.to_owned());
            if last {
                return Ok(Reply { code, lines });
            }
        }
    }
}

/// Code, whether it is the last line, and text of a reply's line. `250` alone is a whole reply.
fn parse(line: &str) -> Option<(u16, bool, &str)> {
    let line = line.trim_end_matches(['\r', '\n']);
    let (digits, rest) = line.split_at_checked(3)?;
    let code: u16 = digits.parse().ok()?;
    let is_reply = (200..600).contains(&code) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let (last, text) = match rest.as_bytes().first() {
        None | Some(b' ' | b'\t') => (true, rest.trim()),
        Some(b'-') => (false, rest.trim_start_matches('-').trim()),
        Some(_) => return None,
    };
    is_reply.then_some((code, last, text))
}

/// A mail as DATA wants it: each line ends in CRLF, a leading dot is doubled, a lone dot ends it (RFC 5321, 4.5.2).
fn stuffed(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 64 + 5);
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
        let (line, tail) = rest.split_at(end);
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
        rest = tail.strip_prefix(b"\r\n").or_else(|| tail.get(1..)).unwrap_or_default();
    }
    out.extend_from_slice(b".\r\n");
    out
}

impl Reply {
    /// Whether it says yes (2yz) or go on (3yz).
    pub(super) fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// All of its text.
    pub(super) fn text(&self) -> String {
        self.lines.join(" ")
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the server closed the connection"),
            Self::NotSmtp => f.write_str("the server does not speak SMTP"),
            Self::Injected => {
                f.write_str("bytes in the clear behind the answer to STARTTLS: not trusted")
            }
            Self::Lost(error) => {
                write!(f, "{error}")?;
                match tls::advice(error) {
                    Some(advice) => write!(f, ": {advice}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl Error for WireError {}

#[cfg(test)]
mod tests {
    use super::*;

    async fn reply(bytes: &[u8]) -> Result<Reply, WireError> {
        let (mut server, client) = tokio::io::duplex(64 * 1024);
        server.write_all(bytes).await.expect("written");
        drop(server);
        Wire::new(client).reply().await
    }

    #[tokio::test]
    async fn a_reply_may_have_one_line_or_many_and_no_text() {
        for (bytes, code, lines) in [
            (&b"250 ok\r\n"[..], 250, vec!["ok"]),
            (b"250\r\n", 250, vec![""]),
            (b"250 \r\n", 250, vec![""]),
            (b"220-a\r\n220-\r\n220 c\r\n", 220, vec!["a", "", "c"]),
            (b"250-a\r\n250\r\n", 250, vec!["a", ""]),
            (b"250-a\n550 no\n", 550, vec!["a", "no"]),
            (b"220 caf\xe9\r\n", 220, vec!["caf\u{fffd}"]),
        ] {
            let lines = lines.into_iter().map(str::to_owned).collect();
            assert_eq!(reply(bytes).await.expect("a reply"), Reply { code, lines });
        }
    }

    #[tokio::test]
    async fn what_is_no_reply_is_said_to_be_none() {
        for bytes in [
            &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
            b"HTTP/1.1 400 Bad Request\r\n",
            b"\x15\x03\x01\x00\x02\x02\x0a\r\n",
            b"+20 ok\r\n",
            b"99\r\n",
            b"199 a\r\n",
            b"600 a\r\n",
            b"250_a\r\n",
            b"220 half a li",
            &vec![b'2'; 2 * REPLY_BYTES_MAX],
            &b"250-x\r\n".repeat(REPLY_BYTES_MAX / 4),
        ] {
            assert!(matches!(reply(bytes).await, Err(WireError::NotSmtp)), "{bytes:?}");
        }
        assert!(matches!(reply(b"").await, Err(WireError::Closed)));
        assert!(matches!(reply(b"250-a\r\n").await, Err(WireError::Closed)));
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_or_spoken_to_is_not_quiet() {
        let (mut server, client) = tokio::io::duplex(64);
        let mut wire = Wire::new(client);
        assert!(wire.is_quiet().await);
        assert!(wire.is_quiet().await, "to look changes nothing");
        server.write_all(b"421 idle for too long\r\n").await.expect("written");
        assert!(!wire.is_quiet().await);
        let (server, client) = tokio::io::duplex(64);
        drop(server);
        assert!(!Wire::new(client).is_quiet().await);
    }

    #[test]
    fn a_text_ends_only_with_its_own_dot() {
        for (text, expected) in [
            ("", ".\r\n"),
            ("a\r\n", "a\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            (".\r\n..b\r\n\r\n.", "..\r\n...b\r\n\r\n..\r\n.\r\n"),
            ("a\n.\nb\r.\r", "a\r\n..\r\nb\r\n..\r\n.\r\n"),
        ] {
            assert_eq!(String::from_utf8(stuffed(text.as_bytes())).expect("text"), expected);
        }
    }
}
