//! What was spent: for each account and currency by day, and by what it was spent on.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use jiff::Span;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde::Serialize;

use super::balances::{ChartView, id_of};
use super::html::Markup;
use super::visit::{Trouble, Visit, response, show};
use super::words::{count_text, number_text};
use crate::chart::{self, Bar, Bars, amount_text};
use crate::spend::{By, Sum, tidy};
use crate::store::Spent;

/// Groups of one table at most; the rest is summed up.
const GROUPS_MAX: usize = 25;
/// Parts of a chart at most; the rest is summed up.
const PARTS_MAX: usize = 3;
/// How the ledger calls the currency of amounts that name none.
const UNKNOWN: &str = "unknown";

/// Ranges: the word in the address, for people, days.
const RANGES: [(&str, &str, i64); 4] =
    [("1", "today", 1), ("7", "7 days", 7), ("14", "14 days", 14), ("30", "30 days", 30)];
/// Groupings: the word in the address, what it is by.
const GROUPINGS: [(&str, By, &str); 5] = [
    ("country", By::Country, "Country of the far end"),
    ("product", By::Product, "Product"),
    ("number", By::Number, "Number of the far end"),
    ("connection", By::Connection, "Connection"),
    ("kind", By::Kind, "Kind of event"),
];

#[derive(Debug, Serialize)]
struct View {
    answer: String,
    beside: String,
    days: String,
    by: &'static str,
    heading: &'static str,
    account: String,
    ranges: Vec<(&'static str, &'static str)>,
    groupings: Vec<Grouping>,
    accounts: Vec<String>,
    csv: String,
    parts: Vec<Part>,
}

#[derive(Debug, Serialize)]
struct Grouping {
    name: &'static str,
    path: String,
    here: bool,
}

/// One account in one currency.
#[derive(Debug, Serialize)]
struct Part {
    id: String,
    account: String,
    currency: String,
    total: String,
    charges: String,
    today: String,
    keys: Vec<(usize, String)>,
    chart: ChartView,
    rows: Vec<Row>,
    others: Option<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    group: String,
    amount: String,
    share: String,
    bar: Markup,
    charges: String,
}

/// What the address asks for.
struct Asked {
    days: i64,
    word: &'static str,
    by: By,
    heading: &'static str,
    account: String,
}

impl Asked {
    fn of(visit: &Visit) -> Self {
        let mut asked = Self {
            days: 14,
            word: "country",
            by: By::Country,
            heading: GROUPINGS[0].2,
            account: String::new(),
        };
        for (name, value) in visit.query() {
            match name.as_str() {
                "days" => {
                    asked.days = RANGES.iter().find(|it| it.0 == value).map_or(14, |it| it.2);
                }
                "by" => {
                    if let Some((word, by, heading)) = GROUPINGS.iter().find(|it| it.0 == value) {
                        (asked.word, asked.by, asked.heading) = (word, *by, heading);
                    }
                }
                "account" => asked.account = value,
                _ => {}
            }
        }
        asked
    }

    fn query(&self, by: &str) -> String {
        let account = if self.account.is_empty() {
            String::new()
        } else {
            format!("&account={}", super::words::encoded(&self.account))
        };
        format!("?days={}&by={by}{account}", self.days)
    }

    /// The days, oldest first; the last is today.
    fn range(&self, today: Date) -> Vec<Date> {
        let days = (0..self.days).rev();
        days.filter_map(|back| today.checked_sub(Span::new().days(back)).ok()).collect()
    }
}

/// What was spent on each day.
type Days = Vec<(Date, Arc<Vec<Spent>>)>;

async fn days(visit: &Visit, range: &[Date], by: By) -> Result<Days, Trouble> {
    let mut days = Vec::new();
    for day in range {
        let sums = visit.deps.sums.of_day(visit.store(), *day, by, visit.now()).await?;
        days.push((*day, sums));
    }
    Ok(days)
}

/// `GET /spend`
pub(super) async fn get(visit: Visit) -> Result<HttpResponse, Trouble> {
    let asked = Asked::of(&visit);
    let today = visit.now().to_zoned(TimeZone::UTC).date();
    let range = asked.range(today);
    let products = days(&visit, &range, By::Product).await?;
    let grouped = days(&visit, &range, asked.by).await?;
    let accounts = visit.accounts();
    let parts = parts(&asked, &products, &grouped);
    let view = View {
        answer: answer(&asked, &parts),
        beside:
            "From the ledger: what webhooks reported, in days of UTC. Currencies are never added."
                .to_owned(),
        days: asked.days.to_string(),
        by: asked.word,
        heading: asked.heading,
        ranges: RANGES.iter().map(|(word, words, _)| (*word, *words)).collect(),
        groupings: GROUPINGS
            .iter()
            .map(|(word, ..)| Grouping {
                name: word,
                path: format!("/spend{}", asked.query(word)),
                here: *word == asked.word,
            })
            .collect(),
        csv: format!("/spend.csv{}", asked.query(asked.word)),
        account: asked.account,
        accounts,
        parts,
    };
    let page = visit.page("/spend", view.answer.clone()).await?;
    show("spend.html", page, view)
}

