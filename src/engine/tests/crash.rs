//! A crash at any point, and any batching, leave the same story as an undisturbed run that judges one event at a time.

use proptest::prelude::*;
use proptest::sample::subsequence;
use proptest::strategy::ValueTree as _;
use rust_decimal::Decimal;

use super::*;

/// Every kind of rule; each a rule of the list.
const RULES: &[&str] = &[
    "{alert: Busy, on: [call.hangup], by: {who: payload.who}, active_for: 10m, resolve_on: {on: [call.answered]}, \
     max_series: 2, annotations: {summary: '{{ labels.who }} at {{ event.occurred_at }}'}}",
    "{alert: Each, on: [message.received], by: {id: event.id}, active_for: 90s, notify_expired: true}",
    "{alert: Dear, on: [call.cost, message.finalized], when: 'event.charge > 1.0', active_for: 5m, \
     resolve_on: {on: [call.answered]}}",
    "{alert: Low, on: [account.balance], by: {who: payload.who}, value: payload.balance, fire: 'value < 50.0', \
     clear: 'value >= 75.0', for: 2m, stale_after: 15m, annotations: {summary: '{{ value }}'}}",
    "{alert: Lower, on: [account.balance], by: {who: payload.who}, value: payload.balance, fire: 'value < 20.0', \
     keep_firing_for: 5m, max_series: 2}",
    "{alert: Spent, on: [call.cost, message.finalized], by: {who: payload.who}, over: 10m, value: sum(event.charge), \
     fire: 'value > 3.0 && count >= 2', clear: 'value < 1.0', annotations: {summary: '{{ value }} {{ count }}'}}",
    "{alert: Often, on: ['call.*'], over: 30s, value: count(), fire: 'value >= 2.0', for: 5s}",
    "{alert: Least, on: [account.balance], over: 1h, value: min(payload.balance), fire: 'value < 30.0', \
     keep_firing_for: 1m}",
    "{alert: Most, on: [account.balance], over: 3m, value: max(payload.balance), fire: 'value < 60.0'}",
    "{alert: Mean, on: [account.balance], by: {who: payload.who}, over: 7m, value: avg(payload.balance), \
     fire: 'value < 50.0', clear: 'value > 60.0'}",
    "{alert: Many, on: [message.received, message.finalized], over: 20m, value: distinct(payload.who), \
     fire: 'value >= 3.0'}",
    "{alert: Latest, on: [account.balance], over: 5m, value: last(payload.balance), fire: 'value < 40.0'}",
    "{alert: Today, on: [call.cost, message.finalized, message.received], over: day, time_zone: America/Chicago, \
     value: sum(event.charge), fire: 'value > 4.0'}",
    "{alert: Far, on: [call.cost], by: {country: call.country}, over: 15m, value: sum(event.charge), fire: 'value > 1.0'}",
    "{alert: Silent, on: ['call.*'], absent_for: 20m, for: 3m, keep_firing_for: 2m}",
    "{alert: OfficeSilent, on: ['message.*'], absent_for: 5m, active_time_intervals: [some]}",
];

const SECTIONS: &str = "\
metrics:
- {name: events_total, type: counter, help: h, on: ['*'], by: {who: payload.who}, max_series: 2}
- {name: balance, type: gauge, help: h, on: [account.balance], value: payload.balance, by: {who: payload.who}}
- {name: charges, type: histogram, help: h, on: [call.cost], value: event.charge, by: {country: call.country}}
route:
  receiver: ops
  group_by: [alertname]
  group_wait: 30s
  group_interval: 2m
  repeat_interval: 7m
  routes:
  - {matchers: ['alertname=~\"Busy|Low|Spent\"'], receiver: pair, group_wait: 0s, continue: true}
  - {matchers: ['alertname=~\"Low|Silent|Each|Many\"'], receiver: night, mute_time_intervals: [some]}
  - {matchers: ['who=\"a\"'], receiver: night, active_time_intervals: [some], group_by: ['...']}
