//! What an event means: which alert it fires, resolves or leaves alone.
//!
//! Receives checked rules and events; promises to judge an event in time that grows with the rules that name
//! its kind, never to panic and never to run long. Pure: no clock, no store, no network.
//!
//! At load, `compile` makes rules of what is written: expressions are parsed (`syntax`) and checked (`checker`,
//! `operators`, `calls`, with what is declared in `types` and `functions`) into a `program` (patterns by `re2`),
//! annotations are tried on sample events (`annotations`). At each event, `index` finds the rules that name its
//! kind, `judge` asks them, and `eval` computes their expressions over `values`, borrowed from the
//! event by `inputs`
//! (`numeric`, `time`); `number` reads exact amounts, `metric` feeds the user's own series. `rule_ref` is a rule as the engine sees it: it gives the
//! observations to a `series`. `usual` knows what a series had in the weeks before, `news` what a rule is to remember.
//! `trace` says how a rule came to its answer.
//!
//! Beside them: `ledger` counts money once, `call_context` knows on which call it was spent, `meter` holds the user's
//! own metrics and what was spent in all.

mod aggregate;
mod annotations;
mod call_context;
mod calls;
mod checker;
mod compile;
mod eval;
mod expression;
mod functions;
mod index;
mod inputs;
mod judge;
mod judged;
mod labels;
mod ledger;
mod meter;
mod metric;
mod moneyless;
mod names;
mod news;
mod number;
mod numeric;
mod observed;
mod operate;
mod operators;
mod packed;
mod program;
mod rule;
mod rule_ref;
mod series;
mod show;
mod suggest;
mod syntax;
mod threshold;
mod time;
mod trace;
mod trial;
mod types;
pub mod usual;
mod values;
mod window;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;

use crate::diagnostic::At;

pub use call_context::{CallContext, CallKey, call_key, call_keys, far_country, tells_of_call};
pub use calls::NEWS_MAX;
pub use checker::Scope;
pub use expression::{Expression, Want};
pub use inputs::{Inputs, Memory, NewValue, Seen};
pub use judge::RuleSet;
pub(crate) use labels::hex;
pub use labels::{Fingerprint, LabelSet, Labels};
pub use ledger::{Booked, Entry, LedgerKey, books, is_reconciled, ledger_key};
pub use meter::{Applied, HISTOGRAM_BUCKETS, Meter, MeterRow, MeterValue, Spend, SpendRow};
pub use metric::Metric;
pub use observed::{Hold, Observation, Observed};
pub use packed::PackedLabels;
pub use rule_ref::{RuleRef, Written};
pub use series::{Data, Level, Phase, Series, Shape, Terms, Turn};
pub use threshold::{Threshold, is_below, threshold};
pub use trace::Traced;
pub use window::{Added, Aggregate, Over, Period, Window};

/// Whether a text fits a pattern in which `*` stands for any text, or none.
pub fn is_like(text: &str, pattern: &str) -> bool {
    index::Glob::new(pattern).matches(text)
}

/// The labels that an account adds to all of its alerts.
#[derive(Debug, Clone)]
pub struct AccountLabels {
    /// The account.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
}

/// One rule as written, scalars with their places; made by `config`, compiled by [`RuleSet::compile`].
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
    /// Label name to CEL; a missing value is the empty label. None in absence rules.
    pub by: Vec<(At<String>, At<String>)>,
    /// Live series at most; what comes beyond goes to one series whose `by` labels are all `__overflow__`.
    pub max_series: u32,
    /// What makes the alert fire and end.
    pub kind: KindSpec,
    /// Fixed labels.
    pub labels: Vec<(At<String>, At<String>)>,
    /// Templates, rendered at judgement.
    pub annotations: Vec<(At<String>, At<String>)>,
}

/// What makes the alert of a [`RuleSpec`] fire and end.
#[derive(Debug, Clone)]
pub enum KindSpec {
    /// One event is the alert.
    Event {
        /// How long the alert lasts after the last match.
        active_for: Duration,
        /// Whether an end by `active_for` is told.
        notify_expired: bool,
        /// What ends the alert before that.
        resolve_on: Option<ResolveSpec>,
    },
    /// The latest value of each label set is judged.
    Gauge {
        /// CEL, number or decimal text.
        value: At<String>,
        /// When it fires and ends.
        line: LineSpec,
        /// No reading for so long ends the alert as "no data".
        stale_after: Option<Duration>,
    },
    /// What happened over a time is judged.
    Window {
        /// Over which time.
        over: Over,
        /// `AGG(CEL)` or `count()`.
        value: At<String>,
        /// When it fires and ends.
        line: LineSpec,
    },
    /// That nothing happened is judged; one series for each account.
    Absence {
        /// Nothing for so long, in time in which tollbell was ready.
        absent_for: Duration,
        /// Names of time intervals outside of which time does not count; empty for always.
        active_time_intervals: Vec<String>,
        /// As in Prometheus.
        hold: Hold,
    },
}

/// When a value fires and when it ends the alert.
#[derive(Debug, Clone)]
pub struct LineSpec {
    /// CEL over `value`, `count` and `labels`, bool.
    pub fire: At<String>,
    /// CEL, bool; absent means not `fire`.
    pub clear: Option<At<String>>,
    /// How long it has to hold.
    pub hold: Hold,
    /// Time zone of the hours of the week that `usual` is about, where one is given.
    pub zone: Option<At<TimeZone>>,
}

/// One entry of the `metrics` list as written: a series of the user's own, made from events.
#[derive(Debug, Clone)]
pub struct MetricSpec {
    /// Prometheus name; not `tollbell_…`, not `process_…`.
    pub name: At<String>,
    /// How events become a value.
    pub kind: MetricKind,
    /// HELP text.
    pub help: String,
    /// Kinds with `*` globs.
    pub on: Vec<At<String>>,
    /// CEL, bool; absent means always.
    pub when: Option<At<String>>,
    /// CEL, number or decimal text; absent means 1, for counters only.
    pub value: Option<At<String>>,
    /// Label name to CEL; a missing value is the empty label.
    pub by: Vec<(At<String>, At<String>)>,
    /// Label sets at most; what comes beyond goes to one whose labels are all `__overflow__`.
    pub max_series: u32,
}

/// How events become a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Adds; a negative value is refused.
    Counter,
    /// The latest.
    Gauge,
    /// Prometheus' default buckets.
    Histogram,
}

impl MetricKind {
    /// The word in the configuration and in the exposition format.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What one of the user's metrics says of one event.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// The metric's name.
    pub name: Arc<str>,
    /// Its labels, or why there is no value.
    pub finding: Result<(Labels, Decimal), Failure>,
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
        /// See [`Firing::sent_at`].
        sent_at: Option<Timestamp>,
    },
    /// An event for a gauge, window or absence rule: it changes the series with these labels.
    Observe(Observation),
    /// `when` does not hold, or the value is null.
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
    /// The same by the sender's own word, where that is believed: events can be put into order by it.
    pub sent_at: Option<Timestamp>,
    /// Whether the event was fetched because its webhook was missed.
    pub backfilled: bool,
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