fn answer(asked: &Asked, parts: &[Part]) -> String {
    if parts.is_empty() {
        return "Nothing was charged in this time".to_owned();
    }
    let spent: Vec<String> = parts
        .iter()
        .take(3)
        .map(|part| format!("{} has spent {}", part.account, part.total))
        .collect();
    let range = RANGES.iter().find(|it| it.2 == asked.days).map_or("", |it| it.1);
    let range = if asked.days == 1 { "today".to_owned() } else { format!("in {range}") };
    format!("{} {range}", spent.join(", "))
}

/// The keys of what is shown: account and currency; what has no currency comes last.
fn keys(asked: &Asked, days: &Days) -> Vec<(String, String)> {
    let all = days.iter().flat_map(|(_, sums)| sums.iter());
    let wanted = all.filter(|one| asked.account.is_empty() || one.account == asked.account);
    let mut keys: Vec<(String, String)> =
        wanted.map(|one| (one.account.clone(), one.currency.clone())).collect();
    keys.sort_by_key(|(account, currency)| {
        (currency == UNKNOWN, account.clone(), currency.clone())
    });
    keys.dedup();
    keys
}

fn parts(asked: &Asked, products: &Days, grouped: &Days) -> Vec<Part> {
    let keys = keys(asked, products);
    keys.iter()
        .map(|(account, currency)| part(asked, account, currency, products, grouped))
        .collect()
}

/// The sums of an account in a currency, by group.
fn sums_of(days: &Days, account: &str, currency: &str) -> BTreeMap<Option<String>, Sum> {
    let mut sums: BTreeMap<Option<String>, Sum> = BTreeMap::new();
    for spent in days.iter().flat_map(|(_, sums)| sums.iter()) {
        if spent.account == account && spent.currency == currency {
            sums.entry(spent.group.clone()).or_default().add(spent.sum);
        }
    }
    sums
}

fn part(asked: &Asked, account: &str, currency: &str, products: &Days, grouped: &Days) -> Part {
    let by_product = sums_of(products, account, currency);
    let mut total = Sum::default();
    for sum in by_product.values() {
        total.add(*sum);
    }
    let mut names: Vec<(&Option<String>, Sum)> =
        by_product.iter().map(|(name, sum)| (name, *sum)).collect();
    names.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.amount));
    let named: Vec<String> =
        names.iter().take(PARTS_MAX).map(|(name, _)| group_text(name.as_ref())).collect();
    let mut parts = named.clone();
    if names.len() > PARTS_MAX {
        parts.push("others".to_owned());
    }
    let bars: Vec<Bar> = products
        .iter()
        .map(|(day, sums)| {
            let mut amounts = vec![Decimal::ZERO; parts.len()];
            for spent in sums.iter().filter(|it| it.account == account && it.currency == currency) {
                let name = group_text(spent.group.as_ref());
                let place = named.iter().position(|it| *it == name).unwrap_or(PARTS_MAX);
                if let Some(amount) = amounts.get_mut(place) {
                    *amount += spent.sum.amount;
                }
            }
            Bar { name: day.strftime("%-d %b").to_string(), amounts }
        })
        .collect();
    let today = bars.last().map(|bar| bar.amounts.iter().sum::<Decimal>()).unwrap_or_default();
    let unit = if currency == UNKNOWN { String::new() } else { currency.to_owned() };
    let amount = |amount: Decimal| amount_text(amount, &unit);
    let story = format!(
        "{} in all; today so far {}. Parts, from below: {}.",
        amount(total.amount),
        amount(today),
        parts.join(", ")
    );
    let chart = Bars {
        id: format!("spend-{}-{}", id_of(account), id_of(currency)),
        title: format!("{account}: what was spent by day and product, in {currency}"),
        story,
        unit: unit.clone(),
        of: "Day, UTC".to_owned(),
        parts: parts.clone(),
        bars,
        limit: None,
    };
    let (rows, others) = rows(sums_of(grouped, account, currency), total, &unit);
    Part {
        id: id_of(&format!("{account} {currency}")),
        account: account.to_owned(),
        currency: if currency == UNKNOWN {
            "currency not known".to_owned()
        } else {
            currency.to_owned()
        },
        total: amount(total.amount),
        charges: count_text(
            usize::try_from(total.charges).unwrap_or(usize::MAX),
            "charge",
            "charges",
        ),
        today: if asked.days == 1 { String::new() } else { amount(today) },
        keys: parts.into_iter().enumerate().map(|(n, name)| (n + 1, name)).collect(),
        chart: chart.draw().into(),
        rows,
        others,
    }
}

