//! Any HTTP endpoint: Alertmanager's JSON, or a body of the user's making.
//!
//! Renders first, then posts. The JSON is that of Alertmanager's webhook receiver, version 4; `endsAt` of a firing
//! alert is the zero time `0001-01-01T00:00:00Z`, as nobody knows when it will end. Each request carries
//! `Idempotency-Key`, the same on every attempt, and, with a `secret`, the headers of Standard Webhooks.

mod settings;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::Sha256;

pub use self::settings::WebhookSettings;
use crate::alerts::PeerKind;
use crate::alerts::{Message, MessageAlert, Status};
use crate::notify::MessageTemplates;
use crate::notify::kind::{ChannelKind, Limits, Sending, Transport};
use crate::notify::status::ended_at;
use crate::notify::{Notification, NotifyError, Outcome, Sent, http, plain};
use crate::secret::Secret;
use crate::template::{self, TemplateError, Templates};

/// Name of the one template.
const BODY: &str = "body";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
/// A body ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The body.
    pub body: String,
    /// Its media type, where `headers` names none.
    pub content_type: &'static str,
    /// True when the template could not render and `body` is the plain text in its place.
    pub template_failed: bool,
}

/// Posts to one endpoint.
#[derive(Debug)]
pub(super) struct WebhookPoster {
    settings: WebhookSettings,
    body: Option<Templates>,
    headers: Vec<(HeaderName, Secret)>,
    client: reqwest::Client,
}

impl WebhookPoster {
    pub(super) fn new(
        settings: &WebhookSettings,
        timeout: Duration,
        connections: usize,
    ) -> Result<Self, NotifyError> {
        let body = compile(settings.body.as_deref()).map_err(NotifyError::Template)?;
        Ok(Self {
            headers: http::own_headers(&settings.headers)?,
            client: crate::http::client(timeout, connections, &settings.via)?,
            settings: settings.clone(),
            body,
        })
    }

    pub(super) async fn send(&self, notification: &Notification) -> Sent {
        let rendered = fill(self.body.as_ref(), self.settings.max_alerts, notification);
        let template_failed = rendered.template_failed;
        let outcome = self.post(notification, rendered).await.unwrap_or_else(|failure| failure);
        Sent { outcome, template_failed }
    }

    async fn post(
        &self,
        notification: &Notification,
        rendered: Rendered,
    ) -> Result<Outcome, Outcome> {
        let url = http::read_url(&self.settings.url)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(rendered.content_type));
        let mut secrets = vec![url.as_str().to_owned()];
        http::add_own(&mut headers, &self.headers, &mut secrets)?;
        if rendered.template_failed {
            // The type of the plain text that stands in for a template is not the user's to say.
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(rendered.content_type));
        }
        let key = http::header_value(&notification.key)?;
        headers.insert("idempotency-key", key.clone());
        if let Some(secret) = &self.settings.secret {
            let secret = http::read_secret(secret, "the signing secret")?;
            let seconds = notification.now.as_second();
            let signature = sign(&secret, &notification.key, seconds, rendered.body.as_bytes())
                .ok_or_else(|| http::no_credentials("the signing secret is not valid base64"))?;
            headers.insert("webhook-id", key);
            headers.insert("webhook-timestamp", HeaderValue::from(seconds));
            headers.insert("webhook-signature", http::header_value(&signature)?);
            secrets.push(secret.expose_secret().to_owned());
        }
        let body = rendered.body.clone().into_bytes();
        let answer = http::post(&self.client, url, headers, body, notification.now).await?;
        let said = http::quote(&answer.body, &rendered.body, &secrets);
        Ok(http::classify(&answer, &said))
    }
}

fn compile(source: Option<&str>) -> Result<Option<Templates>, TemplateError> {
    let Some(source) = source else { return Ok(None) };
    let mut templates = Templates::new();
    templates.add(BODY, source)?;
    Ok(Some(templates))
}

/// Renders what would be posted. Pure; an error is one of the template's syntax.
pub fn render(
    settings: &WebhookSettings,
    notification: &Notification,
) -> Result<Rendered, TemplateError> {
    Ok(fill(compile(settings.body.as_deref())?.as_ref(), settings.max_alerts, notification))
}

/// Renders a body template and says what is wrong with it, syntax or use: for checks at load. Pure.
pub fn render_body(source: &str, notification: &Notification) -> Result<String, TemplateError> {
    let mut templates = Templates::new();
    templates.add(BODY, source)?;
    templates.render(BODY, &template::value(&alertmanager(&notification.message, usize::MAX, true)))
}

