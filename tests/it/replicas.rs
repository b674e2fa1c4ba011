//! Several replicas on one PostgreSQL database: nothing that was acknowledged is lost, nothing takes effect twice, whoever is
//! killed, stopped, or taken for dead.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::durability::{Arrived, check, routing};
use crate::support::app::reqwest_client;
use crate::support::cluster::{self, Cluster};
use crate::support::http::{HttpSink, Reply};
use crate::support::load::{self, Load, Site};
use crate::support::process::Running;
use crate::support::smtp::SmtpSink;
use crate::support::wait::{SOON, eventually, eventually_async};

/// Rounds without `TOLLBELL_KILL_ROUNDS`; each waits for a takeover.
const ROUNDS: usize = 3;
/// Clients that post at once.
const CLIENTS: usize = 6;
/// Between two events of a client.
const PAUSE: Duration = Duration::from_millis(40);
/// Every so many events one goes to mail.
const MAIL_EVERY: usize = 10;
/// How long the last process may take to send what is left.
const DRAIN: Duration = Duration::from_mins(2);
/// How long a takeover may take, by the promise and with what a busy machine adds.
const TAKEOVER: Duration = Duration::from_secs(if cfg!(debug_assertions) { 15 } else { 5 });

fn rounds() -> usize {
    let given = std::env::var("TOLLBELL_KILL_ROUNDS").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(ROUNDS)
}

/// A site on a schema of its own in the cluster that the tests share.
fn site(hook: &HttpSink, mail: &SmtpSink) -> Site {
    Site::new(routing(hook, mail)).postgres(&cluster::shared().url(), &cluster::schema())
}

async fn judges(replica: &Running) -> bool {
    let scrape = load::metrics(replica.addresses().private).await;
    load::value(&scrape, "tollbell_judges") == Some(1.0)
}

/// Waits until it judges; how long that took.
async fn judging(replica: &Running) -> Duration {
    let begun = Instant::now();
    eventually_async(TAKEOVER, move || async move { judges(replica).await.then_some(()) }).await;
    begun.elapsed()
}

async fn ended(replicas: &mut [Running]) {
    for replica in replicas {
        assert!(replica.terminate(SOON).await.success(), "{}", replica.log());
        load::assert_sound(&replica.log());
    }
}

#[tokio::test]
async fn every_replica_answers_the_api() {
    let (hook, mail) = (HttpSink::start().await, SmtpSink::start().await);
    let first = site(&hook, &mail);
    let second = first.replica();
    let services = [first.service(), second.service()];
    let mut replicas = [services[0].start().await, services[1].start().await];
    for replica in &replicas {
        let private = replica.addresses().private;
        let get = async |path: &str| -> Value {
            let url = format!("http://{private}/api/v1/{path}");
            let response = reqwest_client().get(url).send().await.unwrap();
            let (status, text) = (response.status(), response.text().await.unwrap());
            assert_eq!(status, 200, "{path}: {text}");
            serde_json::from_str(&text).unwrap()
        };
        let look = async || {
            let status = get("status").await;
            let replicas = status["replicas"].as_array().unwrap();
            let count = |member: &str| replicas.iter().filter(|one| one[member] == true).count();
            let known = replicas.len() == 2 && count("judges") == 1 && count("is_self") == 1;
            known.then_some(status)
        };
        let status = eventually_async(TAKEOVER, look).await;
        assert_eq!(status["store"], json!({"kind": "postgresql", "error": null}));
        for path in [
            "events?limit=1&before=9&without_kind=account.balance&kind=call.*",
            "deliveries?state=dead&before=01234567",
            "rules",
            "receivers",
            "spend",
            "spend?by=day",
            "balance",
            "balance/default/readings?limit=1",
            "audit?before=9",
        ] {
            assert!(get(path).await.is_object(), "{path}");
        }
    }
    ended(&mut replicas).await;
}

#[tokio::test]
#[expect(clippy::print_stderr, reason = "figures of the run")]
async fn nothing_acknowledged_is_lost_or_doubled_when_replicas_are_killed() {
    let (hook, mail) = (HttpSink::start().await, SmtpSink::start().await);
    hook.always("/hook", Reply::ok().after(Duration::from_millis(3)));
    let first = site(&hook, &mail);
    let second = first.replica();
    let services = [first.service(), second.service()];
    let mut replicas = [services[0].start().await, services[1].start().await];
    let to = [replicas[0].addresses(), replicas[1].addresses()];
    let public = to.map(|addresses| addresses.public);
    let load = Load::spread(&public, &first.signer, CLIENTS, PAUSE, MAIL_EVERY);
    let mut takeovers = Vec::new();
    for round in 0..rounds() {
        let judge = usize::from(judges(&replicas[1]).await);
        let (killed, other) = if round % 3 == 2 { (1 - judge, judge) } else { (judge, 1 - judge) };
        let acknowledged = load.acknowledged();
        eventually(SOON, || load.acknowledged() > acknowledged + 20).await;
        replicas[killed].kill9();
        takeovers.push(judging(&replicas[other]).await);
        replicas[killed] = services[killed].restart(to[killed]).await;
    }
    let tally = load.stop().await;
    let judge = usize::from(judges(&replicas[1]).await);
    load::drained(&replicas[judge], DRAIN).await;
    let arrived = Arrived::new(&hook, &mail);
    eprintln!(
        "{} rounds, takeover {:?} at most: {} acknowledged, {} unanswered, {} refused, {} sent twice",
        takeovers.len(),
        takeovers.iter().max(),
        tally.acknowledged.len(),
        tally.unanswered.len(),
        tally.refused.len(),
        arrived.times.values().filter(|times| **times > 1).count(),
    );
    check(&first, &tally, &arrived).await;
    ended(&mut replicas).await;
}

