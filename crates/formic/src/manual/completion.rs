//! # What "done" means
//!
//! A job is a root task and everything it spawns, however deep. It is **complete** when the root and all its descendants
//! have been executed to the end and their results have reached the ledgers of whoever waits for them. That is a fact:
//! no failure detector, timeout or clock is part of it, so it is never announced early. It is **quiescent** when
//! besides nobody works for it any more; peers that could not be asked, because they are believed dead, are listed as
//! `excluded`.
//!
//! # What may happen twice
//!
//! - **Execution is at least once.** When a peer dies, or only seems to, its tasks are executed again elsewhere. A body
//!   with effects outside the mesh must therefore tolerate to be run again.
//! - **Commit is exactly once.** The first result that reaches the ledger is the task's result. A second, different one
//!   is counted and reported, never merged.
//!
//! A failure is a result like any other: [`Outcome::Failed`](crate::Outcome::Failed) is not retried silently. The plan
//! says how often a task is tried again ([`PlannedTask::retries`](crate::PlannedTask::retries)); what is lost with a
//! peer is always done again and not counted as a try.
//!
//! # What is acknowledged is kept
//!
//! [`Peer::submit`](crate::Peer::submit) returns when a majority of the job's home group (up to seven lives) has stored
//! it. From then on the home may die: the next one takes over. The group follows the mesh: when a view is committed
//! without one of its peers, or with more peers than before, those that are left decide who keeps the job from then on.
//! So a mesh of ten may lose eight one by one while a job runs. What a job does not survive is losing most of its home
//! group at once, faster than the mesh notices (about a second), unless enough of them come back with their state.
//!
//! # What a certificate proves
//!
//! [`Verdict::certificate`](crate::Verdict) names the job, its home group at the end, the plan's digest, the digest of the root's outcome, the
//! counts, every sealed life with its report and every excluded life. It carries signatures of a majority of the home
//! group. It proves that these peers decided this result for this plan. It does not prove that an agent's answer is
//! right.
//!
//! ```
//! use formic::{ChildSpec, Description, Done, Identity, Mesh, Peer, Plan, agent_fn};
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let identity = Identity::fresh()?;
//! let transport = formic_memory::Hub::new().join(identity.life(), "alone")?;
//! let adder = agent_fn(Description::new("adder", vec![]), |_, _| async { Ok(Done::from(json!(2))) });
//! let mut mesh = Mesh::new();
//! mesh.add(Peer::builder(transport, identity).agent(adder)).await?;
//!
//! let plan = Plan::single(ChildSpec::new("add", json!([1, 1])));
//! let verdict = mesh.submit(&plan).await?.wait().await?;
//! let statement = &verdict.certificate.statement;
//! assert_eq!(statement.plan, plan.digest());
//! assert_eq!(statement.result, verdict.decree.outcome.digest());
//! assert!(statement.excluded.is_empty());
//! # Ok(()) }
//! ```
