//! What the commands that ask Telnyx share.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::{ConfigArg, Exit, output};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::telnyx::{ApiSettings, Client, ListEnd, Page};

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

/// The account that is meant, with a client for it; the error is one line for people, of arguments or configuration.
pub(super) fn client(
    config: &Config,
    account: &AccountArg,
) -> Result<(ApiSettings, Client), WrongUsage> {
    let found = choose(config, account.account.as_deref())
        .and_then(|settings| Ok((client_of(&settings)?, settings)));
    let (client, settings) = found.map_err(|error| WrongUsage(format!("{error:#}")))?;
    Ok((settings, client))
}

/// Why an account cannot be asked.
#[derive(Debug)]
pub(super) struct WrongUsage(pub(super) String);

impl WrongUsage {
    /// Says so.
    pub(super) fn report(&self) -> Exit {
        output::error(&self.0);
        Exit::Usage
    }
}

/// A client for this account, which tells of each attempt that may be followed by another: waits between them can be
/// long. What is final is the error's to tell.
pub(super) fn client_of(settings: &ApiSettings) -> anyhow::Result<Client> {
    let observer = Arc::new(|endpoint: &'static str, code: &str| {
        let said = match code {
            "timeout" => "no answer from Telnyx in time".to_owned(),
            "error" => "no whole answer from Telnyx".to_owned(),
            "408" | "409" | "429" => format!("{code} from Telnyx"),
            _ if code.starts_with('5') => format!("{code} from Telnyx"),
            _ => return,
        };
        output::progress(&format!("{endpoint}: {said}"));
    });
    let client = Client::new(settings, Clock::system(), observer);
    client.context("cannot set up the API client")
}

fn choose(config: &Config, account: Option<&str>) -> anyhow::Result<ApiSettings> {
    let known = || config.accounts.iter().map(|account| account.name.as_str());
    let with_key: Vec<&ApiSettings> =
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

/// What people are told of a list that did not end well; `cut` is said of one that has more than was asked for.
pub(super) fn report_end(ends: impl IntoIterator<Item = ListEnd>, cut: &str) -> Exit {
    let worst = ends.into_iter().filter(|end| !end.is_whole());
    // A cut is our own bound, so there is something to do about it.
    match worst.max_by_key(|end| *end == ListEnd::Cut) {
        None => Exit::Ok,
        Some(ListEnd::Cut) => {
            output::error(cut);
            Exit::Failed
        }
        Some(_) => {
            output::error(
                "partial: Telnyx gave less than it says there is, or does not say clearly how much there is",
            );
            Exit::Failed
        }
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

/// A field of an answer as it stands there, a number by its source text; empty where there is none.
pub(super) fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Rows for people: what is empty shows as `-`.
pub(super) fn dashed(rows: &[Vec<String>]) -> Vec<Vec<String>> {
    let dash = |cell: &String| if cell.is_empty() { "-".to_owned() } else { cell.clone() };
    rows.iter().map(|row| row.iter().map(dash).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_keeps_the_source_text_of_a_number() {
        for (json, expected) in [
            ("1911.6248", "1911.6248"),
            ("0.1", "0.1"),
            ("0.10", "0.10"),
            ("1911.62480000000000000000001", "1911.62480000000000000000001"),
            ("-12.50", "-12.50"),
            ("5e-05", "5e-05"),
            ("\"0.0051\"", "0.0051"),
            ("null", ""),
            ("true", "true"),
            ("[\"a\",1.0]", "[\"a\",1.0]"),
        ] {
            let value: Value = serde_json::from_str(json).expect("JSON");
            assert_eq!(cell(Some(&value)), expected);
        }
        assert_eq!(cell(None), "");
    }
}
