//! Who may know whom, and which words only some files may have.

/// Who may know whom, as it is: each module with the modules of this crate that it names. `clock` for rules and
/// alerts is its arithmetic only; the clock itself is asked for below.
pub(super) const KNOWS: &[(&str, &[&str])] = &[
    ("intake", &["clock", "event", "metrics", "store"]),
    ("event", &[]),
    ("store", &["alerts", "clock", "event", "rules"]),
    (
        "engine",
        &["alerts", "clock", "event", "metrics", "notify", "rules", "store", "tasks", "template"],
    ),
    ("rules", &["clock", "event", "problem", "template"]),
    ("alerts", &["clock", "rules"]),
    ("dispatch", &["alerts", "clock", "event", "metrics", "notify", "store", "tasks"]),
    ("notify", &["alerts", "clock", "rules", "secret", "template"]),
    // The words of its label values, not what these modules do.
    ("metrics", &["event", "intake", "notify", "rules", "store"]),
    ("admin", &["alerts", "clock", "metrics", "problem", "store"]),
    (
        "config",
        &[
            "alerts",
            "event",
            "intake",
            "notify",
            "problem",
            "rules",
            "secret",
            "simulation",
            "template",
        ],
    ),
    ("policy", &["config", "engine"]),
    (
        "app",
        &[
            "admin", "clock", "config", "dispatch", "engine", "event", "intake", "metrics",
            "policy", "problem", "rules", "store", "tasks",
        ],
    ),
    (
        "cli",
        &[
            "alerts",
            "app",
            "clock",
            "config",
            "engine",
            "event",
            "policy",
            "problem",
            "rules",
            "secret",
            "simulation",
            "store",
            "tasks",
            "template",
        ],
    ),
    ("simulation", &["alerts", "clock", "engine", "event", "notify", "problem", "rules", "store"]),
    ("clock", &[]),
    ("problem", &[]),
    ("secret", &[]),
    ("template", &[]),
    ("tasks", &[]),
];

/// Words that only some files may have in their code: a pattern, and where it may stand.
pub(super) const ONLY_IN: &[(&str, &[&str])] = &[
    (r"\brusqlite\b", &["store/sqlite"]),
    (r"\b(SELECT|INSERT (OR \w+ )?INTO|DELETE FROM|UPDATE \w+ SET|PRAGMA)\b", &["store/sqlite"]),
    (r"\bactix_(web|http|service)::", &["intake", "admin", "app"]),
    (r"\blettre\b", &["notify", "config/email.rs"]),
    // `config` only parses URLs with it.
    (r"\breqwest\b", &["notify", "config", "cli"]),
    (r"\bClock\b", &["clock.rs", "intake", "engine/mod.rs", "dispatch", "admin", "app", "cli"]),
    (
        r"\btokio\b",
        &[
            "intake",
            "store",
            "engine/mod.rs",
            "dispatch",
            "notify",
            "admin",
            "app",
            "cli",
            "clock.rs",
            "tasks.rs",
        ],
    ),
    (
        r"\btracing::",
        &[
            "intake",
            "store",
            "engine/mod.rs",
            "dispatch",
            "notify",
            "admin",
            "app",
            "cli",
            "tasks.rs",
        ],
    ),
    (r"\benv::vars?(_os)?\b", &["config/env.rs"]),
    (r#"[(\s]env = ""#, &["cli"]),
];
