//! How many deliveries a lane holds ready. Pure: `(state, now)`.
//!
//! A lane has as many places as it may have sends in flight. While all are taken, the next deliveries are claimed a little
//! before a place is free, so that no place waits for a commit; only a little, for what they say is composed when they are
//! claimed. Outcomes are recorded together with the next claim.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// How long a delivery may wait for its send after it was claimed; what waits longer is given back and composed anew.
pub(super) const AHEAD_MAX: Duration = Duration::from_millis(100);
/// How long before its send a delivery is claimed: half of it, for sends take longer at times.
const LEAD: Duration = Duration::from_millis(50);
/// Deliveries that are claimed ahead for one place at most.
const PLACE_AHEAD_MAX: usize = 32;
/// Deliveries of one lane that are claimed ahead at most; each holds a message.
const READY_MAX: usize = 256;
/// Shortest time between two looks at whether a place will soon be free.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The places of one lane: what is in flight, what is ready for them, what is to be recorded.
#[derive(Debug)]
pub(super) struct Places<R, D> {
    /// When each send in flight began.
    running: BTreeMap<u64, Instant>,
    next: u64,
    /// How long sends take, smoothed.
    send_time: Duration,
    /// Claimed, each with the time of its claim; oldest first.
    ready: VecDeque<(R, Instant)>,
    /// To be recorded.
    done: Vec<D>,
    done_since: Option<Instant>,
    /// To be given back.
    unsent: Vec<R>,
    /// Whether more was due than was claimed.
    more: bool,
}

impl<R, D> Places<R, D> {
    /// Nothing in flight; sends are taken for slow until one has ended.
    pub(super) fn new() -> Self {
        Self {
            running: BTreeMap::new(),
            next: 0,
            send_time: AHEAD_MAX,
            ready: VecDeque::new(),
            done: Vec::new(),
            done_since: None,
            unsent: Vec::new(),
            more: false,
        }
    }

