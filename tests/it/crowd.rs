//! Strangers who open connections by the thousand, at the real binary.

use std::cell::Cell;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::support::http::HttpSink;
use tollbell::clock::Clock;

use crate::support::load::{self, PATH, Site};
use crate::support::raw::{self, RawClient};
use crate::support::wait::{SOON, eventually, eventually_async};

/// Connections a second that the flood opens, for how long, and how many it holds on to.
const FLOOD_PER_SECOND: u32 = 1450;
const FLOOD_LASTS: Duration = Duration::from_secs(6);
const FLOOD_HELD: usize = 1500;

/// Opens connections from one address until told to stop; every other one begins a request.
async fn flood_with_connections(from: IpAddr, to: SocketAddr, going: &Cell<bool>) -> u32 {
    let mut held = VecDeque::new();
    let (begun, mut opened, mut made) = (Instant::now(), 0_u32, 0_u32);
    while going.get() {
        let due = begun.elapsed().as_secs_f64() * f64::from(FLOOD_PER_SECOND);
        if f64::from(opened) >= due {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        opened += 1;
        // One that cannot be had in time is one less; the flood goes on.
        let connected = timeout(Duration::from_millis(5), RawClient::connect_from(from, to)).await;
        let Ok(Ok(mut client)) = connected else { continue };
        made += 1;
        if opened % 2 == 0 {
            drop(client.send(b"POST /webhooks/telnyx HTTP/1.1\r\nhost: x\r\n").await);
        }
        held.push_back(client);
        if held.len() > FLOOD_HELD {
            held.pop_front();
        }
    }
    made
}

/// From an address of its own, and from the one that genuine webhooks come from, as behind a proxy that nobody named; the
/// limit of open files is raised by the process itself.
#[tokio::test]
async fn a_flood_of_connections_keeps_neither_webhooks_nor_receivers_waiting() {
    own_limit();
    let slack = HttpSink::start().await;
    let routing = format!(
        "route:\n  receiver: ops\n  group_by: ['...']\n  group_wait: 0s\nreceivers:\n  - name: ops\n    \
         slack_configs: [{{api_url: \"{}\", rate_limit: {{per_second: 100, burst: 100}}}}]",
        slack.url("/slack")
    );
    for from in [[127, 0, 0, 9], [127, 0, 0, 1]] {
        let site = Site::new(&routing);
        let limited = ["bash", "-c", "ulimit -Sn 256; \"$0\" \"$@\"; exit $?"].map(str::to_owned);
        let running = site.service().under(&limited).start().await;
        let to = running.addresses().public;
        let going = Cell::new(true);
        let genuine = async {
            let mut slowest = Duration::ZERO;
            for number in 0..8 {
                tokio::time::sleep(FLOOD_LASTS / 8).await;
                let asked = Instant::now();
                let id = format!("genuine-{}-{number}", from[3]);
                assert_eq!(site.post(to, &id, "p").await.status, 200, "{id}");
                let told = || slack.requests("/slack").iter().any(|sent| sent.text().contains(&id));
                eventually(SOON, told).await;
                slowest = slowest.max(asked.elapsed());
            }
            going.set(false);
            slowest
        };
        let (made, slowest) =
            tokio::join!(flood_with_connections(IpAddr::from(from), to, &going), genuine);
        assert!(made > FLOOD_PER_SECOND * 3, "no flood: {made}");
        assert!(slowest < Duration::from_secs(1), "{from:?}: {slowest:?}");
        let raised = format!("files={}", own_limit());
        assert!(running.log().contains(&raised), "{raised}: {}", running.log());
        assert_eq!(site.stored().await.len(), 8);
        let mut running = running;
        assert!(running.terminate(Duration::from_secs(30)).await.success());
        load::assert_sound(&running.log());
    }
}

/// Room for both ends of the flood in this process, and how many files that is.
fn own_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    limit.maximum.unwrap_or(u64::MAX)
}

/// One line for each would be a log that nobody reads, on a disk that may be full already.
#[tokio::test]
async fn what_goes_wrong_a_thousand_times_is_a_few_lines_and_a_count() {
    const WEBHOOKS: usize = 1_000;
    let site = Site::new("route: {receiver: nobody}\nreceivers:\n  - name: nobody");
    let mut running = site.service().start().await;
    let to = running.addresses().public;
    let (_, body) = site.event("late", "p");
    let late = Clock::system().now() - jiff::SignedDuration::from_secs(400);
    let request = raw::request_bytes("POST", PATH, &site.signer.headers(late, &body), &body);
    let mut client = RawClient::connect(to).await.unwrap();
    for _ in 0..WEBHOOKS {
        client.send(&request).await.unwrap();
        assert_eq!(client.response().await.unwrap().status, 503);
    }
    // Said with whatever is logged next when the window is over.
    let number = Cell::new(0);
    eventually_async(Duration::from_secs(30), async || {
        number.set(number.get() + 1);
        assert_eq!(site.post(to, &format!("good-{}", number.get()), "p").await.status, 200);
        running.log().contains("were suppressed").then_some(())
    })
    .await;
    let log = running.log();
    let written = log.lines().filter(|line| line.contains("the clocks differ")).count();
    assert!((10..=200).contains(&written), "{written}");
    let summary = log.lines().find(|line| line.contains("were suppressed")).unwrap();
    assert!(summary.contains("tollbell::intake") && summary.contains("count="), "{summary}");
    assert!(running.terminate(SOON).await.success());
}
