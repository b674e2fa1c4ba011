//! An HTTP/1.1 client without manners: requests byte by byte, half requests, resets, several at once.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

/// A reply as it came.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers in order, names as sent.
    pub headers: Vec<(String, String)>,
    /// The body, chunks joined.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.as_str())
    }

    /// The body as text, bad bytes replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The bytes of a proper request with `Host` and `Content-Length`.
pub fn request_bytes(
    method: &str,
    target: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Vec<u8> {
    let mut head = head(method, target, headers);
    head += &format!("content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// The bytes of a proper request whose body comes in chunks of at most `chunk` bytes, without a length.
pub fn chunked_request_bytes(
    method: &str,
    target: &str,
    headers: &[(String, String)],
    body: &[u8],
    chunk: usize,
) -> Vec<u8> {
    let mut bytes = head(method, target, headers).into_bytes();
    bytes.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
    for part in body.chunks(chunk) {
        bytes.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

fn head(method: &str, target: &str, headers: &[(String, String)]) -> String {
    let lines: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let named = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = if named { "" } else { "host: tollbell.test\r\n" };
    format!("{method} {target} HTTP/1.1\r\n{host}{lines}")
}

/// Sends one proper request on a connection of its own and returns the reply.
pub async fn request(
    to: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> std::io::Result<Response> {
    let mut client = RawClient::connect(to).await?;
    client.send(&request_bytes(method, target, headers, body)).await?;
    client.response().await
}

/// Sends `GET target` and returns the reply.
pub async fn get(to: SocketAddr, target: &str) -> std::io::Result<Response> {
    request(to, "GET", target, &[], b"").await
}

/// One connection.
#[derive(Debug)]
pub struct RawClient {
    stream: BufReader<TcpStream>,
}

impl RawClient {
    /// Connects.
    pub async fn connect(to: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Connects from this address of the machine.
    pub async fn connect_from(from: IpAddr, to: SocketAddr) -> std::io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from, 0))?;
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Its own address, as the server sees it.
    pub fn local_address(&self) -> SocketAddr {
        self.stream.get_ref().local_addr().unwrap()
    }

    /// Sends bytes, whatever they are: half a request, or several.
    pub async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends `chunk` bytes at a time with a pause before each, until all are sent or the server has had enough.
    pub async fn send_slowly(
        &mut self,
        bytes: &[u8],
        chunk: usize,
        pause: Duration,
    ) -> std::io::Result<()> {
        for part in bytes.chunks(chunk) {
            tokio::time::sleep(pause).await;
            self.send(part).await?;
        }
        Ok(())
    }

    /// Sends an orderly end; replies can still be read.
    pub async fn finish(&mut self) -> std::io::Result<()> {
        self.stream.shutdown().await
    }

    /// Hangs up with a reset.
    pub fn reset(self) {
        super::peer::reset(self.stream.into_inner());
    }

    /// Reads the next reply; an error when the connection ends before it is whole.
    pub async fn response(&mut self) -> std::io::Result<Response> {
        let first = self.line().await?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| std::io::Error::other(format!("no status: {first}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut response = Response { status, headers, body: Vec::new() };
        response.body = self.body(&response).await?;
        Ok(response)
    }

    /// Reads the head of a reply to HEAD, and whatever follows it until the server closes.
    pub async fn head_only(&mut self) -> std::io::Result<(Response, Vec<u8>)> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).await?;
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let rest = bytes.split_off(end.map_or(bytes.len(), |end| end + 4));
        let head = String::from_utf8_lossy(&bytes).into_owned();
        let mut lines = head.lines();
        let first = lines.next().unwrap_or_default();
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
        let pairs = lines.filter_map(|line| line.split_once(':'));
        let headers = pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        Ok((Response { status, headers: headers.collect(), body: Vec::new() }, rest))
    }

    /// Waits until the server has closed or reset the connection; what it still sent is thrown away.
    pub async fn closed(&mut self) {
        drop(tokio::io::copy(&mut self.stream, &mut tokio::io::sink()).await);
    }

    async fn body(&mut self, response: &Response) -> std::io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if let Some(length) = response.header("content-length") {
            body.resize(length.parse().map_err(std::io::Error::other)?, 0);
            self.stream.read_exact(&mut body).await?;
            return Ok(body);
        }
        if response.header("transfer-encoding").is_none() {
            if response.status != 204 && response.status >= 200 {
                self.stream.read_to_end(&mut body).await?;
            }
            return Ok(body);
        }
        loop {
            let size = self.line().await?;
            let size = usize::from_str_radix(&size, 16).map_err(std::io::Error::other)?;
            let start = body.len();
            body.resize(start + size, 0);
            self.stream.read_exact(&mut body[start..]).await?;
            self.line().await?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    async fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

#[tokio::test]
async fn proper_chunked_slow_and_pipelined_requests_arrive_alike() {
    let sink = super::http::HttpSink::start().await;
    let to = SocketAddr::from(([127, 0, 0, 1], sink.port()));
    let headers = [("x-one".to_owned(), "1".to_owned())];
    let plain = request_bytes("POST", "/", &headers, b"0123456789");
    let chunked = chunked_request_bytes("POST", "/", &headers, b"0123456789", 3);
    let mut client = RawClient::connect(to).await.unwrap();
    client.send(&[plain.clone(), chunked].concat()).await.unwrap();
    client.send_slowly(&plain, 20, Duration::from_millis(1)).await.unwrap();
    for _ in 0..3 {
        let response = client.response().await.unwrap();
        assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    }
    assert!(sink.requests("/").iter().all(|request| request.body == b"0123456789"));
    client.send(&plain[..30]).await.unwrap();
    client.reset();
    super::wait::eventually(super::wait::SOON, || sink.closed_connections() == 1).await;
    assert_eq!(sink.requests("/").len(), 3, "the half request is none");
}
