//! Peers that keep state, and people, through random histories: once quiet has returned they know what is so.

mod check;
mod peers;
mod seeds;

use peers::{Peers, closes_incident};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::alerts::{Inhibitor, Matcher, Message, PeerKind, Reason, Silence};
use crate::clock;
use crate::dispatch;
use crate::store::DeliveryState;

const RULES: [&str; 4] = [
    "{alert: A, on: [call.hangup], by: {who: payload.who}, active_for: 2d, resolve_on: {on: [call.answered]}}",
    "{alert: B, on: [message.received], by: {who: payload.who}, active_for: 2d, resolve_on: {on: [message.sent]}}",
    "{alert: E, on: [fax.failed], by: {who: payload.who}, active_for: 5m}",
    "{alert: L, on: [fax.queued], by: {who: payload.who}, active_for: 7m, notify_expired: true}",
];
const FIRES: [&str; 4] = ["call.hangup", "message.received", "fax.failed", "fax.queued"];
const ENDS: [&str; 2] = ["call.answered", "message.sent"];
const WHOS: [&str; 2] = ["a", "b"];

const RECEIVERS: &str = "\
inhibit_rules: [{source_matchers: [alertname=B], target_matchers: ['alertname=~\"A|E\"'], equal: [who]}]
time_intervals: [{name: some, time_intervals: [{times: [{start_time: '08:10', end_time: '08:20'}]}]}]
receivers:
- name: all
  email_configs: [{to: [x@example.com, y@example.com], from: t@example.com, smarthost: 'localhost:25', send_resolved: true}]
  slack_configs: [{api_url: 'http://127.0.0.1:9/s'}]
  pagerduty_configs: [{routing_key: abc}]
  alertmanager_configs: [{url: 'https://example.com'}]
- name: people
  email_configs: [{to: [z@example.com], from: t@example.com, smarthost: 'localhost:25'}]
";

/// The configurations that come and go; the first is the one of the end.
fn policies() -> Vec<Policy> {
    let rules = |names: &[usize]| -> String {
        names.iter().map(|n| ["  - ", RULES[*n], "\n"].concat()).collect()
    };
    policies_of(&rules(&[0, 1, 2, 3]), &rules(&[1, 2]))
}

/// As [`policies`], with these rules: all of them, and a few.
fn policies_of(every: &str, few: &str) -> Vec<Policy> {
    let timing = "group_wait: 10s, group_interval: 1m, repeat_interval: 1h";
    let quiet = "mute_time_intervals: [some]";
    let all = |group_by: &str, more: &str| {
        format!(
            "route: {{receiver: people, {timing}, routes: [{more}{{matchers: ['who=~\".+\"'], receiver: all, \
             group_by: {group_by}, {quiet}}}]}}\n{RECEIVERS}"
        )
    };
    let left = "{matchers: [who=a], receiver: people}, ";
    vec![
        policy(every, &all("[alertname]", "")),
        policy(every, &all("['...']", "")),
        policy(every, &all("[]", "")),
        policy(every, &all("[alertname]", left)),
        policy(few, &all("[alertname]", "")),
        policy(every, &all("[alertname]", "").replace("who=~", "alertname!~")),
    ]
}

/// How long Alertmanager believes what is not sent again.
const VOUCHED: Duration = Duration::from_mins(4);

#[derive(Debug, Clone)]
enum Op {
    Fire(usize, usize),
    End(usize, usize),
    /// Over before it began.
    OneShot(usize, usize),
    Silence(usize, i64),
    Unsilence,
    Config(usize),
    /// How peers of a kind answer from now on; the fourth are people of Slack.
    Answers(usize, Option<Answer>),
    Crash,
    Wait,
}

