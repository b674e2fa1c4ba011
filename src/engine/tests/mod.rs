//! The pure step over a store of memory: what a crash leaves is what [`Changes`] said, and nothing else.

mod crash;
mod late;
mod limit;
mod model;
mod news;
mod outbox;
mod policy;
mod restored;
mod timeline;
mod usual;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;
use outbox::{Answer, Arrived, Kept};
use serde_json::{Value, json};

use super::*;
use crate::alerts::{Alert, Fingerprint, LogEntry, Status, TargetId};
use crate::config;
use crate::event::{Event, Source};
use crate::rules::{self, CallContext, CallKey, Entry, LedgerKey};
use crate::store::{
    Changes, DeliveryState, EndedDelivery, JournalEntry, Judgement, Known, NewDelivery, Resumed,
    Row, Silences, Space,
};

/// When every story begins; a Friday.
const START: i64 = 1_800_000_000;

/// Milliseconds after the beginning.
fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(START * 1_000 + millis).expect("in range")
}

/// The policy of a configuration with these rules (the list under `rules:`, indented by two) and these further sections.
fn policy(rules: &str, sections: &str) -> Policy {
    policy_of(
        "[{name: main, public_keys: [KEY]}, {name: other, public_keys: [KEY]}]",
        rules,
        sections,
    )
}

fn policy_of(accounts: &str, rules: &str, sections: &str) -> Policy {
    let dir = tempfile::tempdir().expect("a directory");
    let file = format!("groups:\n- name: g\n  rules:\n{rules}");
    std::fs::write(dir.path().join("rules.yaml"), &file).expect("written");
    let accounts = accounts.replace("KEY", "\"jrMBoswHlhhVx2W2Www72WU/xn4UMpjreslD0m2u0qs=\"");
    let yaml = format!("accounts: {accounts}\nrule_files: [rules.yaml]\n{sections}");
    let loaded = config::parse("test.yaml", &yaml, Path::new(dir.path()), &|_| None);
    let problems: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    let config = loaded.config.unwrap_or_else(|| panic!("{}\n{yaml}\n{file}", problems.join("\n")));
    crate::policy::policy(config)
}

/// One receiver for everything, each alert by itself and at once.
const PLAIN: &str = "\
route: {receiver: ops, group_by: ['...'], group_wait: 0s}
receivers: [{name: ops, webhook_configs: [{url: 'https://example.com/ops'}]}]
";

fn event(seq: i64, kind: &str, received_at: Timestamp, payload: Value) -> StoredEvent {
    let event = Event {
        id: format!("e-{seq}"),
        account: "main".to_owned(),
        kind: kind.to_owned(),
        type_as_sent: kind.to_owned(),
        occurred_at: Some(received_at),
        received_at,
        attempt: None,
        source: Source::Webhook,
        payload,
        cost: None,
        charge: None,
        currency: None,
        content_hashed: false,
    };
    StoredEvent { seq, event }
}

/// An event of somebody.
fn of(seq: i64, kind: &str, received_at: Timestamp, who: &str) -> StoredEvent {
    event(seq, kind, received_at, json!({"who": who}))
}

/// What is on disk.
#[derive(Debug, Clone, Default)]
struct Disk {
    cursor: i64,
    alerts: BTreeMap<Fingerprint, Vec<u8>>,
    rows: BTreeMap<(Space, String), Vec<u8>>,
    ledger: BTreeMap<LedgerKey, Entry>,
    calls: BTreeMap<CallKey, CallContext>,
    silences: Silences,
    outbox: Vec<Kept>,
    /// The notification log, by group and target.
    log: BTreeMap<(String, TargetId), LogEntry>,
    /// Which attempt of which delivery wrote each.
    logged: BTreeMap<(String, TargetId), (i64, u32)>,
    /// Events that caused deliveries which were open already.
    causes: BTreeSet<(String, Vec<i64>)>,
    ids: BTreeSet<String>,
    journal: Vec<JournalEntry>,
    judgements: Vec<Judgement>,
    charges: Vec<(i64, rust_decimal::Decimal)>,
    raised: Vec<Event>,
}

