//! The words of the configuration: every key with its meaning, kind, default and bounds, stated once.
//!
//! From one line come the reader ([`super::section`] checks by the table, a method of the key's name gives the value), the
//! JSON Schema ([`super::schema`]) and the reference in `docs/`; a test holds `config/tollbell.yaml` against it. A line is
//! `name: kind, "meaning";`, with `required` behind the kind where the key cannot be left out. Kinds: `text`, `texts`,
//! `pairs` (free names to texts), `any`, `flag(default)`, `choice(default; words)`, `duration`, `size`, `integer` and
//! `number` with default, least and greatest value as one would write them, `map` and `maps` of further words.

mod cases;
mod receivers;
mod routing;
mod rules;

use std::ops::Deref;
use std::time::Duration;

pub(super) use self::cases::*;
pub(super) use self::receivers::*;
pub(super) use self::routing::*;
pub(super) use self::rules::*;

use super::section::Section;
use super::yaml::Node;
use crate::diagnostic::At;

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
    /// A text, with its default; empty where there is none.
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
    Map(fn() -> &'static Shape),
    /// A list of maps of keys.
    Maps(fn() -> &'static Shape),
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

/// A key as the file has it: `for`, where the method has to be called `r#for`.
pub(super) const fn bare(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', rest @ ..] => match std::str::from_utf8(rest) {
            Ok(rest) => rest,
            Err(_) => name,
        },
        _ => name,
    }
}

