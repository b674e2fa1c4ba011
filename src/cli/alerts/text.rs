//! Alerts as text for people.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::alerts::{Alert, Suppression};
use crate::api::alerts::{AlertStory, BEGINNING, InGroup, SeenAlert};
use crate::cli::output::{clean, table_text};
use crate::rules::Labels;
use crate::template::{duration_text, rounded_text};

/// Least width of the names in front of values.
const NAME: usize = 11;

fn quiet(seen: &SeenAlert) -> String {
    match (seen.silenced_by.first(), &seen.suppressed) {
        (Some(id), _) => format!("silence {}", short(id)),
        (None, Some(why)) => suppression_text(why),
        (None, None) => "-".to_owned(),
    }
}

fn suppression_text(why: &Suppression) -> String {
    match why {
        Suppression::Inhibited(source) => format!("inhibited by {source}"),
        Suppression::Inactive(names) => format!("outside {names}"),
        Suppression::Muted(name) => format!("muted by {name}"),
        Suppression::Silenced(id) => format!("silence {}", short(id)),
    }
}

/// The list; `fire` is how many fire in all, of which the list may have the first only.
pub(super) fn list_text(seen: &[SeenAlert], fire: u64, now: Timestamp) -> String {
    let firing: Vec<_> = seen.iter().filter(|seen| seen.alert.is_firing()).collect();
    let silenced = firing.iter().filter(|seen| seen.is_silenced()).count();
    let mut text = match (firing.len(), silenced) {
        (shown, _) if fire > shown as u64 => {
            format!("{fire} alerts fire, of which the first {shown} are shown")
        }
        (0, _) => "no alert fires".to_owned(),
        (1, 0) => "1 alert fires".to_owned(),
        (1, _) => "1 alert fires, silenced".to_owned(),
        (many, 0) => format!("{many} alerts fire"),
        (many, silenced) => format!("{many} alerts fire, {silenced} of them silenced"),
    };
    if seen.is_empty() {
        return text;
    }
    let rows: Vec<Vec<String>> = seen
        .iter()
        .map(|seen| {
            let alert = &seen.alert;
            vec![
                alert.fingerprint.to_string(),
                alert.state.as_str().to_owned(),
                name(alert).to_owned(),
                format!("{:.0}", alert.starts_at),
                lasted(alert, now),
                alert.value.map_or_else(|| "-".to_owned(), rounded_text),
                quiet(seen),
                labels_text(&alert.labels),
            ]
        })
        .collect();
    let headings = ["FINGERPRINT", "STATE", "ALERT", "SINCE", "LASTS", "VALUE", "QUIET", "LABELS"];
    text.push_str("\n\n");
    text.push_str(&table_text(&headings, &rows));
    text
}

pub(super) fn story_text(story: &AlertStory, now: Timestamp) -> String {
    let alert = &story.seen.alert;
    let quiet = if story.seen.is_silenced() { ", silenced" } else { "" };
    let mut text = format!(
        "{}: {}{quiet}",
        clean(name(alert)),
        match alert.ends_at {
            Some(at) if !alert.is_firing() => format!(
                "{} {}, after {}",
                alert.state.as_str(),
                from_now(at, now),
                lasted(alert, now)
            ),
            _ => format!("{} for {}", alert.state.as_str(), lasted(alert, now)),
        }
    );
    fields(&mut text, &facts(story, now));
    for (heading, labels) in [("labels", &alert.labels), ("annotations", &alert.annotations)] {
        if !labels.is_empty() {
            text.push_str("\n\n");
            text.push_str(heading);
            let labels: Vec<_> =
                labels.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
            fields(&mut text, &labels);
        }
    }
    for group in &story.groups {
        group_text(&mut text, group, now);
    }
    if story.groups.is_empty() {
        text.push_str("\n\nno group holds it now: there is nothing left to notify");
    }
    text.push_str("\n\n");
    if story.journal.is_empty() {
        text.push_str("no history is stored");
    } else {
        let rows: Vec<Vec<String>> = story
            .journal
            .iter()
            .map(|entry| vec![format!("{:.0}", entry.at), entry.what.clone(), entry.detail.clone()])
            .collect();
        text.push_str(&table_text(&["WHEN", "WHAT", "DETAIL"], &rows));
    }
    text
}

