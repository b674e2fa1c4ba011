//! When groups are looked at, and what brings a look.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{InForce, State, Touched};
use crate::alerts::{Fingerprint, Suppression};
use crate::engine::timers::Due;

impl State {
    /// Notes what is in force now; whether something else was when rows were last written.
    pub(in crate::engine) fn note_in_force(&mut self, config_hash: &str) -> bool {
        let now = InForce {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config: config_hash.to_owned(),
            silences: self.silences.version(),
        };
        let is_other = self.in_force != now;
        if is_other {
            self.in_force = now;
            self.touched.insert(Touched::InForce);
        }
        is_other
    }

    /// Looks at a group at this time, or earlier where that is planned.
    pub(in crate::engine) fn look_soon(&mut self, key: &str, at: Timestamp) {
        if self.groups.contains_key(key) {
            self.timers.set_earlier(Due::Group(key.to_owned()), at);
        }
    }

    /// Looks at all groups and series soon: their deadlines were set by a clock that showed another time.
    pub(in crate::engine) fn look_at_everything(&mut self, at: Timestamp) {
        let groups = self.groups.keys().cloned().map(Due::Group);
        let series = self.series.keys().cloned().map(Due::Series);
        for due in groups.chain(series) {
            self.timers.set_earlier(due, at);
        }
    }

    /// Indexes a group by what keeps one of its alerts quiet: the end of that brings a look.
    pub(in crate::engine) fn index_quiet(&mut self, group: &str, why: Option<&Suppression>) {
        match why {
            Some(Suppression::Inhibited(source)) => {
                self.inhibited.entry(source.clone()).or_default().insert(group.to_owned());
            }
            Some(Suppression::Silenced(_)) => drop(self.silenced.insert(group.to_owned())),
            Some(Suppression::Inactive(_) | Suppression::Muted(_)) | None => {}
        }
    }

    /// Indexes a group by alerts that its targets hear of by another group: their ends are owed by this one, too.
    pub(in crate::engine) fn index_elsewhere(
        &mut self,
        group: &str,
        alerts: &BTreeSet<Fingerprint>,
    ) {
        for one in alerts {
            self.elsewhere.entry(one.clone()).or_default().insert(group.to_owned());
        }
    }

    /// A look drops what nobody is to hear of any more: it must come when it would have come without a restart.
    pub(super) fn keep_deadlines(&mut self) {
        for key in self.timers.take_moved() {
            let look_at = self.timers.of(&Due::Group(key.clone()));
            if let Some(group) = self.groups.get_mut(&key).filter(|group| group.look_at != look_at)
            {
                group.look_at = look_at;
                self.touched.insert(Touched::Group(key));
            }
        }
    }
}
