//! The words of the configuration: every key with its meaning, kind, default and bounds.
//!
//! This table is the only such place. [`super::section`] reads files by it, [`super::schema`] turns it into a JSON
//! Schema, and a test holds `config/tollbell.yaml` against it.

use super::metrics::METRIC;
use super::routing_words::{INHIBIT_RULE, ROUTE, TIME_INTERVAL};

pub(super) use super::rule_words::RULE_FILE;

/// The keys that one map may hold.
#[derive(Debug)]
pub(super) struct Shape {
    /// Name of the shape in the schema.
    pub(super) name: &'static str,
    /// The keys.
    pub(super) keys: &'static [Key],
    /// What to say of words that people try here and that mean something elsewhere.
    pub(super) hints: &'static [(&'static str, &'static str)],
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) required: bool,
    pub(super) about: &'static str,
}

/// What a key holds.
#[derive(Debug)]
pub(super) enum Kind {
    /// A text, with its default for the reader of the schema; empty where there is none.
    Text(&'static str),
    /// One word of a few.
    Choice { default: &'static str, words: &'static [&'static str] },
    /// True or false.
    Flag(bool),
    /// A duration.
    Duration(Bounds),
    /// A size in bytes.
    Size(Bounds),
    /// A whole number.
    Integer(Bounds),
    /// A number.
    Number(Bounds),
    /// A list of texts.
    Texts,
    /// A map of free names to texts.
    Pairs,
    /// A map of keys.
    Map(&'static Shape),
    /// A list of maps of keys.
    Maps(&'static Shape),
    /// Anything; the reader of the key looks at it.
    Any,
}

/// Default, least and greatest value, as one would write them.
#[derive(Debug)]
pub(super) struct Bounds {
    pub(super) default: &'static str,
    pub(super) min: &'static str,
    pub(super) max: &'static str,
}

impl Kind {
    /// Whether `key:` with nothing behind it means an empty one.
    pub(super) fn is_container(&self) -> bool {
        matches!(self, Self::Texts | Self::Pairs | Self::Map(_) | Self::Maps(_))
    }
}

/// Words of the plan that this version does not read yet.
#[rustfmt::skip]
pub(super) const LATER: &[&str] = &[
    "api_key", "api_key_file", "backfill", "balance", "heartbeats",
];

pub(super) const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, required: false, about }
}

pub(super) const fn required(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, required: true, about }
}

pub(super) const fn shape(name: &'static str, keys: &'static [Key]) -> Shape {
    Shape { name, keys, hints: &[] }
}

pub(super) const fn within(default: &'static str, min: &'static str, max: &'static str) -> Bounds {
    Bounds { default, min, max }
}

/// The main file.
pub(super) static CONFIG: Shape = shape(
    "config",
    &[
        key("server", Kind::Map(&SERVER), "The two listeners."),
        required("accounts", Kind::Maps(&ACCOUNT), "The Telnyx accounts that send webhooks here."),
        key("store", Kind::Map(&STORE), "Where events, alerts and deliveries are kept."),
        key("rule_files", Kind::Texts, "Rule files; * and ? are globs, relative to this file."),
        key("metrics", Kind::Maps(&METRIC), "Series of your own, made from events."),
        required("route", Kind::Map(&ROUTE), "Who hears of which alert."),
        key(
            "inhibit_rules",
            Kind::Maps(&INHIBIT_RULE),
            "Which alerts are not told while which others fire.",
        ),
        key(
            "time_intervals",
            Kind::Maps(&TIME_INTERVAL),
            "Hours and days with a name, for routes and rules.",
        ),
        required("receivers", Kind::Maps(&RECEIVER), "Who can be told, and how."),
        key(
            "templates",
            Kind::Texts,
            "Files that replace built-in texts, each named as what it replaces; * and ? are globs.",
        ),
    ],
);

static SERVER: Shape = Shape {
    name: "server",
    keys: &[
        key("listen", Kind::Text("0.0.0.0:8080"), "Address of the public listener: webhooks only."),
        key(
            "private_listen",
            Kind::Text("127.0.0.1:9464"),
            "Address of the private listener: metrics, health, API. It has no authentication yet.",
        ),
        key(
            "public_url",
            Kind::Text(""),
            "The URL under which Telnyx reaches the public listener.",
        ),
        key("external_url", Kind::Text(""), "The URL that links in notifications begin with."),
        key("max_body", Kind::Size(within("1MiB", "1KiB", "10MiB")), "Largest webhook body."),
        key(
            "shutdown_timeout",
            Kind::Duration(within("25s", "1s", "10m")),
            "How long a shutdown may take, in-flight sends included.",
        ),
        key(
            "trusted_proxies",
            Kind::Texts,
            "Networks of proxies whose X-Forwarded-For is believed. None by default.",
        ),
        key(
            "allowed_sources",
            Kind::Texts,
            "Networks that may send webhooks. Empty: all; the signature decides.",
        ),
    ],
    hints: &[("auth", "not in this version of tollbell")],
};

static ACCOUNT: Shape = Shape {
    name: "account",
    keys: &[
        required("name", Kind::Text(""), "Name: the last part of /webhooks/telnyx/{account}."),
        key(
            "public_keys",
            Kind::Texts,
            "Public keys from Mission Control: base64 of 32 bytes; two while a key rotates.",
        ),
        key("public_keys_file", Kind::Text(""), "A file with one public key in each line."),
        key(
            "tolerance",
            Kind::Duration(within("5m", "1s", "1h")),
            "How far the timestamp of a delivery may be from our clock, both ways.",
        ),
        key("labels", Kind::Pairs, "Labels added to every alert of this account."),
        key("currency", Kind::Text(""), "ISO 4217 code, where an event names none."),
    ],
    hints: &[
        ("public_key", "did you mean public_keys? it is a list"),
        ("api_url", "not in this version of tollbell"),
    ],
};

static STORE: Shape = shape(
    "store",
    &[
        key(
            "url",
            Kind::Text("sqlite:data/tollbell.db"),
            "sqlite: and a path, relative to the working directory.",
        ),
        key(
            "retention",
            Kind::Duration(within("30d", "7d", "3650d")),
            "How long events, ended alerts and finished deliveries are kept.",
        ),
        key(
            "payload",
            Kind::Choice { default: "redacted", words: &["full", "redacted", "none"] },
            "How much of a payload is kept.",
        ),
    ],
);

static RECEIVER: Shape = shape(
    "receiver",
    &[
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
);

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

static EMAIL: Shape = shape(
    "email_config",
    &[
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
);

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

static SLACK: Shape = shape(
    "slack_config",
    &[
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
);

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
    hints: &[("http_config", "use headers, header_files and tls_config")],
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
    hints: &[("service_key", "use routing_key: only the Events API v2 is spoken")],
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
    hints: &[("http_config", "use headers, header_files and tls_config")],
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
