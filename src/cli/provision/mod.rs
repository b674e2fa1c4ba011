//! `tollbell provision`

mod text;

use std::io::{self, BufRead, IsTerminal as _};

use serde_json::{Value, json};

use super::api::{self, AccountArg};
use super::{ConfigArg, Exit, Format, output, runtime};
use crate::telnyx::Page;
use crate::telnyx::provision::{
    self, Address, Applied, DesiredState, Happened, Item, Plan, WebhookSetting, WebhookSettings,
    WrongId,
};
use crate::telnyx::{ApiSettings, Client};
use text::{command_text, item_text, plan_text, question, step_text, webhook_settings_text};

/// Arguments of `provision`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    account: AccountArg,
    /// Where Telnyx is to send; by default `server.public_url` with the account's path
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short, conflicts_with = "dry_run")]
    yes: bool,
    /// Remove what provision created for this URL, and nothing else
    #[arg(long)]
    delete: bool,
    /// Do only this: have these applications and connections report the cost of each call
    #[arg(long, value_name = "ID", num_args = 1.., conflicts_with = "delete")]
    enable_call_cost: Vec<String>,
    /// How the plan, and what came of it, is printed; json needs --dry-run or --yes
    #[arg(long, default_value = "text", value_enum)]
    format: Format,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    if args.format == Format::Json && !args.dry_run && !args.yes {
        return Ok(wrong_usage("--format json asks nobody: say --dry-run or --yes, too"));
    }
    let Some(config) = api::load(&args.config) else { return Ok(Exit::Usage) };
    let (settings, client) = match api::client(&config, &args.account) {
        Ok(found) => found,
        Err(wrong) => return Ok(wrong.report()),
    };
    let (given, public_url) = (args.url.as_deref(), settings.public_url.as_deref());
    let address = match provision::webhook_url(given, public_url, &settings.account) {
        Ok(address) => Some(address),
        // The costs of calls can be switched on without it.
        Err(provision::AddressError::Missing) if !args.enable_call_cost.is_empty() => None,
        Err(error) => return Ok(wrong_usage(&error.to_string())),
    };
    runtime()?.block_on(Run { args, settings, client, address }.all())
}

fn wrong_usage(text: &str) -> Exit {
    output::error(text);
    Exit::Usage
}

/// One run: who is asked, for which address.
struct Run<'a> {
    args: &'a Args,
    settings: ApiSettings,
    client: Client,
    address: Option<Address>,
}

impl Run<'_> {
    async fn all(&self) -> anyhow::Result<Exit> {
        for word in self.address.iter().flat_map(|address| &address.words) {
            output::progress(&format!("warning: {word}"));
        }
        let here = self.address.as_ref().map(|address| address.url.as_str());
        let read_webhook_settings =
            async || provision::read_webhook_settings(&self.client, here, &mut progress).await;
        let (plan, places) = match here {
            Some(url) if self.args.enable_call_cost.is_empty() => {
                let state = provision::read_state(&self.client, &mut progress).await?;
                let desired = DesiredState { url: url.to_owned(), delete: self.args.delete };
                let places =
                    if self.args.delete { None } else { Some(read_webhook_settings().await) };
                (provision::plan(&state, &desired), places)
            }
            _ => {
                let places = read_webhook_settings().await;
                let ids = &self.args.enable_call_cost;
                match provision::enable_call_cost(&places.found, ids) {
                    Ok(plan) => (plan, None),
                    Err(wrong) => return Ok(wrong_ids(&wrong, &places)),
                }
            }
        };
        if self.args.format == Format::Json {
            return self.act_in_json(&plan, places.as_ref()).await;
        }
        output::line(&plan_text(&plan, &self.settings.account, self.args.delete));
        if let Some(places) = places {
            let (account, url) = (self.args.account.account.as_deref(), self.args.url.as_deref());
            let config = self.args.config.config.to_string_lossy();
            let command = command_text(&config, account, url);
            output::line(&format!("\n{}", webhook_settings_text(&places, &command)));
        }
        self.act(&plan).await
    }

    /// Asks, and does what is planned.
    async fn act(&self, plan: &Plan) -> anyhow::Result<Exit> {
        let steps = plan.steps().count();
        if self.args.dry_run {
            return Ok(Exit::Ok);
        }
        if steps == 0 {
            output::line("\nNothing to do.");
            return Ok(Exit::Ok);
        }
        if !self.args.yes {
            if !io::stdin().is_terminal() {
                output::error("nothing was changed: there is nobody to ask; --yes does it unasked");
                return Ok(Exit::Failed);
            }
            output::ask(&format!("\n{} [y/N]", question(plan)));
            if !agreed(&mut io::stdin().lock())? {
                output::error("nothing was changed");
                return Ok(Exit::Failed);
            }
        }
        output::line("");
        let mut told = |item: &Item, happened: &Happened| match (happened, happened.error()) {
            (_, Some(error)) => output::error(&format!("{}: {error}", item_text(item))),
            (Happened::Done(id), _) => output::line(&step_text(item, id.as_deref())),
            _ => {}
        };
        let applied = provision::apply(&self.client, plan, &mut told).await;
        if applied.done == steps {
            output::line(&format!("\nDone: {}.", output::count(steps, "change", "changes")));
        }
        Ok(ended(applied, steps))
    }

    /// Does what is planned, unless this is a dry run, and prints one object of plan and outcome.
    async fn act_in_json(
        &self,
        plan: &Plan,
        places: Option<&WebhookSettings>,
    ) -> anyhow::Result<Exit> {
        let steps = plan.steps().count();
        let mut exit = Exit::Ok;
        let mut outcome = Value::Null;
        if !self.args.dry_run {
            let mut told_steps: Vec<Value> = Vec::new();
            let mut told = |item: &Item, happened: &Happened| {
                told_steps.push(item_json(item, happened));
                if let Some(error) = happened.error() {
                    output::error(&format!("{}: {error}", item_text(item)));
                }
            };
            let applied = provision::apply(&self.client, plan, &mut told).await;
            outcome = json!({"totals": applied, "steps": told_steps});
            exit = ended(applied, steps);
        }
        let no_places: &[WebhookSetting] = &[];
        let missing = places.map_or(&[][..], |places| &places.missing);
        let not_listed: Vec<_> = missing
            .iter()
            .map(|(kind, error)| json!({"kind": kind, "error": error.to_string()}))
            .collect();
        output::json(&json!({
            "account": self.settings.account,
            "plan": plan,
            "senders": places.map_or(no_places, |places| &places.found),
            "not_listed": not_listed,
            "outcome": outcome,
        }))?;
        Ok(exit)
    }
}

