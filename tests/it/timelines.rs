//! When groups are told: Alertmanager's documented behaviours, each as a story, and where tollbell departs from them.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::json;
use tollbell::alerts::{Matcher, Silence};
use tollbell::clock;

use crate::dispatch::receiver;
use crate::support::app::Setup;
use crate::support::http::{HttpSink, Request};
use crate::support::telnyx;

/// Time between two looks at the peer.
const STEP: u64 = 10;

const RULES: &str = "
groups:
- name: g
  rules:
  - alert: X
    on: [call.hangup]
    by: {name: payload.name, team: payload.team}
    active_for: 1d
    resolve_on: {on: [call.answered]}
";

/// What happens, in seconds since the beginning.
enum Act {
    /// An alert of a name and a team begins.
    Fire(&'static str, &'static str),
    /// It ends.
    End(&'static str, &'static str),
    /// A silence by a matcher, until then.
    Silence(&'static str, u64),
}
use Act::{End, Fire, Silence as Quiet};

/// A story.
struct Timeline {
    name: &'static str,
    begins: &'static str,
    /// Keys of the root route, its children, and further sections.
    route: &'static str,
    acts: &'static [(u64, Act)],
    /// What is told: path; not before; not after; reason; names that fire; names that ended.
    want: &'static [(&'static str, u64, u64, &'static str, &'static str, &'static str)],
    until: u64,
}

const FIRST: &str = "first notification";
const NEW: &str = "new alerts added";
const SOME: &str = "some alerts resolved";
const ALL: &str = "all alerts resolved";
const REPEAT: &str = "repeat interval elapsed";

const NOON: &str = "2027-01-15T12:00:00Z";
const BY_TEAM: &str = "group_by: [team], group_wait: 30s, group_interval: 5m, repeat_interval: 20m";

#[rustfmt::skip]
const TIMELINES: &[Timeline] = &[
    Timeline {
        name: "alerts of one team are told together after group_wait, those of another by themselves",
        begins: NOON,
        route: BY_TEAM,
        acts: &[(0, Fire("a", "red")), (10, Fire("b", "red")), (20, Fire("c", "blue"))],
        want: &[("/ops", 30, 30, FIRST, "a b", ""), ("/ops", 50, 50, FIRST, "c", "")],
        until: 320,
    },
    Timeline {
        name: "what changes after the first notice waits for group_interval",
        begins: NOON,
        route: BY_TEAM,
        acts: &[(0, Fire("a", "red")), (40, Fire("b", "red")), (330, Fire("c", "red")), (350, End("a", "red"))],
        want: &[("/ops", 30, 30, FIRST, "a", ""), ("/ops", 330, 330, NEW, "a b", ""), ("/ops", 630, 630, NEW, "b c", "a")],
        until: 900,
    },
    Timeline {
        name: "ends are told at the next interval; an alert that is back by then never ended",
        begins: NOON,
        route: BY_TEAM,
        acts: &[
            (0, Fire("a", "red")), (0, Fire("b", "red")), (60, End("a", "red")), (100, End("b", "red")),
            (200, Fire("b", "red")), (400, End("b", "red")),
        ],
        want: &[("/ops", 30, 30, FIRST, "a b", ""), ("/ops", 330, 330, SOME, "b", "a"), ("/ops", 630, 630, ALL, "", "b")],
        until: 2_400,
    },
    Timeline {
        name: "a group that is over waits for group_wait again",
        begins: NOON,
        route: BY_TEAM,
        acts: &[(0, Fire("a", "red")), (60, End("a", "red")), (340, Fire("a", "red"))],
        want: &[("/ops", 30, 30, FIRST, "a", ""), ("/ops", 330, 330, ALL, "", "a"), ("/ops", 370, 370, FIRST, "a", "")],
        until: 600,
    },
    Timeline {
        name: "repeats count from the last notice, exactly",
        begins: NOON,
        route: "group_by: [team], group_wait: 0s, group_interval: 2m, repeat_interval: 7m",
        acts: &[(0, Fire("a", "red")), (130, Fire("b", "red"))],
        want: &[
            ("/ops", 0, 10, FIRST, "a", ""), ("/ops", 130, 140, NEW, "a b", ""), ("/ops", 550, 560, REPEAT, "a b", ""),
            ("/ops", 970, 980, REPEAT, "a b", ""), ("/ops", 1_390, 1_400, REPEAT, "a b", ""),
        ],
        until: 1_400,
    },
    Timeline {
        name: "an alert that ended before its first notice is told, as ended",
        begins: NOON,
        route: BY_TEAM,
        acts: &[(0, Fire("a", "red")), (10, End("a", "red"))],
        want: &[("/ops", 30, 30, FIRST, "", "a")],
        until: 1_000,
    },
    Timeline {
        name: "['...'] groups nothing",
        begins: NOON,
        route: "group_by: ['...'], group_wait: 30s",
        acts: &[(0, Fire("a", "red")), (0, Fire("b", "red"))],
        want: &[("/ops", 30, 30, FIRST, "a", ""), ("/ops", 30, 30, FIRST, "b", "")],
        until: 100,
    },
    Timeline {
        name: "continue asks the later siblings; without it the first that takes it has it alone",
        begins: NOON,
        route: "group_wait: 30s, routes: [
            {matchers: [team=red], receiver: one, continue: true},
            {matchers: [name=a], receiver: two, group_wait: 10s},
            {matchers: [name=a], receiver: three}]",
        acts: &[(0, Fire("a", "red")), (0, Fire("a", "blue")), (0, Fire("b", "green"))],
        want: &[
            ("/two", 10, 10, FIRST, "a a", ""), ("/one", 30, 30, FIRST, "a", ""), ("/ops", 30, 30, FIRST, "b", ""),
        ],
        until: 100,
    },
    Timeline {
        name: "each integration has its own record: who wants no ends hears of none, and is not told again for them",
        begins: NOON,
        route: "group_wait: 10s, group_interval: 1m, repeat_interval: 1h, receiver: two-ways",
        acts: &[(0, Fire("a", "red")), (0, Fire("b", "red")), (20, End("a", "red")), (80, End("b", "red")), (200, Fire("c", "red"))],
        want: &[
            ("/all", 10, 10, FIRST, "a b", ""), ("/bad", 10, 10, FIRST, "a b", ""), ("/all", 70, 70, SOME, "b", "a"),
            ("/all", 130, 130, ALL, "", "b"), ("/all", 210, 210, FIRST, "c", ""), ("/bad", 210, 210, FIRST, "c", ""),
        ],
        until: 300,
    },
    Timeline {
        name: "a source that fires keeps its targets of the same team quiet until it ends",
        begins: NOON,
        route: "group_by: [name, team], group_wait: 30s, group_interval: 1m}
inhibit_rules: [{source_matchers: [name=down], target_matchers: ['name!=down'], equal: [team]}]
#",
        acts: &[
            (0, Fire("down", "red")), (10, Fire("slow", "red")), (10, Fire("slow", "blue")), (100, End("down", "red")),
        ],
        want: &[
            ("/ops", 30, 30, FIRST, "down", ""), ("/ops", 40, 40, FIRST, "slow", ""), ("/ops", 90, 150, ALL, "", "down"),
            ("/ops", 100, 110, FIRST, "slow", ""),
        ],
        until: 400,
    },
    Timeline {
        name: "what ended while it was inhibited is told to nobody",
        begins: NOON,
        route: "group_by: [name], group_wait: 30s, group_interval: 1m}
inhibit_rules: [{source_matchers: [name=down], target_matchers: [name=slow]}]
#",
        acts: &[(0, Fire("down", "red")), (0, Fire("slow", "red")), (50, End("slow", "red")), (120, End("down", "red"))],
        want: &[("/ops", 30, 30, FIRST, "down", ""), ("/ops", 120, 150, ALL, "", "down")],
        until: 400,
    },
    Timeline {
        name: "a silence begins in the middle of a group's wait, and ends",
        begins: NOON,
        route: "group_by: [team], group_wait: 30s, group_interval: 1m, repeat_interval: 1h",
        acts: &[(0, Fire("a", "red")), (10, Fire("b", "red")), (20, Quiet("name=a", 200))],
        want: &[("/ops", 40, 40, FIRST, "b", ""), ("/ops", 200, 210, NEW, "a b", "")],
        until: 400,
    },
    Timeline {
        name: "what ended while silenced is told to nobody; the others go on",
        begins: NOON,
        route: "group_by: [team], group_wait: 30s, group_interval: 1m, repeat_interval: 5m",
        acts: &[(0, Fire("a", "red")), (0, Fire("b", "red")), (40, Quiet("name=a", 300)), (100, End("a", "red"))],
        want: &[("/ops", 30, 30, FIRST, "a b", ""), ("/ops", 330, 330, REPEAT, "b", "")],
        until: 400,
    },
    Timeline {
        name: "the end of a mute is a deadline, however long group_interval is",
        begins: NOON,
        route: "group_by: [team], group_wait: 30s, group_interval: 1d, repeat_interval: 7d, routes: [{receiver: one, mute_time_intervals: [lunch]}]}
time_intervals: [{name: lunch, time_intervals: [{times: [{start_time: '12:01', end_time: '12:10'}]}]}]
#",
        acts: &[(0, Fire("a", "red")), (120, Fire("b", "blue")), (130, Fire("c", "green")), (140, End("c", "green"))],
        want: &[("/one", 30, 30, FIRST, "a", ""), ("/one", 600, 600, FIRST, "b", ""), ("/one", 600, 600, FIRST, "", "c")],
        until: 900,
    },
    Timeline {
        name: "so is the end of a silence",
        begins: NOON,
        route: "group_by: [name], group_wait: 30s, group_interval: 1d, repeat_interval: 7d",
        acts: &[(0, Quiet("team=red", 300)), (10, Fire("a", "red")), (10, Fire("b", "blue"))],
        want: &[("/ops", 40, 40, FIRST, "b", ""), ("/ops", 300, 300, FIRST, "a", "")],
        until: 600,
    },
    Timeline {
        name: "and that of an inhibition",
        begins: NOON,
        route: "group_by: [name], group_wait: 30s, group_interval: 1d, repeat_interval: 7d}
inhibit_rules: [{source_matchers: [name=down], target_matchers: [name=slow]}]
#",
        acts: &[(0, Fire("down", "red")), (10, Fire("slow", "red")), (300, End("down", "red"))],
        want: &[("/ops", 30, 30, FIRST, "down", ""), ("/ops", 300, 310, FIRST, "slow", "")],
        until: 600,
    },
    Timeline {
        // From 01:00 CST, 07:00 UTC; clocks go from 02:00 to 03:00; until 04:00 CDT, 09:00 UTC, not 10:00.
        name: "a mute from one to four lasts two hours where clocks are put forward",
        begins: "2027-03-14T08:50:00Z",
        route: "group_by: [team], group_wait: 30s, group_interval: 1m, routes: [{receiver: one, mute_time_intervals: [night]}]}
time_intervals: [{name: night, time_intervals: [{times: [{start_time: '01:00', end_time: '04:00'}], location: America/Chicago}]}]
#",
        acts: &[(0, Fire("a", "red")), (60, Fire("b", "red")), (120, End("b", "red"))],
        // What ended meanwhile is told, as ended.
        want: &[("/one", 600, 610, FIRST, "a", "b")],
        until: 700,
    },
    Timeline {
        // 01:00 to 02:00 comes twice: 06:00 to 08:00 UTC.
        name: "an hour that clocks show twice is active twice",
        begins: "2026-11-01T07:50:00Z",
        route: "group_by: [team], group_wait: 30s, group_interval: 1m, routes: [{receiver: one, active_time_intervals: [early]}]}
time_intervals: [{name: early, time_intervals: [{times: [{start_time: '01:00', end_time: '02:00'}], location: America/Chicago}]}]
#",
        acts: &[(0, Fire("a", "red")), (610, Fire("b", "blue")), (620, End("a", "red"))],
        want: &[("/one", 30, 30, FIRST, "a", "")],
        until: 900,
    },
];

