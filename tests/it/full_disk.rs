//! The disk is full, locked, broken or read-only: 503 and no crash, and recovery without a restart.
//!
//! Mounts file systems of its own, so it must run as root.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::{Instant, sleep};

use crate::support::app::route;
use crate::support::http::{HttpSink, Reply};
use crate::support::load::{self, Site};
use crate::support::process::Running;
use crate::support::tools::tool;
use crate::support::wait::{SOON, eventually, eventually_async};

/// Events that are tried before the disk is believed to be not full at all.
const TRIES_MAX: usize = 2_000;

fn routing(hook: &HttpSink) -> String {
    format!(
        "{}receivers:\n  - name: hook\n    webhook_configs:\n      \
         - {{url: \"{}\", rate_limit: {{per_second: 1000, burst: 1000}}}}\n",
        route("hook"),
        hook.url("/hook")
    )
}

/// A mounted file system. Dropping it unmounts it.
struct Mount(PathBuf);

impl Mount {
    fn new(at: &Path, args: &[&str]) -> Self {
        fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(args).arg(at).output().unwrap();
        let said = String::from_utf8_lossy(&mounted.stderr);
        assert!(mounted.status.success(), "this test mounts, so it must run as root: {said}");
        Self(at.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

/// Writes until the file system has no byte left.
fn fill(ballast: &Path) {
    let mut file = File::options().create(true).append(true).open(ballast).unwrap();
    for size in [64 * 1024, 4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

/// A service over its store, and the events that it has acknowledged.
struct Watched<'a> {
    site: &'a Site,
    running: Running,
    acknowledged: Vec<String>,
    tried: usize,
}

impl<'a> Watched<'a> {
    async fn start(site: &'a Site) -> Self {
        let running = site.service().start().await;
        Self { site, running, acknowledged: Vec::new(), tried: 0 }
    }

    /// Posts a new event; a refusal must be a 503 that says when to come again.
    async fn post(&mut self) -> bool {
        self.tried += 1;
        let id = format!("event-{}", self.tried);
        let answer = self.site.post(self.running.addresses().public, &id, "p").await;
        if answer.status == 200 {
            self.acknowledged.push(id);
            return true;
        }
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")));
        false
    }

    /// Posts until the store refuses.
    async fn post_until_refused(&mut self) {
        for _ in 0..TRIES_MAX {
            if !self.post().await {
                return;
            }
        }
        panic!("the store took {TRIES_MAX} events");
    }

    /// Posts until the store takes one again.
    async fn post_until_taken(&mut self) {
        let deadline = Instant::now() + SOON;
        while !self.post().await {
            assert!(Instant::now() < deadline, "no recovery:\n{}", self.running.log());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Alive, not ready, and it can still be asked what is wrong.
    async fn is_down(&self) {
        let private = self.running.addresses().private;
        assert_eq!(load::probe(private, "/readyz").await, 503);
        assert_eq!(load::probe(private, "/livez").await, 200);
        let scrape = load::metrics(private).await;
        let refused = load::value(&scrape, REFUSED).unwrap_or_default()
            + load::value(&scrape, LATE).unwrap_or_default();
        assert!(refused >= 1.0, "{scrape}");
    }

    async fn is_ready(&self) {
        let private = self.running.addresses().private;
        let ready = || async { (load::probe(private, "/readyz").await == 200).then_some(()) };
        eventually_async(SOON, ready).await;
    }

    /// Everything acknowledged is in the store, was judged, and reached the sink, each under one key.
    async fn end(mut self, hook: &HttpSink) -> String {
        load::drained(&self.running, Duration::from_mins(1)).await;
        assert!(self.running.terminate(SOON).await.success(), "{}", self.running.log());
        let stored = self.site.stored().await;
        let rung: Vec<String> = hook
            .requests("/hook")
            .iter()
            .map(|request| request.json()["alerts"][0]["labels"]["event_id"].to_string())
            .collect();
        for id in &self.acknowledged {
            assert!(stored.contains(id), "{id} was acknowledged and is not in the store");
            assert!(rung.contains(&format!("{id:?}")), "{id} was acknowledged and rang nobody");
        }
        for row in self.site.deliveries().await {
            assert_eq!(row.state.as_str(), "delivered", "{}", row.id);
        }
        let log = self.running.log();
        load::assert_sound(&log);
        log
    }
}

const REFUSED: &str = "tollbell_webhooks_rejected_total{account=\"default\",reason=\"store\"}";
const LATE: &str = "tollbell_webhooks_rejected_total{account=\"default\",reason=\"store_timeout\"}";

#[tokio::test]
async fn a_full_disk_is_503_until_there_is_room_again() {
    let hook = HttpSink::start().await;
    let at = tempfile::tempdir().unwrap();
    let mount = Mount::new(&at.path().join("data"), &["-t", "tmpfs", "-o", "size=4m", "tmpfs"]);
    let site = Site::new(routing(&hook)).store_in(&mount.0);
    let mut watched = Watched::start(&site).await;
    // One send is under way when the disk fills up: its outcome must be kept when there is room.
    hook.next("/hook", [Reply::ok().after(Duration::from_secs(1))]);
    assert!(watched.post().await);
    eventually(SOON, || hook.requests("/hook").len() == 1).await;

    let ballast = mount.0.join("ballast");
    fill(&ballast);
    watched.post_until_refused().await;
    // What the log already holds may have left a few bytes; and refusing is no one-time affair.
    for _ in 0..5 {
        fill(&ballast);
        watched.post().await;
    }
    assert!(!watched.post().await);
    watched.is_down().await;
    // The send ends while nothing can be written.
    let not_recorded =
        || watched.running.log().contains("the outcome of a send is not recorded yet");
    eventually(SOON, not_recorded).await;
    assert!(!watched.post().await);

    fs::remove_file(&ballast).unwrap();
    watched.post_until_taken().await;
    watched.is_ready().await;
    assert!(watched.post().await);
    let log = watched.end(&hook).await;
    assert_eq!(log.matches("tollbell is ready").count(), 1, "no restart");
    let keys: Vec<_> = hook.requests("/hook");
    let first = keys[0].header("idempotency-key").unwrap();
    let sent = keys.iter().filter(|request| request.header("idempotency-key") == Some(first));
    assert_eq!(sent.count(), 1, "what was sent while the disk was full is not sent again");
    // Told once, not for each webhook.
    assert!(log.matches("the store cannot commit").count() <= 6, "{log}");
}

/// Makes system calls of the running service fail, as a disk does that went bad. Dropping it ends that.
struct Fault(Child);

impl Fault {
    async fn inject(running: &Running, errno: &str, scratch: &Path) -> Self {
        let calls = "pwrite64,pwritev,ftruncate,fdatasync,fsync,fallocate";
        let (trace, told) = (scratch.join("fault"), scratch.join("fault.err"));
        let mut child = Command::new(tool("strace"));
        child.args(["-f", "-p", &running.pid().to_string(), "-o"]).arg(trace);
        child.args(["-e", &format!("trace={calls}")]);
        child.args(["-e", &format!("inject={calls}:error={errno}")]);
        child.stdin(Stdio::null()).stderr(File::create(&told).unwrap());
        let child = Self(child.spawn().unwrap());
        let attached = || fs::read_to_string(&told).unwrap().contains("attached");
        eventually(SOON, attached).await;
        child
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        // Killed, it lets go of what it traces, which goes on unharmed.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

async fn recovers_from(errno: &str) {
    let hook = HttpSink::start().await;
    let site = Site::new(routing(&hook));
    let mut watched = Watched::start(&site).await;
    assert!(watched.post().await);
    for _ in 0..2 {
        let fault = Fault::inject(&watched.running, errno, site.dir()).await;
        watched.post_until_refused().await;
        assert!(!watched.post().await);
        watched.is_down().await;
        drop(fault);
        watched.post_until_taken().await;
        watched.is_ready().await;
        assert!(watched.post().await);
    }
    let log = watched.end(&hook).await;
    assert_eq!(log.matches("tollbell is ready").count(), 1, "no restart");
}

#[tokio::test]
async fn a_disk_that_turned_read_only_is_503_until_it_is_writable() {
    recovers_from("EROFS").await;
}

#[tokio::test]
async fn a_disk_that_fails_is_503_until_it_works() {
    recovers_from("EIO").await;
}

/// The volume goes away beneath the service, comes back read-only, and then as it was.
#[tokio::test]
async fn a_lost_volume_is_503_until_it_is_back_and_writable() {
    let hook = HttpSink::start().await;
    let at = tempfile::tempdir().unwrap();
    let (volume, data) = (at.path().join("volume"), at.path().join("data"));
    fs::create_dir(&volume).unwrap();
    let from = volume.display().to_string();
    let mount = Mount::new(&data, &["--bind", &from]);
    let site = Site::new(routing(&hook)).store_in(&data);
    let mut watched = Watched::start(&site).await;
    assert!(watched.post().await);
    // A claim that is cut off here would hold its delivery until the lease ends, 40 s later.
    load::drained(&watched.running, SOON).await;
    drop(mount);
    watched.post_until_refused().await;
    assert!(!watched.post().await);
    watched.is_down().await;
    assert!(!data.join("tollbell.db").exists(), "no empty store in the place of the lost one");

    let mount = Mount::new(&data, &["--bind", "-o", "ro", &from]);
    for _ in 0..3 {
        assert!(!watched.post().await);
    }
    watched.is_down().await;
    drop(mount);
    let mount = Mount::new(&data, &["--bind", &from]);
    watched.post_until_taken().await;
    watched.is_ready().await;
    let log = watched.end(&hook).await;
    assert_eq!(log.matches("tollbell is ready").count(), 1, "no restart");
    drop(mount);
}

#[tokio::test]
async fn a_database_that_another_program_locks_is_503_until_it_lets_go() {
    let hook = HttpSink::start().await;
    let site = Site::new(routing(&hook));
    let mut watched = Watched::start(&site).await;
    assert!(watched.post().await);
    let other = Connection::open(site.database()).unwrap();
    other.busy_timeout(SOON).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let asked = Instant::now();
    assert!(!watched.post().await);
    assert!(asked.elapsed() < Duration::from_secs(2), "Telnyx waits two seconds for the answer");
    watched.is_down().await;
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    watched.post_until_taken().await;
    watched.is_ready().await;
    watched.end(&hook).await;
}

/// What `serve` says and how it ends when it cannot start.
fn refuses_to_start(site: &Site) -> String {
    let config = fs::read_to_string(site.dir().join("tollbell.yaml")).unwrap();
    let lines = config.lines().map(|line| match line.split_once("listen: ") {
        // Free ports, so that it is the store that it fails at.
        Some((before, _)) => format!("{before}listen: 127.0.0.1:0\n"),
        None => format!("{line}\n"),
    });
    fs::write(site.dir().join("second.yaml"), lines.collect::<String>()).unwrap();
    // Should it run after all, it is not to run for ever.
    let mut serve = Command::new("timeout");
    serve
        .args([
            "--signal=KILL",
            "20",
            env!("CARGO_BIN_EXE_tollbell"),
            "serve",
            "--config",
            "second.yaml",
        ])
        .current_dir(site.dir());
    let ended = serve.output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    load::assert_sound(&said);
    said
}

#[tokio::test]
async fn a_second_service_on_a_store_and_one_that_cannot_write_say_so_and_end() {
    let hook = HttpSink::start().await;
    let at = tempfile::tempdir().unwrap();
    let (volume, data) = (at.path().join("volume"), at.path().join("data"));
    fs::create_dir(&volume).unwrap();
    let from = volume.display().to_string();
    let mount = Mount::new(&data, &["--bind", &from]);
    let site = Site::new(routing(&hook)).store_in(&data);
    let mut watched = Watched::start(&site).await;
    let said = refuses_to_start(&site);
    assert!(said.contains("tollbell.db") && said.contains("another"), "{said}");
    // The first one did not notice.
    assert!(watched.post().await);
    watched.end(&hook).await;

    drop(mount);
    let _mount = Mount::new(&data, &["--bind", "-o", "ro", &from]);
    let said = refuses_to_start(&site);
    assert!(said.contains("tollbell.db") && said.contains("Read-only"), "{said}");
}
