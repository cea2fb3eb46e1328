use core::time::Duration;
use std::collections::BTreeMap;

use async_trait::async_trait;
use formic::{
    ChildSpec, ContextError, Fence, JobId, Key, Life, Outcome, Recipe, Task, TaskContext,
};
use serde_json::Value;

/// One execution, as the adapters need it.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) job: JobId,
    pub(crate) key: Key,
    pub(crate) attempt: u16,
    pub(crate) fence: Option<Fence>,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) payload: Value,
    pub(crate) recipe: Option<Recipe>,
    pub(crate) wall: Option<Duration>,
}

impl From<Task> for Work {
    fn from(task: Task) -> Self {
        Self {
            job: task.job,
            key: task.key,
            attempt: task.attempt,
            fence: task.fence,
            kind: task.kind,
            name: task.name,
            payload: task.payload,
            recipe: task.recipe,
            wall: task.wall,
        }
    }
}

/// Who waits for a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tie {
    /// Its parent.
    Nested,
    /// Whoever waits for its parent.
    Tail,
}

/// What a join waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// All children spawned so far.
    Everything,
    /// All of these.
    All(Vec<Key>),
    /// At least one of these.
    Any(Vec<Key>),
}

/// What an adapter asks of the peer on behalf of a task. [`TaskContext`] outside of tests.
#[async_trait]
pub(crate) trait Host: Send + Sync + 'static {
    fn life(&self) -> Life;
    fn peer_name(&self) -> &str;
    async fn spawn(&self, child: ChildSpec, tie: Tie) -> Result<Key, ContextError>;
    async fn join(&self, wait: Wait) -> Result<BTreeMap<Key, Outcome>, ContextError>;
    fn progress(&self, per_mille: u16, note: String);
    fn log(&self, level: &str, message: String);
    async fn cancelled(&self);
}

#[async_trait]
impl Host for TaskContext {
    fn life(&self) -> Life {
        Self::life(self)
    }

    fn peer_name(&self) -> &str {
        Self::peer_name(self)
    }

    async fn spawn(&self, child: ChildSpec, tie: Tie) -> Result<Key, ContextError> {
        match tie {
            Tie::Nested => Self::spawn(self, child).await,
            Tie::Tail => self.spawn_tail(child).await,
        }
    }

    async fn join(&self, wait: Wait) -> Result<BTreeMap<Key, Outcome>, ContextError> {
        match wait {
            Wait::Everything => self.join_all().await,
            Wait::All(children) => Self::join(self, &children).await,
            Wait::Any(children) => self.join_any(&children).await,
        }
    }

    fn progress(&self, per_mille: u16, note: String) {
        Self::progress(self, per_mille, note);
    }

    fn log(&self, level: &str, message: String) {
        Self::log(self, level, message);
    }

    async fn cancelled(&self) {
        Self::cancelled(self).await;
    }
}

#[cfg(test)]
pub(crate) mod double;
