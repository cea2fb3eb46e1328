//! Shared vocabulary: ids, [`Life`], [`Digest`], [`Time`], capabilities, tasks, [`Protocol`],
//! [`Sink`], [`Transport`](transport::Transport), the wire codec.
//!
//! ```text
//!   Input --> Protocol::handle(now) --> Effects --> driver: Send, Persist, Execute, Event
//!                    ^                                 |
//!                    +------- deadline() --------------+
//! ```
//!
//! Protocols are pure state machines; everything else is a shell around them. This crate holds what
//! more than one of them needs, and no rule of any of them.
//!
//! ```
//! use formic_core::{Blame, Fault, Protocol, Sink, Time};
//!
//! /// Counts ticks; refuses a clock that goes back.
//! struct Counter { ticks: u64, last: Time }
//! #[derive(Debug)]
//! struct ClockWentBack;
//! impl Blame for ClockWentBack {
//!     fn fault(&self) -> Fault { Fault::Caller }
//! }
//! impl Protocol for Counter {
//!     type Input = ();
//!     type Effect = u64;
//!     type Error = ClockWentBack;
//!     fn handle(&mut self, now: Time, (): (), out: &mut impl Sink<u64>) -> Result<(), ClockWentBack> {
//!         if now < self.last { return Err(ClockWentBack); }
//!         self.last = now;
//!         self.ticks += 1;
//!         out.push(self.ticks);
//!         Ok(())
//!     }
//!     fn deadline(&self) -> Option<Time> { None }
//! }
//! let mut out = Vec::new();
//! Counter { ticks: 0, last: Time::ZERO }.handle(Time::from_us(1), (), &mut out)?;
//! assert_eq!(out, [1]);
//! # Ok::<(), ClockWentBack>(())
//! ```
//!
//! **Guarantees.** Codec: what is encoded decodes to itself, every prefix and every appended byte is
//! refused (`wire::tests`). Ids parse what they print (`id::tests`).
//!
//! **Limits.** A message has at most [`wire::MESSAGE_MAX`] bytes, a value at most [`VALUE_MAX`].

pub mod discovery;
mod fault;
mod id;
mod protocol;
mod random;
mod rule;
mod task;
mod time;
pub mod transport;
mod view;
pub mod wire;

pub use fault::Fault;
pub use id::{Digest, Incarnation, JobId, Key, Life, ParseIdError, PeerId};
pub use protocol::{Blame, Protocol, Sink};
pub use random::{Random, mix};
#[doc(hidden)]
pub use rule::rule_holds;
pub use task::{
    BadCapability, Capability, DESCRIPTOR_MAX, Descriptor, Failure, Kind, Outcome, Output,
    OutputFile, VALUE_MAX,
};
pub use time::{Time, earliest};
pub use view::{Epoch, FateId, Forced, Member, View};
