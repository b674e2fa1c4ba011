//! A 200 is a promise: it waits for the disk, and what it promised outlives any number of crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use tollbell::clock::{self, Clock};
use tollbell::event::{self, Incoming, PayloadPolicy};
use tollbell::store;

use crate::support::app::route;
use crate::support::http::{HttpSink, Reply};
use crate::support::load::{self, Load, MAILED, Site, Tally};
use crate::support::raw::RawClient;
use crate::support::smtp::{Script, SmtpSink, Stage};
use crate::support::strace::{self, Trace};
use crate::support::telnyx;
use crate::support::wait::{SOON, eventually, eventually_async};

/// Rounds without `TOLLBELL_KILL_ROUNDS`.
const KILL_ROUNDS: usize = 50;
/// Clients that post at once.
const CLIENTS: usize = 6;
/// Between two events of a client, so that what is left at the end is soon sent.
const PAUSE: Duration = Duration::from_millis(25);
/// Every so many events one goes to mail.
const MAIL_EVERY: usize = 10;
/// How long the last process may take to send what is left.
const DRAIN: Duration = Duration::from_mins(2);

/// Events to a webhook, those of the profile `mailed` to mail; nothing holds them back.
pub(super) fn routing(hook: &HttpSink, mail: &SmtpSink) -> String {
    let fast = "rate_limit: {per_second: 1000, burst: 1000}, \
                retry: {initial_backoff: 50ms, max_backoff: 100ms}";
    format!(
        "{}  routes:\n    - {{matchers: ['alertname=\"Mailed\"'], receiver: mail}}\n\
         receivers:\n  - name: hook\n    webhook_configs:\n      - {{url: \"{}\", {fast}}}\n  \
         - name: mail\n    email_configs:\n      - {{to: [ops@example.com], from: tollbell@example.com, \
         smarthost: \"{}\", tls: none, {fast}}}\n",
        route("hook"),
        hook.url("/hook"),
        mail.smarthost(),
    )
}

/// Receivers that are there but called by nobody who counts.
fn silent() -> &'static str {
    "route: {receiver: nobody}\nreceivers:\n  - name: nobody"
}

#[tokio::test]
async fn a_200_waits_for_the_disk() {
    let site = Site::new(silent());
    let trace = site.dir().join("trace");
    let service = site.service().under(&strace::wrapper(&trace));
    let mut running = service.start().await;
    let to = running.addresses().public;
    let post = async |id: String| {
        let mut client = RawClient::connect(to).await.unwrap();
        let request = site.request(&id, "p");
        client.send(&request).await.unwrap();
        assert_eq!(client.response().await.unwrap().status, 200);
        (client.local_address(), id)
    };
    let mut posted = Vec::new();
    for number in 0..5 {
        posted.push(post(format!("alone-{number}-end")).await);
    }
    for round in 0..5 {
        posted.extend(join_all((0..8).map(|n| post(format!("beside-{round}-{n}-end")))).await);
    }
    assert!(running.terminate(SOON).await.success(), "{}", running.log());

    let trace = Trace::read(&trace);
    for (client, id) in &posted {
        let durable = trace.check_durable_before_200(*client, id.as_bytes(), ".db-wal");
        assert_eq!(durable, Ok(()), "{id}");
    }
    // Those that came together shared their syncs; the check above says that none was left out.
    let syncs =
        trace.calls.iter().filter(|call| call.is_sync() && call.target.ends_with(".db-wal"));
    assert!(syncs.count() > 0);
}

/// The disk says no to some syncs: what they should have made durable is not acknowledged, and when it is sent
/// again, that 200 waits for a sync of its own.
#[tokio::test]
async fn a_sync_that_failed_is_no_promise() {
    let site = Site::new(silent());
    let trace = site.dir().join("trace");
    let mut words = strace::wrapper(&trace);
    let end = words.len() - 1;
    let inject = ["-e", "inject=fdatasync,fsync:error=EIO:when=20..60+4"].map(str::to_owned);
    words.splice(end..end, inject);
    let mut running = site.service().under(&words).start().await;
    let to = running.addresses().public;
    let (mut refused, mut mended) = (0, Vec::new());
    for number in 0..30 {
        let id = format!("event-{number}-end");
        let mut put_off = false;
        for _ in 0..20 {
            let mut client = RawClient::connect(to).await.unwrap();
            client.send(&site.request(&id, "p")).await.unwrap();
            let status = client.response().await.unwrap().status;
            if status == 200 {
                mended.push((client.local_address(), id.clone()));
                break;
            }
            assert_eq!(status, 503);
            put_off = true;
        }
        refused += usize::from(put_off);
    }
    assert_eq!(mended.len(), 30, "{}", running.log());
    assert!(refused > 0, "no sync failed under an event: nothing was tested");
    running.terminate(SOON).await;
    load::assert_sound(&running.log());
    let trace = Trace::read(&trace);
    for (client, id) in &mended {
        let durable = trace.check_durable_before_200(*client, id.as_bytes(), ".db-wal");
        assert_eq!(durable, Ok(()), "{id}");
    }
}

