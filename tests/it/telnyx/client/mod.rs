//! The client, on every way an API can go wrong.

mod faults;
mod keys;
mod waits;

use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use serde_json::{Value, json};
use tollbell::clock::Clock;
use tollbell::config;
use tollbell::telnyx::Page;
use tollbell::telnyx::{ApiError, Client, Endpoint};

use crate::support::http::Reply;
use crate::support::telnyx::Signer;
use crate::support::telnyx_api::{API_KEY, TelnyxApi, error, page};
use crate::support::wait::{SOON, eventually};

const NOW: &str = "2026-08-20T19:17:08Z";
/// Longer than any wait between attempts that Telnyx did not ask for.
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// A client of a scripted API, on a clock that stands still.
struct Setting {
    api: TelnyxApi,
    client: Client,
    clock: Clock,
    /// What the client told of each attempt.
    attempts: Arc<Mutex<Vec<String>>>,
    dir: tempfile::TempDir,
}

impl Setting {
    async fn new() -> Self {
        Self::with_key("api_key: ".to_owned() + API_KEY).await
    }

    /// With the key in `key.txt`.
    async fn with_key_file(content: Option<&str>) -> Self {
        let setting = Self::with_key("api_key_file: key.txt".to_owned()).await;
        if let Some(content) = content {
            fs::write(setting.key_file(), content).unwrap();
        }
        setting
    }

    /// With a client that waits for an answer much shorter than by default.
    fn impatient(self) -> Self {
        Self { client: self.client.clone().patience(Duration::from_millis(300)), ..self }
    }

    async fn with_key(key: String) -> Self {
        let api = TelnyxApi::start().await;
        let dir = tempfile::tempdir().unwrap();
        let public_key = Signer::new().public_key_base64();
        let yaml = format!(
            "accounts:\n  - name: default\n    public_keys: ['{public_key}']\n    {key}\n    api_url: {}\n\
             route: {{receiver: ops}}\nreceivers: [{{name: ops}}]\n",
            api.url()
        );
        let path = dir.path().join("tollbell.yaml");
        fs::write(&path, yaml).unwrap();
        fs::write(dir.path().join("key.txt"), API_KEY).unwrap();
        let loaded = config::load(&path, &|_name| None);
        let settings = loaded.config.unwrap().accounts.remove(0).api.unwrap();
        fs::remove_file(dir.path().join("key.txt")).unwrap();
        let clock = Clock::manual(NOW.parse().unwrap());
        let attempts = Arc::new(Mutex::new(Vec::new()));
        let observed = Arc::clone(&attempts);
        let observer = Arc::new(move |endpoint: &'static str, code: &str| {
            observed.lock().unwrap().push(format!("{endpoint} {code}"));
        });
        let client = Client::new(&settings, clock.clone(), observer).unwrap();
        Self { api, client, clock, attempts, dir }
    }

    fn key_file(&self) -> PathBuf {
        self.dir.path().join("key.txt")
    }

    fn attempts(&self) -> Vec<String> {
        self.attempts.lock().unwrap().clone()
    }

    /// Carries a call on until so many attempts have ended. Then it is done, or waits on the clock: between the end of
    /// an attempt and that wait it does not give way.
    async fn until<T>(&self, call: impl Future<Output = T>, attempts: usize) -> Poll<T> {
        tokio::select! {
            biased;
            answer = call => Poll::Ready(answer),
            () = eventually(SOON, || self.attempts().len() >= attempts) => Poll::Pending,
        }
    }

    /// Carries a call to its end, moving the clock by `step` whenever it waits.
    async fn to_end<T>(&self, call: impl Future<Output = T>, step: Duration) -> T {
        let mut call = pin!(call);
        for attempts in self.attempts().len() + 1.. {
            match self.until(call.as_mut(), attempts).await {
                Poll::Ready(answer) => return answer,
                Poll::Pending => self.clock.advance(step),
            }
        }
        unreachable!("attempts are few")
    }

    async fn balance(&self) -> Result<Value, ApiError> {
        self.to_end(self.client.get(&Endpoint::BALANCE, &[]), BACKOFF_MAX).await
    }

    /// The error of a balance that is answered so.
    async fn fails(&self, reply: Reply) -> ApiError {
        self.api.always("/balance", reply);
        self.balance().await.unwrap_err()
    }

    async fn list(&self, size: u32, pages_max: u32) -> (Vec<Value>, bool, Vec<(u32, u32)>) {
        let mut told = Vec::new();
        let progress = |page: &Page| told.push((page.number, page.pages));
        let list = self.client.list(&Endpoint::INVOICES, &[], size, pages_max, progress);
        let (items, end) = self.to_end(list, BACKOFF_MAX).await.unwrap();
        (items, end.is_whole(), told)
    }
}

/// The balance that the API has at first.
fn is_there(answer: Result<Value, ApiError>) -> bool {
    answer.unwrap()["data"]["balance"] == "100.00"
}

