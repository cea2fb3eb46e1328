use core::time::Duration;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use formic_completion::Spawn;
use formic_core::{Capability, Descriptor, JobId, Key, Life, Outcome};
use formic_node::{Case, LEASE_MAX, LEASE_MIN, Ruling};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use crate::Question;

/// What a body asks of its peer's driver.
#[derive(Debug)]
pub(crate) struct Command {
    /// The job.
    pub(crate) job: JobId,
    /// The task whose body asks.
    pub(crate) key: Key,
    /// Which execution at this peer: a stopped body may still ask while its successor runs.
    pub(crate) run: u64,
    /// What.
    pub(crate) ask: Ask,
}

/// The question itself.
#[derive(Debug)]
pub(crate) enum Ask {
    /// Spawn a child; answered with its key once the ledger has it.
    Spawn { index: u64, descriptor: Arc<Descriptor>, mode: Spawn, reply: oneshot::Sender<Key> },
    /// Wait for children (`None`: all spawned so far); gives the slot back meanwhile.
    Join { children: Option<Vec<Key>>, until: Until, reply: JoinReply },
    /// Have a result judged; answered with the ruling.
    Decide { case: Box<Case>, reply: oneshot::Sender<Ruling> },
    /// For the event log; newest wins.
    Progress { per_mille: u16, note: String },
    /// For the event log.
    Log { level: String, message: String },
}

/// When a join returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    All,
    Any,
}

/// Where the answer to a join goes.
pub(crate) type JoinReply = oneshot::Sender<Result<BTreeMap<Key, Outcome>, ContextError>>;

/// What a body spawns.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ChildSpec {
    /// What sort of work.
    pub kind: String,
    /// A name for people; default: the kind.
    pub name: Option<String>,
    /// Capabilities the executing peer must have.
    pub requires: Vec<Capability>,
    /// What to do.
    pub payload: Value,
    /// Which child this is: the same number in every attempt of the parent. Default: a counter of the calls, which
    /// is only right where calls come in the same order in every attempt.
    pub index: Option<u64>,
    /// How long one execution may take.
    pub wall: Option<Duration>,
    /// One valid body at a time, under a lease of this length (0.5 s to 10 min): for effects outside of the mesh. Its
    /// result has at most 1 KiB, and it spawns nothing.
    pub exclusive: Option<Duration>,
    /// How to run it; default: the parent's, without `run`, `env` and `outputs`.
    pub recipe: Option<crate::Recipe>,
}

impl ChildSpec {
    /// A child that any peer may execute.
    pub fn new(kind: impl Into<String>, payload: Value) -> Self {
        Self {
            kind: kind.into(),
            name: None,
            requires: Vec::new(),
            payload,
            index: None,
            wall: None,
            exclusive: None,
            recipe: None,
        }
    }

    /// With required capabilities.
    #[must_use]
    pub fn requires(mut self, requires: impl IntoIterator<Item = Capability>) -> Self {
        self.requires.extend(requires);
        self
    }

    /// With a name for people.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// With a fixed index.
    #[must_use]
    pub const fn index(mut self, index: u64) -> Self {
        self.index = Some(index);
        self
    }
}

const LEASES: core::ops::RangeInclusive<Duration> = LEASE_MIN..=LEASE_MAX;

/// Why a body could not spawn or join.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// The peer stops or the task was cancelled: return soon. The environment's fault.
    #[error("the task was cancelled or its peer stops")]
    Cancelled,
    /// Payload and recipe are larger than a task may carry. The caller's fault.
    #[error("the child's payload and recipe have {size} bytes, at most {limit} fit")]
    TooLarge {
        /// Bytes found.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The task is exclusive: whoever adopted its result would not know its children. The caller's fault.
    #[error("an exclusive task spawns no tasks")]
    Exclusive,
    /// The lease of an exclusive child is too short or too long. The caller's fault.
    #[error("a lease of {lease:?}, expected {LEASE_MIN:?} to {LEASE_MAX:?}")]
    Lease {
        /// What was asked for.
        lease: Duration,
    },
    /// This task does not wait for such a child: it spawned none with this key, or handed it over as a tail. The
    /// caller's fault.
    #[error("task {key} is no child that this task waits for")]
    NotAChild {
        /// The key.
        key: Key,
    },
}

