mod check;
pub(crate) mod reference;
mod result;
pub(crate) mod run;

use core::time::Duration;
use std::{collections::BTreeMap, sync::Arc};

use formic_core::{Capability, Descriptor, Digest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{AgentSpec, ChildSpec, Validation, Voters};

pub use check::PlanError;
pub use result::{PlanResult, ResultError, TaskResult};
pub(crate) use result::{RESULT_MAX, reason_of};

/// The kind of a job's root: executed by the mesh itself.
pub(crate) const ROOT_KIND: &str = "formic/plan";

/// A checked plan: what the root of a job executes. Inputs are substituted already; references to other tasks
/// (`${{ tasks.NAME.value }}`, `${{ tasks.NAME.outputs.FILE }}`) are substituted when their needs are done.
///
/// A string that is exactly one reference becomes the value itself, whatever its JSON type; inside a longer string a
/// value is inserted as text: strings bare, everything else as JSON. References are allowed in `payload` and `env`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Tasks in the order of the plan; names are unique, needs are known and free of cycles.
    pub tasks: Vec<PlannedTask>,
    /// Who has a vote where tasks are validated; `None`: chosen by whoever submits the plan, from the members alive then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voters: Option<Voters>,
}

/// One task of a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlannedTask {
    /// Its name.
    pub name: String,
    /// What sort of work; default: the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
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
    /// How often a failed or expired task is tried again; lost peers are not counted, their work is always done again.
    #[serde(default)]
    pub retries: u32,
    /// How long one execution may take.
    #[serde(default)]
    pub wall: Option<Duration>,
    /// One valid body at a time, under a lease of this length; see [`crate::ChildSpec::exclusive`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclusive: Option<Duration>,
    /// Its result is judged by voters before anything that needs it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validate: Option<Validation>,
}

impl PlannedTask {
    /// A task that any peer may execute.
    pub fn new(name: impl Into<String>, payload: Value) -> Self {
        Self { name: name.into(), payload, ..Self::default() }
    }
}

impl Plan {
    /// A plan of these tasks; voters, where results are validated, are chosen by whoever submits it.
    pub const fn of(tasks: Vec<PlannedTask>) -> Self {
        Self { tasks, voters: None }
    }

    /// A plan of one task. Its result is the one entry of the [`PlanResult`], under the task's name.
    pub fn single(task: ChildSpec) -> Self {
        let agent = task.recipe.as_ref().map(|recipe| recipe.agent.clone());
        let recipe = task.recipe;
        let (run, env, outputs) = recipe.map_or_else(
            || (None, BTreeMap::new(), BTreeMap::new()),
            |recipe| (recipe.run, recipe.env, recipe.outputs),
        );
        let mut requires = task.requires;
        requires.sort();
        requires.dedup();
        let planned = PlannedTask {
            name: task.name.unwrap_or_else(|| task.kind.clone()),
            kind: Some(task.kind),
            requires,
            payload: task.payload,
            agent,
            run,
            env,
            outputs,
            wall: task.wall,
            exclusive: task.exclusive,
            ..PlannedTask::default()
        };
        Self::of(vec![planned])
    }

    /// SHA-256 of the plan's JSON text: what certificates name.
    pub fn digest(&self) -> Digest {
        Digest::of(&[&self.to_json()])
    }

    fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Whether voters are asked about any result.
    pub fn validates(&self) -> bool {
        self.tasks.iter().any(|task| task.validate.is_some())
    }

    /// With who has a vote, where somebody must and the plan does not say who.
    pub(crate) fn seated(&self, voters: Voters) -> Result<Self, PlanError> {
        let voters = self.voters.clone().unwrap_or(voters);
        for task in &self.tasks {
            let Some(validation) = &task.validate else { continue };
            let found = voters.who(validation.who).len();
            if found < 2 {
                return Err(PlanError::NoJudge { task: task.name.clone(), found });
            }
        }
        Ok(Self { voters: Some(voters), ..self.clone() })
    }

    /// The root task that executes this plan.
    pub(crate) fn root(&self) -> Result<Arc<Descriptor>, PlanError> {
        self.check()?;
        let payload = self.to_json();
        let (size, limit) = (payload.len(), formic_core::DESCRIPTOR_MAX);
        if size > limit {
            return Err(PlanError::TooLarge { size, limit });
        }
        Ok(Arc::new(Descriptor {
            kind: ROOT_KIND.to_owned(),
            name: "plan".to_owned(),
            requires: Vec::new(),
            payload,
            recipe: Vec::new(),
            wall: None,
            exclusive: None,
        }))
    }
}
