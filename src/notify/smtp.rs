//! The SMTP exchange: connect, secure, authenticate, one envelope with one recipient, keep the connection.
//!
//! Receives a finished mail; promises an [`Outcome`] shortly before the integration's `timeout`. A connection goes
//! back into the pool only after a complete exchange: one that timed out or failed half-way is closed, so a hung
//! server cannot spoil a later mail. lettre's own pool would take it back, and lettre's own timeout ends with the
//! connect; hence its connections are driven from here, command by command.
//!
//! | what happens                                | outcome                                     |
//! |---------------------------------------------|---------------------------------------------|
//! | 4yz at any point                            | retry, serverError                          |
//! | 530, 534, 535, 538; AUTH refused or unknown | retry, authError                            |
//! | 5yz to MAIL, RCPT, DATA or the text         | rejected, clientError: this address alone   |
//! | 5yz before that: not about this mail        | retry, serverError                          |
//! | no connection, TLS fails or is not offered, connection lost, no SMTP spoken | retry, connect |
//! | deadline                                    | retry, timeout; says whether it may have been taken |

use std::error::Error as _;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism as LettreMechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{
    ClientId, Extension, MailBodyParameter, MailParameter, ServerInfo,
};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout, timeout_at};

use super::email::{Auth, Mechanism, Settings, Tls};
use super::{NotifyError, Outcome, Reason, http};
use crate::http::ClientError;
use crate::text::one_line;

/// How long an idle connection is kept; servers hang up after some minutes.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Mails over one connection at most; many servers hang up after a hundred.
const MAILS_MAX: u32 = 50;
/// How long a kept connection may take to show that it lives.
const NOOP_PATIENCE: Duration = Duration::from_secs(2);
/// How long to wait for the answer to a QUIT, once the outcome is known.
const QUIT_PATIENCE: Duration = Duration::from_millis(500);
/// Longest quotation of a server's reply, in characters.
const QUOTE_CHARACTERS: usize = 120;

/// One SMTP server and the connections to it.
pub(super) struct Server {
    host: String,
    port: u16,
    tls: Tls,
    parameters: Option<TlsParameters>,
    hello: ClientId,
    auth: Option<Auth>,
    timeout: Duration,
    connections: usize,
    parked: Mutex<Vec<Connection>>,
}

/// A mail with one recipient.
#[derive(Debug)]
pub(super) struct Letter<'a> {
    pub(super) from: &'a Address,
    pub(super) to: &'a Address,
    pub(super) bytes: &'a [u8],
}

/// A connection that is ready for an envelope.
struct Connection {
    smtp: AsyncSmtpConnection,
    /// Which password it was opened with.
    password: Option<[u8; 32]>,
    used: Instant,
    mails: u32,
}

/// Where in the exchange an error came up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// TCP, TLS, greeting, EHLO, STARTTLS.
    Connect,
    Auth,
    /// MAIL, RCPT, DATA and the text.
    Mail,
}

impl Server {
    pub(super) fn new(
        settings: &Settings,
        timeout: Duration,
        connections: usize,
    ) -> Result<Self, NotifyError> {
        let host = settings.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let parameters = match settings.tls {
            Tls::None => None,
            Tls::StartTls | Tls::Implicit => Some(tls_parameters(&host, settings)?),
        };
        Ok(Self {
            host,
            port: settings.port,
            tls: settings.tls,
            parameters,
            hello: hello(settings.hello.as_deref())?,
            auth: settings.auth.clone(),
            timeout,
            connections: connections.max(1),
            parked: Mutex::default(),
        })
    }

