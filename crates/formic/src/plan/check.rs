use core::time::Duration;
use std::collections::BTreeMap;

use formic_consensus::SCORE_MAX;
use formic_core::{Blame, Fault};
use formic_node::{DIMENSION_NAMES, THRESHOLD_MIN};
use formic_work::{Needs, NeedsError};
use serde_json::Value;

use super::{
    Plan, PlannedTask,
    reference::{BadReference, Piece, pieces},
    result::{RESULT_MAX, shortest_result},
};
use crate::{Threshold, Validation};

/// The largest number of retries: a try's index in the plan's root is `position * TRIES + try`.
pub(super) const TRIES: u64 = 1_000_000;

/// Why a plan cannot be executed. The caller's fault; nothing was submitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// There is nothing to do.
    #[error("the plan has no tasks")]
    Empty,
    /// Two tasks have one name.
    #[error("two tasks are called {name:?}")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// A task needs one that does not exist.
    #[error("task {task:?} needs {need:?}, which does not exist")]
    UnknownNeed {
        /// The task.
        task: String,
        /// What it needs.
        need: String,
    },
    /// Tasks need each other.
    #[error("tasks need each other: {}", path.join(" -> "))]
    Cycle {
        /// Each needs the next; the last is the first.
        path: Vec<String>,
    },
    /// More tasks, or more needs of one task, than a graph may have.
    #[error(transparent)]
    Needs(NeedsError),
    /// A reference names a task that is not among the needs.
    #[error("task {task:?} refers to {other:?}, which is not in its needs")]
    NotNeeded {
        /// The task.
        task: String,
        /// What it refers to.
        other: String,
    },
    /// A reference names an output that its task does not declare.
    #[error("task {task:?} refers to output {file:?} of {other:?}, which declares no such output")]
    UnknownOutput {
        /// The task.
        task: String,
        /// The task it refers to.
        other: String,
        /// The output it refers to.
        file: String,
    },
    /// What stands in `${{ }}` is no reference.
    #[error(
        "task {task:?}: {found:?} is no reference: expected tasks.NAME.value or tasks.NAME.outputs.FILE"
    )]
    BadReference {
        /// The task.
        task: String,
        /// What was found.
        found: String,
    },
    /// A `${{` without `}}`.
    #[error("task {task:?}: a reference is not closed by }}}}")]
    UnclosedReference {
        /// The task.
        task: String,
    },
    /// A reference where a shell would interpret it.
    #[error(
        "task {task:?}: `run` must not contain ${{{{ }}}}, a shell would execute it: use `env`"
    )]
    ReferenceInRun {
        /// The task.
        task: String,
    },
    /// What a task's result has to reach is out of range.
    #[error("task {task:?}: validate: {what}")]
    BadValidation {
        /// The task.
        task: String,
        /// What is wrong.
        what: String,
    },
    /// Nobody but a task's author could judge its result.
    #[error(
        "task {task:?} is validated, and {found} peers have a vote: expected at least 2, nobody judges his own work"
    )]
    NoJudge {
        /// The task.
        task: String,
        /// How many have a vote.
        found: usize,
    },
    /// More retries than can be counted.
    #[error("task {task:?} has {retries} retries, at most {limit} are allowed")]
    TooManyRetries {
        /// The task.
        task: String,
        /// What it asks for.
        retries: u32,
        /// What is allowed.
        limit: u64,
    },
    /// So many tasks, or such long names, that even the outcomes alone exceed a result.
    #[error("the result of {tasks} tasks would have {size} bytes, at most {limit} fit")]
    TooManyTasks {
        /// How many.
        tasks: usize,
        /// Bytes of the shortest result.
        size: usize,
        /// Bytes that fit.
        limit: usize,
    },
    /// The plan's text exceeds a task's payload.
    #[error("the plan has {size} bytes, at most {limit} fit")]
    TooLarge {
        /// Bytes found.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
}

impl Blame for PlanError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }
}

impl Plan {
    /// Checks the plan whole, before anything starts.
    ///
    /// # Errors
    /// The first [`PlanError`] in the order of the plan.
    pub fn check(&self) -> Result<(), PlanError> {
        if self.tasks.is_empty() {
            return Err(PlanError::Empty);
        }
        let size = shortest_result(self);
        if size > RESULT_MAX {
            let tasks = self.tasks.len();
            return Err(PlanError::TooManyTasks { tasks, size, limit: RESULT_MAX });
        }
        let _checked = self.needs()?;
        let by_name = self.tasks.iter().map(|task| (task.name.as_str(), task)).collect();
        self.tasks.iter().try_for_each(|task| check_task(task, &by_name))
    }

