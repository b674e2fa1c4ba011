//! `tollbell usage`: Telnyx's own reports of one product, as they come.
//!
//! Amounts are JSON floats there, and shown by their source text; nothing is added up.

mod plan;

use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::api::{self, AccountArg, cell, dashed};
use super::{ConfigArg, Exit, Sheet, output, runtime};
use crate::clock::Clock;
use crate::config::units;
use crate::telnyx::{ApiError, Client, Endpoint, ListEnd};
use plan::{Columns, Possible, Wanted, pieces};

/// Rows of one page.
const PAGE_ROWS: u32 = 250;
/// Pages of one request at most.
const PAGES_MAX: u32 = 40;

/// Arguments of `usage`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    account: AccountArg,
    /// Of what, such as messaging or sip-trunking; without it, what can be asked for is listed
    #[arg(long)]
    product: Option<String>,
    /// What is measured, such as cost,count; the cost by default
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "product")]
    metrics: Vec<String>,
    /// By what it is broken out, such as direction,mcc; the day and the currency by default
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "product")]
    dimensions: Vec<String>,
    /// From so long ago, from the beginning of that day in UTC: 7d, 12w
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = parse_since)]
    since: Duration,
    /// Of all accounts that this one manages together
    #[arg(long, requires = "product")]
    managed_accounts: bool,
    /// How it is printed
    #[arg(long, default_value = "text", value_enum)]
    format: Sheet,
}

fn parse_since(text: &str) -> Result<Duration, String> {
    units::duration(text).filter(|since| !since.is_zero() && *since <= plan::SINCE_MAX).ok_or_else(
        || {
            let days = plan::SINCE_MAX.as_secs() / 86_400;
            format!("expected a duration such as 7d or 12w, {days}d at most")
        },
    )
}

/// The rows of a time that Telnyx answers at once.
#[derive(Debug, Serialize)]
struct Part {
    from: Timestamp,
    to: Timestamp,
    rows: Vec<Value>,
    /// Whether these are all rows.
    complete: bool,
    #[serde(skip)]
    end: ListEnd,
}

/// What `--format json` prints.
#[derive(Debug, Serialize)]
struct UsageReport<'a> {
    account: &'a str,
    product: &'a str,
    #[serde(flatten)]
    columns: &'a Columns,
    parts: Vec<Part>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let Some(config) = api::load(&args.config) else { return Ok(Exit::Usage) };
    let (settings, client) = match api::client(&config, &args.account) {
        Ok(found) => found,
        Err(wrong) => return Ok(wrong.report()),
    };
    let whose = || format!("cannot read the usage of {}", settings.account);
    runtime()?.block_on(async {
        let Some(product) = args.product.as_deref() else {
            let all = options(&client, None).await.with_context(whose)?;
            return list(&all, args.format);
        };
        let Some(possible) = find(&client, product).await.with_context(whose)? else {
            let all = options(&client, None).await.with_context(whose)?;
            let known: Vec<&str> = all.iter().map(|possible| possible.product.as_str()).collect();
            let known = known.join(", ");
            output::error(&format!("Telnyx reports no product {product}: there is {known}"));
            return Ok(Exit::Usage);
        };
        let wanted = Wanted { metrics: &args.metrics, dimensions: &args.dimensions };
        let columns = match possible.choose(&wanted) {
            Ok(columns) => columns,
            Err(why) => {
                output::error(&format!("{product} {why}"));
                return Ok(Exit::Usage);
            }
        };
        let parts = read(&client, args, product, &columns).await.with_context(whose)?;
        print(&UsageReport { account: &settings.account, product, columns: &columns, parts }, args)
    })
}

/// What can be asked for, of one product or of all.
async fn options(client: &Client, product: Option<&str>) -> Result<Vec<Possible>, ApiError> {
    let query: Vec<(&str, String)> =
        product.map(|product| ("product", product.to_owned())).into_iter().collect();
    let answer = client.get(&Endpoint::USAGE_OPTIONS, &query).await?;
    Ok(Possible::read_all(&answer))
}

