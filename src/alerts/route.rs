//! The routing tree: which receivers hear of an alert.

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::Matcher;
use crate::rules::Labels;

/// A node of the routing tree. The root has no matchers and takes what no child took.
#[derive(Debug, Clone, Default)]
pub struct Route {
    /// Stable identity, filled by [`Route::identify`].
    pub id: String,
    /// The name given by the user.
    pub name: Option<String>,
    /// Who hears of it; inherited from the parent by `config`.
    pub receiver: String,
    /// All must hold.
    pub matchers: Vec<Matcher>,
    /// Whether later siblings are asked too.
    pub continues: bool,
    /// Children, asked in order.
    pub routes: Vec<Route>,
    /// Which alerts are told together; inherited from the parent by `config`.
    pub group_by: GroupBy,
    /// When they are told; inherited from the parent by `config`.
    pub timing: Timing,
    /// Names of time intervals in which nothing is told; not inherited.
    pub mute_time_intervals: Vec<String>,
    /// Names of time intervals outside of which nothing is told; empty for always; not inherited.
    pub active_time_intervals: Vec<String>,
}

/// Which alerts of a route are told together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupBy {
    /// `['...']`: each alert by itself.
    All,
    /// Those with the same values of these labels; none means all alerts together.
    Labels(Vec<String>),
}

impl Default for GroupBy {
    fn default() -> Self {
        Self::Labels(Vec::new())
    }
}

impl GroupBy {
    /// The labels that make the group of an alert; a label it lacks is left out, as in Alertmanager.
    pub fn labels_of(&self, labels: &Labels) -> Labels {
        match self {
            Self::All => labels.clone(),
            Self::Labels(names) => labels
                .iter()
                .filter(|(name, _)| names.contains(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        }
    }
}

/// When the alerts of a group are told; the defaults are Alertmanager's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From the first alert of a new group to its first notice.
    pub group_wait: Duration,
    /// Least time between two notices of a group.
    pub group_interval: Duration,
    /// From a notice to its repeat while nothing changed; exact.
    pub repeat_interval: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            group_wait: Duration::from_secs(30),
            group_interval: Duration::from_mins(5),
            repeat_interval: Duration::from_hours(4),
        }
    }
}

impl Route {
    /// Gives the whole tree its identities: `name`, else a hash of (parent, matchers, receiver) plus an ordinal
    /// among identical twins. Inserting a sibling changes nobody's identity. Returns the receivers of twins.
    pub fn identify(&mut self) -> Vec<String> {
        let mut twins = Vec::new();
        self.id = self.name.clone().unwrap_or_else(|| "root".to_owned());
        self.identify_children(&mut twins);
        twins
    }

    fn identify_children(&mut self, twins: &mut Vec<String>) {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for child in &mut self.routes {
            let base = child.name.clone().unwrap_or_else(|| child.digest(&self.id));
            let count = seen.entry(base.clone()).or_default();
            *count += 1;
            child.id = if *count == 1 { base } else { format!("{base}-{count}") };
            if *count > 1 {
                twins.push(child.receiver.clone());
            }
            child.identify_children(twins);
        }
    }

    fn digest(&self, parent: &str) -> String {
        let mut hash = Sha256::new();
        let matchers: Vec<String> = self.matchers.iter().map(ToString::to_string).collect();
        for text in [parent, &self.receiver].into_iter().chain(matchers.iter().map(String::as_str))
        {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        super::hex(&hash.finalize(), 6)
    }

    /// The routes that take an alert, in order: the deepest matching ones; a later sibling only after `continue`.
    pub fn take(&self, labels: &Labels) -> Vec<&Self> {
        if !self.matchers.iter().all(|matcher| matcher.matches(labels)) {
            return Vec::new();
        }
        let mut taken = Vec::new();
        for child in &self.routes {
            let by_child = child.take(labels);
            let stop = !by_child.is_empty() && !child.continues;
            taken.extend(by_child);
            if stop {
                break;
            }
        }
        if taken.is_empty() {
            taken.push(self);
        }
        taken
    }

    /// The node with this identity.
    pub fn find(&self, id: &str) -> Option<&Self> {
        if self.id == id { Some(self) } else { self.routes.iter().find_map(|route| route.find(id)) }
    }

    /// This node and all below it, parents first.
    pub fn walk(&self) -> Vec<&Self> {
        let mut all = vec![self];
        all.extend(self.routes.iter().flat_map(Self::walk));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(receiver: &str, matchers: &[&str], continues: bool, routes: Vec<Route>) -> Route {
        let matchers = matchers.iter().map(|text| Matcher::parse(text).expect("matcher")).collect();
        Route { receiver: receiver.to_owned(), matchers, continues, routes, ..Route::default() }
    }

    fn receivers(tree: &Route, labels: &[(&str, &str)]) -> Vec<String> {
        let labels =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        tree.take(&labels).into_iter().map(|route| route.receiver.clone()).collect()
    }

    #[test]
    fn the_deepest_match_takes_it_and_continue_asks_on() {
        let tree = route(
            "ops",
            &[],
            false,
            vec![
                route("oncall", &["severity=critical"], true, vec![]),
                route(
                    "finance",
                    &["team=finance"],
                    false,
                    vec![route("cfo", &["severity=critical"], false, vec![])],
                ),
                route("late", &["team=finance"], false, vec![]),
            ],
        );
        assert_eq!(receivers(&tree, &[]), ["ops"]);
        assert_eq!(receivers(&tree, &[("severity", "critical")]), ["oncall"]);
        assert_eq!(receivers(&tree, &[("team", "finance")]), ["finance"]);
        assert_eq!(
            receivers(&tree, &[("severity", "critical"), ("team", "finance")]),
            ["oncall", "cfo"]
        );
    }

    #[test]
    fn identity_survives_a_new_sibling_and_twins_differ() {
        let child = || route("finance", &["team=finance"], false, vec![]);
        let mut before = route("ops", &[], false, vec![child()]);
        let mut after =
            route("ops", &[], false, vec![route("x", &["a=b"], false, vec![]), child(), child()]);
        assert!(before.identify().is_empty());
        assert_eq!(after.identify(), ["finance"]);
        assert_eq!(before.routes[0].id, after.routes[1].id);
        assert_ne!(after.routes[1].id, after.routes[2].id);
    }
}
