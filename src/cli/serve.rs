//! `tollbell serve`

use std::io;
use std::net::{SocketAddr, TcpListener};

use anyhow::Context as _;
use tokio::net::TcpSocket;
use tokio::signal::unix::{SignalKind, signal};

use super::log::{self, LogArgs};
use super::{ConfigArg, Exit, output, runtime};
use crate::app::{App, Listeners, Source};
use crate::clock::Clock;
use crate::config::{self, Config};

/// Connections that the kernel keeps until they are accepted; it has a bound of its own, often 4,096.
const BACKLOG: u32 = 4096;

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Do not load the configuration again when its files change; SIGHUP and POST /-/reload still do
    #[arg(long)]
    no_watch: bool,
    /// The database was restored from a backup: what happened before this start is judged and booked, and begins no
    /// notification
    #[arg(long)]
    restored: bool,
    #[command(flatten)]
    log: LogArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let loaded = config::load(&args.config.config, &config::system_env);
    let Some(mut config) = loaded.config else {
        output::problems(&loaded);
        return Ok(Exit::Usage);
    };
    config.store.restored = args.restored;
    log::start(&args.log)?;
    for warning in &loaded.diagnostics {
        tracing::warn!("{warning}");
    }
    let path = args.config.config.clone();
    let source = Source {
        load: Box::new(move || config::load(&path, &config::system_env)),
        first: loaded.sources,
        watch: !args.no_watch,
    };
    match runtime()?.block_on(serve(config, source)) {
        // Whoever reads the log as JSON gets nothing but JSON.
        Err(error) if args.log.is_json() => {
            tracing::error!("{error:#}");
            Ok(Exit::Failed)
        }
        ended => ended,
    }
}

/// A listener whose kernel queue outlasts a burst of connections.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As the standard library does: a restart need not wait for old connections.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

async fn serve(config: Config, source: Source) -> anyhow::Result<Exit> {
    // Before anything starts, so that no signal is missed.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let bind = |address| listen(address).with_context(|| format!("cannot listen on {address}"));
    let listeners = Listeners {
        public: bind(config.server.listen)?,
        private: bind(config.server.private_listen)?,
    };
    let app = App::start(config, listeners, Clock::system(), Some(source)).await?;
    let asked = loop {
        tokio::select! {
            _ = terminate.recv() => break true,
            _ = interrupt.recv() => break true,
            _ = hangup.recv() => app.reload_soon(),
            () = app.failed() => break false,
        }
    };
    let clean = app.shutdown().await;
    Ok(if asked && clean { Exit::Ok } else { Exit::Failed })
}
