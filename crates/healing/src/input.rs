use core::time::Duration;
use std::sync::Arc;

use formic_core::{Epoch, Life, Member, PeerId, View, transport::CloseReason};

use crate::{Message, Record};

/// What happened at this peer, as far as life, death and views are concerned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// What was durable when the process ended, in order. Only as the first input.
    Restore(Vec<Record>),
    /// Found a mesh: this peer is its first member. Ignored where a view was restored.
    Found,
    /// A member let this peer in and showed this committed view.
    Joined(Arc<View>),
    /// A life asks to become a member and may: propose it.
    Admit(Member),
    /// A life of this mesh asked in vain to be let in by this peer, which is no member: it may know older
    /// views than this one does.
    Kin {
        /// Who.
        life: Life,
    },
    /// A link to a life came up, member or not.
    LinkUp {
        /// Who.
        life: Life,
        /// Both ends share one OS process.
        fate: Fate,
    },
    /// The link to a life ended.
    LinkDown {
        /// Who.
        life: Life,
        /// Why.
        reason: CloseReason,
    },
    /// Any message of this life arrived.
    Heard {
        /// Who.
        life: Life,
    },
    /// A message for this protocol arrived; counts as heard.
    Message {
        /// The life at the other end of the link.
        from: Life,
        /// What it said.
        message: Message,
    },
    /// A life said that it goes away in good order.
    Left {
        /// Who.
        life: Life,
    },
    /// Whether this peer holds anything that others wait for. Without, it beats quietly.
    Busy(Busy),
    /// This process is about to stand still for so long.
    Pause(Duration),
    /// It runs again.
    Resume,
    /// An operator decides to go on without a majority.
    ForceView {
        /// Who is left, this peer included.
        members: Vec<PeerId>,
        /// The last committed view that the operator saw.
        epoch: Epoch,
        /// Why, for people.
        reason: String,
    },
    /// The time asked for by `deadline()` has come.
    Deadline,
}

/// Whether both ends of a link die together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// One OS process: the link reports the other end's death at once, silence means nothing.
    Shared,
    /// Two processes or hosts: only silence tells.
    Own,
}

/// Whether a peer holds tasks, home duty or leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Busy {
    /// It does.
    Yes,
    /// It does not.
    No,
}
