//! Results as JUnit XML, which CI systems read.

use std::fmt::Write as _;

use super::{CaseReport, FileReport};

/// The whole document: a suite for each file, a case for each case, an error for a file that is wrong.
pub(super) fn report(files: &[FileReport]) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let (tests, failures, errors) = files
        .iter()
        .map(counts)
        .fold((0, 0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1, sum.2 + of.2));
    open(&mut text, "testsuites", "tollbell test", (tests, failures, errors));
    for file in files {
        open(&mut text, "testsuite", &file.file, counts(file));
        if !file.problems.is_empty() {
            let problems: Vec<String> = file.problems.iter().map(ToString::to_string).collect();
            let first = problems.first().map_or("", String::as_str);
            case(&mut text, &file.file, "the file", Some(("error", first, &problems.join("\n"))));
        }
        for result in &file.results {
            let CaseReport { file, name, failure, .. } = result;
            let text_of =
                failure.as_ref().map(|failure| (failure.heading(), failure.lines().join("\n")));
            let failed = text_of.as_ref().map(|(heading, lines)| ("failure", &**heading, &**lines));
            case(&mut text, file, name, failed);
        }
        text.push_str("</testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

/// Tests, failures and errors of a file.
fn counts(file: &FileReport) -> (usize, usize, usize) {
    let failures = file.results.iter().filter(|result| !result.ok).count();
    let errors = usize::from(!file.problems.is_empty());
    (file.results.len() + errors, failures, errors)
}

fn open(text: &mut String, element: &str, name: &str, counts: (usize, usize, usize)) {
    let (tests, failures, errors) = counts;
    let name = escape(name);
    writeln!(
        text,
        "<{element} name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\">"
    )
    .expect("writing to a string cannot fail");
}

/// A case; what went wrong as element, message and text.
fn case(text: &mut String, file: &str, name: &str, wrong: Option<(&str, &str, &str)>) {
    let (file, name) = (escape(file), escape(name));
    let head = format!("<testcase classname=\"{file}\" name=\"{name}\"");
    match wrong {
        None => writeln!(text, "{head}/>"),
        Some((element, message, lines)) => {
            let (message, lines) = (escape(message), escape(lines));
            writeln!(text, "{head}><{element} message=\"{message}\">{lines}</{element}></testcase>")
        }
    }
    .expect("writing to a string cannot fail");
}

/// A text as it may stand in an attribute and between tags; what XML 1.0 cannot hold becomes a blank.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_breaks_the_document() {
        assert_eq!(escape("a<b> & \"c\"\n\u{1b}\u{0}é"), "a&lt;b&gt; &amp; &quot;c&quot;&#10;  é");
    }
}
