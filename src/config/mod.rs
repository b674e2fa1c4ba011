//! The configuration: files in, one checked [`Config`] out, or every problem at once.
//!
//! Receives the main file, the rule files it names and the environment. Promises that a [`Config`] exists only
//! when nothing is wrong with it, that each problem carries file, line and column, and that no problem shows a
//! secret. Two layers: a tree of values with places, then the checked types; only this module crosses over.
//!
//! Paths: `rule_files`, all `*_file` keys and the store's path are relative to the directory of the main file.
//! `${ENV}` is expanded in the main file only.

mod words;
mod yaml;
mod diagnostics;
mod section;
mod env;
pub(crate) mod units;
mod files;
mod folder;
mod server;
mod auth;
mod database;
mod accounts;
mod advice;
mod heartbeats;
mod receivers;
mod peers;
mod email;
mod bodies;
mod matchers;
mod intervals;
mod inhibit;
mod templates;
mod routes;
mod rules;
mod metrics;
mod schema;
mod reference;
mod trial;
mod case_events;
mod cases;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use sha2::{Digest as _, Sha256};

pub use cases::{CaseFile, cases};
pub use env::{Env, system_env};
pub use folder::{SETTLED, Sources};
pub use reference::reference;
pub use schema::schema;
pub use trial::Candidate;

use crate::alerts::{InhibitRule, Route, TimeInterval};
use crate::api::Tokens;
use crate::diagnostic::{Diagnostic, Severity};
use crate::event::PayloadPolicy;
use crate::heartbeat::Heartbeat;
use crate::http::Proxy;
use crate::intake::signature::PublicKey;
use crate::notify::{MessageTemplates, Receiver};
use crate::rules::{Labels, RuleSet};
use crate::store::Place;
use crate::telnyx;
use crate::tls::Certificate;
use diagnostics::Diagnostics;
use folder::Folder;
use intervals::Intervals;
use section::Section;
use words::ConfigWords;

/// Bytes of the files' hash that are shown.
const HASH_BYTES: usize = 8;

/// A configuration that was checked; only [`load`] and [`parse`] can make one.
#[derive(Debug)]
pub struct Config {
    /// The two listeners.
    pub server: Server,
    /// The Telnyx accounts, at least one.
    pub accounts: Vec<Account>,
    /// Where things are kept.
    pub store: StoreSettings,
    /// What fires.
    pub rules: RuleSet,
    /// Who hears of it; all identities are filled.
    pub route: Route,
    /// Who can be told.
    pub receivers: Vec<Receiver>,
    /// The texts of messages.
    pub templates: MessageTemplates,
    /// Which alerts keep which quiet.
    pub inhibit_rules: Vec<InhibitRule>,
    /// Named hours and days.
    pub time_intervals: Vec<TimeInterval>,
    /// Who is told that we live.
    pub heartbeats: Vec<Heartbeat>,
    /// 16 hexadecimal digits of a SHA-256 over the files' bytes, without secrets' files.
    pub hash: String,
    _checked: Checked,
}

/// Keeps everyone else from building a [`Config`].
#[derive(Debug)]
struct Checked;

/// The `server` section.
#[derive(Debug, Clone)]
pub struct Server {
    /// The public listener.
    pub listen: SocketAddr,
    /// The private listener.
    pub private_listen: SocketAddr,
    /// What Telnyx calls; no slash at the end.
    pub public_url: Option<String>,
    /// What links in notifications begin with; no slash at the end.
    pub external_url: Option<String>,
    /// Largest webhook body, in bytes.
    pub max_body: usize,
    /// How long a shutdown may take.
    pub shutdown_timeout: Duration,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Networks that may send webhooks; empty means all.
    pub allowed_sources: Vec<IpNet>,
    /// Link-local and metadata networks that may be sent to.
    pub allowed_targets: Vec<IpNet>,
    /// The HTTP proxy for outgoing requests that name none of their own.
    pub proxy: Option<Proxy>,
    /// Who may use the private listener's API and console.
    pub tokens: Tokens,
    /// What the public listener shows, where it speaks TLS.
    pub certificate: Option<Certificate>,
    /// What the private listener shows, where it speaks TLS.
    pub private_certificate: Option<Certificate>,
}

