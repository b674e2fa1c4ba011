//! The `server` and `store` sections.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use reqwest::Url;

use super::section::Section;
use super::words::{ServerWords, StoreWords};
use super::{Context, Server, StoreSettings};
use crate::address;
use crate::diagnostic::{At, Diagnostic};
use crate::event::PayloadPolicy;

/// Reads `server`; `None` after an error.
pub(super) fn read(section: &ServerWords<'_>) -> Option<Server> {
    let listen = address(section, "listen", section.listen());
    let private_listen = address(section, "private_listen", section.private_listen());
    if let Some(private) = private_listen {
        warn_if_open(section, private);
    }
    if let (Some(public), Some(private)) = (listen, private_listen) {
        check_pair(section, public, private);
    }
    Some(Server {
        public_url: base_url(section, "public_url", section.public_url()),
        external_url: base_url(section, "external_url", section.external_url()),
        max_body: section.max_body(),
        shutdown_timeout: section.shutdown_timeout(),
        trusted_proxies: networks(section, "trusted_proxies", section.trusted_proxies()),
        allowed_sources: networks(section, "allowed_sources", section.allowed_sources()),
        allowed_targets: networks(section, "allowed_targets", section.allowed_targets()),
        listen: listen?,
        private_listen: private_listen?,
    })
}

/// Reads `store`; `None` after an error.
pub(super) fn read_store(section: &StoreWords<'_>) -> Option<StoreSettings> {
    let retention = section.retention();
    let payload = match section.payload() {
        "full" => PayloadPolicy::Full,
        "none" => PayloadPolicy::None,
        _ => PayloadPolicy::Redacted,
    };
    let url = section.url().value;
    let path = match url.strip_prefix("sqlite:") {
        Some(path) if !path.is_empty() && !path.starts_with("//") => Some(PathBuf::from(path)),
        None if url.starts_with("postgres:") || url.starts_with("postgresql:") => {
            section.error("url", "PostgreSQL is not in this version of tollbell: use sqlite:");
            None
        }
        _ => {
            section.error("url", "expected sqlite: and a path, such as sqlite:data/tollbell.db");
            None
        }
    };
    let path = path?;
    Some(StoreSettings { path, retention, payload, restored: false })
}

fn check_pair(section: &Section<'_>, public: SocketAddr, private: SocketAddr) {
    let same_host = public.ip() == private.ip()
        || public.ip().is_unspecified()
        || private.ip().is_unspecified();
    if public.port() == private.port() && public.port() != 0 && same_host {
        section.error("private_listen", "the two listeners have the same address");
    }
}

/// Everything behind the private listener can be read by whoever reaches it.
fn warn_if_open(section: &Section<'_>, private: SocketAddr) {
    if !private.ip().is_loopback() {
        let message = "not a loopback address: whoever reaches it can read alerts and events";
        section.push(
            Diagnostic::warning(
                section.place("private_listen"),
                section.at("private_listen"),
                message,
            )
            .hint("this version has no authentication there; keep the network closed"),
        );
    }
}

fn address(section: &Section<'_>, name: &str, text: At<String>) -> Option<SocketAddr> {
    let parsed = text.value.parse().ok();
    if parsed.is_none() {
        let diagnostic =
            Diagnostic::error(text.position, section.at(name), "expected an IP address and a port");
        section.push(diagnostic.hint("such as 0.0.0.0:8080, 127.0.0.1:9464 or [::1]:9464"));
    }
    parsed
}

/// Reads an http or https URL. The error never shows the text: such URLs hold tokens.
pub(super) fn http_url(text: &str) -> Result<Url, &'static str> {
    match Url::parse(text) {
        // As JSON writes it; a URL takes each backslash for one more slash, and leads elsewhere.
        Ok(_) if text.contains('\\') => Err("a backslash in the URL: write / where it says \\/"),
        Ok(url) if !matches!(url.scheme(), "http" | "https") => Err("the URL is not http or https"),
        Ok(url) if url.host_str().is_none_or(str::is_empty) => Err("the URL has no host"),
        Ok(url) => Ok(url),
        Err(_) => Err("expected a URL such as https://example.com/path"),
    }
}

/// Reads the URL of somebody who is sent to: not that of a link-local or metadata address, unless that is allowed.
pub(super) fn target_url(text: &str, context: Context<'_>) -> Result<Url, &'static str> {
    let url = http_url(text)?;
    match url.host_str() {
        Some(host) if !is_target(host, context) => Err(address::REASON),
        _ => Ok(url),
    }
}

/// Whether a host may be sent to; a name is looked at when it resolves.
pub(super) fn is_target(host: &str, context: Context<'_>) -> bool {
    let literal = address::literal(host);
    literal.is_none_or(|ip| address::is_permitted_by(ip, context.allowed_targets))
}

fn base_url(section: &Section<'_>, name: &str, text: Option<At<String>>) -> Option<String> {
    let text = text?.value;
    match http_url(&text) {
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            section.error(name, "the URL must end with its path: no ? and no #");
        }
        Ok(url) => return Some(url.as_str().trim_end_matches('/').to_owned()),
        Err(message) => section.error(name, message),
    }
    None
}

fn networks(section: &Section<'_>, name: &str, texts: Vec<At<String>>) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (n, text) in texts.into_iter().enumerate() {
        let parsed = text.value.parse::<IpNet>().ok();
        match parsed.or_else(|| text.value.parse::<IpAddr>().ok().map(IpNet::from)) {
            Some(network) => networks.push(network.trunc()),
            None => section.push(Diagnostic::error(
                text.position,
                format!("{}[{n}]", section.at(name)),
                "expected a network such as 10.0.0.0/8, or an IP address",
            )),
        }
    }
    networks
}
