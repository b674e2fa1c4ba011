//! Which rules name a kind of event.
//!
//! Kinds that are named in full are found by one look-up. For the others the patterns are tried once and the
//! answer is kept, for a bounded number of kinds, so that the work for an event does not grow with the rules
//! that do not name its kind.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// Longest pattern of `on`, in bytes; no kind is longer.
const PATTERN_BYTES_MAX: usize = 128;
/// How many kinds that no rule names in full are remembered. Kinds come from the network.
const REMEMBERED_MAX: usize = 4096;

/// A rule that names the kind, and where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hit {
    /// Number of the rule.
    pub(super) rule: usize,
    /// `on` names the kind.
    pub(super) fires: bool,
    /// `resolve_on` names the kind.
    pub(super) resolves: bool,
}

/// Patterns of kinds to the rules that have them.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Kinds named in full, with the rules that name them by a pattern merged in.
    exact: HashMap<String, Arc<[Hit]>>,
    globs: Vec<(Glob, Vec<Hit>)>,
    remembered: Mutex<HashMap<String, Arc<[Hit]>>>,
}

impl Index {
    /// Takes `(pattern, hit)` pairs; the patterns have been checked by [`check_pattern`].
    pub(super) fn new<'a>(entries: impl IntoIterator<Item = (&'a str, Hit)>) -> Self {
        let mut by_pattern = BTreeMap::<&str, Vec<Hit>>::new();
        for (pattern, hit) in entries {
            by_pattern.entry(pattern).or_default().push(hit);
        }
        let (globs, exact): (Vec<_>, Vec<_>) =
            by_pattern.into_iter().partition(|(pattern, _)| pattern.contains('*'));
        let globs = globs.into_iter().map(|(pattern, hits)| (Glob::new(pattern), hits)).collect();
        let mut index = Self { globs, ..Self::default() };
        index.exact = exact
            .into_iter()
            .map(|(kind, hits)| (kind.to_owned(), index.resolve(kind, hits)))
            .collect();
        index
    }

    /// The rules that name `kind`, in their order, each once.
    pub(super) fn hits(&self, kind: &str) -> Arc<[Hit]> {
        if let Some(hits) = self.exact.get(kind) {
            return Arc::clone(hits);
        }
        if self.globs.is_empty() {
            return Arc::default();
        }
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hits) = remembered.get(kind) {
            return Arc::clone(hits);
        }
        let hits = self.resolve(kind, Vec::new());
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(kind.to_owned(), Arc::clone(&hits));
        hits
    }

    fn resolve(&self, kind: &str, exact: Vec<Hit>) -> Arc<[Hit]> {
        let by_glob = self.globs.iter().filter(|(glob, _)| glob.matches(kind));
        let mut hits: Vec<Hit> =
            exact.into_iter().chain(by_glob.flat_map(|(_, hits)| hits.iter().copied())).collect();
        hits.sort_unstable();
        hits.dedup_by(|hit, kept| {
            let same = hit.rule == kept.rule;
            if same {
                kept.fires |= hit.fires;
                kept.resolves |= hit.resolves;
            }
            same
        });
        hits.into()
    }
}

/// A pattern in which `*` stands for any text, dots too, or none.
#[derive(Debug)]
pub(super) struct Glob {
    /// The pieces between the stars, at least one.
    pieces: Vec<String>,
}

impl Glob {
    /// Makes a pattern; without a star it matches only itself.
    pub(super) fn new(pattern: &str) -> Self {
        Self { pieces: pattern.split('*').map(str::to_owned).collect() }
    }

    /// Whether the whole of `kind` fits.
    pub(super) fn matches(&self, kind: &str) -> bool {
        let Some((first, rest)) = self.pieces.split_first() else {
            return false;
        };
        let Some((last, middle)) = rest.split_last() else {
            return kind == first;
        };
        let Some(mut left) = kind.strip_prefix(first.as_str()) else {
            return false;
        };
        // The leftmost place for each piece leaves the most room for those after it.
        for piece in middle {
            match left.split_once(piece.as_str()) {
                Some((_, after)) => left = after,
                None => return false,
            }
        }
        left.ends_with(last.as_str())
    }
}

