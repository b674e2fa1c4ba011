//! The command line: one file for each subcommand. Only here may text go to the terminal.
//!
//! Exit codes: 0 ok, 1 failed, 2 usage or configuration.

mod accounts;
mod alerts;
mod api;
mod args;
mod balance;
mod check;
mod demo;
mod deliveries;
mod events;
mod excerpt;
mod explain;
mod forget;
mod healthcheck;
mod invoices;
mod init;
mod log;
mod man;
mod notify;
mod output;
mod provision;
mod receivers;
mod repeats;
mod replay;
mod send;
mod serve;
mod silence;
mod source;
mod spend;
mod status;
mod store;
mod terminal;
mod test;
mod tune;
mod usage;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::args::{CONFIG_FILE, ConfigArg, Exit, Format, Sheet, runtime};

/// Notifies the right people before Telnyx service stops.
#[derive(Debug, Parser)]
#[command(name = "tollbell", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a small working configuration, with rules and their tests, from a few questions or options
    Init(init::Args),
    /// Receive webhooks, evaluate rules, notify
    Serve(serve::Args),
    /// Check a configuration and its rules: all problems at once
    Check(check::Args),
    /// Run test cases of rules: events in, alerts and notifications out; nothing is sent
    Test(test::Args),
    /// Evaluate candidate rules on stored events: who would be notified; changes nothing
    Replay(replay::Args),
    /// Show how a value was distributed, and what other thresholds would have done
    Tune(tune::Args),
    /// Sign a sample event or a file and post it, to try things out
    Send(send::Args),
    /// Show the whole path on this machine: throw-away key, local sinks, sample events
    Demo(demo::Args),
    /// Show on one screen whether all is well
    Status(status::Args),
    /// Send a test notification to a receiver, and show what each peer answers
    Notify(notify::Args),
    /// List and show deliveries; retry dead ones
    Deliveries(deliveries::Args),
    /// Pause a receiver for a time, resume it, list who is paused
    Receivers(receivers::Args),
    /// List alerts: what fires, what is suppressed; show the history of one
    Alerts(alerts::Args),
    /// Silence alerts for a time: add, list, update and expire silences
    Silence(silence::Args),
    /// List and show stored events, and the judgement of each rule
    Events(events::Args),
    /// Explain what the rules make of one event, who is notified, and why or why not
    Explain(explain::Args),
    /// Show what was spent, by product, day, kind, connection, country or number
    Spend(spend::Args),
    /// Show what is left on each account, and how long it lasts
    Balance(balance::Args),
    /// List the invoices that Telnyx has
    Invoices(invoices::Args),
    /// Ask Telnyx for its usage reports
    Usage(usage::Args),
    /// List the accounts of the configuration, and those that they manage at Telnyx
    Accounts(accounts::Args),
    /// Set up Telnyx's notifications: plan, create, repair, delete
    Provision(provision::Args),
    /// Move, back up and check the database
    Store(store::Args),
    /// Erase a phone number from everything that is stored
    Forget(forget::Args),
    /// Ask a running tollbell whether it is ready (exit code 0 or 1)
    Healthcheck(healthcheck::Args),
    /// Print a script by which a shell completes commands and flags
    Completions(man::CompletionsArgs),
    /// Print the manual page, or write those of all commands
    Man(man::ManArgs),
    /// Print the JSON Schema of the configuration and of rule files
    Schema {
        /// The reference of all keys instead, as Markdown
        #[arg(long)]
        markdown: bool,
        /// The OpenAPI document of the API instead
        #[arg(long, conflicts_with = "markdown")]
        openapi: bool,
    },
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Init(args) => init::run(args),
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Tune(args) => tune::run(&args),
        Command::Send(args) => send::run(&args),
        Command::Demo(args) => demo::run(args),
        Command::Status(args) => status::run(&args),
        Command::Notify(args) => notify::run(args),
        Command::Deliveries(args) => deliveries::run(args),
        Command::Receivers(args) => receivers::run(args),
        Command::Alerts(args) => alerts::run(args),
        Command::Silence(args) => silence::run(args),
        Command::Events(args) => events::run(args),
        Command::Explain(args) => explain::run(&args),
        Command::Spend(args) => spend::run(&args),
        Command::Balance(args) => balance::run(&args),
        Command::Invoices(args) => invoices::run(&args),
        Command::Usage(args) => usage::run(&args),
        Command::Accounts(args) => accounts::run(&args),
        Command::Provision(args) => provision::run(&args),
        Command::Store(args) => store::run(args),
        Command::Forget(args) => forget::run(&args),
        Command::Healthcheck(args) => Ok(healthcheck::run(&args)),
        Command::Completions(args) => man::completions(&args),
        Command::Man(args) => man::man(&args),
        Command::Schema { markdown, openapi } => check::schema(markdown, openapi),
    };
    match outcome {
        Ok(Exit::Ok) if output::is_lost() => ExitCode::from(1),
        Ok(Exit::Ok) => ExitCode::SUCCESS,
        Ok(Exit::Failed) => ExitCode::from(1),
        Ok(Exit::Usage) => ExitCode::from(2),
        Err(error) => {
            output::error(&format!("{error:#}"));
            ExitCode::from(1)
        }
    }
}
