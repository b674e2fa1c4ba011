//! PostgreSQL clusters of the tests' own: on a free port of this machine, in a temporary directory, gone with the process.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A running cluster. It ends when this is dropped, or with the process.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub port: u16,
    /// Holds `data`, and `log`.
    pub folder: PathBuf,
    // Closed when we end, however we do: then the script ends the cluster.
    _alive: ChildStdin,
    _script: Child,
}

/// The cluster that all tests of this process share; each has a schema of its own in it.
pub(crate) fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::start(&[]))
}

/// A schema that nobody else has.
pub(crate) fn schema() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Cluster {
    /// Starts one, with further settings such as `fsync=off`.
    pub(crate) fn start(settings: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/postgres.sh");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = free.expect("a free port").port();
        let mut script = Command::new("bash")
            .arg(script)
            .arg(port.to_string())
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash runs");
        let alive = script.stdin.take().expect("is piped");
        let mut folder = String::new();
        let said = BufReader::new(script.stdout.take().expect("is piped")).read_line(&mut folder);
        assert!(
            said.is_ok_and(|bytes| bytes > 0),
            "PostgreSQL does not start; scripts/tools.sh installs it"
        );
        Self { port, folder: folder.trim().into(), _alive: alive, _script: script }
    }

    /// Runs `pg_ctl` with these words and waits until it is done, such as `stop -m immediate` or `start`.
    pub(crate) fn control(&self, words: &str) {
        let folder = self.folder.display();
        let as_owner = "setpriv --reuid nobody --regid $(id -g nobody) --clear-groups";
        let as_owner = if self.runs_as_other() { as_owner } else { "" };
        let command = format!(
            "cd {folder} && {as_owner} $(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)/pg_ctl \
             -D {folder}/data -l {folder}/data/log -w {words} >/dev/null"
        );
        let status = Command::new("bash").args(["-c", &command]).status().expect("bash runs");
        assert!(status.success(), "{command}");
    }

    /// Whether the cluster belongs to another user than the tests: it does not run as root.
    pub(crate) fn runs_as_other(&self) -> bool {
        let owner = |path: &Path| std::fs::metadata(path).map(|found| found.uid()).ok();
        owner(&self.folder) != owner(Path::new("/proc/self"))
    }

    /// Where it is, as a configuration says it.
    pub(crate) fn url(&self) -> String {
        format!("postgres://tollbell@127.0.0.1:{}/postgres", self.port)
    }
}
