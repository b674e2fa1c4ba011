//! The folder that relative paths start from, and what was found in the files that a load looked at.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use super::files;
use super::yaml::FILE_BYTES_MAX;
use crate::secret::Secret;

/// The folder of the main file. Whatever is read through it is remembered.
pub(super) struct Folder {
    path: PathBuf,
    seen: RefCell<Sources>,
}

impl Folder {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), seen: RefCell::default() }
    }

    /// A path as the file gives it, from here.
    pub(super) fn join(&self, path: &str) -> PathBuf {
        self.path.join(path)
    }

    /// Reads a text file within the size bound. The error says why not.
    pub(super) fn read(&self, path: &Path) -> Result<String, String> {
        let found = bytes(path);
        self.note(path, &found, false);
        text(found)
    }

    /// Reads a secret, wherever it is.
    pub(super) fn read_secret(&self, secret: &Secret) -> io::Result<SecretString> {
        if let Secret::File(path) = secret
            && path.metadata().is_ok_and(|found| found.is_file())
        {
            self.note(path, &bytes(path), true);
        } else if let Secret::File(path) = secret {
            self.note(path, &Err(io::ErrorKind::NotFound.into()), true);
        }
        secret.read()
    }

    /// The files that a pattern names, sorted.
    pub(super) fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        let found = files::glob(&self.path, pattern);
        let key = (self.path.clone(), pattern.to_owned());
        self.seen.borrow_mut().globs.insert(key, found.clone());
        found
    }

    fn note(&self, path: &Path, found: &io::Result<Vec<u8>>, secret: bool) {
        let seen = Seen { content: content(found), secret };
        self.seen.borrow_mut().files.insert(path.to_owned(), seen);
    }

    /// What was looked at.
    pub(super) fn into_sources(self) -> Sources {
        self.seen.into_inner()
    }

    /// What is in the files, secrets left out; for the hash of the configuration.
    pub(super) fn contents(&self) -> String {
        let seen = self.seen.borrow();
        let plain = seen.files.values().filter(|seen| !seen.secret);
        plain.map(|seen| format!("{:?}", seen.content)).collect::<Vec<_>>().join("\n")
    }
}

/// The files that a load looked at, and what it found there: to tell whether another load would find something else.
///
/// What counts is content, by path: so a file may be written in place, renamed over, or be behind a link that is
/// swapped, as those of a mounted `ConfigMap` are.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Sources {
    files: BTreeMap<PathBuf, Seen>,
    /// What each pattern named, by folder and pattern.
    globs: BTreeMap<(PathBuf, String), Vec<PathBuf>>,
}

/// What a file held.
#[derive(Clone, PartialEq, Eq)]
struct Seen {
    content: Content,
    secret: bool,
}

/// SHA-256, or why there is none.
type Content = Result<[u8; 32], io::ErrorKind>;

impl Sources {
    /// The same files as they are now. Blocks while it reads them.
    #[must_use]
    pub fn look(&self) -> Self {
        let now = |(path, seen): (&PathBuf, &Seen)| {
            // A pipe can be read once only, and what it held does not change.
            let is_stream = path.metadata().is_ok_and(|found| !found.is_file());
            let content = if is_stream { seen.content } else { content(&bytes(path)) };
            (path.clone(), Seen { content, secret: seen.secret })
        };
        let named = |(folder, pattern): &(PathBuf, String)| {
            ((folder.clone(), pattern.clone()), files::glob(folder, pattern))
        };
        Self {
            files: self.files.iter().map(now).collect(),
            globs: self.globs.keys().map(named).collect(),
        }
    }
}

/// Paths only: the hash of a secret is nobody's business.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.files.keys()).finish()
    }
}

/// Reads a text file within the size bound, without remembering it. The error says why not.
pub(super) fn read(path: &Path) -> Result<String, String> {
    text(bytes(path))
}

fn text(found: io::Result<Vec<u8>>) -> Result<String, String> {
    let bytes = found.map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err("larger than 1 MiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|error| format!("cannot be read: {}", error.utf8_error()))
}

/// A file within the size bound, and one byte more where it is larger.
fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn content(found: &io::Result<Vec<u8>>) -> Content {
    match found {
        Ok(bytes) => Ok(Sha256::digest(bytes).into()),
        Err(error) => Err(error.kind()),
    }
}
