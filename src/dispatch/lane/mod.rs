//! One integration at work: claims what is due, sends it, records what became of it.
//!
//! One loop claims and records, so that no two claims meet; as many sends as there are places run beside it and hand their
//! outcomes to it. See [`places`] for when it claims.

mod claims;
mod outcome;
mod places;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::places::Places;
use super::Deps;
use super::charts::Charts;
use super::compose::Composed;
use super::pacer::Pacer;
use crate::clock::{self, Clock};
use crate::clock_steps::Watch;
use crate::notify::{Integration, Notifier, Sent};
use crate::store::{Role, Settlement, StoreError};
use crate::tasks::Tasks;

/// How long a loop sleeps at most before it looks again; a signal wakes it earlier.
const POLL: Duration = Duration::from_secs(1);

/// How one integration sends, by the configuration in force.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) integration: Integration,
    pub(super) notifier: Notifier,
}

/// One integration at work.
#[derive(Debug)]
pub(super) struct Lane {
    deps: Deps,
    /// A reload changes it; a send sees one state of it from its claim to its outcome.
    sender: ArcSwap<Sender>,
    role: Role,
    pace: Mutex<Pace>,
    charts: Charts,
    /// A send ended, or an outcome that was hard to record is.
    nudged: Notify,
    /// The settings have changed.
    changed: Notify,
    /// Its own tasks: they end when the configuration has the integration no more.
    tasks: Tasks,
    ended: AtomicBool,
}

/// A delivery that is claimed, and how it is sent.
#[derive(Debug)]
struct Ready {
    sender: Arc<Sender>,
    composed: Composed,
}

#[derive(Debug)]
struct Pace {
    pacer: Pacer,
    /// Whether this process sent for the integration at the last look.
    is_ours: bool,
    places: Places<Ready, Settlement>,
    /// Ids of deliveries whose claim got no answer: they are given back once the store works. As many as one claim at most.
    unanswered: Vec<String>,
    /// Outcomes that the store refused so far.
    unrecorded: usize,
    /// The pause as people see it: until when, and why.
    pause: Option<(Timestamp, String)>,
    /// Whether that is yet to be written to the store.
    is_pause_changed: bool,
    /// Whether a pause is noted in the store.
    is_pause_noted: bool,
}

/// How many deliveries may be claimed, and if none, when that changes by itself.
struct Allowance {
    limit: usize,
    ready_at: Option<Timestamp>,
    /// The pause of that moment: while a circuit is half open, its probe is sent all the same.
    paused_until: Option<Timestamp>,
}

impl Pace {
    fn allowance(&mut self, places: usize, steady: Timestamp) -> Allowance {
        let paused_until = self.pacer.paused_until(steady);
        let missing = self.places.missing(places, Instant::now());
        // A probe is not kept waiting for a place.
        let missing = match paused_until {
            Some(_) if self.places.in_flight() >= places => 0,
            _ => missing,
        };
        let limit = self.pacer.allowance(steady).min(missing);
        Allowance { limit, ready_at: self.pacer.ready_at(steady), paused_until }
    }
}

/// The time that passes, as a time: pace, pauses and circuit do not care how the wall clock is set.
fn steady(clock: &Clock) -> Timestamp {
    clock::add(Timestamp::UNIX_EPOCH, clock.elapsed())
}

impl Lane {
    pub(super) fn new(deps: Deps, sender: Sender, tasks: Tasks) -> Self {
        let pacer = Pacer::new(sender.integration.rate_limit, steady(&deps.clock));
        let role = Role::Send(sender.integration.id.clone());
        let is_ours = deps.store.holds(&role);
        let places = Places::new();
        let pace = Pace {
            pacer,
            is_ours,
            places,
            unanswered: Vec::new(),
            unrecorded: 0,
            pause: None,
            is_pause_changed: false,
            is_pause_noted: false,
        };
        Self {
            pace: Mutex::new(pace),
            charts: Charts::default(),
            role,
            nudged: Notify::new(),
            changed: Notify::new(),
            sender: ArcSwap::from_pointee(sender),
            ended: AtomicBool::new(false),
            deps,
            tasks,
        }
    }

