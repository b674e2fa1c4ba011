//! From rules as written to rules that can judge: everything that can be wrong is found here, all at once.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::aggregate;
use super::annotations::{Annotations, Roots, Trial, context};
use super::checker::{Flaw, Scope};
use super::expression::{Program, on_large_stack};
use super::index::{Glob, Hit, Index, check_pattern};
use super::names::{self, ENTRIES_MAX};
use super::rule::{Judged, Rule, Valued, Watch};
use super::suggest::did_you_mean;
use super::{
    AccountLabels, Aggregate, Expression, Inputs, KindSpec, Labels, LineSpec, MetricSpec, Over,
    ResolveSpec, RuleSet, RuleSpec, Shape, Want,
};
use crate::event::{self, Event, Incoming, PayloadPolicy};
use crate::problem::{At, Position, Problem, Severity};

/// Problems after which kinds are no longer compared for likeness, which takes long for thousands of them.
const SUGGESTIONS_MAX: usize = 100;
/// What `value` is when annotations are tried out: 42.00.
const SAMPLE_VALUE: Decimal = Decimal::from_parts(4_200, 0, 0, false, 2);
/// Bytes of the hash that [`Rule::digest`] shows.
const DIGEST_BYTES: usize = 8;

impl RuleSet {
    /// Compiles rules for the given accounts. A rule with an error is left out; whoever loads a configuration
    /// refuses the whole when any problem is an error.
    ///
    /// `metrics` are the user's own series, made from the same events.
    pub fn compile(
        specs: Vec<RuleSpec>,
        metrics: Vec<MetricSpec>,
        accounts: &[AccountLabels],
    ) -> (Self, Vec<Problem>) {
        let compile = || Compiler::new(accounts).all(specs, metrics, accounts);
        on_large_stack(compile).unwrap_or_else(|error| {
            let problem = Problem {
                severity: Severity::Error,
                position: None,
                key: String::new(),
                message: format!("rules cannot be compiled: {error}"),
                hint: None,
            };
            (Self::default(), vec![problem])
        })
    }
}

/// What compiles all rules and metrics of a configuration.
pub(super) struct Compiler {
    pub(super) problems: Vec<Problem>,
    /// Rules often say the same; parsing is by far the most of the work.
    programs: HashMap<(String, Scope, Want), Result<Arc<Program>, Flaw>>,
    annotations: Annotations,
    samples: Vec<Event>,
    blank: Event,
    account_label_names: BTreeSet<String>,
}

impl Compiler {
    fn new(accounts: &[AccountLabels]) -> Self {
        let blank = Event::tollbell("", "", String::new(), Timestamp::UNIX_EPOCH, json!({}));
        Self {
            problems: Vec::new(),
            programs: HashMap::new(),
            annotations: Annotations::new(&blank),
            samples: samples(),
            blank,
            account_label_names: accounts
                .iter()
                .flat_map(|account| account.labels.keys().cloned())
                .collect(),
        }
    }

    fn all(
        mut self,
        specs: Vec<RuleSpec>,
        metrics: Vec<MetricSpec>,
        accounts: &[AccountLabels],
    ) -> (RuleSet, Vec<Problem>) {
        let mut rules = Vec::with_capacity(specs.len());
        let mut patterns = Vec::with_capacity(specs.len());
        let mut seen = HashMap::<String, Position>::new();
        for spec in specs {
            let name = format!("{}/{}", spec.group, spec.alert.value);
            if let Some(first) = seen.get(&name) {
                let problem = names::twice("rule", &name, &spec.alert.position, &name, first);
                self.problems.push(problem);
                continue;
            }
            seen.insert(name.clone(), spec.alert.position.clone());
            let problems_before = self.problems.len();
            let fires = self.kinds(&spec.on, &format!("{name}.on"), &spec.alert.position);
            let resolves = self.resolve_kinds(&spec, &name);
            let rule = self.rule(&name, &spec);
            if let Some(rule) = rule.filter(|_| !self.error_since(problems_before)) {
                let rule_number = rules.len();
                let hit = |fires| Hit { rule: rule_number, fires, resolves: !fires };
                patterns.extend(fires.into_iter().map(|kind| (kind, hit(true))));
                patterns.extend(resolves.into_iter().map(|kind| (kind, hit(false))));
                rules.push(rule);
            }
        }
        let index = Index::new(patterns.iter().map(|(pattern, hit)| (pattern.as_str(), *hit)));
        let accounts =
            accounts.iter().map(|account| (account.name.clone(), account.labels.clone())).collect();
        let metrics = self.metrics(metrics);
        let by_name = rules.iter().enumerate().map(|(n, rule)| (Arc::clone(&rule.name), n));
        let by_name = by_name.collect();
        let Self { annotations, problems, .. } = self;
        (RuleSet { rules, by_name, index, metrics, annotations, accounts }, problems)
    }

