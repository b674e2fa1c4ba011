//! The API on the private listener: who may ask, and Alertmanager's API v2 as its clients use it.

mod amtool;
mod silences;
mod tokens;
mod v1;
mod v2;

use reqwest::Method;
use serde_json::Value;

use crate::dispatch::{receiver, ring, routing};
use crate::support::app::{Setup, TestApp, reqwest_client};

/// An answer: its status, its content type and its body, as JSON where it is.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub kind: Option<String>,
    pub allow: Option<String>,
    pub text: String,
    pub json: Value,
}

/// Two alerts fire: of the profiles `p` and `q`.
pub async fn two_alerts(setup: Setup) -> TestApp {
    let app = setup.start().await;
    ring(&app, "e-1", "p").await;
    ring(&app, "e-2", "q").await;
    app.settle().await;
    app
}

/// One receiver that notifies nobody.
pub fn quiet() -> Setup {
    Setup::new(routing(&[receiver("ops", &[]), receiver("unused", &[])]))
}

/// Asks the private listener; a body is posted as JSON.
pub async fn ask(app: &TestApp, method: &str, path: &str, body: Option<&str>) -> Answer {
    let headers: &[(&str, &str)] =
        if body.is_some() { &[("content-type", "application/json")] } else { &[] };
    ask_with(app, method, path, headers, body).await
}

/// The same with these headers.
pub async fn ask_with(
    app: &TestApp,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Answer {
    let url = format!("http://{}{path}", app.app().private_addr);
    let mut request = reqwest_client().request(Method::from_bytes(method.as_bytes()).unwrap(), url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.body(body.unwrap_or_default().to_owned()).send().await.unwrap();
    let header =
        |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (status, kind, allow) =
        (response.status().as_u16(), header("content-type"), header("allow"));
    let text = response.text().await.unwrap();
    let json = serde_json::from_str(&text).unwrap_or(Value::Null);
    Answer { status, kind, allow, text, json }
}
