//! Messages for the tests of all channels.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::alerts::{Fingerprint, Message, MessageAlert, Reason, Status};
use crate::chart::Picture;
use crate::notify::{Notification, Outcome};
use crate::rules::Labels;

pub(in crate::notify) fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// An outcome in two words.
pub(in crate::notify) fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Delivered => "delivered".to_owned(),
        Outcome::Retry { reason, .. } => format!("retry {}", reason.as_str()),
        Outcome::Rejected { reason, .. } => format!("rejected {}", reason.as_str()),
    }
}

pub(in crate::notify) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(in crate::notify) fn alert(labels: Labels, annotations: Labels, event: Value) -> MessageAlert {
    MessageAlert {
        unheard: false,
        fingerprint: Fingerprint::of(&labels),
        status: Status::Firing,
        expired: false,
        no_data: false,
        missed: false,
        usual: None,
        value: None,
        labels,
        annotations,
        starts_at: at("2026-08-20T19:17:08Z"),
        ends_at: Some(at("2026-08-21T01:17:08Z")),
        event,
    }
}

pub(in crate::notify) fn notification(alerts: Vec<MessageAlert>) -> Notification {
    let firing = alerts.iter().any(|alert| alert.status == Status::Firing);
    let common = |of: fn(&MessageAlert) -> &Labels| {
        let mut common = alerts.first().map(of).cloned().unwrap_or_default();
        common.retain(|name, value| alerts.iter().all(|alert| of(alert).get(name) == Some(value)));
        common
    };
    Notification {
        key: "0198c8f2-7d1e-7c3a-9d51-3f0c6a1b2c3d".to_owned(),
        target: "finance@example.com".to_owned(),
        attempt: 1,
        now: at("2026-08-20T19:20:28Z"),
        message: Message {
            reopens: false,
            receiver: "finance".to_owned(),
            status: if firing { Status::Firing } else { Status::Resolved },
            reason: if firing { Reason::First } else { Reason::AllResolved },
            group_key: "finance:{account=\"default\"}".to_owned(),
            group_labels: labels(&[("account", "default")]),
            common_labels: common(|alert| &alert.labels),
            common_annotations: common(|alert| &alert.annotations),
            alerts,
            truncated_alerts: 0,
            external_url: "https://tollbell.example.com".to_owned(),
            created_at: at("2026-08-20T19:20:27Z"),
            fallback_for: None,
        },
        charts: Vec::new(),
    }
}

/// The commonest message: one alert that fires.
pub(in crate::notify) fn spend_limit() -> Notification {
    notification(vec![alert(
        labels(&[
            ("account", "default"),
            ("alertname", "SpendLimitReached"),
            ("profile", "be3eb60a-a346-470a-886c-ab4e421711bd"),
            ("severity", "critical"),
            ("team", "billing"),
        ]),
        labels(&[
            ("summary", "Messaging profile reached its spend limit"),
            (
                "description",
                "Messages of this profile are refused until the limit is raised or the day is over. \
                 Check for a loop or for fraud before you raise it.",
            ),
            ("action", "Raise the daily limit in Mission Control, Messaging, Profiles."),
            ("runbook_url", "https://wiki.example.com/runbooks/spend-limit?from=mail&v=2"),
        ]),
        json!({
            "id": "d21a2887-8007-4bb6-bd7d-f2874829918e", "account": "default",
            "kind": "messaging-profile.spend-limit-reached",
            "type": "messaging-profile.spend-limit-reached", "product": "messaging",
            "occurred_at": "2026-08-20T19:17:08.918Z", "received_at": "2026-08-20T19:20:26Z",
            "source": "webhook", "cost": null, "charge": null, "currency": "USD",
            "fields": {
                "configured_limit": "10.00", "current_cost": "10.02",
                "profile_id": "be3eb60a-a346-470a-886c-ab4e421711bd",
            },
        }),
    )])
}

/// One that carries charts, the second with markup of others in its words.
pub(in crate::notify) fn charted() -> Notification {
    let mut notification = spend_limit();
    let chart = |byte: u8, title: &str| Picture {
        png: vec![byte; 300].into(),
        size: [560, 176],
        title: title.to_owned(),
        story: "From 180.00 USD to 41.50 USD.".to_owned(),
        keys: vec![("#1f8fae".to_owned(), "what is left")],
    };
    notification.charts = vec![
        chart(0x89, "default: the last 3 days, USD"),
        chart(0xff, "\"><script>alert(1)</script>"),
    ];
    notification
}