/// Whether a text can be a pattern of kinds; says why not.
pub(super) fn check_pattern(pattern: &str) -> Result<(), &'static str> {
    if pattern.is_empty() {
        return Err("an empty kind");
    }
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err("a kind longer than 128 bytes");
    }
    let special = |c: char| matches!(c, '?' | '[' | ']' | '{' | '}' | '!' | '|' | '^' | '$' | '\\');
    if pattern.contains(special) {
        return Err("the only special character in a kind is *");
    }
    if !pattern.chars().all(|c| c.is_ascii_graphic()) {
        return Err("a kind has no spaces and only ASCII characters");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_crosses_dots() {
        for (pattern, kind, want) in [
            ("call.cost", "call.cost", true),
            ("call.cost", "call.cost2", false),
            ("*", "", true),
            ("*", "anything.at.all", true),
            ("call.*", "call.machine.detection.ended", true),
            ("call.*", "call.", true),
            ("call.*", "call", false),
            ("*.failed", "fax.failed", true),
            ("*.failed", "failed", false),
            ("call.*.ended", "call.gather.ended", true),
            ("call.*.ended", "call.ended", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*ab*ab*", "ab", false),
            ("*ab*ab*", "xabyabz", true),
            ("**", "x", true),
        ] {
            assert_eq!(Glob::new(pattern).matches(kind), want, "{pattern} {kind}");
        }
    }

    #[test]
    fn each_rule_is_found_once_in_order_by_any_of_its_patterns() {
        let fire = |rule| Hit { rule, fires: true, resolves: false };
        let resolve = |rule| Hit { rule, fires: false, resolves: true };
        let index = Index::new([
            ("call.*", fire(2)),
            ("call.cost", fire(1)),
            ("*.cost", fire(2)),
            ("call.cost", resolve(2)),
            ("fax.*", fire(0)),
        ]);
        let both = Hit { rule: 2, fires: true, resolves: true };
        assert_eq!(*index.hits("call.cost"), [fire(1), both]);
        assert_eq!(*index.hits("call.hangup"), [fire(2)]);
        assert_eq!(*index.hits("fax.failed"), [fire(0)]);
        assert_eq!(*index.hits("message.sent"), []);
    }

    #[test]
    fn what_is_remembered_of_unknown_kinds_is_bounded() {
        let index = Index::new([("a.*", Hit { rule: 0, fires: true, resolves: false })]);
        for number in 0..=REMEMBERED_MAX {
            assert_eq!(index.hits(&format!("a.{number}")).len(), 1);
        }
        assert!(index.remembered.lock().expect("not poisoned").len() <= REMEMBERED_MAX);
    }

    #[test]
    fn a_bad_pattern_is_named() {
        for (pattern, ok) in [
            ("messaging-profile.spend-limit-reached", true),
            ("10dlc.*", true),
            ("*", true),
            ("", false),
            ("call.[ab]", false),
            ("call.?", false),
            ("call cost", false),
            ("kosten.für", false),
        ] {
            assert_eq!(check_pattern(pattern).is_ok(), ok, "{pattern}");
        }
        assert!(check_pattern(&"x".repeat(129)).is_err());
    }

    proptest! {
        #[test]
        fn globs_agree_with_regular_expressions(pattern in "[ab.*]{0,8}", kind in "[ab.]{0,10}") {
            let escaped = regex::escape(&pattern).replace(r"\*", ".*");
            let regex = regex::Regex::new(&format!("^{escaped}$")).expect("a pattern");
            prop_assert_eq!(Glob::new(&pattern).matches(&kind), regex.is_match(&kind));
        }
    }
}
