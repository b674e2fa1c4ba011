//! `tollbell tune`

mod levels;
mod watched;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Serialize;

use self::levels::{Bad, Side, Tried, bar, suggest};
use self::watched::Watched;
use super::{ConfigArg, Exit, Format, output, runtime};
use crate::clock::{self, Clock};
use crate::config::{self, Candidate, units};
use crate::policy::policy;
use crate::rules::{self, RuleSet, is_like};
use crate::store::{self, Place, Store};

/// Events read at a time.
const PAGE_EVENTS: usize = 1_000;
/// Progress is reported after so many events.
const PROGRESS_EVENTS: u64 = 100_000;
/// Width of a number in a table.
const NUMBER_CHARS: usize = 12;

/// Arguments of `tune`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Rules to look at, as group/alert, * for any text; all gauge and window rules by default
    #[arg(value_name = "RULE")]
    rules: Vec<String>,
    #[command(flatten)]
    config: ConfigArg,
    /// The database, instead of the configuration's: a path, or sqlite: and a path
    #[arg(long, value_name = "URL|FILE")]
    store: Option<String>,
    /// How far to look back
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30d")]
    since: Duration,
    /// Hours that were bad, in UTC: 2026-11-03T02:00/04:00, or two whole times
    #[arg(long, value_name = "FROM/TO", value_parser = parse_bad)]
    bad: Vec<Bad>,
    /// How it is printed
    #[arg(long, default_value = "text", value_enum)]
    format: Format,
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    units::duration(text).ok_or_else(|| "expected a duration such as 30d, 2w".to_owned())
}

/// `2026-11-03T02:00/04:00`, with or without seconds and Z; the end may have a date of its own.
fn parse_bad(text: &str) -> Result<Bad, String> {
    let expected = || "expected two times such as 2026-11-03T02:00/04:00".to_owned();
    let (from, to) = text.split_once('/').ok_or_else(expected)?;
    let (date, _) = from.split_once('T').ok_or_else(expected)?;
    let to = if to.contains('T') { to.to_owned() } else { format!("{date}T{to}") };
    let time = |text: &str| -> Option<Timestamp> {
        let text = text.trim_end_matches('Z');
        let seconds = if text.matches(':').count() == 1 { ":00" } else { "" };
        format!("{text}{seconds}Z").parse().ok()
    };
    let (from, to) = time(from).zip(time(&to)).ok_or_else(expected)?;
    if from >= to {
        return Err("it ends before it begins".to_owned());
    }
    Ok(Bad { from, to })
}

/// What is known of one rule.
#[derive(Debug, Serialize)]
struct Found {
    rule: String,
    /// Its `fire`.
    fire: String,
    side: Side,
    /// The number in `fire`, where `value` is compared with one.
    threshold: Option<Decimal>,
    /// Label sets that it had.
    series: usize,
    /// Minutes in which one was judged.
    percentiles: Vec<(String, Decimal)>,
    chart: Vec<(Decimal, Decimal, usize)>,
    tried: Vec<Tried>,
    suggestion: Option<Suggestion>,
}

#[derive(Debug, Serialize)]
struct Suggestion {
    threshold: Decimal,
    why: String,
    patch: Option<String>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let loaded = Candidate::new(&args.config.config, &[]).load(&config::system_env);
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
    let policy = policy(config);
    let mut watched = watched(&policy.rules, &args.rules);
    if watched.is_empty() {
        output::error("no gauge or window rule has this name");
        return Ok(Exit::Usage);
    }
    let now = Clock::system().now();
    let from = clock::sub(now, args.since);
    runtime()?.block_on(async {
        let store = Store::attach(&place).await;
        let store = store.with_context(|| format!("cannot open the store {place}"))?;
        let events = watch(&store, &policy.rules, &mut watched, (from, now)).await?;
        let found: Vec<Found> =
            watched.iter().map(|one| found(one, &args.bad, args.since)).collect();
        match args.format {
            Format::Json => output::json(&found)?,
            Format::Text => {
                for one in &found {
                    output::line(&one.text(&args.bad));
                }
                let events = usize::try_from(events).unwrap_or(usize::MAX);
                let events = output::count(events, "event", "events");
                output::line(&format!("{events} from {from:.0} to {now:.0}; nothing was changed"));
            }
        }
        Ok(Exit::Ok)
    })
}

fn watched<'r>(rules: &'r RuleSet, names: &[String]) -> Vec<Watched<'r>> {
    let is_meant = |name: &str| names.is_empty() || names.iter().any(|like| is_like(name, like));
    rules.iter().filter(|of| is_meant(of.name())).filter_map(Watched::new).collect()
}

