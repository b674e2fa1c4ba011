//! `tollbell spend`: the real binary over a store that signed webhooks filled, beside the service that runs.

mod compare;

use std::process::{Command, Stdio};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::app::{Setup, TestApp, route};
use crate::support::telnyx::{call_cost, event, message_finalized};
use crate::support::telnyx_api::API_KEY;

/// What the command printed and how it ended.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

/// Runs `tollbell spend` with the configuration of the app. The API key must not be seen, whatever happens.
fn spend(app: &TestApp, args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollbell"));
    command.arg("spend").args(args).arg("--config").arg(app.config_file());
    let output = command.env_clear().stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(!out.contains(API_KEY) && !err.contains(API_KEY), "the key is shown:\n{out}\n{err}");
    assert!(!err.contains("panicked"), "{err}");
    Ran { code: output.status.code().unwrap(), out, err }
}

/// What the command printed, when it ended well and complained of nothing.
#[track_caller]
fn shown(app: &TestApp, args: &[&str]) -> String {
    let Ran { code, out, err } = spend(app, args);
    assert!(code == 0 && err.is_empty(), "{args:?} ended with {code}\n{out}\n{err}");
    out
}

#[track_caller]
fn shown_json(app: &TestApp, args: &[&str]) -> Value {
    serde_json::from_str(&shown(app, &[args, &["--format", "json"]].concat())).unwrap()
}

fn at(time: &str) -> Timestamp {
    format!("2026-01-{time}Z").parse().unwrap()
}

fn setup() -> Setup {
    let receivers =
        "receivers:\n  - name: ops\n    webhook_configs: [{url: 'http://127.0.0.1:9/'}]\n";
    Setup::new(route("ops") + receivers).begins("2026-01-08T12:00:00Z")
}

fn initiated(leg: &str, at: Timestamp, direction: &str, from: &str, to: &str) -> Vec<u8> {
    let payload = json!({
        "call_leg_id": leg, "call_control_id": format!("v3:control-of-{leg}"), "connection_id": "1494404757140276705",
        "direction": direction, "from": from, "to": to, "state": "parked", "start_time": at.to_string(),
    });
    event(&format!("initiated-{leg}"), "call.initiated", at, &payload)
}

/// A call whose parts are in two currencies: its amount is known, and in what it is not.
fn of_two_currencies(at: Timestamp) -> Vec<u8> {
    let part = |currency: &str| json!({"call_part": "sip-trunking", "cost": "0.0050", "currency": currency});
    let payload = json!({"call_leg_id": "leg-e", "total_cost": "0.0100", "status": "success",
        "cost_parts": [part("USD"), part("EUR")]});
    event("cost-e", "call.cost", at, &payload)
}

fn received(at: Timestamp) -> Vec<u8> {
    let payload = json!({
        "id": "message-in", "record_type": "message", "direction": "inbound", "type": "SMS",
        "from": {"phone_number": "+14165550131"}, "to": [{"phone_number": "+13125550111"}],
        "text": "hello", "cost": {"amount": "0.0040", "currency": "USD"},
    });
    event("received", "message.received", at, &payload)
}

