//! HTTP peers that misbehave.

use super::*;

#[tokio::test]
async fn http_peers_that_misbehave_cost_no_more_than_the_timeout() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: ";
    let huge = format!("{head}10485760\r\n\r\n{}", "x".repeat(10 << 20));
    for (name, reply, timeout, expected) in [
        ("good", format!("{head}2\r\n\r\nok"), LONG, "delivered"),
        ("ten megabytes", huge, LONG, "retry other"),
        ("garbage", "220 smtp.example.com ESMTP\r\n".to_owned(), LONG, "retry other"),
        ("drop", String::new(), LONG, "retry connect"),
        ("half a body", format!("{head}100\r\n\r\nok"), LONG, "delivered"),
        (
            "redirect",
            "HTTP/1.1 302 F\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".to_owned(),
            LONG,
            "retry clientError",
        ),
    ] {
        let (listener, address, _) = listen().await;
        let notification = samples::spend_limit();
        let (_, outcome) = tokio::join!(
            answer(&listener, reply.as_bytes()),
            send(slack(&address), timeout, &notification)
        );
        assert_eq!(told(&outcome), expected, "{name}: {outcome:?}");
        assert!(!format!("{outcome:?}").contains("planted"), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_hung_http_peer_is_left_in_time() {
    let (listener, address, _) = listen().await;
    let notification = samples::spend_limit();
    let begun = tokio::time::Instant::now();
    let hang = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        read_request(&mut stream).await;
        stream
    };
    let (_stream, outcome) = tokio::join!(hang, send(slack(&address), SHORT, &notification));
    assert_eq!(told(&outcome), "retry timeout");
    assert!(begun.elapsed() < SHORT * 3, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn nobody_listens() {
    let (listener, address, port) = listen().await;
    drop(listener);
    let notification = samples::spend_limit();
    for channel in [slack(&address), Channel::Webhook(webhook(&address)), email(port, None)] {
        let outcome = send(channel, LONG, &notification).await;
        assert_eq!(told(&outcome), "retry connect");
        assert!(!format!("{outcome:?}").contains("planted"), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_webhook_carries_key_and_signature_and_shows_no_secret() {
    let (listener, address, _) = listen().await;
    let notification = samples::spend_limit();
    let reply = b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 88\r\n\r\n\
        {\"error\": \"planted-bearer planted-token planted-query planted-signing-key\"}             ";
    let notifier = Notifier::new(
        &integration(Channel::Webhook(webhook(&address)), LONG),
        &MessageTemplates::default(),
    );
    let notifier = notifier.expect("a notifier");
    let (request, sent) = tokio::join!(answer(&listener, reply), notifier.send(&notification));
    let request = request.to_lowercase();
    for expected in [
        "content-type: application/json",
        "idempotency-key: 0198c8f2-7d1e-7c3a-9d51-3f0c6a1b2c3d",
        "webhook-id: 0198c8f2-7d1e-7c3a-9d51-3f0c6a1b2c3d",
        "webhook-timestamp: 1787253628",
        "webhook-signature: v1,",
        "authorization: bearer planted-bearer",
        "user-agent: tollbell/",
    ] {
        assert!(request.contains(expected), "{expected} in {request}");
    }
    assert_eq!(
        sent.outcome,
        Outcome::Retry {
            reason: Reason::RateLimited,
            after: Some(Duration::from_secs(7)),
            lasting: None,
            maybe_taken: false,
            peer_works: false,
            detail: "status 429: *** *** *** ***".to_owned(),
        }
    );
    assert!(!format!("{notifier:?}").contains("planted"), "{notifier:?}");
}
