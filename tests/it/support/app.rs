//! The real app on port 0, with a movable clock and a signer that speaks for Telnyx.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tollbell::app::{App, Listeners, Source};
use tollbell::clock::Clock;
use tollbell::config;
use tollbell::store::{DeliveryFilter, DeliveryState};

use super::telnyx::{self, Signer};
use super::wait::{SOON, eventually_async};

/// A running tollbell in this process, over a store of its own.
pub struct TestApp {
    pub clock: Clock,
    pub signer: Signer,
    pub dir: tempfile::TempDir,
    client: reqwest::Client,
    setup: Setup,
    app: Option<App>,
}

/// What a test decides.
#[derive(Clone)]
pub struct Setup {
    /// The `route:` and `receivers:` sections.
    pub routing: String,
    /// The rules file.
    pub rules: String,
    /// Further top-level sections, and keys under `server:` (indented by two).
    pub server: String,
    /// Keys under `store:` (indented by two).
    pub store: String,
    /// Keys of the account (indented by four).
    pub account: String,
    /// Whether time passes by itself.
    pub real_time: bool,
    /// When a clock that does not pass by itself stands at first; now, by default.
    pub begins: Option<Timestamp>,
    /// Whether the files are watched.
    pub watch: bool,
}

impl Setup {
    /// One rule that fires on a spend limit, critical, and the given routing.
    pub fn new(routing: impl Into<String>) -> Self {
        Self {
            routing: routing.into(),
            rules: SPEND_LIMIT_RULE.to_owned(),
            server: String::new(),
            store: String::new(),
            account: String::new(),
            real_time: false,
            begins: None,
            watch: false,
        }
    }

    /// With other rules.
    pub fn rules(mut self, rules: impl Into<String>) -> Self {
        self.rules = rules.into();
        self
    }

    /// With keys under `server:`.
    pub fn server(mut self, server: impl Into<String>) -> Self {
        self.server = server.into();
        self
    }

    /// With keys under `store:`.
    pub fn store(mut self, store: impl Into<String>) -> Self {
        self.store = store.into();
        self
    }

    /// With keys of the account.
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = account.into();
        self
    }

    /// Beginning at this time.
    pub fn begins(mut self, at: &str) -> Self {
        self.begins = Some(at.parse().unwrap());
        self
    }

    /// With the machine's clock.
    pub fn real_time(mut self) -> Self {
        self.real_time = true;
        self
    }

    /// With its files watched.
    pub fn watch(mut self) -> Self {
        self.watch = true;
        self
    }

    /// The configuration file's text.
    pub fn yaml(&self, dir: &Path, public_key: &str) -> String {
        format!(
            "server:\n  listen: 127.0.0.1:0\n  private_listen: 127.0.0.1:0\n{server}\n\
             accounts:\n  - name: default\n    public_keys: [\"{public_key}\"]\n    currency: USD\n{account}\n\
             store:\n  url: \"sqlite:{db}\"\n{store}\n\
             rule_files: [rules.yaml]\n{routing}\n",
            server = self.server,
            store = self.store,
            account = self.account,
            db = dir.join("tollbell.db").display(),
            routing = self.routing,
        )
    }

    /// Starts it.
    pub async fn start(self) -> TestApp {
        self.start_beside(&[]).await
    }

    /// Starts it on a database that this SQL makes.
    pub async fn start_on(self, sql: &str) -> TestApp {
        let mut app = self.prepare(&[]);
        let path = app.dir.path().join("tollbell.db");
        rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
        app.spawn().await;
        app
    }

    /// Starts it with further files, by name and content, beside its configuration.
    pub async fn start_beside(self, files: &[(&str, &str)]) -> TestApp {
        let mut app = self.prepare(files);
        app.spawn().await;
        app
    }

    fn prepare(self, files: &[(&str, &str)]) -> TestApp {
        let clock = if self.real_time {
            Clock::system()
        } else {
            Clock::manual(self.begins.unwrap_or_else(|| Clock::system().now()))
        };
        let dir = tempfile::tempdir().expect("a temporary directory");
        for (name, content) in files {
            std::fs::write(dir.path().join(name), content).unwrap();
        }
        let signer = Signer::new();
        let client = reqwest_client();
        TestApp { clock, signer, dir, client, setup: self, app: None }
    }
}

