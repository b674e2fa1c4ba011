//! The SMTP exchange: connect, secure, authenticate, one envelope with one recipient, keep the connection.
//!
//! Receives a finished mail; promises an [`Outcome`] shortly before the integration's `timeout`. A connection is kept for
//! the next mail only after a complete exchange: one that timed out or failed half-way is closed, so a hung server cannot
//! spoil a later mail. Whether a kept connection still lives shows at the next mail's MAIL, which has no effect of its
//! own: if there is no yes, a new connection begins anew. So nothing is said that no mail needs, and a server that counts
//! mails or idle words for each connection ([`MAILS_MAX`]) never has a reason to put a mail aside.
//!
//! The protocol is spoken here ([`wire`], [`session`]) and not by lettre, which makes the mails: its connection compares
//! the words of EHLO with their capitals, knows no HELO, keeps what a server offers to itself, and cannot be asked for any
//! of it.
//!
//! | what happens                                | outcome                                     |
//! |---------------------------------------------|---------------------------------------------|
//! | 4yz at any point                            | retry, serverError                          |
//! | 530, 534, 535, 538; AUTH refused or unknown | retry, authError                            |
//! | 5yz to MAIL, RCPT, DATA or the text         | rejected, clientError: this address alone   |
//! | 5yz before that: not about this mail        | retry, serverError                          |
//! | no connection, TLS fails or is not offered, connection lost, no SMTP spoken | retry, connect |
//! | deadline                                    | retry, timeout; says whether it may have been taken |

mod connect;
mod failure;
mod server;
mod session;
mod wire;

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::pki_types::ServerName;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout, timeout_at};

use self::connect::Unreached;
pub(super) use self::failure::Envelope;
use self::failure::Failure;
pub(super) use self::server::Server;
use self::server::{Connection, Phase};
use self::session::Session;
use super::settings::{EmailSettings, Tls};
use crate::notify::{NotifyError, Outcome, Reason, http};
use crate::text::one_line;
use crate::tls::{self, TlsError};

/// How long an idle connection is kept; servers hang up after some minutes.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Mails over one connection at most. Exim takes more, but from the 11th on it only queues them for its next queue run
/// (`smtp_accept_queue_per_connection` is 10), which comes every half hour on Debian, and answers 250 all the same.
const MAILS_MAX: u32 = 10;
/// How long one kept connection may take for its MAIL, and no second one may; a new one has all the time there is.
const KEPT_PATIENCE: Duration = Duration::from_secs(2);
/// How long to wait for the answer to a QUIT, once the outcome is known.
const QUIT_PATIENCE: Duration = Duration::from_millis(500);
/// Longest quotation of a server's reply, in characters.
const QUOTE_CHARACTERS: usize = 120;
/// Longest explanation of ours, in characters.
const DETAIL_CHARACTERS: usize = 400;

impl Server {
    pub(super) fn new(
        settings: &EmailSettings,
        timeout: Duration,
        connections: usize,
    ) -> Result<Self, NotifyError> {
        let host = settings.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let ca_file = settings.ca_file.as_deref().filter(|_| settings.tls != Tls::None);
        let name = ServerName::try_from(host.trim_end_matches('.').to_owned()).ok();
        if name.is_none() && settings.tls != Tls::None {
            return Err(TlsError::Setup(format!("{host:?} is no name for a certificate")).into());
        }
        Ok(Self {
            config: Arc::new(tls::client_config(ca_file)?),
            name,
            host,
            port: settings.port,
            tls: settings.tls,
            hello: hello(settings.hello.as_deref())?,
            auth: settings.auth.clone(),
            timeout,
            connections: connections.max(1),
            parked: Mutex::default(),
        })
    }

