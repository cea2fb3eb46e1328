//! # Writing an agent
//!
//! An [`Agent`](crate::Agent) is code that executes tasks. Most are one async closure:
//!
//! ```
//! use formic::{AgentError, ChildSpec, Description, Done, Outcome, agent_fn};
//! use serde_json::json;
//!
//! let counter = agent_fn(Description::new("counter", vec!["count".parse()?]).slots(4), |task, context| async move {
//!     let Some(parts) = task.payload.as_array() else {
//!         return Ok(Done::from(json!(1)));
//!     };
//!     for (index, part) in (0..).zip(parts) {
//!         let child = ChildSpec::new("count", part.clone()).requires(task.requires.iter().cloned());
//!         context.spawn(child.index(index)).await?;
//!     }
//!     let all_ok = context.join_all().await?.values().all(Outcome::is_ok);
//!     if all_ok { Ok(Done::from(json!(parts.len()))) } else { Err(AgentError::failed("part", "a part failed")) }
//! });
//! # let _: Box<dyn formic::Agent> = Box::new(counter);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The rules of a body
//!
//! - **Spawn the same children in every attempt.** A child is known by its parent, its
//!   [`index`](crate::ChildSpec::index) and its description: a second attempt that spawns the same child finds the first
//!   one's result. Bodies that spawn concurrently must give the index themselves.
//! - **Waiting is free.** [`TaskContext::join_all`](crate::TaskContext::join_all) gives the slot back while it waits and
//!   regains it, ahead of new tasks, before it returns.
//! - **Tails need no parent.** [`TaskContext::spawn_tail`](crate::TaskContext::spawn_tail) hands the child to whoever
//!   waits for this task, as a tail call does.
//! - **Be drop-safe.** A cancelled or expired body hears of it through
//!   [`TaskContext::cancelled`](crate::TaskContext::cancelled), has a grace time, and is then dropped wherever it awaits.
//! - **Do not block.** A body that blocks its thread cannot be stopped; use a blocking thread and await it.
//! - **Small values, large files.** A value has at most 4 KiB of JSON; larger results are files
//!   ([`Done::with_files`](crate::Done::with_files)) on storage that the readers share.
//!
//! # Who executes a task
//!
//! A task goes to a live peer that has all capabilities it [requires](crate::Task::requires). There the peer's own
//! agents come first, the least busy of those that can; else the agent that the task's
//! [`Recipe`](crate::Recipe) names is opened through [`Adapters`](crate::Adapters); else the task fails with `no-agent`.
