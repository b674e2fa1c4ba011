//! The only file that prints.

use std::io::{self, Write as _};

use crate::config::Loaded;
use crate::problem::Problem;

/// Prints a line to standard output. A reader that went away (`| head`) is no error.
pub(super) fn line(text: &str) {
    let mut out = io::stdout().lock();
    drop(writeln!(out, "{text}").and_then(|()| out.flush()));
}

/// Prints an error to standard error.
pub(super) fn error(text: &str) {
    drop(writeln!(io::stderr().lock(), "tollbell: {text}"));
}

/// Asks on standard error; the answer is typed behind it.
pub(super) fn ask(question: &str) {
    let mut out = io::stderr().lock();
    drop(write!(out, "{question} ").and_then(|()| out.flush()));
}

/// A number of things: `1 error`, `2 errors`.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Prints a value as JSON.
pub(super) fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Prints the problems of a configuration to standard error.
pub(super) fn problems(loaded: &Loaded) {
    for problem in &loaded.problems {
        drop(writeln!(io::stderr().lock(), "{problem}"));
    }
}

/// Prints problems to standard error.
pub(super) fn all_problems(problems: &[&Problem]) {
    for problem in problems {
        drop(writeln!(io::stderr().lock(), "{problem}"));
    }
}

/// Prints how far a long command is to standard error.
pub(super) fn progress(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Prints rows under headings, columns aligned; the last column is not padded.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) {
    line(&table_text(headings, rows));
}

/// What [`table`] prints.
pub(super) fn table_text(headings: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect()).collect();
    let widths: Vec<usize> = headings
        .iter()
        .enumerate()
        .map(|(column, heading)| {
            let cells =
                rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain([heading.len()]).max().unwrap_or_default()
        })
        .collect();
    let aligned = |cells: Vec<&str>| {
        let last = cells.len().saturating_sub(1);
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                let width = if column == last { 0 } else { *width };
                format!("{cell:width$}")
            })
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let cells = rows.iter().map(|row| row.iter().map(String::as_str).collect());
    [headings.to_vec()].into_iter().chain(cells).map(aligned).collect::<Vec<_>>().join("\n")
}

/// Text from strangers on one line: what would steer the terminal, or turn the order of letters, becomes a blank.
pub(super) fn clean(text: &str) -> String {
    let steers =
        |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.replace(steers, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_holds_nothing_that_steers_the_terminal() {
        let rows =
            [["é", "1", "\u{1b}[2Jx"], ["long", "", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table_text(&["A", "BB", "C"], &rows), "A     BB  C\né     1    [2Jx\nlong");
    }
}
