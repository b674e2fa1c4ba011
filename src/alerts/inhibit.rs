//! Inhibition: while a source alert fires, its targets are not told.

use std::collections::{BTreeSet, HashMap};

use super::{Alert, Fingerprint, Matcher};
use crate::rules::Labels;

/// An entry of `inhibit_rules`.
#[derive(Debug, Clone)]
pub struct InhibitRule {
    /// What inhibits.
    pub source_matchers: Vec<Matcher>,
    /// What is inhibited.
    pub target_matchers: Vec<Matcher>,
    /// Labels that source and target must share; a missing one counts as empty.
    pub equal: Vec<String>,
}

impl InhibitRule {
    /// Whether a firing alert with the labels `source` keeps one with the labels `target` quiet. As in Alertmanager, an
    /// alert that matches both sides is not inhibited by one that does, too; so none inhibits itself.
    pub fn inhibits(&self, source: &Labels, target: &Labels) -> bool {
        self.is_source(source)
            && self.is_target(target)
            && self.shared(source) == self.shared(target)
            && !(self.is_source(target) && self.is_target(source))
    }

    fn is_source(&self, labels: &Labels) -> bool {
        self.source_matchers.iter().all(|matcher| matcher.matches(labels))
    }

    /// Whether an alert with these labels is one that the rule can keep quiet.
    pub fn is_target(&self, labels: &Labels) -> bool {
        self.target_matchers.iter().all(|matcher| matcher.matches(labels))
    }

    /// The values of the `equal` labels.
    fn shared<'l>(&self, labels: &'l Labels) -> Vec<&'l str> {
        self.equal.iter().map(|name| labels.get(name).map_or("", String::as_str)).collect()
    }
}

/// Answers who inhibits an alert: the sources among the firing alerts, indexed by their `equal` values.
///
/// Kept along with the alerts; a question costs the matchers of each rule, however many alerts fire. A silenced source
/// inhibits like any other.
#[derive(Debug, Clone, Default)]
pub struct Inhibitor {
    /// For each rule, in order.
    indices: Vec<HashMap<Vec<String>, Sources>>,
}

/// The sources of one rule with the same `equal` values.
#[derive(Debug, Clone, Default)]
struct Sources {
    /// Match the source side only: they inhibit every target.
    one_sided: BTreeSet<Fingerprint>,
    /// Match both sides: they inhibit only what does not.
    two_sided: BTreeSet<Fingerprint>,
}

impl Inhibitor {
    /// Indexes the sources among `alerts`; those that do not fire are passed over.
    pub fn new<'a>(rules: &[InhibitRule], alerts: impl IntoIterator<Item = &'a Alert>) -> Self {
        let mut inhibitor = Self { indices: rules.iter().map(|_| HashMap::new()).collect() };
        if !rules.is_empty() {
            for alert in alerts.into_iter().filter(|alert| alert.is_firing()) {
                inhibitor.add(rules, alert);
            }
        }
        inhibitor
    }

    /// Takes an alert that fires in; whether it is a source of any rule.
    pub fn add(&mut self, rules: &[InhibitRule], alert: &Alert) -> bool {
        let mut is_source = false;
        for (rule, index) in rules.iter().zip(&mut self.indices) {
            if rule.is_source(&alert.labels) {
                let shared = rule.shared(&alert.labels).into_iter().map(str::to_owned).collect();
                let side = index.entry(shared).or_default().side(rule.is_target(&alert.labels));
                is_source |= side.insert(alert.fingerprint.clone());
            }
        }
        is_source
    }

    /// Takes an alert out that fires no more; whether it was a source of any rule.
    pub fn remove(&mut self, rules: &[InhibitRule], alert: &Alert) -> bool {
        let mut was_source = false;
        for (rule, index) in rules.iter().zip(&mut self.indices) {
            if !rule.is_source(&alert.labels) {
                continue;
            }
            let shared: Vec<String> =
                rule.shared(&alert.labels).into_iter().map(str::to_owned).collect();
            if let Some(sources) = index.get_mut(&shared) {
                was_source |=
                    sources.side(rule.is_target(&alert.labels)).remove(&alert.fingerprint);
                if sources.one_sided.is_empty() && sources.two_sided.is_empty() {
                    index.remove(&shared);
                }
            }
        }
        was_source
    }

    /// The alert that keeps one with the labels `target` quiet, by the first rule that has one; the least fingerprint of
    /// several, so that the answer does not depend on the order of the alerts.
    pub fn inhibited_by(&self, rules: &[InhibitRule], target: &Labels) -> Option<Fingerprint> {
        rules.iter().zip(&self.indices).find_map(|(rule, index)| {
            if index.is_empty() || !rule.is_target(target) {
                return None;
            }
            let shared: Vec<String> = rule.shared(target).into_iter().map(str::to_owned).collect();
            let sources = index.get(&shared)?;
            let two_sided = sources.two_sided.first().filter(|_| !rule.is_source(target));
            sources.one_sided.first().into_iter().chain(two_sided).min().cloned()
        })
    }
}

