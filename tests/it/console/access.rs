//! Who gets in, by what, and what no page of another site can do.

use reqwest::header::{COOKIE, HeaderMap, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{Client, Response, StatusCode};
use tollbell::store::AuditFilter;

use super::{Filled, READ_TOKEN, TOKEN, setup};
use crate::support::app::{Setup, TestApp, reqwest_client};
use crate::support::http::HttpSink;

/// Somebody at the console.
struct Visitor<'a> {
    app: &'a TestApp,
    client: Client,
    cookie: Option<String>,
}

impl<'a> Visitor<'a> {
    fn new(app: &'a TestApp) -> Self {
        Self { app, client: reqwest_client(), cookie: None }
    }

    async fn get(&self, path: &str) -> Response {
        let url = format!("http://{}{path}", self.app.app().private_addr);
        let mut request = self.client.get(url);
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        request.send().await.unwrap()
    }

    async fn post(&self, path: &str, form: &[(&str, &str)], headers: HeaderMap) -> Response {
        let url = format!("http://{}{path}", self.app.app().private_addr);
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let mut request = self.client.post(url).headers(headers).body(body);
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap()
    }

    /// The token of the forms of a page.
    async fn csrf(&self, path: &str) -> String {
        let text = self.get(path).await.text().await.unwrap();
        let (_, rest) = text.split_once("name=\"csrf\" value=\"").expect("a form");
        rest.split('"').next().unwrap().to_owned()
    }

    async fn sign_in(&mut self, token: &str) -> Response {
        let csrf = self.csrf("/login").await;
        let answer =
            self.post("/login", &[("csrf", &csrf), ("token", token)], HeaderMap::new()).await;
        if let Some(cookie) = answer.headers().get(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            self.cookie = Some(cookie.split(';').next().unwrap().to_owned());
        }
        answer
    }
}

#[tokio::test]
async fn a_token_gives_a_cookie_that_no_script_and_no_other_site_can_use() {
    let sink = HttpSink::start().await;
    let app = setup(&sink).start().await;
    let mut visitor = Visitor::new(&app);
    let answer = visitor.get("/alerts?state=all").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()[LOCATION], "/login?next=%2Falerts%3Fstate%3Dall");
    assert_eq!(visitor.sign_in("wrong-0123456789abcdef").await.status(), StatusCode::FORBIDDEN);
    assert_eq!(visitor.cookie, None);
    let answer = visitor.sign_in(TOKEN).await;
    assert_eq!(
        (answer.status(), &answer.headers()[LOCATION]),
        (StatusCode::SEE_OTHER, &"/".parse().unwrap())
    );
    let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
    for part in ["HttpOnly", "Secure", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains(TOKEN), "the cookie holds no token");
    let page = visitor.get("/").await;
    assert_eq!(page.status(), StatusCode::OK);
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.headers()["cache-control"], "no-store");
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");

    // It ends with its time, and with its token.
    let forged = visitor.cookie.clone().map(|cookie| cookie.replace('=', "=9"));
    let honest = std::mem::replace(&mut visitor.cookie, forged);
    assert_eq!(visitor.get("/").await.status(), StatusCode::SEE_OTHER);
    visitor.cookie = honest;
    assert_eq!(visitor.get("/").await.status(), StatusCode::OK);
    let changed = setup(&sink).server("  auth: {token: another-0123456789}\n");
    app.write(&changed);
    assert_eq!(app.reload_as(TOKEN).await.0, 200);
    assert_eq!(visitor.get("/").await.status(), StatusCode::SEE_OTHER);
    visitor.sign_in("another-0123456789").await;
    assert_eq!(visitor.get("/").await.status(), StatusCode::OK);
    app.clock.advance(std::time::Duration::from_hours(12));
    assert_eq!(visitor.get("/").await.status(), StatusCode::SEE_OTHER);
    app.stop().await;
}

