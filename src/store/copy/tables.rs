//! What a store holds, in words that every backend has: its tables, their keys, and the types of their columns.
//!
//! What is derived (counts that triggers keep) and what only one backend has (leases, replicas) is not among it.

use self::Kind::{Big, Bytes, Flag, Small, Text};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    /// A whole number of 64 bits; a time in microseconds.
    Big,
    /// A whole number of 32 bits.
    Small,
    /// Yes or no.
    Flag,
    Text,
    Bytes,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Cell {
    Null,
    /// A number; of a flag 0 or 1.
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// A row, in the order of its table's columns.
pub(in crate::store) type Cells = Vec<Cell>;

/// A table. The first `key` columns are its key, and rows are read in its order.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) struct Table {
    pub(in crate::store) name: &'static str,
    pub(in crate::store) key: usize,
    pub(in crate::store) columns: &'static [(&'static str, Kind)],
}

impl Cell {
    pub(in crate::store) fn text(&self) -> &str {
        if let Self::Text(text) = self { text } else { "" }
    }

    /// How much memory it takes, about.
    pub(in crate::store) fn bytes(&self) -> usize {
        match self {
            Self::Null | Self::Int(_) => 8,
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}

impl Table {
    /// The names of all columns, with commas.
    pub(in crate::store) fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    /// The names of the key's columns, with commas.
    pub(in crate::store) fn key_names(&self) -> String {
        let key = self.columns.iter().take(self.key);
        key.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    /// Whether a row may be as large as the body of a webhook.
    pub(in crate::store) fn is_wide(&self) -> bool {
        self.columns.iter().any(|(_, kind)| *kind == Bytes)
    }

    /// The key of a row.
    pub(in crate::store) fn key_of(&self, row: &[Cell]) -> Cells {
        row.iter().take(self.key).cloned().collect()
    }
}

/// What was spent is summed up from here.
pub(in crate::store) const LEDGER: &Table = &Table {
    name: "ledger",
    key: 2,
    columns: &[
        ("account", Text),
        ("key", Text),
        ("amount", Text),
        ("currency", Text),
        ("product", Text),
        ("kind", Text),
        ("at", Big),
        ("updated_at", Big),
        ("from_number", Text),
        ("to_number", Text),
        ("direction", Text),
        ("connection_id", Text),
        ("country", Text),
        ("started_at", Big),
        ("ended_at", Big),
        ("reported_at", Big),
    ],
};

/// Totals are among its rows.
pub(in crate::store) const STATE: &Table =
    &Table { name: "state", key: 2, columns: &[("space", Text), ("key", Text), ("value", Bytes)] };

/// What each delivery said last. SQLite shares it among deliveries that say the same, PostgreSQL does not.
pub(in crate::store) const CONTENTS: &Table = &Table {
    name: "contents",
    key: 1,
    columns: &[("delivery", Big), ("digest", Bytes), ("message", Bytes)],
};

/// Every table, those before that others refer to.
pub(in crate::store) const TABLES: &[&Table] = &[
    &Table {
        name: "inbox",
        key: 1,
        columns: &[
            ("seq", Big),
            ("id", Text),
            ("account", Text),
            ("kind", Text),
            ("type", Text),
            ("occurred_at", Big),
            ("received_at", Big),
            ("attempt", Small),
            ("source", Text),
            ("cost", Text),
            ("charge", Text),
            ("currency", Text),
            ("content_hashed", Flag),
            ("payload", Bytes),
        ],
    },
    &Table {
        name: "dedupe",
        key: 2,
        columns: &[("id", Text), ("account", Text), ("seq", Big), ("until", Big), ("hashed", Flag)],
    },
    &Table {
        name: "judgements",
        key: 2,
        columns: &[
            ("seq", Big),
            ("n", Small),
            ("rule", Text),
            ("outcome", Text),
            ("fingerprint", Text),
            ("detail", Text),
            ("config", Text),
        ],
    },
    &Table { name: "faulted", key: 1, columns: &[("seq", Big), ("detail", Text)] },
    &Table {
        name: "alerts",
        key: 1,
        columns: &[
            ("fingerprint", Text),
            ("alertname", Text),
            ("state", Text),
            ("ends_at", Big),
            ("alert", Bytes),
        ],
    },
    &Table {
        name: "deliveries",
        key: 1,
        columns: &[
            ("n", Big),
            ("id", Text),
            ("integration", Text),
            ("receiver", Text),
            ("target", Text),
            ("group_key", Text),
            ("state", Text),
            ("attempts", Small),
            ("created_at", Big),
            ("due_at", Big),
            ("finished_at", Big),
            ("why", Text),
            ("reason", Text),
            ("detail", Text),
            ("fallback_at", Big),
            ("fallback_triggered", Flag),
            ("fallback_of", Text),
            ("maybe_repeated", Small),
            ("revision", Small),
            ("by_hand", Flag),
            ("noted", Flag),
        ],
    },
    CONTENTS,
    &Table {
        name: "attempts",
        key: 2,
        columns: &[
            ("delivery", Big),
            ("number", Small),
            ("finished_at", Big),
            ("outcome", Text),
            ("reason", Text),
            ("detail", Text),
        ],
    },
    &Table { name: "caused", key: 2, columns: &[("seq", Big), ("delivery", Text)] },
    &Table {
        name: "notification_log",
        key: 3,
        columns: &[
            ("group_key", Text),
            ("integration", Text),
            ("target", Text),
            ("delivery", Big),
            ("attempt", Small),
            ("entry", Bytes),
        ],
    },
    &Table {
        name: "integrations",
        key: 1,
        columns: &[("id", Text), ("paused_until", Big), ("reason", Text)],
    },
    STATE,
    LEDGER,
    &Table {
        name: "calls",
        key: 2,
        columns: &[("account", Text), ("leg", Text), ("learned_at", Big), ("context", Bytes)],
    },
    &Table {
        name: "silences",
        key: 1,
        columns: &[("id", Text), ("starts_at", Big), ("ends_at", Big), ("silence", Bytes)],
    },
    &Table {
        name: "journal",
        key: 1,
        columns: &[
            ("n", Big),
            ("at", Big),
            ("fingerprint", Text),
            ("group_key", Text),
            ("what", Text),
            ("detail", Text),
        ],
    },
    &Table {
        name: "readings",
        key: 2,
        columns: &[
            ("account", Text),
            ("at", Big),
            ("currency", Text),
            ("balance", Text),
            ("available_credit", Text),
            ("credit_limit", Text),
            ("pending", Text),
            ("burn_per_hour", Text),
            ("hours_left", Text),
        ],
    },
    &Table {
        name: "places",
        key: 2,
        columns: &[("account", Text), ("source", Text), ("value", Bytes)],
    },
    &Table {
        name: "audit",
        key: 1,
        columns: &[
            ("n", Big),
            ("at", Big),
            ("who", Text),
            ("address", Text),
            ("action", Text),
            ("subject", Text),
            ("detail", Text),
        ],
    },
    &Table {
        name: "receiver_pauses",
        key: 1,
        columns: &[
            ("receiver", Text),
            ("since", Big),
            ("until", Big),
            ("who", Text),
            ("comment", Text),
        ],
    },
];
