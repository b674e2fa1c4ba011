//! Numbers and markup as text.

use std::fmt::Write as _;

use rust_decimal::{Decimal, RoundingStrategy};

/// Decimal places of an amount that people read.
const MONEY_PLACES: u32 = 2;
/// Decimal places of an amount so small that two would show nothing.
const SMALL_PLACES: u32 = 4;

/// A number with its thousands apart: `1,180.4`.
pub fn figure_text(number: Decimal) -> String {
    let text = number.abs().to_string();
    let (whole, places) = text.split_once('.').unwrap_or((&text, ""));
    let mut out = String::new();
    if number.is_sign_negative() && !number.is_zero() {
        out.push('−');
    }
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if !places.is_empty() {
        out.push('.');
        out.push_str(places);
    }
    out
}

/// An amount rounded as people read it, with its currency: `1,180.40 USD`, `0.0106 USD`. Without a currency only the
/// number.
pub fn amount_text(amount: Decimal, currency: &str) -> String {
    let cent = Decimal::new(1, MONEY_PLACES);
    let small = !amount.is_zero() && amount.abs() < cent;
    let places = if small { SMALL_PLACES } else { MONEY_PLACES };
    let mut rounded = amount.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
    rounded.rescale(places);
    let figure = figure_text(rounded);
    if currency.is_empty() || currency == "unknown" {
        figure
    } else {
        format!("{figure} {currency}")
    }
}

/// Hours that are left: `17 h`, `25 days`; `more than a year` at the bound of a forecast.
pub fn hours_text(hours: Decimal) -> String {
    let whole = |number: Decimal| number.round_dp_with_strategy(0, RoundingStrategy::ToZero);
    let day = Decimal::from(24);
    if hours >= Decimal::from(8_760) {
        "more than a year".to_owned()
    } else if hours >= Decimal::from(72) {
        format!("{} days", whole(hours / day))
    } else if hours >= Decimal::ONE {
        format!("{} h", whole(hours))
    } else {
        format!("{} min", whole(hours * Decimal::from(60)))
    }
}

/// Text as it may stand in markup and in attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // What XML does not know.
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

/// Markup under way.
#[derive(Debug, Default)]
pub(super) struct Markup(String);

impl Markup {
    /// Appends what is markup already.
    pub(super) fn add(&mut self, markup: std::fmt::Arguments<'_>) {
        self.0.write_fmt(markup).expect("writing to a string cannot fail");
    }

    /// A line from one point to another.
    pub(super) fn line(&mut self, class: &str, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2]) {
        self.add(format_args!(
            r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        ));
    }

    /// A text; `anchor` is `start`, `middle` or `end`.
    pub(super) fn text(&mut self, class: &str, anchor: &str, [x, y]: [f64; 2], text: &str) {
        let text = escaped(text);
        self.add(format_args!(
            r#"<text class="{class}" text-anchor="{anchor}" x="{x:.1}" y="{y:.1}">{text}</text>"#
        ));
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_text_for_people() {
        for (amount, currency, want) in [
            ("1180.4", "USD", "1,180.40 USD"),
            ("0.0106", "USD", "0.01 USD"),
            ("0.0049", "USD", "0.0049 USD"),
            ("-1234567.005", "EUR", "−1,234,567.01 EUR"),
            ("0", "GBP", "0.00 GBP"),
            ("999", "", "999.00"),
            ("12.5", "unknown", "12.50"),
            // More digits than a float has.
            ("12345678901234567.89", "USD", "12,345,678,901,234,567.89 USD"),
        ] {
            assert_eq!(amount_text(amount.parse().expect(amount), currency), want);
        }
    }

    #[test]
    fn hours_are_told_as_people_do() {
        for (hours, want) in [
            ("0.5", "30 min"),
            ("17.9", "17 h"),
            ("71.9", "71 h"),
            ("600", "25 days"),
            ("8760", "more than a year"),
        ] {
            assert_eq!(hours_text(hours.parse().expect(hours)), want);
        }
    }

    #[test]
    fn markup_of_others_is_text() {
        assert_eq!(escaped(r#"<b a="1" b='2'>&"#), "&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;");
        assert_eq!(escaped("a\u{0}b"), "a b");
    }
}
