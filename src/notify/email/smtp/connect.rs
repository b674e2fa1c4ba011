//! How a session begins: TCP, TLS at once or by STARTTLS, greeting.

use std::io;
use std::sync::Arc;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::failure::Failure;
use super::server::Server;
use super::session::{self, Session};
use super::wire::{Wire, WireError};
use crate::address;
use crate::notify::email::Tls;
use crate::tls;

/// Why no session came about.
pub(super) enum Unreached {
    Failure(Failure),
    /// In words of ours.
    Explained(&'static str),
}

impl<T: Into<Failure>> From<T> for Unreached {
    fn from(failure: T) -> Self {
        Self::Failure(failure.into())
    }
}

impl Server {
    /// A session that is as secure as it has to be.
    pub(super) async fn greeted(&self) -> Result<Session, Unreached> {
        let mut wire = Wire::new(self.dial().await.map_err(WireError::Lost)?);
        if self.tls == Tls::Implicit {
            wire = self.encrypt(wire).await?;
        }
        let greeting = tokio::select! {
            reply = wire.reply() => reply?,
            () = self.speaks_tls_at_once() => return Err(Unreached::Explained(
                "the server says nothing, and speaks TLS from the first byte: set `tls: implicit`",
            )),
        };
        session::positive(greeting)?;
        let mut session = Session::open(wire, &self.hello).await?;
        if self.tls == Tls::StartTls {
            if !session.offers.starttls {
                return Err(Unreached::Explained(
                    "the server does not offer STARTTLS, which is required",
                ));
            }
            session::positive(session.wire.command("STARTTLS").await?)?;
            session = Session::open(self.encrypt(session.wire).await?, &self.hello).await?;
        }
        Ok(session)
    }

    async fn encrypt(&self, wire: Wire) -> Result<Wire, Unreached> {
        let Some(name) = self.name.clone() else {
            return Err(Unreached::Explained("the server's name is no name for a certificate"));
        };
        Ok(wire.encrypt(Arc::clone(&self.config), name).await?)
    }

    /// One TCP connection. Half of the time for each address, so that a dead first one leaves time for a second.
    async fn dial(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the server's name has no address");
        for found in tokio::net::lookup_host((self.host.as_str(), self.port)).await? {
            if !address::is_permitted(found.ip()) {
                last = io::Error::other(address::REASON);
                continue;
            }
            match timeout(self.timeout / 2, TcpStream::connect(found)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => last = error,
                Err(_elapsed) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }

    /// Resolves when the server waits for TLS, where we wait for its greeting; else never. Looks late and on a connection
    /// of its own, and there only after more silence: servers may greet slowly on purpose, and turn away who talks first.
    async fn speaks_tls_at_once(&self) {
        let Some(name) = self.name.clone().filter(|_| self.tls != Tls::Implicit) else {
            return std::future::pending().await;
        };
        sleep(self.timeout * 6 / 10).await;
        if let Ok(mut stream) = self.dial().await
            && timeout(self.timeout / 10, stream.read_u8()).await.is_err()
        {
            let connector = TlsConnector::from(Arc::clone(&self.config));
            match connector.connect(name, stream).await {
                Ok(_) => return,
                Err(error) if tls::is_answered(&error) => return,
                Err(_) => {}
            }
        }
        std::future::pending::<()>().await;
    }
}
