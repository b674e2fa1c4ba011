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

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_is_told_and_when() {
    check(
        &[MAIL],
        &[
            (
                "wait groups",
                &["0 fire a", "29 fire b", "31 fire c", "400 end"],
                &["30 mail first: a b", "330 mail new: a b c"],
            ),
            (
                "at the very step",
                &["0 fire a", "330 fire b", "700 end"],
                &["30 mail first: a", "330 mail new: a b"],
            ),
            (
                "the grid goes on in quiet times",
                &["0 fire a", "700 fire b", "931 fire c", "1300 end"],
                &["30 mail first: a", "930 mail new: a b", "1230 mail new: a b c"],
            ),
            (
                "repeats are exact",
                &["0 fire a", "700 fire b", "8500 end"],
                &[
                    "30 mail first: a",
                    "930 mail new: a b",
                    "4530 mail repeat: a b",
                    "8130 mail repeat: a b",
                ],
            ),
            (
                "a repeat takes what is new along, and begins the grid anew",
                &["0 fire a", "3601 fire b", "3640 fire c", "4300 end"],
                &["30 mail first: a", "3630 mail new: a b", "3930 mail new: a b c"],
            ),
            (
                "further matches tell nothing",
                &["0 fire a", "100 fire a", "900 fire a", "1000 end"],
                &["30 mail first: a"],
            ),
            (
                "resolve, by and by",
                &["0 fire a", "0 fire b", "40 resolve a", "400 nodata b", "5000 end"],
                &["30 mail first: a b", "330 mail some: b -a", "630 mail all: -b"],
            ),
            (
                "a new group after all is over",
                &["0 fire a", "40 resolve a", "340 fire a", "400 end"],
                &["30 mail first: a", "330 mail all: -a", "370 mail first: a"],
            ),
            (
                "ended before its first notice",
                &["0 fire a", "10 expire a", "9000 end"],
                &["30 mail first: -a"],
            ),
            (
                "over before it began",
                &["0 fire a", "50 oneshot b", "60 oneshot c", "700 end"],
                &["30 mail first: a", "330 mail new: a -b -c"],
            ),
            (
                "twice, told once",
                &["0 oneshot a", "10 oneshot a", "400 end"],
                &["30 mail first: -a"],
            ),
            (
                "ends, fires and ends again untold",
                &["0 fire a", "40 resolve a", "50 oneshot a", "400 end"],
                &["30 mail first: a", "330 mail all: -a"],
            ),
            (
                "silent expiry",
                &["0 fire a", "0 fire b", "60 expire a", "4000 end"],
                &["30 mail first: a b", "3630 mail repeat: b"],
            ),
            (
                "after a silent expiry it is new",
                &["0 fire a", "0 fire b", "60 expire a", "70 fire a", "400 end"],
                &["30 mail first: a b", "330 mail new: a b"],
            ),
            (
                "expiry that is told",
                &["0 fire a", "60 expire_loud a", "400 end"],
                &["30 mail first: a", "330 mail all: -a"],
            ),
            (
                "rule removed",
                &["0 fire a", "0 fire b", "10 remove b", "60 remove a", "9000 end"],
                &["30 mail first: a"],
            ),
            (
                "fires again before the end is told",
                &["0 fire a", "60 resolve a", "90 fire a", "3700 end"],
                &["30 mail first: a", "3630 mail repeat: a"],
            ),
            (
                "fires again after the end is told",
                &["0 fire a", "0 fire b", "60 resolve a", "340 fire a", "700 end"],
                &["30 mail first: a b", "330 mail some: b -a", "630 mail new: a b"],
            ),
        ],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_integration_has_its_own_record() {
    check(
        &[MAIL, PAGE],
        &[
            (
                "ends only for who wants them",
                &["0 fire a", "0 fire b", "40 resolve a", "700 resolve b", "5000 end"],
                &[
                    "30 mail first: a b",
                    "30 page first: a b",
                    "330 mail some: b -a",
                    "930 mail all: -b",
                ],
            ),
            (
                "what was never told is told to all, as ended",
                &["0 fire a", "10 resolve a", "400 end"],
                &["30 mail first: -a", "30 page first: -a"],
            ),
            (
                "whose end was settled is new when it fires again",
                &["0 fire a", "0 fire b", "40 resolve a", "340 fire a", "700 end"],
                &[
                    "30 mail first: a b",
                    "30 page first: a b",
                    "330 mail some: b -a",
                    "630 mail new: a b",
                    "630 page new: a b",
                ],
            ),
            (
                "own repeats; one takes along what is new",
                &[
                    "0 fire a",
                    "0 fire b",
                    "40 resolve a",
                    "3625 fire c",
                    "3650 resolve c",
                    "4000 end",
                ],
                &[
                    "30 mail first: a b",
                    "30 page first: a b",
                    "330 mail some: b -a",
                    // The change comes with page's repeat; mail was told long ago.
                    "3630 mail new: b c",
                    "3630 page new: b c",
                    "3930 mail some: b -c",
                ],
            ),
            (
                "a repeat and an end at one step",
                &["0 fire a", "0 fire b", "3340 resolve a", "3631 fire c", "4100 end"],
                &[
                    "30 mail first: a b",
                    "30 page first: a b",
                    // Noted at 3340, told by mail at the step 3630, where page repeats.
                    "3630 mail some: b -a",
                    "3630 page repeat: b",
                    "3930 mail new: b c",
                    "3930 page new: b c",
                ],
            ),
            (
                "one that leaves is forgotten",
                &["0 fire a", "60 leave page", "400 join_firing page", "700 end"],
                &["30 mail first: a", "30 page first: a", "630 page first: a"],
            ),
        ],
    );
    check(
        &[MAIL],
        &[
            (
                "a new one gets its own first notice",
                &["0 fire a", "100 join_firing page", "4000 end"],
                &[
                    "30 mail first: a",
                    "330 page first: a",
                    "3630 mail repeat: a",
                    "3930 page repeat: a",
                ],
            ),
            // The repeat of one is no occasion for another that was told less than group_interval ago.
            (
                "at most once in group_interval each",
                &["0 fire a", "3610 join page", "3605 fire b", "3931 fire c", "4500 end"],
                &[
                    "30 mail first: a",
                    "3630 mail new: a b",
                    "3630 page first: a b",
                    "4230 mail new: a b c",
                    "4230 page new: a b c",
                ],
            ),
        ],
    );
}

#[test]
fn who_was_just_told_waits_for_its_turn() {
    let mut group = Group::new("k".to_owned(), "r".to_owned(), Labels::new(), at(0));
    let a = alert("a", AlertState::Firing, at(0));
    let b = alert("b", AlertState::Firing, at(350));
    let tellers = [
        Teller { id: "mail", send_resolved: true, every: None },
        Teller { id: "page", send_resolved: true, every: None },
    ];
    let timing = Timing { repeat_interval: Duration::from_secs(400), ..TIMING };
    let flush = |group: &mut Group, second| {
        let firing = |fingerprint: &Fingerprint| {
            [&a, &b].into_iter().find(|x| x.fingerprint == *fingerprint)
        };
        let flushed = group.flush(&timing, &tellers, &firing, &|_| None, None, at(second));
        flushed.notices.into_iter().map(|n| (n.integration, n.causes)).collect::<Vec<_>>()
    };
    group.note(&a, Some(1), &timing, at(0));
    assert_eq!(flush(&mut group, 30).len(), 2);
    group.told.get_mut("mail").expect("told").at = at(200);
    group.note(&b, Some(2), &timing, at(350));
    assert_eq!(group.deadline(&timing), Some(at(430)), "page's repeat is before the step at 630");
    assert_eq!(flush(&mut group, 430), [("page".to_owned(), vec![2])]);
    assert_eq!(group.deadline(&timing), Some(at(500)), "mail's turn");
    assert_eq!(flush(&mut group, 500), [("mail".to_owned(), vec![2])], "with the same causes");
    assert_eq!(group.next_flush, None);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_is_quiet_is_not_told() {
    check(
        &[MAIL, PAGE],
        &[
            (
                "inhibited until its source ends",
                &["0 fire a", "0 fire b", "0..9000 inhibit b by a", "400 resolve a", "1000 end"],
                &["30 mail first: a", "30 page first: a", "630 mail new: b -a", "630 page new: b"],
            ),
            (
                "a silence's end is seen at the next step",
                &["0..400 silence a", "0 fire a", "700 end"],
                &["630 mail first: a", "630 page first: a"],
            ),
            (
                "what ends while silenced is dropped",
                &["0..400 silence a", "0 fire a", "0 fire b", "100 resolve a", "1000 end"],
                &["30 mail first: b", "30 page first: b"],
            ),
            (
                "also when it was told before, and then it is new",
                &[
                    "0 fire a",
                    "0 fire b",
                    "50..400 silence a",
                    "100 resolve a",
                    "500 fire a",
                    "700 end",
                ],
                &[
                    "30 mail first: a b",
                    "30 page first: a b",
                    "630 mail new: a b",
                    "630 page new: a b",
                ],
            ),
            (
                "a silence's start is no resolve",
                &[
                    "0 fire a",
                    "50..400 silence a",
                    "60 oneshot b",
                    "300..400 silence b",
                    "3700 end",
                ],
                &[
                    "30 mail first: a",
                    "30 page first: a",
                    "3630 mail repeat: a",
                    "3630 page repeat: a",
                ],
            ),
            (
                "silenced while others are told: new afterwards",
                &["0 fire a", "50..700 silence a", "60 fire b", "1000 end"],
                &[
                    "30 mail first: a",
                    "30 page first: a",
                    "330 mail new: b",
                    "330 page new: b",
                    "930 mail new: a b",
                    "930 page new: a b",
                ],
            ),
            (
                "a repeat that found all silenced comes at the step after",
                &["0 fire a", "3000..4000 silence a", "9000 end"],
                &[
                    "30 mail first: a",
                    "30 page first: a",
                    "4230 mail repeat: a",
                    "4230 page repeat: a",
                    "7830 mail repeat: a",
                    "7830 page repeat: a",
                ],
            ),
        ],
    );
}

#[test]
fn what_ends_while_the_route_is_muted_is_told_when_that_ends() {
    check(
        &[MAIL, PAGE],
        &[
            (
                "told before: to who wants ends",
                &["0 fire a", "100..2000 mute", "200 resolve a", "3000 end"],
                &["30 mail first: a", "30 page first: a", "2130 mail all: -a"],
            ),
            (
                "never told: to all",
                &["0..2000 mute", "200 fire a", "300 resolve a", "300 fire b", "3000 end"],
                &["2030 mail first: b -a", "2030 page first: b -a"],
            ),
            (
                "one-shots and expiries too",
                &["0..2000 mute", "200 oneshot a", "300 fire b", "400 expire b", "3000 end"],
                &["2030 mail first: -a -b", "2030 page first: -a -b"],
            ),
            (
                "fires all night: known",
                &["0 fire a", "100..4000 mute", "9000 end"],
                &[
                    "30 mail first: a",
                    "30 page first: a",
                    "4230 mail repeat: a",
                    "4230 page repeat: a",
                    "7830 mail repeat: a",
                    "7830 page repeat: a",
                ],
            ),
            (
                "silenced as well: dropped",
                &["0 fire a", "100..2000 mute", "100..1000 silence a", "200 resolve a", "3000 end"],
                &["30 mail first: a", "30 page first: a"],
            ),
        ],
    );
}

#[test]
fn what_is_quiet_is_recorded_once_with_its_reason() {
    let mut sim = run(
        &[MAIL],
        &[
            "0 fire a",
            "0 fire b",
            "0..2000 silence a",
            "0..700 inhibit a by b",
            "0..300 mute",
            "1000..2000 mute",
            "1500 resolve b",
            "3000 end",
        ],
    );
    sim.quieted.sort();
    let quieted = sim.quieted.iter().map(|(at, name, why)| (*at, name.as_str(), *why));
    // The order of asking: inhibited, muted, silenced.
    assert_eq!(
        quieted.collect::<Vec<_>>(),
        [
            (30, "a", "inhibited"),
            (30, "b", "muted"),
            (930, "a", "silenced"),
            (1230, "a", "muted"),
            (1230, "b", "muted"),
        ]
    );
}

#[test]
fn what_an_integration_knows_no_more_without_a_notice_is_withdrawn() {
    let withdrawn = |script: &[&str]| -> Vec<String> {
        let all = run(&[MAIL, PAGE], script).withdrawn;
        all.into_iter().map(|(at, id, told)| format!("{at} {id} {told}")).collect()
    };
    let none: [&str; 0] = [];
    // An end that is not wanted; the other gets a notice.
    assert_eq!(withdrawn(&["0 fire a", "100 resolve a", "700 end"]), ["330 page true"]);
    // Dropped for all.
    let silenced = ["0 fire a", "50..400 silence a", "100 resolve a", "700 end"];
    assert_eq!(withdrawn(&silenced), ["330 mail false", "330 page false"]);
    // Never told, and only kept quiet.
    assert_eq!(withdrawn(&["0..90 silence a", "0 fire a", "10 resolve a", "700 end"]), none);
    assert_eq!(withdrawn(&["0 fire a", "50..400 silence a", "3700 end"]), none);
    // Ended while muted: when that ends.
    let muted = ["0 fire a", "100..2000 mute", "200 resolve a", "3000 end"];
    assert_eq!(withdrawn(&muted), ["2130 page true"]);
}

#[test]
fn what_was_not_told_after_all_is_new() {
    let (a, b) = (alert("a", AlertState::Firing, at(0)), alert("b", AlertState::Firing, at(0)));
    let find = |fingerprint: &Fingerprint| {
        [&a, &b].into_iter().find(|alert| alert.fingerprint == *fingerprint)
    };
    let tellers = ["mail", "page"].map(|id| Teller { id, send_resolved: true, every: None });
    let mut group = Group::new("k".to_owned(), "r".to_owned(), Labels::new(), at(0));
    for alert in [&a, &b] {
        group.note(alert, None, &TIMING, at(0));
    }
    group.flush(&TIMING, &tellers, &find, &|_| None, None, at(30));
    assert_eq!(group.next_flush, None);
    let untold = [a.fingerprint.clone()];
    group.untell("nobody", &untold, &TIMING, at(40));
    assert_eq!(group.next_flush, None);
    group.untell("mail", &untold, &TIMING, at(40));
    assert_eq!(group.knowers(&a.fingerprint), ["page"]);
    assert!(group.members[&a.fingerprint].told, "somebody was");
    group.untell("page", &untold, &TIMING, at(40));
    assert!(!group.members[&a.fingerprint].told && group.members[&b.fingerprint].told);
    let flushed = group.flush(&TIMING, &tellers, &find, &|_| None, None, at(330));
    let told: Vec<_> = flushed.notices.iter().map(|one| (one.reason, one.alerts.len())).collect();
    assert_eq!(told, [(Reason::NewAlerts, 2); 2]);
}

#[test]
fn causes_are_those_since_it_was_told_and_the_newest_stay() {
    let sim = run(
        &[MAIL],
        &["0 fire a", "1 fire a", "2 fire b", "40 fire a", "50 resolve b", "4000 end"],
    );
    let causes: Vec<_> = sim.heard.iter().map(|heard| heard.causes.clone()).collect();
    assert_eq!(causes, [vec![1, 2, 3], vec![4, 5], vec![]]);

    let mut group = Group::new("k".to_owned(), "r".to_owned(), Labels::new(), at(0));
    let alerts: Vec<Alert> =
        (0..8).map(|n| alert(&n.to_string(), AlertState::Firing, at(0))).collect();
    for cause in 0..800 {
        let alert = &alerts[usize::try_from(cause % 8).expect("small")];
        group.note(alert, Some(cause), &TIMING, at(0));
    }
    assert!(group.members.values().all(|member| member.causes.len() == MEMBER_CAUSES_MAX));
    let find = |fingerprint: &Fingerprint| alerts.iter().find(|x| x.fingerprint == *fingerprint);
    let tellers = [Teller { id: "mail", send_resolved: true, every: None }];
    let flushed = group.flush(&TIMING, &tellers, &find, &|_| None, None, at(30));
    assert_eq!(flushed.notices[0].causes, (700..800).collect::<Vec<_>>());
}

#[test]
fn a_full_group_drops_the_oldest_ended_ones_or_leaves_the_new_one_out() {
    let mut group = Group::new("k".to_owned(), "r".to_owned(), Labels::new(), at(0));
    let note = |group: &mut Group, name: u32, state, updated_at| {
        let alert = alert(&name.to_string(), state, at(updated_at));
        (group.note(&alert, None, &TIMING, at(0)), alert.fingerprint)
    };
    let most = u32::try_from(MEMBERS_MAX).expect("small");
    for name in 0..most {
        assert_eq!(note(&mut group, name, AlertState::Firing, 0).0, 0);
    }
    let (lost, new) = note(&mut group, most, AlertState::Firing, 0);
    assert_eq!((lost, group.members.contains_key(&new)), (1, false), "all fire");
    let (_, young) = note(&mut group, 0, AlertState::Resolved, 9);
    for name in 1..=1_000 {
        assert_eq!(note(&mut group, name, AlertState::Resolved, 5).0, 0);
    }
    let (lost, new) = note(&mut group, most, AlertState::Firing, 0);
    assert_eq!((lost, group.members.contains_key(&new)), (1_000, true), "some ended");
    assert!(group.members.contains_key(&young));
    assert_eq!(group.members.len(), MEMBERS_MAX - 999);
}

#[test]
fn odd_times_neither_spin_nor_postpone() {
    let a = alert("a", AlertState::Firing, at(0));
    let b = alert("b", AlertState::Firing, at(0));
    let find = |fingerprint: &Fingerprint| {
        [&a, &b].into_iter().find(|alert| alert.fingerprint == *fingerprint)
    };
    let tellers = [Teller { id: "mail", send_resolved: true, every: None }];
    let new = || {
        let mut group = Group::new("k".to_owned(), "r".to_owned(), Labels::new(), at(5000));
        group.note(&a, None, &TIMING, at(5000));
        group.flush(&TIMING, &tellers, &find, &|_| None, None, at(5030));
        group
    };
    // The clock is set back: what changes is not kept waiting for it to catch up.
    let mut group = new();
    group.note(&b, None, &TIMING, at(1000));
    assert_eq!(group.deadline(&TIMING), Some(at(1300)));
    assert_eq!(group.flush(&TIMING, &tellers, &find, &|_| None, None, at(1300)).notices.len(), 0);
    assert_eq!(group.deadline(&TIMING), Some(at(1600)));
    assert_eq!(group.flush(&TIMING, &tellers, &find, &|_| None, None, at(1600)).notices.len(), 1);
    // No interval and no repeat interval.
    let mut group = new();
    let none = Timing { group_interval: Duration::ZERO, repeat_interval: Duration::ZERO, ..TIMING };
    let silenced = |_: &Alert| Some(Suppression::Silenced("s".to_owned()));
    group.flush(&none, &tellers, &find, &silenced, None, at(6000));
    assert_eq!(group.deadline(&none), Some(at(6001)));
    // The end of time.
    let forever =
        Timing { group_interval: Duration::MAX, repeat_interval: Duration::MAX, ..TIMING };
    let mut group = new();
    group.note(&b, None, &forever, at(6000));
    assert_eq!(group.deadline(&forever), Some(Timestamp::MAX));
    // The row of a firing alert is lost: it goes without a word.
    group.flush(&TIMING, &tellers, &|_| None, &|_| None, None, at(7000));
    assert!(group.is_over());
}

/// Short times, none a multiple of another, so that all sorts of meetings happen.
const SHORT: Timing = Timing {
    group_wait: Duration::from_secs(10),
    group_interval: Duration::from_secs(20),
    repeat_interval: Duration::from_secs(47),
};
const WITHIN: u32 = 10 + 20;
const END: u32 = 400;

fn acts() -> impl Strategy<Value = Vec<(u32, Act)>> {
    let name = || prop::sample::select(vec!["a", "b", "c", "d"]).prop_map(str::to_owned);
    let state = prop::sample::select(vec![
        AlertState::Resolved,
        AlertState::Expired,
        AlertState::NoData,
        AlertState::RuleRemoved,
    ]);
    let act = prop_oneof![
        6 => name().prop_map(Act::Fire),
        2 => name().prop_map(Act::OneShot),
        1 => name().prop_map(Act::ExpireLoud),
        3 => (name(), state).prop_map(|(name, state)| Act::End(name, state)),
    ];
    prop::collection::vec((0..END, act), 0..40)
}

fn quiets() -> impl Strategy<Value = Vec<(u32, u32, Quiet)>> {
    let name = || prop::sample::select(vec!["a", "b", "c", "d"]).prop_map(str::to_owned);
    let quiet = prop_oneof![
        3 => name().prop_map(Quiet::Silence),
        2 => (name(), name()).prop_map(|(source, target)| Quiet::Inhibit(source, target)),
        1 => Just(Quiet::Mute),
    ];
    let quiet = (0..END, 1..120_u32, quiet);
    prop::collection::vec(
        quiet.prop_map(|(from, length, quiet)| (from, from + length, quiet)),
        0..8,
    )
}

/// Who is to be told again at this second, by the law and not by the code: whose repeat is due while an alert that was
/// told fires and is not quiet.
fn repeating(sim: &Sim, second: u32) -> Vec<String> {
    let Some(group) = &sim.group else { return vec![] };
    let fires = sim.alerts.values().any(|alert| {
        sim.tellable(second, alert)
            && group.members.get(&alert.fingerprint).is_some_and(|member| member.told)
    });
    let due = |told: &Told| told.at + Duration::from_secs(47) == at(second);
    group.told.iter().filter(|(_, told)| fires && due(told)).map(|(id, _)| id.clone()).collect()
}

/// Lives through the acts and checks the laws that hold at each second; that nothing quiet is told, and that nothing
/// spins, is checked by the simulation itself.
fn live(acts: &[(u32, Act)], quiet: &[(u32, u32, Quiet)], reloads: bool) -> Vec<Heard> {
    let mut sim = Sim::new(SHORT, &[MAIL, PAGE]);
    sim.quiet = quiet.to_vec();
    sim.reloads = reloads;
    let mut tellable_since: BTreeMap<Fingerprint, u32> = BTreeMap::new();
    // Alerts that were over before they began: until when they are to be heard of.
    let mut one_shots: BTreeMap<String, u32> = BTreeMap::new();
    for second in 0..END + WITHIN {
        for (_, act) in acts.iter().filter(|(at, _)| *at == second) {
            let (Act::Fire(name) | Act::End(name, _) | Act::ExpireLoud(name) | Act::OneShot(name)) =
                act
            else {
                continue;
            };
            let fires = sim.alerts.values().any(|alert| name_of(alert) == *name);
            one_shots.remove(name);
            if !matches!(act, Act::Fire(_)) {
                tellable_since.retain(|fingerprint, _| {
                    *fingerprint != alert(name, AlertState::Firing, at(0)).fingerprint
                });
            }
            if matches!(act, Act::OneShot(_)) && !fires {
                one_shots.insert(name.clone(), second + WITHIN);
            }
            sim.act(second, act);
        }
        let repeating = repeating(&sim, second);
        let before = sim.heard.len();
        sim.settle(second);
        for id in repeating {
            let told = sim.heard[before..].iter().any(|heard| heard.integration == id);
            assert!(told, "{id} is due for a repeat at {second}");
        }
        tellable_since.retain(|fingerprint, _| {
            sim.alerts.get(fingerprint).is_some_and(|alert| sim.tellable(second, alert))
        });
        for alert in sim.alerts.values().filter(|alert| sim.tellable(second, alert)) {
            let since = *tellable_since.entry(alert.fingerprint.clone()).or_insert(second);
            let group = sim.group.as_ref().expect("a group while something fires");
            let all_know = ["mail", "page"].iter().all(|id| {
                group.told.get(*id).is_some_and(|told| told.firing.contains(&alert.fingerprint))
            });
            assert!(all_know || second - since < WITHIN, "{} since {since}", name_of(alert));
        }
        for heard in sim.heard[before..].iter().filter(|heard| heard.integration == "mail") {
            one_shots.retain(|name, _| !heard.ended.contains(name));
        }
        one_shots
            .retain(|name, _| sim.tellable(second, &alert(name, AlertState::Expired, at(second))));
        assert!(one_shots.values().all(|until| *until > second), "{one_shots:?} at {second}");
    }
    sim.heard
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn whatever_happens(acts in acts(), quiet in quiets()) {
        let heard = live(&acts, &quiet, false);
        let mut last: BTreeMap<(&str, u32), &Heard> = BTreeMap::new();
        for now in &heard {
            let before = last.insert((&now.integration, now.life), now);
            prop_assert_eq!(now.reason == Reason::First, before.is_none(), "{:?}", now);
            let Some(before) = before else { continue };
            prop_assert!(now.at - before.at >= 20, "too soon: {:?}, {:?}", before, now);
            if now.reason == Reason::Repeat {
                prop_assert!(now.at - before.at >= 47, "too soon: {:?}, {:?}", before, now);
                prop_assert!(!now.firing.is_empty() && now.ended.is_empty());
                let known = now.firing.iter().all(|name| before.firing.contains(name));
                prop_assert!(known, "{:?}, {:?}", before, now);
            }
            prop_assert_eq!(
                now.reason == Reason::AllResolved,
                now.firing.is_empty() && now.reason != Reason::NewAlerts
            );
        }
        prop_assert_eq!(live(&acts, &quiet, true), heard, "kept and read again");
    }
}
