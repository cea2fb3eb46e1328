//! Know when all is done: ledger Dijkstra-Scholten.

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
mod task;
mod timers;
mod wave;

pub use certificate::{Attestation, BadCertificate, Certificate, Decree, Statement, Verdict};
pub use completion::{Awaits, Completion};
pub use config::Config;
pub use effect::{Effect, Event};
pub use error::Error;
pub use input::{Input, Spawn};
pub use message::{Fact, JobSpec, Message, Seal, Signal, Tail, Tally, Waiter};
pub use record::Record;

#[cfg(test)]
mod tests;
