use std::{collections::BTreeMap, io, sync::Arc};

use serde_json::Value;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    sync::{Semaphore, mpsc, oneshot},
};

use super::Answers;
use crate::protocol::{
    self, All, ChildMessage, ChildOutcome, Children, FromAgent, JoinMessage, ResultMessage,
    SpawnMessage,
};

/// Requests of one task on their way at once; below what hosts allow.
const REQUESTS: usize = 64;

/// An encoded message.
pub(super) struct Line(pub(super) Vec<u8>);

/// Who waits for which answer.
#[derive(Debug, Default)]
pub(super) struct Table {
    next: u64,
    open: BTreeMap<String, oneshot::Sender<ResultMessage>>,
}

pub(super) type Waiting = Arc<Answers>;

/// Writes lines, flushing when none waits.
pub(super) async fn write<W: AsyncWrite + Unpin>(
    mut output: W,
    mut queue: mpsc::Receiver<Line>,
) -> io::Result<()> {
    while let Some(Line(line)) = queue.recv().await {
        output.write_all(&line).await?;
        if queue.is_empty() {
            output.flush().await?;
        }
    }
    output.shutdown().await
}

pub(super) async fn settle(waiting: &Waiting, result: ResultMessage) {
    let asker = waiting.lock().await.open.remove(&result.re);
    // None: the body was cancelled meanwhile.
    if let Some(asker) = asker {
        drop(asker.send(result));
    }
}

/// Why the host did not do what a body asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The host refused. Whose fault it is, its code tells.
    #[error("the host refused: {code}: {message}")]
    Refused {
        /// A short word for programs.
        code: String,
        /// A sentence for people.
        message: String,
    },
    /// The host is gone. The environment's fault.
    #[error("the host is gone")]
    Gone,
    /// The answer lacks what was asked for. The host's fault.
    #[error("the host's answer has no {0}")]
    Malformed(&'static str),
}

/// A child to spawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// What sort of work.
    pub kind: String,
    /// A name for people.
    pub name: String,
    /// Capabilities the executing peer must have.
    pub requires: Vec<String>,
    /// What to do.
    pub payload: Value,
    /// Which child this is: the same number in every attempt of the parent.
    pub index: u64,
}

/// A body's handle to its host. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    task: String,
    lines: mpsc::Sender<Line>,
    waiting: Waiting,
    room: Arc<Semaphore>,
}

impl core::fmt::Debug for Line {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl Handle {
    pub(super) fn new(task: String, lines: mpsc::Sender<Line>, waiting: Waiting) -> Self {
        let room = Arc::new(Semaphore::new(REQUESTS));
        Self { task, lines, waiting, room }
    }

    /// Spawns a child; its key once the ledger has it. Cancel-safe: the same index finds it again.
    ///
    /// # Errors
    /// The host refused or is gone.
    pub async fn spawn(&self, child: Child) -> Result<String, RequestError> {
        let child = ChildMessage {
            kind: child.kind,
            name: Some(child.name),
            requires: child.requires,
            payload: child.payload,
            index: Some(child.index),
            ..ChildMessage::default()
        };
        let task = self.task.clone();
        let asked = |id| FromAgent::Spawn(SpawnMessage { id, task, tail: false, child });
        self.ask(asked).await?.key.ok_or(RequestError::Malformed("key"))
    }

    /// Waits until all these children are done; the slot is free meanwhile. Cancel-safe.
    ///
    /// # Errors
    /// The host refused or is gone.
    pub async fn join(
        &self,
        children: Vec<String>,
    ) -> Result<BTreeMap<String, ChildOutcome>, RequestError> {
        self.join_as(Children::Listed(children)).await
    }

    /// Waits for all children spawned so far. Cancel-safe.
    ///
    /// # Errors
    /// The host refused or is gone.
    pub async fn join_all(&self) -> Result<BTreeMap<String, ChildOutcome>, RequestError> {
        self.join_as(Children::Word(All::All)).await
    }

    async fn join_as(
        &self,
        children: Children,
    ) -> Result<BTreeMap<String, ChildOutcome>, RequestError> {
        let task = self.task.clone();
        let asked = |id| FromAgent::Join(JoinMessage { id, task, children, any: false });
        self.ask(asked).await?.outcomes.ok_or(RequestError::Malformed("outcomes"))
    }

    /// Reports progress in thousandths, unless the host is slow to read.
    pub fn progress(&self, per_mille: u16, note: impl Into<String>) {
        let (task, note) = (self.task.clone(), note.into());
        self.say(&FromAgent::Progress { task, per_mille, note });
    }

    /// Writes to the event log, unless the host is slow to read.
    pub fn log(&self, level: impl Into<String>, message: impl Into<String>) {
        let (level, message) = (level.into(), message.into());
        self.say(&FromAgent::Log { level, message, task: Some(self.task.clone()) });
    }

    fn say(&self, message: &FromAgent) {
        // A full queue drops it: both are courtesies, and a body must not wait for them.
        drop(self.lines.try_send(Line(protocol::encode(message))));
    }

    async fn ask(
        &self,
        message: impl FnOnce(String) -> FromAgent,
    ) -> Result<ResultMessage, RequestError> {
        let _room = self.room.acquire().await.map_err(|_| RequestError::Gone)?;
        let (reply, answer) = oneshot::channel();
        let id = {
            let mut table = self.waiting.lock().await;
            // Askers that were cancelled leave a closed end behind.
            table.open.retain(|_, asker| !asker.is_closed());
            table.next += 1;
            let id = format!("r{}", table.next);
            table.open.insert(id.clone(), reply);
            id
        };
        let line = Line(protocol::encode(&message(id)));
        self.lines.send(line).await.map_err(|_| RequestError::Gone)?;
        let result = answer.await.map_err(|_| RequestError::Gone)?;
        if result.ok {
            return Ok(result);
        }
        let code = result.code.unwrap_or_else(|| "refused".to_owned());
        Err(RequestError::Refused { code, message: result.message.unwrap_or_default() })
    }
}