inhibit_rules:
- {source_matchers: [alertname=Lower], target_matchers: [alertname=Low], equal: [who]}
- {source_matchers: [alertname=Silent], target_matchers: ['alertname=~\"Today|Often\"'], equal: [account]}
time_intervals:
- name: some
  time_intervals: [{times: [{start_time: '08:10', end_time: '08:25'}, {start_time: '08:40', end_time: '09:05'}]}]
receivers:
- {name: ops, webhook_configs: [{url: 'https://example.com/ops'}]}
- name: pair
  fallback: ops
  webhook_configs: [{url: 'https://example.com/one'}, {url: 'https://example.com/two', send_resolved: false}]
- {name: night, webhook_configs: [{url: 'https://example.com/night'}], alertmanager_configs: [{url: 'https://example.com', resend_interval: 1m}]}
";

/// What comes: the wait since the event before, how it is made, and how far its own time is off.
#[derive(Debug, Clone)]
struct Come {
    after_ms: i64,
    kind: &'static str,
    account: &'static str,
    who: &'static str,
    leg: u8,
    cents: u32,
    off_s: Option<i64>,
}

fn come() -> impl Strategy<Value = Come> {
    let after = prop_oneof![
        2 => Just(0_i64),
        4 => 1_i64..20_000,
        4 => (1_i64..120).prop_map(|second| second * 1_000),
        2 => 60_000_i64..900_000,
    ];
    let kind = prop::sample::select(vec![
        "call.initiated",
        "call.answered",
        "call.hangup",
        "call.cost",
        "call.cost",
        "account.balance",
        "account.balance",
        "message.received",
        "message.finalized",
        "message.finalized",
    ]);
    let account = prop::sample::select(vec!["main", "main", "other"]);
    let who = prop::sample::select(vec!["a", "b", "c", "d"]);
    let off = prop_oneof![
        6 => Just(Some(0)),
        3 => (-900_i64..400).prop_map(Some),
        1 => Just(None),
    ];
    (after, kind, account, who, 0_u8..3, 0_u32..300, off).prop_map(
        |(after_ms, kind, account, who, leg, cents, off_s)| Come {
            after_ms,
            kind,
            account,
            who,
            leg,
            cents,
            off_s,
        },
    )
}

fn inbox(comes: &[Come]) -> Vec<StoredEvent> {
    let mut now = 0;
    let stored = comes.iter().zip(1..).map(|(come, seq)| {
        now += come.after_ms;
        let to = ["+13125550122", "+442079460000", "+4930123456"][usize::from(come.leg)];
        let balance = format!("{}.50", come.cents % 100);
        let mut stored = event(
            seq,
            come.kind,
            at(now),
            json!({
                "who": come.who,
                "id": format!("m-{}", come.leg),
                "call_leg_id": format!("leg-{}", come.leg),
                "call_control_id": format!("control-{}", come.leg),
                "from": "+13125550111",
                "to": to,
                "direction": "outbound",
                "balance": balance,
            }),
        );
        let event = &mut stored.event;
        come.account.clone_into(&mut event.account);
        event.occurred_at = come.off_s.map(|off| at(now + off * 1_000));
        if matches!(come.kind, "call.cost" | "message.finalized" | "message.received") {
            // Of three legs with few amounts: repeats and corrections.
            event.cost =
                (come.cents > 20).then(|| Decimal::new(i64::from(come.cents / 50 * 50), 2));
            event.currency = Some("USD".to_owned());
        }
        stored
    });
    stored.collect()
}

/// How the same events are judged otherwise: the sizes of the batches, and what happens before each.
#[derive(Debug, Clone)]
struct Disturbance {
    size: usize,
    /// A crash before the batch.
    crash: bool,
    /// A crash after judging it, before the commit.
    lost: bool,
    /// How long the batch waits to be judged.
    late_ms: i64,
    /// Timers are run between this batch and the one before it: after so many percent of the time between.
    timers: Option<i64>,
}

fn disturbance() -> impl Strategy<Value = Disturbance> {
    (1_usize..5, any::<bool>(), any::<bool>(), 0_i64..20_000, prop::option::of(0_i64..=100))
        .prop_map(|(size, crash, lost, late_ms, timers)| Disturbance {
            size,
            crash,
            lost,
            late_ms,
            timers,
        })
}