fn ops() -> impl Strategy<Value = Vec<(i64, Op)>> {
    let who = || 0..WHOS.len();
    let answer = prop::sample::select(vec![
        Some(Answer::Taken),
        Some(Answer::Refused),
        Some(Answer::Rejected),
        Some(Answer::TakenUnanswered),
        Some(Answer::Lost),
        None,
    ]);
    let op = prop_oneof![
        8 => (0..FIRES.len(), who()).prop_map(|(rule, who)| Op::Fire(rule, who)),
        6 => (0..ENDS.len(), who()).prop_map(|(rule, who)| Op::End(rule, who)),
        2 => (2..FIRES.len(), who()).prop_map(|(rule, who)| Op::OneShot(rule, who)),
        2 => (who(), prop::sample::select(vec![5_i64, 90, 900])).prop_map(|(who, long)| Op::Silence(who, long)),
        1 => Just(Op::Unsilence),
        2 => (0..6_usize).prop_map(Op::Config),
        4 => (0..4_usize, answer).prop_map(|(kind, answer)| Op::Answers(kind, answer)),
        2 => Just(Op::Crash),
        1 => Just(Op::Wait),
    ];
    let after = prop::sample::select(vec![0_i64, 1, 3, 11, 30, 61, 130, 400]);
    prop::collection::vec((after, op), 1..40)
}

struct Model<'p> {
    policies: &'p [Policy],
    policy: usize,
    world: World,
    peers: Peers,
    answers: [Option<Answer>; 4],
    seq: i64,
    /// One-shots that people are to hear of: who, and since when.
    one_shots: BTreeMap<(usize, usize), Timestamp>,
    looks: usize,
}

impl<'p> Model<'p> {
    fn new(policies: &'p [Policy]) -> Self {
        let mut world = World::new(&policies[0]);
        world.peers_are_well = false;
        Self {
            policies,
            policy: 0,
            world,
            peers: Peers::default(),
            answers: [Some(Answer::Taken); 4],
            seq: 0,
            one_shots: BTreeMap::new(),
            looks: 0,
        }
    }

    fn policy(&self) -> &'p Policy {
        &self.policies[self.policy]
    }

    fn send(&mut self) {
        let (policy, now) = (self.policy(), self.world.now);
        let silences = self.world.disk.silences.clone();
        let rules = &policy.routing.inhibit_rules;
        let firing: Vec<Alert> = self.world.state.alerts().cloned().collect();
        let inhibitor = Inhibitor::new(rules, firing.iter());
        let (peers, answers) = (&mut self.peers, self.answers);
        self.world.send(policy, now, &mut |arrived| {
            let (_, integration) = policy.integration(&arrived.target.integration).expect("one");
            let kind = integration.channel.peer_kind();
            assert_audible(arrived, kind, &silences, |alert| {
                inhibitor.inhibited_by(rules, &alert.labels)
            });
            let answer = answers[slot(integration)];
            if answer.is_none_or(Answer::arrives) {
                peers.take(arrived, kind);
            }
            answer
        });
        self.looks += 1;
        assert!(self.looks < 20_000, "looks without end");
    }

    fn advance(&mut self, until: Timestamp) {
        while let Some(next) = self.world.next().filter(|next| *next <= until) {
            let now = next.max(self.world.now);
            self.world.pass(self.policy(), now);
            self.send();
        }
        self.world.pass(self.policy(), until);
        self.send();
    }

    fn feed(&mut self, kind: &str, who: usize, ago: i64) {
        self.seq += 1;
        let now = self.world.now;
        let mut stored = of(self.seq, kind, now, WHOS[who]);
        stored.event.occurred_at = Some(clock_sub(now, ago));
        self.world.step(self.policy(), &[&stored], now);
        self.send();
    }

    fn act(&mut self, op: &Op) {
        let now = self.world.now;
        match op {
            Op::Fire(rule, who) => {
                self.one_shots.remove(&(*rule, *who));
                if *rule == 1 {
                    // What it inhibits is dropped.
                    self.one_shots.retain(|(_, other), _| other != who);
                }
                self.feed(FIRES[*rule], *who, 0);
            }
            Op::End(rule, who) => self.feed(ENDS[*rule], *who, 0),
            Op::OneShot(rule, who) => {
                let labels = |alert: &Alert, name: &str| {
                    alert.labels["alertname"] == name && alert.labels["who"] == WHOS[*who]
                };
                let name = ["A", "B", "E", "L"][*rule];
                let quiet = self.world.disk.silences.silences.iter().any(|one| one.ends_at > now)
                    || self
                        .world
                        .state
                        .alerts()
                        .any(|alert| labels(alert, name) || labels(alert, "B"));
                if !quiet && self.policy != 4 {
                    self.one_shots.insert((*rule, *who), now);
                }
                self.feed(FIRES[*rule], *who, 3_600);
            }
            Op::Silence(who, long) => {
                self.one_shots.retain(|(_, other), _| other != who);
                self.silence(*who, *long);
            }
            Op::Unsilence => self.unsilence(),
            Op::Config(policy) => {
                if *policy != self.policy {
                    self.one_shots.clear();
                }
                self.policy = *policy;
            }
            Op::Answers(kind, answer) => self.answers[*kind] = *answer,
            Op::Crash => self.world.crash(),
            Op::Wait => {}
        }
        self.world.pass(self.policy(), now);
        self.send();
    }

    /// Silences somebody for so many seconds.
    fn silence(&mut self, who: usize, long: i64) {
        let now = self.world.now;
        let silences = &mut self.world.disk.silences;
        silences.version += 1;
        silences.silences.push(Silence {
            id: format!("s-{}", silences.version),
            matchers: vec![Matcher::parse(&format!("who={}", WHOS[who])).expect("parses")],
            starts_at: now,
            ends_at: clock::add(now, Duration::from_secs(u64::try_from(long).expect("long"))),
            created_by: "me".to_owned(),
            comment: "test".to_owned(),
            created_at: now,
            updated_at: now,
        });
    }

    /// Ends all silences.
    fn unsilence(&mut self) {
        let now = self.world.now;
        let silences = &mut self.world.disk.silences;
        silences.version += 1;
        for silence in &mut silences.silences {
            silence.ends_at = silence.ends_at.min(now);
        }
    }

    /// Quiet returns: the first configuration, no silence, and peers that are well.
    fn settle(&mut self) {
        self.answers = [Some(Answer::Taken); 4];
        self.policy = if self.policy == 0 {
            0
        } else {
            self.one_shots.clear();
            0
        };
        self.act(&Op::Unsilence);
        let later = clock::add(self.world.now, Duration::from_hours(3));
        self.advance(later);
        let before = self.world.disk.outbox.len();
        let looks = self.looks;
        let end = clock::add(later, Duration::from_mins(50));
        self.advance(end);
        let opened = self.world.disk.outbox.iter().skip(before);
        let superseded = opened.filter(|kept| kept.state == DeliveryState::Superseded);
        assert_eq!(superseded.count(), 0, "opened for nothing");
        assert!(self.looks - looks < 200, "{} looks in a quiet hour", self.looks - looks);
    }
}

