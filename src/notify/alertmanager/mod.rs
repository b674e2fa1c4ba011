//! Another Alertmanager, by its API v2: `POST {url}/api/v2/alerts`.
//!
//! Alertmanager forgets an alert that is not sent again. So what it knows as firing is refreshed every
//! `resend_interval`, beside the notifications, and each alert carries as its `endsAt` the time until which we vouch for it, a few intervals on:
//! if we die, it ends there by itself. An alert that ended carries its end. One that was over before it was ever sent
//! is sent as firing for that while, as Alertmanager notifies nobody of an alert that it first sees ended.
//!
//! A large group goes out in several requests, one after the other. Sending an alert again changes nothing there, so
//! when one request fails all are repeated.

mod settings;

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

pub use self::settings::AlertmanagerSettings;
use crate::alerts::PeerKind;
use crate::alerts::{Message, MessageAlert, Status};
use crate::clock;
use crate::notify::MessageTemplates;
use crate::notify::kind::{ChannelKind, Limits, Sending, Transport};
use crate::notify::status::{End, ended_at};
use crate::notify::{Notification, NotifyError, Outcome, Sent, http};
use crate::secret::Secret;

/// How often firing alerts are sent again, where the integration does not say.
pub const RESEND_DEFAULT: Duration = Duration::from_mins(1);
/// Intervals of re-sending for which we vouch: a few may fail before Alertmanager takes the alert for ended.
const VOUCHED_INTERVALS: u32 = 4;
/// Alerts in one request.
const REQUEST_ALERTS_MAX: usize = 64;
/// Bytes of alerts in one request, if it holds more than one.
const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// The path of its API.
const PATH: &str = "/api/v2/alerts";
/// The annotation that says how an alert ended, when nobody reported that it did.
const END: &str = "tollbell_end";

/// Posts to one Alertmanager.
#[derive(Debug)]
pub(super) struct AlertmanagerPoster {
    settings: AlertmanagerSettings,
    headers: Vec<(HeaderName, Secret)>,
    resend: Duration,
    client: reqwest::Client,
}

impl AlertmanagerPoster {
    pub(super) fn new(
        settings: &AlertmanagerSettings,
        timeout: Duration,
        connections: usize,
        resend: Duration,
    ) -> Result<Self, NotifyError> {
        let client = crate::http::client(timeout, connections, &settings.via)?;
        let headers = http::own_headers(&settings.headers)?;
        Ok(Self { settings: settings.clone(), headers, resend, client })
    }

    pub(super) async fn send(&self, notification: &Notification) -> Sent {
        let outcome = self.post_all(notification).await.unwrap_or_else(|failure| failure);
        Sent { outcome, template_failed: false }
    }

    async fn post_all(&self, notification: &Notification) -> Result<Outcome, Outcome> {
        let url = alerts_url(http::read_url(&self.settings.url)?);
        let mut secrets = vec![url.as_str().to_owned()];
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        http::add_own(&mut headers, &self.headers, &mut secrets)?;
        headers.insert("idempotency-key", http::header_value(&notification.key)?);
        for body in bodies(&alerts_json(notification, self.resend)) {
            let sent = body.clone().into_bytes();
            let answer =
                http::post(&self.client, url.clone(), headers.clone(), sent, notification.now)
                    .await?;
            match http::classify(&answer, &http::quote(&answer.body, &body, &secrets)) {
                Outcome::Delivered => {}
                failure => return Err(failure),
            }
        }
        Ok(Outcome::Delivered)
    }
}

/// What would be posted, in one array. Pure.
pub fn render(notification: &Notification, resend: Duration) -> Value {
    Value::Array(alerts_json(notification, resend))
}

