//! The real binary as a process: started on free ports, waited for, killed in each of the ways that matter.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use super::raw;
use super::wait::eventually_some;

/// How often other ports are tried when someone else took the free ones in between.
const PORT_TRIES: u32 = 5;

/// The two addresses that the configuration must listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// For webhooks.
    pub public: SocketAddr,
    /// For metrics, health and the API; `GET /readyz` is asked here.
    pub private: SocketAddr,
}

/// How to start the service: a folder that outlives it, a configuration, and what is beside it.
pub struct Service {
    dir: PathBuf,
    program: PathBuf,
    args: Vec<String>,
    wrapper: Vec<String>,
    env: Vec<(String, String)>,
    ready_within: Duration,
    config: Box<dyn Fn(Addresses) -> String + Send>,
}

impl Service {
    /// `tollbell serve` in `dir`, which holds its configuration, data and logs. `config` writes the YAML.
    pub fn new(dir: &Path, config: impl Fn(Addresses) -> String + Send + 'static) -> Self {
        let file = dir.join("tollbell.yaml").display().to_string();
        Self {
            dir: dir.to_owned(),
            program: PathBuf::from(env!("CARGO_BIN_EXE_tollbell")),
            args: vec!["serve".to_owned(), "--config".to_owned(), file],
            wrapper: Vec::new(),
            env: Vec::new(),
            ready_within: Duration::from_secs(20),
            config: Box::new(config),
        }
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// Runs it under another program, such as strace, that ends when it ends.
    #[must_use]
    pub fn under(mut self, command: &[String]) -> Self {
        command.clone_into(&mut self.wrapper);
        self
    }

    /// Runs another program in its place.
    #[must_use]
    pub fn program(mut self, program: &Path, args: &[&str]) -> Self {
        program.clone_into(&mut self.program);
        self.args = args.iter().map(|&arg| arg.to_owned()).collect();
        self
    }

    /// Its configuration on these addresses.
    pub fn yaml(&self, addresses: Addresses) -> String {
        (self.config)(addresses)
    }

    /// Starts it on free ports and waits until it is ready.
    pub async fn start(&self) -> Running {
        let mut tries = 0;
        loop {
            tries += 1;
            let addresses = free_addresses();
            fs::write(self.dir.join("tollbell.yaml"), (self.config)(addresses)).unwrap();
            match self.start_on(addresses).await {
                Ok(running) => return running,
                Err(log) if tries < PORT_TRIES && log.to_lowercase().contains("in use") => {}
                Err(log) => panic!("the service ended before it was ready:\n{log}"),
            }
        }
    }

    /// Starts it again with the configuration and the ports it had, as a supervisor would.
    pub async fn restart(&self, addresses: Addresses) -> Running {
        let started = self.start_on(addresses).await;
        started.unwrap_or_else(|log| panic!("the service ended before it was ready:\n{log}"))
    }

    async fn start_on(&self, addresses: Addresses) -> Result<Running, String> {
        let mut running = self.spawn(addresses);
        let deadline = Instant::now() + self.ready_within;
        loop {
            if let Some(status) = running.child.try_wait().unwrap() {
                return Err(format!("{status}\n{}", running.log()));
            }
            let asked = raw::get(addresses.private, "/readyz");
            let answer = tokio::time::timeout(Duration::from_secs(1), asked).await;
            if answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status == 200)) {
                break;
            }
            assert!(Instant::now() < deadline, "not ready in time:\n{}", running.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        running.ready_after = running.started.elapsed();
        Ok(running)
    }

    fn spawn(&self, addresses: Addresses) -> Running {
        let log = self.dir.join("tollbell.log");
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let mut words = self.wrapper.iter().map(PathBuf::from).chain([self.program.clone()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(&self.args).current_dir(&self.dir);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let started = Instant::now();
        let child = command.spawn().unwrap();
        let wrapped = !self.wrapper.is_empty();
        Running { child, wrapped, addresses, log, started, ready_after: Duration::ZERO }
    }
}

/// A service that was ready once. Dropping it kills it.
pub struct Running {
    child: Child,
    wrapped: bool,
    addresses: Addresses,
    log: PathBuf,
    started: Instant,
    ready_after: Duration,
}

impl Running {
    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// How long it took from the start of the process to its first "ready".
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// Its process id; of the program itself, also under a wrapper.
    pub fn pid(&self) -> u32 {
        self.find_pid().expect("the service runs")
    }

    fn find_pid(&self) -> Option<u32> {
        let child = self.child.id();
        if !self.wrapped {
            return Some(child);
        }
        let children = fs::read_to_string(format!("/proc/{child}/task/{child}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }

    /// All that it and its predecessors in this folder have printed.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    /// Its resident memory in bytes.
    pub fn rss_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most resident memory that it ever had, in bytes.
    pub fn rss_peak_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// User and system time that it has used so far.
    pub fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        // The second field is the name in parentheses, which may hold blanks; utime and stime are 14th and 15th.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        // A tick is 10 ms on every Linux (USER_HZ).
        Duration::from_millis(ticks * 10)
    }

    /// Kills it at once, as a crash does, and waits until it is gone.
    pub fn kill9(&mut self) {
        signal("KILL", self.pid());
        self.child.wait().unwrap();
    }

    /// Asks it to end, and returns how it did; panics when it has not within `within`.
    pub async fn terminate(&mut self, within: Duration) -> ExitStatus {
        signal("TERM", self.pid());
        self.ended(within).await
    }

    /// Sends it a signal by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        signal(name, self.pid());
    }

    /// Waits until it has ended by itself, and returns how; panics when it has not within `within`.
    #[track_caller]
    pub fn ended(&mut self, within: Duration) -> impl Future<Output = ExitStatus> {
        eventually_some(within, move || self.child.try_wait().unwrap())
    }

    fn memory(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(Some(_ended)) = self.child.try_wait() {
            return;
        }
        // The program before its wrapper, which would leave it behind.
        if let Some(pid) = self.find_pid() {
            signal("KILL", pid);
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Two ports that were free a moment ago.
fn free_addresses() -> Addresses {
    let [public, private] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    Addresses { public: public.local_addr().unwrap(), private: private.local_addr().unwrap() }
}

/// Sends a signal by way of the shell, whose `kill` is always there: this crate has no unsafe code.
fn signal(name: &str, pid: u32) {
    let command = format!("kill -{name} {pid}");
    let status = Command::new("sh").args(["-c", &command]).status().unwrap();
    // 1: it is already gone, which is what most signals want.
    assert!(matches!(status.code(), Some(0 | 1)), "{command}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::tools::python;

    /// Stands in for the service: ready at once, ends by SIGTERM with 3, or fails on its first start.
    const STAND_IN: &str = r#"
import http.server, os, signal, sys
if os.environ.get("FAIL_ONCE") and not os.path.exists("failed"):
    open("failed", "w").close()
    sys.exit("Address already in use")
signal.signal(signal.SIGTERM, lambda *_: os._exit(3))
host, port = open("tollbell.yaml").read().split(":")
print("listening", flush=True)
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
http.server.HTTPServer((host, int(port)), Ready).serve_forever()
"#;

    fn stand_in(dir: &Path) -> Service {
        let service = Service::new(dir, |addresses| addresses.private.to_string());
        service.program(&python(), &["-c", STAND_IN])
    }

    #[tokio::test]
    async fn a_process_starts_answers_and_ends_as_told() {
        let dir = tempfile::tempdir().unwrap();
        let service = stand_in(dir.path()).env("FAIL_ONCE", "1");
        let mut first = service.start().await;
        assert!(first.rss_bytes() > 1 << 20 && first.rss_peak_bytes() >= first.rss_bytes());
        assert!(first.ready_after() > Duration::ZERO && first.cpu_time() > Duration::ZERO);
        first.kill9();
        let mut second = service.restart(first.addresses()).await;
        let status = second.terminate(Duration::from_secs(5)).await;
        assert_eq!(status.code(), Some(3));
        assert_eq!(second.log().matches("listening").count(), 2, "{}", second.log());
    }

    #[tokio::test]
    async fn a_wrapped_process_is_found_and_killed_behind_its_wrapper() {
        let dir = tempfile::tempdir().unwrap();
        let wrapper = ["sh", "-c", "\"$@\"; exit $?", "wrapper"].map(str::to_owned);
        let mut running = stand_in(dir.path()).under(&wrapper).start().await;
        let pid = running.pid();
        assert_ne!(pid, running.child.id());
        running.kill9();
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