    pub(super) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    pub(super) fn deps(&self) -> &Deps {
        &self.deps
    }

    pub(super) fn sender(&self) -> Arc<Sender> {
        self.sender.load_full()
    }

    /// Whether the peer is left alone for a while.
    pub(super) fn is_paused(&self) -> bool {
        let steady = steady(&self.deps.clock);
        self.paced(|pace| pace.pacer.paused_until(steady).is_some())
    }

    /// Whether this process sends for the integration now. When it begins to, it has used up its burst: another may have sent
    /// a moment ago.
    pub(super) fn is_ours(&self) -> bool {
        let is_ours = self.deps.store.holds(&self.role);
        let steady = steady(&self.deps.clock);
        self.paced(|pace| {
            if is_ours && !std::mem::replace(&mut pace.is_ours, is_ours) {
                pace.pacer.empty(steady);
                // What another noted of itself, and what was noted of us, is put right.
                (pace.is_pause_changed, pace.is_pause_noted) = (true, false);
                pace.pause =
                    pace.pause.take().filter(|_| pace.pacer.paused_until(steady).is_some());
            }
            pace.is_ours = is_ours;
        });
        is_ours
    }

    /// Whether [`Lane::run`] is over, and with it all sends.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Sends by other settings from the next claim on. Pace, pauses and circuit go on.
    pub(super) fn change(&self, sender: Sender) {
        let (limit, now) = (sender.integration.rate_limit, steady(&self.deps.clock));
        self.sender.store(Arc::new(sender));
        self.paced(|pace| pace.pacer.limit(limit, now));
        self.changed.notify_one();
    }

    /// Sends until it is told to end; then waits for what is being sent.
    pub(super) async fn run(self: Arc<Self>) {
        let mut queued = self.deps.store.queued();
        let (mut wake, mut is_due) = (None, true);
        while !self.tasks.is_stopping() {
            if is_due {
                // Registered before the look, so that no delivery slips in between.
                queued.borrow_and_update();
                wake = self.turn().await.unwrap_or_else(|error| {
                    let integration = &self.sender.load().integration.id;
                    tracing::error!(%error, integration, "deliveries cannot be claimed");
                    None
                });
            }
            let poll = clock::add(self.deps.clock.now(), POLL);
            is_due = tokio::select! {
                _ = queued.changed() => true,
                () = self.changed.notified() => true,
                () = self.nudged.notified() => self.is_due(),
                () = self.look() => self.is_due(),
                () = self.deps.clock.sleep_until(wake.map_or(poll, |wake| wake.min(poll))) => true,
                () = self.tasks.stopping() => false,
            };
        }
        self.end().await;
        self.ended.store(true, Ordering::Release);
        self.deps.ended.notify_one();
    }

    /// Gives back what is ready and waits for what is in flight; records it.
    async fn end(self: &Arc<Self>) {
        loop {
            self.paced(|pace| pace.places.clear());
            self.put_away().await;
            if self.paced(|pace| pace.places.is_empty() && pace.unrecorded == 0) {
                return;
            }
            self.nudged.notified().await;
        }
    }

    fn is_due(&self) -> bool {
        let places = self.sender.load().integration.concurrency;
        self.paced(|pace| pace.places.is_due(places, Instant::now()))
    }