#[tokio::test]
#[expect(clippy::print_stderr, reason = "a failure must be repeatable")]
async fn nothing_acknowledged_is_lost_or_doubled_across_kill_9() {
    let variable = |name| std::env::var(name).ok().and_then(|text: String| text.parse().ok());
    let rounds = variable("TOLLBELL_KILL_ROUNDS").unwrap_or(KILL_ROUNDS as u64);
    let seed = variable("TOLLBELL_KILL_SEED").unwrap_or_else(|| fastrand::u64(..));
    eprintln!("TOLLBELL_KILL_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);

    let (hook, mail) = (HttpSink::start().await, SmtpSink::start().await);
    // Long enough that most crashes cut a send off.
    hook.always("/hook", Reply::ok().after(Duration::from_millis(3)));
    let site = Site::new(routing(&hook, &mail));
    let service = site.service();
    let mut running = service.start().await;
    let addresses = running.addresses();
    let load = Load::start(addresses.public, &site.signer, CLIENTS, PAUSE, MAIL_EVERY);
    let mut ready = Vec::new();
    for _ in 0..rounds {
        // The instant of the crash, which is the point.
        tokio::time::sleep(Duration::from_millis(random.u64(100..400))).await;
        running.kill9();
        running = service.restart(addresses).await;
        ready.push(running.ready_after());
    }
    let tally = load.stop().await;
    let draining = tokio::time::Instant::now();
    load::drained(&running, DRAIN).await;
    let drained = draining.elapsed();
    assert!(running.terminate(SOON).await.success());
    load::assert_sound(&running.log());

    let arrived = Arrived::new(&hook, &mail);
    eprintln!(
        "{rounds} rounds, start {:?} at most, drained in {:?}: {} acknowledged, {} unanswered, {} refused, {} sent twice",
        ready.iter().max(),
        drained,
        tally.acknowledged.len(),
        tally.unanswered.len(),
        tally.refused.len(),
        arrived.times.values().filter(|times| **times > 1).count(),
    );
    assert!(tally.acknowledged.len() as u64 > rounds, "no load to speak of");
    check(&site, &tally, &arrived).await;
}

/// What came to the receivers.
pub(super) struct Arrived {
    /// The keys by event: the webhook's `Idempotency-Key` or the mail's Message-ID.
    keys: BTreeMap<String, BTreeSet<String>>,
    /// How often each key came.
    pub(super) times: BTreeMap<String, usize>,
}

impl Arrived {
    pub(super) fn new(hook: &HttpSink, mail: &SmtpSink) -> Self {
        let mut arrived = Self { keys: BTreeMap::new(), times: BTreeMap::new() };
        for request in hook.requests("/hook") {
            let event =
                request.json()["alerts"][0]["labels"]["event_id"].as_str().unwrap().to_owned();
            arrived.note(event, request.header("idempotency-key").unwrap());
        }
        for mail in mail.transmissions() {
            let text = mail.text.as_deref().unwrap();
            let event = text.split_once("event <").and_then(|(_, rest)| rest.split_once('>'));
            arrived.note(event.unwrap().0.to_owned(), mail.message_id.as_deref().unwrap());
        }
        arrived
    }

    fn note(&mut self, event: String, key: &str) {
        self.keys.entry(event).or_default().insert(key.to_owned());
        *self.times.entry(key.to_owned()).or_default() += 1;
    }
}

pub(super) async fn check(site: &Site, tally: &Tally, arrived: &Arrived) {
    let stored: BTreeSet<String> = site.stored().await.into_iter().collect();
    for id in &tally.acknowledged {
        assert!(stored.contains(id), "{id} was acknowledged and is not in the store");
        assert!(arrived.keys.contains_key(id), "{id} was acknowledged and reached nobody");
    }
    for (event, keys) in &arrived.keys {
        assert!(stored.contains(event), "{event} rang and is not in the store");
        assert_eq!(keys.len(), 1, "{event} was judged twice to effect");
    }
    let deliveries = site.deliveries().await;
    assert_eq!(deliveries.len(), stored.len(), "one delivery for each event");
    let rows: BTreeMap<&str, _> = deliveries.iter().map(|row| (row.id.as_str(), row)).collect();
    for (key, times) in &arrived.times {
        // A Message-ID is the key and a domain.
        let id = key.split('@').next().unwrap();
        let row = rows.get(id).unwrap_or_else(|| panic!("{key} is no delivery of ours"));
        assert_eq!(row.state.as_str(), "delivered", "{key}");
        assert!(*times == 1 || row.maybe_repeated, "{key} came {times} times and was not counted");
        assert!(
            *times <= row.attempts as usize,
            "{key} came {times} times in {} attempts",
            row.attempts
        );
    }
}

#[tokio::test]
async fn a_send_that_a_crash_cut_off_is_repeated_with_its_key_and_counted() {
    let (hook, mail) = (HttpSink::start().await, SmtpSink::start().await);
    hook.next("/hook", [Reply::hang()]);
    mail.next([Script::Hang(Stage::Body)]);
    let site = Site::new(routing(&hook, &mail));
    let service = site.service();
    let mut running = service.start().await;
    let addresses = running.addresses();
    assert_eq!(site.post(addresses.public, "posted-1", "p").await.status, 200);
    assert_eq!(site.post(addresses.public, "mailed-1", MAILED).await.status, 200);
    eventually(SOON, || hook.requests("/hook").len() == 1 && mail.transmissions().len() == 1).await;
    running.kill9();

    let mut running = service.restart(addresses).await;
    load::drained(&running, SOON).await;
    let scrape = load::metrics(addresses.private).await;
    assert!(running.terminate(SOON).await.success());
    let arrived = Arrived::new(&hook, &mail);
    for event in ["posted-1", "mailed-1"] {
        assert_eq!(arrived.keys[event].len(), 1, "the same key");
    }
    assert_eq!(arrived.times.values().copied().collect::<Vec<_>>(), [2, 2]);
    for (integration, receiver) in [("webhook", "hook"), ("email", "mail")] {
        let series = format!(
            "tollbell_notifications_resent_total{{integration=\"{integration}\",receiver=\"{receiver}\"}}"
        );
        assert_eq!(load::value(&scrape, &series), Some(1.0), "{series}");
    }
    assert!(site.deliveries().await.iter().all(|row| row.maybe_repeated && row.attempts == 2));
}

/// Fires by profile, and ends an hour after the last event.
const BY_PROFILE: &str = r"
groups:
  - name: spend
    rules:
      - alert: Profile
        on: [messaging-profile.spend-limit-reached]
        by: {event_id: payload.profile_id}
        active_for: 1h
";

/// Events wait since yesterday, more than one batch of them; the alert that the first one fires is kept alive by
/// the last one, so it rings once, however late and in however many batches they are judged.
#[tokio::test]
async fn a_backlog_is_judged_as_it_would_have_been_in_time() {
    let (hook, mail) = (HttpSink::start().await, SmtpSink::start().await);
    let site = Site::new(routing(&hook, &mail));
    std::fs::write(site.dir().join("rules.yaml"), BY_PROFILE).unwrap();
    let began = Clock::system().now() - jiff::SignedDuration::from_hours(24);
    let settings = store::Settings {
        path: site.database().to_owned(),
        retention: Duration::from_hours(30 * 24),
        payload: PayloadPolicy::default(),
    };
    let store = store::Store::open(&settings, Box::new(|_| ())).await.unwrap();
    let record = async |minutes: u64, body: Vec<u8>| {
        let received_at = clock::add(began, Duration::from_mins(minutes));
        let incoming = Incoming {
            account: "default",
            default_currency: None,
            content_type: None,
            body: &body,
            received_at,
            policy: PayloadPolicy::Full,
        };
        store.record(event::parse(&incoming)).await.unwrap();
    };
    record(0, telnyx::spend_limit("first", began, "profile", "1", "2")).await;
    // Too much to be read at once.
    for number in 0..6 {
        let payload = serde_json::json!({"note": "x".repeat(900 * 1024)});
        record(1, telnyx::event(&format!("large-{number}"), "other.kind", began, &payload)).await;
    }
    record(30, telnyx::spend_limit("last", began, "profile", "1", "2")).await;
    store.close().await.unwrap();

    let mut running = site.service().start().await;
    load::drained(&running, SOON).await;
    let expired = "tollbell_alerts{alertname=\"Profile\",state=\"expired\"}";
    let ended = || async {
        let scrape = load::metrics(running.addresses().private).await;
        (load::value(&scrape, expired) == Some(1.0)).then_some(())
    };
    eventually_async(SOON, ended).await;
    assert!(running.terminate(SOON).await.success());
    hook.one("/hook");
    assert_eq!(site.deliveries().await.len(), 1);
}
