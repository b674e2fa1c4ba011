//! Mail servers and proxies as Debian ships and configures them, each in a file system of its own (`server.sh`).

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::certs;
use super::tools::support_file;
use super::wait::{eventually, eventually_some};

/// How long a server may take to listen, or to carry a mail to its mailbox, on a busy machine.
pub const SERVED_WITHIN: Duration = Duration::from_secs(40);

/// A server that is another program. Dropping it ends all of its processes.
pub struct Server {
    name: &'static str,
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Server {
    /// A mail server that delivers to `ops@localhost`.
    pub async fn mail(name: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = certs::server_pem_paths();
        std::fs::copy(certificate, folder.path().join("server.pem")).unwrap();
        std::fs::copy(key, folder.path().join("server.key")).unwrap();
        Self::start(name, folder, free_port()).await
    }

    /// A proxy with this configuration; in it `{port}` stands for its own port.
    pub async fn proxy(name: &'static str, config: &str) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let config = config.replace("{port}", &port.to_string());
        std::fs::write(folder.path().join("config"), config).unwrap();
        Self::start(name, folder, port).await
    }

    async fn start(name: &'static str, folder: TempDir, port: u16) -> Self {
        // Its processes are other users.
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), readable).unwrap();
        let mut command = Command::new(support_file("server.sh"));
        command.arg(name).arg(folder.path()).arg(port.to_string());
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut server = Self { name, child, address, folder };
        let look = || {
            if let Some(ended) = server.child.try_wait().unwrap() {
                panic!("{name} has ended: {ended}\n{}", server.log());
            }
            TcpStream::connect(address).ok().map(drop)
        };
        eventually_some(SERVED_WITHIN, look).await;
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it wrote to its standard output and error.
    pub fn log(&self) -> String {
        let mut log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        write!(log, "({})", self.name).unwrap();
        log
    }

    /// The mails in the mailbox of ops, whole.
    pub fn mails(&self) -> Vec<Vec<u8>> {
        let read = |folder: &Path| -> Option<Vec<Vec<u8>>> {
            let entries = std::fs::read_dir(folder).ok()?;
            Some(entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect())
        };
        read(&self.folder.path().join("ops/Maildir/new")).unwrap_or_default()
    }

    /// Waits until so many mails are in the mailbox of ops.
    #[track_caller]
    pub fn wait_for_mails(&self, count: usize) -> impl Future<Output = ()> {
        eventually(SERVED_WITHIN, move || self.mails().len() >= count)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
