//! The parameters of a query, and how many of a list come at once.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::str::FromStr;

use actix_web::HttpRequest;
use jiff::Timestamp;

use super::problem::Problem;

/// Items of a page, where nobody says.
const LIMIT_DEFAULT: usize = 100;
/// Items of a page at most.
const LIMIT_MAX: usize = 1000;
/// Longest value of a parameter, in bytes.
pub(super) const VALUE_BYTES_MAX: usize = 1024;

/// The parameters of a query, each once; another than those that are known is a mistake.
#[derive(Debug)]
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    pub(super) fn read(request: &HttpRequest, known: &[&str]) -> Result<Self, Problem> {
        let mut found = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(request.query_string().as_bytes()) {
            if !known.contains(&&*name) {
                let known = known.join(", ");
                return Err(Problem::bad(format!("unknown parameter {name:?}: there is {known}")));
            }
            if value.len() > VALUE_BYTES_MAX {
                return Err(Problem::bad(format!("{name}: longer than {VALUE_BYTES_MAX} bytes")));
            }
            // A variable of a script that was not set must not mean "all".
            if value.is_empty() {
                return Err(Problem::bad(format!("{name}: is empty; leave it out")));
            }
            if value.contains('\0') {
                return Err(Problem::bad(format!("{name}: a zero byte is in no text")));
            }
            if found.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(Problem::bad(format!("{name}: given twice")));
            }
        }
        Ok(Self(found))
    }

    /// A text; none where it is absent.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    /// A value; the error names what was expected.
    pub(super) fn value<T: FromStr>(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, Problem> {
        let read = |text: String| {
            text.parse().map_err(|_ignored| Problem::bad(format!("{name}: expected {expected}")))
        };
        self.text(name).map(read).transpose()
    }

    /// A time.
    pub(super) fn instant(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        self.value(name, "a time such as 2026-11-23T22:00:00Z")
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(
        &self,
        name: &str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text);
        let known = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        let unknown = || Problem::bad(format!("{name}: expected one of {}", known()));
        found.map(|(_, value)| Some(*value)).ok_or_else(unknown)
    }

    /// How many items are asked for.
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        self.count("limit", 1..=LIMIT_MAX)
    }

    /// A number of items by this name.
    pub(super) fn count(
        &self,
        name: &str,
        within: RangeInclusive<usize>,
    ) -> Result<usize, Problem> {
        let expected = format!("a number from {} to {}", within.start(), within.end());
        let count = self.value(name, &expected)?.unwrap_or(LIMIT_DEFAULT);
        if within.contains(&count) {
            Ok(count)
        } else {
            Err(Problem::bad(format!("{name}: expected {expected}")))
        }
    }
}

/// A page of what was found when one more than fits was asked for, and the `before` of the page behind it, where there is one.
pub(super) fn cut<T>(
    mut found: Vec<T>,
    limit: usize,
    place: impl Fn(&T) -> String,
) -> (Vec<T>, Option<String>) {
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(place);
    (found, next)
}
