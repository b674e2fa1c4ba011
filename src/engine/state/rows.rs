//! The state as the rows that the store keeps: read at the start, written when they change.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{State, Totals, Touched, compiled};
use crate::alerts::{Alert, Fingerprint, Group, Member};
use crate::engine::timers::{Due, SeriesKey};
use crate::rules::{Meter, Series, Spend};
use crate::store::{Resumed, Row, Space, member_key};

/// Row of the time up to which the engine was ready.
const READY: &str = "ready";
/// Row of what was in force when rows were last written.
const IN_FORCE: &str = "in_force";
/// Before the fingerprint in the key of a row that says when an alert was ended.
const ENDED: &str = "ended/";
/// Before the fingerprint in the key of a row that says of an alert that nobody is notified of it.
const UNNOTIFIED: &str = "unnotified/";

impl State {
    /// The state as it was kept, and what could not be read back: one line each.
    pub fn resume(resumed: Resumed) -> (Self, Vec<String>) {
        let silences = Arc::new(compiled(resumed.silences));
        let mut state = Self { cursor: resumed.cursor, silences, ..Self::default() };
        let mut broken = Vec::new();
        let mut texts = Texts::default();
        let (mut metered, mut spent) = (Vec::new(), Vec::new());
        for alert in resumed.alerts {
            state.put_alert(alert);
        }
        let mut ended: HashMap<Fingerprint, Arc<Alert>> = HashMap::new();
        for alert in resumed.ended {
            ended.insert(alert.fingerprint.clone(), Arc::new(alert));
        }
        let mut members = Vec::new();
        for row in resumed.rows {
            let taken = match row.space {
                Space::Member => read(&row).map(|one| members.push((row.key.clone(), one))),
                Space::Metric => read(&row).map(|one| metered.push(one)),
                Space::Spend => read(&row).map(|one| spent.push(one)),
                Space::Series | Space::Group | Space::Usual | Space::Seen | Space::Engine => {
                    state.take(&row, &mut texts)
                }
            };
            if let Err(error) = taken {
                broken.push(format!("{} row {:?}: {error}", row.space.as_str(), row.key));
            }
        }
        for (group, target, entry) in resumed.log {
            state.log.entry(group).or_default().insert(target, entry);
        }
        for (group, target, id) in resumed.open {
            // The first is the one that counts: open, or the last that ended and is to be noted.
            state.open.entry(group).or_default().entry(target).or_insert(id);
        }
        for (key, member) in members {
            state.resume_member(&key, member, &ended);
        }
        state.meter = Meter::resume(metered);
        state.spent = Spend::resume(spent);
        state.touched.clear();
        state.timers.take_moved();
        (state, broken)
    }

    /// Takes series that were not among what was resumed; says what could not be read back.
    pub fn take_rows(&mut self, rows: &[Row]) -> Vec<String> {
        let mut texts = Texts::default();
        let said = |row: &Row, error| format!("{} row {:?}: {error}", row.space.as_str(), row.key);
        let broken = rows
            .iter()
            .filter_map(|row| self.take(row, &mut texts).err().map(|error| said(row, error)));
        broken.collect()
    }

    fn resume_member(
        &mut self,
        key: &str,
        mut member: Member,
        ended: &HashMap<Fingerprint, Arc<Alert>>,
    ) {
        let Some((group, fingerprint)) = key.rsplit_once('\n') else { return };
        let fingerprint = Fingerprint::from(fingerprint.to_owned());
        if member.over {
            member.ended = ended.get(&fingerprint).cloned();
        }
        self.index_quiet(group, member.suppressed.as_ref());
        if let Some(group) = self.groups.get_mut(group) {
            group.members.insert(fingerprint, member);
        }
    }