/// A step and what came of it.
fn item_json(item: &Item, happened: &Happened) -> Value {
    let id = match happened {
        Happened::Done(Some(id)) => Some(id),
        _ => item.id.as_ref(),
    };
    let mut told = json!(item);
    if let Some(fields) = told.as_object_mut() {
        fields.insert("id".to_owned(), json!(id));
        fields.insert("result".to_owned(), json!(happened.word()));
        fields.insert("error".to_owned(), json!(happened.error().map(ToString::to_string)));
    }
    told
}

/// Says what is not done.
fn ended(applied: Applied, steps: usize) -> Exit {
    let Applied { done, refused, in_doubt, failed, left } = applied;
    if done == steps {
        return Exit::Ok;
    }
    let said: Vec<String> = [
        Some(format!("{done} of {steps} changes are done")),
        (refused > 0).then(|| format!("{refused} refused")),
        (failed > 0).then(|| format!("{failed} failed")),
        (in_doubt > 0).then(|| output::count(in_doubt, "is in doubt", "are in doubt")),
        (left > 0).then(|| format!("{left} not tried")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let said = said.join(", ");
    output::error(&format!("{said}. Run the same again: it looks at what is there, and goes on."));
    Exit::Failed
}

/// Says which ids cannot be meant; nothing has been changed yet.
fn wrong_ids(wrong: &[WrongId], places: &WebhookSettings) -> Exit {
    for WrongId { id, kind } in wrong {
        output::error(&match kind {
            Some(kind) => format!("{id} is a {}: that has no costs of calls", kind.label()),
            None => format!("no application and no connection has the id {id}"),
        });
    }
    let unknown = places.missing.iter().filter(|(kind, _)| kind.has_call_cost());
    let mut exit = Exit::Usage;
    for (kind, error) in unknown {
        output::error(&format!("{}s are not listed: {error}", kind.label()));
        exit = Exit::Failed;
    }
    output::error("nothing was changed");
    exit
}

fn progress(list: &'static str, page: &Page) {
    api::progress(list)(page);
}

/// Whether the next line says yes.
fn agreed(input: &mut impl BufRead) -> io::Result<bool> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_one() {
        for (typed, yes) in [
            ("y\n", true),
            ("YES\r\n", true),
            ("\n", false),
            ("", false),
            ("no\n", false),
            ("yeah\n", false),
        ] {
            assert_eq!(agreed(&mut typed.as_bytes()).unwrap(), yes, "{typed:?}");
        }
    }
}
