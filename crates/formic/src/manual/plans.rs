//! # Plans
//!
//! A plan is a set of tasks that need each other. The root of a job executes it: it spawns every task whose needs ended
//! well, substitutes what they returned, and returns one value for all.
//!
//! ```yaml
//! version: 1
//! inputs:
//!   dir: {default: ".", help: directory to hash}
//! agents:                                   # `--peers` spreads peers over these in order
//!   hasher: {adapter: jsonl, command: [formic, example, treehash], capabilities: [hash], slots: 2}
//!   shell:  {adapter: command, capabilities: [shell]}
//! tasks:
//!   tree:
//!     kind: hash                            # what it is an example of (see routing); by default its name
//!     requires: [hash]                      # capabilities of the executing peer
//!     payload: {path: "${{ inputs.dir }}"}
//!   check:
//!     needs: [tree]
//!     requires: [shell]
//!     run: test "$(formic example treehash --local "$DIR")" = "$TREE"
//!     env: {DIR: "${{ inputs.dir }}", TREE: "${{ tasks.tree.value }}"}
//!     outputs: {report: report.txt}         # relative to $FORMIC_OUTPUTS; missing is a failure
//!     retry: {max: 2, on: [failed]}         # the work of a lost peer is always done again, not counted
//!     budget: {wall: 15m}
//! ```
//!
//! - A string that is exactly one reference takes the value itself; inside a longer string it is inserted as text.
//! - A task whose need did not end well is cancelled, and says which need it was.
//! - `run` may not contain references: a shell would execute what another task returned. `env` may.
//! - A plan is checked whole before anything starts; `formic run --check PLAN` only checks.
//!
//! # Exclusive tasks
//!
//! Work is executed at least once: after a crash, or a peer that only seemed dead, a task may run twice, and one result
//! counts. What changes the world outside (a deployment, a payment, a push) is marked:
//!
//! ```yaml
//! tasks:
//!   push:
//!     exclusive: true                       # or {lease: 5s}, from 500ms to 10m; 1 s by default
//!     run: deploy --fence "$FORMIC_FENCE" --to production
//! ```
//!
//! - A body starts only once a majority of the job's home group granted it a lease, which is renewed while it runs. The
//!   next one waits until the lease of a dead holder ended. A holder that is cut off from the majority is stopped first.
//! - Its result is decided by the same majority. Whoever comes later does not run but adopts it.
//! - The fence, `KEY.VIEW.ATTEMPT`, rises with every grant of a task. An outside system that refuses a fence below the
//!   highest it has seen gets the effect once; one that ignores it gets it at least once: a body may stall between its
//!   last look at the lease and its effect. A retry after a failure is another task, with another key.
//! - Where a majority of a job's home group is gone for good, disks included, within moments, nobody can know whether its
//!   exclusive tasks have results, and the job waits for those disks; `formic why` names them. Nothing is run twice for it.
//! - An exclusive task spawns no tasks, and its result has at most 1 KiB.
//!
//! In Rust: [`PlannedTask::exclusive`](crate::PlannedTask::exclusive),
//! [`ChildSpec::exclusive`](crate::ChildSpec::exclusive), and [`Task::fence`](crate::Task::fence) in the agent.
//!
//! # Plans in Rust
//!
//! In Rust the same plan is data:
//!
//! ```
//! use formic::{Plan, PlanError, PlannedTask};
//! use serde_json::json;
//!
//! let mut tree = PlannedTask::new("tree", json!({"path": "src"}));
//! let mut check = PlannedTask::new("check", json!({"hash": "${{ tasks.tree.value }}"}));
//! assert!(matches!(
//!     Plan::of(vec![tree.clone(), check.clone()]).check(),
//!     Err(PlanError::NotNeeded { .. })
//! ));
//! check.needs = vec!["tree".to_owned()];
//! assert_eq!(Plan::of(vec![tree.clone(), check.clone()]).check(), Ok(()));
//!
//! tree.needs = vec!["check".to_owned()];
//! let error = Plan::of(vec![tree, check]).check().unwrap_err();
//! assert!(error.to_string().starts_with("tasks need each other: "));
//! ```
