//! Speaking HTTP as a client: what notifiers and the Telnyx API client share.
//!
//! Promises a client whose every exchange has a deadline; that follows no redirect, uses the proxy that is configured (the
//! environment is not asked), keeps no cookie and repeats nothing by itself; and words for a failure without address, header
//! or token.

use std::error::Error as _;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderValue;
use reqwest::{Client, Url};

use crate::address;
use crate::clock::until;
use crate::text::one_line;
use crate::tls::{self, TlsError};

/// Longest wait that a peer may ask for.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);
/// How long an idle connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// Bound on connecting, when the whole bound is not shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest description of a failure, in characters.
const DESCRIPTION_CHARACTERS: usize = 400;

/// The way to a peer: who vouches for it, and through what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Via {
    /// A PEM file of certificate authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// The proxy in between.
    pub proxy: Option<Proxy>,
}

/// An HTTP proxy. Plain requests are sent to it, TLS goes through a tunnel (CONNECT, RFC 9110 section 9.3.6), and the proxy
/// resolves the names of peers.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy(Url);

impl Proxy {
    /// The proxy at an `http` or `https` address; a user name and a password in it are sent to the proxy.
    pub(crate) fn new(url: Url) -> Self {
        Self(url)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may hold a password.
        f.debug_tuple("Proxy").field(&self.0.origin().ascii_serialization()).finish()
    }
}

/// A client whose every exchange ends within `timeout`, trusting the system's authorities and those of `via`.
pub(crate) fn client(timeout: Duration, connections: usize, via: &Via) -> Result<Client, TlsError> {
    // reqwest panics without a process-wide provider; one that is already there is as good.
    let _already_there = rustls::crypto::ring::default_provider().install_default().is_err();
    let mut builder = Client::builder()
        .user_agent(concat!("tollbell/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .dns_resolver(Guard::system())
        .referer(false)
        // A little less than the caller's own bound, so that a known status is not lost to it.
        .timeout(timeout.saturating_sub(timeout / 10))
        .connect_timeout(timeout.min(CONNECT_TIMEOUT))
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(connections.max(1))
        .tls_backend_preconfigured(tls::client_config(via.ca_file.as_deref())?);
    let failed = |error| TlsError::Setup(describe(error));
    if let Some(Proxy(url)) = &via.proxy {
        builder = builder.proxy(reqwest::Proxy::all(url.clone()).map_err(failed)?);
    }
    builder.build().map_err(failed)
}

/// The chain of causes on one line, without the address.
pub(crate) fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    if let Some(advice) = tls::advice(&error) {
        text.push_str(": ");
        text.push_str(advice);
    }
    one_line(&text, DESCRIPTION_CHARACTERS)
}

/// `Retry-After` of RFC 9110 section 10.2.3, seconds or a date, capped at an hour.
pub(crate) fn retry_after(value: &HeaderValue, now: Timestamp) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits that do not fit are a long time, too.
        return Some(
            text.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs).min(RETRY_AFTER_MAX),
        );
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(until(now, Timestamp::try_from(date).ok()?).min(RETRY_AFTER_MAX))
}

/// How a name becomes addresses.
type Lookup = fn(&str) -> Resolving;

/// Resolves names, and keeps what is refused to itself.
#[derive(Debug, Clone, Copy)]
struct Guard(Lookup);

impl Guard {
    /// Asks the system.
    fn system() -> Self {
        Self(|name| {
            let name = name.to_owned();
            Box::pin(async move {
                // The port is that of the URL.
                let found = tokio::net::lookup_host((name, 0)).await?;
                Ok(Box::new(found.collect::<Vec<_>>().into_iter()) as Addrs)
            })
        })
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.0(name.as_str());
        Box::pin(async move {
            let found: Vec<SocketAddr> = found.await?.collect();
            let any = !found.is_empty();
            let permitted: Vec<SocketAddr> =
                found.into_iter().filter(|at| address::is_permitted(at.ip())).collect();
            if any && permitted.is_empty() {
                return Err(format!("the name resolves to {}", address::REASON).into());
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_and_an_hour_at_most() {
        let now: Timestamp = "2026-08-20T19:17:08Z".parse().expect("time");
        for (text, expected) in [
            ("2", Some(2)),
            (" 0 ", Some(0)),
            ("86400", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("Thu, 20 Aug 2026 19:17:38 GMT", Some(30)),
            ("Thu, 20 Aug 2026 19:00:00 GMT", Some(0)),
            ("Fri, 20 Aug 2027 19:17:38 GMT", Some(3600)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            let value = HeaderValue::from_str(text).expect("header");
            let expected = expected.map(Duration::from_secs);
            assert_eq!(retry_after(&value, now), expected, "{text}");
        }
    }

    /// Finds two addresses by the name, of which one is nobody's.
    fn stub(name: &str) -> Resolving {
        let all: &[[u8; 4]] = match name {
            "refused.example" => &[[169, 254, 169, 254], [169, 254, 0, 9]],
            "mixed.example" => &[[169, 254, 169, 254], [127, 0, 0, 1]],
            _ => &[],
        };
        let all: Vec<SocketAddr> = all.iter().map(|ip| SocketAddr::from((*ip, 0))).collect();
        Box::pin(async move { Ok(Box::new(all.into_iter()) as Addrs) })
    }

    #[tokio::test]
    async fn a_name_never_leads_to_a_refused_address() {
        let resolve = async |name: &str| -> Result<Vec<String>, String> {
            let found = Guard(stub).resolve(name.parse().expect("name")).await;
            let found = found.map_err(|error| error.to_string())?;
            Ok(found.map(|at| at.ip().to_string()).collect())
        };
        assert_eq!(resolve("mixed.example").await, Ok(vec!["127.0.0.1".to_owned()]));
        assert_eq!(resolve("nobody.example").await, Ok(Vec::new()));
        let error = resolve("refused.example").await.expect_err("refused");
        assert!(error.contains("link-local"), "{error}");
    }
}
