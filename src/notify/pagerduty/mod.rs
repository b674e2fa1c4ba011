//! PagerDuty, by its Events API v2.
//!
//! One group of alerts is one PagerDuty alert: its `dedup_key` is the group's identity. While an alert of the group
//! fires, the event is a `trigger`; when nothing that PagerDuty knows as firing fires any more, however it ended, a `resolve`:
//! an incident that is left open swallows the next page. What was over before anybody was notified is a `trigger`, too: PagerDuty
//! drops a `resolve` of what it does not know, and the page would be lost; the `resolve` follows. Where an incident is still
//! open for what is over, it is resolved before the next one is triggered.
//!
//! Limits kept before sending (<https://developer.pagerduty.com/docs/events-api-v2/overview/>): summary 1,024
//! characters, `dedup_key` 255, the whole event 512 KiB. 202 is delivered, 400 rejected, 429 and 5xx tried again.

mod settings;

use std::fmt::Write as _;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

pub use self::settings::{PagerDutySettings, Severity};
use crate::alerts::PeerKind;
use crate::alerts::{self, Message, Status};
use crate::notify::kind::{ChannelKind, Limits, Sending, Transport};
use crate::notify::templates::{MessageTemplates, PAGERDUTY_SUMMARY};
use crate::notify::view::{AlertView, View};
use crate::notify::{Notification, NotifyError, Outcome, Sent, http};
use crate::text::one_line;

/// Longest `dedup_key`, in bytes, which are never fewer than its characters.
const DEDUP_KEY_BYTES: usize = 255;
/// Longest summary, in characters; we count UTF-16 units, the strictest reading.
const SUMMARY_UNITS: usize = 1_024;
/// Longest source, component, group or class, in characters. PagerDuty names no limit.
const FIELD_CHARACTERS: usize = 200;
/// Alerts named in `custom_details`; the rest is counted.
const ALERTS_SHOWN: usize = 10;
/// Facts of one alert among several.
const ITEM_FACTS_MAX: usize = 3;
/// Links of one event.
const LINKS_MAX: usize = 10;
/// Largest event, in bytes. Only a template or label of absurd size comes near; then the details are left out.
const EVENT_BYTES_MAX: usize = 512 * 1024;

/// An event ready to be sent, but for the routing key.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// The event; its `routing_key` is `***`.
    pub event: Value,
    /// True when the template of the summary could not render and the built-in text stands in its place.
    pub template_failed: bool,
}

/// Posts to one PagerDuty service.
#[derive(Debug)]
pub(super) struct PagerDutyPoster {
    settings: PagerDutySettings,
    templates: MessageTemplates,
    client: reqwest::Client,
}

impl PagerDutyPoster {
    pub(super) fn new(
        settings: &PagerDutySettings,
        timeout: Duration,
        connections: usize,
        templates: &MessageTemplates,
    ) -> Result<Self, NotifyError> {
        let client = crate::http::client(timeout, connections, &settings.via)?;
        Ok(Self { settings: settings.clone(), templates: templates.clone(), client })
    }

    pub(super) async fn send(&self, notification: &Notification) -> Sent {
        if notification.message.reopens {
            let event = resolve(&dedup_key(&notification.message.group_key));
            match self.post(notification, event).await {
                Ok(Outcome::Delivered) => {}
                Ok(failure) | Err(failure) => {
                    return Sent { outcome: failure, template_failed: false };
                }
            }
        }
        let Rendered { event, template_failed } =
            render(&self.settings, notification, &self.templates);
        let outcome = self.post(notification, event).await.unwrap_or_else(|failure| failure);
        Sent { outcome, template_failed }
    }

