//! The listeners' own TLS, where no proxy speaks it for them.

use std::fs::write;
use std::path::Path;
use std::process::Command;

use reqwest::{Certificate, Client};
use serde_json::{Value, json};

use crate::support::app::{Setup, TestApp, reqwest_client, route};
use crate::support::certs::{self, Shown};
use crate::support::telnyx;
use crate::support::wait::{SOON, eventually_async};

const SERVER: &str = "  tls_config: {cert_file: public.pem, key_file: public.key}\n  \
                      private_tls_config: {cert_file: private.pem, key_file: private.key}\n";

fn put(folder: &Path, name: &str, shown: Shown) {
    let [certificate, key] = certs::pem(shown);
    write(folder.join(format!("{name}.pem")), certificate).unwrap();
    write(folder.join(format!("{name}.key")), key).unwrap();
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// A new client for each request, and with it a new connection.
fn client() -> Client {
    let authority = Certificate::from_pem(&std::fs::read(certs::ca_pem_path()).unwrap()).unwrap();
    Client::builder().no_proxy().add_root_certificate(authority).build().unwrap()
}

fn setup() -> Setup {
    Setup::new(format!("{}receivers: [{{name: ops}}]\n", route("ops"))).watch()
}

async fn started() -> TestApp {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "public", Shown::Good);
    put(folder.path(), "private", Shown::Good);
    let files = ["public.pem", "public.key", "private.pem", "private.key"];
    let files = files.map(|name| (name, text(&folder.path().join(name))));
    let files: Vec<(&str, &str)> =
        files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    setup().server(SERVER).start_beside(&files).await
}

