//! When an integration may be tried again. Pure: `(state, outcome, now)`.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock;
use crate::notify::{Outcome, RateLimit, Reason, RetryPolicy};

/// Failures in a row after which an integration is left alone for a while.
const CIRCUIT_FAILURES: u32 = 5;
/// How long it is left alone the first time; doubles with each failed probe.
const CIRCUIT_OPEN: Duration = Duration::from_secs(5);
/// How long it is left alone at most.
const CIRCUIT_OPEN_MAX: Duration = Duration::from_mins(1);
/// How long it is left alone after it refused our credentials: asking on would lock the account.
const AUTH_PAUSE: Duration = Duration::from_mins(1);
/// Longest wait that a peer may ask for.
pub(super) const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// Token bucket, pause and circuit of one integration.
#[derive(Debug, Clone)]
pub(super) struct Pacer {
    limit: RateLimit,
    tokens: f64,
    refilled_at: Timestamp,
    paused_until: Timestamp,
    failures: u32,
    /// While the circuit is half open, one delivery probes it.
    probing: bool,
}

impl Pacer {
    /// A full bucket, a closed circuit.
    pub(super) fn new(limit: RateLimit, now: Timestamp) -> Self {
        Self {
            limit,
            tokens: f64::from(limit.burst),
            refilled_at: now,
            paused_until: now,
            failures: 0,
            probing: false,
        }
    }

    /// The configuration has another limit now. What was sent and suffered so far counts on.
    pub(super) fn limit(&mut self, limit: RateLimit, now: Timestamp) {
        self.refill(now);
        self.limit = limit;
        self.refill(now);
    }

    /// Nothing may be sent in a burst: somebody else may just have done so.
    pub(super) fn empty(&mut self, now: Timestamp) {
        self.refill(now);
        self.tokens = 0.0;
    }

    /// How many sends may begin now.
    pub(super) fn allowance(&mut self, now: Timestamp) -> usize {
        self.refill(now);
        if now < self.paused_until || self.probing {
            return 0;
        }
        // The bucket holds at most `burst`, a u32; the fraction is what is still coming back.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 <= tokens <= burst"
        )]
        let whole = self.tokens as usize;
        if self.half_open() { whole.min(1) } else { whole }
    }

    /// Until when nothing is sent, whatever waits; `None` when that is not so. While the circuit is half open and its probe
    /// has not answered, the pause lasts.
    pub(super) fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        (self.paused_until > now || self.half_open()).then_some(self.paused_until)
    }

    /// When [`Pacer::allowance`] will be at least one, if nothing else happens; `None` while a probe is out.
    pub(super) fn ready_at(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.refill(now);
        if self.probing {
            return None;
        }
        let missing = (1.0 - self.tokens).max(0.0) / self.limit.per_second;
        let refilled =
            clock::add(now, Duration::try_from_secs_f64(missing).unwrap_or(RETRY_AFTER_MAX));
        Some(refilled.max(self.paused_until))
    }

    /// A send begins.
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.refill(now);
        self.tokens = (self.tokens - 1.0).max(0.0);
        self.probing = self.half_open();
    }

    /// So many sends that began do not happen after all.
    pub(super) fn unsent(&mut self, count: usize) {
        if count > 0 {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            self.tokens = (self.tokens + f64::from(count)).min(f64::from(self.limit.burst));
            self.probing = false;
        }
    }

    /// A send ended.
    pub(super) fn end(&mut self, outcome: &Outcome, now: Timestamp) {
        let probed = std::mem::replace(&mut self.probing, false);
        let (reason, after) = match outcome {
            // A refusal of this message says that the peer is there.
            Outcome::Delivered
            | Outcome::Rejected { .. }
            | Outcome::Retry { peer_works: true, .. } => {
                self.failures = 0;
                return;
            }
            Outcome::Retry { reason, after, .. } => (*reason, *after),
        };
        if let Some(after) = after {
            self.pause(clock::add(now, after.min(RETRY_AFTER_MAX)));
        }
        match reason {
            Reason::AuthError => self.pause(clock::add(now, AUTH_PAUSE)),
            // It works, only not so fast.
            Reason::RateLimited => self.failures = 0,
            // Begun before the circuit opened: it says nothing of the peer as it is after the pause.
            _ if self.half_open() && !probed && now < self.paused_until => {}
            _ => {
                self.failures = self.failures.saturating_add(1);
                if let Some(over) = self.failures.checked_sub(CIRCUIT_FAILURES) {
                    let open = CIRCUIT_OPEN.saturating_mul(1 << over.min(8)).min(CIRCUIT_OPEN_MAX);
                    self.pause(clock::add(now, open));
                }
            }
        }
    }

    /// Somebody knows that the peer is well: the pause is over, and failures count from none.
    pub(super) fn lift(&mut self, now: Timestamp) {
        self.paused_until = now;
        self.failures = 0;
        self.probing = false;
    }

    fn half_open(&self) -> bool {
        self.failures >= CIRCUIT_FAILURES
    }

    fn pause(&mut self, until: Timestamp) {
        self.paused_until = self.paused_until.max(until);
    }

    fn refill(&mut self, now: Timestamp) {
        let passed = clock::until(self.refilled_at, now).as_secs_f64();
        self.tokens =
            (self.tokens + passed * self.limit.per_second).min(f64::from(self.limit.burst));
        self.refilled_at = self.refilled_at.max(now);
    }
}

