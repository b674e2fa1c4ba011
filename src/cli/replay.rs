//! `tollbell replay`

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use serde::Serialize;

use super::alerts::labels_text;
use super::{ConfigArg, Exit, Format, output, runtime};
use crate::clock::Clock;
use crate::config::{self, Candidate, units};
use crate::event::Source;
use crate::policy::policy;
use crate::rules::Labels;
use crate::simulation::{Happened, SimulatedNotification, Tally, World};
use crate::store::{self, Place, Store, StoredEvent};

/// Events read at a time.
const PAGE_EVENTS: usize = 1_000;
/// Progress is reported after so many events.
const PROGRESS_EVENTS: u64 = 100_000;
/// Alerts of one notification that the table shows.
const ALERTS_SHOWN: usize = 3;
/// Events that the engine raises while it judges: the replay raises its own.
const RAISED: &str = "tollbell.series_limit";

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Rule files to try, instead of those of the configuration
    #[arg(long, value_name = "FILE", num_args = 1..)]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    config: ConfigArg,
    /// The database, instead of the configuration's: a path, or sqlite: and a path
    #[arg(long, value_name = "URL|FILE")]
    store: Option<String>,
    /// From so long ago: 2h, 7d
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    #[arg(conflicts_with_all = ["from", "to"], required_unless_present = "from")]
    since: Option<Duration>,
    /// Events received from this time on, such as 2026-01-05T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<Timestamp>,
    /// Events received before this time; until now by default
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: Option<Timestamp>,
    /// Also evaluate so much time before it, without showing it
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "0s")]
    warm_up: Duration,
    /// How it is printed
    #[arg(long, default_value = "text", value_enum)]
    format: Format,
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    units::duration(text)
        .ok_or_else(|| "expected a duration such as 30m, 2h, 1d or 1h30m".to_owned())
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_malformed| "expected a time such as 2026-11-23T22:00:00Z".to_owned())
}

/// The times between which events are judged, and from when on it is shown.
#[derive(Debug, Clone, Copy)]
struct Range {
    warm_from: Timestamp,
    from: Timestamp,
    to: Timestamp,
}

impl Args {
    fn range(&self, now: Timestamp) -> anyhow::Result<Range> {
        let before = |at: Timestamp, by: Duration| {
            at.checked_sub(by).map_err(|_beyond| anyhow::anyhow!("that is too long ago"))
        };
        let from = match (self.from, self.since) {
            (Some(from), _) => from,
            (None, since) => before(now, since.unwrap_or_default())?,
        };
        // What is to come is not known: nothing may fire for its absence.
        let to = self.to.unwrap_or(now).min(now);
        if from >= to {
            bail!("the time range is empty: from {from} to {to}");
        }
        Ok(Range { warm_from: before(from, self.warm_up)?, from, to })
    }
}

/// What a replay found; printed by `--format json`.
#[derive(Debug, Serialize)]
struct Found {
    from: Timestamp,
    to: Timestamp,
    /// Events judged within the range.
    events: u64,
    /// Events judged before it.
    warm_up_events: u64,
    /// Events of both whose payload is gone.
    without_payload: u64,
    /// Events of both that cannot be read back.
    unreadable: u64,
    notices: Vec<ReplayedNotification>,
    rules: BTreeMap<String, Counts>,
}

/// A notification that would have been queued.
#[derive(Debug, Serialize)]
struct ReplayedNotification {
    at: Timestamp,
    receiver: String,
    channels: Vec<&'static str>,
    reason: &'static str,
    status: &'static str,
    /// The labels of its alerts.
    alerts: Vec<Labels>,
    /// Further alerts that the message itself would leave out.
    truncated_alerts: usize,
}

