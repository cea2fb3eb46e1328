//! The smallest useful mesh over QUIC: two peers on loopback, a client that submits and checks the proof.
//!
//! `cargo run -p formic-examples --example quic`
#![expect(clippy::print_stdout, reason = "the program's output")]

use std::sync::Arc;

use formic::{
    ChildSpec, Client, Description, Done, Identity, Mesh, Message, Peer, Plan, PlanResult, agent_fn,
};
use formic_quic::{Config, Quic};
use serde_json::json;

async fn bind(identity: &Identity) -> Result<Arc<Quic<Message>>, formic_quic::BindError> {
    let loopback = ([127, 0, 0, 1], 0).into();
    Quic::bind(Config::new(loopback, identity.life(), identity.secret().clone())).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut mesh = Mesh::new();
    for _ in 0..2 {
        let identity = Identity::fresh()?;
        let shouter =
            agent_fn(Description::new("shouter", vec!["shout".parse()?]), |task, _| async move {
                Ok(Done::from(json!(task.payload.as_str().unwrap_or("").to_uppercase())))
            });
        mesh.add(Peer::builder(bind(&identity).await?, identity).agent(shouter)).await?;
    }
    let client =
        Client::new(bind(&Identity::fresh()?).await?, mesh.peers()[0].addresses().to_vec());
    let hello = ChildSpec::new("shout", json!("hello")).requires(["shout".parse()?]);
    let verdict = client.wait(&client.submit(&Plan::single(hello)).await?).await?;
    println!("{:?}", PlanResult::of(&verdict.decree.outcome)?.value("shout"));
    println!("proved by {} signatures", verdict.certificate.attestations.len());
    mesh.leave().await;
    Ok(())
}