fn facts(story: &AlertStory, now: Timestamp) -> Vec<(&'static str, String)> {
    let alert = &story.seen.alert;
    let mut facts = vec![
        ("fingerprint", alert.fingerprint.to_string()),
        ("rule", alert.rule.clone()),
        ("since", format!("{:.0}", alert.starts_at)),
    ];
    match alert.ends_at {
        Some(at) if alert.is_firing() => {
            let when = from_now(at, now);
            facts.push(("until", format!("{at:.0} ({when}, unless it happens again)")));
        }
        Some(at) => facts.push(("ended", format!("{at:.0}"))),
        None => {}
    }
    if let Some(value) = alert.value {
        facts.push(("value", rounded_text(value)));
    }
    facts.extend(story.silences.iter().map(|silence| {
        let (id, until) = (short(&silence.id), silence.ends_at);
        let (by, why) = (&silence.created_by, &silence.comment);
        ("silenced", format!("until {until:.0} ({}) by {by}: {why} [{id}]", from_now(until, now)))
    }));
    facts
}

/// Who was notified of the alert in one group.
fn group_text(text: &mut String, group: &InGroup, now: Timestamp) {
    let labels = labels_of(&group.labels);
    let of = if labels.is_empty() { String::new() } else { format!(" {labels}") };
    write!(text, "\n\ngroup{} of route {}", clean(&of), clean(&group.route))
        .expect("writing to a string cannot fail");
    let mut facts: Vec<(&str, String)> = Vec::new();
    for notified in &group.notified {
        let what = if notified.firing { "it fires" } else { "it is over" };
        let (at, ago) = (notified.at, from_now(notified.at, now));
        let whom = if notified.target.is_empty() {
            String::new()
        } else {
            format!(" {}", notified.target)
        };
        facts.push((&notified.integration, format!("notified{whom} {at:.0} ({ago}): {what}")));
    }
    if facts.is_empty() {
        facts.push(("notified", "nobody yet".to_owned()));
    }
    if let Some(why) = &group.suppressed {
        facts.push(("suppressed", suppression_text(why)));
    }
    fields(text, &facts);
}

/// Appends lines of names and values, the values aligned.
pub(in crate::cli) fn fields(text: &mut String, fields: &[(&str, String)]) {
    let longest = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let width = longest.max(NAME);
    for (name, value) in fields {
        write!(text, "\n  {:width$}  {}", clean(name), clean(value))
            .expect("writing to a string cannot fail");
    }
}

/// The first characters of an id, which tell it apart.
pub(in crate::cli) fn short(id: &str) -> &str {
    id.get(..BEGINNING).unwrap_or(id)
}

/// The label `alertname`.
pub(in crate::cli) fn name(alert: &Alert) -> &str {
    alert.labels.get("alertname").map_or("-", String::as_str)
}

/// The labels but `alertname`: `account="main" severity="critical"`.
pub(in crate::cli) fn labels_text(labels: &Labels) -> String {
    let mut rest = labels.clone();
    rest.remove("alertname");
    labels_of(&rest)
}

fn labels_of(labels: &Labels) -> String {
    labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect::<Vec<_>>().join(" ")
}

/// How long from one time to another: `1h 7m`; nothing is `0s`.
pub(in crate::cli) fn span(from: Timestamp, to: Timestamp) -> String {
    duration_text(to.duration_since(from).as_secs())
}

/// `in 2h`, `5m ago` or `now`.
pub(in crate::cli) fn from_now(at: Timestamp, now: Timestamp) -> String {
    match at.duration_since(now).as_secs() {
        0 => "now".to_owned(),
        1.. => format!("in {}", span(now, at)),
        _ => format!("{} ago", span(at, now)),
    }
}

