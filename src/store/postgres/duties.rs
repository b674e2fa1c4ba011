//! Who does what only one replica does at a time.
//!
//! Each such duty is a row with a holder, an epoch and an end by the database's clock. The holder renews it each second. When
//! the end has passed, another takes it and raises the epoch; each transaction of a holder names its epoch and holds the row
//! against a change of hands until it ends. So a holder that stood still or was cut off, and returns, commits nothing. This
//! needs neither a session nor a notification, and works behind a pooler.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_postgres::Row;

use super::failure::Failure;
use super::link::{Lent, Link};
use super::release;
use super::sql::{params, text};
use super::values::column;
use crate::store::{Offer, Replica, Role, Signals, StoreError};

/// How often duties are renewed, and looked for.
const RENEWAL: Duration = Duration::from_secs(1);
/// How long a duty is held without renewal, by the database's clock; a replica that was not seen for so long is gone.
const HELD_FOR: Duration = Duration::from_secs(4);
/// How long taking over may wait for a transaction of the holder before.
const TAKING_MAX: Duration = Duration::from_secs(1);
/// Replicas that are told of.
const REPLICAS_MAX: i64 = 100;

/// What this replica does, and what it knows of the others.
#[derive(Debug)]
pub(super) struct Duties {
    id: String,
    state: Mutex<State>,
    /// Counts changes.
    pub(super) changed: watch::Sender<u64>,
    /// What is offered has changed.
    pub(super) offered: Notify,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) offer: Offer,
    /// Each duty with its epoch.
    held: BTreeMap<Role, i64>,
    /// Until when they are held for certain.
    until: Option<Instant>,
    /// Free duties that were left to others at the last look.
    left: BTreeSet<Role>,
    pub(super) replicas: Vec<Replica>,
}

/// A duty as the database has it.
struct Lease {
    role: String,
    is_free: bool,
    holder: String,
}

/// What a renewal has found.
struct Seen {
    held: BTreeMap<Role, i64>,
    leases: Vec<Lease>,
    replicas: Vec<Replica>,
}

impl Seen {
    /// The rows that were renewed, all duties, and all replicas; the error is one line for people.
    fn read(id: &str, renewed: &[Row], leases: &[Row], replicas: &[Row]) -> Result<Self, String> {
        let mut held = BTreeMap::new();
        for row in renewed {
            held.insert(Role::of_key(column(row, 0)?), column(row, 1)?);
        }
        let lease = |row| -> Result<_, String> {
            Ok(Lease { role: column(row, 0)?, is_free: column(row, 1)?, holder: column(row, 2)? })
        };
        let leases = leases.iter().map(lease).collect::<Result<Vec<_>, _>>()?;
        let judge = leases.iter().find(|lease| lease.role == Role::Judge.key() && !lease.is_free);
        let judge = judge.map(|lease| lease.holder.clone());
        let replica = |row| -> Result<_, String> {
            let found: String = column(row, 0)?;
            Ok(Replica {
                is_self: found == id,
                is_judge: judge.as_ref() == Some(&found),
                id: found,
                name: column(row, 1)?,
                config: column(row, 2)?,
                version: column(row, 3)?,
            })
        };
        let replicas = replicas.iter().map(replica).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { held, leases, replicas })
    }
}

