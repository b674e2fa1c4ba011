//! `tollbell spend --compare`: the ledger against a scripted `GET /charges_summary`.

use serde_json::{Value, json};

use super::{RANGE, at, filled, setup, shown, shown_json, spend};
use crate::support::app::{TestApp, reqwest_client};
use crate::support::http::Reply;
use crate::support::telnyx::{Signer, call_cost};
use crate::support::telnyx_api::{API_KEY, TelnyxApi, error};

/// An answer of `GET /charges_summary`.
fn summary(currency: &str, grand_total: &str) -> Value {
    json!({"data": {
        "currency": currency, "start_date": "2026-01-05", "end_date": "2026-01-08",
        "user_email": "ops@example.com", "user_id": "u-1",
        "summary": {
            "lines": [
                {"type": "simple", "name": "Outbound SMS", "alias": "sms", "amount": "1.0500", "quantity": 21},
                {"type": "comparative", "name": "Phone numbers", "alias": "did",
                    "existing_this_month": {"mrc": "3.00", "quantity": 3},
                    "new_this_month": {"mrc": "1.00", "otc": "0.50", "quantity": 1}},
            ],
            "adjustments": [{"amount": "-0.25", "description": "Goodwill", "event_date": "2026-01-06"}],
        },
        "total": {"existing_mrc": "3.00", "new_mrc": "1.00", "new_otc": "0.50", "other": "1.0500",
            "credits": "0.00", "ledger_adjustments": "-0.25", "grand_total": grand_total},
    }})
}

