//! The texts of messages that files may replace: which there are, what they see, how they are tried.
//!
//! Receives template sources by name; promises that what it hands out was compiled. A template that cannot render is
//! an error here and a built-in text at the channel, so that no alert is lost to it.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use super::view::View;
use super::{Notification, webhook};
use crate::chart::Picture;
use crate::template::{self, TemplateError, Templates};

/// Subject of a mail.
pub(super) const MAIL_SUBJECT: &str = "mail.subject";
/// Plain text part of a mail.
pub(super) const MAIL_TEXT: &str = "mail.txt";
/// HTML part of a mail.
pub(super) const MAIL_HTML: &str = "mail.html";
/// Header of a Slack message, plain text.
pub(super) const SLACK_TITLE: &str = "slack.title";
/// Body of a Slack message, in the place of the built-in blocks.
pub(super) const SLACK_TEXT: &str = "slack.mrkdwn";
/// Title of a PagerDuty alert.
pub(super) const PAGERDUTY_SUMMARY: &str = "pagerduty.summary";

/// Alerts that a template sees in full; the rest is counted in `more`.
pub(super) const ALERTS_SHOWN: usize = 20;

/// The built-in templates; `slack.mrkdwn` has none, as the built-in body is made of blocks.
const BUILT_IN: [(&str, &str); 5] = [
    (MAIL_SUBJECT, "{{ subject }}"),
    (MAIL_TEXT, include_str!("templates/mail.txt")),
    (MAIL_HTML, include_str!("templates/mail.html")),
    (SLACK_TITLE, "{{ mark }} {{ status }}: {{ headline }}"),
    (PAGERDUTY_SUMMARY, "{{ subject }}"),
];

/// The compiled templates of all channels. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MessageTemplates {
    templates: Arc<Templates>,
    replaced: BTreeSet<&'static str>,
}

impl MessageTemplates {
    /// The names that a file may have.
    pub const NAMES: [&str; 6] =
        [MAIL_SUBJECT, MAIL_TEXT, MAIL_HTML, SLACK_TITLE, SLACK_TEXT, PAGERDUTY_SUMMARY];

    /// The built-in templates, some of them replaced. Names that are not among [`Self::NAMES`] are ignored.
    pub fn new<'s>(
        replacements: impl IntoIterator<Item = (&'s str, &'s str)>,
    ) -> Result<Self, TemplateError> {
        let mut templates = Templates::new();
        for (name, source) in BUILT_IN {
            templates.add(name, source)?;
        }
        let mut replaced = BTreeSet::new();
        for (name, source) in replacements {
            let Some(known) = Self::NAMES.into_iter().find(|known| *known == name) else {
                continue;
            };
            templates.add(known, source)?;
            replaced.insert(known);
        }
        Ok(Self { templates: Arc::new(templates), replaced })
    }

    /// Whether a file stands in for the built-in text.
    pub(super) fn replaces(&self, name: &str) -> bool {
        self.replaced.contains(name)
    }

    /// Renders one text for a notification; an error is also one of a name that is not known.
    pub fn render(&self, name: &str, notification: &Notification) -> Result<String, TemplateError> {
        self.render_all([name], notification).map(|[text]| text)
    }

    /// Renders texts that go out together.
    pub(super) fn render_all<const N: usize>(
        &self,
        names: [&str; N],
        notification: &Notification,
    ) -> Result<[String; N], TemplateError> {
        let context = context(notification);
        let mut texts = [const { String::new() }; N];
        for (text, name) in texts.iter_mut().zip(names) {
            *text = self.templates.render(name, &context)?;
        }
        Ok(texts)
    }
}

impl Default for MessageTemplates {
    fn default() -> Self {
        Self::new([]).expect("a test compiles the built-in templates")
    }
}

/// What a template sees: the view, and `message`, the message as webhook bodies see it.
fn context(notification: &Notification) -> minijinja::Value {
    template::value(&context_json(notification))
}

/// The names of all that a template sees at the top and of each alert.
#[cfg(test)]
pub(super) fn fields(notification: &Notification) -> Vec<String> {
    let context = context_json(notification);
    let tops = context.as_object().into_iter().flatten();
    let alerts = context["alerts"][0].as_object().into_iter().flatten();
    tops.chain(alerts).map(|(name, _)| name.clone()).collect()
}

fn context_json(notification: &Notification) -> serde_json::Value {
    let view = View::of(notification, ALERTS_SHOWN);
    let mut context = serde_json::to_value(&view).unwrap_or_default();
    if let Some(fields) = context.as_object_mut() {
        fields.insert("charts".to_owned(), charts(notification));
        fields.insert("mark".to_owned(), json!(view.tone.mark()));
        fields.insert("now".to_owned(), json!(notification.now.to_string()));
        let message = webhook::alertmanager(&notification.message, ALERTS_SHOWN, true);
        fields.insert("message".to_owned(), message);
    }
    context
}

/// The charts that a mail carries, as its HTML shows them.
fn charts(notification: &Notification) -> serde_json::Value {
    let chart = |(n, chart): (usize, &Picture)| {
        let Picture { size: [width, height], title, story, keys, png: _ } = chart;
        let keys = keys.iter().map(|(color, words)| json!({"color": color, "words": words}));
        json!({
            "src": format!("cid:{}", notification.chart_id(n)),
            "width": width,
            "height": height,
            "title": title,
            "story": story,
            "keys": keys.collect::<Vec<_>>(),
        })
    };
    notification.charts.iter().enumerate().map(chart).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::tests::samples;

    #[test]
    fn the_built_in_texts_render_for_every_sample() {
        let templates = MessageTemplates::default();
        for (name, notification) in samples::all() {
            for (template, _) in BUILT_IN {
                let text = templates.render(template, &notification).expect(name);
                assert!(!text.trim().is_empty(), "{name} {template}");
            }
        }
    }

    #[test]
    fn a_file_replaces_one_text_and_sees_view_and_message() {
        let source = "{{ status }} {{ message.alerts[0].labels.team }} {{ message.alerts[0].event.fields.current_cost | money('USD') }} {{ message.alerts[0].startsAt | ago(now) }}";
        let templates =
            MessageTemplates::new([(MAIL_SUBJECT, source), ("mail.pdf", "{{")]).expect("compiles");
        let notification = samples::spend_limit();
        assert_eq!(
            templates.render(MAIL_SUBJECT, &notification).as_deref(),
            Ok("FIRING billing 10.02 USD 3m 20s ago")
        );
        assert!(templates.replaces(MAIL_SUBJECT) && !templates.replaces(MAIL_TEXT));
        assert!(templates.render("mail.pdf", &notification).is_err());
        assert!(templates.render(SLACK_TEXT, &notification).is_err(), "no built-in one");
        let error = MessageTemplates::new([(MAIL_TEXT, "a\n{{ b")]).expect_err("syntax");
        assert_eq!(error.line, Some(2));
    }
}