/// How long an alert has lasted, or did.
pub(in crate::cli) fn lasted(alert: &Alert, now: Timestamp) -> String {
    let end = alert.ends_at.filter(|_| !alert.is_firing()).unwrap_or(now);
    span(alert.starts_at, end)
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::alerts::{AlertState, Fingerprint, Matcher, Silence, SilenceDraft};
    use crate::api::alerts::Notified;
    use crate::event::Snapshot;
    use crate::store::JournalEntry;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-23T{text}Z").parse().expect(text)
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn alert(name: &str, account: &str, state: AlertState) -> Alert {
        let labels = labels(&[("alertname", name), ("account", account)]);
        Alert {
            fingerprint: Fingerprint::of(&labels),
            rule: format!("money/{name}"),
            labels,
            annotations: self::labels(&[("summary", "USD 3 left\u{1b}[31m")]),
            state,
            starts_at: at("01:52:40"),
            ends_at: (state != AlertState::Firing).then(|| at("02:40:00")),
            updated_at: at("02:30:00"),
            event_at: None,
            missed: false,
            usual: None,
            value: (name == "LowBalance").then(|| "3.20".parse().expect("number")),
            notify_expired: false,
            event: Snapshot::NONE,
        }
    }

    fn silence() -> Silence {
        let draft = SilenceDraft {
            matchers: vec![Matcher::parse("account=main").expect("matcher")],
            starts_at: at("02:00:00"),
            ends_at: at("05:00:00"),
            created_by: "ada".to_owned(),
            comment: "paying".to_owned(),
        };
        Silence {
            id: "3f2a9c1e-0d6b-4c1f-9a57-6d3f1a2b4c5d".to_owned(),
            ..Silence::new(draft, at("02:00:00")).expect("silence")
        }
    }

    #[test]
    fn the_list_says_what_fires_and_what_is_quiet_and_why() {
        let now = at("03:00:00");
        let alerts = [
            alert("LowBalance", "main", AlertState::Firing),
            alert("WebhooksStopped", "other", AlertState::Firing),
            alert("LowBalance", "old", AlertState::NoData),
        ];
        let silences = [silence()];
        let muted = [Some(Suppression::Muted("nights".into()))];
        let quiet = [&[][..], &muted, &[]];
        let seen = alerts.into_iter().zip(quiet);
        let seen: Vec<SeenAlert> =
            seen.map(|(alert, members)| SeenAlert::of(alert, &silences, members, now)).collect();
        insta::assert_snapshot!(list_text(&seen, 2, now), @r#"
        2 alerts fire, 1 of them silenced

        FINGERPRINT       STATE    ALERT            SINCE                 LASTS    VALUE  QUIET             LABELS
        ba05ab025ee0b967  firing   LowBalance       2026-11-23T01:52:40Z  1h 7m    3.2    silence 3f2a9c1e  account="main"
        9a12d384b4cd5713  firing   WebhooksStopped  2026-11-23T01:52:40Z  1h 7m    -      muted by nights   account="other"
        bffd7e354a327b88  no_data  LowBalance       2026-11-23T01:52:40Z  47m 20s  3.2    -                 account="old"
        "#);
        assert_eq!(list_text(&[], 0, now), "no alert fires");
        let cut = list_text(&seen, 300, now);
        assert!(cut.starts_with("300 alerts fire, of which the first 2 are shown\n"), "{cut}");
        assert_eq!(
            list_text(&seen[1..2], 1, now).lines().next(),
            Some("1 alert fires"),
            "muted is not silenced"
        );
    }

    #[test]
    fn an_alert_is_kept_quiet_when_all_of_its_groups_are() {
        let firing = alert("LowBalance", "main", AlertState::Firing);
        let muted = || Some(Suppression::Muted("nights".into()));
        let loud = || None;
        let stale = || Some(Suppression::Silenced("gone".into()));
        for (groups, want) in [
            (vec![], "-"),
            (vec![muted()], "muted by nights"),
            (vec![muted(), muted()], "muted by nights"),
            (vec![muted(), loud()], "-"),
            (vec![loud(), muted()], "-"),
            (vec![stale()], "-"),
        ] {
            let seen = SeenAlert::of(firing.clone(), &[], &groups, at("03:00:00"));
            assert_eq!(quiet(&seen), want, "{groups:?}");
        }
        let silences = [silence()];
        for (now, want) in [("04:59:59", "silence 3f2a9c1e"), ("05:00:00", "muted by nights")] {
            let seen = SeenAlert::of(firing.clone(), &silences, &[muted()], at(now));
            assert_eq!(quiet(&seen), want, "{now}");
        }
    }

    #[test]
    fn a_story_tells_all_and_who_was_told() {
        let now = at("03:00:00");
        let alert = alert("LowBalance", "main", AlertState::Firing);
        let other = self::alert("Other", "main", AlertState::Firing);
        let labels = labels(&[("team", "x")]);
        let inhibited = [None, Some(Suppression::Inhibited(other.fingerprint.clone()))];
        let notified = |integration: &str, at: &str, firing| Notified {
            integration: integration.to_owned(),
            target: if integration == "ops/mail" { "a@example.com" } else { "" }.to_owned(),
            at: self::at(at),
            firing,
        };
        let in_group = |suppressed, notified| InGroup {
            key: "k".to_owned(),
            route: "critical".to_owned(),
            labels: labels.clone(),
            suppressed,
            notified,
        };
        let silences = vec![silence()];
        let seen = SeenAlert::of(alert.clone(), &silences, &inhibited, now);
        let entry = |when: &str, what: &str, detail: &str| JournalEntry {
            at: at(when),
            fingerprint: alert.fingerprint.to_string(),
            group_key: String::new(),
            what: what.to_owned(),
            detail: detail.to_owned(),
        };
        let journal = vec![
            entry("02:55:00", "notified", "ops/slack: first notification"),
            entry("01:52:40", "fired", "3.2"),
        ];
        let first = vec![
            notified("ops/mail", "02:55:00", true),
            notified("ops/pager/with-a-long-name", "02:58:30", false),
        ];
        let groups = vec![in_group(None, first), in_group(inhibited[1].clone(), vec![])];
        let story = AlertStory { seen, silences, groups, journal };
        let text = story_text(&story, now);
        assert!(!text.contains('\u{1b}'), "{text}");
        insta::assert_snapshot!(text, @r#"
        LowBalance: firing for 1h 7m, silenced
          fingerprint  ba05ab025ee0b967
          rule         money/LowBalance
          since        2026-11-23T01:52:40Z
          value        3.2
          silenced     until 2026-11-23T05:00:00Z (in 2h) by ada: paying [3f2a9c1e]

        labels
          account      main
          alertname    LowBalance

        annotations
          summary      USD 3 left [31m

        group team="x" of route critical
          ops/mail                    notified a@example.com 2026-11-23T02:55:00Z (5m ago): it fires
          ops/pager/with-a-long-name  notified 2026-11-23T02:58:30Z (1m 30s ago): it is over

        group team="x" of route critical
          notified     nobody yet
          suppressed   inhibited by cefcad72dc905184

        WHEN                  WHAT      DETAIL
        2026-11-23T02:55:00Z  notified  ops/slack: first notification
        2026-11-23T01:52:40Z  fired     3.2
        "#);
        let json = serde_json::to_value(&story).expect("JSON");
        assert_eq!(json["fingerprint"], alert.fingerprint.as_str());
        assert_eq!(json["silenced_by"][0], story.silences[0].id);
        let read: AlertStory = serde_json::from_value(json.clone()).expect("reads back");
        assert_eq!(serde_json::to_value(&read).expect("JSON"), json);
        assert_eq!(json["groups"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn a_story_of_what_is_over_says_how_long_it_was() {
        let now = at("03:00:00");
        let alert = alert("Other", "main", AlertState::Expired);
        let seen = SeenAlert::of(alert, &[], &[], now);
        let story = AlertStory { seen, silences: vec![], groups: vec![], journal: vec![] };
        insta::assert_snapshot!(story_text(&story, now), @r#"
        Other: expired 20m ago, after 47m 20s
          fingerprint  cefcad72dc905184
          rule         money/Other
          since        2026-11-23T01:52:40Z
          ended        2026-11-23T02:40:00Z

        labels
          account      main
          alertname    Other

        annotations
          summary      USD 3 left [31m

        no group holds it now: there is nothing left to notify

        no history is stored
        "#);
    }
}
