//! Silence, broken connections, and answers that are none.

use std::time::Duration;

use serde_json::json;
use tollbell::telnyx::Endpoint;

use super::{BACKOFF_MAX, Setting, is_there};
use crate::support::http::Reply;

#[tokio::test]
async fn silence_and_broken_connections_are_asked_again_until_it_is_enough() {
    let it = Setting::new().await.impatient();
    let answer = || Reply::json(&json!({"data": {"balance": "100.00"}}));
    for (reply, code) in [
        (Reply::hang(), "timeout"),
        (answer().hang_mid_body(), "timeout"),
        (answer().drip(Duration::from_millis(50)), "timeout"),
        (Reply::close(), "error"),
        (Reply::reset(), "error"),
        (answer().close_mid_body(), "error"),
        (Reply::garbage(), "error"),
    ] {
        let before = it.attempts().len();
        it.api.next("/balance", [reply.clone()]);
        assert!(is_there(it.balance().await), "{reply:?}");
        let seen = it.attempts().split_off(before);
        assert_eq!(seen, [format!("balance {code}"), "balance 200".to_owned()], "{reply:?}");
    }
    let error = it.fails(Reply::hang()).await;
    assert_eq!((&*error.to_string(), error.reason()), ("balance: no answer in time", "timeout"));
    it.api.sink.close().await;
    let before = it.attempts().len();
    let error = it.balance().await.unwrap_err();
    assert_eq!((error.reason(), error.status()), ("connect", None));
    // One line, and not the address.
    let text = error.to_string();
    assert!(text.starts_with("balance: ") && !text.contains("http://"), "{text}");
    assert_eq!(it.attempts()[before..], ["balance error"; 4]);
}

#[tokio::test]
async fn what_changes_something_is_done_once_or_not_known() {
    let it = Setting::new().await.impatient();
    let path = "/notification_channels";
    let body = json!({"channel_type_id": "webhook"});
    let create = async || {
        let call = it.client.call(&Endpoint::NOTIFICATION_CHANNEL_CREATE, None, &[], Some(&body));
        it.to_end(call, BACKOFF_MAX).await
    };
    for reply in [
        Reply::hang(),
        Reply::close(),
        Reply::reset(),
        Reply::status(503),
        Reply::status(409),
        Reply::status(408),
        Reply::status(500).header("x-should-retry", "true"),
        Reply::json(&json!({"data": {"id": "c1"}})).close_mid_body(),
    ] {
        let before = it.api.requests(path).len();
        // Would be made a second time, if it were asked.
        it.api.next(path, [reply.clone(), Reply::json(&json!({"data": {"id": "second"}}))]);
        create().await.unwrap_err();
        assert_eq!(it.api.requests(path).len() - before, 1, "{reply:?}");
        assert_eq!(create().await.unwrap()["data"]["id"], "second");
    }
    // What was refused for its rate was not done.
    it.api.next(path, [Reply::too_many("1"), Reply::json(&json!({"data": {"id": "c2"}}))]);
    assert_eq!(create().await.unwrap()["data"]["id"], "c2");
}

#[tokio::test]
async fn what_is_no_answer_of_telnyx_is_unreadable_and_not_quoted() {
    let it = Setting::new().await;
    let list = async |reply| {
        it.api.always("/invoices", reply);
        it.client.pages(&Endpoint::INVOICES, &[], 2).next().await.unwrap_err().to_string()
    };
    let html = Reply::status(200).header("content-type", "text/html").body("<html>private</html>");
    let place = "invoices: the answer cannot be read: no JSON at line 1, column 1";
    assert_eq!(list(html.clone()).await, place);
    let no_list = "invoices: the answer cannot be read: there is no list under data";
    for body in [json!({}), json!({"data": {}}), json!({"data": null}), json!([]), json!("data")] {
        assert_eq!(list(Reply::json(&body)).await, no_list, "{body}");
    }
    assert_eq!(list(Reply::status(204)).await, no_list);
    let large = "invoices: the answer cannot be read: larger than 16777216 bytes";
    assert_eq!(list(Reply::large(17 * 1024 * 1024)).await, large);
    assert_eq!(it.fails(html).await.reason(), "unreadable");
    // Once each: the next answer would be the same.
    assert_eq!(it.api.requests("/balance").len(), 1);
}
