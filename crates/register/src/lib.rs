//! Agree on one value among a majority that may crash (single-decree, promise/accept).
//!
//! ```text
//!   proposer                                 replicas (ranked)
//!   rank 0, round 1:  Accept(1.0, v) ------> persist, Accepted     no promises needed
//!   anyone, round 2+: Prepare(b)     ------> persist, Promise(b, accepted?)
//!                     Accept(b, v)   ------> persist, Accepted
//!                     quorum of Accepted: Decided(v) to all
//! ```
//!
//! ```
//! use formic_core::{Incarnation, Life, PeerId, Protocol, Time};
//! use formic_register::{Effect, Input, Register};
//!
//! let life = |n| Life::new(PeerId::from_bytes([n; 32]), Incarnation(1));
//! let mut alone = Register::new(vec![life(1)], 0)?;
//! let mut out = Vec::new();
//! alone.handle(Time::ZERO, Input::Propose("done"), &mut out)?;
//! assert!(out.contains(&Effect::Decided("done")));
//! # Ok::<(), formic_register::Error>(())
//! ```
//!
//! **Guarantees.** All replicas decide one value, proposed by somebody, under loss, duplication,
//! reordering and restart from any durable prefix (`tests::interleavings`). Promises never fall
//! (same walk). Round 1 belongs to rank 0, which repeats its value after a restart
//! (`tests::reserved`) and gives the round up once it was refused
//! (`tests::reserved_round_is_gone_after_a_refusal`). Whoever asks after the decision is told it
//! (`tests::whoever_asks_after_the_decision_is_told`). Of two replicas rank 0 decides alone and rank 1
//! never does (`tests::two`); of any even number the half with the anchor decides
//! (`tests::half_decides_with_the_anchor_only`).
//!
//! **Explored to the end** (`tests::model::restart`): three replicas, two proposers, every order of
//! deliveries, losses, duplicates and timers, restarts from disk with another proposal. One decision, and
//! no promise falls; without R2 or R3 there are two decisions, after 6 steps.
//!
//! | rounds | restarts | unique states | time | when |
//! |---|---|---|---|---|
//! | 2 | 1 | 1,685 | 0.1 s | every run |
//! | 3 | 1 | 52,252 | 1 s | every run |
//! | 3 | 2 | 134,191 | 1 s | ignored |
//! | 4 | 1 | 433,392 | 4 s | ignored |
//!
//! Times here and in [`claims`] are of one thread in a dev build.
//!
//! **Limits.** One value, a fixed ranked list of peers, at most 4,096 of them. A replica that lost its
//! disk must not take part; whoever owns the register sees to that. Leases and a change of replicas
//! belong to [`claims`].
//!
//! **Sources.** Lamport, *The Part-Time Parliament*, ACM TOCS 16 (1998). Deviations: the first round
//! is granted in advance to rank 0, which saves a round trip where nothing fails; half of
//! the replicas with the anchor is a quorum, so that a mesh of two survives the loss of one.

pub mod claims;
mod error;
mod message;
mod register;

pub use error::Error;
pub use message::{Ballot, Effect, Input, Message, Record};
pub use register::{Register, is_quorum};

#[cfg(test)]
mod tests;
