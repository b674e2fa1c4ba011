//! Applications, profiles and connections: where each sends its webhooks, and whether they tell the costs of calls.
//!
//! A webhook's URL may hold a token, so no more of it than its origin leaves this file.

use std::fmt;

use reqwest::Url;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::lists::{PAGE_ITEMS, PAGES_MAX};
use super::state::{ReadError, text};
use crate::telnyx::{Client, Endpoint, Page};

/// The field that has Telnyx send `call.cost`.
const CALL_COST: &str = "call_cost_in_webhooks";
/// The format of webhooks that is signed.
const API_VERSION: &str = "2";

/// What sends webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A Voice API application.
    CallControlApplication,
    /// A TeXML application.
    TexmlApplication,
    /// A SIP connection with user name and password.
    CredentialConnection,
    /// A SIP connection by host name.
    FqdnConnection,
    /// A SIP connection by address.
    IpConnection,
    /// A SIP connection that Telnyx registers.
    UacConnection,
    /// A messaging profile.
    MessagingProfile,
    /// A fax application.
    FaxApplication,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::CallControlApplication,
        Self::TexmlApplication,
        Self::CredentialConnection,
        Self::FqdnConnection,
        Self::IpConnection,
        Self::UacConnection,
        Self::MessagingProfile,
        Self::FaxApplication,
    ];

    /// Its name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::CallControlApplication => "Voice API app",
            Self::TexmlApplication => "TeXML app",
            Self::CredentialConnection => "credential connection",
            Self::FqdnConnection => "FQDN connection",
            Self::IpConnection => "IP connection",
            Self::UacConnection => "UAC connection",
            Self::MessagingProfile => "messaging profile",
            Self::FaxApplication => "fax app",
        }
    }

    /// Whether it can tell the costs of calls.
    pub fn has_call_cost(self) -> bool {
        self.update().is_some()
    }

    fn list(self) -> Endpoint {
        match self {
            Self::CallControlApplication => Endpoint::CALL_CONTROL_APPLICATIONS,
            Self::TexmlApplication => Endpoint::TEXML_APPLICATIONS,
            Self::CredentialConnection => Endpoint::CREDENTIAL_CONNECTIONS,
            Self::FqdnConnection => Endpoint::FQDN_CONNECTIONS,
            Self::IpConnection => Endpoint::IP_CONNECTIONS,
            Self::UacConnection => Endpoint::UAC_CONNECTIONS,
            Self::MessagingProfile => Endpoint::MESSAGING_PROFILES,
            Self::FaxApplication => Endpoint::FAX_APPLICATIONS,
        }
    }

    /// What changes one.
    pub(super) fn update(self) -> Option<Endpoint> {
        match self {
            Self::CallControlApplication => Some(Endpoint::CALL_CONTROL_APPLICATION_UPDATE),
            Self::TexmlApplication => Some(Endpoint::TEXML_APPLICATION_UPDATE),
            Self::CredentialConnection => Some(Endpoint::CREDENTIAL_CONNECTION_UPDATE),
            Self::FqdnConnection => Some(Endpoint::FQDN_CONNECTION_UPDATE),
            Self::IpConnection => Some(Endpoint::IP_CONNECTION_UPDATE),
            Self::UacConnection => Some(Endpoint::UAC_CONNECTION_UPDATE),
            Self::MessagingProfile | Self::FaxApplication => None,
        }
    }

    /// The fields of its name, its webhook and the webhook's failover. A TeXML application's `voice_url` wants
    /// instructions as its answer: only its status callback is told of what happens.
    fn fields(self) -> [&'static str; 3] {
        match self {
            Self::TexmlApplication => ["friendly_name", "status_callback", ""],
            Self::MessagingProfile => ["name", "webhook_url", "webhook_failover_url"],
            Self::CallControlApplication | Self::FaxApplication => {
                ["application_name", "webhook_event_url", "webhook_event_failover_url"]
            }
            _ => ["connection_name", "webhook_event_url", "webhook_event_failover_url"],
        }
    }

    /// Fields that Telnyx wants again in each change. Source: update parameters in the SDKs.
    fn required(self) -> &'static [&'static str] {
        match self {
            Self::CallControlApplication => &["application_name", "webhook_event_url"],
            Self::TexmlApplication => &["friendly_name", "voice_url"],
            _ => &[],
        }
    }
}

