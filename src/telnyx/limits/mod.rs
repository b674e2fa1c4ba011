//! Limits of what may be spent, which no webhook tells: spend limits of products, and the daily limits of outbound voice
//! profiles.
//!
//! Receives an account. Promises what Telnyx says of the spend limits at each reading of the balance's interval, as
//! `account.spend_limit` events where something has changed, and at least every five minutes; and every fifteen minutes what
//! was spent of each voice profile's limit, as `account.voice_profile` events, the limits being read once a day. A right that
//! the key does not have is said once, and asked for again later. Never changes a limit.

mod spend_limit;
mod voice;

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use self::spend_limit::SpendLimit;
use self::voice::{Connections, Profile};
use super::{ApiError, ApiSettings, Client, Deps, Endpoint, Means};
use crate::clock;
use crate::event::Event;
use crate::store::{ChargeFilter, Feed, StoreError};
use crate::tasks::Tasks;

/// A limit that has not changed is told again after this: a gauge that is not read any more ends.
const TOLD_EVERY: Duration = Duration::from_mins(5);
/// When a refusal is tried again: somebody may give the key the right.
const REFUSED_AGAIN: Duration = Duration::from_hours(1);
/// How often voice profiles and the connections that use them are read.
const PROFILES_EVERY: Duration = Duration::from_hours(24);
/// When they are read again after that has failed.
const PROFILES_AGAIN: Duration = Duration::from_hours(1);
/// How often the calls of the day are added up.
const VOICE_EVERY: Duration = Duration::from_mins(15);
/// Items of one page, and pages at most.
const PAGE_ITEMS: u32 = 250;
const PAGES_MAX: u32 = 4;
/// Charges of a day that are added up.
const CHARGES_MAX: usize = 50_000;
/// Charges that are read at a time.
const BATCH: usize = 500;

/// What may use an outbound voice profile.
const CONNECTIONS: [Endpoint; 6] = [
    Endpoint::CALL_CONTROL_APPLICATIONS,
    Endpoint::TEXML_APPLICATIONS,
    Endpoint::CREDENTIAL_CONNECTIONS,
    Endpoint::FQDN_CONNECTIONS,
    Endpoint::IP_CONNECTIONS,
    Endpoint::UAC_CONNECTIONS,
];

pub(super) async fn run((deps, settings, client): Means, tasks: Tasks) {
    let watch = Watch { deps, settings, client };
    tokio::select! {
        () = tasks.stopping() => {}
        never = watch.spend_limits() => match never {},
        never = watch.voice_profiles() => match never {},
    }
}

struct Watch {
    deps: Deps,
    settings: Arc<ApiSettings>,
    client: Client,
}

/// Voice profiles with a limit, and who uses them.
#[derive(Debug, Default)]
struct Voice {
    profiles: Vec<Profile>,
    connections: Connections,
    /// Whether all lists were read.
    whole: bool,
}

impl Watch {
    async fn spend_limits(&self) -> Infallible {
        let clock = &self.deps.clock;
        let mut told: HashMap<(String, String), (SpendLimit, Timestamp)> = HashMap::new();
        let mut trouble_said = false;
        loop {
            let answer = self.client.get(&Endpoint::SPEND_LIMITS, &[]).await;
            let read = answer.and_then(|answer| {
                SpendLimit::read_all(&answer).ok_or_else(|| ApiError::Unreadable {
                    endpoint: Endpoint::SPEND_LIMITS.name,
                    detail: "there is no list under data".to_owned(),
                })
            });
            let now = self.now();
            let wait = match read {
                Ok(limits) => {
                    trouble_said = false;
                    self.tell_spend_limits(limits, &mut told, now).await;
                    self.settings.poll_interval
                }
                Err(error) => {
                    if !std::mem::replace(&mut trouble_said, true) {
                        self.say(&error, "spend limits");
                    }
                    let is_refused = matches!(error.status(), Some(401 | 403 | 404));
                    if is_refused { REFUSED_AGAIN } else { self.settings.poll_interval }
                }
            };
            clock.sleep_until(clock::add(now, wait.max(self.settings.poll_interval))).await;
        }
    }

    async fn tell_spend_limits(
        &self,
        limits: Vec<SpendLimit>,
        told: &mut HashMap<(String, String), (SpendLimit, Timestamp)>,
        now: Timestamp,
    ) {
        let account = &self.settings.account;
        let is_new = |limit: &&SpendLimit| {
            let key = (limit.product.clone(), limit.period.clone());
            told.get(&key)
                .is_none_or(|(before, at)| before != *limit || clock::add(*at, TOLD_EVERY) <= now)
        };
        let new: Vec<SpendLimit> = limits.iter().filter(is_new).cloned().collect();
        for limit in &limits {
            let SpendLimit { product, period, limit, spend, blocked, .. } = limit;
            self.deps.metrics.set_spend_limit(account, product, period, (*limit, *spend, *blocked));
        }
        let events: Vec<Event> = new.iter().map(|limit| limit.event(account, now)).collect();
        if self.keep(events, "spend limits").await {
            told.retain(|key, _| limits.iter().any(|it| it.product == key.0 && it.period == key.1));
            told.extend(
                new.into_iter().map(|it| ((it.product.clone(), it.period.clone()), (it, now))),
            );
        }
    }

