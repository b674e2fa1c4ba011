//! What is usual, in words: "4.2 × the usual 31.10 USD for a Monday between 09:00 and 10:00".

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use rust_decimal::{Decimal, RoundingStrategy};

use super::{Usual, civil};
use crate::template;

/// Digits behind the point that are shown of less than 1.
const DIGITS_OF_LITTLE: u32 = 4;

/// How many times the usual a value is, to a digit behind the point; `None` where the usual is 0.
pub fn factor(value: Decimal, usual: &Usual) -> Option<Decimal> {
    let factor = value.checked_div(usual.value)?;
    Some(factor.round_dp_with_strategy(1, RoundingStrategy::MidpointAwayFromZero).normalize())
}

/// Value and usual compared in words; the amounts with their currency, where they are money.
pub fn in_words(
    value: Option<Decimal>,
    usual: &Usual,
    currency: Option<&str>,
    zone: &TimeZone,
    at: Timestamp,
) -> String {
    let digits = if usual.value.abs() < Decimal::ONE { DIGITS_OF_LITTLE } else { 2 };
    let rounded = usual.value.round_dp(digits).normalize().to_string();
    let amount = currency.and_then(|currency| template::money_text(&rounded, currency));
    let amount = amount.unwrap_or(rounded);
    let factor = value.and_then(|value| factor(value, usual));
    let factor = factor.map_or_else(String::new, |factor| format!("{factor} × "));
    format!("{factor}the usual {amount} for {}", hour_in_words(zone, at))
}

/// "a Monday between 09:00 and 10:00"
fn hour_in_words(zone: &TimeZone, at: Timestamp) -> String {
    let shown = civil::datetime(civil::seconds(zone, at)).unwrap_or_default();
    let day = match shown.weekday() {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    };
    format!("a {day} between {:02}:00 and {:02}:00", shown.hour(), shown.hour() + 1)
}
