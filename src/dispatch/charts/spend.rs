//! What was spent today, hour by hour, beside what is usual in these hours of the week. Pure.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;

use crate::chart::{Hours, amount_text};
use crate::clock;
use crate::spend;
use crate::store::SpendFilter;

/// Hours that are shown.
const HOURS: usize = 24;
const SHOWN: Duration = Duration::from_hours(24);
const HOUR: Duration = Duration::from_hours(1);
/// What happened before midnight is shown in the first hours of a day, too: so many hours of it.
const EVENING: Duration = Duration::from_hours(6);
/// How the ledger calls the currency of amounts that name none.
const UNKNOWN: &str = "unknown";

/// Amounts by the hour in which they were charged.
type Amounts = [(Timestamp, Decimal)];

/// When the hours begin that are shown at a time: at midnight, UTC; in the first hours of a day on the evening before.
pub(super) fn begins(at: Timestamp) -> Timestamp {
    let midnight = at.to_zoned(TimeZone::UTC).date().to_zoned(TimeZone::UTC);
    let midnight = midnight.map_or(at, |midnight| midnight.timestamp());
    if clock::until(midnight, at) < EVENING { clock::sub(midnight, EVENING) } else { midnight }
}

/// The same hours of the weeks before: from, until before.
pub(super) fn weeks(from: Timestamp) -> impl Iterator<Item = [Timestamp; 2]> {
    let week = Duration::from_hours(7 * 24);
    let begins = (1..=spend::WEEKS).scan(from, move |from, _| {
        *from = clock::sub(*from, week);
        Some(*from)
    });
    begins.map(|from| [from, clock::add(from, SHOWN)])
}

/// The chart by what was spent since [`begins`] and in [`weeks`]; `None` where nothing was. A week in which nothing at all
/// was spent does not count: nobody knows whether tollbell was there.
pub(super) fn hours(
    filter: &SpendFilter,
    spent: &Amounts,
    before: &[Vec<(Timestamp, Decimal)>],
    at: Timestamp,
) -> Option<Hours> {
    if spent.is_empty() {
        return None;
    }
    let from = begins(at);
    let present = place(from, at);
    let amounts = by_place(from, spent);
    let weeks: Vec<[Decimal; HOURS]> = weeks(from)
        .zip(before)
        .filter(|(_, amounts)| !amounts.is_empty())
        .map(|([from, _], amounts)| by_place(from, amounts))
        .collect();
    let usual =
        |n: usize| spend::usual(weeks.iter().filter_map(|week| week.get(n)).copied().collect());
    let usual: Vec<Decimal> = (0..HOURS).map_while(usual).collect();
    Some(Hours {
        title: title(filter, from, at),
        story: story(&filter.currency, from, &amounts, &usual, present),
        from,
        spent: (0..).zip(amounts).map(|(n, amount)| (n <= present).then_some(amount)).collect(),
        usual,
    })
}

/// Which of the hours a time is in.
fn place(from: Timestamp, at: Timestamp) -> usize {
    let hours = clock::until(from, at).as_secs() / HOUR.as_secs();
    usize::try_from(hours).unwrap_or(HOURS)
}

fn by_place(from: Timestamp, amounts: &Amounts) -> [Decimal; HOURS] {
    let mut by_place = [Decimal::ZERO; HOURS];
    for (at, amount) in amounts {
        if let Some(sum) = by_place.get_mut(place(from, *at)) {
            *sum += *amount;
        }
    }
    by_place
}

fn title(filter: &SpendFilter, from: Timestamp, at: Timestamp) -> String {
    let day = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
    let since = if day(from) == day(at) { "today" } else { "since last evening" };
    let on = filter.product.as_ref().map(|product| format!(" on {product}")).unwrap_or_default();
    let unit = if filter.currency == UNKNOWN { "" } else { &filter.currency };
    let comma = if unit.is_empty() { "" } else { ", " };
    format!("Spend of {}{on} {since}, by hour (UTC{comma}{unit})", filter.account)
}

