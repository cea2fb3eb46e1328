//! One execution of a task, from its agent's choice to its outcome.

use core::{
    future::{Future, poll_fn},
    panic::AssertUnwindSafe,
    pin::pin,
    task::Poll,
    time::Duration,
};
use std::sync::Arc;

use formic_core::{Descriptor, JobId, Key, Outcome, VALUE_MAX};
use tokio::sync::watch;

use crate::{
    Adapters, Agent, AgentError, Done, Fence, Recipe, Task, TaskContext, agent::outcome_of, plan,
};

/// Who executes a body.
pub(crate) enum Executor {
    /// The mesh itself: a job's root.
    Plan,
    /// An agent of this peer.
    Own(Arc<dyn Agent>),
    /// Whatever agent the task's recipe names.
    Recipe(Arc<dyn Adapters>, Box<Recipe>),
    /// Nobody here can.
    Nobody(String),
}

/// One execution.
pub(crate) struct Execution {
    pub(crate) job: JobId,
    pub(crate) key: Key,
    pub(crate) attempt: u16,
    pub(crate) fence: Option<Fence>,
    pub(crate) descriptor: Arc<Descriptor>,
    pub(crate) executor: Executor,
    pub(crate) context: TaskContext,
    /// Told to the body when its time is up; shared with whoever may abort it.
    pub(crate) cancelled: Arc<watch::Sender<bool>>,
    /// How long a body that was told to stop may go on.
    pub(crate) grace: Duration,
}

impl Execution {
    /// Runs to the end, to the end of its `wall`, or until it is cancelled; then a grace time, then it is dropped.
    pub(crate) async fn run(self) -> Outcome {
        let Self { job, key, attempt, fence, descriptor, executor, context, cancelled, grace } =
            self;
        let wall = descriptor.wall;
        let mut stopped = cancelled.subscribe();
        let (name, value_max) = (descriptor.name.clone(), executor.value_max());
        let body = execute((job, key, attempt, fence), descriptor, executor, context);
        let mut body = pin!(caught(body));
        let expired = tokio::select! {
            result = &mut body => return outcome_of(result, value_max),
            () = past(wall) => true,
            // The sender lives in this frame, so this ends only when it says so.
            _ = stopped.wait_for(|stopped| *stopped) => false,
        };
        cancelled.send_replace(true);
        let last = tokio::time::timeout(grace, body).await;
        match (expired, last) {
            (true, _) => {
                let wall = wall.unwrap_or_default();
                Outcome::Expired { reason: format!("task {name} ran longer than wall = {wall:?}") }
            }
            (false, Ok(result)) => outcome_of(result, value_max),
            (false, Err(_)) => Outcome::Cancelled { reason: format!("task {name} was stopped") },
        }
    }
}

impl Executor {
    const fn value_max(&self) -> usize {
        match self {
            Self::Plan => plan::RESULT_MAX,
            Self::Own(_) | Self::Recipe(..) | Self::Nobody(_) => VALUE_MAX,
        }
    }
}

async fn execute(
    (job, key, attempt, fence): (JobId, Key, u16, Option<Fence>),
    descriptor: Arc<Descriptor>,
    executor: Executor,
    context: TaskContext,
) -> Result<Done, AgentError> {
    let agent = match executor {
        Executor::Plan => return plan::run::run(&descriptor.payload, &context).await,
        Executor::Nobody(what) => return Err(AgentError::failed("no-agent", what)),
        Executor::Own(agent) => agent,
        Executor::Recipe(adapters, recipe) => adapters.open(&recipe).await?,
    };
    let payload = serde_json::from_slice(&descriptor.payload)
        .map_err(|error| AgentError::failed("bad-payload", error))?;
    let task = Task {
        job,
        key,
        attempt,
        fence,
        kind: descriptor.kind.clone(),
        name: descriptor.name.clone(),
        requires: descriptor.requires.clone(),
        payload,
        recipe: recipe_of(&descriptor)?,
        wall: descriptor.wall,
    };
    agent.run(task, context).await
}

/// The recipe a descriptor carries, if any.
pub(crate) fn recipe_of(descriptor: &Descriptor) -> Result<Option<Recipe>, AgentError> {
    if descriptor.recipe.is_empty() {
        return Ok(None);
    }
    let parsed = serde_json::from_slice(&descriptor.recipe);
    parsed.map(Some).map_err(|error| AgentError::failed("bad-recipe", error))
}

/// A body that panics has failed; the peer goes on.
async fn caught(body: impl Future<Output = Result<Done, AgentError>>) -> Result<Done, AgentError> {
    let mut body = Box::pin(body);
    poll_fn(move |cx| match std::panic::catch_unwind(AssertUnwindSafe(|| body.as_mut().poll(cx))) {
        Ok(polled) => polled,
        Err(payload) => Poll::Ready(Err(AgentError::failed("panicked", said(&*payload)))),
    })
    .await
}

fn said(payload: &(dyn core::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("the agent panicked").to_owned()
}

async fn past(wall: Option<Duration>) {
    match wall {
        Some(wall) => tokio::time::sleep(wall).await,
        None => core::future::pending().await,
    }
}
