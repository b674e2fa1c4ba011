//! `tollbell serve`

use std::net::TcpListener;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::log::{self, LogArgs};
use super::{ConfigArg, Exit, output, runtime};
use crate::app::{App, Listeners};
use crate::clock::Clock;
use crate::config::{self, Config};

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    log: LogArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let loaded = config::load(&args.config.config, &config::system_env);
    let Some(config) = loaded.config else {
        output::problems(&loaded);
        return Ok(Exit::Usage);
    };
    log::start(&args.log)?;
    for warning in &loaded.problems {
        tracing::warn!("{warning}");
    }
    match runtime()?.block_on(serve(config)) {
        // Whoever reads the log as JSON gets nothing but JSON.
        Err(error) if args.log.is_json() => {
            tracing::error!("{error:#}");
            Ok(Exit::Failed)
        }
        ended => ended,
    }
}

async fn serve(config: Config) -> anyhow::Result<Exit> {
    // Before anything starts, so that no signal is missed.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let bind =
        |address| TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"));
    let listeners = Listeners {
        public: bind(config.server.listen)?,
        private: bind(config.server.private_listen)?,
    };
    let app = App::start(config, listeners, Clock::system()).await?;
    let asked = tokio::select! {
        _ = terminate.recv() => true,
        _ = interrupt.recv() => true,
        () = app.failed() => false,
    };
    let clean = app.shutdown().await;
    Ok(if asked && clean { Exit::Ok } else { Exit::Failed })
}
