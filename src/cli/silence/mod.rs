//! `tollbell silence`

mod text;

use std::cmp::Reverse;
use std::time::Duration;

use anyhow::bail;
use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;

use super::source::{Refused, SourceArgs};
use super::{Exit, Format, output, runtime};
use crate::alerts::{Alert, Matcher, Silence, SilenceDraft, SilenceState};
use crate::api::alerts::BEGINNING;
use crate::clock::{self, Clock};
use crate::config::units;
use text::{list_text, matchers_text, silence_text, standing};

/// Arguments of `silence`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a silence: alerts that match are not notified while it is active
    Add(Add),
    /// List active and pending silences
    List(List),
    /// Show one silence, and the alerts that it suppresses now
    Show(Show),
    /// Change when a silence ends, or its comment
    Update(Update),
    /// End silences now
    Expire(Expire),
}

#[derive(Debug, clap::Args)]
struct Add {
    /// Conditions on labels, all of which must hold: alertname=LowBalance, 'team=~"billing|finance"'
    #[arg(required = true, value_name = "MATCHER", value_parser = parse_matcher)]
    matchers: Vec<Matcher>,
    #[command(flatten)]
    until: Until,
    /// From when, as 2026-11-23T22:00:00Z; otherwise from now
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    start: Option<Timestamp>,
    /// Why
    #[arg(long, value_name = "TEXT", value_parser = parse_text)]
    comment: String,
    /// Who makes it
    #[arg(long, env = "USER", value_name = "NAME", value_parser = parse_text)]
    author: String,
    #[command(flatten)]
    source: SourceArgs,
    /// How it is printed
    #[arg(long, default_value = "text", value_enum)]
    format: Format,
}

/// When a silence ends: one of these.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Until {
    /// How long, as 30m, 2h or 1d
    #[arg(long, value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Until when, as 2026-11-24T06:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    end: Option<Timestamp>,
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    source: SourceArgs,
    /// Also expired ones that are still stored
    #[arg(long)]
    expired: bool,
    /// How they are printed
    #[arg(long, default_value = "text", value_enum)]
    format: Format,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// The silence's id, or its first eight characters or more
    id: String,
    #[command(flatten)]
    source: SourceArgs,
    /// How it is printed
    #[arg(long, default_value = "text", value_enum)]
    format: Format,
}

#[derive(Debug, clap::Args)]
struct Update {
    /// The silence's id, or its first eight characters or more
    id: String,
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    source: SourceArgs,
    /// How it is printed
    #[arg(long, default_value = "text", value_enum)]
    format: Format,
}

/// What changes: at least one of these.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct Change {
    /// How long it lasts from now, or from its start when that is to come, as 30m, 2h or 1d
    #[arg(long, value_parser = parse_duration, conflicts_with = "end")]
    duration: Option<Duration>,
    /// Until when, as 2026-11-24T06:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    end: Option<Timestamp>,
    /// Why
    #[arg(long, value_name = "TEXT", value_parser = parse_text)]
    comment: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Expire {
    /// The silences' ids, or their first eight characters or more
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    source: SourceArgs,
}

/// A silence with where it stands.
#[derive(Debug, Serialize)]
struct Seen<'a> {
    #[serde(flatten)]
    silence: &'a Silence,
    state: SilenceState,
    /// Fingerprints of the alerts that fire now and that its matchers hold for.
    #[serde(skip_serializing_if = "Option::is_none")]
    firing: Option<Vec<&'a str>>,
}

fn parse_matcher(text: &str) -> Result<Matcher, String> {
    Matcher::parse(text).map_err(|error| format!("character {}: {error}", error.column))
}

/// Whoever finds a silence wants to know who made it, and why.
fn parse_text(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("expected a text".to_owned()),
        text => Ok(text.to_owned()),
    }
}

pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    units::duration(text)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "expected a duration such as 30m, 2h, 1d or 1h30m".to_owned())
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    // The parser's own words are about its grammar.
    text.parse().map_err(|_ignored: jiff::Error| {
        "expected a date, a time and Z or an offset, such as 2026-11-23T22:00:00Z or \
         2026-11-23T17:00:00-05:00"
            .to_owned()
    })
}

