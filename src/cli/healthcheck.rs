//! `tollbell healthcheck`: for container probes, so that an image needs no curl.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::{Exit, output};

/// How long the answer may take.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of the answer that are read at most.
const ANSWER_BYTES_MAX: u64 = 4096;

/// Arguments of `healthcheck`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The private listener
    #[arg(long, env = "TOLLBELL_PRIVATE_ADDRESS", default_value = "127.0.0.1:9464")]
    address: SocketAddr,
}

pub(super) fn run(args: &Args) -> Exit {
    let answer =
        ask(args.address).unwrap_or_else(|error| format!("cannot ask {}: {error}", args.address));
    let ready = answer.starts_with("HTTP/1.1 200");
    let said = answer.lines().rfind(|line| !line.is_empty()).unwrap_or("no answer").to_owned();
    output::line(&said);
    if ready { Exit::Ok } else { Exit::Failed }
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}
