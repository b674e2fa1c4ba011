//! `tollbell deliveries`

use anyhow::bail;
use clap::Subcommand;
use serde_json::json;

use super::source::{Source, SourceArgs};
use super::{Exit, Format, output, runtime};
use crate::clock::Clock;
use crate::store::{Delivery, DeliveryFilter, DeliveryState, Retried, Retry};

/// Arguments of `deliveries`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List deliveries, newest first
    List(List),
    /// Show one delivery: its attempts and its message
    Show(Show),
    /// Retry a delivery that waits or is dead, those of a receiver, or all
    Retry(RetryArgs),
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    source: SourceArgs,
    /// Only those in this state: pending, sending, delivered, superseded, dead
    #[arg(long, value_parser = parse_state)]
    state: Option<DeliveryState>,
    /// Only those of this receiver
    #[arg(long)]
    receiver: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// How they are printed
    #[arg(long, default_value = "text", value_enum)]
    format: Format,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// The delivery's id, or its first eight characters or more
    id: String,
    #[command(flatten)]
    source: SourceArgs,
    /// How it is printed
    #[arg(long, default_value = "text", value_enum)]
    format: Format,
}

#[derive(Debug, clap::Args)]
struct RetryArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    source: SourceArgs,
}

/// Which deliveries are tried again: one of these.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The delivery's id, or its first eight characters or more; ends a pause of its integration
    id: Option<String>,
    /// All deliveries that wait or are dead; ends the pauses of their integrations
    #[arg(long)]
    all: bool,
    /// All of this receiver that wait or are dead; ends the pauses of its integrations
    #[arg(long)]
    receiver: Option<String>,
}

fn parse_state(word: &str) -> Result<DeliveryState, String> {
    let known = DeliveryState::ALL.map(DeliveryState::as_str).join(", ");
    DeliveryState::ALL
        .into_iter()
        .find(|state| state.as_str() == word)
        .ok_or_else(|| format!("expected one of {known}"))
}

pub(super) fn run(args: Args) -> anyhow::Result<Exit> {
    runtime()?.block_on(async {
        match args.command {
            Command::List(args) => list(args).await,
            Command::Show(args) => show(args).await,
            Command::Retry(args) => retry(args).await,
        }
    })
}

async fn list(args: List) -> anyhow::Result<Exit> {
    let Some(source) = args.source.open().await? else { return Ok(Exit::Usage) };
    let filter = DeliveryFilter {
        state: args.state,
        receiver: args.receiver,
        before: None,
        limit: args.limit,
    };
    let deliveries = source.deliveries(filter).await?;
    match args.format {
        Format::Json => output::json(&deliveries)?,
        Format::Text => output::table(
            &["ID", "STATE", "TRIES", "QUEUED", "INTEGRATION", "TARGET", "ALERT", "PROBLEM"],
            &deliveries.iter().map(row).collect::<Vec<_>>(),
        ),
    }
    Ok(Exit::Ok)
}

fn row(delivery: &Delivery) -> Vec<String> {
    let message = delivery.message.as_ref();
    vec![
        delivery.id.clone(),
        delivery.state.as_str().to_owned(),
        delivery.attempts.to_string(),
        format!("{:.0}", delivery.created_at),
        delivery.integration.clone(),
        if delivery.target.is_empty() { "-".to_owned() } else { delivery.target.clone() },
        format!(
            "{} {}",
            delivery.alertname.as_deref().unwrap_or("-"),
            message.map_or("", |message| message.status.as_str())
        ),
        problem(delivery),
    ]
}

/// Why the last attempt failed, and until when its integration is paused.
fn problem(delivery: &Delivery) -> String {
    let failed = match (delivery.reason.as_str(), delivery.detail.as_str()) {
        (reason, "") => reason.to_owned(),
        (reason, detail) => format!("{reason}: {detail}"),
    };
    match delivery.paused_until.filter(|_| delivery.state == DeliveryState::Pending) {
        Some(until) if failed.is_empty() => format!("paused until {until:.0}"),
        Some(until) => format!("paused until {until:.0}; {failed}"),
        None => failed,
    }
}

