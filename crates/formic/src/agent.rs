use core::{fmt, future::Future, time::Duration};

use async_trait::async_trait;
use formic_core::{Capability, JobId, Key, Outcome, Output, OutputFile};
use serde_json::Value;

use crate::{Recipe, TaskContext};

/// Code that executes tasks.
#[async_trait]
pub trait Agent: Send + Sync + 'static {
    /// What it is and can do. Constant for the agent's life.
    fn describe(&self) -> Description;

    /// Executes one task. Called at most `slots` times at once, not counting bodies that wait in `join`.
    ///
    /// Cancel-safe by contract: when the task is cancelled the future gets a grace time, in which
    /// [`TaskContext::cancelled`] resolves, and is then dropped.
    async fn run(&self, task: Task, context: TaskContext) -> Result<Done, AgentError>;

    /// The peer stops: end processes and connections within `grace`. Cancel-safe.
    async fn close(&self, _grace: Duration) {}
}

/// Opens the agent that a recipe names, on peers that have none of their own for a task.
#[async_trait]
pub trait Adapters: Send + Sync + 'static {
    /// The agent for this recipe; the same one for equal agent specifications.
    ///
    /// # Errors
    /// The adapter or its binary does not exist here; becomes the task's failure.
    async fn open(&self, recipe: &Recipe) -> Result<std::sync::Arc<dyn Agent>, AgentError>;

    /// The peer stops: close all opened agents. Cancel-safe.
    async fn close(&self, grace: Duration);
}

/// What an agent is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// Its name in logs.
    pub name: String,
    /// What it can do; becomes part of its peer's capabilities.
    pub capabilities: Vec<Capability>,
    /// How many tasks it works on at once, at least 1.
    pub slots: u32,
}

impl Description {
    /// An agent with one slot.
    pub fn new(name: impl Into<String>, capabilities: Vec<Capability>) -> Self {
        Self { name: name.into(), capabilities, slots: 1 }
    }

    /// With this many slots.
    #[must_use]
    pub const fn slots(mut self, slots: u32) -> Self {
        self.slots = slots;
        self
    }
}

/// One execution of a task.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Task {
    /// The job it belongs to.
    pub job: JobId,
    /// Which task: the same for all attempts.
    pub key: Key,
    /// Which attempt, from 1; more than 1 after a peer was lost.
    pub attempt: u16,
    /// What to show outside, if the task is exclusive.
    pub fence: Option<crate::Fence>,
    /// What sort of work.
    pub kind: String,
    /// A name for people.
    pub name: String,
    /// Capabilities it asked for: sorted, unique.
    pub requires: Vec<Capability>,
    /// What to do.
    pub payload: Value,
    /// How to run it, if the plan says so.
    pub recipe: Option<Recipe>,
    /// How long this execution may take.
    pub wall: Option<Duration>,
}

/// What an agent returns for a task it did.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Done {
    /// The result, at most 4 KiB of JSON text.
    pub value: Value,
    /// Files it produced.
    pub files: Vec<OutputFile>,
}

impl Done {
    /// A result with files.
    pub const fn with_files(value: Value, files: Vec<OutputFile>) -> Self {
        Self { value, files }
    }
}

impl From<Value> for Done {
    fn from(value: Value) -> Self {
        Self { value, files: Vec::new() }
    }
}

/// Why an agent could not do a task. A fact: never retried silently, the plan's `retry` decides.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
#[non_exhaustive]
#[expect(
    clippy::struct_excessive_bools,
    reason = "two independent facts, each set by a constructor"
)]
pub struct AgentError {
    /// A short word for programs: `failed`, `crashed`, `protocol`, `flood`, ...
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// Whether another try may succeed.
    pub retryable: bool,
    /// A limit was hit rather than a failure met: the outcome is `Expired`.
    pub expired: bool,
}

impl AgentError {
    /// The task failed.
    pub fn failed(code: impl Into<String>, message: impl fmt::Display) -> Self {
        Self { code: code.into(), message: message.to_string(), retryable: false, expired: false }
    }

    /// A limit such as `wall` was hit.
    pub fn expired(message: impl fmt::Display) -> Self {
        Self {
            code: "expired".to_owned(),
            message: message.to_string(),
            retryable: true,
            expired: true,
        }
    }

    /// The same, marked retryable.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }
}

/// An agent made of an async closure.
///
/// `capabilities` are checked names; see [`Capability`].
pub fn agent_fn<F, R>(description: Description, body: F) -> impl Agent
where
    F: Fn(Task, TaskContext) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Done, AgentError>> + Send + 'static,
{
    AgentFn { description, body }
}

struct AgentFn<F> {
    description: Description,
    body: F,
}

#[async_trait]
impl<F, R> Agent for AgentFn<F>
where
    F: Fn(Task, TaskContext) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Done, AgentError>> + Send + 'static,
{
    fn describe(&self) -> Description {
        self.description.clone()
    }

    async fn run(&self, task: Task, context: TaskContext) -> Result<Done, AgentError> {
        (self.body)(task, context).await
    }
}

/// The JSON value of a task that ended well, e.g. of a child that was joined.
pub fn value_of(outcome: &Outcome) -> Option<Value> {
    match outcome {
        Outcome::Ok(output) => serde_json::from_slice(&output.value).ok(),
        Outcome::Failed(_) | Outcome::Expired { .. } | Outcome::Cancelled { .. } => None,
    }
}

/// How a body's end looks to the protocols: values above `value_max` bytes are refused, long messages cut.
pub(crate) fn outcome_of(result: Result<Done, AgentError>, value_max: usize) -> Outcome {
    let done = match result {
        Ok(done) => done,
        Err(error) if error.expired => {
            return Outcome::Expired { reason: cut(error.message) };
        }
        Err(error) => {
            return Outcome::Failed(formic_core::Failure {
                code: error.code,
                message: cut(error.message),
                retryable: error.retryable,
            });
        }
    };
    let value = done.value.to_string().into_bytes();
    if value.len() > value_max {
        return Outcome::failed(
            "value-too-large",
            format!(
                "the value has {} bytes, at most {value_max} fit; write larger results to an output file",
                value.len(),
            ),
        );
    }
    let mut files = done.files;
    files.sort();
    Outcome::Ok(Output { value, files })
}

fn cut(mut message: String) -> String {
    const MAX: usize = 1_024;
    if message.len() > MAX {
        let end = (0..=MAX).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
        message.truncate(end);
        message.push('…');
    }
    message
}