/// What there is to see: what was spent, most of it when, and what is usual by the end of the present hour.
fn story(
    currency: &str,
    from: Timestamp,
    amounts: &[Decimal; HOURS],
    usual: &[Decimal],
    present: usize,
) -> String {
    let amount = |amount: Decimal| amount_text(amount, currency);
    let total = amounts.iter().sum();
    let mut most = (0, Decimal::MIN);
    for (n, amount) in (0..).zip(amounts) {
        if *amount > most.1 {
            most = (n, *amount);
        }
    }
    let clock_at = |hours: u32| {
        let at = clock::add(from, HOUR * hours).to_zoned(TimeZone::UTC);
        at.strftime("%H:%M").to_string()
    };
    let most_of_it = format!(
        "{} so far, most from {} to {}: {}.",
        amount(total),
        clock_at(most.0),
        clock_at(most.0 + 1),
        amount(most.1)
    );
    if usual.is_empty() {
        return format!("{most_of_it} What is usual is not known yet.");
    }
    let until = clock_at(u32::try_from(present + 1).unwrap_or_default());
    let by_now = amount(usual.iter().take(present + 1).sum());
    let weeks = spend::WEEKS;
    format!(
        "{most_of_it} Usual until {until}: {by_now}, by the same hours of the last {weeks} weeks."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-{text}:00Z").parse().expect(text)
    }

    fn filter(product: Option<&str>) -> SpendFilter {
        SpendFilter {
            account: "prod".to_owned(),
            currency: "USD".to_owned(),
            product: product.map(str::to_owned),
        }
    }

    fn amounts(all: &[(&str, &str)]) -> Vec<(Timestamp, Decimal)> {
        all.iter().map(|(time, sum)| (at(time), sum.parse().expect(sum))).collect()
    }

    #[test]
    fn today_stands_beside_the_same_hours_of_the_weeks_before() {
        let spent = amounts(&[("11-30T08:00", "2"), ("11-30T10:00", "40.10")]);
        let before = [
            amounts(&[("11-23T08:00", "1"), ("11-23T10:00", "4"), ("11-23T20:00", "6")]),
            vec![],
            amounts(&[("11-09T08:00", "3")]),
            amounts(&[("11-02T10:00", "8")]),
        ];
        let hours =
            hours(&filter(Some("voice")), &spent, &before, at("11-30T10:42")).expect("hours");
        assert_eq!(hours.title, "Spend of prod on voice today, by hour (UTC, USD)");
        // The medians of three weeks: the one without charges does not count.
        assert_eq!(hours.usual[8], Decimal::ONE);
        assert_eq!(hours.usual[10], Decimal::from(4));
        assert_eq!(hours.usual[20], Decimal::ZERO);
        assert_eq!(hours.spent.iter().flatten().count(), 11, "the present hour is the last");
        assert_eq!(
            hours.story,
            "42.10 USD so far, most from 10:00 to 11:00: 40.10 USD. Usual until 11:00: 5.00 USD, by the same hours of \
             the last 4 weeks."
        );
        assert!(hours.picture().is_some());
    }

    #[test]
    fn with_too_few_weeks_the_usual_is_not_known() {
        let spent = amounts(&[("11-30T08:00", "2")]);
        let before = [amounts(&[("11-23T08:00", "1")]), vec![], vec![], vec![]];
        let hours_of = |spent: &Amounts| hours(&filter(None), spent, &before, at("11-30T10:42"));
        let hours = hours_of(&spent).expect("hours");
        assert_eq!(hours.usual, []);
        assert!(hours.story.ends_with("What is usual is not known yet."), "{}", hours.story);
        assert_eq!(hours_of(&[]), None);
    }

    #[test]
    fn soon_after_midnight_the_evening_before_is_shown() {
        assert_eq!(begins(at("11-30T06:00")), at("11-30T00:00"));
        assert_eq!(begins(at("11-30T05:59")), at("11-29T18:00"));
        let first = weeks(at("11-29T18:00")).next();
        assert_eq!(first, Some([at("11-22T18:00"), at("11-23T18:00")]));
        assert_eq!(weeks(at("11-29T18:00")).count(), 4);
        let spent = amounts(&[("11-29T23:00", "50"), ("11-30T00:00", "1")]);
        let hours = hours(&filter(None), &spent, &[], at("11-30T00:05")).expect("hours");
        assert_eq!((hours.spent[5], hours.spent[6]), (Some(50.into()), Some(1.into())));
        assert_eq!(hours.spent[7], None);
        assert_eq!(hours.title, "Spend of prod since last evening, by hour (UTC, USD)");
    }
}
