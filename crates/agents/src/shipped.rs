use core::time::Duration;
use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use formic::{Adapter, Adapters, Agent, AgentError, AgentSpec, Recipe};
use tokio::sync::Mutex;

use crate::{
    Config, Error, command::CommandAgent, environment::Environment, jsonl::JsonlAgent,
    process::Spawner,
};

/// The adapters that ship: `command` and `jsonl`. One agent object per distinct specification.
#[derive(Debug)]
pub struct Shipped {
    config: Config,
    environment: Arc<Environment>,
    spawner: Arc<Spawner>,
    agents: Mutex<Agents>,
}

#[derive(Default)]
struct Agents {
    opened: BTreeMap<AgentSpec, Arc<dyn Agent>>,
    closed: bool,
}

impl core::fmt::Debug for Agents {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.opened.keys()).finish()
    }
}

impl Shipped {
    /// Makes the work folder and the thread that starts processes; starts no process.
    ///
    /// # Errors
    /// A field of `config` is out of range, or the system refuses a folder or thread.
    pub fn new(config: Config) -> Result<Self, Error> {
        config.check()?;
        let environment = Arc::new(Environment::new(&config)?);
        let spawner = Spawner::start().map_err(Error::io("start a thread"))?;
        Ok(Self {
            config,
            environment,
            spawner: Arc::new(spawner),
            agents: Mutex::new(Agents::default()),
        })
    }
}

#[async_trait]
impl Adapters for Shipped {
    async fn open(&self, recipe: &Recipe) -> Result<Arc<dyn Agent>, AgentError> {
        let spec = &recipe.agent;
        let mut agents = self.agents.lock().await;
        if agents.closed {
            return Err(AgentError::failed("closed", "the peer stops"));
        }
        if let Some(agent) = agents.opened.get(spec) {
            return Ok(Arc::clone(agent));
        }
        self.environment.check(spec)?;
        let (config, spawner) = (self.config.clone(), Arc::clone(&self.spawner));
        let environment = Arc::clone(&self.environment);
        let agent: Arc<dyn Agent> = match spec.adapter {
            Adapter::Command => {
                Arc::new(CommandAgent::new(spec.clone(), config, environment, spawner))
            }
            Adapter::Jsonl => Arc::new(JsonlAgent::new(spec.clone(), config, environment, spawner)),
        };
        agents.opened.insert(spec.clone(), Arc::clone(&agent));
        Ok(agent)
    }

    async fn close(&self, grace: Duration) {
        let opened = {
            let mut agents = self.agents.lock().await;
            agents.closed = true;
            core::mem::take(&mut agents.opened)
        };
        let mut closing = tokio::task::JoinSet::new();
        for agent in opened.into_values() {
            closing.spawn(async move { agent.close(grace).await });
        }
        while closing.join_next().await.is_some() {}
        self.environment.remove();
    }
}
