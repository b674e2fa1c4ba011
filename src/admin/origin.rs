//! Who a request that changes something comes from: not a page of another site in somebody's browser.
//!
//! Browsers send `Origin` with every POST, and a page can have its own name point to this machine (DNS rebinding): then
//! `Origin` and `Host` agree. So a name counts only if nobody else can own it.

use std::net::IpAddr;

use actix_web::http::header::{HOST, HeaderMap, ORIGIN};

/// Ends of names that no page of the internet can have (RFC 6761, RFC 6762, RFC 8375, and what clusters use).
const PRIVATE_ENDS: [&str; 7] =
    ["localhost", "local", "internal", "test", "home.arpa", "lan", "svc"];

/// Whether a request may change something; the error says why not.
pub(super) fn check(headers: &HeaderMap, own_host: Option<&str>) -> Result<(), &'static str> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if text("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Err("asked by a page of another site");
    }
    let host = text(HOST.as_str()).unwrap_or_default();
    if text(ORIGIN.as_str()).is_some_and(|origin| {
        origin.split_once("://").is_none_or(|(_, authority)| !authority.eq_ignore_ascii_case(host))
    }) {
        return Err("asked by a page of another site");
    }
    match name_of(host) {
        name if is_ours(name, own_host) => Ok(()),
        _ => Err(
            "asked under a name that may be anybody's: use the address, or name the host in server.external_url",
        ),
    }
}

/// The host of a URL, without its port.
pub fn host_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    rest.split('/').next().map(|authority| name_of(authority).to_ascii_lowercase())
}

/// An authority without its port.
fn name_of(authority: &str) -> &str {
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, _)) => v6,
        None => authority.rsplit_once(':').map_or(authority, |(name, _)| name),
    }
}

fn is_ours(name: &str, own_host: Option<&str>) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let ends = |end: &&str| name == **end || name.ends_with(&format!(".{end}"));
    name.parse::<IpAddr>().is_ok()
        // No page has a name of one word: a container's, a service's.
        || (!name.is_empty() && !name.contains('.'))
        || PRIVATE_ENDS.iter().any(ends)
        || own_host.is_some_and(|own| own == name)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn pages_of_other_sites_change_nothing() {
        for (lines, taken) in [
            (&[("host", "127.0.0.1:9464")][..], true),
            (&[("host", "[::1]:9464")], true),
            (&[("host", "localhost:9464")], true),
            (&[("host", "bell-tollbell-private:9464")], true),
            (&[("host", "bell.monitoring.svc.cluster.local:9464")], true),
            (&[("host", "bell.monitoring.svc:9464")], true),
            (&[("host", "Tollbell.Example.com")], true),
            (&[("host", "127.0.0.1:9464"), ("origin", "http://127.0.0.1:9464")], true),
            (&[("host", "127.0.0.1:9464"), ("sec-fetch-site", "same-origin")], true),
            (&[("host", "127.0.0.1:9464"), ("origin", "http://evil.example")], false),
            (&[("host", "127.0.0.1:9464"), ("origin", "http://127.0.0.1:1")], false),
            (&[("host", "127.0.0.1:9464"), ("origin", "null")], false),
            (&[("host", "127.0.0.1:9464"), ("sec-fetch-site", "cross-site")], false),
            (&[("host", "127.0.0.1:9464"), ("sec-fetch-site", "same-site")], false),
            (&[("host", "evil.example:9464"), ("origin", "http://evil.example:9464")], false),
            (&[("host", "evil.example:9464")], false),
            (&[("host", "xlocalhost.example")], false),
            (&[("host", "127.0.0.1.evil.example")], false),
            (&[("host", "")], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            let own = host_of("https://tollbell.example.com/x");
            assert_eq!(check(&headers, own.as_deref()).is_ok(), taken, "{lines:?}");
        }
    }
}
