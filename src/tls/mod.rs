//! TLS: as a client, and for our listeners.

mod client;
mod server;

pub use self::client::TlsError;
pub(crate) use self::client::{advice, client_config, is_answered};
pub(crate) use self::server::{Acceptor, Certificate, HandshakeFailure, Stream, any_certificate};