impl Disk {
    fn commit(&mut self, changes: Changes) {
        assert!(changes.cursor >= self.cursor, "{} after {}", changes.cursor, self.cursor);
        assert_eq!(changes.faulted, []);
        self.cursor = changes.cursor;
        for alert in changes.alerts {
            let json = serde_json::to_vec(&alert).expect("JSON");
            self.alerts.insert(alert.fingerprint, json);
        }
        for Row { space, key, value } in changes.rows {
            match value {
                Some(value) => self.rows.insert((space, key), value),
                None => self.rows.remove(&(space, key)),
            };
        }
        self.ledger.extend(changes.ledger.into_iter().map(|entry| (entry.key.clone(), entry)));
        self.calls.extend(changes.calls.into_iter().map(|(key, call, _)| (key, call)));
        for n in changes.noted {
            self.note(n);
        }
        for group in changes.forgotten {
            self.log.retain(|(key, _), _| *key != group);
            self.logged.retain(|(key, _), _| *key != group);
        }
        for delivery in changes.deliveries {
            // The store leaves an id that it knows alone: the message would be lost.
            assert!(self.ids.insert(delivery.id.clone()), "the id of {delivery:#?} is taken");
            self.open(delivery);
        }
        self.causes.extend(changes.causes);
        self.journal.extend(changes.journal);
        self.judgements.extend(changes.judgements);
        self.charges.extend(changes.charges);
        self.raised.extend(changes.events);
    }

    fn resumed(&self) -> Resumed {
        let alerts = self.alerts.values();
        let alerts = alerts.map(|json| serde_json::from_slice::<Alert>(json).expect("an alert"));
        let row = |((space, key), value): (&(Space, String), &Vec<u8>)| Row {
            space: *space,
            key: key.clone(),
            value: Some(value.clone()),
        };
        let (alerts, ended) = alerts.partition(Alert::is_firing);
        let log = self
            .log
            .iter()
            .map(|((group, target), entry)| (group.clone(), target.clone(), entry.clone()));
        Resumed {
            cursor: self.cursor,
            alerts,
            ended,
            rows: self.rows.iter().map(row).collect(),
            silences: self.silences.clone(),
            log: log.collect(),
            open: self.open_rows(),
        }
    }

    fn known(&self, events: &[&StoredEvent]) -> Known {
        let keys: Vec<CallKey> =
            events.iter().flat_map(|stored| rules::call_keys(&stored.event)).collect();
        let of_calls = keys.iter().map(|key| LedgerKey {
            account: key.account.clone(),
            key: format!("call:{}", key.leg),
        });
        let charges = events.iter().filter_map(|stored| rules::ledger_key(&stored.event));
        let entries =
            charges.chain(of_calls).filter_map(|key| self.ledger.get(&key).cloned()).collect();
        let call = |key: &CallKey| Some((key.clone(), self.calls.get(key)?.clone()));
        Known { entries, calls: keys.iter().filter_map(call).collect() }
    }

    /// All that can be asked afterwards, as text; without when a notice was queued, which is when it was judged.
    fn story(&self) -> Vec<String> {
        let json = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let opened = self.outbox.iter().map(|kept| {
            let opened_at = at(0);
            let fallback_at = kept.new.fallback_at.map(|_| at(0));
            // Whoever is up again looks at each group: an end and a new beginning between two notifications, which nobody
            // is to hear of, is then no cause of the next one any more.
            let (id, caused_by) = (String::new(), Vec::new());
            let new = NewDelivery { id, opened_at, fallback_at, caused_by, ..kept.new.clone() };
            format!("{new:?} {:?}", (kept.state, kept.finished_at))
        });
        let mut lines = vec![format!("cursor {}", self.cursor)];
        lines.extend(self.alerts.values().map(|alert| format!("alert {}", json(alert))));
        lines.extend(self.rows.iter().map(|(key, value)| format!("row {key:?} {}", json(value))));
        lines.extend(self.ledger.values().map(|entry| format!("{entry:?}")));
        lines.extend(self.calls.iter().map(|call| format!("{call:?}")));
        // In whichever order: what is due at the same time after a crash is looked at by group.
        let mut opened: Vec<String> = opened.collect();
        opened.sort_unstable();
        lines.extend(opened);
        lines.extend(self.log.iter().map(|entry| format!("{entry:?}")));
        // Whoever is up again looks at each group: what is quiet then is seen earlier, and what is repeated is sent again.
        let by_looks = ["notified", "suppressed"];
        let journal = self.journal.iter().filter(|entry| !by_looks.contains(&&*entry.what));
        lines.extend(journal.map(|entry| format!("{entry:?}")));
        lines.extend(self.judgements.iter().map(|judgement| format!("{judgement:?}")));
        lines.extend(self.charges.iter().map(|charge| format!("{charge:?}")));
        lines.extend(self.raised.iter().map(|event| format!("raised {event:?}")));
        lines
    }
}