    /// Who needs whom.
    pub(super) fn needs(&self) -> Result<Needs, PlanError> {
        let graph: Vec<(&str, Vec<&str>)> = (self.tasks.iter())
            .map(|task| (task.name.as_str(), task.needs.iter().map(String::as_str).collect()))
            .collect();
        Needs::new(&graph).map_err(|error| match error {
            NeedsError::Duplicate { name } => PlanError::Duplicate { name },
            NeedsError::Unknown { task, need } => PlanError::UnknownNeed { task, need },
            NeedsError::Cycle { path } => PlanError::Cycle { path },
            other => PlanError::Needs(other),
        })
    }
}

fn check_task(task: &PlannedTask, by_name: &BTreeMap<&str, &PlannedTask>) -> Result<(), PlanError> {
    let name = || task.name.clone();
    if u64::from(task.retries) >= TRIES {
        let limit = TRIES - 1;
        return Err(PlanError::TooManyRetries { task: name(), retries: task.retries, limit });
    }
    if let Some(validation) = &task.validate {
        let bad = |what| Err(PlanError::BadValidation { task: name(), what });
        if u64::from(validation.retries) >= TRIES {
            let (retries, limit) = (validation.retries, TRIES - 1);
            return Err(PlanError::TooManyRetries { task: name(), retries, limit });
        }
        if let Some(what) = flaw(validation) {
            return bad(what);
        }
    }
    if task.run.as_ref().is_some_and(|run| run.contains("${{")) {
        return Err(PlanError::ReferenceInRun { task: name() });
    }
    let mut texts: Vec<&str> = task.env.values().map(String::as_str).collect();
    collect_texts(&task.payload, &mut texts);
    texts.into_iter().try_for_each(|text| check_text(task, text, by_name))
}

fn flaw(validation: &Validation) -> Option<String> {
    let known = |name: &&String| DIMENSION_NAMES.contains(&name.as_str());
    if let Some(name) = validation.floors.keys().find(|name| !known(name)) {
        return Some(format!("{name:?} is no dimension: expected {}", DIMENSION_NAMES.join(", ")));
    }
    if let Some((name, floor)) = validation.floors.iter().find(|(_, floor)| **floor > SCORE_MAX) {
        return Some(format!("the floor of {name} is {floor} thousandths, expected at most 1000"));
    }
    match validation.threshold {
        Threshold::Share(share) if !(THRESHOLD_MIN..=1_000).contains(&share) => {
            return Some(format!("a threshold of {share} thousandths, expected 501 to 1000"));
        }
        Threshold::Share(_) | Threshold::Quorum => {}
    }
    let span = validation.deadline;
    let fits = (Duration::from_millis(100)..=Duration::from_secs(86_400)).contains(&span);
    (!fits).then(|| format!("a deadline of {span:?}, expected 100 ms to 24 h"))
}

fn collect_texts<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(items) => items.iter().for_each(|item| collect_texts(item, texts)),
        Value::Object(fields) => fields.values().for_each(|field| collect_texts(field, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn check_text(
    task: &PlannedTask,
    text: &str,
    by_name: &BTreeMap<&str, &PlannedTask>,
) -> Result<(), PlanError> {
    let name = task.name.clone();
    let pieces = match pieces(text) {
        Ok(pieces) => pieces,
        Err(BadReference::Unclosed) => return Err(PlanError::UnclosedReference { task: name }),
        Err(BadReference::Unknown { text }) => {
            return Err(PlanError::BadReference { task: name, found: text });
        }
    };
    for piece in pieces {
        let (other, file) = match piece {
            Piece::Text(_) => continue,
            Piece::Value { task } => (task, None),
            Piece::File { task, file } => (task, Some(file)),
        };
        if !task.needs.iter().any(|need| need == other) {
            return Err(PlanError::NotNeeded { task: name, other: other.to_owned() });
        }
        let declared = by_name.get(other).map(|other| &other.outputs);
        // An agent that is no command may name its files as it likes: only declared lists can be checked.
        if let (Some(file), Some(declared)) = (file, declared)
            && !declared.is_empty()
            && !declared.contains_key(file)
        {
            let (other, file) = (other.to_owned(), file.to_owned());
            return Err(PlanError::UnknownOutput { task: name, other, file });
        }
    }
    Ok(())
}
