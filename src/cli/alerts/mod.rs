//! `tollbell alerts`

mod text;

use std::collections::BTreeMap;

use anyhow::bail;
use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;

use super::deliveries::attach;
use super::{ConfigArg, Exit, Format, output, runtime};
use crate::alerts::{Alert, Fingerprint, Member, Silence, Suppression};
use crate::clock::Clock;
use crate::rules::Labels;
use crate::store::{AlertFilter, GroupRecord, JournalEntry, Space, Store};

pub(super) use text::{fields, from_now, labels_text, lasted, name, short, span};

/// Alerts and groups that are looked at, at most.
const LOOK_MAX: usize = 10_000;
/// Characters of a fingerprint or an id from which its beginning stands for the whole.
pub(super) const BEGINNING: usize = 8;

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
    config: ConfigArg,
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
    config: ConfigArg,
    /// How many lines of its history at most
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// How it is printed
    #[arg(long, default_value = "text", value_enum)]
    format: Format,
}

/// An alert with what keeps it quiet.
#[derive(Debug, Serialize)]
struct Seen<'a> {
    #[serde(flatten)]
    alert: &'a Alert,
    /// Ids of the silences that hold now.
    silenced_by: Vec<&'a str>,
    /// Why it was last kept quiet otherwise, when that goes for all of its groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    suppressed: Option<&'a Suppression>,
}

/// All that is known of one alert.
#[derive(Debug, Serialize)]
struct Story<'a> {
    #[serde(flatten)]
    seen: Seen<'a>,
    groups: Vec<InGroup<'a>>,
    journal: Vec<JournalEntry>,
}

/// An alert within one of its groups.
#[derive(Debug, Serialize)]
struct InGroup<'a> {
    /// The group's key.
    key: &'a str,
    /// Identity of its route.
    route: &'a str,
    /// Labels that make the group.
    labels: &'a Labels,
    /// What keeps the alert quiet there.
    #[serde(skip_serializing_if = "Option::is_none")]
    suppressed: Option<&'a Suppression>,
    /// Who was notified of it.
    notified: Vec<Notified<'a>>,
}

/// What one target was told of an alert.
#[derive(Debug, Serialize)]
struct Notified<'a> {
    integration: &'a str,
    target: &'a str,
    /// When it was last notified of the group.
    at: Timestamp,
    /// Whether it knows the alert as firing; else it was told its end.
    firing: bool,
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
    let Some(store) = attach(&args.config).await? else { return Ok(Exit::Usage) };
    let filter = AlertFilter { firing_only: !args.all, fingerprint: None, limit: args.limit };
    let alerts = store.alerts(filter).await?;
    let silences = store.silences().await?.silences;
    let members = members(&store).await?;
    let now = Clock::system().now();
    let suppressed = |alert: &Alert| members.get(&alert.fingerprint).map_or(&[][..], Vec::as_slice);
    let seen: Vec<Seen<'_>> =
        alerts.iter().map(|alert| Seen::of(alert, &silences, suppressed(alert), now)).collect();
    match args.format {
        Format::Json => output::json(&seen)?,
        Format::Text => {
            let fire = store.stats().await?.firing();
            output::line(&text::list_text(&seen, fire, now));
            if alerts.len() >= args.limit {
                output::line(&format!("(the first {}; --limit shows more)", args.limit));
            }
        }
    }
    Ok(Exit::Ok)
}

async fn show(args: Show) -> anyhow::Result<Exit> {
    let Some(store) = attach(&args.config).await? else { return Ok(Exit::Usage) };
    let alert = find(&store, &args.fingerprint).await?;
    let silences = store.silences().await?.silences;
    let records = store.groups_of(&alert.fingerprint).await?;
    let members = records.iter().filter_map(|record| record.group.members.get(&alert.fingerprint));
    let members: Vec<Option<Suppression>> =
        members.map(|member| member.suppressed.clone()).collect();
    let journal = store.journal(alert.fingerprint.to_string(), args.limit).await?;
    let now = Clock::system().now();
    let seen = Seen::of(&alert, &silences, &members, now);
    let groups = records.iter().map(|record| InGroup::of(record, &alert.fingerprint)).collect();
    let story = Story { seen, groups, journal };
    match args.format {
        Format::Json => output::json(&story)?,
        Format::Text => output::line(&text::story_text(&story, &silences, now)),
    }
    Ok(Exit::Ok)
}

