//! `tollbell alerts`

mod text;

use clap::Subcommand;

use super::source::SourceArgs;
use super::{Exit, Format, output, runtime};
use crate::api::alerts::AlertList;
use crate::clock::Clock;

pub(super) use text::{fields, from_now, labels_text, lasted, name, short, span};

/// Arguments of `alerts`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show one alert: its texts, who was notified of it, and its history
    Show(Show),
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    source: SourceArgs,
    /// Also ended ones that are still stored
    #[arg(long)]
    all: bool,
    /// How many at most
    #[arg(long, default_value_t = 200)]
    limit: usize,
    /// How they are printed
    #[arg(long, default_value = "text", value_enum)]
    format: Format,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// The alert's fingerprint, or its first eight characters or more
    fingerprint: String,
    #[command(flatten)]
    source: SourceArgs,
    /// How many lines of its history at most
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// How it is printed
    #[arg(long, default_value = "text", value_enum)]
    format: Format,
}

pub(super) fn run(args: Args) -> anyhow::Result<Exit> {
    runtime()?.block_on(async {
        match args.command {
            None => list(args.list).await,
            Some(Command::Show(args)) => show(args).await,
        }
    })
}

async fn list(args: List) -> anyhow::Result<Exit> {
    let Some(source) = args.source.open().await? else { return Ok(Exit::Usage) };
    let AlertList { firing, items } = source.alerts(args.all, args.limit).await?;
    match args.format {
        Format::Json => output::json(&items)?,
        Format::Text => {
            output::line(&text::list_text(&items, firing, Clock::system().now()));
            if items.len() >= args.limit {
                output::line(&format!("(the first {}; --limit shows more)", args.limit));
            }
        }
    }
    Ok(Exit::Ok)
}

async fn show(args: Show) -> anyhow::Result<Exit> {
    let Some(source) = args.source.open().await? else { return Ok(Exit::Usage) };
    let story = source.alert(&args.fingerprint, args.limit).await?;
    match args.format {
        Format::Json => output::json(&story)?,
        Format::Text => output::line(&text::story_text(&story, Clock::system().now())),
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn the_list_is_what_comes_without_a_word() {
        let parse = |line: &[&str]| Line::try_parse_from([&["alerts"], line].concat());
        let args = parse(&["--all", "--format", "json"]).expect("list").args;
        assert!(args.command.is_none() && args.list.all && args.list.format == Format::Json);
        let args = parse(&["show", "a1b2c3d4", "--limit", "5"]).expect("show").args;
        assert!(matches!(args.command, Some(Command::Show(show)) if show.limit == 5));
        for line in [&["show"][..], &["--all", "show", "a1b2c3d4"], &["a1b2c3d4"]] {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }
}
