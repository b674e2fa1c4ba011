//! The pure step over a store of memory: what a crash leaves is what [`Changes`] said, and nothing else.

mod crash;
mod late;
mod limit;
mod policy;
mod telling;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::alerts::{Alert, Fingerprint};
use crate::config;
use crate::event::{Event, Source};
use crate::rules::{self, CallContext, CallKey, Entry, LedgerKey};
use crate::store::{
    Changes, JournalEntry, Judgement, Known, NewDelivery, Resumed, Row, Silences, Space, Withdrawal,
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
    Policy {
        rules: config.rules,
        route: config.route,
        receivers: config.receivers.into_iter().map(|one| (one.name.clone(), one)).collect(),
        inhibit_rules: config.inhibit_rules,
        time_intervals: config
            .time_intervals
            .into_iter()
            .map(|one| (one.name.clone(), one))
            .collect(),
        external_url: String::new(),
        config_hash: config.hash,
    }
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
    deliveries: Vec<NewDelivery>,
    /// Each with how many deliveries were queued before it.
    withdrawals: Vec<(usize, Withdrawal)>,
    ids: BTreeSet<String>,
    journal: Vec<JournalEntry>,
    judgements: Vec<Judgement>,
    charges: Vec<(i64, rust_decimal::Decimal)>,
    raised: Vec<Event>,
}

impl Disk {
    fn commit(&mut self, changes: Changes) {
        assert!(changes.cursor >= self.cursor, "{} after {}", changes.cursor, self.cursor);
        assert_eq!(changes.silences, Some(self.silences.version));
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
        for withdrawal in changes.withdrawals {
            assert!(withdrawal.after <= changes.deliveries.len());
            let ended = withdrawal.ended.iter().chain(&withdrawal.unwanted).count();
            assert!(!withdrawal.gone.is_empty() || ended > 0);
            self.withdrawals.push((self.deliveries.len() + withdrawal.after, withdrawal));
        }
        for delivery in changes.deliveries {
            // The store leaves an id that it knows alone: the message would be lost.
            assert!(self.ids.insert(delivery.id.clone()), "the id of {delivery:#?} is taken");
            self.deliveries.push(delivery);
        }
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
        Resumed {
            cursor: self.cursor,
            alerts: alerts.filter(Alert::is_firing).collect(),
            rows: self.rows.iter().map(row).collect(),
            silences: self.silences.clone(),
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
        let json = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        let mut told: Vec<NewDelivery> = self.deliveries.clone();
        for delivery in &mut told {
            delivery.created_at = at(0);
            delivery.fallback_at = delivery.fallback_at.map(|_| at(0));
            delivery.message.created_at = at(0);
        }
        let mut withdrawals = self.withdrawals.clone();
        for (_, withdrawal) in &mut withdrawals {
            (withdrawal.at, withdrawal.after) = (at(0), 0);
        }
        let mut lines = vec![format!("cursor {}", self.cursor)];
        lines.extend(withdrawals.iter().map(|withdrawal| format!("{withdrawal:?}")));
        lines.extend(self.alerts.values().map(|alert| format!("alert {}", json(alert))));
        lines.extend(self.rows.iter().map(|(key, value)| format!("row {key:?} {}", json(value))));
        lines.extend(self.ledger.values().map(|entry| format!("{entry:?}")));
        lines.extend(self.calls.iter().map(|call| format!("{call:?}")));
        lines.extend(told.iter().map(|delivery| format!("{delivery:?}")));
        lines.extend(self.journal.iter().map(|entry| format!("{entry:?}")));
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
}

impl World {
    fn new(policy: &Policy) -> Self {
        Self::with(policy, Silences::default())
    }

    fn with(policy: &Policy, silences: Silences) -> Self {
        let disk = Disk { silences, ..Disk::default() };
        let mut world = Self { state: State::default(), disk, now: at(0) };
        world.crash();
        world.pass(policy, at(0));
        world
    }

    /// What ran is gone.
    fn crash(&mut self) {
        let (state, broken) = State::resume(self.disk.resumed());
        assert_eq!(broken, Vec::<String>::new());
        self.state = state;
    }

    /// Judges a batch, and does not commit it.
    fn attempt(&self, policy: &Policy, events: &[&StoredEvent], now: Timestamp) -> Judged {
        let mut state = self.state.clone();
        state.bring(self.disk.known(events));
        step(&mut state, policy, events, now)
    }

    /// Judges a batch and commits it.
    fn judge(&mut self, policy: &Policy, events: &[&StoredEvent], now: Timestamp) {
        self.state.bring(self.disk.known(events));
        let judged = step(&mut self.state, policy, events, now);
        self.state.send_back();
        self.disk.commit(judged.changes);
        self.now = now;
    }

    /// Time passes: what is due by then runs.
    fn pass(&mut self, policy: &Policy, now: Timestamp) {
        self.judge(policy, &[], now);
    }

    /// Time passes, and what is due runs as soon as it is.
    fn live(&mut self, policy: &Policy, until: Timestamp) {
        if !self.state.is_fitted_to(&policy.config_hash) {
            self.pass(policy, self.now);
        }
        while let Some(next) = self.state.next_deadline().filter(|next| *next <= until) {
            self.pass(policy, next.max(self.now));
        }
        self.pass(policy, until);
    }

    /// When each message was queued, its reason, and which of its alerts fire and have ended, by their `who`.
    fn told(&self, receiver: &str) -> Vec<(i64, &'static str, String, String)> {
        let told = self.disk.deliveries.iter().filter(|delivery| delivery.receiver == receiver);
        let line = |delivery: &NewDelivery| {
            let who = |status| -> String {
                let alerts = delivery.message.alerts.iter();
                let names = alerts.filter(|alert| alert.status == status);
                let mut names: Vec<_> = names
                    .map(|alert| alert.labels.get("who").map_or("-", String::as_str))
                    .collect();
                names.sort_unstable();
                names.join(" ")
            };
            let second = delivery.created_at.as_second() - START;
            let message = &delivery.message;
            (
                second,
                message.reason.as_str(),
                who(crate::alerts::Status::Firing),
                who(crate::alerts::Status::Resolved),
            )
        };
        told.map(line).collect()
    }
}
