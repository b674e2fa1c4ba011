//! `tollbell invoices`, `usage` and `accounts`, with the real binary.

mod beyond;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tollbell::event::PayloadPolicy;
use tollbell::store::{self, Feed, Reading, Store};

use crate::support::http::Reply;
use crate::support::telnyx::Signer;
use crate::support::telnyx_api::{API_KEY, TelnyxApi, error, page};

struct Setting {
    api: TelnyxApi,
    dir: tempfile::TempDir,
}

/// What a command printed and how it ended.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    #[track_caller]
    fn ok(self) -> String {
        assert!(self.code == Some(0) && self.err.is_empty(), "{self:?}");
        self.out
    }

    #[track_caller]
    fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }
}

impl Setting {
    /// An account `main` that may ask the API, and an account `other` without a key.
    async fn new() -> Self {
        let api = TelnyxApi::start().await;
        let dir = tempfile::tempdir().unwrap();
        let key = Signer::new().public_key_base64();
        let yaml = format!(
            "accounts:\n  - name: main\n    public_keys: ['{key}']\n    currency: USD\n    \
             labels: {{team: billing}}\n{}  - name: other\n    public_keys: ['{key}']\n\
             store: {{url: 'sqlite:tollbell.db'}}\n\
             route: {{receiver: ops}}\nreceivers: [{{name: ops}}]\n",
            api.account()
        );
        std::fs::write(dir.path().join("tollbell.yaml"), yaml).unwrap();
        Self { api, dir }
    }

    async fn run(&self, args: &[&str]) -> Ran {
        let run = |dir: &Path, args: &[String]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_tollbell"));
            command.args(args).args(["--config", "tollbell.yaml"]).current_dir(dir).env_clear();
            let output = command.stdin(Stdio::null()).output().unwrap();
            let text = |bytes| String::from_utf8(bytes).unwrap();
            Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
        };
        let dir = self.dir.path().to_owned();
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let ran = tokio::task::spawn_blocking(move || run(&dir, &args)).await.unwrap();
        assert!(!ran.out.contains("planted") && !ran.err.contains("planted"), "{ran:?}");
        ran
    }
}

fn invoice(id: &str, from: &str, paid: bool) -> Value {
    json!({
        "invoice_id": id, "file_id": format!("file-{id}"), "period_start": from, "period_end": "x",
        "paid": paid, "url": "https://example.com/planted-link",
    })
}

#[tokio::test]
async fn invoices_are_listed_newest_first_and_without_amounts() {
    let it = Setting::new().await;
    let newest = invoice("c", "2026-03-01", false);
    let older = [invoice("a", "2026-01-01", true), invoice("b", "2026-02-01", true)];
    let pages = || [page(std::slice::from_ref(&newest), 1, 2), page(&older, 2, 2)];
    it.api.next("/invoices", pages());
    let ran = it.run(&["invoices"]).await;
    assert_eq!(ran.code, Some(0));
    assert_eq!(ran.err, "invoices: page 1 of 2\ninvoices: page 2 of 2\n");
    insta::assert_snapshot!(ran.out, @"
    FROM        TO  PAID  INVOICE  FILE
    2026-03-01  x   no    c        file-c
    2026-02-01  x   yes   b        file-b
    2026-01-01  x   yes   a        file-a

    Telnyx names no amounts here: they stand in the document of each invoice.
    ");
    let query = &it.api.requests("/invoices")[0].query;
    assert_eq!(query, "sort=-period_start&page%5Bnumber%5D=1&page%5Bsize%5D=100");

    it.api.next("/invoices", pages());
    let ran = it.run(&["invoices", "--format", "json", "--account", "main"]).await;
    let listed: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&listed["account"], &listed["complete"]), (&json!("main"), &json!(true)));
    let expected = json!({
        "invoice_id": "c", "file_id": "file-c", "period_start": "2026-03-01", "period_end": "x", "paid": false,
    });
    assert_eq!(listed["invoices"][0], expected);
    assert!(listed["note"].as_str().unwrap().contains("no amounts"));

    it.api.next("/invoices", [page(&[invoice("=1+1", "2026-01-01", true)], 1, 1)]);
    let ran = it.run(&["invoices", "--format", "csv"]).await;
    let expected = "period_start,period_end,paid,invoice_id,file_id\n\
                    2026-01-01,x,yes,'=1+1,file-=1+1\n";
    assert_eq!(ran.out, expected);
    assert!(ran.err.contains("no amounts"), "{}", ran.err);

    it.api.always("/invoices", page(&[], 1, 0));
    assert_eq!(it.run(&["invoices"]).await.ok(), "Telnyx has no invoices.\n");
}

