//! Slow peers, proxies, floods, and the end.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_are_sent_away() {
    let live = Live::new(vec![account("default", &[1])], settings());
    let bed = bed_with(live, TIMEOUTS).await;
    let partial = bed.good(BODY);
    let (head, body) = partial.split_at(partial.len() - BODY.len());

    let mut silent = bed.connect().await;
    let mut headless = bed.connect().await;
    headless.write_all(&head[..20]).await.unwrap();
    let mut bodiless = bed.connect().await;
    bodiless.write_all(head).await.unwrap();
    let mut dripping = bed.connect().await;
    dripping.write_all(head).await.unwrap();
    // The head of a second request is nobody's business but ours.
    let mut second = bed.connect().await;
    second.write_all(&bed.good(b"1")).await.unwrap();
    assert_eq!(answer(&mut second).await.status, 200);
    second.write_all(&head[..20]).await.unwrap();
    let mut idle = bed.connect().await;
    idle.write_all(&bed.good(b"2")).await.unwrap();
    assert_eq!(answer(&mut idle).await.status, 200);

    assert_eq!(answer(&mut silent).await.status, 408);
    assert_eq!(answer(&mut headless).await.status, 408);
    let slow = answer(&mut bodiless).await;
    assert_eq!((slow.status, slow.header("retry-after")), (503, Some("2")));
    let (mut reader, mut writer) = dripping.split();
    let drip = async {
        for byte in body {
            if writer.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut start = [0; 12];
    let read = async { reader.read_exact(&mut start).await.unwrap() };
    tokio::select! {
        () = drip => panic!("the whole body was let in, drop by drop"),
        _ = timeout(SOON, read) => assert_eq!(&start, b"HTTP/1.1 503"),
    }
    let started = Instant::now();
    closed(&mut second).await;
    closed(&mut idle).await;
    closed(&mut bodiless).await;
    assert!(started.elapsed() < SOON);
    assert!(bed.rejected("body_timeout", 2));
    assert_eq!(bed.kept().await, 2);
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_is_the_address_behind_trusted_proxies() {
    let live = |trusted: &str| {
        let settings = ListenerSettings {
            trusted_proxies: vec![trusted.parse().unwrap()],
            allowed_sources: vec!["192.0.2.0/24".parse().unwrap()],
            ..settings()
        };
        Live::new(vec![account("default", &[1])], settings)
    };
    let bed = bed_with(live("127.0.0.0/8"), Timeouts::default()).await;
    let status = async |forwarded: &str| {
        let headers = format!("{forwarded}{}", signed(&bed.now(), BODY, 1));
        bed.send(&post(PATH, &headers, BODY)).await.status
    };
    assert_eq!(status("x-forwarded-for: 192.0.2.7\r\n").await, 200);
    assert_eq!(status("x-forwarded-for: 192.0.2.7, 203.0.113.1\r\n").await, 401);
    assert_eq!(status("").await, 401);
    bed.deps.live.store(Arc::new(live("10.0.0.0/8")));
    assert_eq!(status("x-forwarded-for: 192.0.2.7\r\n").await, 401);
    assert!(bed.rejected("source", 3));
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_signatures_do_not_shut_out_a_good_one_behind_the_same_address() {
    let bed = bed().await;
    let mut socket = bed.connect().await;
    let bad = post(PATH, &signed(&bed.now(), BODY, 2), BODY);
    for _ in 0..500 {
        socket.write_all(&bad).await.unwrap();
        assert_eq!(answer(&mut socket).await.status, 401);
    }
    assert_eq!(bed.send(&bed.good(BODY)).await.status, 200);
    let exhausted = |peers: &mut peers::Peers| peers.charge(usize::MAX, 1);
    exhausted(&mut bed.state.peers.lock().unwrap());
    let answer = bed.send(&bed.good(BODY)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")));
    assert!(bed.rejected("peer_limit", 1));
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_closed_means_try_again() {
    let bed = bed().await;
    bed.deps.store.close().await.unwrap();
    let answer = bed.send(&bed.good(BODY)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")));
    assert!(bed.rejected("store", 1));
    bed.server.stop(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_lets_the_request_in_flight_end_and_sends_idle_clients_away() {
    let bed = bed().await;
    let mut idle = bed.connect().await;
    idle.write_all(&bed.good(b"1")).await.unwrap();
    assert_eq!(answer(&mut idle).await.status, 200);
    let request = bed.good(BODY);
    let head = request.len() - BODY.len() - 2;
    let mut socket = bed.connect().await;
    socket.write_all(&request[..head]).await.unwrap();
    socket.write_all(b"expect: 100-continue\r\n\r\n").await.unwrap();
    // The head has been taken up.
    let mut interim = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    socket.read_exact(&mut interim).await.unwrap();
    assert!(interim.starts_with(b"HTTP/1.1 100 "), "{interim:?}");
    let stopped = bed.server.stop(true);
    let finish = async {
        closed(&mut idle).await;
        socket.write_all(BODY).await.unwrap();
        answer(&mut socket).await
    };
    let ((), answer) = timeout(SOON, async { tokio::join!(stopped, finish) }).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(bed.kept().await, 2);
    assert!(bed.tasks.drain(SOON).await);
}