fn rules(chosen: &[&str]) -> String {
    chosen.iter().map(|rule| ["  - ", rule, "\n"].concat()).collect()
}

/// What is due is sent before some of the events, and answered so.
fn answers(comes: &[Come]) -> Vec<Option<Answer>> {
    let answer = |come: &Come| match come.cents % 10 {
        0 | 1 => Some(Answer::Taken),
        2 => Some(Answer::Rejected),
        3 => Some(Answer::TakenUnanswered),
        4 => Some(Answer::Lost),
        _ => None,
    };
    comes.iter().map(answer).collect()
}

fn undisturbed(
    policy: &Policy,
    (events, answers): (&[StoredEvent], &[Option<Answer>]),
    end: Timestamp,
) -> Disk {
    let mut world = World::new(policy);
    for (stored, answer) in events.iter().zip(answers) {
        world.answer(policy, *answer, stored.event.received_at);
        world.step(policy, &[stored], stored.event.received_at);
    }
    world.finish(policy, end)
}

fn disturbed(
    policy: &Policy,
    (events, answers): (&[StoredEvent], &[Option<Answer>]),
    end: Timestamp,
    plan: &[Disturbance],
) -> Disk {
    let mut world = World::new(policy);
    world.peers_are_well = false;
    // What is answered stands between two batches.
    let mut answers = answers;
    let mut rest = events;
    for one in plan.iter().cycle() {
        let together = answers.iter().skip(1).take_while(|answer| answer.is_none()).count() + 1;
        let (batch, others) = rest.split_at(one.size.min(together).min(rest.len()));
        let (answer, later) = (answers.first().copied().flatten(), answers.get(batch.len()..));
        rest = others;
        answers = later.unwrap_or_default();
        let Some(first) = batch.first() else { break };
        let before = world.state.next_deadline().unwrap_or(at(0));
        let batch: Vec<&StoredEvent> = batch.iter().collect();
        if one.crash {
            // Up again at once: time in which nothing ran is another story to an absence.
            world.crash();
            world.step(policy, &[], before.min(first.event.received_at));
        }
        if let Some(percent) = one.timers {
            // Anywhere between: all that is due by then runs, what is due later does not.
            let (from, to) = (world.disk_time(events), first.event.received_at);
            let millis = i64::try_from(to.duration_since(from).as_millis()).expect("short");
            world.step(
                policy,
                &[],
                from + jiff::SignedDuration::from_millis(millis * percent / 100),
            );
        }
        world.answer(policy, answer, first.event.received_at);
        if one.crash && answer.is_some() {
            // After the answer, before anybody took note of it.
            world.crash();
            world.step(policy, &[], first.event.received_at);
        }
        let last = batch.last().expect("one").event.received_at;
        let late = last + jiff::SignedDuration::from_millis(one.late_ms);
        // What is opened until then must be due then.
        let next = rest.iter().zip(answers).find(|(_, answer)| answer.is_some());
        let next = next.map(|(stored, _)| stored);
        let now = next.map_or(late, |next| late.min(next.event.received_at));
        // A crash that keeps events waiting for longer is, to an absence, time in which nothing ran.
        let wait = now.duration_since(first.event.received_at).as_secs();
        if one.lost && wait < 10 {
            world.step(policy, &[], first.event.received_at);
            let judged = world.attempt(policy, &batch, now);
            world.crash();
            let again = world.attempt(policy, &batch, now);
            let opened = |judged: &Judged| -> Vec<(String, TargetId)> {
                judged
                    .changes
                    .deliveries
                    .iter()
                    .map(|delivery| (delivery.group_key.clone(), delivery.target.clone()))
                    .collect()
            };
            assert_eq!(opened(&judged), opened(&again));
            // Whoever is up again looks at each group, too: that may show what is quiet earlier.
            let (once, twice) = (judged.changes, again.changes);
            assert_eq!(once.alerts, twice.alerts);
            assert_eq!(once.judgements, twice.judgements);
            assert_eq!(once.noted, twice.noted);
            assert_eq!((once.charges, once.ledger), (twice.charges, twice.ledger));
        }
        world.step(policy, &batch, now);
    }
    world.finish(policy, end)
}