/// The place among the answers of peers of an integration's kind.
fn slot(integration: &crate::notify::Integration) -> usize {
    match integration.channel.kind() {
        "email" => 0,
        "pagerduty" => 1,
        "alertmanager" => 2,
        _ => 3,
    }
}

/// Nobody hears of what is silenced or inhibited; peers that keep state hear of its end.
fn assert_audible(
    arrived: &Arrived,
    kind: PeerKind,
    silences: &Silences,
    inhibited_by: impl Fn(&crate::alerts::MessageAlert) -> Option<Fingerprint>,
) {
    for alert in &arrived.message.alerts {
        if kind != PeerKind::People && alert.status != Status::Firing {
            continue;
        }
        let silenced = silences.silences.iter().any(|one| one.silences(&alert.labels, arrived.at));
        let all: Vec<_> =
            arrived.message.alerts.iter().map(|one| (&one.labels, one.status)).collect();
        assert!(!silenced, "silenced: {} {all:?}", arrived.target.integration);
        let by = inhibited_by(alert);
        assert!(by.is_none(), "inhibited: {} {all:?}", arrived.target.integration);
    }
}

fn clock_sub(now: Timestamp, seconds: i64) -> Timestamp {
    now - jiff::SignedDuration::from_secs(seconds)
}

fn live(policies: &[Policy], ops: &[(i64, Op)]) {
    let mut model = Model::new(policies);
    for (after, op) in ops {
        let until = model.world.now + jiff::SignedDuration::from_secs(*after);
        model.advance(until);
        model.act(op);
    }
    model.settle();
    model.check();
}

#[test]
fn once_quiet_has_returned_each_peer_knows_what_is_so() {
    let policies = policies();
    // Each case lives through hours.
    let cases = Config::default().cases / 4;
    let config = Config { source_file: Some(file!()), ..Config::with_cases(cases) };
    let outcome = TestRunner::new(config).run(&ops(), |ops| {
        live(&policies, &ops);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
