use formic_core::{Blame, Fault, Life, Time};

use crate::Ballot;

/// Why an input was refused. The state is unchanged in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The replicas are not 1 to 4,096 unique peers that include this one and the anchor. The caller's fault.
    #[error("expected 1 to 4,096 replicas of unique peers that include rank {rank}, found {count}")]
    Replicas {
        /// How many were given.
        count: usize,
        /// This replica's rank, or the anchor's if that is higher.
        rank: usize,
    },
    /// The clock ran backwards. A bug in the driver.
    #[error("clock went back from {last:?} to {now:?}")]
    ClockWentBack {
        /// The newest time seen.
        last: Time,
        /// The refused time.
        now: Time,
    },
    /// `Restore` came after another input. The caller's fault.
    #[error("records are restored after other inputs")]
    RestoreNotFirst,
    /// `Replaced` names a rank or a life of another peer. The caller's fault.
    #[error("rank {rank} is not held by the peer of {life}")]
    WrongRank {
        /// The rank.
        rank: usize,
        /// The life that should hold it.
        life: Life,
    },
    /// A message from a peer that is no replica. That peer is faulty.
    #[error("{from} is no replica")]
    NotReplica {
        /// The sender.
        from: Life,
    },
    /// A ballot that its sender may not use: another's rank, or round 0, or the reserved round.
    #[error("{from} may not use ballot {ballot:?}")]
    ForeignBallot {
        /// The sender.
        from: Life,
        /// The ballot.
        ballot: Ballot,
    },
    /// Two values under one ballot. The sender is faulty.
    #[error("{from} proposed two values under ballot {ballot:?}")]
    TwoValues {
        /// The sender.
        from: Life,
        /// The ballot.
        ballot: Ballot,
    },
    /// A second decision with another value. The sender is faulty.
    #[error("{from} says another value was decided")]
    OtherDecision {
        /// The sender.
        from: Life,
    },
}

impl Blame for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::NotReplica { from }
            | Self::ForeignBallot { from, .. }
            | Self::TwoValues { from, .. }
            | Self::OtherDecision { from } => Fault::Peer(from.peer),
            Self::Replicas { .. }
            | Self::ClockWentBack { .. }
            | Self::RestoreNotFirst
            | Self::WrongRank { .. } => Fault::Caller,
        }
    }
}
