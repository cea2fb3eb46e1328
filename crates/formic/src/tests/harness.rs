//! Peers over one memory hub, and agents that spawn.

use core::{future::Future, time::Duration};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use formic_memory::Hub;
use serde_json::{Value, json};

use crate::{
    Agent, AgentError, Builder, ChildSpec, Client, Description, Done, EventLog, Identity, LogEvent,
    Mesh, Message, Outcome, Peer, Plan, PlanResult, Store, Task, TaskContext, Verdict, agent_fn,
};

/// A test that hangs has failed; nothing else is timed.
pub(super) async fn watchdog<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs")
}

/// A hub with its peers' names numbered.
pub(super) struct World {
    pub(super) hub: Hub<Message>,
    pub(super) log: EventLog,
    next: AtomicU32,
}

impl World {
    pub(super) fn new() -> Self {
        let log = EventLog::memory(EventLog::epoch());
        Self { hub: Hub::new(), log, next: AtomicU32::new(0) }
    }

    fn name(&self) -> String {
        format!("p{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn builder(&self, identity: Identity) -> Builder {
        let name = self.name();
        let transport = self.hub.join(identity.life(), &name).unwrap();
        Peer::builder(transport, identity).name(name).log(self.log.clone())
    }

    /// A fresh peer.
    pub(super) fn peer(&self) -> Builder {
        self.builder(Identity::fresh().unwrap())
    }

    /// A peer of a state directory.
    pub(super) fn stored(&self, store: Store) -> Builder {
        self.builder(store.identity()).store(store)
    }

    /// `count` peers with the test agent.
    pub(super) async fn mesh(&self, count: usize, slots: u32) -> Mesh {
        let mut mesh = Mesh::new();
        for _ in 0..count {
            mesh.add(self.peer().agent(tester(slots))).await.unwrap();
        }
        mesh
    }

    pub(super) fn client(&self, peers: &[Peer]) -> Client {
        let identity = Identity::fresh().unwrap();
        let transport = self.hub.join(identity.life(), &self.name()).unwrap();
        Client::new(transport, peers.iter().flat_map(|peer| peer.addresses().to_vec()).collect())
    }
}

/// Waits until the life of this peer executes something.
pub(super) async fn until_busy(world: &World, peer: &Peer) {
    let life = peer.life().to_string();
    let busy = || {
        let lines = world.log.lines();
        lines
            .iter()
            .any(|line| line.peer == life && matches!(line.event, LogEvent::TaskStarted { .. }))
    };
    while !busy() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The agent of these tests: does what the task's kind says.
pub(super) fn tester(slots: u32) -> impl Agent {
    agent_fn(Description::new("tester", vec!["test".parse().unwrap()]).slots(slots), body)
}

async fn body(task: Task, context: TaskContext) -> Result<Done, AgentError> {
    match task.kind.as_str() {
        "echo" => Ok(Done::from(task.payload)),
        "sum" => sum(&task, &context).await,
        "tails" => tails(&task, &context).await,
        "fail" => Err(AgentError::failed("broken", "as told")),
        "panic" => panic!("as told"),
        "sleep" => {
            tokio::time::sleep(Duration::from_millis(task.payload.as_u64().unwrap())).await;
            Ok(Done::from(json!("slept")))
        }
        "hang" => {
            context.cancelled().await;
            Err(AgentError::failed("cancelled", "told to stop"))
        }
        "large" => Ok(Done::from(json!("x".repeat(5_000)))),
        other => Err(AgentError::failed("kind", other)),
    }
}

pub(super) fn child(kind: &str, payload: Value) -> ChildSpec {
    ChildSpec::new(kind, payload).requires(["test".parse().unwrap()])
}

/// A tree: `[depth, width]`; its value is its number of leaves.
async fn sum(task: &Task, context: &TaskContext) -> Result<Done, AgentError> {
    let depth = task.payload[0].as_u64().unwrap();
    let width = task.payload[1].as_u64().unwrap();
    if depth == 0 {
        tokio::time::sleep(Duration::from_millis(task.payload[2].as_u64().unwrap_or(0))).await;
        return Ok(Done::from(json!(1)));
    }
    for index in 0..width {
        let payload = json!([depth - 1, width, task.payload[2]]);
        context.spawn(child("sum", payload).index(index)).await?;
    }
    let outcomes = context.join_all().await?;
    assert_eq!(outcomes.len() as u64, width);
    let mut leaves = 0;
    for outcome in outcomes.into_values() {
        let Outcome::Ok(output) = outcome else {
            return Err(AgentError::failed("child", "failed"));
        };
        leaves += serde_json::from_slice::<u64>(&output.value).unwrap();
    }
    Ok(Done::from(json!(leaves)))
}

/// A chain: each hands its successor over.
async fn tails(task: &Task, context: &TaskContext) -> Result<Done, AgentError> {
    let left = task.payload.as_u64().unwrap();
    if left > 0 {
        context.spawn_tail(child("tails", json!(left - 1))).await?;
    }
    Ok(Done::from(json!(left)))
}

/// A plan of one task of this kind.
pub(super) fn plan(kind: &str, payload: Value) -> Plan {
    Plan::single(child(kind, payload))
}

pub(super) fn result(verdict: &Arc<Verdict>) -> PlanResult {
    PlanResult::of(&verdict.decree.outcome).unwrap()
}
