//! Slack incoming webhooks.
//!
//! Renders a header block and, beside a bar in the colour of the severity, an attachment of blocks; then posts. Every
//! limit of Slack's is kept before sending, so that no event text can earn a 400. Text from events is escaped and
//! calls nobody.
//!
//! Slack answers in plain words (<https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>): `ok`,
//! or the name of an error. Names that mean a dead or revoked address count as authError: a person gives a new one.

mod settings;
mod answer;
mod mention;
mod fit;
mod formless;

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use self::answer::{classify, refuses_form};
use self::fit::{cut, escaped, units};
use self::formless::plain_payload;
use self::mention::called;
pub use self::mention::mentions;
pub use self::settings::SlackSettings;
use crate::alerts::PeerKind;
use crate::notify::facts::Fact;
use crate::notify::http::{self, Answer};
use crate::notify::kind::{ChannelKind, Limits, Sending, Transport};
use crate::notify::templates::{MessageTemplates, SLACK_TEXT, SLACK_TITLE};
use crate::notify::view::{AlertView, Link, Tone, View};
use crate::notify::{Notification, NotifyError, Outcome, Sent};
use crate::template::slack_escape;
use crate::text::one_line;

// Slack's own limits, in characters: <https://docs.slack.dev/reference/block-kit/blocks>. We count UTF-16 units of
// the escaped text, the strictest reading that leaves all of a script usable.
const HEADER_MAX: usize = 150;
/// Headline and details of a section; Slack allows 3,000.
const SECTION_MAX: usize = 1_800;
/// What to do about several alerts, which need their room.
const SHARED_ADVICE_MAX: usize = 600;
/// A template's text; Slack allows 3,000.
const TEMPLATE_MAX: usize = 2_900;
/// A field's text; Slack allows 2,000.
const FIELD_MAX: usize = 250;
/// A field's name.
const FIELD_NAME_MAX: usize = 60;
/// Fields of one section.
const FIELDS_MAX: usize = 10;
/// One alert's headline in a message of several.
const ITEM_HEADLINE_MAX: usize = 250;
/// Facts of one alert in a message of several, besides amount and time.
const ITEM_FACTS_MAX: usize = 2;
/// What to do about the alerts of a message of several, each for itself, in all.
const ITEMS_ADVICE_MAX: usize = 2_400;
/// What to do about one of them.
const ITEM_ADVICE_MAX: usize = 400;
/// One of the values of an alert in a message of several.
const ITEM_VALUE_MAX: usize = 100;
/// Alerts shown in one message; all of it then stays far below 50 blocks and some 13,000 characters in all.
const ALERTS_SHOWN: usize = 10;
/// Longer addresses are left out; Slack allows 3,000 in a button.
const LINK_MAX: usize = 1_000;
/// A link among other words.
const INLINE_LINK_MAX: usize = 300;
/// A context line.
const CONTEXT_MAX: usize = 600;
/// The notification text; Slack advises 4,000 at most.
const TEXT_MAX: usize = 600;

/// Posts to one incoming webhook.
#[derive(Debug)]
pub(super) struct SlackPoster {
    settings: SlackSettings,
    templates: MessageTemplates,
    client: reqwest::Client,
}

impl SlackPoster {
    pub(super) fn new(
        settings: &SlackSettings,
        timeout: Duration,
        connections: usize,
        templates: &MessageTemplates,
    ) -> Result<Self, NotifyError> {
        let client = crate::http::client(timeout, connections, &settings.via)?;
        Ok(Self { settings: settings.clone(), templates: templates.clone(), client })
    }

    pub(super) async fn send(&self, notification: &Notification) -> Sent {
        let Rendered { payload, template_failed } =
            render(&self.settings, notification, &self.templates);
        let answer = match self.post(notification, payload.to_string()).await {
            Ok(answer) => answer,
            Err(outcome) => return Sent { outcome, template_failed },
        };
        if !refuses_form(&answer) {
            return Sent { outcome: classify(&answer), template_failed };
        }
        // Slack took nothing. What it says of the form, it cannot say of plain text.
        let receiver = notification.message.receiver.as_str();
        tracing::warn!(receiver, "Slack refused the layout of a message, plain text is sent");
        let again = self.post(notification, plain_payload(&self.settings, notification)).await;
        let outcome = again.map_or_else(|failure| failure, |answer| classify(&answer));
        Sent { outcome, template_failed: true }
    }

