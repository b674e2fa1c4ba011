//! An entry of `email_configs`.

use lettre::message::Mailbox;
use secrecy::ExposeSecret as _;

use super::diagnostics::quote;
use super::receivers::{Identified, is_header_name};
use super::server::is_target;
use super::words::EmailWords;
use super::{Context, files};
use crate::diagnostic::Diagnostic;
use crate::notify::Channel;
use crate::notify::email::{Auth, EmailSettings, Mechanism, Tls};

/// Recipients of one entry at most.
const RECIPIENTS_MAX: usize = 100;
/// Where mail servers speak TLS from the start (RFC 8314).
const IMPLICIT_PORT: u16 = 465;
/// Headers that tollbell sets itself: a second one would make a mail that servers refuse or read differently.
const OWN_HEADERS: [&str; 12] = [
    "from",
    "to",
    "cc",
    "bcc",
    "subject",
    "date",
    "message-id",
    "in-reply-to",
    "references",
    "mime-version",
    "auto-submitted",
    "sender",
];

/// What is odd about such an address.
const NEEDS_UTF8: &str = "not ASCII before the @: only a mail server with SMTPUTF8 takes such an address, and each on the \
                          way must have it";

/// Reads one entry; `None` after an error.
pub(super) fn read(entry: &EmailWords<'_>, context: Context<'_>) -> Option<Identified> {
    let to = recipients(entry);
    let from = entry.from().map(|from| from.value);
    if from.as_deref().is_some_and(|from| from.parse::<Mailbox>().is_err()) {
        entry.error("from", "not a mail address");
    } else if from.as_deref().is_some_and(needs_utf8) {
        entry.warning("from", NEEDS_UTF8);
    }
    let smarthost = smarthost(entry);
    if smarthost.as_ref().is_some_and(|(host, _)| !is_target(host, context)) {
        entry.error("smarthost", crate::address::REASON);
    }
    let tls = match entry.tls() {
        "implicit" => Tls::Implicit,
        "none" => Tls::None,
        _ => Tls::StartTls,
    };
    if tls == Tls::StartTls && smarthost.as_ref().is_some_and(|(_, port)| *port == IMPLICIT_PORT) {
        let message =
            "port 465 speaks TLS from the first byte, and starttls waits for a greeting in clear";
        let place = entry.place(if entry.has("tls") { "tls" } else { "smarthost" });
        let diagnostic = Diagnostic::warning(place, entry.at("tls"), message);
        entry.push(diagnostic.hint("tls: implicit, or port 587"));
    }
    let auth = if entry.has("auth") { auth(entry, context) } else { None };
    if auth.is_some() && tls == Tls::None {
        entry.warning("auth", "without TLS the password crosses the network in plain text");
    }
    let headers = headers(entry);
    let hello = entry.hello().map(|hello| hello.value);
    if hello.as_deref().is_some_and(|hello| hello.is_empty() || !hello.bytes().all(is_host_byte)) {
        entry.error("hello", "expected a host name");
    }
    let ca_file = files::ca_file(entry, context);
    let (from, (host, port)) = (from?, smarthost?);
    let target = [format!("{host}:{port}"), from.clone()].into_iter().chain(to.clone()).collect();
    let charts = entry.charts();
    let settings =
        EmailSettings { to, from, host, port, tls, ca_file, auth, headers, hello, charts };
    Some((Channel::Email(settings), target))
}

fn recipients(entry: &EmailWords<'_>) -> Vec<String> {
    let to = entry.to();
    if entry.is_empty("to") {
        entry.error("to", "no recipient");
    }
    if to.len() > RECIPIENTS_MAX {
        entry.error("to", format!("more than {RECIPIENTS_MAX} recipients"));
    }
    let mut seen: Vec<String> = Vec::new();
    for (n, address) in to.into_iter().enumerate() {
        let path = format!("{}[{n}]", entry.at("to"));
        if address.value.parse::<Mailbox>().is_err() {
            entry.push(Diagnostic::error(address.position, path, "not a mail address"));
        } else if seen.contains(&address.value) {
            entry.push(Diagnostic::error(address.position, path, "recipient given twice"));
        } else {
            if needs_utf8(&address.value) {
                entry.push(Diagnostic::warning(address.position, path, NEEDS_UTF8));
            }
            seen.push(address.value);
        }
    }
    seen
}

/// Whether what stands before the `@` is beyond ASCII. A domain beyond it has an ASCII form.
fn needs_utf8(address: &str) -> bool {
    address.parse::<Mailbox>().is_ok_and(|mailbox| !mailbox.email.user().is_ascii())
}

fn smarthost(entry: &EmailWords<'_>) -> Option<(String, u16)> {
    let text = entry.smarthost()?.value;
    let parsed = text.rsplit_once(':').and_then(|(host, port)| {
        let port = port.parse::<u16>().ok().filter(|port| *port > 0)?;
        let host = match host.strip_prefix('[') {
            Some(inner) => {
                inner.strip_suffix(']').filter(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok())?
            }
            None => Some(host).filter(|host| !host.is_empty() && host.bytes().all(is_host_byte))?,
        };
        Some((host.to_owned(), port))
    });
    if parsed.is_none() {
        entry.error("smarthost", "expected host:port, such as smtp.example.com:587");
    }
    parsed
}

fn is_host_byte(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_')
}

fn auth(entry: &EmailWords<'_>, context: Context<'_>) -> Option<Auth> {
    let section = entry.auth();
    let mechanism = match section.mechanism() {
        "login" => Mechanism::Login,
        "xoauth2" => Mechanism::XOauth2,
        _ => Mechanism::Plain,
    };
    let password = files::needed_secret(
        &section,
        "password",
        [section.password(), section.password_file()],
        context,
    );
    if let Some(found) = &password
        && found.text.expose_secret().contains(char::is_control)
    {
        section.error(&found.key, "a control character in the password");
    }
    let username = section.username()?.value;
    Some(Auth { mechanism, username, password: password?.secret })
}

fn headers(entry: &EmailWords<'_>) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in entry.headers() {
        let path = format!("{}.{}", entry.at("headers"), quote(&name.value));
        let lower = name.value.to_ascii_lowercase();
        let diagnostic = if !is_header_name(&name.value) {
            Some((name.position, "not the name of a header"))
        } else if OWN_HEADERS.contains(&&*lower) || lower.starts_with("content-") {
            Some((name.position, "tollbell sets this header itself"))
        } else if value.value.contains(char::is_control) {
            Some((value.position, "a control character in a header"))
        } else if headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(&lower)) {
            Some((name.position, "header given twice"))
        } else {
            None
        };
        match diagnostic {
            Some((position, message)) => entry.push(Diagnostic::error(position, path, message)),
            None => headers.push((name.value, value.value)),
        }
    }
    headers
}
