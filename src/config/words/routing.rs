//! The words of `route`, `inhibit_rules` and `time_intervals`: Alertmanager's, with its defaults; see [`super`] for how they are stated.

use std::ops::Deref;
use std::time::Duration;

use super::{At, Bounds, Key, Kind, Section, Shape, bare, words};

words! {
    RouteWords "route" {
        name: text, "Keeps the route's identity when its other keys change.";
        receiver: text, "Who is notified; a child inherits it.";
        matchers: texts, "All must hold: label = != =~ !~ value. Not on the root.";
        r#continue: flag(false), "Whether later siblings are asked too.";
        group_by: texts,
            "Labels whose values make a group that is notified together; ['...']: each alert by itself; []: all together. A child inherits it.";
        group_wait: duration("30s", "0s", "1d"),
            "From the first alert of a new group to its first notification. A child inherits it.";
        group_interval: duration("5m", "1s", "30d"), "Least time between two notifications of a group. A child inherits it.";
        repeat_interval: duration("4h", "1s", "366d"),
            "From a notification to its repeat while nothing changed; exact. A child inherits it.";
        mute_time_intervals: texts, "Names of time intervals in which nothing is notified. Not inherited; not on the root.";
        active_time_intervals: texts,
            "Names of time intervals outside of which nothing is notified. Not inherited; not on the root.";
        routes: maps(RouteWords), "Children, asked in order; the first that matches takes it.";
    }, hints {
        "match" => "use matchers: ['label=\"value\"']";
        "match_re" => "use matchers: ['label=~\"pattern\"']";
    }

    InhibitWords "inhibit_rule" {
        name: text, "Name, for whoever reads the file; unique.";
        source_matchers: texts required, "What inhibits: an alert that fires and matches.";
        target_matchers: texts required, "What is not notified meanwhile.";
        equal: texts, "Labels that source and target must share; a missing one counts as empty.";
    }, hints {
        "source_match" => "use source_matchers: ['label=\"value\"']";
        "source_match_re" => "use source_matchers: ['label=~\"pattern\"']";
        "target_match" => "use target_matchers: ['label=\"value\"']";
        "target_match_re" => "use target_matchers: ['label=~\"pattern\"']";
    }

    IntervalWords "time_interval" {
        name: text required, "Name, as routes and rules use it.";
        time_intervals: maps(SpecWords) required, "It holds when any of these does.";
    }

    SpecWords "time_interval_spec" {
        times: maps(TimeRangeWords), "Times of day.";
        weekdays: texts, "saturday, monday:friday; the week begins on sunday.";
        days_of_month: texts, "15, 1:7, -3:-1; negative ones count from the end.";
        months: texts, "may, 5, may:august.";
        years: texts, "2027, 2027:2030.";
        location: text("UTC"), "IANA time zone such as America/Chicago, UTC or Local.";
    }, hints {
        "timezone" => "use location";
        "time_zone" => "use location";
    }

    TimeRangeWords "time_range" {
        start_time: text required, "HH:MM, in the range.";
        end_time: text required, "HH:MM up to 24:00, no longer in the range.";
    }
}
