//! The console as people use it: by HTTP, and in a headless Chromium.

mod access;

use std::process::{Command, Output};
use std::time::Duration;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tollbell::clock;
use tollbell::store::{AlertFilter, DeliveryFilter, DeliveryState, Feed, Reading};

use crate::dispatch::{receiver, slack, webhook};
use crate::support::app::{SPEND_LIMIT_RULE, Setup, TestApp};
use crate::support::http::{HttpSink, Reply};
use crate::support::telnyx;
use crate::support::tools::{python, tool};

/// A token that may change things, and one that may not.
pub(super) const TOKEN: &str = "write-0123456789abcdef";
pub(super) const READ_TOKEN: &str = "read-0123456789abcdef";

/// Texts of strangers that would run where they were taken for markup; without blanks, since an id with blanks is stored as
/// its hash.
const SCRIPT: &str = "<script>window.__ran=1</script>";
const IMAGE: &str = "<img/src=x/onerror=window.__ran=2>";
const LABEL: &str = "\"><b/data-x/onmouseover=window.__ran=3>x</b>";

/// Rules over spending and over what is left, beside that of spend limits.
const RULES: &str = r#"
      - alert: CallSpend
        on: [call.cost]
        over: 15m
        value: sum(event.charge)
        fire: value > 20.0
        clear: value < 5.0
        labels: {severity: critical}
        annotations: {summary: "Calls have cost {{ value | money(labels.currency) }} within 15 minutes"}
      - alert: LowBalance
        on: [account.balance]
        value: payload.available_credit
        fire: value < 50.0
        labels: {severity: warning}
        annotations: {summary: "{{ value | money(event.currency) }} left"}
"#;

/// A tollbell with something on every page, the time standing at 2026-11-30 10:42:07.
pub(super) struct Filled {
    pub(super) app: TestApp,
    sink: HttpSink,
    facts: Value,
}

/// What the console's tests run on; keys of `server.auth` may be more.
pub(super) fn setup(sink: &HttpSink) -> Setup {
    let receivers = [
        receiver("ops", &[&slack(sink, "/slack", "")]),
        receiver("noc", &[&webhook(sink, "/noc", "")]),
    ];
    let routing = format!(
        "route:\n  receiver: ops\n  group_by: ['alertname', 'profile']\n  group_wait: 0s\n  group_interval: 1s\n  \
         routes:\n    - {{receiver: noc, name: noc, matchers: ['alertname=\"SpendLimitReached\"'], continue: true}}\n    \
         - {{receiver: ops, name: all}}\nreceivers:\n{}",
        receivers.concat()
    );
    Setup::new(routing)
        .begins("2026-11-30T10:42:07Z")
        .server(format!("  auth: {{token: {TOKEN}, read_token: {READ_TOKEN}}}\n"))
        .rules(format!("{SPEND_LIMIT_RULE}{RULES}"))
}

impl Filled {
    pub(super) async fn start() -> Self {
        let sink = HttpSink::start().await;
        sink.always("/noc", Reply::status(400));
        let app = setup(&sink).start().await;
        let now = app.clock.now();
        read_balances(&app, now).await;
        for call in 0..25 {
            let (id, leg) = (format!("call-{call}"), format!("leg-{call}"));
            let cost = telnyx::call_cost(&id, now, &leg, Some("0.9100"));
            assert_eq!(app.deliver(cost).await, 200);
        }
        // A text of a stranger, a caller's name, a name that becomes a label.
        let text = json!({"id": "sms", "direction": "inbound", "type": "SMS", "text": SCRIPT,
            "from": {"phone_number": SCRIPT}, "to": [{"phone_number": "+13125550122"}]});
        assert_eq!(app.deliver(telnyx::event("sms-1", "message.received", now, &text)).await, 200);
        let caller = json!({"call_leg_id": "leg-x", "call_control_id": "x", "from": IMAGE,
            "to": "+13125550122", "caller_id_name": IMAGE, "direction": "incoming"});
        assert_eq!(app.deliver(telnyx::event("call-x", "call.initiated", now, &caller)).await, 200);
        let limit = telnyx::spend_limit("limit-1", now, LABEL, "10.00", "10.02");
        assert_eq!(app.deliver(limit).await, 200);
        app.settle().await;
        let facts = facts(&app).await;
        Self { app, sink, facts }
    }