/// Whom a story may tell, each at a path of its own.
fn receivers(sink: &HttpSink) -> String {
    let one = |name: &str| {
        receiver(
            name,
            &[&format!("webhook_configs: [{{url: \"{}\"}}]", sink.url(&format!("/{name}")))],
        )
    };
    let two_ways = format!(
        "webhook_configs: [{{url: \"{}\"}}, {{url: \"{}\", send_resolved: false}}]",
        sink.url("/all"),
        sink.url("/bad")
    );
    ["ops", "one", "two", "three"].map(one).concat() + &receiver("two-ways", &[&two_ways])
}

/// Path, reason, names that fire, names that ended.
fn said(request: &Request) -> [String; 4] {
    let json = request.json();
    let names = |status: &str| {
        let alerts = json["alerts"].as_array().unwrap().iter();
        let mut names: Vec<&str> = alerts
            .filter(|alert| alert["status"] == status)
            .map(|alert| alert["labels"]["name"].as_str().unwrap())
            .collect();
        names.sort_unstable();
        names.join(" ")
    };
    let reason = json["notification_reason"].as_str().unwrap().to_owned();
    [request.path.clone(), reason, names("firing"), names("resolved")]
}

fn silence(matcher: &str, now: Timestamp, until: Timestamp) -> Silence {
    Silence {
        id: "s-1".to_owned(),
        matchers: vec![Matcher::parse(matcher).unwrap()],
        starts_at: now,
        ends_at: until,
        created_by: "me".to_owned(),
        comment: "a test".to_owned(),
        created_at: now,
        updated_at: now,
    }
}

