//! Who keeps a task: the rendezvous choice over a view's members.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use formic_core::{Epoch, Key, Life, PeerId, View, mix};

/// More replicas cost more messages and survive no likelier disaster (healing.md section 8).
pub const REPLICAS: usize = 7;
/// How many views are kept: a task that was not claimed for that many is undecided for ever.
const VIEWS_MAX: usize = 256;

/// The replicas of one task in one view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set {
    /// Sorted.
    peers: Vec<PeerId>,
    /// The most senior one, where it matters: half of an even set decides with it.
    anchor: Option<PeerId>,
}

impl Set {
    /// The members of the highest weight, one per fate group while groups last.
    pub(super) fn of(view: &View, key: Key) -> Self {
        let count = replicas_of(view.members.len());
        let mut order: Vec<_> = (0..view.members.len()).collect();
        let weight = |index: &usize| weight(key, view.members[*index].life.peer);
        order.sort_unstable_by_key(|index| core::cmp::Reverse(weight(index)));
        let mut fates = BTreeSet::new();
        let (first, rest): (Vec<usize>, Vec<usize>) =
            order.into_iter().partition(|index| fates.insert(view.members[*index].fate));
        let mut chosen: Vec<_> = first.into_iter().chain(rest).take(count).collect();
        chosen.sort_unstable();
        let peer = |index: &usize| view.members[*index].life.peer;
        let anchor = chosen.first().map(peer).filter(|_| count.is_multiple_of(2));
        let mut peers: Vec<_> = chosen.iter().map(peer).collect();
        peers.sort_unstable();
        Self { peers, anchor }
    }

    pub(super) fn peers(&self) -> &[PeerId] {
        &self.peers
    }

    pub(super) fn contains(&self, peer: PeerId) -> bool {
        self.peers.binary_search(&peer).is_ok()
    }

    /// Whether those for whom `counts` holds decide: more than half, or half with the anchor.
    pub(super) fn is_quorum(&self, counts: impl Fn(PeerId) -> bool) -> bool {
        let votes = self.peers.iter().filter(|peer| counts(**peer)).count();
        votes * 2 > self.peers.len()
            || votes * 2 == self.peers.len() && self.anchor.is_some_and(counts)
    }
}

/// Odd, because one more than an odd number survives no more losses; but of two members both, since
/// a view of two is decided by its anchor, and the other one may be lost.
const fn replicas_of(members: usize) -> usize {
    match members {
        0..=2 => members,
        3..=REPLICAS => members - (members + 1) % 2,
        _ => REPLICAS,
    }
}

/// Both are hashes, so their heads are as random as any hash of them.
fn weight(key: Key, peer: PeerId) -> (u64, PeerId) {
    let head = |bytes: &[u8]| bytes.first_chunk().map_or(0, |head| u64::from_be_bytes(*head));
    let key = mix(head(key.as_bytes()) ^ mix(head(&key.as_bytes()[8..])));
    (mix(key ^ mix(head(peer.as_bytes()))), peer)
}

/// The committed views that this peer was told, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Views {
    kept: BTreeMap<Epoch, Arc<View>>,
    /// The newest life known of everybody in them.
    lives: BTreeMap<PeerId, Life>,
    /// Peers that may claim although they keep nothing, by their newest life.
    guests: BTreeMap<PeerId, Life>,
}

impl Views {
    pub(super) const fn new() -> Self {
        Self { kept: BTreeMap::new(), lives: BTreeMap::new(), guests: BTreeMap::new() }
    }

    pub(super) fn invite(&mut self, life: Life) {
        let known = self.guests.entry(life.peer).or_insert(life);
        *known = life.max(*known);
        self.met(life);
    }

    /// Whether this life may claim.
    pub(super) fn admits(&self, life: Life) -> bool {
        let is_member = self.current().is_some_and(|view| view.contains(life));
        is_member || self.guests.get(&life.peer).is_some_and(|known| *known <= life)
    }

    pub(super) fn current(&self) -> Option<&Arc<View>> {
        self.kept.last_key_value().map(|(_, view)| view)
    }

    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.current().map(|view| view.epoch)
    }

    /// The view that `epoch` replaced.
    pub(super) fn before(&self, epoch: Epoch) -> Option<&Arc<View>> {
        self.kept.range(..epoch).next_back().map(|(_, view)| view)
    }

    pub(super) fn after(&self, epoch: Epoch) -> Option<&Arc<View>> {
        self.kept.range(epoch.next()..).next().map(|(_, view)| view)
    }

    pub(super) fn get(&self, epoch: Epoch) -> Option<&Arc<View>> {
        self.kept.get(&epoch)
    }

    pub(super) fn set(&self, epoch: Epoch, key: Key) -> Option<Set> {
        self.get(epoch).map(|view| Set::of(view, key))
    }

    /// Whether `view` may follow the current one.
    pub(super) fn follows(&self, view: &View) -> bool {
        self.current().is_none_or(|current| {
            view.epoch == current.epoch.next()
                || view.forced.is_some() && view.epoch > current.epoch
        })
    }

    pub(super) fn push(&mut self, view: Arc<View>) {
        self.kept.insert(view.epoch, view);
        while self.kept.len() > VIEWS_MAX {
            self.kept.pop_first();
        }
        let mut lives = BTreeMap::new();
        for life in self.kept.values().flat_map(|view| view.lives()) {
            let known = self.lives.get(&life.peer).copied().unwrap_or(life);
            let newest = lives.entry(life.peer).or_insert(known);
            *newest = life.max(*newest);
        }
        self.lives = lives;
    }

    pub(super) fn life(&self, peer: PeerId) -> Option<Life> {
        self.lives.get(&peer).max(self.guests.get(&peer)).copied()
    }

    /// A peer's newer life answers for it before a view says so: its disk votes.
    pub(super) fn met(&mut self, life: Life) {
        if let Some(known) = self.lives.get_mut(&life.peer) {
            *known = life.max(*known);
        }
    }
}

#[cfg(test)]
mod tests;
