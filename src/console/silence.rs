//! A new silence: what it would keep quiet, and the forms that make and end one.

use std::time::Duration;

use actix_web::HttpResponse;
use jiff::Timestamp;
use serde::Serialize;

use super::form::Form;
use super::situation::{AlertRow, Situation, group_name};
use super::visit::{Trouble, Visit, redirect, show};
use super::words::{Stamp, count_text};
use crate::alerts::{Alert, Matcher, SILENCE_DAYS_MAX, SilenceDraft, SilenceError, SilenceText};
use crate::api::aside;
use crate::api::silences::{self, Refused};
use crate::clock;

/// Alerts of a preview that are listed at most.
const PREVIEW_MAX: usize = 50;
/// How long a silence may last, by the form: the word, for people, how long.
const LASTS: [(&str, &str, u64); 7] = [
    ("1h", "1 hour", 1),
    ("2h", "2 hours", 2),
    ("4h", "4 hours", 4),
    ("8h", "8 hours", 8),
    ("1d", "1 day", 24),
    ("3d", "3 days", 72),
    ("1w", "1 week", 168),
];

/// The form of a silence that is to be made.
#[derive(Debug, Serialize)]
struct FormView {
    matchers: String,
    /// The matchers that the preview is of.
    seen: String,
    lasts: &'static str,
    choices: Vec<(&'static str, &'static str)>,
    until: String,
    by: String,
    comment: String,
    wrong: Vec<(&'static str, String)>,
    preview: Option<Preview>,
    changed: bool,
}

/// What a silence would keep quiet now.
#[derive(Debug, Serialize)]
struct Preview {
    answer: String,
    until: Option<Stamp>,
    alerts: Vec<AlertRow>,
    more: usize,
    groups: Vec<String>,
    whole: bool,
}

/// What the form holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Draft {
    matchers: Vec<String>,
    lasts: &'static str,
    until: String,
    by: String,
    comment: String,
    seen: String,
}

