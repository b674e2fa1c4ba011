//! Timelines: what happens at which time of the day, and what then reaches a peer of each kind.
//!
//! Each runs twice for each kind of receiver, the second time with a crash before every look; both must give the same.

mod deadlines;
mod peers;
mod refusals;

use super::*;
use crate::alerts::{Matcher, Reason, Silence};

const KINDS: [&str; 4] = ["email", "slack", "pagerduty", "alertmanager"];

/// What of a configuration a timeline may change.
#[derive(Debug, Clone, Copy)]
struct Setup {
    wait: &'static str,
    interval: &'static str,
    repeat: &'static str,
    group_by: &'static str,
    /// Muted from 20:00 to 08:00.
    night: bool,
    send_resolved: bool,
    /// Further labels of the rule `A`.
    labels: &'static str,
    has_rule: bool,
    /// Whether the route leads to the receiver.
    routed: bool,
    expires: &'static str,
}

const SETUP: Setup = Setup {
    wait: "30s",
    interval: "5m",
    repeat: "12h",
    group_by: "[alertname]",
    night: false,
    send_resolved: true,
    labels: "{}",
    has_rule: true,
    routed: true,
    expires: "3d",
};
const DAILY: Setup = Setup { interval: "1d", repeat: "2d", night: true, ..SETUP };

impl Setup {
    fn policy(&self, kind: &str) -> Policy {
        let resolved = self.send_resolved;
        let integration = match kind {
            "email" => format!(
                "email_configs: [{{to: [x@example.com], from: t@example.com, smarthost: 'localhost:25', send_resolved: {resolved}}}]"
            ),
            "slack" => format!(
                "slack_configs: [{{api_url: 'http://127.0.0.1:9/s', send_resolved: {resolved}}}]"
            ),
            "pagerduty" => {
                format!("pagerduty_configs: [{{routing_key: abc, send_resolved: {resolved}}}]")
            }
            _ => format!(
                "alertmanager_configs: [{{url: 'https://example.com', send_resolved: {resolved}}}]"
            ),
        };
        let mute = if self.night { ", mute_time_intervals: [night]" } else { "" };
        let matcher = if self.routed { "alertname=A" } else { "alertname=nobody" };
        let sections = format!(
            "route: {{receiver: nobody, routes: [{{name: it, matchers: [{matcher}], receiver: it, group_by: {}, \
             group_wait: {}, group_interval: {}, repeat_interval: {}{mute}}}]}}\n\
             inhibit_rules: [{{source_matchers: [alertname=B], target_matchers: [alertname=A], equal: [who]}}]\n\
             time_intervals: [{{name: night, time_intervals: [{{times: [{{start_time: '20:00', end_time: '24:00'}}, \
             {{start_time: '00:00', end_time: '08:00'}}]}}]}}]\n\
             receivers:\n- {{name: nobody}}\n- {{name: it, {integration}}}\n",
            self.group_by, self.wait, self.interval, self.repeat,
        );
        let rule = format!(
            "  - {{alert: A, on: [call.hangup], by: {{who: payload.who}}, active_for: {}, labels: {}, \
             resolve_on: {{on: [call.answered]}}}}\n",
            self.expires, self.labels
        );
        let rule = if self.has_rule { rule } else { String::new() };
        let source = "  - {alert: B, on: [message.received], by: {who: payload.who}, active_for: 3d, \
                      resolve_on: {on: [message.sent]}}\n";
        policy(&format!("{rule}{source}"), &sections)
    }
}

/// `09:30`, `09:30:15`, `+1 09:30`: a time of the first day, or so many days later.
fn time(text: &str) -> Timestamp {
    let (days, clock) = match text.strip_prefix('+') {
        Some(rest) => {
            rest.split_once(' ').map(|(days, clock)| (days.parse().expect("days"), clock))
        }
        None => Some((0_i64, text)),
    }
    .expect("a time");
    let mut parts = clock.split(':').map(|part| part.parse::<i64>().expect("a number"));
    let (hours, minutes) = (parts.next().expect("hours"), parts.next().expect("minutes"));
    let seconds = parts.next().unwrap_or(0);
    at((((days * 24 + hours - 8) * 60 + minutes) * 60 + seconds) * 1_000)
}

fn shown(at: Timestamp) -> String {
    let seconds = at.as_second() - START + 8 * 3_600;
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60);
    if day == 0 { clock } else { format!("+{day} {clock}") }
}

struct Runner {
    kind: &'static str,
    policies: Vec<Policy>,
    policy: usize,
    answer: Answer,
    crashes: bool,
    world: World,
    seq: i64,
}

impl Runner {
    fn policy(&self) -> &Policy {
        &self.policies[self.policy]
    }

    fn look(&mut self, now: Timestamp) {
        if self.crashes {
            self.world.crash();
        }
        let (policy, answer) = (&self.policies[self.policy], self.answer);
        self.world.pass(policy, now);
        self.world.send(policy, now, &mut |_| Some(answer));
    }

