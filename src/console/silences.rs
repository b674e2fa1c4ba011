//! The silences: which hold, which are to come, which are over.

use actix_web::HttpResponse;
use serde::Serialize;

use super::page::State;
use super::situation::Situation;
use super::visit::{Trouble, Visit, show};
use super::words::{Stamp, count_text, encoded, short, span_text};
use crate::alerts::{Silence, SilenceState};
use crate::api::aside;

/// Expired silences that are listed at most.
const EXPIRED_MAX: usize = 50;

#[derive(Debug, Serialize)]
struct ListView {
    answer: String,
    silences: Vec<SilenceRow>,
    expired: Vec<SilenceRow>,
}

#[derive(Debug, Serialize)]
struct SilenceRow {
    id: String,
    short: String,
    state: State,
    matchers: Vec<String>,
    comment: String,
    by: String,
    from: Stamp,
    until: Stamp,
    left: String,
    /// How many alerts that fire it matches.
    mutes: String,
    again_path: String,
    may_end: bool,
}

/// `GET /silences`
pub(super) async fn list(visit: Visit) -> Result<HttpResponse, Trouble> {
    let situation = Situation::of(&visit).await?;
    let may_write = visit.may_write();
    // Each silence is held against each alert.
    let view = aside(move || list_view(&situation, may_write)).await?;
    let page = visit.page("/silences", view.answer.clone()).await?.live();
    show("silences.html", page, view)
}

fn list_view(situation: &Situation, may_write: bool) -> ListView {
    let now = situation.now;
    let mut silences: Vec<&Silence> = situation.silences.iter().collect();
    silences.sort_by_key(|silence| silence.ends_at);
    let row = |silence: &&Silence| silence_row(situation, silence, may_write);
    let over = |silence: &&Silence| silence.state(now) == SilenceState::Expired;
    let (mut expired, held): (Vec<&Silence>, Vec<&Silence>) = silences.into_iter().partition(over);
    expired.reverse();
    expired.truncate(EXPIRED_MAX);
    let active = held.iter().filter(|one| one.state(now) == SilenceState::Active).count();
    let answer = match (active, held.len()) {
        (0, 0) => "No silence holds".to_owned(),
        (active, all) if active == all => count_text(active, "silence holds", "silences hold"),
        (active, all) => format!(
            "{}, {} to come",
            count_text(active, "silence holds", "silences hold"),
            all - active
        ),
    };
    ListView {
        answer,
        silences: held.iter().map(row).collect(),
        expired: expired.iter().map(row).collect(),
    }
}

fn silence_row(situation: &Situation, silence: &Silence, may_write: bool) -> SilenceRow {
    let now = situation.now;
    let state = silence.state(now);
    let mutes = situation.alerts.iter().filter(|alert| silence.covers(&alert.labels)).count();
    let matchers: Vec<String> = silence.matchers.iter().map(ToString::to_string).collect();
    let query: Vec<String> =
        matchers.iter().map(|matcher| format!("matcher={}", encoded(matcher))).collect();
    let (left, shown) = match state {
        SilenceState::Active => (span_text(now, silence.ends_at), State::new("", "mute", "active")),
        SilenceState::Pending => (
            format!("begins in {}", span_text(now, silence.starts_at)),
            State::new("", "wait", "pending"),
        ),
        SilenceState::Expired => (String::new(), State::quiet("dot", "expired")),
    };
    SilenceRow {
        short: short(&silence.id),
        id: silence.id.clone(),
        state: shown,
        matchers,
        comment: silence.comment.clone(),
        by: silence.created_by.clone(),
        from: Stamp::at(silence.starts_at, now),
        until: Stamp::at(silence.ends_at, now),
        left,
        mutes: count_text(mutes, "alert", "alerts"),
        again_path: format!(
            "/silences/new?{}&comment={}",
            query.join("&"),
            encoded(&silence.comment)
        ),
        may_end: may_write && state != SilenceState::Expired,
    }
}
