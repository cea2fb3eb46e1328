//! Plans: reading, checking whole, and saying precisely what is wrong.

mod agent_choice;
mod check;
mod fields;
mod graph;
mod problem;
mod task;
mod template;
#[cfg(test)]
mod tests;
mod validate;
mod yaml;

use std::collections::BTreeMap;
use std::path::Path;

use formic::{AgentSpec, Plan, Who};
use formic_core::Digest;

pub(crate) use fields::not_yet;
pub use problem::{Problem, Source};

use crate::exit::{Exit, Stop};

/// A plan that was checked whole: nothing in it can be refused any more.
#[derive(Clone, Debug)]
pub struct CheckedPlan {
    /// What the job's root executes; inputs are put in.
    pub plan: Plan,
    /// The inputs in force, given or default.
    pub inputs: BTreeMap<String, String>,
    /// The agents in the order of the plan.
    pub agents: Vec<AgentSpec>,
    /// Tasks that no agent of the plan can do; a mesh whose peers have agents of their own may.
    pub unplaced: Vec<Unplaced>,
    /// What certificates name: SHA-256 of the checked plan with its inputs.
    pub digest: Digest,
    /// The file as it was read.
    pub source: Source,
}

/// A task that no agent of the plan can do.
#[derive(Clone, Debug)]
pub struct Unplaced {
    /// The task.
    pub task: String,
    /// What is missing, and where it is asked for.
    pub problem: Problem,
}

impl CheckedPlan {
    /// Reads and checks the plan in a file.
    ///
    /// # Errors
    /// Exit 2 with all problems, each with file, line, column and what was expected.
    pub fn load(path: &Path, given: &BTreeMap<String, String>) -> Result<Self, Stop> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| Stop::file("read", path, &error))?;
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
                let column = valid.rsplit(|byte| *byte == b'\n').next().unwrap_or(&[]).len() + 1;
                return Err(Stop::usage(format!(
                    "{name}:{line}:{column}: error: not UTF-8: a plan is UTF-8 text"
                )));
            }
        };
        Self::check(Source { name, text }, given)
    }

    /// Checks the text of a plan.
    ///
    /// # Errors
    /// As [`CheckedPlan::load`].
    pub fn check(source: Source, given: &BTreeMap<String, String>) -> Result<Self, Stop> {
        check::check(source, given)
    }

    /// What people should know about its validations in a mesh of `peers` started from its agents.
    pub fn warnings(&self, peers: usize) -> Vec<String> {
        let can = |at: usize| {
            let agent = self.agents.get(at % self.agents.len().max(1));
            agent.is_some_and(|it| it.capabilities.iter().any(|it| it.as_str() == "validate"))
        };
        self.warnings_for((peers, (0..peers).filter(|at| can(*at)).count()))
    }

    /// The same for a mesh: of how many members, and of those that can `validate`.
    pub fn warnings_for(&self, (members, capable): (usize, usize)) -> Vec<String> {
        let said = self.plan.tasks.iter().filter_map(|task| {
            let validation = task.validate.as_ref()?;
            let voters = if validation.who == Who::All { members } else { capable };
            Some(format!("task `{}`: {}", task.name, validation.warning(voters)?))
        });
        said.collect()
    }

    /// Refuses a plan with tasks that none of its own agents can do.
    ///
    /// # Errors
    /// Exit 3, naming the missing capabilities.
    pub fn placed(&self) -> Result<(), Stop> {
        if self.unplaced.is_empty() {
            return Ok(());
        }
        let problems: Vec<Problem> = self.unplaced.iter().map(|it| it.problem.clone()).collect();
        Err(Stop::new(Exit::NoPeer, problem::render_all(&problems, &self.source)))
    }
}
