//! `tollbell invoices`

use super::{ConfigArg, Exit};

/// Arguments of `invoices`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    anyhow::bail!("{}", args.config.config.display())
}
