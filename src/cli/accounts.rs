//! `tollbell accounts`: those of the configuration, with what was last read of them, and those that they manage at
//! Telnyx. Of an account at Telnyx only the fields of [`Managed`] are kept: the answer also holds its keys.

use anyhow::Context as _;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;

use super::alerts::{from_now, labels_text};
use super::api::{self, cell, dashed};
use super::{ConfigArg, Exit, Format, output, runtime};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::event::amount;
use crate::rules::Labels;
use crate::store::{Reading, Store};
use crate::telnyx::{Client, Endpoint, ListEnd};

/// Accounts of one page.
const PAGE_ITEMS: u32 = 250;
/// Pages at most.
const PAGES_MAX: u32 = 40;
/// Managed accounts of which the balance is asked, one call each; of further ones it is not shown.
const BALANCES_MAX: usize = 250;

/// Arguments of `accounts`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Only this account, by its name in the configuration
    #[arg(long)]
    account: Option<String>,
    /// Do not ask Telnyx for managed accounts
    #[arg(long)]
    offline: bool,
    /// How they are printed
    #[arg(long, default_value = "text", value_enum)]
    format: Format,
}

/// An account of the configuration.
#[derive(Debug, Serialize)]
struct ListedAccount<'a> {
    name: &'a str,
    /// Whether Telnyx can be asked.
    api_key: bool,
    currency: Option<&'a str>,
    labels: &'a Labels,
    /// What was last read of its balance.
    reading: Option<&'a Reading>,
    /// What it manages; null when Telnyx was not asked, or did not say.
    managed: Option<Vec<Managed>>,
    /// Whether `managed` is all of them.
    complete: bool,
    /// Why Telnyx did not say.
    problem: Option<String>,
    #[serde(skip)]
    end: ListEnd,
    /// Whether that is more than an account that may not manage others.
    #[serde(skip)]
    failed: bool,
}

/// What is shown of an account that another manages; nothing else of Telnyx's answer goes further than here.
#[derive(Debug, PartialEq, Serialize)]
struct Managed {
    id: String,
    email: String,
    organization_name: String,
    created_at: String,
    rollup_billing: Option<bool>,
    balance: Option<Decimal>,
    available_credit: Option<Decimal>,
    currency: Option<String>,
}

impl Managed {
    fn read(item: &Value) -> Self {
        let text = |key: &str| cell(item.get(key).filter(|value| value.is_string()));
        // Telnyx gives it with a single account only; a list may come to have it.
        let balance = |key: &str| item.get("balance").and_then(|balance| balance.get(key));
        let currency = balance("currency").and_then(Value::as_str);
        Self {
            id: text("id"),
            email: text("email"),
            organization_name: text("organization_name"),
            created_at: text("created_at"),
            rollup_billing: item.get("rollup_billing").and_then(Value::as_bool),
            balance: balance("balance").and_then(amount),
            available_credit: balance("available_credit").and_then(amount),
            currency: currency.map(str::to_owned),
        }
    }

    fn row(&self) -> Vec<String> {
        let Self { id, email, organization_name, created_at, .. } = self;
        let balance = match self.rollup_billing {
            Some(true) if self.balance.is_none() => "its manager's".to_owned(),
            _ => money(self.balance, self.currency.as_deref()),
        };
        let texts = [id, email, organization_name, created_at];
        texts.into_iter().cloned().chain([balance]).collect()
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let Some(config) = api::load(&args.config) else { return Ok(Exit::Usage) };
    if let Some(name) = &args.account
        && !config.accounts.iter().any(|account| account.name == *name)
    {
        let known: Vec<&str> = config.accounts.iter().map(|account| &*account.name).collect();
        output::error(&format!("no account {name}: there is {}", known.join(", ")));
        return Ok(Exit::Usage);
    }
    runtime()?.block_on(async {
        let readings = readings(&config).await;
        let mut accounts = Vec::new();
        for account in &config.accounts {
            if args.account.as_ref().is_some_and(|name| account.name != *name) {
                continue;
            }
            accounts.push(look(account, &readings, args.offline).await?);
        }
        match args.format {
            Format::Json => output::json(&accounts)?,
            Format::Text => text(&accounts, Clock::system().now()),
        }
        let ends = accounts.iter().map(|account| account.end);
        let exit = api::report_end(ends, "there are more managed accounts than are asked for");
        let failed = accounts.iter().any(|account| account.failed);
        Ok(if failed { Exit::Failed } else { exit })
    })
}

/// What `serve` has read; nothing where it never ran.
async fn readings(config: &Config) -> Vec<Reading> {
    let place = &config.store.place;
    if place.path().is_some_and(|path| !path.exists()) {
        return Vec::new();
    }
    let readings = match Store::attach(place).await {
        Ok(store) => store.last_readings().await.map_err(anyhow::Error::from),
        Err(error) => Err(error.into()),
    };
    readings.unwrap_or_else(|error| {
        output::progress(&format!("no readings: the store {place} cannot be read: {error:#}"));
        Vec::new()
    })
}

async fn look<'a>(
    account: &'a config::Account,
    readings: &'a [Reading],
    offline: bool,
) -> anyhow::Result<ListedAccount<'a>> {
    let mut shown = ListedAccount {
        name: &account.name,
        api_key: account.api.is_some(),
        currency: account.currency.as_deref(),
        labels: &account.labels,
        reading: readings.iter().find(|reading| reading.account == account.name),
        managed: None,
        complete: true,
        end: ListEnd::Whole,
        problem: None,
        failed: false,
    };
    let Some(settings) = account.api.as_ref().filter(|_| !offline) else { return Ok(shown) };
    let client = api::client_of(settings).with_context(|| account.name.clone())?;
    let progress = api::progress("managed accounts");
    match client.list(&Endpoint::MANAGED_ACCOUNTS, &[], PAGE_ITEMS, PAGES_MAX, progress).await {
        Ok((items, end)) => {
            let mut managed: Vec<Managed> = items.iter().map(Managed::read).collect();
            shown.problem = balances(&client, &mut managed).await;
            shown.failed = shown.problem.is_some();
            shown.end = end;
            shown.managed = Some(managed);
            shown.complete = end.is_whole();
        }
        Err(error) => {
            // Telnyx has to allow an account to manage others. For one that may not there is no such list.
            shown.failed = !matches!(error.status(), Some(403 | 404));
            shown.problem = Some(error.to_string());
        }
    }
    Ok(shown)
}

