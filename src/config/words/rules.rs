//! The words of the rule files; see [`super`] for how they are stated.

use std::ops::Deref;
use std::time::Duration;

use super::{At, Bounds, Key, Kind, Section, Shape, bare, words};

words! {
    RuleFileWords "rules" {
        groups: maps(GroupWords), "Groups of rules.";
    }

    GroupWords "group" {
        name: text required, "Name, unique over all files.";
        rules: maps(RuleWords), "Rules.";
    }

    RuleWords "rule" {
        alert: text required, "Name of the alert.";
        on: texts required, "Kinds of event; * crosses dots.";
        when: text, "CEL condition; always, when absent.";
        by: pairs, "Labels from CEL: one alert for each set of values.";
        active_for: duration("1h", "1s", "366d"), "How long the alert lasts after its last match.";
        notify_expired: flag(false), "Whether an end by active_for is notified.";
        resolve_on: map(ResolveWords), "What ends the alert before that.";
        value: text, "CEL: what is judged. With over: AGG(CEL) or count().";
        fire: text, "CEL over value, count and labels: when the alert fires.";
        clear: text, "CEL: when it ends; by default when fire no longer holds.";
        r#for: duration("0s", "0s", "366d"), "How long fire has to hold before the alert fires.";
        keep_firing_for: duration("0s", "0s", "366d"), "How long the alert goes on after its condition ended.";
        stale_after: text, "Without a reading for so long, it ends as \"no data\".";
        over: text, "The time that is judged: a duration, or day, week, month.";
        time_zone: text("UTC"), "Where the days, weeks and months of over begin.";
        absent_for: text, "Fires when no such event came for so long.";
        active_time_intervals: texts, "Time intervals outside of which absence is not counted.";
        max_series: integer("1000", "1", "100000"),
            "Label sets at most; what comes beyond goes to one whose by labels are all __overflow__.";
        labels: pairs, "Fixed labels.";
        annotations: pairs, "Templates: summary, description, action, runbook.";
    }, hints {
        "expr" => "conditions stand in when and fire, the kinds of event in on";
        "type" => "a rule's other keys say what it is: absent_for, over, value; else one event";
    }

    ResolveWords "resolve_on" {
        on: texts required, "Kinds of event; * crosses dots.";
        when: text, "CEL condition; always, when absent.";
    }
}
