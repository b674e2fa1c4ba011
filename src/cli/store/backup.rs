//! `tollbell store backup`

use std::path::PathBuf;

use super::super::output::{self, Moving};
use super::super::{ConfigArg, Exit};
use crate::store::{self, BackedUp, Place};

/// Bytes of a megabyte, as files are measured.
const MEGABYTE: u64 = 1_000_000;

/// Arguments of `store backup`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file to write, which must not be there
    file: PathBuf,
    #[command(flatten)]
    config: ConfigArg,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let Some(config) = args.config.without_secrets() else { return Ok(Exit::Usage) };
    let database = match &config.store.place {
        Place::Sqlite(database) => database,
        Place::Postgres(address) => {
            output::error(&format!(
                "the store is {address}: back it up with PostgreSQL's own tools, such as\n  \
                 pg_dump --format=custom --schema={} --file={} postgres://…",
                address.schema,
                args.file.display()
            ));
            return Ok(Exit::Usage);
        }
    };
    let mut moving = Moving::default();
    let shown = move |now: store::BackupProgress| {
        moving.show(&format!("{} of {} MB", now.bytes / MEGABYTE, now.of / MEGABYTE));
    };
    let BackedUp { bytes, events, newest } = store::back_up(database, &args.file, shown).await?;
    let newest = newest.map_or_else(String::new, |at| format!(", the newest received {at:.0}"));
    let file = args.file.display();
    output::line(&format!("{file}: {bytes} bytes, {events} events{newest}"));
    Ok(Exit::Ok)
}
