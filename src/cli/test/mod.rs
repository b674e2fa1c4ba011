//! `tollbell test`

mod junit;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{Exit, Format, output};
use crate::config::{self, CaseFile, Config};
use crate::diagnostic::{Diagnostic, Position, Severity};
use crate::policy::policy;
use crate::simulation::{self, Account, Case, Failure, Stage};

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files of cases; see docs/testing-rules.md
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Run them against this configuration instead of the one that a file names
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only cases whose name contains this text
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// How the results are printed
    #[arg(long, default_value = "text", value_enum)]
    format: Format,
    /// Also write the results to this file, as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// What one file of cases gave.
#[derive(Debug)]
struct FileReport {
    /// The file as the user named it.
    file: String,
    /// What is wrong with it, or with what it is run against; then no case was run.
    problems: Vec<Diagnostic>,
    /// Its cases.
    results: Vec<CaseReport>,
}

/// How one case ended.
#[derive(Debug, Serialize)]
struct CaseReport {
    file: String,
    name: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<CaseFailure>,
}

/// A failure, as it is told.
#[derive(Debug, Serialize)]
struct CaseFailure {
    /// Where the step, or what it expects, stands; absent when judging panicked.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
    /// The time of the step from the start of the case, such as `1m 30s`.
    at: String,
    /// The time then.
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<Timestamp>,
    differences: Vec<Difference>,
}

/// What is different.
#[derive(Debug, Serialize)]
struct Difference {
    what: &'static str,
    lines: Vec<String>,
}

/// What `test --format json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    ok: bool,
    passed: usize,
    failed: usize,
    problems: Vec<&'a Diagnostic>,
    cases: Vec<&'a CaseReport>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let files: Vec<FileReport> = args.files.iter().map(|path| run_file(path, args)).collect();
    let results: Vec<&CaseReport> = files.iter().flat_map(|file| &file.results).collect();
    let problems: Vec<&Diagnostic> = files.iter().flat_map(|file| &file.problems).collect();
    let passed = results.iter().filter(|result| result.ok).count();
    let failed = results.len() - passed;
    let empty = results.is_empty() && problems.is_empty();
    if let Some(path) = &args.junit {
        let written = std::fs::write(path, junit::report(&files));
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    match args.format {
        Format::Json => {
            let ok = failed == 0 && problems.is_empty() && !empty;
            output::json(&Report {
                ok,
                passed,
                failed,
                problems: problems.clone(),
                cases: results,
            })?;
        }
        Format::Text => {
            output::all_problems(&problems);
            for result in &results {
                output::line(&result.text());
            }
            let mut ends = vec![format!("{passed} passed")];
            ends.extend((failed > 0).then(|| format!("{failed} failed")));
            let cases = output::count(results.len(), "case", "cases");
            output::line(&format!("{cases}: {}", ends.join(", ")));
        }
    }
    if empty {
        output::error("no case has this text in its name");
    }
    Ok(match (problems.is_empty() && !empty, failed) {
        (false, _) => Exit::Usage,
        (true, 0) => Exit::Ok,
        (true, _) => Exit::Failed,
    })
}

/// Runs one file's cases, unless something is wrong with it.
fn run_file(path: &Path, args: &Args) -> FileReport {
    let file = path.to_string_lossy().into_owned();
    let wrong = |problems| FileReport { file: file.clone(), problems, results: Vec::new() };
    let CaseFile { candidate, cases, diagnostics: problems } =
        config::cases(path, args.config.as_deref());
    let Some(candidate) = candidate.filter(|_| problems.is_empty()) else {
        return wrong(problems);
    };
    let loaded = candidate.load(&config::system_env);
    let Some(config) = loaded.config else {
        let errors = loaded.diagnostics.into_iter();
        return wrong(errors.filter(|problem| problem.severity == Severity::Error).collect());
    };
    let stage = stage(config);
    let problems: Vec<Diagnostic> = cases.iter().flat_map(|case| stage.check(case)).collect();
    if !problems.is_empty() {
        return wrong(problems);
    }
    let wanted =
        |case: &&Case| args.filter.as_ref().is_none_or(|text| case.name.contains(text.as_str()));
    let results = cases.iter().filter(wanted).map(|case| run_case(&stage, case, &file)).collect();
    FileReport { file, problems, results }
}

fn stage(config: Config) -> Stage {
    let accounts = config
        .accounts
        .iter()
        .map(|account| Account { name: account.name.clone(), currency: account.currency.clone() });
    Stage {
        accounts: accounts.collect(),
        payload: config.store.payload,
        templates: config.templates.clone(),
        policy: policy(config),
    }
}

fn run_case(stage: &Stage, case: &Case, file: &str) -> CaseReport {
    let failure = match catch_unwind(AssertUnwindSafe(|| simulation::run(stage, case))) {
        Ok(ended) => ended.err().map(CaseFailure::of),
        Err(_panic) => Some(CaseFailure {
            position: None,
            at: String::new(),
            now: None,
            differences: vec![Difference {
                what: "judging panicked: please report it",
                lines: Vec::new(),
            }],
        }),
    };
    let (file, name) = (file.to_owned(), case.name.clone());
    CaseReport { file, name, ok: failure.is_none(), failure }
}

impl CaseFailure {
    fn of(failure: Failure) -> Self {
        let Failure { place, at, now, mismatches } = failure;
        let differences =
            mismatches.into_iter().map(|one| Difference { what: one.what, lines: one.lines });
        Self {
            position: Some(place),
            at: span(at),
            now: Some(now),
            differences: differences.collect(),
        }
    }

    /// What it is about, on one line.
    fn heading(&self) -> String {
        let place = self.position.as_ref().map_or_else(String::new, ToString::to_string);
        let now = self.now.map_or_else(String::new, |now| format!(", at {} ({now})", self.at));
        format!("{place}{now}")
    }

    /// The lines below the heading.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for Difference { what, lines: differing } in &self.differences {
            lines.push(format!("{what}:"));
            lines.extend(differing.iter().map(|line| format!("  {}", output::clean(line))));
        }
        lines
    }
}

/// A time of a case, such as `1m 30s`.
fn span(at: Duration) -> String {
    SignedDuration::try_from(at).map_or_else(|_| format!("{at:?}"), |at| format!("{at:#}"))
}

impl CaseReport {
    /// One line; of a case that does not hold, why.
    fn text(&self) -> String {
        let word = if self.ok { "ok" } else { "FAIL" };
        let mut lines = vec![format!("{word:5} {}: {}", self.file, output::clean(&self.name))];
        if let Some(failure) = &self.failure {
            lines.push(format!("      {}", failure.heading()));
            lines.extend(failure.lines().iter().map(|line| format!("      {line}")));
        }
        lines.join("\n")
    }
}
