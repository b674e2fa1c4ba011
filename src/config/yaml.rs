//! YAML as a tree whose every part knows its place.
//!
//! Receives the text of one file, promises a tree that is bounded in size and depth, without duplicate keys.
//! Serde would stop at the first problem; a tree lets the readers above report all of them.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, Span, options};

use super::diagnostics::Diagnostics;
use crate::diagnostic::{At, Diagnostic, Position};

/// Largest file, in bytes.
pub(super) const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Deepest nesting of lists and maps.
const DEPTH_MAX: usize = 32;
/// Bytes of one tree at most, of aliases as often as they are used: text, and [`NODE_BYTES`] for each value.
const WEIGHT_MAX: usize = 16 * FILE_BYTES_MAX;
/// What a value takes in memory besides its text, roughly.
const NODE_BYTES: usize = 96;

/// A value with its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Where it begins; for a quoted or block scalar, where its first character stands.
    pub(super) position: Position,
    /// What it is.
    pub(super) data: Data,
    /// A scalar without quotes: where JSON is meant, `1` is a number then, and `"1"` a text.
    pub(super) plain: bool,
}

impl Node {
    /// Whether it is a map of keys.
    pub(super) fn is_map(&self) -> bool {
        matches!(self.data, Data::Map(_))
    }

    /// A value that is no plain scalar.
    pub(super) fn new(position: Position, data: Data) -> Self {
        Self { position, data, plain: false }
    }
}

/// The kinds of value. Scalars stay text: what a scalar means is for its key to say.
#[derive(Debug, Clone)]
pub(super) enum Data {
    /// Nothing, `~` or `null`.
    Null,
    /// Any other scalar.
    Scalar(String),
    /// A list.
    List(Vec<Node>),
    /// A map in the order of the file, each key once.
    Map(Vec<(At<String>, Node)>),
    /// Something whose problem is reported already.
    Broken,
}

/// Reads one file. `None` when it is no YAML at all; then the reason is among the problems.
pub(super) fn parse(file: &Arc<str>, text: &str, diagnostics: &Diagnostics) -> Option<Node> {
    if text.len() > FILE_BYTES_MAX {
        let place = Position::new(Arc::clone(file), 1, 1);
        diagnostics.push(Diagnostic::error(place, "", "file is larger than 1 MiB"));
        return None;
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut options = options! { emit_comments: false };
    options.flow_nesting_limit = DEPTH_MAX;
    let mut builder = Builder {
        file,
        diagnostics,
        open: Vec::new(),
        anchors: HashMap::new(),
        weight: 0,
        root: None,
    };
    for step in Parser::new_from_str_with_options(text, options) {
        let outcome = match step {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => {
                let place = builder.place(error.marker().line(), error.marker().col());
                Err(Diagnostic::error(place, "", format!("not YAML: {}", error.info())))
            }
        };
        if let Err(diagnostic) = outcome {
            diagnostics.push(diagnostic);
            return None;
        }
    }
    let empty = Node::new(Position::new(Arc::clone(file), 1, 1), Data::Map(vec![]));
    match builder.root {
        None | Some(Node { data: Data::Null, .. }) => Some(empty),
        root => root,
    }
}

/// A list or map that is not closed yet.
struct Open {
    position: Position,
    anchor: usize,
    weight_before: usize,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    Map { entries: Vec<(At<String>, Node)>, key: Option<At<String>> },
}

struct Builder<'a> {
    file: &'a Arc<str>,
    diagnostics: &'a Diagnostics,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    weight: usize,
    root: Option<Node>,
}

