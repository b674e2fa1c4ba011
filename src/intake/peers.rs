//! Who is calling: the client's address behind trusted proxies, the source allow-list, and the limit on bad
//! signatures per address.
//!
//! **The limit.** One check of a signature costs about as much as all the rest of a refused request, and anyone
//! can ask for it. Yet an address is no identity: behind a proxy that is not configured as trusted, the attacker
//! and Telnyx have the same one, so an address must never be shut out for what others send from it. Therefore
//! an address with many bad signatures becomes *suspect*, and this is all that changes for it:
//!
//! - Its requests are still checked, but out of a shared budget of checking time ([`SUSPECT_SHARE_PERCENT`] of
//!   all workers' time). Requests of other addresses never draw on that budget, so the rest of the time is theirs.
//! - When the budget is used up, a request of a suspect address is put off (503, which Telnyx repeats) before
//!   its body is read. It is never answered 4xx for what others did, so nothing genuine is given up.
//! - Its bad signatures are logged at debug level: a flood does not fill the log.
//!
//! 5,000 bad signatures a second of webhook size take a third of one core: within the budget of two workers,
//! and a genuine sender behind the same address is served as always.
//!
//! All here is a function of (state, peer, now), where now is monotonic: it is about machine time, and a wall
//! clock that jumps must not open or shut anything. Never does I/O, never reads a clock.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use tokio::time::Instant;

/// Forwarding hops that are looked at; a longer list is no honest proxy's.
const HOPS_MAX: usize = 16;

/// Addresses whose failures are remembered: twice this many at most, the older half goes first.
const PEERS_MAX: usize = 4096;
/// Bad signatures after which an address is suspect.
const FAILURES_SUSPECT: u32 = 50;
/// Bad signatures that count; each second without one forgives one, so a suspect is clear within two minutes.
const FAILURES_MAX: u32 = 120;

/// Share of the workers' time that may go into checking the signatures of suspect addresses.
pub(super) const SUSPECT_SHARE_PERCENT: u32 = 50;
/// Nominal time of one check, in microseconds. Nominal, so that a busy machine does not shrink the budget.
const CHECK_MICROS: u64 = 60;
/// Nominal time of hashing one KiB of body, in microseconds.
const HASH_MICROS_PER_KIB: u64 = 3;
/// Largest budget that can be saved up, in milliseconds of the share.
const BUDGET_SAVED_MILLIS: u64 = 250;

/// The client's address, from the socket's and the `X-Forwarded-For` values in the order in which they came.
///
/// The header is believed only as far as trusted proxies wrote it: read from the right, each hop must have been
/// added by a trusted one. The first address that is not trusted is the client. A malformed entry on that way
/// makes the whole header worthless, and the socket's address is the client.
pub(super) fn client<'a>(
    socket: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'a [u8]>,
    trusted: &[IpNet],
) -> IpAddr {
    let socket = socket.to_canonical();
    let mut client = socket;
    let hops = forwarded.rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
    for (number, hop) in hops.enumerate() {
        if !is_in(client, trusted) {
            return client;
        }
        match parse_hop(hop) {
            Some(address) if number < HOPS_MAX => client = address,
            _ => return socket,
        }
    }
    client
}

/// Whether an address is in one of the networks.
pub(super) fn is_in(address: IpAddr, networks: &[IpNet]) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// An address, or an address with a port as some proxies write it.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let bracketed = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = bracketed.unwrap_or(hop).parse::<IpAddr>().ok();
    let address =
        address.or_else(|| hop.parse().ok().map(|socket: std::net::SocketAddr| socket.ip()));
    address.map(|address| address.to_canonical())
}

/// The addresses that sent bad signatures, and the time left for checking more of theirs.
#[derive(Debug)]
pub(super) struct Peers {
    current: HashMap<IpAddr, Failures>,
    previous: HashMap<IpAddr, Failures>,
    budget: Budget,
}

/// A level that each bad signature raises and each second lowers by one.
#[derive(Debug, Clone, Copy)]
struct Failures {
    level: u32,
    at: Instant,
}

impl Failures {
    fn level(self, now: Instant) -> u32 {
        let seconds = now.saturating_duration_since(self.at).as_secs();
        self.level.saturating_sub(u32::try_from(seconds).unwrap_or(u32::MAX))
    }
}

/// What the limit says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing against it.
    Clear,
    /// Many bad signatures came from its address; there is time to check this one.
    Suspect,
    /// As `Suspect`, and no time is left.
    PutOff,
}

impl Peers {
    /// Knows nobody yet. `workers` is how many threads serve requests.
    pub(super) fn new(workers: usize, now: Instant) -> Self {
        Self {
            current: HashMap::new(),
            previous: HashMap::new(),
            budget: Budget::new(workers, now),
        }
    }

