//! One connection of the mail server: the dialogue, and the point where its script bends it.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::mail::Envelope;
use super::wire::{Ended, Wire};
use super::{Attempt, Auth, Encryption, Mail, Script, Session, Stage, State};
use crate::support::certs;
use crate::support::peer::lock;

/// The longest line of a mail with its CRLF, in octets (RFC 5321, 4.5.3.1.6).
const LINE_MAX: usize = 1000;

/// Serves one connection to its end.
pub(super) async fn serve(state: Arc<State>, stream: TcpStream) {
    let script = lock(&state.next).pop_front().unwrap_or_else(|| lock(&state.always).clone());
    let id = {
        let mut sessions = lock(&state.sessions);
        let (id, opened) = (sessions.len(), Instant::now());
        let (commands, tls, auth, closed) = (Vec::new(), false, None, false);
        sessions.push(Session { id, opened, commands, tls, auth, closed });
        let is_over = |session: &Session| {
            session.closed || session.commands.iter().any(|command| command == "QUIT")
        };
        let open = sessions.iter().filter(|session| !is_over(session)).count();
        let most = &mut *lock(&state.most_sessions);
        *most = (*most).max(open);
        id
    };
    let mut wire = Wire::plain(stream);
    if let Script::Slow(pause) = script {
        wire.slow(pause);
    }
    let mut connection = Connection { state, id, script, wire, hello: false, transaction: None };
    let (Ok(()) | Err(Ended)) = connection.dialogue().await;
}

/// A mail being handed over: sender, whether 8-bit was announced, accepted recipients.
struct Transaction {
    from: String,
    eight_bit: bool,
    to: Vec<String>,
}

struct Connection {
    state: Arc<State>,
    id: usize,
    script: Script,
    wire: Wire,
    hello: bool,
    transaction: Option<Transaction>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.record(|session| session.closed = true);
    }
}

impl Connection {
    async fn dialogue(&mut self) -> Result<(), Ended> {
        if self.state.encryption == Encryption::Implicit {
            self.handshake().await?;
        }
        let refused = self.gate(Stage::Banner).await?;
        match refused {
            Some(code) => self.reply(code, "not now").await?,
            None if self.script == Script::GarbageBanner => {
                self.wire.write(b"\x16\x03\x01 SSH-2.0 <html>\xff\xfe\r\n").await?;
            }
            None => self.reply(220, "sink.test ESMTP").await?,
        }
        loop {
            let line = self.line().await?;
            self.command(&line).await?;
        }
    }