/// The API below the address of the pages, which may have a path of its own.
fn alerts_url(mut url: Url) -> Url {
    let path = format!("{}{PATH}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}

/// The alerts as request bodies, each within the bounds.
fn bodies(alerts: &[Value]) -> Vec<String> {
    let mut bodies: Vec<String> = Vec::new();
    let mut count = 0;
    for alert in alerts {
        let alert = alert.to_string();
        match bodies.last_mut() {
            Some(body)
                if count < REQUEST_ALERTS_MAX && body.len() + alert.len() < REQUEST_BYTES_MAX =>
            {
                body.push(',');
                body.push_str(&alert);
                count += 1;
            }
            _ => {
                bodies.push(format!("[{alert}"));
                count = 1;
            }
        }
    }
    for body in &mut bodies {
        body.push(']');
    }
    bodies
}

fn alerts_json(notification: &Notification, resend: Duration) -> Vec<Value> {
    let vouched = clock::add(notification.now, resend * VOUCHED_INTERVALS);
    let message = &notification.message;
    message.alerts.iter().map(|alert| alert_json(message, alert, vouched)).collect()
}

fn alert_json(message: &Message, alert: &MessageAlert, vouched: Timestamp) -> Value {
    let late = alert.unheard;
    let ends_at = match alert.status {
        Status::Resolved if !late => ended_at(alert, message),
        _ => vouched.max(alert.starts_at),
    };
    let end = match (alert.status, End::of(alert)) {
        (Status::Firing, _) => None,
        (Status::Resolved, End::NoData) => Some("no data: nothing said that the problem is over"),
        (Status::Resolved, End::Expired) => Some("expired: nothing said that the problem is over"),
        (Status::Resolved, End::Resolved) => {
            late.then_some("it was over before it could be notified")
        }
    };
    // Alertmanager drops empty labels and refuses annotations without a value in some versions.
    let filled = |texts: &crate::rules::Labels| {
        let mut texts = texts.clone();
        texts.retain(|_, value| !value.is_empty());
        texts
    };
    let mut annotations = filled(&alert.annotations);
    annotations.extend(end.map(|end| (END.to_owned(), end.to_owned())));
    let mut json = json!({
        "labels": filled(&alert.labels),
        "annotations": annotations,
        "startsAt": alert.starts_at.to_string(),
        "endsAt": ends_at.to_string(),
    });
    if let (Some(fields), false) = (json.as_object_mut(), message.external_url.is_empty()) {
        let generator = format!("{}/alerts/{}", message.external_url, alert.fingerprint);
        fields.insert("generatorURL".to_owned(), json!(generator));
    }
    json
}

impl ChannelKind for AlertmanagerSettings {
    fn kind(&self) -> &'static str {
        "alertmanager"
    }

    fn peer_kind(&self) -> PeerKind {
        PeerKind::Alerts
    }

    /// An Alertmanager hears of all, in requests of a bounded size.
    fn alerts_max(&self) -> usize {
        usize::MAX
    }

    fn transport(
        &self,
        limits: Limits,
        _templates: &MessageTemplates,
    ) -> Result<Box<dyn Transport>, NotifyError> {
        let resend = limits.resend.unwrap_or(RESEND_DEFAULT);
        Ok(Box::new(AlertmanagerPoster::new(self, limits.timeout, limits.connections, resend)?))
    }

    fn preview(
        &self,
        notification: &Notification,
        _templates: &MessageTemplates,
    ) -> Result<String, NotifyError> {
        Ok(format!("{:#}", render(notification, RESEND_DEFAULT)))
    }
}

impl Transport for AlertmanagerPoster {
    fn send<'a>(&'a self, notification: &'a Notification) -> Sending<'a> {
        Box::pin(AlertmanagerPoster::send(self, notification))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::notify::tests::samples;

    fn sent(notification: &Notification) -> Value {
        render(notification, RESEND_DEFAULT)
    }

    #[test]
    fn a_firing_alert_is_vouched_for_four_intervals() {
        let mut notification = samples::spend_limit();
        for ends_at in [None, Some(samples::at("2026-08-21T01:17:08Z"))] {
            notification.message.alerts[0].ends_at = ends_at;
            let json = sent(&notification);
            assert_eq!(json[0]["startsAt"], "2026-08-20T19:17:08Z");
            assert_eq!(json[0]["endsAt"], "2026-08-20T19:24:28Z", "sent at 19:20:28");
            assert_eq!(json[0]["labels"]["alertname"], "SpendLimitReached");
            let url = json[0]["generatorURL"].as_str().expect("url");
            assert!(url.starts_with("https://tollbell.example.com/alerts/"), "{url}");
            assert_eq!(json[0]["annotations"].get(END), None);
        }
        notification.message.external_url.clear();
        assert_eq!(sent(&notification)[0].get("generatorURL"), None, "an empty one is no URI");
    }

    #[test]
    fn an_end_is_told_with_its_time_and_how_it_came() {
        let vouched = "2026-08-20T21:26:20Z";
        for (expired, no_data, unheard, ends_at, annotation) in [
            (false, false, false, "2026-08-20T21:22:11Z", ""),
            (true, false, false, "2026-08-20T21:22:11Z", "expired"),
            (false, true, false, "2026-08-20T21:22:11Z", "no data"),
            (false, false, true, vouched, "it was over"),
            (true, false, true, vouched, "expired"),
        ] {
            let mut notification = samples::resolved();
            notification.message.alerts[0].unheard = unheard;
            notification.message.alerts[0].expired = expired;
            notification.message.alerts[0].no_data = no_data;
            let json = sent(&notification);
            assert_eq!(json[0]["endsAt"], ends_at, "{annotation}");
            let said = json[0]["annotations"].get(END).and_then(Value::as_str).unwrap_or_default();
            assert!(said.starts_with(annotation), "{said}");
            assert_eq!(said.is_empty(), annotation.is_empty());
        }
    }

    #[test]
    fn a_large_group_goes_out_in_bounded_requests() {
        let mut notification = samples::many();
        let alerts = notification.message.alerts.clone();
        notification.message.alerts = alerts.into_iter().cycle().take(500).collect();
        let split = bodies(&alerts_json(&notification, RESEND_DEFAULT));
        assert_eq!(split.len(), 8);
        let counts: Vec<usize> = split
            .iter()
            .map(|body| {
                let json: Value = serde_json::from_str(body).expect("json");
                json.as_array().map_or(0, Vec::len)
            })
            .collect();
        assert_eq!((counts.iter().sum::<usize>(), counts[0]), (500, REQUEST_ALERTS_MAX));
        let long = json!({"annotations": {"a": "x".repeat(REQUEST_BYTES_MAX)}});
        assert_eq!(bodies(&[long.clone(), long]).len(), 2);
        assert_eq!(bodies(&[]), Vec::<String>::new());
    }

    #[test]
    fn the_api_lies_below_any_prefix() {
        for (url, expected) in [
            ("http://am:9093", "http://am:9093/api/v2/alerts"),
            ("http://am:9093/", "http://am:9093/api/v2/alerts"),
            ("https://u:p@x.example.com/am/", "https://u:p@x.example.com/am/api/v2/alerts"),
        ] {
            assert_eq!(alerts_url(url.parse().expect("url")).as_str(), expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_alert_ends_before_it_begins(notification in samples::any_parcel()) {
            for alert in alerts_json(&notification, RESEND_DEFAULT) {
                let at = |name: &str| alert[name].as_str().map(samples::at);
                prop_assert!(at("startsAt") <= at("endsAt"));
            }
        }
    }
}
