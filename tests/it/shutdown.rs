//! SIGTERM and SIGINT: what is in flight is answered, what is being sent ends or is handed back, in time.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::support::app::route;
use crate::support::http::{HttpSink, Reply};
use crate::support::load::{self, Load, PATH, Site};
use crate::support::process::Running;
use crate::support::raw::{self, RawClient};
use crate::support::smtp::{Script, SmtpSink, Stage};
use crate::support::wait::{SOON, eventually, eventually_async};

/// `shutdown_timeout`, and a second for a busy machine.
const WITHIN: Duration = Duration::from_secs(3 + 1);

fn routing(hook: &HttpSink) -> String {
    format!(
        "{}receivers:\n  - name: hook\n    webhook_configs:\n      \
         - {{url: \"{}\", timeout: 30s, rate_limit: {{per_second: 1000, burst: 1000}}}}\n",
        route("hook"),
        hook.url("/hook")
    )
}

fn site(hook: &HttpSink) -> Site {
    Site::new(routing(hook)).server("  shutdown_timeout: 3s")
}

/// Waits for its end, which must be in order, and says what went wrong otherwise.
async fn ended_well(running: &mut Running) {
    let status = running.ended(SOON).await;
    let log = running.log();
    let told: Vec<&str> = log.lines().filter(|line| !line.contains(" INFO ")).collect();
    assert_eq!(status.code(), Some(0), "{}", told.join("\n"));
}

