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
use super::api as telnyx;
use super::source::{Refused, Remote, SourceArgs};
use super::terminal::{Look, LookArgs};
use super::{Exit, Sheet, output, runtime};
use crate::api;
use crate::api::spend::{Asked, Spending};
use crate::clock::Clock;
use crate::config::Config;
use crate::spend::{By, GROUPS_MAX};
use crate::store::Store;

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
    source: SourceArgs,
    #[command(flatten)]
    look: LookArgs,
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
    let remote = args.source.remote()?;
    if remote.is_some() && args.compare {
        output::error(
            "--compare asks Telnyx with the account's API key, which is in the configuration: leave --url out",
        );
        return Ok(Exit::Usage);
    }
    let config = args.source.config();
    let ledger = if let Some(remote) = remote {
        Ledger::Service(remote)
    } else {
        let config = if args.compare { telnyx::load(config) } else { config.without_secrets() };
        let Some(config) = config else { return Ok(Exit::Usage) };
        Ledger::Store(Box::new(config))
    };
    let now = Clock::system().now();
    let range = Range::new(args.since, args.until, now, &args.time_zone);
    let range = range.and_then(|range| if args.compare { range.whole_days() } else { Ok(range) });
    match range {
        Ok(range) => runtime()?.block_on(spend(args, &ledger, range, now)),
        Err(wrong) => {
            output::error(&wrong);
            Ok(Exit::Usage)
        }
    }
}

/// Whose ledger is asked.
enum Ledger {
    /// That of this configuration.
    Store(Box<Config>),
    /// That of a running tollbell.
    Service(Remote),
}

impl Ledger {
    async fn spent(&self, asked: Asked) -> Result<Spending, Refused> {
        let config = match self {
            Self::Service(remote) => return remote.spend(&asked).await,
            Self::Store(config) => config,
        };
        let place = &config.store.place;
        let store = Store::attach(place).await;
        let store = store.with_context(|| format!("cannot open the store {place}"))?;
        let accounts = config.accounts.iter().map(|account| account.name.clone()).collect();
        Ok(api::spend::spent(&store, asked, accounts).await?)
    }
}

async fn spend(args: &Args, ledger: &Ledger, range: Range, now: Timestamp) -> anyhow::Result<Exit> {
    let by_account = telnyx::AccountArg { account: args.account.clone() };
    let client = match ledger {
        Ledger::Store(config) if args.compare => Some(telnyx::client(config, &by_account)),
        _ => None,
    };
    // Telnyx tells of one account: then the ledger does too.
    let account = match &client {
        Some(Ok((settings, _))) => Some(settings.account.clone()),
        _ => args.account.clone(),
    };
    let by = By::from(args.by);
    let shows_all = args.format != Sheet::Text || by == By::Day;
    let asked = Asked {
        by,
        from: range.from,
        to: range.to,
        account: account.clone(),
        zone: args.time_zone.clone(),
        limit: args.limit.unwrap_or(if shows_all { GROUPS_MAX } else { LIMIT }).min(GROUPS_MAX),
        now,
    };
    let Spending { oldest_charge: oldest, report } = match ledger.spent(asked).await {
        Ok(spending) => spending,
        Err(Refused::Unfit(wrong)) => {
            output::error(&wrong);
            return Ok(Exit::Usage);
        }
        Err(Refused::Failed(error)) => return Err(error),
    };
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
        by,
        range,
        zone: args.time_zone.clone(),
        account,
        oldest,
        report,
        compared,
        look: Look::of(args.look),
    };
    shown.print(args.format)?;
    let Some(failed) = failed else { return Ok(Exit::Ok) };
    output::error(&failed);
    Ok(if matches!(client, Some(Err(_))) { Exit::Usage } else { Exit::Failed })
}
