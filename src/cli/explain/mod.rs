//! `tollbell explain`: what the rules say of one event and why, and who hears of it.

mod text;
mod words;

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;

use super::source::{Remote, SourceArgs};
use super::{Exit, Format, output, runtime};
use crate::api::explain::{self, About, Asked, Report};
use crate::clock::{self, Clock};
use crate::config::{Account, Config};
use crate::engine::{self, Question, State};
use crate::event::{self, Event, Incoming};
use crate::policy::policy;
use crate::store::{Place, Store, StoredEvent};

/// An older event in a file is more likely a sample than news.
const AGE_MAX: Duration = Duration::from_hours(1);

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file with the body of a webhook, - for standard input, or the id of a stored event
    #[arg(value_name = "FILE|EVENT_ID")]
    what: String,
    #[command(flatten)]
    source: SourceArgs,
    /// The event's account; default: the one named default, or the only one
    #[arg(long)]
    account: Option<String>,
    /// Only rules whose names fit; `*` stands for anything
    #[arg(long, value_name = "GLOB")]
    rule: Option<String>,
    /// Also name the rules that do not ask for this kind of event
    #[arg(long)]
    all: bool,
    /// With a fresh id and time, as `send` sends it: as if it happened now
    #[arg(long)]
    fresh: bool,
    /// As if nothing had happened before: no alerts, series, groups or silences
    #[arg(long)]
    no_state: bool,
    /// How it is printed
    #[arg(long, default_value = "text", value_enum)]
    format: Format,
}

/// What stands in the way, as the user's mistake.
type Mistake = String;

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let report = if let Some(remote) = args.source.remote()? {
        runtime()?.block_on(of_service(args, &remote))?
    } else {
        let Some(config) = args.source.config().without_secrets() else { return Ok(Exit::Usage) };
        at_hand(args, config)?
    };
    let report = match report {
        Ok(report) => report,
        Err(mistake) => {
            output::error(&mistake);
            return Ok(Exit::Usage);
        }
    };
    match args.format {
        Format::Json => output::json(&report)?,
        Format::Text => output::line(&text::report_text(&report)),
    }
    Ok(Exit::Ok)
}

/// What the running tollbell says of an event that it keeps.
async fn of_service(args: &Args, remote: &Remote) -> anyhow::Result<Result<Report, Mistake>> {
    let what = &args.what;
    if what == "-" || is_file(what) || event::sample(what).is_some() {
        return Ok(Err(format!(
            "a running tollbell (--url) explains events that it keeps, by their id; to explain {what} leave --url out"
        )));
    }
    let (account, rule) = (args.account.as_deref(), args.rule.as_deref());
    let found = remote.explain(&args.what, account, rule, args.no_state).await?;
    let Some(found) = found else { bail!(unknown(&args.what)) };
    let judged = found.then.is_some();
    Ok(Ok(Report { judged, some: rule.is_some(), all: args.all, ..found }))
}

/// What the configuration at hand makes of it.
fn at_hand(args: &Args, config: Config) -> anyhow::Result<Result<Report, Mistake>> {
    let now = Clock::system().now();
    let event = body(&args.what, config.server.max_body)
        .and_then(|file| file.map(|body| incoming(&config, args, &body, now)).transpose());
    let event = match event {
        Ok(event) => event,
        Err(mistake) => return Ok(Err(mistake)),
    };
    let place = config.store.place.clone();
    let asked = Asked {
        templates: config.templates.clone(),
        policy: Arc::new(policy(config)),
        rule: args.rule.clone(),
        no_state: args.no_state,
        now,
    };
    let report = runtime()?.block_on(async {
        match event {
            Some(event) => Ok(report(args, &asked, of_body(&asked, &place, event).await?)),
            None => of_store(args, asked, &place).await,
        }
    });
    report.map(Ok)
}

fn unknown(what: &str) -> String {
    format!("no event has the id {what}, and there is no such file")
}

/// The bytes of a file or of standard input; `None` when an event's id is named.
fn body(what: &str, max: usize) -> Result<Option<Vec<u8>>, Mistake> {
    let said = if what == "-" { "standard input" } else { what };
    let failed = |error: std::io::Error| format!("cannot read {said}: {error}");
    // One byte more shows that there is more.
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let mut body = Vec::new();
    if what == "-" {
        std::io::stdin().lock().take(limit).read_to_end(&mut body).map_err(failed)?;
    } else if is_file(what) {
        let file = std::fs::File::open(what).map_err(failed)?;
        file.take(limit).read_to_end(&mut body).map_err(failed)?;
    } else if let Some(sample) = event::sample(what) {
        return Ok(Some(sample));
    } else {
        return Ok(None);
    }
    if body.len() > max {
        return Err(format!("{said} is larger than server.max_body ({max} bytes)"));
    }
    Ok(Some(body))
}

