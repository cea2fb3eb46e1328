//! The other side of the protocol: a worker in Rust over any pair of streams.

use core::future::Future;
use std::{collections::BTreeMap, io, sync::Arc};

use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Mutex, mpsc},
    task::JoinSet,
};

use crate::{
    lines::{Line, Lines},
    protocol::{
        self, DoneMessage, FailedMessage, FromAgent, FromHost, LineError, PROTOCOL, Ready,
        TaskMessage, VERSION,
    },
};

mod handle;

pub use crate::protocol::ChildOutcome;
use handle::Line as Queued;
pub use handle::{Child, Handle, RequestError};

/// The longest line a host may send: an answer with the outcomes of very many children.
const HOST_LINE_MAX: usize = 64 << 20;
/// Lines that wait for the host to read.
const OUT_MAX: usize = 256;

/// What a worker says of itself. It offers spawn, interleave and cancel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Declaration {
    /// Its name in logs.
    pub name: String,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// Tasks at once, those that wait for children not counted; at least 1.
    pub slots: u32,
}

impl Declaration {
    /// A worker with one slot.
    pub fn new(name: impl Into<String>, capabilities: Vec<String>) -> Self {
        Self { name: name.into(), capabilities, slots: 1 }
    }

    /// With this many slots.
    #[must_use]
    pub const fn slots(mut self, slots: u32) -> Self {
        self.slots = slots;
        self
    }
}

/// A task for a worker.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Assignment {
    /// The task's key: the same in every attempt.
    pub key: String,
    /// A name for people.
    pub name: String,
    /// What sort of work.
    pub kind: String,
    /// Which attempt, from 1.
    pub attempt: u16,
    /// What to show outside, if the task is exclusive: `KEY.VIEW.ATTEMPT`.
    pub fence: Option<String>,
    /// What to do.
    pub payload: Value,
}

/// Why a worker could not do a task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct TaskFailure {
    /// A short word for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

impl TaskFailure {
    /// A failure that another try would meet again.
    pub fn new(code: impl Into<String>, message: impl core::fmt::Display) -> Self {
        Self { code: code.into(), message: message.to_string() }
    }
}

impl From<RequestError> for TaskFailure {
    fn from(error: RequestError) -> Self {
        Self::new("request", error)
    }
}

/// Why a worker ended before its host told it to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The pipe to or from the host broke. The environment's fault.
    #[error("the connection to the host broke: {0}")]
    Io(#[from] io::Error),
    /// The host does not speak this protocol. Its fault.
    #[error("the host {0}")]
    Host(String),
}

/// Works for a host until it says `shutdown` or closes its side. `body` is called once per task, any number at a time
/// if they wait for children; a cancelled body is dropped.
///
/// Reading never waits for a body or for the host to read. Cancel-safe: a dropped call drops all bodies.
///
/// # Errors
/// The pipes broke, or the host speaks something else.
pub async fn serve<R, W, B, F>(
    declaration: Declaration,
    (input, output): (R, W),
    body: B,
) -> Result<(), Error>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
    B: Fn(Assignment, Handle) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Value, TaskFailure>> + Send + 'static,
{
    let (lines, queue) = mpsc::channel(OUT_MAX);
    let reading = read(declaration, input, lines, body);
    let writing = handle::write(output, queue);
    // The writer ends when the reader and all bodies have dropped their ends of the queue.
    let (read, written) = tokio::join!(reading, writing);
    read?;
    Ok(written?)
}

async fn read<R, B, F>(
    declaration: Declaration,
    input: R,
    lines: mpsc::Sender<Queued>,
    body: B,
) -> Result<(), Error>
where
    R: AsyncRead + Unpin,
    B: Fn(Assignment, Handle) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Value, TaskFailure>> + Send + 'static,
{
    let mut input = Lines::new(input, HOST_LINE_MAX);
    greet(declaration, &mut input, &lines).await?;
    let mut desk = Desk {
        lines,
        waiting: Arc::default(),
        bodies: JoinSet::new(),
        running: BTreeMap::new(),
        body: Arc::new(body),
    };
    loop {
        match next(&mut input).await? {
            None | Some(FromHost::Shutdown { .. }) => break,
            Some(FromHost::Task(task)) => desk.start(task),
            Some(FromHost::Cancel { task, .. }) => desk.cancel(task),
            Some(FromHost::Result(result)) => handle::settle(&desk.waiting, result).await,
            Some(FromHost::Error(error)) => {
                tracing::warn!(code = error.code, message = error.message, "the host complains");
            }
            Some(FromHost::Hello(_)) => return Err(Error::Host("said hello twice".to_owned())),
        }
    }
    desk.bodies.shutdown().await;
    Ok(())
}

