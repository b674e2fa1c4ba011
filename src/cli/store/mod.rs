//! `tollbell store`

mod backup;
mod check;
mod copy;

use clap::Subcommand;

use super::{Exit, runtime};

/// Arguments of `store`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the database to a new file while tollbell serves (SQLite)
    Backup(backup::Args),
    /// Check the database: is it whole, do ledger and totals agree, what is left of rules that are gone
    Check(check::Args),
    /// Move everything to a database of the other kind while no tollbell serves; what was cut off goes on
    Copy(copy::Args),
}

pub(super) fn run(args: Args) -> anyhow::Result<Exit> {
    runtime()?.block_on(async {
        match args.command {
            Command::Backup(args) => backup::run(args).await,
            Command::Check(args) => check::run(&args).await,
            Command::Copy(args) => copy::run(args).await,
        }
    })
}
