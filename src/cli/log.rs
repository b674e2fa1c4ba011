//! Logs: one line for each event's fate, text or JSON, to standard error.

use anyhow::Context as _;
use clap::ValueEnum;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt, registry};

use super::repeats::Repeats;

/// Said before the user's own filter, which can take it back. The HTTP library tells as errors what any stranger's bytes
/// can cause, and each of its threads; what became of a request is logged by `intake`.
const LIBRARIES: &str = "actix_http=off,actix_server=warn";

/// How log lines look.
#[derive(Debug, clap::Args)]
pub(super) struct LogArgs {
    /// How log lines look
    #[arg(long, env = "TOLLBELL_LOG_FORMAT", default_value = "text", value_enum)]
    log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or a filter such as `info,tollbell::dispatch=debug`
    #[arg(long, env = "TOLLBELL_LOG", default_value = "info", value_name = "FILTER")]
    log_level: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl LogArgs {
    /// Whether lines are JSON.
    pub(super) fn is_json(&self) -> bool {
        self.log_format == LogFormat::Json
    }

    /// For commands whose output is the point: only errors, unless the user asked for more.
    pub(super) fn quiet_unless_asked(&mut self) {
        if self.log_level == "info" {
            "error".clone_into(&mut self.log_level);
        }
    }
}

/// Begins logging; called once.
pub(super) fn start(args: &LogArgs) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(format!("{LIBRARIES},{}", args.log_level))
        .with_context(|| format!("--log-level {} is no filter", args.log_level))?;
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(true);
    let lines = match args.log_format {
        LogFormat::Text => {
            lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).boxed()
        }
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    registry().with(lines.with_filter(Repeats::default())).with(filter).init();
    Ok(())
}