/// Lets the rules look at what is stored; how many events there were.
async fn watch(
    store: &Store,
    rules: &RuleSet,
    watched: &mut [Watched<'_>],
    (from, to): (Timestamp, Timestamp),
) -> anyhow::Result<u64> {
    let (mut after, mut events) = (0, 0_u64);
    loop {
        let page = store.events_between(from, to, after, PAGE_EVENTS).await?;
        if page.is_empty() {
            break;
        }
        let of_page = page.iter().flatten().flat_map(|stored| rules::call_keys(&stored.event));
        let calls = store.known(Vec::new(), of_page.collect()).await?.calls;
        let calls: std::collections::HashMap<_, _> = calls.into_iter().collect();
        for kept in page {
            let stored = match kept {
                Ok(stored) => stored,
                Err(unreadable) => {
                    after = unreadable.seq;
                    continue;
                }
            };
            (after, events) = (stored.seq, events + 1);
            let keys = rules::call_keys(&stored.event);
            let known = keys.iter().filter_map(|key| calls.get(key)).cloned();
            let call = known.reduce(|one, other| one.merge(&other));
            for (of, fires, _) in rules.naming(&stored.event.kind) {
                let mut meant = watched.iter_mut().filter(|one| fires && one.name() == of.name());
                if let Some(one) = meant.next() {
                    one.take(&stored.event, call.as_ref());
                }
            }
            if events.is_multiple_of(PROGRESS_EVENTS) {
                output::progress(&format!("{events} events looked at"));
            }
        }
    }
    for one in watched {
        one.pass(to);
    }
    Ok(events)
}

fn found(one: &Watched<'_>, bad: &[Bad], since: Duration) -> Found {
    let levels = &one.levels;
    let mut thresholds = levels.candidates(one.side);
    thresholds.extend(one.threshold);
    thresholds.sort_unstable();
    thresholds.dedup();
    let tried: Vec<Tried> = thresholds
        .into_iter()
        .map(|threshold| levels.at_threshold(one.side, threshold, bad))
        .collect();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    let suggestion = suggest(one.side, &tried, bad, seconds);
    let suggestion = suggestion.map(|(threshold, why)| Suggestion {
        patch: one.patch(threshold),
        threshold,
        why,
    });
    Found {
        rule: one.name().to_string(),
        fire: one.fire.to_owned(),
        side: one.side,
        threshold: one.threshold,
        series: one.series(),
        percentiles: levels.percentiles(),
        chart: levels.chart(),
        tried,
        suggestion,
    }
}

impl Found {
    fn text(&self, bad: &[Bad]) -> String {
        let mut lines = vec![format!("{}  fire: {}", self.rule, self.fire)];
        if self.chart.is_empty() {
            lines.push("  it was never judged: no event of its kinds matched\n".to_owned());
            return lines.join("\n");
        }
        let number = |number: &Decimal| number.round_dp(4).normalize().to_string();
        let most = self.chart.iter().map(|(.., count)| *count).max().unwrap_or(0);
        let series = output::count(self.series, "label set", "label sets");
        lines.push(format!("  value by minutes in which there was one, of {series}:"));
        for (from, to, count) in &self.chart {
            let range = format!("{:>NUMBER_CHARS$} – {:<NUMBER_CHARS$}", number(from), number(to));
            lines
                .push(format!("  {range} {count:>8}  {}", bar(*count, most)).trim_end().to_owned());
        }
        let below =
            self.percentiles.iter().map(|(part, value)| format!("{part} {}", number(value)));
        lines.push(format!("  up to: {}", below.collect::<Vec<_>>().join(", ")));
        let rows: Vec<Vec<String>> = self
            .tried
            .iter()
            .map(|tried| {
                let mark = if Some(tried.threshold) == self.threshold { "in force" } else { "" };
                let missed = format!("{} of {}", tried.missed.len(), bad.len());
                let missed = if bad.is_empty() { "-".to_owned() } else { missed };
                let (fired, outside) = (tried.fired.to_string(), tried.outside.to_string());
                vec![number(&tried.threshold), fired, outside, missed, mark.to_owned()]
            })
            .collect();
        let table = output::table_text(&["THRESHOLD", "FIRED", "NOT BAD", "MISSED", ""], &rows);
        lines.extend(table.lines().map(|line| format!("  {line}")));
        match &self.suggestion {
            None => lines.push("  no threshold is quiet enough to be suggested".to_owned()),
            Some(Suggestion { threshold, why, patch }) => {
                lines.push(format!("  suggested: {}, since {why}", number(threshold)));
                if Some(*threshold) != self.threshold {
                    lines.extend(
                        patch.as_deref().into_iter().flat_map(str::lines).map(str::to_owned),
                    );
                }
            }
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_hours_are_read_in_short_and_in_full() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let night = Bad { from: at("2026-11-03T02:00:00Z"), to: at("2026-11-03T04:00:00Z") };
        assert_eq!(parse_bad("2026-11-03T02:00/04:00"), Ok(night));
        assert_eq!(parse_bad("2026-11-03T02:00:00Z/2026-11-03T04:00Z"), Ok(night));
        for wrong in ["", "2026-11-03", "2026-11-03T02:00", "2026-11-03T02:00/02:00", "x/y"] {
            assert!(parse_bad(wrong).is_err(), "{wrong}");
        }
    }
}
