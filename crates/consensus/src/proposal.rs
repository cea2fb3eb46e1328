use core::time::Duration;

use formic_core::{Digest, PeerId, Time};
use serde::{Deserialize, Serialize};

use crate::{BadProposal, Electorate, Rank, electorate::domain};

/// The scores of a ballot: quality, security, performance, tests, docs.
pub const DIMENSIONS: usize = 5;
/// The highest score; a floor is at most this.
pub const SCORE_MAX: u16 = 1_000;
/// How long ballots may be waited for.
const DEADLINE_MS: core::ops::RangeInclusive<u32> = 100..=86_400_000;
/// The kind of an instance that judges work.
const VALIDATION: u8 = 1;

/// One question to an electorate, named by the hash of all that it is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct InstanceId(pub Digest);

/// How ballots are weighed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Weighting {
    /// All alike.
    Equal,
    /// By the reputation that the electorate lists.
    Reputation,
}

/// When a proposal counts as approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Policy {
    /// The approving share of all weight, in thousandths; at least the electorate's minimum.
    pub threshold: u16,
    /// How ballots are weighed.
    pub weighting: Weighting,
    /// How long ballots are waited for, in milliseconds, 100..=86,400,000.
    pub deadline_ms: u32,
    /// What the weighted median of each score has to reach, 0..=1000; 0: not mandatory.
    pub floors: [u16; DIMENSIONS],
}

impl Policy {
    pub(crate) fn bytes(&self) -> [u8; 17] {
        let mut bytes = [0; 17];
        bytes[..2].copy_from_slice(&self.threshold.to_be_bytes());
        bytes[2] = match self.weighting {
            Weighting::Equal => 0,
            Weighting::Reputation => 1,
        };
        bytes[3..7].copy_from_slice(&self.deadline_ms.to_be_bytes());
        for (at, floor) in self.floors.iter().enumerate() {
            bytes[7 + 2 * at..9 + 2 * at].copy_from_slice(&floor.to_be_bytes());
        }
        bytes
    }
}

/// What is to be decided (consensus.md section 4): whether a payload is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Proposal {
    /// What it is about, e.g. the hash of a task's key.
    pub subject: Digest,
    /// Which try, from 0.
    pub attempt: u32,
    /// Whose work it is: it does not judge itself. `None`: nobody's.
    pub author: Option<PeerId>,
    /// When it counts as approved.
    pub policy: Policy,
    /// The digest of what is judged.
    pub payload: Digest,
}

impl Proposal {
    /// The name of the instance: the same proposal is the same instance, whoever proposes it.
    pub fn instance(&self, electorate: &Electorate) -> InstanceId {
        let author = self.author.map_or([0; 32], |author| *author.as_bytes());
        InstanceId(Digest::of(&[
            &domain("formic/inst/1"),
            electorate.mesh().as_bytes(),
            &electorate.number().to_be_bytes(),
            electorate.digest().as_bytes(),
            &[VALIDATION],
            self.subject.as_bytes(),
            &self.attempt.to_be_bytes(),
            &author,
            &self.policy.bytes(),
            self.payload.as_bytes(),
        ]))
    }

    /// Whether this electorate may decide it.
    ///
    /// # Errors
    /// [`BadProposal`] names the field that is out of range.
    pub fn check(&self, electorate: &Electorate) -> Result<(), BadProposal> {
        let policy = &self.policy;
        let min = electorate.min_threshold();
        if !(min..=1_000).contains(&policy.threshold) {
            return Err(BadProposal::Threshold { found: policy.threshold, min });
        }
        if !DEADLINE_MS.contains(&policy.deadline_ms) {
            return Err(BadProposal::Deadline { found_ms: policy.deadline_ms });
        }
        if let Some(dimension) = policy.floors.iter().position(|floor| *floor > SCORE_MAX) {
            return Err(BadProposal::Floor { dimension, found: policy.floors[dimension] });
        }
        if self.total(electorate) == 0 {
            return Err(BadProposal::NoJudge);
        }
        Ok(())
    }

    /// When ballots are no longer waited for, if it is opened at `now`.
    pub(crate) fn expires(&self, now: Time) -> Time {
        now + Duration::from_millis(u64::from(self.policy.deadline_ms))
    }

    /// The weight of a voter's ballot: 0 for the author, who does not judge his own work.
    pub(crate) fn weight(&self, electorate: &Electorate, rank: Rank) -> u64 {
        match electorate.member(rank) {
            Some(member) if Some(member.peer) != self.author => match self.policy.weighting {
                Weighting::Equal => 1,
                Weighting::Reputation => u64::from(member.standing.weight()),
            },
            _ => 0,
        }
    }

    /// W: the weight of the electorate less the author's. At most 256 times 200.
    pub(crate) fn total(&self, electorate: &Electorate) -> u64 {
        electorate.ranks().map(|rank| self.weight(electorate, rank)).sum()
    }
}
