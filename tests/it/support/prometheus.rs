//! A real Prometheus that scrapes us, and promtool's word on what it scrapes.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::raw;
use super::tools::tool;
use super::wait::eventually_async;

/// How long a scrape may take to be seen: the server's start and its discovery, which takes 5 s.
const SEEN_WITHIN: Duration = Duration::from_mins(1);

/// What `promtool check metrics` says of a page of metrics; an error holds its complaints.
pub fn check_metrics(page: &str) -> Result<(), String> {
    let mut command = Command::new(tool("promtool"));
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    if output.status.success() && said.is_empty() { Ok(()) } else { Err(said) }
}

/// A Prometheus server that scrapes one target each second. Dropping it ends it.
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    _dir: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes `/metrics` of `target`.
    pub fn scraping(target: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s}}\n\
             scrape_configs: [{{job_name: tollbell, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        std::fs::write(&config, text).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut command = Command::new(tool("prometheus"));
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, address, _dir: dir }
    }

    /// The samples that an expression (of letters, digits, `_:{}="`) has now: labels and value as text.
    pub async fn query(&self, expression: &str) -> Option<Vec<(Value, String)>> {
        let escaped = [('{', "%7B"), ('}', "%7D"), ('"', "%22"), ('=', "%3D"), (' ', "%20")]
            .iter()
            .fold(expression.to_owned(), |text, (from, to)| text.replace(*from, to));
        let target = format!("/api/v1/query?query={escaped}");
        let response = raw::get(self.address, &target).await.ok()?;
        let answer: Value = serde_json::from_slice(&response.body).ok()?;
        let samples = answer["data"]["result"].as_array()?.iter();
        let sample =
            |it: &Value| (it["metric"].clone(), it["value"][1].as_str().unwrap().to_owned());
        Some(samples.map(sample).collect())
    }

    /// Waits until the expression has samples, and returns them.
    pub async fn wait_for(&self, expression: &str) -> Vec<(Value, String)> {
        let look = || async { self.query(expression).await.filter(|samples| !samples.is_empty()) };
        eventually_async(SEEN_WITHIN, look).await
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::http::{HttpSink, Reply};

    #[tokio::test]
    async fn a_real_prometheus_scrapes_a_page_that_promtool_likes() {
        let page = "# HELP bells_total Bells rung.\n# TYPE bells_total counter\nbells_total{to=\"ops\"} 3\n";
        assert_eq!(check_metrics(page), Ok(()));
        assert!(check_metrics("bells 3\n").unwrap_err().contains("no help text"));
        let sink = HttpSink::start().await;
        let reply = Reply::status(200).header("content-type", "text/plain; version=0.0.4");
        sink.always("/metrics", reply.body(page));
        let prometheus = Prometheus::scraping(SocketAddr::from(([127, 0, 0, 1], sink.port())));
        let samples = prometheus.wait_for("bells_total{to=\"ops\"}").await;
        assert_eq!(samples[0].1, "3");
        assert_eq!(samples[0].0["job"], "tollbell");
    }
}
