//! The proxies of docs/proxies.md, configured as it says, in front of the real binary: nothing is changed, nothing is lost,
//! and nobody is somebody else.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use crate::support::load::{PATH, Site};
use crate::support::process::{Running, Service};
use crate::support::raw::{self, RawClient, Response};
use crate::support::server::Server;
use crate::support::wait::{SOON, eventually_async};

/// Longer than any answer takes.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

const CLIENT: [u8; 4] = [127, 0, 0, 2];
const STRANGER: [u8; 4] = [127, 0, 0, 3];

/// The only code block of this language in the documentation, for these ports.
fn documented(language: &str, upstream: SocketAddr) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/proxies.md");
    let text = std::fs::read_to_string(path).unwrap();
    let blocks: Vec<&str> = text.split(&format!("```{language}\n")).skip(1).collect();
    let [block] = blocks[..] else { panic!("one block of {language}, not {}", blocks.len()) };
    let block = block.split("```").next().unwrap();
    let port = upstream.port().to_string();
    block.replace("8080", &port).replace(":8000", ":{port}")
}

fn with(mut headers: Vec<(String, String)>, more: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.push(("host".to_owned(), "hooks.example.com".to_owned()));
    headers.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    headers
}

async fn answer(client: &mut RawClient) -> Response {
    timeout(ANSWER_WITHIN, client.response()).await.expect("an answer in time").unwrap()
}

/// Sends it on a connection of its own from one of the machine's addresses.
async fn sent(from: [u8; 4], to: SocketAddr, bytes: &[u8]) -> Response {
    let mut client = RawClient::connect_from(IpAddr::from(from), to).await.unwrap();
    client.send(bytes).await.unwrap();
    answer(&mut client).await
}

/// A proxy, tollbell behind it, and the ids of the events that were taken.
struct Front {
    site: Site,
    name: &'static str,
    proxy: Server,
    taken: Vec<&'static str>,
}

impl Front {
    /// A signed event, as a request through the proxy.
    fn post(&self, id: &str, more: &[(&str, &str)]) -> Vec<u8> {
        let (headers, body) = self.site.event(id, "p");
        raw::request_bytes("POST", PATH, &with(headers, more), &body)
    }

    async fn sent(&self, from: [u8; 4], bytes: &[u8]) -> u16 {
        sent(from, self.proxy.address(), bytes).await.status
    }

    async fn client(&self) -> RawClient {
        RawClient::connect_from(IpAddr::from(CLIENT), self.proxy.address()).await.unwrap()
    }

    /// The body goes through byte by byte: in one piece, in chunks, and behind Expect.
    async fn changes_nothing(&mut self) {
        let name = self.name;
        let (headers, body) = self.site.event("plain", "ä€ \u{1f4b8} \\u00e4  %2F");
        let plain = raw::request_bytes("POST", PATH, &with(headers, &[]), &body);
        assert_eq!(self.sent(CLIENT, &plain).await, 200, "{name}\n{}", self.proxy.log());
        let (headers, body) = self.site.event("chunked", "p");
        let chunked = raw::chunked_request_bytes("POST", PATH, &with(headers, &[]), &body, 7);
        assert_eq!(self.sent(CLIENT, &chunked).await, 200, "{name} chunked");
        let (headers, body) = self.site.event("expect", "p");
        let headers = with(headers, &[("expect", "100-continue")]);
        let expect = raw::request_bytes("POST", PATH, &headers, &body);
        let mut client = self.client().await;
        client.send(&expect[..expect.len() - body.len()]).await.unwrap();
        assert_eq!(answer(&mut client).await.status, 100, "{name} expect");
        client.send(&body).await.unwrap();
        let mut last = answer(&mut client).await.status;
        while last == 100 {
            // Caddy hands on tollbell's besides its own; RFC 9110, 15.2, allows more than one.
            last = answer(&mut client).await.status;
        }
        assert_eq!(last, 200, "{name} expect");
        self.taken.extend(["plain", "chunked", "expect"]);
    }

    /// Only the proxy says who the client is.
    async fn believes_no_stranger(&mut self) {
        let name = self.name;
        let forged = [
            "127.0.0.2",
            "127.0.0.2, 127.0.0.1",
            "127.0.0.2:4711",
            "[::ffff:127.0.0.2]",
            "unknown",
            "",
        ];
        for (number, forged) in forged.iter().enumerate() {
            let request = self.post(&format!("stranger-{number}"), &[("x-forwarded-for", forged)]);
            assert_eq!(self.sent(STRANGER, &request).await, 401, "{name} {forged:?}");
        }
        let request = self.post("forwarded", &[("x-forwarded-for", "203.0.113.7, unknown")]);
        assert_eq!(self.sent(CLIENT, &request).await, 200, "{name} forwarded");
        self.taken.push("forwarded");
    }

