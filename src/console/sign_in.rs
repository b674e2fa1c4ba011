//! The way in and out, and the choice of a theme.

use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use super::cookies::set_cookie;
use super::form::Form;
use super::page::Page;
use super::session::{self, COOKIE, LASTS};
use super::visit::{THEME_COOKIE, Trouble, Visit, own_path, redirect, show_as};

/// How long a theme is remembered.
const THEME_KEPT: Duration = Duration::from_hours(24 * 365);

#[derive(Debug, Serialize)]
struct View<'v> {
    next: &'v str,
    wrong: &'v str,
}

/// `GET /login`
pub(super) async fn get(request: HttpRequest) -> HttpResponse {
    let visit = Visit::anyone(&request);
    let next = visit.query().into_iter().find(|(name, _)| name == "next");
    let next = next.map_or_else(|| "/".to_owned(), |(_, next)| own_path(&next).to_owned());
    if visit.known().is_some() {
        return redirect(&next);
    }
    shown(&visit, StatusCode::OK, &next, "")
}

/// `POST /login`
pub(super) async fn post(request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let visit = Visit::anyone(&request);
    let form = match Form::read(&visit, &body) {
        Ok(form) => form,
        Err(trouble) => return trouble.answer(&visit),
    };
    let next = own_path(form.get("next"));
    let now = visit.now();
    if !visit.deps.tries.may(now) {
        let wrong = "Too many wrong tokens were tried. Wait for a minute.";
        return shown(&visit, StatusCode::TOO_MANY_REQUESTS, next, wrong);
    }
    let Some(cookie) = session::begin(&visit.deps, form.get("token"), now) else {
        visit.deps.tries.wrong(now);
        tracing::warn!("a wrong token was tried at the console");
        return shown(&visit, StatusCode::FORBIDDEN, next, "This token is not known.");
    };
    let mut answer = redirect(next);
    let cookie = set_cookie(COOKIE, &cookie, LASTS.as_secs());
    add_cookie(&mut answer, &cookie);
    answer
}

/// `POST /logout`
pub(super) async fn leave(request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let visit = Visit::anyone(&request);
    if let Err(trouble) = Form::read(&visit, &body) {
        return trouble.answer(&visit);
    }
    let mut answer = redirect("/login");
    add_cookie(&mut answer, &set_cookie(COOKIE, "", 0));
    answer
}

/// `POST /theme`
pub(super) async fn theme(request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let visit = Visit::anyone(&request);
    let form = match Form::read(&visit, &body) {
        Ok(form) => form,
        Err(trouble) => return trouble.answer(&visit),
    };
    let theme = match form.get("theme") {
        theme @ ("light" | "dark") => theme,
        _ => "",
    };
    let mut answer = redirect(own_path(form.get("back")));
    add_cookie(&mut answer, &set_cookie(THEME_COOKIE, theme, THEME_KEPT.as_secs()));
    answer
}

fn add_cookie(answer: &mut HttpResponse, cookie: &str) {
    if let Ok(value) = header::HeaderValue::from_str(cookie) {
        answer.headers_mut().append(header::SET_COOKIE, value);
    }
}

fn shown(visit: &Visit, status: StatusCode, next: &str, wrong: &str) -> HttpResponse {
    let page = Page::bare(visit, "Sign in".to_owned()).gate();
    let shown = show_as(status, "login.html", page, View { next, wrong });
    shown.unwrap_or_else(|error| Trouble::answer(&error, visit))
}
