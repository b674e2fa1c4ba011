//! Problems with the line they are about, for a terminal.
//!
//! Whoever reads the output in a file or a pipe gets one line for each problem, as before. A main file may hold secrets: of its
//! lines only the key and the word at the problem are shown, and nothing where a secret may stand.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _};

use super::output;
use crate::config;
use crate::diagnostic::{Diagnostic, Position, Severity};

/// Longest excerpt, in characters.
const CHARS_MAX: usize = 120;
/// Parts of keys below which secrets stand.
const SECRET: [&str; 10] = [
    "api_key",
    "api_url",
    "url",
    "secret",
    "password",
    "routing_key",
    "headers",
    "header_files",
    "username",
    "client_url",
];

/// Escape sequences, or nothing where there is no colour.
#[derive(Clone, Copy)]
struct Style {
    error: &'static str,
    warning: &'static str,
    faint: &'static str,
    off: &'static str,
}

const PLAIN: Style = Style { error: "", warning: "", faint: "", off: "" };
const COLOURED: Style =
    Style { error: "\u{1b}[1;31m", warning: "\u{1b}[1;33m", faint: "\u{1b}[2m", off: "\u{1b}[0m" };

/// Prints problems to standard error; `main` is the main file as the user named it.
pub(super) fn problems(problems: &[Diagnostic], main: &str) {
    if !io::stderr().is_terminal() {
        return output::all_problems(&problems.iter().collect::<Vec<_>>());
    }
    let is_plain = config::system_env("NO_COLOR").is_some_and(|it| !it.is_empty())
        || config::system_env("TERM").is_some_and(|it| it == "dumb");
    let style = if is_plain { PLAIN } else { COLOURED };
    let mut files: HashMap<String, Vec<String>> = HashMap::new();
    for problem in problems {
        let line = problem.position.as_ref().and_then(|at| {
            let lines = files.entry(at.file.to_string()).or_insert_with(|| {
                let text = std::fs::read_to_string(&*at.file).unwrap_or_default();
                text.lines().map(str::to_owned).collect()
            });
            lines.get(usize::try_from(at.line).ok()?.checked_sub(1)?).cloned()
        });
        output::progress(&shown(problem, line.as_deref(), main, style));
    }
}

/// A problem, and its line with a caret below the place.
fn shown(problem: &Diagnostic, line: Option<&str>, main: &str, style: Style) -> String {
    let Style { error, warning, off, .. } = style;
    let colour = if problem.severity == Severity::Error { error } else { warning };
    let text = format!("{colour}{}{off}", output::clean(&problem.to_string()));
    let excerpt = problem.position.as_ref().zip(line).and_then(|(at, line)| {
        let shown =
            if *at.file == *main { fragment(&problem.key, at, line)? } else { whole(at, line)? };
        Some(drawn(at, &shown, colour, style))
    });
    excerpt.map_or(text.clone(), |excerpt| format!("{text}\n{excerpt}"))
}

/// A part of a line, and how many of its characters stand before the place.
struct Excerpt {
    text: String,
    before: usize,
}

/// The whole line.
fn whole(at: &Position, line: &str) -> Option<Excerpt> {
    let before = usize::try_from(at.column).ok()?.checked_sub(1)?;
    (line.chars().count() <= CHARS_MAX && before <= CHARS_MAX)
        .then(|| Excerpt { text: line.to_owned(), before })
}

/// Of a line of a main file the key and the word at the place; nothing where a secret may be shown.
fn fragment(key: &str, at: &Position, line: &str) -> Option<Excerpt> {
    let may_be_secret = |text: &str| {
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .any(|part| SECRET.iter().any(|it| part == *it || part == format!("{it}_file")))
    };
    if key.is_empty() || may_be_secret(key) || may_be_secret(line) {
        return None;
    }
    let place = usize::try_from(at.column).ok()?.checked_sub(1)?;
    let chars: Vec<char> = line.chars().collect();
    let (left, right) = chars.split_at_checked(place)?;
    let from = left.iter().rposition(|c| matches!(c, ',' | '{' | '[')).map_or(0, |found| found + 1);
    let left = left.get(from..)?;
    let end = right.iter().position(|c| c.is_whitespace() || matches!(c, ',' | '}' | ']'));
    let word: String = right.iter().take(end.unwrap_or(right.len())).collect();
    let rest = if right.len() > word.chars().count() { " …" } else { "" };
    let lead = if from > 0 { "… " } else { "" };
    let left: String = left.iter().collect();
    let left = if from > 0 { left.trim_start().to_owned() } else { left };
    let before = lead.chars().count() + left.chars().count();
    let text = format!("{lead}{left}{word}{rest}");
    (text.chars().count() <= CHARS_MAX).then_some(Excerpt { text, before })
}

/// The excerpt behind the number of its line, and the caret.
fn drawn(at: &Position, excerpt: &Excerpt, colour: &str, style: Style) -> String {
    let Style { faint, off, .. } = style;
    let number = at.line.to_string();
    let (margin, indent) = (" ".repeat(number.len()), " ".repeat(excerpt.before));
    let text = output::clean(&excerpt.text);
    format!("{faint}{number} |{off} {text}\n{faint}{margin} |{off} {indent}{colour}^{off}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(file: &str, line: &str, column: u32, key: &str) -> String {
        let problem = Diagnostic::error(Position::new(file, 7, column), key, "wrong");
        shown(&problem, Some(line), "main.yaml", PLAIN)
    }

    #[test]
    fn a_line_of_rules_is_shown_whole() {
        assert_eq!(
            of("rules.yaml", "        when: payload.x >", 24, "g/A.when"),
            "rules.yaml:7:24: g/A.when: wrong\n7 |         when: payload.x >\n  |                        ^"
        );
        assert_eq!(of("rules.yaml", "x", 9, "k"), "rules.yaml:7:9: k: wrong\n7 | x\n  |         ^");
    }

    #[test]
    fn of_a_main_file_no_more_than_the_word_at_the_place() {
        assert_eq!(
            of("main.yaml", "  pasword: hunter2", 3, "receivers[0].pasword"),
            "main.yaml:7:3: receivers[0].pasword: wrong\n7 |   pasword: …\n  |   ^"
        );
        assert_eq!(
            of("main.yaml", "a: {pasword: hunter2, timeout: 3q, x: y}", 32, "a.timeout"),
            "main.yaml:7:32: a.timeout: wrong\n7 | … timeout: 3q …\n  |            ^"
        );
        for (line, key) in [
            ("    password: hunter2", "auth.password"),
            ("    - {url: 'https://hunter2', timeout: 3q}", "webhook_configs[0].timeout"),
            ("      hunter2", "auth.password"),
            ("      hunter2", ""),
            ("    Authorization: hunter2", "webhook_configs[0].headers.Authorization"),
        ] {
            let said = of("main.yaml", line, 7, key);
            assert!(!said.contains("hunter2") && said.lines().count() == 1, "{said}");
        }
    }

    #[test]
    fn colour_and_nothing_that_steers_the_terminal() {
        let problem = Diagnostic::warning(Position::new("r.yaml", 1, 1), "k", "odd");
        let said = shown(&problem, Some("\u{1b}[2Jx"), "main.yaml", COLOURED);
        assert!(said.starts_with("\u{1b}[1;33mr.yaml:1:1: warning: k: odd\u{1b}[0m\n"), "{said:?}");
        assert!(!said.contains("\u{1b}[2J"), "{said:?}");
    }
}
