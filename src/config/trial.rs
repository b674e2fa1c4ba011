//! A configuration that is only tried: nothing will be sent and nobody asked, so secrets, keys and variables that are
//! missing do not matter. Everything else is checked as for serving.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::diagnostics::Diagnostics;
use super::env::{self, Env};
use super::files::Source;
use super::folder::{self, Folder, Sources};
use super::yaml::{self, Data, Node};
use super::{Folders, Loaded, read_tree};
use crate::diagnostic::{At, Diagnostic, Position, Severity};

/// What stands in for a secret or an address that is missing, by the key that wants it. No such host exists (RFC 2606).
const STAND_INS: &[(&str, &str)] = &[
    ("api_url", "https://unset.invalid/"),
    ("api_key", "unset"),
    ("url", "https://unset.invalid/"),
    ("secret", "unset"),
    ("password", "unset"),
    ("username", "unset"),
    ("routing_key", "unset-unset-unset-unset-unset-un"),
    ("from", "unset@unset.invalid"),
    ("to", "unset@unset.invalid"),
    ("smarthost", "unset.invalid:25"),
];
/// The sections in which the default stands in.
const OWN_DEFAULTS: [&str; 2] = ["server", "store"];

/// What stands in for a missing value of this key.
pub(super) fn stand_in(key: &str) -> Option<&'static str> {
    STAND_INS.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
}

/// A configuration to try: a main file, rule files, or a main file with other rule files.
#[derive(Debug, Clone)]
pub struct Candidate {
    main: Main,
    rules: Option<Rules>,
}

#[derive(Debug, Clone)]
enum Main {
    /// A file.
    File(PathBuf),
    /// Only rules: one route, one receiver, and this account.
    None { account: Option<Node>, position: Position },
}

/// The value of `rule_files`, and where its paths start from.
#[derive(Debug, Clone)]
struct Rules {
    files: Node,
    base: PathBuf,
}

impl Candidate {
    /// The main file at `config`, with `rules` in the place of its own rule files unless there are none. The paths of
    /// `rules` start from the working directory.
    pub fn new(config: &Path, rules: &[PathBuf]) -> Self {
        let place = || Position::new("rules", 1, 1);
        let files = rules.iter().map(|path| scalar(&path.to_string_lossy(), place())).collect();
        let files = Node::new(place(), Data::List(files));
        let rules = (!rules.is_empty()).then(|| Rules { files, base: PathBuf::new() });
        Self { main: Main::File(config.to_owned()), rules }
    }

    /// What a file of cases asks for; `rules` is the value of its `rule_files`, whose paths start from `base`.
    pub(super) fn of_cases(
        config: Option<PathBuf>,
        rules: Option<Node>,
        account: Option<Node>,
        base: &Path,
        position: Position,
    ) -> Self {
        let main = config.map_or(Main::None { account, position }, Main::File);
        Self { main, rules: rules.map(|files| Rules { files, base: base.to_owned() }) }
    }

    /// The same rules within another main file.
    #[must_use]
    pub fn within(self, config: &Path) -> Self {
        Self { main: Main::File(config.to_owned()), ..self }
    }

    /// Reads and checks it.
    pub fn load(&self, env: Env<'_>) -> Loaded {
        let diagnostics = Diagnostics::default();
        let (tree, base, sources) = match &self.main {
            Main::File(path) => match folder::read(path) {
                Ok(text) => {
                    let name: Arc<str> = Arc::from(path.to_string_lossy());
                    let mut tree = yaml::parse(&name, &text, &diagnostics);
                    if let Some(tree) = &mut tree {
                        fill(tree, "", true, env);
                        env::expand_all(tree, env, &diagnostics);
                    }
                    (tree, path.parent().unwrap_or(Path::new("")), vec![Source { name, text }])
                }
                Err(message) => return unreadable(path, &message),
            },
            Main::None { account, position } => {
                let name = Arc::clone(&position.file);
                // The account is a part of what is judged by, and of the hash that tells configurations apart.
                let text = format!("{:?}", account.as_ref().map(|account| &account.data));
                (Some(alone(account.clone(), position)), Path::new(""), vec![Source { name, text }])
            }
        };
        let mut tree = tree;
        if let (Some(Node { data: Data::Map(entries), position, .. }), Some(rules)) =
            (&mut tree, &self.rules)
        {
            entries.retain(|(key, _)| key.value != "rule_files");
            entries.push((At::new("rule_files".to_owned(), position.clone()), rules.files.clone()));
        }
        let rules = self.rules.as_ref().map_or(base, |rules| &rules.base);
        let (base, rules) = (Folder::new(base), Folder::new(rules));
        read_tree(tree.as_ref(), Folders { base: &base, rules: &rules }, true, diagnostics, sources)
    }
}

