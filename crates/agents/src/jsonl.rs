use core::{convert::Infallible, time::Duration};
use std::sync::Arc;

use async_trait::async_trait;
use formic::{Agent, AgentError, AgentSpec, Description, Done, Task, TaskContext};
use tokio::sync::oneshot;

use crate::{
    Config,
    environment::Environment,
    host::{Host, Work},
    process::{Keepers, Spawner},
};

mod clock;
mod desk;
mod open;
mod pool;
mod process;
mod wire;

use pool::{Place, Pool};

/// What a process is told by its pool.
#[derive(Debug)]
enum Order {
    Start(Box<Start>),
    Close(Duration),
}

/// A task for a process. If `reply` is dropped unused the process never saw the task.
struct Start {
    work: Work,
    host: Arc<dyn Host>,
    place: Place,
    reply: oneshot::Sender<Result<Done, AgentError>>,
    /// Resolves when the body was dropped.
    gone: oneshot::Receiver<Infallible>,
}

impl core::fmt::Debug for Start {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Start").field("work", &self.work).finish_non_exhaustive()
    }
}

/// Lasting processes that speak the formic agent protocol v1, one JSON object a line.
#[derive(Debug)]
pub(crate) struct JsonlAgent {
    pool: Arc<Pool>,
    /// Not in the pool: the processes hold the pool, and must end when the agent is dropped.
    keepers: Keepers,
}

impl JsonlAgent {
    pub(crate) fn new(
        spec: AgentSpec,
        config: Config,
        environment: Arc<Environment>,
        spawner: Arc<Spawner>,
    ) -> Self {
        let pool = Arc::new(Pool::new(spec, config, environment, spawner));
        Self { pool, keepers: Keepers::default() }
    }

    /// Cancel-safe: a dropped call cancels the task in its process.
    pub(crate) async fn execute(
        &self,
        work: Work,
        host: Arc<dyn Host>,
    ) -> Result<Done, AgentError> {
        let wall = work.wall.unwrap_or(self.pool.config.wall);
        loop {
            let (place, inbox) = tokio::select! {
                place = self.pool.acquire(&self.keepers, host.as_ref()) => place?,
                () = host.cancelled() => {
                    return Err(AgentError::failed("cancelled", "cancelled before a process was free"));
                }
                () = tokio::time::sleep(wall) => {
                    return Err(AgentError::expired(self.pool.none_within(wall)));
                }
            };
            let (reply, answer) = oneshot::channel();
            let (_alive, gone) = oneshot::channel();
            let (work, host) = (work.clone(), Arc::clone(&host));
            let start = Box::new(Start { work, host, place, reply, gone });
            // A process that died in between gives no answer, and its place comes back: the next one gets the task.
            if inbox.send(Order::Start(start)).await.is_ok()
                && let Ok(result) = answer.await
            {
                return result;
            }
        }
    }
}

#[async_trait]
impl Agent for JsonlAgent {
    fn describe(&self) -> Description {
        let spec = &self.pool.spec;
        Description::new(&spec.name, spec.capabilities.clone()).slots(spec.slots)
    }

    async fn run(&self, task: Task, context: TaskContext) -> Result<Done, AgentError> {
        self.execute(task.into(), Arc::new(context)).await
    }

    async fn close(&self, grace: Duration) {
        self.pool.close(grace);
        self.keepers.close(grace).await;
    }
}

#[cfg(test)]
mod tests;