#[tokio::test]
async fn a_form_needs_the_token_of_its_page_a_site_of_ours_and_a_user_who_may() {
    let filled = Filled::start().await;
    let mut writer = Visitor::new(&filled.app);
    writer.sign_in(TOKEN).await;
    let mut reader = Visitor::new(&filled.app);
    reader.sign_in(READ_TOKEN).await;
    let (csrf, of_reader) = (writer.csrf("/receivers").await, reader.csrf("/alerts").await);
    let foreign: HeaderMap =
        [(ORIGIN, "https://evil.example".parse().unwrap())].into_iter().collect();
    let from =
        |csrf: &str| vec![("csrf".to_owned(), csrf.to_owned()), ("all".to_owned(), "1".to_owned())];
    for (visitor, csrf, headers, status) in [
        (&writer, "", HeaderMap::new(), StatusCode::FORBIDDEN),
        (&writer, of_reader.as_str(), HeaderMap::new(), StatusCode::FORBIDDEN),
        (&writer, csrf.as_str(), foreign, StatusCode::FORBIDDEN),
        (&reader, of_reader.as_str(), HeaderMap::new(), StatusCode::FORBIDDEN),
        (&writer, csrf.as_str(), HeaderMap::new(), StatusCode::SEE_OTHER),
    ] {
        let fields = from(csrf);
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let answer = visitor.post("/deliveries/retry", &fields, headers).await;
        assert_eq!(answer.status(), status);
    }
    // Who may only read finds no button.
    let page = reader.get("/deliveries?state=dead").await.text().await.unwrap();
    assert!(!page.contains("Try again") && page.contains("read_token"));
    assert_eq!(reader.get("/nothing").await.status(), StatusCode::NOT_FOUND);
    filled.stop().await;
}

#[tokio::test]
async fn a_receiver_is_paused_and_resumed_by_the_buttons_of_its_page() {
    let sink = HttpSink::start().await;
    let app = setup(&sink).start().await;
    let mut visitor = Visitor::new(&app);
    visitor.sign_in(TOKEN).await;
    let names = app.app().store.receiver_pauses().await.unwrap();
    assert_eq!(names, []);
    let csrf = visitor.csrf("/receivers").await;
    let page = visitor.get("/receivers").await.text().await.unwrap();
    let (_, rest) = page.split_once("action=\"/receivers/").expect("a receiver");
    let name = rest.split('/').next().unwrap().to_owned();
    let path = format!("/receivers/{name}/pause");
    assert!(page.contains(&path), "a form to pause it");
    let form = |hours: &'static str, comment: &'static str, csrf| {
        [("csrf", csrf), ("hours", hours), ("comment", comment)]
    };
    for (hours, comment, csrf, status) in [
        ("1", "it moves", "", StatusCode::FORBIDDEN),
        ("x", "it moves", &*csrf, StatusCode::BAD_REQUEST),
        ("999", "it moves", &csrf, StatusCode::BAD_REQUEST),
        ("1", "", &csrf, StatusCode::BAD_REQUEST),
        ("1", "<b>it moves</b>", &csrf, StatusCode::SEE_OTHER),
    ] {
        let answer = visitor.post(&path, &form(hours, comment, csrf), HeaderMap::new()).await;
        assert_eq!(answer.status(), status, "{hours} {comment}");
    }
    let page = visitor.get("/receivers").await.text().await.unwrap();
    assert!(
        page.contains("by token, ends in 1 hour") || page.contains("by token, ends in"),
        "{page}"
    );
    assert!(!page.contains("<b>it moves") && !page.contains(&path), "{page}");
    let resume = format!("/receivers/{name}/resume");
    let answer = visitor.post(&resume, &[("csrf", &csrf)], HeaderMap::new()).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(app.app().store.receiver_pauses().await.unwrap(), []);
    app.stop().await;
}

#[tokio::test]
async fn wrong_tokens_are_slowed_down() {
    let sink = HttpSink::start().await;
    let app = setup(&sink).start().await;
    let mut visitor = Visitor::new(&app);
    for _ in 0..10 {
        assert_eq!(visitor.sign_in("wrong-0123456789abcdef").await.status(), StatusCode::FORBIDDEN);
    }
    assert_eq!(visitor.sign_in(TOKEN).await.status(), StatusCode::TOO_MANY_REQUESTS);
    app.clock.advance(std::time::Duration::from_mins(1));
    assert_eq!(visitor.sign_in(TOKEN).await.status(), StatusCode::SEE_OTHER);
    app.stop().await;
}

