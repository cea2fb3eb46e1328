//! Peer-to-peer coordination for fleets of agents: the public handle and the tokio driver.
//!
//! ```text
//!   your agents --Task--> Peer ---submit(Plan)--> Job ---wait---> Verdict: result and certificate
//!        ^                 | one loop: events in, effects out
//!        +--TaskContext----+        |
//!      spawn, join, progress      Node (pure protocols)  <--Transport-->  other peers, Client
//! ```
//!
//! The smallest useful program: two peers in one process, one task that spawns another.
//!
//! ```
//! use formic::{ChildSpec, Description, Done, Identity, Mesh, Peer, Plan, PlanResult, agent_fn};
//! use formic_memory::Hub;
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (hub, mut mesh) = (Hub::new(), Mesh::new());
//! for name in ["a", "b"] {
//!     let identity = Identity::fresh()?;
//!     let transport = hub.join(identity.life(), name)?;
//!     let greeter = agent_fn(Description::new("greeter", vec![]), |task, context| async move {
//!         if task.kind == "hello" {
//!             context.spawn(ChildSpec::new("world", json!(null))).await?;
//!             context.join_all().await?;
//!         }
//!         Ok(Done::from(json!(task.kind)))
//!     });
//!     mesh.add(Peer::builder(transport, identity).agent(greeter)).await?;
//! }
//! let job = mesh.submit(&Plan::single(ChildSpec::new("hello", json!(null)))).await?;
//! let verdict = job.wait().await?;
//! assert_eq!(PlanResult::of(&verdict.decree.outcome)?.value("hello"), Some(&json!("hello")));
//! assert_eq!(verdict.decree.tally.tasks, 2);
//! # Ok(()) }
//! ```
//!
//! The [`manual`] says what is promised, how agents are written, what transports and state are for.
//!
//! **Guarantees.**
//! - A job whose submission returned survives any one peer, its first home included
//!   (`tests::faults`), and with stores the death of every process
//!   (`tests::faults::a_job_survives_the_death_of_every_process`).
//! - A record is durable before the message that promises it leaves (`tests::order`).
//! - A body that fails, panics, hangs or returns too much fails its task only
//!   (`tests::jobs::bodies_that_go_wrong_fail_their_task_only`).
//! - A body that waits for children gives its slot back: depth never starves a small mesh
//!   (`tests::jobs::a_body_that_waits_gives_its_slot_back`).
//! - A peer that its mesh declared dead goes on as its next life in the same process: handles, waiters for jobs and
//!   what its node had persisted stay, with a state directory or without (`tests::rebirth`).
//! - A state directory has one user, and what is no state is left alone (`tests::stores`).
//!
//! **Limits.** Values of tasks have at most 4 KiB, a plan's result 48 KiB, a plan 256 KiB. A body that
//! blocks its thread without awaiting cannot be stopped. 65,536 messages wait for a slow link, more are
//! dropped and sent again by the protocols. A peer without a state directory keeps the verdicts of its latest 1,024
//! closed jobs for its next life. Joining does not wait for tails of children.
//!
//! **Sources.** The shape of quinn: a pure core under a thin async shell. Deviation: one task per peer
//! instead of one per connection, so that effects keep their order without a lock.

mod agent;
mod client;
mod clock;
mod context;
mod discovery;
mod driver;
mod error;
mod event_log;
mod fence;
mod identity;
mod journal;
mod log;
pub mod manual;
mod mesh;
mod peer;
mod plan;
mod question;
mod recipe;
mod store;

/// The README's program compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

pub use agent::{Adapters, Agent, AgentError, Description, Done, Task, agent_fn, value_of};
pub use client::{Client, ClientError, ClientJob};
pub use context::{ChildSpec, ContextError, TaskContext};
#[cfg(feature = "mdns")]
pub use discovery::{BadLabel, Mdns, Reach};
pub use discovery::{BadName, Dns};
pub use driver::Stopped;
pub use error::Error;
pub use event_log::{EventLog, EventLogError};
pub use fence::Fence;
pub use formic_completion::{Certificate, Decree, Tally, Verdict};
pub use formic_consensus::{Ballot, Outcome as Judged, Policy, Rejection, Weighting};
pub use formic_core::{
    Capability, Digest, Epoch, Failure, Incarnation, JobId, Key, Life, Outcome, Output, OutputFile,
    PeerId, transport,
};
pub use formic_node::{
    BadDecision, DIMENSION_NAMES, Decision, ElectorateStatus, JobStatus, Judgement, LEASE_MAX,
    LEASE_MIN, MemberStatus, Message, Record, Reputation, Ruling, Status,
};
pub use identity::Identity;
pub use log::{LogBallot, LogEvent, LogLine};
pub use mesh::Mesh;
pub use peer::{Builder, Job, Peer};
pub use plan::{Plan, PlanError, PlanResult, PlannedTask, ResultError, TaskResult};
pub use question::{Question, Threshold, Validation, Voters, Who, unanimity};
pub use recipe::{Adapter, AgentSpec, Recipe};
pub use store::{Store, StoreError};
#[cfg(test)]
mod tests;