/// The `group_interval` of [`route`]: after a notice of a group, its next one comes when this has passed.
pub const GROUP_INTERVAL: Duration = Duration::from_secs(1);

/// The `route:` section of a root that tells each alert by itself, at once and without repeats. Keys indented by two
/// may follow.
pub fn route(receiver: &str) -> String {
    format!(
        "route:\n  receiver: {receiver}\n  group_by: ['...']\n  group_wait: 0s\n  \
         group_interval: {}s\n  repeat_interval: 366d\n",
        GROUP_INTERVAL.as_secs()
    )
}

/// Fires on a spend limit, once for each profile.
pub const SPEND_LIMIT_RULE: &str = r#"
groups:
  - name: spend
    rules:
      - alert: SpendLimitReached
        on: [messaging-profile.spend-limit-reached]
        by: {profile: payload.profile_id}
        active_for: 6h
        resolve_on: {on: [messaging-profile.spend-limit-reset]}
        labels: {severity: critical}
        annotations:
          summary: "Messaging profile {{ labels.profile }} spent {{ payload.current_cost | money('USD') }} of {{ payload.configured_limit | money('USD') }}"
"#;

impl TestApp {
    async fn spawn(&mut self) {
        self.write(&self.setup);
        let path = self.config_file();
        let loaded = config::load(&path, &|_name| None);
        let problems: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        let config = loaded.config.unwrap_or_else(|| panic!("{}", problems.join("\n")));
        let (first, watch) = (loaded.sources, self.setup.watch);
        let load = Box::new(move || config::load(&path, &|_name| None));
        let source = Some(Source { load, first, watch });
        let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
        let listeners = Listeners { public: bind(), private: bind() };
        self.app =
            Some(App::start(config, listeners, self.clock.clone(), source).await.expect("starts"));
    }

