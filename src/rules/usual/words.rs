//! What is usual, in words: "4.2 × the usual 31.10 USD for a Monday between 09:00 and 10:00".

use jiff::Timestamp;
use jiff::civil::Weekday;
use rust_decimal::{Decimal, RoundingStrategy};

use super::{Kept, Span, Terms, Usual, civil};
use crate::template;

/// Digits behind the point that are shown of less than 1.
const DIGITS_OF_LITTLE: u32 = 4;

/// How many times the usual a value is, to a digit behind the point; `None` where the usual is 0.
pub fn factor(value: Decimal, usual: &Usual) -> Option<Decimal> {
    let factor = value.checked_div(usual.value)?;
    Some(factor.round_dp_with_strategy(1, RoundingStrategy::MidpointAwayFromZero).normalize())
}

/// Value and usual compared in words, and for which time; the amounts with their currency, where they are money.
pub fn in_words(
    value: Option<Decimal>,
    usual: &Usual,
    currency: Option<&str>,
    terms: &Terms,
    at: Timestamp,
) -> String {
    let digits = if usual.value.abs() < Decimal::ONE { DIGITS_OF_LITTLE } else { 2 };
    let rounded = usual.value.round_dp(digits).normalize().to_string();
    let amount = currency.and_then(|currency| template::money_text(&rounded, currency));
    let amount = amount.unwrap_or(rounded);
    let factor = value.and_then(|value| factor(value, usual));
    let factor = factor.map_or_else(String::new, |factor| format!("{factor} × "));
    format!("{factor}the usual {amount} {}", time_in_words(terms, at))
}

/// "for a Monday between 09:00 and 10:00"; where the value is of another time than an hour, which one: "within 15m on a
/// Monday between 09:00 and 10:00", "for a Monday until 09:12", "for a week until Monday 09:12".
fn time_in_words(terms: &Terms, at: Timestamp) -> String {
    let shown = civil::datetime(civil::seconds(&terms.zone, at)).unwrap_or_default();
    let day = match shown.weekday() {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    };
    let hour = format!("between {:02}:00 and {:02}:00", shown.hour(), shown.hour() + 1);
    let until = format!("{:02}:{:02}", shown.hour(), shown.minute());
    match terms.span {
        _ if !matches!(terms.kept, Kept::Total | Kept::Mean) => format!("for a {day} {hour}"),
        Span::Sliding(civil::HOUR) => format!("for a {day} {hour}"),
        Span::Sliding(seconds) => {
            format!("within {} on a {day} {hour}", template::duration_text(seconds))
        }
        Span::Day => format!("for a {day} until {until}"),
        Span::Week => format!("for a week until {day} {until}"),
    }
}
