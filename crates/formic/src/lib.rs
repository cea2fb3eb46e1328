//! Peer-to-peer coordination for fleets of agents.

mod agent;
mod context;
mod log;
mod plan;
mod recipe;

pub use agent::{Adapters, Agent, AgentError, Description, Done, Task, agent_fn};
pub use context::{ChildSpec, ContextError, TaskContext};
pub use formic_core::{Capability, Failure, JobId, Key, Life, Outcome, Output, OutputFile, PeerId};
pub use log::{LogEvent, LogLine};
pub use plan::{Plan, PlannedTask};
pub use recipe::{Adapter, AgentSpec, Recipe};
