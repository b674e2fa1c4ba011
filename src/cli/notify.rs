//! `tollbell notify test`: one marked notification through each integration of a receiver, and what each peer answered.
//!
//! Nothing is stored and nobody counts as notified. It goes out from here, with the configuration as this command reads it: a
//! running tollbell is not asked. An integration whose targets all took it is left alone no more by the running one.

use clap::Subcommand;
use serde::Serialize;
use uuid::Uuid;

use super::args::{ConfigArg, Exit, Format, runtime};
use super::output;
use crate::alerts::Status;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::notify::{Integration, Notification, Notifier, Outcome, Receiver, test_message};
use crate::store::Store;

/// Arguments of `notify`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send one notification, marked as a test, through each integration of a receiver
    Test(Test),
}

#[derive(Debug, clap::Args)]
struct Test {
    /// The receiver, by its name in the configuration
    receiver: String,
    #[command(flatten)]
    config: ConfigArg,
    /// Also send its end, which peers that keep incidents resolve them by
    #[arg(long)]
    resolve: bool,
    /// How the results are printed
    #[arg(long, default_value = "text", value_enum)]
    format: Format,
}

/// What one target answered.
#[derive(Debug, Serialize)]
struct Answer {
    integration: String,
    target: String,
    status: &'static str,
    delivered: bool,
    /// Why not, in the word of the metric's label `reason`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    detail: String,
}

pub(super) fn run(args: Args) -> anyhow::Result<Exit> {
    let Command::Test(args) = args.command;
    let loaded = config::load(&args.config.config, &config::system_env);
    let Some(config) = &loaded.config else {
        output::problems(&loaded);
        return Ok(Exit::Usage);
    };
    let Some(receiver) = config.receivers.iter().find(|known| known.name == args.receiver) else {
        let known: Vec<&str> = config.receivers.iter().map(|it| it.name.as_str()).collect();
        let known = known.join(", ");
        output::error(&format!("no receiver has the name {}: there is {known}", args.receiver));
        return Ok(Exit::Usage);
    };
    if receiver.integrations.is_empty() {
        output::error(&format!(
            "receiver {} has no integration: nobody is notified",
            receiver.name
        ));
        return Ok(Exit::Failed);
    }
    let answers = runtime()?.block_on(test(config, receiver, args.resolve))?;
    match args.format {
        Format::Json => output::json(&answers)?,
        Format::Text => output::table(
            &["INTEGRATION", "TARGET", "SENT", "ANSWER"],
            &answers.iter().map(Answer::row).collect::<Vec<_>>(),
        ),
    }
    Ok(if answers.iter().all(|answer| answer.delivered) { Exit::Ok } else { Exit::Failed })
}

impl Answer {
    fn row(&self) -> Vec<String> {
        let answer = match self.reason {
            None => self.detail.clone(),
            Some(reason) => format!("{reason}: {}", self.detail),
        };
        vec![self.integration.clone(), self.target.clone(), self.status.to_owned(), answer]
    }
}

async fn test(config: &Config, receiver: &Receiver, resolve: bool) -> anyhow::Result<Vec<Answer>> {
    let mut answers = Vec::new();
    for integration in &receiver.integrations {
        let notifier = Notifier::new(integration, &config.templates)?;
        let before = answers.len();
        for target in integration.channel.targets() {
            let mut statuses = vec![Status::Firing];
            statuses.extend(resolve.then_some(Status::Resolved));
            for status in statuses {
                let notification = notification(receiver, &target, status);
                let sent = notifier.send(&notification).await;
                let mut answer = answer(integration, &target, status, sent.outcome);
                if sent.template_failed {
                    answer.detail.push_str(" as plain text: the template cannot render this");
                }
                answers.push(answer);
            }
        }
        if answers.iter().skip(before).all(|answer| answer.delivered) {
            lift_pause(config, &integration.id).await;
        }
    }
    Ok(answers)
}

/// Ends a pause of an integration, where there is a store that can have noted one.
async fn lift_pause(config: &Config, integration: &str) {
    let place = &config.store.place;
    if place.path().is_some_and(|path| !path.exists()) {
        return;
    }
    let lifted = async {
        let store = Store::attach(place).await?;
        store.lift_pause(integration, Clock::system().now()).await?;
        store.close().await?;
        anyhow::Ok(())
    };
    if let Err(error) = lifted.await {
        output::error(&format!("a pause of {integration} could not be ended: {error}"));
    }
}

fn answer(integration: &Integration, target: &str, status: Status, outcome: Outcome) -> Answer {
    let (reason, detail) = match outcome {
        Outcome::Delivered => (None, "delivered".to_owned()),
        Outcome::Retry { reason, detail, .. } => {
            (Some(reason.as_str()), format!("{detail} (worth another try)"))
        }
        Outcome::Rejected { reason, detail } => (Some(reason.as_str()), detail),
    };
    Answer {
        integration: integration.id.clone(),
        target: target.to_owned(),
        status: status.as_str(),
        delivered: reason.is_none(),
        reason,
        detail,
    }
}

/// The notification; the same group for firing and its end, so that peers see one incident.
fn notification(receiver: &Receiver, target: &str, status: Status) -> Notification {
    let now = Clock::system().now();
    // No link: there is no page of an alert that is stored nowhere.
    let message =
        test_message(&receiver.name, "", "Whoever ran `tollbell notify test`", status, now);
    Notification {
        key: Uuid::now_v7().to_string(),
        target: target.to_owned(),
        attempt: 1,
        now,
        message,
        charts: Vec::new(),
    }
}