/// An entry of `accounts`.
#[derive(Debug, Clone)]
pub struct Account {
    /// Name, and last part of its path: 1 to 64 of `a-z 0-9 _ -`.
    pub name: String,
    /// Any of these may sign, at least one.
    pub public_keys: Vec<PublicKey>,
    /// How old or how far ahead a delivery may be.
    pub tolerance: Duration,
    /// Added to every alert of the account.
    pub labels: Labels,
    /// ISO 4217 code, where an event names none.
    pub currency: Option<String>,
    /// Its Telnyx side, where there is an API key.
    pub api: Option<telnyx::ApiSettings>,
}

/// The `store` section.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Where it is kept.
    pub place: Place,
    /// How long ended things are kept; at least 7 days.
    pub retention: Duration,
    /// How much of a payload is stored.
    pub payload: PayloadPolicy,
    /// An older database was restored: what happened before this start begins no notification. Said on the command line,
    /// for it goes for one start.
    pub restored: bool,
}

/// What a load gives.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration; there if, and only if, no problem is an error.
    pub config: Option<Config>,
    /// All problems in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
    /// [`Config::hash`], of files that cannot be used, too.
    pub hash: String,
    /// The files that were looked at.
    pub sources: Sources,
}

/// What the readers of the sections share.
#[derive(Clone, Copy)]
struct Context<'a> {
    /// Directory that relative paths start from.
    base: &'a Folder,
    /// The same for rule files.
    rules_base: &'a Folder,
    /// Secrets and keys that are missing do not matter: nothing will be sent and nobody asked.
    trial: bool,
    diagnostics: &'a Diagnostics,
    /// Link-local and metadata networks that may be sent to.
    allowed_targets: &'a [IpNet],
    /// The proxy for what names none of its own.
    proxy: Option<&'a Proxy>,
    /// What routes and rules may name.
    intervals: &'a Intervals<'a>,
}

/// Reads the main file at `path` and all that it names.
pub fn load(path: &Path, env: Env<'_>) -> Loaded {
    let folder = Folder::new(path.parent().unwrap_or_else(|| Path::new("")));
    match folder.read(path) {
        Ok(text) => read(&path.to_string_lossy(), &text, folder, env),
        Err(message) => {
            let message = format!("{}: {message}", path.display());
            let diagnostic = Diagnostic {
                severity: Severity::Error,
                position: None,
                key: String::new(),
                message,
                hint: None,
            };
            Loaded {
                config: None,
                diagnostics: vec![diagnostic],
                hash: String::new(),
                sources: folder.into_sources(),
            }
        }
    }
}

/// Reads a main file that is in memory; the paths in it start from `base`.
pub fn parse(file_name: &str, text: &str, base: &Path, env: Env<'_>) -> Loaded {
    read(file_name, text, Folder::new(base), env)
}

fn read(file_name: &str, text: &str, folder: Folder, env: Env<'_>) -> Loaded {
    let name: Arc<str> = Arc::from(file_name);
    let diagnostics = Diagnostics::default();
    let sources = vec![files::Source { name: Arc::clone(&name), text: text.to_owned() }];
    let tree = yaml::parse(&name, text, &diagnostics).map(|mut tree| {
        env::expand_all(&mut tree, env, &diagnostics);
        tree
    });
    let folders = Folders { base: &folder, rules: &folder };
    let read = read_tree(tree.as_ref(), folders, false, diagnostics, sources);
    Loaded { sources: folder.into_sources(), ..read }
}

/// Where the paths of a main file start from.
#[derive(Clone, Copy)]
struct Folders<'a> {
    base: &'a Folder,
    rules: &'a Folder,
}

