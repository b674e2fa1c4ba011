//! `tollbell demo`: `serve` with a throw-away key, local sinks and sample events, shown on the terminal.
//!
//! Nothing here is simulated but the outside world: the events go through the real endpoint over HTTP, and
//! what is shown is what arrived at a mail server and at a Slack over TCP.

mod sinks;
mod slack;

use std::io::IsTerminal as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use mail_parser::MessageParser;
use tokio::sync::{mpsc, watch};

use self::sinks::{Addresses, Taken};
use super::log::{self, LogArgs};
use super::send::{Signed, client, random_key};
use super::{Exit, output, runtime};
use crate::app::{App, Listeners};
use crate::clock::Clock;
use crate::config;
use crate::event;
use crate::store::{DeliveryState, Reading};
use crate::tasks::Tasks;

/// Name of the configuration file.
const MAIN: &str = "tollbell.yaml";
/// How long the notifications of the samples may take.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(20);
/// How often it is looked whether they are done.
const SETTLE_POLL: Duration = Duration::from_millis(20);
/// The rules of the demo, by file: some of the ones tollbell ships.
const RULES: [(&str, &str); 4] = [
    ("balance.yaml", include_str!("../../../config/rules/balance.yaml")),
    ("spend.yaml", include_str!("../../../config/rules/spend.yaml")),
    ("fax.yaml", include_str!("../../../config/rules/fax.yaml")),
    ("fraud.yaml", include_str!("../../../config/rules/fraud.yaml")),
];
/// Fields of a sample and what they become.
type Changes = &'static [(&'static str, &'static str)];
/// What is sent, in this order: the sample, what is changed in it, and what it shows.
const SAMPLES: [(&str, Changes, &str); 6] = [
    ("call.initiated", &[("payload.to", "+37120000000")], "a call to Latvia begins"),
    ("call.cost", &[("payload.total_cost", "25.00")], "and costs 25 USD: toll fraud?"),
    ("message.finalized", &[("payload.cost.amount", "60.00")], "85 USD today, of a budget of 100"),
    ("messaging-profile.spend-limit-reached", &[], "a profile may send no more today"),
    ("fax.failed", &[], "a fax was refused"),
    ("verify.delivered", &[], "a verification code was delivered: nothing to say"),
];
/// What is on the account: at first, below the rule's line, and after a payment of [`PAID`].
const BALANCES: [&str; 3] = ["180.00", "31.40", "200.00"];
const PAID: &str = "168.60";
/// Metrics worth a look at the end.
const SHOWN_METRICS: [&str; 5] = [
    "tollbell_available_credit",
    "tollbell_webhooks_received_total",
    "tollbell_webhooks_rejected_total",
    "tollbell_notifications_total",
    "tollbell_alerts{",
];

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Keep running until Ctrl-C, so that you can send your own events
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    log: LogArgs,
}

pub(super) fn run(mut args: Args) -> anyhow::Result<Exit> {
    args.log.quiet_unless_asked();
    log::start(&args.log)?;
    let dir = tempfile::tempdir()?;
    runtime()?.block_on(demo(&args, dir.path()))
}

async fn demo(args: &Args, dir: &Path) -> anyhow::Result<Exit> {
    let key = random_key()?;
    let sink_tasks = Tasks::new();
    let (taken, mut arrived) = mpsc::channel(sinks::TAKEN_MAX);
    let [at_first, low, topped_up] = BALANCES;
    let (balance, told) = watch::channel(at_first);
    let sinks = sinks::start(taken, told, &sink_tasks).await?;
    let app = start(dir, &key, sinks).await?;
    let url = format!("http://{}/webhooks/telnyx", app.public_addr);
    output::line("tollbell demo: the whole path on this machine, with a throw-away key\n");
    for (name, place) in [
        ("files", dir.display().to_string()),
        ("webhooks", url.clone()),
        ("metrics", format!("http://{}/metrics", app.private_addr)),
        ("mail sink", format!("smtp://{}", sinks.mail)),
        ("slack sink", format!("http://{}", sinks.slack)),
        ("Telnyx API", format!("http://{}/v2", sinks.telnyx)),
    ] {
        output::line(&format!("  {name:10} {place}"));
    }

    heading("\n1. Sent over HTTP, signed as Telnyx signs\n");
    send_samples(&key, &url).await?;
    settle(&app).await?;
    heading("\n2. What was notified\n");
    let notified = show_arrivals(&mut arrived);
    heading(&format!(
        "3. The balance falls to {low} USD; tollbell reads it, no webhook reports it\n"
    ));
    reading(&app, &balance, low).await?;
    show_arrivals(&mut arrived);
    heading(&format!("4. Somebody tops it up by {PAID} USD: {topped_up} USD are there again\n"));
    reading(&app, &balance, topped_up).await?;
    // The all-clear comes when its groups may be notified again, a second after they first were: to each receiver by itself.
    show_until_resolved(&mut arrived).await?;
    settle(&app).await?;
    show_arrivals(&mut arrived);
    heading("5. What Prometheus scrapes\n");
    show_metrics(app.private_addr).await?;
    if args.keep {
        keep(dir, &key, &url, &mut arrived).await?;
    } else {
        heading("\nNext\n");
        output::line(
            "  tollbell demo --keep   keeps this running, so that you can send events and use every command",
        );
        output::line(
            "  tollbell init          writes a configuration of your own: a few questions",
        );
    }
    let clean = app.shutdown().await;
    sink_tasks.drain(Duration::from_secs(1)).await;
    Ok(if clean && notified { Exit::Ok } else { Exit::Failed })
}