/// What a rule did within the range.
#[derive(Debug, Default, Serialize)]
struct Counts {
    judged: u64,
    failed: u64,
    fired: u64,
    ended: u64,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    if let Some(missing) = args.rules.iter().find(|path| !path.is_file()) {
        output::error(&format!("{} is no file", missing.display()));
        return Ok(Exit::Usage);
    }
    let loaded = Candidate::new(&args.config.config, &args.rules);
    let loaded = if args.store.is_none() { loaded.with_store() } else { loaded };
    let loaded = loaded.load(&config::system_env);
    let Some(config) = loaded.config else {
        output::all_problems(&loaded.diagnostics.iter().collect::<Vec<_>>());
        return Ok(Exit::Usage);
    };
    let place = match &args.store {
        Some(url) if url.starts_with("postgres") => match store::Address::parse(url) {
            Ok(address) => Place::Postgres(Box::new(address)),
            Err(why) => {
                output::error(&format!("--store: {why}"));
                return Ok(Exit::Usage);
            }
        },
        Some(url) => Place::Sqlite(PathBuf::from(url.strip_prefix("sqlite:").unwrap_or(url))),
        None => config.store.place.clone(),
    };
    let range = args.range(Clock::system().now())?;
    let policy = policy(config);
    runtime()?.block_on(async {
        let store = Store::attach(&place).await;
        let store = store.with_context(|| format!("cannot open the store {place}"))?;
        let mut world = World::new(&policy, range.warm_from);
        let mut found = Found::new(range, policy.rules.names());
        found.judge(&store, &mut world, range).await?;
        match args.format {
            Format::Json => output::json(&found)?,
            Format::Text => output::line(&found.text()),
        }
        Ok(Exit::Ok)
    })
}

