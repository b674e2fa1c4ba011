//! The API key: read at each call, shown to Telnyx and to nobody else.

use std::fs;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tollbell::telnyx::Endpoint;

use super::{BACKOFF_MAX, Setting, is_there};
use crate::support::http::{HttpSink, Reply, Request};
use crate::support::telnyx_api::API_KEY;

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_key_goes_nowhere_else() {
    let it = Setting::new().await;
    let other = HttpSink::start().await;
    for status in [301, 302, 303, 307, 308] {
        let reply = Reply::redirect(&other.url("/v2/balance")).with_status(status);
        assert_eq!(it.fails(reply).await.status(), Some(status));
    }
    // Within the same host neither.
    it.fails(Reply::redirect("/v2/invoices")).await;
    it.api.sink.expect_none("/v2/invoices");
    assert_eq!((other.connections(), it.api.requests("/balance").len()), (0, 6));
}

#[tokio::test]
async fn the_key_file_is_read_at_each_call() {
    let it = Setting::with_key_file(Some("KEY0-first\n")).await;
    assert!(is_there(it.balance().await));
    fs::write(it.key_file(), " \r\nKEY0-second\r\n").unwrap();
    assert!(is_there(it.balance().await));
    let shown: Vec<String> = it.api.requests("/balance").iter().map(authorization).collect();
    assert_eq!(shown, ["Bearer KEY0-first", "Bearer KEY0-second"]);
    // Between two attempts of one call, too.
    it.api.next("/balance", [Reply::status(503)]);
    let mut call = pin!(it.client.get(&Endpoint::BALANCE, &[]));
    assert!(it.until(call.as_mut(), 3).await.is_pending());
    fs::write(it.key_file(), "KEY0-third").unwrap();
    it.clock.advance(BACKOFF_MAX);
    assert!(is_there(call.await));
    assert_eq!(authorization(&it.api.requests("/balance")[3]), "Bearer KEY0-third");
}

fn authorization(request: &Request) -> String {
    request.header("authorization").unwrap().to_owned()
}

#[tokio::test]
async fn a_key_that_is_none_is_told_and_nobody_is_asked() {
    for (content, why) in [
        (None, "cannot be read: entity not found"),
        (Some(""), "it is empty"),
        (Some(" \n"), "it is empty"),
        (Some("KEY0-planted\nX-Admin: 1"), "it is not one word of ASCII"),
        (Some("# the key\nKEY0-planted"), "it is not one word of ASCII"),
        (Some("KEY0-pl\u{e4}nted"), "it is not one word of ASCII"),
    ] {
        let it = Setting::with_key_file(content).await;
        let error = it.balance().await.unwrap_err();
        assert_eq!(error.to_string(), format!("the API key cannot be used: {why}"));
        assert_eq!(error.reason(), "key");
        assert!(!format!("{error:?}").contains("nted"), "{error:?}");
        assert_eq!((it.api.sink.connections(), it.attempts().len()), (0, 0));
    }
    let it = Setting::with_key_file(None).await;
    fs::create_dir(it.key_file()).unwrap();
    let error = it.balance().await.unwrap_err();
    assert_eq!(error.to_string(), "the API key cannot be used: cannot be read: not a regular file");
}

/// Where a test's log goes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_key_is_in_no_error_and_no_log() {
    let log = Log::default();
    let subscriber = |log: Log| {
        let trace = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
        tracing::Dispatch::new(trace.with_writer(move || log.clone()).finish())
    };
    // For this thread, on which the whole test runs. While there is a single subscriber, a place in the code that another
    // thread reaches first is taken to interest nobody: so there are two.
    let _other = subscriber(Log::default());
    let subscriber = subscriber(log.clone());
    let _guard = tracing::dispatcher::set_default(&subscriber);
    let it = Setting::new().await.impatient();
    let mut said = vec![format!("{:?}", it.client)];
    let echo = format!("Bearer {API_KEY} is not valid");
    let json = json!({"errors": [{"code": API_KEY, "title": echo, "detail": echo}]});
    for reply in [
        Reply::json(&json).with_status(401),
        Reply::json(&json).with_status(503),
        Reply::json(&json).with_status(429).header("retry-after", API_KEY),
        Reply::status(200).body(echo.clone()),
        Reply::status(200).body(format!("{{\"data\": \"{API_KEY}")),
        Reply::redirect(&format!("/{API_KEY}")),
        Reply::hang(),
        Reply::reset(),
        Reply::garbage(),
    ] {
        let error = it.fails(reply).await;
        said.push(format!("{error} {error:?} {}", error.reason()));
    }
    it.api.sink.close().await;
    said.push(format!("{:?}", it.balance().await));
    said.extend(it.attempts());
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("asking Telnyx again"), "the log was looked at");
    for text in said.iter().chain([&log]) {
        assert!(!text.contains(API_KEY), "{text}");
    }
}