    /// How a request from this address is to be treated.
    pub(super) fn standing(&mut self, peer: IpAddr, now: Instant) -> Standing {
        let peer = block(peer);
        let failures = self.current.get(&peer).or_else(|| self.previous.get(&peer));
        if failures.is_none_or(|failures| failures.level(now) < FAILURES_SUSPECT) {
            Standing::Clear
        } else if self.budget.is_left(now) {
            Standing::Suspect
        } else {
            Standing::PutOff
        }
    }

    /// Takes the time of checking `body_len` bytes against `keys` keys out of the suspects' budget.
    pub(super) fn charge(&mut self, body_len: usize, keys: usize) {
        let kib = u64::try_from(body_len / 1024).unwrap_or(u64::MAX);
        let check = kib.saturating_mul(HASH_MICROS_PER_KIB).saturating_add(CHECK_MICROS);
        let keys = u64::try_from(keys.max(1)).unwrap_or(u64::MAX);
        self.budget.spend(check.saturating_mul(keys));
    }

    /// Notes a bad signature; true when the address becomes suspect by it.
    pub(super) fn failed(&mut self, peer: IpAddr, now: Instant) -> bool {
        let peer = block(peer);
        let known = self.current.get(&peer).or_else(|| self.previous.get(&peer)).copied();
        let before = known.map_or(0, |failures| failures.level(now));
        if self.current.len() >= PEERS_MAX && !self.current.contains_key(&peer) {
            self.previous = std::mem::take(&mut self.current);
        }
        let level = (before + 1).min(FAILURES_MAX);
        self.current.insert(peer, Failures { level, at: now });
        before < FAILURES_SUSPECT && level >= FAILURES_SUSPECT
    }
}

/// IPv6 customers get a /64 at least, so one of them is one peer.
pub(super) fn block(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
    }
}

/// Microseconds of checking time: filled by the clock, spent by checks.
#[derive(Debug)]
struct Budget {
    micros_per_second: u64,
    /// May go below zero by the checks that were under way together.
    left_micros: i64,
    at: Instant,
}

impl Budget {
    fn new(workers: usize, now: Instant) -> Self {
        let workers = u64::try_from(workers.max(1)).unwrap_or(1);
        let micros_per_second =
            workers.saturating_mul(1_000_000).saturating_mul(SUSPECT_SHARE_PERCENT.into()) / 100;
        let mut budget = Self { micros_per_second, left_micros: 0, at: now };
        budget.left_micros = budget.saved_max();
        budget
    }

    fn saved_max(&self) -> i64 {
        i64::try_from(self.micros_per_second.saturating_mul(BUDGET_SAVED_MILLIS) / 1000)
            .unwrap_or(i64::MAX)
    }

    fn is_left(&mut self, now: Instant) -> bool {
        let elapsed_micros = now.saturating_duration_since(self.at).as_micros();
        let elapsed_micros = u64::try_from(elapsed_micros).unwrap_or(u64::MAX);
        let filled = elapsed_micros.saturating_mul(self.micros_per_second) / 1_000_000;
        let filled = i64::try_from(filled).unwrap_or(i64::MAX);
        self.left_micros = self.left_micros.saturating_add(filled).min(self.saved_max());
        self.at = self.at.max(now);
        self.left_micros > 0
    }

