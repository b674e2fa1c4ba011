//! `tollbell explain`: what the rules say of one event and why, and who hears of it.

mod text;
mod then;
mod words;

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Serialize;

use self::then::Then;
use super::{ConfigArg, Exit, Format, output, runtime};
use crate::clock::{self, Clock};
use crate::config::{self, Account, Config};
use crate::engine::{self, Explanation, Policy, Question, SeriesAsked, State};
use crate::event::{self, Event, Incoming, Source};
use crate::notify::MessageTemplates;
use crate::policy::policy;
use crate::rules;
use crate::store::{EventRecord, EventState, Place, Space, Store, StoredEvent};

/// How many series of a rule beyond its limit are looked at: those that came when the limit was higher.
const SERIES_BEYOND_MAX: usize = 10_000;
/// An older event in a file is more likely a sample than news.
const AGE_MAX: Duration = Duration::from_hours(1);

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file with the body of a webhook, - for standard input, or the id of a stored event
    #[arg(value_name = "FILE|EVENT_ID")]
    what: String,
    #[command(flatten)]
    config: ConfigArg,
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

/// What is printed.
#[derive(Debug, Serialize)]
struct Report {
    event: About,
    /// Hash of the configuration that is asked today.
    config: String,
    /// The time now.
    now: Timestamp,
    /// What is to be known before reading on; whole sentences.
    notes: Vec<String>,
    /// What was recorded when it was judged.
    then: Option<Then>,
    /// What today's rules say; `None` when they cannot be asked.
    today: Option<Explanation>,
    /// Whether `today` is about an event that was judged before.
    #[serde(skip)]
    judged: bool,
    /// Whether only some rules are shown.
    #[serde(skip)]
    some: bool,
    /// Whether rules that do not name the kind are listed as text.
    #[serde(skip)]
    all: bool,
}

/// The event, without its payload.
#[derive(Debug, Serialize)]
struct About {
    id: String,
    account: String,
    kind: String,
    source: Source,
    occurred_at: Option<Timestamp>,
    received_at: Timestamp,
    cost: Option<Decimal>,
    currency: Option<String>,
}

impl About {
    fn of(event: &Event) -> Self {
        Self {
            id: event.id.clone(),
            account: event.account.clone(),
            kind: event.kind.clone(),
            source: event.source,
            occurred_at: event.occurred_at,
            received_at: event.received_at,
            cost: event.cost,
            currency: event.currency.clone(),
        }
    }
}

/// What is asked today.
struct Today {
    policy: Policy,
    templates: MessageTemplates,
    now: Timestamp,
}

/// What stands in the way, as the user's mistake.
type Mistake = String;

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let loaded = config::load(&args.config.config, &config::system_env);
    let Some(config) = loaded.config else {
        output::problems(&loaded);
        return Ok(Exit::Usage);
    };
    let now = Clock::system().now();
    let file = match body(&args.what, config.server.max_body) {
        Ok(body) => body,
        Err(mistake) => return Ok(wrong(&mistake)),
    };
    let event = match file.map(|body| incoming(&config, args, &body, now)).transpose() {
        Ok(event) => event,
        Err(mistake) => return Ok(wrong(&mistake)),
    };
    let place = config.store.place.clone();
    let templates = config.templates.clone();
    let today = Today { policy: policy(config), templates, now };
    let case = runtime()?.block_on(async {
        match event {
            Some(event) => of_body(args, &today, &place, event).await,
            None => of_store(args, &today, &place).await,
        }
    })?;
    let report = report(args, today, case);
    match args.format {
        Format::Json => output::json(&report)?,
        Format::Text => output::line(&text::report_text(&report)),
    }
    Ok(Exit::Ok)
}

fn wrong(mistake: &str) -> Exit {
    output::error(mistake);
    Exit::Usage
}

/// The bytes of a file or of standard input; `None` when an event's id is named.
fn body(what: &str, max: usize) -> Result<Option<Vec<u8>>, Mistake> {
    let said = if what == "-" { "standard input" } else { what };
    let failed = |error: std::io::Error| format!("cannot read {said}: {error}");
    // One byte more shows that there is more.
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let mut body = Vec::new();
    let path = Path::new(what);
    let ends = |end: &str| path.extension().is_some_and(|extension| extension == end);
    if what == "-" {
        std::io::stdin().lock().take(limit).read_to_end(&mut body).map_err(failed)?;
    } else if path.exists() || what.contains('/') || ends("json") || ends("form") {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(limit).read_to_end(&mut body).map_err(failed)?;
    } else {
        return Ok(None);
    }
    if body.len() > max {
        return Err(format!("{said} is larger than server.max_body ({max} bytes)"));
    }
    Ok(Some(body))
}

