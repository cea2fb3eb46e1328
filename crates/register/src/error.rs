use core::time::Duration;

use formic_core::{Blame, Epoch, Fault, Life, Time};

use crate::{Ballot, claims::Task};

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
    /// A view that does not follow the current one. The caller's fault.
    #[error("view {next} does not follow view {current}")]
    ViewOrder {
        /// The newest one.
        current: Epoch,
        /// The refused one.
        next: Epoch,
    },
    /// A claim while no majority of the view is in touch. Nobody's fault.
    #[error("{task:?} cannot be claimed without a majority of the view")]
    NoQuorum {
        /// The task.
        task: Task,
    },
    /// A message from a peer of no view that is kept here. It may be ahead: nobody's fault.
    #[error("{from} is a member of no known view")]
    Stranger {
        /// The sender.
        from: Life,
    },
    /// A claim by a life that is no member of the current view. The caller's fault.
    #[error("{life} is no member and claims nothing")]
    NoMember {
        /// This life.
        life: Life,
    },
    /// A lease out of range. The caller's fault.
    #[error("expected a lease of 0.5 s to 10 min, found {length:?}")]
    Lease {
        /// The refused length.
        length: Duration,
    },
    /// A claim that is open already. The caller's fault.
    #[error("{task:?} is claimed already")]
    Claimed {
        /// The task.
        task: Task,
    },
    /// Too many open claims. The caller's fault.
    #[error("at most {limit} claims may be open")]
    TooManyClaims {
        /// How many may be.
        limit: usize,
    },
    /// A commit or release of a task that this life does not hold. The caller's fault.
    #[error("{task:?} is not held")]
    NotHeld {
        /// The task.
        task: Task,
    },
    /// A result that is too large to be replicated. The caller's fault.
    #[error("result has {size} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The largest size in bytes.
        limit: usize,
    },
    /// A message with a larger result than may be committed. The sender is faulty.
    #[error("{from} sent a result of more than 1,024 bytes")]
    LargeValue {
        /// The sender.
        from: Life,
    },
    /// A question or an answer that its sender may not send: another's stamp, a fence of a later
    /// view, a lease out of range. The sender is faulty.
    #[error("{from} asks or answers for what is not its own")]
    BadAsk {
        /// The sender.
        from: Life,
    },
    /// Two results under one stamp. The sender is faulty.
    #[error("{from} committed two results of {task:?} under one fence")]
    OtherResult {
        /// The sender.
        from: Life,
        /// The task.
        task: Task,
    },
}

impl Blame for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::NotReplica { from }
            | Self::ForeignBallot { from, .. }
            | Self::TwoValues { from, .. }
            | Self::OtherDecision { from }
            | Self::LargeValue { from }
            | Self::BadAsk { from }
            | Self::OtherResult { from, .. } => Fault::Peer(from.peer),
            Self::NoQuorum { .. } | Self::Stranger { .. } => Fault::Environment,
            Self::Replicas { .. }
            | Self::ClockWentBack { .. }
            | Self::RestoreNotFirst
            | Self::WrongRank { .. }
            | Self::ViewOrder { .. }
            | Self::NoMember { .. }
            | Self::Lease { .. }
            | Self::Claimed { .. }
            | Self::TooManyClaims { .. }
            | Self::NotHeld { .. }
            | Self::TooLarge { .. } => Fault::Caller,
        }
    }
}
