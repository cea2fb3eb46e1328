use core::time::Duration;

use formic_core::{Blame, Epoch, Fault, Life, Time};

use crate::BadCut;

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
    /// A duration outside its range. The caller's fault.
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
    /// A number outside its range. The caller's fault.
    #[error("{field} is {value}, expected {low} to {high}")]
    Count {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: u32,
        /// The smallest allowed value.
        low: u32,
        /// The largest allowed value.
        high: u32,
    },
    /// `Restore` came after another input. The caller's fault.
    #[error("records are restored after other inputs")]
    RestoreNotFirst,
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
    /// An alert of somebody who does not watch the life it is about. The sender's fault.
    #[error("{from} misses {life} without being its observer")]
    NotObserver {
        /// Who sent it.
        from: Life,
        /// Whom it is about.
        life: Life,
    },
    /// A verdict that does not add up. The sender's fault.
    #[error("{from} condemns {life} with {counted} of the {needed} voices it takes")]
    BadVerdict {
        /// Who sent it.
        from: Life,
        /// Whom it is about.
        life: Life,
        /// Voices that count.
        counted: usize,
        /// Voices it takes.
        needed: usize,
    },
    /// A proposal that does not fit the view it is about. The sender's fault.
    #[error("{from} proposes a cut that does not fit: {why}")]
    BadCut {
        /// Who sent it.
        from: Life,
        /// What is wrong with it.
        why: BadCut,
    },
    /// Views that do not follow from each other. The sender's fault.
    #[error("{from} sent views that do not chain at epoch {epoch}")]
    Unchained {
        /// Who sent them.
        from: Life,
        /// Where the chain breaks.
        epoch: Epoch,
    },
    /// The register of the next view refused a message. Its own blame.
    #[error("view ballot: {0}")]
    Register(#[from] formic_register::Error),
    /// A welcome into a view that does not have this life. The sender's fault, told by mesh.
    #[error("the view of epoch {epoch} does not have this life")]
    NotInView {
        /// The view.
        epoch: Epoch,
    },
}

impl Blame for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::OldBeat { from, .. }
            | Self::NotObserver { from, .. }
            | Self::BadVerdict { from, .. }
            | Self::BadCut { from, .. }
            | Self::Unchained { from, .. } => Fault::Peer(from.peer),
            Self::Register(error) => error.fault(),
            Self::ClockWentBack { .. }
            | Self::Config { .. }
            | Self::Count { .. }
            | Self::RestoreNotFirst
            | Self::NotInView { .. } => Fault::Caller,
        }
    }
}