async fn show(args: Show) -> anyhow::Result<Exit> {
    let Some(source) = args.source.open().await? else { return Ok(Exit::Usage) };
    let Some((delivery, attempts)) = source.delivery(&args.id).await? else {
        bail!("no delivery has the id {}", args.id);
    };
    if args.format == Format::Json {
        output::json(&json!({"delivery": delivery, "attempts": attempts}))?;
        return Ok(Exit::Ok);
    }
    let heading = ["ID", "STATE", "TRIES", "QUEUED", "INTEGRATION", "TARGET", "ALERT", "PROBLEM"];
    for (name, value) in heading.iter().zip(row(&delivery)) {
        output::line(&format!("{:12} {value}", name.to_lowercase()));
    }
    let now = Clock::system().now();
    if let Some(at) = delivery.next_try(now).filter(|_| delivery.state == DeliveryState::Pending) {
        output::line(&format!("{:12} {at:.0}", "next try"));
    }
    if let Some(until) = delivery.paused_until.filter(|until| *until > now) {
        let reason = delivery.paused_reason.as_deref().unwrap_or_default();
        output::line(&format!("{:12} until {until:.0}: {reason}", "paused"));
    }
    if let Some(of) = &delivery.fallback_of {
        output::line(&format!("{:12} {of}", "fallback of"));
    }
    if let Some(message) = &delivery.message {
        output::line(&format!("{:12} {}", "why", message.reason.as_str()));
        for alert in &message.alerts {
            for (name, value) in &alert.annotations {
                output::line(&format!("{name:12} {value}"));
            }
        }
    }
    output::line("");
    let rows: Vec<Vec<String>> = attempts
        .iter()
        .map(|attempt| {
            vec![
                attempt.number.to_string(),
                format!("{:.3}", attempt.finished_at),
                attempt.outcome.clone(),
                attempt.reason.clone(),
                attempt.detail.clone(),
            ]
        })
        .collect();
    output::table(&["TRY", "ENDED", "OUTCOME", "REASON", "DETAIL"], &rows);
    Ok(Exit::Ok)
}

async fn retry(args: RetryArgs) -> anyhow::Result<Exit> {
    let Some(source) = args.source.open().await? else { return Ok(Exit::Usage) };
    let selection = match (args.which.id, args.which.receiver) {
        (Some(id), _) => Retry::One(dead_or_waiting(&source, &id).await?),
        (None, Some(receiver)) => Retry::Receiver(receiver),
        (None, None) => Retry::All,
    };
    let retried = source.retry(selection).await?;
    source.close().await?;
    for line in described(&retried) {
        output::line(&line);
    }
    Ok(Exit::Ok)
}

/// What is tried again, and what happens instead where nothing is.
fn described(retried: &Retried) -> Vec<String> {
    let many = output::count(retried.count, "delivery", "deliveries");
    let mut lines = vec![format!("{many} will be tried again")];
    let by = retried.instead.as_ref().map_or_else(String::new, |id| format!(": {id}"));
    let mut left = |count: usize, why: &str| {
        if count > 0 {
            let many = output::count(count, "target", "targets");
            lines.push(format!("{many} left alone, {why}{by}"));
        }
    };
    left(retried.open, "since a delivery is open that will say what is owed");
    left(retried.notified, "since a later delivery was taken");
    left(retried.newer, "since a later delivery is dead, too, which can be tried again");
    lines
}

/// The whole id of a delivery that can be tried again.
async fn dead_or_waiting(source: &Source, id: &str) -> anyhow::Result<String> {
    let Some((delivery, _)) = source.delivery(id).await? else {
        bail!("no delivery has the id {id}");
    };
    if !matches!(delivery.state, DeliveryState::Dead | DeliveryState::Pending) {
        let state = delivery.state.as_str();
        bail!("the delivery {} is {state}, neither dead nor pending", delivery.id);
    }
    Ok(delivery.id)
}
