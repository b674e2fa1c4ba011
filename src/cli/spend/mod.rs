//! `tollbell spend`: what was spent, from the ledger; `--compare` sets it against what Telnyx says.

mod compare;
mod range;
mod show;

use anyhow::Context as _;
use clap::ValueEnum;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use self::compare::Compared;
use self::range::{Range, When};
use self::show::Shown;
use super::{ConfigArg, Exit, Sheet, api, output, runtime};
use crate::clock::Clock;
use crate::config::Config;
use crate::spend::{By, Spend, SpendReport};
use crate::store::{ChargeFilter, Store};

/// Charges read at a time.
const PAGE_CHARGES: usize = 5_000;
/// Progress is told after so many charges.
const PROGRESS_CHARGES: u64 = 500_000;
/// Groups of each currency that are shown to people, unless they say otherwise; days are all shown.
const LIMIT: usize = 50;

/// Arguments of `spend`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// By what charges are grouped
    #[arg(long, value_enum, default_value = "product")]
    by: Group,
    /// Charges from then on: so long ago (12h, 7d, 1w), a day (2026-11-01) or a time (RFC 3339)
    #[arg(long, value_name = "WHEN", value_parser = When::parse, default_value = "7d")]
    since: When,
    /// Charges before then; now by default
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    until: Option<When>,
    /// Only those of this account
    #[arg(long)]
    account: Option<String>,
    /// Where days begin, such as Europe/Berlin
    #[arg(long, value_name = "ZONE", value_parser = parse_zone, default_value = "UTC")]
    time_zone: TimeZone,
    /// So many groups of each currency, the most expensive; text shows 50 by default, else all
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    /// Ask Telnyx what it charged, in whole days of UTC, and show the difference; by number also what it charges for each of
    /// your numbers
    #[arg(long)]
    compare: bool,
    #[command(flatten)]
    config: ConfigArg,
    /// How it is printed
    #[arg(long, default_value = "text", value_enum)]
    format: Sheet,
}

/// By what charges are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Group {
    /// Voice, messaging and so on
    Product,
    /// The day
    Day,
    /// The kind of event that reported the charge
    Kind,
    /// The connection of the call
    Connection,
    /// The country of the far end's number
    Country,
    /// The far end's number: called where the call or message went out, else calling
    Number,
    /// The account of the configuration
    Account,
}

impl From<Group> for By {
    fn from(group: Group) -> Self {
        match group {
            Group::Product => Self::Product,
            Group::Day => Self::Day,
            Group::Kind => Self::Kind,
            Group::Connection => Self::Connection,
            Group::Country => Self::Country,
            Group::Number => Self::Number,
            Group::Account => Self::Account,
        }
    }
}

fn parse_zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name)
        .map_err(|_unknown| "expected a time zone such as America/Chicago or UTC".to_owned())
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let Some(config) = api::load(&args.config) else { return Ok(Exit::Usage) };
    let now = Clock::system().now();
    let range = Range::new(args.since, args.until, now, &args.time_zone);
    let range = range.and_then(|range| if args.compare { range.whole_days() } else { Ok(range) });
    match range {
        Ok(range) => runtime()?.block_on(spend(args, &config, range, now)),
        Err(wrong) => {
            output::error(&wrong);
            Ok(Exit::Usage)
        }
    }
}

async fn spend(args: &Args, config: &Config, range: Range, now: Timestamp) -> anyhow::Result<Exit> {
    let asked = api::AccountArg { account: args.account.clone() };
    let client = args.compare.then(|| api::client(config, &asked));
    // Telnyx tells of one account: then the ledger does too.
    let account = match &client {
        Some(Ok((settings, _))) => Some(settings.account.clone()),
        _ => args.account.clone(),
    };
    let place = &config.store.place;
    let store = Store::attach(place).await;
    let store = store.with_context(|| format!("cannot open the store {place}"))?;
    let oldest = oldest(&store, account.as_deref()).await?;
    if let (Some(name), None) = (&account, oldest)
        && !config.accounts.iter().any(|known| known.name == *name)
    {
        let known: Vec<&str> = config.accounts.iter().map(|known| known.name.as_str()).collect();
        output::error(&format!("no account {name}: there is {}", known.join(", ")));
        return Ok(Exit::Usage);
    }
    let report = read(&store, args, range, account.as_deref(), (oldest, now)).await?;
    let compared = match &client {
        None => None,
        Some(Err(wrong)) => Some(Err(wrong.0.clone())),
        Some(Ok((_, client))) => Some({
            let by_number = args.by == Group::Number;
            Compared::ask(client, range, &report.totals, by_number).await
        }),
    };
    let failed = match &compared {
        Some(Err(reason)) => Some(format!("not compared with Telnyx: {reason}")),
        Some(Ok(Compared { numbers_error: Some(reason), .. })) => {
            Some(format!("Telnyx does not say what it charges for each number: {reason}"))
        }
        _ => None,
    };
    let shown = Shown {
        by: args.by.into(),
        range,
        zone: args.time_zone.clone(),
        account,
        oldest,
        report,
        compared,
    };
    shown.print(args.format)?;
    let Some(failed) = failed else { return Ok(Exit::Ok) };
    output::error(&failed);
    Ok(if matches!(client, Some(Err(_))) { Exit::Usage } else { Exit::Failed })
}

/// When the oldest charge of the ledger was charged.
async fn oldest(store: &Store, account: Option<&str>) -> anyhow::Result<Option<Timestamp>> {
    let filter = ChargeFilter {
        account: account.map(str::to_owned),
        from: Timestamp::MIN,
        to: Timestamp::MAX,
        after: None,
        limit: 1,
    };
    Ok(store.charges(filter).await?.first().map(|entry| entry.at))
}

/// Sums up the charges of the range, page by page. The ledger may change meanwhile; each page is as of its own moment.
async fn read(
    store: &Store,
    args: &Args,
    range: Range,
    account: Option<&str>,
    (oldest, now): (Option<Timestamp>, Timestamp),
) -> anyhow::Result<SpendReport> {
    let by = By::from(args.by);
    let mut spend = Spend::new(by, args.time_zone.clone());
    let (mut after, mut seen, mut told) = (None, 0, PROGRESS_CHARGES);
    loop {
        let filter = ChargeFilter {
            account: account.map(str::to_owned),
            from: range.from,
            to: range.to,
            after,
            limit: PAGE_CHARGES,
        };
        let page = store.charges(filter).await?;
        for entry in &page {
            spend.add(entry);
        }
        seen += u64::try_from(page.len())?;
        if seen >= told {
            output::progress(&format!("{seen} charges so far"));
            told += PROGRESS_CHARGES;
        }
        match page.last() {
            Some(last) if page.len() >= PAGE_CHARGES => after = Some((last.at, last.key.clone())),
            _ => break,
        }
    }
    // The ledger says nothing of the days before its first charge, and nobody of those to come.
    let first = range.from.max(oldest.unwrap_or(range.from));
    let days = range.until(now).days_from(first, &args.time_zone);
    let shows_all = args.format != Sheet::Text || by == By::Day;
    let limit = args.limit.or((!shows_all).then_some(LIMIT));
    Ok(spend.report(limit, days))
}
