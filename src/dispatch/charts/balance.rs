//! How a balance went in the last days, and how long it lasts at the present pace. Pure.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use crate::chart::{Forecast, Line, Point, amount_text, hours_text};
use crate::clock;
use crate::store::Reading;

/// How far back a balance is shown at most: as far as where the forecast does not end on the picture.
pub(super) const BACK_MAX: Duration = Duration::from_hours(168);
/// How far back at least; else three times as far as ahead.
const BACK_MIN: Duration = Duration::from_hours(48);
/// How far ahead at most: a forecast that ends later does not end on the picture.
const AHEAD_MAX: Duration = Duration::from_hours(72);
/// How far ahead at least; else as far as what is left lasts, and a sixth more.
const AHEAD_MIN: Duration = Duration::from_hours(12);
/// One value in so much time is drawn.
pub(super) const STEP: Duration = Duration::from_mins(30);
/// Between readings that are further apart nothing is drawn; a forecast from one that is older is none.
const GAP: Duration = Duration::from_hours(2);

/// The chart by readings, oldest first; `None` where there are fewer than two in the present currency.
pub(super) fn line(readings: &[Reading], at: Timestamp) -> Option<Line> {
    let last = readings.last()?;
    let is_fresh = clock::until(last.at, at) <= GAP;
    let pace = last.burn_per_hour.filter(|pace| is_fresh && *pace > Decimal::ZERO);
    let hours_left = last.hours_left.filter(|_| pace.is_some());
    let (back, ahead) = span(hours_left);
    let from = clock::sub(at, back);
    let points: Vec<Point> = readings
        .iter()
        .filter(|reading| reading.currency == last.currency && reading.at >= from)
        .filter_map(|reading| Some(Point { at: reading.at, value: reading.left()? }))
        .collect();
    let first = points.first().filter(|_| points.len() >= 2)?;
    let unit = last.currency.clone().unwrap_or_default();
    let days = back.as_secs() / 86_400;
    let (then, now) = (first.value, points.last()?.value);
    let mut story =
        vec![format!("From {} to {}.", amount_text(then, &unit), amount_text(now, &unit))];
    if let Some(hours) = hours_left {
        let lasts = (hours * Decimal::from(3_600)).to_u64().map(Duration::from_secs);
        let until = lasts.filter(|lasts| *lasts <= AHEAD_MAX).map(|lasts| {
            let until = clock::add(last.at, lasts).to_zoned(TimeZone::UTC);
            until.strftime(", until %a %-d %b %H:%M UTC").to_string()
        });
        let (hours, until) = (hours_text(hours), until.unwrap_or_default());
        story.push(format!("At the present pace it lasts {hours}{until}."));
    }
    let of = if unit.is_empty() { String::new() } else { format!(" ({unit})") };
    Some(Line {
        id: String::new(),
        title: format!("Balance of {}, the last {days} days{of}", last.account),
        story: story.join(" "),
        unit,
        from,
        to: clock::add(at, ahead),
        now: Some(at),
        points,
        rises_at_once: true,
        gap: Some(GAP),
        forecast: pace.map(|per_hour| Forecast {
            per_hour,
            between: [per_hour; 2],
            words: Vec::new(),
        }),
        limits: Vec::new(),
        marks: Vec::new(),
        fired: Vec::new(),
        notified: Vec::new(),
    })
}

/// How far back and ahead, by the hours that are left: what matters is to take up the picture.
fn span(hours_left: Option<Decimal>) -> (Duration, Duration) {
    let lasts = hours_left.and_then(|hours| (hours * Decimal::from(3_600)).to_u64());
    match lasts.map(|seconds| Duration::from_secs(seconds.saturating_mul(7) / 6)) {
        Some(ahead) if ahead <= AHEAD_MAX => {
            let ahead = ahead.max(AHEAD_MIN);
            let days = (ahead * 3).as_secs().div_ceil(86_400);
            (Duration::from_hours(days * 24).clamp(BACK_MIN, BACK_MAX), ahead)
        }
        // It does not end on the picture, or nobody knows.
        _ => (BACK_MAX, Duration::from_hours(24)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(hours: u64, left: &str, hours_left: Option<&str>) -> Reading {
        let begin: Timestamp = "2026-11-24T00:00:00Z".parse().expect("time");
        Reading {
            account: "prod".to_owned(),
            at: clock::add(begin, Duration::from_hours(hours)),
            currency: Some("USD".to_owned()),
            balance: left.parse().ok(),
            available_credit: left.parse().ok(),
            credit_limit: None,
            pending: None,
            burn_per_hour: hours_left.and("2.5".parse().ok()),
            hours_left: hours_left.and_then(|hours| hours.parse().ok()),
        }
    }

    fn at(hours: u64) -> Timestamp {
        reading(hours, "0", None).at
    }

    #[test]
    fn it_says_from_where_to_where_and_how_long_it_lasts() {
        let readings = [
            reading(0, "900", None),
            reading(100, "100", None),
            reading(125, "41.5", Some("16.6")),
        ];
        let line = line(&readings, at(126)).expect("a line");
        assert_eq!(line.title, "Balance of prod, the last 3 days (USD)");
        assert_eq!(
            line.story,
            "From 100.00 USD to 41.50 USD. At the present pace it lasts 16 h, until Sun 29 Nov 21:36 UTC."
        );
        assert_eq!((line.from, line.points.len()), (at(54), 2));
        assert!(line.picture().is_some());
        // 16.6 h and a sixth more.
        assert_eq!(clock::until(at(126), line.to).as_secs(), 59_760 * 7 / 6);
    }

    #[test]
    fn an_old_reading_is_no_forecast_and_other_currencies_are_no_line() {
        let readings = [reading(0, "900", None), reading(120, "50", Some("20"))];
        let old = line(&readings, at(123)).expect("a line");
        assert_eq!((old.forecast, old.story.as_str()), (None, "From 900.00 USD to 50.00 USD."));
        let mut readings = readings;
        readings[0].currency = Some("EUR".to_owned());
        assert_eq!(line(&readings, at(123)), None);
        assert_eq!(line(&[], at(123)), None);
    }

    #[test]
    fn what_is_shown_goes_by_what_is_left() {
        let hours = |left: Option<&str>| {
            let (back, ahead) = span(left.map(|left| left.parse().expect(left)));
            [back.as_secs() / 3_600, ahead.as_secs() / 3_600]
        };
        assert_eq!(hours(Some("0")), [48, 12]);
        assert_eq!(hours(Some("24")), [96, 28]);
        assert_eq!(hours(Some("60")), [168, 70]);
        assert_eq!(hours(Some("8760")), [168, 24]);
        assert_eq!(hours(None), [168, 24]);
    }
}
