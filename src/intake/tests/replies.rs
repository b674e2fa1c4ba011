//! What is answered to what.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_webhook_is_kept_once_and_answered_200() {
    let bed = bed().await;
    for kept in [1, 1, 2] {
        let body = if kept == 2 { b"{}".as_slice() } else { BODY };
        let answer = bed.send(&bed.good(body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("server"), None);
        assert_eq!(bed.kept().await, kept);
    }
    assert!(bed.counts(r#"tollbell_events_duplicate_total{account="default"} 1"#));
    assert!(
        bed.counts(r#"tollbell_webhooks_received_total{account="default",kind="call.cost"} 2"#)
    );
    assert!(bed.counts("tollbell_webhook_ack_duration_seconds_count 3"));
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_amount_without_a_currency_is_in_that_of_the_account_or_of_its_last_reading() {
    let reading = store::Reading {
        account: "default".to_owned(),
        at: "2026-01-01T00:00:00Z".parse().unwrap(),
        currency: Some("EUR".to_owned()),
        balance: None,
        available_credit: None,
        credit_limit: None,
        pending: None,
        burn_per_hour: None,
        hours_left: None,
    };
    for (configured, expected) in [(None, [None, Some("EUR")]), (Some("USD"), [Some("USD"); 2])] {
        let currency = configured.map(str::to_owned);
        let account = Account { currency, ..account("default", &[1]) };
        let bed = bed_with(Live::new(vec![account], settings()), Timeouts::default()).await;
        for (n, expected) in expected.into_iter().enumerate() {
            let body = format!(
                r#"{{"data":{{"event_type":"call.cost","id":"e-{n}","payload":{{"total_cost":"0.01"}}}}}}"#
            );
            assert_eq!(bed.send(&bed.good(body.as_bytes())).await.status, 200);
            let kept = bed.deps.store.inbox_after(0, 9).await.unwrap().pop().unwrap().unwrap();
            assert_eq!(kept.event.currency.as_deref(), expected);
            let feed = store::Feed { reading: Some(reading.clone()), ..store::Feed::default() };
            bed.deps.store.feed(feed).await.unwrap();
        }
        bed.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_line_of_the_reply_table() {
    let bed = bed().await;
    let (now, good) = (bed.now(), signed(&bed.now(), BODY, 1));
    let old = (bed.deps.clock.now().as_second() - 301).to_string();
    let new = (bed.deps.clock.now().as_second() + 301).to_string();
    let (time, sign) = good.split_once("\r\n").unwrap();
    let (time, sign) = (format!("{time}\r\n"), sign.to_owned());
    let garbage = vec![b'x'; MAX_BODY + 1];
    for (status, reason, request) in [
        (400, "missing_header", post(PATH, "", BODY)),
        (400, "missing_header", post(PATH, &time, BODY)),
        (400, "missing_header", post(PATH, &sign, BODY)),
        (400, "missing_header", post(PATH, &format!("telnyx-timestamp:\r\n{sign}"), BODY)),
        (400, "repeated_header", post(PATH, &format!("{time}{good}"), BODY)),
        (400, "repeated_header", post(PATH, &format!("{sign}{good}"), BODY)),
        (400, "bad_timestamp", post(PATH, &signed(&format!("+{now}"), BODY, 1), BODY)),
        (400, "bad_signature_encoding", post(PATH, &good.replace("==\r\n", "\r\n"), BODY)),
        (401, "bad_signature", post(PATH, &signed(&now, BODY, 2), BODY)),
        (401, "bad_signature", post(PATH, &good, b"{}")),
        (405, "method", format!("GET {PATH} HTTP/1.1\r\nhost: t\r\n\r\n").into_bytes()),
        (
            405,
            "method",
            format!("HEAD {PATH} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n").into_bytes(),
        ),
        (
            405,
            "method",
            format!("PUT {PATH} HTTP/1.1\r\nhost: t\r\ncontent-length: 1\r\n\r\nx").into_bytes(),
        ),
        (413, "body_too_large", post(PATH, "", &garbage)),
        (413, "body_too_large", post(PATH, &signed(&now, &garbage, 1), &garbage)),
        (503, "clock", post(PATH, &signed(&old, BODY, 1), BODY)),
        (503, "clock", post(PATH, &signed(&new, BODY, 1), BODY)),
    ] {
        let answer = bed.send(&request).await;
        assert_eq!(answer.status, status, "{reason}: {answer:?}");
        assert_eq!(answer.header("retry-after").is_some(), status == 503, "{reason}");
        assert_eq!(answer.header("allow"), (status == 405).then_some("POST"), "{reason}");
    }
    assert_eq!(bed.kept().await, 0);
    for (reason, count) in
        [("missing_header", 4), ("bad_signature", 2), ("method", 3), ("clock", 2)]
    {
        assert!(bed.rejected(reason, count), "{reason}");
    }
    assert!(bed.counts(r#"tollbell_webhook_clock_skew_seconds{account="default"} -301"#));
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_path_is_404_whatever_the_rest() {
    let bed = bed().await;
    let counted = |reason: &str, count: u32| {
        let name = "tollbell_webhooks_rejected_total";
        bed.counts(&format!(r#"{name}{{account="",reason="{reason}"}} {count}"#))
    };
    for (paths, path) in
        ["/", "/webhooks", "/webhooks/telnyx/other", "/webhooks/telnyx/default/x", "/metrics"]
            .into_iter()
            .enumerate()
    {
        let paths = u32::try_from(paths).unwrap();
        // Of strangers, who are many, and of Telnyx for somebody whom we do not know.
        assert_eq!(bed.send(&post(path, "", BODY)).await.status, 404, "{path}");
        assert!(counted("unknown_account", paths + 1) && counted("wrong_path", paths), "{path}");
        let answer = bed.send(&post(path, &signed(&bed.now(), BODY, 2), BODY)).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(counted("wrong_path", paths + 1), "{path}");
    }
    assert_eq!(bed.kept().await, 0);
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slashes_too_many_change_nothing_and_the_key_says_whose_a_webhook_is() {
    let accounts = vec![account("default", &[1]), account("south", &[3])];
    let bed = bed_with(Live::new(accounts, settings()), Timeouts::default()).await;
    let misdirected = |account: &str, count: u32| {
        let name = "tollbell_webhooks_misdirected_total";
        let line = format!(r#"{name}{{account="{account}"}} {count}"#);
        count == 0 || bed.counts(&line)
    };
    for (number, (path, key, kept_for, right)) in [
        ("/webhooks/telnyx/", 1, "default", true),
        ("//webhooks//telnyx", 1, "default", true),
        ("/webhooks/telnyx/default?token=x", 1, "default", true),
        ("/webhooks/telnyx/south/", 3, "south", true),
        ("/webhooks/telnyx/suoth", 3, "south", false),
        ("/webhooks/telnyx", 3, "south", false),
        ("/", 1, "default", false),
        ("/webhooks/telnyx/south", 1, "default", false),
    ]
    .into_iter()
    .enumerate()
    {
        let body = format!(r#"{{"data":{{"event_type":"call.cost","id":"e-{number}"}}}}"#);
        let request = post(path, &signed(&bed.now(), body.as_bytes(), key), body.as_bytes());
        assert_eq!(bed.send(&request).await.status, 200, "{path}");
        let kept = bed.deps.store.inbox_after(0, 100).await.unwrap().pop().unwrap().unwrap();
        assert_eq!(kept.event.account, kept_for, "{path}");
        let wrong_so_far =
            [1, 2, 3, 4].map(|more| number >= 3 + more).iter().filter(|it| **it).count();
        assert_eq!(right, wrong_so_far == 0, "{path}");
    }
    assert!(misdirected("south", 2) && misdirected("default", 2));
    // A wrong path makes nothing fresher.
    let old = (bed.deps.clock.now().as_second() - 301).to_string();
    let late = post("/webhooks/telnyx/suoth", &signed(&old, BODY, 3), BODY);
    assert_eq!(bed.send(&late).await.status, 503);
    let name = "tollbell_webhooks_rejected_total";
    assert!(bed.counts(&format!(r#"{name}{{account="south",reason="clock"}} 1"#)));
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_account_has_its_own_keys_and_a_reload_replaces_them() {
    let accounts = vec![account("north", &[1, 2]), account("south", &[3])];
    let bed = bed_with(Live::new(accounts, settings()), Timeouts::default()).await;
    let status = async |path: &str, key| {
        bed.send(&post(path, &signed(&bed.now(), BODY, key), BODY)).await.status
    };
    assert_eq!(status(PATH, 4).await, 404, "none of several is named default");
    assert_eq!(status("/webhooks/telnyx/north", 1).await, 200);
    assert_eq!(status("/webhooks/telnyx/north", 2).await, 200);
    assert_eq!(status("/webhooks/telnyx/north", 4).await, 401);
    assert_eq!(status("/webhooks/telnyx/south", 3).await, 200);
    bed.deps.live.store(Arc::new(Live::new(vec![account("south", &[4])], settings())));
    assert_eq!(status("/webhooks/telnyx/south", 3).await, 401);
    assert_eq!(status("/webhooks/telnyx/south", 4).await, 200);
    assert_eq!(status("/webhooks/telnyx/north", 1).await, 404);
    assert_eq!(bed.kept().await, 2, "the same event id in two accounts is two events");
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunked_bodies_are_capped_while_they_are_read() {
    let bed = bed().await;
    let head = |headers: &str| {
        format!("POST {PATH} HTTP/1.1\r\nhost: t\r\n{headers}transfer-encoding: chunked\r\n\r\n")
    };
    let mut good = head(&signed(&bed.now(), BODY, 1)).into_bytes();
    for piece in BODY.chunks(7) {
        good.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        good.extend_from_slice(piece);
        good.extend_from_slice(b"\r\n");
    }
    good.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(bed.send(&good).await.status, 200);

    for headers in [signed(&bed.now(), BODY, 1), String::new()] {
        let mut socket = bed.connect().await;
        socket.write_all(head(&headers).as_bytes()).await.unwrap();
        let piece = [b"4000\r\n".as_slice(), &[b'x'; 0x4000], b"\r\n"].concat();
        // Never ended: the reply must come all the same, and the connection must go.
        let (mut reader, mut writer) = socket.split();
        let write = async { while writer.write_all(&piece).await.is_ok() {} };
        let read = async {
            let mut start = [0; 12];
            reader.read_exact(&mut start).await.unwrap();
            assert_eq!(&start, b"HTTP/1.1 413");
        };
        timeout(SOON, async { tokio::join!(write, read) }).await.unwrap();
    }
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_and_odd_bytes_are_taken_as_they_are() {
    let bed = bed().await;
    let large = [b"{\"x\":\"", vec![b'y'; MAX_BODY - 8].as_slice(), b"\"}"].concat();
    assert_eq!(large.len(), MAX_BODY);
    for body in [large.as_slice(), b"", b"\xff\xfe\x00", b"\x1f\x8b\x08"] {
        let headers = format!("content-encoding: gzip\r\n{}", signed(&bed.now(), body, 1));
        assert_eq!(bed.send(&post(PATH, &headers, body)).await.status, 200, "{}", body.len());
    }
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_serves_request_after_request() {
    let bed = bed().await;
    let mut socket = bed.connect().await;
    for round in 0..3 {
        socket.write_all(&bed.good(format!("{{\"n\":{round}}}").as_bytes())).await.unwrap();
        assert_eq!(answer(&mut socket).await.status, 200);
        socket.write_all(&post(PATH, &signed(&bed.now(), BODY, 2), BODY)).await.unwrap();
        assert_eq!(answer(&mut socket).await.status, 401);
    }
    let expect = format!("expect: 100-continue\r\n{}", signed(&bed.now(), BODY, 1));
    let request = post(PATH, &expect, BODY);
    let (head, body) = request.split_at(request.len() - BODY.len());
    socket.write_all(head).await.unwrap();
    let mut interim = [0; 25];
    timeout(SOON, socket.read_exact(&mut interim)).await.unwrap().unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(body).await.unwrap();
    assert_eq!(answer(&mut socket).await.status, 200);
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hangs_up_after_its_body_loses_nothing() {
    let bed = bed().await;
    for round in 0..20 {
        let mut socket = bed.connect().await;
        socket.write_all(&bed.good(format!("{{\"n\":{round}}}").as_bytes())).await.unwrap();
        drop(socket);
    }
    bed.kept_soon(20).await;
    assert_eq!(bed.send(&bed.good(BODY)).await.status, 200);
    bed.stop().await;
}