#[tokio::test]
async fn a_command_says_why_telnyx_did_not_answer() {
    let it = Setting::new().await;
    it.api.always("/invoices", error(401, "10009", &format!("{API_KEY} is wrong")));
    let ran = it.run(&["invoices"]).await;
    assert_eq!((ran.code, &*ran.out), (Some(1), ""));
    let expected = "\
        tollbell: cannot list the invoices of main: invoices: status 401 (10009 *** is wrong)\n";
    assert_eq!(ran.err, expected);
    for (account, said) in [
        ("other", "tollbell: the account other has no api_key or api_key_file\n"),
        ("nobody", "tollbell: no account nobody: there is main, other\n"),
    ] {
        for command in ["invoices", "usage"] {
            let ran = it.run(&[command, "--account", account]).await;
            assert_eq!((ran.code, &*ran.err), (Some(2), said), "{command}");
        }
    }
    // Tried again, and said.
    it.api.next("/invoices", [Reply::status(503)]);
    it.api.always("/invoices", page(&[], 1, 0));
    let ran = it.run(&["invoices"]).await;
    assert_eq!((ran.code, &*ran.err), (Some(0), "invoices: 503 from Telnyx\n"));
}

fn options() -> Value {
    let product = |name: &str, metrics: &[&str], dimensions: &[&str]| {
        json!({
            "product": name, "product_metrics": metrics, "product_dimensions": dimensions, "record_types": null,
        })
    };
    json!({"data": [
        product("messaging", &["count", "cost", "parts"], &["date", "direction", "currency"]),
        product("cps", &["count"], &["date"]),
    ]})
}

#[tokio::test]
async fn usage_asks_for_costs_by_day_and_currency_and_keeps_their_text() {
    let it = Setting::new().await;
    it.api.always("/usage_reports/options", Reply::json(&options()));
    let rows = r#"{"data": [
        {"product": "messaging", "date": "2026-01-01", "currency": "USD", "cost": 1911.6248, "secret": "planted"},
        {"date": "2026-01-02", "currency": "EUR", "cost": 0.1},
        {"date": "2026-01-03", "currency": null, "cost": -5e-05}
    ], "meta": {"total_pages": 1}}"#;
    it.api.always("/usage_reports", Reply::status(200).body(rows));
    let out = it.run(&["usage", "--product", "messaging"]).await.ok();
    let (first, table) = out.split_once("\n\n").unwrap();
    assert!(
        first.starts_with("messaging from 20") && first.contains("T00:00:00Z to 20"),
        "{first}"
    );
    insta::assert_snapshot!(table, @"
    DATE        CURRENCY  COST
    2026-01-01  USD       1911.6248
    2026-01-02  EUR       0.1
    2026-01-03  -         -5e-05
    ");
    assert_eq!(it.api.requests("/usage_reports/options")[0].query, "product=messaging");
    let asked = it.api.requests("/usage_reports").remove(0).query;
    assert!(
        asked
            .starts_with("product=messaging&metrics=cost&dimensions=date%2Ccurrency&start_date=20"),
        "{asked}"
    );

    let out = it.run(&["usage", "--product", "messaging", "--format", "csv"]).await.ok();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((lines[0], lines.len()), ("from,to,date,currency,cost", 4));
    assert!(!it.api.requests("/usage_reports")[1].query.contains("managed"));
    it.run(&["usage", "--product", "messaging", "--managed-accounts"]).await.ok();
    assert!(it.api.requests("/usage_reports")[2].query.contains("&managed_accounts=true&"));
    assert!(lines[3].ends_with(",2026-01-03,,-5e-05"), "{out}");

    let args =
        ["usage", "--product", "messaging", "--metrics", "parts", "--dimensions", "direction"];
    it.api.always("/usage_reports", page(&[json!({"direction": "inbound", "parts": 3})], 1, 1));
    let report = it.run(&[&args[..], &["--format", "json"]].concat()).await.json();
    assert_eq!(report["parts"][0]["rows"], json!([{"direction": "inbound", "parts": 3}]));
    assert_eq!(
        (&report["metrics"], &report["dimensions"]),
        (&json!(["parts"]), &json!(["direction"]))
    );
}

#[tokio::test]
async fn usage_of_a_long_time_is_asked_for_in_parts() {
    let it = Setting::new().await;
    it.api.always("/usage_reports/options", Reply::json(&options()));
    it.api.always("/usage_reports", page(&[json!({"direction": "inbound", "count": 3})], 1, 1));
    let args = ["--product", "messaging", "--metrics", "count", "--dimensions", "direction"];
    let ran = it.run(&[&["usage", "--since", "70d"], &args[..]].concat()).await;
    assert_eq!((ran.code, ran.err.lines().count()), (Some(0), 3), "{ran:?}");
    assert!(ran.err.starts_with("usage: part 1 of 3, from 20"), "{}", ran.err);
    let rows: Vec<&str> = ran.out.lines().skip(2).collect();
    assert!(rows[0].starts_with("PART FROM") && rows.len() == 4, "{}", ran.out);
    let bound = |query: &str, name: &str| -> Timestamp {
        let value = query.split('&').find_map(|pair| pair.strip_prefix(name)).unwrap();
        value.replace("%3A", ":").parse().unwrap()
    };
    let asked: Vec<(Timestamp, Timestamp)> = it
        .api
        .requests("/usage_reports")
        .iter()
        .map(|it| (bound(&it.query, "start_date="), bound(&it.query, "end_date=")))
        .collect();
    let days = |(from, to): &(Timestamp, Timestamp)| to.duration_since(*from).as_hours() / 24;
    assert_eq!(asked.iter().map(days).collect::<Vec<_>>()[..2], [31, 31]);
    assert!(asked.windows(2).all(|two| two[0].1 == two[1].0), "{asked:?}");
}

