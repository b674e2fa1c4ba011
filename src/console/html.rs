//! The templates and files of the console; all of them are part of the binary.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// A template by its name.
const TEMPLATES: &[(&str, &str)] = &[
    ("frame.html", include_str!("templates/frame.html")),
    ("icons.html", include_str!("templates/icons.html")),
    ("parts.html", include_str!("templates/parts.html")),
    ("trouble.html", include_str!("templates/trouble.html")),
    ("login.html", include_str!("templates/login.html")),
    ("overview.html", include_str!("templates/overview.html")),
    ("alerts.html", include_str!("templates/alerts.html")),
    ("alert.html", include_str!("templates/alert.html")),
    ("alert_value.html", include_str!("templates/alert_value.html")),
    ("silences.html", include_str!("templates/silences.html")),
    ("silence.html", include_str!("templates/silence.html")),
    ("events.html", include_str!("templates/events.html")),
    ("event.html", include_str!("templates/event.html")),
    ("deliveries.html", include_str!("templates/deliveries.html")),
    ("delivery.html", include_str!("templates/delivery.html")),
    ("receivers.html", include_str!("templates/receivers.html")),
    ("rules.html", include_str!("templates/rules.html")),
    ("rule.html", include_str!("templates/rule.html")),
    ("spend.html", include_str!("templates/spend.html")),
    ("audit.html", include_str!("templates/audit.html")),
];

/// The stylesheet.
pub(super) const STYLESHEET: &str = include_str!("templates/console.css");
/// The script: pages work without it.
pub(super) const SCRIPT: &str = include_str!("templates/console.js");
/// The picture in a browser's tab.
pub(super) const ICON: &str = include_str!("templates/icon.svg");

/// Changes with the files, so that browsers may keep them.
pub(super) fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let mut hash = Sha256::new();
        for file in [STYLESHEET, SCRIPT, ICON] {
            hash.update(file.as_bytes());
        }
        let digest: Vec<u8> = hash.finalize().iter().take(6).copied().collect();
        URL_SAFE_NO_PAD.encode(digest)
    })
}

/// Renders a page. What is not known to be markup is escaped; a name that the page's values lack is an error.
pub(super) fn render(template: &str, context: impl Serialize) -> Result<String, minijinja::Error> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    let environment = ENVIRONMENT.get_or_init(environment);
    environment.get_template(template)?.render(Value::from(Serde(context)))
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_template| AutoEscape::Html);
    for (name, source) in TEMPLATES {
        environment
            .add_template(name, source)
            .unwrap_or_else(|error| unreachable!("a test renders each template: {error:#}"));
    }
    environment
}

/// Markup of ours, such as a chart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Markup(pub(super) String);

impl Serialize for Markup {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Serialized into a template's value it stays safe; anywhere else it is a text.
        Value::from_safe_string(self.0.clone()).serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_can_be_read() {
        let environment = environment();
        for (name, _) in TEMPLATES {
            assert!(environment.get_template(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_others_wrote_is_escaped_and_markup_of_ours_is_not() {
        #[derive(Serialize)]
        struct Context {
            a: &'static str,
            b: Markup,
        }
        let mut environment = environment();
        environment.add_template("t", "{{ a }} {{ b }} <i title='{{ a }}'>").expect("template");
        let context = Context { a: "<b>\"x'", b: Markup("<svg/>".to_owned()) };
        let text = environment
            .get_template("t")
            .expect("t")
            .render(Value::from(Serde(context)))
            .expect("renders");
        assert_eq!(text, "&lt;b&gt;&quot;x&#x27; <svg/> <i title='&lt;b&gt;&quot;x&#x27;'>");
    }

    #[test]
    fn nothing_stands_in_markup_that_the_policy_forbids() {
        for (name, source) in TEMPLATES {
            for forbidden in [
                " style=",
                "<style",
                "onclick",
                "onload",
                "javascript:",
                "http://",
                "|safe",
                "| safe",
            ] {
                assert!(!source.contains(forbidden), "{name} holds {forbidden}");
            }
        }
        assert!(!STYLESHEET.contains("url(") && !STYLESHEET.contains("@import"));
    }
}
