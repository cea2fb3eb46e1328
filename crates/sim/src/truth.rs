use std::collections::BTreeMap;

use formic_core::{Digest, Key, Life, Time};

/// One run of a body, as it really happened.
#[derive(Clone, Debug)]
pub struct Execution {
    /// Where.
    pub life: Life,
    /// What it spawned, in order.
    pub children: Vec<Key>,
    /// Whether the body ran to its end.
    pub finished: bool,
}

/// What really happened, never a peer's opinion.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// All executions of each task.
    pub executions: BTreeMap<Key, Vec<Execution>>,
    /// Bodies that run: index into `executions`.
    pub running: BTreeMap<(Life, Key), usize>,
    /// The root, once it was executed.
    pub root: Option<Key>,
    /// When the submission was acknowledged.
    pub accepted: Option<Time>,
    /// The result that was decided, by the lives that said so.
    pub verdicts: BTreeMap<Life, Digest>,
    /// Ends of bodies, the last one.
    pub last_end: Time,
    /// First `Complete`, first verdict, last verdict.
    pub complete: Option<Time>,
    /// When the first life knew the verdict.
    pub first_verdict: Option<Time>,
    /// When the last one did.
    pub last_verdict: Option<Time>,
}

/// A claim that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed} violates {oracle} at {at:?}: {what}\n{}", .trace.join("\n"))]
pub struct Violation {
    /// The seed that shows it.
    pub seed: u64,
    /// Which claim.
    pub oracle: &'static str,
    /// When, in virtual time.
    pub at: Time,
    /// What happened.
    pub what: String,
    /// The last events before it.
    pub trace: Vec<String>,
}

impl Violation {
    /// A machine panicked; the message is on standard error.
    pub const fn panicked(seed: u64) -> Self {
        let what = String::new();
        Self { seed, oracle: "never_panics", at: Time::ZERO, what, trace: vec![] }
    }
}
