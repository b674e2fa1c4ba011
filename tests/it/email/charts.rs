//! The charts of mails about the balance and about spending.

use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use mail_parser::{MessageParser, MimeHeaders as _};
use rust_decimal::Decimal;
use serde_json::json;
use tollbell::clock;
use tollbell::event::Event;
use tollbell::store::{Feed, Reading};

use crate::dispatch::{email, receiver, until_nothing_waits, until_tried};
use crate::support::app::{Setup, TestApp};
use crate::support::smtp::{Mail, Script, SmtpSink, Stage};
use crate::support::telnyx;
use crate::support::tools::{python, tool};

const RULES: &str = r#"
groups:
  - name: money
    rules:
      - alert: LowBalance
        on: [account.balance]
        value: payload.available_credit
        fire: value < 50.0
        labels: {severity: warning}
        annotations:
          summary: "{{ value | money(event.currency) }} left"
          description: "When nothing is left, calls and messages are refused."
          action: "Top up: Portal > Billing."
      - alert: SpendSpike
        on: [call.cost, message.finalized]
        by: {product: event.product}
        over: 1h
        value: sum(event.charge)
        fire: value > 20.0
        labels: {severity: critical}
        annotations:
          summary: "Calls have cost {{ value | money(labels.currency) }} within an hour"
          description: "More than this product usually costs in an hour."
          action: "Ask whether somebody has started a campaign."
"#;

/// An image of a mail: its identity, and its bytes.
type Image = (String, Vec<u8>);

async fn app(smtp: &SmtpSink, keys: &str) -> TestApp {
    start(smtp, keys, &["..."], "0s").await
}

async fn start(smtp: &SmtpSink, keys: &str, group_by: &[&str], group_wait: &str) -> TestApp {
    let to = email(smtp, "ops@example.com", &format!("tls: none{keys}"));
    let routing = format!(
        "route:\n  receiver: ops\n  group_by: {group_by:?}\n  group_wait: {group_wait}\nreceivers:\n{}",
        receiver("ops", &[&to])
    );
    Setup::new(routing).begins("2026-11-30T10:42:07Z").rules(RULES).start().await
}

fn images(mail: &Mail) -> Vec<Image> {
    let parsed = MessageParser::default().parse(&mail.raw).unwrap();
    let images = parsed.parts.iter().filter(|part| part.is_content_type("image", "png"));
    let image = |part: &mail_parser::MessagePart<'_>| {
        (part.content_id().unwrap().to_owned(), part.contents().to_vec())
    };
    images.map(image).collect()
}

