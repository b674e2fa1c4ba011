//! The `inhibit_rules` section: which alerts are not told while which others fire.

use super::accounts::unique;
use super::matchers::{self, fixed, implies};
use super::section::Section;
use super::words::{ConfigWords, InhibitWords};
use crate::alerts::{InhibitRule, Matcher};
use crate::diagnostic::Diagnostic;

/// Rules at most.
const INHIBIT_RULES_MAX: usize = 1000;

/// Reads `inhibit_rules`.
pub(super) fn read(root: &ConfigWords<'_>) -> Vec<InhibitRule> {
    let sections = root.inhibit_rules();
    if sections.len() > INHIBIT_RULES_MAX {
        root.error("inhibit_rules", format!("more than {INHIBIT_RULES_MAX} rules"));
    }
    unique(&sections, InhibitWords::name);
    sections.iter().map(rule).collect()
}

fn rule(section: &InhibitWords<'_>) -> InhibitRule {
    let side = |key, texts| {
        if section.is_empty(key) {
            let diagnostic = Diagnostic::error(
                section.place(key),
                section.at(key),
                "no matcher: every alert would match",
            );
            section.push(diagnostic.hint("if you mean it, write alertname=~\".+\""));
        }
        matchers::read(section, key, texts)
    };
    let (source, target) = (
        side("source_matchers", section.source_matchers()),
        side("target_matchers", section.target_matchers()),
    );
    let rule = InhibitRule {
        source_matchers: source.matchers,
        target_matchers: target.matchers,
        equal: matchers::label_names(section, "equal", section.equal()),
    };
    if source.whole && target.whole {
        warn_of_idle(section, &rule);
    }
    rule
}

/// Rules that look fine and never inhibit anything.
fn warn_of_idle(section: &Section<'_>, rule: &InhibitRule) {
    let InhibitRule { source_matchers: source, target_matchers: target, equal } = rule;
    if source.is_empty() || target.is_empty() {
        return;
    }
    let within = |narrow: &[Matcher], wide: &[Matcher]| {
        let narrow: Vec<&Matcher> = narrow.iter().collect();
        implies(&narrow, wide)
    };
    if within(source, target) && within(target, source) {
        section.warning(
            "target_matchers",
            "source and target are the same alerts: they never inhibit each other",
        );
    }
    for label in equal {
        if let (Some(one), Some(other)) = (fixed(source, label), fixed(target, label))
            && one != other
        {
            section.warning(
                "equal",
                format!("source and target have different values of {label}: nothing is inhibited"),
            );
        }
    }
}