pub(super) fn run(args: Args) -> anyhow::Result<Exit> {
    runtime()?.block_on(async {
        match args.command {
            Command::Add(args) => add(args).await,
            Command::List(args) => list(args).await,
            Command::Show(args) => show(args).await,
            Command::Update(args) => update(args).await,
            Command::Expire(args) => expire(args).await,
        }
    })
}

async fn add(args: Add) -> anyhow::Result<Exit> {
    let Some(source) = args.source.open().await? else { return Ok(Exit::Usage) };
    let now = Clock::system().now();
    let starts_at = args.start.unwrap_or(now);
    let draft = SilenceDraft {
        matchers: args.matchers,
        starts_at,
        ends_at: ends_at(args.until.duration, args.until.end, starts_at, now).unwrap_or(starts_at),
        created_by: args.author,
        comment: args.comment,
    };
    let id = match source.create_silence(draft).await {
        Ok(id) => id,
        Err(why) => return refused(why),
    };
    let silences = source.silences().await?;
    let silence = find(&silences, &id)?;
    // As of now that it is made: it began meanwhile.
    print(silence, &source.firing().await?, Clock::system().now(), args.format)?;
    source.close().await?;
    Ok(Exit::Ok)
}

/// When a silence ends by what was asked for. A duration counts from its start, or from now when that is past.
fn ends_at(
    duration: Option<Duration>,
    end: Option<Timestamp>,
    starts_at: Timestamp,
    now: Timestamp,
) -> Option<Timestamp> {
    end.or_else(|| duration.map(|duration| clock::add(starts_at.max(now), duration)))
}

fn refused(why: Refused) -> anyhow::Result<Exit> {
    match why {
        Refused::Unfit(why) => {
            output::error(&format!("the silence is refused: {why}"));
            Ok(Exit::Usage)
        }
        Refused::Failed(error) => Err(error),
    }
}

async fn list(args: List) -> anyhow::Result<Exit> {
    let Some(source) = args.source.open().await? else { return Ok(Exit::Usage) };
    let mut silences = source.silences().await?;
    let now = Clock::system().now();
    silences.retain(|silence| args.expired || silence.state(now) != SilenceState::Expired);
    silences.sort_by_key(|silence| order(silence, now));
    match args.format {
        Format::Json => {
            let seen: Vec<Seen<'_>> = silences
                .iter()
                .map(|silence| Seen { silence, state: silence.state(now), firing: None })
                .collect();
            output::json(&seen)?;
        }
        Format::Text if silences.is_empty() && args.expired => output::line("no silence is kept"),
        Format::Text if silences.is_empty() => output::line("no silence holds or is to come"),
        Format::Text => output::line(&list_text(&silences, now)),
    }
    Ok(Exit::Ok)
}

/// What holds first, the next to end before the others; then what is to come; then what is over, the latest first.
fn order(silence: &Silence, now: Timestamp) -> (u8, Timestamp, Reverse<Timestamp>) {
    let (rank, at) = match silence.state(now) {
        SilenceState::Active => (0, silence.ends_at),
        SilenceState::Pending => (1, silence.starts_at),
        SilenceState::Expired => return (2, Timestamp::MIN, Reverse(silence.ends_at)),
    };
    (rank, at, Reverse(Timestamp::MIN))
}

async fn show(args: Show) -> anyhow::Result<Exit> {
    let Some(source) = args.source.open().await? else { return Ok(Exit::Usage) };
    let silences = source.silences().await?;
    let silence = find(&silences, &args.id)?;
    print(silence, &source.firing().await?, Clock::system().now(), args.format)?;
    Ok(Exit::Ok)
}