async fn find(client: &Client, product: &str) -> Result<Option<Possible>, ApiError> {
    let found = match options(client, Some(product)).await {
        Ok(found) => found,
        // So it says that it does not know the product.
        Err(error) if matches!(error.status(), Some(400 | 404 | 422)) => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(found.into_iter().find(|possible| possible.product == product))
}

async fn read(
    client: &Client,
    args: &Args,
    product: &str,
    columns: &Columns,
) -> Result<Vec<Part>, ApiError> {
    let pieces = pieces(Clock::system().now(), args.since);
    let mut parts = Vec::new();
    for (number, &(from, to)) in pieces.iter().enumerate() {
        if pieces.len() > 1 {
            let at = number + 1;
            output::progress(&format!("usage: part {at} of {}, from {from:.0}", pieces.len()));
        }
        let mut query = vec![
            ("product", product.to_owned()),
            ("metrics", columns.metrics.join(",")),
            ("dimensions", columns.dimensions.join(",")),
            ("start_date", format!("{from:.0}")),
            ("end_date", format!("{to:.0}")),
        ];
        if args.managed_accounts {
            query.push(("managed_accounts", "true".to_owned()));
        }
        let progress = api::progress("usage");
        let (rows, end) =
            client.list(&Endpoint::USAGE_REPORTS, &query, PAGE_ROWS, PAGES_MAX, progress).await?;
        let rows = rows.iter().map(|row| only(row, columns)).collect();
        parts.push(Part { from, to, rows, complete: end.is_whole(), end });
    }
    Ok(parts)
}

/// The columns that were asked for, and no other.
fn only(row: &Value, columns: &Columns) -> Value {
    let field = |name: &String| (name.clone(), row.get(name).cloned().unwrap_or_default());
    Value::Object(columns.names().map(field).collect::<Map<_, _>>())
}

fn print(report: &UsageReport<'_>, args: &Args) -> anyhow::Result<Exit> {
    let UsageReport { columns, parts, .. } = report;
    let several = parts.len() > 1;
    let bounds = |part: &Part| [format!("{:.0}", part.from), format!("{:.0}", part.to)];
    let rows = |bounds: &dyn Fn(&Part) -> Vec<String>| -> Vec<Vec<String>> {
        let row = |part: &Part, row: &Value| {
            bounds(part).into_iter().chain(columns.names().map(|it| cell(row.get(it)))).collect()
        };
        parts.iter().flat_map(|part| part.rows.iter().map(move |it| row(part, it))).collect()
    };
    match args.format {
        Sheet::Json => output::json(report)?,
        Sheet::Csv => {
            let headings: Vec<&str> =
                ["from", "to"].into_iter().chain(columns.names().map(String::as_str)).collect();
            output::csv(&headings, &rows(&|part| bounds(part).to_vec()));
        }
        Sheet::Text => text(
            report,
            &rows(&|part| {
                if several { vec![bounds(part)[0].clone()] } else { Vec::new() }
            }),
        ),
    }
    if columns.without_currency && args.format != Sheet::Json {
        output::progress("Telnyx does not say in what currency these costs are.");
    }
    let most = PAGE_ROWS * PAGES_MAX;
    let cut = format!("more than {most} rows: ask for fewer dimensions or less time");
    Ok(api::report_end(parts.iter().map(|part| part.end), &cut))
}

fn text(report: &UsageReport<'_>, rows: &[Vec<String>]) {
    let UsageReport { product, columns, parts, .. } = report;
    if let (Some(first), Some(last)) = (parts.first(), parts.last()) {
        output::line(&format!("{product} from {:.0} to {:.0}", first.from, last.to));
        output::line("");
    }
    if rows.is_empty() {
        output::line("Telnyx reports nothing for this time.");
        return;
    }
    let part = (parts.len() > 1).then(|| "PART FROM".to_owned());
    let headings: Vec<String> =
        part.into_iter().chain(columns.names().map(|name| name.to_uppercase())).collect();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    output::table(&headings, &dashed(rows));
}

fn list(all: &[Possible], format: Sheet) -> anyhow::Result<Exit> {
    let row =
        |it: &Possible| vec![it.product.clone(), it.metrics.join(" "), it.dimensions.join(" ")];
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    match format {
        Sheet::Json => output::json(&all)?,
        Sheet::Csv => output::csv(&["product", "metrics", "dimensions"], &rows),
        Sheet::Text => output::table(&["PRODUCT", "METRICS", "DIMENSIONS"], &dashed(&rows)),
    }
    Ok(Exit::Ok)
}
