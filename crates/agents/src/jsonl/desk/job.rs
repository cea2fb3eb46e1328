use std::sync::Arc;

use formic::{AgentError, Done, Key};
use tokio::{sync::oneshot, task::AbortHandle};

use crate::{host::Host, jsonl::pool::Place};

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Running,
    /// It was told to stop and has its grace.
    Stopping,
    /// It did not stop.
    Abandoned,
}

/// One task in a process.
pub(super) struct Job {
    pub(super) host: Arc<dyn Host>,
    pub(super) place: Place,
    pub(super) state: State,
    /// Why it was told to stop.
    pub(super) stopped: Option<AgentError>,
    /// It ended, but spawns of it are on their way.
    pub(super) ending: Option<Result<Done, AgentError>>,
    /// Children the ledger has.
    pub(super) spawned: Vec<Key>,
    /// Spawns that are not answered yet.
    pub(super) spawns: usize,
    pub(super) requests: Vec<AbortHandle>,
    calls: u64,
    watch: AbortHandle,
    reply: Option<oneshot::Sender<Result<Done, AgentError>>>,
}

impl core::fmt::Debug for Job {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Job").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Job {
    pub(super) fn new(
        host: Arc<dyn Host>,
        place: Place,
        reply: oneshot::Sender<Result<Done, AgentError>>,
        watch: AbortHandle,
    ) -> Self {
        Self {
            host,
            place,
            state: State::Running,
            stopped: None,
            ending: None,
            spawned: Vec::new(),
            spawns: 0,
            requests: Vec::new(),
            calls: 0,
            watch,
            reply: Some(reply),
        }
    }

    /// The default index of a child: in the order of the lines, not of the futures that carry them out.
    pub(super) const fn next_index(&mut self) -> u64 {
        self.calls += 1;
        self.calls - 1
    }

    /// Frees the slot although the agent's code still runs.
    pub(super) fn answer_stopped(&mut self) {
        if let (Some(reply), Some(error)) = (self.reply.take(), &self.stopped) {
            drop(reply.send(Err(error.clone())));
        }
    }

    /// The end. A failure after a stop is the stop's.
    pub(super) fn reply(mut self, result: Result<Done, AgentError>) {
        let result = match (result, self.stopped.take()) {
            (Err(_), Some(stopped)) => Err(stopped),
            (result, _) => result,
        };
        if let Some(reply) = self.reply.take() {
            // Nobody waits any more: a dropped body was cancelled.
            drop(reply.send(result));
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.watch.abort();
        for request in &self.requests {
            request.abort();
        }
    }
}
