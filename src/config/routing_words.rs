//! Words of `route`, `inhibit_rules` and `time_intervals`: Alertmanager's, with its defaults.

use super::words::{Kind, Shape, key, required, shape, within};

pub(super) static ROUTE: Shape = Shape {
    name: "route",
    keys: &[
        key("name", Kind::Text(""), "Keeps the route's identity when its other keys change."),
        key("receiver", Kind::Text(""), "Who hears of it; a child inherits it."),
        key("matchers", Kind::Texts, "All must hold: label = != =~ !~ value. Not on the root."),
        key("continue", Kind::Flag(false), "Whether later siblings are asked too."),
        key(
            "group_by",
            Kind::Texts,
            "Labels whose values make a group that is told together; ['...']: each alert by itself; []: all together. \
             A child inherits it.",
        ),
        key(
            "group_wait",
            Kind::Duration(within("30s", "0s", "1d")),
            "From the first alert of a new group to its first notice. A child inherits it.",
        ),
        key(
            "group_interval",
            Kind::Duration(within("5m", "1s", "30d")),
            "Least time between two notices of a group. A child inherits it.",
        ),
        key(
            "repeat_interval",
            Kind::Duration(within("4h", "1s", "366d")),
            "From a notice to its repeat while nothing changed; exact. A child inherits it.",
        ),
        key(
            "mute_time_intervals",
            Kind::Texts,
            "Names of time intervals in which nothing is told. Not inherited; not on the root.",
        ),
        key(
            "active_time_intervals",
            Kind::Texts,
            "Names of time intervals outside of which nothing is told. Not inherited; not on the root.",
        ),
        key(
            "routes",
            Kind::Maps(&ROUTE),
            "Children, asked in order; the first that matches takes it.",
        ),
    ],
    hints: &[
        ("match", "use matchers: ['label=\"value\"']"),
        ("match_re", "use matchers: ['label=~\"pattern\"']"),
    ],
};

pub(super) static INHIBIT_RULE: Shape = Shape {
    name: "inhibit_rule",
    keys: &[
        key("name", Kind::Text(""), "Name, for whoever reads the file; unique."),
        required("source_matchers", Kind::Texts, "What inhibits: an alert that fires and matches."),
        required("target_matchers", Kind::Texts, "What is not told meanwhile."),
        key(
            "equal",
            Kind::Texts,
            "Labels that source and target must share; a missing one counts as empty.",
        ),
    ],
    hints: &[
        ("source_match", "use source_matchers: ['label=\"value\"']"),
        ("source_match_re", "use source_matchers: ['label=~\"pattern\"']"),
        ("target_match", "use target_matchers: ['label=\"value\"']"),
        ("target_match_re", "use target_matchers: ['label=~\"pattern\"']"),
    ],
};

pub(super) static TIME_INTERVAL: Shape = shape(
    "time_interval",
    &[
        required("name", Kind::Text(""), "Name, as routes and rules use it."),
        required("time_intervals", Kind::Maps(&SPEC), "It holds when any of these does."),
    ],
);

static SPEC: Shape = Shape {
    name: "time_interval_spec",
    keys: &[
        key("times", Kind::Maps(&TIME_RANGE), "Times of day."),
        key("weekdays", Kind::Texts, "saturday, monday:friday; the week begins on sunday."),
        key("days_of_month", Kind::Texts, "15, 1:7, -3:-1; negative ones count from the end."),
        key("months", Kind::Texts, "may, 5, may:august."),
        key("years", Kind::Texts, "2027, 2027:2030."),
        key("location", Kind::Text("UTC"), "IANA time zone such as America/Chicago, UTC or Local."),
    ],
    hints: &[("timezone", "use location"), ("time_zone", "use location")],
};

static TIME_RANGE: Shape = shape(
    "time_range",
    &[
        required("start_time", Kind::Text(""), "HH:MM, in the range."),
        required("end_time", Kind::Text(""), "HH:MM up to 24:00, no longer in the range."),
    ],
);
