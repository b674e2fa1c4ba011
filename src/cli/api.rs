//! What the commands that ask Telnyx share.

use std::sync::Arc;

use anyhow::{Context as _, bail};

use super::{ConfigArg, output};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::telnyx::client::Page;
use crate::telnyx::{Client, Settings};

/// Whose Telnyx account is asked.
#[derive(Debug, clap::Args)]
pub(super) struct AccountArg {
    /// The account, by its name in the configuration; not needed when only one has an API key
    #[arg(long)]
    pub(super) account: Option<String>,
}

/// Reads the configuration; `None` when it has errors, which are printed.
pub(super) fn load(config: &ConfigArg) -> Option<Config> {
    let loaded = config::load(&config.config, &config::system_env);
    if loaded.config.is_none() {
        output::problems(&loaded);
    }
    loaded.config
}

/// The account that is meant, with a client for it.
pub(super) fn client(config: &Config, account: &AccountArg) -> anyhow::Result<(Settings, Client)> {
    let settings = choose(config, account.account.as_deref())?;
    let observer = Arc::new(|_: &'static str, _: &str| ());
    let client = Client::new(&settings, Clock::system(), observer);
    Ok((settings, client.context("cannot set up the API client")?))
}

fn choose(config: &Config, account: Option<&str>) -> anyhow::Result<Settings> {
    let known = || config.accounts.iter().map(|account| account.name.as_str());
    let with_key: Vec<&Settings> =
        config.accounts.iter().filter_map(|account| account.api.as_ref()).collect();
    let Some(name) = account else {
        return match with_key.as_slice() {
            [only] => Ok((*only).clone()),
            [] => bail!("no account has an api_key or api_key_file: Telnyx cannot be asked"),
            several => {
                let names: Vec<&str> = several.iter().map(|one| one.account.as_str()).collect();
                bail!(
                    "several accounts have an API key: say --account with one of {}",
                    names.join(", ")
                )
            }
        };
    };
    match with_key.into_iter().find(|one| one.account == name) {
        Some(found) => Ok(found.clone()),
        None if known().any(|known| known == name) => {
            bail!("the account {name} has no api_key or api_key_file")
        }
        None => bail!("no account {name}: there is {}", known().collect::<Vec<_>>().join(", ")),
    }
}

/// Tells how far a list is that has more than one page.
pub(super) fn progress(what: &'static str) -> impl FnMut(&Page) {
    move |page| {
        if page.pages > 1 {
            output::progress(&format!("{what}: page {} of {}", page.number, page.pages));
        }
    }
}
