//! One request to the console: who makes it, and what it is answered with.

use std::sync::Arc;

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use serde::Serialize;

use super::cookies::cookie;
use super::deps::Deps;
use super::html;
use super::session::{self, Known};
use crate::api::Principal;
use crate::api::silences::Refused;
use crate::engine::Policy;
use crate::notify::MessageTemplates;
use crate::store::{Store, StoreError};

/// The cookie that remembers the theme.
pub(super) const THEME_COOKIE: &str = "tollbell_theme";
/// What may be loaded by a page, and by whom it may be shown: nothing but the console's own files.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What was done before this page, by the word in its address.
const DONE: &[(&str, &str)] = &[
    ("silenced", "The silence is in force: what it matches is not notified while it lasts."),
    ("expired", "The silence is over: what it kept quiet is notified again."),
    ("retried", "It waits to be sent again."),
    ("tested", "The test notification was sent."),
    ("nothing", "Nothing was to be done: somebody was faster."),
];

/// One request.
pub(super) struct Visit {
    pub(super) deps: web::Data<Deps>,
    request: HttpRequest,
    now: Timestamp,
    known: Option<Known>,
}

/// What a template gets.
#[derive(Serialize)]
struct Shown<P, V> {
    page: P,
    view: V,
}

/// Why there is no such page, or why something was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// Nobody has shown who they are: to the way in, and back here.
    #[error("sign in")]
    SignIn(String),
    /// They may not.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such thing.
    #[error("{0}")]
    Missing(String),
    /// What was asked cannot be understood.
    #[error("{0}")]
    Wrong(String),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A template of ours does not fit its values.
    #[error("a page cannot be rendered: {0}")]
    Template(#[from] minijinja::Error),
}

impl From<Refused> for Trouble {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unknown => Self::Missing("There is no such silence.".to_owned()),
            Refused::Unfit(error) => Self::Wrong(error.to_string()),
            Refused::Store(error) => Self::Store(error),
        }
    }
}

impl Visit {
    pub(super) fn of(request: &HttpRequest) -> Result<Self, Trouble> {
        let visit = Self::anyone(request);
        if visit.known.is_some() {
            Ok(visit)
        } else if visit.deps.access.has_tokens() {
            Err(Trouble::SignIn(visit.here()))
        } else {
            Err(Trouble::Forbidden(session::why_not(&visit.deps, request)))
        }
    }

    /// Of whoever it is.
    pub(super) fn anyone(request: &HttpRequest) -> Self {
        let deps = request.app_data::<web::Data<Deps>>().expect("mounted with its deps").clone();
        let now = deps.api.clock.now();
        let known = session::known(&deps, request, now);
        Self { deps, request: request.clone(), now, known }
    }

    pub(super) fn store(&self) -> &Store {
        &self.deps.api.store
    }

    /// What is judged by.
    pub(super) fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.deps.api.in_force.load().policy)
    }

    /// The texts of messages.
    pub(super) fn templates(&self) -> MessageTemplates {
        self.deps.api.in_force.load().templates.clone()
    }

    /// The accounts' names, in the order of the configuration.
    pub(super) fn accounts(&self) -> Vec<String> {
        self.deps.api.in_force.load().account_names()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    pub(super) fn request(&self) -> &HttpRequest {
        &self.request
    }

    pub(super) fn known(&self) -> Option<&Known> {
        self.known.as_ref()
    }

    pub(super) fn user(&self) -> Option<&str> {
        self.known.as_ref().map(|known| known.principal.name.as_str())
    }

    pub(super) fn may_leave(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.by_cookie)
    }

    pub(super) fn may_write(&self) -> bool {
        self.known.as_ref().is_some_and(Known::may_write)
    }

    /// The token that a form of theirs must send back.
    pub(super) fn csrf(&self) -> String {
        session::csrf(&self.deps, self.known.as_ref())
    }

    /// The path and query of the page; of what answers a form, the path of its section, which can be asked for again.
    pub(super) fn here(&self) -> String {
        let uri = self.request.uri();
        if self.request.method() != Method::GET {
            return format!("/{}", uri.path().split('/').nth(1).unwrap_or_default());
        }
        without_done(uri.path_and_query().map_or("/", |path| path.as_str()))
    }

    /// A part of the path that the route names.
    pub(super) fn part(&self, name: &str) -> String {
        decoded(self.request.match_info().get(name).unwrap_or_default())
    }

    /// The names and values of the query.
    pub(super) fn query(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(self.request.query_string().as_bytes()).into_owned().collect()
    }

    pub(super) fn theme(&self) -> Option<&'static str> {
        let chosen = cookie(&self.request, THEME_COOKIE)?;
        ["light", "dark"].into_iter().find(|theme| *theme == chosen)
    }

    /// What was done just now.
    pub(super) fn done(&self) -> Option<&'static str> {
        let query = form_urlencoded::parse(self.request.query_string().as_bytes());
        let word = query.filter(|(name, _)| name == "done").map(|(_, word)| word).next()?;
        DONE.iter().find(|(known, _)| *known == word).map(|(_, words)| *words)
    }

    /// Who it is, of whoever changes something.
    pub(super) fn principal(&self) -> Result<&Principal, Trouble> {
        self.known
            .as_ref()
            .map(|known| &known.principal)
            .ok_or_else(|| Trouble::SignIn(self.here()))
    }
}

