//! What a person reads, before any channel gives it its form.
//!
//! Receives a message; promises short, displayable texts (see [`super::text`]) in the order in which someone who was
//! just woken wants them: what, how much, which account, since when, what to do, why me. Never fails.

use std::cmp::Reverse;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde::Serialize;

use super::facts::{self, Fact};
use super::heading::{alert_headline, headline, notes, shared, subject, why};
use super::notification::Notification;
use super::status::{
    End, NAME_CHARACTERS, ROWS_MAX, ended_at, is_info, is_single, status_of, status_of_alert,
    text_of,
};
use crate::alerts::{self, Message, MessageAlert, Status, severity_rank};
use crate::rules::Labels;
use crate::template::{ago_text, duration_text, money_text, rounded_text};
use crate::text::{lines, link, one_line};

/// Longest advice, in characters.
const ADVICE_CHARACTERS: usize = 1_500;

/// How a message looks at first sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Tone {
    /// Over, by word.
    Resolved,
    /// Over, because its time was over or because no reading came: nobody said that the problem is.
    Expired,
    /// Fires, and can wait.
    Info,
    /// Fires; also what has no known severity.
    Warning,
    /// Fires, and cannot wait.
    Critical,
}

impl Tone {
    fn of(status: Status, severity: &str) -> Self {
        match (status, severity.to_ascii_lowercase().as_str()) {
            (Status::Resolved, _) => Self::Resolved,
            (_, "critical" | "page" | "emergency" | "fatal" | "disaster") => Self::Critical,
            (_, severity) if is_info(severity) => Self::Info,
            _ => Self::Warning,
        }
    }

    /// Its colour as `#rrggbb`, readable under white text.
    pub(super) fn color(self) -> &'static str {
        match self {
            Self::Critical => "#c1121f",
            Self::Warning => "#b45309",
            Self::Info => "#1d5fa8",
            Self::Resolved => "#1a7f37",
            Self::Expired => "#57606a",
        }
    }

    /// Its mark where colour is not at hand.
    pub(super) fn mark(self) -> char {
        match self {
            Self::Critical => '🔴',
            Self::Warning => '🟠',
            Self::Info => '🔵',
            Self::Resolved => '🟢',
            Self::Expired => '⚪',
        }
    }
}

/// A place to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Link {
    /// What is there.
    pub(super) label: &'static str,
    /// A checked `http` or `https` address.
    pub(super) url: String,
}

/// A message for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct View {
    /// Colour.
    pub(super) tone: Tone,
    /// The colour as `#rrggbb`.
    pub(super) color: &'static str,
    /// `FIRING`, `NOTICE` where nobody needs to act, `RESOLVED`, `EXPIRED` or `NO DATA`.
    pub(super) status: &'static str,
    /// The worst severity among the alerts that set the tone, `was …` when they are over; may be empty.
    pub(super) severity: String,
    /// The account; empty when the alerts do not share one.
    pub(super) account: String,
    /// What happened, on one line.
    pub(super) headline: String,
    /// Subject line, and the text of a notification on a phone.
    pub(super) subject: String,
    /// What must be known before all else: that this is a fallback's copy, that it comes late.
    pub(super) notes: Vec<String>,
    /// Labels that several alerts share, said once; without account, name and severity. Empty for a single alert.
    pub(super) shared: Vec<Fact>,
    /// The alerts, firing ones first, each part with what changed last at its head; at most as many as asked for.
    pub(super) alerts: Vec<AlertView>,
    /// What to do about all of them, where several share it and some fire; empty for a single alert, which has its own.
    pub(super) advice: String,
    /// Whether there is one alert only, which is then written in full.
    pub(super) single: bool,
    /// How many more there are.
    pub(super) more: usize,
    /// Where to go about all of them; empty for a single alert, which has links of its own.
    pub(super) links: Vec<Link>,
    /// Why this is sent.
    pub(super) why: String,
}

/// One alert for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct AlertView {
    /// Colour.
    pub(super) tone: Tone,
    /// The colour as `#rrggbb`.
    pub(super) color: &'static str,
    /// `FIRING`, `NOTICE` where nobody needs to act, `RESOLVED`, `EXPIRED` or `NO DATA`.
    pub(super) status: &'static str,
    /// What happened, on one line.
    pub(super) headline: String,
    /// The severity, where the alerts of a message differ in it; else empty.
    pub(super) severity: String,
    /// The amount that matters most, if any; how long it lasted, when it is over.
    pub(super) figure: Option<Fact>,
    /// Since when, or from when to when.
    pub(super) when: Fact,
    /// Everything else: further amounts, labels, event fields.
    pub(super) facts: Vec<Fact>,
    /// What happened in more words, as written by the author of the rule; may have several lines. Empty when it is over.
    pub(super) story: String,
    /// What to do, likewise; empty where all alerts share it.
    pub(super) advice: String,
    /// Where to go.
    pub(super) links: Vec<Link>,
}

