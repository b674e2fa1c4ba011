//! Reads the body of `POST /api/v2/silences` as Alertmanager does: what is missing is 422, what is of the wrong type 400.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::answers::{failed, invalid, refused};
use super::time;
use crate::alerts::{MatchOp, Matcher, SilenceDraft, is_label_name};

/// Alertmanager's code of a field that is missing.
const REQUIRED: u16 = 602;
/// Alertmanager's code of a list that is too short.
const TOO_FEW: u16 = 612;
/// Matchers that are read at most; a silence may have fewer.
const MATCHERS_MAX: usize = 1000;

/// What was posted.
#[derive(Debug)]
pub(super) struct Posted {
    /// The silence to change; `None` to make one.
    pub(super) id: Option<String>,
    /// The silence as it is wanted.
    pub(super) draft: SilenceDraft,
}

/// Why it is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is not what the document says: wrong types, no JSON.
    Malformed(String),
    /// Something is missing; with Alertmanager's code.
    Invalid(u16, String),
    /// It is well formed, and cannot be.
    Refused(String),
}

impl Unfit {
    pub(super) fn response(&self) -> HttpResponse {
        match self {
            Self::Malformed(why) => failed(StatusCode::BAD_REQUEST, why),
            Self::Invalid(code, why) => invalid(*code, why),
            Self::Refused(why) => refused(StatusCode::BAD_REQUEST, why),
        }
    }
}

/// Reads a body; what follows its first JSON document is ignored.
pub(super) fn read(body: &[u8]) -> Result<Posted, Unfit> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Unfit::Invalid(REQUIRED, "silence in body is required".to_owned()));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let document = Value::deserialize(&mut json)
        .map_err(|error| Unfit::Malformed(format!("parsing the silence failed: {error}")))?;
    let fields = match &document {
        Value::Object(fields) => fields,
        Value::Null => {
            return Err(Unfit::Invalid(REQUIRED, "silence in body is required".to_owned()));
        }
        _ => return Err(wrong("silence", "an object")),
    };
    // All types first, as a decoder would; then what is missing, in the order of the names.
    let id = text(fields, "id")?;
    let [comment, created_by] = [text(fields, "comment")?, text(fields, "createdBy")?];
    let [starts_at, ends_at] = [instant(fields, "startsAt")?, instant(fields, "endsAt")?];
    let matchers = match field(fields, "matchers") {
        None => None,
        Some(Value::Array(items)) => {
            Some(items.iter().map(RawMatcher::read).collect::<Result<Vec<_>, _>>()?)
        }
        Some(_) => return Err(wrong("matchers", "a list")),
    };
    let comment = comment.ok_or_else(|| required("comment"))?;
    let created_by = created_by.ok_or_else(|| required("createdBy"))?;
    let ends_at = ends_at.ok_or_else(|| required("endsAt"))?;
    let matchers = matchers.ok_or_else(|| required("matchers"))?;
    if matchers.is_empty() {
        let why = "matchers in body should have at least 1 items".to_owned();
        return Err(Unfit::Invalid(TOO_FEW, why));
    }
    let whole = matchers.into_iter().enumerate().map(|(n, matcher)| matcher.whole(n));
    let whole = whole.collect::<Result<Vec<_>, _>>()?;
    let starts_at = starts_at.ok_or_else(|| required("startsAt"))?;
    if whole.len() > MATCHERS_MAX {
        return Err(Unfit::Refused(format!("more than {MATCHERS_MAX} matchers")));
    }
    let matchers = whole.into_iter().map(Whole::matcher).collect::<Result<Vec<_>, _>>()?;
    let draft = SilenceDraft { matchers, starts_at, ends_at, created_by, comment };
    Ok(Posted { id: id.filter(|id| !id.is_empty()), draft })
}

/// A matcher as far as it was given.
struct RawMatcher {
    name: Option<String>,
    value: Option<String>,
    is_regex: Option<bool>,
    is_equal: bool,
}

/// A matcher with all that it needs.
struct Whole {
    name: String,
    value: String,
    op: MatchOp,
}

impl RawMatcher {
    fn read(value: &Value) -> Result<Self, Unfit> {
        let empty = Map::new();
        let fields = match value {
            Value::Object(fields) => fields,
            Value::Null => &empty,
            _ => return Err(wrong("matchers", "a list of objects")),
        };
        Ok(Self {
            name: text(fields, "name")?,
            value: text(fields, "value")?,
            is_regex: flag(fields, "isRegex")?,
            is_equal: flag(fields, "isEqual")?.unwrap_or(true),
        })
    }

    fn whole(self, n: usize) -> Result<Whole, Unfit> {
        let missing = |name: &str| required(&format!("matchers.{n}.{name}"));
        let is_regex = self.is_regex.ok_or_else(|| missing("isRegex"))?;
        let op = match (self.is_equal, is_regex) {
            (true, false) => MatchOp::Equal,
            (false, false) => MatchOp::NotEqual,
            (true, true) => MatchOp::Matches,
            (false, true) => MatchOp::NotMatches,
        };
        let name = self.name.ok_or_else(|| missing("name"))?;
        Ok(Whole { name, value: self.value.ok_or_else(|| missing("value"))?, op })
    }
}

