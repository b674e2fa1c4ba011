//! The real binary in a folder of its own, and clients that post signed events at it without pause.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use tollbell::clock::Clock;
use tollbell::event::Source;
use tollbell::store::{Address, Delivery, DeliveryFilter, EventFilter, Place, Store};

use super::process::{Running, Service};
use super::raw::{self, RawClient, Response};
use super::telnyx::{self, Signer};
use super::wait::{SOON, eventually_async};

/// The short path of the only account.
pub const PATH: &str = "/webhooks/telnyx";

/// The profile whose events go to mail by [`RULES`].
pub const MAILED: &str = "mailed";

/// Longer than any answer takes: Telnyx itself waits two seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Each event is an alert of its own; those of the profile [`MAILED`] carry another name, to be routed by.
const RULES: &str = r#"
groups:
  - name: load
    rules:
      - alert: Each
        on: [messaging-profile.spend-limit-reached]
        when: payload.profile_id != "mailed"
        by: {event_id: event.id}
        max_series: 100000
        active_for: 1h
        annotations: {summary: "event <{{ labels.event_id }}>"}
      - alert: Mailed
        on: [messaging-profile.spend-limit-reached]
        when: payload.profile_id == "mailed"
        by: {event_id: event.id}
        max_series: 100000
        active_for: 1h
        annotations: {summary: "event <{{ labels.event_id }}>"}
"#;

/// A folder with configuration, rules and data.
pub struct Site {
    pub signer: Signer,
    dir: tempfile::TempDir,
    routing: String,
    server: String,
    store: PathBuf,
    /// Where the store is instead of a file here: a URL of PostgreSQL, and a schema.
    postgres: Option<(String, String)>,
}

impl Site {
    /// With the `route:` and `receivers:` sections.
    pub fn new(routing: impl Into<String>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
        let store = dir.path().join("tollbell.db");
        let (routing, server) = (routing.into(), String::new());
        Self { signer: Signer::new(), dir, routing, server, store, postgres: None }
    }

    /// With its store in a schema of this database of PostgreSQL's.
    pub fn postgres(mut self, url: &str, schema: &str) -> Self {
        self.postgres = Some((url.to_owned(), schema.to_owned()));
        self
    }

    /// The same service with its store there from now on.
    pub fn moved_to(&self, url: &str, schema: &str) -> Self {
        let site = Self::new(self.routing.clone()).server(&self.server).postgres(url, schema);
        Self { signer: self.signer.clone(), ..site }
    }

    /// Another replica on the same store, in a folder of its own.
    pub fn replica(&self) -> Self {
        let site = Self::new(self.routing.clone()).server(&self.server);
        let (url, schema) = self.postgres.as_ref().expect("a store that can be shared");
        site.postgres(url, schema)
    }

    /// With further keys under `server:`, indented by two.
    pub fn server(mut self, keys: &str) -> Self {
        keys.clone_into(&mut self.server);
        self
    }

    /// With its database in another folder.
    pub fn store_in(mut self, dir: &Path) -> Self {
        self.store = dir.join("tollbell.db");
        self
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The database's file.
    pub fn database(&self) -> &Path {
        &self.store
    }

    /// The real binary with this configuration.
    pub fn service(&self) -> Service {
        let key = self.signer.public_key_base64();
        let store = match &self.postgres {
            Some((url, schema)) => format!("  url: \"{url}\"\n  schema: {schema}"),
            None => format!("  url: \"sqlite:{}\"", self.store.display()),
        };
        let (server, routing) = (self.server.clone(), self.routing.clone());
        Service::new(self.dir(), move |addresses| {
            format!(
                "server:\n  listen: {}\n  private_listen: {}\n{server}\n\
                 accounts:\n  - name: default\n    public_keys: [\"{key}\"]\n    currency: USD\n\
                 store:\n{store}\n\
                 rule_files: [rules.yaml]\n{routing}\n",
                addresses.public, addresses.private,
            )
        })
    }

    /// A spend-limit event of the profile, signed now: headers and body.
    pub fn event(&self, id: &str, profile: &str) -> (Vec<(String, String)>, Vec<u8>) {
        signed(&self.signer, id, profile)
    }

    /// The bytes of a whole request with such an event.
    pub fn request(&self, id: &str, profile: &str) -> Vec<u8> {
        let (headers, body) = self.event(id, profile);
        raw::request_bytes("POST", PATH, &headers, &body)
    }

    /// Posts such an event on a connection of its own.
    pub async fn post(&self, to: SocketAddr, id: &str, profile: &str) -> Response {
        let (headers, body) = self.event(id, profile);
        let posted = raw::request(to, "POST", PATH, &headers, &body);
        tokio::time::timeout(ANSWER_WITHIN, posted).await.expect("an answer in time").unwrap()
    }

    /// The ids of the events that came by webhook, newest first.
    pub async fn stored(&self) -> Vec<String> {
        let store = self.attach().await;
        let filter = EventFilter { limit: usize::MAX, ..EventFilter::default() };
        let events = store.events(filter).await.unwrap();
        store.close().await.unwrap();
        let by_webhook = events.into_iter().filter(|event| event.source == Source::Webhook);
        by_webhook.map(|event| event.id).collect()
    }

    /// All deliveries in the store, newest first.
    pub async fn deliveries(&self) -> Vec<Delivery> {
        let store = self.attach().await;
        let filter = DeliveryFilter { limit: usize::MAX, ..DeliveryFilter::default() };
        let deliveries = store.deliveries(filter).await.unwrap();
        store.close().await.unwrap();
        deliveries
    }

    async fn attach(&self) -> Store {
        let place = match &self.postgres {
            Some((url, schema)) => {
                let mut address = Address::parse(url).unwrap();
                schema.clone_into(&mut address.schema);
                Place::Postgres(Box::new(address))
            }
            None => Place::from(&self.store),
        };
        Store::attach(place).await.unwrap()
    }
}

const PENDING: &str = "tollbell_deliveries{state=\"pending\"}";
const SENDING: &str = "tollbell_deliveries{state=\"sending\"}";

/// Waits until everything was judged, and every delivery has ended.
#[track_caller]
pub fn drained(running: &Running, within: Duration) -> impl Future<Output = ()> {
    let private = running.addresses().private;
    eventually_async(within, move || async move {
        let text = metrics(private).await;
        let rest = ["tollbell_inbox_lag_events", PENDING, SENDING].map(|name| value(&text, name));
        (rest == [Some(0.0); 3]).then_some(())
    })
}

/// What a scrape shows.
pub async fn metrics(private: SocketAddr) -> String {
    let answer = tokio::time::timeout(SOON, raw::get(private, "/metrics")).await;
    let answer = answer.expect("a scrape in time").unwrap();
    assert_eq!(answer.status, 200);
    answer.text()
}

/// The value of the series in a scrape.
pub fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    line.parse().ok()
}

