//! The words of the configuration: every key with its meaning, kind, default and bounds.
//!
//! This table is the only such place. [`super::section`] reads files by it, [`super::schema`] turns it into a JSON
//! Schema, and a test holds `config/tollbell.yaml` against it.

use super::metrics::METRIC;
use super::receiver_words::RECEIVER;
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
pub(super) const LATER: &[&str] = &["auth"];

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
pub(super) static CONFIG: Shape = Shape {
    name: "config",
    keys: &[
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
        key(
            "heartbeats",
            Kind::Maps(&HEARTBEAT),
            "Dead man's switches: addresses that are asked for while tollbell works, and no longer.",
        ),
    ],
    hints: &[
        (
            "global",
            "say at each integration what it sets: smarthost, from, auth, api_url; a YAML anchor can be shared",
        ),
        ("mute_time_intervals", "use time_intervals"),
        ("tracing", "not in tollbell"),
    ],
};

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
        key(
            "allowed_targets",
            Kind::Texts,
            "Networks that receivers and heartbeats may be in though they are link-local or hold metadata. None by default.",
        ),
    ],
    hints: &[],
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
            "How far the timestamp of a delivery may be from our clock, both transports.",
        ),
        key("labels", Kind::Pairs, "Labels added to every alert of this account."),
        key(
            "currency",
            Kind::Text(""),
            "ISO 4217 code, where an event names none; else that of the last balance reading.",
        ),
        key(
            "api_key",
            Kind::Text(""),
            "API key (v2) of this account: for its balance, for webhooks that were missed, for provision and spend.",
        ),
        key("api_key_file", Kind::Text(""), "A file with the API key."),
        key("api_url", Kind::Text("https://api.telnyx.com/v2"), "Where Telnyx's API is."),
        key("balance", Kind::Map(&BALANCE), "Readings of the balance; they need api_key."),
        key(
            "backfill",
            Kind::Map(&BACKFILL),
            "Webhooks that failed while nobody took them; they need api_key and server.public_url.",
        ),
    ],
    hints: &[("public_key", "did you mean public_keys? it is a list")],
};

static BALANCE: Shape = shape(
    "balance",
    &[key(
        "poll_interval",
        Kind::Duration(within("60s", "1s", "1d")),
        "How often the balance is read, give or take a tenth.",
    )],
);

static BACKFILL: Shape = shape(
    "backfill",
    &[
        key("enabled", Kind::Flag(true), "Whether missed webhooks are looked for at all."),
        key(
            "max_age",
            Kind::Duration(within("24h", "1m", "7d")),
            "How old a missed webhook may be.",
        ),
    ],
);

static HEARTBEAT: Shape = shape(
    "heartbeat",
    &[
        key("url", Kind::Text(""), "What is asked for by GET while all is well; a secret."),
        key("url_file", Kind::Text(""), "A file with the address."),
        key("interval", Kind::Duration(within("1m", "1s", "1d")), "How often."),
    ],
);

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