    /// Hands an envelope over.
    pub(super) async fn deliver(&self, envelope: &Envelope<'_>) -> Outcome {
        // A little earlier than the caller's own bound, which knows less about what was going on.
        let deadline = Instant::now() + self.timeout.saturating_sub(self.timeout / 10);
        let text_begun = AtomicBool::new(false);
        let exchange = async {
            let (mut connection, begun) = self.begin(envelope).await?;
            let handed_over = match begun {
                Ok(()) => connection.hand_over(envelope, &text_begun).await,
                Err(failure) => Err(failure),
            };
            Ok((connection, handed_over))
        };
        let (mut connection, handed_over) = match timeout_at(deadline, exchange).await {
            Ok(Ok(both)) => both,
            Ok(Err(outcome)) => return outcome,
            Err(_elapsed) => return timed_out(text_begun.into_inner()),
        };
        let outcome = match handed_over {
            Ok(()) => {
                connection.mails += 1;
                Outcome::Delivered
            }
            Err(failure @ Failure::Wire(_)) if text_begun.load(Ordering::Relaxed) => {
                may_be_taken(classify(Phase::Mail, &failure))
            }
            Err(failure) => classify(Phase::Mail, &failure),
        };
        let done = outcome == Outcome::Delivered && connection.mails < MAILS_MAX;
        let left_over = if done { self.park(connection) } else { Some(connection) };
        if let Some(connection) = left_over {
            connection.quit(QUIT_PATIENCE.min(deadline.duration_since(Instant::now()))).await;
        }
        outcome
    }

    /// A connection to which the sender was named, and what the server said to it. A kept one that says no, nothing, or is
    /// gone gives way to a new one: it may only have had enough of us.
    async fn begin(
        &self,
        envelope: &Envelope<'_>,
    ) -> Result<(Connection, Result<(), Failure>), Outcome> {
        let password = match &self.auth {
            Some(auth) => Some(http::read_secret(&auth.password, "the password")?),
            None => None,
        };
        let fingerprint = password.as_ref().map(|text| Sha256::digest(text.expose_secret()).into());
        while let Some(mut kept) = self.unpark(fingerprint) {
            // A server that closed it, or said that it will, has done so while nobody looked.
            if !kept.session.wire.is_quiet().await {
                continue;
            }
            match timeout(KEPT_PATIENCE, kept.session.begin(envelope)).await {
                Ok(Ok(())) => return Ok((kept, Ok(()))),
                Ok(Err(Failure::Refused(_) | Failure::NoUtf8)) => kept.quit(QUIT_PATIENCE).await,
                Ok(Err(_)) => {}
                // What swallows this one swallows those that have been idle for longer: they are not waited for in turn.
                Err(_elapsed) => self.parked().clear(),
            }
        }
        let session = self.connect(password.as_ref()).await?;
        let (password, used) = (fingerprint, Instant::now());
        let mut connection = Connection { session, password, used, mails: 0 };
        let begun = connection.session.begin(envelope).await;
        Ok((connection, begun))
    }

    async fn connect(&self, password: Option<&SecretString>) -> Result<Session, Outcome> {
        let session = self.greeted().await.map_err(|failure| match failure {
            Unreached::Failure(failure) => classify(Phase::Connect, &failure),
            Unreached::Explained(detail) => no_connection(detail),
        })?;
        let mut session = session;
        if let (Some(auth), Some(password)) = (&self.auth, password) {
            let accepted = session.authenticate(auth.mechanism, &auth.username, password).await;
            accepted.map_err(|failure| classify(Phase::Auth, &failure))?;
        }
        Ok(session)
    }

    /// The most recently used connection of that password; connections that are too old or of another are closed.
    fn unpark(&self, password: Option<[u8; 32]>) -> Option<Connection> {
        let mut parked = self.parked();
        parked.retain(|kept| kept.password == password && kept.used.elapsed() < IDLE_MAX);
        parked.pop()
    }

    fn parked(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a connection for the next mail; gives it back when there are enough.
    fn park(&self, mut connection: Connection) -> Option<Connection> {
        connection.used = Instant::now();
        let mut parked = self.parked();
        if parked.len() >= self.connections {
            return Some(connection);
        }
        parked.push(connection);
        None
    }
}

impl Connection {
    async fn hand_over(
        &mut self,
        envelope: &Envelope<'_>,
        text_begun: &AtomicBool,
    ) -> Result<(), Failure> {
        self.session.address(envelope).await?;
        text_begun.store(true, Ordering::Relaxed);
        self.session.text(envelope).await
    }

    /// Takes leave, without waiting long for the answer.
    async fn quit(mut self, patience: Duration) {
        let _unanswered = timeout(patience, self.session.wire.command("QUIT")).await.is_err();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, tls, .. } = self;
        f.debug_struct("Server")
            .field("host", host)
            .field("port", port)
            .field("tls", tls)
            .finish_non_exhaustive()
    }
}

