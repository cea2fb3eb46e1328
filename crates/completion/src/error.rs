use core::time::Duration;

use formic_core::{Blame, Fault, JobId, Key, Life, Time};

use crate::BadCertificate;

/// Why an input was refused. The state is unchanged in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field of [`Config`](crate::Config) is out of its range. The caller's fault.
    #[error("{field} is {value:?}, expected {min:?} to {max:?}")]
    Config {
        /// The field.
        field: &'static str,
        /// Its value.
        value: Duration,
        /// The least allowed.
        min: Duration,
        /// The most allowed.
        max: Duration,
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
    /// The job was submitted here already. The caller's fault.
    #[error("the job was submitted already")]
    SubmittedTwice,
    /// The job cannot be hosted: another job's id, a home group that does not start with this life,
    /// or one of neither 1, 2 nor an odd number of unique peers up to 7. The caller's fault.
    #[error("job {job} with {home} home lives cannot be hosted here")]
    BadSubmit {
        /// The job in the specification.
        job: JobId,
        /// The size of its home group.
        home: usize,
    },
    /// This life is not in the home group. The caller's fault.
    #[error("this life is not home of the job")]
    NotHome,
    /// The owner of a spawn runs no body here: unknown, finished, dropped or sealed. The caller's
    /// fault, or a race with the end of the body.
    #[error("task {owner} runs no body here")]
    NotRunning {
        /// The owner.
        owner: Key,
    },
    /// A message that claims to come from this very life. The caller's fault.
    #[error("a message came from this life itself")]
    FromMyself,
    /// A home record of another job, or one whose home group does not name this life, or another
    /// record for this job. The sender is faulty.
    #[error("{from} sent a home record that does not fit")]
    HomeMismatch {
        /// The sender.
        from: Life,
    },
    /// Only a home peer may send this. The sender is faulty.
    #[error("{from} is no home peer of this job")]
    NotFromHome {
        /// The sender.
        from: Life,
    },
    /// A result that differs from the decided one. The sender is faulty.
    #[error("{from} names another result than the decided one")]
    OtherResult {
        /// The sender.
        from: Life,
    },
    /// A certificate that cannot be true. The sender is faulty.
    #[error("{from} announced a bad certificate: {why}")]
    BadAnnounce {
        /// The sender.
        from: Life,
        /// What is wrong with it.
        why: BadCertificate,
    },
    /// A message of the register that no correct replica sends. The sender is faulty.
    #[error("{from} broke the register's rules: {why}")]
    Register {
        /// The sender.
        from: Life,
        /// Which one.
        why: formic_register::Error,
    },
}

impl Blame for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::HomeMismatch { from }
            | Self::NotFromHome { from }
            | Self::OtherResult { from }
            | Self::BadAnnounce { from, .. }
            | Self::Register { from, .. } => Fault::Peer(from.peer),
            Self::Config { .. }
            | Self::ClockWentBack { .. }
            | Self::RestoreNotFirst
            | Self::SubmittedTwice
            | Self::BadSubmit { .. }
            | Self::NotHome
            | Self::NotRunning { .. }
            | Self::FromMyself => Fault::Caller,
        }
    }
}
