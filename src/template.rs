//! Templates of annotations and messages: minijinja, strict about undefined names, bounded in work.
//!
//! One [`Templates`] holds many named templates and the filters that all of them share.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};
use rust_decimal::Decimal;

/// Work that one rendering may do, in minijinja's instructions; a runaway loop ends here.
const FUEL: u64 = 20_000;
/// Longest template source, in bytes.
pub const SOURCE_BYTES_MAX: usize = 64 * 1024;
/// Longest rendered text, in bytes; longer ones are cut.
const OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// Compiled templates by name. Names that end in `.html` escape HTML; all others escape nothing.
pub struct Templates {
    env: Environment<'static>,
}

/// Why a template does not compile or render.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// Line within the template, from 1, where known.
    pub line: Option<u32>,
    /// What is wrong; names variables and filters, never shows their values.
    pub message: String,
    /// Whether a name that is not there is the cause, which may differ from event to event.
    pub undefined: bool,
}

impl Templates {
    /// No templates, all filters.
    pub fn new() -> Self {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_fuel(Some(FUEL));
        env.set_auto_escape_callback(|name| match name.rsplit_once('.') {
            Some((_, "html")) => AutoEscape::Html,
            _ => AutoEscape::None,
        });
        env.add_filter("money", money);
        Self { env }
    }

    /// No templates, all filters; undefined names render as nothing. For checks at load only.
    pub fn lenient() -> Self {
        let mut templates = Self::new();
        templates.env.set_undefined_behavior(UndefinedBehavior::Chainable);
        templates
    }

    /// The names that a template takes from its context, as far as they are written as `a.b.c`; sorted.
    pub fn variables(&self, name: &str) -> BTreeSet<String> {
        let template = self.env.get_template(name);
        template
            .map(|template| template.undeclared_variables(true).into_iter().collect())
            .unwrap_or_default()
    }

    /// Compiles a template under a name, in the place of an earlier one of that name.
    pub fn add(&mut self, name: &str, source: &str) -> Result<(), TemplateError> {
        if source.len() > SOURCE_BYTES_MAX {
            let message = format!("template longer than {SOURCE_BYTES_MAX} bytes");
            return Err(TemplateError { line: None, message, undefined: false });
        }
        self.env
            .add_template_owned(name.to_owned(), source.to_owned())
            .map_err(|error| explain(&error))
    }

    /// Renders a template.
    pub fn render(&self, name: &str, context: &Value) -> Result<String, TemplateError> {
        let template = self.env.get_template(name).map_err(|error| explain(&error))?;
        let mut text = template.render(context).map_err(|error| explain(&error))?;
        if text.len() > OUTPUT_BYTES_MAX {
            text.truncate(text.floor_char_boundary(OUTPUT_BYTES_MAX));
        }
        Ok(text)
    }
}

impl Default for Templates {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.env.templates().count();
        f.debug_struct("Templates").field("count", &count).finish_non_exhaustive()
    }
}

/// JSON as a template sees it. Integers stay numbers; any other number is the text it was sent as, so that an
/// amount is shown to the last digit.
pub fn value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(flag) => Value::from(*flag),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(integer) => Value::from(integer),
            None => Value::from(number.to_string()),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => items.iter().map(value).collect(),
        serde_json::Value::Object(fields) => Value::from(
            fields
                .iter()
                .map(|(name, field)| (name.clone(), value(field)))
                .collect::<BTreeMap<_, _>>(),
        ),
    }
}

/// `{{ amount | money(currency) }}`: `12.34 USD`; what is not known is called `unknown`.
fn money(amount: &Value, currency: Option<&Value>) -> String {
    let text = amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
    let Ok(mut exact) = text.parse::<Decimal>() else {
        return "unknown".to_owned();
    };
    if exact.scale() < 2 {
        exact.rescale(2);
    }
    match currency.and_then(Value::as_str).filter(|code| !code.is_empty()) {
        Some(code) => format!("{exact} {code}"),
        None => exact.to_string(),
    }
}

fn explain(error: &minijinja::Error) -> TemplateError {
    let line = error.line().and_then(|line| u32::try_from(line).ok());
    let message = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => "the template does too much work".to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    // An operator on an undefined operand is reported under another kind.
    let undefined = error.kind() == ErrorKind::UndefinedError
        || error.detail().is_some_and(|detail| detail.contains("is undefined"));
    TemplateError { line, message, undefined }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str, json: &str) -> Result<String, TemplateError> {
        let mut templates = Templates::new();
        templates.add("t", source)?;
        templates.render("t", &value(&serde_json::from_str(json).expect("json")))
    }

    #[test]
    fn money_keeps_every_digit_and_never_guesses() {
        let json = r#"{"a": 0.10600, "b": "12.3", "c": null, "d": 50, "cur": "USD"}"#;
        let source = "{{a|money(cur)}} {{b|money(cur)}} {{c|money(cur)}} {{d|money}} {{a}}";
        assert_eq!(
            render(source, json).expect("renders"),
            "0.10600 USD 12.30 USD unknown 50.00 0.10600"
        );
    }

    #[test]
    fn undefined_names_and_runaway_loops_are_errors() {
        let error = render("one\n{{ event.nope }}", r#"{"event": {}}"#).expect_err("undefined");
        assert_eq!(error.line, Some(2));
        let error = render(
            "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}",
            "{}",
        )
        .expect_err("too much");
        assert_eq!(error.message, "the template does too much work");
    }
}