    async fn post(&self, notification: &Notification, body: String) -> Result<Answer, Outcome> {
        let url = http::read_url(&self.settings.api_url)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        // Slack ignores it; a gateway in between, and whoever reads its log, can tell a repeat by it.
        let key = HeaderValue::from_str(&notification.key).ok();
        headers.extend(key.map(|key| (HeaderName::from_static("idempotency-key"), key)));
        http::post(&self.client, url, headers, body.into_bytes(), notification.now).await
    }
}

/// What would be posted.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// The JSON.
    pub payload: Value,
    /// True when a template could not render and the built-in form stands in its place.
    pub template_failed: bool,
}

/// Renders what would be posted. Pure, and never fails: where a template does, the built-in form is built from values.
pub fn render(
    settings: &SlackSettings,
    notification: &Notification,
    templates: &MessageTemplates,
) -> Rendered {
    let view = View::of(notification, ALERTS_SHOWN);
    let mut template_failed = false;
    let mut own = |name: &str| {
        let text = templates.replaces(name).then(|| templates.render(name, notification))?;
        let text = text.map_err(|error| {
            let receiver = notification.message.receiver.as_str();
            tracing::warn!(%error, receiver, "Slack template failed, the built-in layout is sent");
            template_failed = true;
        });
        text.ok().filter(|text| !text.trim().is_empty())
    };
    let header = own(SLACK_TITLE).map(|title| one_line(&title, HEADER_MAX));
    let blocks = own(SLACK_TEXT).map_or_else(|| blocks(&view), |text| templated(&text, &view));
    let built_in = || format!("{} {}: {}", view.tone.mark(), view.status, view.headline);
    let text = match &header {
        Some(title) => title.clone(),
        None => format!("{} {}", view.tone.mark(), view.subject),
    };
    let header = header.unwrap_or_else(built_in);
    let called = called(settings, notification);
    let head = json!({"type": "header", "text": plain_text(&header, HEADER_MAX)});
    let head = [head].into_iter().chain(called.map(section)).collect::<Vec<_>>();
    let mut payload = json!({
        "text": escaped(&text, TEXT_MAX),
        "blocks": head,
        "attachments": [{
            "color": view.color,
            "fallback": escaped(&text, TEXT_MAX),
            "blocks": blocks,
        }],
        "unfurl_links": false,
        "unfurl_media": false,
    });
    if let (Some(channel), Some(fields)) = (&settings.channel, payload.as_object_mut()) {
        fields.insert("channel".to_owned(), json!(channel));
    }
    Rendered { payload, template_failed }
}

/// A body of the user's own template, which escaped what it was given, and the reason below it.
fn templated(text: &str, view: &View) -> Vec<Value> {
    let context = mrkdwn(&escaped(&view.why, CONTEXT_MAX));
    vec![
        section(&cut(text.trim(), TEMPLATE_MAX)),
        json!({"type": "context", "elements": [context]}),
    ]
}

fn blocks(view: &View) -> Vec<Value> {
    let mut blocks = Vec::new();
    if !view.notes.is_empty() {
        let notes: Vec<String> =
            view.notes.iter().map(|note| format!(":warning: {}", slack_escape(note))).collect();
        blocks.push(section(&notes.join("\n")));
    }
    match view.alerts.as_slice() {
        [alert] if view.single => blocks.extend(single(view, alert)),
        alerts => {
            blocks.extend(shared(view));
            blocks.extend(what_to_do(&view.advice, SHARED_ADVICE_MAX));
            // The most severe come first; where many need advice each gets its share.
            let advised = alerts.iter().filter(|alert| !alert.advice.is_empty()).count();
            let advice_max = ITEM_ADVICE_MAX.min(ITEMS_ADVICE_MAX / advised.max(1));
            blocks
                .extend(alerts.iter().map(|alert| item(alert, view.links.is_empty(), advice_max)));
            if view.more > 0 {
                blocks.push(section(&format!("_… and {} more_", view.more)));
            }
        }
    }
    let links = match view.alerts.as_slice() {
        [alert] if view.single => &alert.links,
        _ => &view.links,
    };
    let fitting = links.iter().filter(|link| link.url.len() <= LINK_MAX);
    let (buttons, plain): (Vec<&Link>, Vec<&Link>) = fitting.partition(|link| pressable(link));
    if !buttons.is_empty() {
        let elements: Vec<Value> = buttons.into_iter().map(button).collect();
        blocks.push(json!({"type": "actions", "elements": elements}));
    }
    let mut context = vec![escaped(&view.why, CONTEXT_MAX)];
    context.extend(plain.into_iter().map(linked).filter(|link| units(link) <= INLINE_LINK_MAX));
    blocks.push(json!({
        "type": "context",
        "elements": context.iter().map(|text| mrkdwn(text)).collect::<Vec<_>>(),
    }));
    blocks
}

