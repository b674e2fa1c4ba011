//! The bytes of one SMTP connection, plain or encrypted, and the ways it can end.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The connection is over, for whatever reason.
pub(super) struct Ended;

/// The longest line that is read, in octets: an endless line must not fill the memory.
const READ_MAX: u64 = 1 << 20;

enum Stream {
    Plain(BufReader<TcpStream>),
    Tls(Box<BufReader<TlsStream<TcpStream>>>),
    /// The handshake failed or is under way.
    Gone,
}

/// Reads lines and writes replies.
pub(super) struct Wire {
    stream: Stream,
    pause: Option<Duration>,
}

impl Wire {
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self { stream: Stream::Plain(BufReader::new(stream)), pause: None }
    }

    /// Sends each byte after a pause from now on.
    pub(super) fn slow(&mut self, pause: Duration) {
        self.pause = Some(pause);
    }

    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// Whether the client has sent more than was read.
    pub(super) fn has_buffered(&self) -> bool {
        matches!(&self.stream, Stream::Plain(stream) if !stream.buffer().is_empty())
    }

    /// One line with its end, as it came.
    pub(super) async fn line(&mut self) -> Result<Vec<u8>, Ended> {
        let mut line = Vec::new();
        let read = match &mut self.stream {
            Stream::Plain(stream) => stream.take(READ_MAX).read_until(b'\n', &mut line).await,
            Stream::Tls(stream) => stream.take(READ_MAX).read_until(b'\n', &mut line).await,
            Stream::Gone => return Err(Ended),
        };
        match read {
            Ok(1..) if line.ends_with(b"\n") => Ok(line),
            Ok(_) | Err(_) => Err(Ended),
        }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        let Some(pause) = self.pause else { return self.write_now(bytes).await };
        for byte in bytes.chunks(1) {
            tokio::time::sleep(pause).await;
            self.write_now(byte).await?;
        }
        Ok(())
    }

    async fn write_now(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        let written = match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes).await,
            Stream::Tls(stream) => {
                let written = stream.write_all(bytes).await;
                written.and(stream.flush().await)
            }
            Stream::Gone => return Err(Ended),
        };
        written.map_err(|_lost| Ended)
    }

    /// Turns the plain stream into an encrypted one.
    pub(super) async fn encrypt(&mut self, config: Arc<ServerConfig>) -> Result<(), Ended> {
        let Stream::Plain(plain) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err(Ended);
        };
        let accepted = TlsAcceptor::from(config).accept(plain.into_inner()).await;
        let stream = accepted.map_err(|_refused| Ended)?;
        self.stream = Stream::Tls(Box::new(BufReader::new(stream)));
        Ok(())
    }

    /// Says nothing more until the client goes away.
    pub(super) async fn hang(&mut self) -> Ended {
        let mut sink = [0; 4096];
        loop {
            let read = match &mut self.stream {
                Stream::Plain(stream) => stream.read(&mut sink).await,
                Stream::Tls(stream) => stream.read(&mut sink).await,
                Stream::Gone => Ok(0),
            };
            if !matches!(read, Ok(1..)) {
                return Ended;
            }
        }
    }

    /// Ends the connection in an orderly way.
    pub(super) async fn close(&mut self) {
        let (Ok(()) | Err(_)) = match &mut self.stream {
            Stream::Plain(stream) => stream.shutdown().await,
            Stream::Tls(stream) => stream.shutdown().await,
            Stream::Gone => Ok(()),
        };
    }

    /// Makes the end of this value a reset.
    pub(super) fn reset_on_drop(&self) {
        let tcp = match &self.stream {
            Stream::Plain(stream) => stream.get_ref(),
            Stream::Tls(stream) => stream.get_ref().get_ref().0,
            Stream::Gone => return,
        };
        tcp.set_zero_linger().expect("the socket is open");
    }
}