/// The same, over.
pub(in crate::notify) fn resolved() -> Notification {
    let mut notification = spend_limit();
    notification.now = at("2026-08-20T21:22:20Z");
    notification.message.status = Status::Resolved;
    notification.message.reason = Reason::AllResolved;
    notification.message.created_at = at("2026-08-20T21:22:19Z");
    for alert in &mut notification.message.alerts {
        alert.status = Status::Resolved;
        alert.ends_at = Some(at("2026-08-20T21:22:11Z"));
    }
    notification
}

/// Over, because no reading came.
pub(in crate::notify) fn no_data() -> Notification {
    let mut notification = resolved();
    notification.message.alerts[0].no_data = true;
    notification
}

/// Over, because its time was.
pub(in crate::notify) fn expired() -> Notification {
    let mut notification = resolved();
    notification.message.alerts[0].expired = true;
    notification
}

/// Fires, and began hours ago: its webhook was missed.
pub(in crate::notify) fn missed() -> Notification {
    let mut notification = spend_limit();
    notification.now = at("2026-08-20T22:22:13Z");
    notification.message.created_at = at("2026-08-20T22:22:12Z");
    for alert in &mut notification.message.alerts {
        alert.missed = true;
        alert.event["source"] = json!("backfill");
        alert.event["received_at"] = json!("2026-08-20T22:22:12Z");
    }
    notification
}

/// Alerts of several rules and accounts, some over, each in another way.
pub(in crate::notify) fn mixed() -> Notification {
    let mut alerts = spend_limit().message.alerts;
    let balance = labels(&[
        ("account", "reseller-north"),
        ("alertname", "LowBalance"),
        ("severity", "warning"),
    ]);
    let event = json!({"kind": "account.balance", "currency": "EUR", "fields": {"available_credit": "41.5"}});
    let summary = labels(&[("summary", "reseller-north: 41.50 EUR left")]);
    alerts.push(alert(balance, summary, event));
    for (expired, no_data) in [(false, false), (true, false), (false, true)] {
        let mut over =
            many().message.alerts.remove(usize::from(expired) + 2 * usize::from(no_data));
        over.status = Status::Resolved;
        (over.expired, over.no_data) = (expired, no_data);
        alerts.push(over);
    }
    notification(alerts)
}

/// A copy for someone else, who was not reached.
pub(in crate::notify) fn fallback() -> Notification {
    let mut notification = spend_limit();
    notification.message.receiver = "ops".to_owned();
    notification.message.fallback_for = Some("oncall".to_owned());
    notification.now = at("2026-08-20T19:41:00Z");
    notification.attempt = 7;
    notification
}

/// More alerts than anyone wants to read, one of them over.
pub(in crate::notify) fn many() -> Notification {
    let mut alerts: Vec<MessageAlert> = (1..=34)
        .map(|n| {
            alert(
                labels(&[
                    ("account", if n % 3 == 0 { "reseller-north" } else { "default" }),
                    ("alertname", "CallCostHigh"),
                    ("leg", &format!("428c31b6-7af4-4bcb-b7f5-{n:012}")),
                    ("severity", "warning"),
                ]),
                labels(&[("summary", &format!("One call cost {n}.50 USD to +88216{n:05}"))]),
                json!({
                    "kind": "call.cost", "cost": format!("{n}.50"), "charge": format!("{n}.50"),
                    "currency": "USD", "fields": {"billed_duration_secs": 60 * n, "status": "success"},
                }),
            )
        })
        .collect();
    if let Some(last) = alerts.last_mut() {
        last.status = Status::Resolved;
    }
    notification(alerts)
}

/// Several alerts of one rule, which share what to do and where to read on.
pub(in crate::notify) fn advised() -> Notification {
    let alerts = ["p1", "p2", "p3"].map(|profile| {
        let mut alert = spend_limit().message.alerts.remove(0);
        alert.labels.insert("profile".to_owned(), profile.to_owned());
        alert.fingerprint = Fingerprint::of(&alert.labels);
        alert
    });
    notification(alerts.to_vec())
}

