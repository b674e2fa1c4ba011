//! Where a command looks and acts: at the store of a configuration, or at a running tollbell by its API.

mod answer;
mod refused;
mod remote;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, FromArgMatches};
use jiff::Timestamp;

pub(super) use self::refused::Refused;
pub(super) use self::remote::Remote;
use super::args::ConfigArg;
use crate::alerts::{Alert, Silence, SilenceDraft};
use crate::api::alerts::{self, ALERTS_MAX, AlertList, AlertStory};
use crate::api::{Audit, Principal, pauses, silences};
use crate::clock::Clock;
use crate::store::{
    Attempt, Delivery, DeliveryFilter, EventFilter, EventRecord, EventSummary, Reading,
    ReceiverPause, Retried, Retry, Store,
};

/// Which of both, as options of a command.
#[derive(Debug)]
pub(super) struct SourceArgs(Given);

#[derive(Debug, clap::Args)]
struct Given {
    #[command(flatten)]
    config: ConfigArg,
    /// Ask the tollbell whose private listener is here, instead of the store of the configuration
    #[arg(long, env = "TOLLBELL_URL", value_name = "URL")]
    url: Option<String>,
    /// A file with a token for it
    #[arg(long, env = "TOLLBELL_TOKEN_FILE", value_name = "FILE", value_parser = path())]
    token_file: Option<PathBuf>,
    /// A PEM file of authorities to trust for it, besides the system's
    #[arg(long, env = "TOLLBELL_CA_FILE", value_name = "FILE", value_parser = path())]
    ca_file: Option<PathBuf>,
}

/// Takes an empty one, which is told apart later: where it comes from is not known yet.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

impl clap::Args for SourceArgs {
    fn augment_args(command: Command) -> Command {
        Given::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Given::augment_args_for_update(command)
    }
}

impl FromArgMatches for SourceArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Given::from_arg_matches(matches)?;
        // A variable that is empty is one that is not set, as everywhere; who writes an empty option means something by it.
        let by_environment = |name| matches.value_source(name) == Some(ValueSource::EnvVariable);
        let is_set = |path: &mut PathBuf| !path.as_os_str().is_empty();
        if by_environment("url") {
            given.url = given.url.filter(|url| !url.is_empty());
        }
        if by_environment("token_file") {
            given.token_file = given.token_file.take_if(is_set);
        }
        if by_environment("ca_file") {
            given.ca_file = given.ca_file.take_if(is_set);
        }
        let by_hand = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
        if by_hand("config") && by_hand("url") {
            let message =
                "--url and --config are two ways to say which tollbell: give one of them\n";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
        }
        // What was written by hand goes before what the environment says.
        given.url = given.url.filter(|_| !by_hand("config"));
        Ok(Self(given))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl SourceArgs {
    /// Opens it. `None` when the configuration has errors, which are printed.
    pub(super) async fn open(&self) -> anyhow::Result<Option<Source>> {
        if let Some(remote) = self.remote()? {
            return Ok(Some(Source::Remote(remote)));
        }
        Ok(attach(&self.0.config).await?.map(Source::Store))
    }

    /// The API of a running tollbell, where one is named.
    pub(super) fn remote(&self) -> anyhow::Result<Option<Remote>> {
        let Given { url, token_file, ca_file, .. } = &self.0;
        let Some(url) = url else { return Ok(None) };
        Remote::new(url, token_file.as_deref(), ca_file.as_deref()).map(Some)
    }

    /// The configuration, for what is done without one.
    pub(super) fn config(&self) -> &ConfigArg {
        &self.0.config
    }
}

/// Opens the store of a configuration beside a running `serve`. `None` when the configuration has errors, which are printed.
pub(super) async fn attach(config: &ConfigArg) -> anyhow::Result<Option<Store>> {
    let Some(config) = config.without_secrets() else { return Ok(None) };
    let place = &config.store.place;
    let store = Store::attach(place).await;
    Ok(Some(store.with_context(|| format!("cannot open the store {place}"))?))
}

/// Writes down what is changed at the store.
fn audit(store: &Store) -> Audit {
    Audit { store: store.clone(), clock: Clock::system() }
}

/// Where a command looks and acts.
pub(super) enum Source {
    /// The store of a configuration.
    Store(Store),
    /// The API of a running tollbell.
    Remote(Remote),
}

impl Source {
    /// Deliveries, newest first.
    pub(super) async fn deliveries(&self, filter: DeliveryFilter) -> anyhow::Result<Vec<Delivery>> {
        match self {
            Self::Store(store) => Ok(store.deliveries(filter).await?),
            Self::Remote(remote) => remote.deliveries(filter).await,
        }
    }

    /// A delivery and its attempts, by its id or the beginning of it.
    pub(super) async fn delivery(
        &self,
        id: &str,
    ) -> anyhow::Result<Option<(Delivery, Vec<Attempt>)>> {
        match self {
            Self::Store(store) => Ok(store.delivery(id).await?),
            Self::Remote(remote) => remote.delivery(id).await,
        }
    }

    /// Tries deliveries again.
    pub(super) async fn retry(&self, which: Retry) -> anyhow::Result<Retried> {
        match self {
            Self::Store(store) => Ok(audit(store).retry(&Principal::local(), which).await?),
            Self::Remote(remote) => remote.retry(which).await,
        }
    }

