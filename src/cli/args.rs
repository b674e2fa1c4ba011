//! What the commands share: where the configuration is, how data is printed, how a command ends.

use std::path::PathBuf;

use clap::ValueEnum;

use super::output;
use crate::config::{self, Candidate, Config};

/// Where the configuration is when nobody says.
pub(super) const CONFIG_FILE: &str = "config/tollbell.yaml";

/// The configuration file, for the commands that need one.
#[derive(Debug, clap::Args)]
pub(super) struct ConfigArg {
    /// The configuration file
    #[arg(
        short,
        long,
        env = "TOLLBELL_CONFIG",
        default_value = CONFIG_FILE,
        value_name = "FILE"
    )]
    pub(super) config: PathBuf,
}

impl ConfigArg {
    /// Reads it for a command that looks and sends nothing: secrets, keys and variables that are missing do not matter, for who
    /// looks need not be able to read them. `None` when it has other errors, which are printed.
    pub(super) fn without_secrets(&self) -> Option<Config> {
        let loaded = Candidate::new(&self.config, &[]).with_store().load(&config::system_env);
        if loaded.config.is_none() {
            output::problems(&loaded);
        }
        loaded.config
    }
}

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// How rows are printed, by commands whose data belongs into a spreadsheet, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Sheet {
    /// For people
    Text,
    /// For programs
    Json,
    /// For spreadsheets
    Csv,
}

/// What a command ended with.
pub(super) enum Exit {
    Ok,
    Failed,
    Usage,
}

/// The runtime of the commands that need one.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