impl Found {
    fn new<'r>(range: Range, rules: impl Iterator<Item = &'r str>) -> Self {
        Self {
            from: range.from,
            to: range.to,
            events: 0,
            warm_up_events: 0,
            without_payload: 0,
            unreadable: 0,
            notices: Vec::new(),
            rules: rules.map(|rule| (rule.to_owned(), Counts::default())).collect(),
        }
    }

    /// Judges the events of the range in the order of the inbox, and lets the time run to its end.
    async fn judge(
        &mut self,
        store: &Store,
        world: &mut World<'_>,
        range: Range,
    ) -> anyhow::Result<()> {
        let Range { warm_from, from, to } = range;
        let (mut after, mut shown) = (0, false);
        loop {
            let page = store.events_between(warm_from, to, after, PAGE_EVENTS).await?;
            if page.is_empty() {
                break;
            }
            for kept in page {
                let stored = match kept {
                    Ok(stored) => stored,
                    Err(unreadable) => {
                        (after, self.unreadable) = (unreadable.seq, self.unreadable + 1);
                        continue;
                    }
                };
                after = stored.seq;
                if !shown && stored.event.received_at >= from {
                    self.begin(world, from);
                    shown = true;
                }
                self.one(world, stored, shown)?;
            }
            if shown {
                self.take(world.take());
            }
        }
        if !shown {
            self.begin(world, from);
        }
        world.advance(to);
        self.take(world.take());
        Ok(())
    }

    /// Ends the warm-up: from here on it is shown.
    fn begin(&mut self, world: &mut World<'_>, from: Timestamp) {
        world.advance(from);
        // What falls due at the very beginning of the range is a part of it.
        let mut happened = world.take();
        happened.tally.clear();
        happened.notifications.retain(|one| one.at >= from);
        self.take(happened);
    }

    fn one(
        &mut self,
        world: &mut World<'_>,
        mut stored: StoredEvent,
        shown: bool,
    ) -> anyhow::Result<()> {
        let (seq, event) = (stored.seq, &mut stored.event);
        if event.source == Source::Tollbell && event.kind == RAISED {
            return Ok(());
        }
        // The ledger of the replay says what the event changes in it.
        event.charge = None;
        self.without_payload += u64::from(event.payload.is_null());
        *(if shown { &mut self.events } else { &mut self.warm_up_events }) += 1;
        let received_at = event.received_at;
        if catch_unwind(AssertUnwindSafe(|| world.refeed(&stored))).is_err() {
            bail!("judging the event at place {seq} of the inbox panicked: please report it");
        }
        let judged = self.events + self.warm_up_events;
        if judged.is_multiple_of(PROGRESS_EVENTS) {
            output::progress(&format!("{judged} events judged, up to {received_at:.0}"));
        }
        Ok(())
    }

    fn take(&mut self, happened: Happened) {
        let Happened { notifications, tally, quiet: _ } = happened;
        self.notices.extend(notifications.into_iter().map(ReplayedNotification::of));
        for (rule, Tally { judged, failed, fired, ended }) in tally {
            // The user's own metrics are counted beside the rules.
            let Some(counts) = self.rules.get_mut(&rule) else { continue };
            counts.judged += judged;
            counts.failed += failed;
            counts.fired += fired;
            counts.ended += ended;
        }
    }

    fn text(&self) -> String {
        let mut parts = Vec::new();
        if self.notices.is_empty() {
            parts.push("nobody would have been notified".to_owned());
        } else {
            let rows: Vec<Vec<String>> =
                self.notices.iter().map(ReplayedNotification::row).collect();
            let heading = ["TIME", "RECEIVER", "BY", "REASON", "STATUS", "ALERTS"];
            parts.push(output::table_text(&heading, &rows));
        }
        let rows: Vec<Vec<String>> = self
            .rules
            .iter()
            .map(|(rule, counts)| {
                let numbers = [counts.judged, counts.failed, counts.fired, counts.ended];
                numbers.iter().map(u64::to_string).chain([rule.clone()]).collect()
            })
            .collect();
        parts.push(output::table_text(&["JUDGED", "FAILED", "FIRED", "ENDED", "RULE"], &rows));
        parts.push(self.summary());
        parts.join("\n\n")
    }

    fn summary(&self) -> String {
        let events =
            |count: u64| format!("{count} {}", if count == 1 { "event" } else { "events" });
        let mut lines = vec![format!(
            "{} from {:.0} to {:.0}, {}",
            events(self.events),
            self.from,
            self.to,
            output::count(self.notices.len(), "notification", "notifications"),
        )];
        if self.warm_up_events > 0 {
            lines.push(format!("{} before that, to warm up", events(self.warm_up_events)));
        }
        if self.without_payload > 0 {
            let many = events(self.without_payload);
            lines.push(format!(
                "{many} without payload (store.payload: none): rules that look into it could not match"
            ));
        }
        if self.unreadable > 0 {
            lines.push(format!("{} left out: they cannot be read back", events(self.unreadable)));
        }
        lines.join("\n")
    }
}

impl ReplayedNotification {
    fn of(notification: SimulatedNotification) -> Self {
        let SimulatedNotification { at, message, channels, .. } = notification;
        Self {
            at,
            reason: message.reason.as_str(),
            status: message.status.as_str(),
            alerts: message.alerts.into_iter().map(|alert| alert.labels).collect(),
            truncated_alerts: message.truncated_alerts,
            receiver: message.receiver,
            channels: channels.into_iter().collect(),
        }
    }

    fn row(&self) -> Vec<String> {
        let mut alerts: Vec<String> =
            self.alerts.iter().take(ALERTS_SHOWN).map(alert_text).collect();
        let more = self.alerts.len().saturating_sub(ALERTS_SHOWN) + self.truncated_alerts;
        alerts.extend((more > 0).then(|| format!("and {more} more")));
        vec![
            format!("{:.0}", self.at),
            self.receiver.clone(),
            self.channels.join(","),
            self.reason.to_owned(),
            self.status.to_owned(),
            alerts.join("; "),
        ]
    }
}

/// The alert's name, then its other labels.
fn alert_text(labels: &Labels) -> String {
    let name = labels.get("alertname").map_or("-", String::as_str);
    format!("{name} {}", labels_text(labels)).trim_end().to_owned()
}
