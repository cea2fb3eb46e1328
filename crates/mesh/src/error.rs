use core::time::Duration;

use formic_core::{Blame, Digest, Fault, Life, PeerId, Time};

use crate::record::Defect;

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
    /// `members_max` outside its range. The caller's fault.
    #[error("members_max is {value}, expected 1 to 4096")]
    MembersMax {
        /// Its value.
        value: usize,
    },
    /// This peer's own record would be refused by others. The caller's fault.
    #[error("own record: {0}")]
    OwnRecord(Defect),
    /// A record that breaks a limit. The sender's fault.
    #[error("{from} sent the record of {owner}: {defect}")]
    BadRecord {
        /// Who sent it.
        from: Life,
        /// Whose record.
        owner: Life,
        /// What is wrong with it.
        defect: Defect,
    },
    /// A knock with somebody else's record. The sender's fault.
    #[error("{from} knocks with the record of {owner}")]
    ForeignRecord {
        /// Who knocked.
        from: Life,
        /// Whose record it brought.
        owner: Life,
    },
    /// An answer to a knock that was never sent. The sender's fault.
    #[error("{from} answered a knock that was never sent")]
    Unasked {
        /// Who answered.
        from: Life,
    },
    /// News of another mesh. The sender's fault.
    #[error("{from} speaks for mesh {theirs}, this is {ours}")]
    WrongMesh {
        /// Who sent it.
        from: Life,
        /// Its mesh.
        theirs: Digest,
        /// This mesh.
        ours: Digest,
    },
    /// News from somebody who is no member and does not say who it is. The sender's fault.
    #[error("{from} is no member and sent no record of itself")]
    Stranger {
        /// Who sent it.
        from: Life,
    },
    /// More records than this mesh may have members. The sender's fault.
    #[error("{from} sent {count} new members, room for {room}")]
    Full {
        /// Who sent them.
        from: Life,
        /// How many are new.
        count: usize,
        /// How many fit.
        room: usize,
    },
}

impl Error {
    fn culprit(&self) -> Option<PeerId> {
        match self {
            Self::BadRecord { from, .. }
            | Self::ForeignRecord { from, .. }
            | Self::Unasked { from }
            | Self::WrongMesh { from, .. }
            | Self::Stranger { from }
            | Self::Full { from, .. } => Some(from.peer),
            Self::ClockWentBack { .. }
            | Self::Config { .. }
            | Self::MembersMax { .. }
            | Self::OwnRecord(_) => None,
        }
    }
}

impl Blame for Error {
    fn fault(&self) -> Fault {
        self.culprit().map_or(Fault::Caller, Fault::Peer)
    }
}
