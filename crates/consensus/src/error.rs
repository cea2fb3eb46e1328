use formic_core::{Blame, Fault, PeerId, Time};

use crate::{InstanceId, Rank};

/// Why members are no electorate. The caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadElectorate {
    /// None, or too many.
    #[error("expected 1 to {max} voters, found {found}")]
    Voters {
        /// How many were given.
        found: usize,
        /// How many are allowed.
        max: usize,
    },
    /// A member is not above the one before it.
    #[error("member {index} is not above the one before it")]
    Order {
        /// Its index.
        index: usize,
    },
    /// The minimum threshold is out of range.
    #[error("expected a minimum threshold of 501 to 1000 thousandths, found {found}")]
    Threshold {
        /// The refused value, in thousandths.
        found: u16,
    },
}

/// Why a proposal cannot be decided by this electorate. Its proposer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadProposal {
    /// The threshold is out of range.
    #[error("expected a threshold of {min} to 1000 thousandths, found {found}")]
    Threshold {
        /// The refused value, in thousandths.
        found: u16,
        /// The electorate's minimum.
        min: u16,
    },
    /// The deadline is out of range.
    #[error("expected a deadline of 100 ms to 24 h, found {found_ms} ms")]
    Deadline {
        /// The refused value, in milliseconds.
        found_ms: u32,
    },
    /// A floor is above the highest score.
    #[error("expected a floor of at most 1000 in dimension {dimension}, found {found}")]
    Floor {
        /// Which, 0..5.
        dimension: usize,
        /// The refused value.
        found: u16,
    },
    /// Nobody but the author could judge.
    #[error("nobody but the author could judge")]
    NoJudge,
}

/// What no honest peer sends. The fault of whoever signed or sent it; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// A signature that is not the voter's, or about another mesh, electorate or instance.
    #[error("not a signature of voter {rank:?} under this statement")]
    Seal {
        /// The voter it claims.
        rank: Rank,
    },
    /// No such voter.
    #[error("there is no voter {rank:?}")]
    NotMember {
        /// The rank it claims.
        rank: Rank,
    },
    /// The key of this voter is not known here, so its signature can be neither believed nor held against anybody:
    /// nobody's fault. Only where a [`Roster`](crate::Roster) has the keys of some members.
    #[error("the key of voter {rank:?} is not known here")]
    NoKey {
        /// Whose.
        rank: Rank,
    },
    /// A list of voters that is not strictly ascending: a voter is counted twice.
    #[error("voter {rank:?} is out of order or doubled")]
    Unsorted {
        /// The first that is.
        rank: Rank,
    },
    /// Fewer signatures than decide.
    #[error("{found} signatures, a quorum is {quorum}")]
    NoQuorum {
        /// How many.
        found: usize,
        /// How many are needed.
        quorum: usize,
    },
    /// Parts of a message are about different instances.
    #[error("parts of one message are about different instances")]
    WrongInstance,
    /// A statement of a kind that this message does not carry.
    #[error("a statement of another kind than this message carries")]
    WrongKind,
    /// Rounds begin at 1.
    #[error("round 0 does not exist")]
    RoundZero,
    /// A score above 1000 that is not "not judged".
    #[error("a score above 1000")]
    Score,
    /// A list that is too long.
    #[error("{found} entries, at most {max} are allowed")]
    TooMany {
        /// How many.
        found: usize,
        /// How many are allowed.
        max: usize,
    },
    /// A proposal of a round by a voter that does not lead it.
    #[error("not by the leader of round {round}")]
    NotLeader {
        /// The round.
        round: u64,
    },
    /// A body that does not hash to the value.
    #[error("the body does not hash to the value")]
    WrongRoot,
    /// Evidence that proves nothing.
    #[error("the two statements do not contradict each other")]
    NoContradiction,
    /// A proposal that this electorate cannot decide.
    #[error(transparent)]
    Proposal(BadProposal),
}

/// Why an input was refused. The state is unchanged in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The clock ran backwards. A bug in the driver.
    #[error("clock went back from {last:?} to {now:?}")]
    ClockWentBack {
        /// The newest time seen.
        last: Time,
        /// The refused time.
        now: Time,
    },
    /// A configured value is out of range. The caller's fault.
    #[error("{field} is {found}, allowed are {allowed}")]
    Config {
        /// Which.
        field: &'static str,
        /// The refused value, durations in microseconds.
        found: u128,
        /// The allowed range.
        allowed: &'static str,
    },
    /// This peer is no member of the electorate. The caller's fault.
    #[error("{peer} has no vote in this electorate")]
    NoVote {
        /// This peer.
        peer: PeerId,
    },
    /// The proposal cannot be decided. The caller's fault.
    #[error(transparent)]
    Proposal(BadProposal),
    /// Too many instances are open. Nobody's fault: try again later.
    #[error("{open} instances are open, at most {max} are allowed")]
    Busy {
        /// How many are open, of this proposer or of all.
        open: usize,
        /// How many may be.
        max: usize,
    },
    /// Nobody asked for this signature, or it comes twice. A bug in the driver.
    #[error("nobody asked for this signature")]
    NotAsked,
    /// No such instance is open here. The caller's fault.
    #[error("instance {instance:?} is unknown")]
    Unknown {
        /// Which.
        instance: InstanceId,
    },
    /// A second opinion about one instance, or one after the decision. The caller's fault.
    #[error("instance {instance:?} has an own ballot or a decision")]
    Late {
        /// Which.
        instance: InstanceId,
    },
    /// A score out of range. The caller's fault.
    #[error("a score above 1000")]
    Score,
    /// `Restore` came after another input, or its records contradict each other. The caller's fault.
    #[error("records are restored after other inputs or contradict each other")]
    Restore,
    /// A message from a peer that has no vote. That peer is faulty.
    #[error("{from} has no vote and sends messages of voters")]
    NotMember {
        /// The sender.
        from: PeerId,
    },
    /// A vote for a round that this voter is far from: its sender lies, or this voter missed much and learns
    /// it from certificates. Nobody can tell which.
    #[error("{from} sends votes of round {round}, here it is round {here}")]
    FarAhead {
        /// The sender.
        from: PeerId,
        /// The round of the vote.
        round: u64,
        /// The round here.
        here: u64,
    },
}

impl Blame for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::NotMember { from } => Fault::Peer(*from),
            Self::Busy { .. } | Self::FarAhead { .. } => Fault::Environment,
            _ => Fault::Caller,
        }
    }
}
