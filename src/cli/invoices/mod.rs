//! `tollbell invoices`: the list that Telnyx keeps, and its documents. The list names no amounts, and no link is printed: one
//! opens the document for whoever has it.

mod download;

use std::cmp::Reverse;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

use super::api::{self, AccountArg, cell, dashed};
use super::{ConfigArg, Exit, Sheet, output, runtime};
use crate::telnyx::Endpoint;

/// Invoices of one page.
const PAGE_ITEMS: u32 = 100;
/// Pages at most: decades of monthly invoices.
const PAGES_MAX: u32 = 20;
const NO_AMOUNTS: &str =
    "Telnyx names no amounts here: they stand in the document of each invoice.";

/// Arguments of `invoices`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    account: AccountArg,
    /// Save the documents into this directory; one that is there already is left alone
    #[arg(long, value_name = "DIRECTORY")]
    download: Option<PathBuf>,
    /// Only this invoice, by its id; several times for several
    #[arg(long, value_name = "ID")]
    invoice: Vec<String>,
    /// How they are printed
    #[arg(long, default_value = "text", value_enum)]
    format: Sheet,
}

/// What is shown of an invoice; empty where Telnyx tells nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Invoice {
    #[serde(rename = "invoice_id")]
    id: String,
    period_start: String,
    period_end: String,
    paid: Option<bool>,
    file_id: String,
}

impl Invoice {
    fn read(item: &Value) -> Self {
        let text = |key: &str| cell(item.get(key));
        Self {
            id: text("invoice_id"),
            period_start: text("period_start"),
            period_end: text("period_end"),
            paid: item.get("paid").and_then(Value::as_bool),
            file_id: text("file_id"),
        }
    }

    fn row(&self) -> Vec<String> {
        let paid = match self.paid {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        let Self { id, period_start, period_end, file_id, .. } = self.clone();
        vec![period_start, period_end, paid.to_owned(), id, file_id]
    }
}

/// What `--format json` prints.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    account: &'a str,
    invoices: &'a [Invoice],
    /// Whether these are all.
    complete: bool,
    note: &'static str,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let Some(config) = api::load(&args.config) else { return Ok(Exit::Usage) };
    let (settings, client) = match api::client(&config, &args.account) {
        Ok(found) => found,
        Err(wrong) => return Ok(wrong.report()),
    };
    let query = [("sort", "-period_start".to_owned())];
    let runtime = runtime()?;
    let listed = runtime.block_on(client.list(
        &Endpoint::INVOICES,
        &query,
        PAGE_ITEMS,
        PAGES_MAX,
        api::progress("invoices"),
    ));
    let (items, end) =
        listed.with_context(|| format!("cannot list the invoices of {}", settings.account))?;
    let mut invoices: Vec<Invoice> = items.iter().map(Invoice::read).collect();
    if let Some(unknown) = args.invoice.iter().find(|id| !invoices.iter().any(|it| it.id == **id)) {
        output::error(&format!("there is no invoice {unknown}"));
        return Ok(Exit::Usage);
    }
    invoices.retain(|invoice| args.invoice.is_empty() || args.invoice.contains(&invoice.id));
    invoices.sort_by_cached_key(|invoice| Reverse(invoice.period_start.clone()));
    let rows: Vec<Vec<String>> = invoices.iter().map(Invoice::row).collect();
    match args.format {
        Sheet::Json => {
            let account = &settings.account;
            let listed =
                Listed { account, invoices: &invoices, complete: end.is_whole(), note: NO_AMOUNTS };
            output::json(&listed)?;
        }
        Sheet::Csv => {
            let headings = ["period_start", "period_end", "paid", "invoice_id", "file_id"];
            output::csv(&headings, &rows);
            output::progress(NO_AMOUNTS);
        }
        Sheet::Text if rows.is_empty() => output::line("Telnyx has no invoices."),
        Sheet::Text => {
            output::table(&["FROM", "TO", "PAID", "INVOICE", "FILE"], &dashed(&rows));
            output::line("");
            output::line(NO_AMOUNTS);
        }
    }
    let saved = match &args.download {
        Some(directory) => {
            let save = download::save(&client, &invoices, directory);
            runtime.block_on(save)?
        }
        None => true,
    };
    let cut = format!("there are more than {}: the rest is left out", invoices.len());
    let exit = api::report_end([end], &cut);
    Ok(if saved { exit } else { Exit::Failed })
}
