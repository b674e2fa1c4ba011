//! The JSON Schema (2020-12) of the configuration, made from the word table.

use serde_json::{Map, Value, json};

use super::words::{Bounds, ConfigWords, Key, Kind, RuleFileWords, Shape};

/// A scalar that holds a variable is text, whatever it expands to.
const VARIABLE: &str = r"\$\{";
const DURATION: &str = r"^(0|([0-9]+(ms|s|m|h|d|w|y))+)$";
const SIZE: &str = "^[0-9]+(B|KiB|MiB|GiB)?$";

/// JSON Schema of the main file, with that of a rule file at `#/$defs/rules`.
pub fn schema() -> Value {
    let mut defs = Map::new();
    define(RuleFileWords::shape(), &mut defs);
    let mut root = object(ConfigWords::shape(), &mut defs);
    let frame = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tollbell configuration",
        "description": "The main file. A file named in rule_files is described by $defs/rules.",
        "$defs": defs,
    });
    if let (Value::Object(root), Value::Object(frame)) = (&mut root, frame) {
        root.extend(frame);
    }
    root
}

fn define(shape: &'static Shape, defs: &mut Map<String, Value>) -> Value {
    if !defs.contains_key(shape.name) {
        // A route holds routes: the name is taken before its keys are looked at.
        defs.insert(shape.name.to_owned(), Value::Null);
        let value = object(shape, defs);
        defs.insert(shape.name.to_owned(), value);
    }
    json!({ "$ref": format!("#/$defs/{}", shape.name) })
}

fn object(shape: &'static Shape, defs: &mut Map<String, Value>) -> Value {
    let mut properties = Map::new();
    for key in shape.keys {
        properties.insert(key.name.to_owned(), property(key, defs));
    }
    let required: Vec<&str> =
        shape.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let mut object =
        json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if let (Value::Object(fields), false) = (&mut object, required.is_empty()) {
        fields.insert("required".to_owned(), json!(required));
    }
    object
}

fn property(key: &'static Key, defs: &mut Map<String, Value>) -> Value {
    let scalar = json!({ "type": ["string", "number", "boolean"] });
    let mut value = match &key.kind {
        Kind::Text("") => scalar,
        Kind::Text(default) => json!({ "type": "string", "default": default }),
        Kind::Choice { default, words } => json!({
            "anyOf": [{ "enum": words }, { "type": "string", "pattern": VARIABLE }],
            "default": default,
        }),
        Kind::Flag(default) => json!({
            "anyOf": [{ "type": "boolean" }, { "type": "string", "pattern": VARIABLE }],
            "default": default,
        }),
        Kind::Duration(bounds) => {
            bounded(&json!({ "type": "string", "pattern": DURATION }), bounds)
        }
        Kind::Size(bounds) => {
            bounded(&json!({ "type": ["string", "integer"], "pattern": SIZE }), bounds)
        }
        Kind::Integer(bounds) => bounded(&number("integer", bounds), bounds),
        Kind::Number(bounds) => bounded(&number("number", bounds), bounds),
        Kind::Any => json!({}),
        Kind::Texts => json!({ "type": ["array", "null"], "items": scalar }),
        Kind::Pairs => json!({ "type": ["object", "null"], "additionalProperties": scalar }),
        Kind::Map(shape) => define(shape(), defs),
        Kind::Maps(shape) => json!({ "type": ["array", "null"], "items": define(shape(), defs) }),
    };
    if let Value::Object(fields) = &mut value {
        fields.insert("description".to_owned(), json!(describe(key)));
    }
    value
}

fn number(kind: &str, bounds: &Bounds) -> Value {
    json!({ "type": kind, "minimum": literal(bounds.min), "maximum": literal(bounds.max) })
}

fn bounded(value: &Value, bounds: &Bounds) -> Value {
    let variable = json!({ "type": "string", "pattern": VARIABLE });
    json!({ "anyOf": [value, variable], "default": literal(bounds.default) })
}

/// A number as a number, anything else as text.
fn literal(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(Value::Number(number)) => Value::Number(number),
        _ => json!(text),
    }
}

fn describe(key: &Key) -> String {
    match &key.kind {
        Kind::Duration(Bounds { min, max, .. }) | Kind::Size(Bounds { min, max, .. }) => {
            format!("{} Between {min} and {max}.", key.about)
        }
        _ => key.about.to_owned(),
    }
}
