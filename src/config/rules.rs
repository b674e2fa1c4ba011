//! The rule files: from YAML to [`RuleSpec`]s, which [`RuleSet::compile`] checks further.
//!
//! Nothing is expanded here: `$` belongs to CEL and templates.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::bodies::Names;
use super::files::{self, Source};
use super::section::Section;
use super::words::{ConfigWords, RuleFileWords, RuleWords};
use super::{Account, Context, metrics, units, yaml};
use crate::diagnostic::{At, Diagnostic, Position};
use crate::rules::{
    AccountLabels, Hold, KindSpec, LineSpec, Over, Period, ResolveSpec, RuleSet, RuleSpec,
};

/// Rule files at most.
const FILES_MAX: usize = 256;

/// Reads all rule files and compiles what they hold; the files' texts are added to `sources`. The names are for trying templates out.
pub(super) fn read(
    root: &ConfigWords<'_>,
    context: Context<'_>,
    accounts: &[Account],
    sources: &mut Vec<Source>,
) -> (RuleSet, Names) {
    let mut specs = Vec::new();
    let mut groups = HashMap::new();
    let named = files(root, context);
    for (path, named_at) in named.iter().cloned() {
        let name: Arc<str> = Arc::from(path.to_string_lossy());
        match context.base.read(&path) {
            Ok(text) => {
                read_file(&name, &text, context, &mut groups, &mut specs);
                sources.push(Source { name, text });
            }
            Err(message) => {
                let message = format!("{}: {message}", path.display());
                root.push(Diagnostic::error(named_at, "rule_files", message));
            }
        }
    }
    let none_is_meant = root.is_empty("rule_files") || !named.is_empty();
    context.base.note_rules(specs.len(), none_is_meant);
    if specs.is_empty() {
        root.warning("rule_files", "no rules: no alert can ever fire");
    }
    let names = Names::of(accounts, &specs);
    let accounts: Vec<AccountLabels> = accounts
        .iter()
        .map(|account| AccountLabels { name: account.name.clone(), labels: account.labels.clone() })
        .collect();
    let (set, diagnostics) = RuleSet::compile(specs, metrics::read(root), &accounts);
    for diagnostic in diagnostics {
        root.push(diagnostic);
    }
    (set, names)
}

/// The rule files in order, each once, with the place that named them.
fn files(root: &ConfigWords<'_>, context: Context<'_>) -> Vec<(PathBuf, Position)> {
    let mut files = Vec::new();
    let mut seen = HashSet::new();
    for (n, pattern) in root.rule_files().into_iter().enumerate() {
        let path = format!("rule_files[{n}]");
        let At { value: pattern, position } = pattern;
        let found = context.rules_base.glob(&pattern);
        if found.is_empty() {
            root.push(if files::is_glob(&pattern) {
                Diagnostic::warning(position.clone(), path, "no file matches")
            } else {
                Diagnostic::error(position.clone(), path, "no such file")
            });
        }
        for file in found {
            let identity = std::fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
            if seen.insert(identity) {
                files.push((file, position.clone()));
            }
        }
    }
    if files.len() > FILES_MAX {
        root.error("rule_files", format!("more than {FILES_MAX} files"));
        files.truncate(FILES_MAX);
    }
    files
}

fn read_file(
    name: &Arc<str>,
    text: &str,
    context: Context<'_>,
    groups: &mut HashMap<String, Position>,
    specs: &mut Vec<RuleSpec>,
) {
    let Some(tree) = yaml::parse(name, text, context.diagnostics) else { return };
    let file = RuleFileWords::from(Section::open(
        &tree,
        RuleFileWords::shape(),
        String::new(),
        context.diagnostics,
    ));
    if tree.is_map() && !file.names("groups") {
        let diagnostic =
            Diagnostic::error(file.position.clone(), "", "no groups of rules: cut, or emptied?");
        file.push(diagnostic.hint("groups: [], if it is meant to hold none"));
    }
    for group in file.groups() {
        let Some(name) = group.name() else { continue };
        if let Some(first) = groups.get(&name.value) {
            group.error("name", format!("group given twice, first at {first}"));
        } else if name.value.is_empty() || name.value.contains('/') {
            group.error("name", "expected a name without /");
        }
        groups.entry(name.value.clone()).or_insert(name.position);
        specs
            .extend(group.rules().iter().filter_map(|section| rule(section, &name.value, context)));
    }
}

