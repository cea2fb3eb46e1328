//! Delivery inside a process.
//!
//! ```text
//!   peer A                          Hub: who is here                          peer B
//!   try_send(link, class, message) ------ the value moves -----> inbox of B --> poll_events
//!            |                                                     |  segments, each opened by
//!            +-- Full: the message comes back                      |  one Up or Down:
//!                Writable, once B took its inbox <-----------------+  Control | Unreliable | rest
//! ```
//!
//! Values move, nothing is encoded. A peer's inbox is a bounded queue behind one lock that the
//! consumer swaps out whole. All peers share the fate of their process, so the death of a peer is
//! known and `Down(Gone)` is proof of it. This transport is the reference for the contract in
//! [`formic_core::transport`].
//!
//! ```
//! use std::{future::poll_fn, sync::Arc};
//! use formic_core::{Incarnation, Life, PeerId, transport::{Class, Event, Transport as _}};
//! use formic_memory::{Hub, Memory};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let hub = Hub::new();
//! let life = |byte| Life::new(PeerId::from_bytes([byte; 32]), Incarnation(1));
//! let [a, b]: [Arc<Memory<String>>; 2] = [hub.join(life(1), "a")?, hub.join(life(2), "b")?];
//! let link = a.connect(life(2).peer, &b.addresses()).await?;
//! a.try_send(link, Class::Control, "hello".to_owned()).map_err(|refused| refused.reason)?;
//!
//! let mut events = Vec::new();
//! poll_fn(|cx| b.poll_events(cx, &mut events, 16)).await?;
//! assert!(matches!(&events[0], Event::Up { peer, .. } if *peer == life(1)));
//! assert!(matches!(&events[1], Event::Message { message, .. } if message == "hello"));
//! # Ok(()) }
//! ```
//!
//! # Faults
//!
//! [`Faulty`] puts delay, loss, reordering, storms of `Full`, partitions, cuts, stalled peers and slow consumers around
//! an end of this or any other transport. *Legal* [`Faults`] do only what a transport may do, so whatever runs on them
//! must work; *hostile* ones also lose, double and reorder reliable messages. All can be changed while they run.
//!
//! ```
//! use core::{future::poll_fn, time::Duration};
//! use formic_core::{Incarnation, Life, PeerId, transport::{Class, Event, Transport as _}};
//! use formic_memory::{Delay, Faults, Faulty, Hub, Weather};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (hub, faults) = (Hub::<u32>::new(), Faults::legal(7));
//! let life = |byte| Life::new(PeerId::from_bytes([byte; 32]), Incarnation(1));
//! let a = Faulty::around(hub.join(life(1), "a")?, &faults)?;
//! let b = Faulty::around(hub.join(life(2), "b")?, &faults)?;
//!
//! let mut weather = Weather::default();
//! weather.delay = Delay::Exponential { mean: Duration::from_millis(2) };
//! weather.unreliable.loss = 200; // of 1,000; to lose reliable messages is not legal
//! faults.weather(weather)?;
//!
//! let link = a.connect(life(2).peer, &b.addresses()).await?;
//! faults.partition([life(1).peer], [life(2).peer]);
//! a.try_send(link, Class::Control, 1).map_err(|refused| refused.reason)?; // accepted, and held
//! faults.heal();
//! let mut events = Vec::new();
//! while !matches!(events.last(), Some(Event::Message { message: 1, .. })) {
//!     poll_fn(|cx| b.poll_events(cx, &mut events, 16)).await?;
//! }
//! # Ok(()) }
//! ```
//!
//! **Guarantees.**
//! - K1, K4: one `Up` first, one `Down` last, the `Down` of an old life before the `Up` of its
//!   successor (`tests::lives`).
//! - K2, K3: reliable classes arrive complete and in order, `Unreliable` loses only its oldest
//!   (`tests::delivery`).
//! - K6: `Full` hands the message back; `Writable` follows once (`tests::pressure`).
//! - K7: an inbox holds at most twice its bounds: what waits, and what the consumer swapped out
//!   (`tests::pressure`). An idle peer holds no buffer above 32 events.
//! - `kill`, and dropping a [`Memory`] without shutdown, is `Down(Gone)` at all its peers at once,
//!   and nothing it sends afterwards arrives (`tests::lives`).
//! - `renew` begins the next life in place: `Down(PeerRestarted)` at all its peers, and nothing that was sent
//!   to the old life is handed out (`tests::lives`).
//! - Whatever legal faults do, and whenever they change, K1 to K4 and K6 hold, and in calm all that was accepted
//!   arrives (`tests::faulty::legal`; the conformance suite runs over them too).
//! - What happens to a message depends on the seed, both peers, its class and its number, never on timing
//!   (`tests::faulty::knobs`).
//!
//! **Limits.** A link change is a barrier: a message sent after an `Up` or `Down` is taken after
//! everything that was queued before it, so `Down` waits behind at most one inbox. A peer that floods
//! a class fills that class for all senders of this receiver. Memory of values is the sender's
//! affair: bounds count messages, not bytes. `Faulty` holds up to 1,024 late messages at an end, then takes nothing
//! more from its transport; a direction is faulty only as far as both ends are wrapped with the same `Faults`, so
//! processes cannot share a partition. Faults need a tokio runtime.
//!
//! **Sources.** The shape of `timely`'s allocators: one interface over thread, process and network.

mod config;
mod end;
mod faulty;
mod hub;
mod inbox;
mod memory;
#[cfg(test)]
mod tests;

pub use config::{Config, ConfigError};
pub use faulty::{
    Delay, FaultError, Faults, Faulty, Injected, NoRuntime, OnFull, OnReconnect, Pace, Rates,
    Storm, Weather,
};
pub use hub::{Hub, JoinError};
pub use memory::Memory;