    async fn post(
        &self,
        notification: &Notification,
        mut event: Value,
    ) -> Result<Outcome, Outcome> {
        let url = http::read_url(&self.settings.url)?;
        let key = http::read_secret(&self.settings.routing_key, "the routing key")?;
        let sent = event.to_string();
        let secrets = [url.as_str().to_owned(), key.expose_secret().to_owned()];
        if let Some(fields) = event.as_object_mut() {
            fields.insert("routing_key".to_owned(), json!(key.expose_secret()));
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = event.to_string().into_bytes();
        let answer = http::post(&self.client, url, headers, body, notification.now).await?;
        Ok(http::classify(&answer, &http::quote(&answer.body, &sent, &secrets)))
    }
}

/// Renders the event. Pure, and never fails: where a template does, the built-in summary stands in.
pub fn render(
    settings: &PagerDutySettings,
    notification: &Notification,
    templates: &MessageTemplates,
) -> Rendered {
    let message = &notification.message;
    let dedup_key = dedup_key(&message.group_key);
    if is_resolve(message) {
        return Rendered { event: resolve(&dedup_key), template_failed: false };
    }
    let view = View::of(notification, ALERTS_SHOWN);
    let summary = templates.render(PAGERDUTY_SUMMARY, notification).map_err(|error| {
        let receiver = message.receiver.as_str();
        tracing::warn!(%error, receiver, "PagerDuty template failed, the built-in summary is sent");
    });
    let template_failed = summary.is_err();
    let summary = summary.ok().map(|text| summary_text(&text)).filter(|text| !text.is_empty());
    let mut event = json!({
        "routing_key": "***",
        "event_action": "trigger",
        "dedup_key": dedup_key,
        "client": settings.client,
        "payload": payload(settings, message, &view, summary.as_deref()),
        "links": links(&view),
    });
    let client_url = settings.client_url.as_deref().unwrap_or(&message.external_url);
    if let (Some(fields), false) = (event.as_object_mut(), client_url.is_empty()) {
        fields.insert("client_url".to_owned(), json!(client_url));
    }
    if event.to_string().len() > EVENT_BYTES_MAX - http::REPLY_BYTES_MAX
        && let Some(payload) = event.get_mut("payload").and_then(Value::as_object_mut)
    {
        payload.remove("custom_details");
    }
    Rendered { event, template_failed }
}

fn resolve(dedup_key: &str) -> Value {
    json!({"routing_key": "***", "event_action": "resolve", "dedup_key": dedup_key})
}

/// Whether nothing that PagerDuty knows as firing fires any more.
fn is_resolve(message: &Message) -> bool {
    message.status == Status::Resolved && message.reason == alerts::Reason::AllResolved
}

/// The group's identity, by its hash where it is too long.
fn dedup_key(group_key: &str) -> String {
    if (1..=DEDUP_KEY_BYTES).contains(&group_key.len()) {
        return group_key.to_owned();
    }
    Sha256::digest(group_key).iter().fold(String::new(), |mut digits, byte| {
        write!(digits, "{byte:02x}").expect("writing to a string cannot fail");
        digits
    })
}

/// One line within the limit, cut between characters.
fn summary_text(text: &str) -> String {
    let line = one_line(text, SUMMARY_UNITS);
    let mut used = 0;
    line.chars()
        .take_while(|character| {
            used += character.len_utf16();
            used <= SUMMARY_UNITS
        })
        .collect()
}

fn payload(
    settings: &PagerDutySettings,
    message: &Message,
    view: &View,
    summary: Option<&str>,
) -> Value {
    let account = view.account.as_str();
    let source = if account.is_empty() { "telnyx".to_owned() } else { format!("telnyx:{account}") };
    let mut payload = json!({
        "summary": summary.map_or_else(|| summary_text(&view.subject), str::to_owned),
        "source": source,
        "severity": severity(settings, message).word(),
        "custom_details": details(message, view),
    });
    let starts = message.alerts.iter().filter(|alert| alert.status == message.status);
    let timestamp = starts.map(|alert| alert.starts_at).min().map(|at| at.to_string());
    let products = message.alerts.iter().map(|alert| alert.event.get("product")?.as_str());
    let optional = [
        ("timestamp", timestamp),
        ("component", same(products).map(str::to_owned)),
        ("group", (!account.is_empty()).then(|| account.to_owned())),
        ("class", message.common_labels.get("alertname").cloned()),
    ];
    if let Some(fields) = payload.as_object_mut() {
        for (name, value) in optional {
            let value = value.map(|value| one_line(&value, FIELD_CHARACTERS));
            let value = value.filter(|value| !value.is_empty());
            fields.extend(value.map(|value| (name.to_owned(), json!(value))));
        }
    }
    payload
}

/// What all of them have, if they have the same.
fn same<'t>(mut values: impl Iterator<Item = Option<&'t str>>) -> Option<&'t str> {
    let first = values.next()??;
    values.all(|value| value == Some(first)).then_some(first)
}

