use formic_core::{Capability, Life, PeerId};

use crate::Message;

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
    /// A message arrived.
    Message {
        /// The life at the other end of the link.
        from: Life,
        /// What it said.
        message: Message,
    },
    /// A member is alive (healing says so).
    Up {
        /// Who.
        life: Life,
    },
    /// A member is believed dead (healing says so).
    Down {
        /// Who.
        life: Life,
    },
    /// What this peer can do changed.
    SetCapabilities {
        /// All of it: sorted, unique.
        capabilities: Vec<Capability>,
    },
    /// This peer takes no work any more: everybody shall know.
    Drain,
    /// This peer goes away now.
    Leave,
    /// The time asked for by `deadline()` has come.
    Deadline,
}
