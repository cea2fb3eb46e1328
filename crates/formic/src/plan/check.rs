use std::collections::{BTreeMap, BTreeSet};

use formic_core::{Blame, Fault};
use serde_json::Value;

use super::{
    Plan, PlannedTask,
    reference::{BadReference, Piece, pieces},
    result::{RESULT_MAX, shortest_result},
};

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
    #[error("task {task:?}: {found:?} is no reference: expected tasks.NAME.value or tasks.NAME.outputs.FILE")]
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
    #[error("task {task:?}: `run` must not contain ${{{{ }}}}, a shell would execute it: use `env`")]
    ReferenceInRun {
        /// The task.
        task: String,
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
        let by_name = self.by_name()?;
        for task in &self.tasks {
            check_task(task, &by_name)?;
        }
        self.check_cycles(&by_name)
    }

    fn by_name(&self) -> Result<BTreeMap<&str, &PlannedTask>, PlanError> {
        let mut by_name = BTreeMap::new();
        for task in &self.tasks {
            if by_name.insert(task.name.as_str(), task).is_some() {
                return Err(PlanError::Duplicate { name: task.name.clone() });
            }
        }
        Ok(by_name)
    }

    /// Kahn: takes away tasks without open needs; what remains has a cycle.
    fn check_cycles(&self, by_name: &BTreeMap<&str, &PlannedTask>) -> Result<(), PlanError> {
        let mut open: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut dependents: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for task in &self.tasks {
            open.insert(&task.name, task.needs.iter().map(String::as_str).collect());
            for need in &task.needs {
                dependents.entry(need).or_default().push(&task.name);
            }
        }
        let mut free: Vec<&str> =
            open.iter().filter(|(_, needs)| needs.is_empty()).map(|(name, _)| *name).collect();
        while let Some(done) = free.pop() {
            open.remove(done);
            for dependent in dependents.remove(done).unwrap_or_default() {
                if let Some(needs) = open.get_mut(dependent)
                    && needs.remove(done)
                    && needs.is_empty()
                {
                    free.push(dependent);
                }
            }
        }
        let Some((start, _)) = open.first_key_value() else { return Ok(()) };
        Err(PlanError::Cycle { path: cycle_from(start, &open, by_name.len()) })
    }
}

/// Every remaining task has an open need that remains too: following them ends in a cycle.
fn cycle_from(start: &str, open: &BTreeMap<&str, BTreeSet<&str>>, tasks: usize) -> Vec<String> {
    let mut path = vec![start];
    for _ in 0..tasks {
        let last = path.last().copied().unwrap_or(start);
        let next = open.get(last).and_then(|needs| needs.first().copied()).unwrap_or(start);
        let seen = path.iter().position(|name| *name == next);
        path.push(next);
        if let Some(first) = seen {
            return path.into_iter().skip(first).map(str::to_owned).collect();
        }
    }
    path.into_iter().map(str::to_owned).collect()
}

fn check_task(task: &PlannedTask, by_name: &BTreeMap<&str, &PlannedTask>) -> Result<(), PlanError> {
    let name = || task.name.clone();
    if let Some(need) = task.needs.iter().find(|need| !by_name.contains_key(need.as_str())) {
        return Err(PlanError::UnknownNeed { task: name(), need: need.clone() });
    }
    if u64::from(task.retries) >= TRIES {
        let limit = TRIES - 1;
        return Err(PlanError::TooManyRetries { task: name(), retries: task.retries, limit });
    }
    if task.run.as_ref().is_some_and(|run| run.contains("${{")) {
        return Err(PlanError::ReferenceInRun { task: name() });
    }
    let mut texts: Vec<&str> = task.env.values().map(String::as_str).collect();
    collect_texts(&task.payload, &mut texts);
    texts.into_iter().try_for_each(|text| check_text(task, text, by_name))
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
