use formic_core::{Digest, Life, PeerId, transport::Address};

use crate::{Message, Refusal};

/// What is to be done outside, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Send over the link to this life.
    Send {
        /// To whom.
        to: Life,
        /// What.
        message: Message,
    },
    /// Open a link.
    Dial {
        /// Whom; `None`: whoever answers at the seed address.
        peer: Option<PeerId>,
        /// Where, any one will do.
        addresses: Vec<Address>,
    },
    /// Close the link to this life.
    Hangup {
        /// Whose.
        life: Life,
    },
    /// Something the other protocols or the user want to know.
    Event(Event),
}

/// What happened to the membership.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// This peer is a member of a mesh.
    Joined {
        /// Which.
        mesh: Digest,
        /// How many members are known, this one included.
        members: usize,
    },
    /// Somebody would not let this peer in, and will not.
    Refused {
        /// Who.
        by: Life,
        /// Why.
        reason: Refusal,
    },
    /// A life became a member. It replaces older lives of the same peer.
    Added {
        /// Who.
        life: Life,
    },
    /// The record of a member changed: what it can do, or whether it takes work.
    Changed {
        /// Whose.
        life: Life,
    },
    /// A member said that it goes away.
    Left {
        /// Who.
        life: Life,
    },
    /// A member that was down for long is no member any more.
    Forgotten {
        /// Who.
        life: Life,
    },
}
