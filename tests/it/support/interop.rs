//! The independent judges: aiosmtpd takes our mails, Telnyx's own SDK checks and makes signatures.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::certs;
use super::peer::lock;
use super::tools::{python, support_file};
use super::wait::{SOON, eventually_some};

/// How long Python may take to start on a busy machine.
const STARTED_WITHIN: Duration = Duration::from_mins(1);

/// A mail that aiosmtpd took.
#[derive(Debug, Clone)]
pub struct TakenMail {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// Whether it came encrypted.
    pub tls: bool,
    /// The user of AUTH.
    pub user: Option<String>,
    /// The message.
    pub raw: Vec<u8>,
}

/// aiosmtpd as a process of its own. Dropping it ends the process.
pub struct Aiosmtpd {
    child: Child,
    port: u16,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Aiosmtpd {
    /// A server that takes everything, in the clear.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A server that requires STARTTLS (with the good certificate of [`certs`]) and these credentials.
    pub async fn start_strict(user: &str, password: &str) -> Self {
        let (certificate, key) = certs::server_pem_paths();
        let [certificate, key] = [certificate, key].map(|path| path.display().to_string());
        Self::start_with(&["--starttls", &certificate, &key, "--auth", user, password]).await
    }

    async fn start_with(args: &[&str]) -> Self {
        let mut command = Command::new(python());
        command.arg(support_file("aiosmtpd_sink.py")).args(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                lock(&kept).push(line);
            }
        });
        let first = eventually_some(STARTED_WITHIN, || lock(&lines).first().cloned()).await;
        let port = json_of(&first)["port"].to_string().parse().unwrap();
        Self { child, port, lines }
    }

    /// Its port on `127.0.0.1`.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The mails taken so far.
    pub fn mails(&self) -> Vec<TakenMail> {
        let lines = lock(&self.lines);
        lines.iter().skip(1).map(|line| taken(&json_of(line))).collect()
    }

    /// Waits until at least `count` mails were taken, and returns all of them.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> impl Future<Output = Vec<TakenMail>> {
        eventually_some(SOON, move || Some(self.mails()).filter(|all| all.len() >= count))
    }
}

impl Drop for Aiosmtpd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn taken(mail: &Value) -> TakenMail {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    TakenMail {
        from: text(&mail["from"]),
        to: mail["to"].as_array().unwrap().iter().map(text).collect(),
        tls: mail["tls"] == true,
        user: mail["user"].as_str().map(str::to_owned),
        raw: STANDARD.decode(text(&mail["raw"])).unwrap(),
    }
}

/// What Telnyx's Python SDK says of a delivery now: its event type, or why it refuses it.
pub fn sdk_verify(
    public_key: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<Option<String>, String> {
    let headers: BTreeMap<_, _> = headers.iter().cloned().collect();
    let body = STANDARD.encode(body);
    let asked = json!({"public_key": public_key, "headers": headers, "body_base64": body});
    let answer = ask_sdk("verify", &asked);
    if answer["ok"] == true {
        return Ok(answer["event_type"].as_str().map(str::to_owned));
    }
    Err(answer["error"].as_str().unwrap().to_owned())
}

/// The public key and the signature that the SDK's means make of `timestamp|body`, with Telnyx's own test key.
pub fn sdk_sign(timestamp: &str, body: &[u8]) -> (String, String) {
    let answer =
        ask_sdk("sign", &json!({"timestamp": timestamp, "body_base64": STANDARD.encode(body)}));
    let text = |key: &str| answer[key].as_str().unwrap().to_owned();
    (text("public_key"), text("signature"))
}

fn ask_sdk(mode: &str, asked: &Value) -> Value {
    let mut command = Command::new(python());
    command.arg(support_file("telnyx_verify.py")).arg(mode);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the SDK failed");
    json_of(&String::from_utf8_lossy(&output.stdout))
}

fn json_of(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use lettre::transport::smtp::authentication::Credentials;
    use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
    use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

    use super::*;
    use crate::support::telnyx::{SIGNATURE_HEADER, Signer, TIMESTAMP_HEADER, call_cost};

    #[tokio::test]
    async fn a_strict_aiosmtpd_takes_a_mail() {
        let server = Aiosmtpd::start_strict("me", "secret").await;
        let ca = Certificate::from_pem(&std::fs::read(certs::ca_pem_path()).unwrap()).unwrap();
        let tls = TlsParameters::builder("localhost".to_owned()).add_root_certificate(ca);
        let client = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1")
            .port(server.port())
            .tls(Tls::Required(tls.build().unwrap()))
            .credentials(Credentials::new("me".to_owned(), "secret".to_owned()))
            .build();
        let message = Message::builder()
            .from("a@example.com".parse().unwrap())
            .to("b@example.com".parse().unwrap())
            .body("hello".to_owned());
        client.send(message.unwrap()).await.unwrap();
        let mail = server.wait_for(1).await.remove(0);
        assert_eq!(
            (mail.from.as_str(), mail.to.as_slice()),
            ("a@example.com", &["b@example.com".to_owned()][..])
        );
        assert!(mail.tls && mail.user.as_deref() == Some("me"));
        assert!(String::from_utf8_lossy(&mail.raw).ends_with("hello\r\n"));
    }

    #[test]
    fn the_sdk_takes_what_the_signer_signs_and_nothing_else() {
        let signer = Signer::new();
        let (now, key) = (Timestamp::now(), signer.public_key_base64());
        let body = call_cost("e1", now, "leg-1", Some("0.0106"));
        let headers = signer.headers(now, &body);
        assert_eq!(sdk_verify(&key, &headers, &body), Ok(Some("call.cost".to_owned())));
        let refused = sdk_verify(&key, &headers, &[&body[..], b" "].concat()).unwrap_err();
        assert!(refused.contains("does not match"), "{refused}");
    }

    #[test]
    fn the_sdk_takes_what_its_own_key_signs() {
        let (timestamp, body) = (Timestamp::now().as_second().to_string(), b"{\"data\":{}}");
        let (key, signature) = sdk_sign(&timestamp, body);
        let headers =
            [(SIGNATURE_HEADER.to_owned(), signature), (TIMESTAMP_HEADER.to_owned(), timestamp)];
        assert_eq!(sdk_verify(&key, &headers, body), Ok(None));
    }
}
