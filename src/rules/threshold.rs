//! The number with which a rule compares its value, as its expression is written.

use std::ops::Range;

use rust_decimal::Decimal;

/// The comparisons that have a side.
const OPERATORS: [&str; 4] = ["<=", ">=", "<", ">"];

/// A number with which `value` is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Threshold {
    /// `<`, `<=`, `>` or `>=`.
    pub operator: &'static str,
    /// The number.
    pub value: Decimal,
    /// Where the comparison stands in the source, from `value` to the end of the number, in bytes.
    pub place: Range<usize>,
}

/// The first number with which an expression compares `value`. `None` where it is part of a term, or the expression is a
/// choice: such a number says nothing by itself.
pub fn threshold(source: &str) -> Option<Threshold> {
    if source.contains('?') {
        return None;
    }
    comparisons(source).find_map(|(from, operator, at)| {
        let rest = source.get(at..)?;
        let number = rest.trim_start();
        let end = number
            .find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-')
            .unwrap_or(number.len());
        let behind = number.get(end..)?.trim_start();
        let whole = behind.is_empty() || behind.starts_with(['&', '|', ')']);
        let value = number.get(..end)?.parse().ok()?;
        let place = from..at + (rest.len() - number.len()) + end;
        whole.then_some(Threshold { operator, value, place })
    })
}

/// Whether an expression fires below what it compares `value` with first, be it a number or not.
pub fn is_below(source: &str) -> bool {
    comparisons(source).next().is_some_and(|(_, operator, _)| operator.starts_with('<'))
}

/// Where `value` is compared: where it stands, the operator, where what stands behind that begins.
fn comparisons(source: &str) -> impl Iterator<Item = (usize, &'static str, usize)> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    source.match_indices("value").filter_map(move |(from, word)| {
        let (before, rest) = (source.get(..from)?, source.get(from + word.len()..)?);
        let trimmed = rest.trim_start();
        let operator = OPERATORS.into_iter().find(|operator| trimmed.starts_with(operator))?;
        let at = from + word.len() + (rest.len() - trimmed.len()) + operator.len();
        let is_whole = before.chars().next_back().is_none_or(|c| !is_name(c));
        is_whole.then_some((from, operator, at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_the_value_is_compared_with_is_a_threshold() {
        for (source, want, below) in [
            ("value < 50.0", Some(("value < 50.0", "<", "50.0")), true),
            ("value>=75", Some(("value>=75", ">=", "75")), false),
            ("value > 0.5 && count >= 3", Some(("value > 0.5", ">", "0.5")), false),
            ("count >= 3 && (value <= -1.25)", Some(("value <= -1.25", "<=", "-1.25")), true),
            ("value > 3.0 * usual && value > 50.0", Some(("value > 50.0", ">", "50.0")), false),
            ("value > 3.0 * usual", None, false),
            ("value < 0.5 * usual", None, true),
            ("has(usual) ? value > 3.0 : value > 50.0", None, false),
            ("labels.value > 3.0", None, false),
            ("my_value > 3.0", None, false),
            ("count > 3", None, false),
            ("value == 1.0", None, false),
            ("value", None, false),
        ] {
            let found = threshold(source);
            let found = found.as_ref().map(|it| (it.place.clone(), it.operator, it.value));
            let want = want.map(|(text, operator, value)| {
                let from = source.find(text).expect("is in it");
                (from..from + text.len(), operator, value.parse().expect("number"))
            });
            assert_eq!((found, is_below(source)), (want, below), "{source}");
        }
    }
}