async fn greet<R: AsyncRead + Unpin>(
    declaration: Declaration,
    input: &mut Lines<R>,
    lines: &mpsc::Sender<Queued>,
) -> Result<(), Error> {
    match next(input).await? {
        Some(FromHost::Hello(hello)) if hello.protocol != PROTOCOL => {
            return Err(Error::Host(format!("speaks {:?}, not {PROTOCOL}", hello.protocol)));
        }
        Some(FromHost::Hello(hello)) if !hello.versions.contains(&VERSION) => {
            let offered = hello.versions;
            return Err(Error::Host(format!("offers versions {offered:?}, not {VERSION}")));
        }
        Some(FromHost::Hello(_)) => {}
        _ => return Err(Error::Host("did not say hello".to_owned())),
    }
    let ready = FromAgent::Ready(Ready {
        version: VERSION,
        name: declaration.name,
        capabilities: declaration.capabilities,
        slots: declaration.slots.max(1),
        features: ["spawn", "interleave", "cancel"].map(str::to_owned).to_vec(),
    });
    // The writer is gone only with its pipe, which it reports itself.
    drop(lines.send(Queued(protocol::encode(&ready))).await);
    Ok(())
}

/// The next message; types of later hosts are left out.
async fn next<R: AsyncRead + Unpin>(input: &mut Lines<R>) -> Result<Option<FromHost>, Error> {
    loop {
        let line = match input.next().await? {
            None => return Ok(None),
            Some(Line::TooLong) => {
                return Err(Error::Host(format!("sent a line of more than {HOST_LINE_MAX} bytes")));
            }
            Some(Line::Whole(line)) => line,
        };
        match protocol::decode(&line) {
            Ok(message) => return Ok(Some(message)),
            Err(LineError::UnknownType { name, .. }) => {
                tracing::debug!(name, "a message this worker does not know");
            }
            Err(error) => return Err(Error::Host(format!("sent a malformed line: {error}"))),
        }
    }
}

struct Desk<B> {
    lines: mpsc::Sender<Queued>,
    waiting: handle::Waiting,
    bodies: JoinSet<()>,
    running: BTreeMap<String, tokio::task::AbortHandle>,
    body: Arc<B>,
}

impl<B, F> Desk<B>
where
    B: Fn(Assignment, Handle) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Value, TaskFailure>> + Send + 'static,
{
    fn start(&mut self, message: TaskMessage) {
        while self.bodies.try_join_next().is_some() {}
        self.running.retain(|_, body| !body.is_finished());
        let TaskMessage { id, key, name, kind, attempt, fence, payload, .. } = message;
        let handle = Handle::new(id.clone(), self.lines.clone(), Arc::clone(&self.waiting));
        let (lines, body) = (self.lines.clone(), Arc::clone(&self.body));
        let task = id.clone();
        let abort = self.bodies.spawn(async move {
            let result =
                body(Assignment { key, name, kind, attempt, fence, payload }, handle).await;
            drop(lines.send(Queued(protocol::encode(&ended(task, result)))).await);
        });
        self.running.insert(id, abort);
    }

    fn cancel(&mut self, task: String) {
        // Unknown: it ended while the message was on its way.
        let Some(body) = self.running.remove(&task) else { return };
        body.abort();
        let lines = self.lines.clone();
        self.bodies.spawn(async move {
            let failure = Err(TaskFailure::new("cancelled", "the host cancelled it"));
            drop(lines.send(Queued(protocol::encode(&ended(task, failure)))).await);
        });
    }
}

fn ended(task: String, result: Result<Value, TaskFailure>) -> FromAgent {
    match result {
        Ok(value) => FromAgent::Done(DoneMessage { task, value, outputs: serde_json::Map::new() }),
        Err(TaskFailure { code, message }) => {
            FromAgent::Failed(FailedMessage { task, code, message, retryable: false })
        }
    }
}

/// Answers by request.
type Answers = Mutex<handle::Table>;