    pub(super) fn error(&mut self, at: &Position, key: &str, message: impl Into<String>) {
        self.problems.push(Problem::error(at.clone(), key, message));
    }

    fn resolve_kinds(&mut self, spec: &RuleSpec, name: &str) -> Vec<String> {
        let KindSpec::Event { resolve_on: Some(ResolveSpec { on, .. }), .. } = &spec.kind else {
            return Vec::new();
        };
        self.kinds(on, &format!("{name}.resolve_on.on"), &spec.alert.position)
    }

    /// The patterns of an `on`; what is wrong with them is noted, `at` being where the rule stands.
    pub(super) fn kinds(&mut self, on: &[At<String>], key: &str, at: &Position) -> Vec<String> {
        if on.is_empty() {
            self.error(at, key, "names no kind of event");
        }
        let mut kinds = Vec::with_capacity(on.len());
        for pattern in on {
            if let Err(message) = check_pattern(&pattern.value) {
                self.error(&pattern.position, key, message);
                continue;
            }
            let glob = Glob::new(&pattern.value);
            let known = event::known_kinds();
            if !known.iter().any(|kind| glob.matches(kind)) {
                let message = format!("no known kind of event is `{}`", pattern.value);
                let problem = Problem::warning(pattern.position.clone(), key, message);
                let worth_it =
                    !pattern.value.contains('*') && self.problems.len() < SUGGESTIONS_MAX;
                let near = || did_you_mean(&pattern.value, known.iter().copied());
                self.problems.push(match worth_it.then(near).flatten() {
                    Some(hint) => problem.hint(hint),
                    None => problem,
                });
            }
            if !event::is_raised(&pattern.value) {
                let message = format!("this version raises no `{}`", pattern.value);
                self.problems.push(Problem::warning(pattern.position.clone(), key, message));
            }
            kinds.push(pattern.value.clone());
        }
        kinds
    }

    /// The rule; none, or one that is not to be used, where it has an error.
    fn rule(&mut self, name: &str, spec: &RuleSpec) -> Option<Rule> {
        let when = spec.when.as_ref();
        let when = self.event_expression(when, &format!("{name}.when"), Want::Bool);
        let judged = self.judged(name, spec);
        self.problems.extend(names::check_rule(name, spec));
        let by = self.by(name, &spec.by);
        let judged = judged?;
        let pair =
            |(name, text): &(At<String>, At<String>)| (name.value.clone(), text.value.clone());
        let value = judged.value();
        let mut rule = Rule {
            by_currency: !judged.is_absence() && uses_money(when.as_ref(), value, &by),
            name: name.into(),
            alert: spec.alert.value.clone(),
            when,
            by,
            labels: spec.labels.iter().map(pair).collect(),
            annotations: Vec::new(),
            digest: digest(spec),
            max_series: usize::try_from(spec.max_series).unwrap_or(usize::MAX),
            judged,
        };
        rule.annotations = self.annotations(&rule, spec);
        Some(rule)
    }

    /// What is told of an event, and of its series.
    fn judged(&mut self, name: &str, spec: &RuleSpec) -> Option<Judged> {
        let at = &spec.alert.position;
        let mut watch = match &spec.kind {
            KindSpec::Event { active_for, notify_expired, resolve_on } => {
                self.lasting(at, name, "active_for", Some(*active_for));
                let resolve_when = resolve_on.as_ref().and_then(|resolve| resolve.when.as_ref());
                let key = format!("{name}.resolve_on.when");
                let resolve_when = self.event_expression(resolve_when, &key, Want::Bool);
                let (active_for, notify_expired) = (*active_for, *notify_expired);
                return Some(Judged::Event { active_for, notify_expired, resolve_when });
            }
            KindSpec::Gauge { value, line, stale_after } => {
                self.lasting(at, name, "stale_after", *stale_after);
                let key = format!("{name}.value");
                let value = self.event_expression(Some(value), &key, Want::Number);
                let shape = Shape::Gauge { stale_after: *stale_after };
                let watch = value.map(|value| Watch::new(shape, Valued::Number(value)));
                self.line(name, watch, line)?
            }
            KindSpec::Window { over, value, line } => {
                let span = if let Over::Sliding(span) = over { Some(*span) } else { None };
                self.lasting(at, name, "over", span);
                let watch = self.window(name, over, value);
                self.line(name, watch, line)?
            }
            KindSpec::Absence { absent_for, active_time_intervals, hold } => {
                self.lasting(at, name, "absent_for", Some(*absent_for));
                if let Some((label, _)) = spec.by.first() {
                    let message = "an absence rule has one series for each account";
                    let key = format!("{name}.by");
                    self.problems.push(
                        Problem::error(label.position.clone(), key, message).hint("leave out by"),
                    );
                }
                let shape = Shape::Absence { absent_for: *absent_for };
                let mut watch = Watch::new(shape, Valued::Event);
                watch.hold = *hold;
                watch.interval_places.clone_from(active_time_intervals);
                watch
            }
        };
        let names = watch.interval_places.iter().map(|name| name.value.clone());
        watch.active_time_intervals = names.collect();
        Some(Judged::Series(Box::new(watch)))
    }