/// Whether a file is named.
fn is_file(what: &str) -> bool {
    let path = Path::new(what);
    let ends = |end: &str| path.extension().is_some_and(|extension| extension == end);
    path.exists() || what.contains('/') || ends("json") || ends("form")
}

/// The event that a body becomes.
fn incoming(config: &Config, args: &Args, body: &[u8], now: Timestamp) -> Result<Event, Mistake> {
    let account = account(config, args.account.as_deref())?;
    let content_type = event::content_type(body);
    let is_sample = event::sample(&args.what).as_deref() == Some(body);
    let fresh = (args.fresh || is_sample)
        .then(|| event::freshen(body, content_type, &uuid::Uuid::now_v7().to_string(), now));
    let event = event::parse(&Incoming {
        account: &account.name,
        default_currency: account.currency.as_deref(),
        content_type: Some(content_type),
        body: fresh.as_deref().unwrap_or(body),
        received_at: now,
        policy: config.store.payload,
    });
    if event.kind == "unparsed" {
        return Err(format!("{} is neither JSON nor a form", args.what));
    }
    Ok(event)
}

fn account<'c>(config: &'c Config, named: Option<&str>) -> Result<&'c Account, Mistake> {
    let by_name = |name: &str| config.accounts.iter().find(|account| account.name == name);
    match (named, config.accounts.as_slice()) {
        (Some(name), _) => by_name(name).ok_or_else(|| format!("no account has the name {name}")),
        (None, [only]) => Ok(only),
        (None, _) => by_name("default")
            .ok_or_else(|| "there are several accounts: name one with --account".to_owned()),
    }
}

/// An event that comes now, and the state that it meets.
struct Case {
    stored: StoredEvent,
    state: State,
    notes: Vec<String>,
}

/// A body that comes now.
async fn of_body(asked: &Asked, place: &Place, event: Event) -> anyhow::Result<Case> {
    let mut notes = Vec::new();
    let age = event.occurred_at.map(|at| clock::until(at, event.received_at));
    if age.is_some_and(|age| age > AGE_MAX) {
        notes.push(
            "It happened long ago; --fresh shows what it would be if it happened now.".to_owned(),
        );
    }
    let store = if asked.no_state {
        notes.push("Judged as if it came now, on an empty state.".to_owned());
        None
    } else {
        match Store::attach(place).await {
            Ok(store) => Some(store),
            Err(error) => {
                notes.push(format!("Judged as if it came now, on an empty state: {error}."));
                None
            }
        }
    };
    if let Some(store) = &store {
        notes.push(format!("Judged as if it came now, on the state in {place}."));
        if store.event(&event.id, Some(&event.account)).await?.is_some() {
            notes.push(format!(
                "An event with this id is stored: the service would take this one for a repeat and not judge it. \
                 `tollbell explain {}` explains the stored one.",
                event.id
            ));
        }
    }
    let mut stored = StoredEvent { seq: 0, event };
    let state = state(store.as_ref(), asked, &stored, &mut notes).await?;
    stored.seq = state.cursor().saturating_add(1);
    Ok(Case { stored, state, notes })
}

/// An event that was kept.
async fn of_store(args: &Args, asked: Asked, place: &Place) -> anyhow::Result<Report> {
    let store = Store::attach(place).await;
    let store = store.with_context(|| format!("cannot open the store {place}"))?;
    let found = explain::stored(&store, asked, &args.what, args.account.as_deref()).await?;
    let Some(found) = found else { bail!(unknown(&args.what)) };
    Ok(Report { all: args.all, ..found })
}

/// The state as it is kept, with what it needs to know for this event; empty without a store.
async fn state(
    store: Option<&Store>,
    asked: &Asked,
    stored: &StoredEvent,
    notes: &mut Vec<String>,
) -> anyhow::Result<State> {
    let Some(store) = store else { return Ok(State::default()) };
    let (state, broken) =
        engine::kept_state(store, &asked.policy, &question(asked, stored)).await?;
    notes.extend(broken.into_iter().map(|detail| format!("Cannot be read back: {detail}.")));
    Ok(state)
}

fn question<'q>(asked: &'q Asked, stored: &'q StoredEvent) -> Question<'q> {
    let Asked { templates, rule, now, .. } = asked;
    Question { stored, judged: false, only: rule.as_deref(), templates, now: *now }
}

/// Asks today's rules of an event that comes now.
fn report(args: &Args, asked: &Asked, case: Case) -> Report {
    let Case { stored, state, notes } = case;
    Report {
        event: About::of(&stored.event),
        config: asked.policy.config_hash.clone(),
        now: asked.now,
        notes,
        then: None,
        today: Some(engine::explain(state, &asked.policy, &question(asked, &stored))),
        judged: false,
        some: args.rule.is_some(),
        all: args.all,
    }
}

#[cfg(test)]
mod tests;
