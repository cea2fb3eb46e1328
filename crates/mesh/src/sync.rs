//! Comparing records with one member at a time (mesh.md 5).

use core::{cmp::Ordering, time::Duration};
use std::collections::BTreeMap;

use formic_core::{Life, PeerId, Sink, Time, rule};

use crate::{
    Effect, Error, Key, Mesh, Message, Path, Record, Slot, SlotRecord,
    mesh::Place,
    message::NODES_MAX,
    tree::{Below, Tree},
};

/// Equal rounds after which the pause doubles.
const EQUAL_ROUNDS: u32 = 10;
/// The most keys named below one node, and pulled at once.
const KEYS_MAX: usize = 64;
const PULL_MAX: usize = 1_024;

/// When to compare next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sync {
    next: Option<Time>,
    interval: Duration,
    pause: Duration,
    equal: u32,
}

impl Sync {
    pub(crate) const fn new(interval: Duration) -> Self {
        Self { next: None, interval, pause: interval, equal: 0 }
    }

    pub(crate) const fn deadline(&self) -> Option<Time> {
        self.next
    }

    /// There is somebody to compare with.
    pub(crate) fn wake(&mut self, now: Time) {
        self.hurry(now);
        self.next.get_or_insert(now + self.interval);
    }

    /// Something changed: back to the shortest pause.
    pub(crate) fn hurry(&mut self, now: Time) {
        (self.pause, self.equal) = (self.interval, 0);
        self.next = self.next.map(|next| next.min(now + self.interval));
    }

    fn agreed(&mut self, longest: Duration) {
        self.equal += 1;
        if self.equal >= EQUAL_ROUNDS {
            (self.equal, self.pause) = (0, (self.pause * 2).min(longest));
        }
    }
}

impl Mesh {
    pub(crate) fn compare_records(&mut self, now: Time, out: &mut impl Sink<Effect>) {
        if self.sync.next.is_none_or(|next| next > now) {
            return;
        }
        let linked: Vec<Life> = self.members_linked().collect();
        let partner = self.random.pick(&linked).copied();
        let Some(partner) = partner.filter(|_| self.place == Place::Member) else {
            self.sync.next = None; // The next link starts it again.
            return;
        };
        out.push(Effect::Send { to: partner, message: Message::Root { root: self.tree.root() } });
        self.casts.compare(partner, out);
        self.sync.next = Some(now + self.sync.pause);
    }

    pub(crate) fn on_root(
        &mut self,
        now: Time,
        from: Life,
        root: u64,
        out: &mut impl Sink<Effect>,
    ) {
        let order = self.tree.root().cmp(&root);
        self.vitals.on_compared(now, from, order);
        if order == Ordering::Equal {
            out.push(Effect::Send { to: from, message: Message::Same });
            return;
        }
        self.sync.hurry(now);
        if rule!("mesh/sync") {
            let mut answer = Answer::default();
            answer.describe(&self.tree, Path::default());
            answer.send(from, out);
        }
    }

    pub(crate) fn on_same(&mut self, now: Time, from: Life) {
        self.vitals.on_compared(now, from, Ordering::Equal);
        self.sync.agreed(self.config.sync_idle_max);
    }

    pub(crate) fn on_nodes(
        &mut self,
        from: Life,
        nodes: Vec<(Path, [u64; 16])>,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        if nodes.len() > NODES_MAX || !nodes.iter().all(|(path, _)| path.is_sound()) {
            return Err(Error::SyncRules { from, rule: "at most 64 sound nodes" });
        }
        let mut answer = Answer::default();
        for (path, theirs) in nodes {
            let Below::Inner(mine) = self.tree.below(path) else {
                answer.describe(&self.tree, path);
                continue;
            };
            for (digit, _) in mine.iter().zip(theirs).enumerate().filter(|(_, (a, b))| **a != *b) {
                answer.describe(&self.tree, path.child(digit as u64));
            }
        }
        answer.send(from, out);
        Ok(())
    }

