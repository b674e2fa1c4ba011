//! The `server` and `store` sections.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use reqwest::Url;
use secrecy::ExposeSecret as _;

use super::files;
use super::section::Section;
use super::words::{ListenerTlsWords, ServerWords, StoreWords};
use super::{Context, Server, StoreSettings, database};
use crate::address;
use crate::api::Tokens;
use crate::diagnostic::{At, Diagnostic};
use crate::event::PayloadPolicy;
use crate::http::Proxy;
use crate::secret::Secret;
use crate::store::{self, Place};
use crate::tls::Certificate;

/// Reads `server`; `None` after an error.
pub(super) fn read(section: &ServerWords<'_>) -> Option<Server> {
    let listen = address(section, "listen", section.listen());
    let private_listen = address(section, "private_listen", section.private_listen());
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
        proxy: proxy(section, section.proxy_url()),
        listen: listen?,
        private_listen: private_listen?,
        tokens: Tokens::default(),
        certificate: None,
        private_certificate: None,
    })
}

/// Reads the certificates of the public and of the private listener.
pub(super) fn certificates(
    server: &ServerWords<'_>,
    context: Context<'_>,
) -> [Option<Certificate>; 2] {
    let read = |key: &str, section: &ListenerTlsWords<'_>| {
        if server.has(key) { certificate(section, context) } else { None }
    };
    [
        read("tls_config", &server.tls_config()),
        read("private_tls_config", &server.private_tls_config()),
    ]
}

/// Reads the files of a certificate; `None` after an error, and in a trial, which serves nobody.
///
/// Both are read as secrets are: what is in them does not count for the hash of the configuration, so that a certificate
/// that was renewed on one replica first does not look like another configuration.
fn certificate(section: &ListenerTlsWords<'_>, context: Context<'_>) -> Option<Certificate> {
    if context.trial {
        return None;
    }
    let text = |key: &str, path: Option<At<String>>| {
        let file = Secret::File(context.base.join(&path?.value));
        match context.base.read_secret(&file) {
            Ok(text) => Some(text),
            Err(error) => {
                section.error(key, format!("cannot be used: {error}"));
                None
            }
        }
    };
    let (chain, key) =
        (text("cert_file", section.cert_file()), text("key_file", section.key_file()));
    let read = Certificate::read(chain?.expose_secret(), key?.expose_secret());
    read.map_err(|(key, why)| section.error(key, why)).ok()
}

/// Reads `store`; `None` after an error.
pub(super) fn read_store(section: &StoreWords<'_>, context: Context<'_>) -> Option<StoreSettings> {
    let retention = section.retention();
    let payload = match section.payload() {
        "full" => PayloadPolicy::Full,
        "none" => PayloadPolicy::None,
        _ => PayloadPolicy::Redacted,
    };
    let url = section.url().value;
    let is_postgres = url.starts_with("postgres://") || url.starts_with("postgresql://");
    let place = match url.strip_prefix("sqlite:") {
        _ if is_postgres => Some(Place::Postgres(Box::new(postgres(section, &url, context)?))),
        Some(path) if !path.is_empty() && !path.starts_with("//") => {
            Some(Place::Sqlite(database::place(section, path, &context.base.join(""))))
        }
        _ => {
            let message = "expected sqlite: and a path, such as sqlite:data/tollbell.db, or a URL such as \
                           postgres://tollbell@db.example.com/tollbell";
            section.error("url", message);
            None
        }
    };
    if !is_postgres {
        for key in ONLY_POSTGRES.into_iter().filter(|key| section.has(key)) {
            section.warning(key, "has no effect with sqlite:");
        }
    }
    Some(StoreSettings { place: place?, retention, payload, restored: false })
}

/// Keys that mean something to PostgreSQL only.
const ONLY_POSTGRES: [&str; 7] = [
    "password",
    "password_file",
    "ca_file",
    "schema",
    "connections",
    "statement_timeout",
    "lock_timeout",
];

/// Reads where the PostgreSQL database is; `None` after an error.
fn postgres(section: &StoreWords<'_>, url: &str, context: Context<'_>) -> Option<store::Address> {
    let mut address = match store::Address::parse(url) {
        Ok(address) => address,
        Err(why) => {
            section.error("url", why);
            return None;
        }
    };
    let given = [section.password(), section.password_file()];
    if address.has_password() && given.iter().any(Option::is_some) {
        section.error("url", "give the password in the URL or beside it, not both");
    }
    address.password = files::secret(section, "password", given, context).map(|found| found.secret);
    if let Some(file) = section.ca_file() {
        address.ca_file = Some(context.base.join(&file.value));
    }
    if let Some(path) = &address.ca_file
        && !context.trial
        && let Err(error) = crate::tls::client_config(Some(path))
    {
        section.error(if section.has("ca_file") { "ca_file" } else { "url" }, error.to_string());
    }
    let schema = section.schema().value;
    if !store::Address::is_schema(&schema) {
        let message = "expected small letters, digits and _, no digit first, 63 at most";
        section.error("schema", message);
    }
    address.schema = schema;
    address.connections = usize::try_from(section.connections()).unwrap_or(usize::MAX);
    address.statement_timeout = section.statement_timeout();
    address.lock_timeout = section.lock_timeout();
    Some(address)
}

fn check_pair(section: &Section<'_>, public: SocketAddr, private: SocketAddr) {
    let same_host = public.ip() == private.ip()
        || public.ip().is_unspecified()
        || private.ip().is_unspecified();
    if public.port() == private.port() && public.port() != 0 && same_host {
        section.error("private_listen", "the two listeners have the same address");
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

/// Reads a proxy's address. The error never shows it.
pub(super) fn proxy(section: &Section<'_>, text: Option<At<String>>) -> Option<Proxy> {
    http_url(&text?.value).map(Proxy::new).map_err(|why| section.error("proxy_url", why)).ok()
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