    fn window(&mut self, name: &str, over: &Over, value: &At<String>) -> Option<Watch> {
        let key = format!("{name}.value");
        let (aggregate, inner) = match aggregate::parse(&value.value) {
            Ok(parsed) => parsed,
            Err(flaw) => {
                let problem = flaw.problem(value);
                self.problems.push(Problem { key, ..problem });
                return None;
            }
        };
        let inner = inner.map(|inner| At::new(inner, value.position.clone()));
        let want = if aggregate == Aggregate::Distinct { Want::Label } else { Want::Number };
        let valued = match (self.event_expression(inner.as_ref(), &key, want), want) {
            (Some(value), Want::Label) => Valued::Text(value),
            (Some(value), _) => Valued::Number(value),
            (None, _) if inner.is_some() => return None,
            (None, _) => Valued::Event,
        };
        Some(Watch::new(Shape::Window { over: over.clone(), aggregate }, valued))
    }

    /// Adds when it fires and ends; what is wrong there is noted even if there is no watch.
    fn line(&mut self, name: &str, watch: Option<Watch>, line: &LineSpec) -> Option<Watch> {
        let mut term = |key: &str, source: Option<&At<String>>| {
            self.expression(source, &format!("{name}.{key}"), Scope::LINE, Want::Bool)
        };
        let fire = term("fire", Some(&line.fire));
        let clear = term("clear", line.clear.as_ref());
        let mut watch = watch?;
        (watch.fire, watch.clear, watch.hold) = (fire, clear, line.hold);
        Some(watch)
    }

    fn lasting(&mut self, at: &Position, name: &str, key: &str, span: Option<Duration>) {
        if span.is_some_and(|span| span.is_zero()) {
            let message = match key {
                "active_for" => "an alert has to last".to_owned(),
                key => format!("{key} has to be longer than 0"),
            };
            self.error(at, &format!("{name}.{key}"), message);
        }
    }

    /// The `by` labels that have no error.
    pub(super) fn by(
        &mut self,
        name: &str,
        by: &[(At<String>, At<String>)],
    ) -> Vec<(String, Expression)> {
        let compile = |(label, source): &(At<String>, At<String>)| {
            let key = format!("{name}.by.{}", label.value);
            let expression = self.event_expression(Some(source), &key, Want::Label)?;
            Some((label.value.clone(), expression))
        };
        by.iter().filter_map(compile).collect()
    }

    pub(super) fn error_since(&self, count: usize) -> bool {
        let mut new = self.problems.iter().skip(count);
        new.any(|problem| problem.severity == Severity::Error)
    }

    /// An expression over events.
    pub(super) fn event_expression(
        &mut self,
        source: Option<&At<String>>,
        key: &str,
        want: Want,
    ) -> Option<Expression> {
        self.expression(source, key, Scope::EVENT, want)
    }

    fn expression(
        &mut self,
        source: Option<&At<String>>,
        key: &str,
        scope: Scope,
        want: Want,
    ) -> Option<Expression> {
        let source = source?;
        let program = self
            .programs
            .entry((source.value.clone(), scope, want))
            .or_insert_with(|| Program::new(&source.value, scope, want).map(Arc::new))
            .clone();
        match Expression::from_program(source, program) {
            Ok(expression) => Some(expression),
            Err(problem) => {
                self.problems.push(Problem { key: key.to_owned(), ..problem });
                None
            }
        }
    }