    /// Hands a letter over.
    pub(super) async fn deliver(&self, letter: &Letter<'_>) -> Outcome {
        // A little earlier than the caller's own bound, which knows less about what was going on.
        let deadline = Instant::now() + self.timeout.saturating_sub(self.timeout / 10);
        let text_begun = AtomicBool::new(false);
        let exchange = async {
            let mut connection = self.connection().await?;
            let handed_over = connection.hand_over(letter, &text_begun).await;
            Ok((connection, handed_over))
        };
        let (mut connection, handed_over) = match timeout_at(deadline, exchange).await {
            Ok(Ok(both)) => both,
            Ok(Err(outcome)) => return outcome,
            Err(_elapsed) => return timed_out(text_begun.into_inner()),
        };
        match handed_over {
            Ok(()) => {
                self.park(connection);
                Outcome::Delivered
            }
            Err(outcome) => {
                let patience = QUIT_PATIENCE.min(deadline.duration_since(Instant::now()));
                let _unanswered = timeout(patience, connection.smtp.abort()).await.is_err();
                outcome
            }
        }
    }

    /// A kept connection that still lives, or a new one.
    async fn connection(&self) -> Result<Connection, Outcome> {
        let password = match &self.auth {
            Some(auth) => Some(http::read_secret(&auth.password, "the password")?),
            None => None,
        };
        let fingerprint = password.as_ref().map(|text| Sha256::digest(text.expose_secret()).into());
        while let Some(mut kept) = self.unpark(fingerprint) {
            if timeout(NOOP_PATIENCE, kept.smtp.test_connected()).await == Ok(true) {
                return Ok(kept);
            }
        }
        let smtp = self.connect(password.as_ref()).await?;
        Ok(Connection { smtp, password: fingerprint, used: Instant::now(), mails: 0 })
    }

    async fn connect(
        &self,
        password: Option<&SecretString>,
    ) -> Result<AsyncSmtpConnection, Outcome> {
        let at_once = self.parameters.clone().filter(|_| self.tls == Tls::Implicit);
        let server = (self.host.as_str(), self.port);
        // Half of the time each, so that a dead first address leaves time for a second.
        let patience = Some(self.timeout / 2);
        let mut smtp =
            AsyncSmtpConnection::connect_tokio1(server, patience, &self.hello, at_once, None)
                .await
                .map_err(|error| classify(Phase::Connect, &error))?;
        if let (Tls::StartTls, Some(parameters)) = (self.tls, &self.parameters) {
            if !smtp.can_starttls() {
                return Err(no_connection("the server does not offer STARTTLS, which is required"));
            }
            let secured = smtp.starttls(parameters.clone(), &self.hello).await;
            secured.map_err(|error| classify(Phase::Connect, &error))?;
        }
        if let (Some(auth), Some(password)) = (&self.auth, password) {
            let password = password.expose_secret().to_owned();
            let credentials = Credentials::new(auth.username.clone(), password);
            let accepted = smtp.auth(&[mechanism(auth.mechanism)], &credentials).await;
            accepted.map_err(|error| classify(Phase::Auth, &error))?;
        }
        Ok(smtp)
    }

    /// The most recently used connection of that password; connections that are too old or of another are closed.
    fn unpark(&self, password: Option<[u8; 32]>) -> Option<Connection> {
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        parked.retain(|kept| kept.password == password && kept.used.elapsed() < IDLE_MAX);
        parked.pop()
    }

    fn park(&self, mut connection: Connection) {
        connection.used = Instant::now();
        connection.mails += 1;
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.mails < MAILS_MAX && parked.len() < self.connections {
            parked.push(connection);
        }
    }
}

