//! The reference of all keys (`docs/reference/configuration.md`), made from the words.

use std::fmt::Write as _;

use super::words::{ConfigWords, Key, Kind, RuleFileWords, Shape};

const HEAD: &str = "# Configuration: every key

Made by `tollbell schema --markdown` from the words that `tollbell check` reads by; a test holds it. Keys in bold cannot be
left out. How the files are found, what may be a variable and what is relative to what stands in `config/tollbell.yaml`.
What differs from Alertmanager is in [alertmanager.md](../alertmanager.md).
";

/// The reference as Markdown.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    let mut shapes: Vec<&'static Shape> = Vec::new();
    for (title, root) in
        [("The main file", ConfigWords::shape()), ("A rule file", RuleFileWords::shape())]
    {
        write(&mut text, title, root);
        let mut open: Vec<&'static Shape> = nested(root).collect();
        while !open.is_empty() {
            let shape = open.remove(0);
            if shapes.iter().all(|known| known.name != shape.name) {
                shapes.push(shape);
                write(&mut text, &format!("`{}`", shape.name), shape);
                open.extend(nested(shape));
            }
        }
    }
    text
}

fn nested(shape: &'static Shape) -> impl Iterator<Item = &'static Shape> {
    shape.keys.iter().filter_map(|key| match key.kind {
        Kind::Map(shape) | Kind::Maps(shape) => Some(shape()),
        _ => None,
    })
}

fn write(text: &mut String, title: &str, shape: &Shape) {
    let table = "| Key | Type | Default | Meaning |\n| --- | --- | --- | --- |\n";
    write!(text, "\n## {title}\n\n{table}").expect("writing to a string cannot fail");
    for key in shape.keys {
        let name =
            if key.required { format!("**`{}`**", key.name) } else { format!("`{}`", key.name) };
        let (kind, default) = kind_of(key);
        let about = key.about.replace('|', "\\|");
        writeln!(text, "| {name} | {kind} | {default} | {about} |")
            .expect("writing to a string cannot fail");
    }
}

/// What a key holds, and its default.
fn kind_of(key: &Key) -> (String, String) {
    let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
    let link = |shape: &Shape| format!("[`{0}`](#{0})", shape.name);
    match &key.kind {
        Kind::Text(default) => ("text".to_owned(), code(default)),
        Kind::Choice { default, words } => {
            let words: Vec<String> = words.iter().map(|word| code(word)).collect();
            (words.join(", "), code(default))
        }
        Kind::Flag(default) => ("`true` or `false`".to_owned(), code(&default.to_string())),
        Kind::Duration(bounds) => {
            (format!("duration, {} to {}", bounds.min, bounds.max), code(bounds.default))
        }
        Kind::Size(bounds) => {
            (format!("size, {} to {}", bounds.min, bounds.max), code(bounds.default))
        }
        Kind::Integer(bounds) => {
            (format!("whole number, {} to {}", bounds.min, bounds.max), code(bounds.default))
        }
        Kind::Number(bounds) => {
            (format!("number, {} to {}", bounds.min, bounds.max), code(bounds.default))
        }
        Kind::Texts => ("list of texts".to_owned(), String::new()),
        Kind::Pairs => ("map of names to texts".to_owned(), String::new()),
        Kind::Map(shape) => (link(shape()), String::new()),
        Kind::Maps(shape) => (format!("list of {}", link(shape())), String::new()),
        Kind::Any => ("anything".to_owned(), String::new()),
    }
}