    fn take(&mut self, row: &Row, texts: &mut Texts) -> Result<(), serde_json::Error> {
        match row.space {
            Space::Series => {
                let mut series: Series = read(row)?;
                series.rule = texts.shared(&series.rule);
                series.digest = texts.shared(&series.digest);
                let key = (Arc::clone(&series.rule), Fingerprint::of(&series.labels.unpack()));
                self.put_series(key, Some(series));
            }
            Space::Group => {
                let group: Group = read(row)?;
                self.timers.set(Due::Group(group.key.clone()), group.look_at);
                self.put_group(group);
            }
            Space::Engine if row.key == IN_FORCE => self.in_force = read(row)?,
            Space::Engine if row.key == READY => self.ready_until = Some(read(row)?),
            Space::Engine if let Some(digits) = row.key.strip_prefix(ENDED) => {
                self.ended.insert(Fingerprint::from(digits.to_owned()), read(row)?);
            }
            Space::Engine if let Some(digits) = row.key.strip_prefix(UNNOTIFIED) => {
                self.unnotified.insert(Fingerprint::from(digits.to_owned()));
            }
            Space::Usual | Space::Seen | Space::Engine => {
                self.pasts.take(row)?;
            }
            Space::Member | Space::Metric | Space::Spend => {}
        }
        Ok(())
    }

    /// The rows that changed, as they are now, and the totals among them.
    pub(in crate::engine) fn changed_rows(&mut self) -> (Vec<Row>, Totals) {
        self.keep_deadlines();
        let rows = std::mem::take(&mut self.touched).into_iter().map(|touched| match touched {
            Touched::Series(key) => Row {
                space: Space::Series,
                value: self.series.get(&key).map(json),
                key: series_row(&key),
            },
            Touched::Group(key) => {
                Row { space: Space::Group, value: self.groups.get(&key).map(json), key }
            }
            Touched::Member(key, fingerprint) => {
                let member =
                    self.groups.get(&key).and_then(|group| group.members.get(&fingerprint));
                let (key, value) = (member_key(&key, &fingerprint), member.map(json));
                Row { space: Space::Member, key, value }
            }
            Touched::Metric(key) => {
                Row { space: Space::Metric, value: self.totals.metered.get(&key).map(json), key }
            }
            Touched::Spend(key) => {
                Row { space: Space::Spend, value: self.totals.spent.get(&key).map(json), key }
            }
            Touched::Ended(fingerprint) => Row {
                space: Space::Engine,
                key: format!("{ENDED}{fingerprint}"),
                value: self.ended.get(&fingerprint).map(json),
            },
            Touched::Unnotified(fingerprint) => Row {
                space: Space::Engine,
                key: format!("{UNNOTIFIED}{fingerprint}"),
                value: self.unnotified.contains(&fingerprint).then(|| json(&true)),
            },
            Touched::InForce => Row {
                space: Space::Engine,
                key: IN_FORCE.to_owned(),
                value: Some(json(&self.in_force)),
            },
            Touched::Ready => Row {
                space: Space::Engine,
                key: READY.to_owned(),
                value: self.ready_until.as_ref().map(json),
            },
        });
        let mut rows: Vec<Row> = rows.collect();
        rows.extend(self.pasts.changed_rows());
        (rows, std::mem::take(&mut self.totals))
    }
}

/// Texts that many series share, each once: names of rules and their digests.
#[derive(Debug, Default)]
struct Texts(BTreeSet<Arc<str>>);

impl Texts {
    fn shared(&mut self, text: &Arc<str>) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        self.0.insert(Arc::clone(text));
        Arc::clone(text)
    }
}

fn series_row((rule, fingerprint): &SeriesKey) -> String {
    format!("{rule}\n{fingerprint}")
}

fn read<T: DeserializeOwned>(row: &Row) -> Result<T, serde_json::Error> {
    serde_json::from_slice(row.value.as_deref().unwrap_or_default())
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    // Plain data with text keys: there is nothing that cannot be written.
    serde_json::to_vec(value).unwrap_or_default()
}