    /// Sends in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.running.len()
    }

    /// Whether nothing is in flight, ready or to be recorded.
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
            && self.ready.is_empty()
            && self.done.is_empty()
            && self.unsent.is_empty()
    }

    /// How many deliveries are to be claimed now.
    pub(super) fn missing(&self, places: usize, now: Instant) -> usize {
        self.wanted(places, now).saturating_sub(self.ready.len())
    }

    /// How many deliveries there is a place for within [`LEAD`]. A send that takes longer than expected frees none: nobody
    /// knows when it will end.
    fn wanted(&self, places: usize, now: Instant) -> usize {
        let free = places.saturating_sub(self.running.len());
        let freed = self.running.values().filter_map(|&begun| self.frees_in(begun, now));
        let waits = std::iter::repeat_n(Duration::ZERO, free).chain(freed.take(places));
        let soon = waits.filter(|wait| *wait <= LEAD);
        let wanted: usize = soon.map(|wait| self.within(LEAD.saturating_sub(wait))).sum();
        wanted.min(READY_MAX)
    }

    /// How many sends of one place there are in a time; at least one.
    fn within(&self, time: Duration) -> usize {
        let sends = time.as_micros() / self.send_time.as_micros().max(1);
        usize::try_from(sends).unwrap_or(PLACE_AHEAD_MAX).clamp(1, PLACE_AHEAD_MAX)
    }

    /// When a send that began then is expected to end; `None` when it is overdue.
    fn frees_in(&self, begun: Instant, now: Instant) -> Option<Duration> {
        let end = begun + self.send_time;
        (now <= end + LEAD).then(|| end.saturating_duration_since(now))
    }

    /// These were claimed; `more` is due when all that was asked for was found. Gives how many sends are to begin.
    pub(super) fn claimed(
        &mut self,
        claimed: impl IntoIterator<Item = R>,
        more: bool,
        places: usize,
        now: Instant,
    ) -> usize {
        self.ready.extend(claimed.into_iter().map(|one| (one, now)));
        self.more = more;
        places.saturating_sub(self.running.len()).min(self.ready.len())
    }

    /// Takes a place, if one is free and something is ready for it.
    pub(super) fn begin(&mut self, places: usize, now: Instant) -> Option<(u64, R)> {
        if self.running.len() >= places {
            return None;
        }
        self.expire(now);
        let (one, _) = self.ready.pop_front()?;
        self.next += 1;
        self.running.insert(self.next, now);
        Some((self.next, one))
    }

    /// A send ended. Its place is free, and its outcome is to be recorded.
    pub(super) fn end(&mut self, place: u64, outcome: D, now: Instant) {
        if let Some(begun) = self.running.remove(&place) {
            self.send_time = (self.send_time * 3 + now.duration_since(begun)) / 4;
        }
        self.done.push(outcome);
        self.done_since.get_or_insert(now);
    }

    /// Gives back all that is ready: it is not to be sent now.
    pub(super) fn clear(&mut self) {
        self.unsent.extend(self.ready.drain(..).map(|(one, _)| one));
    }

    fn expire(&mut self, now: Instant) {
        while let Some((one, _)) = self.ready.pop_front_if(|(_, at)| *at + AHEAD_MAX < now) {
            self.unsent.push(one);
        }
    }

    /// What is to be recorded, and what is to be given back.
    pub(super) fn take(&mut self, now: Instant) -> (Vec<D>, Vec<R>) {
        self.expire(now);
        self.done_since = None;
        (std::mem::take(&mut self.done), std::mem::take(&mut self.unsent))
    }

    /// Whether there is something to write or to claim. Outcomes wait for each other while others are ready to be sent.
    pub(super) fn is_due(&self, places: usize, now: Instant) -> bool {
        let low = if self.more { self.wanted(places, now) / 2 } else { 0 };
        let claims = self.more && self.ready.len() <= low && self.missing(places, now) > 0;
        let records = !self.done.is_empty() && self.ready.len() <= low;
        let late = self.latest().is_some_and(|at| at <= now);
        claims || records || late || !self.unsent.is_empty()
    }

    /// When [`Places::is_due`] is to be asked again, if no send ends before.
    pub(super) fn look_at(&self, now: Instant) -> Option<Instant> {
        let frees = self.running.values().map(|&begun| begun + self.send_time.saturating_sub(LEAD));
        let frees =
            frees.filter(|at| self.more && *at > now).min().map(|at| at.max(now + LOOK_EVERY));
        [frees, self.latest()].into_iter().flatten().min()
    }

    /// When outcomes are recorded and what is ready is given back at the latest.
    fn latest(&self) -> Option<Instant> {
        let records = self.done_since.map(|at| at + LEAD);
        let expires = self.ready.front().map(|(_, at)| *at + AHEAD_MAX + Duration::from_millis(1));
        [records, expires].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A lane of which each send takes so long, once it has learned it.
    fn learned(send_time: Duration) -> (Places<u32, u32>, Instant) {
        let mut places = Places::new();
        let mut now = Instant::now();
        for n in 0..40 {
            places.claimed([n], false, 1, now);
            let (place, _) = places.begin(1, now).unwrap();
            now += send_time;
            places.end(place, n, now);
        }
        places.take(now);
        (places, now)
    }

    /// Begins as many sends as there are places; their places.
    fn fill(places: &mut Places<u32, u32>, count: usize, now: Instant) -> Vec<u64> {
        let begun = std::iter::from_fn(|| places.begin(count, now).map(|(place, _)| place));
        begun.collect()
    }

    #[test]
    fn free_places_are_filled_and_never_more() {
        let (mut places, now) = learned(100 * MS);
        assert_eq!(places.missing(16, now), 16);
        assert_eq!(places.claimed(0..16, true, 16, now), 16);
        assert_eq!(fill(&mut places, 16, now).len(), 16);
        assert_eq!((places.in_flight(), places.missing(16, now)), (16, 0));
        places.claimed([16], true, 16, now);
        assert_eq!(places.begin(16, now).map(|(_, one)| one), None);
        // The configuration has fewer places now.
        assert_eq!((places.missing(4, now), places.claimed([], true, 4, now)), (0, 0));
    }

    #[test]
    fn the_next_are_claimed_shortly_before_places_are_free() {
        let (mut places, now) = learned(100 * MS);
        places.claimed(0..4, true, 4, now);
        fill(&mut places, 4, now);
        assert!(!places.is_due(4, now + 40 * MS));
        assert_eq!(places.missing(4, now + 40 * MS), 0);
        let look = places.look_at(now).unwrap();
        assert!(look >= now + 49 * MS && look <= now + 51 * MS, "{:?}", look - now);
        assert!(places.is_due(4, now + 55 * MS));
        assert_eq!(places.missing(4, now + 55 * MS), 4);
        // Where nothing more is due, nothing is looked for.
        places.claimed([], false, 4, now + 55 * MS);
        assert!(!places.is_due(4, now + 60 * MS));
        assert_eq!(places.look_at(now + 60 * MS), None);
    }

    #[test]
    fn a_send_that_takes_longer_than_expected_frees_no_place() {
        let (mut places, now) = learned(100 * MS);
        places.claimed(0..2, true, 2, now);
        fill(&mut places, 2, now);
        let claimed_at = now + 60 * MS;
        places.claimed(2..4, true, 2, claimed_at);
        // What was claimed for them is given back, and nothing is claimed any more.
        let late = claimed_at + AHEAD_MAX + 2 * MS;
        assert!(places.is_due(2, late));
        assert_eq!(places.take(late), (vec![], vec![2, 3]));
        assert_eq!(places.missing(2, late), 0);
        assert!(!places.is_due(2, late));
        assert_eq!(places.look_at(late), None);
    }

    #[test]
    fn a_fast_peer_is_claimed_for_by_the_dozen_within_bounds() {
        let (places, now) = learned(MS);
        assert_eq!(places.missing(1, now), PLACE_AHEAD_MAX);
        assert_eq!(places.missing(64, now), READY_MAX);
        let (places, now) = learned(10 * MS);
        assert_eq!(places.missing(1, now), 5);
    }

    #[test]
    fn outcomes_wait_for_each_other_while_others_are_ready_but_not_for_long() {
        let (mut places, now) = learned(MS);
        places.claimed(0..32, true, 1, now);
        let end = |places: &mut Places<u32, u32>, at: Instant| {
            let (place, one) = places.begin(1, at).unwrap();
            places.end(place, one, at + MS / 2);
        };
        end(&mut places, now);
        assert!(!places.is_due(1, now + MS));
        assert!(places.is_due(1, now + MS + LEAD), "late");
        for _ in 0..15 {
            end(&mut places, now);
        }
        assert!(places.is_due(1, now + MS), "half of them");
        assert_eq!(places.take(now + MS).0.len(), 16);
        // The last ones are recorded when nothing is ready any more.
        places.claimed([], false, 1, now + MS);
        for _ in 0..15 {
            end(&mut places, now);
            assert!(!places.is_due(1, now + MS));
        }
        end(&mut places, now);
        assert!(places.is_due(1, now + MS));
    }

    #[test]
    fn what_is_cleared_is_given_back() {
        let (mut places, now) = learned(MS);
        places.claimed(0..3, true, 1, now);
        places.begin(1, now).unwrap();
        places.clear();
        assert!(places.is_due(1, now));
        assert_eq!(places.take(now), (vec![], vec![1, 2]));
        assert!(!places.is_empty(), "one is in flight");
    }
}
