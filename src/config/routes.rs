//! The `route` section: the routing tree.

use std::collections::HashSet;

use super::Context;
use super::accounts::NAME_CHARS_MAX;
use super::intervals::Intervals;
use super::matchers::{self, implies, label_names};
use super::receivers::undefined;
use super::words::{ConfigWords, RouteWords};
use crate::alerts::{GroupBy, Matcher, Route, Timing};
use crate::diagnostic::Diagnostic;
use crate::notify::Receiver;

/// Routes in the tree at most.
const ROUTES_MAX: usize = 10_000;
/// Earlier siblings that a route is compared with at most.
const COMPARED_MAX: usize = 1000;
/// The `group_by` that puts each alert by itself.
const ALL_LABELS: &str = "...";
const TIME_INTERVALS: [&str; 2] = ["mute_time_intervals", "active_time_intervals"];

/// Reads `route`; all identities are filled.
pub(super) fn read(root: &ConfigWords<'_>, context: Context<'_>, receivers: &[Receiver]) -> Route {
    if !root.has("route") {
        return Route::default();
    }
    let section = root.route();
    if !section.has("receiver") {
        let diagnostic =
            Diagnostic::error(section.position.clone(), "route", "missing key \"receiver\"");
        section.push(diagnostic.hint("the root takes every alert that no child takes"));
    }
    for key in ["matchers", "continue"] {
        if section.has(key) {
            section.error(key, "not on the root: it takes every alert that no child takes");
        }
    }
    for key in TIME_INTERVALS {
        if section.has(key) {
            section.error(key, "not on the root: what no child takes is notified at any time");
        }
    }
    let names = HashSet::from(["root".to_owned()]);
    let mut reader = Reader { receivers, intervals: context.intervals, names, count: 0 };
    let mut route = reader.route(&section, None, &[]).route;
    if reader.count > ROUTES_MAX {
        section.error("routes", format!("more than {ROUTES_MAX} routes"));
    }
    route.identify();
    route
}

struct Reader<'a> {
    receivers: &'a [Receiver],
    intervals: &'a Intervals<'a>,
    names: HashSet<String>,
    count: usize,
}

/// What a child has of its parent where it says nothing itself.
#[derive(Clone, Default)]
struct Inherited {
    receiver: String,
    group_by: GroupBy,
    timing: Timing,
}

/// A route that was read.
struct Read {
    route: Route,
    /// Whether all of its matchers could be read.
    whole: bool,
}

impl Reader<'_> {
    /// Reads a route, the root where it has no parent; `above` are the matchers of its ancestors.
    fn route(
        &mut self,
        section: &RouteWords<'_>,
        parent: Option<&Inherited>,
        above: &[Matcher],
    ) -> Read {
        self.count += 1;
        let is_root = parent.is_none();
        let parent = parent.cloned().unwrap_or_default();
        let own = Inherited {
            receiver: self.receiver(section).unwrap_or(parent.receiver),
            group_by: group_by(section).unwrap_or(parent.group_by),
            timing: timing(section, parent.timing),
        };
        let name = self.name(section);
        let matchers::Read { matchers, whole } =
            matchers::read(section, "matchers", section.matchers());
        // Those of the root are refused: they narrow nothing.
        let own_matchers = matchers.iter().filter(|_| !is_root);
        let held: Vec<Matcher> = above.iter().chain(own_matchers).cloned().collect();
        let children = section.routes();
        let read: Vec<Read> =
            children.iter().map(|child| self.route(child, Some(&own), &held)).collect();
        warn_of_siblings(&children, &read, &held);
        let [muted, active] = TIME_INTERVALS;
        let mute_time_intervals =
            self.intervals.named(section, muted, section.mute_time_intervals());
        let active_time_intervals =
            self.intervals.named(section, active, section.active_time_intervals());
        let route = Route {
            id: String::new(),
            name,
            receiver: own.receiver,
            matchers,
            continues: section.r#continue(),
            routes: read.into_iter().map(|read| read.route).collect(),
            group_by: own.group_by,
            timing: own.timing,
            mute_time_intervals,
            active_time_intervals,
        };
        Read { route, whole }
    }

    fn name(&mut self, section: &RouteWords<'_>) -> Option<String> {
        let name = section.name()?.value;
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
            section.error("name", format!("expected 1 to {NAME_CHARS_MAX} characters"));
        } else if !self.names.insert(name.clone()) {
            section.error("name", "another route has this name; root is taken, too");
        }
        Some(name)
    }

    fn receiver(&self, section: &RouteWords<'_>) -> Option<String> {
        let name = section.receiver()?.value;
        if !self.receivers.iter().any(|known| known.name == name) {
            undefined(section, "receiver", &name, self.receivers);
        }
        Some(name)
    }
}