impl World {
    /// Sends what is due, once; the engine takes note of what ended with what comes next.
    fn answer(&mut self, policy: &Policy, answer: Option<Answer>, now: Timestamp) {
        if answer.is_some() {
            self.step(policy, &[], now);
            self.send_due(policy, now, &mut |_| answer);
        }
    }

    fn finish(mut self, policy: &Policy, end: Timestamp) -> Disk {
        self.step(policy, &[], end);
        self.send(policy, end, &mut |_| Some(Answer::Taken));
        self.disk
    }

    /// When the last event that was judged came in.
    fn disk_time(&self, events: &[StoredEvent]) -> Timestamp {
        let judged = events.iter().filter(|stored| stored.seq <= self.disk.cursor);
        judged.map(|stored| stored.event.received_at).max().unwrap_or(at(0))
    }
}

fn assert_same(want: &Disk, got: &Disk) {
    let (want, got) = (want.story(), got.story());
    for (want, got) in want.iter().zip(&got) {
        assert_eq!(want, got);
    }
    assert_eq!(want.len(), got.len());
}

proptest! {
    // Each case compiles its rules anew and judges a long story twice.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 8))]

    #[test]
    fn a_crash_at_any_point_changes_nothing(
        chosen in subsequence(RULES, 1..6),
        comes in prop::collection::vec(come(), 1..30),
        plan in prop::collection::vec(disturbance(), 1..8),
    ) {
        let policy = policy(&rules(&chosen), SECTIONS);
        let events = inbox(&comes);
        let end = events.last().expect("one").event.received_at + jiff::SignedDuration::from_mins(75);
        let story = (&*events, &*answers(&comes));
        let want = undisturbed(&policy, story, end);
        assert_same(&want, &disturbed(&policy, story, end, &plan));
    }
}

/// All rules at once over a long story, so that each kind of change is known to happen.
#[test]
fn the_pool_does_all_there_is_to_do() {
    let policy = policy(&rules(RULES), SECTIONS);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let comes = prop::collection::vec(come(), 300);
    let comes = comes.new_tree(&mut runner).expect("a story").current();
    let events = inbox(&comes);
    let end = events.last().expect("one").event.received_at + jiff::SignedDuration::from_hours(2);
    let story = (&*events, &*answers(&comes));
    let disk = undisturbed(&policy, story, end);
    let plan = [
        Disturbance { size: 3, crash: true, lost: true, late_ms: 10, timers: None },
        Disturbance { size: 1, crash: false, lost: false, late_ms: 0, timers: Some(50) },
        Disturbance { size: 7, crash: false, lost: true, late_ms: 9_000, timers: None },
    ];
    assert_same(&disk, &disturbed(&policy, story, end, &plan));
    let whats: BTreeSet<&str> = disk.journal.iter().map(|entry| entry.what.as_str()).collect();
    let all = ["expired", "fired", "no_data", "notified", "resolved", "suppressed"];
    assert_eq!(whats.into_iter().collect::<Vec<_>>(), all);
    let fired: BTreeSet<String> = disk
        .alerts
        .values()
        .map(|json| serde_json::from_slice::<Alert>(json).expect("an alert").rule)
        .collect();
    assert_eq!(fired.len(), RULES.len(), "{fired:?}");
    let states: BTreeSet<&str> = disk.outbox.iter().map(|kept| kept.state.as_str()).collect();
    assert_eq!(states.into_iter().collect::<Vec<_>>(), ["dead", "delivered", "superseded"]);
    assert!(disk.charges.iter().any(|(_, charge)| charge.is_sign_negative()));
    assert!(disk.ledger.values().any(|entry| entry.call.country.is_some()));
    assert!(disk.raised.iter().any(|event| event.kind == "tollbell.series_limit"));
}
