//! Compares what a case expects with what there is.

use std::cell::OnceCell;

use super::case::{Expect, NotificationSpec, QuietSpec};
use super::world::{Quiet, SimulatedNotification, World};
use crate::notify::{MessageTemplates, Notification};
use crate::rules::Labels;

/// Lines of a text that is not as expected are shown up to here.
const TEXT_LINES_MAX: usize = 20;

/// Looks once: takes what happened since the last look, and tells what is not as expected.
pub(super) fn look(
    templates: &MessageTemplates,
    world: &mut World<'_>,
    expect: &Expect,
) -> Vec<Mismatch> {
    let happened = world.take();
    let mut mismatches = Vec::new();
    if let Some(expected) = &expect.alerts {
        let got: Vec<&Labels> = world.alerts().map(|alert| &alert.labels).collect();
        mismatches.extend(alerts(expected, &got));
    }
    if let Some(expected) = &expect.notified {
        let got: Vec<Rendered<'_>> = happened
            .notifications
            .iter()
            .map(|notification| Rendered::of(notification, templates))
            .collect();
        mismatches.extend(notifications(expected, &got));
    }
    if let Some(expected) = &expect.suppressed {
        // An alert may be in several groups: that it is kept quiet in one more is no news.
        let mut got: Vec<&Quiet> = Vec::new();
        for quiet in &happened.quiet {
            if !got.iter().any(|known| (&known.labels, known.by) == (&quiet.labels, quiet.by)) {
                got.push(quiet);
            }
        }
        mismatches.extend(suppressed(expected, &got));
    }
    mismatches
}

/// Finds for each expected one a found one of its own; `None` where there is none. The order does not matter.
fn pair(expected: usize, got: usize, fits: &dyn Fn(usize, usize) -> bool) -> Vec<Option<usize>> {
    /// Tries to give `one` a partner, moving others to another one where need be.
    fn place(
        one: usize,
        fits: &dyn Fn(usize, usize) -> bool,
        asked: &mut [bool],
        owner: &mut [Option<usize>],
    ) -> bool {
        for other in 0..owner.len() {
            let free = asked.get(other).is_some_and(|asked| !asked);
            if !free || !fits(one, other) {
                continue;
            }
            if let Some(asked) = asked.get_mut(other) {
                *asked = true;
            }
            let held = owner.get(other).copied().flatten();
            if held.is_none_or(|held| place(held, fits, asked, owner)) {
                if let Some(owner) = owner.get_mut(other) {
                    *owner = Some(one);
                }
                return true;
            }
        }
        false
    }
    let mut owner: Vec<Option<usize>> = vec![None; got];
    for one in 0..expected {
        place(one, fits, &mut vec![false; got], &mut owner);
    }
    let of = |one: usize| owner.iter().position(|owner| *owner == Some(one));
    (0..expected).map(of).collect()
}

/// Compares two lists, each by `fits`; gives the lines of the difference, none when there is no difference.
fn compare<E, G>(
    expected: &[E],
    got: &[G],
    fits: impl Fn(&E, &G) -> bool,
    show_expected: impl Fn(&E, &[&G]) -> Vec<String>,
    show_got: impl Fn(&G) -> String,
) -> Vec<String> {
    let both = |e: usize, g: usize| {
        expected.get(e).zip(got.get(g)).is_some_and(|(expected, got)| fits(expected, got))
    };
    let pairs = pair(expected.len(), got.len(), &both);
    if expected.len() == got.len() && pairs.iter().all(Option::is_some) {
        return Vec::new();
    }
    let left: Vec<&G> = got
        .iter()
        .enumerate()
        .filter(|(n, _)| !pairs.contains(&Some(*n)))
        .map(|(_, got)| got)
        .collect();
    let mut lines = Vec::new();
    for (expected, found) in expected.iter().zip(&pairs) {
        if let Some(got) = found.and_then(|found| got.get(found)) {
            lines.push(format!("  {}", show_got(got)));
            continue;
        }
        let mut shown = show_expected(expected, &left).into_iter();
        lines.extend(shown.next().map(|line| format!("- {line}")));
        lines.extend(shown.map(|line| format!("    {line}")));
    }
    lines.extend(left.iter().map(|got| format!("+ {}", show_got(got))));
    lines
}

fn mismatch(what: &'static str, lines: Vec<String>) -> Option<Mismatch> {
    (!lines.is_empty()).then_some(Mismatch { what, lines })
}

fn alerts(expected: &[Labels], got: &[&Labels]) -> Option<Mismatch> {
    let lines = compare(
        expected,
        got,
        |expected, got| has(got, expected),
        |expected, _| vec![show(expected)],
        |got| show(got),
    );
    mismatch("alerts", lines)
}

fn suppressed(expected: &[QuietSpec], got: &[&Quiet]) -> Option<Mismatch> {
    let lines = compare(
        expected,
        got,
        |expected, got| expected.by == got.by && has(&got.labels, &expected.labels),
        |expected, _| vec![format!("{} {}", expected.by, show(&expected.labels))],
        |got| format!("{:.0} {} {}", got.at, got.by, show(&got.labels)),
    );
    mismatch("suppressed", lines)
}