/// Answers with a page.
pub(super) fn show(
    template: &str,
    page: impl Serialize,
    view: impl Serialize,
) -> Result<HttpResponse, Trouble> {
    show_as(StatusCode::OK, template, page, view)
}

/// Answers with a page and another status.
pub(super) fn show_as(
    status: StatusCode,
    template: &str,
    page: impl Serialize,
    view: impl Serialize,
) -> Result<HttpResponse, Trouble> {
    let text = html::render(template, Shown { page, view })?;
    Ok(response(status).content_type("text/html; charset=utf-8").body(text))
}

/// An answer with what every answer of the console says about itself.
pub(super) fn response(status: StatusCode) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .insert_header((header::X_FRAME_OPTIONS, "DENY"))
        .insert_header((header::CACHE_CONTROL, "no-store"));
    response
}

/// Leads elsewhere, by GET.
pub(super) fn redirect(to: &str) -> HttpResponse {
    response(StatusCode::SEE_OTHER).insert_header((header::LOCATION, to)).finish()
}

/// A part of a path with its escapes undone: the router leaves some.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let hex = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = hex.filter(|_| *first == b'%').and_then(|it| u8::from_str_radix(it, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { behind.get(2..).unwrap_or_default() } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A path and query without the word of what was done before: whoever comes back there has done something else, or nothing.
fn without_done(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let is_done = |pair: &&str| pair.split('=').next() == Some("done");
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_done(pair)).collect();
    if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
}

/// A path of ours: what a form may lead back to. Anything else is the overview.
pub(super) fn own_path(path: &str) -> &str {
    let fits = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains(['\\', '\r', '\n'])
        && path.len() <= 2_048;
    if fits { path } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_away() {
        for (path, want) in [
            ("/alerts?x=1", "/alerts?x=1"),
            ("//evil.example", "/"),
            ("https://evil.example", "/"),
            ("/\\evil.example", "/"),
            ("/a\r\nSet-Cookie: x", "/"),
            ("", "/"),
        ] {
            assert_eq!(own_path(path), want);
        }
    }

    #[test]
    fn what_was_done_is_not_said_again_on_the_way_back() {
        for (path, want) in [
            ("/deliveries?state=dead&done=retried", "/deliveries?state=dead"),
            ("/silences?done=silenced", "/silences"),
            ("/silences?done=silenced&x=done=1&done", "/silences?x=done=1"),
            ("/alerts?filter=done%3D1", "/alerts?filter=done%3D1"),
            ("/alerts", "/alerts"),
        ] {
            assert_eq!(without_done(path), want);
        }
    }

    #[test]
    fn escapes_of_a_path_are_undone() {
        for (text, want) in
            [("a%2Fb%3A1", "a/b:1"), ("100%", "100%"), ("%zz%41", "%zzA"), ("%C3%A9", "é")]
        {
            assert_eq!(decoded(text), want);
        }
    }

    #[test]
    fn the_policy_allows_nothing_inline() {
        assert!(!POLICY.contains("unsafe") && POLICY.contains("frame-ancestors 'none'"));
    }
}
