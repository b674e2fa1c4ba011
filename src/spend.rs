//! What was spent, group by group.
//!
//! Receives the charges of the ledger, alone or summed up by group, in any order. Promises one exact sum for each
//! group and currency, and that the sums of a currency add up to its total: what names no group is a group of its own, and
//! what goes beyond a bound is in a sum of the rest. Memory grows with the groups, never with the charges.
//!
//! Pure. Never adds two currencies, and never turns an unknown amount into zero: the ledger holds known ones only.

use std::collections::BTreeMap;

use jiff::Span;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Groups that are told apart, of all currencies; the charges of further ones are summed together.
pub const GROUPS_MAX: usize = 100_000;
/// Longest range, in days, whose days are told apart: the ledger is asked for each.
pub const DAYS_MAX: usize = 3_660;
/// Decimal places that an amount has at least when it is shown.
const PLACES_MIN: u32 = 2;
/// How the ledger calls the currency of amounts that name none.
const UNKNOWN: &str = "unknown";

/// Weeks before that say what is usual for a time of the week.
pub const WEEKS: i64 = 4;
/// How many of them there must be.
pub const WEEKS_MIN: usize = 2;

/// By what charges are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SpendBy)]
pub enum By {
    /// The account of the configuration.
    Account,
    /// Voice, messaging and so on.
    Product,
    /// The day of the charge, in a time zone.
    Day,
    /// The kind of the event that reported it.
    Kind,
    /// The connection of the call.
    Connection,
    /// The country of the far end, where its number tells.
    Country,
    /// The far end's number: the called one of what went out, the calling one of what came in.
    Number,
}

impl By {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Account,
        Self::Product,
        Self::Day,
        Self::Kind,
        Self::Connection,
        Self::Country,
        Self::Number,
    ];

    /// The word used in options and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Product => "product",
            Self::Day => "day",
            Self::Kind => "kind",
            Self::Connection => "connection",
            Self::Country => "country",
            Self::Number => "number",
        }
    }
}

/// A number of charges and what they amount to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SpendSum)]
pub struct Sum {
    /// How many.
    pub charges: u64,
    /// What they cost together, exact.
    pub amount: Decimal,
}

impl Sum {
    /// Counts the charges of another sum, too. Cannot overflow: no amount of the ledger is above a billion, and no ledger has ten million million million rows.
    pub fn add(&mut self, other: Self) {
        self.charges += other.charges;
        self.amount += other.amount;
    }

    fn shown(self) -> Self {
        Self { amount: tidy(self.amount), ..self }
    }
}

/// An amount without needless zeros at its end, with two places at least: `0.0106`, `12.50`.
pub fn tidy(amount: Decimal) -> Decimal {
    let mut amount = amount.normalize();
    if amount.scale() < PLACES_MIN {
        amount.rescale(PLACES_MIN);
    }
    amount
}

/// What is usual by the same time of some weeks before: the median; `None` where there are too few.
pub fn usual(mut amounts: Vec<Decimal>) -> Option<Decimal> {
    if amounts.len() < WEEKS_MIN {
        return None;
    }
    amounts.sort_unstable();
    let middle = amounts.len() / 2;
    let upper = *amounts.get(middle)?;
    if amounts.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *amounts.get(middle.checked_sub(1)?)?;
    lower.checked_add(upper)?.checked_div(Decimal::TWO)
}

/// The sums so far.
#[derive(Debug)]
pub struct Spend {
    by: By,
    groups_max: usize,
    groups: usize,
    currencies: BTreeMap<String, Currency>,
}

#[derive(Debug, Default)]
struct Currency {
    known: BTreeMap<String, Sum>,
    unknown: Sum,
    /// Of groups beyond the bound.
    beyond: Sum,
    total: Sum,
}

/// What was spent, in the order in which it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpendReport {
    /// One for each group and currency: by currency and then the most expensive first, or by day.
    pub rows: Vec<Row>,
    /// What the rows leave out, by currency; those that leave out nothing are not here.
    pub others: Vec<Others>,
    /// All charges, by currency.
    pub totals: Vec<Total>,
}

/// What was spent on one group in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SpendRow)]
pub struct Row {
    /// The group; `None` of what the ledger does not know.
    pub group: Option<String>,
    /// ISO 4217 code, or `unknown`.
    pub currency: String,
    /// What was spent.
    #[serde(flatten)]
    pub sum: Sum,
    /// Its part of the currency's total, with one place; `None` when there is no total above zero.
    pub share_percent: Option<Decimal>,
}

