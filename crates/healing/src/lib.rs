//! Notice loss.
//!
//! ```text
//!             heard                silent for `timeout`
//!  Unheard ---------> Up ------------------------------> Down
//!                     ^ |                                 |
//!                     | +-- left, gone, restarted --+     |
//!                     +------------- heard ---------|-----+
//!                                                   v
//!                                                 Ended
//! ```
//!
//! Every peer sends every member a beat each `interval`; whatever arrives from a life counts as
//! heard. A verdict is an opinion: a stall longer than the timeout looks exactly like a crash, so
//! nothing unsafe may follow from it.
//!
//! ```
//! use formic_core::{Incarnation, Life, PeerId, Protocol, Time};
//! use formic_healing::{Cause, Config, Effect, Event, Fate, Healing, Input};
//!
//! let peer = Life::new(PeerId::from_bytes([7; 32]), Incarnation(1));
//! let mut healing = Healing::new(Config::default())?;
//! let mut out = Vec::new();
//! healing.handle(Time::ZERO, Input::Watch { life: peer }, &mut out)?;
//! healing.handle(Time::ZERO, Input::LinkUp { life: peer, fate: Fate::Own }, &mut out)?;
//! assert_eq!(out, [Effect::Event(Event::Up { life: peer })]);
//! while let Some(at) = healing.deadline() {
//!     healing.handle(at, Input::Deadline, &mut out)?;
//!     if at >= Time::from_us(400_000) { break }
//! }
//! assert!(out.contains(&Effect::Event(Event::Down { life: peer, cause: Cause::Silent })));
//! # Ok::<(), formic_healing::Error>(())
//! ```
//!
//! **Guarantees.**
//! - `Up` and `Down` of one life alternate, `Up` first, whatever happens in whatever order, and an
//!   older life is never reported after a newer one (`tests::properties::verdicts_alternate`).
//! - A silent member is down after `timeout`, a beating one never (`tests::silence`).
//! - A peer that stalled itself accuses nobody (`tests::silence::who_stalled_accuses_nobody`).
//! - Death inside one process, a restart, a farewell are reported at once (`tests::links`).
//!
//! **Limits.** First form: every peer watches every other and decides alone; no views, quorums or
//! observers. A peer whose deadlines are always late by more than `lateness` detects nothing.
//!
//! **Sources.** Heartbeats with a fixed timeout. Deviation from phi accrual (Hayashibara, Defago,
//! Yared, Katayama, SRDS 2004): it adapts by slowing down, a fixed bound is what respawn times need.

mod config;
mod effect;
mod error;
mod healing;
mod input;
mod message;
mod subject;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use effect::{Cause, Effect, Event};
pub use error::Error;
pub use healing::Healing;
pub use input::{Fate, Input};
pub use message::Message;
pub use subject::Belief;
