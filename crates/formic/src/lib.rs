//! Peer-to-peer coordination for fleets of agents.

mod agent;
mod client;
mod clock;
mod context;
mod driver;
mod error;
mod event_log;
mod identity;
mod log;
mod mesh;
mod peer;
mod plan;
mod recipe;
mod store;

pub use agent::{Adapters, Agent, AgentError, Description, Done, Task, agent_fn};
pub use client::{Client, ClientError, ClientJob};
pub use context::{ChildSpec, ContextError, TaskContext};
pub use driver::Stopped;
pub use error::Error;
pub use event_log::{EventLog, EventLogError};
pub use formic_completion::{Certificate, Decree, Tally, Verdict};
pub use formic_core::{
    Capability, Digest, Failure, Incarnation, JobId, Key, Life, Outcome, Output, OutputFile, PeerId,
    transport,
};
pub use formic_node::{JobStatus, MemberStatus, Message, Record, Status};
pub use identity::Identity;
pub use log::{LogEvent, LogLine};
pub use mesh::Mesh;
pub use peer::{Builder, Job, Peer};
pub use plan::{Plan, PlanError, PlanResult, PlannedTask, ResultError, TaskResult};
pub use recipe::{Adapter, AgentSpec, Recipe};
pub use store::{Store, StoreError};
#[cfg(test)]
mod tests;
