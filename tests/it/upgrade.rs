//! From a database of the release that noted what was queued: nobody who was told is told again, whoever is owed hears.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::dispatch::receiver;
use crate::support::app::{Setup, TestApp};
use crate::support::http::{HttpSink, Reply, Request};
use crate::support::smtp::SmtpSink;
use crate::support::telnyx;

/// Made by `tests/fixtures/store-v3.py`, which tells the story of each team.
const DUMP: &str = include_str!("../fixtures/store-v3.sql");

const RULES: &str = r#"
groups:
- name: g
  rules:
  - alert: X
    on: [call.hangup]
    by: {name: payload.name, team: payload.team}
    active_for: 1d
    resolve_on: {on: [call.answered]}
    annotations: {summary: "{{ labels.name }} of {{ labels.team }}"}
"#;

/// The teams that a webhook hears of.
const HOOKS: [&str; 11] =
    ["wait", "cut", "lost", "over", "queue", "ended", "muted", "many", "quiet", "back", "back2"];
const PAGES: [&str; 3] = ["pages", "cutpages", "left"];

/// The routes and receivers of then; the peers are ours. `mute` is the key that mutes a team.
fn setup(sink: &HttpSink, mail: &SmtpSink, mute: &str) -> Setup {
    let teams = HOOKS.iter().chain(&PAGES).chain(&["mail", "am"]);
    let routes = teams.map(|team| {
        let mute = if *team == "muted" { mute } else { "" };
        format!("    - {{matchers: [team={team}], receiver: {team}{mute}}}\n")
    });
    let hook = |name: &str| {
        format!("webhook_configs: [{{name: {name}, url: \"{}\"}}]", sink.url(&format!("/{name}")))
    };
    let of_webhook = HOOKS.iter().chain(&["spare", "spare2"]).map(|name| match *name {
        "back" | "back2" => {
            let fallback = format!("fallback: {}", name.replace("back", "spare"));
            receiver(name, &[&fallback, "fallback_after: 1s", &hook(name)])
        }
        name => receiver(name, &[&hook(name)]),
    });
    let of_pagerduty = PAGES.iter().map(|name| {
        let url = sink.url(&format!("/{name}"));
        let key = "0123456789abcdef0123456789abcdef";
        receiver(
            name,
            &[&format!(
                "pagerduty_configs: [{{name: {name}, url: \"{url}\", routing_key: \"{key}\"}}]"
            )],
        )
    });
    let mails = format!(
        "email_configs: [{{name: mail, to: [a@example.com, b@example.com], from: t@example.com, tls: none, \
         smarthost: \"{}\", hello: t.test}}]",
        mail.smarthost()
    );
    let am = format!("alertmanager_configs: [{{name: am, url: \"{}\"}}]", sink.url("/am"));
    let receivers: String = of_webhook
        .chain(of_pagerduty)
        .chain([receiver("mail", &[&mails]), receiver("am", &[&am])])
        .collect();
    let moment = DUMP.lines().nth(1).and_then(|line| line.strip_prefix("-- ")).unwrap();
    let moment = Timestamp::from_microsecond(moment.parse().unwrap()).unwrap();
    Setup::new(format!(
        "route:\n  receiver: quiet\n  group_by: [team]\n  group_wait: 0s\n  group_interval: 1s\n  \
         repeat_interval: 1d\n  routes:\n{}\
         time_intervals: [{{name: always, time_intervals: [{{times: [{{start_time: '00:00', end_time: '24:00'}}]}}]}}]\n\
         receivers:\n{receivers}",
        routes.collect::<String>(),
    ))
    .rules(RULES)
    .store("  payload: full\n")
    // By then every retry is due.
    .begins(&(moment + Duration::from_mins(11)).to_string())
}

/// Reason, names that fire, names that ended.
fn said(request: &Request) -> [String; 3] {
    let json = request.json();
    let names = |status: &str| {
        let alerts = json["alerts"].as_array().unwrap().iter();
        let of_status = alerts.filter(|alert| alert["status"] == status);
        let names: BTreeSet<&str> =
            of_status.map(|alert| alert["labels"]["name"].as_str().unwrap()).collect();
        names.into_iter().collect::<Vec<_>>().join(" ")
    };
    let reason = json["notification_reason"].as_str().unwrap().to_owned();
    [reason, names("firing"), names("resolved")]
}

/// Moves the clock on in seconds, so that all that is due by then happens.
async fn pass(app: &TestApp, seconds: u64) {
    for _ in 0..seconds {
        app.pass(Duration::from_secs(1)).await;
    }
}

async fn end(app: &TestApp, name: &str, team: &str) {
    let payload = json!({"name": name, "team": team});
    let body = telnyx::event(&format!("end-{name}"), "call.answered", app.clock.now(), &payload);
    assert_eq!(app.deliver(body).await, 200);
    pass(app, 3).await;
}