/// Asks for the balances that the list does not report; gives why one was not reported. An account whose bills its manager gets
/// has none of its own.
async fn balances(client: &Client, managed: &mut [Managed]) -> Option<String> {
    let has_own = |it: &&mut Managed| {
        it.balance.is_none() && it.rollup_billing != Some(true) && !it.id.is_empty()
    };
    let asked: Vec<&mut Managed> = managed.iter_mut().filter(has_own).collect();
    let count = asked.len();
    for (n, account) in (1..).zip(asked) {
        if n > BALANCES_MAX {
            return Some(format!(
                "the balance of {} managed accounts is not asked",
                count - BALANCES_MAX
            ));
        }
        if count > 1 {
            output::progress(&format!("managed accounts: balance {n} of {count}"));
        }
        match client.call(&Endpoint::MANAGED_ACCOUNT, Some(&account.id), &[], None).await {
            // Nothing else of the answer goes further than here: it holds keys.
            Ok(answer) => {
                let read = Managed::read(answer.get("data").unwrap_or(&Value::Null));
                account.balance = read.balance;
                account.available_credit = read.available_credit;
                account.currency = read.currency;
            }
            // Closed meanwhile.
            Err(error) if error.status() == Some(404) => {}
            Err(error) => return Some(error.to_string()),
        }
    }
    None
}

fn text(accounts: &[ListedAccount<'_>], now: Timestamp) {
    let row = |account: &ListedAccount<'_>| {
        let reading = account.reading;
        let money = |amount: fn(&Reading) -> Option<Decimal>| {
            let amount = reading.and_then(|it| Some((amount(it)?, it.currency.as_deref())));
            amount.map_or_else(String::new, |(amount, currency)| money(Some(amount), currency))
        };
        vec![
            account.name.to_owned(),
            if account.api_key { "yes" } else { "no" }.to_owned(),
            account.currency.unwrap_or_default().to_owned(),
            money(|reading| reading.balance),
            money(|reading| reading.available_credit),
            reading.map_or_else(String::new, |reading| from_now(reading.at, now)),
            labels_text(account.labels),
        ]
    };
    let rows: Vec<Vec<String>> = accounts.iter().map(row).collect();
    let headings = ["ACCOUNT", "API KEY", "CURRENCY", "BALANCE", "AVAILABLE", "READ", "LABELS"];
    output::table(&headings, &dashed(&rows));
    for account in accounts {
        if let Some(problem) = &account.problem {
            let what =
                if account.managed.is_some() { "not all balances" } else { "no managed accounts" };
            output::progress(&format!("{what} of {}: {problem}", account.name));
        }
        let Some(managed) = account.managed.as_ref().filter(|it| !it.is_empty()) else { continue };
        output::line("");
        let count = output::count(managed.len(), "account", "accounts");
        let more = if account.complete { "" } else { " or more" };
        output::line(&format!("{} manages {count}{more}:", account.name));
        let rows: Vec<Vec<String>> = managed.iter().map(Managed::row).collect();
        output::table(&["ID", "E-MAIL", "ORGANIZATION", "CREATED", "BALANCE"], &dashed(&rows));
    }
}

/// `12.50 USD`; empty when it is unknown.
fn money(amount: Option<Decimal>, currency: Option<&str>) -> String {
    match (amount, currency) {
        (Some(amount), Some(currency)) => format!("{amount} {currency}"),
        (Some(amount), None) => amount.to_string(),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_a_managed_account_nothing_secret_is_kept() {
        let item = json!({
            "record_type": "managed_account", "id": "a1", "email": "shop@example.com",
            "api_key": "KEY-planted", "api_token": "TOKEN-planted", "api_user": "boss@example.com",
            "manager_account_id": "m1", "organization_name": "Shop", "rollup_billing": false,
            "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z",
            "balance": {"balance": "-3.10", "available_credit": "96.90", "currency": "EUR", "api_key": "KEY-planted"},
        });
        let expected = json!({
            "id": "a1", "email": "shop@example.com", "organization_name": "Shop",
            "created_at": "2026-01-02T03:04:05Z", "rollup_billing": false,
            "balance": "-3.10", "available_credit": "96.90", "currency": "EUR",
        });
        assert_eq!(serde_json::to_value(Managed::read(&item)).expect("JSON"), expected);
        let odd =
            json!({"id": {"api_key": "KEY-planted"}, "email": ["KEY-planted"], "balance": "1.00"});
        let shown = serde_json::to_string(&Managed::read(&odd)).expect("JSON");
        assert!(!shown.contains("planted"), "{shown}");
    }
}
