use core::time::Duration;
use std::sync::Arc;

use formic_core::{Capability, Life, PeerId, View, transport::Address};

use crate::{Draft, Load, Message, Requirement, Slot};

/// What happened at this peer, as far as membership is concerned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// A link to a life came up. It may be a member, a newcomer or a client.
    LinkUp {
        /// Who.
        life: Life,
    },
    /// The link to a life ended.
    LinkDown {
        /// Who.
        life: Life,
    },
    /// A dial to a known peer failed.
    DialFailed {
        /// Whom it was for.
        peer: PeerId,
    },
    /// Outside sources know of these addresses. Hints: a peer is who its key says.
    Found {
        /// In any order, as many as there are.
        addresses: Vec<Address>,
    },
    /// What `Effect::Persist` last made durable, before a restart.
    Addresses {
        /// By peer.
        addresses: Vec<(PeerId, Vec<Address>)>,
    },
    /// A message arrived.
    Message {
        /// The life at the other end of the link.
        from: Life,
        /// What it said.
        message: Message,
    },
    /// healing committed a view, took one over, or restored one. Older ones are ignored.
    View {
        /// It.
        view: Arc<View>,
    },
    /// A member is alive (healing says so).
    Up {
        /// Who.
        life: Life,
    },
    /// A member has been silent for a while: it is given no work.
    Suspect {
        /// Who.
        life: Life,
    },
    /// A suspected member was heard.
    Cleared {
        /// Who.
        life: Life,
    },
    /// A member is believed dead (healing says so).
    Down {
        /// Who.
        life: Life,
    },
    /// A member announced a pause: it is given no work.
    Paused {
        /// Who.
        life: Life,
    },
    /// The pause of a member is over.
    Resumed {
        /// Who.
        life: Life,
    },
    /// Whether a majority of the view is in touch. Held until told otherwise.
    Quorum {
        /// It is.
        held: bool,
    },
    /// How many more members may crash at once before the majority is lost.
    Margin {
        /// So many.
        margin: u32,
    },
    /// How the link to a member does.
    Sample {
        /// Whose.
        life: Life,
        /// A round trip, if one was measured.
        rtt: Option<Duration>,
        /// How long since the last sample a class had no room.
        full: Duration,
    },
    /// How late this peer's own loop was.
    Late {
        /// So late.
        by: Duration,
    },
    /// What this peer can do changed.
    SetCapabilities {
        /// All of it: sorted, unique.
        capabilities: Vec<Capability>,
    },
    /// How busy this peer is. Published by the rules of the mesh's size.
    SetLoad {
        /// So busy.
        load: Load,
    },
    /// What an application publishes.
    SetRecord {
        /// In which slot.
        slot: Slot,
        /// At most [`APPLICATION_MAX`](crate::APPLICATION_MAX) bytes.
        value: Vec<u8>,
    },
    /// Send to many.
    Cast {
        /// To whom.
        to: Audience,
        /// What.
        draft: Draft,
    },
    /// This peer was evicted and goes on as a later life, which knocks again.
    Reborn {
        /// The same peer with a higher incarnation, which is durable.
        life: Life,
    },
    /// This peer takes no work any more: everybody shall know.
    Drain,
    /// This peer goes away now.
    Leave,
    /// The time asked for by `deadline()` has come.
    Deadline,
}

/// Whom a cast is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Audience {
    /// All members.
    All,
    /// These members, at most [`NAMED_MAX`](crate::NAMED_MAX).
    Named(Vec<Life>),
    /// The [`NAMED_MAX`](crate::NAMED_MAX) fittest members that answer to this when it is cast.
    Capable(Requirement),
}