impl Builder<'_> {
    /// Takes one event; an error ends the reading of the file.
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Diagnostic> {
        let place = self.place(span.start.line(), span.start.col());
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(Diagnostic::error(place, "", "a second document: one file holds one document"))
            }
            Event::Scalar(.., Some(_))
            | Event::SequenceStart(.., Some(_))
            | Event::MappingStart(.., Some(_)) => Err(tagged(place)),
            Event::Scalar(text, style, anchor, None) => {
                let weight = NODE_BYTES + text.len();
                self.grow(weight, &place)?;
                let node = scalar(&text, style, place);
                self.add(node, anchor, weight)
            }
            Event::SequenceStart(_, anchor, None) => {
                self.start(place, anchor, Items::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, None) => {
                self.start(place, anchor, Items::Map { entries: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(id) => {
                let Some((node, weight)) = self.anchors.get(&id) else {
                    return Err(Diagnostic::error(place, "", "an alias within its own anchor"));
                };
                // First: what is too large is not even made.
                self.weight = self.weight.saturating_add(*weight);
                let (node, weight) = (self.fits(&place).map(|()| node.clone())?, *weight);
                self.add(node, 0, weight)
            }
            _ => Ok(()),
        }
    }

    fn start(&mut self, position: Position, anchor: usize, items: Items) -> Result<(), Diagnostic> {
        if self.open.len() >= DEPTH_MAX {
            let message = format!("nested deeper than {DEPTH_MAX} levels");
            return Err(Diagnostic::error(position, "", message));
        }
        let weight_before = self.weight;
        self.grow(NODE_BYTES, &position)?;
        self.open.push(Open { position, anchor, weight_before, items });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Diagnostic> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let data = match open.items {
            Items::List(nodes) => Data::List(nodes),
            Items::Map { entries, .. } => Data::Map(entries),
        };
        let weight = self.weight.saturating_sub(open.weight_before);
        self.add(Node::new(open.position, data), open.anchor, weight)
    }

    /// Puts a finished node where it belongs: root, list item, key or value.
    fn add(&mut self, node: Node, anchor: usize, weight: usize) -> Result<(), Diagnostic> {
        if anchor != 0 {
            self.grow(weight, &node.position)?;
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        match self.open.last_mut().map(|open| &mut open.items) {
            None => self.root = Some(node),
            Some(Items::List(nodes)) => nodes.push(node),
            Some(Items::Map { entries, key }) => match key.take() {
                None => *key = Some(key_of(node)?),
                Some(key) => match entries.iter().find(|(known, _)| known.value == key.value) {
                    Some((first, _)) => {
                        let line = first.position.line;
                        let message = format!("key given twice, first in line {line}");
                        self.diagnostics.push(Diagnostic::error(key.position, key.value, message));
                    }
                    None => entries.push((key, node)),
                },
            },
        }
        Ok(())
    }

    /// Counts what the tree holds; aliases of aliases grow it without end otherwise.
    fn grow(&mut self, weight: usize, place: &Position) -> Result<(), Diagnostic> {
        self.weight = self.weight.saturating_add(weight);
        self.fits(place)
    }

    fn fits(&self, place: &Position) -> Result<(), Diagnostic> {
        if self.weight <= WEIGHT_MAX {
            return Ok(());
        }
        let message = if self.anchors.is_empty() {
            "more values than a file may hold"
        } else {
            "aliases make the file too large"
        };
        Err(Diagnostic::error(place.clone(), "", message))
    }

    /// The parser counts lines from 1 and columns from 0.
    fn place(&self, line: usize, column: usize) -> Position {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Position::new(Arc::clone(self.file), number(line.max(1)), number(column + 1))
    }
}

fn scalar(text: &str, style: ScalarStyle, mut position: Position) -> Node {
    match style {
        ScalarStyle::Plain if matches!(text, "" | "~" | "null" | "Null" | "NULL") => {
            return Node::new(position, Data::Null);
        }
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => position.column += 1,
        // The parser points to the first line that is not blank; the text begins before.
        ScalarStyle::Literal | ScalarStyle::Folded => {
            let blank = text.chars().take_while(|c| *c == '\n').count();
            let blank = u32::try_from(blank).unwrap_or(u32::MAX);
            position.line = position.line.saturating_sub(blank);
        }
        ScalarStyle::Plain => {}
    }
    let plain = matches!(style, ScalarStyle::Plain);
    Node { position, data: Data::Scalar(text.to_owned()), plain }
}

fn key_of(node: Node) -> Result<At<String>, Diagnostic> {
    match node.data {
        Data::Scalar(text) if text == "<<" => {
            Err(Diagnostic::error(node.position, "", "merge keys are not supported"))
        }
        Data::Scalar(text) => Ok(At::new(text, node.position)),
        _ => Err(Diagnostic::error(node.position, "", "a key must be a word")),
    }
}

fn tagged(place: Position) -> Diagnostic {
    Diagnostic::error(place, "", "tags are not supported")
        .hint("put text that starts with ! in quotes")
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> (Option<Node>, Vec<String>) {
        let diagnostics = Diagnostics::default();
        let node = parse(&Arc::from("t"), text, &diagnostics);
        (node, diagnostics.into_sorted(&[]).iter().map(ToString::to_string).collect())
    }

    fn show(node: &Node, out: &mut String) {
        let at = format!("{}:{}", node.position.line, node.position.column);
        match &node.data {
            Data::Null => write!(out, "{at} null"),
            Data::Broken => write!(out, "{at} broken"),
            Data::Scalar(text) => write!(out, "{at} {text:?}"),
            Data::List(nodes) => {
                write!(out, "{at} [").unwrap();
                for node in nodes {
                    show(node, out);
                    out.push(',');
                }
                write!(out, "]")
            }
            Data::Map(entries) => {
                write!(out, "{at} {{").unwrap();
                for (key, node) in entries {
                    let Position { line, column, .. } = key.position;
                    write!(out, "{line}:{column} {} = ", key.value).unwrap();
                    show(node, out);
                    out.push(',');
                }
                write!(out, "}}")
            }
        }
        .unwrap();
    }

    #[test]
    fn every_part_knows_its_place() {
        let text = "a: \"é\"\nb: ['x', y, ~]\nc: |\n\n   one\n   two\nd: &d {e: 1.10}\nf: *d\n";
        let (node, diagnostics) = read(text);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let mut out = String::new();
        show(&node.expect("tree"), &mut out);
        insta::assert_snapshot!(out, @r#"
        1:1 {1:1 a = 1:5 "é",2:1 b = 2:4 [2:6 "x",2:10 "y",2:13 null,],3:1 c = 4:4 "\none\ntwo\n",7:1 d = 7:7 {7:8 e = 7:11 "1.10",},8:1 f = 7:7 {7:8 e = 7:11 "1.10",},}
        "#);
    }

    #[test]
    fn what_is_refused_says_where() {
        let bomb = (1..40).fold("a0: &a0 [x, x, x]\n".to_owned(), |mut text, n| {
            let m = n - 1;
            writeln!(text, "a{n}: &a{n} [*a{m}, *a{m}, *a{m}]").unwrap();
            text
        });
        let deep = "[".repeat(600);
        let deep_block = (0..600).fold(String::new(), |mut text, n| {
            writeln!(text, "{}a:", " ".repeat(n)).unwrap();
            text
        });
        let mut out = String::new();
        for text in [
            "a: 1\nb: 2\na: 3\n",
            "a: [1\nb: 2\n",
            "a:\n\t- b\n",
            "a: 1\n---\nb: 2\n",
            "a: !secret x\n",
            "a: &a [*a]\n",
            "a: *nope\n",
            "a: {<<: {b: 1}}\n",
            "? [a]\n: b\n",
            &bomb,
            &deep,
            &deep_block,
            "a: 'x\n",
        ] {
            writeln!(out, "{}", read(text).1.join("\n")).unwrap();
        }
        insta::assert_snapshot!(out, @r"
        t:3:1: a: key given twice, first in line 1
        t:2:2: not YAML: illegal placement of ':' indicator
        t:2:2: not YAML: tabs disallowed within this context (block indentation)
        t:2:1: a second document: one file holds one document
        t:1:12: tags are not supported (hint: put text that starts with ! in quotes)
        t:1:8: an alias within its own anchor
        t:1:4: not YAML: while parsing node, found unknown anchor
        t:1:5: merge keys are not supported
        t:1:3: a key must be a word
        t:10:20: aliases make the file too large
        t:1:33: not YAML: recursion limit exceeded
        t:33:33: nested deeper than 32 levels
        t:1:4: not YAML: unclosed quote
        ");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(?s)[ -~\n\té:#&*!|>\\[\\]{}'\"-]{0,200}") {
            read(&text);
        }
    }
}
