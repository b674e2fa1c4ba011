//! `tollbell store check`

use std::collections::BTreeSet;

use super::super::source::attach;
use super::super::{ConfigArg, Exit, output};
use crate::store::{Book, Verdict};

/// Arguments of `store check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<Exit> {
    let Some(config) = args.config.without_secrets() else { return Ok(Exit::Usage) };
    let Some(store) = attach(&args.config).await? else { return Ok(Exit::Usage) };
    let flaws = store.flaws().await?;
    for flaw in &flaws {
        output::error(flaw);
    }
    if flaws.is_empty() {
        output::line(&format!("{}: whole", config.store.place));
    }
    let books = store.books().await?.books();
    print_books(&books);
    let owners = store.owners().await?;
    let rules: BTreeSet<String> = config.rules.names().map(str::to_owned).collect();
    let all = config.receivers.iter().flat_map(|receiver| &receiver.integrations);
    let integrations: BTreeSet<String> = all.map(|one| one.id.clone()).collect();
    left("series or alerts of rules", owners.rules.difference(&rules));
    left("deliveries or notes of integrations", owners.integrations.difference(&integrations));
    store.close().await?;
    let differs = books.iter().any(|book| book.verdict == Verdict::Differs);
    Ok(if flaws.is_empty() && !differs { Exit::Ok } else { Exit::Failed })
}

fn print_books(books: &[Book]) {
    let row = |book: &Book| {
        let says = match book.verdict {
            Verdict::Agrees => "agrees",
            Verdict::Removed => "agrees with what the retention has removed",
            Verdict::Moved => "agrees with what was charged while the currency was unknown",
            Verdict::Differs => "DIFFERS",
        };
        let Book { account, product, currency, ledger, total, .. } = book;
        let texts = [account, product, currency].map(Clone::clone);
        let amounts = [ledger, total].map(|amount| amount.normalize().to_string());
        texts.into_iter().chain(amounts).chain([says.to_owned()]).collect()
    };
    let rows: Vec<Vec<String>> = books.iter().map(row).collect();
    if !rows.is_empty() {
        let headings = ["ACCOUNT", "PRODUCT", "CURRENCY", "LEDGER", "TOTAL", ""];
        output::table(&headings, &rows);
    }
}

/// Names what the configuration does not have any more. That is no error: the next start or reload tidies it up.
fn left<'n>(what: &str, names: impl Iterator<Item = &'n String>) {
    let names: Vec<&str> = names.map(String::as_str).collect();
    if !names.is_empty() {
        let names = output::clean(&names.join(", "));
        output::line(&format!("{what} that the configuration does not have: {names}"));
    }
}