fn unreadable(path: &Path, message: &str) -> Loaded {
    let message = format!("{}: {message}", path.display());
    let (severity, key) = (Severity::Error, String::new());
    let diagnostic = Diagnostic { severity, position: None, key, message, hint: None };
    Loaded {
        config: None,
        diagnostics: vec![diagnostic],
        hash: String::new(),
        sources: Sources::default(),
    }
}

/// Puts stand-ins where a variable is not set; `outside` of [`OWN_DEFAULTS`].
fn fill(node: &mut Node, key: &str, outside: bool, env: Env<'_>) {
    match &mut node.data {
        Data::Scalar(text) if text.contains('$') => {
            // Unset, and not malformed: with any value it could be expanded.
            let any = |_: &str| Some(String::new());
            let unset = env::expand(text, env).is_err() && env::expand(text, &any).is_ok();
            match stand_in(key).filter(|_| outside) {
                Some(value) if unset => value.clone_into(text),
                None if unset => node.data = Data::Broken,
                _ => {}
            }
        }
        Data::List(nodes) => nodes.iter_mut().for_each(|node| fill(node, key, outside, env)),
        Data::Map(entries) => {
            for (key, node) in entries {
                fill(node, &key.value, outside && !OWN_DEFAULTS.contains(&&*key.value), env);
            }
        }
        Data::Null | Data::Scalar(_) | Data::Broken => {}
    }
}

/// A main file around rules alone: each alert is told by itself and at once, to `default`.
fn alone(account: Option<Node>, position: &Position) -> Node {
    let mut account = match account {
        Some(Node { data: Data::Map(entries), position, .. }) => (entries, position),
        Some(other) => return map(vec![("accounts", list(vec![other], position))], position),
        None => (Vec::new(), position.clone()),
    };
    // No key: nobody will sign anything.
    let keys = list(vec![Node::new(position.clone(), Data::Broken)], position);
    for (name, value) in [("name", scalar("default", position.clone())), ("public_keys", keys)] {
        if !account.0.iter().any(|(key, _)| key.value == name) {
            account.0.push((At::new(name.to_owned(), account.1.clone()), value));
        }
    }
    let account = Node::new(account.1, Data::Map(account.0));
    let text = |text: &str| scalar(text, position.clone());
    let webhook = map(vec![("url", text("https://unset.invalid/"))], position);
    let receiver =
        vec![("name", text("default")), ("webhook_configs", list(vec![webhook], position))];
    let route = vec![
        ("receiver", text("default")),
        ("group_by", list(vec![text("...")], position)),
        ("group_wait", text("0s")),
    ];
    let root = vec![
        ("accounts", list(vec![account], position)),
        ("route", map(route, position)),
        ("receivers", list(vec![map(receiver, position)], position)),
    ];
    map(root, position)
}

fn scalar(text: &str, position: Position) -> Node {
    Node::new(position, Data::Scalar(text.to_owned()))
}

fn list(nodes: Vec<Node>, position: &Position) -> Node {
    Node::new(position.clone(), Data::List(nodes))
}

fn map(entries: Vec<(&str, Node)>, position: &Position) -> Node {
    let entries =
        entries.into_iter().map(|(key, node)| (At::new(key.to_owned(), position.clone()), node));
    Node::new(position.clone(), Data::Map(entries.collect()))
}