impl View {
    /// The view of a notification's message, with at most `shown` alerts.
    pub(super) fn of(notification: &Notification, shown: usize) -> Self {
        let message = &notification.message;
        let decisive = message.alerts.iter().filter(|alert| alert.status == message.status);
        let (tone, severity) = decisive
            .map(|alert| (tone_of(alert), severity_of(alert)))
            .max_by(|one, other| one.0.cmp(&other.0))
            .unwrap_or_else(|| (Tone::of(message.status, ""), String::new()));
        let severity = match message.status {
            Status::Resolved if !severity.is_empty() => format!("was {severity}"),
            _ => severity,
        };
        let headline = headline(message);
        let single = is_single(message);
        let account = one_line(text_of(&message.common_labels, "account"), NAME_CHARACTERS);
        let alerts = shown_first(message, shown).map(|alert| alert_view(alert, notification));
        Self {
            tone,
            color: tone.color(),
            status: status_of(message),
            severity,
            subject: subject(notification, &account),
            account,
            headline,
            notes: notes(notification),
            shared: if single { Vec::new() } else { shared(message) },
            alerts: alerts.collect(),
            advice: if single { String::new() } else { shared_advice(message) },
            single,
            more: message.alerts.len().saturating_sub(shown) + message.truncated_alerts,
            links: group_links(message),
            why: why(message),
        }
    }
}

/// The alerts to show: firing ones first, the most severe and then the newest of them at the head, then those that ended,
/// the last to end at the head. Each end in a message is news, so however many fire, ends have up to half of the places.
fn shown_first(message: &Message, shown: usize) -> impl Iterator<Item = &MessageAlert> {
    let (mut firing, mut over): (Vec<_>, Vec<_>) =
        message.alerts.iter().partition(|alert| alert.status == Status::Firing);
    firing.sort_by_key(|alert| Reverse((severity_rank(&alert.labels), alert.starts_at)));
    over.sort_by_key(|alert| Reverse(ended_at(alert, message)));
    firing.truncate(shown - over.len().min(shown / 2));
    firing.into_iter().chain(over).take(shown)
}

/// What to do, where all alerts share it; nothing once all are over.
fn shared_advice(message: &Message) -> String {
    match message.status {
        Status::Firing => advice(&message.common_annotations),
        Status::Resolved => String::new(),
    }
}

fn alert_view(alert: &MessageAlert, notification: &Notification) -> AlertView {
    let message = &notification.message;
    let tone = tone_of(alert);
    let over = alert.status == Status::Resolved;
    let single = is_single(message);
    // What all share stands at the head, once.
    let shares_advice = !single && !shared_advice(message).is_empty();
    let differs = !single && !message.common_labels.contains_key("severity");
    // Of a rule over time the judged value counts; what the last event alone cost would only mislead.
    let mut facts = facts::money(&alert.event);
    let mut is_over_time = false;
    if let Some(value) = alert.value {
        let tells_it = |fact: &Fact| {
            let number = fact.value.split(' ').next();
            number.and_then(|number| number.parse().ok()) == Some(value)
        };
        if !facts.iter().any(tells_it) {
            is_over_time = true;
            facts = Fact::new("Value", &value_text(value, alert)).into_iter().collect();
        }
    }
    let usual = alert.usual.as_deref().filter(|_| !over);
    facts.extend(usual.and_then(|usual| Fact::new("Compared", usual)));
    let figure = match over {
        true => Some(lasted(alert, message)),
        false if facts.is_empty() => None,
        false => Some(facts.remove(0)),
    };
    facts.extend(
        alert
            .labels
            .iter()
            .filter(|(name, _)| !["alertname", "severity"].contains(&name.as_str()))
            .filter(|(name, _)| single || !message.common_labels.contains_key(*name))
            .filter_map(|(name, value)| Fact::new(&facts::in_words(name), value))
            .take(ROWS_MAX),
    );
    if !is_over_time {
        facts.extend(facts::others(&alert.event, &facts, ROWS_MAX));
    }
    let kind = alert.event.get("kind").and_then(facts::scalar).unwrap_or_default();
    facts.extend(Fact::new("Event", &kind));
    AlertView {
        tone,
        color: tone.color(),
        status: status_of_alert(alert),
        headline: alert_headline(alert),
        severity: if differs { severity_of(alert) } else { String::new() },
        figure,
        when: when(alert, notification),
        facts,
        story: if over { String::new() } else { story(alert) },
        advice: if over || shares_advice { String::new() } else { advice(&alert.annotations) },
        links: alert_links(alert, message),
    }
}

