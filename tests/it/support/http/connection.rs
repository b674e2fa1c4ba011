//! One connection of the HTTP server: reads requests, answers each as scripted.

use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::reply::{Manner, Reply};
use super::{Request, State};
use crate::support::peer::lock;

/// Counts the connection as ended, however it ends.
struct Ended(Arc<State>);

impl Drop for Ended {
    fn drop(&mut self) {
        *lock(&self.0.closed) += 1;
    }
}

/// A request that is not answered yet.
struct Waiting<'s>(&'s State);

impl<'s> Waiting<'s> {
    fn new(state: &'s State) -> Self {
        let (now, most) = &mut *lock(&state.waiting);
        *now += 1;
        *most = (*most).max(*now);
        Self(state)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        lock(&self.0.waiting).0 -= 1;
    }
}

/// Serves one connection until either side ends it.
pub(super) async fn serve(state: Arc<State>, stream: TcpStream) {
    let number = {
        let mut connections = lock(&state.connections);
        *connections += 1;
        *connections - 1
    };
    let _ended = Ended(Arc::clone(&state));
    let mut stream = BufReader::new(stream);
    loop {
        let Ok(request) = read(&mut stream, number).await else { return };
        let waiting = Waiting::new(&state);
        let reply = state.reply_for(&request);
        lock(&state.requests).push(request);
        if answer(&mut stream, reply, waiting).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>, connection: usize) -> Result<Request> {
    let first = line(stream).await?;
    let mut words = first.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(ErrorKind::InvalidData.into());
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = Vec::new();
    loop {
        let line = line(stream).await?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: Vec::new(),
        arrived: Instant::now(),
        arrived_at: Timestamp::now(),
        connection,
    };
    request.body = body(stream, &request).await?;
    request.arrived = Instant::now();
    request.arrived_at = Timestamp::now();
    Ok(request)
}

async fn body(stream: &mut BufReader<TcpStream>, request: &Request) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    if request.header("transfer-encoding").is_none() {
        let length =
            request.header("content-length").unwrap_or("0").parse().map_err(Error::other)?;
        body.resize(length, 0);
        stream.read_exact(&mut body).await?;
        return Ok(body);
    }
    loop {
        let size = usize::from_str_radix(&line(stream).await?, 16).map_err(Error::other)?;
        let start = body.len();
        body.resize(start + size, 0);
        stream.read_exact(&mut body[start..]).await?;
        line(stream).await?;
        if size == 0 {
            return Ok(body);
        }
    }
}

/// One line without its CRLF; an error at the end of the stream.
async fn line(stream: &mut BufReader<TcpStream>) -> Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

/// Puts the answer on the wire; an error ends the connection.
async fn answer(
    stream: &mut BufReader<TcpStream>,
    reply: Reply,
    waiting: Waiting<'_>,
) -> Result<()> {
    sleep(reply.wait).await;
    if reply.manner == Manner::Plain {
        // Before the client can know, or its next request would count beside this one.
        drop(waiting);
    }
    if let Some(raw) = reply.raw {
        stream.write_all(&raw).await?;
        return Err(ErrorKind::ConnectionAborted.into());
    }
    let (bytes, body_at) = reply.bytes();
    let half = &bytes[..body_at + (bytes.len() - body_at) / 2];
    match reply.manner {
        Manner::Plain => stream.write_all(&bytes).await,
        Manner::Hang => silence(stream).await,
        Manner::Close => Err(ErrorKind::ConnectionAborted.into()),
        Manner::Reset => {
            stream.get_ref().set_zero_linger()?;
            Err(ErrorKind::ConnectionReset.into())
        }
        Manner::CloseMidBody => {
            stream.write_all(half).await?;
            stream.shutdown().await?;
            Err(ErrorKind::ConnectionAborted.into())
        }
        Manner::HangMidBody => {
            stream.write_all(half).await?;
            silence(stream).await
        }
        Manner::Drip(pause) => {
            for byte in bytes.chunks(1) {
                sleep(pause).await;
                stream.write_all(byte).await?;
            }
            Ok(())
        }
    }
}

/// Says nothing until the client goes away, which is always an error here.
async fn silence(stream: &mut BufReader<TcpStream>) -> Result<()> {
    tokio::io::copy(stream, &mut tokio::io::sink()).await?;
    Err(ErrorKind::UnexpectedEof.into())
}
