use std::collections::{BTreeMap, BTreeSet};

use formic_core::{Digest, rule};
use serde::{Deserialize, Serialize};

use crate::{
    Electorate, Proposal, Rank,
    proposal::{DIMENSIONS, SCORE_MAX},
};

/// A score that was not given: below any floor.
pub const NOT_JUDGED: u16 = 0xffff;

/// What a voter thinks of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// Good enough.
    Approve,
    /// Not good enough, for a reason.
    Reject(Reason),
}

/// Why a payload is not good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Reason {
    /// None given.
    None = 0,
    /// It is wrong.
    Wrong = 1,
    /// It is insecure.
    Insecure = 2,
    /// It is slow.
    Slow = 3,
    /// It is not tested.
    Untested = 4,
    /// It is not documented.
    Undocumented = 5,
    /// The voter cannot judge it.
    Unable = 6,
}

/// One voter's opinion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ballot {
    /// Yes or no.
    pub verdict: Verdict,
    /// Quality, security, performance, tests, docs: 0..=1000, or [`NOT_JUDGED`].
    pub scores: [u16; DIMENSIONS],
    /// The digest of a comment; zero if there is none.
    pub comment: Digest,
}

impl Ballot {
    /// Whether its scores are in range.
    pub fn is_lawful(&self) -> bool {
        self.scores.iter().all(|score| *score <= SCORE_MAX || *score == NOT_JUDGED)
    }

    /// The 44 bytes behind the head of its statement (consensus.md section 5).
    pub(crate) fn bytes(&self) -> [u8; 44] {
        let mut bytes = [0; 44];
        (bytes[0], bytes[1]) = match self.verdict {
            Verdict::Approve => (1, 0),
            Verdict::Reject(reason) => (2, reason as u8),
        };
        for (at, score) in self.scores.iter().enumerate() {
            bytes[2 + 2 * at..4 + 2 * at].copy_from_slice(&score.to_be_bytes());
        }
        bytes[12..].copy_from_slice(self.comment.as_bytes());
        bytes
    }

    fn reaches(&self, dimension: usize, floor: u16) -> bool {
        let score = self.scores[dimension];
        score != NOT_JUDGED && score >= floor
    }
}

/// Why a payload was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Rejection {
    /// Too many voters said no.
    Dissent,
    /// Too many voters voted twice: remove them and propose again.
    Void,
    /// The median of this dimension, 0..5, is below its floor.
    Floor(u8),
}

/// What became of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// Good enough.
    Approved,
    /// Not good enough.
    Rejected(Rejection),
    /// Not judged in time: nothing is lost, it may be tried again.
    Expired,
}

impl Outcome {
    /// Outcome and reason as they are hashed.
    pub(crate) const fn code(self) -> [u8; 2] {
        match self {
            Self::Approved => [1, 0],
            Self::Rejected(Rejection::Dissent) => [2, 1],
            Self::Rejected(Rejection::Void) => [2, 2],
            Self::Rejected(Rejection::Floor(dimension)) => [2, 16 + dimension],
            Self::Expired => [3, 0],
        }
    }

    /// The outcome that these two bytes mean.
    pub(crate) fn of_code(code: [u8; 2]) -> Option<Self> {
        Some(match code {
            [1, 0] => Self::Approved,
            [2, 1] => Self::Rejected(Rejection::Dissent),
            [2, 2] => Self::Rejected(Rejection::Void),
            [2, code @ 16..21] => Self::Rejected(Rejection::Floor(code - 16)),
            [3, 0] => Self::Expired,
            _ => return None,
        })
    }
}

/// What a set of ballots says (consensus.md section 4); `None`: not settled. The base is the whole
/// electorate less the author, not the ballots cast. `void` are voters with evidence against them: they
/// are on neither side. More ballots never turn one `Some` into another, except by evidence.
pub fn outcome(
    ballots: &BTreeMap<Rank, Ballot>,
    void: &BTreeSet<Rank>,
    proposal: &Proposal,
    electorate: &Electorate,
) -> Option<Outcome> {
    let counts = |rank: &Rank| !rule!("consensus/void") || !void.contains(rank);
    let valid = || ballots.iter().filter(|(rank, _)| counts(rank));
    let weigh = |holds: &dyn Fn(&Ballot) -> bool| -> u64 {
        let chosen = valid().filter(|(_, ballot)| holds(ballot));
        chosen.map(|(rank, _)| proposal.weight(electorate, *rank)).sum()
    };
    let total = proposal.total(electorate);
    let needed = u64::from(proposal.policy.threshold) * total;
    let approve = weigh(&|ballot| ballot.verdict == Verdict::Approve);
    let reject = weigh(&|ballot| ballot.verdict != Verdict::Approve);
    let void: u64 = void.iter().map(|rank| proposal.weight(electorate, *rank)).sum();
    let floors = || proposal.policy.floors.iter().enumerate().filter(|(_, floor)| **floor > 0);
    let above = |(at, floor): (usize, &u16)| weigh(&|ballot| ballot.reaches(at, *floor));
    let below = |(at, floor): (usize, &u16)| weigh(&|ballot| !ballot.reaches(at, *floor));
    if approve * 1_000 >= needed && floors().all(|floor| 2 * above(floor) > total) {
        return Some(Outcome::Approved);
    }
    if (total - reject) * 1_000 < needed {
        return Some(Outcome::Rejected(Rejection::Dissent));
    }
    if total.saturating_sub(reject + void) * 1_000 < needed {
        return Some(Outcome::Rejected(Rejection::Void));
    }
    let low = floors().find(|floor| 2 * below(*floor) >= total);
    low.and_then(|(at, _)| u8::try_from(at).ok()).map(|at| Outcome::Rejected(Rejection::Floor(at)))
}
