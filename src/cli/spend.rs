//! `tollbell spend`

use super::{ConfigArg, Exit};

/// Arguments of `spend`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    anyhow::bail!("{}", args.config.config.display())
}