fn group_by(section: &RouteWords<'_>) -> Option<GroupBy> {
    if !section.has("group_by") {
        return None;
    }
    let texts = section.group_by();
    if !texts.iter().any(|text| text.value == ALL_LABELS) {
        return Some(GroupBy::Labels(label_names(section, "group_by", texts)));
    }
    if texts.len() > 1 {
        section.error("group_by", "'...' is all labels: it stands alone");
    }
    Some(GroupBy::All)
}

fn timing(section: &RouteWords<'_>, parent: Timing) -> Timing {
    let given = |key, own, inherited| if section.has(key) { own } else { inherited };
    let timing = Timing {
        group_wait: given("group_wait", section.group_wait(), parent.group_wait),
        group_interval: given("group_interval", section.group_interval(), parent.group_interval),
        repeat_interval: given(
            "repeat_interval",
            section.repeat_interval(),
            parent.repeat_interval,
        ),
    };
    let said = ["repeat_interval", "group_interval"].into_iter().find(|key| section.has(key));
    if let Some(key) = said
        && timing.repeat_interval < timing.group_interval
    {
        let message = "repeat_interval is shorter than group_interval";
        section.warning(key, message);
    }
    timing
}

/// Warns of children that are twins, that take all, or that are never asked; `above` holds of all that comes here.
fn warn_of_siblings(sections: &[RouteWords<'_>], children: &[Read], above: &[Matcher]) {
    let last = children.len().saturating_sub(1);
    let mut twins = HashSet::new();
    for (n, (section, child)) in sections.iter().zip(children).enumerate() {
        let Read { route, whole } = child;
        let takes_all = *whole && implies(&above.iter().collect::<Vec<_>>(), &route.matchers);
        if n < last && takes_all && !route.continues {
            let message = "takes every alert: the routes after it are never asked";
            section.push(
                Diagnostic::warning(section.position.clone(), &*section.path, message)
                    .hint("give it matchers, or continue: true"),
            );
        }
        let matchers: Vec<String> = route.matchers.iter().map(ToString::to_string).collect();
        // Without names, twins are told apart by their order alone.
        if route.name.is_none() && !twins.insert((matchers, &route.receiver)) {
            let message = "an earlier sibling has the same matchers and receiver";
            section.push(
                Diagnostic::warning(section.position.clone(), &*section.path, message)
                    .hint("remove it, or give both a name"),
            );
        } else if let Some(earlier) = covering(children, n, above)
            && let Some(earlier) = sections.get(earlier)
        {
            let message = format!("never asked: {} takes all that would come here", earlier.path);
            section.push(
                Diagnostic::warning(section.position.clone(), &*section.path, message)
                    .hint("put it before that one, or give that one continue: true"),
            );
        }
    }
}

/// The first earlier sibling that takes all that the `n`th child would take, and not simply everything: of that
/// one there is a warning already.
fn covering(children: &[Read], n: usize, above: &[Matcher]) -> Option<usize> {
    let child = children.get(n)?;
    let of_above: Vec<&Matcher> = above.iter().collect();
    // A broken matcher could only narrow it further.
    let narrow: Vec<&Matcher> = above.iter().chain(&child.route.matchers).collect();
    children.iter().take(n.min(COMPARED_MAX)).position(|earlier| {
        let matchers = &earlier.route.matchers;
        let asked_before = earlier.whole && !earlier.route.continues;
        asked_before && implies(&narrow, matchers) && !implies(&of_above, matchers)
    })
}
