//! The routing tree: which receivers hear of an alert.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Fingerprint, Matcher};
use crate::rules::{Labels, hex};

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
    /// Which alerts are notified together; inherited from the parent by `config`.
    pub group_by: GroupBy,
    /// When they are notified; inherited from the parent by `config`.
    pub timing: Timing,
    /// Names of time intervals in which nothing is notified; not inherited.
    pub mute_time_intervals: Vec<String>,
    /// Names of time intervals outside of which nothing is notified; empty for always; not inherited.
    pub active_time_intervals: Vec<String>,
}

/// Which alerts of a route are notified together.
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

/// When the alerts of a group are notified; the defaults are Alertmanager's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From the first alert of a new group to its first notification.
    pub group_wait: Duration,
    /// Least time between two notifications of a group.
    pub group_interval: Duration,
    /// From a notification to its repeat while nothing changed; exact.
    pub repeat_interval: Duration,
}

impl Timing {
    /// Where the route of a group is gone: what is still owed of it is owed at once.
    pub const NO_ROUTE: Self = Self {
        group_wait: Duration::ZERO,
        group_interval: Duration::ZERO,
        repeat_interval: Duration::MAX,
    };
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

/// What a node of the tree said to an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The node's identity.
    pub route: String,
    /// Who hears of what it takes.
    pub receiver: String,
    /// How deep it stands; the root is at 0.
    pub depth: usize,
    /// Whether it took the alert, and why not.
    #[serde(flatten)]
    pub answer: Answer,
}

/// Whether a node took an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer", content = "why")]
pub enum Answer {
    /// It did.
    Taken,
    /// Its matchers hold, and a child took it.
    Deeper,
    /// These of its matchers do not hold.
    Unmatched(Vec<String>),
    /// It was not asked, since the node with this identity came first: an earlier sibling that took the alert and does not
    /// continue, or a parent whose matchers do not hold.
    NotAsked(String),
}

impl Route {
    /// Identity of the group that an alert with these labels has in this route, and the labels that it is grouped by.
    pub fn group_key(&self, labels: &Labels) -> (String, Labels) {
        let group_labels = self.group_by.labels_of(labels);
        (format!("{}/{}", self.id, Fingerprint::of(&group_labels)), group_labels)
    }

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
        hex(&hash.finalize(), 6)
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

    /// What each node says to an alert, parents first; [`Answer::Taken`] are those that [`Route::take`] gives.
    pub fn explain(&self, labels: &Labels) -> Vec<Step> {
        let mut steps = Vec::new();
        self.ask(labels, 0, &mut steps);
        steps
    }

    /// Adds what this node and those below it say; whether one of them took the alert.
    fn ask(&self, labels: &Labels, depth: usize, steps: &mut Vec<Step>) -> bool {
        let failed: Vec<String> = self
            .matchers
            .iter()
            .filter(|matcher| !matcher.matches(labels))
            .map(ToString::to_string)
            .collect();
        let place = steps.len();
        let matches = failed.is_empty();
        let answer = if matches { Answer::Taken } else { Answer::Unmatched(failed) };
        steps.push(self.step(depth, answer));
        let mut closed_by = (!matches).then_some(&self.id);
        let mut deeper = false;
        for child in &self.routes {
            if let Some(by) = closed_by {
                child.pass(by, depth + 1, steps);
                continue;
            }
            let by_child = child.ask(labels, depth + 1, steps);
            deeper |= by_child;
            closed_by = (by_child && !child.continues).then_some(&child.id);
        }
        if let Some(step) = steps.get_mut(place).filter(|_| deeper) {
            step.answer = Answer::Deeper;
        }
        matches
    }

    /// Adds that this node and those below it are not asked.
    fn pass(&self, by: &str, depth: usize, steps: &mut Vec<Step>) {
        steps.push(self.step(depth, Answer::NotAsked(by.to_owned())));
        for child in &self.routes {
            child.pass(by, depth + 1, steps);
        }
    }

