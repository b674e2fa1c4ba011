//! What the HTTP server answers, from a plain status to silence.

use std::time::Duration;

/// How an answer is put on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// As a proper server does.
    Plain,
    /// Nothing comes, the socket stays open.
    Hang,
    /// The socket is closed instead of an answer.
    Close,
    /// The socket is reset instead of an answer.
    Reset,
    /// The head and half of the body come, then the socket is closed.
    CloseMidBody,
    /// The head and half of the body come, then nothing.
    HangMidBody,
    /// Each byte comes after this pause.
    Drip(Duration),
}

/// One scripted answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) wait: Duration,
    pub(super) manner: Manner,
    /// Instead of all of the above: bytes that are no HTTP.
    pub(super) raw: Option<Vec<u8>>,
}

impl Reply {
    /// 200 with the body `ok`.
    pub fn ok() -> Self {
        Self::status(200).body("ok")
    }

    /// A status with an empty body.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            wait: Duration::ZERO,
            manner: Manner::Plain,
            raw: None,
        }
    }

    /// 200 with a JSON body.
    pub fn json(body: &serde_json::Value) -> Self {
        Self::status(200).header("content-type", "application/json").body(body.to_string())
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// 429 with `Retry-After`: seconds or an HTTP date.
    pub fn too_many(retry_after: &str) -> Self {
        Self::status(429).header("retry-after", retry_after).body("rate_limited")
    }

    /// 302 to another URL.
    pub fn redirect(to: &str) -> Self {
        Self::status(302).header("location", to)
    }

    /// 200 with a body of this many bytes.
    pub fn large(bytes: usize) -> Self {
        Self::status(200).body(vec![b'x'; bytes])
    }

    /// Never answers; the socket stays open.
    pub fn hang() -> Self {
        Self { manner: Manner::Hang, ..Self::status(200) }
    }

    /// Closes the socket instead of answering.
    pub fn close() -> Self {
        Self { manner: Manner::Close, ..Self::status(200) }
    }

    /// Resets the socket instead of answering.
    pub fn reset() -> Self {
        Self { manner: Manner::Reset, ..Self::status(200) }
    }

    /// Answers with bytes that are no HTTP, and closes.
    pub fn garbage() -> Self {
        Self { raw: Some(b"\x16\x03\x01 220 mail ready\r\n\r\n".to_vec()), ..Self::status(200) }
    }

    /// Sends the head and half of the body, then closes. The body must have two bytes at least.
    #[must_use]
    pub fn close_mid_body(self) -> Self {
        Self { manner: Manner::CloseMidBody, ..self }
    }

    /// Sends the head and half of the body, then falls silent.
    #[must_use]
    pub fn hang_mid_body(self) -> Self {
        Self { manner: Manner::HangMidBody, ..self }
    }

    /// Sends each byte after a pause.
    #[must_use]
    pub fn drip(self, pause: Duration) -> Self {
        Self { manner: Manner::Drip(pause), ..self }
    }

    /// Waits before it answers.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// The whole answer as bytes, and where its body begins.
    pub(super) fn bytes(&self) -> (Vec<u8>, usize) {
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("content-length: {}\r\n\r\n", self.body.len());
        let mut bytes = head.into_bytes();
        let body_at = bytes.len();
        bytes.extend_from_slice(&self.body);
        (bytes, body_at)
    }
}
