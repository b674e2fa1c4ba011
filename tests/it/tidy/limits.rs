//! The reference of limits is what the code says: every constant that bounds something, and every key with a range.

use std::fmt::Write as _;
use std::process::Command;

use regex::Regex;

use super::{before_tests, is_tests, read, sources};

/// Where the reference stands.
const REFERENCE: &str = "docs/reference/limits.md";

/// The rows of all keys that have a range: the key, the range, the default, what it is.
fn keys() -> String {
    let printed =
        Command::new(env!("CARGO_BIN_EXE_tollbell")).args(["schema", "--markdown"]).output();
    let printed = String::from_utf8(printed.unwrap().stdout).unwrap();
    let row =
        Regex::new(r"^\| \**`(\w+)`\** \| (?:[\w ]+), ([^|]* to [^|]*) \| ([^|]*) \| (.*) \|$")
            .unwrap();
    let heading = Regex::new(r"^## `(\w+)`$").unwrap();
    let (mut section, mut rows) = (String::new(), String::new());
    for line in printed.lines() {
        if let Some(found) = heading.captures(line) {
            section = format!("{}.", &found[1]);
        }
        if let Some(found) = row.captures(line) {
            let (key, range, default, meaning) = (&found[1], &found[2], &found[3], &found[4]);
            writeln!(rows, "| `{section}{key}` | {range} | {} | {meaning} |", default.trim())
                .unwrap();
        }
    }
    rows
}

/// The rows of all constants that bound something: where it is, its value with its unit, what happens.
fn constants() -> String {
    let constant = Regex::new(
        r"(?m)((?:^[ ]*/// .*\n)+)(?:^[ ]*#\[.*\n)*^[ ]*(?:pub(?:\([a-z :]*\))? )?const ([A-Z0-9_]+): [^=]*= ([^;]+);",
    )
    .unwrap();
    let bounds = Regex::new(r"_MAX(_|$)|_(TIMEOUT|KEPT|SHOWN)$").unwrap();
    let mut rows = String::new();
    for file in sources().iter().filter(|file| !is_tests(file)) {
        let text = read(file);
        let module = file.trim_start_matches("src/").trim_end_matches(".rs");
        let module = module.trim_end_matches("/mod").replace('/', "::");
        for found in constant.captures_iter(before_tests(&text)) {
            if bounds.is_match(&found[2]) {
                let meaning = meaning(&found[1]);
                let value = value(&found[2], &found[3]);
                writeln!(rows, "| `{module}::{}` | {value} | {meaning} |", &found[2]).unwrap();
            }
        }
    }
    rows
}

/// The comment of a constant as one line of Markdown.
fn meaning(comment: &str) -> String {
    let lines = comment.lines().map(|line| line.trim().trim_start_matches("///").trim());
    let text = lines.collect::<Vec<_>>().join(" ");
    // A link to an item is its name; a character that ends a cell is written so that it does not.
    let link = Regex::new(r"\[(`[^`]+`)\]").unwrap();
    link.replace_all(&text, "$1").replace('|', "\\|")
}

/// A value for people: `64 KiB`, `5 s`, `500 characters`.
fn value(name: &str, code: &str) -> String {
    let code = code.split_whitespace().collect::<Vec<_>>().join(" ");
    // `10_000` is 10000.
    let code = Regex::new(r"(\d)_(\d)").unwrap().replace_all(&code, "$1$2").into_owned();
    let duration = Regex::new(r"^Duration::from_(secs|millis|mins|hours)\(([\d *]+)\)$").unwrap();
    if let Some(found) = duration.captures(&code) {
        let unit = match &found[1] {
            "secs" => "s",
            "millis" => "ms",
            "mins" => "min",
            _ => "h",
        };
        return format!("{} {unit}", &found[2]);
    }
    let powers = Regex::new(r"^(\d+) \* 1024( \* 1024)?$").unwrap();
    let unit = ["BYTES", "CHARS", "CHARACTERS", "ROWS", "PAGES", "SECS", "KIB", "DIGITS"]
        .into_iter()
        .find(|unit| name.split('_').any(|word| word == *unit));
    if let Some(found) = powers.captures(&code) {
        let size = if found.get(2).is_some() { "MiB" } else { "KiB" };
        return match unit {
            Some("BYTES") => format!("{} {size}", &found[1]),
            _ => code,
        };
    }
    let unit = match unit {
        Some("CHARS" | "CHARACTERS") => " characters",
        Some("BYTES") => " bytes",
        Some("ROWS") => " rows",
        Some("PAGES") => " pages",
        Some("SECS") => " s",
        Some("KIB") => " KiB",
        Some("DIGITS") => " digits",
        _ => "",
    };
    let is_number = code.chars().all(|c| c.is_ascii_digit());
    if is_number { format!("{code}{unit}") } else { format!("`{}`", code.replace('|', "\\|")) }
}

/// A failure leaves what the reference should be in `target/limits.md`.
#[test]
fn the_reference_lists_every_limit_with_its_value() {
    let (keys, constants) = (keys(), constants());
    assert!(keys.lines().count() > 30, "{keys}");
    assert!(constants.lines().count() > 250, "{}", constants.lines().count());
    let head = read(REFERENCE);
    let head = head.split("\n## Keys\n").next().unwrap();
    let expected = format!(
        "{head}\n## Keys\n\n| key | range | default | what it bounds |\n| --- | --- | --- | --- |\n{keys}\n\
         ## Constants\n\n| constant | value | what it bounds, and what happens there |\n| --- | --- | --- |\n{constants}"
    );
    if read(REFERENCE) != expected {
        let made = super::root().join("target/limits.md");
        std::fs::write(&made, expected).unwrap();
        panic!("{REFERENCE} is not what the code says; target/limits.md is");
    }
}

#[test]
fn values_are_shown_with_their_units() {
    for (name, code, shown) in [
        ("X_MAX", "10_000", "10000"),
        ("X_BYTES_MAX", "4 * 1024 * 1024", "4 MiB"),
        ("X_BYTES_MAX", "64 * 1024", "64 KiB"),
        ("X_BYTES_MAX", "16 * FILE_BYTES_MAX", "`16 * FILE_BYTES_MAX`"),
        ("X_CHARS_MAX", "255", "255 characters"),
        ("X_TIMEOUT", "Duration::from_secs(5)", "5 s"),
        ("X_KEPT", "Duration::from_hours(7 * 24)", "7 * 24 h"),
    ] {
        assert_eq!(value(name, code), shown);
    }
}
