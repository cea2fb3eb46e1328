use formic_core::{Digest, PeerId};
use serde::{Deserialize, Serialize};

use crate::{BadElectorate, reputation::Standing, rounds};

/// The most voters that an electorate may have (consensus.md section 3).
pub const VOTERS_MAX: usize = 256;

/// A voter's place in its electorate: its index in the list sorted by `PeerId`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rank(pub u16);

impl Rank {
    /// As an index into [`Electorate::members`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// One voter as the electorate lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// Who.
    pub peer: PeerId,
    /// The scheme of its voting key: 1 Ed25519, 2 RSA-2048 with PKCS#1 v1.5 and SHA-256.
    pub scheme: u8,
    /// SHA-256 of the SubjectPublicKeyInfo of its voting key.
    pub key: Digest,
    /// What decided instances say about it; gives its weight.
    pub standing: Standing,
}

/// The voters of one number, fixed for ever (consensus.md section 3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Electorate {
    mesh: Digest,
    number: u64,
    previous: Digest,
    min_threshold: u16,
    members: Vec<Member>,
    digest: Digest,
}

impl Electorate {
    /// Electorate `number` of a mesh. `previous` is the digest of the electorate before it, zero for
    /// number 0; no proposal's threshold may be below `min_threshold`, in thousandths, 501..=1000.
    ///
    /// # Errors
    /// [`BadElectorate`]: no or too many members, not strictly ascending by peer, a bad threshold.
    pub fn new(
        mesh: Digest,
        (number, previous): (u64, Digest),
        min_threshold: u16,
        members: Vec<Member>,
    ) -> Result<Self, BadElectorate> {
        if members.is_empty() || members.len() > VOTERS_MAX {
            return Err(BadElectorate::Voters { found: members.len(), max: VOTERS_MAX });
        }
        if let Some(at) = members.windows(2).position(|pair| pair[0].peer >= pair[1].peer) {
            return Err(BadElectorate::Order { index: at + 1 });
        }
        if !(501..=1_000).contains(&min_threshold) {
            return Err(BadElectorate::Threshold { found: min_threshold });
        }
        let mut new =
            Self { mesh, number, previous, min_threshold, members, digest: Digest::of(&[]) };
        new.digest = Digest::of(&[&new.bytes()]);
        Ok(new)
    }

    /// The mesh.
    pub const fn mesh(&self) -> Digest {
        self.mesh
    }

    /// Which one, from 0.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The digest of the electorate before it; zero for number 0.
    pub const fn previous(&self) -> Digest {
        self.previous
    }

    /// The lowest threshold that a proposal may have, in thousandths.
    pub const fn min_threshold(&self) -> u16 {
        self.min_threshold
    }

    /// The voters, strictly ascending by peer.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// What names it and is part of every signed statement.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// How many voters.
    pub const fn len(&self) -> usize {
        self.members.len()
    }

    /// Never: an electorate has a member.
    pub const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// How many votes decide: `n - floor((n - 1) / 3)`.
    pub fn quorum(&self) -> usize {
        rounds::quorum(self.members.len())
    }

    /// The member of this rank.
    pub fn member(&self, rank: Rank) -> Option<&Member> {
        self.members.get(rank.index())
    }

    /// The rank of a peer.
    pub fn rank(&self, peer: PeerId) -> Option<Rank> {
        let index = self.members.binary_search_by_key(&peer, |member| member.peer).ok()?;
        u16::try_from(index).ok().map(Rank)
    }

    /// All ranks, ascending.
    pub fn ranks(&self) -> impl Iterator<Item = Rank> + use<> {
        (0..self.members.len()).filter_map(|index| u16::try_from(index).ok().map(Rank))
    }

    /// The 164 + 75 n bytes that are hashed. Ticket work and the roots of accounted instances and of
    /// evidence stand there as zero: the first electorate accounts nothing.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(164 + 75 * self.members.len());
        bytes.extend(domain("formic/elect/1"));
        bytes.extend(self.mesh.as_bytes());
        bytes.extend(self.number.to_be_bytes());
        bytes.extend(self.previous.as_bytes());
        bytes.extend(0u64.to_be_bytes());
        bytes.extend(self.min_threshold.to_be_bytes());
        bytes.extend([0; 64]);
        bytes.extend(u16::try_from(self.members.len()).unwrap_or(u16::MAX).to_be_bytes());
        for member in &self.members {
            bytes.extend(member.peer.as_bytes());
            bytes.push(member.scheme);
            bytes.extend(member.key.as_bytes());
            bytes.extend(member.standing.weight().to_be_bytes());
            bytes.extend(member.standing.good.to_be_bytes());
            bytes.extend(member.standing.bad.to_be_bytes());
        }
        bytes
    }
}

/// A domain of signed or hashed bytes: ASCII, padded with zeros to 16 bytes.
pub(crate) fn domain(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    bytes
}