/// One application, profile or connection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WebhookSetting {
    /// What it is.
    pub kind: Kind,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where its webhooks go.
    pub webhook: Destination,
    /// Where they go when that fails.
    pub failover: Destination,
    /// Whether its webhooks tell the costs of calls, where it can and Telnyx says.
    pub call_cost: Option<bool>,
    /// The format of its webhooks, when it is not the signed one.
    pub webhook_api_version: Option<String>,
    /// What is sent to switch the costs on, where it can.
    #[serde(skip)]
    pub(super) enable: Option<Value>,
}

/// Where webhooks go. Only the origin of a foreign URL is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// Nowhere.
    None,
    /// To the address that was asked about.
    Here,
    /// Elsewhere: scheme, host and port, and `/…` where the URL goes on.
    Elsewhere(String),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "nowhere",
            Self::Here => "here",
            Self::Elsewhere(origin) => origin,
        })
    }
}

/// What was found, and what could not be looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WebhookSettings {
    /// All that was listed.
    pub found: Vec<WebhookSetting>,
    /// Kinds that Telnyx did not list, and why; never fatal.
    pub missing: Vec<(Kind, ReadError)>,
}

/// An id for which costs cannot be switched on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongId {
    /// As it was given.
    pub id: String,
    /// What has this id, when something does.
    pub kind: Option<Kind>,
}

