//! Where else members may be found: rounds, hints, addresses that were durable.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use formic_core::{PeerId, Random, Time, earliest, transport::Address};

/// The most addresses kept that outside sources named.
pub(crate) const HINTS_MAX: usize = 64;
/// The least time between two writes of the members' addresses.
const PERSIST_GAP: Duration = Duration::from_secs(5);

/// Where peers can be reached, by peer.
pub(crate) type Book = Vec<(PeerId, Vec<Address>)>;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Search {
    /// When the next round starts.
    pub(crate) round_at: Option<Time>,
    rounds: u32,
    /// When outside sources are asked again although nothing is missing.
    pub(crate) discover_at: Time,
    /// When to ask the rendezvous, unless somebody answers before.
    pub(crate) rendezvous_at: Option<Time>,
    /// Oldest first.
    hints: VecDeque<Address>,
    /// What was durable, by peer.
    stored: BTreeMap<PeerId, Vec<Address>>,
    /// Whom `Who` was sent to.
    pub(crate) asked: BTreeSet<PeerId>,
    persist_at: Option<Time>,
    persisted: Option<(Time, Book)>,
}

impl Search {
    pub(crate) fn deadline(&self) -> Option<Time> {
        earliest(self.round_at, earliest(self.rendezvous_at, self.persist_at))
    }

    /// The next round: after 1 s x 1.5^k, within a tenth.
    pub(crate) fn back_off(
        &mut self,
        now: Time,
        (first, max): (Duration, Duration),
        random: &mut Random,
    ) {
        let grown = (0..self.rounds).try_fold(first, |pause, _| {
            let pause = pause + pause / 2;
            (pause < max).then_some(pause)
        });
        self.rounds = self.rounds.saturating_add(1).min(64);
        self.round_at = Some(now + shaken(grown.unwrap_or(max).min(max), random));
    }

    /// Nothing is missing: the next round is far away, the one after a loss soon.
    pub(crate) fn rest(&mut self, now: Time, pause: Duration, random: &mut Random) {
        self.rounds = 0;
        self.round_at = Some(now + shaken(pause, random));
    }

    /// Something is missing: rounds start again at once.
    pub(crate) fn hurry(&mut self, now: Time) {
        self.rounds = 0;
        self.round_at = Some(now);
    }

    /// Takes a hint; true if it is news.
    pub(crate) fn hint(&mut self, address: Address) -> bool {
        if self.hints.contains(&address) {
            return false;
        }
        if self.hints.len() >= HINTS_MAX {
            self.hints.pop_front();
        }
        self.hints.push_back(address);
        true
    }

    pub(crate) fn hints(&self) -> impl Iterator<Item = &Address> {
        self.hints.iter()
    }

    pub(crate) fn store(&mut self, addresses: Book) {
        let sound = addresses.into_iter().take(crate::MEMBERS_MAX).map(|(peer, mut addresses)| {
            addresses.truncate(crate::ADDRESSES_MAX);
            (peer, addresses)
        });
        self.stored = sound.collect();
    }

    pub(crate) fn stored(&self, peer: &PeerId) -> Option<&Vec<Address>> {
        self.stored.get(peer).filter(|addresses| !addresses.is_empty())
    }

    pub(crate) fn all_stored(&self) -> impl Iterator<Item = (&PeerId, &Vec<Address>)> {
        self.stored.iter()
    }

    /// Addresses or the view changed: they are written soon.
    pub(crate) fn is_stale(&mut self, now: Time) {
        let last = self.persisted.as_ref().map(|(at, _)| *at + PERSIST_GAP);
        self.persist_at.get_or_insert(last.unwrap_or(now).max(now));
    }

    pub(crate) fn persists_now(&self, now: Time) -> bool {
        self.persist_at.is_some_and(|at| at <= now)
    }

    /// True if this is to be written: it is not what was written last.
    pub(crate) fn persist(&mut self, now: Time, list: &Book) -> bool {
        self.persist_at = None;
        if self.persisted.as_ref().is_some_and(|(_, last)| last == list) {
            return false;
        }
        self.persisted = Some((now, list.clone()));
        self.stored = list.iter().cloned().collect();
        true
    }
}

/// Peers that lost each other at once do not look for each other at once.
fn shaken(pause: Duration, random: &mut Random) -> Duration {
    let us = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
    let tenth = us / 10;
    Duration::from_micros(us - tenth + random.below(2 * tenth + 1))
}