/// Lives the story; gives what the peer got, each with the second of the look that saw it first.
async fn live(story: &Timeline) -> Vec<(u64, [String; 4])> {
    let sink = HttpSink::start().await;
    // A route may end its braces itself, to add sections.
    let receiver = if story.route.contains("receiver: two-ways") { "" } else { "receiver: ops, " };
    let routing =
        format!("route: {{{receiver}{}\n}}\nreceivers:\n{}", story.route, receivers(&sink))
            .replace("\n#\n}", "");
    let app = Setup::new(routing)
        .rules(RULES)
        .store("  payload: full\n")
        .begins(story.begins)
        .start()
        .await;
    let began = app.clock.now();
    let mut heard = Vec::new();
    for now in (0..=story.until).step_by(usize::try_from(STEP).unwrap()) {
        app.pass(Duration::from_secs(if now == 0 { 0 } else { STEP })).await;
        let requests = sink.all_requests();
        heard.extend(requests[heard.len()..].iter().map(|request| (now, said(request))));
        for (n, (at, act)) in story.acts.iter().enumerate().filter(|(_, (at, _))| *at == now) {
            let at = clock::add(began, Duration::from_secs(*at));
            let (kind, name, team) = match act {
                Fire(name, team) => ("call.hangup", name, team),
                End(name, team) => ("call.answered", name, team),
                Quiet(matcher, until) => {
                    let until = clock::add(began, Duration::from_secs(*until));
                    app.app().store.put_silence(silence(matcher, at, until)).await.unwrap();
                    continue;
                }
            };
            let payload = json!({"name": name, "team": team});
            let body = telnyx::event(&format!("e-{n}"), kind, at, &payload);
            assert_eq!(app.deliver(body).await, 200);
        }
        app.settle().await;
    }
    app.stop().await;
    heard
}

#[tokio::test]
async fn groups_are_told_as_in_alertmanager() {
    // Side by side: most of each is waiting for the disk.
    let lived = join_all(TIMELINES.iter().map(live)).await;
    for (story, heard) in TIMELINES.iter().zip(lived) {
        let mut left = heard.clone();
        for (path, from, to, reason, firing, ended) in story.want {
            let want = [path, reason, firing, ended].map(|text| (*text).to_owned());
            let found =
                left.iter().position(|(at, said)| *said == want && (from..=to).contains(&at));
            let found = found.unwrap_or_else(|| {
                panic!("{}: no {want:?} between {from} and {to}: {heard:#?}", story.name)
            });
            left.remove(found);
        }
        assert!(left.is_empty(), "{}: too much: {left:#?}", story.name);
    }
}
