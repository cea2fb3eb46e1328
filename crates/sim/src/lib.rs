//! Seeded world in virtual time: faults, oracles, replay.
//!
//! ```text
//!   seed -> plan (peers, workload, faults) -> world: one heap of events in virtual time
//!                                               |  every input, every effect
//!                                               v
//!                                             truth -> oracles -> Report | Violation
//! ```
//!
//! ```
//! let report = formic_sim::completion::run(7)?;
//! assert!(report.closed > 0);
//! # Ok::<(), formic_sim::Violation>(())
//! ```
//!
//! **Guarantees.** A seed gives the same run every time (`oracles::replays`, each 50th seed runs
//! twice). Every draw is a hash of the seed and the identity of what is decided.
//!
//! **Limits.** One profile, [`completion`]; failures are detected by an oracle with delays, not by
//! heartbeats; disks are honest; peers do not lie. No partitions, no shrinking.
//!
//! **Sources.** `FoundationDB`'s simulation and `TigerBeetle`'s VOPR for the idea; deviation: draws are
//! keyed, not streamed, so that removing one fault leaves all others as they were.

pub mod comparators;
pub mod completion;
mod draw;
pub mod oracles;
mod truth;

pub use draw::Draw;
pub use truth::{Execution, Truth, Violation};
