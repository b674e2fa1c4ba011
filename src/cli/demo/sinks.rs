//! The other side of a demo: a mail server and a Slack that only take and show. Local, plain text, no auth.

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

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

/// Starts both sinks; gives their addresses (mail, Slack).
pub(super) async fn start(
    taken: mpsc::Sender<Taken>,
    tasks: &Tasks,
) -> std::io::Result<(SocketAddr, SocketAddr)> {
    let mail = TcpListener::bind("127.0.0.1:0").await?;
    let slack = TcpListener::bind("127.0.0.1:0").await?;
    let addresses = (mail.local_addr()?, slack.local_addr()?);
    let accept = async |listener: TcpListener,
                        taken: mpsc::Sender<Taken>,
                        tasks: Tasks,
                        is_mail: bool| loop {
        tokio::select! {
            () = tasks.stopping() => return,
            Ok((stream, _)) = listener.accept() => {
                let taken = taken.clone();
                tasks.spawn_short(async move {
                    let ended = if is_mail { mail_session(stream, taken).await } else { slack_session(stream, taken).await };
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a demo sink's connection ended");
                    }
                });
            }
        }
    };
    tasks.spawn("demo mail", accept(mail, taken.clone(), tasks.clone(), true));
    tasks.spawn("demo slack", accept(slack, taken, tasks.clone(), false));
    Ok(addresses)
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
    while let Some(body) = request(&mut reader).await? {
        if taken.send(Taken::Slack { body }).await.is_err() {
            return Ok(());
        }
        say(
            &mut write,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok",
        )
        .await?;
    }
    Ok(())
}

async fn request(
    reader: &mut BufReader<tokio::io::Take<OwnedReadHalf>>,
) -> std::io::Result<Option<String>> {
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
    Ok(Some(String::from_utf8_lossy(&body).into_owned()))
}

async fn say(write: &mut OwnedWriteHalf, line: &str) -> std::io::Result<()> {
    let end = if line.starts_with("HTTP/") { "" } else { "\r\n" };
    write.write_all(format!("{line}{end}").as_bytes()).await
}