/// A tollbell: what is on disk, and what runs.
struct World {
    disk: Disk,
    state: State,
    now: Timestamp,
    /// What reached the peers.
    arrived: Vec<Arrived>,
    /// Whether peers take what is sent, at once. Otherwise nothing is sent but by [`World::send`].
    peers_are_well: bool,
}

impl World {
    fn new(policy: &Policy) -> Self {
        Self::with(policy, Silences::default())
    }

    fn with(policy: &Policy, silences: Silences) -> Self {
        let disk = Disk { silences, ..Disk::default() };
        let mut world = Self {
            state: State::default(),
            disk,
            now: at(0),
            arrived: Vec::new(),
            peers_are_well: true,
        };
        world.crash();
        world.pass(policy, at(0));
        world
    }

    /// What ran is gone. What was being sent is sent again.
    fn crash(&mut self) {
        self.disk.release();
        let (state, broken) = State::resume(self.disk.resumed());
        assert_eq!(broken, Vec::<String>::new());
        self.state = state;
    }

    /// Judges a batch, and does not commit it.
    fn attempt(&self, policy: &Policy, events: &[&StoredEvent], now: Timestamp) -> Judged {
        let mut state = self.state.clone();
        state.load_known(self.disk.known(events));
        state.set_ended_deliveries(self.disk.unnoted());
        step(&mut state, policy, events, now)
    }

    /// Judges a batch and commits it; what is due then is sent.
    fn judge(&mut self, policy: &Policy, events: &[&StoredEvent], now: Timestamp) {
        self.step(policy, events, now);
        if self.peers_are_well {
            self.send(policy, now, &mut |_| Some(Answer::Taken));
        }
    }

    /// Judges a batch and commits it.
    fn step(&mut self, policy: &Policy, events: &[&StoredEvent], now: Timestamp) {
        let mut rest = events;
        loop {
            self.state.load_known(self.disk.known(rest));
            self.state.set_ended_deliveries(self.disk.unnoted());
            if self.state.silences().version() != self.disk.silences.version {
                self.state.set_silences(self.disk.silences.clone(), now);
            }
            let judged = step(&mut self.state, policy, rest, now);
            self.state.clear();
            self.disk.commit(judged.changes);
            self.now = now;
            // A batch that causes much stops before its end.
            let done = rest.iter().take_while(|stored| stored.seq <= self.state.cursor()).count();
            rest = rest.get(done..).unwrap_or_default();
            if rest.is_empty() {
                return;
            }
            assert!(done > 0, "no event is judged");
        }
    }

    /// Time passes: what is due by then runs.
    fn pass(&mut self, policy: &Policy, now: Timestamp) {
        self.judge(policy, &[], now);
    }

    /// Time passes, and what is due runs as soon as it is.
    fn live(&mut self, policy: &Policy, until: Timestamp) {
        if !self.state.has_applied(&policy.config_hash) {
            self.pass(policy, self.now);
        }
        while let Some(next) = self.state.next_deadline().filter(|next| *next <= until) {
            self.pass(policy, next.max(self.now));
        }
        self.pass(policy, until);
    }

    /// When each message arrived, its reason, and which of its alerts fire and have ended, by their `who`.
    fn told(&self, receiver: &str) -> Vec<(i64, &'static str, String, String)> {
        let told = self.arrived.iter().filter(|arrived| arrived.receiver == receiver);
        let line = |arrived: &Arrived| {
            let second = arrived.at.as_second() - START;
            let who = |status| whos(arrived, status).join(" ");
            let reason = arrived.message.reason.as_str();
            (second, reason, who(Status::Firing), who(Status::Resolved))
        };
        told.map(line).collect()
    }
}

/// Delivers what was opened, as peers that are well take it.
pub(crate) fn deliver(state: &mut State, policy: &Policy, judged: Judged, now: Timestamp) {
    let ended = judged.changes.deliveries.into_iter().zip(1..).map(|(opened, n)| {
        let composed = compose(state, policy, &opened, now).expect("owed");
        EndedDelivery {
            n,
            id: opened.id,
            group_key: opened.group_key,
            target: opened.target,
            state: DeliveryState::Delivered,
            finished_at: now,
            entry: Some(composed.delivered),
        }
    });
    let ended = ended.collect();
    state.set_ended_deliveries(ended);
    step(state, policy, &[], now);
}

/// Who is meant by the alerts of a message that fire, or have ended.
fn whos(arrived: &Arrived, status: Status) -> Vec<&str> {
    let alerts = arrived.message.alerts.iter().filter(|alert| alert.status == status);
    let mut names: Vec<_> =
        alerts.map(|alert| alert.labels.get("who").map_or("-", String::as_str)).collect();
    names.sort_unstable();
    names
}
