use formic_core::{Blame, Fault, JobId, Life};

use crate::{PlanError, StoreError};

/// Why a peer could not do what its user asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system gives no randomness. The environment's fault; nothing was made.
    #[error("the system gives no randomness: {0}")]
    Entropy(#[source] getrandom::Error),
    /// The transport was opened for another life than the peer's. The caller's fault; nothing was started.
    #[error("the transport is open for life {transport}, the peer is {peer}")]
    WrongLife {
        /// The transport's.
        transport: Life,
        /// The peer's.
        peer: Life,
    },
    /// The store belongs to another identity than the peer's. The caller's fault; nothing was started.
    #[error("the store belongs to life {store}, the peer is {peer}")]
    WrongStore {
        /// The store's.
        store: Life,
        /// The peer's.
        peer: Life,
    },
    /// The peer's settings are refused. The caller's fault; nothing was started.
    #[error("bad settings: {reason}")]
    Config {
        /// Which setting and its range.
        reason: String,
    },
    /// The state could not be read or written. The environment's fault; the peer did not start.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The plan is no plan. The caller's fault; nothing was submitted.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// No majority would host the job, or the peer takes no work. The environment's fault; nothing runs.
    #[error("the job was refused: {reason}")]
    JobRefused {
        /// Why, for people.
        reason: String,
    },
    /// The mesh declared this peer dead, and it went on as its next life, before a submission was acknowledged: the
    /// job may or may not run. The environment's fault.
    #[error(
        "the peer began a new life before it could answer: the job may or may not have been accepted"
    )]
    Reborn,
    /// The mesh does not let the peer in. The environment's fault; the peer goes on trying.
    #[error("the mesh refuses this peer: {reason}")]
    JoinRefused {
        /// Why, for people.
        reason: String,
    },
    /// The peer ended before it could answer. For a job: it may well go on elsewhere.
    #[error("the peer has stopped")]
    Stopped,
    /// Nothing is known here about the job. The caller's fault.
    #[error("job {job} is not known here")]
    UnknownJob {
        /// Which.
        job: JobId,
    },
    /// A mesh without peers can do nothing. The caller's fault.
    #[error("the mesh has no peer")]
    NoPeer,
}

impl Blame for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::WrongLife { .. }
            | Self::WrongStore { .. }
            | Self::Config { .. }
            | Self::Plan(_)
            | Self::UnknownJob { .. }
            | Self::NoPeer => Fault::Caller,
            Self::Entropy(_)
            | Self::JobRefused { .. }
            | Self::Reborn
            | Self::JoinRefused { .. }
            | Self::Stopped => Fault::Environment,
            Self::Store(error) => error.fault(),
        }
    }
}