fn notifications(expected: &[NotificationSpec], got: &[Rendered<'_>]) -> Option<Mismatch> {
    let lines = compare(
        expected,
        got,
        |expected, got| got.differs(expected).is_empty(),
        |expected, left| {
            let mut lines = vec![describe(expected)];
            // Of those that nobody expected, the one that was probably meant.
            let nearest = left.iter().map(|got| got.differs(expected)).min_by_key(Vec::len);
            lines.extend(nearest.into_iter().flatten());
            lines
        },
        Rendered::show,
    );
    mismatch("notified", lines)
}

/// Whether labels hold all that is expected of them.
fn has(labels: &Labels, expected: &Labels) -> bool {
    expected.iter().all(|(name, value)| labels.get(name) == Some(value))
}

fn show(labels: &Labels) -> String {
    let pairs: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

fn show_all<'l>(sets: impl IntoIterator<Item = &'l Labels>) -> String {
    let sets: Vec<String> = sets.into_iter().map(show).collect();
    sets.join(" ")
}

fn describe(expected: &NotificationSpec) -> String {
    let NotificationSpec { receiver, reason, status, alerts, subject, text, channels } = expected;
    let mut parts = vec![format!("to {}", receiver.as_deref().unwrap_or("anybody"))];
    parts.extend(reason.map(str::to_owned));
    parts.extend(status.map(str::to_owned));
    parts.extend(alerts.as_ref().map(show_all));
    parts.extend(subject.as_ref().map(|part| format!("subject with {part:?}")));
    parts.extend(text.iter().map(|part| format!("text with {part:?}")));
    parts.extend(channels.as_ref().map(|channels| format!("by {}", channels.join(" and "))));
    parts.join(", ")
}

/// A notification with its texts, which are rendered when somebody looks at them.
struct Rendered<'n> {
    notification: &'n SimulatedNotification,
    templates: &'n MessageTemplates,
    texts: OnceCell<(String, String)>,
}

impl<'n> Rendered<'n> {
    fn of(notification: &'n SimulatedNotification, templates: &'n MessageTemplates) -> Self {
        Self { notification, templates, texts: OnceCell::new() }
    }

    /// Subject and plain text of a mail.
    fn texts(&self) -> &(String, String) {
        self.texts.get_or_init(|| {
            let SimulatedNotification { at, message, id, .. } = self.notification;
            let notification = Notification {
                key: id.clone(),
                target: String::new(),
                attempt: 1,
                now: *at,
                message: message.clone(),
                charts: Vec::new(),
            };
            let render = |name: &str| {
                let rendered = self.templates.render(name, &notification);
                rendered.unwrap_or_else(|error| format!("cannot be rendered: {}", error.message))
            };
            (render("mail.subject"), render("mail.txt"))
        })
    }

    fn labels(&self) -> Vec<&'n Labels> {
        self.notification.message.alerts.iter().map(|alert| &alert.labels).collect()
    }

    /// How it differs from what is expected, one line for each part.
    fn differs(&self, expected: &NotificationSpec) -> Vec<String> {
        let message = &self.notification.message;
        let mut lines = Vec::new();
        let mut part = |name: &str, want: Option<&str>, is: &str| {
            if want.is_some_and(|want| want != is) {
                lines.push(format!("{name} is {is}"));
            }
        };
        part("the receiver", expected.receiver.as_deref(), &message.receiver);
        part("the reason", expected.reason, message.reason.as_str());
        part("the status", expected.status, message.status.as_str());
        if let Some(channels) = &expected.channels {
            let is: Vec<&str> = self.notification.channels.iter().copied().collect();
            if is != *channels {
                lines.push(format!("it goes by {}", is.join(" and ")));
            }
        }
        if let Some(wanted) = &expected.alerts {
            let found = alerts(wanted, &self.labels());
            lines.extend(found.into_iter().flat_map(|found| found.lines));
        }
        if let Some(part) = &expected.subject
            && !self.texts().0.contains(part)
        {
            lines.push(format!("the subject is {:?}", self.texts().0));
        }
        let missing: Vec<&String> =
            expected.text.iter().filter(|part| !self.texts().1.contains(*part)).collect();
        lines.extend(missing.iter().map(|part| format!("the text has no {part:?}:")));
        if !missing.is_empty() {
            let text = self.texts().1.lines().filter(|line| !line.trim().is_empty());
            lines.extend(text.take(TEXT_LINES_MAX).map(|line| format!("| {line}")));
        }
        lines
    }

    fn show(&self) -> String {
        let SimulatedNotification { at, message, channels, .. } = self.notification;
        let channels: Vec<&str> = channels.iter().copied().collect();
        format!(
            "{at:.0} to {} by {}, {}, {}, {}",
            message.receiver,
            channels.join(" and "),
            message.reason.as_str(),
            message.status.as_str(),
            show_all(self.labels()),
        )
    }
}

/// A difference between what was expected and what there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The key of the case, such as `alerts`.
    pub what: &'static str,
    /// Lines for people: `- ` expected and not there, `+ ` there and not expected, two blanks as expected.
    pub lines: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_expected_one_gets_a_found_one_of_its_own() {
        let labels = |pairs: &[(&str, &str)]| -> Labels {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let (a, ab) = (labels(&[("a", "1")]), labels(&[("a", "1"), ("b", "2")]));
        let other = labels(&[("a", "1"), ("c", "3")]);
        // The vague one could take either; it must leave the exact one its own.
        assert_eq!(alerts(&[a.clone(), ab.clone()], &[&ab, &other]), None);
        assert_eq!(alerts(&[ab.clone(), a.clone()], &[&ab, &other]), None);
        assert_eq!(alerts(&[], &[]), None);
        let lines = alerts(&[ab.clone(), labels(&[("d", "4")])], &[&other, &ab]).expect("differs");
        assert_eq!(lines.lines, ["  {a=\"1\", b=\"2\"}", "- {d=\"4\"}", "+ {a=\"1\", c=\"3\"}"]);
        let lines = alerts(&[a.clone(), a.clone()], &[&ab]).expect("differs").lines;
        assert_eq!(lines, ["  {a=\"1\", b=\"2\"}", "- {a=\"1\"}"]);
    }
}
