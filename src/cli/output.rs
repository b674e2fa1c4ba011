//! The only file that prints.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Loaded;
use crate::diagnostic::Diagnostic;

/// Whether something could not be written to standard output.
static LOST: AtomicBool = AtomicBool::new(false);

/// Prints a line to standard output. A reader that went away (`| head`) is no error; any other failure is told once, and
/// [`is_lost`] knows of it.
pub(super) fn line(text: &str) {
    let mut out = io::stdout().lock();
    let Err(why) = writeln!(out, "{text}").and_then(|()| out.flush()) else { return };
    if why.kind() != io::ErrorKind::BrokenPipe && !LOST.swap(true, Ordering::Relaxed) {
        error(&format!("cannot write to standard output: {why}"));
    }
}

/// Whether a part of what was printed is lost.
pub(super) fn is_lost() -> bool {
    LOST.load(Ordering::Relaxed)
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
    for problem in &loaded.diagnostics {
        drop(writeln!(io::stderr().lock(), "{problem}"));
    }
}

/// Prints problems to standard error.
pub(super) fn all_problems(problems: &[&Diagnostic]) {
    for problem in problems {
        drop(writeln!(io::stderr().lock(), "{problem}"));
    }
}

/// Prints how far a long command is to standard error.
pub(super) fn progress(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// A line on the terminal that says how far something is, over and over in the same place. Where standard error is no
/// terminal it says nothing.
#[derive(Debug, Default)]
pub(super) struct Moving {
    shown_at: Option<Instant>,
}

impl Moving {
    /// How often it changes at most: nobody reads faster.
    const EVERY: Duration = Duration::from_millis(100);

    /// Shows this in place of what it showed before.
    pub(super) fn show(&mut self, text: &str) {
        let now = Instant::now();
        if self.shown_at.is_some_and(|at| now.duration_since(at) < Self::EVERY)
            || !io::stderr().is_terminal()
        {
            return;
        }
        self.shown_at = Some(now);
        let mut out = io::stderr().lock();
        drop(write!(out, "\r\x1b[K{}", clean(text)).and_then(|()| out.flush()));
    }
}

/// What comes next begins at the start of the line.
impl Drop for Moving {
    fn drop(&mut self) {
        if self.shown_at.is_some() {
            drop(write!(io::stderr().lock(), "\r\x1b[K"));
        }
    }
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

/// Prints rows under headings as CSV: quoted as in RFC 4180, each record on one line that ends with a line feed.
pub(super) fn csv(headings: &[&str], rows: &[Vec<String>]) {
    line(&csv_text(headings, rows));
}

/// What [`csv`] prints.
fn csv_text(headings: &[&str], rows: &[Vec<String>]) -> String {
    let record = |cells: Vec<&str>| cells.into_iter().map(csv_cell).collect::<Vec<_>>().join(",");
    let cells = rows.iter().map(|row| row.iter().map(String::as_str).collect());
    [headings.to_vec()].into_iter().chain(cells).map(record).collect::<Vec<_>>().join("\n")
}

/// One cell. What a spreadsheet would compute rather than show gets an apostrophe in front: a name that a stranger chose
/// may be `=HYPERLINK(…)`. Numbers stay numbers, whatever their sign.
fn csv_cell(text: &str) -> String {
    let text = clean(text);
    let computed = match text.trim_start().chars().next() {
        Some('=' | '@' | '＝' | '＠' | '＋' | '－') => true,
        Some('+' | '-') => !is_number(&text),
        _ => false,
    };
    let text = if computed { format!("'{text}") } else { text };
    let quoted = text.contains([',', '"']) || text.trim() != text;
    if quoted { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// Digits with a sign, a point and an exponent, where there are such, and nothing else.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = |text: &str| text.strip_prefix(['+', '-']).is_some_and(digits) || digits(text);
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) =
        text.split_once(['e', 'E']).map_or((text, None), |(m, e)| (m, Some(e)));
    let (whole, part) = mantissa.split_once('.').map_or((mantissa, None), |(w, p)| (w, Some(p)));
    digits(whole) && part.is_none_or(digits) && exponent.is_none_or(unsigned)
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

    #[test]
    fn csv_is_quoted_and_computes_nothing() {
        for (cell, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            (" blank ", "\" blank \""),
            ("two\r\nlines", "two  lines"),
            ("\u{1b}[2J", "\" [2J\""),
            ("-12.50", "-12.50"),
            ("+15550100", "+15550100"),
            ("-1.5e-7", "-1.5e-7"),
            ("1911.6248", "1911.6248"),
            ("-", "'-"),
            ("-.", "'-."),
            ("-1.", "'-1."),
            ("-1+cmd|' /C calc'!A0", "'-1+cmd|' /C calc'!A0"),
            ("+1 555 0100", "'+1 555 0100"),
            ("=1", "'=1"),
            ("=HYPERLINK(\"http://x\",\"y\")", "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\""),
            ("\t=1", "' =1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("＝1", "'＝1"),
        ] {
            assert_eq!(csv_cell(cell), expected, "{cell}");
        }
        let rows = [["a,b", "-1"], ["", "2"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(csv_text(&["NAME", "COST"], &rows), "NAME,COST\n\"a,b\",-1\n,2");
    }
}