/// States the words of maps; see the module.
macro_rules! words {
    ($($Words:ident $shape:literal {
        $($name:ident: $kind:ident $(($($arg:tt)*))? $($required:ident)?, $about:expr;)*
    } $(, hints { $($word:literal => $hint:expr;)* })?)*) => { $(
        #[derive(Debug)]
        pub(in crate::config) struct $Words<'a>(Section<'a>);

        impl<'a> Deref for $Words<'a> {
            type Target = Section<'a>;

            fn deref(&self) -> &Section<'a> {
                &self.0
            }
        }

        impl<'a> From<Section<'a>> for $Words<'a> {
            fn from(section: Section<'a>) -> Self {
                Self(section)
            }
        }

        impl $Words<'static> {
            /// The table that files are checked by.
            pub(in crate::config) fn shape() -> &'static Shape {
                static SHAPE: Shape = Shape {
                    name: $shape,
                    keys: &[$(Key {
                        name: bare(stringify!($name)),
                        kind: words!(@kind $kind $(($($arg)*))?),
                        required: !{ const REQUIRED: &[&str] = &[$(stringify!($required))?]; REQUIRED }.is_empty(),
                        about: $about,
                    }),*],
                    hints: &[$($(($word, $hint)),*)?],
                };
                &SHAPE
            }
        }

        impl<'a> $Words<'a> { $(words!(@read 'a $name $kind $(($($arg)*))?);)* }
    )* };

    (@kind text) => { Kind::Text("") };
    (@kind text($default:literal)) => { Kind::Text($default) };
    (@kind choice($default:literal; $($word:literal),*)) => {
        Kind::Choice { default: $default, words: &[$($word),*] }
    };
    (@kind flag($default:literal)) => { Kind::Flag($default) };
    (@kind duration $bounds:tt) => { Kind::Duration(words!(@bounds $bounds)) };
    (@kind size $bounds:tt) => { Kind::Size(words!(@bounds $bounds)) };
    (@kind integer $bounds:tt) => { Kind::Integer(words!(@bounds $bounds)) };
    (@kind number $bounds:tt) => { Kind::Number(words!(@bounds $bounds)) };
    (@kind texts) => { Kind::Texts };
    (@kind pairs) => { Kind::Pairs };
    (@kind any) => { Kind::Any };
    (@kind map($Words:ident)) => { Kind::Map(<$Words<'static>>::shape) };
    (@kind maps($Words:ident)) => { Kind::Maps(<$Words<'static>>::shape) };

    (@bounds ($default:literal, $min:literal, $max:literal)) => {
        Bounds { default: $default, min: $min, max: $max }
    };

    (@read $a:lifetime $name:ident text) => { words!(@fn $name Option<At<String>> = text()); };
    (@read $a:lifetime $name:ident text($default:literal)) => {
        words!(@fn $name At<String> = text_or($default));
    };
    (@read $a:lifetime $name:ident choice($default:literal; $($word:literal),*)) => {
        words!(@fn $name &'static str = choice($default, &[$($word),*]));
    };
    (@read $a:lifetime $name:ident flag($default:literal)) => { words!(@fn $name bool = flag($default)); };
    (@read $a:lifetime $name:ident duration $bounds:tt) => {
        words!(@fn $name Duration = duration(&words!(@bounds $bounds)));
    };
    (@read $a:lifetime $name:ident size $bounds:tt) => {
        words!(@fn $name usize = size(&words!(@bounds $bounds)));
    };
    (@read $a:lifetime $name:ident integer $bounds:tt) => {
        words!(@fn $name u32 = integer(&words!(@bounds $bounds)));
    };
    (@read $a:lifetime $name:ident number $bounds:tt) => {
        words!(@fn $name f64 = number(&words!(@bounds $bounds)));
    };
    (@read $a:lifetime $name:ident texts) => { words!(@fn $name Vec<At<String>> = texts()); };
    (@read $a:lifetime $name:ident pairs) => {
        words!(@fn $name Vec<(At<String>, At<String>)> = pairs());
    };
    (@read $a:lifetime $name:ident any) => { words!(@fn $name Option<&$a Node> = any()); };
    (@read $a:lifetime $name:ident map($Words:ident)) => {
        words!(@fn $name $Words<$a> = section(<$Words<'static>>::shape()));
    };
    (@read $a:lifetime $name:ident maps($Words:ident)) => {
        words!(@fn $name Vec<$Words<$a>> = sections(<$Words<'static>>::shape()));
    };

    (@fn $name:ident $Value:ty = $read:ident($($arg:expr),*)) => {
        pub(in crate::config) fn $name(&self) -> $Value {
            self.0.$read(bare(stringify!($name)) $(, $arg)*)
        }
    };
}
pub(super) use words;

words! {
    ConfigWords "config" {
        server: map(ServerWords), "The two listeners.";
        accounts: maps(AccountWords) required, "The Telnyx accounts that send webhooks here.";
        store: map(StoreWords), "Where events, alerts and deliveries are stored.";
        rule_files: texts, "Rule files; * and ? are globs, relative to this file.";
        metrics: maps(MetricWords), "Series of your own, made from events.";
        route: map(RouteWords) required, "Who is notified of which alert.";
        inhibit_rules: maps(InhibitWords), "Which alerts are not notified while which others fire.";
        time_intervals: maps(IntervalWords), "Hours and days with a name, for routes and rules.";
        receivers: maps(ReceiverWords) required, "Who can be notified, and how.";
        templates: texts, "Files that replace built-in texts, each named as what it replaces; * and ? are globs.";
        heartbeats: maps(HeartbeatWords),
            "Dead man's switches: addresses that are requested while tollbell works, and no longer.";
    }, hints {
        "global" => "say at each integration what it sets: smarthost, from, auth, api_url; a YAML anchor can be shared";
        "mute_time_intervals" => "use time_intervals";
        "tracing" => "not in tollbell";
        "smtp_smarthost" => "use smarthost in each of email_configs";
        "smtp_from" => "use from in each of email_configs";
        "slack_api_url" => "use api_url in each of slack_configs";
        "slack_api_url_file" => "use api_url_file in each of slack_configs";
        "resolve_timeout" => "alerts end by their rules: active_for, clear, stale_after";
        "rules" => "they stand in files of their own: rule_files";
        "groups" => "they stand in files of their own: rule_files";
        "alerting" => "use alertmanager_configs of a receiver";
        "receiver" => "did you mean receivers? it is a list";
        "routes" => "they stand in route";
    }

    ServerWords "server" {
        listen: text("0.0.0.0:8080"), "Address of the public listener: webhooks only.";
        private_listen: text("127.0.0.1:9464"),
            "Address of the private listener: metrics, health, API, console.";
        public_url: text, "The URL under which Telnyx reaches the public listener.";
        external_url: text, "The URL that links in notifications begin with.";
        max_body: size("1MiB", "1KiB", "10MiB"), "Largest webhook body.";
        shutdown_timeout: duration("25s", "1s", "10m"), "How long a shutdown may take, in-flight sends included.";
        trusted_proxies: texts, "Networks of proxies whose X-Forwarded-For is believed. None by default.";
        allowed_sources: texts, "Networks that may send webhooks. Empty: all; the signature decides.";
        allowed_targets: texts,
            "Networks that receivers and heartbeats may be in though they are link-local or hold metadata. None by default.";
        proxy_url: text, "HTTP proxy for outgoing requests, to Telnyx, too; the environment is not asked.";
        tls_config: map(ListenerTlsWords), "TLS of the public listener, where no proxy in front speaks it.";
        private_tls_config: map(ListenerTlsWords), "TLS of the private listener.";
        auth: map(AuthWords),
            "Who may use the API and the console; needed where private_listen is not a loopback address.";
    }

    ListenerTlsWords "listener_tls" {
        cert_file: text required, "PEM file of the certificate and of those that lead to its authority, its own first.";
        key_file: text required, "PEM file of its private key.";
    }

    AuthWords "auth" {
        token: text, "A bearer token that may read and change; several stand one in each line.";
        token_file: text, "A file with such tokens.";
        read_token: text, "A bearer token that may only read.";
        read_token_file: text, "A file with such tokens.";
    }

    AccountWords "account" {
        name: text required, "Name: the last part of /webhooks/telnyx/{account}.";
        public_keys: texts, "Public keys from Mission Control: base64 of 32 bytes; two while a key rotates.";
        public_keys_file: text, "A file with one public key in each line.";
        tolerance: duration("5m", "1s", "1h"), "How far the timestamp of a delivery may be from our clock, both transports.";
        labels: pairs, "Labels added to every alert of this account.";
        currency: text, "ISO 4217 code, where an event names none; else that of the last balance reading.";
        api_key: text,
            "API key (v2) of this account: for its balance, for webhooks that were missed, for provision and spend.";
        api_key_file: text, "A file with the API key.";
        api_url: text("https://api.telnyx.com/v2"), "Where Telnyx's API is.";
        balance: map(BalanceWords), "Readings of the balance; they need api_key.";
        backfill: map(BackfillWords),
            "Webhooks that failed while tollbell was away; they need api_key and server.public_url.";
    }, hints {
        "public_key" => "did you mean public_keys? it is a list";
    }

    BalanceWords "balance" {
        poll_interval: duration("60s", "1s", "1d"), "How often the balance is read, give or take a tenth.";
    }

    BackfillWords "backfill" {
        enabled: flag(true), "Whether missed webhooks are looked for at all.";
        max_age: duration("24h", "1m", "7d"), "How old a missed webhook may be.";
    }

    HeartbeatWords "heartbeat" {
        url: text, "What is asked for by GET while all is well; a secret.";
        url_file: text, "A file with the address.";
        interval: duration("1m", "1s", "1d"), "How often.";
    }

    StoreWords "store" {
        url: text("sqlite:data/tollbell.db"),
            "sqlite: and a path, relative to this file; or postgres://user@host/database, for several replicas.";
        password: text, "PostgreSQL: the user's password.";
        password_file: text, "A file with the password, read at each connection.";
        ca_file: text, "PostgreSQL: certificate authorities to trust besides the system's.";
        schema: text("tollbell"), "PostgreSQL: the schema that holds the tables; made when it is missing.";
        connections: integer("10", "2", "200"), "PostgreSQL: connections of one replica at most, besides two of its own.";
        statement_timeout: duration("5s", "100ms", "5m"), "PostgreSQL: how long a statement may run.";
        lock_timeout: duration("2s", "10ms", "1m"), "PostgreSQL: how long it may wait for a lock.";
        retention: duration("30d", "7d", "3650d"), "How long events, ended alerts and finished deliveries are stored.";
        payload: choice("redacted"; "full", "redacted", "none"), "How much of a payload is stored.";
    }

    MetricWords "metric" {
        name: text required, "Name, as Prometheus takes it; not tollbell_… or process_….";
        r#type: choice("counter"; "counter", "gauge", "histogram") required,
            "A counter adds the values, a gauge keeps the latest, a histogram counts by size.";
        help: text required, "What it says, for people.";
        on: texts required, "Kinds of event; * crosses dots.";
        when: text, "CEL condition; always, when absent.";
        value: text, "CEL, number or decimal text; a counter without it counts events.";
        by: pairs, "Labels from CEL.";
        max_series: integer("1000", "1", "100000"),
            "Label sets at most; what comes beyond goes to one whose by labels are all __overflow__.";
    }
}