#[tokio::test]
async fn a_call_shows_the_key_and_says_who_asks() {
    let it = Setting::new().await;
    assert!(is_there(it.balance().await));
    let request = it.api.sink.one("/v2/balance");
    assert_eq!((&*request.method, &*request.query), ("GET", ""));
    assert_eq!(request.header("authorization"), Some(&*format!("Bearer {API_KEY}")));
    assert_eq!(request.header("accept"), Some("application/json"));
    assert!(request.header("user-agent").unwrap().starts_with("tollbell/"));
    assert!(request.body.is_empty() && request.header("content-type").is_none());
    assert_eq!(it.attempts(), ["balance 200"]);

    it.api.always("/notification_profiles", Reply::json(&json!({"data": {"id": "p1"}})));
    let body = json!({"name": "tollbell"});
    let create =
        it.client.call(&Endpoint::NOTIFICATION_PROFILE_CREATE, None, &[], Some(&body)).await;
    assert_eq!(create.unwrap()["data"]["id"], "p1");
    let request = it.api.sink.one("/v2/notification_profiles");
    assert_eq!((&*request.method, request.json()), ("POST", body));
    assert_eq!(request.header("content-type"), Some("application/json"));

    // An id is one segment, and never none.
    let delete = |id| it.client.call(&Endpoint::NOTIFICATION_PROFILE_DELETE, id, &[], None);
    it.api.sink.always("/v2/notification_profiles/a%2F..%2Fb", Reply::status(204));
    assert_eq!(delete(Some("a/../b")).await.unwrap(), Value::Null);
    for id in [None, Some(""), Some("."), Some("..")] {
        assert!(matches!(delete(id).await, Err(ApiError::Unsendable { .. })), "{id:?}");
    }
    assert_eq!(it.api.sink.all_requests().len(), 3);
}

#[tokio::test]
async fn pages_are_read_one_after_the_other_and_counted() {
    let it = Setting::new().await;
    let pages = [[1, 2], [3, 4], [5, 6]].map(|two| two.map(Value::from));
    let replies = || (1..).zip(&pages).map(|(number, items)| page(items, number, 3));
    it.api.next("/invoices", replies());
    let (items, complete, told) = it.list(2, 10).await;
    assert_eq!((Value::from(items), complete), (json!([1, 2, 3, 4, 5, 6]), true));
    assert_eq!(told, [(1, 3), (2, 3), (3, 3)]);
    let queries: Vec<String> =
        it.api.requests("/invoices").into_iter().map(|request| request.query).collect();
    let query = |number| format!("page%5Bnumber%5D={number}&page%5Bsize%5D=2");
    assert_eq!(queries, [query(1), query(2), query(3)]);
    // A bound, and that it was met.
    it.api.always("/invoices", Reply::status(500));
    it.api.next("/invoices", replies());
    let (items, complete, _) = it.list(2, 2).await;
    assert_eq!((Value::from(items), complete), (json!([1, 2, 3, 4]), false));
}

#[tokio::test]
async fn a_list_ends_where_it_is_empty_or_repeats_itself_whatever_its_meta_says() {
    let it = Setting::new().await;
    let data = |items: &[u32]| Reply::json(&json!({"data": items}));
    let told = |items: &[u32], pages: u64| {
        Reply::json(&json!({"data": items, "meta": {"total_pages": pages}}))
    };
    for (replies, items, asked) in [
        // No meta: a page that is not full is the last.
        (vec![data(&[1])], vec![1], 1),
        (vec![data(&[])], vec![], 1),
        (vec![data(&[1, 2]), data(&[3])], vec![1, 2, 3], 2),
        (vec![data(&[1, 2]), data(&[])], vec![1, 2], 2),
        // No meta, and no pages: all of them at once, whatever page is asked for.
        (vec![data(&[1, 2, 3]), data(&[1, 2, 3])], vec![1, 2, 3], 2),
        // Too many, too few.
        (vec![told(&[1, 2], 9), told(&[3], 9), told(&[], 9)], vec![1, 2, 3], 3),
        (vec![told(&[], 9)], vec![], 1),
        (vec![told(&[1, 2], 0)], vec![1, 2], 1),
        // A list that grew while it was read.
        (vec![told(&[1, 2], 2), told(&[2, 3], 3), told(&[4], 3)], vec![1, 2, 2, 3, 4], 3),
        // Alike by chance, not by mistake.
        (vec![told(&[7, 7], 2), told(&[7, 7], 2)], vec![7, 7, 7, 7], 2),
    ] {
        let before = it.api.requests("/invoices").len();
        it.api.next("/invoices", replies);
        let (found, complete, _) = it.list(2, 50).await;
        assert_eq!((Value::from(found), complete), (json!(items), true));
        assert_eq!(it.api.requests("/invoices").len() - before, asked);
    }
}