    pub(crate) fn on_keys(
        &mut self,
        from: Life,
        leaves: Vec<(Path, Vec<Key>)>,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        let sound = |(path, keys): &(Path, Vec<Key>)| path.is_sound() && keys.len() <= KEYS_MAX;
        if leaves.len() > NODES_MAX || !leaves.iter().all(sound) {
            return Err(Error::SyncRules { from, rule: "at most 64 keys below each of 64 nodes" });
        }
        let mut trade = Trade::default();
        leaves.into_iter().for_each(|(path, keys)| trade.compare(&self.tree, path, keys));
        let Trade { mut pull, push } = trade;
        // Of lives that are in no view here nothing is kept: the view comes first.
        pull.retain(|key| self.is_member(key.owner));
        pull.truncate(PULL_MAX);
        if !pull.is_empty() {
            out.push(Effect::Send { to: from, message: Message::Pull { keys: pull } });
        }
        self.send_values(from, &push, out);
        Ok(())
    }

    pub(crate) fn on_pull(
        &mut self,
        from: Life,
        keys: Vec<Key>,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        if keys.len() > PULL_MAX {
            return Err(Error::SyncRules { from, rule: "at most 1024 keys at once" });
        }
        self.send_values(from, &keys, out);
        Ok(())
    }

    /// The newest values of these owners and slots.
    fn send_values(&self, to: Life, keys: &[Key], out: &mut impl Sink<Effect>) {
        let mut records: Vec<Record> = Vec::new();
        let mut slots: Vec<SlotRecord> = Vec::new();
        for key in keys {
            if key.slot == Slot::MAIN {
                records.extend(self.member(key.owner).cloned());
            } else {
                slots.extend(self.slot(key.owner, key.slot).cloned());
            }
        }
        self.send_delta(to, (records, slots), out);
    }
}

/// What two peers tell each other once they know who has what.
#[derive(Default)]
struct Trade {
    /// Theirs, wanted here.
    pull: Vec<Key>,
    /// Ours, wanted there.
    push: Vec<Key>,
}

impl Trade {
    fn compare(&mut self, tree: &Tree, path: Path, theirs: Vec<Key>) {
        let mut theirs: BTreeMap<(PeerId, Slot), Key> =
            theirs.into_iter().map(|key| ((key.owner.peer, key.slot), key)).collect();
        for mine in tree.keys_below(path) {
            let their = theirs.remove(&(mine.owner.peer, mine.slot));
            let order = their.map_or(Ordering::Greater, |their| mine.compare(&their));
            // Two values of one version: each shows its own, the order of values decides.
            let twins = order.is_eq() && their.is_some_and(|their| their.hash != mine.hash);
            if order.is_gt() || twins {
                self.push.push(*mine);
            }
            if order.is_lt() || twins {
                self.pull.extend(their);
            }
        }
        self.pull.extend(theirs.into_values());
    }
}

impl Key {
    /// Which of two versions of one owner's slot is newer.
    fn compare(&self, other: &Self) -> Ordering {
        let version = |key: &Self| (key.owner.incarnation, key.version);
        version(self).cmp(&version(other))
    }
}

/// What differs, as far as it fits into two messages: the rest is found in the next round.
#[derive(Default)]
struct Answer {
    nodes: Vec<(Path, [u64; 16])>,
    leaves: Vec<(Path, Vec<Key>)>,
}

impl Answer {
    fn describe(&mut self, tree: &Tree, path: Path) {
        match tree.below(path) {
            Below::Inner(hashes) if self.nodes.len() < NODES_MAX => {
                self.nodes.push((path, hashes));
            }
            Below::Leaf(mut keys) if self.leaves.len() < NODES_MAX => {
                keys.truncate(KEYS_MAX);
                self.leaves.push((path, keys));
            }
            Below::Inner(_) | Below::Leaf(_) => {}
        }
    }

    fn send(self, to: Life, out: &mut impl Sink<Effect>) {
        if !self.nodes.is_empty() {
            out.push(Effect::Send { to, message: Message::Nodes { nodes: self.nodes } });
        }
        if !self.leaves.is_empty() {
            out.push(Effect::Send { to, message: Message::Keys { leaves: self.leaves } });
        }
    }
}
