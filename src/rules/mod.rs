//! What an event means: which alert it fires, resolves or leaves alone.
//!
//! Receives checked rules and events; promises to judge an event in time that grows with the rules that name
//! its kind, never to panic and never to run long. Pure: no clock, no store, no network.
//!
//! At load, `compile` makes rules of what is written: expressions are bounded (`scan`), parsed (`expression`) and
//! checked (`checker`, `operators`, `calls`, with what is declared in `types` and `functions`) into a `program`,
//! annotations are tried on sample events (`annotations`). At each event, `index` finds the rules that name its
//! kind, `judge` asks them, and `eval` computes their expressions over `values`, borrowed from the event.

mod annotations;
mod calls;
mod checker;
mod compile;
mod eval;
mod expression;
mod functions;
mod index;
mod judge;
mod operate;
mod operators;
mod program;
mod scan;
mod suggest;
mod types;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::problem::At;

pub use checker::Scope;
pub use eval::Inputs;
pub use expression::{Expression, Want};
pub use judge::RuleSet;

/// Label or annotation names and values; sorted, so that everything made from them is stable.
pub type Labels = BTreeMap<String, String>;

/// The labels that an account adds to all of its alerts.
#[derive(Debug, Clone)]
pub struct AccountLabels {
    /// The account.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
}

/// One event rule as written, scalars with their places; made by `config`, compiled by [`RuleSet::compile`].
#[derive(Debug, Clone)]
pub struct RuleSpec {
    /// Name of the group it stands in.
    pub group: String,
    /// Name of the alert.
    pub alert: At<String>,
    /// Kinds with `*` globs; `*` crosses dots.
    pub on: Vec<At<String>>,
    /// CEL, bool; absent means always.
    pub when: Option<At<String>>,
    /// Label name to CEL; a missing value is the empty label.
    pub by: Vec<(At<String>, At<String>)>,
    /// How long the alert lasts after the last match.
    pub active_for: Duration,
    /// Whether an end by `active_for` is told.
    pub notify_expired: bool,
    /// What ends the alert before that.
    pub resolve_on: Option<ResolveSpec>,
    /// Fixed labels.
    pub labels: Vec<(At<String>, At<String>)>,
    /// Templates, rendered at judgement.
    pub annotations: Vec<(At<String>, At<String>)>,
}

/// The `resolve_on` of a [`RuleSpec`].
#[derive(Debug, Clone)]
pub struct ResolveSpec {
    /// Kinds with `*` globs.
    pub on: Vec<At<String>>,
    /// CEL, bool; absent means always.
    pub when: Option<At<String>>,
}

/// What one rule says of one event. Rules whose `on` does not name the kind say nothing at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// `group/alert`; cheap to copy, since a verdict is made for each rule and event.
    pub rule: Arc<str>,
    /// What it says.
    pub finding: Finding,
}

/// What a rule found.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// `when` holds: the alert with these labels fires.
    Fire(Firing),
    /// `resolve_on` holds: the alert with these labels ends.
    Resolve {
        /// All labels of the alert, the same as when it fired.
        labels: Labels,
        /// The rule's alerts carry a currency and this event names none: `labels` has none either, and alerts of
        /// every currency end.
        any_currency: bool,
    },
    /// `when` does not hold.
    NoMatch,
    /// A `when` or `by` ended in an error; the rule neither fires nor resolves.
    Failed(Failure),
}

/// A match.
#[derive(Debug, Clone, PartialEq)]
pub struct Firing {
    /// `alertname`, `account`, the account's labels, `by` and `labels`; and `currency` where `when` or `by` looks at
    /// `event.cost` (`unknown` where the event names none).
    pub labels: Labels,
    /// Rendered annotations; one that cannot render holds its error's plain words (see `template_errors`).
    pub annotations: Labels,
    /// From the rule.
    pub active_for: Duration,
    /// From the rule.
    pub notify_expired: bool,
    /// Names of the annotations that could not be rendered.
    pub template_errors: Vec<String>,
    /// When the event happened: the start of the alert.
    pub at: Timestamp,
}

/// Why an expression gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Bounded words for metrics.
    pub reason: FailureReason,
    /// One line for people: which expression and what; holds no payload value.
    pub detail: String,
}

/// The kinds of [`Failure`], as metric label values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureReason {
    /// A field that is not there, or null.
    MissingField,
    /// Operands or a result of the wrong type.
    Type,
    /// Anything else.
    Other,
}

impl FailureReason {
    /// The metric label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingField => "missing_field",
            Self::Type => "type",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests;