async fn reload(app: &TestApp) -> (u16, Value) {
    let url = format!("https://{}/-/reload", app.app().private_addr);
    let answer = client().post(url).send().await.unwrap();
    (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

/// Whether a client that trusts the authority gets an answer from the public listener; else why not.
async fn is_trusted(app: &TestApp) -> Result<u16, String> {
    let url = format!("https://{}/webhooks/telnyx", app.app().public_addr);
    let answer = client().get(url).send().await.map_err(|error| format!("{error:?}"))?;
    Ok(answer.status().as_u16())
}

#[tokio::test]
async fn webhooks_and_metrics_come_over_tls_and_in_no_other_way() {
    let app = started().await;
    let (now, [public, private]) =
        (app.clock.now(), [app.app().public_addr, app.app().private_addr]);
    let body = telnyx::event("over-tls", "fax.queued", now, &json!({}));
    let timestamp = now.as_second().to_string();
    let answer = client()
        .post(format!("https://{public}/webhooks/telnyx"))
        .header("telnyx-timestamp", &timestamp)
        .header("telnyx-signature-ed25519", app.signer.sign(&timestamp, &body))
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let metrics = client().get(format!("https://{private}/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(
        metrics.contains(
            "tollbell_webhooks_received_total{account=\"default\",kind=\"fax.queued\"} 1"
        ),
        "{metrics}"
    );
    for address in [public, private] {
        let plain = reqwest_client().get(format!("http://{address}/livez")).send().await;
        assert!(plain.is_err(), "{plain:?}");
    }
    let mut probe = Command::new(env!("CARGO_BIN_EXE_tollbell"));
    probe.args(["healthcheck", "--address", &private.to_string()]);
    let probe = tokio::task::spawn_blocking(move || probe.output()).await.unwrap();
    assert_eq!(probe.unwrap().stdout, b"ok\n");
    app.stop().await;
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart_and_a_broken_one_never() {
    let app = started().await;
    assert_eq!(is_trusted(&app).await, Ok(405));
    // Somebody else's key: the configuration with it is refused, and what was shown goes on.
    let [_, other] = certs::pem(Shown::Good);
    let key = text(&app.dir.path().join("public.key"));
    write(app.dir.path().join("public.key"), other).unwrap();
    let (status, body) = reload(&app).await;
    let said = body.to_string();
    assert_eq!(status, 422, "{said}");
    assert!(
        said.contains("server.tls_config.key_file") && said.contains("not the key of"),
        "{said}"
    );
    assert!(!said.contains("PRIVATE KEY"), "{said}");
    assert_eq!(is_trusted(&app).await, Ok(405));
    write(app.dir.path().join("public.key"), key).unwrap();
    // One that nobody trusts, so that it can be told which is shown.
    put(app.dir.path(), "public", Shown::SelfSigned);
    assert_eq!(reload(&app).await.0, 200);
    let refused = is_trusted(&app).await.unwrap_err();
    assert!(refused.contains("InvalidCertificate"), "{refused}");
    // Files that change are noticed.
    put(app.dir.path(), "public", Shown::Good);
    eventually_async(SOON, async || {
        app.clock.advance(std::time::Duration::from_secs(3));
        is_trusted(&app).await.ok()
    })
    .await;
    // Whether there is TLS only a start can change.
    app.write(&setup());
    let (status, body) = reload(&app).await;
    let warned = body["warnings"].to_string();
    assert_eq!(status, 200, "{warned}");
    assert!(warned.contains("server.tls_config") && warned.contains("next start"), "{warned}");
}

#[tokio::test]
async fn handshakes_that_fail_are_counted_by_reason() {
    let app = started().await;
    let failed = async |reason: &str| {
        let url = format!("https://{}/metrics", app.app().private_addr);
        let text = client().get(url).send().await.unwrap().text().await.unwrap();
        let series = format!(
            "tollbell_tls_handshakes_failed_total{{listener=\"public\",reason=\"{reason}\"}} "
        );
        let line = text.lines().find_map(|line| line.strip_prefix(&series));
        line.map(|count| count.parse::<u64>().unwrap())
    };
    assert_eq!((failed("tls").await, failed("closed").await), (Some(0), Some(0)));
    // A client that does not know the authority says so and goes.
    let url = format!("https://{}/webhooks/telnyx", app.app().public_addr);
    reqwest_client().get(url).send().await.unwrap_err();
    eventually_async(SOON, async || (failed("tls").await == Some(1)).then_some(())).await;
    // One that only connects, as a load balancer's check does.
    drop(tokio::net::TcpStream::connect(app.app().public_addr).await.unwrap());
    eventually_async(SOON, async || (failed("closed").await == Some(1)).then_some(())).await;
    assert_eq!(failed("tls").await, Some(1));
}

#[test]
fn a_certificate_that_expires_soon_is_a_warning_and_does_not_disturb_who_only_asks() {
    let folder = tempfile::tempdir().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["hooks.example.com".to_owned()]).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    params.not_before = rcgen::date_time_ymd(2019, 1, 1);
    params.not_after = rcgen::date_time_ymd(2020, 2, 3);
    write(folder.path().join("public.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    write(folder.path().join("public.key"), key.serialize_pem()).unwrap();
    put(folder.path(), "private", Shown::Good);
    let key = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    let config = format!(
        "server:\n{SERVER}accounts: [{{name: default, public_keys: [\"{key}\"]}}]\nrule_files: []\n\
         route: {{receiver: ops}}\nreceivers: [{{name: ops, webhook_configs: [{{url: 'http://127.0.0.1:9/'}}]}}]\n"
    );
    write(folder.path().join("tollbell.yaml"), config).unwrap();
    let tollbell = |args: &[&str]| {
        let mut tollbell = Command::new(env!("CARGO_BIN_EXE_tollbell"));
        let output = tollbell.args(args).current_dir(folder.path()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let (code, said) = tollbell(&["check", "--strict", "--config", "tollbell.yaml"]);
    assert_eq!(code, Some(1), "{said}");
    let warning =
        "server.tls_config.cert_file: the certificate has expired, on 2020-02-03T00:00:00Z";
    assert!(said.contains(warning), "{said}");
    assert!(!said.contains("nobody is notified"), "{said}");
    // A pair that does not fit keeps nobody from looking.
    put(folder.path(), "public", Shown::Good);
    let [_, other] = certs::pem(Shown::Good);
    write(folder.path().join("public.key"), other).unwrap();
    assert_eq!(tollbell(&["check", "--config", "tollbell.yaml"]).0, Some(2));
    let (code, said) = tollbell(&["silence", "list", "--config", "tollbell.yaml"]);
    // It asks for the store, which nobody has made yet.
    assert_eq!((code, said.contains("there is no database")), (Some(1), true), "{said}");
}