fn group_text(group: Option<&String>) -> String {
    group.cloned().unwrap_or_else(|| "not known".to_owned())
}

fn rows(sums: BTreeMap<Option<String>, Sum>, total: Sum, unit: &str) -> (Vec<Row>, Option<Row>) {
    let mut sums: Vec<(Option<String>, Sum)> = sums.into_iter().collect();
    sums.sort_by_key(|(group, sum)| (std::cmp::Reverse(sum.amount), group.clone()));
    let rest = sums.split_off(GROUPS_MAX.min(sums.len()));
    let row = |name: String, sum: Sum| {
        let percent = (total.amount > Decimal::ZERO)
            .then(|| sum.amount.checked_mul(Decimal::ONE_HUNDRED)?.checked_div(total.amount))
            .flatten();
        Row {
            group: name,
            amount: amount_text(sum.amount, unit),
            share: percent.map_or_else(
                || "–".to_owned(),
                |percent| {
                    let mut percent = percent.round_dp(1);
                    percent.rescale(1);
                    format!("{percent} %")
                },
            ),
            bar: Markup(chart::share(percent.unwrap_or_default())),
            charges: number_text(sum.charges),
        }
    };
    let mut others = Sum::default();
    for (_, sum) in &rest {
        others.add(*sum);
    }
    let others = (!rest.is_empty()).then(|| row(format!("{} others", rest.len()), others));
    (sums.into_iter().map(|(group, sum)| row(group_text(group.as_ref()), sum)).collect(), others)
}

/// `GET /spend.csv`
pub(super) async fn csv(visit: Visit) -> Result<HttpResponse, Trouble> {
    let asked = Asked::of(&visit);
    let today = visit.now().to_zoned(TimeZone::UTC).date();
    let grouped = days(&visit, &asked.range(today), asked.by).await?;
    let mut text = "day,account,currency,group,charges,amount\r\n".to_owned();
    for (day, sums) in &grouped {
        let mut sums: Vec<&Spent> = sums
            .iter()
            .filter(|one| asked.account.is_empty() || one.account == asked.account)
            .collect();
        sums.sort_by_key(|one| (&one.account, &one.currency, &one.group));
        for one in sums {
            let group = one.group.as_deref().unwrap_or_default();
            let cells = [
                day.to_string(),
                cell(&one.account),
                cell(&one.currency),
                cell(group),
                one.sum.charges.to_string(),
                tidy(one.sum.amount).to_string(),
            ];
            text.push_str(&cells.join(","));
            text.push_str("\r\n");
        }
    }
    let name = format!("attachment; filename=\"spend-{}-{}d-{today}.csv\"", asked.word, asked.days);
    Ok(response(StatusCode::OK)
        .content_type("text/csv; charset=utf-8")
        .insert_header((header::CONTENT_DISPOSITION, name))
        .body(text))
}

/// A cell as RFC 4180 has it. What a spreadsheet would take for a formula becomes text: numbers of phones begin with `+`,
/// and stay.
fn cell(text: &str) -> String {
    let phone = text.strip_prefix('+').is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    let formula = !phone && text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        for (text, want) in [
            ("US", "US"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=1+1", "'=1+1"),
            ("+15550100142", "+15550100142"),
            ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
            ("@x", "'@x"),
        ] {
            assert_eq!(cell(text), want);
        }
    }

    #[test]
    fn rows_beyond_the_bound_are_summed_up_and_shares_are_of_the_total() {
        let sum = |amount: i64| Sum { charges: 1, amount: Decimal::from(amount) };
        let sums: BTreeMap<Option<String>, Sum> =
            (1..=30).map(|n| (Some(format!("g{n:02}")), sum(n))).collect();
        let (rows, others) = rows(sums, sum(465), "USD");
        assert_eq!((rows.len(), rows[0].group.as_str()), (GROUPS_MAX, "g30"));
        assert_eq!((rows[0].amount.as_str(), rows[0].share.as_str()), ("30.00 USD", "6.5 %"));
        let others = others.expect("others");
        assert_eq!((others.group.as_str(), others.amount.as_str()), ("5 others", "15.00 USD"));
    }
}
