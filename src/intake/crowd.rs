//! Who has a place at the public listener, and who loses it when there are too many.
//!
//! Every connection is taken at once: one that waits in the kernel's queue behind a thousand strangers is a webhook that
//! Telnyx gives up on. So there is always room for one more, and for that somebody else goes: the connection that has
//! wanted nothing for the longest time, of the same address when that has more than its share, else of the address that has
//! most of those. Only when all want something or have just come, one of them goes, of the address that has most. A genuine
//! webhook asks as soon as it is connected and is answered within milliseconds, so it is never the one; and no address is
//! shut out for what others send from it.
//!
//! A function of (state, address, now), besides the wakers of the connections that have to go. Never does I/O.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

/// Connections at once, where the limit of open files allows as many.
pub(super) const CONNECTIONS_MAX: usize = 1024;

/// Files that are never used for connections of strangers: the store, the private listener, and what is sent to
/// receivers and asked of Telnyx.
const FILES_RESERVED: usize = 512;

/// Connections of one address before its own oldest ones go. A proxy that is trusted has no such share.
const SHARE_MAX: usize = 256;

/// How long a connection that wants nothing keeps its place while others want nothing for longer, and even though its address
/// has more than its share: whoever connects to ask has asked by then.
const GRACE: Duration = Duration::from_millis(250);

/// Raises the limit of open files to what the system allows, and says how many connections that leaves for the public
/// listener.
pub(super) fn places() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
    let files = getrlimit(Resource::Nofile).current;
    let places = places_of(files);
    tracing::info!(files, places, "limit of open files, and connections at once");
    if places < CONNECTIONS_MAX {
        tracing::warn!(
            files,
            places,
            "few open files are allowed: raise the hard limit (LimitNOFILE=, ulimit -Hn)",
        );
    }
    places
}

fn places_of(files: Option<u64>) -> usize {
    let files = files.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    // Half of very few is all that can be done.
    files.saturating_sub(FILES_RESERVED).max(files / 2).clamp(1, CONNECTIONS_MAX)
}

/// The connections that are open, over all workers. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Crowd {
    open: Arc<Mutex<Open>>,
    places: usize,
    epoch: Instant,
}

#[derive(Debug, Default)]
struct Open {
    count: usize,
    /// How many of them have been sent away and are not gone yet.
    leaving: usize,
    by_address: HashMap<IpAddr, Vec<Arc<Seat>>>,
}

/// What the crowd knows of one connection.
#[derive(Debug)]
struct Seat {
    /// Since when it waits for a request, or for the answer to one, in milliseconds of the crowd's epoch.
    since_millis: AtomicU64,
    /// Whether a request has begun.
    asking: AtomicBool,
    /// It has to make room.
    dismissed: AtomicBool,
    waker: AtomicWaker,
}

/// A connection's place; dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Crowd,
    address: IpAddr,
    seat: Arc<Seat>,
}

impl Crowd {
    pub(super) fn new(places: usize) -> Self {
        Self { open: Arc::default(), places, epoch: Instant::now() }
    }

    /// Takes a place, for which somebody else may have to go. `has_share` is false for an address behind which there are
    /// many.
    pub(super) fn enter(&self, address: IpAddr, has_share: bool, now: Instant) -> Place {
        let address = super::peers::block(address);
        let now_millis = self.millis(now);
        let seat = Arc::new(Seat {
            since_millis: AtomicU64::new(now_millis),
            asking: AtomicBool::new(false),
            dismissed: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        });
        let mut open = self.open();
        open.count += 1;
        let own = open.by_address.entry(address).or_default();
        own.push(Arc::clone(&seat));
        let mut dismissed = 0;
        if has_share && staying(own).count() > SHARE_MAX {
            let idle = staying(own).filter(|it| it.is_idle(now_millis));
            dismissed += dismiss(idle.min_by_key(|it| it.since()));
        }
        if open.count - open.leaving - dismissed > self.places {
            let all = open.by_address.values().flat_map(|seats| {
                let size = staying(seats).count();
                staying(seats).map(move |it| (size, it))
            });
            let others = all.filter(|(_, it)| !Arc::ptr_eq(it, &seat));
            let first = others.min_by_key(|(size, it)| {
                (!it.is_idle(now_millis), Reverse(*size), it.is_asking(), it.since())
            });
            dismissed += dismiss(first.map(|(_, it)| it));
        }
        open.leaving += dismissed;
        drop(open);
        Place { crowd: self.clone(), address, seat }
    }

