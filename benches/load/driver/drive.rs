//! The client: sends what was signed and measures how long each answer takes.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::io::{self, BufRead as _};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::bodies::{Mix, Requests};

/// Longer than any receiver takes: Telnyx itself waits two seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Signatures must stay fresh: tollbell takes what is five minutes old.
const RUN_MAX: Duration = Duration::from_mins(4);

struct Options {
    mix: Mix,
    connections: usize,
    count: u64,
    /// Requests a second; 0 for as fast as answers come.
    rate: u32,
    bad: bool,
    seconds: f64,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Self, Box<dyn Error>> {
        let mut options = Self {
            mix: Mix::Received,
            connections: 64,
            count: 10_000,
            rate: 0,
            bad: false,
            seconds: 200.0,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if *word == "--bad" {
                options.bad = true;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            match *word {
                "--mix" => options.mix = Mix::parse(value).ok_or("a mix that is not known")?,
                "--connections" => options.connections = value.parse()?,
                "--count" => options.count = value.parse()?,
                "--rate" => options.rate = value.parse()?,
                "--seconds" => options.seconds = value.parse()?,
                other => return Err(format!("not known: {other}").into()),
            }
        }
        Ok(options)
    }
}

/// What is measured.
#[derive(Default)]
struct Figures {
    /// Microseconds, by request in the order of answers.
    micros: Vec<u32>,
    statuses: std::collections::BTreeMap<u16, u64>,
    /// No answer: the connection ended, or it took too long.
    unanswered: u64,
    /// Most microseconds by which a request left later than it was due.
    late_max: u64,
}

struct Run {
    to: SocketAddr,
    requests: Requests,
    next: Cell<usize>,
    begin: Instant,
    until: Instant,
    rate: u32,
    figures: RefCell<Figures>,
}

pub(crate) fn run(url: &str, words: &[&str]) -> Result<(), Box<dyn Error>> {
    let options = Options::parse(words)?;
    let rest = url.strip_prefix("http://").ok_or("an http:// URL")?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let to: SocketAddr = host.parse()?;
    if !to.ip().is_loopback() {
        return Err("only this machine's loopback may be loaded".into());
    }
    let requests = Requests::sign(options.mix, options.count, (host, path), options.bad);
    println!("ready");
    io::stdin().lock().read_line(&mut String::new())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let figures = runtime.block_on(LocalSet::new().run_until(all(to, requests, &options)));
    println!("{figures}");
    Ok(())
}

async fn all(to: SocketAddr, requests: Requests, options: &Options) -> serde_json::Value {
    let begin = Instant::now();
    let until = begin + Duration::from_secs_f64(options.seconds).min(RUN_MAX);
    let run = Rc::new(Run {
        to,
        requests,
        next: Cell::new(0),
        begin,
        until,
        rate: options.rate,
        figures: RefCell::default(),
    });
    let clients: Vec<_> = (0..options.connections)
        .map(|_| tokio::task::spawn_local(client(Rc::clone(&run))))
        .collect();
    for client in clients {
        if let Err(error) = client.await {
            println!("a client failed: {error}");
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    let mut figures = run.figures.take();
    figures.micros.sort_unstable();
    let at = |part: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index"
        )]
        let index = (part * figures.micros.len() as f64) as usize;
        let last = figures.micros.len().saturating_sub(1);
        figures.micros.get(index.min(last)).copied().unwrap_or(0)
    };
    serde_json::json!({
        "answers": figures.micros.len(),
        "seconds": seconds,
        "statuses": figures.statuses,
        "unanswered": figures.unanswered,
        "p50_us": at(0.5),
        "p99_us": at(0.99),
        "p999_us": at(0.999),
        "max_us": at(1.0),
        "late_max_us": figures.late_max,
    })
}

async fn client(run: Rc<Run>) {
    let mut connection: Option<TcpStream> = None;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let n = run.next.get();
        let Some(request) = run.requests.get(n) else { return };
        run.next.set(n + 1);
        let mut due = Instant::now();
        if run.rate > 0 {
            due = run.begin
                + Duration::from_nanos(1_000_000_000 / u64::from(run.rate))
                    * u32::try_from(n).unwrap_or(0);
            sleep_until(due).await;
            let late = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
            let most = &mut run.figures.borrow_mut().late_max;
            *most = late.max(*most);
        }
        if Instant::now() >= run.until {
            return;
        }
        let answer =
            timeout(ANSWER_WITHIN, exchange(run.to, &mut connection, request, &mut buffer));
        let answer = answer.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let took = u32::try_from(due.elapsed().as_micros()).unwrap_or(u32::MAX);
        let mut figures = run.figures.borrow_mut();
        if let Ok(status) = answer {
            figures.micros.push(took);
            *figures.statuses.entry(status).or_default() += 1;
        } else {
            figures.unanswered += 1;
            connection = None;
        }
    }
}

/// Sends one request and reads the whole answer; its status.
async fn exchange(
    to: SocketAddr,
    kept: &mut Option<TcpStream>,
    request: &[u8],
    buffer: &mut [u8],
) -> io::Result<u16> {
    let mut stream = if let Some(stream) = kept.take() {
        stream
    } else {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        stream
    };
    stream.write_all(request).await?;
    let mut got = 0;
    let (status, whole, closes) = loop {
        let free = buffer.get_mut(got..).filter(|free| !free.is_empty());
        let read = stream.read(free.ok_or(io::ErrorKind::InvalidData)?).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        got += read;
        if let Some(head) = head(buffer.get(..got).unwrap_or_default()) {
            break head;
        }
    };
    while got < whole {
        let free = buffer.get_mut(got..).filter(|free| !free.is_empty());
        let read = stream.read(free.ok_or(io::ErrorKind::InvalidData)?).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        got += read;
    }
    if !closes {
        *kept = Some(stream);
    }
    Ok(status)
}

/// Status, length of the whole answer, and whether the connection ends; `None` while the head is not complete.
fn head(bytes: &[u8]) -> Option<(u16, usize, bool)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(bytes.get(..end)?).unwrap_or_default().to_ascii_lowercase();
    let status = head.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0);
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    Some((status, end + 4 + length, head.contains("connection: close")))
}
