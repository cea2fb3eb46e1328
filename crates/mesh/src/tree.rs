//! A hash tree over who published what: two peers find their differences in O(log n) hashes.
//!
//! 16 children per node, leaves of at most [`LEAF_MAX`] records. A record's place is the start of
//! SHA-256(owner, slot), so the tree is balanced and its shape a function of its content alone.

use std::collections::BTreeMap;

use formic_core::{Digest, Life, PeerId};
use serde::{Deserialize, Serialize};

use crate::Slot;

/// The most records below a leaf.
pub(crate) const LEAF_MAX: usize = 16;

/// The deepest nodes: below them are leaves, whatever their size.
const DEPTH_MAX: u8 = 15;

/// Names one version of one published value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Whose.
    pub owner: Life,
    /// Which value.
    pub slot: Slot,
    /// Which version.
    pub version: u64,
    /// The start of a hash of all of it, the value included.
    pub hash: u64,
}

/// A node: the first `depth` hexadecimal digits of the places below it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Path {
    /// How many digits.
    pub depth: u8,
    /// The digits, left-aligned; the rest is zero.
    pub digits: u64,
}

impl Path {
    /// Whether it is a node that a tree may have.
    pub(crate) fn is_sound(self) -> bool {
        self.depth <= DEPTH_MAX && self.digits & self.below() == 0
    }

    /// All bits below the digits.
    fn below(self) -> u64 {
        u64::MAX.checked_shr(u32::from(self.depth) * 4).unwrap_or(0)
    }

    pub(crate) fn child(self, digit: u64) -> Self {
        let shift = 60 - u32::from(self.depth) * 4;
        Self { depth: self.depth + 1, digits: self.digits | digit << shift }
    }

    fn above(place: u64, depth: u8) -> Self {
        let path = Self { depth, digits: 0 };
        Self { depth, digits: place & !path.below() }
    }
}

/// What lies below a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Below {
    /// So few that they are named themselves.
    Leaf(Vec<Key>),
    /// The hashes of the 16 children.
    Inner([u64; 16]),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tree {
    keys: BTreeMap<(u64, PeerId, Slot), Key>,
    /// Hashes of the inner nodes and of their children that have something below them: a function of `keys`.
    hashes: BTreeMap<Path, u64>,
}

impl Tree {
    /// Replaces the key of this owner and slot. Hashes one leaf and `depth` nodes.
    pub(crate) fn insert(&mut self, key: Key) {
        let place = place(key.owner.peer, key.slot);
        self.keys.insert((place, key.owner.peer, key.slot), key);
        self.refresh(place);
    }

    pub(crate) fn remove(&mut self, owner: PeerId, slot: Slot) {
        let place = place(owner, slot);
        if self.keys.remove(&(place, owner, slot)).is_some() {
            self.refresh(place);
        }
    }

    pub(crate) fn root(&self) -> u64 {
        self.hash(Path::default())
    }

    pub(crate) fn below(&self, path: Path) -> Below {
        if self.is_leaf(path) {
            return Below::Leaf(self.keys_below(path).copied().collect());
        }
        Below::Inner(self.children(path))
    }

    /// All keys below a node, by place.
    pub(crate) fn keys_below(&self, path: Path) -> impl Iterator<Item = &Key> {
        let low = (path.digits, PeerId::from_bytes([0; 32]), Slot::MAIN);
        let high = path.digits | path.below();
        self.keys.range(low..).take_while(move |((place, ..), _)| *place <= high).map(|(_, k)| k)
    }

    fn is_leaf(&self, path: Path) -> bool {
        path.depth >= DEPTH_MAX || self.keys_below(path).nth(LEAF_MAX).is_none()
    }

    fn children(&self, path: Path) -> [u64; 16] {
        core::array::from_fn(|digit| self.hash(path.child(digit as u64)))
    }

    /// 0: nothing below.
    fn hash(&self, path: Path) -> u64 {
        self.hashes.get(&path).copied().unwrap_or_else(|| self.leaf_hash(path))
    }

    fn leaf_hash(&self, path: Path) -> u64 {
        let mut bytes = Vec::new();
        for key in self.keys_below(path) {
            bytes.extend_from_slice(&key.owner.to_bytes());
            bytes.push(key.slot.number());
            bytes.extend_from_slice(&key.version.to_be_bytes());
            bytes.extend_from_slice(&key.hash.to_be_bytes());
        }
        if bytes.is_empty() { 0 } else { start(Digest::of(&[b"formic/leaf/1", &bytes])) }
    }

    fn keep(&mut self, path: Path, hash: u64) {
        match hash {
            0 => self.hashes.remove(&path),
            hash => self.hashes.insert(path, hash),
        };
    }

    /// Hashes anew what lies above a place, deepest first.
    fn refresh(&mut self, place: u64) {
        let mut depth = 0;
        while !self.is_leaf(Path::above(place, depth)) {
            depth += 1;
        }
        let leaf = Path::above(place, depth);
        self.forget_below(leaf, place);
        let hash = self.leaf_hash(leaf);
        self.keep(leaf, hash);
        for depth in (0..depth).rev() {
            let path = Path::above(place, depth);
            for child in (0..16).map(|digit| path.child(digit)) {
                let hash = self.hash(child);
                self.keep(child, hash);
            }
            let bytes = self.children(path).map(u64::to_be_bytes).concat();
            self.hashes.insert(path, start(Digest::of(&[b"formic/node/1", &bytes])));
        }
    }

    /// What was hashed below a node that has become a leaf.
    fn forget_below(&mut self, leaf: Path, place: u64) {
        let kept = |digit| self.hashes.contains_key(&leaf.child(digit));
        if leaf.depth >= DEPTH_MAX || !(0..16).any(kept) {
            return;
        }
        let low = (leaf.digits, PeerId::from_bytes([0; 32]), Slot::MAIN);
        let high = leaf.digits | leaf.below();
        let places = self.keys.range(low..).map(|((place, ..), _)| *place);
        let mut places: Vec<u64> = places.take_while(|place| *place <= high).collect();
        places.push(place);
        for place in places {
            for depth in leaf.depth + 1..=DEPTH_MAX {
                self.hashes.remove(&Path::above(place, depth));
            }
        }
    }
}

fn place(owner: PeerId, slot: Slot) -> u64 {
    start(Digest::of(&[b"formic/place/1", owner.as_bytes(), &[slot.number()]]))
}

/// The first 8 bytes.
pub(crate) fn start(digest: Digest) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest.as_bytes()[..8]);
    u64::from_be_bytes(bytes)
}
