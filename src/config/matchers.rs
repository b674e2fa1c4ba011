//! Lists of matchers and of label names, and which matchers leave others nothing to take.

use std::collections::BTreeSet;

use super::diagnostics::quote;
use super::section::Section;
use crate::alerts::{MatchOp, Matcher, is_label_name};
use crate::diagnostic::{At, Diagnostic};
use crate::rules::Labels;

/// Labels that every alert has, with a value of one line that is not empty.
const ALWAYS_THERE: [&str; 2] = ["alertname", "account"];

/// Matchers of a section.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Those that could be read.
    pub(super) matchers: Vec<Matcher>,
    /// Whether that is all of them.
    pub(super) whole: bool,
}

/// Reads a list of matchers; each item may hold several, as in Alertmanager.
pub(super) fn read(section: &Section<'_>, key: &str, texts: Vec<At<String>>) -> Read {
    let mut read = Read { matchers: Vec::new(), whole: texts.len() == section.len(key) };
    for (n, text) in texts.into_iter().enumerate() {
        match Matcher::parse_list(&text.value) {
            Ok(matchers) => read.matchers.extend(matchers),
            Err(error) => {
                read.whole = false;
                let place = text.inside(1, error.column);
                let path = format!("{}[{n}]", section.at(key));
                section.push(Diagnostic::error(place, path, error.message));
            }
        }
    }
    read
}

/// Reads a list of label names, each once.
pub(super) fn label_names(section: &Section<'_>, key: &str, given: Vec<At<String>>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (n, name) in given.into_iter().enumerate() {
        let message = if !is_free_label(&name.value) {
            NO_LABEL_NAME.to_owned()
        } else if names.contains(&name.value) {
            format!("label {:?} given twice", quote(&name.value))
        } else {
            names.push(name.value);
            continue;
        };
        section.push(Diagnostic::error(
            name.position,
            format!("{}[{n}]", section.at(key)),
            message,
        ));
    }
    names
}

/// What is said of a text that [`is_free_label`] refuses.
pub(super) const NO_LABEL_NAME: &str =
    "no label name: letters, digits and _, no digit and no __ first";

/// Whether an alert may have a label of this name.
pub(super) fn is_free_label(name: &str) -> bool {
    is_label_name(name) && !name.starts_with("__")
}

/// Whether all labels that satisfy all of `narrow` surely satisfy all of `wide`. May say no where it cannot tell.
pub(super) fn implies(narrow: &[&Matcher], wide: &[Matcher]) -> bool {
    wide.iter()
        .all(|wide| holds_always(wide) || narrow.iter().any(|narrow| implies_one(narrow, wide)))
}

fn implies_one(narrow: &Matcher, wide: &Matcher) -> bool {
    narrow == wide
        || (narrow.name() == wide.name()
            && possible(narrow).is_some_and(|values| {
                values.into_iter().all(|value| {
                    let labels = Labels::from([(narrow.name().to_owned(), value.to_owned())]);
                    wide.matches(&labels)
                })
            }))
}

fn holds_always(matcher: &Matcher) -> bool {
    matcher.op() == MatchOp::Matches
        && ALWAYS_THERE.contains(&matcher.name())
        && [".*", ".+"].contains(&matcher.value())
}

/// The only values that satisfy a matcher, where it names them one by one.
fn possible(matcher: &Matcher) -> Option<BTreeSet<&str>> {
    let value = matcher.value();
    match matcher.op() {
        MatchOp::Equal => Some(BTreeSet::from([value])),
        MatchOp::Matches => {
            let plain = |c: char| c.is_alphanumeric() || " _-:/@,".contains(c);
            let values: BTreeSet<&str> = value.split('|').collect();
            values.iter().all(|value| value.chars().all(plain)).then_some(values)
        }
        MatchOp::NotEqual | MatchOp::NotMatches => None,
    }
}

/// The value that matchers ask of a label, if they ask one.
pub(super) fn fixed<'m>(matchers: &'m [Matcher], label: &str) -> Option<&'m str> {
    let mut of_label = matchers.iter().filter(|m| m.name() == label && m.op() == MatchOp::Equal);
    of_label.next().map(Matcher::value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_implies_what() {
        let read = |texts: &str| -> Vec<Matcher> {
            let texts = texts.split_whitespace();
            texts.map(|text| Matcher::parse(text).expect("matcher")).collect()
        };
        for (narrow, wide, want) in [
            ("a=x", "", true),
            ("", "a=x", false),
            ("a=x", "a=x", true),
            ("a=x b=y", "b=y", true),
            ("b=y", "a=x b=y", false),
            ("a=x", "b=x", false),
            ("a=x", "a=~x|y", true),
            ("a=z", "a=~x|y", false),
            ("a=xx", "a=~x|y", false),
            ("a=~x|y", "a=~x|y|z", true),
            ("a=~x|y|z", "a=~x|y", false),
            ("a=~x.*", "a=~x.*", true),
            ("a=~x.*", "a=~x.+", false),
            ("a=~x|y", "a=~.+", true),
            ("a=~x|", "a=~.+", false),
            ("a=x", "a!=y", true),
            ("a=y", "a!=y", false),
            ("a=~x|y", "a!~z", true),
            ("a!=x", "a!=x", true),
            ("a!=x", "a!~x", false),
            ("", "alertname=~.+", true),
            ("", "a=~.*", false),
            ("", "alertname!~.+", false),
        ] {
            let narrow_matchers = read(narrow);
            let all: Vec<&Matcher> = narrow_matchers.iter().collect();
            assert_eq!(implies(&all, &read(wide)), want, "{narrow} implies {wide}");
        }
    }

    proptest::proptest! {
        /// No labels satisfy the narrow side and not the wide one.
        #[test]
        fn it_is_never_wrong(
            narrow in proptest::collection::vec("[ab](=|!=|=~|!~)[xy|]{0,3}", 0..3),
            wide in proptest::collection::vec("[ab](=|!=|=~|!~)[xy|.+]{0,3}", 0..3),
            a in "[xy]{0,2}",
            b in "[xy]{0,2}",
        ) {
            let read = |texts: &[String]| -> Vec<Matcher> {
                texts.iter().filter_map(|text| Matcher::parse(text).ok()).collect()
            };
            let (narrow, wide) = (read(&narrow), read(&wide));
            let labels = Labels::from([("a".to_owned(), a), ("b".to_owned(), b)]);
            let satisfy = |matchers: &[Matcher]| matchers.iter().all(|m| m.matches(&labels));
            if implies(&narrow.iter().collect::<Vec<_>>(), &wide) && satisfy(&narrow) {
                proptest::prop_assert!(satisfy(&wide), "{:?} {:?}", narrow, wide);
            }
        }
    }
}
