use formic_core::Digest;
use serde::{Deserialize, Serialize};

use crate::{Ballot, Electorate, InstanceId, Outcome, Rank, electorate::domain};

/// The longest signature of any scheme, in bytes: RSA-2048.
pub const SEAL_MAX: usize = 256;

/// A signature as it travels: judged by [`PublicKey`] alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seal(pub Vec<u8>);

/// A public voting key. Signatures have to be deterministic: same key, same statement, same bytes.
pub trait PublicKey {
    /// Whether its holder signed exactly `statement`.
    fn verify(&self, statement: &[u8], signature: &[u8]) -> bool;
}

impl PublicKey for formic_identity::PublicKey {
    fn verify(&self, statement: &[u8], signature: &[u8]) -> bool {
        <[u8; 64]>::try_from(signature).is_ok_and(|bytes| {
            Self::verify(self, statement, &formic_identity::Signature::from_bytes(bytes))
        })
    }
}

impl PublicKey for formic_identity::VotingPublicKey {
    fn verify(&self, statement: &[u8], signature: &[u8]) -> bool {
        Self::verify(self, statement, signature)
    }
}

/// What is decided: an outcome with the roots of what supports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Value {
    /// What became of the proposal.
    pub outcome: Outcome,
    /// How many ballots.
    pub ballots: u16,
    /// The Merkle root over them.
    pub ballots_root: Digest,
    /// How many voters with evidence against them.
    pub evidence: u16,
    /// The Merkle root over the evidence.
    pub evidence_root: Digest,
}

impl Value {
    /// The digest that votes are about: 118 bytes, bound to the instance.
    pub fn digest(&self, instance: InstanceId) -> Digest {
        Digest::of(&[
            &domain("formic/value/1"),
            instance.0.as_bytes(),
            &self.outcome.code(),
            &self.ballots.to_be_bytes(),
            self.ballots_root.as_bytes(),
            &self.evidence.to_be_bytes(),
            self.evidence_root.as_bytes(),
        ])
    }
}

/// A vote of the agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Vote {
    /// This value is acceptable in this round.
    Notarize(u64, Value),
    /// This round shall end without a value.
    Nullify(u64),
    /// A quorum notarized this value in this round, and I did not nullify it.
    Finalize(u64, Value),
}

impl Vote {
    /// The round it is about, from 1.
    pub const fn round(&self) -> u64 {
        match self {
            Self::Notarize(round, _) | Self::Nullify(round) | Self::Finalize(round, _) => *round,
        }
    }
}

/// What a voter signs about an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Statement {
    /// I propose it.
    Submit,
    /// My opinion.
    Ballot(Ballot),
    /// Ballots took too long.
    Timeout,
    /// A vote of the agreement.
    Vote(Vote),
}

impl Statement {
    /// The bytes that are signed: hand-laid, of fixed width, with a domain of their own (section 5).
    pub fn bytes(&self, electorate: &Electorate, instance: InstanceId, rank: Rank) -> Vec<u8> {
        let name = match self {
            Self::Submit => "formic/submit/1",
            Self::Ballot(_) => "formic/ballot/1",
            Self::Timeout => "formic/timeout/1",
            Self::Vote(Vote::Notarize(..)) => "formic/notar/1",
            Self::Vote(Vote::Nullify(_)) => "formic/null/1",
            Self::Vote(Vote::Finalize(..)) => "formic/final/1",
        };
        let peer = electorate.member(rank).map_or([0; 32], |member| *member.peer.as_bytes());
        let mut bytes = Vec::with_capacity(196);
        bytes.extend(domain(name));
        bytes.extend(electorate.mesh().as_bytes());
        bytes.extend(electorate.number().to_be_bytes());
        bytes.extend(electorate.digest().as_bytes());
        bytes.extend(instance.0.as_bytes());
        bytes.extend(peer);
        match self {
            Self::Submit | Self::Timeout => {}
            Self::Ballot(ballot) => bytes.extend(ballot.bytes()),
            Self::Vote(vote) => {
                bytes.extend(vote.round().to_be_bytes());
                let value = match vote {
                    Vote::Notarize(_, value) | Vote::Finalize(_, value) => value.digest(instance),
                    Vote::Nullify(_) => Digest::from_bytes([0; 32]),
                };
                bytes.extend(value.as_bytes());
            }
        }
        bytes
    }

    /// Whether no honest voter signs both: S1, and nullify with finalize of one round (S2).
    pub fn contradicts(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ballot(one), Self::Ballot(two)) => one != two,
            (Self::Vote(one), Self::Vote(two)) if one.round() == two.round() => {
                matches!(
                    (one, two),
                    (Vote::Notarize(_, a), Vote::Notarize(_, b))
                    | (Vote::Finalize(_, a), Vote::Finalize(_, b)) if a != b
                ) || matches!(
                    (one, two),
                    (Vote::Nullify(_), Vote::Finalize(..)) | (Vote::Finalize(..), Vote::Nullify(_))
                )
            }
            _ => false,
        }
    }
}

/// A statement with who signed it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Signed {
    /// About which instance.
    pub instance: InstanceId,
    /// Whose.
    pub rank: Rank,
    /// What.
    pub statement: Statement,
    /// The signature.
    pub seal: Seal,
}
