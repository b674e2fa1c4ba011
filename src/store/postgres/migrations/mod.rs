//! Brings a database up to date: embedded, append-only, checked by name and checksum at each start.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::failure::Failure;
use super::link::{Lent, Link};
use super::sql::params;
use super::values::column;

/// Every migration in order; a released one never changes.
const MIGRATIONS: [(&str, &str); 3] = [
    ("0001_begin", include_str!("0001_begin.sql")),
    ("0002_audit", include_str!("0002_audit.sql")),
    ("0003_receiver_pauses", include_str!("0003_receiver_pauses.sql")),
];

/// Held by whoever migrates, until its transaction ends.
const LOCK: [u8; 4] = *b"migr";

/// How long a migration may take, with the wait for another's.
const MIGRATING_MAX: Duration = Duration::from_mins(30);

/// Why a database cannot be used by this binary.
#[derive(Debug)]
pub(super) enum Mismatch {
    Newer {
        found: u32,
        known: u32,
    },
    Older {
        found: u32,
        known: u32,
    },
    Changed(String),
    /// The schema holds tables that are not ours.
    Foreign,
    /// A copy into it was begun and not ended.
    Unfinished,
    /// What was acknowledged would not survive.
    Unsafe(&'static str),
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Mismatch {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Brings it up to date, and refuses a database that a copy goes into.
pub(super) async fn migrate(link: &Link, schema: &str) -> Result<(), Mismatch> {
    bring_up(link, schema).await?;
    require_finished(link).await
}

/// Applies what is missing, all of it in one transaction: of replicas that start together one migrates, and the others
/// wait. The lock ends with the transaction, so it works behind a pooler too.
pub(super) async fn bring_up(link: &Link, schema: &str) -> Result<(), Mismatch> {
    let mut tx = link.begin().await?;
    // Another may take its time to migrate.
    tx.is_given(MIGRATING_MAX);
    tx.batch("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0").await?;
    tx.lock(LOCK).await?;
    require_safe(&tx).await?;
    let found = verify(&tx, schema).await?;
    if found == known() {
        tx.commit().await?;
        return Ok(());
    }
    if found == 0 {
        // Asked for only when it is missing: to make one is a right of its own.
        let made = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1";
        if tx.first(made, params![schema]).await?.is_none() {
            tx.batch(&format!("CREATE SCHEMA \"{schema}\"")).await?;
        }
        tx.batch(
            "CREATE TABLE ~migrations (version integer PRIMARY KEY, name text NOT NULL, sha256 bytea NOT NULL)",
        )
        .await?;
    }
    for (version, (name, sql)) in (1_i32..).zip(MIGRATIONS).skip(found as usize) {
        tx.batch(sql).await?;
        tx.execute(
            "INSERT INTO ~migrations (version, name, sha256) VALUES ($1, $2, $3)",
            params![version, name, checksum(sql)],
        )
        .await?;
    }
    Ok(tx.commit().await?)
}

/// Refuses a database that is not exactly at this binary's version, or that a copy goes into.
pub(super) async fn require_current(link: &Link, schema: &str) -> Result<(), Mismatch> {
    require_version(link, schema).await?;
    require_finished(link).await
}

async fn require_finished(link: &Link) -> Result<(), Mismatch> {
    let tx = link.begin_reading().await?;
    let unfinished = is_unfinished(&tx).await?;
    tx.commit().await?;
    if unfinished { Err(Mismatch::Unfinished) } else { Ok(()) }
}

/// Whether a copy into it was begun and not ended.
pub(super) async fn is_unfinished(tx: &Lent<'_>) -> Result<bool, Failure> {
    let schema = tx.link().schema.replace(['"', '.'], "");
    let sql = "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = $1 AND tablename = 'copying'";
    Ok(tx.first(sql, params![schema]).await?.is_some())
}

/// Refuses a database that is not exactly at this binary's version.
pub(super) async fn require_version(link: &Link, schema: &str) -> Result<(), Mismatch> {
    let tx = link.begin_reading().await?;
    let (found, known) = (verify(&tx, schema).await?, known());
    tx.commit().await?;
    if found < known { Err(Mismatch::Older { found, known }) } else { Ok(()) }
}

/// Refuses a server that would lose what it has committed.
async fn require_safe(tx: &Lent<'_>) -> Result<(), Mismatch> {
    let sql = "SELECT current_setting('fsync'), current_setting('full_page_writes')";
    let Some(row) = tx.first(sql, params![]).await? else { return Ok(()) };
    let setting = |index| column::<String>(&row, index).map_err(Failure::unstorable);
    if setting(0)? != "on" {
        return Err(Mismatch::Unsafe(
            "fsync is off: a crash of the machine would lose what was acknowledged",
        ));
    }
    if setting(1)? != "on" {
        tracing::warn!("full_page_writes is off: safe only on storage that writes whole pages");
    }
    Ok(())
}

/// The database's version, once everything applied to it is what we hold; 0 when there is no schema, or an empty one.
async fn verify(tx: &Lent<'_>, schema: &str) -> Result<u32, Mismatch> {
    let sql = "SELECT count(*), count(*) FILTER (WHERE tablename = 'migrations') \
         FROM pg_catalog.pg_tables WHERE schemaname = $1";
    let row = tx.first(sql, params![schema]).await?.ok_or(Mismatch::Foreign)?;
    let counted = |index| column::<i64>(&row, index).map_err(Failure::unstorable);
    match (counted(0)?, counted(1)?) {
        (0, _) => return Ok(0),
        (_, 0) => return Err(Mismatch::Foreign),
        _ => {}
    }
    let applied = tx
        .query("SELECT version, name, sha256 FROM ~migrations ORDER BY version", params![])
        .await
        .map_err(|_other_columns| Mismatch::Foreign)?;
    let found = u32::try_from(applied.len()).unwrap_or(u32::MAX);
    if found > known() {
        return Err(Mismatch::Newer { found, known: known() });
    }
    for (row, (name, sql)) in applied.iter().zip(MIGRATIONS) {
        let was = column::<&str>(row, 1).map_err(Failure::unstorable)?;
        let sum = column::<&[u8]>(row, 2).map_err(Failure::unstorable)?;
        if was != name || sum != checksum(sql) {
            return Err(Mismatch::Changed(name.to_owned()));
        }
    }
    Ok(found)
}

fn known() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

fn checksum(sql: &str) -> Vec<u8> {
    Sha256::digest(sql.as_bytes()).to_vec()
}
