//! Reads values out of the YAML tree by the word table, and collects what is wrong with them.
//!
//! A [`Section`] is one map of the file. Opening it reports unknown, empty and missing keys; asking it for a value
//! gives the checked value, or the table's default after the problem was reported. So readers never stop.

use std::time::Duration;

use super::diagnostics::{Diagnostics, closest, quote};
use super::units;
use super::words::{Bounds, LATER, Shape};
use super::yaml::{Data, Node};
use crate::diagnostic::{At, Diagnostic, Position};

/// One map of the file, or of nothing where the file leaves it out.
#[derive(Debug)]
pub(super) struct Section<'a> {
    /// Path of keys that leads here; empty at the root.
    pub(super) path: String,
    /// Where it begins.
    pub(super) position: Position,
    shape: &'static Shape,
    entries: &'a [(At<String>, Node)],
    diagnostics: &'a Diagnostics,
}

impl<'a> Section<'a> {
    /// Opens a map: what the table does not know, and what it misses, is reported here.
    pub(super) fn open(
        node: &'a Node,
        shape: &'static Shape,
        path: String,
        diagnostics: &'a Diagnostics,
    ) -> Self {
        let position = node.position.clone();
        let entries: &[_] = match &node.data {
            Data::Map(entries) => entries,
            _ => &[],
        };
        let section = Self { path, position, shape, entries, diagnostics };
        match &node.data {
            Data::Map(_) => section.check_keys(),
            Data::Broken => {}
            data => {
                let message = format!("expected a map of keys, found {}", name_of(data));
                diagnostics.push(Diagnostic::error(
                    section.position.clone(),
                    &*section.path,
                    message,
                ));
            }
        }
        section
    }

    fn check_keys(&self) {
        for (key, node) in self.entries {
            let Some(known) = self.shape.keys.iter().find(|known| is(key, known.name)) else {
                self.diagnostics.push(self.unknown(key));
                continue;
            };
            if key.value != known.name
                && self.entries.iter().any(|(key, _)| key.value == known.name)
            {
                let message = format!("this is {} to YAML 1.1, and that is there, too", known.name);
                self.diagnostics.push(Diagnostic::error(
                    key.position.clone(),
                    self.at(&key.value),
                    message,
                ));
            }
            if matches!(node.data, Data::Null) && !known.kind.is_container() {
                let diagnostic =
                    Diagnostic::error(key.position.clone(), self.at(known.name), "no value");
                self.diagnostics.push(diagnostic.hint("give a value, or remove the key"));
            }
        }
        for key in self.shape.keys.iter().filter(|key| key.required && !self.has(key.name)) {
            let message = format!("missing key {:?}", key.name);
            self.diagnostics.push(
                Diagnostic::error(self.position.clone(), &*self.path, message).hint(key.about),
            );
        }
    }

    fn unknown(&self, key: &At<String>) -> Diagnostic {
        let word = quote(&key.value);
        let diagnostic = Diagnostic::error(key.position.clone(), self.at(&word), "unknown key");
        if let Some((_, hint)) = self.shape.hints.iter().find(|(name, _)| *name == key.value) {
            return diagnostic.hint(*hint);
        }
        if LATER.contains(&&*key.value) {
            return diagnostic.hint("not in this version of tollbell");
        }
        let names = || self.shape.keys.iter().map(|key| key.name);
        diagnostic.hint(match closest(&key.value, names()) {
            Some(name) => format!("did you mean {name}?"),
            None => format!("known here: {}", names().collect::<Vec<_>>().join(", ")),
        })
    }

