//! Templates of annotations and messages: minijinja, strict about undefined names, bounded in work.
//!
//! One [`Templates`] holds many named templates and the filters that all of them share. Numbers with a fraction are exact
//! ([`numbers`]), for which a template's operators become filters before it is compiled ([`operators`]).

mod bounds;
mod error;
mod number_filters;
mod numbers;
mod operators;

mod words;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use minijinja::{AutoEscape, Environment, ErrorKind, State, UndefinedBehavior, Value};
use rust_decimal::Decimal;

pub use error::TemplateError;
pub use numbers::decimal;

/// Work that one rendering may do, in minijinja's instructions; a runaway loop ends here.
const FUEL: u64 = 20_000;
/// Longest template source, in bytes.
pub const SOURCE_BYTES_MAX: usize = 64 * 1024;
/// Longest rendered text, in bytes; longer ones are cut.
const OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// How Slack's own markup escapes; see [`slack_escape`].
const SLACK: AutoEscape = AutoEscape::Custom(Cow::Borrowed("slack"));

/// Compiled templates by name. Names that end in `.html` escape HTML, those that end in `.mrkdwn` as Slack wants it;
/// all others escape nothing.
#[derive(Clone)]
pub struct Templates {
    env: Environment<'static>,
}

impl Templates {
    /// No templates, all filters.
    pub fn new() -> Self {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_fuel(Some(FUEL));
        env.set_auto_escape_callback(|name| match name.rsplit_once('.') {
            Some((_, "html")) => AutoEscape::Html,
            Some((_, "mrkdwn")) => SLACK,
            _ => AutoEscape::None,
        });
        env.set_formatter(|out, state, value| match (*state.auto_escape() == SLACK, value) {
            (true, value) if value.is_safe() => Ok(write!(out, "{value}")?),
            (true, value) => Ok(out.write_str(&slack_escape(&printed(value)?))?),
            (false, value) => minijinja::escape_formatter(out, state, value),
        });
        numbers::add_to(&mut env);
        number_filters::add_to(&mut env);
        env.add_filter("money", money);
        env.add_filter("duration", duration);
        env.add_filter("ago", ago);
        env.add_filter("truncate", truncate);
        env.add_filter("wrap", wrap);
        env.add_filter("row", row);
        env.add_filter("slack_escape", slack_escape_filter);
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
        bounds::check(source)?;
        // Some of these compile: `range .Alerts` is the field `Alerts` of `range`.
        if let Some((line, instead)) = words::foreign(source) {
            let message =
                format!("a tag of a Go template, as in Alertmanager; here it is {instead}");
            return Err(TemplateError { line: Some(line), message, undefined: false });
        }
        self.env
            .add_template_owned(name.to_owned(), operators::rewrite(source))
            .map_err(|error| words::explain(&error))
    }

    /// Renders a template.
    pub fn render(&self, name: &str, context: &Value) -> Result<String, TemplateError> {
        let template = self.env.get_template(name).map_err(|error| words::explain(&error))?;
        let mut text = template.render(context).map_err(|error| words::explain(&error))?;
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

/// Names of fields that hold amounts as decimal text, whatever the kind of event: Telnyx writes money so.
pub const AMOUNTS: &[&str] = &[
    "amount",
    "available_credit",
    "balance",
    "configured_limit",
    "cost",
    "credit_limit",
    "current_cost",
    "daily_spend_limit",
    "pending",
    "rate",
    "total_cost",
];
/// The amount that an event changes in what was charged, as our own snapshot of it says.
const CHARGE: &str = "charge";

/// JSON as a template sees it. Numbers with a fraction are decimals, and so are amounts, which are sent as text: they
/// compare and add exactly, and are shown to the last digit.
pub fn value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(flag) => Value::from(*flag),
        serde_json::Value::Number(number) => numbers::of_token(number.as_str()),
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => items.iter().map(value).collect(),
        serde_json::Value::Object(fields) => Value::from(
            fields
                .iter()
                .map(|(name, field)| (name.clone(), of_field(name, field)))
                .collect::<BTreeMap<_, _>>(),
        ),
    }
}

