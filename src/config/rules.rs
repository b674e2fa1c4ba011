//! The rule files: from YAML to [`RuleSpec`]s, which [`RuleSet::compile`] checks further.
//!
//! Nothing is expanded here: `$` belongs to CEL and templates.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::bodies::Names;
use super::files::{self, Source};
use super::section::Section;
use super::words::RULE_FILE;
use super::{Account, Context, yaml};
use crate::problem::{At, Position, Problem};
use crate::rules::{AccountLabels, KindSpec, ResolveSpec, RuleSet, RuleSpec};

/// Rule files at most.
const FILES_MAX: usize = 256;

/// Reads all rule files and compiles what they hold; the files' texts are added to `sources`. The names are for trying templates out.
pub(super) fn read(
    root: &Section<'_>,
    context: Context<'_>,
    accounts: &[Account],
    sources: &mut Vec<Source>,
) -> (RuleSet, Names) {
    let mut specs = Vec::new();
    let mut groups = HashMap::new();
    for (path, named_at) in files(root, context) {
        let name: Arc<str> = Arc::from(path.to_string_lossy());
        match files::read(&path) {
            Ok(text) => {
                read_file(&name, &text, context, &mut groups, &mut specs);
                sources.push(Source { name, text });
            }
            Err(message) => {
                let message = format!("{}: {message}", path.display());
                root.push(Problem::error(named_at, "rule_files", message));
            }
        }
    }
    if specs.is_empty() {
        root.warning("rule_files", "no rules: nothing will ever ring");
    }
    let names = Names::of(accounts, &specs);
    let accounts: Vec<AccountLabels> = accounts
        .iter()
        .map(|account| AccountLabels { name: account.name.clone(), labels: account.labels.clone() })
        .collect();
    let (set, problems) = RuleSet::compile(specs, Vec::new(), &accounts);
    for problem in problems {
        root.push(problem);
    }
    (set, names)
}

/// The rule files in order, each once, with the place that named them.
fn files(root: &Section<'_>, context: Context<'_>) -> Vec<(PathBuf, Position)> {
    let mut files = Vec::new();
    let mut seen = HashSet::new();
    for (n, pattern) in root.texts("rule_files").into_iter().enumerate() {
        let path = format!("rule_files[{n}]");
        let At { value: pattern, position } = pattern;
        let found = files::glob(context.base, &pattern);
        if found.is_empty() {
            root.push(if files::is_glob(&pattern) {
                Problem::warning(position.clone(), path, "no file matches")
            } else {
                Problem::error(position.clone(), path, "no such file")
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
    let Some(tree) = yaml::parse(name, text, context.problems) else { return };
    let file = Section::open(&tree, &RULE_FILE, String::new(), context.problems);
    for group in file.sections("groups") {
        let Some(name) = group.text("name") else { continue };
        if let Some(first) = groups.get(&name.value) {
            group.error("name", format!("group given twice, first at {first}"));
        } else if name.value.is_empty() || name.value.contains('/') {
            group.error("name", "expected a name without /");
        }
        groups.entry(name.value.clone()).or_insert(name.position);
        specs.extend(
            group.sections("rules").iter().filter_map(|section| rule(section, &name.value)),
        );
    }
}

fn rule(section: &Section<'_>, group: &str) -> Option<RuleSpec> {
    let resolve_on = section.has("resolve_on").then(|| {
        let resolve = section.section("resolve_on");
        ResolveSpec { on: resolve.texts("on"), when: resolve.text("when") }
    });
    Some(RuleSpec {
        group: group.to_owned(),
        on: section.texts("on"),
        when: section.text("when"),
        by: section.pairs("by"),
        max_series: 1_000,
        kind: KindSpec::Event {
            active_for: section.duration("active_for"),
            notify_expired: section.flag("notify_expired"),
            resolve_on,
        },
        labels: section.pairs("labels"),
        annotations: section.pairs("annotations"),
        alert: section.text("alert")?,
    })
}
