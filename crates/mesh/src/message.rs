use std::sync::Arc;

use formic_core::{
    Digest, FateId, Incarnation, PeerId, View,
    transport::{Address, Class},
};
use serde::{Deserialize, Serialize};

use crate::{CastMessage, Key, Path, Record, SlotRecord};

/// How many peers are asked for.
pub(crate) const WHO_MAX: u8 = 32;
/// The most peers in an answer to [`Message::Who`].
pub const PEERS_MAX: usize = 32;
/// The most nodes in one [`Message::Nodes`], and leaves in one [`Message::Keys`].
pub(crate) const NODES_MAX: usize = 64;

/// What peers say to each other about who is here.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// Let me in.
    Knock {
        /// The mesh I want or was in; `None`: yours, whichever it is.
        mesh: Option<Digest>,
        /// With whom I die.
        fate: FateId,
        /// Who I am.
        record: Box<Record>,
    },
    /// You are a member.
    Welcome {
        /// Of this mesh.
        mesh: Digest,
        /// By this view.
        view: Arc<View>,
        /// Who is here, the sender first; more may follow in `Delta`.
        records: Vec<Record>,
    },
    /// You are no member.
    Refused {
        /// Why.
        reason: Refusal,
    },
    /// Whom do you know?
    Who {
        /// At most so many, up to 32.
        max: u8,
    },
    /// These; identity is proved by the link, not by this list.
    Peers {
        /// With their addresses.
        peers: Vec<(PeerId, Vec<Address>)>,
    },
    /// Newest values I know: what I publish, or what you asked for.
    Delta {
        /// The sender's mesh.
        mesh: Digest,
        /// Main records.
        records: Vec<Record>,
        /// Other slots.
        slots: Vec<SlotRecord>,
    },
    /// The hash over all values I know.
    Root {
        /// It.
        root: u64,
    },
    /// Mine is the same.
    Same,
    /// Mine differs below these nodes, whose children have these hashes.
    Nodes {
        /// At most 64.
        nodes: Vec<(Path, [u64; 16])>,
    },
    /// All that I have below these nodes.
    Keys {
        /// At most 64 nodes.
        leaves: Vec<(Path, Vec<Key>)>,
    },
    /// Send me your newest of these.
    Pull {
        /// Taken from your `Keys`.
        keys: Vec<Key>,
    },
    /// About casts.
    Cast(CastMessage),
    /// I go away in good order and do not come back in this life.
    Leave,
}

impl Message {
    /// How this message travels. Versions tell what is newer, so records may overtake each other.
    pub const fn class(&self) -> Class {
        match self {
            Self::Welcome { .. }
            | Self::Delta { .. }
            | Self::Pull { .. }
            | Self::Keys { .. }
            | Self::Cast(CastMessage::Cast { .. }) => Class::Data,
            Self::Knock { .. }
            | Self::Refused { .. }
            | Self::Who { .. }
            | Self::Peers { .. }
            | Self::Root { .. }
            | Self::Same
            | Self::Nodes { .. }
            | Self::Cast(_)
            | Self::Leave => Class::Control,
        }
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
    /// The mesh cannot agree on anything at the moment. Worth another try.
    #[error("no majority of the mesh is in touch")]
    NoQuorum,
    /// Too many knocks. Worth another try.
    #[error("too many knocks, try again in {retry_ms} ms")]
    Busy {
        /// After this many milliseconds.
        retry_ms: u32,
    },
    /// Another mesh than the one asked for. Final.
    #[error("it belongs to another mesh, {ours}")]
    WrongMesh {
        /// The mesh of the peer that refuses.
        ours: Digest,
    },
    /// A later life of the same peer is known, or this one was evicted. Final for this life.
    #[error("this life is over: incarnation {} of this peer is known", newest.0)]
    StaleLife {
        /// The incarnation that the next one must exceed.
        newest: Incarnation,
    },
    /// Another process has the same identity. Final.
    #[error("another process has the same identity")]
    Duplicate,
}

impl Refusal {
    /// Whether knocking again is pointless.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Outside | Self::Full | Self::NoQuorum | Self::Busy { .. } => false,
            Self::WrongMesh { .. } | Self::StaleLife { .. } | Self::Duplicate => true,
        }
    }
}
