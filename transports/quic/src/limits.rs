//! Who may begin a handshake: bounds on what strangers cost before they have proved who they are.
//!
//! Pure: one [`Gate`] per endpoint, changed under its lock. The caller says what time it is.

use core::{net::IpAddr, time::Duration};
use std::collections::HashMap;

use tokio::time::Instant;

/// Addresses that are remembered at once. Only sources that proved their address, and at most
/// `retry_above` that did not, get an entry, and one that is idle is forgotten.
const ADDRESSES_MAX: usize = 16_384;

/// What one remote address may have at once, IPv6 by /64. Loopback is exempt, see [`Limits::loopback`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PerAddress {
    /// Handshakes that are not a link yet. Default 8; 1 to 65,536.
    pub open: u32,
    /// Handshakes per second, in the long run. Default 32; 1 to 65,536.
    pub rate: u32,
    /// Handshakes at once after a rest. Default 64; 1 to 65,536.
    pub burst: u32,
    /// Accepted links. Default 64; 1 to 65,536. A host with more peers needs more.
    pub links: u32,
}

/// Whether peers of this host count as strangers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Loopback {
    /// [`PerAddress`] does not hold for them: a host may run hundreds of peers.
    #[default]
    Exempt,
    /// They count like all others.
    Limited,
}

/// What strangers may cost (transport.md section 7.4).
///
/// Deviation: a source that has not proved its address and is over a limit is asked to prove it (`Retry`, smaller than
/// what it answers, and no state) instead of being ignored, and is not counted with those that did: else whoever
/// forges a peer's address would lock it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Limits {
    /// While more handshakes than this are open, a source must prove its address first: one more round trip. Default 32; 0
    /// and more, below `open`.
    pub retry_above: u32,
    /// Handshakes that are not a link yet, from all addresses together; what comes above it is ignored. Default
    /// 256; 1 to 65,536.
    pub open: u32,
    /// Accepted links, from all addresses together. Default 4,096; 1 to 65,536.
    pub links: u32,
    /// What each address may have.
    pub per_address: PerAddress,
    /// Whether loopback addresses are limited one by one as well. Default: exempt.
    pub loopback: Loopback,
}

impl Default for PerAddress {
    fn default() -> Self {
        Self { open: 8, rate: 32, burst: 64, links: 64 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            retry_above: 32,
            open: 256,
            links: 4_096,
            per_address: PerAddress::default(),
            loopback: Loopback::Exempt,
        }
    }
}

/// What strangers tried at one endpoint, and what became of it. All but the last three only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Strangers {
    /// Handshakes that were begun.
    pub begun: u64,
    /// Handshakes that became a link.
    pub linked: u64,
    /// Handshakes that failed or came to nothing before a Hello: no proof of a key, no answer, hung up.
    pub failed: u64,
    /// Handshakes of proved peers that were refused, or said no Hello in time.
    pub refused: u64,
    /// Of the failed, those that came to nothing because of a certificate, this side's or the other's, by
    /// [`Flaw`](formic_core::transport::Flaw): expired, foreign, missing, invalid.
    pub flaws: [u64; 4],
    /// Sources that were asked to prove their address.
    pub retried: u64,
    /// Ignored: too many handshakes were open.
    pub ignored_open: u64,
    /// Ignored: too many handshakes of this address were open.
    pub ignored_address: u64,
    /// Ignored: handshakes of this address came too fast.
    pub ignored_rate: u64,
    /// Ignored: too many links, of this address or of all.
    pub ignored_links: u64,
    /// Broken rules, by [`Misbehaviour`](formic_core::transport::Misbehaviour): decode, gap, size, stream, flood.
    pub misbehaved: [u64; 5],
    /// Handshakes that are open now.
    pub open: u32,
    /// Accepted links that are up now.
    pub links: u32,
    /// Addresses that are remembered now.
    pub addresses: usize,
}

/// Whether a source has proved that it receives what is sent to its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    Claimed,
    Proved,
}

/// What to do with a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Admission {
    Begin,
    Retry,
    Ignore,
}

/// How a handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Finish {
    Linked,
    Failed,
    Refused,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// When it is full again.
    full_at: Instant,
    open: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// By [`Source`].
    sources: [Bucket; 2],
    links: u32,
}

/// Counts handshakes and links by address.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: Limits,
    pub(crate) seen: Strangers,
    addresses: HashMap<IpAddr, Entry>,
}