/// A line that stands out on a terminal.
fn heading(text: &str) {
    let plain = !std::io::stdout().is_terminal()
        || config::system_env("NO_COLOR").is_some_and(|it| !it.is_empty());
    output::line(&if plain { text.to_owned() } else { format!("\u{1b}[1m{text}\u{1b}[0m") });
}

async fn start(dir: &Path, key: &SigningKey, sinks: Addresses) -> anyhow::Result<App> {
    let Addresses { mail, slack, telnyx } = sinks;
    let local = || TcpListener::bind("127.0.0.1:0").context("cannot listen on this machine");
    let listeners = Listeners { public: local()?, private: local()? };
    let (public, private) = (listeners.public.local_addr()?, listeners.private.local_addr()?);
    let public_key = STANDARD.encode(key.verifying_key().to_bytes());
    std::fs::create_dir(dir.join("rules"))?;
    for (name, rules) in RULES {
        std::fs::write(dir.join("rules").join(name), rules)?;
    }
    let text = format!(
        r#"# The configuration of `tollbell demo`: every command works on it while the demo runs.
server:
  listen: {public}
  private_listen: {private}
accounts:
  - name: default
    public_keys: ["{public_key}"]
    labels: {{team: voice}}
    currency: USD
    api_key: demo
    api_url: http://{telnyx}/v2
    balance: {{poll_interval: 1s}}
    backfill: {{enabled: false}}
store:
  url: sqlite:tollbell.db
rule_files: [rules/*.yaml]
route:
  receiver: ops
  group_by: ['...']
  group_wait: 0s
  group_interval: 1s
  routes:
    - matchers: ['severity="critical"']
      receiver: oncall
      continue: true
    - matchers: ['alertname=~".+"']
      receiver: ops
receivers:
  - name: ops
    slack_configs:
      - api_url: http://{slack}/services/demo
  - name: oncall
    email_configs:
      - to: [oncall@example.com]
        from: tollbell@example.com
        smarthost: {mail}
        tls: none
"#,
    );
    let main = dir.join(MAIN);
    std::fs::write(&main, text)?;
    let loaded = config::load(&main, &|_name| None);
    let Some(config) = loaded.config else {
        output::problems(&loaded);
        bail!("the demo's own configuration is wrong");
    };
    App::start(config, listeners, Clock::system(), None).await
}

async fn send_samples(key: &SigningKey, url: &str) -> anyhow::Result<()> {
    let client = client()?;
    let mut last = None;
    for (name, changes, about) in SAMPLES {
        let mut body =
            event::sample(name).with_context(|| format!("no sample is called {name}"))?;
        let content_type = event::content_type(&body);
        for (path, value) in changes {
            body = event::set(&body, content_type, path, value)?;
        }
        let signed = Signed::new(key, content_type, &body, false);
        say_status(&format!("{name}: {about}"), signed.post(&client, url).await?.0);
        last = Some(signed);
    }
    if let Some(again) = last {
        say_status(
            "the last one again: stored once, judged once",
            again.post(&client, url).await?.0,
        );
    }
    let forged = Signed::new(&random_key()?, "application/json", b"{}", true);
    say_status(
        "one signed with another key: refused, not even parsed",
        forged.post(&client, url).await?.0,
    );
    Ok(())
}

fn say_status(what: &str, status: u16) {
    output::line(&format!("  {status}  {what}"));
}

/// Waits until all that was kept is judged and all that was queued is sent.
async fn settle(app: &App) -> anyhow::Result<()> {
    let settled = async {
        loop {
            let stats = app.store.stats().await?;
            let open = [DeliveryState::Pending, DeliveryState::Sending];
            if stats.inbox_lag_events == 0
                && open.iter().all(|state| stats.deliveries_in(*state) == 0)
            {
                return anyhow::Ok(());
            }
            tokio::time::sleep(SETTLE_POLL).await;
        }
    };
    tokio::time::timeout(SETTLE_TIMEOUT, settled)
        .await
        .context("the notifications did not arrive")?
}

/// Lets the balance be another, waits until it was read, and until all that is told.
async fn reading(
    app: &App,
    balance: &watch::Sender<&'static str>,
    amount: &'static str,
) -> anyhow::Result<()> {
    balance.send_replace(amount);
    let read = async {
        loop {
            let last = app.store.last_readings().await?;
            let text = |it: &Reading| it.available_credit.map(|credit| credit.to_string());
            if last.iter().any(|reading| text(reading).as_deref() == Some(amount)) {
                return anyhow::Ok(());
            }
            tokio::time::sleep(SETTLE_POLL).await;
        }
    };
    tokio::time::timeout(SETTLE_TIMEOUT, read).await.context("the balance was not read")??;
    settle(app).await
}

/// Shows what the sinks take until a mail and a Slack message that say "resolved" came.
async fn show_until_resolved(arrived: &mut mpsc::Receiver<Taken>) -> anyhow::Result<()> {
    let shown = async {
        let (mut by_mail, mut by_slack) = (false, false);
        while let Some(taken) = arrived.recv().await {
            show_arrival(&taken);
            match &taken {
                Taken::Mail { raw, .. } => by_mail |= raw.contains("[RESOLVED]"),
                Taken::Slack { body } => by_slack |= body.contains("RESOLVED"),
            }
            if by_mail && by_slack {
                return;
            }
        }
    };
    tokio::time::timeout(SETTLE_TIMEOUT, shown).await.context("the notifications did not arrive")
}

/// Shows what the sinks took; false when nothing did.
fn show_arrivals(arrived: &mut mpsc::Receiver<Taken>) -> bool {
    let mut any = false;
    while let Ok(taken) = arrived.try_recv() {
        any = true;
        show_arrival(&taken);
    }
    any
}

fn show_arrival(taken: &Taken) {
    let (heading, text) = match taken {
        Taken::Mail { to, raw } => {
            let mail = MessageParser::default().parse(raw);
            let subject = mail.as_ref().and_then(|mail| mail.subject()).unwrap_or("(no subject)");
            let text = mail.as_ref().and_then(|mail| mail.body_text(0)).unwrap_or_default();
            (format!("mail to {to}: {subject}"), text.into_owned())
        }
        Taken::Slack { body } => {
            let json: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
            ("slack".to_owned(), slack::seen(&json).unwrap_or_else(|| body.clone()))
        }
    };
    output::line(&format!("  {heading}"));
    for line in text.trim_end().lines() {
        output::line(&format!("    | {line}"));
    }
    output::line("");
}

async fn show_metrics(private: SocketAddr) -> anyhow::Result<()> {
    let text = client()?.get(format!("http://{private}/metrics")).send().await?.text().await?;
    for line in text.lines().filter(|line| !line.ends_with(" 0")) {
        if SHOWN_METRICS.iter().any(|name| line.starts_with(name)) {
            output::line(&format!("  {line}"));
        }
    }
    Ok(())
}

async fn keep(
    dir: &Path,
    key: &SigningKey,
    url: &str,
    arrived: &mut mpsc::Receiver<Taken>,
) -> anyhow::Result<()> {
    let key_file = dir.join("key.txt");
    std::fs::write(&key_file, STANDARD.encode(key.to_bytes()))?;
    let (main, key_file) = (dir.join(MAIN).display().to_string(), key_file.display().to_string());
    heading("\nStill running; Ctrl-C ends it and removes its files. From another terminal:\n");
    output::line(&format!("  export TOLLBELL_CONFIG={main} TOLLBELL_SEND_KEY_FILE={key_file}"));
    for command in [
        // Of profiles that were not heard of: an alert that fires already would only be extended.
        &*format!(
            "tollbell send messaging-profile.spend-limit-reached --vary payload.profile_id --url {url}"
        ),
        &*format!("tollbell send call.cost --set payload.total_cost=20.00 --count 3 --url {url}"),
        "tollbell status",
        "tollbell alerts",
        "tollbell explain fax.failed",
    ] {
        output::line(&format!("  {command}"));
    }
    output::line("");
    loop {
        tokio::select! {
            ended = tokio::signal::ctrl_c() => return Ok(ended?),
            Some(taken) = arrived.recv() => show_arrival(&taken),
        }
    }
}
