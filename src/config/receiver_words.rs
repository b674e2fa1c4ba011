//! Words of `receivers`: the ways to tell somebody.

use super::words::{Key, Kind, Shape, key, required, shape, within};

pub(super) static RECEIVER: Shape = Shape {
    name: "receiver",
    keys: &[
        required("name", Kind::Text(""), "Name, as routes use it."),
        key("fallback", Kind::Text(""), "Receiver that is rung when a delivery to this one fails."),
        key(
            "fallback_after",
            Kind::Duration(within("5m", "1s", "1d")),
            "The fallback is also rung when a delivery is not through after this time.",
        ),
        key("email_configs", Kind::Maps(&EMAIL), "E-mail by SMTP."),
        key("slack_configs", Kind::Maps(&SLACK), "Slack incoming webhooks."),
        key("webhook_configs", Kind::Maps(&WEBHOOK), "Any HTTP endpoint."),
        key("pagerduty_configs", Kind::Maps(&PAGERDUTY), "PagerDuty, by its Events API v2."),
        key("alertmanager_configs", Kind::Maps(&ALERTMANAGER), "Another Alertmanager."),
    ],
    hints: &[
        ("discord_configs", BY_WEBHOOK),
        ("incidentio_configs", BY_WEBHOOK),
        ("jira_configs", BY_WEBHOOK),
        ("mattermost_configs", BY_WEBHOOK),
        ("msteams_configs", BY_WEBHOOK),
        ("msteamsv2_configs", BY_WEBHOOK),
        ("opsgenie_configs", BY_WEBHOOK),
        ("pushover_configs", BY_WEBHOOK),
        ("rocketchat_configs", BY_WEBHOOK),
        ("sns_configs", BY_WEBHOOK),
        ("telegram_configs", BY_WEBHOOK),
        ("victorops_configs", BY_WEBHOOK),
        ("webex_configs", BY_WEBHOOK),
        ("wechat_configs", BY_WEBHOOK),
    ],
};

const BY_WEBHOOK: &str = "use webhook_configs with body and headers; docs/webhooks.md has examples";
const TEXTS: &str = "texts are files of templates, for all receivers; see docs/templates.md";
const HTTP: &str = "use headers, header_files and tls_config";

const NAME: Key =
    key("name", Kind::Text(""), "Keeps the integration's identity when its target changes.");
const SEND_RESOLVED: Key = key("send_resolved", Kind::Flag(true), "Whether ends are told too.");
const TIMEOUT: Key = key(
    "timeout",
    Kind::Duration(within("10s", "100ms", "5m")),
    "Bound on one whole send, connect to last byte.",
);
const RETRY_KEY: Key = key("retry", Kind::Map(&RETRY), "When to try again and when to stop.");
const RATE_KEY: Key = key("rate_limit", Kind::Map(&RATE), "How fast.");
const TLS_CONFIG_KEY: Key = key("tls_config", Kind::Map(&TLS_CONFIG), "Trust in the peer.");

static EMAIL: Shape = Shape {
    name: "email_config",
    keys: &[
        NAME,
        required("to", Kind::Texts, "Recipients; each is its own delivery."),
        required("from", Kind::Text(""), "Sender."),
        required("smarthost", Kind::Text(""), "Mail server, host:port."),
        key(
            "tls",
            Kind::Choice { default: "starttls", words: &["starttls", "implicit", "none"] },
            "Transport security; starttls is required, never just tried.",
        ),
        key("tls_config", Kind::Map(&TLS_CONFIG), "Trust in the mail server."),
        key("auth", Kind::Map(&AUTH), "Credentials."),
        key("headers", Kind::Pairs, "Further headers, such as Reply-To."),
        key("hello", Kind::Text(""), "Name in EHLO; the machine's host name by default."),
        SEND_RESOLVED,
        key(
            "timeout",
            Kind::Duration(within("30s", "100ms", "5m")),
            "Bound on one whole send, connect to last byte.",
        ),
        RETRY_KEY,
        RATE_KEY,
    ],
    hints: &[
        ("auth_username", "use auth: {username: …, password_file: …}"),
        ("auth_password", "use auth: {username: …, password: …}"),
        ("auth_password_file", "use auth: {username: …, password_file: …}"),
        ("auth_identity", "the identity is that of auth.username"),
        ("auth_secret", "CRAM-MD5 is not spoken; use auth.mechanism: plain, login or xoauth2"),
        ("auth_secret_file", "CRAM-MD5 is not spoken; use auth.mechanism: plain, login or xoauth2"),
        ("require_tls", "use tls: starttls, implicit or none"),
        ("force_implicit_tls", "use tls: implicit"),
        ("html", TEXTS),
        ("text", TEXTS),
        ("threading", "mails of one group are one thread already"),
    ],
};

static AUTH: Shape = shape(
    "email_auth",
    &[
        key(
            "mechanism",
            Kind::Choice { default: "plain", words: &["plain", "login", "xoauth2"] },
            "SASL mechanism.",
        ),
        required("username", Kind::Text(""), "User name."),
        key("password", Kind::Text(""), "Password, or the token of xoauth2; a secret."),
        key("password_file", Kind::Text(""), "File that holds it."),
    ],
);

