//! Other ways to know when all is done, beside ours, on one schedule and judged by one truth.
//!
//! ```text
//!   Schedule (who spawns what on whom, when, how slow each link is)
//!      |  plays the same bodies for each of
//!      +--> Naive       reads peer by peer: idle, all acks in
//!      +--> Textbook    Dijkstra-Scholten with counters
//!      +--> Safra       a token goes round, with counters and colours
//!      +--> FourCounter two waves over all counters
//!      +--> Recovery    work carries credit, idle peers give it back
//!      +--> Shipped     one `formic_completion::Completion` per peer
//!                 each announces once --> oracles::never_early looks at what really happened
//! ```
//!
//! A detector here keeps all its peers, but gives each of them only what that peer has heard. The
//! published ones have no answer to a failure detector's news and take none; [`fault_matrix`] and
//! [`costs`] put them side by side.

use formic_completion::Error;
use formic_core::Time;

mod compare;
mod credit;
mod four_counter;
mod naive;
mod safra;
mod schedule;
mod shipped;
mod textbook;
mod world;

pub use compare::{
    Algorithm, Cost, Ending, Kind, Tally, Workload, cost, costs, endings, fault_matrix,
};
pub use credit::{Credit, Recovery, Share};
pub use four_counter::{Count, FourCounter};
pub use naive::{Naive, Word};
pub use safra::{Ring, Safra};
pub use schedule::{Fault, Schedule, Task};
pub use shipped::{Note, Shipped};
pub use textbook::{Signal, Textbook};
pub use world::{Announcement, Body, Line, Run, play};

/// What happened at one peer. Tasks and peers are numbers of the [`Schedule`].
#[derive(Clone, Debug)]
pub enum Happened<M> {
    /// The world begins. Peer 0 is asked to run task 0.
    Start,
    /// A message arrived.
    Message {
        /// From whom.
        from: usize,
        /// What it says.
        message: M,
    },
    /// A body that runs here spawns a child.
    Spawned {
        /// The task whose body runs.
        parent: usize,
        /// Its place among the children of this body, from 0.
        index: usize,
        /// The new task.
        child: usize,
    },
    /// A body ended here.
    Ended {
        /// Of this task.
        task: usize,
    },
    /// A peer is believed dead here.
    Down {
        /// Who.
        peer: usize,
    },
    /// A peer is believed alive again here, or for the first time after its restart.
    Up {
        /// Who.
        peer: usize,
    },
    /// This peer died and begins again; nothing is left but what it wrote to its disk.
    Restarted,
    /// The time this peer asked for has come.
    Deadline,
}

/// What a peer wants done.
#[derive(Clone, Debug)]
pub enum Act<M> {
    /// Send this.
    Send {
        /// To whom: another peer.
        to: usize,
        /// What.
        message: M,
    },
    /// Run the body of this task here.
    Execute {
        /// Which.
        task: usize,
    },
    /// Stop the body of this task here.
    Abort {
        /// Which.
        task: usize,
    },
    /// Only for the timeline.
    Say {
        /// What people read there.
        text: &'static str,
    },
    /// "All is done."
    Announce,
}

/// The peers of one way to know when all is done.
pub trait Detector {
    /// What its peers say to each other.
    type Message: Clone;

    /// Tells `peer` what happened there.
    ///
    /// # Errors
    /// The peer refuses it. Nothing that honest peers do is refused, so this is a bug in whoever drives.
    fn on(
        &mut self,
        now: Time,
        peer: usize,
        what: Happened<Self::Message>,
        out: &mut Vec<Act<Self::Message>>,
    ) -> Result<(), Error>;

    /// When `peer` wants [`Happened::Deadline`].
    fn deadline(&self, peer: usize) -> Option<Time>;

    /// The task whose work this message carries.
    fn work(&self, message: &Self::Message) -> Option<usize>;

    /// What the message says, for people; `None` where it is of no interest to them.
    fn words(&self, message: &Self::Message) -> Option<String>;
}

#[cfg(test)]
mod tests;
