use core::time::Duration;

use formic_core::{Key, Life, PeerId, transport::Class};

use crate::{Kind, Message};

/// What is to be done outside, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Send to this life.
    Send {
        /// To whom.
        to: Life,
        /// How.
        class: Class,
        /// What.
        message: Message,
    },
    /// For others in this process.
    Event(Event),
}

/// What this peer learned or decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Probe these (P5, P6).
    Candidates {
        /// The task.
        key: Key,
        /// Whom to ask, drawn first to last.
        lives: Vec<Life>,
        /// The mean service of the kind for this size: goes into the probe (P16).
        mean: Duration,
    },
    /// Send the task there (P8), or nobody is left.
    Chosen {
        /// The task.
        key: Key,
        /// Where.
        place: Option<Placed>,
    },
    /// The tasks of a batch go there, in this order; for the rest see `waits`.
    Spread {
        /// The task that was chosen for.
        key: Key,
        /// At most as many as asked for.
        places: Vec<Placed>,
        /// How long one more task would wait at each who offered, these awards included.
        waits: Vec<(Life, Duration)>,
    },
    /// An attempt takes far longer than promised (P11). Once per attempt.
    Overdue {
        /// The task.
        key: Key,
        /// Which attempt.
        attempt: u16,
        /// Who has it.
        life: Life,
        /// How this peer keeps its promises.
        word: Word,
    },
    /// A peer's results of this kind are bad (P13): it is chosen only if all candidates are quarantined.
    Quarantined {
        /// Which kind.
        kind: Kind,
        /// Who.
        peer: PeerId,
    },
    /// It may try again: bad results faded, or good ones came. Noticed when it is next looked at.
    Released {
        /// Which kind.
        kind: Kind,
        /// Who.
        peer: PeerId,
    },
    /// A source shared far more than it may: it is not listened to for a minute (G2).
    Muted {
        /// Who.
        peer: PeerId,
    },
}

/// Where a task goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Placed {
    /// To whom.
    pub life: Life,
    /// Wait and service together, own awards that the promise cannot have seen included.
    pub promised: Duration,
    /// The service alone.
    pub service: Duration,
}

/// How a peer keeps its promises (P3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Word {
    /// As well as others.
    Kept,
    /// It takes at least [`broken_promise_tenths`](crate::Config::broken_promise_tenths) of what it promises.
    Broken,
}

/// Whether a peer is in quarantine for a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Good,
    Bad,
}

impl From<bool> for Standing {
    fn from(is_bad: bool) -> Self {
        if is_bad { Self::Bad } else { Self::Good }
    }
}