impl Sources {
    fn side(&mut self, two_sided: bool) -> &mut BTreeSet<Fingerprint> {
        if two_sided { &mut self.two_sided } else { &mut self.one_sided }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::alerts::AlertState;
    use crate::event::Snapshot;

    fn rule(source: &[&str], target: &[&str], equal: &[&str]) -> InhibitRule {
        let matchers = |texts: &[&str]| {
            texts.iter().map(|text| Matcher::parse(text).expect("a matcher")).collect()
        };
        InhibitRule {
            source_matchers: matchers(source),
            target_matchers: matchers(target),
            equal: equal.iter().map(ToString::to_string).collect(),
        }
    }

    /// `severity=critical account=a` as labels.
    fn labels(text: &str) -> Labels {
        text.split_whitespace()
            .map(|pair| pair.split_once('=').expect("name=value"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    fn alert(labels: Labels, state: AlertState) -> Alert {
        Alert {
            fingerprint: Fingerprint::of(&labels),
            rule: "g/r".to_owned(),
            labels,
            annotations: Labels::new(),
            state,
            starts_at: Timestamp::UNIX_EPOCH,
            ends_at: None,
            updated_at: Timestamp::UNIX_EPOCH,
            event_at: None,
            missed: false,
            value: None,
            notify_expired: false,
            event: Snapshot::NONE,
        }
    }

    #[test]
    fn a_source_inhibits_as_in_alertmanager() {
        let plain = rule(&["s=1"], &["t=1"], &["e", "f"]);
        let alike = rule(&["s=~.+"], &["s=~.+"], &[]);
        let all = rule(&[], &["t=1"], &[]);
        for (name, rule, source, target, want) in [
            ("both sides match", &plain, "s=1 e=x f=y", "t=1 e=x f=y", true),
            ("another value of a shared label", &plain, "s=1 e=x f=y", "t=1 e=x f=z", false),
            ("missing on both sides is equal", &plain, "s=1 e=x", "t=1 e=x", true),
            ("missing and empty are equal", &plain, "s=1 e=x f=", "t=1 e=x", true),
            ("missing on one side is not", &plain, "s=1 e=x", "t=1 e=x f=y", false),
            ("no source", &plain, "s=2", "t=1", false),
            ("no target", &plain, "s=1", "t=2", false),
            ("one-sided source, two-sided target", &plain, "s=1", "s=1 t=1", true),
            ("two-sided source, one-sided target", &plain, "s=1 t=1", "t=1", true),
            ("two two-sided ones", &plain, "s=1 t=1 a=1", "s=1 t=1 a=2", false),
            ("itself", &plain, "s=1 t=1", "s=1 t=1", false),
            ("everything matches both sides", &alike, "s=1", "s=2", false),
            ("a side without matchers takes all", &all, "x=1", "t=1", true),
            ("but a target matches it, too", &all, "t=1 x=1", "t=1", false),
        ] {
            let (source, target) = (labels(source), labels(target));
            assert_eq!(rule.inhibits(&source, &target), want, "{name}");
            let rules = [rule.clone()];
            let source = alert(source, AlertState::Firing);
            let by = Inhibitor::new(&rules, [&source]).inhibited_by(&rules, &target);
            assert_eq!(by, want.then_some(source.fingerprint), "{name}, by index");
        }
    }

    #[test]
    fn what_ended_inhibits_nobody() {
        let rules = [rule(&["s=1"], &["t=1"], &[])];
        let target = labels("t=1");
        for state in [AlertState::Resolved, AlertState::Expired, AlertState::NoData] {
            let source = alert(labels("s=1"), state);
            assert_eq!(
                Inhibitor::new(&rules, [&source]).inhibited_by(&rules, &target),
                None,
                "{state:?}"
            );
        }
    }

    proptest! {
        /// The index says the same as asking each rule about each pair.
        #[test]
        fn the_index_agrees_with_the_rule(
            alerts in prop::collection::vec([0..3u8, 0..3u8, 0..3u8], 0..8),
            rules in prop::collection::vec((0..3u8, 0..3u8, any::<bool>()), 0..3),
        ) {
            let alerts: Vec<Alert> = alerts.iter().map(|[s, t, e]| alert(
                labels(&format!("s={s} t={t} e={e}")), AlertState::Firing)).collect();
            let rules: Vec<InhibitRule> = rules.iter().map(|(s, t, equal)| rule(
                &[&format!("s={s}")], &[&format!("t={t}")], if *equal { &["e"] } else { &[] },
            )).collect();
            let inhibitor = Inhibitor::new(&rules, &alerts);
            for target in &alerts {
                let want = rules.iter().find_map(|rule| alerts.iter()
                    .filter(|source| rule.inhibits(&source.labels, &target.labels))
                    .map(|source| source.fingerprint.clone()).min());
                prop_assert_ne!(&want, &Some(target.fingerprint.clone()));
                prop_assert_eq!(inhibitor.inhibited_by(&rules, &target.labels), want);
            }
        }
    }
}
