//! The words of the files of cases, as `docs/testing-rules.md` tells them; see [`super`] for how they are stated.

use std::ops::Deref;
use std::time::Duration;

use super::{At, Bounds, Key, Kind, Node, Section, Shape, bare, words};

words! {
    CasesWords "cases" {
        config: text, "A whole configuration, relative to this file.";
        rule_files: any, "Rules alone, or other rules than those of config.";
        account: any, "Without config: the account.";
        tests: maps(CaseWords) required, "The cases.";
    }

    CaseWords "case" {
        name: text required, "Name, unique in the file.";
        start: text("2026-01-01T00:00:00Z"), "The time of at: 0s.";
        history: maps(HistoryWords), "What happened in the weeks before, again and again.";
        steps: maps(StepWords) required, "What happens, in the order of time.";
    }, hints {
        "expect" => "what is expected stands in a step";
    }

    HistoryWords "case_history" {
        weeks: integer("4", "1", "10"), "How many weeks before start it happened.";
        every: duration("15m", "1m", "7d"), "From one event to the next.";
        hours: text("00:00-24:00"), "Only at these times of the day, in time_zone.";
        weekdays: text("sunday:saturday"), "Only on these days: monday:friday.";
        time_zone: text("UTC"), "Whose times and days these are.";
        event: map(EventWords) required, "The event; each has an id of its own.";
        vary: texts, "What else each has of its own: a text of the payload.";
    }

    StepWords "step" {
        at: duration("0s", "0s", "366d") required, "When, from the start.";
        silence: map(SilenceWords), "Alerts that are silenced from now on.";
        event: map(EventWords), "An event, in parts.";
        event_file: text, "An event, as a whole webhook body in a file.";
        repeat: map(RepeatWords), "The event comes more than once.";
        expect: map(ExpectWords), "What is looked at now.";
    }, hints {
        "events" => "one event in each step; repeat makes more of it";
        "alerts" => "it stands in expect";
        "notified" => "it stands in expect";
    }

    SilenceWords "case_silence" {
        matchers: texts required, "All must hold: label = != =~ !~ value.";
        r#for: duration("1h", "1s", "366d") required, "How long.";
    }

    EventWords "case_event" {
        kind: text required, "Dotted kind, such as call.cost.";
        payload: any, "Its own data; text that looks like a number is one unless quoted.";
        id: text, "Identity; a new one by default.";
        occurred_at: text, "When it happened; at by default.";
        account: text, "Its account.";
        source: choice("webhook"; "webhook", "poller", "backfill", "tollbell"), "Who vouches for it.";
    }

    RepeatWords "repeat" {
        times: integer("1", "1", "100000") required, "How often it comes in all.";
        every: duration("0s", "0s", "366d"), "From one to the next.";
        vary: texts, "What each has of its own: id, or a text of the payload.";
    }

    ExpectWords "expect" {
        alerts: any, "Exactly these fire; a list of labels.";
        notified: maps(NotificationWords), "Exactly these notifications since the last expect.";
        suppressed: any, "Exactly these are suppressed since then: their labels, and by what.";
        nothing: flag(true), "No notification since the last expect.";
    }, hints {
        "notices" => "use notified";
        "firing" => "use alerts";
    }

    NotificationWords "notification" {
        receiver: text, "Its name.";
        reason: choice("first notification"; "first notification", "new alerts added", "some alerts resolved", "all alerts resolved", "repeat interval elapsed"),
            "Why it was notified.";
        status: choice("firing"; "firing", "resolved"), "Whether any of its alerts fires.";
        alerts: any, "Exactly these are in it; a list of labels.";
        subject: text, "A part of the subject of a mail.";
        text: texts, "Parts of the plain text of a mail.";
        channels: texts, "Kinds of integration that it goes to.";
    }
}
