//! `tollbell healthcheck`: for container probes, so that an image needs no curl.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use super::args::Exit;
use super::output;
use crate::config::{self, Candidate};
use crate::tls;

/// How long the answer may take.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of an answer that are read at most; of a page of metrics, that is.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Arguments of `healthcheck`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The private listener [default: that of the configuration]
    #[arg(long, env = "TOLLBELL_PRIVATE_ADDRESS", value_name = "HOST:PORT", value_parser = resolved)]
    address: Option<SocketAddr>,
    /// The configuration file that names it; without one it is 127.0.0.1:9464
    #[arg(short, long, env = "TOLLBELL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Where the private listener is by default.
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);

pub(super) fn run(args: &Args) -> Exit {
    let address = match (args.address, &args.config) {
        (Some(address), _) => address,
        (None, Some(path)) => {
            // One that was broken after the start says nothing about the process: it runs with the one before.
            let loaded = Candidate::new(path, &[]).load(&config::system_env);
            loaded.config.map_or(ADDRESS, |config| reachable(config.server.private_listen))
        }
        (None, None) => ADDRESS,
    };
    let answer =
        ask(address, "/readyz").unwrap_or_else(|error| format!("cannot ask {address}: {error}"));
    let ready = answer.starts_with("HTTP/1.1 200");
    let said = answer.lines().rfind(|line| !line.is_empty()).unwrap_or("no answer").to_owned();
    output::line(&said);
    if ready { Exit::Ok } else { Exit::Failed }
}

/// The address, or the first that a name has.
fn resolved(text: &str) -> Result<SocketAddr, String> {
    let mut found = text.to_socket_addrs().map_err(|error| error.to_string())?;
    found.next().ok_or_else(|| "the name has no address".to_owned())
}

/// Where a listener on this machine can be asked: one that listens everywhere, on the loopback address.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(ip, listen.port())
}

/// The answer to a GET, with its head. Whether the listener speaks TLS is found out: the certificate may be newer than what
/// is served, or not ours to read.
pub(super) fn ask(address: SocketAddr, path: &str) -> io::Result<String> {
    let plain = ask_on(connect(address)?, address, path);
    match &plain {
        Ok(answer) if answer.starts_with("HTTP/") => return plain,
        // Who says nothing in clear for so long says nothing at all; a TLS listener refuses at once.
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            return plain;
        }
        _no_http => {}
    }
    let config = tls::any_certificate().map_err(io::Error::other)?;
    let name = ServerName::from(address.ip());
    let client = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let answer = ask_on(StreamOwned::new(client, connect(address)?), address, path);
    // What the plain attempt said is the better explanation where TLS is not spoken either.
    answer.or(plain)
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

fn ask_on(mut stream: impl Read + Write, address: SocketAddr, path: &str) -> io::Result<String> {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    stream.flush()?;
    let mut answer = Vec::new();
    let read = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer);
    match read {
        // A peer that closes without TLS's farewell has still said all.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof && !answer.is_empty() => {}
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    String::from_utf8(answer).map_err(io::Error::other)
}