async fn update(args: Update) -> anyhow::Result<Exit> {
    let Some(source) = args.source.open().await? else { return Ok(Exit::Usage) };
    let silences = source.silences().await?;
    let before = find(&silences, &args.id)?;
    let now = Clock::system().now();
    let draft = before.draft();
    let draft = SilenceDraft {
        ends_at: ends_at(args.change.duration, args.change.end, before.starts_at, now)
            .unwrap_or(before.ends_at),
        comment: args.change.comment.unwrap_or_else(|| before.comment.clone()),
        ..draft
    };
    let id = match source.update_silence(&before.id, draft).await {
        Ok(id) => id,
        Err(why) => return refused(why),
    };
    if id != before.id && args.format == Format::Text {
        output::line(&format!("{} is over: a new silence stands in for it", before.id));
    }
    let silences = source.silences().await?;
    print(find(&silences, &id)?, &source.firing().await?, now, args.format)?;
    source.close().await?;
    Ok(Exit::Ok)
}

async fn expire(args: Expire) -> anyhow::Result<Exit> {
    let Some(source) = args.source.open().await? else { return Ok(Exit::Usage) };
    let silences = source.silences().await?;
    // All of them are known, or none is ended.
    let chosen: Vec<&Silence> =
        args.ids.iter().map(|id| find(&silences, id)).collect::<Result<_, _>>()?;
    let now = Clock::system().now();
    for silence in chosen {
        let line = match silence.expire(now) {
            Some(_ended) => {
                source.expire_silence(&silence.id).await?;
                format!("silence {} is ended: {}", silence.id, matchers_text(silence))
            }
            None => format!("silence {} {} already", silence.id, standing(silence, now)),
        };
        output::line(&output::clean(&line));
    }
    source.close().await?;
    Ok(Exit::Ok)
}

fn find<'a>(silences: &'a [Silence], id: &str) -> anyhow::Result<&'a Silence> {
    if let Some(silence) = silences.iter().find(|silence| silence.id == id) {
        return Ok(silence);
    }
    let mut begin = silences.iter().filter(|silence| silence.id.starts_with(id));
    match (begin.next(), begin.next()) {
        (Some(silence), None) if id.len() >= BEGINNING => Ok(silence),
        (Some(_), Some(_)) if id.len() >= BEGINNING => {
            bail!("several silences' ids begin with {id}: write more of it")
        }
        (None | Some(_), _) => bail!("no silence has the id {id}"),
    }
}