/// A judged value: with its currency, where the rule sums by it.
fn value_text(value: Decimal, alert: &MessageAlert) -> String {
    let text = rounded_text(value);
    let currency = alert.labels.get("currency").and_then(|code| money_text(&text, code));
    currency.unwrap_or(text)
}

fn severity_of(alert: &MessageAlert) -> String {
    one_line(text_of(&alert.labels, "severity"), NAME_CHARACTERS)
}

fn tone_of(alert: &MessageAlert) -> Tone {
    match alert.status {
        Status::Resolved if End::of(alert) != End::Resolved => Tone::Expired,
        status => Tone::of(status, &severity_of(alert)),
    }
}

/// `2026-08-20 19:17:08 UTC (3m ago)`, or from when to when.
fn when(alert: &MessageAlert, notification: &Notification) -> Fact {
    let start = utc(alert.starts_at);
    let (name, value) = match alert.status {
        Status::Firing => {
            ("Since", format!("{start} ({})", ago_text(alert.starts_at, notification.now)))
        }
        Status::Resolved => {
            ("From", format!("{start} to {}", utc(ended_at(alert, &notification.message))))
        }
    };
    Fact { name: name.to_owned(), value }
}

fn lasted(alert: &MessageAlert, message: &Message) -> Fact {
    let seconds = ended_at(alert, message).duration_since(alert.starts_at).as_secs();
    let name = match End::of(alert) {
        End::Resolved => "Over after",
        End::Expired => "Expired after",
        End::NoData => "No data after",
    };
    Fact { name: name.to_owned(), value: duration_text(seconds) }
}

