//! Changes to a body to try things out with: another value in a field, or one that no other body has.
//!
//! Paths are as in rules: `payload.total_cost`, `payload.to.0.phone_number`. Never adds a field: a name that is not there is a
//! mistake.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::envelope;

/// Fields that make a charge or a message one of its own; see the charge ledger.
const OWN: [&str; 4] =
    ["payload.call_leg_id", "payload.call_control_id", "payload.call_session_id", "payload.id"];

/// Why a body was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The body is neither a JSON object nor a form.
    #[error("the body is neither a JSON object nor a form")]
    Unreadable,
    /// There is no such field.
    #[error("the body has no field {0}")]
    NoField(String),
    /// The field is no text.
    #[error("{0} is no text: only a text can be varied")]
    NoText(String),
}

/// A body with another value in a field. Where a text was the value is one; else it is read as JSON, where it can be.
pub fn set(body: &[u8], content_type: &str, path: &str, value: &str) -> Result<Vec<u8>, EditError> {
    let mut root = decode(body, content_type)?;
    let field = field(&mut root, path).ok_or_else(|| EditError::NoField(path.to_owned()))?;
    let text = || Value::String(value.to_owned());
    *field = match field {
        Value::String(_) => text(),
        _ => serde_json::from_str(value).unwrap_or_else(|_| text()),
    };
    Ok(encode(&root, body))
}

/// A body with a text of its own in a field, the `n`th of several: a phone number `n` further on, else one made of `id`, which is
/// a UUID that was never used.
pub fn vary(
    body: &[u8],
    content_type: &str,
    path: &str,
    (n, id): (u32, &str),
) -> Result<Vec<u8>, EditError> {
    let mut root = decode(body, content_type)?;
    match field(&mut root, path) {
        Some(Value::String(text)) => *text = another(text, n, id),
        Some(_) => return Err(EditError::NoText(path.to_owned())),
        None => return Err(EditError::NoField(path.to_owned())),
    }
    Ok(encode(&root, body))
}

/// A body about another call, or another message, where its shape says which one it is about. `id` is a UUID that was never used.
pub fn renew(body: &[u8], content_type: &str, id: &str) -> Vec<u8> {
    let Ok(mut root) = decode(body, content_type) else { return body.to_vec() };
    for path in OWN {
        if let Some(Value::String(text)) = field(&mut root, path) {
            *text = another(text, 0, id);
        }
    }
    encode(&root, body)
}

fn another(text: &str, n: u32, id: &str) -> String {
    let number = text.strip_prefix('+').and_then(|digits| digits.parse::<u64>().ok());
    match number {
        Some(number) => format!("+{}", number.saturating_add(u64::from(n))),
        None if Uuid::try_parse(text).is_ok() => id.to_owned(),
        None => format!("{text}-{id}"),
    }
}

fn decode(body: &[u8], content_type: &str) -> Result<Value, EditError> {
    match envelope::decode(Some(content_type), body) {
        Some(root @ Value::Object(_)) => Ok(root),
        _ => Err(EditError::Unreadable),
    }
}

/// The field that a path names: from the top of the body, or within its `data`; `payload` is the whole where the shape has none.
fn field<'v>(root: &'v mut Value, path: &str) -> Option<&'v mut Value> {
    let keys: Vec<&str> = path.split('.').collect();
    let payload = keys.first().is_some_and(|key| *key == "payload");
    let without = keys.get(usize::from(payload)..).unwrap_or_default();
    let inside = [&["data"], keys.as_slice()].concat();
    let payload_inside = [&["data"], without].concat();
    let ways = [keys.clone(), inside, payload_inside, without.to_vec()];
    let way = ways.into_iter().find(|way| walk(root, way).is_some())?;
    walk(root, &way)
}

fn walk<'v>(root: &'v mut Value, keys: &[&str]) -> Option<&'v mut Value> {
    keys.iter().try_fold(root, |at, key| match at {
        Value::Object(fields) => fields.get_mut(*key),
        Value::Array(items) => items.get_mut(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The body again, in the form that the `original` has.
pub(super) fn encode(root: &Value, original: &[u8]) -> Vec<u8> {
    let nothing = Map::new();
    let is_json = matches!(original.trim_ascii_start().first(), Some(b'{' | 0xef));
    if is_json {
        return serde_json::to_vec_pretty(root).unwrap_or_else(|_| original.to_vec());
    }
    let fields = root.as_object().unwrap_or(&nothing);
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields.iter().map(|(key, value)| (key, value.as_str().unwrap_or_default())));
    form.finish().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::{content_type, sample};
    use super::*;

    const ID: &str = "01234567-1111-7111-8111-111111111111";

    fn changed(name: &str, path: &str, value: &str) -> Result<Value, EditError> {
        let body = sample(name).expect("a sample");
        let body = set(&body, content_type(&body), path, value)?;
        let mut root = decode(&body, content_type(&body))?;
        Ok(field(&mut root, path).expect("a field").clone())
    }

    #[test]
    fn a_field_is_set_wherever_its_shape_has_it() {
        for (name, path, value, expected) in [
            ("call.cost", "payload.total_cost", "12.50", "\"12.50\""),
            ("call.cost", "payload.billed_duration_secs", "7", "7"),
            ("call.cost", "data.payload.billed_duration_secs", "many", "\"many\""),
            ("call_answered-v1", "payload.from", "+1", "\"+1\""),
            ("message.finalized", "payload.to.0.phone_number", "+44", "\"+44\""),
            ("message.finalized", "payload.cost.amount", "1.10", "\"1.10\""),
            ("texml.status", "payload.CallStatus", "busy", "\"busy\""),
        ] {
            assert_eq!(
                changed(name, path, value).map(|it| it.to_string()),
                Ok(expected.to_owned()),
                "{name} {path}"
            );
        }
        for path in ["payload.totl_cost", "payload", "nope", "payload.cost_parts.99.cost", ""] {
            let said = changed("call.cost", path, "1");
            assert!(
                path == "payload" || said == Err(EditError::NoField(path.to_owned())),
                "{path}: {said:?}"
            );
        }
    }

    #[test]
    fn what_is_varied_is_like_nothing_before() {
        let body = sample("call.cost").expect("a sample");
        let leg = |body: &[u8]| {
            let mut root = decode(body, "application/json").expect("json");
            field(&mut root, "payload.call_leg_id").and_then(|it| it.as_str().map(str::to_owned))
        };
        let (one, two) = (
            renew(&body, "application/json", ID),
            renew(&body, "application/json", &ID.replace('1', "2")),
        );
        assert!(leg(&one) != leg(&two) && leg(&one) != leg(&body) && leg(&one).is_some());
        let body = sample("message.finalized").expect("a sample");
        let path = "payload.to.0.phone_number";
        let third = vary(&body, "application/json", path, (3, ID)).expect("varied");
        let number = |body: &[u8]| {
            let mut root = decode(body, "application/json").expect("json");
            let text = field(&mut root, path).and_then(|it| it.as_str().map(str::to_owned));
            text.and_then(|text| text.strip_prefix('+')?.parse::<u64>().ok()).expect("a number")
        };
        assert_eq!(number(&third), number(&body) + 3);
        let wrong = vary(&body, "application/json", "payload.errors", (1, ID));
        assert_eq!(wrong, Err(EditError::NoText("payload.errors".to_owned())));
        assert_eq!(set(b"no json", "text/plain", "a", "b"), Err(EditError::Unreadable));
    }
}
