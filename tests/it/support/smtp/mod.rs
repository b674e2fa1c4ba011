//! A mail server over real TCP that does what its script says, and records what it saw.
//!
//! It answers by RFC 5321, 3207 (STARTTLS) and 4954 (AUTH), is stricter than real servers about what the client
//! sends ([`SmtpSink::violations`]), and misbehaves only where a [`Script`] tells it to. Scripts may change at
//! any time: they are looked up per connection, and those of a recipient per `RCPT`.

mod mail;
mod session;
mod wire;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

pub use mail::Mail;

use super::certs::{self, Shown};
use super::peer::{Port, lock};
use super::wait::{SOON, eventually, eventually_some};

/// How the sink speaks TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Not at all: `STARTTLS` is neither offered nor understood.
    None,
    /// Offered by `STARTTLS`; before it, `AUTH` and `MAIL` are refused.
    StartTls,
    /// From the first byte (port 465).
    Implicit,
}

/// A point in the dialogue, named by what the client has just done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It has connected; the banner is due.
    Banner,
    /// It has said EHLO or HELO.
    Ehlo,
    /// It has asked for STARTTLS.
    StartTls,
    /// The TLS handshake is due, after STARTTLS or at once with [`Encryption::Implicit`].
    Handshake,
    /// It has begun AUTH.
    Auth,
    /// It has said MAIL.
    Mail,
    /// It has said RCPT.
    Rcpt,
    /// It has said DATA; the 354 is due.
    Data,
    /// It has sent the whole mail; the final 250 is due. The client cannot know whether it was taken.
    Body,
}

/// What one connection does out of the ordinary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// Nothing: every mail is taken.
    Accept,
    /// Falls silent at the stage and keeps the socket open.
    Hang(Stage),
    /// Closes in an orderly way at the stage.
    Drop(Stage),
    /// Closes with a reset at the stage.
    Reset(Stage),
    /// Answers the stage with this code and goes on. For [`Stage::Body`] the mail is not taken.
    Reply(Stage, u16),
    /// Answers EHLO with 250 and these lines, the first of which greets; STARTTLS and AUTH work as ever.
    Offers(&'static [&'static str]),
    /// Knows no EHLO and answers it with this code; HELO works.
    OnlyHelo(u16),
    /// Sends bytes that are no SMTP as its banner.
    GarbageBanner,
    /// Sends each byte of its replies after this pause.
    Slow(Duration),
}

/// Credentials as the client gave them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// `PLAIN`, `LOGIN` or `XOAUTH2`.
    pub mechanism: String,
    /// The user.
    pub username: String,
    /// The password, or the token of XOAUTH2.
    pub secret: String,
}

/// One connection, as far as it came.
#[derive(Debug, Clone)]
pub struct Session {
    /// Counts connections from 0.
    pub id: usize,
    /// When it was accepted.
    pub opened: Instant,
    /// Command lines in order, without secrets of AUTH and bodies.
    pub commands: Vec<String>,
    /// Whether it is (or was) encrypted.
    pub tls: bool,
    /// Credentials, also refused ones.
    pub auth: Option<Auth>,
    /// Whether it has ended.
    pub closed: bool,
}

/// One `RCPT` and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The address, as sent.
    pub recipient: String,
    /// The code it was answered with.
    pub code: u16,
    /// When.
    pub at: Instant,
    /// The [`Session::id`].
    pub session: usize,
}

/// An answer to `RCPT` for one recipient or for all, for a number of times or for ever.
struct RcptRule {
    recipient: Option<String>,
    code: u16,
    left: Option<u32>,
}

/// What the sink and its connections share.
struct State {
    encryption: Encryption,
    shown: Mutex<Shown>,
    next: Mutex<VecDeque<Script>>,
    always: Mutex<Script>,
    /// What connections with a smaller id do from now on.
    open: Mutex<Option<(usize, Script)>>,
    rcpt_rules: Mutex<Vec<RcptRule>>,
    refused_auth: Mutex<Option<u16>>,
    sessions: Mutex<Vec<Session>>,
    most_sessions: Mutex<usize>,
    attempts: Mutex<Vec<Attempt>>,
    mails: Mutex<Vec<Mail>>,
    violations: Mutex<Vec<String>>,
}

/// The scripted mail server. Dropping it closes it.
pub struct SmtpSink {
    state: Arc<State>,
    port: Port,
}

impl SmtpSink {
    /// A server without TLS.
    pub async fn start() -> Self {
        Self::start_with(Encryption::None).await
    }

    /// A server that encrypts as told, with a good certificate until [`SmtpSink::show`] says otherwise.
    pub async fn start_with(encryption: Encryption) -> Self {
        let state = Arc::new(State {
            encryption,
            shown: Mutex::new(Shown::Good),
            next: Mutex::default(),
            always: Mutex::new(Script::Accept),
            open: Mutex::default(),
            rcpt_rules: Mutex::default(),
            refused_auth: Mutex::default(),
            sessions: Mutex::default(),
            most_sessions: Mutex::default(),
            attempts: Mutex::default(),
            mails: Mutex::default(),
            violations: Mutex::default(),
        });
        let served = Arc::clone(&state);
        let port = Port::open(move |stream| session::serve(Arc::clone(&served), stream)).await;
        Self { state, port }
    }