/// The blocks of the only alert: what happened, the amount in bold, rows in two columns, what to do.
fn single(view: &View, alert: &AlertView) -> Vec<Value> {
    let mut lines = Vec::new();
    if let Some(Fact { name, value }) = &alert.figure {
        lines.push(format!("*{}:* {}", slack_escape(name), slack_escape(value)));
    }
    lines.push(format!("*{}:* {}", alert.when.name, slack_escape(&alert.when.value)));
    let mut blocks = Vec::new();
    if !alert.story.is_empty() {
        blocks.push(section(&escaped(&alert.story, SECTION_MAX)));
    }
    blocks.push(section(&lines.join("\n")));

    let severity = (!view.severity.is_empty())
        .then(|| Fact { name: "Severity".to_owned(), value: view.severity.clone() });
    let fields: Vec<Value> =
        severity.iter().chain(&alert.facts).take(FIELDS_MAX).map(field).collect();
    if !fields.is_empty() {
        blocks.push(json!({"type": "section", "fields": fields}));
    }
    blocks.extend(what_to_do(&alert.advice, SECTION_MAX));
    blocks
}

fn what_to_do(advice: &str, max: usize) -> Option<Value> {
    let text = || format!("*What to do*\n{}", escaped(advice, max));
    (!advice.is_empty()).then(|| section(&text()))
}

/// What several alerts have in common, on one line.
fn shared(view: &View) -> Option<Value> {
    let named = |name: &str, value: &str| {
        let name = escaped(name, FIELD_NAME_MAX);
        format!("*{name}:* {}", escaped(value, ITEM_VALUE_MAX))
    };
    let own = [("Severity", &view.severity), ("Account", &view.account)];
    let own = own.into_iter().filter(|(_, value)| !value.is_empty());
    let parts = own.map(|(name, value)| named(name, value));
    let parts: Vec<String> =
        parts.chain(view.shared.iter().map(|fact| named(&fact.name, &fact.value))).collect();
    (!parts.is_empty()).then(|| section(&parts.join(" · ")))
}

/// One alert among several, in one section; with links of its own where they do not share one.
fn item(alert: &AlertView, own_links: bool, advice_max: usize) -> Value {
    let headline = escaped(&alert.headline, ITEM_HEADLINE_MAX);
    // What tells it from the others: its own labels come first among the facts that are not amounts.
    let facts = alert.facts.iter().filter(|fact| fact.name != "Event").take(ITEM_FACTS_MAX);
    let rows = alert.figure.iter().chain([&alert.when]).chain(facts);
    let mut rows: Vec<String> = rows
        .map(|Fact { name, value }| {
            format!("{}: {}", escaped(name, FIELD_NAME_MAX), escaped(value, ITEM_VALUE_MAX))
        })
        .collect();
    // Whole or not at all: half a link would leave its bracket open.
    let links = alert.links.iter().filter(|_| own_links).map(linked);
    rows.extend(links.filter(|link| units(link) <= INLINE_LINK_MAX));
    let status =
        if alert.tone <= Tone::Expired { format!("{}: ", alert.status) } else { String::new() };
    let advice = match alert.advice.as_str() {
        "" => String::new(),
        advice => format!("\n*What to do*\n{}", escaped(advice, advice_max)),
    };
    section(&format!("{} {status}*{headline}*\n{}{advice}", alert.tone.mark(), rows.join(" · ")))
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": mrkdwn(text)})
}

fn field(fact: &Fact) -> Value {
    let name = escaped(&fact.name, FIELD_NAME_MAX);
    mrkdwn(&format!("*{name}*\n{}", escaped(&fact.value, FIELD_MAX)))
}

