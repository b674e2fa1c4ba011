//! Schemathesis, which knows nothing of tollbell but its OpenAPI document.

use std::process::Command;

use tollbell::store::DeliveryState;

use super::tokens::TOKENS;
use super::two_alerts;
use crate::dispatch::{deliveries, receiver, routing, webhook};
use crate::support::app::Setup;
use crate::support::http::{HttpSink, Reply};
use crate::support::tools::python;

/// Schemathesis asks all operations, with values that fit and values that do not, and finds no fault of the service and no
/// answer that the document does not have.
#[tokio::test]
async fn schemathesis_finds_no_answer_that_is_not_in_the_document() {
    let sink = HttpSink::start().await;
    sink.always("/in", Reply::status(400));
    let app = Setup::new(routing(&[receiver("ops", &[&webhook(&sink, "/in", "")])]));
    let app = two_alerts(app.server(TOKENS)).await;
    let dead = deliveries(&app, DeliveryState::Dead).await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/api/schemathesis_run.py");
    let mut command = Command::new(python());
    command.args([
        script,
        &format!("http://{}", app.app().private_addr),
        "write-0123456789abcdef",
        &dead[0].id,
    ]);
    command.current_dir(app.dir.path());
    let run = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let [out, err] = [&run.stdout, &run.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(run.status.success(), "{out}{err}");
    app.stop().await;
}
