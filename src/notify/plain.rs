//! A message in plain words, for where a template fails.

use super::Notification;
use super::view::View;

/// The message without any template: goes out where one could not render, so that no alert is lost to it.
pub(super) fn render(notification: &Notification) -> String {
    /// Alerts written in full; the rest is counted.
    const ALERTS_SHOWN: usize = 20;
    let view = View::of(notification, ALERTS_SHOWN);
    let mut lines = vec![view.subject];
    lines.extend(view.notes);
    for alert in view.alerts {
        lines.extend([String::new(), format!("{}: {}", alert.status, alert.headline)]);
        let facts = alert.figure.into_iter().chain([alert.when]).chain(alert.facts);
        lines.extend(facts.map(|fact| format!("{}: {}", fact.name, fact.value)));
        lines.extend((!alert.advice.is_empty()).then_some(alert.advice));
        lines.extend(alert.links.into_iter().map(|link| format!("{}: {}", link.label, link.url)));
    }
    if view.more > 0 {
        lines.push(format!("and {} more", view.more));
    }
    lines.extend([String::new(), view.why]);
    lines.join("\n") + "\n"
}