/// Makes a rule of its keys, which say of which kind it is; none where a key that the kind needs is missing.
fn rule(section: &RuleWords<'_>, group: &str, context: Context<'_>) -> Option<RuleSpec> {
    let kind = Kind::of(section);
    kind.check_keys(section);
    Some(RuleSpec {
        group: group.to_owned(),
        on: section.on(),
        when: section.when(),
        by: if kind == Kind::Absence { Vec::new() } else { section.by() },
        max_series: section.max_series(),
        labels: section.labels(),
        annotations: section.annotations(),
        kind: kind.read(section, context)?,
        alert: section.alert()?,
    })
}

/// The kinds of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Event,
    Gauge,
    Window,
    Absence,
}

/// Keys that not every kind of rule has: which have it, and what to do in the others.
const KEYS: &[(&str, &[Kind], &str)] = &[
    ("active_for", &[Kind::Event], "the alert ends when its condition does; see clear"),
    ("notify_expired", &[Kind::Event], "its alerts do not expire; they are resolved"),
    ("resolve_on", &[Kind::Event], "the alert ends when its condition does; see clear"),
    ("value", &[Kind::Gauge, Kind::Window], "what counts is said in on and when"),
    ("fire", &[Kind::Gauge, Kind::Window], "it fires by itself after absent_for"),
    ("clear", &[Kind::Gauge, Kind::Window], "to judge a value give value and fire"),
    ("for", &[Kind::Gauge, Kind::Window, Kind::Absence], NO_HOLD),
    ("keep_firing_for", &[Kind::Gauge, Kind::Window, Kind::Absence], NO_HOLD),
    ("stale_after", &[Kind::Gauge], "only the latest value of a gauge rule gets old"),
    ("over", &[Kind::Window], "give absent_for or over, in two rules if need be"),
    ("time_zone", &[Kind::Window], "it is for over: day, week or month"),
    ("active_time_intervals", &[Kind::Absence], "mute or activate the route instead"),
    ("by", &[Kind::Event, Kind::Gauge, Kind::Window], "there is one series per account"),
    ("max_series", &[Kind::Event, Kind::Gauge, Kind::Window], "there is one series per account"),
];
const NO_HOLD: &str = "one event is the alert; active_for says how long it lasts";
/// Bounds of `stale_after` and `absent_for`.
const SPAN: [&str; 2] = ["1s", "366d"];
/// Least and greatest `absent_for`. Of a short outage of our own up to 20 seconds may count as absence.
const ABSENCE: [&str; 2] = ["1m", "366d"];
/// Bounds of a sliding `over`.
const OVER: [&str; 2] = ["10s", "366d"];

impl Kind {
    fn of(section: &RuleWords<'_>) -> Self {
        if section.has("absent_for") {
            Self::Absence
        } else if section.has("over") {
            Self::Window
        } else if section.has_any(&["value", "fire"]) {
            Self::Gauge
        } else {
            Self::Event
        }
    }