/// Reads them; `here` is our own address. `progress` hears of each page, with the name of its list.
pub async fn read_webhook_settings(
    client: &Client,
    here: Option<&str>,
    progress: &mut dyn FnMut(&'static str, &Page),
) -> WebhookSettings {
    let mut settings = WebhookSettings::default();
    for kind in Kind::ALL {
        let endpoint = kind.list();
        let told = |page: &Page| progress(endpoint.name, page);
        match client.list(&endpoint, &[], PAGE_ITEMS, PAGES_MAX, told).await {
            Ok((items, end)) => {
                settings.found.extend(items.iter().filter_map(|item| place(kind, item, here)));
                if let Some(error) = ReadError::of_end(end, endpoint.name) {
                    settings.missing.push((kind, error));
                }
            }
            Err(error) => settings.missing.push((kind, error.into())),
        }
    }
    settings
}

fn place(kind: Kind, item: &Value, here: Option<&str>) -> Option<WebhookSetting> {
    let id = Some(text(item, "id")).filter(|id| !id.is_empty())?;
    let [name, webhook, failover] = kind.fields();
    let version = text(item, "webhook_api_version");
    Some(WebhookSetting {
        kind,
        id,
        name: text(item, name),
        webhook: destination(&text(item, webhook), here),
        failover: destination(&text(item, failover), here),
        call_cost: item.get(CALL_COST).and_then(Value::as_bool).filter(|_| kind.has_call_cost()),
        webhook_api_version: Some(version).filter(|it| !it.is_empty() && it != API_VERSION),
        enable: kind.has_call_cost().then(|| enable(kind, item)),
    })
}

/// What switches the costs on: that, and as it is what Telnyx wants again.
fn enable(kind: Kind, item: &Value) -> Value {
    let mut body = Map::new();
    for field in kind.required() {
        if let Some(value) = item.get(*field).filter(|value| !value.is_null()) {
            body.insert((*field).to_owned(), value.clone());
        }
    }
    body.insert(CALL_COST.to_owned(), json!(true));
    Value::Object(body)
}

/// Whether Telnyx's answer to a change says that the costs are on; what it does not say counts as done.
pub(super) fn is_enabled(answer: &Value) -> bool {
    let said = answer.get("data").and_then(|data| data.get(CALL_COST)?.as_bool());
    said.unwrap_or(true)
}

fn destination(url: &str, here: Option<&str>) -> Destination {
    if url.trim().is_empty() {
        return Destination::None;
    }
    let Ok(parsed) = Url::parse(url.trim()) else {
        return Destination::Elsewhere("an address that is no URL".to_owned());
    };
    let same = |here: &str| {
        Url::parse(here).is_ok_and(|here| {
            here.as_str().trim_end_matches('/') == parsed.as_str().trim_end_matches('/')
        })
    };
    if here.is_some_and(same) {
        return Destination::Here;
    }
    let bare = parsed.path().trim_matches('/').is_empty() && parsed.query().is_none();
    let rest = if bare { "" } else { "/…" };
    Destination::Elsewhere(format!("{}{rest}", parsed.origin().ascii_serialization()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<&str> = Some("https://hooks.example.com/webhooks/telnyx");

    #[test]
    fn of_a_foreign_url_only_the_origin_is_told() {
        for (url, told) in [
            ("", Destination::None),
            ("https://hooks.example.com/webhooks/telnyx", Destination::Here),
            ("HTTPS://HOOKS.example.com:443/webhooks/telnyx/", Destination::Here),
            (
                "https://hooks.example.com/webhooks/telnyx?t=1",
                Destination::Elsewhere("https://hooks.example.com/…".into()),
            ),
            (
                "https://user:token@crm.example.com",
                Destination::Elsewhere("https://crm.example.com".into()),
            ),
            (
                "https://crm.example.com:8443/in/TOKEN?key=TOKEN#TOKEN",
                Destination::Elsewhere("https://crm.example.com:8443/…".into()),
            ),
            (
                "https://crm.example.com/?key=TOKEN",
                Destination::Elsewhere("https://crm.example.com/…".into()),
            ),
            ("not a url TOKEN", Destination::Elsewhere("an address that is no URL".into())),
        ] {
            assert_eq!(destination(url, HERE), told, "{url}");
        }
        assert_ne!(
            destination("https://hooks.example.com/webhooks/telnyx", None),
            Destination::Here
        );
    }

    #[test]
    fn a_place_is_read_by_the_fields_of_its_kind() {
        let app = json!({
            "id": 12_938, "application_name": "ivr", "webhook_event_url": "https://ivr.example.com/TOKEN",
            "webhook_event_failover_url": "https://hooks.example.com/webhooks/telnyx", "webhook_api_version": "1",
            "call_cost_in_webhooks": false,
        });
        let read = place(Kind::CallControlApplication, &app, HERE).unwrap();
        assert_eq!(
            (read.id.as_str(), read.name.as_str(), read.call_cost),
            ("12938", "ivr", Some(false))
        );
        assert_eq!(
            (read.failover.clone(), read.webhook_api_version.as_deref()),
            (Destination::Here, Some("1"))
        );
        let body = json!({"application_name": "ivr", "webhook_event_url": "https://ivr.example.com/TOKEN", "call_cost_in_webhooks": true});
        assert_eq!(read.enable, Some(body));
        assert!(!serde_json::to_string(&read).unwrap().contains("TOKEN"));
        let texml = json!({"id": "t", "friendly_name": "menu", "voice_url": "https://x.example.com/v", "status_callback": null, "call_cost_in_webhooks": true});
        let read = place(Kind::TexmlApplication, &texml, HERE).unwrap();
        assert_eq!(
            (read.webhook, read.call_cost, read.webhook_api_version),
            (Destination::None, Some(true), None)
        );
        assert_eq!(
            read.enable,
            Some(
                json!({"friendly_name": "menu", "voice_url": "https://x.example.com/v", "call_cost_in_webhooks": true})
            )
        );
        let sip = place(Kind::FqdnConnection, &json!({"id": "f", "connection_name": "pbx"}), HERE)
            .unwrap();
        assert_eq!(
            (sip.call_cost, sip.enable),
            (None, Some(json!({"call_cost_in_webhooks": true})))
        );
        let sms = place(
            Kind::MessagingProfile,
            &json!({"id": "m", "name": "sms", "webhook_url": HERE, "call_cost_in_webhooks": true}),
            HERE,
        )
        .unwrap();
        assert_eq!((sms.webhook, sms.call_cost, sms.enable), (Destination::Here, None, None));
        assert_eq!(place(Kind::FaxApplication, &json!({"application_name": "no id"}), HERE), None);
    }
}
