//! SMTP peers that misbehave, that are kept, and that do not encrypt.

use super::smtp_server::*;
use super::*;

#[tokio::test]
async fn smtp_peers_that_misbehave_cost_no_more_than_the_timeout() {
    for (command, reply, timeout, expected) in [
        ("NOOP", Some("250 ok\r\n"), LONG, "delivered"),
        ("", None, SHORT, "retry timeout"),
        ("", Some("HTTP/1.1 400 Bad Request\r\n\r\n"), LONG, "retry connect"),
        ("", Some("554 go away\r\n"), LONG, "retry serverError"),
        ("MAIL", Some("450 later\r\n"), LONG, "retry serverError"),
        ("RCPT", Some("550 5.1.1 nobody here\r\n"), LONG, "rejected clientError"),
        ("RCPT", Some("530 5.7.0 log in first\r\n"), LONG, "retry authError"),
        ("DATA", Some("250 out of step\r\n"), LONG, "retry connect"),
        (".", Some("554 5.7.1 refused\r\n"), LONG, "rejected clientError"),
        (".", None, SHORT, "retry timeout"),
    ] {
        let (listener, _, port) = listen().await;
        let notification = samples::spend_limit();
        let script = script(command, reply);
        let peer = async {
            let (stream, _) = listener.accept().await.expect("a connection");
            serve_smtp(stream, &script).await
        };
        let (_, outcome) = tokio::join!(peer, send(email(port, None), timeout, &notification));
        assert_eq!(told(&outcome), expected, "{command} {reply:?}: {outcome:?}");
        if command == "." && reply.is_none() {
            assert!(format!("{outcome:?}").contains("may have been taken"), "{outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_connection_is_kept_after_success_and_closed_after_a_hang() {
    let (listener, _, port) = listen().await;
    let mut notification = samples::spend_limit();
    let notifier =
        Notifier::new(&integration(email(port, None), SHORT), &MessageTemplates::default())
            .expect("a notifier");
    let hangs = script(".", None);
    let peer = async {
        let (stream, _) = listener.accept().await.expect("a connection");
        let hung = serve_smtp(stream, &hangs).await;
        let (stream, _) = listener.accept().await.expect("a connection");
        (hung, serve_smtp(stream, &GOOD).await)
    };
    let sends = async {
        let mut outcomes = Vec::new();
        for _ in 0..3 {
            outcomes.push(told(&notifier.send(&notification).await.outcome));
        }
        notification.target = "not an address".to_owned();
        outcomes.push(told(&notifier.send(&notification).await.outcome));
        drop(notifier);
        outcomes
    };
    let ((hung, good), outcomes) = tokio::join!(peer, sends);
    assert_eq!(outcomes, ["retry timeout", "delivered", "delivered", "rejected clientError"]);
    assert_eq!(hung.last().map(String::as_str), Some("."));
    assert_eq!(good.iter().filter(|command| command.starts_with("EHLO")).count(), 1);
    assert_eq!(good.iter().filter(|command| command.starts_with("MAIL")).count(), 2);
}

#[tokio::test]
async fn of_kept_connections_that_fell_silent_one_is_waited_for() {
    let (listener, _, port) = listen().await;
    let notification = samples::spend_limit();
    let integration = Integration { concurrency: 3, ..integration(email(port, None), LONG) };
    let notifier = Notifier::new(&integration, &MessageTemplates::default()).expect("a notifier");
    let peer = async {
        let mut silent = Vec::new();
        for _ in 0..3 {
            silent.push(listener.accept().await.expect("a connection").0);
        }
        let silent = silent.into_iter().map(|stream| serve_some_mails(stream, &GOOD, 1));
        let new = async {
            let (stream, _) = listener.accept().await.expect("a connection");
            serve_smtp(stream, &GOOD).await
        };
        tokio::join!(join_all(silent), new)
    };
    let sends = async {
        let send = || async { told(&notifier.send(&notification).await.outcome) };
        let at_once = join_all([send(), send(), send()]).await;
        let next = send().await;
        drop(notifier);
        (at_once, next)
    };
    let ((silent, new), outcomes) = tokio::join!(peer, sends);
    assert_eq!(outcomes, (vec!["delivered".to_owned(); 3], "delivered".to_owned()));
    let mails =
        |heard: &Vec<String>| heard.iter().filter(|command| command.starts_with("MAIL")).count();
    let mut asked: Vec<usize> = silent.iter().map(mails).collect();
    asked.sort_unstable();
    assert_eq!((asked, mails(&new)), (vec![1, 1, 2], 1));
}

#[tokio::test]
async fn a_new_password_gets_a_new_connection() {
    let (listener, _, port) = listen().await;
    let notification = samples::spend_limit();
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "old\n").expect("written");
    let auth = email::Auth {
        mechanism: email::Mechanism::Plain,
        username: "bell".to_owned(),
        password: Secret::File(file.path().to_path_buf()),
    };
    let notifier =
        Notifier::new(&integration(email(port, Some(auth)), LONG), &MessageTemplates::default())
            .expect("a notifier");
    let refuses = script("AUTH", Some("535 5.7.8 planted\r\n"));
    let peer = async {
        let (stream, _) = listener.accept().await.expect("a connection");
        let first = serve_smtp(stream, &GOOD).await;
        let (stream, _) = listener.accept().await.expect("a connection");
        (first, serve_smtp(stream, &refuses).await)
    };
    let sends = async {
        let first = notifier.send(&notification).await.outcome;
        std::fs::write(file.path(), "new").expect("written");
        (first, notifier.send(&notification).await.outcome)
    };
    let ((first, second), outcomes) = tokio::join!(peer, sends);
    assert_eq!(
        (told(&outcomes.0), told(&outcomes.1)),
        ("delivered".to_owned(), "retry authError".to_owned())
    );
    assert!(!format!("{:?}", outcomes.1).contains("planted"), "{:?}", outcomes.1);
    // \0bell\0old and \0bell\0new in base64.
    assert!(first.contains(&"AUTH PLAIN AGJlbGwAb2xk".to_owned()), "{first:?}");
    assert!(second.contains(&"AUTH PLAIN AGJlbGwAbmV3".to_owned()), "{second:?}");
}

#[tokio::test]
async fn starttls_is_required_unless_waived() {
    let (listener, _, port) = listen().await;
    let notification = samples::spend_limit();
    let Channel::Email(mut settings) = email(port, None) else { unreachable!() };
    settings.tls = email::Tls::StartTls;
    let peer = async {
        let (stream, _) = listener.accept().await.expect("a connection");
        serve_smtp(stream, &GOOD).await
    };
    let (heard, outcome) = tokio::join!(peer, send(Channel::Email(settings), LONG, &notification));
    assert_eq!(told(&outcome), "retry connect");
    assert!(heard.iter().all(|command| !command.starts_with("MAIL")), "{heard:?}");
}