/// The alerts that fire.
pub(super) async fn firing(store: &Store) -> anyhow::Result<Vec<Alert>> {
    let filter = AlertFilter { firing_only: true, fingerprint: None, limit: LOOK_MAX };
    Ok(store.alerts(filter).await?)
}

async fn find(store: &Store, fingerprint: &str) -> anyhow::Result<Alert> {
    let filter =
        AlertFilter { firing_only: false, fingerprint: Some(fingerprint.to_owned()), limit: 1 };
    if let Some(alert) = store.alerts(filter).await?.pop() {
        return Ok(alert);
    }
    if fingerprint.len() >= BEGINNING {
        let all = AlertFilter { firing_only: false, fingerprint: None, limit: LOOK_MAX };
        let mut found = store.alerts(all).await?;
        found.retain(|alert| alert.fingerprint.as_str().starts_with(fingerprint));
        match found.pop() {
            Some(alert) if found.is_empty() => return Ok(alert),
            Some(_) => bail!("several alerts' fingerprints begin with {fingerprint}"),
            None => {}
        }
    }
    bail!("no alert has the fingerprint {fingerprint}");
}

/// What keeps each alert quiet in its groups.
async fn members(store: &Store) -> anyhow::Result<BTreeMap<Fingerprint, Vec<Option<Suppression>>>> {
    let mut members: BTreeMap<Fingerprint, Vec<Option<Suppression>>> = BTreeMap::new();
    for row in store.rows(Space::Member, LOOK_MAX).await? {
        let Some((_, fingerprint)) = row.key.rsplit_once('\n') else { continue };
        let value = row.value.unwrap_or_default();
        if let Ok(member) = serde_json::from_slice::<Member>(&value) {
            let of = members.entry(Fingerprint::from(fingerprint.to_owned())).or_default();
            of.push(member.suppressed);
        }
    }
    Ok(members)
}

impl<'a> InGroup<'a> {
    fn of(record: &'a GroupRecord, alert: &Fingerprint) -> Self {
        let GroupRecord { group, log } = record;
        let notified = log.iter().filter_map(|(id, entry)| {
            let firing = entry.firing.contains_key(alert);
            (firing || entry.resolved.contains_key(alert)).then_some(())?;
            let (integration, target) = (id.integration.as_str(), id.target.as_str());
            Some(Notified { integration, target, at: entry.notified_at?, firing })
        });
        Self {
            key: &group.key,
            route: &group.route,
            labels: &group.labels,
            suppressed: group.members.get(alert).and_then(|member| member.suppressed.as_ref()),
            notified: notified.collect(),
        }
    }
}

impl<'a> Seen<'a> {
    /// `members` has what keeps the alert quiet in each of its groups.
    fn of(
        alert: &'a Alert,
        silences: &'a [Silence],
        members: &'a [Option<Suppression>],
        now: Timestamp,
    ) -> Self {
        let silenced_by = silences
            .iter()
            .filter(|silence| alert.is_firing() && silence.silences(&alert.labels, now))
            .map(|silence| silence.id.as_str())
            .collect();
        let first = members.first().and_then(Option::as_ref);
        let everywhere = members.iter().all(Option::is_some);
        // Which silences hold is known better than from the last look.
        let suppressed = first.filter(|why| {
            everywhere && alert.is_firing() && !matches!(why, Suppression::Silenced(_))
        });
        Self { alert, silenced_by, suppressed }
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
