use formic_core::Life;

use crate::Message;

/// What is to be done outside, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Send over the link to this life; may be lost.
    Send {
        /// To whom.
        to: Life,
        /// What.
        message: Message,
    },
    /// Something the other protocols want to know.
    Event(Event),
}

/// A verdict. Of one life they alternate, `Up` first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The life was heard.
    Up {
        /// Who.
        life: Life,
    },
    /// The life is believed dead. An opinion: it may be heard again.
    Down {
        /// Who.
        life: Life,
        /// Why.
        cause: Cause,
    },
}

/// Why a life is believed dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Not heard for the timeout.
    Silent,
    /// Its process, which is also this one, reported its end.
    Gone,
    /// It said so.
    Left,
    /// A newer life of the same peer was seen.
    Restarted,
}

impl Cause {
    /// One word for events and reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Gone => "gone",
            Self::Left => "left",
            Self::Restarted => "restarted",
        }
    }
}