/// Everything as long and as odd as can be.
pub(in crate::notify) fn hostile() -> Notification {
    let long = "very-long-value-without-any-space-".repeat(20);
    let mut notification = notification(vec![alert(
        labels(&[
            ("account", "<script>alert('account')</script>"),
            ("alertname", "Hostile"),
            ("carrier", "شركة الاتصالات 📞 & Söhne"),
            ("long", &long),
            ("severity", "warning"),
        ]),
        labels(&[
            (
                "summary",
                "<script>alert(1)</script> \u{202e}evil\r\nBcc: thief@example.net <!channel> @here ارتفع الإنفاق 💸🔥",
            ),
            (
                "description",
                &format!(
                    "{long}\n<img src=x onerror=alert(1)>\n@everyone & <@U123> *bold*\n\nسطر عربي"
                ),
            ),
            ("runbook", "javascript:alert(1)"),
        ]),
        json!({"kind": "fax.failed", "cost": "not a number", "fields": {
            "failure_reason": "outbound_profile_daily_spend_limit_exceeded", "from": "+15551234567", "to": {"x": 1},
            "status": null, "page_count": 3, "note": "<b>&</b>",
        }}),
    )]);
    notification.message.external_url = "http://tollbell.monitoring:9464".to_owned();
    notification
}

/// As little as a message can hold.
pub(in crate::notify) fn bare() -> Notification {
    let mut notification = notification(vec![alert(Labels::new(), Labels::new(), Value::Null)]);
    notification.message.external_url = String::new();
    notification
}

pub(in crate::notify) fn all() -> Vec<(&'static str, Notification)> {
    vec![
        ("critical", spend_limit()),
        ("resolved", resolved()),
        ("fallback", fallback()),
        ("many", many()),
        ("mixed", mixed()),
        ("advised", advised()),
        ("expired", expired()),
        ("no-data", no_data()),
        ("missed", missed()),
        ("charted", charted()),
        ("hostile", hostile()),
        ("bare", bare()),
    ]
}

/// Text as strangers write it.
pub(in crate::notify) fn any_text() -> BoxedStrategy<String> {
    prop_oneof![
        "\\PC{0,60}",
        "[&<>@!|a-z\r\n\u{0}\u{202e}🔴 ]{0,400}",
        "(<!channel>|@here |@Channel|@everyone|<@U123>|&amp;|https://x.example/\\?a=1&b=2){0,300}",
        "[&]{2000,4000}",
        "https?://[a-z.]{1,20}/[&<>|\"a-z]{0,800}",
    ]
    .boxed()
}

/// A message of any content, of one or many alerts.
pub(in crate::notify) fn any_parcel() -> impl Strategy<Value = Notification> {
    let name = prop_oneof![
        Just("summary"),
        Just("description"),
        Just("action"),
        Just("runbook_url"),
        Just("alertname"),
        Just("account"),
        Just("severity"),
        Just("cost"),
        Just("current_cost"),
        Just("configured_limit"),
        Just("other"),
    ];
    let texts = prop::collection::btree_map(
        prop_oneof![4 => name.prop_map(str::to_owned), 1 => "[a-z<>&]{0,50}"],
        any_text(),
        0..12,
    )
    .boxed();
    let one = (texts.clone(), texts.clone(), texts, any::<bool>()).prop_map(
        |(labels, annotations, fields, over)| {
            let event = json!({
                "kind": fields.get("other"), "cost": fields.get("cost"),
                "currency": fields.get("account"), "fields": fields,
            });
            let mut alert = alert(labels, annotations, event);
            alert.status = if over { Status::Resolved } else { Status::Firing };
            alert
        },
    );
    let alerts = prop_oneof![
        3 => one.clone().prop_map(|alert| vec![alert]),
        1 => (one, 2_usize..60).prop_map(|(alert, n)| vec![alert; n]),
    ];
    (alerts, any_text(), prop::option::of(any_text())).prop_map(|(alerts, receiver, fallback)| {
        let mut notification = notification(alerts);
        notification.message.receiver = receiver;
        notification.message.fallback_for = fallback;
        notification
    })
}