    /// Resolves when it is to be asked again whether something is due.
    async fn look(&self) {
        match self.paced(|pace| pace.places.look_at(Instant::now())) {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// Claims what may be claimed now and records what has ended, in one commit; says when to look again.
    async fn turn(self: &Arc<Self>) -> Result<Option<Timestamp>, StoreError> {
        if !self.is_ours() {
            // Another replica claims what is given back.
            self.paced(|pace| pace.places.clear());
            self.put_away().await;
            self.deps.store.leaves(&self.role);
            return Ok(None);
        }
        let sender = self.sender.load_full();
        self.note_pause(&sender.integration).await;
        if let Err(error) = self.heed_lift(&sender.integration).await {
            // Outcomes are recorded all the same.
            tracing::debug!(%error, "whether a pause was ended could not be read");
        }
        let (now, steady) = (self.deps.clock.now(), steady(&self.deps.clock));
        let places = sender.integration.concurrency;
        let Allowance { limit, ready_at, paused_until } =
            self.paced(|pace| pace.allowance(places, steady));
        let prepared = match limit {
            0 => Ok(None),
            limit => self.prepare(&sender.integration, limit, now).await,
        };
        let found = prepared.as_ref().map_or(0, |some| some.as_ref().map_or(0, |one| one.found));
        let claim = async { self.claim(prepared?).await };
        let (claimed, ()) = tokio::join!(claim, self.put_away());
        let Some(claimed) = claimed? else { return Ok(Some(now)) };
        if limit == 0 {
            // Without a `ready_at` or a free place, the end of a send wakes us.
            let wait = ready_at.map(|at| clock::until(steady, at)).filter(|wait| !wait.is_zero());
            return Ok(wait.map(|wait| clock::add(now, wait)));
        }
        let claimed = claimed.into_iter();
        let claimed = claimed.map(|composed| Ready { sender: Arc::clone(&sender), composed });
        let begin = self.paced(|pace| {
            let claimed = claimed.inspect(|_| pace.pacer.begin(steady));
            let begin = pace.places.claimed(claimed, found >= limit, places, Instant::now());
            let paused = pace.pacer.paused_until(steady);
            if paused.is_some() && paused != paused_until {
                // The peer asked for it while we claimed.
                pace.places.clear();
                self.nudged.notify_one();
            }
            begin
        });
        for _ in 0..begin {
            self.tasks.spawn_short(Arc::clone(self).work());
        }
        if found < limit {
            self.deps.store.next_due(&sender.integration.id).await
        } else {
            Ok(Some(now))
        }
    }

    /// Sends what is ready, one delivery after another, until nothing is or there is no place.
    async fn work(self: Arc<Self>) {
        while let Some((place, Ready { sender, composed })) = self.begin() {
            let done = self.send(&sender, composed).await;
            let steady = steady(&self.deps.clock);
            self.paced(|pace| {
                pace.places.end(place, done, Instant::now());
                if pace.pacer.paused_until(steady).is_some() {
                    pace.places.clear();
                }
            });
            self.nudged.notify_one();
        }
        self.nudged.notify_one();
    }

    fn begin(&self) -> Option<(u64, Ready)> {
        if self.tasks.is_stopping() {
            return None;
        }
        let places = self.sender.load().integration.concurrency;
        self.paced(|pace| pace.places.begin(places, Instant::now()))
    }

    /// Sends one delivery; what became of it.
    async fn send(&self, sender: &Sender, mut composed: Composed) -> Settlement {
        let kind = sender.integration.channel.kind();
        if composed.repeats {
            self.deps.metrics.resent(kind, &sender.integration.receiver);
        }
        if sender.integration.channel.takes_charts() {
            let message = &composed.notification.message;
            composed.notification.charts = self.charts.of(&self.deps.store, message).await;
        }
        composed.notification.now = self.deps.clock.now();
        let mut watch = Watch::new(&self.deps.clock);
        let sent = sender.notifier.send(&composed.notification).await;
        if let Some(step) = watch.look(&self.deps.clock) {
            // How old a delivery is does not change with the clock.
            let opened_at = composed.delivery.created_at.saturating_add(step.by);
            composed.delivery.created_at = opened_at.unwrap_or(composed.delivery.created_at);
        }
        let Sent { outcome, template_failed } = sent;
        let now = self.deps.clock.now();
        if template_failed {
            self.deps.metrics.template_error(kind);
        }
        // Before anything is written: what the peer asked for holds for the very next send.
        self.pause_after(&sender.integration, &outcome, now);
        let settlement = self.settlement(&sender.integration, &composed, &outcome, now);
        self.report(&sender.integration, &composed, &settlement, &outcome);
        settlement
    }

    fn paced<T>(&self, act: impl FnOnce(&mut Pace) -> T) -> T {
        act(&mut self.pace.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