/// The event that a body becomes.
fn incoming(config: &Config, args: &Args, body: &[u8], now: Timestamp) -> Result<Event, Mistake> {
    let account = account(config, args.account.as_deref())?;
    let content_type = event::content_type(body);
    let fresh = args
        .fresh
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

/// An event and all that is to be known to explain it.
struct Case {
    stored: StoredEvent,
    state: State,
    /// Whether it was judged before, and what was recorded then.
    judged: bool,
    then: Option<Then>,
    /// Whether its payload is gone.
    dropped: bool,
    notes: Vec<String>,
}

/// A body that comes now.
async fn of_body(args: &Args, today: &Today, place: &Place, event: Event) -> anyhow::Result<Case> {
    let mut notes = Vec::new();
    let age = event.occurred_at.map(|at| clock::until(at, event.received_at));
    if age.is_some_and(|age| age > AGE_MAX) {
        notes.push(
            "It happened long ago; --fresh shows what it would be if it happened now.".to_owned(),
        );
    }
    let store = if args.no_state {
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
    let state = state(store.as_ref(), today, &stored, false, &mut notes).await?;
    stored.seq = state.cursor().saturating_add(1);
    Ok(Case { stored, state, judged: false, then: None, dropped: false, notes })
}

/// An event that was kept.
async fn of_store(args: &Args, today: &Today, place: &Place) -> anyhow::Result<Case> {
    let store = Store::attach(place).await;
    let store = store.with_context(|| format!("cannot open the store {place}"))?;
    let Some(record) = store.event(&args.what, args.account.as_deref()).await? else {
        bail!("no event has the id {}, and there is no such file", args.what);
    };
    let mut notes = Vec::new();
    let judged = record.state != EventState::Waiting;
    if record.payload_dropped {
        notes.push("Its payload was dropped once it was judged (store.payload: none).".to_owned());
    }
    if !judged {
        notes.push("It waits to be judged: this is what would come of it.".to_owned());
    }
    if args.no_state {
        notes.push("Today's rules are asked on an empty state.".to_owned());
    }
    let kept = (!args.no_state).then_some(&store);
    let state = state(kept, today, &record.stored, judged, &mut notes).await?;
    let then = if judged { Some(Then::of(&store, &record).await?) } else { None };
    let EventRecord { stored, payload_dropped: dropped, .. } = record;
    Ok(Case { stored, state, judged, then, dropped, notes })
}

/// The state as it is kept, with what it needs to know for this event; empty without a store.
async fn state(
    store: Option<&Store>,
    today: &Today,
    stored: &StoredEvent,
    judged: bool,
    notes: &mut Vec<String>,
) -> anyhow::Result<State> {
    let Some(store) = store else { return Ok(State::default()) };
    let (mut state, mut broken) = State::resume(store.resume_but(&[Space::Series]).await?);
    let charges = rules::ledger_key(&stored.event).into_iter().collect();
    state.load_known(store.known(charges, rules::call_keys(&stored.event)).await?);
    let Today { policy, templates, now } = today;
    let question = Question { stored, judged, only: None, templates, now: *now };
    for SeriesAsked { rule, fingerprints, max } in engine::series_asked(&state, policy, &question) {
        let limit = max.saturating_add(SERIES_BEYOND_MAX);
        broken.extend(state.take_rows(&store.series(&rule, &fingerprints, max, limit).await?));
    }
    notes.extend(broken.into_iter().map(|detail| format!("Cannot be read back: {detail}.")));
    Ok(state)
}

/// Asks today's rules.
fn report(args: &Args, today: Today, case: Case) -> Report {
    let Today { policy, templates, now } = today;
    let Case { stored, state, judged, then, dropped, notes } = case;
    let only = args.rule.as_deref();
    let question = Question { stored: &stored, judged, only, templates: &templates, now };
    let event = About::of(&stored.event);
    let today = (!dropped).then(|| engine::explain(state, &policy, &question));
    Report {
        event,
        config: policy.config_hash,
        now,
        notes,
        then,
        today,
        judged,
        some: args.rule.is_some(),
        all: args.all,
    }
}

#[cfg(test)]
mod tests;
