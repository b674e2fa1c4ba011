//! `tollbell check` and `tollbell schema`

use serde::Serialize;

use super::{ConfigArg, Exit, Format, excerpt, output};
use crate::api;
use crate::clock::Clock;
use crate::config::{self, Candidate};
use crate::diagnostic::{Diagnostic, Severity};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// How problems are printed
    #[arg(long, default_value = "text", value_enum)]
    format: Format,
    /// Fail on warnings, too (exit code 1)
    #[arg(long)]
    strict: bool,
    /// Secrets, keys and variables that are missing do not matter, as in CI; all else is checked
    #[arg(long, visible_alias = "syntax-only")]
    no_secrets: bool,
}

/// What `check --format json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    ok: bool,
    errors: usize,
    warnings: usize,
    problems: &'a [Diagnostic],
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let mut loaded = if args.no_secrets {
        Candidate::new(&args.config.config, &[]).load(&config::system_env)
    } else {
        config::load(&args.config.config, &config::system_env)
    };
    let expiring = loaded.config.as_ref().map(|it| it.server.expiring(Clock::system().now()));
    loaded.diagnostics.extend(expiring.unwrap_or_default());
    let count = |severity| loaded.diagnostics.iter().filter(|p| p.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let refused = args.strict && warnings > 0;
    let ok = loaded.config.is_some() && !refused;
    match args.format {
        Format::Json => {
            output::json(&Report { ok, errors, warnings, problems: &loaded.diagnostics })?;
        }
        Format::Text => {
            excerpt::problems(&loaded.diagnostics, &args.config.config.to_string_lossy());
            let file = args.config.config.display();
            let warned = output::count(warnings, "warning", "warnings");
            match &loaded.config {
                Some(_) if refused => output::line(&format!("{file}: {warned}")),
                Some(config) => output::line(&format!(
                    "{file}: ok: {}, {}, {}, {warned}",
                    output::count(config.accounts.len(), "account", "accounts"),
                    output::count(config.rules.names().count(), "rule", "rules"),
                    output::count(config.receivers.len(), "receiver", "receivers"),
                )),
                None => output::line(&format!(
                    "{file}: {}, {warned}",
                    output::count(errors, "error", "errors"),
                )),
            }
        }
    }
    Ok(match loaded.config {
        None => Exit::Usage,
        Some(_) if refused => Exit::Failed,
        Some(_) => Exit::Ok,
    })
}

/// Prints the JSON Schema, the reference, or the OpenAPI document.
pub(super) fn schema(markdown: bool, openapi: bool) -> anyhow::Result<Exit> {
    if openapi {
        output::line(api::openapi().trim_end());
    } else if markdown {
        output::line(config::reference().trim_end());
    } else {
        output::json(&config::schema())?;
    }
    Ok(Exit::Ok)
}
