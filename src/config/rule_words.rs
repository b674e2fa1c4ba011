//! The words of the rule files; see [`super::words`].

use super::words::{Bounds, Key, Kind, Shape, key, required, shape, within};

/// A rule file.
pub(super) static RULE_FILE: Shape =
    shape("rules", &[key("groups", Kind::Maps(&GROUP), "Groups of rules.")]);

static GROUP: Shape = shape(
    "group",
    &[
        required("name", Kind::Text(""), "Name, unique over all files."),
        key("rules", Kind::Maps(&RULE), "Rules."),
    ],
);

/// `for` and its like: not at all, by default.
const HOLD: Bounds = within("0s", "0s", "366d");

/// How many series a rule or metric may have.
pub(super) const MAX_SERIES: Key = key(
    "max_series",
    Kind::Integer(within("1000", "1", "100000")),
    "Label sets at most; what comes beyond goes to one whose by labels are all __overflow__.",
);

static RULE: Shape = Shape {
    name: "rule",
    keys: &[
        required("alert", Kind::Text(""), "Name of the alert."),
        required("on", Kind::Texts, "Kinds of event; * crosses dots."),
        key("when", Kind::Text(""), "CEL condition; always, when absent."),
        key("by", Kind::Pairs, "Labels from CEL: one alert for each set of values."),
        key(
            "active_for",
            Kind::Duration(within("1h", "1s", "366d")),
            "How long the alert lasts after its last match.",
        ),
        key("notify_expired", Kind::Flag(false), "Whether an end by active_for is told."),
        key("resolve_on", Kind::Map(&RESOLVE), "What ends the alert before that."),
        key("value", Kind::Text(""), "CEL: what is judged. With over: AGG(CEL) or count()."),
        key("fire", Kind::Text(""), "CEL over value, count and labels: when the alert fires."),
        key("clear", Kind::Text(""), "CEL: when it ends; by default when fire no longer holds."),
        key("for", Kind::Duration(HOLD), "How long fire has to hold before the alert fires."),
        key(
            "keep_firing_for",
            Kind::Duration(HOLD),
            "How long the alert goes on after its condition ended.",
        ),
        key(
            "stale_after",
            Kind::Text(""),
            "Without a reading for so long, it ends as \"no data\".",
        ),
        key("over", Kind::Text(""), "The time that is judged: a duration, or day, week, month."),
        key("time_zone", Kind::Text("UTC"), "Where the days, weeks and months of over begin."),
        key("absent_for", Kind::Text(""), "Fires when no such event came for so long."),
        key(
            "active_time_intervals",
            Kind::Texts,
            "Time intervals outside of which absence is not counted.",
        ),
        MAX_SERIES,
        key("labels", Kind::Pairs, "Fixed labels."),
        key("annotations", Kind::Pairs, "Templates: summary, description, action, runbook."),
    ],
    hints: &[
        ("expr", "conditions stand in when and fire, the kinds of event in on"),
        ("type", "a rule's other keys say what it is: absent_for, over, value; else one event"),
    ],
};

static RESOLVE: Shape = shape(
    "resolve_on",
    &[
        required("on", Kind::Texts, "Kinds of event; * crosses dots."),
        key("when", Kind::Text(""), "CEL condition; always, when absent."),
    ],
);