/// What the rows of one currency leave out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SpendOthers)]
pub struct Others {
    /// ISO 4217 code, or `unknown`.
    pub currency: String,
    /// How many groups; `None` when there are more than were told apart.
    pub groups: Option<usize>,
    /// What was spent on them.
    #[serde(flatten)]
    pub sum: Sum,
    /// Their part of the currency's total.
    pub share_percent: Option<Decimal>,
}

/// All that was spent in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SpendTotal)]
pub struct Total {
    /// ISO 4217 code, or `unknown`.
    pub currency: String,
    /// What was spent.
    #[serde(flatten)]
    pub sum: Sum,
}

impl Spend {
    /// Nothing so far.
    pub fn new(by: By) -> Self {
        Self { by, groups_max: GROUPS_MAX, groups: 0, currencies: BTreeMap::new() }
    }

    /// Counts charges of one currency and group, summed up; `group` is `None` of what the ledger does not know.
    pub fn add(&mut self, currency: &str, group: Option<&str>, charges: Sum) {
        if !self.currencies.contains_key(currency) {
            self.currencies.insert(currency.to_owned(), Currency::default());
        }
        let Some(currency) = self.currencies.get_mut(currency) else { return };
        currency.total.add(charges);
        let Some(group) = group else { return currency.unknown.add(charges) };
        if let Some(sum) = currency.known.get_mut(group) {
            sum.add(charges);
        } else if self.groups < self.groups_max {
            self.groups += 1;
            currency.known.insert(group.to_owned(), charges);
        } else {
            currency.beyond.add(charges);
        }
    }

    /// The report: of each currency the `limit` groups on which most was spent, the rest as others. `days`, the first and
    /// the last of the range, are all there when days are grouped, also those without a charge in a currency that is known.
    pub fn report(mut self, limit: Option<usize>, days: Option<(Date, Date)>) -> SpendReport {
        let days = days.filter(|_| self.by == By::Day);
        let mut report = SpendReport::default();
        // What has no currency comes last.
        let unknown = self.currencies.remove(UNKNOWN).map(|sums| (UNKNOWN.to_owned(), sums));
        for (currency, mut sums) in self.currencies.into_iter().chain(unknown) {
            if let Some((first, last)) = days.filter(|_| currency != UNKNOWN) {
                sums.fill(first, last);
            }
            sums.report(&currency, limit.unwrap_or(usize::MAX), &mut report);
        }
        if self.by == By::Day {
            // Stable: the currencies of a day stay in their order.
            report.rows.sort_by(|one, other| one.group.cmp(&other.group));
        }
        report
    }
}

impl Currency {
    fn fill(&mut self, first: Date, last: Date) {
        let days: Vec<Date> = first
            .series(Span::new().days(1))
            .take_while(|day| *day <= last)
            .take(DAYS_MAX + 1)
            .collect();
        if days.len() <= DAYS_MAX {
            for day in days {
                self.known.entry(day.to_string()).or_default();
            }
        }
    }

    fn report(self, currency: &str, limit: usize, report: &mut SpendReport) {
        let total = self.total.amount;
        let unknown = (self.unknown.charges > 0).then_some((None, self.unknown));
        let known = self.known.into_iter().map(|(group, sum)| (Some(group), sum));
        let mut groups: Vec<(Option<String>, Sum)> = known.chain(unknown).collect();
        // Equal ones stay in the order of their names, what is unknown last.
        groups.sort_by_key(|(_, sum)| std::cmp::Reverse((sum.amount, sum.charges)));
        let left_out = groups.split_off(limit.min(groups.len()));
        report.rows.extend(groups.into_iter().map(|(group, sum)| Row {
            group,
            currency: currency.to_owned(),
            sum: sum.shown(),
            share_percent: share(sum.amount, total),
        }));
        let mut rest = self.beyond;
        for (_, sum) in &left_out {
            rest.add(*sum);
        }
        if rest.charges > 0 || !left_out.is_empty() {
            report.others.push(Others {
                currency: currency.to_owned(),
                groups: (self.beyond.charges == 0).then_some(left_out.len()),
                sum: rest.shown(),
                share_percent: share(rest.amount, total),
            });
        }
        report.totals.push(Total { currency: currency.to_owned(), sum: self.total.shown() });
    }
}