fn print(
    silence: &Silence,
    firing: &[Alert],
    now: Timestamp,
    format: Format,
) -> anyhow::Result<()> {
    let matched: Vec<&Alert> =
        firing.iter().filter(|alert| silence.covers(&alert.labels)).collect();
    match format {
        Format::Json => {
            let firing = Some(matched.iter().map(|alert| alert.fingerprint.as_str()).collect());
            output::json(&Seen { silence, state: silence.state(now), firing })
        }
        Format::Text => {
            output::line(&silence_text(silence, &matched, now));
            Ok(())
        }
    }
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

    fn parse(line: &[&str]) -> Result<Command, String> {
        Line::try_parse_from([&["silence"], line].concat())
            .map(|line| line.args.command)
            .map_err(|error| error.to_string())
    }

    fn at(text: &str) -> Timestamp {
        format!("2026-11-23T{text}Z").parse().expect(text)
    }

    fn silence(id: &str, starts: &str, ends: &str) -> Silence {
        let draft = SilenceDraft {
            matchers: vec![Matcher::parse("a=b").expect("matcher")],
            starts_at: at(starts),
            ends_at: at(ends),
            created_by: "ada".to_owned(),
            comment: "why".to_owned(),
        };
        Silence { id: id.to_owned(), ..Silence::new(draft, at("00:00:00")).expect("silence") }
    }

    #[test]
    fn a_silence_is_asked_for_in_one_line() {
        let line = [
            "add",
            "alertname=LowBalance",
            "team=~billing|finance",
            "--duration",
            "1h30m",
            "--start",
            "2026-11-23T17:00:00-05:00",
            "--comment",
            "paying",
            "--author",
            "ada",
        ];
        let Ok(Command::Add(add)) = parse(&line) else { panic!("{:?}", parse(&line)) };
        assert_eq!(add.matchers.len(), 2);
        assert_eq!(add.until.duration, Some(Duration::from_mins(90)));
        assert_eq!((add.start, add.until.end), (Some(at("22:00:00")), None));
        assert_eq!((add.comment.as_str(), add.author.as_str()), ("paying", "ada"));
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        let add = |rest: &[&'static str]| {
            [&["add", "a=b", "--comment", "x", "--author", "y"], rest].concat()
        };
        for (line, words) in [
            (add(&[]), "--duration"),
            (add(&["--duration", "2h", "--end", "2026-11-24T00:00:00Z"]), "cannot be used with"),
            (add(&["--duration", "2"]), "a duration such as 30m"),
            (add(&["--duration", "0s"]), "a duration such as 30m"),
            (add(&["--end", "tomorrow"]), "2026-11-23T22:00:00Z"),
            (add(&["--end", "2026-11-23T22:00:00"]), "Z or an offset"),
            (add(&["severity", "--duration", "2h"]), "character 9: expected one of = != =~ !~"),
            (vec!["add", "--duration", "2h", "--comment", "x", "--author", "y"], "<MATCHER>"),
            (vec!["add", "a=b", "--duration", "2h", "--author", "y"], "--comment"),
            (vec!["update", "3f2a9c1e"], "--comment"),
            (
                vec!["update", "3f2a9c1e", "--duration", "2h", "--end", "2026-11-24T00:00:00Z"],
                "cannot",
            ),
            (vec!["update", "3f2a9c1e", "--comment", " "], "expected a text"),
            (vec!["expire"], "<ID>"),
            (vec![], "add"),
        ] {
            let error = parse(&line).expect_err("refused");
            assert!(error.contains(words), "{line:?}: {error}");
        }
        for line in [
            vec!["update", "3f2a9c1e", "--duration", "2h", "--comment", "x"],
            vec!["list", "--expired", "--format", "json"],
            vec!["show", "3f2a9c1e"],
            vec!["expire", "3f2a9c1e", "4f2a9c1e"],
        ] {
            assert!(parse(&line).is_ok(), "{line:?}");
        }
    }

    #[test]
    fn a_duration_counts_from_the_start_or_from_now() {
        let hour = Some(Duration::from_hours(1));
        let now = at("03:00:00");
        for (duration, end, starts, want) in [
            (hour, None, "03:00:00", Some("04:00:00")),
            (hour, None, "02:00:00", Some("04:00:00")),
            (hour, None, "22:00:00", Some("23:00:00")),
            (None, Some("05:00:00"), "02:00:00", Some("05:00:00")),
            (None, None, "02:00:00", None),
        ] {
            assert_eq!(ends_at(duration, end.map(at), at(starts), now), want.map(at), "{starts}");
        }
    }

    #[test]
    fn an_id_may_be_shortened_while_it_stands_for_one() {
        let all = ["3f2a9c1e-0d6b", "3f2a9c1e-1111", "5b3a9c1e-0d6b", "5b3a"]
            .map(|id| silence(id, "02:00:00", "05:00:00"));
        for (id, want) in [
            ("5b3a9c1e", Ok("5b3a9c1e-0d6b")),
            ("3f2a9c1e-0", Ok("3f2a9c1e-0d6b")),
            ("5b3a", Ok("5b3a")),
            ("3f2a9c1e", Err("several")),
            ("5b3a9c1", Err("no silence")),
            ("", Err("no silence")),
            ("3f2a9c1e-2", Err("no silence")),
        ] {
            match (find(&all, id), want) {
                (Ok(found), Ok(want)) => assert_eq!(found.id, want),
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
                (found, want) => panic!("{id}: {found:?}, not {want:?}"),
            }
        }
    }

    #[test]
    fn what_holds_comes_first_and_the_next_to_end_before_the_others() {
        let mut all = [
            silence("old", "00:30:00", "01:00:00"),
            silence("later", "23:00:00", "23:30:00"),
            silence("long", "01:00:00", "09:00:00"),
            silence("just over", "01:00:00", "02:00:00"),
            silence("short", "02:00:00", "04:00:00"),
            silence("soon", "05:00:00", "23:59:00"),
        ];
        all.sort_by_key(|silence| order(silence, at("03:00:00")));
        let ids = all.each_ref().map(|silence| silence.id.as_str());
        assert_eq!(ids, ["short", "long", "soon", "later", "just over", "old"]);
    }
}