impl Bucket {
    /// Takes one; refused if it would be full again only after more than the time of a whole burst.
    fn take(&mut self, now: Instant, per: PerAddress) -> bool {
        let one = Duration::from_secs(1) / per.rate;
        let full_at = self.full_at.max(now) + one;
        let takes = full_at <= now + one * per.burst;
        if takes {
            self.full_at = full_at;
        }
        takes
    }
}

impl Entry {
    fn is_idle(&self, now: Instant) -> bool {
        self.links == 0 && self.sources.iter().all(|it| it.open == 0 && it.full_at <= now)
    }
}

impl Gate {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, seen: Strangers::default(), addresses: HashMap::new() }
    }

    /// Who is counted as one: an address, or what IPv6 gives to one host.
    fn key(&self, address: IpAddr) -> Option<IpAddr> {
        match address.to_canonical() {
            address if address.is_loopback() && self.limits.loopback == Loopback::Exempt => None,
            IpAddr::V6(address) => {
                Some(IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()))
            }
            address => Some(address),
        }
    }

    /// A source wants to begin a handshake. After `Begin` it is open until [`finish`](Self::finish).
    pub(crate) fn admit(&mut self, address: IpAddr, source: Source, now: Instant) -> Admission {
        let admission = self.decide(address, source, now);
        match admission {
            Admission::Begin => {
                self.seen.begun += 1;
                self.seen.open += 1;
            }
            Admission::Retry => self.seen.retried += 1,
            Admission::Ignore => {}
        }
        admission
    }

    fn decide(&mut self, address: IpAddr, source: Source, now: Instant) -> Admission {
        if self.seen.open >= self.limits.open {
            self.seen.ignored_open += 1;
            return Admission::Ignore;
        }
        if self.seen.links >= self.limits.links {
            self.seen.ignored_links += 1;
            return Admission::Ignore;
        }
        // Before anything is remembered of the address: it may be forged.
        if source == Source::Claimed && self.seen.open >= self.limits.retry_above {
            return Admission::Retry;
        }
        let Some(key) = self.key(address) else { return Admission::Begin };
        if self.addresses.len() >= ADDRESSES_MAX && !self.addresses.contains_key(&key) {
            self.addresses.retain(|_, entry| !entry.is_idle(now));
            if self.addresses.len() >= ADDRESSES_MAX {
                self.seen.ignored_address += 1;
                return Admission::Ignore;
            }
        }
        let per = self.limits.per_address;
        let fresh = Entry { sources: [Bucket { full_at: now, open: 0 }; 2], links: 0 };
        let entry = self.addresses.entry(key).or_insert(fresh);
        let bucket = &mut entry.sources[source as usize];
        let over = if entry.links >= per.links {
            &mut self.seen.ignored_links
        } else if bucket.open >= per.open {
            &mut self.seen.ignored_address
        } else if !bucket.take(now, per) {
            &mut self.seen.ignored_rate
        } else {
            bucket.open += 1;
            return Admission::Begin;
        };
        if source == Source::Claimed {
            return Admission::Retry;
        }
        *over += 1;
        Admission::Ignore
    }

    /// An open handshake ended. If it became a link, the link counts until [`leave`](Self::leave).
    pub(crate) fn finish(&mut self, address: IpAddr, source: Source, finish: Finish, now: Instant) {
        self.seen.open -= 1;
        let linked = finish == Finish::Linked;
        match finish {
            Finish::Linked => {
                self.seen.linked += 1;
                self.seen.links += 1;
            }
            Finish::Failed => self.seen.failed += 1,
            Finish::Refused => self.seen.refused += 1,
        }
        self.edit(address, now, |entry| {
            entry.sources[source as usize].open -= 1;
            entry.links += u32::from(linked);
        });
    }

    /// An accepted link went down.
    pub(crate) fn leave(&mut self, address: IpAddr, now: Instant) {
        self.seen.links -= 1;
        self.edit(address, now, |entry| entry.links -= 1);
    }

    fn edit(&mut self, address: IpAddr, now: Instant, edit: impl FnOnce(&mut Entry)) {
        let Some(key) = self.key(address) else { return };
        let Some(entry) = self.addresses.get_mut(&key) else { return };
        edit(entry);
        if entry.is_idle(now) {
            self.addresses.remove(&key);
        }
    }

    pub(crate) fn seen(&self) -> Strangers {
        Strangers { addresses: self.addresses.len(), ..self.seen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn gate(edit: impl FnOnce(&mut Limits)) -> Gate {
        let mut limits = Limits::default();
        edit(&mut limits);
        Gate::new(limits)
    }

    fn host(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    #[test]
    fn one_address_has_so_many_open_and_others_are_not_in_its_way() {
        let mut gate = gate(|it| it.retry_above = 100);
        let now = Instant::now();
        for _ in 0..8 {
            assert_eq!(gate.admit(host(1), Source::Proved, now), Admission::Begin);
        }
        assert_eq!(gate.admit(host(1), Source::Proved, now), Admission::Ignore);
        assert_eq!(gate.seen().ignored_address, 1);
        assert_eq!(gate.admit(host(2), Source::Proved, now), Admission::Begin);
        gate.finish(host(1), Source::Proved, Finish::Failed, now);
        assert_eq!(gate.admit(host(1), Source::Proved, now), Admission::Begin);
    }

    /// Whoever forges an address does not lock its owner out.
    #[test]
    fn a_forged_flood_is_asked_to_prove_itself_and_leaves_the_owner_alone() {
        let mut gate = gate(|_| ());
        let now = Instant::now();
        let flood: Vec<_> =
            (0..10_000).map(|_| gate.admit(host(1), Source::Claimed, now)).collect();
        assert_eq!(flood.iter().filter(|it| **it == Admission::Begin).count(), 8);
        assert_eq!(gate.seen().retried, 9_992);
        assert_eq!(gate.admit(host(1), Source::Proved, now), Admission::Begin);
    }

    #[test]
    fn forged_addresses_are_not_remembered() {
        let mut gate = gate(|_| ());
        let now = Instant::now();
        for number in 0..50_000u32 {
            gate.admit(IpAddr::from((0x0b00_0000 + number).to_be_bytes()), Source::Claimed, now);
        }
        let seen = gate.seen();
        assert_eq!((seen.begun, seen.retried, seen.addresses), (32, 49_968, 32));
        for number in 0..32u32 {
            let address = IpAddr::from((0x0b00_0000 + number).to_be_bytes());
            gate.finish(address, Source::Claimed, Finish::Failed, now + 3_000 * MS);
        }
        assert_eq!((gate.seen().open, gate.seen().addresses, gate.seen().failed), (0, 0, 32));
    }

    #[test]
    fn an_address_that_is_too_fast_waits_its_turn() {
        let mut gate = gate(|it| it.per_address.open = 1_000);
        let start = Instant::now();
        let mut admitted = |now| {
            let admissions = (0..200).map(|_| gate.admit(host(1), Source::Proved, now));
            admissions.filter(|it| *it == Admission::Begin).count()
        };
        assert_eq!(admitted(start), 64);
        assert_eq!(admitted(start + 500 * MS), 16);
        assert_eq!(admitted(start + 60_000 * MS), 64);
        assert_eq!(gate.seen().ignored_rate, 456);
    }

    #[test]
    fn links_count_until_they_end() {
        let mut gate = gate(|it| (it.links, it.per_address.links) = (3, 2));
        let now = Instant::now();
        for number in [1, 1, 2] {
            assert_eq!(gate.admit(host(number), Source::Proved, now), Admission::Begin);
            gate.finish(host(number), Source::Proved, Finish::Linked, now);
        }
        assert_eq!(gate.admit(host(3), Source::Proved, now), Admission::Ignore);
        gate.leave(host(2), now);
        assert_eq!(gate.admit(host(1), Source::Proved, now), Admission::Ignore);
        assert_eq!(gate.admit(host(3), Source::Proved, now), Admission::Begin);
        assert_eq!((gate.seen().ignored_links, gate.seen().links), (2, 2));
    }

    #[test]
    fn all_together_have_so_many_open() {
        let mut gate = gate(|it| it.open = 40);
        let now = Instant::now();
        let begun = (0..100)
            .filter(|number| gate.admit(host(*number), Source::Proved, now) == Admission::Begin);
        assert_eq!(begun.count(), 40);
        assert_eq!(gate.seen().ignored_open, 60);
    }

    #[test]
    fn a_host_is_an_address_or_a_v6_network() {
        let gate = gate(|_| ());
        let key = |text: &str| gate.key(text.parse().unwrap()).map(|key| key.to_string());
        assert_eq!(key("10.1.2.3").as_deref(), Some("10.1.2.3"));
        assert_eq!(key("::ffff:10.1.2.3").as_deref(), Some("10.1.2.3"));
        assert_eq!(key("2001:db8:1:2:3:4:5:6").as_deref(), Some("2001:db8:1:2::"));
        assert_eq!((key("127.0.0.1"), key("::1")), (None, None));
    }
}