    /// Its port on `127.0.0.1`.
    pub fn port(&self) -> u16 {
        self.port.address().port()
    }

    /// `127.0.0.1:port`, for `smarthost`.
    pub fn smarthost(&self) -> String {
        self.port.address().to_string()
    }

    /// The authority to trust, as a PEM file.
    pub fn ca_pem_path() -> PathBuf {
        certs::ca_pem_path()
    }

    // Scripts.

    /// What connections do from now on, unless [`SmtpSink::next`] has more for them.
    pub fn always(&self, script: Script) {
        *lock(&self.state.always) = script;
    }

    /// What the next connections do, one script each.
    pub fn next(&self, scripts: impl IntoIterator<Item = Script>) {
        lock(&self.state.next).extend(scripts);
    }

    /// What the connections that are open now do from now on.
    pub fn change_open(&self, script: &Script) {
        let open = lock(&self.state.sessions).len();
        *lock(&self.state.open) = Some((open, script.clone()));
    }

    /// Answers every `RCPT` of this address with `code`.
    pub fn rcpt(&self, address: &str, code: u16) {
        self.add_rule(Some(address), code, None);
    }

    /// Answers the next `times` `RCPT`s of this address with `code`.
    pub fn rcpt_later(&self, address: &str, code: u16, times: u32) {
        self.add_rule(Some(address), code, Some(times));
    }

    /// Answers the next `times` `RCPT`s of any address with `code`, as a greylisting server does.
    pub fn later(&self, code: u16, times: u32) {
        self.add_rule(None, code, Some(times));
    }

    /// Forgets the answers for recipients.
    pub fn clear_rcpt(&self) {
        lock(&self.state.rcpt_rules).clear();
    }

    /// Refuses credentials with `code` (535 as a rule) until `None` is given.
    pub fn refuse_auth(&self, code: Option<u16>) {
        *lock(&self.state.refused_auth) = code;
    }

    /// Shows this certificate to connections from now on.
    pub fn show(&self, certificate: Shown) {
        *lock(&self.state.shown) = certificate;
    }

    /// Closes the listener and all connections: connecting is refused.
    pub async fn close(&self) {
        self.port.close().await;
    }

    /// Listens again, on the same port.
    pub async fn reopen(&self) {
        self.port.reopen().await;
    }

    fn add_rule(&self, recipient: Option<&str>, code: u16, left: Option<u32>) {
        let recipient = recipient.map(str::to_owned);
        lock(&self.state.rcpt_rules).push(RcptRule { recipient, code, left });
    }

    // Records.

    /// The mails that were taken (answered with 250), in order.
    pub fn mails(&self) -> Vec<Mail> {
        self.transmissions().into_iter().filter(|mail| mail.acknowledged).collect()
    }

    /// All mails that arrived whole, also those whose 250 was never sent.
    pub fn transmissions(&self) -> Vec<Mail> {
        lock(&self.state.mails).clone()
    }

    /// The only mail taken so far; panics when there is another number of them.
    #[track_caller]
    pub fn one(&self) -> Mail {
        let mut mails = self.mails();
        assert_eq!(mails.len(), 1, "mails taken: {:?}", subjects(&mails));
        assert_eq!(self.violations(), Vec::<String>::new());
        mails.remove(0)
    }

    /// Panics when a mail was taken.
    #[track_caller]
    pub fn expect_none(&self) {
        assert!(self.mails().is_empty(), "mails taken: {:?}", subjects(&self.mails()));
    }

    /// Every `RCPT` so far.
    pub fn attempts(&self) -> Vec<Attempt> {
        lock(&self.state.attempts).clone()
    }

    /// How often this address was named in a `RCPT`.
    pub fn attempts_for(&self, recipient: &str) -> usize {
        self.attempts().iter().filter(|attempt| attempt.recipient == recipient).count()
    }

    /// Every connection so far.
    pub fn sessions(&self) -> Vec<Session> {
        lock(&self.state.sessions).clone()
    }

    /// The most connections at the same time so far; one that said QUIT is over.
    pub fn most_sessions(&self) -> usize {
        *lock(&self.state.most_sessions)
    }

    /// What the client did against the RFCs: bare LF, overlong lines, commands out of order.
    pub fn violations(&self) -> Vec<String> {
        lock(&self.state.violations).clone()
    }

    /// Waits until at least `count` mails were taken, and returns all of them.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> impl Future<Output = Vec<Mail>> {
        eventually_some(SOON, move || Some(self.mails()).filter(|mails| mails.len() >= count))
    }

    /// Waits until this address was named in at least `count` `RCPT`s.
    #[track_caller]
    pub fn wait_for_attempts(&self, recipient: &str, count: usize) -> impl Future<Output = ()> {
        eventually(SOON, move || self.attempts_for(recipient) >= count)
    }

    /// Waits until at least `count` connections were accepted, and returns all of them.
    #[track_caller]
    pub fn wait_for_sessions(&self, count: usize) -> impl Future<Output = Vec<Session>> {
        eventually_some(SOON, move || Some(self.sessions()).filter(|all| all.len() >= count))
    }
}

fn subjects(mails: &[Mail]) -> Vec<&str> {
    mails.iter().map(|mail| mail.subject.as_str()).collect()
}

#[cfg(test)]
mod tests;
