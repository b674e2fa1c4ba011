//! `tollbell forget`

use anyhow::Context as _;

use super::source::attach;
use super::{ConfigArg, Exit, output, runtime};
use crate::clock::Clock;
use crate::store::{AuditEntry, PhoneNumber, Store};

/// Arguments of `forget`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The phone number, with its country: +15550100100
    #[arg(long, value_parser = PhoneNumber::parse)]
    number: PhoneNumber,
    /// Only say what would be erased
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    config: ConfigArg,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    runtime()?.block_on(async {
        let Some(store) = attach(&args.config).await? else { return Ok(Exit::Usage) };
        let exit = forget(&store, args).await?;
        store.close().await?;
        Ok(exit)
    })
}

async fn forget(store: &Store, args: &Args) -> anyhow::Result<Exit> {
    if !args.dry_run {
        // What cannot be noted is not to be done.
        store.append_audit(entry(&args.number)).await.context("cannot write the audit log")?;
    }
    let done = store.forget(&args.number, Clock::system().now(), args.dry_run).await?;
    let rows: Vec<Vec<String>> = done
        .iter()
        .map(|(table, done)| {
            let why = if done.kept > 0 { why_kept(table) } else { "" };
            vec![
                (*table).to_owned(),
                done.erased.to_string(),
                done.kept.to_string(),
                why.to_owned(),
            ]
        })
        .collect();
    if rows.is_empty() {
        output::line("nothing that is stored holds the number");
        return Ok(Exit::Ok);
    }
    let erased = if args.dry_run { "WOULD ERASE" } else { "ERASED" };
    output::table(&["TABLE", erased, "KEPT", ""], &rows);
    Ok(Exit::Ok)
}

/// Why rows of a table that hold the number stay.
fn why_kept(table: &str) -> &'static str {
    match table {
        "inbox" => "wait to be judged: run it again",
        "deliveries" | "contents" => "are being delivered: run it again once they have ended",
        "notification_log" => "groups are not over: run it again once they are",
        "alerts" => "fire, or groups hold them: run it again once the groups are over",
        "ledger" => "may be told of again: run it again 30 days after their last report",
        "state" => "rules count on: they go with their series, see docs/privacy.md",
        "silences" => "silences name it: they go some time after their end",
        "audit" => "who changed what: goes with the retention",
        _ => "are in use",
    }
}

fn entry(number: &PhoneNumber) -> AuditEntry {
    AuditEntry {
        at: Clock::system().now(),
        who: "local".to_owned(),
        from: None,
        action: "number.forget".to_owned(),
        subject: number.fingerprint(*uuid::Uuid::new_v4().as_bytes()),
        detail: String::new(),
    }
}
