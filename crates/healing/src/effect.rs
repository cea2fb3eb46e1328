use core::time::Duration;
use std::sync::Arc;

use formic_core::{Epoch, Incarnation, Life, Time, View};
use serde::{Deserialize, Serialize};

use crate::{Cut, Message};

/// What is to be done outside, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Make durable before any `Send` or `Event` that follows.
    Persist(Record),
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

/// What must survive the process: votes belong to the peer, and it must know in which view.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Record {
    /// A view was committed. Replaces all earlier records.
    View(Arc<View>),
    /// A promise or a vote about the view after `epoch`.
    Ballot {
        /// The last committed view.
        epoch: Epoch,
        /// The register's record.
        record: formic_register::Record<Arc<Cut>>,
    },
}

/// A verdict, or a decision.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A member was heard. Of one life `Up` and `Down` alternate, `Up` first.
    Up {
        /// Who.
        life: Life,
    },
    /// A member is believed dead. An opinion: it may be heard again.
    Down {
        /// Who.
        life: Life,
        /// Why.
        cause: Cause,
        /// Whether this peer belongs to a majority: if not, its own outage is the likelier reason.
        standing: Standing,
    },
    /// This peer misses a member. Give it no new work.
    Suspect {
        /// Who.
        life: Life,
    },
    /// It was heard again.
    Cleared {
        /// Who.
        life: Life,
    },
    /// A member stands still by announcement: no verdict before that moment, no new work.
    Paused {
        /// Who.
        life: Life,
        /// When its silence counts again.
        until: Time,
    },
    /// It runs again.
    Resumed {
        /// Who.
        life: Life,
    },
    /// A view was committed, or learnt.
    View {
        /// The view.
        view: Arc<View>,
    },
    /// A committed view does not have this life: it must end, and may return as a later one.
    EvictedSelf {
        /// The view that lacks it.
        epoch: Epoch,
        /// The life to return as.
        next: Incarnation,
    },
    /// Whether this peer belongs to a majority of the last committed view.
    Quorum(Standing),
    /// So many were condemned within half a second: one, or many for one reason.
    Loss {
        /// Who, in the order of the verdicts.
        lives: Vec<Life>,
    },
    /// The own pause was agreed to by enough observers.
    PauseGranted {
        /// They wait this long from now.
        span: Duration,
    },
    /// The own pause was not agreed to: hand over and leave instead.
    PauseRefused {
        /// Why.
        reason: PauseRefusal,
    },
    /// The forced view was not made.
    ForceRefused {
        /// Why.
        reason: ForceRefusal,
    },
    /// Two committed views of one epoch, or a forced one beside the known chain.
    Fork {
        /// What this peer knew.
        ours: Arc<View>,
        /// What it met.
        theirs: Arc<View>,
    },
}

/// Whether a peer is among the majority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// In touch with a majority of the last committed view.
    Held,
    /// Not, or not yet: nothing may be decided here.
    Lost,
}

/// Why a life is believed dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// Its observers miss it.
    Silent,
    /// Its process, which is also the reporter's, reported its end.
    Gone,
    /// It said so.
    Left,
    /// A newer life of the same peer was seen.
    Restarted,
    /// A committed view does not have it any more.
    Evicted,
}

impl Cause {
    /// One word for events and reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Gone => "gone",
            Self::Left => "left",
            Self::Restarted => "restarted",
            Self::Evicted => "evicted",
        }
    }

    /// Nothing can take it back.
    pub(crate) const fn is_final(self) -> bool {
        !matches!(self, Self::Silent)
    }
}

/// Why a pause was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum PauseRefusal {
    /// Longer than allowed, alone or together with those of the last ten minutes.
    #[error("too long: at most {} s at once and twice that in ten minutes", max.as_secs())]
    TooLong {
        /// The longest single pause.
        max: Duration,
    },
    /// This peer is no member of a view.
    #[error("this peer is no member of a mesh yet")]
    NoMember,
    /// Too few observers agreed in time.
    #[error("too few observers agreed within 500 ms")]
    NoAnswer,
    /// Another pause is being asked for.
    #[error("another pause is being asked for")]
    Busy,
}

/// Why a forced view was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum ForceRefusal {
    /// A majority is there: it decides.
    #[error("a majority of the last view is in touch: it decides, nobody forces it")]
    QuorumHeld,
    /// The operator looked at another view.
    #[error("the last committed view here has epoch {ours}")]
    WrongEpoch {
        /// The epoch of the view that counts.
        ours: Epoch,
    },
    /// Somebody listed is no member of that view, or this peer is not listed.
    #[error("the members must be members of the last view and include the peer that is asked")]
    NotMembers,
    /// Not everybody listed agreed in time.
    #[error("{missing} of the listed members did not agree within 2 s")]
    NoConsent {
        /// How many.
        missing: usize,
    },
}