    /// Has the browser check something, and fails with what it says.
    async fn browse(&self, check: &str) -> String {
        tool("chromium");
        let base = format!("http://{}", self.app.app().private_addr);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/console/browser.py");
        let mut command = Command::new(python());
        command.args([script, check, &base, &self.facts.to_string()]);
        let run = tokio::task::spawn_blocking(move || command.output());
        let Output { status, stdout, stderr } = run.await.unwrap().unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(status.success(), "{check}: {}{}", said(&stdout), said(&stderr));
        said(&stdout)
    }

    async fn stop(self) {
        self.app.stop().await;
        drop(self.sink);
    }
}

/// A week of readings, the last some minutes old; a payment among them.
async fn read_balances(app: &TestApp, now: Timestamp) {
    let week = Duration::from_hours(7 * 24);
    let mut left = Decimal::from(900);
    let (step, mut at) = (Duration::from_mins(20), clock::sub(now, week));
    while at < now {
        left -= Decimal::new(175, 2);
        if left < Decimal::from(100) {
            left += Decimal::from(600);
        }
        let reading = Reading {
            account: "default".to_owned(),
            at,
            currency: Some("USD".to_owned()),
            balance: Some(left),
            available_credit: Some(left),
            credit_limit: Some(Decimal::ZERO),
            pending: None,
            burn_per_hour: Some(Decimal::new(525, 2)),
            hours_left: Some((left / Decimal::new(525, 2)).round_dp(2)),
        };
        let feed = Feed { reading: Some(reading), ..Feed::default() };
        app.app().store.feed(feed).await.unwrap();
        at = clock::add(at, step);
    }
}

/// What the browser must know to find its way.
async fn facts(app: &TestApp) -> Value {
    let store = &app.app().store;
    let filter = AlertFilter { firing_only: true, fingerprint: None, limit: 10 };
    let alerts = store.alerts(filter).await.unwrap();
    let of = |name: &str| alerts.iter().find(|alert| alert.labels["alertname"] == name).unwrap();
    let (limit, calls) = (of("SpendLimitReached"), of("CallSpend"));
    let filter = DeliveryFilter { state: Some(DeliveryState::Dead), receiver: None, limit: 1 };
    let dead = store.deliveries(filter).await.unwrap();
    json!({
        "token": TOKEN,
        "alert": calls.fingerprint,
        "headline": calls.annotations["summary"],
        "event": "/events/default/call-24",
        "delivery": dead.first().expect("a dead letter").id,
        "rule": "spend/CallSpend",
        "hostile": [format!("/alerts/{}", limit.fingerprint), "/events/default/sms-1", "/events/default/call-x"],
        "marks": [IMAGE, LABEL],
        "pictures": concat!(env!("CARGO_MANIFEST_DIR"), "/target/console-pictures"),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_well_in_both_themes_and_on_a_phone() {
    let filled = Filled::start().await;
    filled.browse("looks").await;
    // Pictures to look at, in target/console-pictures.
    if std::env::var_os("TOLLBELL_PICTURES").is_some() {
        filled.browse("pictures").await;
    }
    filled.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_works_without_a_script() {
    let filled = Filled::start().await;
    filled.browse("acts").await;
    filled.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_is_enough() {
    let filled = Filled::start().await;
    filled.browse("types").await;
    filled.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_wrote_runs_nowhere() {
    let filled = Filled::start().await;
    filled.browse("resists").await;
    filled.stop().await;
}
