//! Where Telnyx is to send: checked, and completed with the path that this service answers at.

use reqwest::Url;

/// Path of the account named `default`; others have their name behind it.
const PATH: &str = "webhooks/telnyx";
/// The account that needs no name in the path.
const DEFAULT_ACCOUNT: &str = "default";

/// Where Telnyx is to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The whole URL; no slash at the end.
    pub url: String,
    /// What the user should know of it, one sentence each.
    pub words: Vec<String>,
}

/// Why there is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither is given.
    #[error("where is Telnyx to send? Say --url https://…, or set server.public_url")]
    Missing,
    /// It is not a URL of http or https.
    #[error("the URL to send to: expected one such as https://hooks.example.com")]
    NotHttp,
    /// It carries more than an address.
    #[error("the URL to send to must be an address only: no user, no ? and no #")]
    Extra,
}

/// The address of an account: what is given, else the public URL with the account's path.
pub fn webhook_url(
    given: Option<&str>,
    public_url: Option<&str>,
    account: &str,
) -> Result<Address, AddressError> {
    let mut words = Vec::new();
    let (text, ours) = match (given, public_url) {
        (Some(given), _) => (given, false),
        (None, Some(base)) => (base, true),
        (None, None) => return Err(AddressError::Missing),
    };
    let mut url = Url::parse(text.trim()).ok().ok_or(AddressError::NotHttp)?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(AddressError::NotHttp);
    }
    let user = !url.username().is_empty() || url.password().is_some();
    if user || url.query().is_some() || url.fragment().is_some() {
        return Err(AddressError::Extra);
    }
    let bare = url.path().trim_matches('/').is_empty();
    let path = account_path(account);
    if ours || bare {
        push(&mut url, &path);
    }
    let url = url.as_str().trim_end_matches('/').to_owned();
    if bare && !ours {
        words.push(format!(
            "--url names no path: {url} is meant, where this account's webhooks arrive."
        ));
    } else if !ours && !url.ends_with(&path.join("/")) {
        words.push(format!(
            "This account's webhooks arrive at /{}; the URL ends otherwise. Something in between must lead there.",
            path.join("/")
        ));
    }
    if url.starts_with("http:") {
        words.push("Telnyx will send in clear, for all between to read: use https.".to_owned());
    }
    Ok(Address { url, words })
}

fn account_path(account: &str) -> Vec<&str> {
    let name = (account != DEFAULT_ACCOUNT).then_some(account);
    PATH.split('/').chain(name).collect()
}

fn push(url: &mut Url, path: &[&str]) {
    // Only a URL that cannot have a path has no segments, and http always can.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_completed_and_checked() {
        let of = |given, public_url, account| {
            webhook_url(given, public_url, account).map(|found| (found.url, found.words.len()))
        };
        let base = Some("https://hooks.example.com");
        for (given, public_url, account, url, words) in [
            (None, base, "default", "https://hooks.example.com/webhooks/telnyx", 0),
            (
                None,
                Some("https://a.example.com/base"),
                "eu",
                "https://a.example.com/base/webhooks/telnyx/eu",
                0,
            ),
            (
                Some("https://b.example.com"),
                base,
                "default",
                "https://b.example.com/webhooks/telnyx",
                1,
            ),
            (
                Some("https://b.example.com/"),
                None,
                "eu",
                "https://b.example.com/webhooks/telnyx/eu",
                1,
            ),
            (
                Some("https://b.example.com/webhooks/telnyx/"),
                None,
                "default",
                "https://b.example.com/webhooks/telnyx",
                0,
            ),
            (Some("https://b.example.com/in"), None, "default", "https://b.example.com/in", 1),
            (
                Some("https://b.example.com/webhooks/telnyx"),
                None,
                "eu",
                "https://b.example.com/webhooks/telnyx",
                1,
            ),
            (
                Some("http://b.example.com:81"),
                None,
                "default",
                "http://b.example.com:81/webhooks/telnyx",
                2,
            ),
            (None, base, "a b", "https://hooks.example.com/webhooks/telnyx/a%20b", 0),
        ] {
            assert_eq!(of(given, public_url, account), Ok((url.to_owned(), words)), "{given:?}");
        }
        assert_eq!(of(None, None, "default"), Err(AddressError::Missing));
        for given in ["hooks.example.com", "ftp://hooks.example.com", "https://", ""] {
            assert_eq!(of(Some(given), base, "default"), Err(AddressError::NotHttp), "{given}");
        }
        for given in
            ["https://u:p@h.example.com", "https://h.example.com/?t=1", "https://h.example.com/#a"]
        {
            assert_eq!(of(Some(given), base, "default"), Err(AddressError::Extra), "{given}");
        }
    }
}
