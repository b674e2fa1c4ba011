//! `tollbell receivers`: who is paused; to pause a receiver, and to resume it.

use std::time::Duration;

use clap::Subcommand;
use jiff::Timestamp;

use super::source::{Refused, Source, SourceArgs};
use super::{Exit, Format, output, runtime, silence};
use crate::clock::{self, Clock};
use crate::store::ReceiverPause;

/// Arguments of `receivers`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send a receiver nothing for a time; what it is owed waits, and is sent when the pause ends
    Pause(Pause),
    /// End the pause of a receiver; what waited is sent
    Resume(Resume),
    /// List the receivers that are paused
    Paused(Paused),
}

#[derive(Debug, clap::Args)]
struct Pause {
    /// The receiver, by its name in the configuration
    receiver: String,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    until: Until,
    /// Why; one line
    #[arg(long)]
    comment: String,
}

/// When it ends: one of these.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Until {
    /// How long it lasts (30m, 2h, 1d); seven days at most
    #[arg(long, value_parser = silence::parse_duration)]
    duration: Option<Duration>,
    /// When it ends (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
}

#[derive(Debug, clap::Args)]
struct Resume {
    /// The receiver
    receiver: String,
    #[command(flatten)]
    source: SourceArgs,
}

#[derive(Debug, clap::Args)]
struct Paused {
    #[command(flatten)]
    source: SourceArgs,
    /// How they are printed
    #[arg(long, default_value = "text", value_enum)]
    format: Format,
}

pub(super) fn run(args: Args) -> anyhow::Result<Exit> {
    runtime()?.block_on(async {
        match args.command {
            Command::Pause(args) => pause(args).await,
            Command::Resume(args) => resume(args).await,
            Command::Paused(args) => paused(args).await,
        }
    })
}

async fn pause(args: Pause) -> anyhow::Result<Exit> {
    let Some(source) = args.source.open().await? else { return Ok(Exit::Usage) };
    let ends = args.until.duration.map(|duration| clock::add(Clock::system().now(), duration));
    let until = ends.or(args.until.until).unwrap_or_default();
    if !is_known(&source, &args.source, &args.receiver) {
        return Ok(Exit::Usage);
    }
    let made = source.pause(&args.receiver, until, &args.comment).await;
    source.close().await?;
    match made {
        Ok(pause) => {
            let ReceiverPause { receiver, until, .. } = pause;
            output::line(&format!("receiver {receiver} is paused until {until:.0}"));
            Ok(Exit::Ok)
        }
        Err(Refused::Unfit(wrong)) => {
            output::error(&wrong);
            Ok(Exit::Usage)
        }
        Err(Refused::Failed(error)) => Err(error),
    }
}

async fn resume(args: Resume) -> anyhow::Result<Exit> {
    let Some(source) = args.source.open().await? else { return Ok(Exit::Usage) };
    let resumed = source.resume(&args.receiver).await;
    let receiver = &args.receiver;
    let exit = match resumed {
        Ok(true) => {
            output::line(&format!("receiver {receiver} is paused no more"));
            Exit::Ok
        }
        // One that was removed from the configuration may still be paused.
        Ok(false) if !is_known(&source, &args.source, receiver) => Exit::Usage,
        Ok(false) => {
            output::line(&format!("receiver {receiver} was not paused"));
            Exit::Ok
        }
        Err(Refused::Unfit(wrong)) => {
            output::error(&wrong);
            Exit::Usage
        }
        Err(Refused::Failed(error)) => return Err(error),
    };
    source.close().await?;
    Ok(exit)
}

/// Whether a receiver is configured, where the configuration is at hand; a service knows its own. Says so when it is not.
fn is_known(source: &Source, args: &SourceArgs, name: &str) -> bool {
    if let Source::Remote(_) = source {
        return true;
    }
    let Some(config) = args.config().without_secrets() else { return false };
    let known: Vec<&str> = config.receivers.iter().map(|it| it.name.as_str()).collect();
    let is_known = known.contains(&name);
    if !is_known {
        output::error(&format!("no receiver has the name {name}: there is {}", known.join(", ")));
    }
    is_known
}

async fn paused(args: Paused) -> anyhow::Result<Exit> {
    let Some(source) = args.source.open().await? else { return Ok(Exit::Usage) };
    let pauses = source.receiver_pauses().await?;
    source.close().await?;
    match args.format {
        Format::Json => output::json(&pauses)?,
        Format::Text if pauses.is_empty() => output::line("no receiver is paused"),
        Format::Text => {
            let row = |pause: &ReceiverPause| {
                let [since, until] = [pause.since, pause.until].map(|at| format!("{at:.0}"));
                let words = [&pause.receiver, &since, &until, &pause.who, &pause.comment];
                words.map(Clone::clone).to_vec()
            };
            let headings = ["RECEIVER", "SINCE", "UNTIL", "BY", "COMMENT"];
            output::table(&headings, &pauses.iter().map(row).collect::<Vec<_>>());
        }
    }
    Ok(Exit::Ok)
}
