//! The body of a job's root: executes a plan.

use std::collections::{BTreeMap, VecDeque};

use formic_consensus::Outcome as Verdict;
use formic_core::{Key, Outcome, Output};
use formic_node::Ruling;
use formic_work::{Ended, Needs};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    Plan, PlanError, PlanResult, PlannedTask, TaskResult,
    check::TRIES,
    reference::{Missing, Results, as_text, substitute, substitute_text},
};
use crate::{
    AgentError, ChildSpec, ContextError, Done, Question, Recipe, TaskContext, Validation, Voters,
    question::case_name,
};

/// Executes the plan in `payload`: a task starts when its needs ended well, is cancelled when one did not, and is
/// tried again as often as the plan says.
///
/// Deterministic: a second execution of the same root spawns the same children, so that results which are in a ledger
/// already are found and not computed again.
pub(crate) async fn run(payload: &[u8], context: &TaskContext) -> Result<Done, AgentError> {
    let plan: Plan =
        serde_json::from_slice(payload).map_err(|error| AgentError::failed("bad-plan", error))?;
    plan.check().map_err(|error| AgentError::failed("bad-plan", error))?;
    let mut execution =
        Execution::of(&plan).map_err(|error| AgentError::failed("bad-plan", error))?;
    loop {
        execution.spawn_ready(context).await?;
        let running: Vec<Key> = execution.running.keys().copied().collect();
        if running.is_empty() && execution.judged.is_empty() {
            return Ok(Done::from(execution.result().into_value()));
        }
        tokio::select! {
            done = context.join_any(&running), if !running.is_empty() => {
                for (key, outcome) in done? {
                    execution.on_done((key, outcome), context)?;
                }
            }
            Some(judged) = execution.judged.join_next() => {
                let judged = judged.map_err(|error| AgentError::failed("panicked", error))?;
                execution.on_judged(judged)?;
            }
        }
    }
}

/// A result about which voters were asked: position and tries before, the result, what they say.
type Judged = ((usize, u32), Outcome, Result<Ruling, ContextError>);

struct Execution<'a> {
    tasks: &'a [PlannedTask],
    voters: Voters,
    /// Results that wait for their voters.
    judged: JoinSet<Judged>,
    /// Positions in the plan.
    positions: BTreeMap<&'a str, usize>,
    needs: Needs,
    /// To be spawned: position, tries that failed before.
    ready: VecDeque<(usize, u32)>,
    running: BTreeMap<Key, (usize, u32)>,
    outcomes: BTreeMap<&'a str, Outcome>,
}

impl<'a> Execution<'a> {
    fn of(plan: &'a Plan) -> Result<Self, PlanError> {
        let needs = plan.needs()?;
        let positions: BTreeMap<&str, usize> =
            plan.tasks.iter().enumerate().map(|(at, task)| (task.name.as_str(), at)).collect();
        let ready = needs.ready().into_iter().map(|name| (positions[name], 0)).collect();
        let (running, outcomes) = (BTreeMap::new(), BTreeMap::new());
        let (voters, judged) = (plan.voters.clone().unwrap_or_default(), JoinSet::new());
        let tasks = &plan.tasks;
        Ok(Self { tasks, voters, judged, positions, needs, ready, running, outcomes })
    }

    async fn spawn_ready(&mut self, context: &TaskContext) -> Result<(), AgentError> {
        while let Some((position, tried)) = self.ready.pop_front() {
            let child = child(&self.tasks[position], (position, tried), &self.results());
            let failure = match child {
                Ok(child) => match context.spawn(child).await {
                    Ok(key) => {
                        self.running.insert(key, (position, tried));
                        continue;
                    }
                    Err(error @ ContextError::TooLarge { .. }) => ("too-large", error.to_string()),
                    Err(other) => return Err(other.into()),
                },
                Err(Missing(what)) => ("reference", what),
            };
            self.on_ended(position, Outcome::failed(failure.0, failure.1))?;
        }
        Ok(())
    }

