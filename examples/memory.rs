//! The smallest useful mesh: three peers in one process count words, one task per line.
//!
//! `cargo run -p formic-examples --example memory`
#![expect(clippy::print_stdout, reason = "the program's output")]

use formic::{
    AgentError, ChildSpec, Description, Done, Identity, Mesh, Peer, Plan, PlanResult, Task,
    TaskContext, agent_fn, value_of,
};
use serde_json::json;

async fn count(task: Task, context: TaskContext) -> Result<Done, AgentError> {
    if let Some(line) = task.payload.as_str() {
        return Ok(Done::from(json!(line.split_whitespace().count())));
    }
    for line in task.payload.as_array().into_iter().flatten() {
        context.spawn(ChildSpec::new("count", line.clone())).await?;
    }
    let counts = context.join_all().await?.into_values();
    let words: u64 = counts.filter_map(|count| value_of(&count)?.as_u64()).sum();
    Ok(Done::from(json!(words)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (hub, mut mesh) = (formic_memory::Hub::new(), Mesh::new());
    for name in ["ada", "bob", "cyd"] {
        let identity = Identity::fresh()?;
        let transport = hub.join(identity.life(), name)?;
        let agent = agent_fn(Description::new("counter", vec![]), count);
        mesh.add(Peer::builder(transport, identity).agent(agent)).await?;
    }
    let text = json!(["nothing is lost", "whatever dies", "and done is proved"]);
    let job = mesh.submit(&Plan::single(ChildSpec::new("count", text))).await?;
    println!("{:?} words", PlanResult::of(&job.wait().await?.decree.outcome)?.value("count"));
    mesh.leave().await;
    Ok(())
}
