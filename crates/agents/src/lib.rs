//! Adapters that run real agents: command and JSON lines.

mod command;
mod config;
mod environment;
mod host;
mod jsonl;
mod lines;
mod process;
mod protocol;
pub mod shim;
mod shipped;
pub mod treehash;
pub mod worker;

pub use config::{Config, Error};
pub use environment::{MissingProgram, find_program};
pub use shipped::Shipped;
