use formic_core::{Life, transport::CloseReason};

use crate::Message;

/// What happened at this peer, as far as life and death are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// A life became a member: watch it. A higher incarnation ends the peer's older life.
    Watch {
        /// Who.
        life: Life,
    },
    /// A life is no member any more. Its death is not reported.
    Forget {
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