/// Posts a call's cost to the webhook of an account.
async fn deliver_to(app: &TestApp, account: &str, leg: &str, amount: &str) {
    let body = call_cost(&format!("cost-{leg}"), at("07T12:00:00"), leg, Some(amount));
    let client = reqwest_client();
    let mut request = client.post(app.public(&format!("/webhooks/telnyx/{account}")));
    for (name, value) in app.signer.headers(app.clock.now(), &body) {
        request = request.header(name, value);
    }
    assert_eq!(request.body(body).send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_stand_apart_and_telnyx_is_compared_with_its_own() {
    let api = TelnyxApi::start().await;
    api.always("/charges_summary", Reply::json(&summary("USD", "5.25")));
    let key = Signer::new().public_key_base64();
    let second = |keys: &str| format!("  - name: second\n    public_keys: ['{key}']\n{keys}");
    let mut app = setup().account(api.account() + &second("")).start().await;
    for (account, leg, amount) in
        [("default", "leg-1", "0.25"), ("second", "leg-1", "0.5"), ("second", "leg-2", "0.125")]
    {
        deliver_to(&app, account, leg, amount).await;
    }
    app.settle().await;
    let rows = |args: &[&str]| {
        let json = shown_json(&app, &[&RANGE[..], &["--by", "account"], args].concat());
        let row = |row: &Value| format!("{} {} {}", row["group"], row["charges"], row["amount"]);
        json["rows"].as_array().unwrap().iter().map(row).collect::<Vec<_>>()
    };
    let (first, other) = (r#""default" 1 "0.25""#, r#""second" 2 "0.625""#);
    assert_eq!(rows(&[]), [other, first]);
    assert_eq!(rows(&["--account", "second"]), [other]);
    // Only one has an API key: it is compared, and nothing of the other.
    assert_eq!(rows(&["--compare"]), [first]);
    let none = spend(&app, &[&RANGE[..], &["--compare", "--account", "second"]].concat());
    let said =
        "tollbell: not compared with Telnyx: the account second has no api_key or api_key_file\n";
    assert!(none.code == 2 && none.err == said && none.out.contains("0.625"), "{}", none.err);

    app.restart(Some(setup().account(api.account() + &second(&api.account())))).await;
    let both = spend(&app, &[&RANGE[..], &["--compare"]].concat());
    assert!(both.code == 2 && both.out.contains("0.875"), "{}", both.out);
    assert!(both.err.ends_with("say --account with one of default, second\n"), "{}", both.err);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_set_against_what_telnyx_charged() {
    let api = TelnyxApi::start().await;
    api.always("/charges_summary", Reply::json(&summary("USD", "5.30")));
    let app = filled(setup().account(api.account())).await;
    // Telnyx knows whole days: so all that is shown is of whole days.
    let hours = ["--since", "2026-01-05T10:30:00Z", "--until", "2026-01-07T10:30:00Z", "--compare"];
    insta::assert_snapshot!(shown(&app, &hours), @r#"
    from 2026-01-05T00:00:00Z until 2026-01-08T00:00:00Z, account default, whole days in UTC to compare

    PRODUCT    CURRENCY  CHARGES  AMOUNT  SHARE
    messaging  EUR       1        0.05    100.0 %
    voice      USD       3        0.059    93.7 %
    messaging  USD       1        0.004     6.3 %
    voice      unknown   1        0.01    100.0 %
    (total)    EUR       1        0.05    100.0 %
    (total)    USD       4        0.063   100.0 %
    (total)    unknown   1        0.01    100.0 %

    The ledger begins with a charge of 2026-01-05T10:01:00Z; of earlier ones it knows nothing (it keeps them for store.retention, 30d at least).

    Telnyx's charges summary from 2026-01-05 until 2026-01-08

    CURRENCY  LEDGER  TELNYX   DIFFERENCE
    EUR       0.05    unknown  unknown
    USD       0.063   5.30     5.237
    unknown   0.01    unknown  unknown

    TELNYX              CURRENCY  AMOUNT
    existing_mrc        USD        3.00
    new_mrc             USD        1.00
    new_otc             USD        0.50
    other               USD        1.05
    credits             USD        0.00
    ledger_adjustments  USD       -0.25
    grand_total         USD        5.30

    FROM        UNTIL       SERVICE              PART        CURRENCY  QUANTITY  AMOUNT  MRC   OTC
    2026-01-05  2026-01-08  Outbound SMS         total       USD       21         1.05   -     -
    2026-01-05  2026-01-08  Phone numbers        existing    USD        3        -       3.00  -
    2026-01-05  2026-01-08  Phone numbers        new         USD        1        -       1.00  0.50
    2026-01-05  2026-01-08  2026-01-06 Goodwill  adjustment  USD       -         -0.25   -     -

    Telnyx's total also holds what no event tells: monthly and one-time fees (mrc, otc), credits, adjustments and
    taxes. The ledger holds what webhooks reported: no call of a connection without call_cost_in_webhooks.
    "#);
    let asked = api.requests("/charges_summary");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].query, "start_date=2026-01-05&end_date=2026-01-08");
    assert_eq!(asked[0].header("authorization"), Some(&*format!("Bearer {API_KEY}")));

    let ran = spend(&app, &[&hours[..], &["--format", "csv"]].concat());
    insta::assert_snapshot!(ran.out, @r#"
    source,group,currency,charges,amount,share_percent,total
    ledger,messaging,EUR,1,0.05,100.0,
    ledger,voice,USD,3,0.059,93.7,
    ledger,messaging,USD,1,0.004,6.3,
    ledger,voice,unknown,1,0.01,100.0,
    telnyx,existing_mrc,USD,,3.00,,
    telnyx,new_mrc,USD,,1.00,,
    telnyx,new_otc,USD,,0.50,,
    telnyx,other,USD,,1.05,,
    telnyx,credits,USD,,0.00,,
    telnyx,ledger_adjustments,USD,,-0.25,,
    telnyx,grand_total,USD,,,,5.30
    "#);
    let json = shown_json(&app, &hours);
    assert_eq!(
        (&json["from"], &json["to"]),
        (&json!("2026-01-05T00:00:00Z"), &json!("2026-01-08T00:00:00Z"))
    );
    let dollars = &json["compare"]["currencies"][1];
    let figures =
        ["currency", "ledger", "telnyx", "difference"].map(|name| dollars[name].as_str().unwrap());
    assert_eq!(figures, ["USD", "0.063", "5.30", "5.237"]);
    assert_eq!(
        json["compare"]["currencies"][0]["telnyx"],
        Value::Null,
        "of euros Telnyx says nothing"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_number_telnyx_says_what_it_charges_for_each_of_ours() {
    let api = TelnyxApi::start().await;
    let app = filled(setup().account(api.account())).await;
    api.always("/charges_summary", Reply::json(&summary("USD", "5.30")));
    let services = json!([{"name": "DID", "cost": "1.0000", "cost_type": "MRC"}]);
    let number = json!({"tn": "+13125550111", "charge_type": "local", "service_owner_email": "planted@example.com", "services": services});
    api.always(
        "/charges_breakdown",
        Reply::json(&json!({"data": {"currency": "USD", "results": [number]}})),
    );
    let compare = [&RANGE[..], &["--by", "number", "--compare"]].concat();
    let ran = spend(&app, &compare);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let row = ran.out.lines().find(|line| line.contains("DID")).unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(cells[2..], ["+13125550111", "local", "DID", "MRC", "USD", "1.00"]);
    assert!(!ran.out.contains("planted"), "{}", ran.out);
    let asked = &api.requests("/charges_breakdown")[0].query;
    assert_eq!(asked, &api.requests("/charges_summary")[0].query);

    // Without the right to read it the rest is shown, and it is a failure.
    api.always("/charges_breakdown", error(403, "10010", "Authorization failed"));
    let ran = spend(&app, &compare);
    assert!(ran.code == 1 && ran.out.contains("5.237"), "{}", ran.out);
    assert!(ran.err.contains("charges_breakdown: status 403"), "{}", ran.err);
    // Otherwise nobody asks.
    let before = api.requests("/charges_breakdown").len();
    assert_eq!(spend(&app, &[&RANGE[..], &["--compare"]].concat()).code, 0);
    assert_eq!(api.requests("/charges_breakdown").len(), before);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_range_is_compared_month_by_month() {
    let api = TelnyxApi::start().await;
    let app = filled(setup().account(api.account())).await;
    let months =
        ["--since", "2025-12-10", "--until", "2026-01-20", "--compare", "--format", "json"];
    let replies = ["5.00", "1.05"].map(|total| Reply::json(&summary("USD", total)));
    api.next("/charges_summary", replies);
    let ran = spend(&app, &months);
    assert_eq!(ran.code, 0);
    assert_eq!(ran.err, "charges summary: period 1 of 2\ncharges summary: period 2 of 2\n");
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    let asked: Vec<String> =
        api.requests("/charges_summary").iter().map(|request| request.query.clone()).collect();
    assert_eq!(
        asked,
        ["start_date=2025-12-10&end_date=2026-01-01", "start_date=2026-01-01&end_date=2026-01-20"]
    );
    assert_eq!(json["compare"]["currencies"][1]["telnyx"], "6.05");
    assert_eq!(json["compare"]["periods"].as_array().unwrap().len(), 2);

    // Half an answer is none. What may pass is asked again, and is no error.
    let dollars = || Reply::json(&summary("USD", "5.00"));
    api.next("/charges_summary", [dollars(), error(403, "10010", "Authorization failed")]);
    let ran = spend(&app, &months);
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (ran.code, &json["compare"]),
        (1, &json!({"error": "charges_summary: status 403 (10010 Authorization failed)"}))
    );
    api.next("/charges_summary", [Reply::status(503), dollars(), dollars()]);
    assert_eq!(spend(&app, &months).code, 0);

    let before = api.requests("/charges_summary").len();
    let ran = spend(&app, &["--since", "2020-01-01", "--until", "2026-01-20", "--compare"]);
    let said = "tollbell: not compared with Telnyx: the range is too long: Telnyx is asked for 25 months at most\n";
    assert!(ran.code == 1 && ran.err == said && ran.out.contains("(total)"), "{}", ran.err);
    assert_eq!(api.requests("/charges_summary").len(), before);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_telnyx_cannot_be_asked_the_ledger_is_shown_all_the_same() {
    let api = TelnyxApi::start().await;
    let app = filled(setup().account(api.account())).await;
    let compare = [&RANGE[..], &["--compare"]].concat();
    let ledger = "(total)    USD       4        0.063   100.0 %";
    for (reply, said) in [
        (
            error(401, "10009", "Authentication failed"),
            "status 401 (10009 Authentication failed)\n",
        ),
        (Reply::garbage(), ""),
        (
            Reply::status(200).body("<html>"),
            "the answer cannot be read: no JSON at line 1, column 1\n",
        ),
        (
            Reply::json(&json!({"data": []})),
            "the answer cannot be read: there is no object under data\n",
        ),
        (
            Reply::json(&json!({"data": {}})),
            "the answer cannot be read: there is no amount under data.total\n",
        ),
    ] {
        api.always("/charges_summary", reply);
        let ran = spend(&app, &compare);
        assert!(ran.code == 1 && ran.out.contains(ledger), "{}\n{}", ran.out, ran.err);
        let start = "tollbell: not compared with Telnyx: charges_summary: ";
        assert!(ran.err.contains(start) && ran.err.ends_with(said), "{}", ran.err);
        assert!(!ran.out.contains("DIFFERENCE"), "{}", ran.out);
    }
    // Little is told: the rest is unknown, and not zero.
    api.always(
        "/charges_summary",
        Reply::json(&json!({"data": {"currency": "USD", "total": {"other": 1.05}}})),
    );
    let out = shown(&app, &compare);
    for line in [
        "USD       0.063   unknown  unknown",
        "other               USD       1.05",
        "credits             USD       unknown",
    ] {
        assert!(out.contains(line), "{line} is not in\n{out}");
    }
    app.stop().await;
}