    /// What nobody takes is never a 2xx.
    async fn swallows_nothing(&self) {
        for (host, path) in [
            ("hooks.example.com", "/other"),
            ("hooks.example.com", "/webhooks/telnyx/nobody/else"),
            ("other.example.com", "/other"),
        ] {
            let headers = [("host".to_owned(), host.to_owned())];
            let request = raw::request_bytes("POST", path, &headers, b"{}");
            let status = self.sent(CLIENT, &request).await;
            assert!((400..500).contains(&status), "{} {host}{path}: {status}", self.name);
        }
    }

    /// A client's connection lasts over a restart; what comes in between is put off, not refused and not swallowed.
    async fn lasts_over_a_restart(&mut self, service: &Service, mut running: Running) -> Running {
        let name = self.name;
        let mut client = self.client().await;
        client.send(&self.post("before", &[])).await.unwrap();
        assert_eq!(answer(&mut client).await.status, 200, "{name} before");
        assert!(running.terminate(SOON).await.success());
        let during = self.sent(CLIENT, &self.post("during", &[])).await;
        assert!(during >= 500, "{name} during: {during}");
        let running = service.restart(running.addresses()).await;
        client.send(&self.post("after", &[])).await.unwrap();
        let first = timeout(ANSWER_WITHIN, client.response()).await.expect("an answer in time");
        let first = first.map_or(0, |answer| answer.status);
        assert!(matches!(first, 0 | 200 | 500..), "{name} after: {first}");
        // A proxy may take its backend for down for a moment.
        let again =
            async || (self.sent(CLIENT, &self.post("after", &[])).await == 200).then_some(());
        eventually_async(SOON, again).await;
        self.taken.extend(["before", "after"]);
        running
    }
}

async fn holds(name: &'static str, language: &str) {
    let keys = "  trusted_proxies: [127.0.0.1/32]\n  allowed_sources: [127.0.0.2/32]";
    let site = Site::new("route: {receiver: nobody}\nreceivers:\n  - name: nobody").server(keys);
    let service = site.service();
    let running = service.start().await;
    let proxy = Server::proxy(name, &documented(language, running.addresses().public)).await;
    let mut front = Front { site, name, proxy, taken: Vec::new() };
    front.changes_nothing().await;
    front.believes_no_stranger().await;
    front.swallows_nothing().await;
    let mut running = front.lasts_over_a_restart(&service, running).await;
    let mut stored = front.site.stored().await;
    stored.sort();
    front.taken.sort_unstable();
    assert_eq!(stored, front.taken, "{name}");
    assert!(running.terminate(SOON).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_in_front() {
    holds("nginx", "nginx").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_in_front() {
    holds("haproxy", "haproxy").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_in_front() {
    holds("apache", "apache").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy_in_front() {
    holds("caddy", "caddyfile").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn varnish_in_front() {
    holds("varnish", "vcl").await;
}

/// Why docs/proxies.md has the last lines of Caddy's configuration.
#[tokio::test(flavor = "multi_thread")]
async fn caddy_alone_answers_200_to_what_nothing_takes() {
    let config = "http://hooks.example.com:{port} {\n\treverse_proxy /webhooks/* 127.0.0.1:1\n}\n";
    let proxy = Server::proxy("caddy", config).await;
    for (host, path) in [("hooks.example.com", "/webhook"), ("hook.example.com", PATH)] {
        let headers = [("host".to_owned(), host.to_owned())];
        let answer = raw::request(proxy.address(), "POST", path, &headers, b"{}").await.unwrap();
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{host}{path}");
    }
}

#[tokio::test]
async fn probes_may_ask_by_head() {
    let site = Site::new("route: {receiver: nobody}\nreceivers:\n  - name: nobody");
    let mut running = site.service().start().await;
    let to = running.addresses().private;
    for path in ["/livez", "/readyz", "/metrics"] {
        let got = raw::get(to, path).await.unwrap();
        let mut client = RawClient::connect(to).await.unwrap();
        let close = [("connection".to_owned(), "close".to_owned())];
        client.send(&raw::request_bytes("HEAD", path, &close, b"")).await.unwrap();
        let (head, rest) = client.head_only().await.unwrap();
        assert_eq!((got.status, head.status, rest), (200, 200, vec![]), "{path}");
        assert_eq!(head.header("content-type"), got.header("content-type"), "{path}");
        if path != "/metrics" {
            assert_eq!(head.header("content-length"), got.header("content-length"), "{path}");
        }
        let posted = raw::request(to, "POST", path, &[], b"").await.unwrap();
        assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")), "{path}");
    }
    assert!(running.terminate(SOON).await.success());
}