fn fill(body: Option<&Templates>, max_alerts: usize, notification: &Notification) -> Rendered {
    let message = &notification.message;
    let json = alertmanager(message, max_alerts, body.is_some());
    let Some(templates) = body else {
        return Rendered { body: json.to_string(), content_type: JSON, template_failed: false };
    };
    match templates.render(BODY, &template::value(&json)) {
        Ok(body) => {
            let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&body).is_ok();
            let content_type = if is_json { JSON } else { TEXT };
            Rendered { body, content_type, template_failed: false }
        }
        Err(error) => {
            tracing::warn!(%error, receiver = message.receiver, "webhook body template failed");
            Rendered {
                body: plain::render(notification),
                content_type: TEXT,
                template_failed: true,
            }
        }
    }
}

/// The JSON of Alertmanager's webhook receiver, at most `max_alerts` alerts long; for templates with the event
/// snapshots, and with every field always there.
pub(super) fn alertmanager(message: &Message, max_alerts: usize, for_template: bool) -> Value {
    let cut = message.alerts.len().saturating_sub(max_alerts);
    let alerts = message.alerts.iter().take(max_alerts).map(|alert| {
        let mut json = alert_json(message, alert);
        if let Some(fields) = json.as_object_mut() {
            // Alertmanager knows no such ends: there they are said beside a plain `resolved`.
            for (name, value) in [("expired", alert.expired), ("no_data", alert.no_data)] {
                if value || for_template {
                    fields.insert(name.to_owned(), json!(value));
                }
            }
            if for_template {
                fields.insert("event".to_owned(), alert.event.clone());
            }
        }
        json
    });
    let mut body = json!({
        "version": "4",
        "groupKey": message.group_key,
        "truncatedAlerts": message.truncated_alerts + cut,
        "status": message.status,
        "receiver": message.receiver,
        "notification_reason": message.reason,
        "groupLabels": message.group_labels,
        "commonLabels": message.common_labels,
        "commonAnnotations": message.common_annotations,
        "externalURL": message.external_url,
        "alerts": alerts.collect::<Vec<_>>(),
    });
    // Not Alertmanager's; readers of its JSON ignore what they do not know.
    if let Some(fields) = body.as_object_mut()
        && (message.fallback_for.is_some() || for_template)
    {
        fields.insert("fallback_for".to_owned(), json!(message.fallback_for));
    }
    body
}

fn alert_json(message: &Message, alert: &MessageAlert) -> Value {
    let generator = match message.external_url.as_str() {
        "" => String::new(),
        url => format!("{url}/alerts/{}", alert.fingerprint),
    };
    let ends_at = match alert.status {
        Status::Firing => "0001-01-01T00:00:00Z".to_owned(),
        Status::Resolved => ended_at(alert, message).to_string(),
    };
    json!({
        "status": alert.status,
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": alert.starts_at.to_string(),
        "endsAt": ends_at,
        "generatorURL": generator,
        "fingerprint": alert.fingerprint,
    })
}

/// `webhook-signature` of Standard Webhooks (spec 1.0, symmetric): HMAC-SHA256 over `id.timestamp.body`. `None` when
/// what follows `whsec_` is no base64.
fn sign(secret: &SecretString, id: &str, seconds: i64, body: &[u8]) -> Option<String> {
    let secret = secret.expose_secret();
    let key = match secret.strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).ok()?,
        None => secret.as_bytes().to_vec(),
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body);
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

impl ChannelKind for WebhookSettings {
    fn kind(&self) -> &'static str {
        "webhook"
    }

    fn peer_kind(&self) -> PeerKind {
        PeerKind::People
    }

    fn alerts_max(&self) -> usize {
        self.max_alerts
    }

    fn transport(
        &self,
        limits: Limits,
        _templates: &MessageTemplates,
    ) -> Result<Box<dyn Transport>, NotifyError> {
        Ok(Box::new(WebhookPoster::new(self, limits.timeout, limits.connections)?))
    }

    fn preview(
        &self,
        notification: &Notification,
        _templates: &MessageTemplates,
    ) -> Result<String, NotifyError> {
        Ok(render(self, notification).map_err(NotifyError::Template)?.body)
    }
}