#[tokio::test]
async fn on_this_machine_no_token_is_needed_until_one_is_configured() {
    let sink = HttpSink::start().await;
    let open = Setup { server: String::new(), ..setup(&sink) };
    let app = open.start().await;
    let visitor = Visitor::new(&app);
    assert_eq!(visitor.get("/").await.status(), StatusCode::OK);
    let csrf = visitor.csrf("/silences/new").await;
    let form = [
        ("csrf", csrf.as_str()),
        ("matchers", "alertname=x"),
        ("seen", "alertname=x"),
        ("lasts", "1h"),
        ("by", "ada"),
        ("comment", "trying"),
        ("do", "silence"),
    ];
    for (field, told) in [("by", "Write who makes it"), ("comment", "Write why")] {
        let blank = form.map(|(name, value)| (name, if name == field { " " } else { value }));
        let answer = visitor.post("/silences/new", &blank, HeaderMap::new()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.text().await.unwrap().contains(told), "{field}");
    }
    let answer = visitor.post("/silences/new", &form, HeaderMap::new()).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let silences = app.app().store.silences().await.unwrap().silences;
    assert_eq!((silences.len(), silences[0].created_by.as_str()), (1, "ada"));
    let expire = format!("/silences/{}/expire", silences[0].id);
    for done in ["expired", "nothing"] {
        let answer = visitor.post(&expire, &[("csrf", &csrf)], HeaderMap::new()).await;
        let to = answer.headers()[LOCATION].to_str().unwrap().to_owned();
        assert_eq!(to, format!("/silences?done={done}"));
    }
    // As over the API: one entry for each change, with the matchers, and none for what changed nothing.
    let filter = AuditFilter { limit: 9, ..AuditFilter::default() };
    let audit = app.app().store.audit(filter).await.unwrap();
    let noted: Vec<_> = audit
        .iter()
        .map(|one| [&*one.entry.action, &*one.entry.subject, &*one.entry.detail])
        .collect();
    let (id, matcher) = (silences[0].id.as_str(), "alertname=\"x\"");
    assert_eq!(noted, [["silence.expire", id, matcher], ["silence.create", id, matcher]]);
    // A name that may be anybody's leads to no page: the answer could be read by a page of that name.
    let url = format!("http://{}/", app.app().private_addr);
    let rebound = visitor.client.get(url).header("host", "evil.example").send().await.unwrap();
    assert_eq!(rebound.status(), StatusCode::FORBIDDEN);
    app.stop().await;
}

#[tokio::test]
async fn the_value_of_an_alert_is_drawn_on_a_page_of_its_own_and_who_refuses_is_not_reached() {
    let filled = Filled::start().await;
    let mut visitor = Visitor::new(&filled.app);
    visitor.sign_in(READ_TOKEN).await;
    let alert = format!("/alerts/{}", filled.facts["alert"].as_str().unwrap());
    let page = visitor.get(&alert).await.text().await.unwrap().replace("&#x2f;", "/");
    assert!(page.contains(&format!("href=\"{alert}/value\"")) && !page.contains("<figure"));
    let page = visitor.get(&format!("{alert}/value")).await.text().await.unwrap();
    assert!(page.contains("<figure") && page.contains("fires above 20"), "{page}");
    assert_eq!(visitor.get("/alerts/0000000000000000/value").await.status(), StatusCode::NOT_FOUND);

    // `noc` answers 400 to all.
    for path in ["/", "/receivers"] {
        let page = visitor.get(path).await.text().await.unwrap();
        assert!(page.contains("not reached, 1 dead"), "{path}: {page}");
    }
    filled.stop().await;
}

#[tokio::test]
async fn spend_can_be_taken_along_as_csv() {
    let filled = Filled::start().await;
    let mut visitor = Visitor::new(&filled.app);
    visitor.sign_in(READ_TOKEN).await;
    let answer = visitor.get("/spend.csv?days=1&by=product").await;
    assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8");
    let text = answer.text().await.unwrap();
    assert_eq!(
        text,
        "day,account,currency,group,charges,amount\r\n2026-11-30,default,USD,voice,25,22.75\r\n"
    );
    filled.stop().await;
}
