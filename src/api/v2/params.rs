//! The parameters of a query, as Alertmanager reads them.

use actix_web::HttpRequest;
use regex::Regex;

use super::matcher;
use crate::alerts::Matcher;
use crate::re2;
use crate::rules::Labels;

/// Words that mean yes; all others mean no.
const YES: [&str; 10] =
    ["true", "1", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled"];
/// Matchers of one query at most.
const FILTERS_MAX: usize = 64;
/// Longest pattern of a receiver, in bytes.
const RECEIVER_BYTES_MAX: usize = 2048;

/// The parameters of `/alerts` and `/alerts/groups`.
#[derive(Debug)]
pub(super) struct Params {
    /// Whether alerts are listed that nothing suppresses.
    pub(super) active: bool,
    /// Whether alerts are listed that a silence matches.
    pub(super) silenced: bool,
    /// Whether alerts are listed that another inhibits.
    pub(super) inhibited: bool,
    /// Whether groups are listed that the time of day mutes.
    pub(super) muted: bool,
    /// All must hold.
    pub(super) filters: Vec<Matcher>,
    receiver: Option<Regex>,
    receiver_matchers: Vec<Matcher>,
}

impl Params {
    /// Reads them; the error is a sentence, for 400.
    pub(super) fn read(request: &HttpRequest) -> Result<Self, String> {
        let pairs = pairs(request);
        let receiver = last(&pairs, "receiver").filter(|text| !text.is_empty());
        Ok(Self {
            active: flag(&pairs, "active"),
            silenced: flag(&pairs, "silenced"),
            inhibited: flag(&pairs, "inhibited"),
            muted: flag(&pairs, "muted"),
            filters: matchers(&pairs, "filter")?,
            receiver: receiver.map(pattern).transpose()?,
            receiver_matchers: matchers(&pairs, "receiver_matchers")?,
        })
    }

    /// Whether a receiver of this name is asked for.
    pub(super) fn wants_receiver(&self, name: &str) -> bool {
        let labels: Labels = [("name".to_owned(), name.to_owned())].into();
        self.receiver.as_ref().is_none_or(|pattern| pattern.is_match(name))
            && self.receiver_matchers.iter().all(|matcher| matcher.matches(&labels))
    }
}

/// The `filter`s of a query; the error is a sentence, for 400.
pub(super) fn filters(request: &HttpRequest) -> Result<Vec<Matcher>, String> {
    matchers(&pairs(request), "filter")
}

fn pairs(request: &HttpRequest) -> Vec<(String, String)> {
    form_urlencoded::parse(request.query_string().as_bytes()).into_owned().collect()
}

fn last<'p>(pairs: &'p [(String, String)], name: &str) -> Option<&'p str> {
    pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// A flag; true where nothing is said.
fn flag(pairs: &[(String, String)], name: &str) -> bool {
    match last(pairs, name) {
        None | Some("") => true,
        Some(word) => YES.contains(&&*word.to_ascii_lowercase()),
    }
}

fn matchers(pairs: &[(String, String)], name: &str) -> Result<Vec<Matcher>, String> {
    let texts: Vec<&str> =
        pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect();
    if texts.len() > FILTERS_MAX {
        return Err(format!("more than {FILTERS_MAX} matchers"));
    }
    texts.into_iter().map(matcher::parse).collect()
}

fn pattern(text: &str) -> Result<Regex, String> {
    let read = if text.len() > RECEIVER_BYTES_MAX {
        Err(format!("longer than {RECEIVER_BYTES_MAX} bytes"))
    } else {
        re2::anchored(text)
    };
    read.map_err(|why| format!("failed to parse receiver param: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_yes_by_a_few_words_and_no_by_all_others() {
        for (query, expected) in [
            ("", true),
            ("a=", true),
            ("a=True", true),
            ("a=t", true),
            ("a=1", true),
            ("a=OK", true),
            ("a=false", false),
            ("a=False", false),
            ("a=0", false),
            ("a=banana", false),
            ("a=false&a=true", true),
            ("a=true&a=false", false),
            ("b=false", true),
        ] {
            let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            assert_eq!(flag(&pairs, "a"), expected, "{query}");
        }
    }
}