#[tokio::test]
async fn who_was_told_is_not_told_again_and_who_is_owed_hears() {
    let (sink, mail) = (HttpSink::start().await, SmtpSink::start().await);
    for path in PAGES {
        sink.always(&format!("/{path}"), Reply::status(202).body(r#"{"status": "success"}"#));
    }
    let muted = ", mute_time_intervals: [always]";
    let mut app = setup(&sink, &mail, muted).start_on(DUMP).await;
    pass(&app, 5).await;

    let heard = |path: &str| sink.requests(path).iter().map(said).collect::<Vec<_>>();
    let first = |names: &str| vec![["first notification", names, ""].map(str::to_owned)];
    for (path, want, why) in [
        ("/wait", first("wait1 wait2"), "two waited: one says it all"),
        ("/cut", first("cut1"), "it was being sent"),
        ("/lost", first("lost1"), "its delivery was dead, and it fires"),
        ("/quiet", first("quiet1"), "it was queued, and withheld"),
        ("/back", first("back1"), "its fallback was notified, it was not"),
        (
            "/queue",
            vec![["new alerts added", "queue1 queue2", ""].map(str::to_owned)],
            "one was told",
        ),
        (
            "/ended",
            vec![["all alerts resolved", "", "ended1"].map(str::to_owned)],
            "the end was queued",
        ),
        ("/over", vec![], "its delivery was dead, and it is over"),
        ("/muted", vec![], "its route is muted"),
        ("/many", vec![], "it was told, some of them by their number only"),
        ("/spare", vec![], "it was told"),
    ] {
        assert_eq!(heard(path), want, "{path}: {why}");
    }
    assert!(heard("/spare2").len() <= 1, "its original is well now: {:?}", heard("/spare2"));
    assert_eq!(heard("/back2"), first("back21"));
    // What was cut off goes out again as what it was.
    let id = DUMP.lines().find(|line| line.contains("'cut/webhook/cut'")).unwrap();
    let id = id.split("VALUES (").nth(1).unwrap().split('\'').nth(1).unwrap();
    assert_eq!(sink.one("/cut").header("idempotency-key"), Some(id));
    let recipients: Vec<Vec<String>> = mail.mails().iter().map(|mail| mail.to.clone()).collect();
    assert_eq!(recipients, [["b@example.com"]]);

    let actions = |path: &str| {
        let of = |request: Request| request.json()["event_action"].as_str().unwrap().to_owned();
        sink.requests(path).into_iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(actions("/pages"), [""; 0], "it was told");
    assert_eq!(actions("/left"), ["resolve"], "its alert ended while it was silenced");
    assert_eq!(actions("/cutpages"), ["trigger"], "it was being sent");
    assert_eq!(sink.requests("/am/api/v2/alerts").len(), 0, "it was told, and refreshed not yet");

    // The ends come to whom they are owed.
    let unsaid = unsaid_of_many();
    for (name, team) in
        [("pages1", "pages"), ("cutpages1", "cutpages"), ("back1", "back"), (&*unsaid, "many")]
    {
        end(&app, name, team).await;
    }
    assert_eq!(actions("/pages"), ["resolve"]);
    assert_eq!(actions("/cutpages"), ["trigger", "resolve"]);
    for path in ["/back", "/spare"] {
        let last = heard(path).pop().unwrap();
        assert_eq!(last, ["all alerts resolved", "", "back1"], "{path}");
    }
    let [reason, _, ended] = heard("/many").pop().unwrap();
    assert_eq!((reason.as_str(), ended), ("some alerts resolved", unsaid));

    // A mute ends, and once more nobody hears twice.
    app.restart(Some(setup(&sink, &mail, ""))).await;
    pass(&app, 5).await;
    assert_eq!(heard("/muted"), first("muted1"));
    let counts =
        ["/wait", "/cut", "/lost", "/queue", "/ended", "/quiet"].map(|path| heard(path).len());
    assert_eq!(counts, [1; 6]);
    app.stop().await;
}

/// An alert of the large group that no message named.
fn unsaid_of_many() -> String {
    let of = |table: &str| {
        let start = format!("INSERT INTO {table} ");
        DUMP.lines().filter(move |line| line.starts_with(&start)).map(str::to_owned)
    };
    let said: String = of("deliveries").collect();
    let names = of("alerts").filter(|line| line.contains("\"team\":\"many\"")).filter_map(|line| {
        let json = line.split("CAST('").nth(1)?.split("' AS BLOB)").next()?.to_owned();
        let alert: Value = serde_json::from_str(&json).ok()?;
        Some(alert["labels"]["name"].as_str()?.to_owned())
    });
    names.into_iter().find(|name| !said.contains(&format!("\"{name}\""))).unwrap()
}
