//! The `route` section: the routing tree.

use std::collections::HashSet;

use super::accounts::NAME_CHARS_MAX;
use super::receivers::undefined;
use super::section::Section;
use crate::alerts::{Matcher, Route};
use crate::notify::Receiver;
use crate::problem::Problem;

/// Routes in the tree at most.
const ROUTES_MAX: usize = 10_000;

/// Reads `route`; all identities are filled.
pub(super) fn read(root: &Section<'_>, receivers: &[Receiver]) -> Route {
    if !root.has("route") {
        return Route::default();
    }
    let section = root.section("route");
    if !section.has("receiver") {
        let problem = Problem::error(section.position.clone(), "route", "missing key \"receiver\"");
        section.push(problem.hint("the root takes every alert that no child takes"));
    }
    for key in ["matchers", "continue"] {
        if section.has(key) {
            section.error(key, "not on the root: it takes every alert that no child takes");
        }
    }
    let mut reader = Reader { receivers, names: HashSet::from(["root".to_owned()]), count: 0 };
    let mut route = reader.route(&section, "");
    if reader.count > ROUTES_MAX {
        section.error("routes", format!("more than {ROUTES_MAX} routes"));
    }
    route.identify();
    route
}

struct Reader<'a> {
    receivers: &'a [Receiver],
    names: HashSet<String>,
    count: usize,
}

impl Reader<'_> {
    fn route(&mut self, section: &Section<'_>, inherited: &str) -> Route {
        self.count += 1;
        let name = section.text("name").map(|name| name.value);
        if let Some(name) = &name {
            if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
                section.error("name", format!("expected 1 to {NAME_CHARS_MAX} characters"));
            } else if !self.names.insert(name.clone()) {
                section.error("name", "another route has this name; root is taken, too");
            }
        }
        let receiver = match section.text("receiver") {
            Some(receiver) => {
                if !self.receivers.iter().any(|known| known.name == receiver.value) {
                    undefined(section, "receiver", &receiver.value, self.receivers);
                }
                receiver.value
            }
            None => inherited.to_owned(),
        };
        let children = section.sections("routes");
        let routes: Vec<Route> =
            children.iter().map(|child| self.route(child, &receiver)).collect();
        warn_of_twins(&children, &routes);
        warn_of_unreachable(&children, &routes);
        Route {
            id: String::new(),
            name,
            receiver,
            matchers: matchers(section),
            continues: section.flag("continue"),
            routes,
            ..Route::default()
        }
    }
}

fn matchers(section: &Section<'_>) -> Vec<Matcher> {
    let mut matchers = Vec::new();
    for (n, text) in section.texts("matchers").into_iter().enumerate() {
        match Matcher::parse(&text.value) {
            Ok(matcher) => matchers.push(matcher),
            Err(error) => section.push(Problem::error(
                text.inside(1, error.column),
                format!("{}[{n}]", section.at("matchers")),
                error.message,
            )),
        }
    }
    matchers
}

/// Without names, twins are told apart by their order alone.
fn warn_of_twins(sections: &[Section<'_>], routes: &[Route]) {
    let mut seen = HashSet::new();
    for (section, route) in sections.iter().zip(routes).filter(|(_, route)| route.name.is_none()) {
        let matchers: Vec<String> = route.matchers.iter().map(ToString::to_string).collect();
        if !seen.insert((matchers, &route.receiver)) {
            let message = "an earlier sibling has the same matchers and receiver";
            section.push(
                Problem::warning(section.position.clone(), &*section.path, message)
                    .hint("remove it, or give both a name"),
            );
        }
    }
}

fn warn_of_unreachable(sections: &[Section<'_>], routes: &[Route]) {
    let last = routes.len().saturating_sub(1);
    for (section, route) in sections.iter().zip(routes).take(last) {
        if !section.has("matchers") && !route.continues {
            section.push(
                Problem::warning(
                    section.position.clone(),
                    &*section.path,
                    "takes every alert: the routes after it are never asked",
                )
                .hint("give it matchers, or continue: true"),
            );
        }
    }
}