/// Text whose parts are escaped already. `verbatim`: Slack is to find no links and no names in it by itself.
fn mrkdwn(text: &str) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

fn plain_text(text: &str, max: usize) -> Value {
    json!({"type": "plain_text", "text": escaped(text, max), "emoji": false})
}

fn button(link: &Link) -> Value {
    json!({
        "type": "button",
        "text": {"type": "plain_text", "text": link.label, "emoji": false},
        "url": link.url,
    })
}

fn linked(link: &Link) -> String {
    format!("<{}|{}>", slack_escape(&link.url), link.label)
}

/// Slack refuses a whole message for a button whose host has no dot, as in a cluster-internal address.
fn pressable(link: &Link) -> bool {
    let url = reqwest::Url::parse(&link.url).ok();
    url.is_some_and(|url| url.host_str().is_some_and(|host| host.contains('.')))
}

impl ChannelKind for SlackSettings {
    fn kind(&self) -> &'static str {
        "slack"
    }

    fn peer_kind(&self) -> PeerKind {
        PeerKind::People
    }

    fn transport(
        &self,
        limits: Limits,
        templates: &MessageTemplates,
    ) -> Result<Box<dyn Transport>, NotifyError> {
        Ok(Box::new(SlackPoster::new(self, limits.timeout, limits.connections, templates)?))
    }

    fn preview(
        &self,
        notification: &Notification,
        templates: &MessageTemplates,
    ) -> Result<String, NotifyError> {
        Ok(format!("{:#}", render(self, notification, templates).payload))
    }
}

