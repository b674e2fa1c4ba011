//! A real Alertmanager that takes alerts and tells nobody.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::raw;
use super::tools::tool;
use super::wait::eventually_async;

/// How long its start, or a change in what it shows, may take on a busy machine.
const SEEN_WITHIN: Duration = Duration::from_mins(1);

/// An Alertmanager process. Dropping it ends the process.
pub struct Alertmanager {
    child: Child,
    address: SocketAddr,
    _dir: TempDir,
}

impl Alertmanager {
    /// Starts one; requests before it listens are refused.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("alertmanager.yml");
        std::fs::write(&config, "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
            .unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut command = Command::new(tool("alertmanager"));
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.path={}", dir.path().join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        command.arg("--cluster.listen-address=");
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, address, _dir: dir }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The alerts of a name that it shows as not resolved; none while it does not answer.
    async fn alerts(&self, name: &str) -> Option<Vec<Value>> {
        let response = raw::get(self.address, "/api/v2/alerts").await.ok()?;
        let all: Vec<Value> = serde_json::from_slice(&response.body).ok()?;
        Some(all.into_iter().filter(|alert| alert["labels"]["alertname"] == name).collect())
    }

    /// Waits for an alert of this name.
    pub async fn wait_for_alert(&self, name: &str) -> Value {
        let look = || async { self.alerts(name).await?.pop() };
        eventually_async(SEEN_WITHIN, look).await
    }

    /// Waits until it shows so many alerts of this name.
    pub async fn wait_for_alerts(&self, name: &str, count: usize) {
        let look = || async { (self.alerts(name).await?.len() == count).then_some(()) };
        eventually_async(SEEN_WITHIN, look).await;
    }

    /// Waits until it shows no alert of this name: a resolved one is not listed.
    pub async fn wait_for_no_alert(&self, name: &str) {
        let look = || async { self.alerts(name).await?.is_empty().then_some(()) };
        eventually_async(SEEN_WITHIN, look).await;
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