/// The worst severity among the alerts that give the message its status.
fn severity(settings: &PagerDutySettings, message: &Message) -> Severity {
    let decisive = message.alerts.iter().filter(|alert| alert.status == message.status);
    let of_label = |label: &str| {
        settings.severity.get(label).copied().unwrap_or_else(|| {
            match label.to_ascii_lowercase().as_str() {
                "critical" | "page" | "emergency" | "fatal" | "disaster" => Severity::Critical,
                "error" | "high" | "major" => Severity::Error,
                "info" | "information" | "notice" | "none" | "debug" | "low" => Severity::Info,
                _ => Severity::Warning,
            }
        })
    };
    let severities =
        decisive.map(|alert| of_label(alert.labels.get("severity").map_or("", String::as_str)));
    severities.max().unwrap_or(Severity::Warning)
}

/// What PagerDuty shows as a table: counts, then the facts of the only alert, or a line for each of several.
fn details(message: &Message, view: &View) -> Value {
    let over = message.alerts.iter().filter(|alert| alert.status == Status::Resolved).count();
    let mut details = Map::new();
    let mut tell = |name: &str, value: Value| {
        details.entry(name.to_owned()).or_insert(value);
    };
    tell("Firing", json!(message.alerts.len() - over));
    tell("Resolved", json!(over));
    if message.truncated_alerts > 0 {
        tell("Not listed", json!(message.truncated_alerts));
    }
    if !view.notes.is_empty() {
        tell("Note", json!(view.notes.join(" ")));
    }
    match view.alerts.as_slice() {
        [alert] if view.single => {
            for fact in alert.figure.iter().chain([&alert.when]).chain(&alert.facts) {
                tell(&fact.name, json!(fact.value));
            }
            for (name, text) in [("Details", &alert.story), ("What to do", &alert.advice)] {
                if !text.is_empty() {
                    tell(name, json!(text));
                }
            }
        }
        alerts => {
            for fact in &view.shared {
                tell(&fact.name, json!(fact.value));
            }
            let mut lines: Vec<String> = alerts.iter().map(line).collect();
            lines.extend((view.more > 0).then(|| format!("and {} more", view.more)));
            tell("Alerts", json!(lines));
        }
    }
    tell("Notified because", json!(message.reason.as_str()));
    Value::Object(details)
}

/// One alert among several.
fn line(alert: &AlertView) -> String {
    let facts = alert.facts.iter().take(ITEM_FACTS_MAX);
    let facts = alert.figure.iter().chain([&alert.when]).chain(facts);
    let facts: Vec<String> = facts.map(|fact| format!("{} {}", fact.name, fact.value)).collect();
    format!("{}: {} · {}", alert.status, alert.headline, facts.join(" · "))
}

fn links(view: &View) -> Vec<Value> {
    let of_alerts = view.alerts.iter().flat_map(|alert| {
        let text = |label: &str| {
            if view.single { label.to_owned() } else { format!("{label}: {}", alert.headline) }
        };
        alert.links.iter().map(move |link| json!({"href": link.url, "text": text(link.label)}))
    });
    let of_all = view.links.iter().map(|link| json!({"href": link.url, "text": link.label}));
    of_all.chain(of_alerts).take(LINKS_MAX).collect()
}

impl ChannelKind for PagerDutySettings {
    fn kind(&self) -> &'static str {
        "pagerduty"
    }

    fn peer_kind(&self) -> PeerKind {
        PeerKind::Incident
    }

    fn transport(
        &self,
        limits: Limits,
        templates: &MessageTemplates,
    ) -> Result<Box<dyn Transport>, NotifyError> {
        Ok(Box::new(PagerDutyPoster::new(self, limits.timeout, limits.connections, templates)?))
    }

    fn preview(
        &self,
        notification: &Notification,
        templates: &MessageTemplates,
    ) -> Result<String, NotifyError> {
        Ok(format!("{:#}", render(self, notification, templates).event))
    }
}

