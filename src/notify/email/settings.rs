//! What the configuration says of it.

use std::path::PathBuf;

use crate::secret::Secret;

/// The settings of an `email_configs` entry.
#[derive(Debug, Clone)]
pub struct EmailSettings {
    /// Recipients; each is its own delivery.
    pub to: Vec<String>,
    /// Sender.
    pub from: String,
    /// Server host.
    pub host: String,
    /// Server port.
    pub port: u16,
    /// Transport security.
    pub tls: Tls,
    /// A PEM file of certificate authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Credentials.
    pub auth: Option<Auth>,
    /// Further headers, such as `Reply-To`.
    pub headers: Vec<(String, String)>,
    /// The name in EHLO; the machine's host name when absent.
    pub hello: Option<String>,
    /// Whether mails carry charts.
    pub charts: bool,
}

/// Transport security of SMTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tls {
    /// STARTTLS (RFC 3207), required.
    #[default]
    StartTls,
    /// TLS from the first byte (RFC 8314).
    Implicit,
    /// Plain text.
    None,
}

/// SMTP credentials.
#[derive(Debug, Clone)]
pub struct Auth {
    /// SASL mechanism.
    pub mechanism: Mechanism,
    /// User name.
    pub username: String,
    /// Password, or the bearer token of XOAUTH2.
    pub password: Secret,
}

/// SASL mechanisms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mechanism {
    /// RFC 4616.
    #[default]
    Plain,
    /// The obsolete LOGIN that some servers still want.
    Login,
    /// OAuth 2 bearer token.
    XOauth2,
}
