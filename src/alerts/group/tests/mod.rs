mod telling;
mod quiet;
mod bounds;
mod random;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::alerts::{InhibitRule, Inhibitor, MatchOp, Matcher};

const TIMING: Timing = Timing {
    group_wait: Duration::from_secs(30),
    group_interval: Duration::from_mins(5),
    repeat_interval: Duration::from_hours(1),
};

/// Seconds after the start of a timeline.
fn at(seconds: u32) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + i64::from(seconds)).expect("in range")
}

fn alert(name: &str, state: AlertState, starts_at: Timestamp) -> Alert {
    let labels: Labels = [("alertname".to_owned(), name.to_owned())].into();
    Alert {
        fingerprint: Fingerprint::of(&labels),
        rule: format!("g/{name}"),
        labels,
        annotations: Labels::new(),
        state,
        starts_at,
        ends_at: None,
        updated_at: starts_at,
        event_at: None,
        missed: false,
        value: None,
        notify_expired: false,
        event: Value::Null,
    }
}

#[derive(Debug, Clone)]
enum Act {
    Fire(String),
    End(String, AlertState),
    /// Ends by time, and that is told.
    ExpireLoud(String),
    /// Is over before it began.
    OneShot(String),
    Join(&'static str, bool),
    Leave(&'static str),
}

/// What is quiet in `[from, to)`.
#[derive(Debug, Clone)]
enum Quiet {
    Silence(String),
    /// The second while the first fires.
    Inhibit(String, String),
    Mute,
}

/// What was told: when, by whom, why, what fires, what ended.
#[derive(Debug, Clone, PartialEq)]
struct Heard {
    at: u32,
    integration: String,
    reason: Reason,
    firing: Vec<String>,
    ended: Vec<String>,
    causes: Vec<i64>,
    /// Which group, as one that is over is forgotten.
    life: u32,
}

/// The engine's part, on simulated time.
struct Sim {
    timing: Timing,
    group: Option<Group>,
    lives: u32,
    alerts: BTreeMap<Fingerprint, Alert>,
    tellers: Vec<(&'static str, bool)>,
    quiet: Vec<(u32, u32, Quiet)>,
    events: i64,
    heard: Vec<Heard>,
    quieted: Vec<(u32, String, &'static str)>,
    /// When what is withdrawn from whom, and whether its end may be told.
    withdrawn: Vec<(u32, String, bool)>,
    /// Whether the group goes through its kept form at each second.
    reloads: bool,
}

impl Sim {
    fn new(timing: Timing, tellers: &[(&'static str, bool)]) -> Self {
        Self {
            timing,
            group: None,
            lives: 0,
            alerts: BTreeMap::new(),
            tellers: tellers.to_vec(),
            quiet: vec![],
            events: 0,
            heard: vec![],
            quieted: vec![],
            withdrawn: vec![],
            reloads: false,
        }
    }

    fn act(&mut self, second: u32, act: &Act) {
        let now = at(second);
        let changed = match act {
            Act::Fire(name) => {
                let new = alert(name, AlertState::Firing, now);
                let known = self.alerts.get(&new.fingerprint);
                let starts_at = known.map_or(now, |known| known.starts_at);
                Some(Alert { starts_at, ..new })
            }
            Act::End(name, state) => self.ended(name, *state),
            Act::ExpireLoud(name) => self
                .ended(name, AlertState::Expired)
                .map(|alert| Alert { notify_expired: true, ..alert }),
            Act::OneShot(name) => {
                let new = alert(name, AlertState::Expired, now);
                Some(new).filter(|new| !self.alerts.contains_key(&new.fingerprint))
            }
            Act::Join(id, send_resolved) => {
                self.tellers.push((id, *send_resolved));
                None
            }
            Act::Leave(id) => {
                self.tellers.retain(|(other, _)| other != id);
                None
            }
        };
        let timing = self.timing;
        let Some(changed) = changed else {
            if let Some(group) = &mut self.group {
                group.recheck(&timing, now);
            }
            return;
        };
        if changed.is_firing() {
            self.alerts.insert(changed.fingerprint.clone(), changed.clone());
        } else {
            self.alerts.remove(&changed.fingerprint);
        }
        self.events += 1;
        let lives = &mut self.lives;
        let group = self.group.get_or_insert_with(|| {
            *lives += 1;
            Group::new("k".to_owned(), "r".to_owned(), Labels::new(), now)
        });
        assert_eq!(group.note(&changed, Some(self.events), &timing, now), 0);
        self.group.take_if(|group| group.is_over());
    }

    fn ended(&self, name: &str, state: AlertState) -> Option<Alert> {
        let known = self.alerts.get(&alert(name, state, at(0)).fingerprint)?;
        Some(Alert { state, ..known.clone() })
    }

    fn muted(&self, second: u32) -> Option<Suppression> {
        self.holds(second)
            .any(|quiet| matches!(quiet, Quiet::Mute))
            .then(|| Suppression::Muted("night".to_owned()))
    }

    fn holds(&self, second: u32) -> impl Iterator<Item = &Quiet> {
        self.quiet
            .iter()
            .filter(move |(from, to, _)| (*from..*to).contains(&second))
            .map(|(_, _, quiet)| quiet)
    }

    fn suppressed(&self, second: u32, alert: &Alert) -> Option<Suppression> {
        let is = |name: &str| Matcher::new("alertname", MatchOp::Equal, name.to_owned()).unwrap();
        let rules: Vec<InhibitRule> = self
            .holds(second)
            .filter_map(|quiet| match quiet {
                Quiet::Inhibit(source, target) => Some(InhibitRule {
                    source_matchers: vec![is(source)],
                    target_matchers: vec![is(target)],
                    equal: vec![],
                }),
                Quiet::Silence(_) | Quiet::Mute => None,
            })
            .collect();
        Inhibitor::new(&rules, self.alerts.values())
            .inhibited_by(alert)
            .map(Suppression::Inhibited)
            .or_else(|| {
                self.holds(second)
                    .any(|quiet| matches!(quiet, Quiet::Silence(name) if *name == name_of(alert)))
                    .then(|| Suppression::Silenced("s".to_owned()))
            })
    }

    fn tellable(&self, second: u32, alert: &Alert) -> bool {
        self.muted(second).is_none() && self.suppressed(second, alert).is_none()
    }

    /// Flushes while a flush is due at this second; returns how often.
    fn settle(&mut self, second: u32) -> usize {
        let mut flushes = 0;
        loop {
            if self.reloads {
                let text = serde_json::to_string(&self.group).unwrap();
                self.group = serde_json::from_str(&text).unwrap();
            }
            let Some(mut group) = self.group.take() else { return flushes };
            if group.deadline(&self.timing).is_none_or(|due| due > at(second)) {
                self.group = Some(group);
                return flushes;
            }
            flushes += 1;
            let tellers: Vec<Teller<'_>> = self
                .tellers
                .iter()
                .map(|(id, send_resolved)| Teller {
                    id,
                    send_resolved: *send_resolved,
                    every: None,
                })
                .collect();
            let flushed = group.flush(
                &self.timing,
                &tellers,
                &|fingerprint| self.alerts.get(fingerprint),
                &|alert| self.suppressed(second, alert),
                self.muted(second).as_ref(),
                at(second),
            );
            for (fingerprint, why) in flushed.suppressed {
                let name = ["a", "b", "c", "d"]
                    .into_iter()
                    .find(|name| alert(name, AlertState::Firing, at(0)).fingerprint == fingerprint)
                    .expect("a known alert");
                self.quieted.push((second, name.to_owned(), why.as_str()));
            }
            for one in flushed.withdrawn {
                self.withdrawn.push((second, one.integration, one.ended.is_some()));
            }
            for notice in flushed.notices {
                assert!(!notice.alerts.is_empty());
                assert!(notice.alerts.is_sorted_by_key(|alert| (
                    !alert.is_firing(),
                    alert.starts_at,
                    alert.fingerprint.clone()
                )));
                assert!(notice.alerts.iter().all(|alert| self.suppressed(second, alert).is_none()));
                assert!(self.muted(second).is_none());
                let names = |firing| {
                    let alerts = notice.alerts.iter().filter(move |a| a.is_firing() == firing);
                    alerts.map(name_of).collect::<Vec<_>>()
                };
                let (mut firing, mut ended) = (names(true), names(false));
                firing.sort();
                ended.sort();
                self.heard.push(Heard {
                    at: second,
                    integration: notice.integration,
                    reason: notice.reason,
                    firing,
                    ended,
                    causes: notice.causes,
                    life: self.lives,
                });
            }
            self.group = Some(group).filter(|group| !group.is_over());
            assert!(flushes < 4, "spins at {second}");
        }
    }
}

fn name_of(alert: &Alert) -> String {
    alert.labels["alertname"].clone()
}

/// Runs a timeline and writes down what was told, one line per notice: `30 mail first: a b -c`.
///
/// Lines: `T fire|resolve|expire|expire_loud|nodata|remove|oneshot NAME`, `T join ID`, `T join_firing ID` (without ends),
/// `T leave ID`, `T..T silence NAME`, `T..T inhibit TARGET by SOURCE`, `T..T mute`, `T end`.
fn run(tellers: &[(&'static str, bool)], script: &[&str]) -> Sim {
    let mut sim = Sim::new(TIMING, tellers);
    let mut acts: Vec<(u32, Act)> = vec![];
    let mut end = 0;
    for line in script {
        let words: Vec<&str> = line.split(' ').collect();
        let name = words.get(2).copied().unwrap_or_default().to_owned();
        let time = |text: &str| text.parse::<u32>().expect("seconds");
        if let Some((from, to)) = words[0].split_once("..") {
            let quiet = match words[1] {
                "silence" => Quiet::Silence(name),
                "inhibit" => Quiet::Inhibit(words[4].to_owned(), name),
                "mute" => Quiet::Mute,
                other => panic!("{other}"),
            };
            sim.quiet.push((time(from), time(to), quiet));
            continue;
        }
        let id = if name == "page" { "page" } else { "mail" };
        let act = match words[1] {
            "fire" => Act::Fire(name),
            "resolve" => Act::End(name, AlertState::Resolved),
            "expire" => Act::End(name, AlertState::Expired),
            "nodata" => Act::End(name, AlertState::NoData),
            "remove" => Act::End(name, AlertState::RuleRemoved),
            "expire_loud" => Act::ExpireLoud(name),
            "oneshot" => Act::OneShot(name),
            "join" => Act::Join(id, true),
            "join_firing" => Act::Join(id, false),
            "leave" => Act::Leave(id),
            "end" => {
                end = time(words[0]);
                continue;
            }
            other => panic!("{other}"),
        };
        acts.push((time(words[0]), act));
    }
    for second in 0..=end {
        for (_, act) in acts.iter().filter(|(time, _)| *time == second) {
            sim.act(second, act);
        }
        sim.settle(second);
    }
    sim
}

fn lines(sim: &Sim) -> Vec<String> {
    sim.heard
        .iter()
        .map(|heard| {
            let reason = match heard.reason {
                Reason::First => "first",
                Reason::NewAlerts => "new",
                Reason::SomeResolved => "some",
                Reason::AllResolved => "all",
                Reason::Repeat => "repeat",
            };
            let ended = heard.ended.iter().map(|name| format!("-{name}"));
            let names: Vec<String> = heard.firing.iter().cloned().chain(ended).collect();
            format!("{} {} {reason}: {}", heard.at, heard.integration, names.join(" "))
        })
        .collect()
}

/// What a timeline does, and what is told.
type Case = (&'static str, &'static [&'static str], &'static [&'static str]);

const MAIL: (&str, bool) = ("mail", true);
/// Does not want ends.
const PAGE: (&str, bool) = ("page", false);

fn check(tellers: &[(&'static str, bool)], cases: &[Case]) {
    for (name, script, want) in cases {
        assert_eq!(lines(&run(tellers, script)), *want, "{name}: {script:#?}");
    }
}
