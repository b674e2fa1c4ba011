//! Telnyx's REST API, scripted, over real TCP. Shapes as Telnyx documents them; the values are our own.

use serde_json::{Value, json};

use super::http::{HttpSink, Reply, Request};

/// The API key that [`TelnyxApi::account`] gives; it must never be seen anywhere.
pub const API_KEY: &str = "KEY0-planted-telnyx-api-key";

/// Telnyx's API. Every path answers 404 until it is told otherwise.
pub struct TelnyxApi {
    pub sink: HttpSink,
}

impl TelnyxApi {
    /// An API with a balance of 100.00 USD and nothing else.
    pub async fn start() -> Self {
        let api = Self { sink: HttpSink::start().await };
        for path in PATHS {
            api.always(path, error(404, "10005", "Resource not found"));
        }
        api.balance("100.00");
        api
    }

    /// Where it is: `api_url`.
    pub fn url(&self) -> String {
        self.sink.url("/v2")
    }

    /// Keys of an account (indented by four) that make it ask here each minute.
    pub fn account(&self) -> String {
        format!("    api_key: {API_KEY}\n    api_url: {}\n", self.url())
    }

    /// What a path under `/v2` answers from now on.
    pub fn always(&self, path: &str, reply: Reply) {
        self.sink.always(&format!("/v2{path}"), reply);
    }

    /// The same, made from the request, such as from its query.
    pub fn answer(&self, path: &str, answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        self.sink.answer(&format!("/v2{path}"), answer);
    }

    /// What the next requests of a path under `/v2` are answered with.
    pub fn next(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        self.sink.next(&format!("/v2{path}"), replies);
    }

    /// The requests to a path under `/v2` so far.
    pub fn requests(&self, path: &str) -> Vec<Request> {
        self.sink.requests(&format!("/v2{path}"))
    }

    /// Waits until there were so many.
    #[track_caller]
    pub fn wait_for(&self, path: &str, count: usize) -> impl Future<Output = Vec<Request>> {
        let path = format!("/v2{path}");
        async move { self.sink.wait_for(&path, count).await }
    }

    /// From now on the balance is this, in USD, without credit.
    pub fn balance(&self, amount: &str) {
        self.always("/balance", Reply::json(&balance(amount)));
    }
}

/// An answer of `GET /balance` without a credit limit.
pub fn balance(amount: &str) -> Value {
    json!({"data": {
        "record_type": "balance", "balance": amount, "available_credit": amount, "credit_limit": "0.00",
        "pending": "0.00", "currency": "USD",
    }})
}

/// One page of a list.
pub fn page(items: &[Value], number: u32, pages: u32) -> Reply {
    Reply::json(&json!({
        "data": items,
        "meta": {"page_number": number, "page_size": 20, "total_pages": pages, "total_results": items.len()},
    }))
}

/// An error as Telnyx words it.
pub fn error(status: u16, code: &str, title: &str) -> Reply {
    let body = json!({"errors": [{
        "code": code, "title": title, "detail": "What it is about.", "source": {"pointer": "/base"},
        "meta": {"url": format!("https://developers.telnyx.com/docs/overview/errors/{code}")},
    }]});
    Reply::json(&body).with_status(status)
}

const PATHS: &[&str] = &[
    "/balance",
    "/payment/auto_recharge_prefs",
    "/payments/auto_recharge_prefs",
    "/webhook_deliveries",
    "/detail_records",
    "/charges_summary",
    "/invoices",
    "/spend_limits",
    "/outbound_voice_profiles",
    "/charges_breakdown",
    "/usage_reports",
    "/usage_reports/options",
    "/managed_accounts",
    "/notification_events",
    "/notification_event_conditions",
    "/notification_profiles",
    "/notification_channels",
    "/notification_settings",
    "/call_control_applications",
    "/texml_applications",
    "/credential_connections",
    "/fqdn_connections",
    "/ip_connections",
    "/uac_connections",
    "/messaging_profiles",
    "/fax_applications",
];