impl Transport for WebhookPoster {
    fn send<'a>(&'a self, notification: &'a Notification) -> Sending<'a> {
        Box::pin(WebhookPoster::send(self, notification))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::tests::samples;

    fn settings(body: Option<&str>) -> WebhookSettings {
        WebhookSettings {
            url: Secret::inline("https://example.com/"),
            secret: None,
            max_alerts: 2,
            body: body.map(str::to_owned),
            headers: Vec::new(),
            via: crate::http::Via::default(),
        }
    }

    #[test]
    fn the_json_is_alertmanagers() {
        let rendered = render(&settings(None), &samples::resolved()).expect("renders");
        assert_eq!((rendered.content_type, rendered.template_failed), (JSON, false));
        let mut json: Value = serde_json::from_str(&rendered.body).expect("json");
        json["alerts"][0]["annotations"] = json!("…");
        json["commonAnnotations"] = json!("…");
        json["commonLabels"] = json!("…");
        insta::assert_snapshot!(format!("{json:#}"), @r###"
        {
          "alerts": [
            {
              "annotations": "…",
              "endsAt": "2026-08-20T21:22:11Z",
              "fingerprint": "4ddabc6d19890228",
              "generatorURL": "https://tollbell.example.com/alerts/4ddabc6d19890228",
              "labels": {
                "account": "default",
                "alertname": "SpendLimitReached",
                "profile": "be3eb60a-a346-470a-886c-ab4e421711bd",
                "severity": "critical",
                "team": "billing"
              },
              "startsAt": "2026-08-20T19:17:08Z",
              "status": "resolved"
            }
          ],
          "commonAnnotations": "…",
          "commonLabels": "…",
          "externalURL": "https://tollbell.example.com",
          "groupKey": "finance:{account=\"default\"}",
          "groupLabels": {
            "account": "default"
          },
          "notification_reason": "all alerts resolved",
          "receiver": "finance",
          "status": "resolved",
          "truncatedAlerts": 0,
          "version": "4"
        }
        "###);
        let firing = alertmanager(&samples::spend_limit().message, 9, false);
        assert_eq!(firing["alerts"][0]["endsAt"], "0001-01-01T00:00:00Z");
    }

    #[test]
    fn what_is_cut_is_counted() {
        let mut notification = samples::many();
        notification.message.truncated_alerts = 5;
        let json = alertmanager(&notification.message, 2, false);
        assert_eq!(json["alerts"].as_array().map(Vec::len), Some(2));
        assert_eq!(json["truncatedAlerts"], 37);
    }

    #[test]
    fn a_template_sees_the_json_and_the_events() {
        let source = r#"{"content": {{ alerts[0].annotations.summary | tojson }}, "spent": "{{ alerts[0].event.fields.current_cost | money(alerts[0].event.currency) }}"}"#;
        let rendered = render(&settings(Some(source)), &samples::spend_limit()).expect("renders");
        assert_eq!(
            rendered.body,
            r#"{"content": "Messaging profile reached its spend limit", "spent": "10.02 USD"}"#
        );
        assert_eq!(rendered.content_type, JSON);
        let text = render(&settings(Some("{{ status }}!")), &samples::resolved()).expect("renders");
        assert_eq!((text.body.as_str(), text.content_type), ("resolved!", TEXT));
    }

    #[test]
    fn a_template_that_fails_gives_way_to_plain_text() {
        let settings = settings(Some("{{ alerts[0].event.fields.nope }}"));
        let rendered = render(&settings, &samples::spend_limit()).expect("compiles");
        assert!(rendered.template_failed);
        assert_eq!(rendered.content_type, TEXT);
        assert!(rendered.body.contains("10.02 of 10.00 USD"), "{}", rendered.body);
        assert!(
            render(&WebhookSettings { body: Some("{{".to_owned()), ..settings }, &samples::bare())
                .is_err()
        );
    }

    /// The first is the vector that the reference implementations of Standard Webhooks share.
    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        for (secret, id, seconds, body, expected) in [
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                r#"{"test": 2432232314}"#,
                Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
            ),
            (
                "plain text key",
                "k",
                0,
                "{}",
                Some("v1,ZyA6qcl5tr81cfnoOOw5FrBwRLduBIZ6mQbeUHhxZxs="),
            ),
            ("whsec_not base64", "k", 0, "{}", None),
        ] {
            let signature = sign(&SecretString::from(secret), id, seconds, body.as_bytes());
            assert_eq!(signature.as_deref(), expected, "{secret}");
        }
    }
}
