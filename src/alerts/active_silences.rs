//! The silences, compiled once for each of their versions: an alert is asked against all of them at once.
//!
//! Each label of an alert is looked at once, whatever the number of silences: texts by a hash map, patterns by one set of
//! them all. A silence holds when all of its matchers are satisfied.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use regex::{RegexSet, RegexSetBuilder};

use super::{MatchOp, Silence, SilenceState};
use crate::rules::Labels;

/// What all patterns on one label may take compiled, in bytes; beyond it they are asked one by one.
const PATTERNS_COMPILED_MAX: usize = 64 << 20;

/// The silences that are kept, expired ones too, ready to be asked.
#[derive(Debug, Clone, Default)]
pub struct ActiveSilences {
    version: u64,
    silences: Vec<Silence>,
    /// By the label that they look at.
    by_label: BTreeMap<String, OnLabel>,
    /// For each silence how many of its matchers are satisfied unless they are hit: those that negate.
    unhit: Vec<u16>,
}

/// The matchers on one label.
#[derive(Debug, Clone, Default)]
struct OnLabel {
    texts: HashMap<String, Vec<Effect>>,
    patterns: Vec<(String, Effect)>,
    set: Option<RegexSet>,
    /// Patterns that do not fit into a set together.
    single: Vec<(regex::Regex, Effect)>,
}

/// What a hit of a matcher means for its silence.
#[derive(Debug, Clone, Copy)]
struct Effect {
    silence: usize,
    negates: bool,
}

impl ActiveSilences {
    /// Compiles silences.
    pub fn new(version: u64, silences: Vec<Silence>) -> Self {
        let mut by_label: BTreeMap<String, OnLabel> = BTreeMap::new();
        let mut unhit = vec![0; silences.len()];
        for (n, silence) in silences.iter().enumerate() {
            for matcher in &silence.matchers {
                let negates = matches!(matcher.op(), MatchOp::NotEqual | MatchOp::NotMatches);
                if let Some(unhit) = unhit.get_mut(n).filter(|_| negates) {
                    *unhit += 1;
                }
                let effect = Effect { silence: n, negates };
                let on = by_label.entry(matcher.name().to_owned()).or_default();
                match matcher.pattern() {
                    Some(pattern) => on.patterns.push((pattern.as_str().to_owned(), effect)),
                    None => on.texts.entry(matcher.value().to_owned()).or_default().push(effect),
                }
            }
        }
        by_label.values_mut().for_each(OnLabel::compile);
        Self { version, silences, by_label, unhit }
    }

    /// Which version of the silences it is.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// All of them.
    pub fn all(&self) -> &[Silence] {
        &self.silences
    }

    /// The silence with this id.
    pub fn get(&self, id: &str) -> Option<&Silence> {
        self.silences.iter().find(|silence| silence.id == id)
    }

    /// The first silence that keeps an alert with these labels quiet now.
    pub fn silencing(&self, labels: &Labels, now: Timestamp) -> Option<&Silence> {
        if self.silences.is_empty() {
            return None;
        }
        let mut satisfied = self.unhit.clone();
        let mut hit = |effect: &Effect| {
            if let Some(satisfied) = satisfied.get_mut(effect.silence) {
                // A matcher that negates was counted as satisfied.
                *satisfied =
                    if effect.negates { satisfied.wrapping_sub(1) } else { *satisfied + 1 };
            }
        };
        for (name, on) in &self.by_label {
            let value = labels.get(name).map_or("", String::as_str);
            on.texts.get(value).into_iter().flatten().for_each(&mut hit);
            let hits =
                on.set.iter().flat_map(|set| set.matches(value).into_iter().collect::<Vec<_>>());
            hits.filter_map(|n| on.patterns.get(n)).for_each(|(_, effect)| hit(effect));
            let single = on.single.iter().filter(|(pattern, _)| pattern.is_match(value));
            single.for_each(|(_, effect)| hit(effect));
        }
        let holds = |(silence, satisfied): &(&Silence, &u16)| {
            usize::from(**satisfied) == silence.matchers.len()
                && silence.state(now) == SilenceState::Active
        };
        self.silences.iter().zip(&satisfied).find(holds).map(|(silence, _)| silence)
    }
}

impl OnLabel {
    fn compile(&mut self) {
        let patterns = self.patterns.iter().map(|(pattern, _)| pattern);
        let set = RegexSetBuilder::new(patterns).size_limit(PATTERNS_COMPILED_MAX).build();
        if let Ok(set) = set {
            self.set = Some(set).filter(|set| !set.is_empty());
            return;
        }
        // Each of them compiled alone when the silence was made.
        let single = self.patterns.iter();
        self.single = single
            .filter_map(|(pattern, effect)| Some((regex::Regex::new(pattern).ok()?, *effect)))
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::alerts::{Matcher, SilenceDraft};

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minutes * 60).expect("in range")
    }

    fn silence(matchers: &[String], from: i64, to: i64) -> Silence {
        let parse = |text: &String| Matcher::parse(text).expect("a matcher");
        let draft = SilenceDraft {
            matchers: matchers.iter().map(parse).collect(),
            starts_at: at(from),
            ends_at: at(to),
            created_by: "ada".to_owned(),
            comment: "why".to_owned(),
        };
        let now = at(from);
        Silence {
            id: format!("{matchers:?} {from}"),
            matchers: draft.matchers,
            starts_at: draft.starts_at,
            ends_at: draft.ends_at,
            created_by: draft.created_by,
            comment: draft.comment,
            created_at: now,
            updated_at: now,
        }
    }

    fn matcher() -> impl Strategy<Value = String> {
        let name = prop::sample::select(vec!["a", "b", "c"]);
        let op = prop::sample::select(vec!["=", "!=", "=~", "!~"]);
        let value = prop::sample::select(vec!["", "x", "y", "x|y", ".+", "x.*", "[xy]+"]);
        (name, op, value).prop_map(|(name, op, value)| format!("{name}{op}\"{value}\""))
    }

    proptest! {
        /// The index says the same as asking each silence.
        #[test]
        fn all_at_once_says_the_same_as_one_by_one(
            silences in prop::collection::vec(
                (prop::collection::vec(matcher(), 1..4), -5..5_i64, 1..8_i64), 0..12),
            values in prop::collection::vec((prop::sample::select(vec!["a", "b", "c"]),
                prop::sample::select(vec!["x", "y", "xy", "z"])), 0..4),
        ) {
            let silences: Vec<Silence> = silences.iter()
                .map(|(matchers, from, lasts)| silence(matchers, *from, from + lasts)).collect();
            let labels: Labels = values.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let index = ActiveSilences::new(1, silences.clone());
            let want = silences.iter().find(|silence| silence.silences(&labels, at(0)));
            prop_assert_eq!(index.silencing(&labels, at(0)), want);
        }
    }
}