    /// What it is called, and by which of its keys it is known.
    fn words(self) -> &'static str {
        match self {
            Self::Event => "an event rule, which has neither value, over nor absent_for,",
            Self::Gauge => "a gauge rule, which has value and fire,",
            Self::Window => "a window rule, which has over,",
            Self::Absence => "an absence rule, which has absent_for,",
        }
    }

    fn check_keys(self, section: &Section<'_>) {
        for (key, kinds, hint) in KEYS {
            if section.has(key) && !kinds.contains(&self) {
                let message = format!("{} takes no {key}", self.words());
                section.push(
                    Diagnostic::error(section.place(key), section.at(key), message).hint(*hint),
                );
            }
        }
    }

    fn read(self, section: &RuleWords<'_>, context: Context<'_>) -> Option<KindSpec> {
        let hold = Hold { wait: section.r#for(), keep: section.keep_firing_for() };
        match self {
            Self::Event => {
                let resolve_on = section.has("resolve_on").then(|| {
                    let resolve = section.resolve_on();
                    ResolveSpec { on: resolve.on(), when: resolve.when() }
                });
                let active_for = section.active_for();
                let notify_expired = section.notify_expired();
                Some(KindSpec::Event { active_for, notify_expired, resolve_on })
            }
            Self::Gauge => {
                let stale_after = section
                    .stale_after()
                    .and_then(|text| span(section, "stale_after", &text, SPAN));
                let (value, line) =
                    (needed(section, "value", section.value(), self), line(section, self, hold));
                Some(KindSpec::Gauge { value: value?, line: line?, stale_after })
            }
            Self::Window => {
                let (value, line) =
                    (needed(section, "value", section.value(), self), line(section, self, hold));
                let over = over(section);
                Some(KindSpec::Window { over: over?, value: value?, line: line? })
            }
            Self::Absence => Some(KindSpec::Absence {
                absent_for: span(section, "absent_for", &section.absent_for()?, ABSENCE)?,
                active_time_intervals: context.intervals.named(
                    section,
                    "active_time_intervals",
                    section.active_time_intervals(),
                ),
                hold,
            }),
        }
    }
}

fn line(section: &RuleWords<'_>, kind: Kind, hold: Hold) -> Option<LineSpec> {
    Some(LineSpec {
        fire: needed(section, "fire", section.fire(), kind)?,
        clear: section.clear(),
        hold,
    })
}

/// A key that this kind of rule cannot do without.
fn needed(
    section: &RuleWords<'_>,
    name: &str,
    given: Option<At<String>>,
    kind: Kind,
) -> Option<At<String>> {
    if !section.has(name) {
        let message = format!("missing key {name:?}");
        let example = match (name, kind) {
            ("fire", _) => "fire: value > 100.0",
            (_, Kind::Window) => "value: sum(event.charge), or count()",
            _ => "value: payload.available_credit",
        };
        let diagnostic = Diagnostic::error(section.position.clone(), &*section.path, message);
        section.push(diagnostic.hint(example));
    }
    given
}

/// A duration that has no default, within bounds.
fn span(
    section: &Section<'_>,
    name: &str,
    text: &At<String>,
    [min, max]: [&str; 2],
) -> Option<Duration> {
    let Some(span) = units::duration(&text.value) else {
        section.error(name, "expected a duration such as 30s, 5m, 4h, 30d, 1w");
        return None;
    };
    let within = Some(span) >= units::duration(min) && Some(span) <= units::duration(max);
    if !within {
        section.error(name, format!("must be between {min} and {max}"));
    }
    within.then_some(span)
}

fn over(section: &RuleWords<'_>) -> Option<Over> {
    let text = section.over()?;
    let period = match text.value.as_str() {
        "day" => Period::Day,
        "week" => Period::Week,
        "month" => Period::Month,
        other => {
            if section.has("time_zone") {
                let message = "only days, weeks and months begin somewhere";
                let diagnostic =
                    Diagnostic::error(section.place("time_zone"), section.at("time_zone"), message);
                section.push(diagnostic.hint("it is for over: day, week or month"));
            }
            if units::duration(other).is_none() {
                section
                    .error("over", "expected a duration such as 15m, 4h, 7d, or day, week, month");
                return None;
            }
            return span(section, "over", &text, OVER).map(Over::Sliding);
        }
    };
    let zone = section.time_zone();
    match TimeZone::get(&zone.value) {
        Ok(zone) => Some(Over::Calendar(period, zone)),
        Err(_unknown) => {
            let diagnostic =
                Diagnostic::error(zone.position, section.at("time_zone"), "unknown time zone");
            section.push(diagnostic.hint("a name such as America/Chicago or UTC"));
            None
        }
    }
}
