//! `tollbell status`: whether all is well, on one screen.
//!
//! Looks at the store and asks the running tollbell on its private listener, or leaves both to the tollbell that is named by
//! `--url`; changes nothing, and needs no secret.

use std::net::SocketAddr;

use anyhow::Context as _;
use jiff::Timestamp;

use super::args::{Exit, Format, runtime};
use super::source::SourceArgs;
use super::{healthcheck, output};
use crate::api::AccountInForce;
use crate::api::checks::{self, Check, Checks};
use crate::clock::Clock;
use crate::config::{Account, Config};
use crate::store::Store;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// How it is printed
    #[arg(long, default_value = "text", value_enum)]
    format: Format,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let checks = if let Some(remote) = args.source.remote()? {
        runtime()?.block_on(remote.checks())?
    } else {
        let Some(config) = args.source.config().without_secrets() else { return Ok(Exit::Usage) };
        at_hand(&config)?
    };
    match args.format {
        Format::Json => output::json(&checks)?,
        Format::Text => {
            let mark = |line: &Check| if line.ok { "ok" } else { "!!" };
            let row =
                |line: &Check| vec![mark(line).to_owned(), line.what.clone(), line.is.clone()];
            output::table(&["", "WHAT", "IS"], &checks.lines.iter().map(row).collect::<Vec<_>>());
        }
    }
    Ok(if checks.ok { Exit::Ok } else { Exit::Failed })
}

/// By the configuration and the store at hand, and the tollbell on this machine.
fn at_hand(config: &Config) -> anyhow::Result<Checks> {
    let now = Clock::system().now();
    let accounts: Vec<AccountInForce> = config.accounts.iter().map(Account::in_force).collect();
    let mut lines = running(config, now);
    lines.extend(accounts.iter().map(checks::account));
    lines.extend(runtime()?.block_on(stored(config, &accounts, now))?);
    Ok(Checks::new(lines))
}

/// What the running tollbell says.
fn running(config: &Config, now: Timestamp) -> Vec<Check> {
    let address = healthcheck::reachable(config.server.private_listen);
    let not = |is: String| vec![Check::new(false, "tollbell", is)];
    match healthcheck::ask(address, "/readyz") {
        Ok(answer) if answer.starts_with("HTTP/1.1 200") => {
            let ready = checks::ready(config.server.listen);
            [ready].into_iter().chain(reload(address, now)).collect()
        }
        Ok(answer) => not(format!("is not ready: {}", last_line(&answer))),
        Err(error) => not(format!("cannot be asked at {address}: {error}")),
    }
}

fn last_line(answer: &str) -> &str {
    answer.lines().rfind(|line| !line.is_empty()).unwrap_or("no answer")
}

/// When the configuration in force was loaded, and whether it is the one on disk.
fn reload(address: SocketAddr, now: Timestamp) -> Option<Check> {
    let metrics = healthcheck::ask(address, "/metrics").ok()?;
    let value = |name: &str| {
        let found = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        found?.trim().parse::<f64>().ok()
    };
    let same = value("tollbell_config_last_reload_successful")?.total_cmp(&1.0).is_eq();
    #[expect(clippy::cast_possible_truncation, reason = "seconds; a saturating cast")]
    let since = value("tollbell_config_last_reload_success_timestamp_seconds")? as i64;
    Some(checks::configuration(same, Timestamp::from_second(since).ok()?, now))
}

/// What the store says.
async fn stored(
    config: &Config,
    accounts: &[AccountInForce],
    now: Timestamp,
) -> anyhow::Result<Vec<Check>> {
    let place = &config.store.place;
    if place.path().is_some_and(|path| !path.exists()) {
        let missing = format!("{place} is not there: tollbell has never run here");
        return Ok(vec![Check::new(false, "store", missing)]);
    }
    let store = Store::attach(place).await;
    let store = store.with_context(|| format!("cannot open the store {place}"))?;
    let receivers = config.receivers.iter().collect();
    Ok(checks::stored(&store, place, accounts, receivers, now).await?)
}
