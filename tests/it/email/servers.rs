//! Postfix, Exim and `OpenSMTPD` as Debian configures them take what we send, and deliver it at once.

use mail_parser::MessageParser;
use tollbell::store::DeliveryState;

use super::trusted;
use crate::dispatch::{deliveries, receiver, ring, routing};
use crate::support::app::Setup;
use crate::support::server::Server;

/// More than any server would bear on one connection, and than all connections carry with ten mails each at once.
const MAILS: usize = 55;

/// Sends [`MAILS`] mails and finds all of them in the mailbox, though no server looks into its queue again for half an
/// hour.
async fn takes_all(name: &'static str, keys: &str) {
    let server = Server::mail(name).await;
    let mail = format!(
        "email_configs: [{{to: [ops@localhost], from: tollbell@example.com, smarthost: \"localhost:{}\", \
         hello: tollbell.test, rate_limit: {{per_second: 1000, burst: 1000}}, {keys}}}]",
        server.address().port()
    );
    let app = Setup::new(routing(&[receiver("ops", &[&mail])])).start().await;
    for n in 0..MAILS {
        ring(&app, &format!("e-{n}"), &format!("profile-ä-{n}")).await;
    }
    server.wait_for_mails(MAILS).await;
    app.settle().await;
    let delivered = deliveries(&app, DeliveryState::Delivered).await;
    assert_eq!(delivered.len(), MAILS);
    assert!(delivered.iter().all(|it| it.attempts == 1), "{name}: {delivered:?}");
    let mut subjects: Vec<String> = Vec::new();
    for mail in server.mails() {
        let mail = MessageParser::default().parse(&mail).unwrap();
        assert!(mail.body_text(0).unwrap().contains("10.02 of 10.00 USD"), "{name}");
        subjects.push(mail.subject().unwrap().to_owned());
    }
    subjects.sort();
    subjects.dedup();
    assert_eq!(subjects.len(), MAILS, "{name}: {subjects:?}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postfix_takes_all_mails_over_starttls() {
    takes_all("postfix", &format!("tls: starttls, {}", trusted())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exim_puts_no_mail_aside() {
    takes_all("exim", "tls: none").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opensmtpd_takes_all_mails() {
    takes_all("opensmtpd", "tls: none").await;
}