/// A field by its name; an amount only where it is written as it will be shown.
fn of_field(name: &str, json: &serde_json::Value) -> Value {
    let text = json.as_str().filter(|_| AMOUNTS.contains(&name) || name == CHARGE);
    let exact = text.and_then(|text| {
        Decimal::from_str_exact(text).ok().filter(|exact| exact.to_string() == text)
    });
    exact.map_or_else(|| value(json), decimal)
}

/// `{{ amount | money(currency) }}`: `12.34 USD`; what is not known is called `unknown`.
fn money(amount: &Value, currency: Option<&Value>) -> String {
    let text = amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
    let code = currency.and_then(Value::as_str).unwrap_or_default();
    money_text(&text, code).unwrap_or_else(|| "unknown".to_owned())
}

/// An amount for people: at least two decimals, every digit kept but noughts at the end, and the currency where it is known
/// (neither empty nor `unknown`). `None` when the text is no decimal number.
pub fn money_text(amount: &str, currency: &str) -> Option<String> {
    let mut exact = amount.trim().parse::<Decimal>().ok()?.normalize();
    if exact.scale() < 2 {
        exact.rescale(2);
    }
    Some(match currency {
        "" | "unknown" => exact.to_string(),
        code => format!("{exact} {code}"),
    })
}

/// A value as people read it: what was divided is cut to six digits behind the point, or to as many as show three that are
/// not zero; what was written or added up stays as it is.
pub fn rounded_text(value: Decimal) -> String {
    let rounded = if value.round_dp(6).abs() < Decimal::new(1, 3) {
        value.round_sf(3).unwrap_or(value)
    } else {
        value.round_dp(6)
    };
    rounded.normalize().to_string()
}

/// `{{ seconds | duration }}`: `2h 5m`; what is no whole number of seconds is called `unknown`.
fn duration(seconds: &Value) -> String {
    let text = seconds.as_str().map_or_else(|| seconds.to_string(), str::to_owned);
    match text.trim().parse::<Decimal>().ok().and_then(|exact| i64::try_from(exact).ok()) {
        Some(whole) => duration_text(whole),
        None => "unknown".to_owned(),
    }
}

/// A span for people: its two largest units, `1d 3h`, `2h 5m`, `3m 20s`, `45s`. Negative spans read as zero.
pub fn duration_text(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    let (large, small) = match (days, hours, minutes) {
        (0, 0, 0) => return format!("{rest}s"),
        (0, 0, _) => ((minutes, 'm'), (rest, 's')),
        (0, _, _) => ((hours, 'h'), (minutes, 'm')),
        _ => ((days, 'd'), (hours, 'h')),
    };
    match small.0 {
        0 => format!("{}{}", large.0, large.1),
        _ => format!("{}{} {}{}", large.0, large.1, small.0, small.1),
    }
}

/// `{{ alert.starts_at | ago(now) }}`: `3m 20s ago`. Both are RFC 3339 texts; a time to come is `just now`.
fn ago(then: &str, now: &str) -> String {
    match (then.parse::<Timestamp>(), now.parse::<Timestamp>()) {
        (Ok(then), Ok(now)) => ago_text(then, now),
        _ => "at an unknown time".to_owned(),
    }
}

/// How long before `now` something was: `3m 20s ago`, or `just now` when that is less than a second or to come.
pub fn ago_text(then: Timestamp, now: Timestamp) -> String {
    match now.duration_since(then).as_secs() {
        ..=0 => "just now".to_owned(),
        seconds => format!("{} ago", duration_text(seconds)),
    }
}