impl Connection {
    async fn hand_over(
        &mut self,
        letter: &Letter<'_>,
        text_begun: &AtomicBool,
    ) -> Result<(), Outcome> {
        let failed = |error: Error| classify(Phase::Mail, &error);
        let parameters = mail_parameters(letter, self.smtp.server_info())?;
        let mail = Mail::new(Some(letter.from.clone()), parameters);
        self.smtp.command(mail).await.map_err(failed)?;
        self.smtp.command(Rcpt::new(letter.to.clone(), vec![])).await.map_err(failed)?;
        let go_ahead = self.smtp.command(Data).await.map_err(failed)?;
        if !go_ahead.has_code(354) {
            // Not what DATA is answered with: the replies no longer belong to our commands.
            return Err(no_connection("the server does not speak SMTP"));
        }
        text_begun.store(true, Ordering::Relaxed);
        self.smtp.message(letter.bytes).await.map_err(failed)?;
        Ok(())
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

fn tls_parameters(host: &str, settings: &Settings) -> Result<TlsParameters, NotifyError> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = &settings.ca_file {
        let unusable =
            |why: String| NotifyError::from(ClientError::CaFile { path: path.clone(), why });
        let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
        if !String::from_utf8_lossy(&pem).contains("BEGIN CERTIFICATE") {
            return Err(unusable("no certificate in it".to_owned()));
        }
        let roots = Certificate::from_pem(&pem).map_err(|error| unusable(error.to_string()))?;
        builder = builder.add_root_certificate(roots);
    }
    builder.build_rustls().map_err(|error| ClientError::Tls(error.to_string()).into())
}

fn hello(name: Option<&str>) -> Result<ClientId, NotifyError> {
    let Some(name) = name else { return Ok(ClientId::default()) };
    if let Ok(address) = name.parse() {
        return Ok(ClientId::Ipv4(address));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte);
    match name.len() {
        1..=255 if name.bytes().all(plain) => Ok(ClientId::Domain(name.to_owned())),
        _ => Err(NotifyError::Hello(name.to_owned())),
    }
}

fn mechanism(mechanism: Mechanism) -> LettreMechanism {
    match mechanism {
        Mechanism::Plain => LettreMechanism::Plain,
        Mechanism::Login => LettreMechanism::Login,
        Mechanism::XOauth2 => LettreMechanism::Xoauth2,
    }
}

/// RFC 6531 and RFC 6152: what is not ASCII must be announced.
fn mail_parameters(
    letter: &Letter<'_>,
    server: &ServerInfo,
) -> Result<Vec<MailParameter>, Outcome> {
    let mut parameters = Vec::new();
    let addresses: [&str; 2] = [letter.from.as_ref(), letter.to.as_ref()];
    if !addresses.iter().all(|address| address.is_ascii()) {
        if !server.supports_feature(Extension::SmtpUtfEight) {
            let detail = "the server takes no address beyond ASCII".to_owned();
            return Err(Outcome::Rejected { reason: Reason::ClientError, detail });
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !letter.bytes.is_ascii() && server.supports_feature(Extension::EightBitMime) {
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    Ok(parameters)
}

fn timed_out(text_begun: bool) -> Outcome {
    let detail = if text_begun {
        "no answer in time, after the text was begun; it may have been taken"
    } else {
        "no answer in time, before the text was begun"
    };
    retry(Reason::Timeout, detail.to_owned())
}

fn no_connection(detail: &str) -> Outcome {
    retry(Reason::Connect, detail.to_owned())
}

fn retry(reason: Reason, detail: String) -> Outcome {
    Outcome::Retry { reason, after: None, lasting: None, peer_works: false, detail }
}

fn classify(phase: Phase, error: &Error) -> Outcome {
    match error.status() {
        Some(code) => {
            // What is said to AUTH may repeat the credentials.
            let said = match phase {
                Phase::Auth => None,
                Phase::Connect | Phase::Mail => error.source().map(ToString::to_string),
            };
            reply(phase, code.into(), &said.unwrap_or_default())
        }
        None if phase == Phase::Auth && error.is_client() => {
            http::no_credentials("the server does not offer this mechanism of authentication")
        }
        None if error.is_response() => {
            no_connection("the server closed the connection or does not speak SMTP")
        }
        None => no_connection(&one_line(&error.to_string(), QUOTE_CHARACTERS)),
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
    use crate::notify::samples::told;

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
        assert_eq!(hello(Some("192.0.2.1")).expect("address").to_string(), "[192.0.2.1]");
        for name in ["", "a b", "x\r\nMAIL FROM:<>", &"a".repeat(256)] {
            assert!(hello(Some(name)).is_err(), "{name:?}");
        }
    }
}