    /// The main configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.dir.path().join("test.yaml")
    }

    /// Writes the configuration of another setup to the disk, in place.
    pub fn write(&self, setup: &Setup) {
        let dir = self.dir.path();
        std::fs::write(dir.join("rules.yaml"), &setup.rules).unwrap();
        let yaml = setup.yaml(dir, &self.signer.public_key_base64());
        std::fs::write(self.config_file(), yaml).unwrap();
    }

    /// Posts `/-/reload`; gives status, content type and body.
    pub async fn reload(&self) -> (u16, String, serde_json::Value) {
        self.reload_as("").await
    }

    /// Posts `/-/reload` with a token.
    pub async fn reload_as(&self, token: &str) -> (u16, String, serde_json::Value) {
        let url = format!("http://{}/-/reload", self.app().private_addr);
        let request = self.client.post(url).bearer_auth(token);
        let response = request.send().await.expect("answers");
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        let (status, text) = (response.status().as_u16(), response.text().await.expect("text"));
        (status, kind, serde_json::from_str(&text).unwrap())
    }

    /// Writes another configuration and loads it; gives its warnings.
    pub async fn reload_with(&self, setup: &Setup) -> Vec<serde_json::Value> {
        self.write(setup);
        let (status, _, body) = self.reload().await;
        assert_eq!(status, 200, "{body:#}");
        body["warnings"].as_array().unwrap().clone()
    }

    /// Shuts down in order and starts again on the same store, with another setup if given.
    pub async fn restart(&mut self, setup: Option<Setup>) {
        assert!(self.app.take().expect("runs").shutdown().await, "shutdown took too long");
        self.setup = setup.unwrap_or_else(|| self.setup.clone());
        self.spawn().await;
    }

    /// The running app.
    pub fn app(&self) -> &App {
        self.app.as_ref().expect("runs")
    }

    /// A public URL.
    pub fn public(&self, path: &str) -> String {
        format!("http://{}{path}", self.app().public_addr)
    }

    /// Posts a body as Telnyx does; gives the status.
    pub async fn deliver(&self, body: impl Into<Vec<u8>>) -> u16 {
        let body = body.into();
        let timestamp = self.clock.now().as_second().to_string();
        self.client
            .post(self.public("/webhooks/telnyx"))
            .header("content-type", "application/json")
            .header("telnyx-timestamp", &timestamp)
            .header("telnyx-signature-ed25519", self.signer.sign(&timestamp, &body))
            .body(body)
            .send()
            .await
            .expect("answers")
            .status()
            .as_u16()
    }

    /// Gets a private path; gives status and text.
    pub async fn private_get(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.app().private_addr);
        let response = self.client.get(url).send().await.expect("answers");
        (response.status().as_u16(), response.text().await.expect("text"))
    }

    /// The value of a series, named with its labels as in the exposition; 0 when it is not there.
    pub async fn metric(&self, series: &str) -> f64 {
        let (_, text) = self.private_get("/metrics").await;
        text.lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
            .unwrap_or_default()
    }

    /// Waits until a series has a value: what the engine counts is exported right after it is stored.
    pub async fn metric_becomes(&self, series: &str, value: f64) {
        eventually_async(SOON, async || (self.metric(series).await == value).then_some(())).await;
    }

    /// Waits until all that is due is done: nothing unjudged, nothing sending, nothing pending that is due, unless its
    /// integration is paused.
    pub async fn settle(&self) {
        let store = &self.app().store;
        let listed = async |state| {
            let filter = DeliveryFilter { state: Some(state), receiver: None, limit: 1000 };
            store.deliveries(filter).await.expect("list")
        };
        eventually_async(SOON, async || {
            let unjudged = store.stats().await.expect("stats").inbox_lag_events;
            let pending = listed(DeliveryState::Pending).await;
            let now = self.clock.now();
            let due = pending.iter().any(|one| one.next_try(now).is_some_and(|at| at <= now));
            let sending = !listed(DeliveryState::Sending).await.is_empty();
            (unjudged == 0 && !due && !sending).then_some(())
        })
        .await;
    }

    /// Moves the clock and waits until what fell due is done.
    pub async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.settle().await;
    }

    /// Moves the clock, and waits until every timer has run that is due by then, and what it made due is done.
    pub async fn pass(&self, by: Duration) {
        self.clock.advance(by);
        // What no rule looks at: the timers before it run before it.
        let now = self.clock.now();
        let id = format!("pass-{}", now.as_nanosecond());
        assert_eq!(self.deliver(telnyx::event(&id, "fax.queued", now, &json!({}))).await, 200);
        self.settle().await;
    }

    /// Goes on from what is on the disk at this moment, as after `kill -9`: nothing that an orderly end would write is
    /// there.
    pub async fn crash(&mut self) {
        let image = tempfile::tempdir().unwrap();
        for name in ["tollbell.db", "tollbell.db-wal"] {
            let from = self.dir.path().join(name);
            if from.exists() {
                std::fs::copy(from, image.path().join(name)).unwrap();
            }
        }
        assert!(self.app.take().expect("runs").shutdown().await, "shutdown took too long");
        self.dir = image;
        self.spawn().await;
    }

    /// Shuts down in order; fails when that takes longer than it may.
    pub async fn stop(mut self) {
        assert!(self.app.take().expect("runs").shutdown().await, "shutdown took too long");
    }
}

/// A client without redirects, proxies or TLS.
pub fn reqwest_client() -> reqwest::Client {
    // Refused when another test was first; then it is there.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(SOON)
        .build()
        .expect("a client")
}
