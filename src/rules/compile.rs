//! From rules as written to rules that can judge: everything that can be wrong is found here, all at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::annotations::{Annotations, Trial};
use super::checker::{Flaw, Scope};
use super::expression::{LABEL_BYTES_MAX, Program, on_large_stack};
use super::index::{Glob, Hit, Index, check_pattern};
use super::suggest::did_you_mean;
use super::{
    AccountLabels, Expression, Inputs, KindSpec, Labels, MetricSpec, ResolveSpec, RuleSet,
    RuleSpec, Want,
};
use crate::event::{self, Event, Incoming, PayloadPolicy};
use crate::problem::{At, Position, Problem, Severity};

/// Most `by` labels, fixed labels or annotations of one rule, each.
const ENTRIES_MAX: usize = 32;
/// Longest group or alert name, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Problems after which kinds are no longer compared for likeness, which takes long for thousands of them.
const SUGGESTIONS_MAX: usize = 100;
/// Labels that tollbell sets itself.
const RESERVED_LABELS: &[&str] = &["account", "alertname", "currency"];

/// A rule that can judge.
#[derive(Debug)]
pub(super) struct Rule {
    /// `group/alert`
    pub(super) name: Arc<str>,
    pub(super) alert: String,
    pub(super) when: Option<Expression>,
    pub(super) resolve_when: Option<Expression>,
    pub(super) by: Vec<(String, Expression)>,
    pub(super) labels: Vec<(String, String)>,
    /// Name of the annotation, name of its template.
    pub(super) annotations: Vec<(String, String)>,
    /// `when` or `by` looks at money, so amounts of different currencies are different alerts.
    pub(super) by_currency: bool,
    pub(super) active_for: Duration,
    pub(super) notify_expired: bool,
}

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
        drop(metrics);
        on_large_stack(|| Compiler::new(accounts).all(specs, accounts)).unwrap_or_else(|error| {
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

struct Compiler {
    problems: Vec<Problem>,
    /// Rules often say the same; parsing is by far the most of the work.
    programs: HashMap<(String, Want), Result<Arc<Program>, Flaw>>,
    annotations: Annotations,
    samples: Vec<Event>,
    blank: Event,
    account_label_names: BTreeSet<String>,
}

impl Compiler {
    fn new(accounts: &[AccountLabels]) -> Self {
        Self {
            problems: Vec::new(),
            programs: HashMap::new(),
            annotations: Annotations::default(),
            samples: samples(),
            blank: Event::tollbell("", "", String::new(), Timestamp::UNIX_EPOCH, json!({})),
            account_label_names: accounts
                .iter()
                .flat_map(|account| account.labels.keys().cloned())
                .collect(),
        }
    }

    fn all(mut self, specs: Vec<RuleSpec>, accounts: &[AccountLabels]) -> (RuleSet, Vec<Problem>) {
        let mut rules = Vec::with_capacity(specs.len());
        let mut patterns = Vec::with_capacity(specs.len());
        let mut seen = HashMap::<String, Position>::new();
        for spec in specs {
            let name = format!("{}/{}", spec.group, spec.alert.value);
            if let Some(first) = seen.get(&name) {
                let message = format!("rule `{name}` is already defined at {first}");
                self.error(&spec.alert.position, &name, message);
                continue;
            }
            seen.insert(name.clone(), spec.alert.position.clone());
            let problems_before = self.problems.len();
            let fires = self.kinds(&spec.on, &format!("{name}.on"), &spec.alert.position);
            let resolves = self.resolve_kinds(&spec, &name);
            let rule = self.rule(&name, &spec);
            if !self.error_since(problems_before) {
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
        (RuleSet { rules, index, annotations: self.annotations, accounts }, self.problems)
    }

    fn error(&mut self, at: &Position, key: &str, message: impl Into<String>) {
        self.problems.push(Problem::error(at.clone(), key, message));
    }

    fn resolve_kinds(&mut self, spec: &RuleSpec, name: &str) -> Vec<String> {
        let KindSpec::Event { resolve_on: Some(ResolveSpec { on, .. }), .. } = &spec.kind else {
            return Vec::new();
        };
        self.kinds(on, &format!("{name}.resolve_on.on"), &spec.alert.position)
    }

    /// The patterns of an `on`; what is wrong with them is noted, `at` being where the rule stands.
    fn kinds(&mut self, on: &[At<String>], key: &str, at: &Position) -> Vec<String> {
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

    /// The rule, as far as it has no error.
    fn rule(&mut self, name: &str, spec: &RuleSpec) -> Rule {
        for part in [&spec.group, &spec.alert.value] {
            if !is_name(part) {
                let message = format!(
                    "a group or alert name has 1 to {NAME_BYTES_MAX} bytes and no control characters"
                );
                self.error(&spec.alert.position, name, message);
            }
        }
        let KindSpec::Event { active_for, notify_expired, resolve_on } = &spec.kind else {
            unimplemented!()
        };
        if active_for.is_zero() {
            let key = format!("{name}.active_for");
            self.error(&spec.alert.position, &key, "an alert has to last");
        }
        let when = spec.when.as_ref();
        let when = self.expression(when, &format!("{name}.when"), Want::Bool);
        let resolve_when = resolve_on.as_ref().and_then(|resolve| resolve.when.as_ref());
        let resolve_when =
            self.expression(resolve_when, &format!("{name}.resolve_on.when"), Want::Bool);
        self.label_names(name, spec);
        let by: Vec<(String, Expression)> = spec
            .by
            .iter()
            .filter_map(|(label, source)| {
                let key = format!("{name}.by.{}", label.value);
                let expression = self.expression(Some(source), &key, Want::Label)?;
                Some((label.value.clone(), expression))
            })
            .collect();
        let pair =
            |(name, text): &(At<String>, At<String>)| (name.value.clone(), text.value.clone());
        let uses_money = Expression::uses_money;
        let mut rule = Rule {
            by_currency: when.as_ref().is_some_and(uses_money)
                || by.iter().any(|(_, expression)| uses_money(expression)),
            name: name.into(),
            alert: spec.alert.value.clone(),
            when,
            resolve_when,
            by,
            labels: spec.labels.iter().map(pair).collect(),
            annotations: Vec::new(),
            active_for: *active_for,
            notify_expired: *notify_expired,
        };
        rule.annotations = self.annotations(&rule, spec);
        rule
    }

    fn error_since(&self, count: usize) -> bool {
        let mut new = self.problems.iter().skip(count);
        new.any(|problem| problem.severity == Severity::Error)
    }

    fn expression(
        &mut self,
        source: Option<&At<String>>,
        key: &str,
        want: Want,
    ) -> Option<Expression> {
        let source = source?;
        let program = self
            .programs
            .entry((source.value.clone(), want))
            .or_insert_with(|| Program::new(&source.value, Scope::EVENT, want).map(Arc::new))
            .clone();
        match Expression::from_program(source, program) {
            Ok(expression) => Some(expression),
            Err(problem) => {
                self.problems.push(Problem { key: key.to_owned(), ..problem });
                None
            }
        }
    }

    /// Notes what is wrong with the names of `by`, `labels` and `annotations`, and with fixed label values.
    fn label_names(&mut self, rule: &str, spec: &RuleSpec) {
        let mut seen = BTreeMap::<&str, &str>::new();
        for (section, entries) in [("by", &spec.by), ("labels", &spec.labels)] {
            for (label, _) in entries {
                let key = format!("{rule}.{section}.{}", label.value);
                if RESERVED_LABELS.contains(&label.value.as_str()) {
                    let message = format!("tollbell sets the label `{}` itself", label.value);
                    self.error(&label.position, &key, message);
                } else if !is_label_name(&label.value) {
                    self.error(&label.position, &key, LABEL_NAME);
                } else if let Some(other) = seen.insert(&label.value, section) {
                    let message = format!("the label is already set in `{other}`");
                    self.error(&label.position, &key, message);
                }
            }
        }
        for (label, text) in &spec.labels {
            if text.value.len() > LABEL_BYTES_MAX {
                let key = format!("{rule}.labels.{}", label.value);
                let message = format!("a label value longer than {LABEL_BYTES_MAX} bytes");
                self.error(&text.position, &key, message);
            }
        }
        let mut annotations = BTreeSet::new();
        for (annotation, _) in &spec.annotations {
            let key = format!("{rule}.annotations.{}", annotation.value);
            if !is_label_name(&annotation.value) {
                self.error(&annotation.position, &key, LABEL_NAME);
            } else if !annotations.insert(&annotation.value) {
                self.error(&annotation.position, &key, "the annotation is already there");
            }
        }
        for (section, entries) in
            [("by", &spec.by), ("labels", &spec.labels), ("annotations", &spec.annotations)]
        {
            if let Some((name, _)) = entries.get(ENTRIES_MAX) {
                let key = format!("{rule}.{section}");
                self.error(&name.position, &key, format!("more than {ENTRIES_MAX} entries"));
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
        let trial = Trial {
            samples: samples
                .map(|sample| (sample, trial_labels(rule, sample, &label_names)))
                .collect(),
            blank: &self.blank,
            label_names,
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

const LABEL_NAME: &str = "expected letters, digits and _, no digit first and not two _";

/// Whether Prometheus takes this as the name of a label that users set.
fn is_label_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= NAME_BYTES_MAX
        && !name.starts_with("__")
        && bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_name(name: &str) -> bool {
    !name.trim().is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.contains(|c: char| c.is_control())
}

/// Labels for a trial rendering: all names are there, the values as far as the sample has them.
fn trial_labels(rule: &Rule, sample: &Event, names: &BTreeSet<String>) -> Labels {
    let mut labels: Labels = names.iter().map(|name| (name.clone(), String::new())).collect();
    for (name, expression) in &rule.by {
        if let Ok(Some(value)) = expression.label(Inputs { event: sample }) {
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