impl Transport for PagerDutyPoster {
    fn send<'a>(&'a self, notification: &'a Notification) -> Sending<'a> {
        Box::pin(PagerDutyPoster::send(self, notification))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::collections::BTreeMap;

    use super::*;
    use crate::notify::tests::samples;
    use crate::secret::Secret;

    fn settings() -> PagerDutySettings {
        PagerDutySettings {
            url: Secret::inline("https://events.example.com/v2/enqueue"),
            routing_key: Secret::inline("0123456789abcdef0123456789abcdef"),
            severity: BTreeMap::from([("sev1".to_owned(), Severity::Critical)]),
            client: "tollbell".to_owned(),
            client_url: None,
            via: crate::http::Via::default(),
        }
    }

    fn event(notification: &Notification) -> Value {
        let Rendered { event, template_failed } =
            render(&settings(), notification, &MessageTemplates::default());
        assert!(!template_failed);
        event
    }

    #[test]
    fn a_trigger_tells_what_a_person_needs() {
        insta::assert_snapshot!(format!("{:#}", event(&samples::spend_limit())), @r#"
        {
          "client": "tollbell",
          "client_url": "https://tollbell.example.com",
          "dedup_key": "finance:{account=\"default\"}",
          "event_action": "trigger",
          "links": [
            {
              "href": "https://tollbell.example.com/alerts/4ddabc6d19890228",
              "text": "Alert"
            },
            {
              "href": "https://wiki.example.com/runbooks/spend-limit?from=mail&v=2",
              "text": "Runbook"
            },
            {
              "href": "https://tollbell.example.com/silences/new?matcher=account%3D%22default%22&matcher=alertname%3D%22SpendLimitReached%22&matcher=profile%3D%22be3eb60a-a346-470a-886c-ab4e421711bd%22",
              "text": "Silence"
            }
          ],
          "payload": {
            "class": "SpendLimitReached",
            "component": "messaging",
            "custom_details": {
              "Account": "default",
              "Details": "Messages of this profile are refused until the limit is raised or the day is over. Check for a loop or for fraud before you raise it.",
              "Event": "messaging-profile.spend-limit-reached",
              "Firing": 1,
              "Notified because": "first notification",
              "Profile": "be3eb60a-a346-470a-886c-ab4e421711bd",
              "Resolved": 0,
              "Since": "2026-08-20 19:17:08 UTC (3m 20s ago)",
              "Spent": "10.02 of 10.00 USD",
              "Team": "billing",
              "What to do": "Raise the daily limit in Mission Control, Messaging, Profiles."
            },
            "group": "default",
            "severity": "critical",
            "source": "telnyx:default",
            "summary": "[FIRING] Messaging profile reached its spend limit · account default",
            "timestamp": "2026-08-20T19:17:08Z"
          },
          "routing_key": "***"
        }
        "#);
    }

    #[test]
    fn an_end_resolves_however_it_came_unless_nobody_knew() {
        let ends: [(bool, bool, alerts::Reason, &str); 5] = [
            (false, false, alerts::Reason::AllResolved, "resolve"),
            (true, false, alerts::Reason::AllResolved, "resolve"),
            (false, true, alerts::Reason::AllResolved, "resolve"),
            (false, false, alerts::Reason::First, "trigger"),
            (true, false, alerts::Reason::First, "trigger"),
        ];
        let firing = event(&samples::spend_limit());
        for (expired, no_data, reason, expected) in ends {
            let mut notification = samples::resolved();
            notification.message.reason = reason;
            notification.message.alerts[0].expired = expired;
            notification.message.alerts[0].no_data = no_data;
            let event = event(&notification);
            assert_eq!(event["event_action"], expected, "{expired} {no_data} {reason:?}");
            assert_eq!(event["dedup_key"], firing["dedup_key"]);
        }
    }

    #[test]
    fn severities_are_mapped_and_the_worst_counts() {
        for (label, expected) in [
            ("critical", "critical"),
            ("PAGE", "critical"),
            ("major", "error"),
            ("error", "error"),
            ("warning", "warning"),
            ("", "warning"),
            ("purple", "warning"),
            ("info", "info"),
            ("sev1", "critical"),
        ] {
            let mut notification = samples::spend_limit();
            let labels = &mut notification.message.alerts[0].labels;
            labels.insert("severity".to_owned(), label.to_owned());
            assert_eq!(event(&notification)["payload"]["severity"], expected, "{label}");
        }
        let mut notification = samples::many();
        notification.message.alerts[7].labels.insert("severity".to_owned(), "error".to_owned());
        assert_eq!(event(&notification)["payload"]["severity"], "error");
    }

    #[test]
    fn several_alerts_are_lines_and_what_is_left_out_is_counted() {
        let mut notification = samples::many();
        notification.message.truncated_alerts = 6;
        let event = event(&notification);
        let details = &event["payload"]["custom_details"];
        assert_eq!((&details["Firing"], &details["Resolved"]), (&json!(33), &json!(1)));
        assert_eq!(details["Not listed"], 6);
        let lines = details["Alerts"].as_array().expect("lines");
        assert_eq!(lines.len(), ALERTS_SHOWN + 1);
        assert_eq!(lines[ALERTS_SHOWN], "and 30 more");
        assert!(lines[0].as_str().expect("text").starts_with("FIRING: One call cost 1.50 USD"));
        let links = event["links"].as_array().expect("links");
        let labels = || links.iter().filter_map(|link| link["text"].as_str());
        assert_eq!(labels().take(2).collect::<Vec<_>>(), ["Alerts", "Silence"]);
        assert!(labels().all(|label| !label.starts_with("Runbook")), "there is no runbook");
        assert_eq!(event["payload"]["summary"], "[FIRING:33+] CallCostHigh · 1 over");
    }

    #[test]
    fn a_long_group_key_becomes_its_hash() {
        assert_eq!(dedup_key("root/{account=\"a\"}"), "root/{account=\"a\"}");
        assert_eq!(dedup_key(&"k".repeat(255)).len(), 255);
        let hashed = dedup_key(&"k".repeat(256));
        assert_eq!(hashed.len(), 64);
        assert_ne!(hashed, dedup_key(&"k".repeat(257)));
        assert_eq!(dedup_key("").len(), 64, "an empty one would make PagerDuty choose");
    }

    #[test]
    fn a_summary_of_ones_own_is_cut_and_gives_way_when_it_fails() {
        let notification = samples::spend_limit();
        let templates =
            |source| MessageTemplates::new([(PAGERDUTY_SUMMARY, source)]).expect("compiles");
        let long = render(&settings(), &notification, &templates("{{ '📞' * 2000 }}{{ status }}"));
        let long = if long.template_failed {
            render(
                &settings(),
                &notification,
                &templates("{% for n in range(2000) %}📞{% endfor %}"),
            )
        } else {
            long
        };
        let summary = long.event["payload"]["summary"].as_str().expect("text");
        assert_eq!(summary.encode_utf16().count(), SUMMARY_UNITS);
        let failed = render(&settings(), &notification, &templates("{{ nope }}"));
        assert!(failed.template_failed);
        assert_eq!(failed.event, event(&notification));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_content_breaks_a_limit(notification in samples::any_parcel()) {
            let event = event(&notification);
            prop_assert!(event.to_string().len() <= EVENT_BYTES_MAX);
            prop_assert!(!event["dedup_key"].as_str().expect("key").is_empty());
            if event["event_action"] == "trigger" {
                let payload = &event["payload"];
                let summary = payload["summary"].as_str().expect("summary");
                prop_assert!(!summary.is_empty());
                prop_assert!(summary.encode_utf16().count() <= SUMMARY_UNITS);
                prop_assert!(!payload["source"].as_str().expect("source").is_empty());
                prop_assert!(Severity::of_word(payload["severity"].as_str().expect("word")).is_some());
                prop_assert!(payload.get("custom_details").is_some());
            }
        }
    }
}
