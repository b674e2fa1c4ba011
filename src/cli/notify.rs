//! `tollbell notify test`: one marked notification through each integration of a receiver, and what each peer answered.
//!
//! Nothing is stored and nobody counts as notified. It goes out from here, with the configuration as this command reads it, or
//! from the running tollbell that is named by `--url`. An integration whose targets all took it is left alone no more.

use clap::Subcommand;

use super::args::{Exit, Format, runtime};
use super::output;
use super::source::{Refused, SourceArgs};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::notify::{self, TestAnswer};
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
    source: SourceArgs,
    /// Also send its end, which peers that keep incidents resolve them by
    #[arg(long)]
    resolve: bool,
    /// How the results are printed
    #[arg(long, default_value = "text", value_enum)]
    format: Format,
}

pub(super) fn run(args: Args) -> anyhow::Result<Exit> {
    let Command::Test(args) = args.command;
    let answers = if let Some(remote) = args.source.remote()? {
        runtime()?.block_on(remote.test(&args.receiver, args.resolve))
    } else {
        let loaded = config::load(&args.source.config().config, &config::system_env);
        let Some(config) = &loaded.config else {
            output::problems(&loaded);
            return Ok(Exit::Usage);
        };
        runtime()?.block_on(test(config, &args))
    };
    let answers = match answers {
        Ok(answers) => answers,
        Err(Refused::Unfit(wrong)) => {
            output::error(&wrong);
            return Ok(Exit::Usage);
        }
        Err(Refused::Failed(error)) => return Err(error),
    };
    if answers.is_empty() {
        let name = &args.receiver;
        output::error(&format!("receiver {name} has no integration: nobody is notified"));
        return Ok(Exit::Failed);
    }
    match args.format {
        Format::Json => output::json(&answers)?,
        Format::Text => output::table(
            &["INTEGRATION", "TARGET", "SENT", "ANSWER"],
            &answers.iter().map(row).collect::<Vec<_>>(),
        ),
    }
    Ok(if answers.iter().all(|answer| answer.delivered) { Exit::Ok } else { Exit::Failed })
}

fn row(of: &TestAnswer) -> Vec<String> {
    let answer = match &of.reason {
        None => of.detail.clone(),
        Some(reason) => format!("{reason}: {}", of.detail),
    };
    vec![of.integration.clone(), of.target.clone(), of.status.clone().into_owned(), answer]
}

/// Sends it from here.
async fn test(config: &Config, args: &Test) -> Result<Vec<TestAnswer>, Refused> {
    let Some(receiver) = config.receivers.iter().find(|known| known.name == args.receiver) else {
        let known: Vec<&str> = config.receivers.iter().map(|it| it.name.as_str()).collect();
        let (name, known) = (&args.receiver, known.join(", "));
        return Err(Refused::Unfit(format!("no receiver has the name {name}: there is {known}")));
    };
    let mut answers = Vec::new();
    for integration in &receiver.integrations {
        let now = Clock::system().now();
        let asked_by = "Whoever ran `tollbell notify test`";
        // No link: there is no page of an alert that is stored nowhere.
        let ends = Some(args.resolve);
        let said = notify::send_test(integration, &config.templates, "", asked_by, ends, now).await;
        let said = said.map_err(|error| Refused::Failed(error.into()))?;
        if said.iter().all(|answer| answer.delivered) {
            lift_pause(config, &integration.id).await;
        }
        answers.extend(said);
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
