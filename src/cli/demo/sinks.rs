//! The other side of a demo: a mail server and a Slack that only take and show, and a Telnyx that tells a balance.
//! Local, plain text, no auth.

use std::net::SocketAddr;

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use crate::tasks::Tasks;

/// Largest mail or request a sink takes, in bytes.
const TAKEN_BYTES_MAX: u64 = 1024 * 1024;
/// What a sink took and nobody has looked at yet, at most.
pub(super) const TAKEN_MAX: usize = 256;

/// What a sink took.
#[derive(Debug)]
pub(super) enum Taken {
    /// A mail as it came over the wire.
    Mail { to: String, raw: String },
    /// The JSON body of a request to Slack.
    Slack { body: String },
}

/// Where the sinks are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addresses {
    pub(super) mail: SocketAddr,
    pub(super) slack: SocketAddr,
    pub(super) telnyx: SocketAddr,
}

/// Starts all sinks. `balance` is what Telnyx says is on the account, in US dollars.
pub(super) async fn start(
    taken: mpsc::Sender<Taken>,
    balance: watch::Receiver<&'static str>,
    tasks: &Tasks,
) -> std::io::Result<Addresses> {
    let mails = taken.clone();
    Ok(Addresses {
        mail: listen("demo mail", tasks, move |stream| mail_session(stream, mails.clone())).await?,
        slack: listen("demo slack", tasks, move |stream| slack_session(stream, taken.clone()))
            .await?,
        telnyx: listen("demo telnyx", tasks, move |stream| telnyx_session(stream, balance.clone()))
            .await?,
    })
}

/// Serves each connection to a port of its own.
async fn listen<S>(
    name: &'static str,
    tasks: &Tasks,
    session: impl Fn(TcpStream) -> S + Send + 'static,
) -> std::io::Result<SocketAddr>
where
    S: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let all = tasks.clone();
    tasks.spawn(name, async move {
        loop {
            tokio::select! {
                () = all.stopping() => return,
                Ok((stream, _)) = listener.accept() => {
                    let session = session(stream);
                    all.spawn_short(async move {
                        if let Err(error) = session.await {
                            tracing::debug!(%error, "a demo sink's connection ended");
                        }
                    });
                }
            }
        }
    });
    Ok(address)
}

/// The least of SMTP (RFC 5321) that a client needs.
async fn mail_session(stream: TcpStream, taken: mpsc::Sender<Taken>) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read.take(TAKEN_BYTES_MAX)).lines();
    say(&mut write, "220 demo.invalid tollbell demo").await?;
    let mut to = String::new();
    while let Some(line) = lines.next_line().await? {
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "RCPT" => {
                to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                say(&mut write, "250 ok").await?;
            }
            "DATA" => {
                say(&mut write, "354 go ahead").await?;
                let mut raw = String::new();
                while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                    // Dot-stuffing, RFC 5321 section 4.5.2.
                    raw.push_str(line.strip_prefix('.').unwrap_or(&line));
                    raw.push_str("\r\n");
                }
                if taken.send(Taken::Mail { to: to.clone(), raw }).await.is_err() {
                    return Ok(());
                }
                say(&mut write, "250 taken").await?;
            }
            "QUIT" => return say(&mut write, "221 bye").await,
            _ => say(&mut write, "250 ok").await?,
        }
    }
    Ok(())
}

/// The least of HTTP/1.1 that a client needs: one request after another, each with a Content-Length.
async fn slack_session(stream: TcpStream, taken: mpsc::Sender<Taken>) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut reader = BufReader::new(read.take(TAKEN_BYTES_MAX));
    while let Some((_, body)) = request(&mut reader).await? {
        if taken.send(Taken::Slack { body }).await.is_err() {
            return Ok(());
        }
        reply(&mut write, "200 OK", "ok").await?;
    }
    Ok(())
}

/// The balance, and no other page.
async fn telnyx_session(
    stream: TcpStream,
    balance: watch::Receiver<&'static str>,
) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut reader = BufReader::new(read.take(TAKEN_BYTES_MAX));
    while let Some((path, _)) = request(&mut reader).await? {
        if path == "/v2/balance" {
            let amount = *balance.borrow();
            let data = json!({
                "record_type": "balance", "balance": amount, "available_credit": amount,
                "credit_limit": "0.00", "pending": "0.00", "currency": "USD",
            });
            reply(&mut write, "200 OK", &json!({ "data": data }).to_string()).await?;
        } else {
            let errors = json!([{"code": "10005", "title": "Resource not found"}]);
            reply(&mut write, "404 Not Found", &json!({ "errors": errors }).to_string()).await?;
        }
    }
    Ok(())
}

async fn reply(write: &mut OwnedWriteHalf, status: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    let text = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
    write.write_all(text.as_bytes()).await
}

/// The next request: its path, and its body.
async fn request(
    reader: &mut BufReader<tokio::io::Take<OwnedReadHalf>>,
) -> std::io::Result<Option<(String, String)>> {
    let mut first = String::new();
    if reader.read_line(&mut first).await? == 0 {
        return Ok(None);
    }
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length: Option<u64> = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok();
        }
    }
    let mut body = Vec::new();
    reader.take(length.unwrap_or_default()).read_to_end(&mut body).await?;
    Ok(Some((path, String::from_utf8_lossy(&body).into_owned())))
}

async fn say(write: &mut OwnedWriteHalf, line: &str) -> std::io::Result<()> {
    write.write_all(format!("{line}\r\n").as_bytes()).await
}
