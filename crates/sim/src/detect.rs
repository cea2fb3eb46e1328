//! Failure detectors beside each other: one network, one set of faults, one truth.
//!
//! ```text
//!   Setting (peers, loss, stalls, outages) + seed
//!      |  one process per peer, a link from each to each, virtual time
//!      +--> Ours       one shipped `formic_healing::Healing` per peer
//!      +--> Phi        phi accrual, alone or with a quorum of observers
//!      +--> others     whatever implements `Detector` (foca: in `benches`)
//!                 opinions --> Figures: crash to the last live peer, false verdicts, traffic
//! ```
//!
//! ```
//! use formic_sim::detect::{Crashes, Phi, Setting, crashes};
//!
//! let plan = Crashes { worlds: 5, ..Crashes::single() };
//! let found = crashes(&Setting::new(10, 7), &plan, |seat| Phi::alone(seat));
//! assert_eq!((found.detected.len(), found.missed), (5, 0));
//! ```
//!
//! A message takes 0.3 to 2 ms, drawn per message, so two may overtake each other. One of class
//! `Unreliable` is lost with the setting's probability; any other is sent again after 30, 60, 120 ms ..
//! until it gets through, and its link delivers those in order. While a process stalls it does nothing:
//! what arrives is queued and handed over when it goes on, before its deadline. While it has an outage
//! it runs on and everything from and to it is lost.
//!
//! A verdict is **false** if its subject lives; a subject that several hold dead at once counts once. A
//! crash is **detected** when the last live peer holds the dead one dead.

use core::time::Duration;

use formic_core::{Time, transport::Class};

mod measure;
mod network;
mod opinions;
mod ours;
mod phi;
mod world;

pub use measure::{Crashes, Figures, correlated, crashes, watch};
pub use network::{Pauses, Setting};
pub use opinions::Claim;
pub use ours::{Frame, Ours};
pub use phi::{Note, Phi};

/// What happened at one process.
#[derive(Debug)]
pub enum Input<'a, M> {
    /// It begins to run, and all its links are up.
    Start,
    /// A message arrived.
    Message {
        /// From which peer.
        from: usize,
        /// What it says.
        message: &'a M,
    },
    /// The time it asked for has come.
    Deadline,
}

/// What a process does.
#[derive(Clone, Debug)]
pub enum Act<M> {
    /// It sends to one peer.
    Send {
        /// To which other peer.
        to: usize,
        /// How it travels.
        class: Class,
        /// What it says.
        message: M,
    },
    /// It sends to every other peer, class `Unreliable`: one message, delivered many times.
    Broadcast {
        /// What it says.
        message: M,
    },
    /// It holds a peer alive that it held dead.
    Up {
        /// Which.
        peer: usize,
    },
    /// It holds a peer dead.
    Down {
        /// Which.
        peer: usize,
    },
    /// Its view is without this peer.
    Evicted {
        /// Which.
        peer: usize,
    },
    /// Its view has this peer again.
    Admitted {
        /// Which.
        peer: usize,
    },
    /// It refused the input.
    Refused,
}

/// The detector of one process.
pub trait Detector {
    /// What they say to each other.
    type Message;
    /// Whether it also agrees on views, so that evictions are waited for.
    const VIEWS: bool = false;

    /// Feeds one input; all that is to be done is pushed.
    fn handle(
        &mut self,
        now: Time,
        input: Input<'_, Self::Message>,
        out: &mut Vec<Act<Self::Message>>,
    );

    /// When it wants [`Input::Deadline`].
    fn deadline(&self) -> Option<Time>;

    /// Bytes of the message, without what a transport adds.
    fn size(message: &Self::Message) -> usize;
}

/// Who a detector is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Its number, from 0.
    pub peer: usize,
    /// How many there are.
    pub peers: usize,
    /// The world's seed.
    pub seed: u64,
}

/// A stall or outage above this cannot be told from a crash by a detector that promises 450 ms.
pub const LONG: Duration = Duration::from_millis(350);

/// A stall or outage above this may cost the life that has it its membership.
pub const LASTING: Duration = Duration::from_millis(850);

#[cfg(test)]
mod tests;
