//! Secrets: given in place or by file, never printed.

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

/// Largest secret file, in bytes; more is a mistake.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// A secret of the configuration. `Debug` shows where it comes from, never what it is.
#[derive(Clone)]
pub enum Secret {
    /// Written in the config, most often as `${ENV}`.
    Inline(SecretString),
    /// In a file, read at each use so that rotation needs no restart.
    File(PathBuf),
}

impl Secret {
    /// A secret given in place.
    pub fn inline(text: impl Into<String>) -> Self {
        Self::Inline(SecretString::from(text.into()))
    }

    /// The secret's text, without surrounding white space.
    pub fn read(&self) -> std::io::Result<SecretString> {
        match self {
            Self::Inline(text) => Ok(SecretString::from(text.expose_secret().trim())),
            Self::File(path) => {
                let file = std::fs::metadata(path)?;
                if !file.is_file() {
                    return Err(std::io::Error::other("not a regular file"));
                }
                if file.len() > SECRET_BYTES_MAX {
                    return Err(std::io::Error::other("the secret's file is larger than 64 KiB"));
                }
                let text = SecretString::from(std::fs::read_to_string(path)?);
                Ok(SecretString::from(text.expose_secret().trim()))
            }
        }
    }
}

/// The same text, or the same file whatever is in it: tells a reload what stayed as it was.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Inline(one), Self::Inline(two)) => one.expose_secret() == two.expose_secret(),
            (Self::File(one), Self::File(two)) => one == two,
            _ => false,
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("Secret(inline)"),
            Self::File(path) => write!(f, "Secret(file {})", path.display()),
        }
    }
}
