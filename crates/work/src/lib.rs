//! Who does what: placement, queues, backpressure, dependencies.
//!
//! ```text
//!  owner    Place -> Held -> Probing -> Awarded -> Unplace         Probe  -->
//!                     ^        |           |                       <-- Promise {load, room}
//!                     +--------+-----------+  no room, Returned    Interest -->, <-- Room
//!
//!  worker   Queue -> Queued -> Running <-> Waiting -> Ended
//!                      |
//!                      +-> Returned to the owner: full, draining, incapable
//! ```
//!
//! Only the owner of a task moves it; a worker never passes work on, it gives it back. No agent
//! hears of a task before the task was awarded.
//!
//! ```
//! use formic_core::{Incarnation, Life, PeerId, Protocol, Random, Time};
//! use formic_work::{Config, Effect, Input, Load, Message, Work};
//!
//! let me = Life::new(PeerId::from_bytes([7; 32]), Incarnation(1));
//! let mut work = Work::new(Config::default(), me, Random::new(1))?;
//! let probe = Message::Probe { id: 1, count: 1, requires: vec![] };
//! let mut out = Vec::new();
//! work.handle(Time::ZERO, Input::Message { from: me, message: probe }, &mut out)?;
//! let load = Load { running: 0, queued: 0, slots: 1 };
//! let message = Message::Promise { id: 1, load, room: 9 };
//! assert_eq!(out, [Effect::Send { to: me, message }]);
//! # Ok::<(), formic_work::Error>(())
//! ```
//!
//! **Guarantees.**
//! - A task is in exactly one of Held, Probing, Awarded at its owner, an awarded life was eligible,
//!   no slot is held twice (`Work::check`, after every input of `tests::properties`).
//! - Every task runs while nobody fails, however loads race, and a second time only where it was
//!   given back (`tests::properties::every_task_runs_once`).
//! - Spawns are stopped at `held_max` (`tests::owner::too_much_held_is_reported`).
//! - A parent that waits gives its slot back and comes back first (`tests::worker`).
//! - A cycle of needs is named, a shortest one; ready and cancelled are what a naive reading says
//!   (`tests::needs`).
//!
//! **Limits.** First form: least loaded by tasks per slot, first come first served; no trails,
//! priorities, stealing, rescue, deadlock search. Two owners may be promised the same room: a queue
//! takes up to four times its bound before it gives tasks back.
//!
//! **Sources.** Contract net (Smith, IEEE Trans. Computers C-29, 1980); the power of d choices
//! (Mitzenmacher, TPDS 12, 2001); late binding and batch probes as in Sparrow (Ousterhout, Wendell,
//! Zaharia, Stoica, SOSP 2013). Deviation: full workers report room instead of queueing reservations.

mod config;
mod effect;
mod error;
mod input;
mod lane;
mod message;
mod needs;
mod owner;
#[cfg(test)]
mod tests;
mod work;
mod worker;

pub use config::Config;
pub use effect::Effect;
pub use error::Error;
pub use input::{Input, Place};
pub use message::{Load, Message, REQUIRES_MAX, RETURNED_MAX, Reason, TaskId};
pub use needs::{Ended, NEEDS_MAX, Needs, NeedsError, Step, TASKS_MAX};
pub use work::Work;