/// A part in percent, with one place.
fn share(part: Decimal, total: Decimal) -> Option<Decimal> {
    if total <= Decimal::ZERO {
        return None;
    }
    let mut percent = part.checked_mul(Decimal::ONE_HUNDRED)?.checked_div(total)?.round_dp(1);
    percent.rescale(1);
    Some(percent)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().expect("decimal")
    }

    /// A charge: its amount, its currency, its group.
    type Charge = (Decimal, String, Option<String>);

    fn charge(amount: &str, currency: &str, group: Option<&str>) -> Charge {
        (decimal(amount), currency.to_owned(), group.map(str::to_owned))
    }

    fn add(spend: &mut Spend, (amount, currency, group): &Charge) {
        spend.add(currency, group.as_deref(), Sum { charges: 1, amount: *amount });
    }

    fn spend(by: By, charges: &[Charge]) -> Spend {
        let mut spend = Spend::new(by);
        for charge in charges {
            add(&mut spend, charge);
        }
        spend
    }

    /// One line for each row: group, currency, charges, amount, share.
    fn lines(report: &SpendReport) -> Vec<String> {
        let share = |share: Option<Decimal>| share.map_or("-".to_owned(), |it| it.to_string());
        let line = |group: &str, currency: &str, sum: Sum, part: String| {
            format!("{group} {currency} {} {} {part}", sum.charges, sum.amount)
        };
        let rows = report.rows.iter().map(|row| {
            let group = row.group.as_deref().unwrap_or("?");
            line(group, &row.currency, row.sum, share(row.share_percent))
        });
        let others = report.others.iter().map(|it| {
            let groups = it.groups.map_or("many".to_owned(), |groups| groups.to_string());
            line(&format!("others:{groups}"), &it.currency, it.sum, share(it.share_percent))
        });
        let totals =
            report.totals.iter().map(|it| line("total", &it.currency, it.sum, String::new()));
        rows.chain(others).chain(totals).map(|line| line.trim_end().to_owned()).collect()
    }

    #[test]
    fn usual_is_the_middle_of_some_weeks() {
        let of = |amounts: &[&str]| usual(amounts.iter().map(|amount| decimal(amount)).collect());
        assert_eq!(of(&["3"]), None);
        assert_eq!(of(&["9", "1", "2"]), Some(decimal("2")));
        assert_eq!(of(&["9", "0.5", "1", "2"]), Some(decimal("1.5")));
    }

    #[test]
    fn currencies_stand_apart_and_unknown_last() {
        let voice = |amount, currency| charge(amount, currency, Some("voice"));
        let charges =
            [voice("1", "unknown"), voice("2.50", "USD"), voice("9", "EUR"), voice("0", "USD")];
        assert_eq!(
            lines(&spend(By::Product, &charges).report(None, None)),
            [
                "voice EUR 1 9.00 100.0",
                "voice USD 2 2.50 100.0",
                "voice unknown 1 1.00 100.0",
                "total EUR 1 9.00",
                "total USD 2 2.50",
                "total unknown 1 1.00",
            ]
        );
        assert_eq!(spend(By::Day, &[]).report(None, None), SpendReport::default());
    }

    #[test]
    fn empty_days_are_shown() {
        let on = |amount, currency, day| charge(amount, currency, Some(day));
        let charges = [
            on("1", "USD", "2026-03-28"),
            on("6", "USD", "2026-03-29"),
            on("8", "EUR", "2026-03-30"),
        ];
        let days: (Date, Date) =
            ("2026-03-28".parse().expect("day"), "2026-03-30".parse().expect("day"));
        let report = spend(By::Day, &charges).report(None, Some(days));
        assert_eq!(
            lines(&report)[..6],
            [
                "2026-03-28 EUR 0 0.00 0.0",
                "2026-03-28 USD 1 1.00 14.3",
                "2026-03-29 EUR 0 0.00 0.0",
                "2026-03-29 USD 1 6.00 85.7",
                "2026-03-30 EUR 1 8.00 100.0",
                "2026-03-30 USD 0 0.00 0.0",
            ]
        );
        // Only days are filled, and not without end.
        let report = spend(By::Kind, &charges[..1]).report(None, Some(days));
        assert_eq!(report.rows.len(), 1);
        let ever = ("0001-01-01".parse().expect("day"), "2026-03-30".parse().expect("day"));
        let report = spend(By::Day, &charges[..1]).report(None, Some(ever));
        assert_eq!(report.rows.len(), 1);
    }

    #[test]
    fn what_is_left_out_is_summed() {
        let numbers = ["+3711", "+3712", "+3713", "+3714"];
        let charges: Vec<Charge> = (1_u8..)
            .zip(numbers)
            .map(|(cents, to)| charge(&format!("0.0{cents}"), "USD", Some(to)))
            .chain([charge("0.05", "USD", None)])
            .collect();
        let report = spend(By::Number, &charges).report(Some(2), None);
        assert_eq!(
            lines(&report),
            [
                "? USD 1 0.05 33.3",
                "+3714 USD 1 0.04 26.7",
                "others:3 USD 3 0.06 40.0",
                "total USD 5 0.15"
            ]
        );
        let report = spend(By::Number, &charges).report(Some(0), None);
        assert_eq!(lines(&report), ["others:5 USD 5 0.15 100.0", "total USD 5 0.15"]);

        // Groups beyond the bound are in the rest, those that were there before still count.
        let mut bounded = Spend { groups_max: 2, ..Spend::new(By::Number) };
        charges.iter().chain(&charges[..2]).for_each(|one| add(&mut bounded, one));
        assert_eq!(
            lines(&bounded.report(None, None)),
            [
                "? USD 1 0.05 27.8",
                "+3712 USD 2 0.04 22.2",
                "+3711 USD 2 0.02 11.1",
                "others:many USD 2 0.07 38.9",
                "total USD 7 0.18"
            ]
        );
    }

    #[test]
    fn corrections_may_leave_less_than_nothing() {
        let voice = |amount, currency| charge(amount, currency, Some("voice"));
        let charges = [voice("-0.5", "USD"), voice("0.25", "USD"), voice("-0", "EUR")];
        let report = spend(By::Product, &charges).report(None, None);
        let expected =
            ["voice EUR 1 0.00 -", "voice USD 2 -0.25 -", "total EUR 1 0.00", "total USD 2 -0.25"];
        assert_eq!(lines(&report), expected);
    }

    #[test]
    fn an_amount_keeps_its_digits_and_no_needless_zeros() {
        for (amount, shown) in [
            ("0.010600", "0.0106"),
            ("10", "10.00"),
            ("1e3", "1000.00"),
            ("1.5", "1.50"),
            ("-3.0000", "-3.00"),
            ("0.0000", "0.00"),
            ("0.0000000001", "0.0000000001"),
            ("999999999.123456789", "999999999.123456789"),
        ] {
            let amount = Decimal::from_scientific(amount).unwrap_or_else(|_| decimal(amount));
            assert_eq!(tidy(amount).to_string(), shown);
        }
    }

    proptest! {
        #[test]
        fn groups_and_others_add_up_to_the_total_of_their_currency(
            charges in prop::collection::vec(
                (-1_000_000_i64..1_000_000, 0_u32..8, 0_usize..3, prop::option::of(0_u8..6), 0_i64..9),
                0..60,
            ),
            by in prop::sample::select(vec![By::Number, By::Day]),
            limit in prop::option::of(0_usize..5),
            groups_max in 1_usize..8,
        ) {
            let begin: Timestamp = "2026-03-28T23:30:00Z".parse().expect("time");
            let charges: Vec<Charge> = charges
                .into_iter()
                .map(|(digits, scale, currency, number, day)| {
                    let day = (begin + Span::new().hours(24 * day)).to_zoned(TimeZone::UTC).date();
                    let group = match by {
                        By::Day => Some(day.to_string()),
                        _ => number.map(|number| format!("+3712{number}")),
                    };
                    let currency = ["USD", "EUR", UNKNOWN][currency].to_owned();
                    (Decimal::new(digits, scale), currency, group)
                })
                .collect();
            let mut sums = Spend { groups_max, ..Spend::new(by) };
            for charge in &charges {
                add(&mut sums, charge);
            }
            let report = sums.report(limit, None);
            let mut currencies = 0;
            for currency in ["EUR", "USD", UNKNOWN] {
                let mut expected = Sum::default();
                for (amount, ..) in charges.iter().filter(|charge| charge.1 == currency) {
                    expected.add(Sum { charges: 1, amount: *amount });
                }
                let mut sum = Sum::default();
                let rows = report.rows.iter().map(|row| (&row.currency, row.sum));
                let others = report.others.iter().map(|it| (&it.currency, it.sum));
                let shown: Vec<Sum> =
                    rows.chain(others).filter(|it| it.0 == currency).map(|it| it.1).collect();
                for part in &shown {
                    sum.add(*part);
                }
                prop_assert_eq!(sum, expected);
                let total = report.totals.iter().find(|total| total.currency == currency);
                prop_assert_eq!(total.map_or(Sum::default(), |total| total.sum), expected);
                currencies += usize::from(expected.charges > 0);
                let bound = limit.unwrap_or(groups_max + 1);
                prop_assert!(shown.len() <= bound + 1);
            }
            prop_assert_eq!(report.totals.len(), currencies);
        }
    }
}
