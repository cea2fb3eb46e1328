use core::time::Duration;

use formic_core::{Blame, Fault, Life, Time};

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
    #[error("{field} is {value:?}, expected {low:?} to {high:?}")]
    Config {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: Duration,
        /// The smallest allowed value.
        low: Duration,
        /// The largest allowed value.
        high: Duration,
    },
    /// A beat older than one that arrived, or the same one twice. The sender's fault.
    #[error("{from} sent beat {seq}, the newest is {newest}")]
    OldBeat {
        /// Who sent it.
        from: Life,
        /// Its number.
        seq: u64,
        /// The highest number seen.
        newest: u64,
    },
}

impl Blame for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::OldBeat { from, .. } => Fault::Peer(from.peer),
            Self::ClockWentBack { .. } | Self::Config { .. } => Fault::Caller,
        }
    }
}
