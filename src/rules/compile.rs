//! From rules as written to rules that can judge: everything that can be wrong is found here, all at once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::annotations::Annotations;
use super::checker::Scope;
use super::expression::Program;
use super::index::{Glob, Hit, Index, check_pattern};
use super::judged::digest;
use super::moneyless;
use super::names;
use super::rule::Rule;
use super::suggest::did_you_mean;
use super::trial::samples;
use super::{
    AccountLabels, Expression, KindSpec, MetricSpec, ResolveSpec, RuleSet, RuleSpec, Want,
};
use crate::diagnostic::{At, Diagnostic, Position, Severity, TextDiagnostic};
use crate::event::{self, Event};

/// Problems after which kinds are no longer compared for likeness, which takes long for thousands of them.
const SUGGESTIONS_MAX: usize = 100;

impl RuleSet {
    /// Compiles rules for the given accounts. A rule with an error is left out; whoever loads a configuration
    /// refuses the whole when any problem is an error.
    ///
    /// `metrics` are the user's own series, made from the same events.
    pub fn compile(
        specs: Vec<RuleSpec>,
        metrics: Vec<MetricSpec>,
        accounts: &[AccountLabels],
    ) -> (Self, Vec<Diagnostic>) {
        Compiler::new(accounts).all(specs, metrics, accounts)
    }
}

/// What compiles all rules and metrics of a configuration.
pub(super) struct Compiler {
    pub(super) problems: Vec<Diagnostic>,
    /// Rules often say the same; parsing is by far the most of the work.
    programs: HashMap<(String, Scope, Want), Result<Arc<Program>, TextDiagnostic>>,
    pub(super) annotations: Annotations,
    pub(super) samples: Vec<Event>,
    pub(super) blank: Event,
    pub(super) account_label_names: BTreeSet<String>,
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
    ) -> (RuleSet, Vec<Diagnostic>) {
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
            if rule.as_ref().is_some_and(|rule| rule.by_currency) {
                self.moneyless(&fires, &format!("{name}.on"), &spec.alert.position);
            }
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
        self.problems.push(Diagnostic::error(at.clone(), key, message));
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
            // A family is told before one of its kinds is known.
            if !known.iter().any(|kind| glob.matches(kind)) && !event::is_family(&pattern.value) {
                let message = format!("no known kind of event is `{}`", pattern.value);
                let problem = Diagnostic::warning(pattern.position.clone(), key, message);
                let worth_it =
                    !pattern.value.contains('*') && self.problems.len() < SUGGESTIONS_MAX;
                let near = || did_you_mean(&pattern.value, known.iter().copied());
                self.problems.push(match worth_it.then(near).flatten() {
                    Some(hint) => problem.hint(hint),
                    None => problem,
                });
            }
            kinds.push(pattern.value.clone());
        }
        kinds
    }

    /// Warns of money at kinds that never tell any.
    pub(super) fn moneyless(&mut self, kinds: &[String], key: &str, at: &Position) {
        let warning = moneyless::warning(kinds);
        self.problems.extend(warning.map(|it| Diagnostic::warning(at.clone(), key, it)));
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
            digest: digest(spec).into(),
            max_series: usize::try_from(spec.max_series).unwrap_or(usize::MAX),
            judged,
        };
        rule.annotations = self.annotations(&rule, spec);
        Some(rule)
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

    pub(super) fn expression(
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
                self.problems.push(Diagnostic { key: key.to_owned(), ..problem });
                None
            }
        }
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
