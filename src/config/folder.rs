//! The folder that relative paths start from, and what was found in the files that a load looked at.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use super::files;
use super::yaml::FILE_BYTES_MAX;
use crate::diagnostic::{Diagnostic, Severity};
use crate::secret::Secret;

/// How long after its last change a file counts as written to its end.
pub const SETTLED: Duration = Duration::from_millis(300);

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

    /// Remembers how many rules the rule files hold, and whether there may be none.
    pub(super) fn note_rules(&self, rules: usize, none_is_meant: bool) {
        let mut seen = self.seen.borrow_mut();
        (seen.rules, seen.none_is_meant) = (rules, none_is_meant);
    }

    fn note(&self, path: &Path, found: &io::Result<Vec<u8>>, secret: bool) {
        let seen = Seen::new(found, secret);
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
    /// Rules in the rule files.
    rules: usize,
    /// The configuration says that it has none: `rule_files: []`, or files that say `groups: []`.
    none_is_meant: bool,
}

/// What a file held.
#[derive(Clone, PartialEq, Eq)]
struct Seen {
    content: Content,
    bytes: usize,
    /// It ends with the end of a line.
    whole_lines: bool,
    secret: bool,
}

impl Seen {
    fn new(found: &io::Result<Vec<u8>>, secret: bool) -> Self {
        let bytes = found.as_deref().unwrap_or_default();
        Self {
            content: content(found),
            bytes: bytes.len(),
            whole_lines: bytes.ends_with(b"\n"),
            secret,
        }
    }
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
            let seen = if is_stream { seen.clone() } else { Seen::new(&bytes(path), seen.secret) };
            (path.clone(), seen)
        };
        let named = |(folder, pattern): &(PathBuf, String)| {
            ((folder.clone(), pattern.clone()), files::glob(folder, pattern))
        };
        Self {
            files: self.files.iter().map(now).collect(),
            globs: self.globs.keys().map(named).collect(),
            ..self.clone()
        }
    }

    /// What was there `before` and is gone, though the configuration does not say that it is meant to be.
    pub fn vanished(&self, before: &Self) -> Vec<Diagnostic> {
        let mut vanished = Vec::new();
        for ((_, pattern), _) in self.globs.iter().filter(|(_, files)| files.is_empty()) {
            let matched = before.globs.iter().find(|((_, known), _)| known == pattern);
            let count = matched.map_or(0, |(_, files)| files.len());
            if count > 0 {
                let message = format!("{pattern} matches no file; it did match {count}");
                vanished.push(gone(message, "put the files back, or take the pattern away"));
            }
        }
        if self.rules == 0 && before.rules > 0 && !self.none_is_meant {
            let message = format!("no rules are left of {}", before.rules);
            vanished.push(gone(message, "rule_files: [], if that is meant"));
        }
        vanished
    }

    /// Whether a file that was written in the last moments may be written on: it is shorter than `before`, or ends
    /// within a line and did not.
    pub fn may_be_cut(&self, before: &Self) -> bool {
        self.files.iter().any(|(path, seen)| {
            let cut = before.files.get(path).is_some_and(|before| {
                seen.bytes < before.bytes || (before.whole_lines && !seen.whole_lines)
            });
            let written = || path.metadata().and_then(|found| found.modified());
            cut && written().is_ok_and(|at| at.elapsed().is_ok_and(|age| age < SETTLED))
        })
    }

    /// Whether some pattern names less than `before`, though not nothing: a folder that is being copied looks so.
    pub fn lacks_files(&self, before: &Self) -> bool {
        self.globs.iter().any(|(key, files)| {
            let known = before.globs.get(key).into_iter().flatten();
            !files.is_empty() && known.into_iter().any(|file| !files.contains(file))
        })
    }
}

fn gone(message: String, hint: &str) -> Diagnostic {
    let (severity, key) = (Severity::Error, "rule_files".to_owned());
    Diagnostic { severity, position: None, key, message, hint: None }.hint(hint)
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