/// `{{ text | truncate(80) }}`: at most that many characters, the last of them an ellipsis where text was cut.
pub fn truncate(text: &str, characters: usize) -> String {
    if text.chars().nth(characters).is_none() {
        return text.to_owned();
    }
    let kept: String = text.chars().take(characters.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// `{{ text | wrap(76, "  ") }}`: lines of at most `width` characters where words allow, each after `indent`.
fn wrap(text: &str, width: usize, indent: Option<&str>) -> String {
    let indent = indent.unwrap_or_default();
    let room = width.saturating_sub(indent.chars().count()).max(1);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        let mut used = 0;
        for word in paragraph.split_whitespace() {
            let length = word.chars().count();
            if used > 0 && used + 1 + length > room {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += length;
        }
        lines.push(line);
    }
    let lines = lines.iter().map(|line| format!("{indent}{line}").trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

/// `{{ value | row("Since", 18, 78) }}`: the name, then the value from column 18 on, wrapped and aligned there.
fn row(value: &str, name: &str, column: usize, width: usize) -> String {
    let wrapped = wrap(value, width, Some(&" ".repeat(column)));
    format!("{name:<before$} {}", wrapped.trim_start(), before = column.saturating_sub(1))
}

/// `{{ text | slack_escape }}`: text that Slack shows as it is: `& < >` escaped, and nobody called by it.
///
/// <https://docs.slack.dev/messaging/formatting-message-text>: escaping disarms `<!channel>` and `<@U…>`; a bare
/// `@channel`, `@here` or `@everyone` is linked by some clients, so a zero-width space goes behind its `@`.
pub fn slack_escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '@' | '＠' => {
                escaped.push(character);
                let rest = text.get(at + character.len_utf8()..).unwrap_or_default();
                if calls_everyone(rest) {
                    escaped.push('\u{200b}');
                }
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// Where the template escapes by itself, escaping twice would be seen.
fn slack_escape_filter(state: &State<'_, '_>, text: &str) -> Value {
    let escaped = slack_escape(text);
    if *state.auto_escape() == SLACK { Value::from_safe_string(escaped) } else { escaped.into() }
}

/// A value as the default formatter prints it; one that is undefined is an error there.
fn printed(value: &Value) -> Result<String, minijinja::Error> {
    if value.is_undefined() {
        return Err(minijinja::Error::from(ErrorKind::UndefinedError));
    }
    Ok(value.to_string())
}

fn calls_everyone(after_at: &str) -> bool {
    ["channel", "here", "everyone", "group"].iter().any(|word| {
        after_at.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_cut_where_people_stop_reading() {
        for (value, text) in [
            ("1.1545454545454545454545454545", "1.154545"),
            ("0.0000123456789", "0.0000123"),
            ("0.000000000001", "0.000000000001"),
            ("-0.3333333333", "-0.333333"),
            ("130.600", "130.6"),
            ("0", "0"),
            ("123456789.123456", "123456789.123456"),
        ] {
            assert_eq!(rounded_text(value.parse().expect("a number")), text);
        }
    }

    fn render(source: &str, json: &str) -> Result<String, TemplateError> {
        let mut templates = Templates::new();
        templates.add("t", source)?;
        templates.render("t", &value(&serde_json::from_str(json).expect("json")))
    }

    #[test]
    fn no_template_is_too_long_a_chain_or_too_deep_for_the_compiler() {
        let nested = |open: &str, close: &str, n: usize| open.repeat(n) + "1" + &close.repeat(n);
        let tag = |inside: String| format!("{{{{ {inside} }}}}");
        for (links, brackets, blocks) in [(190, 24, 24), (30_000, 10_000, 5_000)] {
            let shapes = [
                tag("1".to_owned() + &"|string".repeat(links)),
                tag("a".to_owned() + &".a".repeat(links)),
                tag("a".to_owned() + &"[0]".repeat(links / 2)),
                tag("a".to_owned() + &"()".repeat(links)),
                tag("1".to_owned() + &"~1".repeat(links)),
                tag("1".to_owned() + &" if 1 else 1".repeat(links / 3)),
                tag("1".to_owned() + &" and 1".repeat(links)),
                tag("not ".repeat(links) + "1"),
                tag("-".repeat(links) + "1"),
                tag(nested("(", ")", brackets)),
                tag(nested("[", "]", brackets)),
                nested("{% if 1 %}", "{% endif %}", blocks),
                nested("{%- for i in [1] -%}", "{% endfor %}", blocks),
                nested("{% set a %}", "{% endset %}", blocks),
                nested("{% filter upper %}", "{% endfilter %}", blocks),
                "{% if 0 %}".to_owned() + &"{% elif 0 %}".repeat(links / 2) + "{% endif %}",
            ];
            for source in shapes {
                let mut templates = Templates::new();
                let added = templates.add("t", source.get(..SOURCE_BYTES_MAX).unwrap_or(&source));
                let _any = templates.render("t", &value(&serde_json::json!({"a": 1})));
                templates.variables("t");
                if links > 190 {
                    let error = added.expect_err("too much");
                    assert!(error.message.contains("more than"), "{error}");
                }
            }
        }
        // What only looks like much.
        assert_eq!(render(&"{ % | ( ".repeat(2_000), "{}").map(|text| text.len()), Ok(16_000));
        assert!(render(&format!("{{{{ '{}' }}}}", "((| ".repeat(1_000)), "{}").is_ok());
        assert!(render(&"{% set a = 1 %}{% if a %}{{ a }}{% endif %}".repeat(500), "{}").is_ok());
    }

    #[test]
    fn what_is_pasted_from_alertmanager_gets_told_what_to_write() {
        for (source, line, words) in [
            ("x\n{{ .CommonLabels.alertname }}", Some(2), "here it is {{ labels.severity }}"),
            ("{{ range .Alerts }}{{ end }}", Some(1), "{% for alert in alerts %}"),
            (
                "{{ 'a' | toUpper }}",
                Some(1),
                "filter toUpper is unknown; here it is {{ name | upper }}",
            ),
        ] {
            let error = render(source, "{}").expect_err(source);
            assert_eq!(error.line, line, "{error}");
            assert!(error.message.contains(words), "{error}");
        }
        for source in
            ["{% raw %}{{ .x }}{% endraw %}", "{#{{ .x }}#}{%- raw -%}{{ .x }}{% endraw %}"]
        {
            assert_eq!(render(source, "{}").as_deref(), Ok("{{ .x }}"));
        }
    }

    #[test]
    fn money_keeps_every_digit_and_never_guesses() {
        let json = r#"{"a": 0.10600, "b": "12.3", "c": null, "d": 50, "cur": "USD"}"#;
        let source = "{{a|money(cur)}} {{b|money(cur)}} {{c|money(cur)}} {{d|money}} {{a}}";
        assert_eq!(
            render(source, json).expect("renders"),
            "0.106 USD 12.30 USD unknown 50.00 0.10600"
        );
    }

    #[test]
    fn filters_speak_to_people() {
        for (source, expected) in [
            ("{{ 7500 | duration }}", "2h 5m"),
            ("{{ '59' | duration }} {{ 60 | duration }} {{ 200 | duration }}", "59s 1m 3m 20s"),
            ("{{ 97200 | duration }} {{ 'x' | duration }} {{ -1 | duration }}", "1d 3h unknown 0s"),
            ("{{ '2026-01-01T00:00:00Z' | ago('2026-01-01T02:05:00Z') }}", "2h 5m ago"),
            ("{{ '2026-01-01T00:00:00Z' | ago('2025-01-01T02:05:00Z') }}", "just now"),
            ("{{ 'öäü' | truncate(3) }} {{ 'öäüß' | truncate(3) }}", "öäü öä…"),
            ("{{ 'one two three' | wrap(9, '> ') }}", "> one two\n> three"),
            ("{{ 'a\n\nb' | wrap(9) }}", "a\n\nb"),
            ("{{ 'one two' | row(' A', 4, 8) }}", " A  one\n    two"),
            ("{{ 'one' | row(' Long', 4, 8) }}", " Long one"),
            ("{{ '<!here> a&b <@U1>' | slack_escape }}", "&lt;!here&gt; a&amp;b &lt;@U1&gt;"),
            ("{{ '@Channel @you' | slack_escape }}", "@\u{200b}Channel @you"),
            ("{{ 5 | money('unknown') }} {{ '-0.1' | money('EUR') }}", "5.00 -0.10 EUR"),
        ] {
            assert_eq!(render(source, "{}").as_deref(), Ok(expected), "{source}");
        }
    }

    #[test]
    fn slacks_markup_is_escaped_once_and_never_by_the_event() {
        let mut templates = Templates::new();
        let source = "<!here> {{ a }} {{ a | slack_escape }} {{ '<!here>' | safe }} {{ n }} {{ a | truncate(3) }}";
        templates.add("x.mrkdwn", source).expect("compiles");
        let context = value(&serde_json::json!({"a": "<!channel> & @here", "n": 5}));
        let once = "&lt;!channel&gt; &amp; @\u{200b}here";
        assert_eq!(
            templates.render("x.mrkdwn", &context).as_deref(),
            Ok(format!("<!here> {once} {once} <!here> 5 &lt;!…").as_str())
        );
        templates.add("x.mrkdwn", "{{ nope }}").expect("compiles");
        assert!(templates.render("x.mrkdwn", &context).expect_err("undefined").undefined);
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
