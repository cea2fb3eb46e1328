use core::time::Duration;

use formic_core::{Blame, Fault, JobId, Key, PeerId, Time};

/// Why an input was refused. State unchanged in every case. What other peers do wrong is no error but
/// [`Event::Misbehaved`](crate::Event::Misbehaved).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The clock ran backwards. The caller's fault.
    #[error("clock went back from {last:?} to {now:?}")]
    ClockWentBack {
        /// The newest moment seen.
        last: Time,
        /// The moment given.
        now: Time,
    },
    /// The secret belongs to another peer. The caller's fault.
    #[error("the secret key belongs to peer {of}, not to {peer}")]
    WrongSecret {
        /// Whose it is.
        of: PeerId,
        /// Who this peer claims to be.
        peer: PeerId,
    },
    /// `leave_grace` over its limit. The caller's fault.
    #[error("leave_grace is {value:?}, expected at most 1 h")]
    LeaveGrace {
        /// Its value.
        value: Duration,
    },
    /// `voters_lost` over its limit. The caller's fault.
    #[error("voters_lost is {value:?}, expected at most 1 h")]
    VotersLost {
        /// Its value.
        value: Duration,
    },
    /// `Restore` came after another input. The caller's fault.
    #[error("records are restored after other inputs")]
    RestoreNotFirst,
    /// No such job here, or it is over. The caller's fault, or a race with its end.
    #[error("job {job} is not open here")]
    UnknownJob {
        /// The job.
        job: JobId,
    },
    /// mesh refused it.
    #[error("mesh: {0}")]
    Mesh(#[from] formic_mesh::Error),
    /// healing refused it.
    #[error("healing: {0}")]
    Healing(#[from] formic_healing::Error),
    /// work refused it.
    #[error("work: {0}")]
    Work(#[from] formic_work::Error),
    /// pheromones refused it.
    #[error("pheromones: {0}")]
    Trails(#[from] formic_pheromones::Error),
    /// The claims of exclusive tasks refused it.
    #[error("claims: {0}")]
    Claims(#[from] formic_register::Error),
    /// The voters' machine refused it.
    #[error("consensus: {0}")]
    Consensus(#[from] formic_consensus::Error),
    /// A body of an exclusive task spawns: its result could be adopted by a peer that knows no children.
    /// The caller's fault.
    #[error("task {key} of job {job} is exclusive and must not spawn tasks")]
    ExclusiveSpawn {
        /// The job.
        job: JobId,
        /// The task.
        key: Key,
    },
    /// completion refused it.
    #[error("completion: {0}")]
    Completion(#[from] formic_completion::Error),
}

impl Blame for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::Mesh(error) => error.fault(),
            Self::Healing(error) => error.fault(),
            Self::Work(error) => error.fault(),
            Self::Trails(error) => error.fault(),
            Self::Completion(error) => error.fault(),
            Self::Claims(error) => error.fault(),
            Self::Consensus(error) => error.fault(),
            Self::ClockWentBack { .. }
            | Self::WrongSecret { .. }
            | Self::LeaveGrace { .. }
            | Self::VotersLost { .. }
            | Self::RestoreNotFirst
            | Self::ExclusiveSpawn { .. }
            | Self::UnknownJob { .. } => Fault::Caller,
        }
    }
}
