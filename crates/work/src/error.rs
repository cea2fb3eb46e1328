use formic_core::{Blame, Fault, JobId, Key, Life, Time};

/// Why an input was refused. State unchanged in every case.
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
    /// A value outside its range. The caller's fault.
    #[error("{field} is {value}, expected {low} to {high}")]
    Config {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// The smallest allowed value.
        low: u64,
        /// The largest allowed value.
        high: u64,
    },
    /// A body that does not run here. The caller's fault.
    #[error("no body of task {key} of job {job} runs here")]
    NoBody {
        /// The job.
        job: JobId,
        /// The task.
        key: Key,
    },
    /// A body that waits already, or wants to go on without having waited. The caller's fault.
    #[error("body of task {key} of job {job}: {what}")]
    OutOfTurn {
        /// The job.
        job: JobId,
        /// The task.
        key: Key,
        /// What is wrong.
        what: &'static str,
    },
    /// An answer to a probe of which this life was not asked, or a second one. The sender's fault.
    #[error("{from} answered probe {id}, which it was not asked or has answered")]
    Unasked {
        /// Who answered.
        from: Life,
        /// Which probe.
        id: u64,
    },
    /// More than a message may hold. The sender's fault.
    #[error("{from} sent {count} {what}, at most {limit} are allowed")]
    TooMany {
        /// Who sent them.
        from: Life,
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// A value that no correct peer sends. The sender's fault.
    #[error("{from} sent {field} {value}, expected {low} to {high}")]
    OutOfRange {
        /// Who sent it.
        from: Life,
        /// Which value.
        field: &'static str,
        /// The value.
        value: u64,
        /// The smallest allowed value.
        low: u64,
        /// The largest allowed value.
        high: u64,
    },
    /// Room for tasks at a peer without slots. The sender's fault.
    #[error("{from} promises room for {room} tasks and has no slots")]
    RoomWithoutSlots {
        /// Who promised.
        from: Life,
        /// How much.
        room: u32,
    },
}

impl Blame for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::Unasked { from, .. }
            | Self::TooMany { from, .. }
            | Self::OutOfRange { from, .. }
            | Self::RoomWithoutSlots { from, .. } => Fault::Peer(from.peer),
            Self::ClockWentBack { .. }
            | Self::Config { .. }
            | Self::NoBody { .. }
            | Self::OutOfTurn { .. } => Fault::Caller,
        }
    }
}
