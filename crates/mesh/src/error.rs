use core::time::Duration;

use formic_core::{Blame, Digest, Fault, Life, PeerId, Time};

use crate::{Excess, record::Defect};

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
    /// A count outside its range. The caller's fault.
    #[error("{field} is {value}, expected {low} to {high}")]
    Count {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: usize,
        /// The smallest allowed value.
        low: usize,
        /// The largest allowed value.
        high: usize,
    },
    /// A peer creates a mesh or goes back into one. The caller's fault.
    #[error("a peer founds a mesh or rejoins one, not both")]
    FoundAndRejoin,
    /// A view for a peer that belongs to no mesh. The caller's fault.
    #[error("a view, but no mesh was joined or founded")]
    NoMesh,
    /// Another peer, or no later life. The caller's fault.
    #[error("{life} is no later life of {me}")]
    NotReborn {
        /// The life given.
        life: Life,
        /// The life that is.
        me: Life,
    },
    /// A requirement that breaks a limit. The caller's fault.
    #[error("{0}")]
    Requirement(Excess),
    /// No member answers to what a cast asks for.
    #[error("nobody answers to what the cast asks for")]
    NoAudience,
    /// A cast that is too large. The caller's fault.
    #[error("a cast of {bytes} bytes, at most 65536 are allowed")]
    CastSize {
        /// Its payload.
        bytes: usize,
    },
    /// Too many streams. The caller's fault.
    #[error("stream {stream} is one too many, at most 64 are allowed")]
    CastStreams {
        /// The one that was refused.
        stream: u32,
    },
    /// Too many names. The caller's fault.
    #[error("a cast to {count} peers by name, at most 64 are allowed")]
    CastNames {
        /// How many.
        count: usize,
    },
    /// A cast to a life that is no member. The caller's fault.
    #[error("a cast to {life}, which is no member")]
    CastStranger {
        /// Who.
        life: Life,
    },
    /// A cast by a peer that is no member. The caller's fault.
    #[error("only members cast")]
    CastOutside,
    /// Readers are too far behind: wait for `Event::CastWritable`. Nobody's fault.
    #[error("stream {stream} is {behind} casts ahead of its slowest reader")]
    CastFull {
        /// Which.
        stream: u32,
        /// How many casts.
        behind: u64,
    },
    /// A cast, or word about casts, that no correct peer sends. The sender's fault.
    #[error("{from} broke the rules of casts: {rule}")]
    CastRules {
        /// Who.
        from: Life,
        /// What is expected.
        rule: &'static str,
    },
    /// An answer in a comparison of records that is too large or makes no sense. The sender's fault.
    #[error("{from} broke the rules of synchronisation: {rule}")]
    SyncRules {
        /// Who.
        from: Life,
        /// What is expected.
        rule: &'static str,
    },
    /// A welcome by a view that does not contain the newcomer. The sender's fault.
    #[error("{from} welcomes with a view that this peer is not in")]
    NotInView {
        /// Who.
        from: Life,
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
}

impl Error {
    fn culprit(&self) -> Option<PeerId> {
        match self {
            Self::BadRecord { from, .. }
            | Self::ForeignRecord { from, .. }
            | Self::WrongMesh { from, .. }
            | Self::CastRules { from, .. }
            | Self::SyncRules { from, .. }
            | Self::NotInView { from } => Some(from.peer),
            Self::ClockWentBack { .. }
            | Self::Config { .. }
            | Self::Count { .. }
            | Self::FoundAndRejoin
            | Self::NoMesh
            | Self::NotReborn { .. }
            | Self::Requirement(_)
            | Self::NoAudience
            | Self::CastSize { .. }
            | Self::CastStreams { .. }
            | Self::CastNames { .. }
            | Self::CastStranger { .. }
            | Self::CastOutside
            | Self::CastFull { .. }
            | Self::OwnRecord(_) => None,
        }
    }
}

impl Blame for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::CastFull { .. } | Self::NoAudience => Fault::Environment,
            _ => self.culprit().map_or(Fault::Caller, Fault::Peer),
        }
    }
}
