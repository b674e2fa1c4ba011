//! The engine's rows: bytes that the store does not look into.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use tokio_postgres::Row as Found;

use super::failure::Failure;
use super::link::Lent;
use super::sql::{params, text};
use super::values::column;
use super::{Postgres, alerts};
use crate::alerts::{Fingerprint, Group, Member};
use crate::store::operations;
use crate::store::values::rows;
use crate::store::{Row, Space, StoreError};

#[async_trait]
impl operations::Rows for Postgres {
    async fn rows(&self, space: Space, limit: usize) -> Result<Vec<Row>, StoreError> {
        let found = self.link.query(OF_SPACES, params![vec![space.as_str()], rows(limit)]).await?;
        Ok(read(&found)?)
    }

    async fn series(
        &self,
        rule: &str,
        fingerprints: &[Fingerprint],
        all_from: usize,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        // Keys of the series of one rule begin with its name and a line feed.
        let (first, end) = (format!("{rule}\n"), format!("{rule}\u{b}"));
        let tx = self.link.begin_reading().await?;
        let sql = "SELECT count(*) FROM (SELECT 1 FROM ~state WHERE space = 'series' AND key > $1 \
             AND key < $2 LIMIT $3) AS first";
        let row = tx.first(sql, params![text(&first), text(&end), rows(all_from)]).await?;
        let count = row.map_or(Ok(0), |row| column::<i64>(&row, 0)).map_err(Failure::unstorable)?;
        let found = if count >= rows(all_from) {
            let sql = "SELECT space, key, value FROM ~state WHERE space = 'series' AND key > $1 \
                 AND key < $2 ORDER BY key LIMIT $3";
            tx.query(sql, params![text(&first), text(&end), rows(limit)]).await?
        } else {
            let keys: Vec<String> = fingerprints
                .iter()
                .map(|fingerprint| text(&format!("{first}{fingerprint}")).into_owned())
                .collect();
            let sql =
                "SELECT space, key, value FROM ~state WHERE space = 'series' AND key = ANY ($1)";
            tx.query(sql, params![keys]).await?
        };
        tx.commit().await?;
        Ok(read(&found)?)
    }
}

/// Rows of some spaces, each in the order of its keys.
const OF_SPACES: &str = "SELECT space, key, value FROM ~state WHERE space = ANY ($1) \
     ORDER BY space, key LIMIT $2";

fn read(found: &[Found]) -> Result<Vec<Row>, Failure> {
    let one = |row: &Found| -> Result<_, String> {
        let word: &str = column(row, 0)?;
        let space = Space::ALL.into_iter().find(|space| space.as_str() == word);
        let space = space.ok_or_else(|| format!("unknown space {word}"))?;
        Ok(Row { space, key: column(row, 1)?, value: Some(column(row, 2)?) })
    };
    found.iter().map(|row| one(row).map_err(Failure::unstorable)).collect()
}

/// All rows of all spaces but some.
pub(super) async fn all_but(tx: &Lent<'_>, without: &[Space]) -> Result<Vec<Row>, Failure> {
    of_spaces(tx, Space::ALL.into_iter().filter(|space| !without.contains(space))).await
}

/// All rows of some spaces.
pub(super) async fn of_spaces(
    tx: &Lent<'_>,
    spaces: impl IntoIterator<Item = Space>,
) -> Result<Vec<Row>, Failure> {
    let spaces: Vec<&str> = spaces.into_iter().map(Space::as_str).collect();
    read(&tx.query(OF_SPACES, params![spaces, i64::MAX]).await?)
}

/// Inserts or replaces rows, and deletes those without a value; of several with one key, the last counts.
pub(super) async fn put(tx: &Lent<'_>, all: &[Row]) -> Result<(), Failure> {
    let last: BTreeMap<(&str, &str), Option<&[u8]>> = all
        .iter()
        .map(|row| ((row.space.as_str(), row.key.as_str()), row.value.as_deref()))
        .collect();
    let (mut spaces, mut keys, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let (mut gone_spaces, mut gone_keys) = (Vec::new(), Vec::new());
    for ((space, key), value) in last {
        if let Some(value) = value {
            spaces.push(space);
            keys.push(text(key));
            values.push(value);
        } else {
            gone_spaces.push(space);
            gone_keys.push(text(key));
        }
    }
    if !keys.is_empty() {
        tx.execute(
            "INSERT INTO ~state (space, key, value) SELECT * FROM unnest($1, $2, $3) \
             ON CONFLICT (space, key) DO UPDATE SET value = excluded.value",
            params![spaces, keys, values],
        )
        .await?;
    }
    if !gone_keys.is_empty() {
        tx.execute(
            "DELETE FROM ~state AS state USING unnest($1, $2) AS gone (space, key) \
             WHERE state.space = gone.space AND state.key = gone.key",
            params![gone_spaces, gone_keys],
        )
        .await?;
    }
    Ok(())
}

/// Groups with their members; those that ended with the alert as it ended. A row that cannot be read back counts as none.
pub(super) async fn groups(
    tx: &Lent<'_>,
    keys: &BTreeSet<String>,
) -> Result<BTreeMap<String, Group>, Failure> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    if keys.is_empty() {
        return Ok(groups);
    }
    let asked: Vec<_> = keys.iter().map(|key| text(key)).collect();
    let sql = "SELECT key, value FROM ~state WHERE space = 'group' AND key = ANY ($1)";
    for row in tx.query(sql, params![asked]).await? {
        let value: &[u8] = column(&row, 1).map_err(Failure::unstorable)?;
        if let Ok(group) = serde_json::from_slice(value) {
            groups.insert(column(&row, 0).map_err(Failure::unstorable)?, group);
        }
    }
    // The keys of the members follow the group's own, and a line feed.
    let sql = "SELECT asked.key, member.key, member.value FROM unnest($1) AS asked (key) \
         CROSS JOIN LATERAL (SELECT key, value FROM ~state WHERE space = 'member' \
           AND key > asked.key COLLATE \"C\" || E'\\n' AND key < asked.key COLLATE \"C\" || E'\\x0b') AS member \
         ORDER BY member.key";
    let mut members: Vec<(String, Fingerprint, Member)> = Vec::new();
    for row in tx.query(sql, params![asked]).await? {
        let (of, key): (&str, &str) = (
            column(&row, 0).map_err(Failure::unstorable)?,
            column(&row, 1).map_err(Failure::unstorable)?,
        );
        let fingerprint = key.get(of.len() + 1..).unwrap_or_default().to_owned();
        let value: &[u8] = column(&row, 2).map_err(Failure::unstorable)?;
        if let Ok(member) = serde_json::from_slice(value) {
            members.push((of.to_owned(), Fingerprint::from(fingerprint), member));
        }
    }
    let over: BTreeSet<Fingerprint> = members
        .iter()
        .filter(|(.., member)| member.over)
        .map(|(_, fingerprint, _)| fingerprint.clone())
        .collect();
    let ended = alerts::known(tx, &over).await?;
    for (of, fingerprint, mut member) in members {
        if member.over {
            member.ended = ended.get(&fingerprint).cloned().map(Arc::new);
        }
        if let Some(group) = groups.get_mut(&of) {
            group.members.insert(fingerprint, member);
        }
    }
    // By the keys that were asked for.
    Ok(keys
        .iter()
        .filter_map(|key| groups.remove(text(key).as_ref()).map(|group| (key.clone(), group)))
        .collect())
}
