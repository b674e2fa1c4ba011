//! The part of migration 4 that SQL cannot do: the notification log, from the messages that were delivered.
//!
//! What a group noted before was what it had *queued*. From the last delivered message of each target comes what that
//! target knows; what waits is owed and composed anew.

mod before;
mod filling;

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};
use sha2::{Digest as _, Sha256};

use self::before::{OldGroup, groups, lanes, left_open, targets};
use self::filling::Filling;
use crate::alerts::Message;
use crate::store::sqlite::failure::Failure;

/// Fills the notification log and brings groups and open deliveries into the new shape.
pub(super) fn fill(tx: &Connection) -> Result<(), Failure> {
    let mut groups = groups(tx)?;
    for key in left_open(tx)? {
        groups.entry(key).or_insert_with_key(|key| OldGroup {
            key: key.clone(),
            route: key.rsplit_once('/').map_or("", |(route, _)| route).to_owned(),
            labels: BTreeMap::new(),
            born_at: Timestamp::UNIX_EPOCH,
            flushes: 0,
            members: BTreeMap::new(),
            told: BTreeMap::new(),
        });
    }
    let targets = targets(tx)?;
    for group in groups.into_values() {
        let lanes = lanes(tx, &group.key)?;
        Filling::new(tx, group, lanes).fill(&targets)?;
    }
    tx.execute("UPDATE deliveries SET noted = 1 WHERE noted = 2", ())?;
    digest_open(tx)
}

/// What was never sent is composed from nothing. What an open delivery said in its last attempt gets the digest by which a repeat is known: the same content goes out
/// under the same key.
fn digest_open(tx: &Connection) -> Result<(), Failure> {
    tx.execute(
        "UPDATE deliveries SET content = NULL WHERE finished_at IS NULL AND attempts = 0",
        (),
    )?;
    let mut statement = tx.prepare(
        "SELECT deliveries.n, contents.n, message FROM deliveries JOIN contents ON contents.n = content \
         WHERE finished_at IS NULL",
    )?;
    let open: Vec<(i64, i64, Vec<u8>)> = statement
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (delivery, content, message) in open {
        let Ok(read) = serde_json::from_slice::<Message>(&message) else { continue };
        let Ok(bytes) = serde_json::to_vec(&read) else { continue };
        let digest = Sha256::digest(bytes).to_vec();
        let same: Option<i64> = tx
            .prepare_cached("SELECT n FROM contents WHERE digest = ?1")?
            .query_row([&digest], |row| row.get(0))
            .optional()?;
        match same {
            Some(same) => tx
                .prepare_cached("UPDATE deliveries SET content = ?2 WHERE n = ?1")?
                .execute((delivery, same))?,
            None => tx
                .prepare_cached("UPDATE contents SET digest = ?2 WHERE n = ?1")?
                .execute((content, digest))?,
        };
    }
    Ok(())
}
