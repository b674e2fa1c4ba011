//! What every page has: where one is, who looks, how tollbell is.

use actix_web::HttpResponse;
use actix_web::http::{Method, StatusCode};
use jiff::Timestamp;
use serde::Serialize;

use super::html;
use super::visit::{Trouble, Visit, redirect, response, show_as};
use super::words::{Stamp, count_text, encoded, number_text, span_text};
use crate::store::{DeliveryState, Stats};

/// An inbox that waits for longer than this is told as a warning.
const LAG_WARNING_SECS: i64 = 30;

/// The pages that the head leads to: the name, the path.
const PLACES: [(&str, &str); 8] = [
    ("Overview", "/"),
    ("Alerts", "/alerts"),
    ("Silences", "/silences"),
    ("Events", "/events"),
    ("Deliveries", "/deliveries"),
    ("Receivers", "/receivers"),
    ("Rules", "/rules"),
    ("Spend", "/spend"),
];

/// A state: its shape, its word, its colour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct State {
    /// `critical`, `warning`, `good`, `quiet` or empty.
    pub(super) tone: &'static str,
    /// An icon of the templates, or empty.
    pub(super) icon: &'static str,
    /// What is said.
    pub(super) word: String,
}

impl State {
    pub(super) fn new(tone: &'static str, icon: &'static str, word: impl Into<String>) -> Self {
        Self { tone, icon, word: word.into() }
    }

    pub(super) fn good(word: impl Into<String>) -> Self {
        Self::new("good", "good", word)
    }

    pub(super) fn quiet(icon: &'static str, word: impl Into<String>) -> Self {
        Self::new("quiet", icon, word)
    }

    pub(super) fn plain(word: impl Into<String>) -> Self {
        Self::new("", "", word)
    }

    /// Where a delivery stands.
    pub(super) fn of_delivery(state: DeliveryState) -> Self {
        match state {
            DeliveryState::Pending => Self::new("", "wait", "waits"),
            DeliveryState::Sending => Self::new("", "wait", "is sent"),
            DeliveryState::Delivered => Self::good("delivered"),
            DeliveryState::Superseded => Self::quiet("dot", "superseded"),
            DeliveryState::Dead => Self::new("critical", "dead", "dead"),
        }
    }
}

/// A place in the head of the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Place {
    name: &'static str,
    path: &'static str,
    here: bool,
    /// How many of what the page lists ask for attention; empty for none.
    count: String,
    counted: &'static str,
    critical: bool,
}

/// What the frame of a page shows.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Page {
    title: String,
    theme: Option<&'static str>,
    /// A page of its own, without the places.
    gate: bool,
    places: Vec<Place>,
    as_of: Stamp,
    user: Option<String>,
    may_leave: bool,
    /// Whether this user may change things.
    may_write: bool,
    csrf: String,
    here: String,
    health: Vec<State>,
    /// What the script listens to in order to show the page anew; empty for nothing.
    live: &'static str,
    /// What was done just now.
    done: Option<&'static str>,
    assets: &'static str,
}

impl Page {
    /// A page below the place at `place`.
    pub(super) fn new(visit: &Visit, stats: &Stats, place: &str, title: impl Into<String>) -> Self {
        Self {
            places: places(stats, place),
            health: health(stats, visit.now()),
            ..Self::bare(visit, title.into())
        }
    }

    /// A page that asks the store for nothing, such as the one that says that it does not answer.
    pub(super) fn bare(visit: &Visit, title: String) -> Self {
        let now = visit.now();
        Self {
            title,
            theme: visit.theme(),
            gate: false,
            places: places(&Stats::default(), ""),
            as_of: Stamp::at(now, now),
            user: visit.user().map(str::to_owned),
            may_leave: visit.may_leave(),
            may_write: visit.may_write(),
            csrf: visit.csrf(),
            here: visit.here(),
            health: Vec::new(),
            live: "",
            done: visit.done(),
            assets: html::version(),
        }
    }

    /// Shown alone, to someone who is not signed in.
    pub(super) fn gate(mut self) -> Self {
        self.gate = true;
        self
    }

    /// Shown anew when something of this kind changes.
    pub(super) fn live(mut self) -> Self {
        self.live = "changes";
        self
    }
}

impl Visit {
    /// A page below a place, of a handler that has not read the store's figures itself.
    pub(super) async fn page(
        &self,
        place: &str,
        title: impl Into<String>,
    ) -> Result<Page, Trouble> {
        Ok(Page::new(self, &self.store().stats().await?, place, title))
    }
}

/// What is said of trouble.
#[derive(Serialize)]
struct Said {
    title: &'static str,
    detail: String,
}

impl Trouble {
    /// The page that says so.
    pub(super) fn answer(&self, visit: &Visit) -> HttpResponse {
        let (status, title) = match self {
            Self::SignIn(next) if visit.request().method() == Method::GET => {
                return redirect(&format!("/login?next={}", encoded(next)));
            }
            Self::SignIn(_) => (StatusCode::UNAUTHORIZED, "Sign in first"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "This is not allowed"),
            Self::Missing(_) => (StatusCode::NOT_FOUND, "Nothing is here"),
            Self::Wrong(_) => (StatusCode::BAD_REQUEST, "This cannot be understood"),
            Self::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "The store does not answer"),
            Self::Template(_) => (StatusCode::INTERNAL_SERVER_ERROR, "This page is broken"),
        };
        if status.is_server_error() {
            tracing::error!(path = visit.request().path(), error = %self, "a page cannot be shown");
        }
        let page = Page::bare(visit, title.to_owned());
        let page = if visit.known().is_some() { page } else { page.gate() };
        let view = Said { title, detail: self.to_string() };
        show_as(status, "trouble.html", page, view)
            .unwrap_or_else(|_broken| response(status).body(title))
    }
}

fn places(stats: &Stats, here: &str) -> Vec<Place> {
    let firing = stats.firing();
    let dead = stats.deliveries_in(DeliveryState::Dead);
    let place = |(name, path): (&'static str, &'static str)| {
        let (count, counted, critical) = match path {
            "/alerts" => (firing, "fire", true),
            "/deliveries" => (dead, "dead", false),
            _ => (0, "", false),
        };
        let count = if count > 0 { number_text(count) } else { String::new() };
        Place { name, path, here: path == here, count, counted, critical }
    };
    PLACES.into_iter().map(place).collect()
}

/// How tollbell itself is, in short.
fn health(stats: &Stats, now: Timestamp) -> Vec<State> {
    let waits = stats.oldest_waiting.map(|oldest| (oldest, span_text(oldest, now)));
    let lag = match waits {
        Some((oldest, span)) if now.duration_since(oldest).as_secs() > LAG_WARNING_SECS => {
            let events = number_text(stats.inbox_lag_events);
            State::new(
                "warning",
                "warning",
                format!("{events} events wait to be judged, for {span}"),
            )
        }
        _ => State::good("every event is judged"),
    };
    let open =
        stats.deliveries_in(DeliveryState::Pending) + stats.deliveries_in(DeliveryState::Sending);
    let open = usize::try_from(open).unwrap_or(usize::MAX);
    vec![
        lag,
        State::plain(format!("{} open", count_text(open, "delivery", "deliveries"))),
        State::plain(format!("{} events taken in", number_text(stats.events_total))),
        State::plain(format!("version {}", env!("CARGO_PKG_VERSION"))),
    ]
}