#[tokio::test]
async fn a_judge_that_stood_still_is_replaced_and_commits_nothing_when_it_returns() {
    let (hook, mail) = (HttpSink::start().await, SmtpSink::start().await);
    let first = site(&hook, &mail);
    let second = first.replica();
    let mut replicas = [first.service().start().await, second.service().start().await];
    assert!(judges(&replicas[0]).await && !judges(&replicas[1]).await);
    let load =
        Load::start(replicas[1].addresses().public, &first.signer, CLIENTS, PAUSE, MAIL_EVERY);
    eventually(SOON, || load.acknowledged() > 30).await;
    replicas[0].signal("STOP");
    judging(&replicas[1]).await;
    let acknowledged = load.acknowledged();
    eventually(SOON, || load.acknowledged() > acknowledged + 30).await;
    replicas[0].signal("CONT");
    let tally = load.stop().await;
    eventually_async(SOON, || async { (!judges(&replicas[0]).await).then_some(()) }).await;
    load::drained(&replicas[1], DRAIN).await;
    assert!(judges(&replicas[1]).await);
    check(&first, &tally, &Arrived::new(&hook, &mail)).await;
    ended(&mut replicas).await;
}

#[tokio::test]
async fn a_replica_that_ends_hands_over_at_once_and_readiness_follows_the_database() {
    let (hook, mail) = (HttpSink::start().await, SmtpSink::start().await);
    let cluster = Cluster::start(&[]);
    let first = Site::new(routing(&hook, &mail)).postgres(&cluster.url(), "tollbell");
    let second = first.replica();
    let mut replicas = vec![first.service().start().await, second.service().start().await];
    let mut ending = replicas.remove(0);
    assert!(ending.terminate(SOON).await.success(), "{}", ending.log());
    judging(&replicas[0]).await;
    let addresses = replicas[0].addresses();
    assert_eq!(first.post(addresses.public, "before-end", "p").await.status, 200);
    cluster.control("stop -m immediate");
    let is_ready = |status| {
        eventually_async(SOON, move || async move {
            (load::probe(addresses.private, "/readyz").await == status).then_some(())
        })
    };
    is_ready(503).await;
    assert_eq!(load::probe(addresses.private, "/livez").await, 200, "a restart would not help");
    assert_eq!(first.post(addresses.public, "away-end", "p").await.status, 503);
    cluster.control("start");
    is_ready(200).await;
    eventually_async(SOON, || async {
        (first.post(addresses.public, "away-end", "p").await.status == 200).then_some(())
    })
    .await;
    load::drained(&replicas[0], DRAIN).await;
    let arrived = Arrived::new(&hook, &mail);
    assert_eq!(arrived.times.len(), 2);
    ended(&mut replicas).await;
}

#[tokio::test]
async fn replicas_work_behind_a_pooler_in_transaction_mode() {
    let (hook, mail) = (HttpSink::start().await, SmtpSink::start().await);
    let pooler = Pooler::start(cluster::shared());
    let url = format!("postgres://tollbell@127.0.0.1:{}/postgres", pooler.port);
    let first = Site::new(routing(&hook, &mail)).postgres(&url, &cluster::schema());
    let second = first.replica();
    let mut replicas = [first.service().start().await, second.service().start().await];
    let public = [0, 1].map(|n: usize| replicas[n].addresses().public);
    let load = Load::spread(&public, &first.signer, CLIENTS, PAUSE, MAIL_EVERY);
    eventually(SOON, || load.acknowledged() > 60).await;
    let judge = usize::from(judges(&replicas[1]).await);
    replicas[judge].signal("STOP");
    judging(&replicas[1 - judge]).await;
    replicas[judge].signal("CONT");
    let tally = load.stop().await;
    load::drained(&replicas[1 - judge], DRAIN).await;
    check(&first, &tally, &Arrived::new(&hook, &mail)).await;
    ended(&mut replicas).await;
}

/// `PgBouncer` as Debian ships it, in transaction mode, with fewer connections to the server than its clients have.
struct Pooler {
    port: u16,
    child: std::process::Child,
    _folder: tempfile::TempDir,
}

impl Pooler {
    fn start(cluster: &Cluster) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let ini = format!(
            "[databases]\npostgres = host=127.0.0.1 port={} user=tollbell\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = 4\nmax_client_conn = 200\n\
             server_login_retry = 1\nquery_wait_timeout = 5\n",
            cluster.port
        );
        // It reads its file once more as another user.
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), readable).unwrap();
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, ini).unwrap();
        let unpacked =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".tools/servers/pgbouncer/usr");
        let mut command = std::process::Command::new(unpacked.join("sbin/pgbouncer"));
        command.env("LD_LIBRARY_PATH", unpacked.join("lib/x86_64-linux-gnu"));
        if cluster.runs_as_other() {
            // It refuses to run as root.
            command.arg("-u").arg("nobody");
        }
        let child = command
            .arg(&file)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("pgbouncer: scripts/tools.sh unpacks it");
        Self { port, child, _folder: folder }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