/// The status of a probe of the private listener.
pub async fn probe(private: SocketAddr, path: &str) -> u16 {
    let answer = tokio::time::timeout(SOON, raw::get(private, path)).await;
    answer.expect("an answer in time").unwrap().status
}

/// Panics when the service has panicked or lost a task, with what it said.
#[track_caller]
pub fn assert_sound(log: &str) {
    for word in ["panicked", "a background task", "a listener failed"] {
        let line = log.lines().find(|line| line.contains(word));
        assert_eq!(line, None, "the log tells of trouble");
    }
}

/// What became of the events of some clients.
#[derive(Debug, Default)]
pub struct Tally {
    /// Answered 200.
    pub acknowledged: Vec<String>,
    /// Sent, at least in part, and never answered.
    pub unanswered: Vec<String>,
    /// Answered otherwise.
    pub refused: Vec<(String, u16)>,
}

/// Clients that post one event after the other, each with an id of its own and a pause before it, until they are
/// stopped. Where the service is gone they try until it is back.
pub struct Load {
    stopping: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Tally>>,
}

impl Load {
    /// Begins. Every `mail_every`th event is of the profile [`MAILED`].
    pub fn start(
        to: SocketAddr,
        signer: &Signer,
        clients: usize,
        pause: Duration,
        mail_every: usize,
    ) -> Self {
        Self::spread(&[to], signer, clients, pause, mail_every)
    }

    /// As [`Load::start`], the clients spread over several addresses.
    pub fn spread(
        to: &[SocketAddr],
        signer: &Signer,
        clients: usize,
        pause: Duration,
        mail_every: usize,
    ) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let clients = (0..clients).map(|number| {
            let client = Client {
                to: to[number % to.len()],
                signer: signer.clone(),
                number,
                pause,
                mail_every,
                stopping: Arc::clone(&stopping),
                acknowledged: Arc::clone(&acknowledged),
            };
            tokio::spawn(client.run())
        });
        Self { clients: clients.collect(), stopping, acknowledged }
    }

    /// How many events were answered 200 so far.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Lets each client end what it has begun.
    pub async fn stop(self) -> Tally {
        self.stopping.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        for client in self.clients {
            let tally = client.await.unwrap();
            all.acknowledged.extend(tally.acknowledged);
            all.unanswered.extend(tally.unanswered);
            all.refused.extend(tally.refused);
        }
        all
    }
}

struct Client {
    to: SocketAddr,
    signer: Signer,
    number: usize,
    pause: Duration,
    mail_every: usize,
    stopping: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
}

impl Client {
    async fn run(self) -> Tally {
        let mut tally = Tally::default();
        let mut connection = None;
        let mut count = 0;
        while !self.stopping.load(Ordering::Relaxed) {
            let Some(mut open) = self.connect(connection.take()).await else { continue };
            tokio::time::sleep(self.pause).await;
            count += 1;
            let id = format!("event-{}-{count}", self.number);
            let profile = if count % self.mail_every == 0 { MAILED } else { "posted" };
            let (headers, body) = signed(&self.signer, &id, profile);
            let request = raw::request_bytes("POST", PATH, &headers, &body);
            let exchange = async {
                open.send(&request).await?;
                open.response().await
            };
            match tokio::time::timeout(ANSWER_WITHIN, exchange).await.expect("an answer in time") {
                Ok(response) if response.status == 200 => {
                    self.acknowledged.fetch_add(1, Ordering::Relaxed);
                    tally.acknowledged.push(id);
                }
                Ok(response) => tally.refused.push((id, response.status)),
                Err(_gone) => {
                    tally.unanswered.push(id);
                    continue;
                }
            }
            connection = Some(open);
        }
        tally
    }

    async fn connect(&self, open: Option<RawClient>) -> Option<RawClient> {
        if open.is_some() {
            return open;
        }
        let connected = RawClient::connect(self.to).await.ok();
        if connected.is_none() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        connected
    }
}

fn signed(signer: &Signer, id: &str, profile: &str) -> (Vec<(String, String)>, Vec<u8>) {
    let now = Clock::system().now();
    let body = telnyx::spend_limit(id, now, profile, "10.00", "10.02");
    (signer.headers(now, &body), body)
}