#[tokio::test]
async fn usage_says_what_can_be_asked_for() {
    let it = Setting::new().await;
    let refusal = || error(400, "10015", "Product invalid value");
    let all = || Reply::json(&options());
    it.api.next("/usage_reports/options", [refusal(), all()]);
    let ran = it.run(&["usage", "--product", "texting"]).await;
    let said = "tollbell: Telnyx reports no product texting: there is messaging, cps\n";
    assert!(ran.code == Some(2) && ran.err.ends_with(said), "{ran:?}");
    it.api.always("/usage_reports/options", all());
    let ran = it.run(&["usage", "--product", "cps", "--metrics", "cost"]).await;
    let said = "tollbell: cps has no metric cost: there is count\n";
    assert_eq!((ran.code, &*ran.err), (Some(2), said));
    it.api.sink.expect_none("/v2/usage_reports");
    insta::assert_snapshot!(it.run(&["usage"]).await.ok(), @"
    PRODUCT    METRICS           DIMENSIONS
    messaging  count cost parts  date direction currency
    cps        count             date
    ");
    let ran = it.run(&["usage", "--since", "800d"]).await;
    assert!(ran.code == Some(2) && ran.err.contains("744d at most"), "{ran:?}");
}

#[tokio::test]
async fn accounts_are_listed_with_their_last_reading_and_those_that_they_manage() {
    let it = Setting::new().await;
    let refused = error(403, "10010", "Authorization failed");
    it.api.always("/managed_accounts", refused);
    let ran = it.run(&["accounts"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    insta::assert_snapshot!(ran.out, @r#"
    ACCOUNT  API KEY  CURRENCY  BALANCE  AVAILABLE  READ  LABELS
    main     yes      USD       -        -          -     team="billing"
    other    no       -         -        -          -     -
    "#);
    let said = "no managed accounts of main: \
                managed_accounts: status 403 (10010 Authorization failed)\n";
    assert_eq!(ran.err, said);

    let path = it.dir.path().join("tollbell.db");
    let retention = Duration::from_hours(24 * 30);
    let settings = store::Settings { path, retention, payload: PayloadPolicy::Redacted };
    let store = Store::open(&settings, Box::new(|_| ())).await.unwrap();
    let reading = Reading {
        account: "main".to_owned(),
        at: Timestamp::now() - Duration::from_secs(5 * 60 + 10),
        currency: Some("USD".to_owned()),
        balance: Some("-3.10".parse().unwrap()),
        available_credit: Some("96.90".parse().unwrap()),
        credit_limit: None,
        pending: None,
        burn_per_hour: None,
        hours_left: None,
    };
    store.feed(Feed { reading: Some(reading), ..Feed::default() }).await.unwrap();
    store.close().await.unwrap();

    let managed = |id: &str| {
        json!({
            "record_type": "managed_account", "id": id, "email": format!("{id}@example.com"),
            "api_key": "KEY-planted", "api_token": "planted-token", "api_user": "planted@example.com",
            "organization_name": "Shop", "created_at": "2026-01-02T03:04:05Z", "rollup_billing": false,
            "balance": {"balance": "12.50", "currency": "USD", "api_key": "planted"},
        })
    };
    let pages = || [page(&[managed("a1")], 1, 2), page(&[managed("a2")], 2, 2)];
    it.api.next("/managed_accounts", pages());
    let ran = it.run(&["accounts"]).await;
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(
        lines[1].starts_with("main     yes      USD       -3.10 USD  96.90 USD  5m"),
        "{}",
        ran.out
    );
    assert!(lines[1].contains(" ago"), "{}", ran.out);
    assert_eq!(lines[4], "main manages 2 accounts:");
    assert_eq!(lines[6], "a1  a1@example.com  Shop          2026-01-02T03:04:05Z  12.50 USD");
    it.api.next("/managed_accounts", pages());
    let ran = it.run(&["accounts", "--format", "json", "--account", "main"]).await;
    let shown: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(shown[0]["reading"]["balance"], "-3.10");
    assert_eq!(shown[0]["managed"][1]["email"], "a2@example.com");
    assert_eq!(shown.as_array().unwrap().len(), 1);

    // Nobody is asked, or it cannot be known.
    let before = it.api.sink.all_requests().len();
    assert!(it.run(&["accounts", "--offline"]).await.ok().contains("-3.10 USD"));
    assert_eq!(it.api.sink.all_requests().len(), before);
    it.api.always("/managed_accounts", error(401, "10009", "Authentication failed"));
    assert_eq!(it.run(&["accounts"]).await.code, Some(1));
    let ran = it.run(&["accounts", "--account", "nobody"]).await;
    assert_eq!(
        (ran.code, &*ran.err),
        (Some(2), "tollbell: no account nobody: there is main, other\n")
    );
}