/// A draft that can be made, and what is wrong with one that cannot.
struct Checked {
    draft: Option<SilenceDraft>,
    matchers: Option<Vec<Matcher>>,
    ends_at: Option<Timestamp>,
    wrong: Vec<(&'static str, String)>,
}

impl Draft {
    fn checked(&self, now: Timestamp) -> Checked {
        let mut wrong: Vec<(&'static str, String)> = Vec::new();
        let mut matchers = Vec::new();
        for text in &self.matchers {
            match Matcher::parse_list(text) {
                Ok(list) => matchers.extend(list),
                Err(error) => {
                    wrong
                        .push(("matchers", format!("{text}: character {}: {error}", error.column)));
                }
            }
        }
        if self.matchers.is_empty() {
            wrong.push((
                "matchers",
                "Write at least one matcher, such as alertname=\"LowBalance\".".to_owned(),
            ));
        }
        let ends_at = if self.until.is_empty() {
            let hours = LASTS.iter().find(|(word, ..)| *word == self.lasts).map_or(2, |it| it.2);
            Some(clock::add(now, Duration::from_hours(hours)))
        } else {
            let parsed = time_of(&self.until);
            if parsed.is_none() {
                wrong.push(("until", "Write a time in UTC, such as 2026-12-01T06:00.".to_owned()));
            }
            parsed
        };
        let matchers = wrong.iter().all(|(field, _)| *field != "matchers").then_some(matchers);
        let draft = matchers.clone().zip(ends_at).map(|(matchers, ends_at)| SilenceDraft {
            matchers,
            starts_at: now,
            ends_at,
            created_by: self.by.clone(),
            comment: self.comment.clone(),
        });
        Checked { draft, matchers, ends_at, wrong }
    }

    fn text(&self) -> String {
        self.matchers.join("\n")
    }

    /// What people must be told about a silence, and are not. Alertmanager's clients may leave it out.
    fn missing(&self) -> Vec<(&'static str, String)> {
        let texts = [
            ("comment", &self.comment, "Write why, for whoever finds the silence."),
            ("by", &self.by, "Write who makes it, for whoever has a question."),
        ];
        let missing = texts.into_iter().filter(|(_, text, _)| text.is_empty());
        missing.map(|(field, _, words)| (field, words.to_owned())).collect()
    }
}

/// A time of UTC as browsers' fields and people write it.
fn time_of(text: &str) -> Option<Timestamp> {
    let plain = text.trim_end_matches('Z').replace(' ', "T");
    let seconds = if plain.matches(':').count() == 1 { ":00" } else { "" };
    format!("{plain}{seconds}Z").parse().ok()
}

/// `GET /silences/new`
pub(super) async fn form(visit: Visit) -> Result<HttpResponse, Trouble> {
    let mut draft = Draft { lasts: "2h", ..Draft::default() };
    for (name, value) in visit.query() {
        match name.as_str() {
            // As amtool and links of Alertmanager write them, too.
            "matcher" | "filter" => draft.matchers.push(value),
            "comment" => draft.comment = value,
            "lasts" => draft.lasts = lasts_of(&value),
            _ => {}
        }
    }
    draft.seen = draft.text();
    shown(&visit, &draft, Vec::new(), false).await
}

fn lasts_of(text: &str) -> &'static str {
    LASTS.iter().find(|(word, ..)| *word == text).map_or("2h", |(word, ..)| *word)
}

/// `POST /silences/new`
pub(super) async fn make(visit: Visit, form: Form) -> Result<HttpResponse, Trouble> {
    let draft = Draft {
        matchers: form.lines("matchers").into_iter().map(str::to_owned).collect(),
        lasts: lasts_of(form.get("lasts")),
        until: form.get("until").to_owned(),
        by: form.get("by").trim().to_owned(),
        comment: form.get("comment").trim().to_owned(),
        seen: form.lines("seen").join("\n"),
    };
    let now = visit.now();
    let checked = draft.checked(now);
    let changed = draft.seen != draft.text();
    if form.get("do") != "silence" {
        return shown(&visit, &draft, Vec::new(), false).await;
    }
    let missing = draft.missing();
    if changed || !checked.wrong.is_empty() || !missing.is_empty() {
        return shown(&visit, &draft, missing, changed).await;
    }
    let Some(made) = checked.draft else { return shown(&visit, &draft, Vec::new(), false).await };
    match silences::create(&visit.deps.api.audit, visit.principal()?, made).await {
        Ok(_id) => Ok(redirect("/silences?done=silenced")),
        Err(Refused::Unfit(error)) => shown(&visit, &draft, vec![unfit(&error)], false).await,
        Err(refused) => Err(refused.into()),
    }
}

/// The field of the form that a silence is refused for, and why.
fn unfit(error: &SilenceError) -> (&'static str, String) {
    let field = match error {
        SilenceError::EndsBeforeStart | SilenceError::Over | SilenceError::TooFar => "until",
        SilenceError::LongText(SilenceText::Author) => "by",
        SilenceError::LongText(SilenceText::Comment) => "comment",
        SilenceError::MatchesAll | SilenceError::TooManyMatchers | SilenceError::LongMatcher => {
            "matchers"
        }
    };
    let words = match error {
        SilenceError::MatchesAll => format!("The silence {error}."),
        SilenceError::EndsBeforeStart | SilenceError::Over => "The end is past.".to_owned(),
        SilenceError::TooFar => {
            format!("A silence ends within {SILENCE_DAYS_MAX} days.")
        }
        SilenceError::TooManyMatchers => format!("There are {error}."),
        SilenceError::LongMatcher | SilenceError::LongText(_) => sentence(&error.to_string()),
    };
    (field, words)
}

/// Words as a sentence.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

async fn shown(
    visit: &Visit,
    draft: &Draft,
    mut wrong: Vec<(&'static str, String)>,
    changed: bool,
) -> Result<HttpResponse, Trouble> {
    let situation = Situation::of(visit).await?;
    let checked = draft.checked(visit.now());
    let asked = visit.request().method() == actix_web::http::Method::POST;
    if asked || !draft.matchers.is_empty() {
        wrong.extend(checked.wrong);
    }
    let matchers = checked.matchers.filter(|matchers| !matchers.is_empty());
    let ends_at = checked.ends_at;
    let preview = aside(move || Some(preview(&situation, &matchers?, ends_at))).await?;
    let view = FormView {
        matchers: draft.text(),
        seen: draft.text(),
        lasts: draft.lasts,
        choices: LASTS.iter().map(|(word, words, _)| (*word, *words)).collect(),
        until: draft.until.clone(),
        by: draft.by.clone(),
        comment: draft.comment.clone(),
        wrong,
        preview,
        changed,
    };
    let page = visit.page("/silences", "A new silence").await?;
    show("silence.html", page, view)
}

fn preview(situation: &Situation, matchers: &[Matcher], ends_at: Option<Timestamp>) -> Preview {
    let muted: Vec<&Alert> = situation
        .alerts
        .iter()
        .filter(|alert| matchers.iter().all(|matcher| matcher.matches(&alert.labels)))
        .collect();
    let already = muted.iter().filter(|alert| situation.quiet(alert).is_some()).count();
    let mut groups: Vec<String> = muted
        .iter()
        .flat_map(|alert| situation.groups_of(&alert.fingerprint))
        .map(|group| {
            let route = situation.policy.routing.route.find(&group.route);
            let receiver = route.map_or("nobody", |route| route.receiver.as_str());
            format!("{receiver}: {}", group_name(group))
        })
        .collect();
    groups.sort_unstable();
    groups.dedup();
    let answer = match (muted.len(), already) {
        (0, _) => "Nothing that fires now; what comes to match will not be notified".to_owned(),
        (all, 0) => format!(
            "{} will not be notified",
            count_text(all, "alert that fires", "alerts that fire")
        ),
        (all, already) => format!(
            "{} will not be notified; {already} of them {} quiet already",
            count_text(all, "alert that fires", "alerts that fire"),
            if already == 1 { "is" } else { "are" }
        ),
    };
    let whole =
        !situation.alerts.is_empty() && muted.len() == situation.alerts.len() && muted.len() > 1;
    Preview {
        answer,
        until: ends_at.map(|at| Stamp::at(at, situation.now)),
        alerts: muted.iter().take(PREVIEW_MAX).map(|alert| situation.row(alert)).collect(),
        more: muted.len().saturating_sub(PREVIEW_MAX),
        groups,
        whole,
    }
}

/// `POST /silences/{id}/expire`
pub(super) async fn expire(visit: Visit, _form: Form) -> Result<HttpResponse, Trouble> {
    let id = visit.part("id");
    match silences::expire(&visit.deps.api.audit, visit.principal()?, &id).await {
        Ok(true) => Ok(redirect("/silences?done=expired")),
        Ok(false) => Ok(redirect("/silences?done=nothing")),
        Err(Refused::Unknown) => {
            Err(Trouble::Missing(format!("No silence with the id {id} is kept.")))
        }
        Err(refused) => Err(refused.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-30T10:42:07Z".parse().expect("time")
    }

    fn draft(matchers: &[&str]) -> Draft {
        Draft {
            matchers: matchers.iter().map(|it| (*it).to_owned()).collect(),
            lasts: "2h",
            by: "ada".to_owned(),
            comment: "paying".to_owned(),
            ..Draft::default()
        }
    }

    #[test]
    fn what_is_wrong_is_said_at_its_field() {
        for (of, want) in [
            (draft(&["alertname=\"LowBalance\"", "account=~\"a|b\""]), ""),
            (draft(&[]), "matchers"),
            (draft(&["alertname"]), "matchers"),
            (draft(&["a=~\"(\""]), "matchers"),
            (Draft { until: "tomorrow".to_owned(), ..draft(&["a=b"]) }, "until"),
            (Draft { until: "2026-12-01T06:00".to_owned(), ..draft(&["a=b"]) }, ""),
        ] {
            let checked = of.checked(now());
            let fields: Vec<&str> = checked.wrong.iter().map(|(field, _)| *field).collect();
            assert_eq!(fields.join(" "), want, "{of:?}");
            assert_eq!(checked.draft.is_some(), want.is_empty());
        }
    }

    #[test]
    fn an_end_counts_in_utc_and_a_length_from_now() {
        let of = |draft: Draft| draft.checked(now()).ends_at.expect("end").to_string();
        assert_eq!(of(draft(&["a=b"])), "2026-11-30T12:42:07Z");
        let until = |text: &str| of(Draft { until: text.to_owned(), ..draft(&["a=b"]) });
        assert_eq!(until("2026-12-01T06:00"), "2026-12-01T06:00:00Z");
        assert_eq!(until("2026-12-01 06:00:30Z"), "2026-12-01T06:00:30Z");
    }
}