    /// Outputs of the tasks that ended well.
    fn results(&self) -> Results<'_> {
        let outcomes = self.outcomes.iter();
        outcomes
            .filter_map(|(name, outcome)| match outcome {
                Outcome::Ok(output) => Some((*name, output)),
                _ => None,
            })
            .collect()
    }

    fn on_done(
        &mut self,
        (key, outcome): (Key, Outcome),
        context: &TaskContext,
    ) -> Result<(), AgentError> {
        let Some((position, tried)) = self.running.remove(&key) else { return Ok(()) };
        if let (Some(validation), Outcome::Ok(output)) = (&self.tasks[position].validate, &outcome)
        {
            let question = self.question((key, position, tried), validation, output);
            let context = context.clone();
            self.judged.spawn(async move {
                let ruling = context.decide(question).await;
                ((position, tried), outcome, ruling)
            });
            return Ok(());
        }
        let again = matches!(outcome, Outcome::Failed(_) | Outcome::Expired { .. });
        if again && tried < self.tasks[position].retries {
            self.ready.push_back((position, tried + 1));
            return Ok(());
        }
        self.on_ended(position, outcome)
    }

    /// What the voters are asked about a result: they see it, the task's name and the floors.
    fn question(
        &self,
        (key, position, tried): (Key, usize, u32),
        validation: &Validation,
        output: &Output,
    ) -> Question {
        let name = &self.tasks[position].name;
        let voters = self.voters.who(validation.who).to_vec();
        let policy = validation.policy(voters.len());
        let value: Value = serde_json::from_slice(&output.value).unwrap_or_default();
        let mut recipe = validation.recipe.clone();
        if let Some(recipe) = &mut recipe {
            recipe.env.insert("TASK".to_owned(), name.clone());
            recipe.env.insert("VALUE".to_owned(), as_text(value.clone()));
        }
        let mut question = Question::new(key, case_name(name), voters, policy);
        question.attempt = tried;
        question.shown = json!({
            "task": name,
            "value": value,
            "files": output.files,
            "floors": validation.floors,
        });
        question.recipe = recipe;
        question
    }

    /// Approved: the result stands. Else the task has failed, and may be tried again.
    fn on_judged(&mut self, judged: Judged) -> Result<(), AgentError> {
        let ((position, tried), outcome, ruling) = judged;
        let reason = match ruling? {
            Ruling::Undecided { reason } => reason,
            Ruling::Decided(decision) => match decision.check(None) {
                Ok(judgement) if judgement.outcome() == Verdict::Approved => {
                    return self.on_ended(position, outcome);
                }
                Ok(judgement) => judgement.in_words(),
                Err(error) => error.to_string(),
            },
        };
        let retries = self.tasks[position].validate.as_ref().map_or(0, |it| it.retries);
        if tried < retries {
            self.ready.push_back((position, tried + 1));
            return Ok(());
        }
        self.on_ended(position, Outcome::failed("not-approved", reason))
    }

    /// A task's last try is over: its dependents start, or are cancelled.
    fn on_ended(&mut self, position: usize, outcome: Outcome) -> Result<(), AgentError> {
        let name = self.tasks[position].name.as_str();
        let ended = if outcome.is_ok() { Ended::Well } else { Ended::Badly };
        let step =
            self.needs.done(name, ended).map_err(|error| AgentError::failed("bad-plan", error))?;
        self.outcomes.insert(name, outcome);
        self.ready.extend(step.ready.iter().map(|name| (self.positions[name.as_str()], 0)));
        for (name, need) in step.cancelled {
            let how = match self.outcomes.get(need.as_str()).map_or("cancelled", Outcome::word) {
                "failed" => "failed",
                "expired" => "expired",
                _ => "was cancelled",
            };
            let name = self.tasks[self.positions[name.as_str()]].name.as_str();
            let reason = format!("needs {need}, which {how}");
            self.outcomes.insert(name, Outcome::Cancelled { reason });
        }
        Ok(())
    }

    fn result(&self) -> PlanResult {
        let entry =
            |(name, outcome): (&&str, &Outcome)| ((*name).to_owned(), TaskResult::of(outcome));
        PlanResult { tasks: self.outcomes.iter().map(entry).collect() }
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
    spec.exclusive = task.exclusive;
    spec.recipe = recipe;
    Ok(spec)
}