impl Whole {
    fn matcher(self) -> Result<Matcher, Unfit> {
        if !is_label_name(&self.name) {
            let why = format!("invalid silence: invalid label name {:?}", self.name);
            return Err(Unfit::Refused(why));
        }
        Matcher::new(&self.name, self.op, self.value)
            .map_err(|why| Unfit::Refused(format!("invalid silence: {why}")))
    }
}

/// A field by its name, whatever its case; the last of several. Null is as good as nothing.
fn field<'f>(fields: &'f Map<String, Value>, name: &str) -> Option<&'f Value> {
    let named = || fields.iter().rev().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    let found = fields.get(name).or_else(|| named().next().map(|(_, value)| value));
    found.filter(|value| !value.is_null())
}

fn text(fields: &Map<String, Value>, name: &str) -> Result<Option<String>, Unfit> {
    match field(fields, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(wrong(name, "a text")),
    }
}

fn flag(fields: &Map<String, Value>, name: &str) -> Result<Option<bool>, Unfit> {
    match field(fields, name) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(wrong(name, "true or false")),
    }
}

fn instant(fields: &Map<String, Value>, name: &str) -> Result<Option<jiff::Timestamp>, Unfit> {
    let read = |text: String| time::parse(&text).ok_or_else(|| wrong(name, "a date and time"));
    text(fields, name)?.map(read).transpose()
}

fn wrong(name: &str, expected: &str) -> Unfit {
    Unfit::Malformed(format!("parsing the silence failed: {name} is not {expected}"))
}

fn required(name: &str) -> Unfit {
    Unfit::Invalid(REQUIRED, format!("{name} in body is required"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"{"matchers": [{"name": "a", "value": "b", "isRegex": false}],
        "startsAt": "2026-12-01T00:00:00Z", "endsAt": "2026-12-01T02:00", "createdBy": "", "comment": "x"}"#;

    #[test]
    fn a_silence_is_read_with_keys_of_any_case_and_nulls_as_nothing() {
        let posted = read(WHOLE.as_bytes()).expect("reads");
        assert_eq!((posted.id, posted.draft.matchers[0].to_string()), (None, "a=\"b\"".to_owned()));
        let odd = WHOLE
            .replace("createdBy", "CREATEDBY")
            .replace("{\"matchers\"", "{\"id\": null, \"matchers\"");
        assert!(read(format!("{odd} and more").as_bytes()).is_ok());
        let same = WHOLE.replace("false", "true, \"isEqual\": null");
        assert_eq!(read(same.as_bytes()).expect("reads").draft.matchers[0].op(), MatchOp::Matches);
        let other = WHOLE.replace("false", "true, \"isEqual\": false");
        assert_eq!(
            read(other.as_bytes()).expect("reads").draft.matchers[0].op(),
            MatchOp::NotMatches
        );
    }

    #[test]
    fn what_is_missing_is_422_and_what_is_of_another_type_400() {
        for (from, to, expected) in [
            ("\"comment\": \"x\"", "\"comment\": null", "602 comment in body is required"),
            ("\"name\": \"a\", ", "", "602 matchers.0.name in body is required"),
            (", \"isRegex\": false", "", "602 matchers.0.isRegex in body is required"),
            ("{\"name\": \"a\", \"value\": \"b\", \"isRegex\": false}", "", "612 matchers in body"),
            (
                "{\"name\": \"a\", \"value\": \"b\", \"isRegex\": false}",
                "null",
                "602 matchers.0.isRegex",
            ),
            ("\"comment\": \"x\"", "\"comment\": 1", "400 parsing"),
            ("2026-12-01T02:00", "tomorrow", "400 parsing"),
            ("false", "\"no\"", "400 parsing"),
            ("{\"matchers\": [", "{\"matchers\": {", "400 parsing"),
            ("\"name\": \"a\"", "\"name\": \"\"", "refused invalid silence: invalid label name"),
            ("\"name\": \"a\"", "\"name\": \"a-b\"", "refused invalid silence: invalid label name"),
            ("\"b\", \"isRegex\": false", "\"(\", \"isRegex\": true", "refused invalid silence"),
        ] {
            assert!(WHOLE.contains(from), "{from}");
            let shown = match read(WHOLE.replace(from, to).as_bytes()) {
                Ok(posted) => format!("{posted:?}"),
                Err(Unfit::Malformed(why)) => format!("400 {why}"),
                Err(Unfit::Invalid(code, why)) => format!("{code} {why}"),
                Err(Unfit::Refused(why)) => format!("refused {why}"),
            };
            assert!(shown.starts_with(expected), "{to}: {shown}");
        }
        for empty in ["", " \n", "null"] {
            assert!(
                matches!(read(empty.as_bytes()), Err(Unfit::Invalid(REQUIRED, _))),
                "{empty:?}"
            );
        }
        assert!(matches!(read(b"[]"), Err(Unfit::Malformed(_))));
    }
}