    fn spend(&mut self, micros: u64) {
        let micros = i64::try_from(micros).unwrap_or(i64::MAX);
        self.left_micros = self.left_micros.saturating_sub(micros);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_client_is_the_first_address_that_no_trusted_proxy_has() {
        let trusted = nets(&["10.0.0.0/8", "fd00::/8"]);
        for (socket, forwarded, expected) in [
            ("192.0.2.1", vec![], "192.0.2.1"),
            // Nobody we trust wrote it.
            ("192.0.2.1", vec!["203.0.113.9"], "192.0.2.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec!["203.0.113.9"], "203.0.113.9"),
            ("::ffff:10.0.0.1", vec!["203.0.113.9"], "203.0.113.9"),
            ("fd00::1", vec!["2001:db8::9"], "2001:db8::9"),
            // What the client itself wrote stands further left and does not count.
            ("10.0.0.1", vec!["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", vec!["garbage, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", vec!["1.1.1.1, 203.0.113.9, 10.2.3.4"], "203.0.113.9"),
            ("10.0.0.1", vec!["1.1.1.1", "203.0.113.9", "10.2.3.4"], "203.0.113.9"),
            ("10.0.0.1", vec!["10.9.9.9, 10.2.3.4"], "10.9.9.9"),
            ("10.0.0.1", vec!["203.0.113.9:4711"], "203.0.113.9"),
            ("10.0.0.1", vec!["[2001:db8::9]:4711"], "2001:db8::9"),
            ("10.0.0.1", vec!["[2001:db8::9]"], "2001:db8::9"),
            ("10.0.0.1", vec!["unknown"], "10.0.0.1"),
            ("10.0.0.1", vec!["203.0.113.9, unknown, 10.2.3.4"], "10.0.0.1"),
            ("10.0.0.1", vec![""], "10.0.0.1"),
            ("10.0.0.1", vec!["203.0.113.9,"], "10.0.0.1"),
        ] {
            let values = forwarded.iter().map(|value: &&str| value.as_bytes());
            assert_eq!(
                client(ip(socket), values, &trusted),
                ip(expected),
                "{socket} {forwarded:?}"
            );
        }
        let long = ["10.0.0.2"; HOPS_MAX + 1].join(",");
        let values = [long.as_bytes()];
        assert_eq!(client(ip("10.0.0.1"), values.into_iter(), &trusted), ip("10.0.0.1"));
    }

    #[test]
    fn an_address_becomes_suspect_once_and_is_forgiven() {
        let start = Instant::now();
        let mut peers = Peers::new(2, start);
        let peer = ip("203.0.113.9");
        let became: Vec<_> = (1..=200).filter(|_| peers.failed(peer, start)).collect();
        assert_eq!(became, [FAILURES_SUSPECT]);
        assert_eq!(peers.standing(peer, start), Standing::Suspect);
        assert_eq!(peers.standing(ip("203.0.113.10"), start), Standing::Clear);
        let still = u64::from(FAILURES_MAX - FAILURES_SUSPECT);
        let later = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(peers.standing(peer, later(still)), Standing::Suspect);
        assert_eq!(peers.standing(peer, later(still + 1)), Standing::Clear);
    }

    #[test]
    fn the_addresses_of_one_ipv6_customer_are_one_peer() {
        let start = Instant::now();
        let mut peers = Peers::new(2, start);
        for host in 0..FAILURES_SUSPECT {
            peers.failed(ip(&format!("2001:db8:0:1::{host:x}")), start);
        }
        assert_eq!(peers.standing(ip("2001:db8:0:1:ffff::1"), start), Standing::Suspect);
        assert_eq!(peers.standing(ip("2001:db8:0:2::1"), start), Standing::Clear);
    }

    #[test]
    fn five_thousand_bad_signatures_a_second_leave_time_for_a_good_one() {
        let start = Instant::now();
        let mut peers = Peers::new(2, start);
        let peer = ip("203.0.113.9");
        for tick in 0..50_000_u64 {
            let now = start + Duration::from_micros(200 * tick);
            assert_ne!(peers.standing(peer, now), Standing::PutOff, "at tick {tick}");
            peers.charge(2048, 1);
            peers.failed(peer, now);
        }
    }

    #[test]
    fn a_suspect_gets_no_more_than_its_share() {
        let start = Instant::now();
        let mut peers = Peers::new(2, start);
        let peer = ip("203.0.113.9");
        for _ in 0..FAILURES_SUSPECT {
            peers.failed(peer, start);
        }
        let mut checked_micros = 0;
        for tick in 0..1_000_000_u64 {
            let now = start + Duration::from_micros(10 * tick);
            if peers.standing(peer, now) == Standing::Suspect {
                peers.charge(0, 1);
                peers.failed(peer, now);
                checked_micros += CHECK_MICROS;
            }
        }
        // Ten seconds of two workers, half of it, and what was saved up before.
        assert!((10_000_000..=10_300_000).contains(&checked_micros), "{checked_micros}");
        assert_eq!(peers.standing(ip("203.0.113.10"), start), Standing::Clear);
    }

    #[test]
    fn the_table_is_bounded_and_keeps_the_latest() {
        let start = Instant::now();
        let mut peers = Peers::new(2, start);
        for host in 0..100_000_u32 {
            peers.failed(IpAddr::V4(host.into()), start);
        }
        assert!(peers.current.len() <= PEERS_MAX && peers.previous.len() <= PEERS_MAX);
        for _ in 1..FAILURES_SUSPECT {
            peers.failed(IpAddr::V4(99_999.into()), start);
        }
        assert_eq!(peers.standing(IpAddr::V4(99_999.into()), start), Standing::Suspect);
    }

    proptest! {
        #[test]
        fn no_header_panics_and_an_untrusted_socket_is_the_client(values: Vec<Vec<u8>>, socket: IpAddr) {
            let trusted = nets(&["10.0.0.0/8"]);
            let found = client(socket, values.iter().map(Vec::as_slice), &trusted);
            prop_assert!(is_in(socket, &trusted) || found == socket.to_canonical());
        }
    }
}