    /// Checks the annotations and gives their names with those of their templates.
    fn annotations(&mut self, rule: &Rule, spec: &RuleSpec) -> Vec<(String, String)> {
        if spec.annotations.is_empty() {
            return Vec::new();
        }
        let globs: Vec<Glob> = spec.on.iter().map(|pattern| Glob::new(&pattern.value)).collect();
        let mut label_names = self.account_label_names.clone();
        label_names.extend(["account".to_owned(), "alertname".to_owned()]);
        label_names.extend(rule.by_currency.then(|| "currency".to_owned()));
        label_names.extend(spec.by.iter().map(|(name, _)| name.value.clone()));
        label_names.extend(spec.labels.iter().map(|(name, _)| name.value.clone()));
        let samples = self.samples.iter();
        let samples = samples.filter(|sample| globs.iter().any(|glob| glob.matches(&sample.kind)));
        let blank_labels = label_names.iter().map(|name| (name.clone(), String::new())).collect();
        let blank = &self.blank;
        let trial = match &rule.judged {
            Judged::Event { .. } => Trial {
                samples: samples
                    .map(|sample| context(sample, &trial_labels(rule, sample, &label_names)))
                    .collect(),
                blank: context(blank, &blank_labels),
                fields: blank.snapshot(),
                label_names,
                roots: Roots::Event,
            },
            Judged::Series(_) => {
                let view = |event: &Json, labels: &Labels| {
                    let value = (!rule.judged.is_absence()).then_some(SAMPLE_VALUE);
                    self.annotations.series_context(event, labels, value, 1)
                };
                let blank = view(&Json::Null, &blank_labels);
                let samples = samples.map(|sample| {
                    view(&sample.snapshot(), &trial_labels(rule, sample, &label_names))
                });
                Trial {
                    // An absence may be told before any event came.
                    samples: if rule.judged.is_absence() {
                        vec![blank.clone()]
                    } else {
                        samples.collect()
                    },
                    blank,
                    fields: self.blank.snapshot(),
                    label_names,
                    roots: Roots::Series,
                }
            }
        };
        let mut names = Vec::with_capacity(spec.annotations.len());
        for (annotation, source) in spec.annotations.iter().take(ENTRIES_MAX) {
            let key = format!("{}.annotations.{}", rule.name, annotation.value);
            let template = format!("{}#{}", rule.name, annotation.value);
            self.problems.extend(self.annotations.add(&template, &key, source, &trial));
            names.push((annotation.value.clone(), template));
        }
        names
    }
}

/// Whether one of them looks at money.
pub(super) fn uses_money(
    when: Option<&Expression>,
    value: Option<&Expression>,
    by: &[(String, Expression)],
) -> bool {
    let mut all = when.into_iter().chain(value).chain(by.iter().map(|(_, expression)| expression));
    all.any(|expression| expression.uses().money)
}

/// See [`super::RuleRef::digest`].
fn digest(spec: &RuleSpec) -> String {
    let mut parts: Vec<String> = vec![match &spec.kind {
        KindSpec::Event { .. } => "event".to_owned(),
        KindSpec::Gauge { value, .. } => format!("gauge {}", value.value),
        KindSpec::Window { over, value, .. } => {
            let over = match over {
                Over::Sliding(span) => format!("{}ms", span.as_millis()),
                Over::Calendar(period, zone) => {
                    format!("{period:?} {}", zone.iana_name().unwrap_or_default())
                }
            };
            format!("window {over} {}", value.value)
        }
        KindSpec::Absence { .. } => "absence".to_owned(),
    }];
    parts.push(spec.when.as_ref().map_or_else(String::new, |when| format!("when {}", when.value)));
    parts.extend(spec.on.iter().map(|kind| kind.value.clone()));
    parts.push("by".to_owned());
    parts.extend(spec.by.iter().flat_map(|(name, text)| [name.value.clone(), text.value.clone()]));
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(format!("{}:", part.len()));
        hash.update(part);
    }
    hash.finalize().iter().take(DIGEST_BYTES).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

/// Labels for a trial rendering: all names are there, the values as far as the sample has them.
fn trial_labels(rule: &Rule, sample: &Event, names: &BTreeSet<String>) -> Labels {
    let mut labels: Labels = names.iter().map(|name| (name.clone(), String::new())).collect();
    for (name, expression) in &rule.by {
        if let Ok(Some(value)) = expression.label(Inputs::of(sample)) {
            labels.insert(name.clone(), value);
        }
    }
    labels.extend(rule.labels.iter().cloned());
    labels.insert("alertname".to_owned(), rule.alert.clone());
    labels
}

/// The sample events, as they would be stored by default.
fn samples() -> Vec<Event> {
    event::samples()
        .map(|(_, content_type, body)| {
            event::parse(&Incoming {
                account: "default",
                default_currency: None,
                content_type: Some(content_type),
                body,
                received_at: Timestamp::UNIX_EPOCH,
                policy: PayloadPolicy::Redacted,
            })
        })
        .collect()
}
