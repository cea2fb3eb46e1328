//! Adapters that run real agents: command and JSON lines.
//!
//! ```text
//!   peer ── Agent::run ──> command: one process per task, exit status and stdout are the result
//!                    └───> jsonl:   lasting processes, agent protocol v1, one JSON object a line
//!
//!   host   hello ──────────> task ───────> result {key} ──> result {outcomes} ─────────> next task
//!   agent         ready ──>       spawn ─>             join ─>                    done ─>
//! ```
//!
//! ```no_run
//! use formic::{Adapter, Adapters as _, AgentSpec, Recipe};
//! use formic_agents::{Config, Shipped};
//!
//! # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
//! let adapters = Shipped::new(Config::default())?;
//! let agent = AgentSpec {
//!     name: "sh".into(), adapter: Adapter::Command, command: vec![], capabilities: vec![], slots: 2,
//! };
//! let run = Some("echo hello".into());
//! let recipe = Recipe { agent, run, env: Default::default(), outputs: Default::default() };
//! let agent = adapters.open(&recipe).await?; // Give it to the peers of a mesh.
//! # Ok(()) }
//! ```
//!
//! **Guarantees**
//! - Whatever a worker does (garbage, floods, huge or half lines, early or no exit, silence), its task ends with a named
//!   code, its slot is free and no process of it is left: `jsonl::tests`, one test per kind.
//! - A process that dies is replaced with a growing delay; five deaths a minute end the agent:
//!   `five_deaths_a_minute_withdraw_the_agent`.
//! - A worker that blocks in a join gets no other task: `a_blocking_worker_that_joins_gets_no_other_task`.
//! - A command's whole process group ends with its task: `walls_and_cancels_kill_the_whole_group`,
//!   `a_background_process_does_not_outlive_its_task`.
//! - Through the shim a direct child dies with its peer (Linux): `tests/shim.rs`.
//! - Tasks compute the tree hash of a single process: `tasks_compute_the_hash_of_one_process`.
//!
//! **Limits**
//! - Unix only. A process that leaves its group (`setsid`) is not found. After `kill -9` of a peer only direct children
//!   die at once, and only with [`Config::shim`]; others end when they read the end of stdin.
//! - A jsonl task sent to a process in its last moment fails as `crashed`. If all processes of an agent wait for
//!   children, further tasks wait for a place until their wall.
//! - A cancelled task in a process that serves other tasks and ignores `cancel` goes on until those end; its slot is free,
//!   its result is dropped.
//! - Idle processes stay until the agent is closed.
//!
//! **Sources** `sessions.md` sections 5 and 5.1. Deviations: `put`, `get`,
//! `help`, `usage`, `checkpointed`, `paused` and `outputs` of `done` are refused by name; messages for unknown tasks count
//! as unknown types; `line_max` bounds the agent's lines only; `code` is added to the outcomes of children; requests with
//! an `id` that are refused get a `result` as well, so that blocking workers go on.

mod command;
mod config;
mod environment;
mod host;
mod jsonl;
mod lines;
mod process;
mod protocol;
pub mod shim;
mod shipped;
pub mod treehash;
pub mod worker;

pub use config::{Config, Error};
pub use environment::{MissingProgram, find_program};
pub use shipped::Shipped;