static SLACK: Shape = Shape {
    name: "slack_config",
    keys: &[
        NAME,
        key("api_url", Kind::Text(""), "The incoming webhook; a secret."),
        key("api_url_file", Kind::Text(""), "File that holds it."),
        key("channel", Kind::Text(""), "Channel; works with legacy webhooks only."),
        TLS_CONFIG_KEY,
        SEND_RESOLVED,
        TIMEOUT,
        RETRY_KEY,
        key("rate_limit", Kind::Map(&SLACK_RATE), "How fast; Slack takes one a second."),
    ],
    hints: &[
        ("http_config", "use tls_config"),
        ("app_token", "only incoming webhooks are spoken: use api_url"),
        ("app_token_file", "only incoming webhooks are spoken: use api_url_file"),
        ("app_url", "only incoming webhooks are spoken: use api_url"),
        ("title", TEXTS),
        ("title_link", TEXTS),
        ("pretext", TEXTS),
        ("text", TEXTS),
        ("fallback", TEXTS),
        ("footer", TEXTS),
        ("fields", TEXTS),
        ("actions", TEXTS),
        ("color", "the colour is that of the severity"),
        ("username", "incoming webhooks post under the name of their app"),
        ("icon_emoji", "incoming webhooks post with the icon of their app"),
        ("icon_url", "incoming webhooks post with the icon of their app"),
    ],
};

static WEBHOOK: Shape = Shape {
    name: "webhook_config",
    keys: &[
        NAME,
        key("url", Kind::Text(""), "Where to; treated as a secret."),
        key("url_file", Kind::Text(""), "File that holds it."),
        key("secret", Kind::Text(""), "Key of the Standard Webhooks signature; a secret."),
        key("secret_file", Kind::Text(""), "File that holds it."),
        key(
            "max_alerts",
            Kind::Integer(within("100", "1", "10000")),
            "Alerts in one body at most.",
        ),
        key("body", Kind::Text(""), "Template of the body, in the place of Alertmanager's JSON."),
        key("body_file", Kind::Text(""), "File that holds it."),
        key("headers", Kind::Pairs, "Further request headers; their values are secrets."),
        key("header_files", Kind::Pairs, "Further request headers, each value in a file."),
        TLS_CONFIG_KEY,
        SEND_RESOLVED,
        TIMEOUT,
        RETRY_KEY,
        RATE_KEY,
    ],
    hints: &[("http_config", HTTP)],
};

static PAGERDUTY: Shape = Shape {
    name: "pagerduty_config",
    keys: &[
        NAME,
        key("routing_key", Kind::Text(""), "Integration key of the Events API v2; a secret."),
        key("routing_key_file", Kind::Text(""), "File that holds it."),
        key(
            "url",
            Kind::Text("https://events.pagerduty.com/v2/enqueue"),
            "Where events go; https://events.eu.pagerduty.com/v2/enqueue in the EU.",
        ),
        key(
            "severity",
            Kind::Pairs,
            "Values of the label severity as critical, error, warning or info, besides the usual.",
        ),
        key("client", Kind::Text("tollbell"), "Who sends, as PagerDuty shows it."),
        key("client_url", Kind::Text(""), "Where that leads; server.external_url by default."),
        TLS_CONFIG_KEY,
        SEND_RESOLVED,
        TIMEOUT,
        RETRY_KEY,
        key("rate_limit", Kind::Map(&PAGERDUTY_RATE), "How fast; PagerDuty takes 120 a minute."),
    ],
    hints: &[
        ("service_key", "use routing_key: only the Events API v2 is spoken"),
        ("service_key_file", "use routing_key_file: only the Events API v2 is spoken"),
        ("http_config", "use tls_config"),
        ("description", TEXTS),
        ("details", "the labels and annotations of each alert are sent"),
        ("class", "the labels of each alert are sent"),
        ("component", "the labels of each alert are sent"),
        ("group", "the labels of each alert are sent"),
    ],
};

static ALERTMANAGER: Shape = Shape {
    name: "alertmanager_config",
    keys: &[
        NAME,
        key("url", Kind::Text(""), "Where its pages begin; treated as a secret."),
        key("url_file", Kind::Text(""), "File that holds it."),
        key(
            "resend_interval",
            Kind::Duration(within("1m", "10s", "1h")),
            "Firing alerts are sent again so often, and end there after four times that in silence.",
        ),
        key("headers", Kind::Pairs, "Further request headers; their values are secrets."),
        key("header_files", Kind::Pairs, "Further request headers, each value in a file."),
        TLS_CONFIG_KEY,
        SEND_RESOLVED,
        TIMEOUT,
        RETRY_KEY,
        RATE_KEY,
    ],
    hints: &[("http_config", HTTP)],
};

static TLS_CONFIG: Shape = shape(
    "tls_config",
    &[key("ca_file", Kind::Text(""), "PEM file of authorities to trust besides the system's.")],
);

static RETRY: Shape = shape(
    "retry",
    &[
        key(
            "max_age",
            Kind::Duration(within("24h", "1s", "7d")),
            "A delivery older than this is dead at its next failure.",
        ),
        key(
            "initial_backoff",
            Kind::Duration(within("1s", "10ms", "1h")),
            "Upper bound of the first wait; it doubles from there.",
        ),
        key("max_backoff", Kind::Duration(within("5m", "10ms", "1d")), "Upper bound of any wait."),
    ],
);

static RATE: Shape = shape(
    "rate_limit",
    &[
        key("per_second", Kind::Number(within("10", "0.001", "1000")), "Sends a second, for long."),
        key("burst", Kind::Integer(within("20", "1", "1000")), "Sends at once."),
    ],
);

static SLACK_RATE: Shape = shape(
    "slack_rate_limit",
    &[
        key("per_second", Kind::Number(within("1", "0.001", "1000")), "Sends a second, for long."),
        key("burst", Kind::Integer(within("3", "1", "1000")), "Sends at once."),
    ],
);

static PAGERDUTY_RATE: Shape = shape(
    "pagerduty_rate_limit",
    &[
        key("per_second", Kind::Number(within("2", "0.001", "1000")), "Sends a second, for long."),
        key("burst", Kind::Integer(within("10", "1", "1000")), "Sends at once."),
    ],
);
