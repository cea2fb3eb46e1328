use formic_core::{Blame, Fault, Key, Life, PeerId, Time};

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
    /// A size outside its range. The caller's fault.
    #[error("size is {parts}/65536 of the mean, expected 4096 to 1048576")]
    Size {
        /// In 65,536ths of the mean.
        parts: u32,
    },
    /// Lives that are not sorted and unique by peer. The caller's fault.
    #[error("eligible lives are not sorted and unique by peer")]
    Unsorted,
    /// Promises for a task that was never chosen for, or whose choice is forgotten: 1,024 are kept.
    /// The caller's fault.
    #[error("no open choice for task {key}")]
    UnknownTask {
        /// The task.
        key: Key,
    },
    /// An attempt that was sent and is not over. The caller's fault.
    #[error("attempt {attempt} of task {key} was sent and is not over")]
    SentTwice {
        /// The task.
        key: Key,
        /// Which attempt.
        attempt: u16,
    },
    /// A result, verdict or slot change of an attempt that this peer did not send to that life, that is over,
    /// or that was told before: no deposit. The fault of whoever sent it.
    #[error("{from} reports on attempt {attempt} of task {key}, which it does not hold")]
    Unsolicited {
        /// Who reported.
        from: Life,
        /// The task.
        key: Key,
        /// Which attempt.
        attempt: u16,
    },
    /// A promise that no correct peer gives: no service, or more than 30 days. The sender's fault.
    #[error(
        "{from} promises {service_us} us of service after {wait_us} us, expected 1 us to 30 days"
    )]
    BadPromise {
        /// Who promised.
        from: Life,
        /// Its wait, in microseconds.
        wait_us: u64,
        /// Its service, in microseconds.
        service_us: u64,
    },
    /// Trails of somebody who is no member, or is one in another life. The sender's fault.
    #[error("{from} shares trails and is no member")]
    NotMember {
        /// Who sent them.
        from: Life,
    },
    /// A record about somebody who is no member (G3). The sender's fault.
    #[error("{from} shares a trail of {subject}, which is no member")]
    UnknownSubject {
        /// Who sent it.
        from: PeerId,
        /// Whom it is about.
        subject: PeerId,
    },
    /// A peer shared a trail of its own work (G3). The sender's fault.
    #[error("{from} praises itself")]
    SelfPraise {
        /// Who sent it.
        from: PeerId,
    },
    /// A record with a value that no correct peer sends (G3). The sender's fault.
    #[error("{from} shares {field} {value}, expected {low} to {high}")]
    OutOfRange {
        /// Who sent it.
        from: PeerId,
        /// Which value.
        field: &'static str,
        /// The value.
        value: u64,
        /// The smallest allowed value.
        low: u64,
        /// The largest allowed value.
        high: u64,
    },
}

impl Blame for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::Unsolicited { from, .. }
            | Self::BadPromise { from, .. }
            | Self::NotMember { from } => Fault::Peer(from.peer),
            Self::UnknownSubject { from, .. }
            | Self::SelfPraise { from }
            | Self::OutOfRange { from, .. } => Fault::Peer(*from),
            Self::ClockWentBack { .. }
            | Self::Config { .. }
            | Self::Size { .. }
            | Self::Unsorted
            | Self::UnknownTask { .. }
            | Self::SentTwice { .. } => Fault::Caller,
        }
    }
}
