//! Agreed membership: who counts, and what a majority of them is (healing.md section 2).

use core::fmt;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Digest, Life, PeerId};

/// Lives that die together because they share an OS process: random per process start.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FateId(pub u64);

impl fmt::Debug for FateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FateId({:016x})", self.0)
    }
}

/// The number of a view. The creator's first view is 1; a forced one is 2^32 above its predecessor.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of a view that a majority commits on top of this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// One member of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub life: Life,
    /// With whom it dies.
    pub fate: FateId,
}

/// An operator's decision to go on without a majority (healing.md section 6.6).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Forced {
    /// The peer at which it was given.
    pub operator: PeerId,
    /// Why, for people.
    pub reason: String,
    /// Who was left behind.
    pub dropped: Vec<Life>,
}

/// Epoch-numbered agreed membership.
///
/// All majorities are counted in the last committed view, never among those one sees.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct View {
    /// Its number.
    pub epoch: Epoch,
    /// By seniority: joiners are appended. Unique by peer, never empty.
    pub members: Vec<Member>,
    /// The hash of the view it replaces; zeros for the first.
    pub previous: Digest,
    /// Set if an operator forced it.
    pub forced: Option<Forced>,
}

impl View {
    /// The first view of a new mesh: its creator alone.
    pub fn found(creator: Member) -> Self {
        let previous = Digest::from_bytes([0; 32]);
        Self { epoch: Epoch(1), members: vec![creator], previous, forced: None }
    }

    /// SHA-256 over a fixed layout of all fields: the link of the chain of views.
    pub fn hash(&self) -> Digest {
        let mut bytes = Vec::with_capacity(64 + self.members.len() * 48);
        bytes.extend_from_slice(&self.epoch.0.to_be_bytes());
        bytes.extend_from_slice(self.previous.as_bytes());
        bytes.extend_from_slice(&(self.members.len() as u64).to_be_bytes());
        for member in &self.members {
            bytes.extend_from_slice(&member.life.to_bytes());
            bytes.extend_from_slice(&member.fate.0.to_be_bytes());
        }
        if let Some(forced) = &self.forced {
            bytes.extend_from_slice(forced.operator.as_bytes());
            bytes.extend_from_slice(&(forced.dropped.len() as u64).to_be_bytes());
            forced.dropped.iter().for_each(|life| bytes.extend_from_slice(&life.to_bytes()));
            bytes.extend_from_slice(forced.reason.as_bytes());
        }
        Digest::of(&[b"formic/view/1", &bytes])
    }

    /// The most senior member: with it, exactly half is a majority.
    pub fn anchor(&self) -> Option<Member> {
        self.members.first().copied()
    }

    /// The member with this identity, whichever its life. O(members).
    pub fn member(&self, peer: PeerId) -> Option<&Member> {
        self.members.iter().find(|member| member.life.peer == peer)
    }

    /// Whether this very life is a member. O(members).
    pub fn contains(&self, life: Life) -> bool {
        self.members.iter().any(|member| member.life == life)
    }

    /// All lives, most senior first.
    pub fn lives(&self) -> impl Iterator<Item = Life> {
        self.members.iter().map(|member| member.life)
    }

    /// Whether these peers decide: more than half of the members, or half with the anchor. Peers that
    /// are no members do not count. O(members x log peers).
    pub fn is_quorum(&self, peers: &BTreeSet<PeerId>) -> bool {
        let votes = self.members.iter().filter(|member| peers.contains(&member.life.peer)).count();
        let anchored = self.anchor().is_some_and(|anchor| peers.contains(&anchor.life.peer));
        votes * 2 > self.members.len() || votes * 2 == self.members.len() && anchored
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Incarnation;

    fn view(count: u8) -> View {
        let member = |n| Member {
            life: Life::new(PeerId::from_bytes([n; 32]), Incarnation(1)),
            fate: FateId(u64::from(n)),
        };
        View { members: (0..count).map(member).collect(), ..View::found(member(0)) }
    }

    #[test]
    fn any_two_quorums_of_a_view_share_a_peer() {
        for count in 1..=10_u8 {
            let view = view(count);
            let set = |bits: u32| -> BTreeSet<PeerId> {
                let chosen = (0..count).filter(|n| bits >> n & 1 == 1);
                chosen.map(|n| PeerId::from_bytes([n; 32])).collect()
            };
            let all = (1_u32 << count) - 1;
            for bits in 0..=all {
                let both = view.is_quorum(&set(bits)) && view.is_quorum(&set(all & !bits));
                assert!(!both, "{count} members, {bits:b} and its complement");
            }
        }
    }

    #[test]
    fn the_hash_depends_on_every_field() {
        let base = view(3);
        let mut swapped = base.clone();
        swapped.members.swap(0, 1);
        let mut other_fate = base.clone();
        other_fate.members[2].fate = FateId(9);
        let later = View { epoch: Epoch(2), ..base.clone() };
        let chained = View { previous: base.hash(), ..base.clone() };
        let forced = Forced {
            operator: PeerId::from_bytes([0; 32]),
            reason: "fire".to_owned(),
            dropped: vec![],
        };
        let forced = View { forced: Some(forced), ..base.clone() };
        for other in [swapped, other_fate, later, chained, forced] {
            assert_ne!(base.hash(), other.hash());
        }
    }
}
