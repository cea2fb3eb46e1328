//! Know when all is done: ledger Dijkstra-Scholten.

mod certificate;
mod effect;
mod input;
mod message;
mod record;

pub use certificate::{Attestation, Certificate, Decree, Statement, Verdict};
pub use effect::{Effect, Event};
pub use input::{Input, Spawn};
pub use message::{Fact, JobSpec, Message, Seal, Signal, Tail, Tally, Waiter};
pub use record::Record;
