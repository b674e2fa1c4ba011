//! Inhibition: while a source alert fires, its targets are not told.

use super::Matcher;
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
    /// alert that matches both sides is not inhibited by one that does, too.
    pub fn inhibits(&self, source: &Labels, target: &Labels) -> bool {
        let _ = (source, target);
        unimplemented!()
    }
}