    fn live(&mut self, until: Timestamp) {
        while let Some(next) = self.world.next().filter(|next| *next <= until) {
            self.look(next.max(self.world.now));
        }
        self.look(until);
    }

    fn feed(&mut self, kind: &str, who: &str, ago: i64) {
        self.seq += 1;
        let now = self.world.now;
        let mut stored = of(self.seq, kind, now, who);
        stored.event.occurred_at = Some(now - jiff::SignedDuration::from_secs(ago));
        let policy = &self.policies[self.policy];
        self.world.step(policy, &[&stored], now);
        self.look(now);
    }

    /// `fire WHO`, `end WHO`, `oneshot WHO`, `inhibit WHO`, `uninhibit WHO`, `silence WHO UNTIL`, `unsilence`,
    /// `answer ANSWER`, `setup N`, `crash`, `done`.
    fn act(&mut self, line: &str) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let now = self.world.now;
        match verb {
            "fire" => self.feed("call.hangup", rest, 0),
            "end" => self.feed("call.answered", rest, 0),
            "oneshot" => self.feed("call.hangup", rest, 10 * 86_400),
            "inhibit" => self.feed("message.received", rest, 0),
            "uninhibit" => self.feed("message.sent", rest, 0),
            "silence" => {
                let (who, until) = rest.split_once(' ').expect("until when");
                let silences = &mut self.world.disk.silences;
                silences.version += 1;
                silences.silences.push(Silence {
                    id: format!("s-{}", silences.version),
                    matchers: vec![Matcher::parse(&format!("who={who}")).expect("parses")],
                    starts_at: now,
                    ends_at: time(until),
                    created_by: "me".to_owned(),
                    comment: "test".to_owned(),
                    created_at: now,
                    updated_at: now,
                });
            }
            "unsilence" => {
                let silences = &mut self.world.disk.silences;
                silences.version += 1;
                silences.silences.clear();
            }
            "answer" => {
                self.answer = match rest {
                    "taken" => Answer::Taken,
                    "refused" => Answer::Refused,
                    "rejected" => Answer::Rejected,
                    "arrives" => Answer::TakenUnanswered,
                    "lost" => Answer::Lost,
                    other => panic!("{other}"),
                };
            }
            "setup" => self.policy = rest.parse().expect("a number"),
            "crash" => self.world.crash(),
            "done" => {}
            other => panic!("{other}"),
        }
        self.look(now);
    }

    /// What arrived: the time, what fires, what ended; `again` where an incident is resolved before.
    fn lines(&self) -> Vec<String> {
        let line = |arrived: &Arrived| {
            let message = &arrived.message;
            let ended = whos(arrived, Status::Resolved);
            let ended = ended.into_iter().map(|who| format!("-{who}"));
            let mut words: Vec<String> =
                whos(arrived, Status::Firing).into_iter().map(str::to_owned).chain(ended).collect();
            if message.reopens {
                words.insert(0, "again".to_owned());
            }
            if message.reason == Reason::Repeat {
                words.insert(0, "repeat".to_owned());
            }
            if self.kind == "pagerduty" && message.reason == Reason::AllResolved {
                words.insert(0, "resolve".to_owned());
            }
            format!("{} {}", shown(arrived.at), words.join(" "))
        };
        self.world.arrived.iter().map(line).collect()
    }
}

fn run(kind: &'static str, setups: &[Setup], script: &[&str], crashes: bool) -> Vec<String> {
    let policies: Vec<Policy> = setups.iter().map(|setup| setup.policy(kind)).collect();
    let mut world = World::new(&policies[0]);
    world.peers_are_well = false;
    let answer = Answer::Taken;
    let mut runner = Runner { kind, policies, policy: 0, answer, crashes, world, seq: 0 };
    for line in script {
        let (when, what) = line.split_once(" - ").expect("TIME - WHAT");
        runner.live(time(when));
        runner.act(what);
    }
    runner.policy();
    let open: Vec<_> = runner.world.disk.outbox.iter().filter(|kept| kept.is_open()).collect();
    assert!(open.is_empty(), "{open:#?}");
    runner.lines()
}

/// A name, the configurations, what happens, and what arrives: for all kinds, or for those that are named before `|`.
type Timeline<'t> = (&'t str, &'t [Setup], &'t [&'t str], &'t [&'t str]);

fn check(timelines: &[Timeline<'_>]) {
    let mut wrong = Vec::new();
    for (name, setups, script, want) in timelines {
        for kind in KINDS {
            let of_kind = |line: &&&str| {
                line.split_once('|')
                    .is_none_or(|(kinds, _)| kinds.split(' ').any(|one| one == kind))
            };
            let want: Vec<String> = want
                .iter()
                .filter(of_kind)
                .map(|line| line.split_once('|').map_or(*line, |(_, rest)| rest).to_owned())
                .collect();
            for crashes in [false, true] {
                let got = run(kind, setups, script, crashes);
                if got != want {
                    wrong.push(format!(
                        "{name}, {kind}, crashes {crashes}:\n want {want:#?}\n got {got:#?}"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