    async fn voice_profiles(&self) -> Infallible {
        let clock = &self.deps.clock;
        let mut trouble_said = false;
        loop {
            let read_at = self.now();
            let voice = match self.voice().await {
                Ok(voice) => {
                    trouble_said = false;
                    voice
                }
                Err(error) => {
                    if !std::mem::replace(&mut trouble_said, true) {
                        self.say(&error, "outbound voice profiles");
                    }
                    Voice::default()
                }
            };
            let wait = if trouble_said { PROFILES_AGAIN } else { PROFILES_EVERY };
            let read_again = clock::add(read_at, wait);
            loop {
                let now = self.now();
                if now >= read_again {
                    break;
                }
                if voice.profiles.is_empty() {
                    clock.sleep_until(read_again).await;
                    continue;
                }
                match self.day(&voice, now).await {
                    Ok(events) => drop(self.keep(events, "voice profiles").await),
                    Err(error) => {
                        let account = &self.settings.account;
                        tracing::warn!(account, %error, "what calls cost today cannot be added up");
                    }
                }
                clock.sleep_until(clock::add(now, VOICE_EVERY).min(read_again)).await;
            }
        }
    }

    async fn voice(&self) -> Result<Voice, ApiError> {
        let list = async |endpoint: &Endpoint| {
            self.client.list(endpoint, &[], PAGE_ITEMS, PAGES_MAX, |_| ()).await
        };
        let (items, end) = list(&Endpoint::OUTBOUND_VOICE_PROFILES).await?;
        let mut voice = Voice {
            profiles: voice::profiles(&items),
            connections: BTreeMap::new(),
            whole: end.is_whole(),
        };
        if voice.profiles.is_empty() {
            return Ok(voice);
        }
        for endpoint in &CONNECTIONS {
            match list(endpoint).await {
                Ok((items, end)) => {
                    voice.connections.extend(items.iter().filter_map(voice::connection));
                    voice.whole &= end.is_whole();
                }
                Err(error) if error.reason() == "client" || error.reason() == "auth" => {
                    self.say(&error, "connections that use outbound voice profiles");
                    voice.whole = false;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(voice)
    }

    /// What was spent of each limit since midnight.
    async fn day(&self, voice: &Voice, now: Timestamp) -> Result<Vec<Event>, StoreError> {
        let account = &self.settings.account;
        let mut filter = ChargeFilter {
            account: Some(account.clone()),
            from: voice::midnight(now),
            to: clock::add(now, Duration::from_secs(1)),
            after: None,
            limit: BATCH,
        };
        let (mut spent, mut read, mut whole): (BTreeMap<String, _>, _, _) =
            (BTreeMap::new(), 0, true);
        loop {
            let page = self.deps.store.charges(filter.clone()).await?;
            for (profile, sum) in voice::spent(&page, &voice.connections) {
                let total: &mut rust_decimal::Decimal = spent.entry(profile).or_default();
                *total = total.saturating_add(sum);
            }
            read += page.len();
            filter.after = page.last().map(|entry| (entry.at, entry.key.clone()));
            if page.len() < BATCH {
                break;
            }
            if read >= CHARGES_MAX {
                whole = false;
                break;
            }
        }
        let is_partial = !(whole && voice.whole);
        let events = voice.profiles.iter().map(|profile| {
            let spent = (!voice.connections.is_empty())
                .then(|| spent.get(&profile.id).copied().unwrap_or_default());
            voice::told(profile, spent, is_partial, account, now)
        });
        Ok(events.collect())
    }

    /// Feeds events; whether they are kept. What is not is told by the next reading.
    async fn keep(&self, events: Vec<Event>, what: &'static str) -> bool {
        if events.is_empty() {
            return true;
        }
        let fed = self.deps.store.feed(Feed { events, ..Feed::default() }).await;
        if let Err(error) = &fed {
            let account = &self.settings.account;
            tracing::warn!(account, %error, what, "a reading cannot be stored");
        }
        fed.is_ok()
    }

    /// Said once in a row of failures.
    fn say(&self, error: &ApiError, what: &'static str) {
        let account = &self.settings.account;
        match error.status() {
            Some(403) => {
                tracing::warn!(account, %error, what, "the API key has no right to read these, so they are not watched");
            }
            Some(404) => tracing::info!(account, %error, what, "this account has none of these"),
            _ => tracing::warn!(account, %error, what, "cannot be read"),
        }
    }

    /// The time, as precise as the store keeps it.
    fn now(&self) -> Timestamp {
        let now = self.deps.clock.now();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }
}