    /// Events, newest first.
    pub(super) async fn events(&self, filter: EventFilter) -> anyhow::Result<Vec<EventSummary>> {
        match self {
            Self::Store(store) => Ok(store.events(filter).await?),
            Self::Remote(remote) => remote.events(filter).await,
        }
    }

    /// All that is known of an event.
    pub(super) async fn event(
        &self,
        id: &str,
        account: Option<&str>,
    ) -> anyhow::Result<Option<EventRecord>> {
        match self {
            Self::Store(store) => Ok(store.event(id, account).await?),
            Self::Remote(remote) => remote.event(id, account).await,
        }
    }

    /// Alerts, those that fire first.
    pub(super) async fn alerts(&self, all: bool, limit: usize) -> anyhow::Result<AlertList> {
        match self {
            Self::Store(store) => Ok(alerts::list(store, Clock::system().now(), all, limit).await?),
            Self::Remote(remote) => remote.alerts(all, limit).await,
        }
    }

    /// All that is known of an alert, by its fingerprint or the beginning of it, with so many lines of its history.
    pub(super) async fn alert(
        &self,
        fingerprint: &str,
        lines: usize,
    ) -> anyhow::Result<AlertStory> {
        match self {
            Self::Store(store) => {
                let now = Clock::system().now();
                Ok(alerts::story(store, now, fingerprint, lines).await?)
            }
            Self::Remote(remote) => remote.alert(fingerprint, lines).await,
        }
    }

    /// The last reading of each account's balance.
    pub(super) async fn last_readings(&self) -> anyhow::Result<Vec<Reading>> {
        match self {
            Self::Store(store) => Ok(store.last_readings().await?),
            Self::Remote(remote) => remote.last_readings().await,
        }
    }

    /// The last reading of an account's balance in each `step` of time since then, oldest first.
    pub(super) async fn balances(
        &self,
        account: &str,
        since: Timestamp,
        step: Duration,
    ) -> anyhow::Result<Vec<Reading>> {
        match self {
            Self::Store(store) => Ok(store.balances(account, since, None, step).await?),
            Self::Remote(remote) => remote.balances(account, since, step).await,
        }
    }

    /// The alerts that fire, [`ALERTS_MAX`] at most.
    pub(super) async fn firing(&self) -> anyhow::Result<Vec<Alert>> {
        let found = self.alerts(false, ALERTS_MAX).await?;
        Ok(found.items.into_iter().map(|seen| seen.alert).collect())
    }

    /// All silences that are stored.
    pub(super) async fn silences(&self) -> anyhow::Result<Vec<Silence>> {
        match self {
            Self::Store(store) => Ok(store.silences().await?.silences),
            Self::Remote(remote) => remote.silences().await,
        }
    }

    /// Makes a silence; gives its id.
    pub(super) async fn create_silence(&self, draft: SilenceDraft) -> Result<String, Refused> {
        match self {
            Self::Store(store) => silences::create(&audit(store), &Principal::local(), draft).await,
            Self::Remote(remote) => return remote.put_silence(None, draft).await,
        }
        .map_err(Refused::from)
    }

    /// Changes a silence; gives the id of the one that is in force then, a new one where the former was history.
    pub(super) async fn update_silence(
        &self,
        id: &str,
        draft: SilenceDraft,
    ) -> Result<String, Refused> {
        match self {
            Self::Store(store) => {
                silences::update(&audit(store), &Principal::local(), id, draft).await
            }
            Self::Remote(remote) => return remote.put_silence(Some(id), draft).await,
        }
        .map_err(Refused::from)
    }

    /// Ends a silence now.
    pub(super) async fn expire_silence(&self, id: &str) -> anyhow::Result<()> {
        match self {
            Self::Store(store) => {
                silences::expire(&audit(store), &Principal::local(), id).await?;
                Ok(())
            }
            Self::Remote(remote) => remote.expire_silence(id).await,
        }
    }

    /// Pauses a receiver.
    pub(super) async fn pause(
        &self,
        receiver: &str,
        until: Timestamp,
        comment: &str,
    ) -> Result<ReceiverPause, Refused> {
        match self {
            Self::Store(store) => {
                let who = Principal::local();
                Ok(pauses::pause(&audit(store), &who, receiver, until, comment).await?)
            }
            Self::Remote(remote) => remote.pause(receiver, until, comment).await,
        }
    }

    /// Ends the pause of a receiver; false when there is none.
    pub(super) async fn resume(&self, receiver: &str) -> Result<bool, Refused> {
        match self {
            Self::Store(store) => {
                let resumed = pauses::resume(&audit(store), &Principal::local(), receiver).await;
                resumed.map_err(|error| Refused::Failed(error.into()))
            }
            Self::Remote(remote) => remote.resume(receiver).await,
        }
    }

    /// The receivers that are paused.
    pub(super) async fn receiver_pauses(&self) -> anyhow::Result<Vec<ReceiverPause>> {
        match self {
            Self::Store(store) => Ok(store.receiver_pauses().await?),
            Self::Remote(remote) => remote.receiver_pauses().await,
        }
    }

    /// Ends the work with it.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        match self {
            Self::Store(store) => Ok(store.close().await?),
            Self::Remote(_) => Ok(()),
        }
    }
}