impl Duties {
    /// Holds nothing yet.
    pub(super) fn new() -> Self {
        Self {
            id: uuid::Uuid::new_v4().to_string(),
            state: Mutex::default(),
            changed: watch::Sender::default(),
            offered: Notify::new(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this transaction may do what the duty allows, by what was read under this epoch; `None` where nothing was read
    /// before. Until it ends the duty cannot change hands.
    pub(super) async fn hold(
        &self,
        tx: &Lent<'_>,
        role: &Role,
        read_under: Option<i64>,
    ) -> Result<bool, Failure> {
        let held = self.state().held.get(role).copied();
        let is_current = |held: &i64| read_under.is_none_or(|epoch| epoch == *held);
        let Some(epoch) = held.filter(is_current) else { return Ok(false) };
        let sql = "SELECT 1 FROM ~leases WHERE role = $1 AND epoch = $2 FOR KEY SHARE";
        let is_ours = tx.first(sql, params![text(&role.key()), epoch]).await?.is_some();
        if !is_ours {
            tracing::warn!(role = role.key(), "another replica has taken over a duty");
            self.state().held.remove(role);
            self.changed.send_modify(|count| *count += 1);
        }
        Ok(is_ours)
    }

    /// The integrations that this replica sends for.
    pub(super) fn integrations(&self) -> Vec<String> {
        let sends = |role: &Role| match role {
            Role::Send(integration) => Some(integration.clone()),
            Role::Judge => None,
        };
        self.state().held.keys().filter_map(sends).collect()
    }

    pub(super) fn epoch(&self, role: &Role) -> Option<i64> {
        let state = self.state();
        let is_certain = state.until.is_some_and(|until| Instant::now() < until);
        state.held.get(role).copied().filter(|_| is_certain)
    }

    /// Renews and takes over until told to stop; then gives everything back.
    pub(super) async fn keep(
        self: Arc<Self>,
        link: Arc<Link>,
        signals: Arc<Signals>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut is_failing = false;
        while !*stop.borrow_and_update() {
            match self.turn(&link, &signals).await {
                Ok(()) => is_failing = false,
                Err(failure) => {
                    // Whoever waits for a duty to end looks again.
                    self.changed.send_modify(|count| *count += 1);
                    if !std::mem::replace(&mut is_failing, true) {
                        let error = StoreError::from(failure);
                        tracing::warn!(%error, "duties cannot be renewed: another replica may take over");
                    }
                }
            }
            // Who waits to judge looks more often than who does renews: so a takeover takes no longer than 5 seconds.
            let pause = if self.epoch(&Role::Judge).is_some() { RENEWAL } else { RENEWAL / 2 };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.offered.notified() => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// Renews what is held, then takes what is free.
    pub(super) async fn turn(&self, link: &Link, signals: &Signals) -> Result<(), Failure> {
        let begun = Instant::now();
        let leases = self.renew(link, begun).await?;
        let (free, yielded) = self.wanted(&leases);
        let mut taken = false;
        for role in free {
            match self.take(link, &role).await {
                Ok(done) => taken |= done,
                // Another duty may be free all the same.
                Err(failure) => {
                    let error = StoreError::from(failure);
                    tracing::debug!(%error, role = role.key(), "a duty cannot be taken yet");
                }
            }
        }
        if let Some(role) = yielded {
            taken |= self.give_up(link, &role).await?;
        }
        if taken {
            self.changed.send_modify(|count| *count += 1);
            signals.queued.send_modify(|count| *count += 1);
            signals.recorded.send_modify(|count| *count += 1);
        }
        Ok(())
    }

    async fn renew(&self, link: &Link, begun: Instant) -> Result<Vec<Lease>, Failure> {
        let offer = self.state().offer.clone();
        let tx = link.begin().await?;
        tx.execute(
            "INSERT INTO ~replicas (id, name, config, version, seen_at) \
             VALUES ($1, $2, $3, $4, clock_timestamp()) ON CONFLICT (id) DO UPDATE SET \
             config = excluded.config, seen_at = excluded.seen_at",
            params![self.id, text(&offer.name), text(&offer.config), env!("CARGO_PKG_VERSION")],
        )
        .await?;
        let sql = format!(
            "UPDATE ~leases SET expires_at = clock_timestamp() + interval '{} ms' \
             WHERE holder = $1 AND expires_at > clock_timestamp() RETURNING role, epoch",
            HELD_FOR.as_millis()
        );
        let renewed = tx.query(&sql, params![self.id]).await?;
        let sql = "SELECT role, expires_at <= clock_timestamp(), holder FROM ~leases";
        let leases = tx.query(sql, params![]).await?;
        let sql = format!(
            "SELECT id, name, config, version FROM ~replicas \
             WHERE seen_at > clock_timestamp() - interval '{} ms' ORDER BY name, id LIMIT $1",
            HELD_FOR.as_millis()
        );
        let replicas = tx.query(&sql, params![REPLICAS_MAX]).await?;
        let sql = "DELETE FROM ~replicas WHERE seen_at < clock_timestamp() - interval '1 day'";
        tx.execute(sql, params![]).await?;
        tx.commit().await?;
        let seen =
            Seen::read(&self.id, &renewed, &leases, &replicas).map_err(Failure::unstorable)?;
        let mut state = self.state();
        let lost = state.held.keys().any(|role| !seen.held.contains_key(role));
        if lost {
            tracing::warn!("duties were lost: another replica may have taken over");
        }
        state.held = seen.held;
        // By our clock it ends before it ends by the database's.
        state.until = Some(begun + HELD_FOR);
        state.replicas = seen.replicas;
        drop(state);
        if lost {
            self.changed.send_modify(|count| *count += 1);
        }
        Ok(seen.leases)
    }

    /// Which free duties are to be taken, and which one is to be left to others. Integrations are shared evenly; what nobody
    /// has taken until the next look is taken beyond that.
    fn wanted(&self, leases: &[Lease]) -> (Vec<Role>, Option<Role>) {
        let mut state = self.state();
        let is_free = |role: &Role| {
            let key = role.key();
            leases.iter().find(|lease| lease.role == key).is_none_or(|lease| lease.is_free)
        };
        let lanes: Vec<Role> = state.offer.integrations.iter().cloned().map(Role::Send).collect();
        let share = lanes.len().div_ceil(state.replicas.len().max(1));
        let mut mine = lanes.iter().filter(|role| state.held.contains_key(role)).count();
        let yielded =
            lanes.iter().find(|role| mine > share && state.held.contains_key(role)).cloned();
        let (mut free, mut left) = (Vec::new(), BTreeSet::new());
        if state.offer.judges && !state.held.contains_key(&Role::Judge) && is_free(&Role::Judge) {
            free.push(Role::Judge);
        }
        for role in lanes {
            if state.held.contains_key(&role) || !is_free(&role) {
                continue;
            }
            if mine < share || state.left.contains(&role) {
                mine += 1;
                free.push(role);
            } else {
                left.insert(role);
            }
        }
        state.left = left;
        (free, yielded)
    }

    /// Takes a duty, if it is still free; false when it is not.
    async fn take(&self, link: &Link, role: &Role) -> Result<bool, Failure> {
        let key = role.key();
        let tx = link.begin().await?;
        tx.batch(&format!("SET LOCAL lock_timeout = {}", TAKING_MAX.as_millis())).await?;
        tx.execute(
            "INSERT INTO ~leases (role, epoch, holder, expires_at) \
             VALUES ($1, 0, '', '-infinity') ON CONFLICT (role) DO NOTHING",
            params![text(&key)],
        )
        .await?;
        let sql = "SELECT holder FROM ~leases WHERE role = $1 AND expires_at <= clock_timestamp() \
             FOR UPDATE";
        let Some(row) = tx.first(sql, params![text(&key)]).await? else {
            tx.commit().await?;
            return Ok(false);
        };
        let before: String = column(&row, 0).map_err(Failure::unstorable)?;
        let sql = format!(
            "UPDATE ~leases SET epoch = epoch + 1, holder = $2, \
             expires_at = clock_timestamp() + interval '{} ms' WHERE role = $1 RETURNING epoch",
            HELD_FOR.as_millis()
        );
        let Some(row) = tx.first(&sql, params![text(&key), self.id]).await? else {
            return Ok(false);
        };
        let epoch: i64 = column(&row, 0).map_err(Failure::unstorable)?;
        let mut resent = Vec::new();
        // What this process itself is sending goes on, though it could not renew for a while.
        let is_orphaned = !before.is_empty() && before != self.id;
        if let Role::Send(integration) = role
            && is_orphaned
        {
            resent = release::release_of(&tx, std::slice::from_ref(integration)).await?;
        }
        tx.commit().await?;
        for one in resent {
            tracing::warn!(
                integration = one.integration,
                count = one.count,
                "sends that were cut off will be repeated with the same key"
            );
        }
        if is_orphaned {
            let said = "this replica has taken over a duty from one that is gone";
            tracing::warn!(role = key, epoch, "{said}");
        } else {
            tracing::info!(role = key, epoch, "this replica has taken a duty");
        }
        self.state().held.insert(role.clone(), epoch);
        Ok(true)
    }

    /// Leaves an integration to another replica, unless something is being sent there.
    async fn give_up(&self, link: &Link, role: &Role) -> Result<bool, Failure> {
        let Role::Send(integration) = role else { return Ok(false) };
        let Some(epoch) = self.state().held.get(role).copied() else { return Ok(false) };
        let key = role.key();
        let tx = link.begin().await?;
        // Waits for claims, and keeps further ones out.
        let sql = "SELECT 1 FROM ~leases WHERE role = $1 AND epoch = $2 FOR UPDATE";
        let is_ours = tx.first(sql, params![text(&key), epoch]).await?.is_some();
        let sql = "SELECT 1 FROM ~deliveries WHERE integration = $1 AND finished_at IS NULL \
             AND state = 'sending' LIMIT 1";
        let is_busy = tx.first(sql, params![text(integration)]).await?.is_some();
        if is_ours && !is_busy {
            let sql = "UPDATE ~leases SET epoch = epoch + 1, holder = '', \
                 expires_at = clock_timestamp() WHERE role = $1";
            tx.execute(sql, params![text(&key)]).await?;
        }
        tx.commit().await?;
        if is_ours && !is_busy {
            self.state().held.remove(role);
            tracing::info!(role = key, "an integration is left to another replica");
        }
        Ok(is_ours && !is_busy)
    }

    /// Gives everything back, so that others need not wait for its end.
    pub(super) async fn give_back(&self, link: &Link) -> Result<(), Failure> {
        self.state().held.clear();
        let tx = link.begin().await?;
        tx.execute(
            "UPDATE ~leases SET epoch = epoch + 1, holder = '', expires_at = clock_timestamp() \
             WHERE holder = $1",
            params![self.id],
        )
        .await?;
        tx.execute("DELETE FROM ~replicas WHERE id = $1", params![self.id]).await?;
        tx.commit().await
    }
}