    /// More than half of the places are taken: whoever wants nothing now makes room for who does.
    pub(super) fn is_dense(&self) -> bool {
        self.open().count > self.places / 2
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn millis(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.epoch);
        u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Those that have not been sent away.
fn staying(seats: &[Arc<Seat>]) -> impl Iterator<Item = &Arc<Seat>> {
    seats.iter().filter(|it| !it.is_leaving())
}

/// Sends one away; how many those are.
fn dismiss(seat: Option<&Arc<Seat>>) -> usize {
    if let Some(seat) = seat {
        seat.dismissed.store(true, Ordering::Release);
        seat.waker.wake();
    }
    usize::from(seat.is_some())
}

impl Seat {
    fn since(&self) -> u64 {
        self.since_millis.load(Ordering::Relaxed)
    }

    fn is_asking(&self) -> bool {
        self.asking.load(Ordering::Relaxed)
    }

    fn is_leaving(&self) -> bool {
        self.dismissed.load(Ordering::Acquire)
    }

    /// Whether it wants nothing, and has had the time to.
    fn is_idle(&self, now_millis: u64) -> bool {
        let grace = u64::try_from(GRACE.as_millis()).unwrap_or(0);
        !self.is_asking() && now_millis.saturating_sub(self.since()) >= grace
    }
}

impl Place {
    /// A request has begun, or its answer has.
    pub(super) fn set_asking(&self, asking: bool, now: Instant) {
        self.seat.since_millis.store(self.crowd.millis(now), Ordering::Relaxed);
        self.seat.asking.store(asking, Ordering::Relaxed);
    }

    pub(super) fn is_asking(&self) -> bool {
        self.seat.is_asking()
    }

    /// Whether it has to go; else this waker is woken when it has to.
    pub(super) fn is_dismissed(&self, waker: &Waker) -> bool {
        self.seat.waker.register(waker);
        self.seat.is_leaving()
    }

    pub(super) fn is_dense(&self) -> bool {
        self.crowd.is_dense()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.crowd.open();
        open.count -= 1;
        open.leaving -= usize::from(self.seat.is_leaving());
        let Some(own) = open.by_address.get_mut(&self.address) else { return };
        own.retain(|seat| !Arc::ptr_eq(seat, &self.seat));
        if own.is_empty() {
            open.by_address.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn gone(place: &Place) -> bool {
        place.is_dismissed(Waker::noop())
    }

    fn later(crowd: &Crowd, millis: u64) -> Instant {
        crowd.epoch + Duration::from_millis(millis)
    }

    #[test]
    fn files_are_left_for_what_is_sent() {
        for (files, places) in [
            (None, 1024),
            (Some(1_000_000), 1024),
            (Some(1536), 1024),
            (Some(1024), 512),
            (Some(600), 300),
            (Some(64), 32),
            (Some(0), 1),
        ] {
            assert_eq!(places_of(files), places, "{files:?}");
        }
    }

    #[test]
    fn the_oldest_idle_one_of_an_address_with_more_than_its_share_goes() {
        let crowd = Crowd::new(10_000);
        let other = crowd.enter(ip(2), true, later(&crowd, 0));
        let own: Vec<Place> =
            (0..SHARE_MAX as u64).map(|n| crowd.enter(ip(1), true, later(&crowd, n))).collect();
        own[0].set_asking(true, later(&crowd, 300));
        own[1].set_asking(true, later(&crowd, 300));
        own[1].set_asking(false, later(&crowd, 310));
        assert!(!own.iter().any(gone));
        // Nobody within the grace; then one for each that comes.
        let _young = crowd.enter(ip(1), true, later(&crowd, 200));
        assert!(!own.iter().any(gone));
        let _newer = [600, 601].map(|at| crowd.enter(ip(1), true, later(&crowd, at)));
        let dismissed: Vec<usize> = (0..own.len()).filter(|n| gone(&own[*n])).collect();
        assert_eq!(dismissed, [2, 3]);
        assert!(!gone(&other));
        // A trusted proxy has no share.
        let proxied: Vec<Place> =
            (0..1_000).map(|n| crowd.enter(ip(3), false, later(&crowd, n))).collect();
        assert!(!proxied.iter().any(gone));
    }

    #[test]
    fn when_all_places_are_taken_the_address_with_most_gives_one() {
        let crowd = Crowd::new(8);
        let few = [crowd.enter(ip(1), true, later(&crowd, 0))];
        let many: Vec<Place> =
            (0..7).map(|n| crowd.enter(ip(2), true, later(&crowd, 10 + n))).collect();
        for place in &many[..6] {
            place.set_asking(true, later(&crowd, 20));
        }
        assert!(!crowd.is_dense() || !many.iter().chain(&few).any(gone));
        let genuine = crowd.enter(ip(1), true, later(&crowd, 30));
        assert!(gone(&many[6]), "who wants nothing goes first");
        let next = crowd.enter(ip(2), true, later(&crowd, 31));
        assert!(gone(&many[0]), "then who has asked for longest");
        assert!(!gone(&few[0]) && !gone(&genuine) && !gone(&next));
        drop((few, many, genuine, next));
        let open = crowd.open();
        assert_eq!((open.count, open.leaving), (0, 0));
        assert!(open.by_address.is_empty());
    }

    #[test]
    fn nobody_who_asks_or_has_just_come_goes_while_somebody_wants_nothing() {
        let crowd = Crowd::new(8);
        let idle = crowd.enter(ip(1), true, later(&crowd, 0));
        let asking: Vec<Place> =
            (0..5).map(|n| crowd.enter(ip(2), true, later(&crowd, 100 + n))).collect();
        for place in &asking {
            place.set_asking(true, later(&crowd, 200));
        }
        let young = [900, 901].map(|at| crowd.enter(ip(2), true, later(&crowd, at)));
        let newcomer = crowd.enter(ip(3), true, later(&crowd, 1_000));
        assert!(gone(&idle), "though its address has fewest");
        assert!(!asking.iter().chain(&young).chain([&newcomer]).any(gone));
        // Nobody else is idle: one goes all the same, of the address that has most.
        let next = crowd.enter(ip(4), true, later(&crowd, 1_001));
        let dismissed = asking.iter().chain(&young).filter(|place| gone(place)).count();
        assert_eq!((dismissed, gone(&newcomer), gone(&next)), (1, false, false));
    }

    #[test]
    fn no_more_stay_than_there_are_places_however_slowly_the_others_leave() {
        let crowd = Crowd::new(4);
        let mut all = Vec::new();
        for n in 0..40_u8 {
            // The first address has most for long, and all of its connections have been sent away.
            let from = if n < 4 { 1 } else { 2 + n % 3 };
            all.push(crowd.enter(ip(from), true, later(&crowd, 1_000 * u64::from(n))));
            let staying = all.iter().filter(|place| !gone(place)).count();
            assert_eq!(staying, all.len().min(4), "after {n}");
        }
        // Whoever is sent away and goes makes room for nobody twice.
        all.retain(|place| !gone(place));
        all.pop();
        all.push(crowd.enter(ip(9), true, later(&crowd, 90_000)));
        assert!(!all.iter().any(gone), "there was room");
    }
}
