use formic_core::{Digest, Incarnation, transport::Class};
use serde::{Deserialize, Serialize};

use crate::Record;

/// What peers say to each other about who is here.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// Let me in.
    Knock {
        /// The mesh I want or was in; `None`: yours, whichever it is.
        mesh: Option<Digest>,
        /// Who I am.
        record: Box<Record>,
    },
    /// You are a member.
    Welcome {
        /// Of this mesh.
        mesh: Digest,
        /// Who is here, the sender first; more may follow in `Announce`.
        records: Vec<Record>,
    },
    /// You are no member.
    Refused {
        /// Why.
        reason: Refusal,
    },
    /// I belong to no mesh either, and if nobody lets us in I join the one that you found.
    Pledge,
    /// Newest records I know: all of them when a link comes up, then what changes.
    Announce {
        /// The sender's mesh.
        mesh: Digest,
        /// In any order.
        records: Vec<Record>,
    },
    /// I go away in good order and do not come back in this life.
    Leave,
}

impl Message {
    /// How this message travels. One class, so that a record is never overtaken by an older one.
    pub const fn class(&self) -> Class {
        Class::Control
    }
}

/// Why a knock was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The other peer is in no mesh itself. Worth another try.
    #[error("it belongs to no mesh yet")]
    Outside,
    /// The mesh has as many members as it may have. Worth another try.
    #[error("the mesh is full")]
    Full,
    /// Another mesh than the one asked for. Final.
    #[error("it belongs to another mesh, {ours}")]
    WrongMesh {
        /// The mesh of the peer that refuses.
        ours: Digest,
    },
    /// A later life of the same peer is known. Final.
    #[error("a later life of this peer is known, incarnation {}", newest.0)]
    StaleLife {
        /// Its incarnation.
        newest: Incarnation,
    },
    /// The peer that refuses has the same identity. Final.
    #[error("both peers have the same identity")]
    Duplicate,
}

impl Refusal {
    /// Whether knocking again is pointless.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Outside | Self::Full => false,
            Self::WrongMesh { .. } | Self::StaleLife { .. } | Self::Duplicate => true,
        }
    }
}
