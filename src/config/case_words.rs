//! The words of the files of cases; see [`super::words`] and `docs/testing-rules.md`.

use super::words::{Kind, Shape, key, required, shape, within};

/// A file of cases.
pub(super) static CASES: Shape = shape(
    "cases",
    &[
        key("config", Kind::Text(""), "A whole configuration, relative to this file."),
        key("rule_files", Kind::Texts, "Rules alone, or other rules than those of config."),
        key("account", Kind::Any, "Without config: the account."),
        required("tests", Kind::Maps(&CASE), "The cases."),
    ],
);

static CASE: Shape = Shape {
    name: "case",
    keys: &[
        required("name", Kind::Text(""), "Name, unique in the file."),
        key("start", Kind::Text("2026-01-01T00:00:00Z"), "The time of at: 0s."),
        required("steps", Kind::Maps(&STEP), "What happens, in the order of time."),
    ],
    hints: &[("expect", "what is expected stands in a step")],
};

static STEP: Shape = Shape {
    name: "step",
    keys: &[
        required("at", Kind::Duration(within("0s", "0s", "366d")), "When, from the start."),
        key("silence", Kind::Map(&SILENCE), "Alerts that are kept quiet from now on."),
        key("event", Kind::Map(&EVENT), "An event, in parts."),
        key("event_file", Kind::Text(""), "An event, as a whole webhook body in a file."),
        key("repeat", Kind::Map(&REPEAT), "The event comes more than once."),
        key("expect", Kind::Map(&EXPECT), "What is looked at now."),
    ],
    hints: &[
        ("events", "one event in each step; repeat makes more of it"),
        ("alerts", "it stands in expect"),
        ("notified", "it stands in expect"),
    ],
};

static SILENCE: Shape = shape(
    "case_silence",
    &[
        required("matchers", Kind::Texts, "All must hold: label = != =~ !~ value."),
        required("for", Kind::Duration(within("1h", "1s", "366d")), "How long."),
    ],
);

static EVENT: Shape = shape(
    "case_event",
    &[
        required("kind", Kind::Text(""), "Dotted kind, such as call.cost."),
        key(
            "payload",
            Kind::Any,
            "Its own data; text that looks like a number is one unless quoted.",
        ),
        key("id", Kind::Text(""), "Identity; a new one by default."),
        key("occurred_at", Kind::Text(""), "When it happened; at by default."),
        key("account", Kind::Text(""), "Its account."),
        key(
            "source",
            Kind::Choice {
                default: "webhook",
                words: &["webhook", "poller", "backfill", "tollbell"],
            },
            "Who vouches for it.",
        ),
    ],
);

static REPEAT: Shape = shape(
    "repeat",
    &[
        required("times", Kind::Integer(within("1", "1", "100000")), "How often it comes in all."),
        key("every", Kind::Duration(within("0s", "0s", "366d")), "From one to the next."),
        key("vary", Kind::Texts, "What each has of its own: id, or a text of the payload."),
    ],
);

static EXPECT: Shape = Shape {
    name: "expect",
    keys: &[
        key("alerts", Kind::Any, "Exactly these fire; a list of labels."),
        key("notified", Kind::Maps(&NOTICE), "Exactly these notices since the last expect."),
        key("suppressed", Kind::Any, "Exactly these are kept quiet since then; labels, and by."),
        key("nothing", Kind::Flag(true), "No notice since the last expect."),
    ],
    hints: &[("notices", "use notified"), ("firing", "use alerts")],
};

static NOTICE: Shape = shape(
    "notice",
    &[
        key("receiver", Kind::Text(""), "Its name."),
        key(
            "reason",
            Kind::Choice {
                default: "first notification",
                words: &[
                    "first notification",
                    "new alerts added",
                    "some alerts resolved",
                    "all alerts resolved",
                    "repeat interval elapsed",
                ],
            },
            "Why it was told.",
        ),
        key(
            "status",
            Kind::Choice { default: "firing", words: &["firing", "resolved"] },
            "Whether any of its alerts fires.",
        ),
        key("alerts", Kind::Any, "Exactly these are in it; a list of labels."),
        key("subject", Kind::Text(""), "A part of the subject of a mail."),
        key("text", Kind::Texts, "Parts of the plain text of a mail."),
        key("channels", Kind::Texts, "Kinds of integration that it goes to."),
    ],
);
