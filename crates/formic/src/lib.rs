//! Peer-to-peer coordination for fleets of agents.

mod agent;
mod clock;
mod context;
mod event_log;
mod log;
mod plan;
mod recipe;

pub use agent::{Adapters, Agent, AgentError, Description, Done, Task, agent_fn};
pub use context::{ChildSpec, ContextError, TaskContext};
pub use event_log::{EventLog, EventLogError};
pub use formic_core::{Capability, Failure, JobId, Key, Life, Outcome, Output, OutputFile, PeerId};
pub use log::{LogEvent, LogLine};
pub use plan::{Plan, PlanError, PlanResult, PlannedTask, ResultError, TaskResult};
pub use recipe::{Adapter, AgentSpec, Recipe};