fn in_euro(at: Timestamp) -> Vec<u8> {
    let body = String::from_utf8(message_finalized("out", at, "message-out", "0.0500")).unwrap();
    let body = body.replace(r#""currency": "USD""#, r#""currency": "EUR""#);
    body.replace("+13125550122", "+37126123456").into_bytes()
}

/// A service that was told of these charges, from the 5th to the 7th:
///
/// - a call out to Latvia of 0.0106 USD, later said to be 0.0090;
/// - a call in from Canada of 0.0200 USD, of which the cost came first;
/// - a call of an unknown amount, which is none yet;
/// - a call of 0.0300 USD of which nothing else is known;
/// - a call of 0.0100 in a currency that is not known;
/// - a message out to Latvia of 0.0500 EUR, one in from Canada of 0.0040 USD.
async fn filled(setup: Setup) -> TestApp {
    let app = setup.start().await;
    let (us, lv, ca) = ("+13125550111", "+37126123456", "+14165550131");
    for body in [
        initiated("leg-a", at("05T10:00:00"), "outgoing", us, lv),
        call_cost("cost-a", at("05T10:01:00"), "leg-a", Some("0.0106")),
        call_cost("cost-b", at("06T23:30:00"), "leg-b", Some("0.0200")),
        initiated("leg-b", at("06T23:29:00"), "incoming", ca, us),
        call_cost("cost-c", at("06T08:00:00"), "leg-c", None),
        call_cost("cost-d", at("07T08:00:00"), "leg-d", Some("0.0300")),
        of_two_currencies(at("07T09:00:00")),
        in_euro(at("07T10:00:00")),
        received(at("07T11:00:00")),
        call_cost("cost-a-2", at("05T12:00:00"), "leg-a", Some("0.0090")),
    ] {
        assert_eq!(app.deliver(body).await, 200);
    }
    app.settle().await;
    app
}

const RANGE: [&str; 4] = ["--since", "2026-01-05", "--until", "2026-01-08"];

#[tokio::test(flavor = "multi_thread")]
async fn spend_is_shown_by_what_one_asks_for() {
    let app = filled(setup()).await;
    let by = |by: &str| shown(&app, &[&RANGE[..], &["--by", by]].concat());
    insta::assert_snapshot!(by("country"), @r#"
    from 2026-01-05T00:00:00Z until 2026-01-08T00:00:00Z

    COUNTRY  CURRENCY  CHARGES  AMOUNT  SHARE
    LV       EUR       1        0.05    100.0 %
    -        USD       1        0.03     47.6 %
    CA       USD       2        0.024    38.1 %
    LV       USD       1        0.009    14.3 %
    -        unknown   1        0.01    100.0 %
    (total)  EUR       1        0.05    100.0 %
    (total)  USD       4        0.063   100.0 %
    (total)  unknown   1        0.01    100.0 %

    The ledger begins with a charge of 2026-01-05T10:01:00Z; of earlier ones it knows nothing (it keeps them for store.retention, 30d at least).
    "#);
    insta::assert_snapshot!(by("day"), @r#"
    from 2026-01-05T00:00:00Z until 2026-01-08T00:00:00Z

    DAY         CURRENCY  CHARGES  AMOUNT  SHARE
    2026-01-05  EUR       0        0.00      0.0 %
    2026-01-05  USD       1        0.009    14.3 %
    2026-01-06  EUR       0        0.00      0.0 %
    2026-01-06  USD       1        0.02     31.7 %
    2026-01-07  EUR       1        0.05    100.0 %
    2026-01-07  USD       2        0.034    54.0 %
    2026-01-07  unknown   1        0.01    100.0 %
    (total)     EUR       1        0.05    100.0 %
    (total)     USD       4        0.063   100.0 %
    (total)     unknown   1        0.01    100.0 %

    The ledger begins with a charge of 2026-01-05T10:01:00Z; of earlier ones it knows nothing (it keeps them for store.retention, 30d at least).
    "#);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_grouping_has_every_charge() {
    let app = filled(setup()).await;
    // Group, currency, charges, amount.
    let rows = |by: &str| -> Vec<String> {
        let json = shown_json(&app, &[&RANGE[..], &["--by", by]].concat());
        assert_eq!(json["by"], by);
        let row = |row: &Value| {
            let text = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
            format!("{} {} {} {}", text("group"), text("currency"), row["charges"], text("amount"))
        };
        json["rows"].as_array().unwrap().iter().map(row).collect()
    };
    assert_eq!(
        rows("product"),
        [
            "messaging EUR 1 0.05",
            "voice USD 3 0.059",
            "messaging USD 1 0.004",
            "voice unknown 1 0.01"
        ]
    );
    assert_eq!(
        rows("kind"),
        [
            "message.finalized EUR 1 0.05",
            "call.cost USD 3 0.059",
            "message.received USD 1 0.004",
            "call.cost unknown 1 0.01"
        ]
    );
    let connection = "1494404757140276705";
    assert_eq!(
        rows("connection"),
        ["- EUR 1 0.05", &format!("{connection} USD 3 0.059"), "- USD 1 0.004", "- unknown 1 0.01"]
    );
    // The far end: called by what went out, calling in what came in.
    assert_eq!(
        rows("number"),
        [
            "+37126123456 EUR 1 0.05",
            "- USD 1 0.03",
            "+14165550131 USD 2 0.024",
            "+37126123456 USD 1 0.009",
            "- unknown 1 0.01"
        ]
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_exact_text_and_people_the_most_expensive() {
    let app = filled(setup()).await;
    let csv = ["--format", "csv"];
    let Ran { code, out, err } = spend(&app, &[&RANGE[..], &["--by", "number"], &csv].concat());
    assert_eq!(code, 0);
    insta::assert_snapshot!(out, @r#"
    group,currency,charges,amount,share_percent
    +37126123456,EUR,1,0.05,100.0
    ,USD,1,0.03,47.6
    +14165550131,USD,2,0.024,38.1
    +37126123456,USD,1,0.009,14.3
    ,unknown,1,0.01,100.0
    "#);
    let note = "The ledger begins with a charge of 2026-01-05T10:01:00Z; of earlier ones it knows nothing (it keeps \
         them for store.retention, 30d at least).\n";
    assert_eq!(err, note, "what is no data is not in the data");
    // A day of Riga begins at 22:00.
    let riga = [
        "--by",
        "day",
        "--time-zone",
        "Europe/Riga",
        "--since",
        "2026-01-06",
        "--until",
        "2026-01-08",
    ];
    insta::assert_snapshot!(shown(&app, &[&riga[..], &csv].concat()), @r#"
    group,currency,charges,amount,share_percent
    2026-01-06,EUR,0,0.00,0.0
    2026-01-06,USD,0,0.00,0.0
    2026-01-07,EUR,1,0.05,100.0
    2026-01-07,USD,3,0.054,100.0
    2026-01-07,unknown,1,0.01,100.0
    "#);
    let one = shown(&app, &[&RANGE[..], &["--by", "number", "--limit", "1"]].concat());
    insta::assert_snapshot!(one, @r#"
    from 2026-01-05T00:00:00Z until 2026-01-08T00:00:00Z

    NUMBER        CURRENCY  CHARGES  AMOUNT  SHARE
    +37126123456  EUR       1        0.05    100.0 %
    -             USD       1        0.03     47.6 %
    -             unknown   1        0.01    100.0 %
    (others)      USD       3        0.033    52.4 %
    (total)       EUR       1        0.05    100.0 %
    (total)       USD       4        0.063   100.0 %
    (total)       unknown   1        0.01    100.0 %

    The ledger begins with a charge of 2026-01-05T10:01:00Z; of earlier ones it knows nothing (it keeps them for store.retention, 30d at least).
    "#);

    let json =
        shown_json(&app, &["--since", "2026-01-06T23:30:00Z", "--until", "2026-01-07T10:00:00Z"]);
    assert_eq!(
        json,
        json!({
            "from": "2026-01-06T23:30:00Z", "to": "2026-01-07T10:00:00Z", "by": "product", "time_zone": "UTC",
            "account": null, "oldest_charge": "2026-01-05T10:01:00Z", "others": [],
            "rows": [
                {"group": "voice", "currency": "USD", "charges": 2, "amount": "0.05", "share_percent": "100.0"},
                {"group": "voice", "currency": "unknown", "charges": 1, "amount": "0.01", "share_percent": "100.0"},
            ],
            "totals": [
                {"currency": "USD", "charges": 2, "amount": "0.05"},
                {"currency": "unknown", "charges": 1, "amount": "0.01"},
            ],
        }),
        "from is inside, to is not"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_ledger_cannot_know_is_said() {
    let app = setup().start().await;
    insta::assert_snapshot!(shown(&app, &RANGE), @r#"
    from 2026-01-05T00:00:00Z until 2026-01-08T00:00:00Z

    no charges

    The ledger holds no charge.
    "#);
    let empty = spend(&app, &[&RANGE[..], &["--by", "day", "--format", "csv"]].concat());
    assert_eq!(empty.out, "group,currency,charges,amount,share_percent\n");
    assert_eq!(empty.err, "The ledger holds no charge.\n");
    for (args, said) in [
        (&["--by", "weekday"][..], "invalid value 'weekday'"),
        (&["--since", "tomorrow"], "expected a duration such as 12h or 7d"),
        (&["--time-zone", "Mars/Base"], "expected a time zone such as"),
        (&["--since", "1d", "--until", "2d"], "tollbell: the time range is empty: from "),
        (&["--account", "nobody"], "tollbell: no account nobody: there is default"),
    ] {
        let ran = spend(&app, args);
        assert!(
            ran.code == 2 && ran.err.contains(said) && ran.out.is_empty(),
            "{args:?}: {}",
            ran.err
        );
    }
    let ran = spend(&app, &[&RANGE[..], &["--compare"]].concat());
    assert!(ran.code == 2 && ran.out.contains("\n\nno charges\n"), "{}", ran.out);
    assert_eq!(
        ran.err,
        "tollbell: not compared with Telnyx: no account has an api_key or api_key_file: Telnyx cannot be asked\n"
    );
    app.stop().await;
}
