//! One SMTP session: greeting, EHLO, STARTTLS, AUTH, and one envelope after the other.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;
use secrecy::SecretString;

use super::failure::{Envelope, Failure};
use super::wire::{Reply, Wire, WireError};
use crate::notify::email::Mechanism;

/// Challenges of one AUTH that are answered at most.
const CHALLENGES_MAX: usize = 4;
/// Longest command, in bytes without its CRLF (RFC 5321, 4.5.3.1.4).
const COMMAND_BYTES_MAX: usize = 510;

/// What a server said it can do, by the words of its answer to EHLO.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Offers {
    pub(super) starttls: bool,
    pub(super) eight_bit: bool,
    pub(super) utf8: bool,
    /// Mechanisms of AUTH, in capitals.
    pub(super) auth: Vec<String>,
}

impl Offers {
    /// Reads the answer to EHLO: its first line greets, each other line is a keyword in any case. Servers from before the
    /// standard write `AUTH=LOGIN`.
    fn read(reply: &Reply) -> Self {
        let mut offers = Self::default();
        for line in reply.lines.iter().skip(1) {
            let line = line.to_ascii_uppercase();
            let mut words = line.split([' ', '\t', '=']).filter(|word| !word.is_empty());
            match words.next() {
                Some("STARTTLS") => offers.starttls = true,
                Some("8BITMIME") => offers.eight_bit = true,
                Some("SMTPUTF8") => offers.utf8 = true,
                Some("AUTH") => offers.auth.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        offers
    }
}

/// A session that has been greeted.
pub(super) struct Session {
    pub(super) wire: Wire,
    pub(super) offers: Offers,
}

impl Session {
    /// Says who we are, with HELO where the server knows no EHLO (RFC 5321, 3.2).
    pub(super) async fn open(mut wire: Wire, hello: &str) -> Result<Self, Failure> {
        let reply = wire.command(&format!("EHLO {hello}")).await?;
        let offers = match reply.code {
            500 | 502 | 504 => {
                positive(wire.command(&format!("HELO {hello}")).await?)?;
                Offers::default()
            }
            _ => Offers::read(&positive(reply)?),
        };
        Ok(Self { wire, offers })
    }

    /// Proves who we are.
    pub(super) async fn authenticate(
        &mut self,
        mechanism: Mechanism,
        username: &str,
        password: &SecretString,
    ) -> Result<(), Failure> {
        let name = word(mechanism);
        if !self.offers.auth.iter().any(|offered| offered == name) {
            return Err(Failure::NoMechanism(self.alternatives(name)));
        }
        let password = password.expose_secret();
        // XOAUTH2 explains a refusal in a challenge, which is answered with an empty line.
        let (initial, mut answers) = match mechanism {
            Mechanism::Plain => (Some(format!("\0{username}\0{password}")), vec![]),
            Mechanism::Login => (None, vec![password.to_owned(), username.to_owned()]),
            Mechanism::XOauth2 => (
                Some(format!("user={username}\u{1}auth=Bearer {password}\u{1}\u{1}")),
                vec![String::new()],
            ),
        };
        let command = match initial {
            None => format!("AUTH {name}"),
            Some(initial) => {
                let command = format!("AUTH {name} {}", STANDARD.encode(&initial));
                if command.len() <= COMMAND_BYTES_MAX {
                    command
                } else {
                    // RFC 4954, 4: what is too long for a command is the answer to an empty challenge.
                    answers.push(initial);
                    format!("AUTH {name}")
                }
            }
        };
        let mut reply = self.wire.command(&command).await?;
        for _ in 0..CHALLENGES_MAX {
            if reply.code != 334 {
                break;
            }
            let Some(answer) = answers.pop() else { break };
            reply = self.wire.command(&STANDARD.encode(answer)).await?;
        }
        if (200..300).contains(&reply.code) { Ok(()) } else { Err(Failure::Auth(reply.code)) }
    }

    /// Words about what else the server would take, of those that we can.
    fn alternatives(&self, wanted: &str) -> String {
        let known = [Mechanism::Plain, Mechanism::Login, Mechanism::XOauth2].map(word);
        let offered: Vec<&str> =
            known.into_iter().filter(|name| self.offers.auth.iter().any(|it| it == name)).collect();
        if offered.is_empty() {
            format!("the server does not offer AUTH {wanted}")
        } else {
            let offered = offered.join(", ").to_lowercase();
            format!(
                "the server does not offer AUTH {wanted}; of auth.mechanism it offers {offered}"
            )
        }
    }

    /// MAIL: the first word of an envelope, and the proof that a kept connection still lives.
    pub(super) async fn begin(&mut self, envelope: &Envelope<'_>) -> Result<(), Failure> {
        let parameters = self.parameters(envelope)?;
        let from = envelope.from;
        positive(self.wire.command(&format!("MAIL FROM:<{from}>{parameters}")).await?)?;
        Ok(())
    }

    /// RCPT and DATA: from here on the server waits for the text.
    pub(super) async fn address(&mut self, envelope: &Envelope<'_>) -> Result<(), Failure> {
        positive(self.wire.command(&format!("RCPT TO:<{}>", envelope.to)).await?)?;
        let go_ahead = positive(self.wire.command("DATA").await?)?;
        // Anything else is not what DATA is answered with: the replies no longer belong to our commands.
        if go_ahead.code == 354 { Ok(()) } else { Err(WireError::NotSmtp.into()) }
    }

    /// The mail itself.
    pub(super) async fn text(&mut self, envelope: &Envelope<'_>) -> Result<(), Failure> {
        positive(self.wire.text(envelope.bytes).await?)?;
        Ok(())
    }

    /// RFC 6531 and RFC 6152: what is not ASCII must be announced.
    fn parameters(&self, envelope: &Envelope<'_>) -> Result<String, Failure> {
        let mut parameters = String::new();
        if !(envelope.from.is_ascii() && envelope.to.is_ascii()) {
            if !self.offers.utf8 {
                return Err(Failure::NoUtf8);
            }
            parameters.push_str(" SMTPUTF8");
        }
        if !envelope.bytes.is_ascii() && self.offers.eight_bit {
            parameters.push_str(" BODY=8BITMIME");
        }
        Ok(parameters)
    }
}

/// The mechanism's name on the wire.
fn word(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::Plain => "PLAIN",
        Mechanism::Login => "LOGIN",
        Mechanism::XOauth2 => "XOAUTH2",
    }
}

/// A reply that says yes.
pub(super) fn positive(reply: Reply) -> Result<Reply, Failure> {
    if reply.is_positive() { Ok(reply) } else { Err(Failure::Refused(reply)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_is_read_in_any_case_and_in_the_old_way() {
        let lines = |lines: &[&str]| {
            let lines = lines.iter().map(|line| (*line).to_owned()).collect();
            Offers::read(&Reply { code: 250, lines })
        };
        let auth = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let all = Offers {
            starttls: true,
            eight_bit: true,
            utf8: true,
            auth: auth(&["PLAIN", "LOGIN", "LOGIN", "XOAUTH2"]),
        };
        let said = [
            "mx",
            "auth plain login",
            "8BitMime",
            "starttls",
            "AUTH=LOGIN xoauth2",
            "smtpUTF8",
            "",
        ];
        assert_eq!(lines(&said), all);
        // The first line only greets, and a whole answer may be that line.
        assert_eq!(lines(&["STARTTLS AUTH PLAIN"]), Offers::default());
        assert_eq!(lines(&[""]), Offers::default());
    }
}
