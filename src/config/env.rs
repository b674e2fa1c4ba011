//! `${NAME}`, `${NAME:-default}` and `$$` in the scalars of the main config file.
//!
//! Expansion happens after the YAML was read, so a value can never change the structure of the file. Rule files
//! are left alone: `$` belongs to CEL and templates there. Diagnostics name the variable, never its value.

use super::diagnostics::Diagnostics;
use super::yaml::{Data, Node};
use crate::diagnostic::Diagnostic;

/// Finds the value of a variable.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The process environment: the only place in the program that reads it.
#[expect(clippy::disallowed_methods, reason = "only `config` reads the environment, here")]
pub fn system_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Expands all scalars below a node. One that cannot be expanded is reported and marked broken.
pub(super) fn expand_all(node: &mut Node, env: Env<'_>, diagnostics: &Diagnostics) {
    match &mut node.data {
        Data::Scalar(text) if text.contains('$') => match expand(text, env) {
            Ok(expanded) => *text = expanded,
            Err((message, hint)) => {
                diagnostics.push(Diagnostic::error(node.position.clone(), "", message).hint(hint));
                node.data = Data::Broken;
            }
        },
        Data::List(nodes) => {
            for node in nodes {
                expand_all(node, env, diagnostics);
            }
        }
        Data::Map(entries) => {
            for (_, node) in entries {
                expand_all(node, env, diagnostics);
            }
        }
        Data::Null | Data::Scalar(_) | Data::Broken => {}
    }
}

/// Expands one text; a `$` before anything but `{` or `$` stays as it is. The error is a message and a hint.
pub(super) fn expand(text: &str, env: Env<'_>) -> Result<String, (String, String)> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let Some((inner, after)) = after.split_once('}') else {
                let hint = "write ${NAME}, or $$ for a dollar sign";
                return Err(("${ without a closing }".to_owned(), hint.to_owned()));
            };
            out.push_str(&variable(inner, env)?);
            rest = after;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn variable(inner: &str, env: Env<'_>) -> Result<String, (String, String)> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    if !crate::alerts::is_label_name(name) {
        let hint = "write ${NAME} or ${NAME:-default}, or $$ for a dollar sign";
        return Err(("no name of an environment variable within ${}".to_owned(), hint.to_owned()));
    }
    match (env(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err((
            format!("environment variable {name} is not set"),
            format!("set it, or give a default: ${{{name}:-…}}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expansion_follows_the_table() {
        let env = |name: &str| match name {
            "A" => Some("va$lue".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        for (text, want) in [
            ("plain", Ok("plain")),
            ("${A}", Ok("va$lue")),
            ("x${A}y${A}", Ok("xva$lueyva$lue")),
            ("${EMPTY}", Ok("")),
            ("${EMPTY:-d}", Ok("d")),
            ("${NOPE:-d:-e}", Ok("d:-e")),
            ("${NOPE:-}", Ok("")),
            ("$$", Ok("$")),
            ("$${A}", Ok("${A}")),
            ("a$", Ok("a$")),
            ("^x$|$y", Ok("^x$|$y")),
            ("${NOPE}", Err("environment variable NOPE is not set")),
            ("${A", Err("${ without a closing }")),
            ("${}", Err("no name of an environment variable within ${}")),
            ("${A-b}", Err("no name of an environment variable within ${}")),
        ] {
            let got = expand(text, &env).map_err(|(message, _)| message);
            assert_eq!(got.as_deref().map_err(String::as_str), want, "{text}");
        }
    }
}