#[tokio::test]
async fn a_list_whose_numbers_are_text_is_read_to_its_end_and_one_that_cannot_be_is_a_part() {
    let it = Setting::new().await;
    let told = |items: &[u32], meta: Value| Reply::json(&json!({"data": items, "meta": meta}));
    let text =
        || json!({"page_number": "1", "page_size": "2", "total_pages": "3", "total_results": "5"});
    let unclear = || json!({"total_pages": "many"});
    for (replies, items, complete, asked) in [
        // Numbers as text, on pages of fewer items than were asked for.
        (
            vec![told(&[1, 2], text()), told(&[3, 4], text()), told(&[5], text())],
            vec![1, 2, 3, 4, 5],
            true,
            3,
        ),
        // Only how many there are in all, or that there are more.
        (
            vec![
                told(&[1], json!({"total_results": "2"})),
                told(&[2], json!({"total_results": 2})),
            ],
            vec![1, 2],
            true,
            2,
        ),
        (
            vec![told(&[1], json!({"has_more": true})), told(&[2], json!({"has_more": false}))],
            vec![1, 2],
            true,
            2,
        ),
        // Telnyx stops before it has given what it says there is.
        (vec![told(&[1], json!({"total_pages": 1, "total_results": 45}))], vec![1], false, 1),
        (vec![told(&[1, 2], text()), told(&[], text())], vec![1, 2], false, 2),
        (
            vec![told(&[1], json!({"has_more": true})), told(&[], json!({"has_more": true}))],
            vec![1],
            false,
            2,
        ),
        (vec![told(&[1], unclear())], vec![1], false, 1),
    ] {
        let before = it.api.requests("/invoices").len();
        it.api.next("/invoices", replies);
        let (found, is_whole, _) = it.list(4, 50).await;
        assert_eq!((Value::from(found), is_whole), (json!(items), complete), "{items:?}");
        assert_eq!(it.api.requests("/invoices").len() - before, asked, "{items:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_told_with_its_reasons_and_not_repeated() {
    let it = Setting::new().await;
    let plain = |status| Reply::status(status).body("<h1>no</h1>");
    for (reply, text, reason) in [
        (
            error(401, "10009", "Authentication failed"),
            "balance: status 401 (10009 Authentication failed)",
            "auth",
        ),
        (
            error(403, "10010", "Authorization failed"),
            "balance: status 403 (10010 Authorization failed)",
            "auth",
        ),
        (error(404, "10005", "Not found"), "balance: status 404 (10005 Not found)", "client"),
        (plain(422), "balance: status 422", "client"),
        (Reply::redirect("https://example.com/"), "balance: status 302", "client"),
        (
            error(503, "1", "x").header("x-should-retry", "false"),
            "balance: status 503 (1 x)",
            "server",
        ),
    ] {
        let before = it.attempts().len();
        let error = it.fails(reply).await;
        assert_eq!((&*error.to_string(), error.reason()), (text, reason));
        assert_eq!(it.attempts().len() - before, 1, "{text}");
    }
    let items = |error: &ApiError| error.item().map(|item| (item.code.clone(), item.title.clone()));
    let item = items(&it.fails(error(401, "10009", "Authentication failed")).await);
    assert_eq!(item, Some(("10009".to_owned(), "Authentication failed".to_owned())));
    assert_eq!(items(&it.fails(plain(401)).await), None);
}

#[tokio::test]
async fn what_passes_is_asked_again_and_given_up_after_four_attempts() {
    let it = Setting::new().await;
    for status in [408, 409, 429, 500, 502, 503, 504] {
        it.api.next("/balance", [Reply::status(status)]);
        assert!(is_there(it.balance().await), "{status}");
    }
    let expected = [408, 409, 429, 500, 502, 503, 504]
        .map(|it| [format!("balance {it}"), "balance 200".into()]);
    assert_eq!(it.attempts(), expected.concat());
    let before = it.attempts().len();
    let error = it.fails(Reply::status(503)).await;
    assert_eq!((error.status(), error.reason()), (Some(503), "server"));
    assert_eq!(it.attempts()[before..], ["balance 503"; 4]);
    // As Telnyx says, against the status.
    it.api.next("/balance", [Reply::status(400).header("x-should-retry", "true")]);
    it.api.balance("100.00");
    assert!(is_there(it.balance().await));
}

#[tokio::test]
async fn numbers_keep_their_source_text() {
    let it = Setting::new().await;
    let body = r#"{"data": {"cost": 1911.6248, "small": 0.1, "zeros": 10.00, "tiny": 5e-05,
        "negative": -12.50, "long": 0.1000000000000000055511151231257827, "text": "-0.0051"}}"#;
    it.api.always("/balance", Reply::status(200).body(body));
    let answer = it.balance().await.unwrap();
    let data = &answer["data"];
    for (key, expected) in [
        ("cost", "1911.6248"),
        ("small", "0.1"),
        ("zeros", "10.00"),
        ("tiny", "5e-05"),
        ("negative", "-12.50"),
        ("long", "0.1000000000000000055511151231257827"),
        ("text", "\"-0.0051\""),
    ] {
        assert_eq!(data[key].to_string(), expected);
    }
    let amount = |key: &str| tollbell::event::amount(&data[key]).map(|amount| amount.to_string());
    assert_eq!(amount("zeros").as_deref(), Some("10.00"));
    assert_eq!(amount("negative").as_deref(), Some("-12.50"));
    assert_eq!(amount("text").as_deref(), Some("-0.0051"));
    assert_eq!(amount("tiny").as_deref(), Some("0.00005"));
}