    fn step(&self, depth: usize, answer: Answer) -> Step {
        Step { route: self.id.clone(), receiver: self.receiver.clone(), depth, answer }
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
    use proptest::prelude::*;

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

    #[test]
    fn each_node_says_why_it_took_an_alert_or_did_not() {
        let mut tree = route(
            "ops",
            &[],
            false,
            vec![
                route("oncall", &["severity=critical", "team!=lab"], true, vec![]),
                route(
                    "finance",
                    &["team=finance"],
                    false,
                    vec![route("cfo", &["severity=critical"], false, vec![])],
                ),
                route("late", &[], false, vec![route("later", &[], false, vec![])]),
            ],
        );
        for (route, id) in tree.routes.iter_mut().zip(["a", "b", "c"]) {
            route.name = Some(id.to_owned());
        }
        tree.identify();
        let answers = |labels: &[(&str, &str)]| -> Vec<(String, usize, Answer)> {
            let labels = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            let steps = tree.explain(&labels);
            steps.into_iter().map(|step| (step.receiver, step.depth, step.answer)).collect()
        };
        let unmatched = |one: &str| Answer::Unmatched(vec![one.to_owned()]);
        let by = |id: &str| Answer::NotAsked(id.to_owned());
        let said = |rows: &[(&str, usize, Answer)]| -> Vec<(String, usize, Answer)> {
            rows.iter().map(|(r, d, a)| ((*r).to_owned(), *d, a.clone())).collect()
        };
        assert_eq!(
            answers(&[("team", "finance"), ("severity", "info")]),
            said(&[
                ("ops", 0, Answer::Deeper),
                ("oncall", 1, unmatched("severity=\"critical\"")),
                ("finance", 1, Answer::Taken),
                ("cfo", 2, unmatched("severity=\"critical\"")),
                ("late", 1, by("b")),
                ("later", 2, by("b")),
            ])
        );
        assert_eq!(
            answers(&[("severity", "critical")]),
            said(&[
                ("ops", 0, Answer::Deeper),
                ("oncall", 1, Answer::Taken),
                ("finance", 1, unmatched("team=\"finance\"")),
                ("cfo", 2, by("b")),
                ("late", 1, Answer::Deeper),
                ("later", 2, Answer::Taken),
            ])
        );
    }

    fn trees() -> impl Strategy<Value = Route> {
        let matchers = proptest::collection::vec(
            proptest::sample::select(vec!["a=1", "a!=1", "b=~\"1|2\"", "b=\"\"", "a=2"]),
            0..3,
        );
        let leaf = (matchers.clone(), any::<bool>())
            .prop_map(|(matchers, continues)| route("r", &matchers, continues, vec![]));
        leaf.prop_recursive(4, 24, 4, move |inner| {
            (matchers.clone(), any::<bool>(), proptest::collection::vec(inner, 0..4))
                .prop_map(|(matchers, continues, routes)| route("r", &matchers, continues, routes))
        })
    }

    proptest! {
        #[test]
        fn what_is_explained_is_what_is_taken(
            mut tree in trees(),
            labels in proptest::collection::btree_map("[ab]", "[12]", 0..3),
        ) {
            tree.identify();
            let steps = tree.explain(&labels);
            let taken: Vec<&str> = steps
                .iter()
                .filter(|step| step.answer == Answer::Taken)
                .map(|step| step.route.as_str())
                .collect();
            let expected: Vec<&str> =
                tree.take(&labels).iter().map(|route| route.id.as_str()).collect();
            prop_assert_eq!(taken, expected);
            let all: Vec<&str> = tree.walk().iter().map(|route| route.id.as_str()).collect();
            let told: Vec<&str> = steps.iter().map(|step| step.route.as_str()).collect();
            prop_assert_eq!(told, all);
        }
    }
}
