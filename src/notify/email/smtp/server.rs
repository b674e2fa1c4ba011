//! A server as configured, the connections to it, and where an exchange with it may fail.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::time::Instant;

use super::session::Session;
use crate::notify::email::settings::{Auth, Tls};

/// One SMTP server and the connections to it.
pub(in crate::notify::email) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Tls,
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: Option<ServerName<'static>>,
    pub(super) hello: String,
    pub(super) auth: Option<Auth>,
    pub(super) timeout: Duration,
    pub(super) connections: usize,
    pub(super) parked: Mutex<Vec<Connection>>,
}

/// A connection that is ready for an envelope.
pub(super) struct Connection {
    pub(super) session: Session,
    /// Which password it was opened with.
    pub(super) password: Option<[u8; 32]>,
    pub(super) used: Instant,
    pub(super) mails: u32,
}

/// Where in the exchange an error came up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// TCP, TLS, greeting, EHLO, STARTTLS.
    Connect,
    Auth,
    /// MAIL, RCPT, DATA and the text.
    Mail,
}