/// The words in the place of the one image.
fn alt(mail: &Mail) -> String {
    let html = mail.html.as_ref().unwrap();
    assert_eq!(html.matches("<img ").count(), 1, "{html}");
    html.split(" alt=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

fn reading(at: Timestamp, left: Decimal) -> Reading {
    let pace = Decimal::new(25, 1);
    Reading {
        account: "default".to_owned(),
        at,
        currency: Some("USD".to_owned()),
        balance: Some(left),
        available_credit: Some(left),
        credit_limit: Some(Decimal::ZERO),
        pending: None,
        burn_per_hour: Some(pace),
        hours_left: Some((left / pace).round_dp(2)),
    }
}

async fn feed(app: &TestApp, reading: Reading, events: Vec<Event>) {
    let feed = Feed { reading: Some(reading), events, ..Feed::default() };
    app.app().store.feed(feed).await.unwrap();
}

/// A reading as the poller keeps it, with its event.
async fn read(app: &TestApp, reading: Reading) {
    let id = format!("account.balance:{}", reading.at.as_microsecond());
    let payload = json!({
        "available_credit": reading.available_credit, "balance": reading.balance, "currency": "USD",
        "hours_left": reading.hours_left,
    });
    let mut event = Event::tollbell("account.balance", "default", id, reading.at, payload);
    event.currency = Some("USD".to_owned());
    feed(app, reading, vec![event]).await;
}

/// Days of readings; the last is below 50. Most is spent by day, and two days ago somebody paid.
async fn falling(app: &TestApp) {
    let now = app.clock.now();
    let mut left = Decimal::new(415, 1);
    let mut readings = Vec::new();
    for step in 1..=5 * 48_u32 {
        let at = clock::sub(now, Duration::from_mins(30) * step);
        let is_day = (7..19).contains(&at.to_zoned(TimeZone::UTC).hour());
        left += Decimal::new(if is_day { 16 } else { 2 }, 1);
        if step == 96 {
            left -= Decimal::from(90);
        }
        readings.push(reading(at, left));
    }
    for reading in readings.into_iter().rev() {
        feed(app, reading, vec![]).await;
    }
    read(app, reading(now, Decimal::new(415, 1))).await;
}

#[tokio::test]
async fn a_mail_about_the_balance_shows_it_and_each_attempt_shows_the_same() {
    let smtp = SmtpSink::start().await;
    smtp.next([Script::Drop(Stage::Body)]);
    let mut app = app(&smtp, "").await;
    falling(&app).await;
    until_tried(&app, 1).await;
    // What is read later belongs to another mail, also for another process, which has nothing in memory.
    app.clock.advance(Duration::from_mins(7));
    feed(&app, reading(app.clock.now(), Decimal::new(300, 0)), vec![]).await;
    app.crash().await;
    until_nothing_waits(&app).await;
    let seen = smtp.transmissions();
    // The former process may have tried once more before it crashed.
    assert!((2..=3).contains(&seen.len()), "{} transmissions", seen.len());
    let (first, again) = (&seen[0], &seen[seen.len() - 1]);
    for one in &seen {
        assert_eq!(one.message_id, first.message_id);
        assert_eq!(images(one), images(first));
    }
    let images = images(again);
    let [(id, png)] = images.as_slice() else { panic!("{} images", images.len()) };
    assert!(png.starts_with(b"\x89PNG") && png.len() < 15_000, "{}", png.len());
    assert!(again.html.as_ref().unwrap().contains(&format!("src=\"cid:{id}\"")));
    assert_eq!(
        alt(again),
        "Balance of default, the last 3 days (USD). From 81.10 USD to 41.50 USD. At the present pace it lasts 16 h, until Tue 1 Dec \
         03:18 UTC."
    );
    assert_eq!(smtp.violations(), Vec::<String>::new());
    app.stop().await;
}

/// Charges of some weeks and of this morning; the last make it fire.
async fn spending(app: &TestApp) {
    let now = app.clock.now();
    let mut n = 0;
    let mut charge = async |at: Timestamp, cost: &str| {
        n += 1;
        let leg = format!("leg-{n}");
        assert_eq!(
            app.deliver(telnyx::call_cost(&format!("e-{n}"), at, &leg, Some(cost))).await,
            200
        );
    };
    for week in (1..=3).rev() {
        let midnight: Timestamp = "2026-11-30T00:00:00Z".parse().unwrap();
        let midnight = clock::sub(midnight, Duration::from_hours(7 * 24 * week));
        for (hour, cost) in [
            (7, "1.5"),
            (8, "3"),
            (9, "5.2"),
            (10, "6"),
            (11, "5.5"),
            (13, "4"),
            (15, "6.1"),
            (18, "2"),
        ] {
            charge(clock::add(midnight, Duration::from_hours(hour)), cost).await;
        }
    }
    for (back, cost) in [(200, "1.20"), (150, "3.90"), (95, "4.40"), (9, "11"), (4, "17.30")] {
        charge(clock::sub(now, Duration::from_mins(back)), cost).await;
    }
}

#[tokio::test]
async fn a_mail_about_spending_shows_today_beside_the_usual() {
    let smtp = SmtpSink::start().await;
    let app = app(&smtp, "").await;
    spending(&app).await;
    app.settle().await;
    let mail = smtp.one();
    let images = images(&mail);
    assert!(images.len() == 1 && images[0].1.len() < 15_000, "{}", images.len());
    assert_eq!(
        alt(&mail),
        "Spend of default on voice today, by hour (UTC, USD). 37.80 USD so far, most from 10:00 to 11:00: 28.30 USD. Usual until \
         11:00: 15.70 USD, by the same hours of the last 4 weeks."
    );
    app.stop().await;
}

#[tokio::test]
async fn without_charts_a_mail_is_as_it_was() {
    let smtp = SmtpSink::start().await;
    let app = app(&smtp, ", charts: false").await;
    falling(&app).await;
    spending(&app).await;
    app.settle().await;
    for mail in smtp.wait_for(2).await {
        assert_eq!(images(&mail), []);
        assert!(!mail.html.as_ref().unwrap().contains("<img"));
        assert!(!mail.raw_text().contains("multipart/related"));
    }
    app.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_keeps_no_mail() {
    let smtp = SmtpSink::start().await;
    let app = app(&smtp, "").await;
    let now = app.clock.now();
    let database = rusqlite::Connection::open(app.dir.path().join("tollbell.db")).unwrap();
    database.execute_batch("ALTER TABLE readings RENAME COLUMN balance TO gone").unwrap();
    let payload = json!({"available_credit": "41.50", "currency": "USD"});
    let event = Event::tollbell("account.balance", "default", "b-1".to_owned(), now, payload);
    app.app().store.feed(Feed { events: vec![event], ..Feed::default() }).await.unwrap();
    app.settle().await;
    let mail = smtp.one();
    assert!(mail.subject.contains("41.50"), "{}", mail.subject);
    assert_eq!(images(&mail), []);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn charts_are_shown_in_both_themes_and_on_a_phone() {
    tool("chromium");
    let smtp = SmtpSink::start().await;
    let app = app(&smtp, "").await;
    falling(&app).await;
    app.settle().await;
    spending(&app).await;
    app.settle().await;
    let pages = tempfile::tempdir().unwrap();
    let mut mails = smtp.wait_for(2).await;
    app.stop().await;
    // And one mail of both.
    let app = start(&smtp, "", &["account"], "10s").await;
    falling(&app).await;
    spending(&app).await;
    app.settle().await;
    app.pass(Duration::from_secs(10)).await;
    mails.extend(smtp.wait_for(3).await.split_off(2));
    assert_eq!(mails.iter().map(|mail| images(mail).len()).collect::<Vec<_>>(), [1, 1, 2]);
    for (mail, name) in mails.iter().zip(["balance", "spend", "both"]) {
        let mut html = mail.html.clone().unwrap();
        for (id, png) in images(mail) {
            let data = format!("data:image/png;base64,{}", base64(&png));
            html = html.replace(&format!("cid:{id}"), &data);
        }
        std::fs::write(pages.path().join(format!("{name}.html")), html).unwrap();
    }
    // Pictures to look at, in target/mail-pictures.
    let pictures = std::env::var_os("TOLLBELL_PICTURES")
        .map(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/target/mail-pictures"));
    let mut command = Command::new(python());
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/email/look.py"));
    command.arg(pages.path()).args(pictures);
    let run = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    app.stop().await;
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