impl Transport for SlackPoster {
    fn send<'a>(&'a self, notification: &'a Notification) -> Sending<'a> {
        Box::pin(SlackPoster::send(self, notification))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::notify::tests::samples;
    use crate::secret::Secret;

    fn settings() -> SlackSettings {
        SlackSettings {
            api_url: Secret::inline("https://hooks.slack.com/x"),
            channel: None,
            mention: BTreeMap::new(),
            via: crate::http::Via::default(),
        }
    }

    fn rendered(settings: &SlackSettings, notification: &Notification) -> Value {
        let Rendered { payload, template_failed } =
            render(settings, notification, &MessageTemplates::default());
        assert!(!template_failed);
        payload
    }

    #[test]
    fn a_template_of_ones_own_stays_within_the_limits_and_gives_way_when_it_fails() {
        let render = |name, source: &str, notification: &Notification| {
            let templates = MessageTemplates::new([(name, source)]).expect("compiles");
            render(&settings(), notification, &templates)
        };
        for (_, notification) in samples::all() {
            let long =
                "{% for n in range(400) %}<https://example.com/|open> {{ headline }}\n{% endfor %}";
            for (name, source) in
                [(SLACK_TEXT, long), (SLACK_TITLE, "{{ headline }} {{ subject }}")]
            {
                let Rendered { payload, template_failed } = render(name, source, &notification);
                assert!(!template_failed);
                assert_acceptable(&payload);
            }
        }
        let notification = samples::spend_limit();
        let own = render(SLACK_TEXT, "<!here> *{{ message.receiver }}*", &notification).payload;
        let blocks = &own["attachments"][0]["blocks"];
        assert_eq!(blocks[0]["text"]["text"], "<!here> *finance*");
        for failing in [SLACK_TEXT, SLACK_TITLE] {
            let failed = render(failing, "{{ nope }}", &notification);
            assert!(failed.template_failed);
            assert_eq!(failed.payload, rendered(&settings(), &notification));
        }
    }

    #[test]
    fn five_hundred_alerts_are_no_more_than_slack_takes() {
        let mut notification = samples::many();
        let hostile = samples::hostile().message.alerts.remove(0);
        notification.message.alerts = vec![hostile; 500];
        notification.message.truncated_alerts = 70;
        let payload = rendered(&settings(), &notification);
        assert_acceptable(&payload);
        assert!(payload.to_string().contains("… and 560 more"), "{payload:#}");
    }

    /// All texts of a payload with their kind, `mrkdwn` for those that Slack interprets.
    fn texts(json: &Value, found: &mut Vec<(String, String)>) {
        match json {
            Value::Object(fields) => {
                if let (Some(kind), Some(text)) = (fields.get("type"), fields.get("text"))
                    && let (Some(kind), Some(text)) = (kind.as_str(), text.as_str())
                {
                    found.push((kind.to_owned(), text.to_owned()));
                }
                fields.values().for_each(|value| texts(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
            _ => {}
        }
    }

    /// Slack's rules, written down a second time.
    fn assert_acceptable(payload: &Value) {
        let own = payload["blocks"].as_array().expect("blocks");
        let attached = payload["attachments"][0]["blocks"].as_array().expect("blocks");
        assert!(own.len() + attached.len() <= 50);
        for block in own.iter().chain(attached) {
            match block["type"].as_str().expect("type") {
                "header" => assert!(units(block["text"]["text"].as_str().expect("text")) <= 150),
                "section" => {
                    if let Some(text) = block["text"]["text"].as_str() {
                        assert!((1..=3_000).contains(&units(text)), "{text}");
                    } else {
                        let fields = block["fields"].as_array().expect("fields");
                        assert!((1..=10).contains(&fields.len()));
                        for field in fields {
                            assert!(
                                (1..=2_000).contains(&units(field["text"].as_str().expect("text")))
                            );
                        }
                    }
                }
                "context" => {
                    assert!((1..=10).contains(&block["elements"].as_array().expect("e").len()));
                }
                "actions" => {
                    for button in block["elements"].as_array().expect("elements") {
                        assert!(units(button["text"]["text"].as_str().expect("text")) <= 75);
                        assert!(button["url"].as_str().expect("url").len() <= 3_000);
                    }
                }
                other => panic!("unexpected block {other}"),
            }
        }
        let mut found =
            vec![("text".to_owned(), payload["text"].as_str().expect("text").to_owned())];
        texts(payload, &mut found);
        for (_, text) in &found {
            assert!(!text.trim().is_empty());
            let lower = text.to_lowercase();
            for call in ["<!", "<@", "<#", "@here", "@channel", "@everyone"] {
                assert!(!lower.contains(call), "{call} in {text}");
            }
            for (at, _) in text.match_indices('<') {
                assert!(text.split_at(at).1.starts_with("<http"), "{text}");
            }
            for (at, _) in text.match_indices('&') {
                let escape =
                    ["&amp;", "&lt;", "&gt;"].iter().any(|e| text.split_at(at).1.starts_with(e));
                assert!(escape, "{text}");
            }
        }
        let total: usize = found.iter().map(|(_, text)| units(text)).sum();
        assert!(total <= 13_000, "{total}");
        assert!(units(&payload.to_string()) <= 20_000);
    }

    #[test]
    fn every_sample_is_acceptable_to_slack() {
        for (_, notification) in samples::all() {
            assert_acceptable(&rendered(&settings(), &notification));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_content_is_acceptable_to_slack(notification in samples::any_parcel()) {
            assert_acceptable(&rendered(&settings(), &notification));
        }

        #[test]
        fn cuts_keep_within_the_limit(text in "[&<>@a-z🔴 ]{0,80}", max in 1_usize..60) {
            let cut = escaped(&text, max);
            prop_assert!(units(&cut) <= max);
            prop_assert!(cut.matches('&').count() == cut.matches(';').count());
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one snapshot")]
    fn the_layout_is_header_amount_rows_advice_links_reason() {
        let payload = rendered(&settings(), &samples::spend_limit());
        insta::assert_snapshot!(format!("{payload:#}"), @r##"
        {
          "attachments": [
            {
              "blocks": [
                {
                  "text": {
                    "text": "Messages of this profile are refused until the limit is raised or the day is over. Check for a loop or for fraud before you raise it.",
                    "type": "mrkdwn",
                    "verbatim": true
                  },
                  "type": "section"
                },
                {
                  "text": {
                    "text": "*Spent:* 10.02 of 10.00 USD\n*Since:* 2026-08-20 19:17:08 UTC (3m 20s ago)",
                    "type": "mrkdwn",
                    "verbatim": true
                  },
                  "type": "section"
                },
                {
                  "fields": [
                    {
                      "text": "*Severity*\ncritical",
                      "type": "mrkdwn",
                      "verbatim": true
                    },
                    {
                      "text": "*Account*\ndefault",
                      "type": "mrkdwn",
                      "verbatim": true
                    },
                    {
                      "text": "*Profile*\nbe3eb60a-a346-470a-886c-ab4e421711bd",
                      "type": "mrkdwn",
                      "verbatim": true
                    },
                    {
                      "text": "*Team*\nbilling",
                      "type": "mrkdwn",
                      "verbatim": true
                    },
                    {
                      "text": "*Event*\nmessaging-profile.spend-limit-reached",
                      "type": "mrkdwn",
                      "verbatim": true
                    }
                  ],
                  "type": "section"
                },
                {
                  "text": {
                    "text": "*What to do*\nRaise the daily limit in Mission Control, Messaging, Profiles.",
                    "type": "mrkdwn",
                    "verbatim": true
                  },
                  "type": "section"
                },
                {
                  "elements": [
                    {
                      "text": {
                        "emoji": false,
                        "text": "Alert",
                        "type": "plain_text"
                      },
                      "type": "button",
                      "url": "https://tollbell.example.com/alerts/4ddabc6d19890228"
                    },
                    {
                      "text": {
                        "emoji": false,
                        "text": "Runbook",
                        "type": "plain_text"
                      },
                      "type": "button",
                      "url": "https://wiki.example.com/runbooks/spend-limit?from=mail&v=2"
                    },
                    {
                      "text": {
                        "emoji": false,
                        "text": "Silence",
                        "type": "plain_text"
                      },
                      "type": "button",
                      "url": "https://tollbell.example.com/silences/new?matcher=account%3D%22default%22&matcher=alertname%3D%22SpendLimitReached%22&matcher=profile%3D%22be3eb60a-a346-470a-886c-ab4e421711bd%22"
                    }
                  ],
                  "type": "actions"
                },
                {
                  "elements": [
                    {
                      "text": "Notified because: first notification, receiver finance",
                      "type": "mrkdwn",
                      "verbatim": true
                    }
                  ],
                  "type": "context"
                }
              ],
              "color": "#c1121f",
              "fallback": "🔴 [FIRING] Messaging profile reached its spend limit · account default"
            }
          ],
          "blocks": [
            {
              "text": {
                "emoji": false,
                "text": "🔴 FIRING: Messaging profile reached its spend limit",
                "type": "plain_text"
              },
              "type": "header"
            }
          ],
          "text": "🔴 [FIRING] Messaging profile reached its spend limit · account default",
          "unfurl_links": false,
          "unfurl_media": false
        }
        "##);
    }

    #[test]
    fn several_alerts_tell_once_what_to_do_and_where_to_read_on() {
        let payload = rendered(&settings(), &samples::advised()).to_string();
        for text in ["*What to do*\\nRaise the daily limit", "https://wiki.example.com/runbooks/"] {
            assert_eq!(payload.matches(text).count(), 1, "{text} in {payload}");
        }
        let mut long = samples::advised();
        let advice = "&".repeat(5_000);
        long.message.common_annotations.insert("action".to_owned(), advice);
        assert_acceptable(&rendered(&settings(), &long));
    }

    #[test]
    fn only_the_configuration_calls_somebody_and_only_while_something_fires() {
        let mention = BTreeMap::from([("critical".to_owned(), "<!here> <@U012AB3CD>".to_owned())]);
        let calling = SlackSettings { mention, ..settings() };
        let firing = rendered(&calling, &samples::spend_limit());
        assert_eq!(firing["blocks"][1]["text"]["text"], "<!here> <@U012AB3CD>");
        let mut warning = samples::spend_limit();
        warning.message.alerts[0].labels.insert("severity".to_owned(), "warning".to_owned());
        for quiet in [warning, samples::resolved()] {
            let blocks = rendered(&calling, &quiet)["blocks"].clone();
            assert_eq!(blocks.as_array().expect("blocks").len(), 1, "{blocks}");
        }
        let plain = plain_payload(&calling, &samples::spend_limit());
        assert!(plain.contains(r#""text":"<!here> <@U012AB3CD> "#), "{plain}");
    }

    #[test]
    fn a_channel_is_named_only_when_configured() {
        let notification = samples::spend_limit();
        assert_eq!(rendered(&settings(), &notification).get("channel"), None);
        let named = SlackSettings { channel: Some("#ops".to_owned()), ..settings() };
        assert_eq!(rendered(&named, &notification)["channel"], "#ops");
    }
}
