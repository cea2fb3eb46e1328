//! What every transport promises, as named cases (transport.md section 11).
//!
//! ```text
//!   Fixture: makes ends that reach each other --> case: two or more Sides --> Contract (formic_core)
//!                                                        |
//!                                                        +--> what this case demands besides
//! ```
//!
//! A transport implements one factory and gets a test per case:
//!
//! ```
//! use std::sync::Arc;
//! use formic_conformance::{End, Fixture, Probe};
//! use formic_core::{Incarnation, Life, PeerId};
//! use formic_memory::Hub;
//!
//! struct Memory(Hub<Probe>);
//!
//! #[async_trait::async_trait]
//! impl Fixture for Memory {
//!     async fn end(&self, peer: u8, incarnation: u64) -> End {
//!         let life = Life::new(PeerId::from_bytes([peer; 32]), Incarnation(incarnation));
//!         self.0.join(life, &life.to_string()).expect("each life is asked for once")
//!     }
//! }
//!
//! formic_conformance::conformance!(Memory(Hub::new())); // one `#[tokio::test]` per case
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), formic_conformance::Failure> {
//! for (_, case) in formic_conformance::CASES {
//!     case(&Memory(Hub::new())).await?; // or all of them where no test harness is
//! }
//! # Ok(()) }
//! ```
//!
//! Every event of every end also goes through [`Contract`](formic_core::transport::Contract): K1 to K4 and K6 are
//! checked in each case, whatever it is about.
//!
//! **Guarantees.** Transports that lose, reorder, double after a reconnect, or keep what they refused are caught
//! (`tests`), each by the case that is about it.
//!
//! **Limits.** Time is only a watchdog: no case asserts how fast anything is. Cuts, floods and strangers need means of
//! their own and are tested beside each transport.
//!
//! **Sources.** transport.md; the idea of a suite that a third party runs: `object_store` and `opendal` test every
//! backend by one set of behaviour tests.

mod cases;
mod fixture;
mod side;
#[cfg(test)]
mod tests;

pub use cases::{CASES, Case, Running};
pub use fixture::{End, Fixture, Probe};
pub use side::{Failure, Side};

#[doc(hidden)]
pub use tokio as __tokio;
