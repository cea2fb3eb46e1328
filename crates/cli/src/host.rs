//! Starting one peer in this process.

use core::time::Duration;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use formic::{
    Adapters as _, Agent, AgentError, AgentSpec, Capability, Description, Done, EventLog, Identity,
    Peer, Recipe, Store, StoreError, Task, TaskContext,
};
use formic_agents::{Config, Shipped};
use tokio::time::{Instant, sleep};

use crate::{
    exit::Stop,
    link::{Contacts, Link},
};

/// How often a state directory in use is tried again.
const UNLOCK_TICK: Duration = Duration::from_millis(50);

/// What a peer is told at its start.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) name: String,
    /// Sorted, unique.
    pub(crate) capabilities: Vec<Capability>,
    pub(crate) slots: u32,
    /// Where its state is kept.
    pub(crate) state: Option<PathBuf>,
    /// Where its tasks work.
    pub(crate) work: Option<PathBuf>,
    /// An agent of its own.
    pub(crate) agent: Option<AgentSpec>,
}

/// As [`identify`], but waits for a directory that another peer still uses.
///
/// # Errors
/// As [`identify`].
pub(crate) async fn identify_within(
    state: Option<&Path>,
    patience: Duration,
) -> Result<(Identity, Option<Store>), Stop> {
    let Some(dir) = state else { return identify(None) };
    let until = Instant::now() + patience;
    loop {
        match Store::open(dir) {
            Err(StoreError::Busy { .. }) if Instant::now() < until => sleep(UNLOCK_TICK).await,
            opened => return kept(opened),
        }
    }
}

/// Who a peer is: kept in its state directory, if it has one.
///
/// # Errors
/// Exit 2: the directory is in use, damaged or not writable.
pub(crate) fn identify(state: Option<&Path>) -> Result<(Identity, Option<Store>), Stop> {
    let Some(dir) = state else { return Ok((crate::link::identity()?, None)) };
    kept(Store::open(dir))
}

fn kept(opened: Result<Store, StoreError>) -> Result<(Identity, Option<Store>), Stop> {
    let store = opened.map_err(|error| Stop::usage(format!("--state: {error}")))?;
    Ok((store.identity(), Some(store)))
}

/// Starts a peer that founds a mesh, or joins the one that its contacts know.
///
/// # Errors
/// Exit 2 or 3, naming what is wrong.
pub(crate) async fn start(
    spec: Spec,
    link: Link,
    (identity, store): (Identity, Option<Store>),
    log: EventLog,
    contacts: Contacts,
) -> Result<Peer, Stop> {
    let mut config = Config::default();
    config.work_root = spec.work;
    config.shim = std::env::current_exe().ok();
    let adapters =
        Arc::new(Shipped::new(config).map_err(|error| Stop::usage(crate::link::chain(&error)))?);
    let mut builder = Peer::builder(link, identity).name(spec.name).log(log).slots(spec.slots);
    if let Some(store) = store {
        builder = builder.store(store);
    }
    if let Some(own) = spec.agent {
        crate::programs::require(std::slice::from_ref(&own))?;
        let (capabilities, slots) = (own.capabilities.clone(), own.slots);
        let description = Description::new(own.name.clone(), capabilities).slots(slots);
        let recipe =
            Recipe { agent: own, run: None, env: Default::default(), outputs: Default::default() };
        let agent = adapters.open(&recipe).await.map_err(Stop::usage)?;
        builder = builder.agent(Own { agent, description });
    }
    for source in contacts.sources {
        builder = builder.discover(source);
    }
    for place in contacts.places {
        builder = builder.announce(place);
    }
    let builder = builder.adapters(adapters).capabilities(spec.capabilities).join(contacts.seeds);
    builder.start().await.map_err(|error| Stop::usage(crate::link::chain(&error)))
}

/// An opened agent as a peer's own.
struct Own {
    agent: Arc<dyn Agent>,
    description: Description,
}

#[async_trait]
impl Agent for Own {
    fn describe(&self) -> Description {
        self.description.clone()
    }

    async fn run(&self, task: Task, context: TaskContext) -> Result<Done, AgentError> {
        self.agent.run(task, context).await
    }

    async fn close(&self, grace: Duration) {
        self.agent.close(grace).await;
    }
}
