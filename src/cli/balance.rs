//! `tollbell balance`: what is left on each account, how it went, and how long it lasts.

use std::time::Duration;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Serialize;

use super::source::SourceArgs;
use super::terminal::{Look, LookArgs};
use super::{Exit, Format, output, runtime};
use crate::chart::{amount_text, hours_text};
use crate::clock::{self, Clock};
use crate::store::Reading;
use crate::telnyx::forecast::Paces;
use crate::template::ago_text;

/// How far back the picture goes, and how much time one character of it is.
const BACK: Duration = Duration::from_hours(7 * 24);
const CHARACTER: Duration = Duration::from_hours(4);
/// One reading in so much time is looked at for the pace.
const STEP: Duration = Duration::from_mins(15);

/// Arguments of `balance`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this account
    #[arg(long)]
    account: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    look: LookArgs,
    /// How it is printed
    #[arg(long, default_value = "text", value_enum)]
    format: Format,
}

/// An account's balance with what it rests on.
#[derive(Debug, Serialize)]
struct Balance {
    #[serde(flatten)]
    last: Reading,
    /// What may still be spent.
    left: Option<Decimal>,
    /// Hours until nothing is left, at the fastest pace of late and at the slowest.
    hours_between: Option<[Decimal; 2]>,
    #[serde(skip)]
    readings: Vec<Reading>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    runtime()?.block_on(balance(args))
}

async fn balance(args: &Args) -> anyhow::Result<Exit> {
    let Some(source) = args.source.open().await? else { return Ok(Exit::Usage) };
    let now = Clock::system().now();
    let mut balances = Vec::new();
    for last in source.last_readings().await? {
        if args.account.as_ref().is_some_and(|account| *account != last.account) {
            continue;
        }
        let readings = source.balances(&last.account, clock::sub(now, BACK), STEP).await?;
        let hours_between = Paces::of(&readings, &last).hours(&last);
        balances.push(Balance { left: last.left(), hours_between, readings, last });
    }
    if args.format == Format::Json {
        output::json(&balances)?;
    } else if balances.is_empty() {
        output::line("no balance was read: it is read for accounts with an api_key");
    } else {
        output::line(&text(&balances, Look::of(args.look), now));
    }
    Ok(Exit::Ok)
}

fn text(balances: &[Balance], look: Look, now: Timestamp) -> String {
    let widest = balances.iter().map(|one| one.last.account.chars().count()).max();
    let indent = widest.unwrap_or_default() + 2;
    balances.iter().flat_map(|one| lines(one, look, indent, now)).collect::<Vec<_>>().join("\n")
}

fn lines(balance: &Balance, look: Look, indent: usize, now: Timestamp) -> Vec<String> {
    let Balance { last, left, hours_between, readings } = balance;
    let currency = last.currency.as_deref().unwrap_or_default();
    let left = left.map_or_else(|| "not known".to_owned(), |left| amount_text(left, currency));
    let hours = last.hours_left.map_or_else(
        || "not known how long it lasts".to_owned(),
        |hours| format!("{} left", hours_text(hours)),
    );
    let between = hours_between.map(|between| between.map(hours_text)).filter(|[a, b]| a != b);
    let between = between.map(|[least, most]| format!(", between {least} and {most}"));
    let rank = match last.hours_left {
        Some(hours) if hours < Decimal::from(24) => 3,
        Some(hours) if hours < Decimal::from(72) => 1,
        _ => 0,
    };
    let hours = look.severity(rank, &hours);
    let mut lines = vec![format!(
        "{:indent$}{left}  {hours}{}",
        output::clean(&last.account),
        between.unwrap_or_default()
    )];
    let picture = look.sparkline(&heights(readings, look.width.saturating_sub(indent + 13), now));
    if !picture.is_empty() {
        lines.push(format!("{:indent$}{picture}  {} days", "", BACK.as_secs() / 86_400));
    }
    let pace =
        last.burn_per_hour.map(|burn| format!("pace {} an hour, ", amount_text(burn, currency)));
    lines.push(format!(
        "{:indent$}{}read {}",
        "",
        pace.unwrap_or_default(),
        ago_text(last.at, now)
    ));
    lines
}

/// What was left in each stretch of time, as many as there is room for.
fn heights(readings: &[Reading], room: usize, now: Timestamp) -> Vec<Option<Decimal>> {
    let most = u32::try_from(room.max(1)).unwrap_or(u32::MAX);
    let characters = u32::try_from(BACK.as_secs() / CHARACTER.as_secs()).unwrap_or(1).min(most);
    let step = BACK / characters;
    (0..characters)
        .map(|n| {
            let from = clock::add(clock::sub(now, BACK), step * n);
            let to = clock::add(from, step);
            let inside = readings.iter().rev().find(|one| from <= one.at && one.at < to);
            inside.and_then(Reading::left)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at: Timestamp, left: i64) -> Reading {
        Reading {
            account: "prod".to_owned(),
            at,
            currency: Some("USD".to_owned()),
            balance: Some(left.into()),
            available_credit: Some(left.into()),
            credit_limit: None,
            pending: None,
            burn_per_hour: Some(Decimal::from(10)),
            hours_left: Some(Decimal::new(175, 1)),
        }
    }

    #[test]
    fn it_fits_a_terminal_and_is_plain_elsewhere() {
        let now: Timestamp = "2026-11-30T10:42:00Z".parse().expect("time");
        let readings: Vec<Reading> = (0..168)
            .map(|hour| {
                reading(
                    clock::sub(now, Duration::from_hours(168 - hour)),
                    2_000 - 10 * i64::try_from(hour).unwrap_or(0),
                )
            })
            .collect();
        let last = reading(clock::sub(now, Duration::from_secs(21)), 175);
        let balance = Balance {
            left: last.left(),
            hours_between: Some([Decimal::from(9), Decimal::from(18)]),
            readings,
            last,
        };
        let plain = text(std::slice::from_ref(&balance), Look::PLAIN, now);
        assert_eq!(
            plain,
            "prod  175.00 USD  17 h left, between 9 h and 18 h\n      pace 10.00 USD an hour, read 21s ago"
        );
        let look = Look { pictures: true, colour: false, width: 60 };
        let seen = text(&[balance], look, now);
        let lines: Vec<&str> = seen.lines().collect();
        assert!(lines[1].trim_start().starts_with('█') && lines[1].contains('▂'), "{seen}");
        assert!(lines.iter().all(|line| line.chars().count() <= 60), "{seen}");
    }
}
