//! Lists that do not end well, documents, and balances of managed accounts.

use serde_json::{Value, json};

use super::{Setting, invoice, options};
use crate::support::http::Reply;
use crate::support::telnyx_api::{error, page};

#[tokio::test]
async fn documents_of_invoices_are_saved_once_without_the_key_and_their_links_are_not_shown() {
    let it = Setting::new().await;
    let list = [invoice("a", "2026-01-01", true), invoice("b/..", "2026-02-01", true)];
    it.api.always("/invoices", page(&list, 1, 1));
    let link = |path: &str| Reply::json(&json!({"data": {"download_url": it.api.sink.url(path)}}));
    it.api.always("/invoices/a", link("/files/planted-a?token=planted"));
    it.api.always("/invoices/b%2F..", link("/files/planted-b"));
    it.api.sink.always("/files/planted-a", Reply::status(200).body("%PDF-a"));
    it.api.sink.always("/files/planted-b", Reply::status(403));
    let ran = it.run(&["invoices", "--download", "docs"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.err.contains("no document of invoice b/..: status 403 from where the link leads"),
        "{}",
        ran.err
    );
    let file = it.dir.path().join("docs/2026-01-01_a.pdf");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "%PDF-a");
    assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    let fetched = it.api.sink.one("/files/planted-a");
    assert_eq!(fetched.header("authorization"), None);
    assert_eq!(it.api.requests("/invoices/a")[0].query, "action=link");

    let ran = it.run(&["invoices", "--download", "docs", "--invoice", "a"]).await;
    assert!(ran.code == Some(0) && ran.err.contains("is there already"), "{ran:?}");
    assert_eq!(it.api.requests("/invoices/a").len(), 1);
    let ran = it.run(&["invoices", "--invoice", "z"]).await;
    assert_eq!((ran.code, &*ran.err), (Some(2), "tollbell: there is no invoice z\n"));
}

#[tokio::test]
async fn a_list_that_cannot_be_trusted_to_its_end_is_called_partial() {
    let it = Setting::new().await;
    it.api.always("/usage_reports/options", Reply::json(&options()));
    let rows = |from: usize, to: usize, total: Value| {
        let rows: Vec<Value> =
            (from..to).map(|n| json!({"direction": "inbound", "count": n})).collect();
        Reply::json(
            &json!({"data": rows, "meta": {"total_pages": total, "page_size": "20", "total_results": "45"}}),
        )
    };
    let args = [
        "usage",
        "--product",
        "messaging",
        "--metrics",
        "count",
        "--dimensions",
        "direction",
        "--format",
        "json",
    ];
    let pages = [rows(0, 20, json!("3")), rows(20, 40, json!("3")), rows(40, 45, json!("3"))];
    it.api.next("/usage_reports", pages);
    let ran = it.run(&args).await;
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(report["parts"][0]["rows"].as_array().unwrap().len(), 45);
    assert_eq!(report["parts"][0]["complete"], true);

    it.api.next("/usage_reports", [rows(0, 20, json!(1))]);
    let ran = it.run(&args).await;
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &report["parts"][0]["complete"]), (Some(1), &json!(false)));
    assert!(
        ran.err.contains("tollbell: partial: Telnyx gave less than it says there is"),
        "{}",
        ran.err
    );

    let part = json!({"data": [invoice("a", "2026-01-01", true)], "meta": {"total_pages": "?"}});
    it.api.next("/invoices", [Reply::json(&part)]);
    let ran = it.run(&["invoices"]).await;
    assert!(ran.code == Some(1) && ran.err.contains("partial"), "{ran:?}");

    it.api.next(
        "/managed_accounts",
        [Reply::json(&json!({"data": [], "meta": {"total_results": "2"}}))],
    );
    let ran = it.run(&["accounts", "--account", "main"]).await;
    assert!(ran.code == Some(1) && ran.err.contains("partial"), "{ran:?}");
}

#[tokio::test]
async fn managed_accounts_are_asked_for_their_balance_and_their_keys_are_never_seen() {
    let it = Setting::new().await;
    let managed = |id: &str, rollup: bool| {
        json!({"id": id, "email": format!("{id}@example.com"), "organization_name": "Shop",
            "created_at": "2026-01-02T03:04:05Z", "rollup_billing": rollup, "api_user": "planted@example.com"})
    };
    let list = [managed("a1", false), managed("a2", true), managed("a3", false)];
    it.api.always("/managed_accounts", page(&list, 1, 1));
    let one = |balance: &str| {
        let balance = json!({"balance": balance, "available_credit": "20.00", "currency": "EUR"});
        Reply::json(
            &json!({"data": {"id": "x", "api_key": "KEY-planted", "api_token": "planted", "balance": balance}}),
        )
    };
    it.api.always("/managed_accounts/a1", one("-3.10"));
    it.api.always("/managed_accounts/a3", one("0.00"));
    let ran = it.run(&["accounts", "--account", "main"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let rows: Vec<&str> = ran.out.lines().skip(5).collect();
    assert!(
        rows[0].ends_with("-3.10 EUR")
            && rows[1].ends_with("its manager's")
            && rows[2].ends_with("0.00 EUR"),
        "{}",
        ran.out
    );
    it.api.sink.expect_none("/v2/managed_accounts/a2");

    // What cannot be read is said, and the list is there all the same.
    it.api.always("/managed_accounts/a3", error(403, "10010", "Authorization failed"));
    let ran = it.run(&["accounts", "--account", "main", "--format", "json"]).await;
    let shown: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &shown[0]["managed"][0]["balance"]), (Some(1), &json!("-3.10")));
    assert_eq!(shown[0]["managed"][2]["balance"], Value::Null);
    assert_eq!(shown[0]["problem"], "managed_accounts: status 403 (10010 Authorization failed)");
}