impl From<ContextError> for crate::AgentError {
    fn from(error: ContextError) -> Self {
        Self::failed("context", error)
    }
}

/// A running body's handle to its peer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TaskContext {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    life: Life,
    peer_name: String,
    job: JobId,
    key: Key,
    run: u64,
    parent: Arc<Descriptor>,
    commands: mpsc::Sender<Command>,
    cancelled: watch::Receiver<bool>,
    next_index: AtomicU64,
}

impl TaskContext {
    pub(crate) fn new(
        (life, peer_name): (Life, String),
        (job, key, run): (JobId, Key, u64),
        parent: Arc<Descriptor>,
        commands: mpsc::Sender<Command>,
        cancelled: watch::Receiver<bool>,
    ) -> Self {
        let next_index = AtomicU64::new(0);
        Self {
            inner: Arc::new(Inner {
                life,
                peer_name,
                job,
                key,
                run,
                parent,
                commands,
                cancelled,
                next_index,
            }),
        }
    }

    /// The executing peer's life.
    pub fn life(&self) -> Life {
        self.inner.life
    }

    /// The executing peer's name.
    pub fn peer_name(&self) -> &str {
        &self.inner.peer_name
    }

    /// Spawns a child that this task waits for: the task is done only after it. Waits while the mesh holds back too
    /// much of this peer's work already.
    ///
    /// Cancel-safe: a dropped call may or may not have spawned the child; the same index finds it again.
    ///
    /// # Errors
    /// [`ContextError`]; nothing was spawned, or nobody is left to want it.
    pub async fn spawn(&self, child: ChildSpec) -> Result<Key, ContextError> {
        self.spawn_as(child, Spawn::Nested).await
    }

    /// Spawns a child and hands it over to whoever waits for this task, like a tail call: this task need not live
    /// until the child is done. Cancel-safe as [`TaskContext::spawn`].
    ///
    /// # Errors
    /// As [`TaskContext::spawn`].
    pub async fn spawn_tail(&self, child: ChildSpec) -> Result<Key, ContextError> {
        self.spawn_as(child, Spawn::Tail).await
    }

    async fn spawn_as(&self, child: ChildSpec, mode: Spawn) -> Result<Key, ContextError> {
        let counted = self.inner.next_index.fetch_add(1, Ordering::Relaxed);
        let index = child.index.unwrap_or(counted);
        if self.inner.parent.exclusive.is_some() {
            return Err(ContextError::Exclusive);
        }
        if let Some(lease) = child.exclusive.filter(|lease| !LEASES.contains(lease)) {
            return Err(ContextError::Lease { lease });
        }
        let descriptor = self.describe(child);
        let size = descriptor.payload.len() + descriptor.recipe.len();
        let limit = formic_core::DESCRIPTOR_MAX;
        if size > limit {
            return Err(ContextError::TooLarge { size, limit });
        }
        let (reply, answer) = oneshot::channel();
        let descriptor = Arc::new(descriptor);
        self.ask(Ask::Spawn { index, descriptor, mode, reply }).await?;
        answer.await.map_err(|_| ContextError::Cancelled)
    }

    fn describe(&self, child: ChildSpec) -> Descriptor {
        let mut requires = child.requires;
        requires.sort();
        requires.dedup();
        let recipe = match child.recipe {
            Some(recipe) => serde_json::to_vec(&recipe).unwrap_or_default(),
            None => inherited(&self.inner.parent.recipe),
        };
        Descriptor {
            name: child.name.unwrap_or_else(|| child.kind.clone()),
            kind: child.kind,
            requires,
            payload: child.payload.to_string().into_bytes(),
            recipe,
            wall: child.wall,
            exclusive: child.exclusive,
        }
    }

