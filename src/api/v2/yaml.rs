//! Writes YAML: what Alertmanager's own loaders read.

use std::fmt::Write as _;

use serde_json::Value;

/// A document. Texts stand in double quotes, escaped as in JSON, which YAML reads alike.
pub(super) fn document(value: &Value) -> String {
    let mut out = String::new();
    block(&mut out, value, 0);
    out
}

fn block(out: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                write!(out, "{indent}{name}:").expect("writing to a string cannot fail");
                behind(out, value, depth);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let mut inner = String::new();
                block(&mut inner, item, depth + 1);
                // The first line of an item stands behind its dash.
                let inner = inner.get(indent.len() + 2..).unwrap_or_default();
                write!(out, "{indent}- {inner}").expect("writing to a string cannot fail");
            }
        }
        scalar => writeln!(out, "{indent}{scalar}").expect("writing to a string cannot fail"),
    }
}

/// What stands behind a key.
fn behind(out: &mut String, value: &Value, depth: usize) {
    let nested = match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if nested {
        out.push('\n');
        block(out, value, depth + 1);
    } else {
        writeln!(out, " {value}").expect("writing to a string cannot fail");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn maps_lists_and_texts_are_written_as_people_write_them() {
        let value = json!({
            "route": {"receiver": "ops", "group_by": ["a", "..."], "routes": [{"continue": true, "matchers": ["a=\"b\""]}]},
            "receivers": [{"name": "ops"}],
            "none": [],
        });
        let written = document(&value);
        for line in [
            "route:\n  ",
            "\n  receiver: \"ops\"\n",
            "\n  group_by:\n    - \"a\"\n    - \"...\"\n",
            "    - continue: true\n      matchers:\n        - \"a=\\\"b\\\"\"\n",
            "receivers:\n  - name: \"ops\"\n",
            "none: []\n",
        ] {
            assert!(written.contains(line), "{line:?} is not in\n{written}");
        }
    }
}
