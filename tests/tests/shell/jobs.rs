//! The same jobs and faults over every transport.

use std::{sync::Arc, time::Duration};

use formic::{
    Agent, AgentError, ChildSpec, Client, ClientJob, Description, Done, EventLog, Identity,
    LogEvent, Mesh, Outcome, Peer, Plan, PlanResult, PlannedTask, Task, TaskContext, Verdict,
    agent_fn,
};
use serde_json::{Value, json};

use crate::fixture::Fixture;

/// `[depth, width, ms]`: the number of leaves of such a tree, each of which takes `ms`.
async fn count(task: Task, context: TaskContext) -> Result<Done, AgentError> {
    let part = |at: usize| task.payload[at].as_u64().unwrap();
    if part(0) == 0 {
        tokio::time::sleep(Duration::from_millis(part(2))).await;
        return Ok(Done::from(json!(1)));
    }
    let mut children = Vec::new();
    for index in 0..part(1) {
        let child = ChildSpec::new("count", json!([part(0) - 1, part(1), part(2)]));
        let child = child.requires(["count".parse().unwrap()]).index(index);
        children.push(context.spawn(child).await?);
    }
    let mut sum = 0;
    for outcome in context.join(&children).await?.into_values() {
        let Outcome::Ok(output) = outcome else { return Err(AgentError::failed("child", "lost")) };
        sum += serde_json::from_slice::<u64>(&output.value).unwrap();
    }
    Ok(Done::from(json!(sum)))
}

fn counter() -> impl Agent {
    agent_fn(Description::new("counter", vec!["count".parse().unwrap()]), count)
}

fn plan(payload: Value) -> Plan {
    let requires = vec!["count".parse().unwrap()];
    let task = PlannedTask { requires, ..PlannedTask::new("count", payload) };
    Plan::of(vec![task])
}

struct World {
    fixture: Fixture,
    log: EventLog,
    mesh: Mesh,
}

impl World {
    async fn new(fixture: Fixture, peers: usize) -> Self {
        let log = EventLog::memory(EventLog::epoch());
        let mut world = Self { fixture, log, mesh: Mesh::new() };
        for _ in 0..peers {
            world.grow().await;
        }
        world
    }

    async fn grow(&mut self) -> Peer {
        let identity = Identity::fresh().unwrap();
        let end = self.fixture.end(&identity).await;
        let builder = Peer::builder(end, identity).log(self.log.clone()).agent(counter());
        self.mesh.add(builder).await.unwrap().clone()
    }

    async fn client(&self, peers: &[Peer]) -> Client {
        let identity = Identity::fresh().unwrap();
        let end = self.fixture.end(&identity).await;
        Client::new(end, peers.iter().flat_map(|peer| peer.addresses().to_vec()).collect())
    }

    async fn until(&self, peer: &Peer, seen: impl Fn(&LogEvent) -> bool) {
        let life = peer.life().to_string();
        while !self.log.lines().iter().any(|line| line.peer == life && seen(&line.event)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn assert_counted(verdict: &Verdict, leaves: u64) {
    let result = PlanResult::of(&verdict.decree.outcome).unwrap();
    assert_eq!(result.value("count"), Some(&json!(leaves)));
    formic_node::verify_certificate(&verdict.certificate).unwrap();
}

pub(crate) async fn a_nested_job_completes_with_one_certificate_everywhere(fixture: Fixture) {
    let world = World::new(fixture, 3).await;
    let job = world.mesh.submit(&plan(json!([3, 3, 1]))).await.unwrap();
    let verdict = job.wait().await.unwrap();
    assert_counted(&verdict, 27);
    assert_eq!(verdict.decree.tally.tasks, 40);
    for peer in world.mesh.peers() {
        let there: Arc<Verdict> = peer.job(job.id()).await.unwrap().wait().await.unwrap();
        assert_eq!(there.decree, verdict.decree);
        assert_eq!(there.certificate, verdict.certificate);
    }
    world.mesh.leave().await;
}

pub(crate) async fn a_killed_peer_loses_nothing(fixture: Fixture) {
    let world = World::new(fixture, 4).await;
    let job = world.mesh.submit(&plan(json!([3, 4, 10]))).await.unwrap();
    let victim = world.mesh.peers()[3].clone();
    world.until(&victim, |event| matches!(event, LogEvent::TaskStarted { .. })).await;
    victim.kill();
    assert_counted(&job.wait().await.unwrap(), 64);
}

pub(crate) async fn a_killed_home_loses_nothing(fixture: Fixture) {
    let world = World::new(fixture, 5).await;
    let client = world.client(&world.mesh.peers()[1..]).await;
    let job = world.mesh.submit(&plan(json!([3, 4, 10]))).await.unwrap();
    let worker = world.mesh.peers()[4].clone();
    world.until(&worker, |event| matches!(event, LogEvent::TaskStarted { .. })).await;
    world.mesh.peers()[0].kill();
    assert_counted(&client.wait(&ClientJob::known(job.id())).await.unwrap(), 64);
    let took_over = |event: &LogEvent| matches!(event, LogEvent::HomeTookOver { .. });
    assert!(world.log.lines().iter().any(|line| took_over(&line.event)));
}

pub(crate) async fn a_late_peer_takes_work(fixture: Fixture) {
    let mut world = World::new(fixture, 2).await;
    let job = world.mesh.submit(&plan(json!([3, 5, 20]))).await.unwrap();
    let first = world.mesh.peers()[0].clone();
    world.until(&first, |event| matches!(event, LogEvent::TaskStarted { .. })).await;
    let late = world.grow().await;
    assert_counted(&job.wait().await.unwrap(), 125);
    world.until(&late, |event| matches!(event, LogEvent::TaskStarted { .. })).await;
}
