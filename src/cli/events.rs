//! `tollbell events`

use anyhow::bail;
use clap::Subcommand;

use super::source::SourceArgs;
use super::{Exit, Format, output, runtime};
use crate::event::product;
use crate::store::{EventFilter, EventRecord, EventState};

/// The kind that fills a list and says little: a reading each minute.
const BALANCES: &str = "account.balance";

/// Arguments of `events`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List events, newest first
    List(List),
    /// Show one event as it is stored, and the judgement of each rule
    Show(Show),
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    source: SourceArgs,
    /// Only those of this kind; `*` stands for anything
    #[arg(long)]
    kind: Option<String>,
    /// Only those in this state: waiting, judged, faulted
    #[arg(long, value_parser = parse_state)]
    state: Option<EventState>,
    /// Only those of this account
    #[arg(long)]
    account: Option<String>,
    /// Also readings of the balance, which otherwise come only where a kind is asked for
    #[arg(long)]
    balances: bool,
    /// How many at most
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// How they are printed
    #[arg(long, default_value = "text", value_enum)]
    format: Format,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// The event's id
    id: String,
    /// The event's account, when several have one of this id
    #[arg(long)]
    account: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
    /// How it is printed
    #[arg(long, default_value = "text", value_enum)]
    format: Format,
}

fn parse_state(word: &str) -> Result<EventState, String> {
    let known = EventState::ALL.map(EventState::as_str).join(", ");
    EventState::ALL
        .into_iter()
        .find(|state| state.as_str() == word)
        .ok_or_else(|| format!("expected one of {known}"))
}

pub(super) fn run(args: Args) -> anyhow::Result<Exit> {
    runtime()?.block_on(async {
        match args.command {
            Command::List(args) => list(args).await,
            Command::Show(args) => show(args).await,
        }
    })
}

async fn list(args: List) -> anyhow::Result<Exit> {
    let Some(source) = args.source.open().await? else { return Ok(Exit::Usage) };
    let asked = args.balances || args.kind.is_some();
    let filter = EventFilter {
        without_kind: (!asked).then(|| BALANCES.to_owned()),
        kind: args.kind,
        account: args.account,
        state: args.state,
        before: None,
        limit: args.limit,
    };
    let events = source.events(filter).await?;
    match args.format {
        Format::Json => output::json(&events)?,
        Format::Text => {
            let rows: Vec<Vec<String>> = events
                .iter()
                .map(|event| {
                    vec![
                        format!("{:.3}", event.received_at),
                        event.account.clone(),
                        event.kind.clone(),
                        event.state.as_str().to_owned(),
                        event.source.to_string(),
                        event.id.clone(),
                    ]
                })
                .collect();
            output::table(&["RECEIVED", "ACCOUNT", "KIND", "STATE", "SOURCE", "ID"], &rows);
        }
    }
    Ok(Exit::Ok)
}

async fn show(args: Show) -> anyhow::Result<Exit> {
    let Some(source) = args.source.open().await? else { return Ok(Exit::Usage) };
    let Some(record) = source.event(&args.id, args.account.as_deref()).await? else {
        bail!("no event has the id {}", args.id);
    };
    match args.format {
        Format::Json => output::json(&record)?,
        Format::Text => print(&record)?,
    }
    Ok(Exit::Ok)
}

fn print(record: &EventRecord) -> anyhow::Result<()> {
    let event = &record.stored.event;
    let or_unknown = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
    for (name, value) in [
        ("id", event.id.clone()),
        ("account", event.account.clone()),
        ("kind", event.kind.clone()),
        (
            "type",
            if event.type_as_sent.is_empty() { "none" } else { &event.type_as_sent }.to_owned(),
        ),
        ("product", product(&event.kind).to_owned()),
        ("source", event.source.to_string()),
        ("attempt", or_unknown(event.attempt.map(|attempt| attempt.to_string()))),
        ("occurred", or_unknown(event.occurred_at.map(|at| at.to_string()))),
        ("received", event.received_at.to_string()),
        ("cost", or_unknown(event.cost.map(|cost| cost.to_string()))),
        ("charge", or_unknown(event.charge.map(|charge| charge.to_string()))),
        ("currency", or_unknown(event.currency.clone())),
        ("state", record.state.as_str().to_owned()),
        ("fault", record.fault.clone().unwrap_or_else(|| "none".to_owned())),
    ] {
        output::line(&format!("{name:9} {value}"));
    }
    if record.payload_dropped {
        output::line("payload   dropped after judging (store.payload: none)");
    } else {
        output::line("payload");
        output::json(&event.payload)?;
    }
    output::line("");
    let rows: Vec<Vec<String>> = record
        .judgements
        .iter()
        .map(|judged| vec![judged.rule.clone(), judged.outcome.clone(), judged.detail.clone()])
        .collect();
    output::table(&["RULE", "OUTCOME", "DETAIL"], &rows);
    match record.state {
        EventState::Waiting => output::line("(not judged yet)"),
        EventState::Judged | EventState::Faulted if rows.is_empty() => {
            output::line("(no rule fired, ended an alert or failed; see tollbell explain)");
        }
        EventState::Judged | EventState::Faulted => {}
    }
    if !record.deliveries.is_empty() {
        output::line("");
        let rows: Vec<Vec<String>> = record
            .deliveries
            .iter()
            .map(|caused| {
                vec![caused.id.clone(), caused.state.as_str().to_owned(), caused.receiver.clone()]
            })
            .collect();
        output::table(&["DELIVERY", "STATE", "RECEIVER"], &rows);
    }
    Ok(())
}
