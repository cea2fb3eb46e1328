//! The body of a job's root: executes a plan.

use std::collections::BTreeMap;

use formic_core::{Key, Outcome};

use super::{
    Plan, PlanResult, PlannedTask, TaskResult,
    check::TRIES,
    reference::{Missing, Results, as_text, substitute, substitute_text},
};
use crate::{AgentError, ChildSpec, ContextError, Done, Recipe, TaskContext};

/// Executes the plan in `payload`: a task starts when its needs ended well, is cancelled when one did not, and is
/// tried again as often as the plan says.
///
/// Deterministic: a second execution of the same root spawns the same children, so that results which are in a ledger
/// already are found and not computed again.
pub(crate) async fn run(payload: &[u8], context: &TaskContext) -> Result<Done, AgentError> {
    let plan: Plan =
        serde_json::from_slice(payload).map_err(|error| AgentError::failed("bad-plan", error))?;
    plan.check().map_err(|error| AgentError::failed("bad-plan", error))?;
    let mut execution = Execution::of(&plan);
    loop {
        execution.spawn_ready(context).await?;
        let running: Vec<Key> = execution.running.keys().copied().collect();
        if running.is_empty() {
            return Ok(Done::from(execution.result().into_value()));
        }
        for (key, outcome) in context.join_any(&running).await? {
            execution.on_done(key, outcome);
        }
    }
}

struct Execution<'a> {
    plan: &'a Plan,
    /// By position in the plan.
    states: Vec<State>,
    /// Which task each running child executes.
    running: BTreeMap<Key, usize>,
}

#[derive(Clone, Debug)]
enum State {
    /// Not spawned yet; `tried` tries failed before.
    Waiting { tried: u32 },
    Running { tried: u32 },
    Ended(Outcome),
}

impl<'a> Execution<'a> {
    fn of(plan: &'a Plan) -> Self {
        let states = vec![State::Waiting { tried: 0 }; plan.tasks.len()];
        Self { plan, states, running: BTreeMap::new() }
    }

    async fn spawn_ready(&mut self, context: &TaskContext) -> Result<(), ContextError> {
        self.cancel_dependents();
        for (position, tried, child) in self.ready() {
            self.states[position] = match child {
                Ok(child) => match context.spawn(child).await {
                    Ok(key) => {
                        self.running.insert(key, position);
                        State::Running { tried }
                    }
                    Err(error @ ContextError::TooLarge { .. }) => {
                        State::Ended(Outcome::failed("too-large", error.to_string()))
                    }
                    Err(other) => return Err(other),
                },
                Err(Missing(what)) => State::Ended(Outcome::failed("reference", what)),
            };
        }
        // A task that could not even be spawned takes its dependents with it.
        self.cancel_dependents();
        Ok(())
    }

    fn ready(&self) -> Vec<(usize, u32, Result<ChildSpec, Missing>)> {
        let results = self.results();
        let tasks = self.plan.tasks.iter().zip(&self.states).enumerate();
        tasks
            .filter_map(|(position, (task, state))| match state {
                State::Waiting { tried }
                    if task.needs.iter().all(|need| results.contains_key(need.as_str())) =>
                {
                    Some((position, *tried, child(task, (position, *tried), &results)))
                }
                _ => None,
            })
            .collect()
    }

    /// Outputs of the tasks that ended well.
    fn results(&self) -> Results<'_> {
        let tasks = self.plan.tasks.iter().zip(&self.states);
        tasks
            .filter_map(|(task, state)| match state {
                State::Ended(Outcome::Ok(output)) => Some((task.name.as_str(), output)),
                _ => None,
            })
            .collect()
    }

    /// N4: a need that ended otherwise cancels its dependents, transitively.
    fn cancel_dependents(&mut self) {
        let mut broken: BTreeMap<&str, &'static str> = BTreeMap::new();
        loop {
            for (task, state) in self.plan.tasks.iter().zip(&self.states) {
                if let State::Ended(outcome) = state
                    && !outcome.is_ok()
                {
                    broken.insert(&task.name, outcome.word());
                }
            }
            let mut changed = false;
            for (task, state) in self.plan.tasks.iter().zip(&mut self.states) {
                let need = task.needs.iter().find_map(|need| broken.get_key_value(need.as_str()));
                if let (State::Waiting { .. }, Some((need, word))) = (&*state, need) {
                    let was = if *word == "failed" { "" } else { "was " };
                    let reason = format!("needs {need}, which {was}{word}");
                    *state = State::Ended(Outcome::Cancelled { reason });
                    changed = true;
                }
            }
            if !changed {
                return;
            }
        }
    }

    fn on_done(&mut self, key: Key, outcome: Outcome) {
        let Some(position) = self.running.remove(&key) else { return };
        let State::Running { tried } = self.states[position] else { return };
        let again = matches!(outcome, Outcome::Failed(_) | Outcome::Expired { .. });
        self.states[position] = if again && tried < self.plan.tasks[position].retries {
            State::Waiting { tried: tried + 1 }
        } else {
            State::Ended(outcome)
        };
    }

    fn result(&self) -> PlanResult {
        let never = Outcome::Cancelled { reason: "never ready".to_owned() };
        let tasks = self.plan.tasks.iter().zip(&self.states).map(|(task, state)| {
            let outcome = if let State::Ended(outcome) = state { outcome } else { &never };
            (task.name.clone(), TaskResult::of(outcome))
        });
        PlanResult { tasks: tasks.collect() }
    }
}

/// What to spawn for a try of a task whose needs ended well.
fn child(
    task: &PlannedTask,
    (position, tried): (usize, u32),
    results: &Results<'_>,
) -> Result<ChildSpec, Missing> {
    let mut env = BTreeMap::new();
    for (name, text) in &task.env {
        env.insert(name.clone(), as_text(substitute_text(text, results)?));
    }
    let recipe = task.agent.clone().map(|agent| Recipe {
        agent,
        run: task.run.clone(),
        env,
        outputs: task.outputs.clone(),
    });
    let kind = task.kind.clone().unwrap_or_else(|| task.name.clone());
    let mut spec = ChildSpec::new(kind, substitute(&task.payload, results)?)
        .requires(task.requires.iter().cloned())
        .name(&task.name)
        .index(position as u64 * TRIES + u64::from(tried));
    spec.wall = task.wall;
    spec.recipe = recipe;
    Ok(spec)
}
