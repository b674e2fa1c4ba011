//! The HTTP server against the client that the product uses.

use std::time::Duration;

use serde_json::json;

use super::*;

fn client() -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    builder.no_proxy().timeout(Duration::from_millis(300)).build().unwrap()
}

#[tokio::test]
async fn requests_are_recorded_and_replies_come_in_order() {
    let sink = HttpSink::start().await;
    sink.next("/hook", [Reply::status(500), Reply::too_many("2"), Reply::redirect("/else")]);
    sink.always("/hook", Reply::json(&json!({"fine": true})));
    let client = client();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let post = client.post(sink.url("/hook?a=b")).header("X-One", "1").body("{\"n\":1}");
        seen.push(post.send().await.unwrap());
    }
    let codes: Vec<u16> = seen.iter().map(|reply| reply.status().as_u16()).collect();
    assert_eq!(codes, [500, 429, 302, 200]);
    assert_eq!(seen[1].headers()["retry-after"], "2");
    let requests = sink.wait_for("/hook", 4).await;
    assert_eq!(requests[0].method, "POST");
    assert_eq!(requests[0].query, "a=b");
    assert_eq!(requests[0].header("x-one"), Some("1"));
    assert_eq!(requests[0].json(), json!({"n": 1}));
    assert!(requests[0].arrived <= requests[3].arrived);
    assert_eq!(sink.connections(), 1, "the connection is kept alive");
    sink.expect_none("/other");
}

#[tokio::test]
async fn each_bad_manner_is_an_error_for_the_client() {
    let body = || Reply::ok().body("0123456789");
    for reply in [
        Reply::hang(),
        Reply::close(),
        Reply::reset(),
        Reply::garbage(),
        body().close_mid_body(),
        body().hang_mid_body(),
        body().drip(Duration::from_millis(20)),
        body().after(Duration::from_secs(1)),
    ] {
        let sink = HttpSink::start().await;
        sink.always("/", reply.clone());
        let read = async { client().post(sink.url("/")).send().await?.text().await };
        assert!(read.await.is_err(), "{reply:?}");
        sink.one("/");
    }
}

#[tokio::test]
async fn a_large_reply_comes_whole() {
    let sink = HttpSink::start().await;
    sink.always("/", Reply::large(10 << 20));
    let reply = reqwest::Client::builder().no_proxy().build().unwrap().get(sink.url("/")).send();
    assert_eq!(reply.await.unwrap().bytes().await.unwrap().len(), 10 << 20);
}

#[tokio::test]
async fn an_answer_can_be_made_from_the_query() {
    let sink = HttpSink::start().await;
    sink.answer("/list", |request| {
        Reply::ok().body(request.parameter("page[number]").unwrap_or_default())
    });
    sink.next("/list", [Reply::status(503)]);
    let client = client();
    let mut seen = Vec::new();
    for query in ["", "?page%5Bnumber%5D=1", "?a=b&page[number]=2"] {
        let reply = client.get(sink.url(&format!("/list{query}"))).send().await.unwrap();
        seen.push((reply.status().as_u16(), reply.text().await.unwrap()));
    }
    let expected = [(503, ""), (200, "1"), (200, "2")];
    assert_eq!(seen, expected.map(|(status, text)| (status, text.to_owned())));
}