/// Ends a service under load by the signal, and starts the next one at once.
async fn ends_well_under_load(signal: &str) {
    let hook = HttpSink::start().await;
    let site = site(&hook);
    let service = site.service();
    let mut running = service.start().await;
    let addresses = running.addresses();
    let load = Load::start(addresses.public, &site.signer, 6, Duration::from_millis(5), usize::MAX);
    eventually(SOON, || load.acknowledged() > 100).await;
    let asked = Instant::now();
    running.signal(signal);
    ended_well(&mut running).await;
    assert!(asked.elapsed() < WITHIN, "{:?}", asked.elapsed());
    let tally = load.stop().await;

    // Read before the next one starts: what is in the store now, the first one put there.
    let stored: BTreeSet<String> = site.stored().await.into_iter().collect();
    let acknowledged: BTreeSet<String> = tally.acknowledged.into_iter().collect();
    assert_eq!(acknowledged.difference(&stored).collect::<Vec<_>>(), Vec::<&String>::new());
    // What was taken was answered: a client without an answer had not been heard yet.
    assert_eq!(stored.difference(&acknowledged).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(tally.refused, [], "nobody is refused for our going");

    let mut running = service.restart(addresses).await;
    load::drained(&running, Duration::from_mins(1)).await;
    assert!(running.terminate(SOON).await.success());
    load::assert_sound(&running.log());
    let keys = hook
        .requests("/hook")
        .into_iter()
        .map(|request| request.header("idempotency-key").unwrap().to_owned());
    let keys: Vec<String> = keys.collect();
    let distinct: BTreeSet<&String> = keys.iter().collect();
    assert_eq!((keys.len(), distinct.len()), (stored.len(), stored.len()), "each once");
}

#[tokio::test]
async fn sigterm_under_load_ends_in_order() {
    ends_well_under_load("TERM").await;
}

#[tokio::test]
async fn sigint_under_load_ends_in_order() {
    ends_well_under_load("INT").await;
}

#[tokio::test]
async fn requests_in_flight_are_answered_while_nobody_new_is_let_in() {
    let hook = HttpSink::start().await;
    let site = site(&hook);
    let mut running = site.service().start().await;
    let addresses = running.addresses();
    // Whole heads with a part of the body each.
    let requests: Vec<Vec<u8>> = (0..8).map(|n| site.request(&format!("half-{n}"), "p")).collect();
    let mut clients = Vec::new();
    for request in &requests {
        let mut client = RawClient::connect(addresses.public).await.unwrap();
        let sent = request.len() - 20;
        client.send(&request[..sent]).await.unwrap();
        clients.push((client, &request[sent..]));
    }
    // One that has sent but a piece of its head has not asked for anything yet.
    let mut headless = RawClient::connect(addresses.public).await.unwrap();
    headless.send(&requests[0][..40]).await.unwrap();
    // They were accepted and read: one that came after them has been served.
    assert_eq!(site.post(addresses.public, "whole", "p").await.status, 200);
    let mut idle = RawClient::connect(addresses.public).await.unwrap();
    idle.send(&site.request("idle", "p")).await.unwrap();
    assert_eq!(idle.response().await.unwrap().status, 200);

    running.signal("TERM");
    // Readiness goes off first, while those in flight still have their time.
    let not_ready = || async {
        (raw::get(addresses.private, "/readyz").await.ok()?.status == 503).then_some(())
    };
    eventually_async(SOON, not_ready).await;
    idle.closed().await;
    headless.closed().await;
    let refused = || async { RawClient::connect(addresses.public).await.err().map(drop) };
    eventually_async(SOON, refused).await;
    let answers = clients.iter_mut().map(async |(client, rest)| {
        client.send(rest).await.unwrap();
        client.response().await.map(|response| response.status)
    });
    for answer in join_all(answers).await {
        assert_eq!(answer.unwrap(), 200);
    }
    ended_well(&mut running).await;
    assert_eq!(site.stored().await.len(), 10);
}

#[tokio::test]
async fn a_send_to_a_slow_receiver_ends_before_we_do() {
    let hook = HttpSink::start().await;
    hook.always("/hook", Reply::ok().after(Duration::from_millis(500)));
    let site = site(&hook);
    let mut running = site.service().start().await;
    assert_eq!(site.post(running.addresses().public, "event-1", "p").await.status, 200);
    hook.wait_for("/hook", 1).await;
    assert_eq!(running.terminate(SOON).await.code(), Some(0), "{}", running.log());
    let deliveries = site.deliveries().await;
    assert_eq!(deliveries.len(), 1);
    assert_eq!((deliveries[0].state.as_str(), deliveries[0].attempts), ("delivered", 1));
    hook.one("/hook");
}

/// A webhook that hangs before its answer, and a mail server that hangs with the mail in its hands.
#[tokio::test]
async fn hung_receivers_do_not_hold_us_and_are_tried_again_with_the_same_key() {
    let (hook, mail) = (HttpSink::start().await, SmtpSink::start().await);
    hook.next("/hook", [Reply::hang()]);
    mail.next([Script::Hang(Stage::Body)]);
    let email = format!(
        "    email_configs:\n      - {{to: [ops@example.com], from: tollbell@example.com, \
         smarthost: \"{}\", tls: none, timeout: 30s}}\n",
        mail.smarthost()
    );
    let site = Site::new(routing(&hook) + &email).server("  shutdown_timeout: 3s");
    let service = site.service();
    let mut running = service.start().await;
    let addresses = running.addresses();
    assert_eq!(site.post(addresses.public, "event-1", "p").await.status, 200);
    eventually(SOON, || hook.requests("/hook").len() == 1 && mail.transmissions().len() == 1).await;
    let asked = Instant::now();
    let status = running.terminate(SOON).await;
    // Started after: a supervisor must not have to use SIGKILL.
    assert!(asked.elapsed() <= WITHIN, "{:?}", asked.elapsed());
    assert_eq!(status.code(), Some(1), "not all ended as it should, and the exit code says so");
    let log = running.log();
    assert!(log.contains("sends still in flight were handed back"), "{log}");
    assert!(site.deliveries().await.iter().all(|row| row.state.as_str() == "pending"));

    let mut running = service.restart(addresses).await;
    load::drained(&running, SOON).await;
    let scrape = load::metrics(addresses.private).await;
    assert!(running.terminate(SOON).await.success());
    let keys: Vec<_> = hook
        .requests("/hook")
        .iter()
        .map(|request| request.header("idempotency-key").unwrap().to_owned())
        .collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
    let ids: Vec<_> = mail.transmissions().into_iter().map(|mail| mail.message_id).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
    for integration in ["webhook", "email"] {
        let series = format!(
            "tollbell_notifications_resent_total{{integration=\"{integration}\",receiver=\"hook\"}}"
        );
        assert_eq!(load::value(&scrape, &series), Some(1.0), "{series}");
    }
    load::assert_sound(&log);
}

/// A client that has begun a request and never goes on has its time, and then we go.
#[tokio::test]
async fn a_client_that_never_ends_its_request_does_not_hold_us() {
    let hook = HttpSink::start().await;
    let site = site(&hook);
    let mut running = site.service().start().await;
    let mut client = RawClient::connect(running.addresses().public).await.unwrap();
    let (headers, body) = site.event("never", "p");
    let request = raw::request_bytes("POST", PATH, &headers, &body);
    client.send(&request[..request.len() - 1]).await.unwrap();
    assert_eq!(site.post(running.addresses().public, "other", "p").await.status, 200);
    let asked = Instant::now();
    running.signal("TERM");
    ended_well(&mut running).await;
    assert!(asked.elapsed() <= WITHIN, "{:?}", asked.elapsed());
    assert_eq!(site.stored().await, ["other"]);
}