/// Full-jitter backoff (Brooker 2015, "Exponential Backoff And Jitter"): anything between zero and the bound, which doubles
/// with each attempt. `roll` is in 0..1.
pub(super) fn backoff(policy: &RetryPolicy, attempt: u32, roll: f64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(20);
    let bound = policy.initial_backoff.saturating_mul(1 << doublings).min(policy.max_backoff);
    bound.mul_f64(roll.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: RateLimit = RateLimit { per_second: 1.0, burst: 3 };

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + millis).expect("in range")
    }

    fn retry(reason: Reason, after: Option<Duration>) -> Outcome {
        let (lasting, detail) = (None, String::new());
        Outcome::Retry { reason, after, lasting, maybe_taken: false, peer_works: false, detail }
    }

    #[test]
    fn the_bucket_gives_its_burst_then_its_rate() {
        let mut pacer = Pacer::new(LIMIT, at(0));
        assert_eq!(pacer.allowance(at(0)), 3);
        (0..3).for_each(|_| pacer.begin(at(0)));
        assert_eq!((pacer.allowance(at(0)), pacer.ready_at(at(0))), (0, Some(at(1000))));
        assert_eq!((pacer.allowance(at(999)), pacer.allowance(at(1000))), (0, 1));
        assert_eq!(pacer.allowance(at(60_000)), 3);
    }

    #[test]
    fn another_limit_keeps_what_was_sent_and_the_pause() {
        let mut pacer = Pacer::new(LIMIT, at(0));
        (0..2).for_each(|_| pacer.begin(at(0)));
        pacer.limit(RateLimit { per_second: 10.0, burst: 5 }, at(0));
        assert_eq!((pacer.allowance(at(0)), pacer.allowance(at(200))), (1, 3));
        pacer.end(&retry(Reason::RateLimited, Some(Duration::from_secs(2))), at(200));
        pacer.limit(RateLimit { per_second: 10.0, burst: 1 }, at(2_200));
        assert_eq!((pacer.allowance(at(2_199)), pacer.allowance(at(2_200))), (0, 1));
    }

    #[test]
    fn a_peer_that_asks_for_a_pause_gets_it() {
        let mut pacer = Pacer::new(LIMIT, at(0));
        pacer.end(&retry(Reason::RateLimited, Some(Duration::from_secs(2))), at(0));
        assert_eq!((pacer.allowance(at(1999)), pacer.allowance(at(2000))), (0, 3));
        pacer.end(&retry(Reason::RateLimited, Some(Duration::from_hours(99))), at(2000));
        assert_eq!(pacer.ready_at(at(2000)), Some(clock::add(at(2000), RETRY_AFTER_MAX)));
    }

    #[test]
    fn the_circuit_opens_probes_and_closes() {
        let mut pacer = Pacer::new(RateLimit { per_second: 100.0, burst: 10 }, at(0));
        for _ in 0..5 {
            assert!(pacer.allowance(at(0)) > 0);
            pacer.end(&retry(Reason::Timeout, None), at(0));
        }
        assert_eq!((pacer.allowance(at(4_999)), pacer.allowance(at(5_000))), (0, 1));
        pacer.begin(at(5_000));
        assert_eq!((pacer.allowance(at(5_000)), pacer.ready_at(at(5_000))), (0, None));
        pacer.end(&retry(Reason::Connect, None), at(5_000));
        assert_eq!((pacer.allowance(at(14_999)), pacer.allowance(at(15_000))), (0, 1));
        pacer.begin(at(15_000));
        pacer.end(&Outcome::Delivered, at(15_000));
        assert_eq!(pacer.allowance(at(15_000)), 9);
    }

    #[test]
    fn sends_that_were_in_flight_when_the_circuit_opened_do_not_lengthen_the_pause() {
        let mut pacer = Pacer::new(RateLimit { per_second: 100.0, burst: 20 }, at(0));
        (0..16).for_each(|_| pacer.begin(at(0)));
        (0..16).for_each(|_| pacer.end(&retry(Reason::Timeout, None), at(0)));
        assert_eq!(pacer.paused_until(at(0)), Some(at(5_000)));
        // Nor does one that fails while the probe is still to come; what asks for a pause gets it all the same.
        pacer.end(&retry(Reason::Connect, Some(Duration::from_secs(7))), at(4_000));
        assert_eq!((pacer.allowance(at(10_999)), pacer.allowance(at(11_000))), (0, 1));
        pacer.begin(at(11_000));
        pacer.end(&retry(Reason::Connect, None), at(11_000));
        assert_eq!(pacer.paused_until(at(11_000)), Some(at(21_000)), "the first probe that failed");
    }

    proptest! {
        #[test]
        fn backoff_stays_below_its_doubling_bound(attempt in 1_u32..100, roll in 0.0..1.0_f64) {
            let policy = RetryPolicy::default();
            let wait = backoff(&policy, attempt, roll);
            prop_assert!(wait <= policy.max_backoff);
            prop_assert!(wait <= policy.initial_backoff.saturating_mul(1 << attempt.min(20).saturating_sub(1)));
        }
    }
}