    /// Waits until all of `children` are done and returns how each ended. The task's slot is given back meanwhile and
    /// regained, ahead of new tasks, before this returns.
    ///
    /// One join at a time gives the slot back: where two are awaited together, the body holds the slot again as soon
    /// as one of them returns.
    ///
    /// Cancel-safe: a dropped call leaves the children as they are; the slot is regained at the body's next call.
    ///
    /// # Errors
    /// [`ContextError::Cancelled`], [`ContextError::NotAChild`].
    pub async fn join(&self, children: &[Key]) -> Result<BTreeMap<Key, Outcome>, ContextError> {
        self.join_as(Some(children.to_vec()), Until::All).await
    }

    /// As [`TaskContext::join`], for all children spawned so far; own tails and tails of children are not waited for, but the
    /// task itself is done only after the latter. Cancel-safe.
    ///
    /// # Errors
    /// [`ContextError::Cancelled`].
    pub async fn join_all(&self) -> Result<BTreeMap<Key, Outcome>, ContextError> {
        self.join_as(None, Until::All).await
    }

    /// As [`TaskContext::join`], but returns as soon as at least one is done, with all that are.
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`ContextError::Cancelled`], [`ContextError::NotAChild`].
    pub async fn join_any(&self, children: &[Key]) -> Result<BTreeMap<Key, Outcome>, ContextError> {
        self.join_as(Some(children.to_vec()), Until::Any).await
    }

    async fn join_as(
        &self,
        children: Option<Vec<Key>>,
        until: Until,
    ) -> Result<BTreeMap<Key, Outcome>, ContextError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Ask::Join { children, until, reply }).await?;
        answer.await.map_err(|_| ContextError::Cancelled)?
    }

    /// Has the result of a task judged by voters, and waits for what they decide. The peer that executed the task does not
    /// judge its own work, if it is a child of this one.
    ///
    /// The same question asked again, by this execution or by another of the same task, finds the same decision.
    /// Cancel-safe: a dropped call leaves the question asked. The slot is not given back meanwhile.
    ///
    /// # Errors
    /// [`ContextError::Cancelled`]. What cannot be asked is [`Ruling::Undecided`].
    pub async fn decide(&self, question: Question) -> Result<Ruling, ContextError> {
        let (reply, answer) = oneshot::channel();
        let case = Box::new(question.into_case());
        self.ask(Ask::Decide { case, reply }).await?;
        answer.await.map_err(|_| ContextError::Cancelled)
    }

    /// Reports progress in thousandths: for the event log and the progress bar; newest wins, at most 10 a second are
    /// recorded.
    pub fn progress(&self, per_mille: u16, note: impl Into<String>) {
        let note = note.into();
        // A full queue drops it: progress is a courtesy, newest wins.
        drop(self.inner.commands.try_send(self.command(Ask::Progress { per_mille, note })));
    }

    /// Writes a line to the event log.
    pub fn log(&self, level: impl Into<String>, message: impl Into<String>) {
        let (level, message) = (level.into(), message.into());
        drop(self.inner.commands.try_send(self.command(Ask::Log { level, message })));
    }

    /// Resolves when the task is cancelled or its peer stops. Cancel-safe.
    pub async fn cancelled(&self) {
        let mut cancelled = self.inner.cancelled.clone();
        // A dropped sender means that the driver is gone, which is the same for a body.
        drop(cancelled.wait_for(|cancelled| *cancelled).await);
    }

    async fn ask(&self, ask: Ask) -> Result<(), ContextError> {
        self.inner.commands.send(self.command(ask)).await.map_err(|_| ContextError::Cancelled)
    }

    fn command(&self, ask: Ask) -> Command {
        Command { job: self.inner.job, key: self.inner.key, run: self.inner.run, ask }
    }
}

/// A child runs with its parent's agent, but not with its parent's command line.
fn inherited(recipe: &[u8]) -> Vec<u8> {
    let Ok(mut recipe) = serde_json::from_slice::<crate::Recipe>(recipe) else {
        return Vec::new();
    };
    recipe.run = None;
    recipe.env.clear();
    recipe.outputs.clear();
    serde_json::to_vec(&recipe).unwrap_or_default()
}
