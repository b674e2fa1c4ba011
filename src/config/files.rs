//! Files that the configuration names: texts, secrets, globs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use super::section::Section;
use super::words::IntegrationWords;
use super::{Context, server, trial};
use crate::diagnostic::{At, Diagnostic};
use crate::http::Via;
use crate::secret::Secret;

/// The word of `proxy_url` for no proxy.
const DIRECT: &str = "direct";
/// Directory entries looked at for one glob.
const ENTRIES_MAX: usize = 10_000;

/// A file of the configuration.
pub(super) struct Source {
    /// Its name in problems.
    pub(super) name: Arc<str>,
    /// What it holds.
    pub(super) text: String,
}

/// A secret that was found and can be read now.
pub(super) struct Found {
    /// The secret.
    pub(super) secret: Secret,
    /// The key that gave it.
    pub(super) key: String,
    /// The path as written, or `inline`: where it comes from, and no secret.
    pub(super) place: String,
    /// What it is at this moment.
    pub(super) text: SecretString,
}

/// The secret of `name` or `name_file`, exactly one of them; `None` when absent or reported.
pub(super) fn secret(
    section: &Section<'_>,
    name: &str,
    [inline, file]: [Option<At<String>>; 2],
    context: Context<'_>,
) -> Option<Found> {
    let file_key = format!("{name}_file");
    let (secret, key, place) = match (inline, file) {
        (None, None) => return None,
        (Some(_), Some(_)) => {
            section.error(&file_key, format!("give {name} or {file_key}, not both"));
            return None;
        }
        (Some(text), None) => (Secret::inline(text.value), name.to_owned(), "inline".to_owned()),
        (None, Some(path)) => (Secret::File(context.base.join(&path.value)), file_key, path.value),
    };
    let text = match context.base.read_secret(&secret) {
        Ok(text) => text,
        Err(_missing) if context.trial => trial::stand_in(name).unwrap_or_default().into(),
        Err(error) => {
            section.error(&key, format!("secret file cannot be used: {error}"));
            return None;
        }
    };
    if text.expose_secret().is_empty() {
        section.error(&key, "the secret is empty");
        return None;
    }
    Some(Found { secret, key, place, text })
}

/// As [`secret`], and its absence is an error.
pub(super) fn needed_secret(
    section: &Section<'_>,
    name: &str,
    given: [Option<At<String>>; 2],
    context: Context<'_>,
) -> Option<Found> {
    let file_key = format!("{name}_file");
    if !section.has_any(&[name, &file_key]) {
        let message = format!("missing key {name:?} or {file_key:?}");
        section.push(Diagnostic::error(section.position.clone(), &*section.path, message));
    }
    secret(section, name, given, context)
}

/// The `tls_config.ca_file` of an integration, if it holds a certificate.
pub(super) fn ca_file<'a>(
    entry: &impl IntegrationWords<'a>,
    context: Context<'_>,
) -> Option<PathBuf> {
    let section = entry.trust();
    let path = context.base.join(&section.ca_file()?.value);
    match context.base.read(&path) {
        Err(_missing) if context.trial => {}
        Ok(text) if text.contains("-----BEGIN CERTIFICATE-----") => return Some(path),
        Ok(_) => section.error("ca_file", "the file holds no PEM certificate"),
        Err(message) => section.error("ca_file", message),
    }
    None
}

/// The way to an integration's peer: its `tls_config.ca_file`, and its `proxy_url`, else that of `server`.
pub(super) fn via<'a>(
    entry: &impl IntegrationWords<'a>,
    proxy_url: Option<At<String>>,
    context: Context<'_>,
) -> Via {
    let proxy = match proxy_url {
        None => context.proxy.cloned(),
        Some(text) if text.value == DIRECT => None,
        own => server::proxy(entry, own),
    };
    Via { ca_file: ca_file(entry, context), proxy }
}

/// Whether a path is a pattern.
pub(super) fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}

/// The files that a pattern names, sorted; `*` and `?` match within one part of the path, never a leading dot.
pub(super) fn glob(base: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![base.to_path_buf()];
    for part in Path::new(pattern) {
        let part = part.to_string_lossy();
        found = if is_glob(&part) {
            found.iter().flat_map(|directory| entries(directory, &part)).collect()
        } else {
            found.into_iter().map(|path| path.join(&*part)).collect()
        };
    }
    found.retain(|path| path.is_file());
    found
}

fn entries(directory: &Path, pattern: &str) -> Vec<PathBuf> {
    let here = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let Ok(listing) = std::fs::read_dir(here) else { return Vec::new() };
    let mut names: Vec<String> = listing
        .take(ENTRIES_MAX)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.') && matches(pattern, name))
        .collect();
    names.sort();
    names.into_iter().map(|name| directory.join(name)).collect()
}

/// Whether a name matches a pattern of `*`, `?` and plain characters.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut seen) = (0, 0);
    // Where to go on after the last star if what follows it does not fit.
    let mut retry: Option<(usize, usize)> = None;
    while let Some(c) = name.get(seen) {
        match pattern.get(at) {
            Some('*') => {
                retry = Some((at + 1, seen));
                at += 1;
            }
            Some(p) if *p == '?' || p == c => (at, seen) = (at + 1, seen + 1),
            _ => match &mut retry {
                Some((after_star, from)) => {
                    *from += 1;
                    (at, seen) = (*after_star, *from);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|p| *p == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_within_one_part() {
        for (pattern, name, want) in [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", "a.yml", false),
            ("*", "", true),
            ("a*b*c", "axxbyybc", true),
            ("a*b*c", "axxbyyb", false),
            ("?.yaml", "ab.yaml", false),
            ("??.yaml", "ab.yaml", true),
            ("a", "a", true),
            ("a", "b", false),
            ("**", "x", true),
        ] {
            assert_eq!(matches(pattern, name), want, "{pattern} {name}");
        }
        let dir = tempfile::tempdir().expect("directory");
        for name in ["b.yaml", "a.yaml", ".hidden.yaml", "c.txt"] {
            std::fs::write(dir.path().join(name), "").expect("write");
        }
        let found = glob(dir.path(), "*.yaml");
        let names: Vec<_> = found.iter().filter_map(|path| path.file_name()).collect();
        assert_eq!(names, ["a.yaml", "b.yaml"]);
        assert!(glob(dir.path(), "no/*.yaml").is_empty());
        assert!(glob(dir.path(), "*/../nope").is_empty());
    }
}
