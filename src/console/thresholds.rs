//! What a rule compares its value with, for people: the numbers, the words, the unit.

use rust_decimal::Decimal;

use super::words::value_text;
use crate::chart::Limit;
use crate::rules::{Labels, RuleRef};

/// The thresholds of a rule: where its alert fires, and where it ends when that is another number.
pub(super) fn limits(of: RuleRef<'_>, unit: &str) -> Vec<Limit> {
    let written = of.written();
    let limit = |source: Option<&str>, fires: bool| {
        let (operator, value) = comparison(source?)?;
        let verb = if fires { "fires" } else { "ends" };
        let words = format!("{verb} {operator} {}", value_text(value, unit));
        Some(Limit { value, words, fires })
    };
    let clear = limit(written.clear, false);
    limit(written.fire, true).into_iter().chain(clear).collect()
}

/// The unit of a rule's value under these labels: a currency, `h`, or nothing.
pub(super) fn unit(of: RuleRef<'_>, labels: &Labels) -> String {
    let value = of.written().value.unwrap_or_default();
    let currency = labels.get("currency").filter(|_| of.is_about_money());
    match currency {
        // A choice between numbers, such as 1.0 and 0.0, is no amount.
        Some(currency) if !value.contains('?') && !value.contains("double(") => currency.clone(),
        _ => String::new(),
    }
}

/// Whether the value is hours.
pub(super) fn is_hours(of: RuleRef<'_>) -> bool {
    of.written().value.is_some_and(|value| value.trim() == "payload.hours_left")
}

/// The first comparison of `value` with a number, where the expression is no choice.
fn comparison(source: &str) -> Option<(&'static str, Decimal)> {
    const OPERATORS: [(&str, &str); 4] =
        [("<=", "up to"), (">=", "from"), ("<", "below"), (">", "above")];
    if source.contains('?') {
        return None;
    }
    let ends_word = |before: &str| {
        before.chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '.')
    };
    source.match_indices("value").find_map(|(at, word)| {
        let (before, rest) = (source.get(..at)?, source.get(at + word.len()..)?.trim_start());
        let (operator, words) =
            OPERATORS.iter().find(|(operator, _)| rest.starts_with(operator))?;
        let rest = rest.get(operator.len()..)?.trim_start();
        let end =
            rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').unwrap_or(rest.len());
        let behind = rest.get(end..)?.trim_start();
        let whole = behind.is_empty() || behind.starts_with(['&', '|', ')']);
        let number = rest.get(..end)?.parse().ok()?;
        (ends_word(before) && whole).then_some((*words, number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_the_value_is_compared_with_is_a_threshold() {
        for (source, want) in [
            ("value < 50.0", Some("below 50.0")),
            ("value>=75", Some("from 75")),
            ("value > 0.5 && count >= 3", Some("above 0.5")),
            ("count >= 3 && (value <= -1.25)", Some("up to -1.25")),
            ("value > 3.0 * usual", None),
            ("has(usual) ? value > 3.0 : value > 50.0", None),
            ("labels.value > 3.0", None),
            ("my_value > 3.0", None),
            ("count > 3", None),
            ("value == 1.0", None),
            ("value", None),
        ] {
            let found = comparison(source).map(|(words, number)| format!("{words} {number}"));
            assert_eq!(found.as_deref(), want, "{source}");
        }
    }
}
