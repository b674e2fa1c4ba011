//! What is found wrong while files are read, and the words for it.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use crate::diagnostic::Diagnostic;

/// Longest part of the file that a problem quotes, in characters.
const QUOTE_CHARS_MAX: usize = 64;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Diagnostics(RefCell<Vec<Diagnostic>>);

impl Diagnostics {
    pub(super) fn push(&self, diagnostic: Diagnostic) {
        self.0.borrow_mut().push(diagnostic);
    }

    /// All of them, each once, in the order of `files` and within a file from top to bottom.
    pub(super) fn into_sorted(self, files: &[Arc<str>]) -> Vec<Diagnostic> {
        let mut diagnostics = self.0.into_inner();
        diagnostics.sort_by_key(|diagnostic| {
            diagnostic.position.as_ref().map_or((usize::MAX, 0, 0), |at| {
                let file = files.iter().position(|file| *file == at.file).unwrap_or(files.len());
                (file, at.line, at.column)
            })
        });
        // An alias brings the problems of its anchor along, at the same place.
        let mut seen = HashSet::new();
        diagnostics.retain(|diagnostic| {
            seen.insert((diagnostic.position.clone(), diagnostic.message.clone()))
        });
        diagnostics
    }
}

/// A word of the file, cut to what one wants to read.
pub(super) fn quote(text: &str) -> String {
    text.chars().take(QUOTE_CHARS_MAX).flat_map(char::escape_debug).collect()
}

/// The candidate that the word was probably meant to be.
pub(super) fn closest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let length = word.chars().count();
    let typos_max = (length / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| length.max(candidate.len()) <= QUOTE_CHARS_MAX)
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(typos, _)| *typos <= typos_max)
        .min_by_key(|(typos, _)| *typos)
        .map(|(_, candidate)| candidate)
}