    async fn command(&mut self, line: &str) -> Result<(), Ended> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let verb = verb.to_ascii_uppercase();
        // Everything but AUTH is recorded whole; what follows its mechanism is a secret.
        let shown = if verb == "AUTH" { rest.split(' ').next().unwrap_or("") } else { rest };
        let command = format!("{verb} {shown}").trim_end().to_owned();
        self.record(|session| session.commands.push(command));
        match verb.as_str() {
            "EHLO" | "HELO" => self.hello(verb == "EHLO", rest).await,
            "STARTTLS" if self.state.encryption == Encryption::StartTls => self.starttls().await,
            "AUTH" => self.auth(rest).await,
            "MAIL" => self.mail(rest).await,
            "RCPT" => self.rcpt(rest).await,
            "DATA" => self.data().await,
            "RSET" => {
                self.transaction = None;
                self.reply(250, "forgotten").await
            }
            "NOOP" => self.reply(250, "still here").await,
            "QUIT" => {
                self.reply(221, "bye").await?;
                self.wire.close().await;
                Err(Ended)
            }
            _ => self.reply(500, "unknown command").await,
        }
    }

    async fn hello(&mut self, extended: bool, name: &str) -> Result<(), Ended> {
        if name.is_empty() {
            self.violation("EHLO without a name");
        }
        if let Some(code) = self.gate(Stage::Ehlo).await? {
            return self.reply(code, "no hello").await;
        }
        if let Script::OnlyHelo(code) = self.script
            && extended
        {
            return self.reply(code, "what?").await;
        }
        self.hello = true;
        self.transaction = None;
        if !extended {
            return self.reply(250, "sink.test").await;
        }
        if let Script::Offers(lines) = self.script {
            return self.wire.write(in_lines(lines).as_bytes()).await;
        }
        let mut lines = vec!["sink.test", "PIPELINING", "8BITMIME", "SIZE 10485760"];
        if self.must_encrypt() {
            lines.push("STARTTLS");
        } else {
            lines.push("AUTH PLAIN LOGIN XOAUTH2");
        }
        lines.push("HELP");
        self.wire.write(in_lines(&lines).as_bytes()).await
    }

    async fn starttls(&mut self) -> Result<(), Ended> {
        if self.wire.is_encrypted() {
            return self.reply(503, "already encrypted").await;
        }
        if let Some(code) = self.gate(Stage::StartTls).await? {
            return self.reply(code, "no tls now").await;
        }
        if self.wire.has_buffered() {
            self.violation("bytes sent in the clear behind STARTTLS");
        }
        self.reply(220, "go ahead").await?;
        self.hello = false;
        self.handshake().await
    }

    async fn handshake(&mut self) -> Result<(), Ended> {
        self.gate(Stage::Handshake).await?;
        let config = certs::server_config(*lock(&self.state.shown));
        self.wire.encrypt(config).await?;
        self.record(|session| session.tls = true);
        Ok(())
    }

    async fn auth(&mut self, rest: &str) -> Result<(), Ended> {
        if self.must_encrypt() {
            self.violation("credentials sent in the clear");
            return self.reply(538, "encryption required").await;
        }
        if let Some(code) = self.gate(Stage::Auth).await? {
            return self.reply(code, "credentials refused").await;
        }
        let (mechanism, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        let mechanism = mechanism.to_ascii_uppercase();
        let auth = match mechanism.as_str() {
            "PLAIN" => {
                let answer = self.answer(initial, "").await?;
                let mut fields = answer.split('\0').skip(1).map(str::to_owned);
                fields.next().zip(fields.next())
            }
            "LOGIN" => {
                let username = self.answer(initial, "Username:").await?;
                Some((username, self.answer("", "Password:").await?))
            }
            "XOAUTH2" => {
                let answer = self.answer(initial, "").await?;
                let mut fields = answer.split('\u{1}');
                let user = fields.next().and_then(|field| field.strip_prefix("user="));
                let token = fields.next().and_then(|field| field.strip_prefix("auth=Bearer "));
                user.map(str::to_owned).zip(token.map(str::to_owned))
            }
            _ => return self.reply(504, "unknown mechanism").await,
        };
        let Some((username, secret)) = auth else {
            self.violation("malformed credentials");
            return self.reply(501, "malformed").await;
        };
        let auth = Auth { mechanism: mechanism.clone(), username, secret };
        self.record(|session| session.auth = Some(auth));
        let refused = *lock(&self.state.refused_auth);
        let Some(code) = refused else { return self.reply(235, "welcome").await };
        if mechanism == "XOAUTH2" {
            // Google's protocol: the error is a challenge, the client answers it with an empty line.
            self.answer("", r#"{"status":"401"}"#).await?;
        }
        self.reply(code, "5.7.8 credentials refused").await
    }

    /// The decoded answer to a challenge; `initial` when it came along with the command.
    async fn answer(&mut self, initial: &str, challenge: &str) -> Result<String, Ended> {
        let line = if initial.is_empty() {
            self.reply(334, &STANDARD.encode(challenge)).await?;
            self.line().await?
        } else {
            initial.to_owned()
        };
        // "=" stands for an empty answer (RFC 4954, section 4).
        let bytes = STANDARD.decode(if line == "=" { "" } else { &line }).unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn mail(&mut self, rest: &str) -> Result<(), Ended> {
        if !self.hello || self.transaction.is_some() {
            self.violation("MAIL out of order");
            return self.reply(503, "bad sequence").await;
        }
        if self.must_encrypt() {
            self.violation("MAIL before STARTTLS");
            return self.reply(530, "encryption required").await;
        }
        if let Some(code) = self.gate(Stage::Mail).await? {
            return self.reply(code, "no mail from you").await;
        }
        let Some(from) = path(rest, "FROM:") else { return self.reply(501, "malformed").await };
        let eight_bit = rest.to_ascii_uppercase().contains("BODY=8BITMIME");
        self.transaction = Some(Transaction { from, eight_bit, to: Vec::new() });
        self.reply(250, "sender ok").await
    }

    async fn rcpt(&mut self, rest: &str) -> Result<(), Ended> {
        let gate = self.gate(Stage::Rcpt).await?;
        let Some(recipient) = path(rest, "TO:") else { return self.reply(501, "malformed").await };
        let Some(transaction) = &mut self.transaction else {
            self.violation("RCPT out of order");
            return self.reply(503, "bad sequence").await;
        };
        let code = gate.or_else(|| rule_for(&self.state, &recipient)).unwrap_or(250);
        if code == 250 {
            transaction.to.push(recipient.clone());
        }
        let (at, session) = (Instant::now(), self.id);
        lock(&self.state.attempts).push(Attempt { recipient, code, at, session });
        self.reply(code, if code == 250 { "recipient ok" } else { "recipient refused" }).await
    }

    async fn data(&mut self) -> Result<(), Ended> {
        let Some(transaction) = self.transaction.take_if(|open| !open.to.is_empty()) else {
            return self.reply(503, "no valid recipients").await;
        };
        if let Some(code) = self.gate(Stage::Data).await? {
            return self.reply(code, "no data now").await;
        }
        self.reply(354, "go on, end with a dot").await?;
        let raw = self.body(transaction.eight_bit).await?;
        let Transaction { from, to, .. } = transaction;
        let (session, tls) = (self.id, self.wire.is_encrypted());
        let auth = lock(&self.state.sessions)[session].auth.clone();
        let mut mail = Mail::parse(Envelope { session, tls, auth, from, to }, raw);
        mail.acknowledged = false;
        let at = {
            let mut mails = lock(&self.state.mails);
            mails.push(mail);
            mails.len() - 1
        };
        if let Some(code) = self.gate(Stage::Body).await? {
            return self.reply(code, "mail refused").await;
        }
        // Before the reply: a test that saw the client succeed must find the mail.
        lock(&self.state.mails)[at].acknowledged = true;
        self.reply(250, "taken").await
    }

    /// The mail up to its lone dot, with dots unstuffed.
    async fn body(&mut self, eight_bit: bool) -> Result<Vec<u8>, Ended> {
        let mut raw = Vec::new();
        loop {
            let line = self.wire.line().await?;
            if line == b".\r\n" {
                return Ok(raw);
            }
            let text = line.strip_suffix(b"\r\n");
            if text.is_none_or(|text| text.contains(&b'\r')) {
                self.violation("a bare CR or LF in the mail");
            }
            if line.len() > LINE_MAX {
                self.violation("a line of the mail is longer than 998 octets");
            }
            if !eight_bit && !line.is_ascii() {
                self.violation("8-bit data without BODY=8BITMIME");
            }
            match line.strip_prefix(b".") {
                Some(rest) if rest.starts_with(b".") => raw.extend_from_slice(rest),
                Some(rest) => {
                    self.violation("a leading dot that is not doubled");
                    raw.extend_from_slice(rest);
                }
                None => raw.extend_from_slice(&line),
            }
        }
    }

    /// Does what the script says of this stage; a code stands for the reply that the script wants.
    async fn gate(&mut self, stage: Stage) -> Result<Option<u16>, Ended> {
        let changed = lock(&self.state.open).clone();
        let changed = changed.filter(|(below, _)| self.id < *below).map(|(_, script)| script);
        match changed.as_ref().unwrap_or(&self.script).clone() {
            Script::Hang(at) if at == stage => Err(self.wire.hang().await),
            Script::Drop(at) if at == stage => {
                self.wire.close().await;
                Err(Ended)
            }
            Script::Reset(at) if at == stage => {
                self.wire.reset_on_drop();
                Err(Ended)
            }
            Script::Reply(at, code) if at == stage => Ok(Some(code)),
            _ => Ok(None),
        }
    }

    async fn line(&mut self) -> Result<String, Ended> {
        let line = self.wire.line().await?;
        let Some(text) = line.strip_suffix(b"\r\n") else {
            self.violation("a command that does not end in CRLF");
            return Err(Ended);
        };
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// Sends a reply of one line; 421 is followed by the end of the connection (RFC 5321, 3.8).
    async fn reply(&mut self, code: u16, text: &str) -> Result<(), Ended> {
        self.wire.write(format!("{code} {text}\r\n").as_bytes()).await?;
        if code == 421 {
            self.wire.close().await;
            return Err(Ended);
        }
        Ok(())
    }

    fn must_encrypt(&self) -> bool {
        self.state.encryption == Encryption::StartTls && !self.wire.is_encrypted()
    }

    fn record(&self, change: impl FnOnce(&mut Session)) {
        change(&mut lock(&self.state.sessions)[self.id]);
    }

    fn violation(&self, what: &str) {
        lock(&self.state.violations).push(what.to_owned());
    }
}

/// A reply of several lines; a last one without text is a bare code.
fn in_lines(lines: &[&str]) -> String {
    let last = lines.len() - 1;
    let line = |(at, line): (usize, &&str)| match (at == last, *line) {
        (true, "") => "250\r\n".to_owned(),
        (true, line) => format!("250 {line}\r\n"),
        (false, line) => format!("250-{line}\r\n"),
    };
    lines.iter().enumerate().map(line).collect()
}

/// The code that the recipients' rules have for this address, counted off.
fn rule_for(state: &State, recipient: &str) -> Option<u16> {
    let mut rules = lock(&state.rcpt_rules);
    let rule = rules.iter_mut().find(|rule| {
        rule.left != Some(0)
            && rule.recipient.as_deref().is_none_or(|of| of.eq_ignore_ascii_case(recipient))
    })?;
    rule.left = rule.left.map(|left| left - 1);
    Some(rule.code)
}

/// The address between the angle brackets behind `FROM:` or `TO:`.
fn path(rest: &str, prefix: &str) -> Option<String> {
    let (head, tail) = rest.split_at_checked(prefix.len())?;
    let inner = tail.trim_start().strip_prefix('<')?.split_once('>')?.0;
    head.eq_ignore_ascii_case(prefix).then(|| inner.to_owned())
}
