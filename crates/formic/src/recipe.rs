use std::collections::BTreeMap;

use formic_core::Capability;
use serde::{Deserialize, Serialize};

/// How to run a task: which agent, and what a `command` agent needs besides the payload.
///
/// Travels in `Descriptor::recipe` as JSON; children inherit it without `run`, `env` and `outputs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// The agent to open where the peer has none of its own.
    pub agent: AgentSpec,
    /// A shell command (`command` adapter).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Environment for `run`, after substitution.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Output files by name: paths relative to the task's output folder.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, String>,
}

/// Which program executes tasks, and how many at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AgentSpec {
    /// Its name in the plan.
    pub name: String,
    /// How to talk to it.
    pub adapter: Adapter,
    /// Program and arguments; `formic` as the first word is the running executable. Empty for a `command` agent that
    /// only runs the tasks' own `run`.
    #[serde(default)]
    pub command: Vec<String>,
    /// What it can do: sorted, unique.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    /// Tasks at once, at least 1.
    pub slots: u32,
}

/// How to talk to an agent's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Adapter {
    /// One process per task: exit status and stdout are the result.
    Command,
    /// A lasting process that speaks the formic agent protocol v1, one JSON object a line.
    Jsonl,
}