fn utc(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn story(alert: &MessageAlert) -> String {
    lines(text_of(&alert.annotations, "description"), ADVICE_CHARACTERS)
}

fn advice(annotations: &Labels) -> String {
    let runbook = ["runbook", "runbook_url"].map(|name| text_of(annotations, name));
    // A runbook that is no address is advice in words.
    let words = runbook.into_iter().find(|text| !text.trim().is_empty() && link(text).is_none());
    [text_of(annotations, "action"), words.unwrap_or_default()]
        .iter()
        .map(|text| lines(text, ADVICE_CHARACTERS))
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

fn alert_links(alert: &MessageAlert, message: &Message) -> Vec<Link> {
    let console = |path: &dyn Fn() -> String| console_link(message, path);
    let shown = console(&|| alerts::alert_path(&alert.fingerprint));
    let silence = console(&|| alerts::silence_path(&alert.labels));
    let silence = silence.filter(|_| alert.status == Status::Firing);
    links(&alert.annotations, ("Alert", shown), silence)
}

fn group_links(message: &Message) -> Vec<Link> {
    if is_single(message) {
        return Vec::new();
    }
    let console = |path: &dyn Fn() -> String| console_link(message, path);
    let labels = &message.group_labels;
    let shown = console(&|| alerts::alerts_path(labels));
    let silence = console(&|| alerts::silence_path(labels));
    let silence = silence.filter(|_| message.status == Status::Firing && !labels.is_empty());
    links(&message.common_annotations, ("Alerts", shown), silence)
}

/// A page of the console, where it is said under which address people reach it.
fn console_link(message: &Message, path: &dyn Fn() -> String) -> Option<String> {
    if message.external_url.is_empty() {
        return None;
    }
    link(&format!("{}{}", message.external_url, path()))
}

/// The pages of the console first, then the runbook.
fn links(
    annotations: &Labels,
    (label, shown): (&'static str, Option<String>),
    silence: Option<String>,
) -> Vec<Link> {
    let shown = shown.map(|url| Link { label, url });
    let silence = silence.map(|url| Link { label: "Silence", url });
    let runbook = runbook(annotations).map(|url| Link { label: "Runbook", url });
    [shown, runbook, silence].into_iter().flatten().collect()
}

fn runbook(annotations: &Labels) -> Option<String> {
    ["runbook_url", "runbook"].iter().find_map(|name| link(text_of(annotations, name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::tests::samples;

    #[test]
    fn a_value_over_time_stands_in_the_place_of_the_last_events_cost() {
        let mut notification = samples::spend_limit();
        notification.message.alerts[0].value = Some("150.20".parse().expect("decimal"));
        let view = View::of(&notification, 10);
        assert_eq!(view.alerts[0].figure, Fact::new("Value", "150.2"));
        assert!(!view.alerts[0].facts.iter().any(|fact| fact.name == "Spent"));
    }

    #[test]
    fn severity_sets_the_tone_and_an_end_is_always_green() {
        for (status, severity, expected) in [
            (Status::Firing, "critical", Tone::Critical),
            (Status::Firing, "PAGE", Tone::Critical),
            (Status::Firing, "info", Tone::Info),
            (Status::Firing, "", Tone::Warning),
            (Status::Firing, "purple", Tone::Warning),
            (Status::Resolved, "critical", Tone::Resolved),
        ] {
            assert_eq!(Tone::of(status, severity), expected, "{severity}");
        }
    }

    #[test]
    fn a_group_is_named_by_what_it_shares_or_by_the_worst_it_has() {
        let mut notification = samples::many();
        let label = |notification: &mut Notification, at: usize, name: &str, value: &str| {
            notification.message.alerts[at].labels.insert(name.to_owned(), value.to_owned());
        };
        label(&mut notification, 3, "severity", "critical");
        let view = View::of(&notification, 5);
        assert_eq!((view.tone, view.severity.as_str()), (Tone::Critical, "critical"));
        assert_eq!((view.alerts.len(), view.more, view.single), (5, 29, false));
        notification.message.common_labels.clear();
        for (at, name) in ["D", "B", "C", "A"].into_iter().enumerate() {
            label(&mut notification, at, "alertname", name);
        }
        notification.message.alerts.truncate(4);
        assert_eq!(View::of(&notification, 5).headline, "4 alerts: A, B, C and 1 more");
        assert_eq!(View::of(&notification, 5).account, "");
    }

    #[test]
    fn an_end_tells_how_long_it_lasted_and_asks_for_nothing() {
        let view = View::of(&samples::resolved(), 9);
        let [alert] = view.alerts.as_slice() else { panic!("one alert") };
        assert_eq!((view.status, view.severity.as_str()), ("RESOLVED", "was critical"));
        assert_eq!(alert.figure, Fact::new("Over after", "2h 5m"));
        assert_eq!(alert.advice, "");
    }

    #[test]
    fn an_end_that_nobody_reported_is_no_all_clear() {
        let expired = View::of(&samples::expired(), 1);
        assert_eq!((expired.status, expired.tone), ("EXPIRED", Tone::Expired));
        assert_eq!(expired.notes, ["Its time is over; nothing said that the problem is."]);
        let no_data = View::of(&samples::no_data(), 1);
        assert_eq!((no_data.status, no_data.tone), ("NO DATA", Tone::Expired));
        assert!(no_data.subject.starts_with("[NO DATA] "), "{}", no_data.subject);
        assert!(no_data.notes[0].starts_with("No reading came"), "{:?}", no_data.notes);
        let figure = no_data.alerts[0].figure.as_ref().map(|fact| fact.name.as_str());
        assert_eq!(figure, Some("No data after"));

        // One of several is enough to take the green away.
        let mut notification = samples::mixed();
        notification.message.status = Status::Resolved;
        for alert in &mut notification.message.alerts {
            alert.status = Status::Resolved;
        }
        let view = View::of(&notification, 9);
        assert_eq!((view.status, view.tone), ("NO DATA", Tone::Expired));
        assert!(view.subject.starts_with("[NO DATA:5] "), "{}", view.subject);
        assert_eq!(view.notes.len(), 2, "{:?}", view.notes);
        notification.message.alerts.retain(|alert| !alert.no_data);
        assert_eq!(View::of(&notification, 9).status, "EXPIRED");
        notification.message.alerts.retain(|alert| !alert.expired);
        assert_eq!(
            (View::of(&notification, 9).status, View::of(&notification, 9).tone),
            ("RESOLVED", Tone::Resolved)
        );
    }

    #[test]
    fn an_end_without_a_time_ended_when_it_was_queued() {
        let mut notification = samples::no_data();
        notification.message.alerts[0].ends_at = None;
        let view = View::of(&notification, 1);
        assert!(view.alerts[0].when.value.ends_with("to 2026-08-20 21:22:19 UTC"), "{view:?}");
        notification.message.alerts[0].ends_at = Some(samples::at("2020-01-01T00:00:00Z"));
        assert_eq!(
            ended_at(&notification.message.alerts[0], &notification.message),
            notification.message.alerts[0].starts_at
        );
    }

    #[test]
    fn several_alerts_are_counted_and_share_what_they_have_in_common() {
        let mut notification = samples::mixed();
        assert_eq!(
            View::of(&notification, 9).subject,
            "[FIRING:2] CallCostHigh, LowBalance, SpendLimitReached · 3 over"
        );
        notification.message.truncated_alerts = 7;
        let view = View::of(&notification, 3);
        assert!(view.subject.starts_with("[FIRING:2+] "), "{}", view.subject);
        assert_eq!(
            (view.more, view.headline.starts_with("12 alerts, 3 of them over: ")),
            (9, true)
        );
        assert_eq!(view.alerts[0].severity, "critical", "they differ in it");

        let mut notification = samples::many();
        notification.message.common_labels.insert("team".to_owned(), "voice".to_owned());
        for alert in &mut notification.message.alerts {
            alert.labels.insert("team".to_owned(), "voice".to_owned());
        }
        let view = View::of(&notification, 2);
        assert_eq!(view.shared, [Fact::new("Team", "voice").expect("fact")]);
        let alert = &view.alerts[0];
        assert_eq!(alert.severity, "");
        assert!(alert.facts.iter().all(|fact| fact.name != "Team"), "{alert:?}");
        assert!(alert.facts.iter().any(|fact| fact.name == "Account"), "{alert:?}");
    }

    #[test]
    fn a_runbook_is_a_link_or_advice() {
        let mut notification = samples::bare();
        for (text, advice, links) in
            [("https://wiki.example.com/x", "", 1), ("call Ann", "call Ann", 0), (" ", "", 0)]
        {
            let annotations = &mut notification.message.alerts[0].annotations;
            annotations.insert("runbook".to_owned(), text.to_owned());
            let view = View::of(&notification, 1);
            assert_eq!(
                (view.alerts[0].advice.as_str(), view.alerts[0].links.len()),
                (advice, links)
            );
        }
    }

    #[test]
    fn what_changed_last_is_shown_however_many_alerts_there_are() {
        let mut notification = samples::many();
        let alerts = &mut notification.message.alerts;
        alerts[32].starts_at = samples::at("2026-08-20T19:20:00Z");
        let (newest, over) = (alert_headline(&alerts[32]), alert_headline(&alerts[33]));
        let headlines = |notification: &Notification, shown: usize| -> Vec<String> {
            View::of(notification, shown).alerts.into_iter().map(|alert| alert.headline).collect()
        };
        let shown = headlines(&notification, 4);
        assert_eq!(shown[0], newest);
        assert!(shown[1].starts_with("One call cost 1.50"), "else the order stays: {shown:?}");
        assert_eq!((shown.len(), &shown[3]), (4, &over));
        assert_eq!(View::of(&notification, 4).more, 30);
        assert_eq!(headlines(&notification, 1), [newest]);
        assert_eq!(headlines(&notification, 0).len(), 0);

        // Many ends leave half of the places, the last end first; few firing ones leave all the others.
        let alerts = &mut notification.message.alerts;
        for alert in alerts.iter_mut().skip(10) {
            alert.status = Status::Resolved;
        }
        alerts[20].ends_at = Some(samples::at("2026-08-22T00:00:00Z"));
        let last = alert_headline(&alerts[20]);
        assert_eq!(headlines(&notification, 10)[5], last);
        notification.message.alerts.drain(..9);
        assert_eq!(headlines(&notification, 10)[1], last);
    }

    #[test]
    fn advice_and_runbook_that_all_share_are_told_once_while_some_fire() {
        let notification = samples::advised();
        let view = View::of(&notification, 9);
        assert_eq!(view.advice, "Raise the daily limit in Mission Control, Messaging, Profiles.");
        let links: Vec<_> = view.links.iter().map(|link| link.label).collect();
        assert_eq!(links, ["Alerts", "Runbook", "Silence"]);
        assert!(view.alerts.iter().all(|alert| alert.advice.is_empty()), "not once more");
        let mut over = notification.clone();
        over.message.status = Status::Resolved;
        assert_eq!(View::of(&over, 9).advice, "");
        let mixed = View::of(&samples::mixed(), 9);
        assert_eq!(mixed.advice, "", "they do not share it");
        let own = mixed.alerts.iter().filter(|alert| !alert.advice.is_empty()).count();
        assert!(own > 0, "each keeps its own");
        assert_eq!(View::of(&samples::spend_limit(), 9).advice, "", "a single one has its own");
    }

    #[test]
    fn lateness_and_fallback_are_said_first() {
        assert_eq!(View::of(&samples::spend_limit(), 1).notes, Vec::<String>::new());
        assert_eq!(
            View::of(&samples::fallback(), 1).notes,
            [
                "This copy is for receiver oncall, which could not be reached.",
                "Sent 20m 33s late (attempt 7).",
            ]
        );
    }
}