    /// Whether the file gives the key a value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.node(name).is_some()
    }

    /// Whether the key stands in the file, with a value or without.
    pub(super) fn names(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, _)| is(key, name))
    }

    /// Whether the file gives one of the keys a value.
    pub(super) fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.has(name))
    }

    /// Whether the file gives an empty list.
    pub(super) fn is_empty(&self, name: &str) -> bool {
        matches!(self.node(name).map(|node| &node.data), Some(Data::List(nodes)) if nodes.is_empty())
    }

    /// How many items the file's list has.
    pub(super) fn len(&self, name: &str) -> usize {
        match self.node(name).map(|node| &node.data) {
            Some(Data::List(nodes)) => nodes.len(),
            _ => 0,
        }
    }

    /// The value's place, or the section's own.
    pub(super) fn place(&self, name: &str) -> Position {
        let mut entries = self.entries.iter().filter(|(key, _)| is(key, name));
        entries.next().map_or(&self.position, |(_, node)| &node.position).clone()
    }

    /// The path of a key of this section.
    pub(super) fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(super) fn error(&self, name: &str, message: impl Into<String>) {
        self.push(Diagnostic::error(self.place(name), self.at(name), message));
    }

    pub(super) fn warning(&self, name: &str, message: impl Into<String>) {
        self.push(Diagnostic::warning(self.place(name), self.at(name), message));
    }

    pub(super) fn push(&self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// A text, where given.
    pub(super) fn text(&self, name: &str) -> Option<At<String>> {
        self.node(name).and_then(|node| self.scalar_of(node, || name.to_owned()))
    }

    /// A text, or the default.
    pub(super) fn text_or(&self, name: &str, default: &str) -> At<String> {
        self.text(name).unwrap_or_else(|| At::new(default.to_owned(), self.place(name)))
    }

    /// One of a few words.
    pub(super) fn choice(
        &self,
        name: &str,
        default: &'static str,
        words: &[&'static str],
    ) -> &'static str {
        let Some(text) = self.text(name) else { return default };
        let found = words.iter().find(|word| **word == text.value);
        if found.is_none() {
            self.error(name, format!("expected one of {}", words.join(", ")));
        }
        found.copied().unwrap_or(default)
    }

    /// True or false.
    pub(super) fn flag(&self, name: &str, default: bool) -> bool {
        match self.text(name).as_ref().map(|text| text.value.as_str()) {
            None => default,
            Some("true") => true,
            Some("false") => false,
            Some(_) => {
                self.error(name, "expected true or false");
                default
            }
        }
    }

    /// A duration within bounds.
    pub(super) fn duration(&self, name: &str, bounds: &Bounds) -> Duration {
        let what = "a duration such as 500ms, 30s, 5m, 4h, 30d, 1w";
        self.bounded(name, bounds, units::duration, what)
    }

    /// A size in bytes within bounds.
    pub(super) fn size(&self, name: &str, bounds: &Bounds) -> usize {
        self.bounded(name, bounds, units::size, "a size such as 512KiB, 1MiB, or bytes")
    }

    /// A whole number within bounds.
    pub(super) fn integer(&self, name: &str, bounds: &Bounds) -> u32 {
        self.bounded(name, bounds, |text| text.parse().ok(), "a whole number")
    }

    /// A number within bounds.
    pub(super) fn number(&self, name: &str, bounds: &Bounds) -> f64 {
        self.bounded(name, bounds, |text| text.parse().ok(), "a number")
    }

    fn bounded<T: PartialOrd>(
        &self,
        name: &str,
        bounds: &Bounds,
        parse: impl Fn(&str) -> Option<T>,
        what: &str,
    ) -> T {
        let Bounds { default, min, max } = bounds;
        let of_table = |text| parse(text).expect("a test reads every bound of the word table");
        let Some(text) = self.text(name) else { return of_table(default) };
        match parse(&text.value) {
            Some(value) if value >= of_table(min) && value <= of_table(max) => return value,
            Some(_) => self.error(name, format!("must be between {min} and {max}")),
            None => self.error(name, format!("expected {what}")),
        }
        of_table(default)
    }

    /// A list of texts.
    pub(super) fn texts(&self, name: &str) -> Vec<At<String>> {
        let items = self.items(name).iter().enumerate();
        items.filter_map(|(n, node)| self.scalar_of(node, || format!("{name}[{n}]"))).collect()
    }

    /// A map of the user's own names to texts.
    pub(super) fn pairs(&self, name: &str) -> Vec<(At<String>, At<String>)> {
        let Some(node) = self.node(name) else { return Vec::new() };
        match &node.data {
            Data::Map(entries) => entries
                .iter()
                .filter_map(|(key, node)| {
                    let value = self.scalar_of(node, || format!("{name}.{}", quote(&key.value)))?;
                    Some((key.clone(), value))
                })
                .collect(),
            data => {
                self.unexpected(name, "a map", data);
                Vec::new()
            }
        }
    }

    /// Whatever the key holds.
    pub(super) fn any(&self, name: &str) -> Option<&'a Node> {
        self.node(name)
    }

    /// A section within this one; of defaults where the file leaves it out.
    pub(super) fn section<W: From<Self>>(&self, name: &str, shape: &'static Shape) -> W {
        let path = self.at(name);
        W::from(match self.node(name) {
            Some(node) => Section::open(node, shape, path, self.diagnostics),
            None => Section {
                path,
                position: self.place(name),
                shape,
                entries: &[],
                diagnostics: self.diagnostics,
            },
        })
    }

    /// A list of sections.
    pub(super) fn sections<W: From<Self>>(&self, name: &str, shape: &'static Shape) -> Vec<W> {
        let open = |(n, node)| {
            let path = format!("{}[{n}]", self.at(name));
            W::from(Section::open(node, shape, path, self.diagnostics))
        };
        self.items(name).iter().enumerate().map(open).collect()
    }

    fn items(&self, name: &str) -> &'a [Node] {
        match self.node(name).map(|node| &node.data) {
            Some(Data::List(nodes)) => nodes,
            None | Some(Data::Broken) => &[],
            Some(data) => {
                self.unexpected(name, "a list", data);
                &[]
            }
        }
    }

    fn scalar_of(&self, node: &Node, name: impl Fn() -> String) -> Option<At<String>> {
        let message = match &node.data {
            Data::Scalar(text) => return Some(At::new(text.clone(), node.position.clone())),
            Data::Broken => return None,
            Data::Null => "no value".to_owned(),
            data => format!("expected a single value, found {}", name_of(data)),
        };
        self.push(Diagnostic::error(node.position.clone(), self.at(&name()), message));
        None
    }

    fn unexpected(&self, name: &str, what: &str, data: &Data) {
        let message = format!("expected {what}, found {}", name_of(data));
        let diagnostic = Diagnostic::error(self.place(name), self.at(name), message);
        match (what, data) {
            (_, Data::Broken) => {}
            ("a list", Data::Scalar(_)) => {
                self.push(diagnostic.hint(format!("put it in brackets: {name}: [value]")));
            }
            _ => self.push(diagnostic),
        }
    }

    /// The value of a key; nothing counts as absent, as where all entries of a list are commented out.
    fn node(&self, name: &str) -> Option<&'a Node> {
        let (_, node) = self.entries.iter().find(|(key, _)| is(key, name))?;
        (!matches!(node.data, Data::Null)).then_some(node)
    }
}

/// Whether a key of the file is the known one. Tools that speak YAML 1.1, as Helm does, write the key `on` as `true`.
fn is(key: &At<String>, name: &str) -> bool {
    key.value == name || (name == "on" && key.value == "true")
}

fn name_of(data: &Data) -> &'static str {
    match data {
        Data::Null => "nothing",
        Data::Scalar(_) => "a single value",
        Data::List(_) => "a list",
        Data::Map(_) => "a map",
        Data::Broken => "something broken",
    }
}
