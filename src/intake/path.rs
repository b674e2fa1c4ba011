//! Which account a request is addressed to.
//!
//! People write paths by hand: a slash too many, at the end or within, is the same path.

/// Longest name of an account, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// What a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Addressed<'a> {
    /// The account that needs no name.
    Unnamed,
    /// An account by its name, which may not exist.
    Named(&'a str),
    /// Nothing that is served here.
    Elsewhere,
}

/// Reads a path, without its query.
pub(super) fn read(path: &str) -> Addressed<'_> {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("webhooks"), Some("telnyx"), None, None) => Addressed::Unnamed,
        (Some("webhooks"), Some("telnyx"), Some(name), None) => Addressed::Named(name),
        _ => Addressed::Elsewhere,
    }
}

impl<'a> Addressed<'a> {
    /// The name, if an account could have it: anything else is a stranger's text, and fit for no log.
    pub(super) fn plausible_name(self) -> Option<&'a str> {
        let plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        match self {
            Self::Named(name) if name.len() <= NAME_BYTES_MAX && name.bytes().all(plain) => {
                Some(name)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_too_many_change_nothing() {
        for (path, expected) in [
            ("/webhooks/telnyx", Addressed::Unnamed),
            ("/webhooks/telnyx/", Addressed::Unnamed),
            ("//webhooks//telnyx//", Addressed::Unnamed),
            ("/webhooks/telnyx/main", Addressed::Named("main")),
            ("/webhooks/telnyx//main/", Addressed::Named("main")),
            ("/webhooks/telnyx/main/x", Addressed::Elsewhere),
            ("/webhooks/Telnyx", Addressed::Elsewhere),
            ("/webhooks", Addressed::Elsewhere),
            ("/", Addressed::Elsewhere),
            ("", Addressed::Elsewhere),
        ] {
            assert_eq!(read(path), expected, "{path}");
        }
    }
}
