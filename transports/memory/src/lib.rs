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
//!
//! **Limits.** A link change is a barrier: a message sent after an `Up` or `Down` is taken after
//! everything that was queued before it, so `Down` waits behind at most one inbox. A peer that floods
//! a class fills that class for all senders of this receiver. Memory of values is the sender's
//! affair: bounds count messages, not bytes.
//!
//! **Sources.** The shape of `timely`'s allocators: one interface over thread, process and network.

mod config;
mod end;
mod hub;
mod inbox;
mod memory;
#[cfg(test)]
mod tests;

pub use config::{Config, ConfigError};
pub use hub::{Hub, JoinError};
pub use memory::Memory;
