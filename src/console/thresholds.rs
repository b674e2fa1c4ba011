//! What a rule compares its value with, for people: the numbers, the words, the unit.

use super::words::value_text;
use crate::chart::Limit;
use crate::rules::{self, Labels, RuleRef, Threshold};

/// The thresholds of a rule: where its alert fires, and where it ends when that is another number.
pub(super) fn limits(of: RuleRef<'_>, unit: &str) -> Vec<Limit> {
    let written = of.written();
    let limit = |source: Option<&str>, fires: bool| {
        let Threshold { operator, value, .. } = rules::threshold(source?)?;
        let side = match operator {
            "<=" => "up to",
            ">=" => "from",
            "<" => "below",
            _ => "above",
        };
        let verb = if fires { "fires" } else { "ends" };
        let words = format!("{verb} {side} {}", value_text(value, unit));
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