/// Reads the tree of a main file, the first of `sources`; without a tree there are problems already. `trial`: see
/// [`Context::trial`].
fn read_tree(
    tree: Option<&yaml::Node>,
    folders: Folders<'_>,
    trial: bool,
    diagnostics: Diagnostics,
    mut sources: Vec<files::Source>,
) -> Loaded {
    let parts = tree.map(|tree| {
        let root = ConfigWords::from(Section::open(
            tree,
            ConfigWords::shape(),
            String::new(),
            &diagnostics,
        ));
        Parts::read(&root, folders, trial, &diagnostics, &mut sources)
    });
    let names: Vec<Arc<str>> = sources.iter().map(|source| Arc::clone(&source.name)).collect();
    let diagnostics = diagnostics.into_sorted(&names);
    let sound = diagnostics.iter().all(|diagnostic| diagnostic.severity != Severity::Error);
    let hash = hash(&sources, folders.base);
    let config = parts.filter(|_| sound).and_then(|parts| parts.check(hash.clone()));
    Loaded { config, diagnostics, hash, sources: Sources::default() }
}

/// What the sections gave; complete only if there is no error.
struct Parts {
    server: Option<Server>,
    accounts: Vec<Account>,
    store: Option<StoreSettings>,
    rules: RuleSet,
    route: Route,
    receivers: Vec<Receiver>,
    inhibit_rules: Vec<InhibitRule>,
    time_intervals: Vec<TimeInterval>,
    templates: MessageTemplates,
    heartbeats: Vec<Heartbeat>,
}

impl Parts {
    fn read(
        root: &ConfigWords<'_>,
        folders: Folders<'_>,
        trial: bool,
        diagnostics: &Diagnostics,
        sources: &mut Vec<files::Source>,
    ) -> Self {
        let all_intervals = Intervals::read(root);
        let Folders { base, rules: rules_base } = folders;
        let server_words = root.server();
        let server = server::read(&server_words);
        let allowed_targets = server.as_ref().map_or(&[][..], |server| &server.allowed_targets);
        let intervals = &all_intervals;
        let proxy = server.as_ref().and_then(|server| server.proxy.as_ref());
        let context =
            Context { base, rules_base, trial, diagnostics, allowed_targets, proxy, intervals };
        let private = server.as_ref().map(|server| server.private_listen);
        let tokens = auth::read(&server_words, context, private);
        let [certificate, private_certificate] = server::certificates(&server_words, context);
        let accounts = accounts::read(root, context, server.as_ref());
        let store = server::read_store(&root.store(), context);
        let templates = templates::read(root, context, sources);
        let receivers::Read { sections, receivers, bodies } =
            receivers::read(root, context, &templates.templates);
        let route = routes::read(root, context, &receivers);
        receivers::check_uses(&sections, &receivers, &route);
        let (rules, names) = rules::read(root, context, &accounts, sources);
        let samples = bodies::samples(&names);
        templates.try_out(&samples, context);
        for body in bodies {
            body.try_out(&samples, context);
        }
        let inhibit_rules = inhibit::read(root);
        let heartbeats = heartbeats::read(root, context);
        let time_intervals = all_intervals.finish();
        let templates = templates.templates;
        let server =
            server.map(|server| Server { tokens, certificate, private_certificate, ..server });
        Self {
            server,
            accounts,
            store,
            rules,
            route,
            receivers,
            inhibit_rules,
            time_intervals,
            templates,
            heartbeats,
        }
    }

    fn check(self, hash: String) -> Option<Config> {
        let Self {
            accounts,
            rules,
            route,
            receivers,
            inhibit_rules,
            time_intervals,
            templates,
            heartbeats,
            ..
        } = self;
        Some(Config {
            server: self.server?,
            accounts,
            store: self.store?,
            rules,
            route,
            receivers,
            templates,
            inhibit_rules,
            time_intervals,
            heartbeats,
            hash,
            _checked: Checked,
        })
    }
}

fn hash(sources: &[files::Source], folder: &Folder) -> String {
    let texts = sources.iter().map(|source| source.text.as_str());
    digest(texts.chain([folder.contents().as_str()]), HASH_BYTES)
}

/// The first `bytes` bytes of a SHA-256 over length-prefixed texts, in hexadecimal.
fn digest<'t>(texts: impl IntoIterator<Item = &'t str>, bytes: usize) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize().iter().take(bytes).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

#[cfg(test)]
mod tests;