/// Our name in EHLO: the one that is set, or the machine's, or an address (RFC 5321, 4.1.4).
fn hello(name: Option<&str>) -> Result<String, NotifyError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte);
    let usable = |name: &str| matches!(name.len(), 1..=255) && name.bytes().all(plain);
    let Some(name) = name else {
        let own = hostname::get().ok().and_then(|name| name.into_string().ok());
        return Ok(own.filter(|name| usable(name)).unwrap_or_else(|| "[127.0.0.1]".to_owned()));
    };
    if name.parse::<Ipv4Addr>().is_ok() {
        return Ok(format!("[{name}]"));
    }
    if usable(name) { Ok(name.to_owned()) } else { Err(NotifyError::Hello(name.to_owned())) }
}

fn timed_out(text_begun: bool) -> Outcome {
    let detail = if text_begun {
        "no answer in time, after the text was begun; it may have been taken"
    } else {
        "no answer in time, before the text was begun"
    };
    let outcome = retry(Reason::Timeout, detail.to_owned());
    if text_begun { may_be_taken(outcome) } else { outcome }
}

/// The text was sent, in part or whole, and no answer came.
fn may_be_taken(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Retry { reason, after, lasting, maybe_taken: _, peer_works, detail } => {
            Outcome::Retry { reason, after, lasting, maybe_taken: true, peer_works, detail }
        }
        other => other,
    }
}

fn no_connection(detail: &str) -> Outcome {
    retry(Reason::Connect, one_line(detail, DETAIL_CHARACTERS))
}

fn retry(reason: Reason, detail: String) -> Outcome {
    let (after, lasting) = (None, None);
    Outcome::Retry { reason, after, lasting, maybe_taken: false, peer_works: false, detail }
}

fn classify(phase: Phase, failure: &Failure) -> Outcome {
    match failure {
        Failure::Wire(error) => no_connection(&error.to_string()),
        Failure::Refused(said) => reply(phase, said.code, &said.text()),
        Failure::Auth(code) => reply(phase, *code, ""),
        Failure::NoMechanism(detail) => http::no_credentials(detail),
        Failure::NoUtf8 => {
            let detail = "the address is not ASCII, and the server has no SMTPUTF8".to_owned();
            Outcome::Rejected { reason: Reason::ClientError, detail }
        }
    }
}

/// What a negative reply means.
fn reply(phase: Phase, code: u16, said: &str) -> Outcome {
    let detail = one_line(&format!("{code} {said}"), QUOTE_CHARACTERS);
    match (phase, code) {
        // Said of this mail or this mailbox; the next one may fare better.
        (Phase::Mail, ..500) if code != 421 => Outcome::Retry {
            reason: Reason::ServerError,
            after: None,
            lasting: None,
            maybe_taken: false,
            peer_works: true,
            detail,
        },
        (_, ..500) => retry(Reason::ServerError, detail),
        (Phase::Auth, _) | (_, 530 | 534 | 535 | 538) => retry(Reason::AuthError, detail),
        (Phase::Connect, _) => retry(Reason::ServerError, detail),
        (Phase::Mail, _) => Outcome::Rejected { reason: Reason::ClientError, detail },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::tests::samples::told;

    #[test]
    fn a_reply_means_one_thing() {
        for (phase, code, expected) in [
            (Phase::Connect, 421, "retry serverError"),
            (Phase::Connect, 554, "retry serverError"),
            (Phase::Connect, 530, "retry authError"),
            (Phase::Auth, 454, "retry serverError"),
            (Phase::Auth, 504, "retry authError"),
            (Phase::Auth, 535, "retry authError"),
            (Phase::Mail, 421, "retry serverError"),
            (Phase::Mail, 450, "retry serverError"),
            (Phase::Mail, 452, "retry serverError"),
            (Phase::Mail, 530, "retry authError"),
            (Phase::Mail, 534, "retry authError"),
            (Phase::Mail, 550, "rejected clientError"),
            (Phase::Mail, 552, "rejected clientError"),
            (Phase::Mail, 554, "rejected clientError"),
        ] {
            assert_eq!(told(&reply(phase, code, "said")), expected, "{phase:?} {code}");
        }
    }

    #[test]
    fn the_name_in_ehlo_cannot_smuggle_a_command() {
        assert!(hello(Some("mail.example.com")).is_ok());
        assert_eq!(hello(Some("192.0.2.1")).expect("address"), "[192.0.2.1]");
        assert!(!hello(None).expect("a name").is_empty());
        for name in ["", "a b", "x\r\nMAIL FROM:<>", &"a".repeat(256)] {
            assert!(hello(Some(name)).is_err(), "{name:?}");
        }
    }
}
