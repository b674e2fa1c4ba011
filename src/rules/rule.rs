//! A rule that can judge, as [`super::compile`] makes it.

use std::sync::Arc;
use std::time::Duration;

use super::series::Shape;
use super::{Expression, Hold};

/// A rule that can judge.
#[derive(Debug)]
pub(super) struct Rule {
    /// `group/alert`
    pub(super) name: Arc<str>,
    pub(super) alert: String,
    pub(super) when: Option<Expression>,
    pub(super) by: Vec<(String, Expression)>,
    pub(super) labels: Vec<(String, String)>,
    /// Name of the annotation, name of its template.
    pub(super) annotations: Vec<(String, String)>,
    /// `when`, `by` or the value looks at money, so amounts of different currencies are different alerts.
    pub(super) by_currency: bool,
    /// See [`super::RuleRef::digest`].
    pub(super) digest: Arc<str>,
    pub(super) max_series: usize,
    pub(super) judged: RuleKind,
}

/// What is judged.
#[derive(Debug)]
pub(super) enum RuleKind {
    /// Each event by itself.
    Event { active_for: Duration, notify_expired: bool, resolve_when: Option<Expression> },
    /// What was observed of events.
    Series(Box<Watch>),
}

impl RuleKind {
    /// The expression of the value.
    pub(super) fn value(&self) -> Option<&Expression> {
        match self {
            Self::Series(watch) => watch.value.expression(),
            Self::Event { .. } => None,
        }
    }

    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::Series(watch) if matches!(watch.shape, Shape::Absence { .. }))
    }
}

/// How a gauge, window or absence rule observes and judges.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) shape: Shape,
    pub(super) value: Valued,
    /// None in absence rules.
    pub(super) fire: Option<Expression>,
    /// None for "not `fire`".
    pub(super) clear: Option<Expression>,
    pub(super) hold: Hold,
    pub(super) active_time_intervals: Vec<String>,
}

impl Watch {
    /// One that never fires yet.
    pub(super) fn new(shape: Shape, value: Valued) -> Self {
        Self {
            shape,
            value,
            fire: None,
            clear: None,
            hold: Hold::default(),
            active_time_intervals: Vec::new(),
        }
    }
}

/// What is observed of an event.
#[derive(Debug)]
pub(super) enum Valued {
    /// That it happened.
    Event,
    /// A number.
    Number(Expression),
    /// A text.
    Text(Expression),
}

impl Valued {
    pub(super) fn expression(&self) -> Option<&Expression> {
        match self {
            Self::Event => None,
            Self::Number(expression) | Self::Text(expression) => Some(expression),
        }
    }
}
