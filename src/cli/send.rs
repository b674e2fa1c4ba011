//! `tollbell send`: signs like Telnyx does and posts, for trying out.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::json;

use super::{Exit, output, runtime};
use crate::clock::Clock;
use crate::event;
use crate::secret::Secret;

/// How long a receiver may take to answer: Telnyx gives up sooner.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Events sent by one call at most.
const COUNT_MAX: u32 = 100_000;

/// Arguments of `send`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A sample (see --list) or a file with a body
    #[arg(value_name = "SAMPLE|FILE", required_unless_present_any = ["list", "new_key"])]
    what: Option<String>,
    /// Where to post it
    #[arg(long, default_value = "http://127.0.0.1:8080/webhooks/telnyx", value_name = "URL")]
    url: String,
    /// The private key to sign with: base64 of its 32 bytes, in a file
    #[arg(long, env = "TOLLBELL_SEND_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Send the body as it is, without a fresh event id and time
    #[arg(long)]
    as_is: bool,
    /// How many to send, one after the other, each with an id of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(COUNT_MAX)))]
    count: u32,
    /// Print the signed request as JSON and send nothing
    #[arg(long)]
    print: bool,
    /// List the samples
    #[arg(long)]
    list: bool,
    /// Write a new private key to a file and print the public key that belongs into `public_keys`
    #[arg(long, value_name = "FILE")]
    new_key: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    if args.list {
        for (name, ..) in event::samples() {
            output::line(name);
        }
        return Ok(Exit::Ok);
    }
    if let Some(path) = &args.new_key {
        return new_key(path);
    }
    let (content_type, body) = body(args.what.as_deref().unwrap_or_default())?;
    let Some(key_file) = args.key_file.clone() else {
        output::error(
            "--key-file is missing: make a key with `tollbell send --new-key key.txt` and put the public key it prints into the account's public_keys",
        );
        return Ok(Exit::Usage);
    };
    let key = read_key(key_file)?;
    runtime()?.block_on(send(args, &key, content_type, &body))
}

/// A body signed as Telnyx signs: Ed25519 over `timestamp|body`, both headers.
pub(super) struct Signed {
    pub(super) id: String,
    pub(super) timestamp: String,
    pub(super) signature: String,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
}

impl Signed {
    /// Signs a body as if it were sent now.
    pub(super) fn new(
        key: &SigningKey,
        content_type: &'static str,
        body: &[u8],
        as_is: bool,
    ) -> Self {
        let now = Clock::system().now();
        let id = uuid::Uuid::now_v7().to_string();
        let body = if as_is { body.to_vec() } else { event::freshen(body, content_type, &id, now) };
        let timestamp = now.as_second().to_string();
        let signed: Vec<u8> = [timestamp.as_bytes(), b"|", &body].concat();
        let signature = STANDARD.encode(key.sign(&signed).to_bytes());
        Self { id, timestamp, signature, content_type, body }
    }

    /// Posts it; gives the status and the answer's text.
    pub(super) async fn post(
        &self,
        client: &reqwest::Client,
        url: &str,
    ) -> reqwest::Result<(u16, String)> {
        let response = client
            .post(url)
            .header("content-type", self.content_type)
            .header("user-agent", "telnyx-webhooks")
            .header("telnyx-timestamp", &self.timestamp)
            .header("telnyx-signature-ed25519", &self.signature)
            .body(self.body.clone())
            .send()
            .await?;
        let status = response.status().as_u16();
        Ok((status, response.text().await?))
    }
}

/// An HTTP client that behaves like the sender: no redirects, a deadline.
pub(super) fn client() -> anyhow::Result<reqwest::Client> {
    // reqwest panics without a process-wide provider; one that is already there is as good.
    let _already_there = rustls::crypto::ring::default_provider().install_default().is_err();
    Ok(reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(TIMEOUT)
        .build()?)
}

async fn send(
    args: &Args,
    key: &SigningKey,
    content_type: &'static str,
    body: &[u8],
) -> anyhow::Result<Exit> {
    let client = client()?;
    let mut all_taken = true;
    for _ in 0..args.count {
        let signed = Signed::new(key, content_type, body, args.as_is);
        if args.print {
            output::json(&json!({
                "url": args.url,
                "headers": {
                    "content-type": signed.content_type,
                    "telnyx-timestamp": signed.timestamp,
                    "telnyx-signature-ed25519": signed.signature,
                },
                "body_base64": STANDARD.encode(&signed.body),
            }))?;
            continue;
        }
        let (status, text) = signed
            .post(&client, &args.url)
            .await
            .map_err(reqwest::Error::without_url)
            .with_context(|| format!("cannot post to {}", args.url))?;
        all_taken &= status == 200;
        let mut said = format!("{status}");
        if !text.trim().is_empty() {
            write!(said, " {}", text.trim())?;
        }
        if !args.as_is {
            write!(said, " id={}", signed.id)?;
        }
        output::line(&said);
    }
    Ok(if all_taken { Exit::Ok } else { Exit::Failed })
}

fn body(what: &str) -> anyhow::Result<(&'static str, Vec<u8>)> {
    let body = match event::sample(what) {
        Some(body) => body,
        None if std::path::Path::new(what).exists() => {
            std::fs::read(what).with_context(|| format!("cannot read {what}"))?
        }
        None => bail!("{what} is neither a sample (see `tollbell send --list`) nor a file"),
    };
    Ok((event::content_type(&body), body))
}

fn read_key(path: PathBuf) -> anyhow::Result<SigningKey> {
    use secrecy::ExposeSecret as _;
    let shown = path.display().to_string();
    let text = Secret::File(path).read().with_context(|| format!("cannot read {shown}"))?;
    let bytes = STANDARD
        .decode(text.expose_secret())
        .ok()
        .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
        .with_context(|| format!("{shown} is not the base64 of 32 bytes"))?;
    Ok(SigningKey::from_bytes(&bytes))
}

/// A new signing key from the system's randomness.
pub(super) fn random_key() -> anyhow::Result<SigningKey> {
    use rustls::crypto::ring::default_provider;
    let mut seed = [0; 32];
    default_provider()
        .secure_random
        .fill(&mut seed)
        .map_err(|error| anyhow::anyhow!("the system gives no randomness: {error:?}"))?;
    Ok(SigningKey::from_bytes(&seed))
}

fn new_key(path: &std::path::Path) -> anyhow::Result<Exit> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let key = random_key()?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot create {}", path.display()))?;
    writeln!(file, "{}", STANDARD.encode(key.to_bytes()))?;
    output::line(&STANDARD.encode(key.verifying_key().to_bytes()));
    Ok(Exit::Ok)
}
