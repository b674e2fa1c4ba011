//! `tollbell init`: a small configuration that works, from a few questions or options, beside the shipped rules and their tests.
//!
//! Writes into a folder that has none of it yet, and overwrites nothing. What is not answered stays out of the file, or as a
//! comment that says how to add it; secrets are named by file or variable, never written.

mod answers;
mod rules;
mod text;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use self::answers::Answers;
use super::args::Exit;
use super::{output, test};
use crate::config::{self, Candidate};

/// Name of the main file.
const MAIN: &str = "tollbell.yaml";

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder to write to
    #[arg(default_value = "tollbell", value_name = "FOLDER")]
    folder: PathBuf,
    /// Ask nothing: what no option says is left out
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    answers: Answers,
}

pub(super) fn run(args: Args) -> anyhow::Result<Exit> {
    let Args { folder, yes, mut answers } = args;
    let main = folder.join(MAIN);
    if main.exists() || folder.join("rules").exists() {
        output::error(&format!(
            "{} has a configuration or rules already; name another folder",
            folder.display()
        ));
        return Ok(Exit::Usage);
    }
    if !yes {
        answers.ask()?;
    }
    if let Err(mistake) = answers.check() {
        output::error(&mistake);
        return Ok(Exit::Usage);
    }
    let is_new = !folder.exists();
    if let Err(error) = make(&folder, &main, &answers) {
        remove(&folder, &main, is_new);
        return Err(error);
    }
    for path in answers.files().filter(|path| !path.exists()) {
        output::line(&format!("{} is not there yet; `serve` needs it\n", path.display()));
    }
    for line in next_steps(&main, &answers) {
        output::line(&line);
    }
    Ok(Exit::Ok)
}

/// Writes the configuration and its rules, checks them, and runs the rules' tests.
fn make(folder: &Path, main: &Path, answers: &Answers) -> anyhow::Result<()> {
    write(folder, answers)?;
    let loaded = Candidate::new(main, &[]).load(&config::system_env);
    output::problems(&loaded);
    if loaded.config.is_none() {
        bail!("{} would have errors: nothing is written", main.display());
    }
    let files = rules::test_files(folder);
    let (mut failing, mut left_out) = (Vec::new(), 0);
    for file in &files {
        let found = test::failures(file)?;
        if found.is_empty() || file.ends_with(rules::OWN_TESTS) {
            failing.extend(found);
        } else {
            left_out += found.len();
            failing.extend(rules::leave_out(file, &found, test::failures)?);
        }
    }
    if !failing.is_empty() {
        bail!("cases of the rules' tests do not hold: {}: nothing is written", failing.join("; "));
    }
    output::line(&format!("{}: written, and checked", main.display()));
    let rules = folder.join("rules");
    output::line(&format!("{}: the shipped rules, with your thresholds", rules.display()));
    if left_out > 0 {
        let cases = output::count(
            left_out,
            "case of the shipped tests was",
            "cases of the shipped tests were",
        );
        output::line(&format!("  {cases} left out: they are about other thresholds than yours"));
    }
    let files = output::count(files.len(), "file", "files");
    output::line(&format!("  the tests beside them hold ({files})\n"));
    Ok(())
}

/// Takes away what was written: neither was there before, or nothing would have been written.
fn remove(folder: &Path, main: &Path, is_new: bool) {
    // What cannot be taken away stays; the error is the one that led here.
    drop(std::fs::remove_file(main));
    drop(std::fs::remove_dir_all(folder.join("rules")));
    if is_new {
        drop(std::fs::remove_dir(folder));
    }
}

fn write(folder: &Path, answers: &Answers) -> anyhow::Result<()> {
    let put = |path: &Path, text: &str| {
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(path, text))
            .with_context(|| format!("cannot write {}", path.display()))
    };
    for (name, text) in rules::files(answers)? {
        put(&folder.join("rules").join(name), &text)?;
    }
    put(&folder.join(MAIN), &text::main(answers))
}

/// What to do now: three things.
fn next_steps(main: &Path, answers: &Answers) -> Vec<String> {
    let main = main.display();
    let variables: Vec<String> = answers.unset_variables();
    let first = if variables.is_empty() {
        format!("  1. tollbell check --config {main}")
    } else {
        let exports: Vec<String> =
            variables.iter().map(|name| format!("export {name}=…")).collect();
        format!(
            "  1. {}   # Mission Control > Account > Keys & Credentials > Public Key\n     tollbell check --config {main}",
            exports.join("; ")
        )
    };
    let second = match answers.receiver() {
        Some(name) => format!(
            "  2. tollbell notify test {name} --config {main}   # one test notification to everybody\n     tollbell serve --config {main}"
        ),
        None => format!(
            "  2. Nobody is notified yet: add a receiver to {main}; then\n     tollbell serve --config {main}"
        ),
    };
    let url = answers.public_url.as_deref().unwrap_or("https://<your host>");
    let names: Vec<String> = answers.paths().iter().map(|path| format!("{url}{path}")).collect();
    let third = format!(
        "  3. Give Telnyx {}   # on the messaging profile, the voice application, the fax application\n     tollbell status --config {main}   # whether all is well, any time",
        names.join(" and ")
    );
    vec!["Next:\n".to_owned(), first, second, third]
}

#[cfg(test)]
mod tests;
