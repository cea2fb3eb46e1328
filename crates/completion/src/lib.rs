//! Know when all is done: ledger Dijkstra-Scholten.
//!
//! ```text
//!   home group (ranked, 1, 2, 3, 5 or 7 lives)            any life
//!   Submit -> record at a majority -> Accepted
//!   keeper --+ ledger: root
//!            +--Work(key, waiter, grand)------------> task: body runs
//!                                                      | Spawn: Place, ledger entry, Work ...
//!            <--Signal(done: Fact, tails)------------- body over, every child Done (T5)
//!   keeper done -> register: Decree -> Complete        (no failure detector so far)
//!   home life evicted  -> register: Succeed(next group), which has a register of its own
//!   Probe --------------------------------------------> seal: stop, refuse, report counts
//!   <--------------------------------------- Sealed
//!   all sealed or excluded -> statement, signed by a quorum -> Verdict, announced to all
//! ```
//!
//! A peer keeps a ledger entry for every task it spawned, and a signal is a fact: "the body finished
//! and everything it spawned is done". Facts are true whoever says them, however late, however often,
//! so safety needs no detector, no order, no exactly-once. The detector decides only whom to respawn.
//!
//! ```
//! use std::sync::Arc;
//!
//! use formic_completion::{Completion, Config, Effect, Input, JobSpec};
//! use formic_core::{Descriptor, Digest, Incarnation, JobId, Life, PeerId, Protocol, Time};
//!
//! let me = Life::new(PeerId::from_bytes([1; 32]), Incarnation(1));
//! let job = JobId::derive(me, 1);
//! let root = Arc::new(Descriptor {
//!     kind: "plan".to_owned(), name: String::new(), requires: vec![],
//!     payload: vec![], recipe: vec![], wall: None, exclusive: None,
//! });
//! let spec = JobSpec { job, root, plan: Digest::of(&[b"plan"]), home: vec![me] };
//! let mut alone = Completion::new(Config::default(), me, job);
//! let mut out = Vec::new();
//! alone.handle(Time::ZERO, Input::Submit { spec: Arc::new(spec) }, &mut out)?;
//! assert!(out.iter().any(|effect| matches!(effect, Effect::Execute { root: true, .. })));
//! # Ok::<(), formic_completion::Error>(())
//! ```
//!
//! **Guarantees.** Under loss, duplication, late and reordered messages, crashes, restarts and false
//! suspicions: `Complete` is said only when every task reachable from the root was executed to its end
//! (I2; `formic-sim`'s `oracles::never_early`); all lives learn one result (`oracles::one_verdict`); at
//! the verdict every member that its author had met is sealed or listed as excluded, and no sealed life
//! runs a body (`oracles::quiet_is_quiet`); once faults end, every live member learns the verdict and
//! falls silent (`oracles::nothing_hangs`). Moving a task that its executor handed back costs no respawn
//! (`tests::ledger::a_returned_child_moves_without_a_respawn`). A result is on a majority's disks before
//! it is said (`tests::home::the_result_is_decided_by_a_majority`), a verdict on a home life's disk
//! before it is confirmed (`tests::wave::a_home_life_writes_the_verdict_down_before_it_confirms`). A home
//! group follows the views of the mesh, so a job outlives all of its first home lives (`tests::succession`;
//! `formic-sim`'s scenario `shrinking`). Bad
//! input is refused with its culprit and changes nothing (`tests::refused`). The prototype's ten bugs do
//! not return (`tests::regress`, `r01` to `r10`). `tests::model` explores this very machine on three
//! peers: I2, I5, I6, I7, and that from every state found the fault-free continuation reaches the verdict
//! at all live peers, for five trees, on links that lose, double and reorder, exhaustively without crashes
//! and, for t1 to t3, with one; bounded with a restart, a second crash, a suspicion, two home lives, or a
//! home group that grows or shrinks.
//!
//! **Limits.** Execution is at least once. Complete needs a majority of the home group; of two home
//! lives rank 1 never takes over. A group that loses its majority between two views loses the job; so does
//! one that changed 64 times and loses its majority then. A home life that took over acts for good: two that act cost
//! duplicates. A life that the verdict's author had not met is neither sealed nor listed, and may finish
//! work that nobody waits for until its lease ends. A member that comes after every life that knew the
//! verdict has died for good does not learn it. A body that never ends needs a deadline from above. Done
//! tasks are remembered until the seal. Peers may lie about facts: signatures prove who said something,
//! not that it is true.
//!
//! **Sources.** Dijkstra and Scholten, *Termination detection for diffusing computations*, IPL 11
//! (1980). Deviations: counters are replaced by ledgers and facts, which survive loss and duplication.
//! What is announced is split in two, because a perfect detector is needed for the classical claim
//! (Mittal, Freiling, Venkatesan, Penso, JPDC 68, 2008): `Complete` asks no detector, the verdict names
//! whom it excluded. From the project's own specification: the home group has up to 7 lives instead of
//! 3, because its size is the mesh's choice of how many losses a job survives at once, and it is not fixed
//! at submission but follows the views (module `succession`); `accepted` and `taken`
//! are always explicit, also where a session could infer them; an `Anomaly` is held back for one lease,
//! then reported, unless its author never met some life of the mesh, whose counts are then missing, and the
//! verdict is announced all the same, since `Complete` does not rest on the counts; a return has an
//! acknowledgement of its own (`HomeBackAck`); attempts count from 1;
//! an open life that hears nothing asks one member after the other for the verdict (`Ask`), and is told of the
//! newest home group if it is of it;
//! `paused(until)`, a query of newborn lives (T3e) and gossip of the verdict are not built.

mod certificate;
mod completion;
mod config;
mod effect;
mod error;
mod executor;
mod home;
mod input;
mod ledger;
mod members;
mod message;
mod outbox;
mod record;
mod succession;
mod task;
mod timers;
mod wave;

pub use certificate::{Attestation, BadCertificate, Certificate, Decree, Statement, Verdict};
pub use completion::{Awaits, Completion};
pub use config::Config;
pub use effect::{Effect, Event};
pub use error::Error;
pub use input::{Input, Spawn};
pub use message::{Fact, JobSpec, Message, Ruling, Seal, Signal, Tail, Tally, Waiter};
pub use record::Record;
pub use succession::{SUCCESSIONS_MAX, current, home_group};

#[cfg(test)]
mod tests;
