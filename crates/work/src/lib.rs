//! Who does what: placement, queues, backpressure, dependencies.
//!
//! ```text
//!  owner    Place -> Held -> Probing -> Awarded -> Unplace    Choose, Draw: whom to ask    Probe -->
//!                     ^        |           |                  <-- Promise {wait, service, room}
//!                     +--------+-----------+                  Rank: who gets what, or held back
//!                       no room, Returned                     Interest -->, <-- Room
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
//! use formic_core::{Incarnation, Kind, Life, PeerId, Protocol, Time};
//! use formic_work::{Config, Effect, Input, Message, Probe, Work};
//!
//! let me = Life::new(PeerId::from_bytes([7; 32]), Incarnation(1));
//! let mut work = Work::new(Config::default(), me)?;
//! let (kind, requires) = (Kind::of("review"), vec![]);
//! let probe = Probe { id: 1, count: 1, asked: 1, kind, requires, mean_us: 20_000, holds_us: 2_000 };
//! let (message, mut out) = (Message::Probe(probe), Vec::new());
//! work.handle(Time::ZERO, Input::Message { from: me, message }, &mut out)?;
//! // What it promises is estimated outside, from what runs and waits here: nothing.
//! let Some(Effect::Estimate { backlog, room, .. }) = out.pop() else { panic!() };
//! assert_eq!((backlog.queued, backlog.running, room), (vec![], vec![], 9));
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
//! Whom to ask and who gets what is decided outside (`Draw`, `Rank`: pheromones, in `node`), and what a worker
//! promises is estimated outside (`Estimate`). Here is what follows: batches, one probe for up to 64 tasks of one
//! kind and requirement; late binding (W5): where the best peer would let a task wait for more than four mean
//! services, or has no room, the task stays with its owner, and that peer reports when it has less to do.
//!
//! **Limits.** First come first served; no priorities, stealing, rescue, maximum wait, deadlock search. Two owners
//! may be promised the same room: a queue takes up to four times its bound before it gives tasks back. A body
//! that ended before its children counts as running for its owner's clock; one that waits without a slot is told
//! after 100 ms.
//!
//! **Sources.** Contract net (Smith, IEEE Trans. Computers C-29, 1980); the power of d choices
//! (Mitzenmacher, TPDS 12, 2001); late binding and batch probes as in Sparrow (Ousterhout, Wendell,
//! Zaharia, Stoica, SOSP 2013). Deviation: full workers report room instead of queueing reservations.

mod award;
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
pub use effect::{Award, Backlog, Bid, Effect, Patience, Want};
pub use error::Error;
pub use input::{Input, Place, Ranked};
pub use message::{Load, Message, Offer, Probe, REQUIRES_MAX, RETURNED_MAX, Reason, TaskId};
pub use needs::{Ended, NEEDS_MAX, Needs, NeedsError, Step, TASKS_MAX};
pub use work::Work;
