//! Peers by slot: a small number that stands for a peer wherever many are kept.

use std::collections::BTreeMap;

use formic_core::{Key, PeerId, Time};

use crate::fixed::Remains;

/// No peer: of whom nothing is known.
pub(crate) const NOBODY: u32 = u32::MAX;

/// What is known about a peer whatever the kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Peer {
    pub(crate) id: PeerId,
    /// The promise trail: sums of latencies in microseconds. Never shared: hearsay about honesty is a
    /// weapon.
    observed: u64,
    promised: u64,
    /// In its half-lives.
    at: u64,
    /// How long a new task would wait there, as heard, in microseconds.
    pub(crate) backlog_us: u64,
    /// Open attempts by when they were sent, with the service promised, in microseconds.
    pub(crate) open: BTreeMap<(Time, Key, u16), u64>,
}

impl Peer {
    const fn new(id: PeerId) -> Self {
        let open = BTreeMap::new();
        Self { id, observed: 0, promised: 0, at: 0, backlog_us: 0, open }
    }

    /// Observed and promised, faded.
    pub(crate) fn promises(&self, at: u64) -> (u64, u64) {
        let fade = Remains::after(at.saturating_sub(self.at));
        (fade.of(self.observed), fade.of(self.promised))
    }

    pub(crate) fn add_promise(&mut self, at: u64, observed_us: u64, promised_us: u64) {
        let (observed, promised) = self.promises(at);
        self.observed = observed.saturating_add(observed_us);
        self.promised = promised.saturating_add(promised_us);
        self.at = at;
    }

    /// Services of what was sent there after `since`: a promise asked for then cannot have seen them.
    pub(crate) fn unseen_us(&self, since: Time) -> u64 {
        let awards = self.open.iter().rev().take_while(|((sent, ..), _)| *sent >= since);
        awards.fold(0, |sum: u64, (_, service)| sum.saturating_add(*service))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Peers {
    /// Sorted by peer.
    index: Vec<(PeerId, u32)>,
    slots: Vec<Option<Peer>>,
}

impl Peers {
    pub(crate) fn slot(&self, id: PeerId) -> u32 {
        let found = self.index.binary_search_by_key(&id, |entry| entry.0);
        found.ok().and_then(|at| self.index.get(at)).map_or(NOBODY, |entry| entry.1)
    }

    /// The slots of sorted peers, in one pass.
    pub(crate) fn slots(&self, sorted: impl Iterator<Item = PeerId>, out: &mut Vec<u32>) {
        let mut known = self.index.iter().peekable();
        for id in sorted {
            // Mostly all that are known are eligible: then one comparison is enough for each.
            let found = loop {
                match known.peek() {
                    Some(entry) if entry.0 == id => break known.next(),
                    Some(entry) if entry.0 < id => drop(known.next()),
                    _ => break None,
                }
            };
            out.push(found.map_or(NOBODY, |entry| entry.1));
        }
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Peer> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// Known from now on.
    pub(crate) fn intern(&mut self, id: PeerId) -> u32 {
        let at = match self.index.binary_search_by_key(&id, |entry| entry.0) {
            Ok(at) => return self.index[at].1,
            Err(at) => at,
        };
        let free = self.slots.iter().position(Option::is_none);
        let slot = free.unwrap_or(self.slots.len());
        if slot == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[slot] = Some(Peer::new(id));
        self.index.insert(at, (id, slot as u32));
        slot as u32
    }

    pub(crate) fn known(&mut self, id: PeerId) -> Option<&mut Peer> {
        let slot = self.slot(id);
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Peer)> {
        self.index.iter().filter_map(|(_, slot)| Some((*slot, self.get(*slot)?)))
    }

    /// Forgets these slots.
    pub(crate) fn forget(&mut self, gone: &[u32]) {
        for &slot in gone {
            if let Some(entry) = self.slots.get_mut(slot as usize) {
                *entry = None;
            }
        }
        self.index.retain(|(_, slot)| !gone.contains(slot));
    }

    pub(crate) fn check(&self) {
        assert!(self.index.is_sorted(), "peers are found by bisection");
        let used = self.slots.iter().flatten().count();
        assert_eq!(used, self.index.len(), "each slot in use is indexed once");
        for (id, slot) in &self.index {
            assert_eq!(self.get(*slot).map(|peer| peer.id), Some(*id), "a slot holds its peer");
        }
    }
}
