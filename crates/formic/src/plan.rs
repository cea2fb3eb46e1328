use core::time::Duration;
use std::collections::BTreeMap;

use formic_core::Capability;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::AgentSpec;

/// A checked plan: what the root of a job executes. Inputs are substituted already; references to other tasks
/// (`${{ tasks.NAME.value }}`, `${{ tasks.NAME.outputs.FILE }}`) are substituted when their needs are done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Tasks in the order of the plan; names are unique, needs are known and free of cycles.
    pub tasks: Vec<PlannedTask>,
}

/// One task of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedTask {
    /// Its name.
    pub name: String,
    /// Names of tasks that must end well first.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Capabilities of the executing peer: sorted, unique.
    #[serde(default)]
    pub requires: Vec<Capability>,
    /// What the agent gets.
    #[serde(default)]
    pub payload: Value,
    /// The agent for peers that have none of their own.
    pub agent: Option<AgentSpec>,
    /// A shell command, for `command` agents.
    #[serde(default)]
    pub run: Option<String>,
    /// Environment of `run`.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Output files by name.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
    /// How often a failed task is tried again; lost peers are not counted, their work is always done again.
    #[serde(default)]
    pub retries: u32,
    /// How long one execution may take.
    #[serde(default)]
    pub wall: Option<Duration>,
}
