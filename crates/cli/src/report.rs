//! The report: a pure function of the event log and the verdict.

mod figures;
mod terminal;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;

use formic::LogLine;
use serde::Serialize;
use serde_json::Value;

use figures::figures;
pub(crate) use terminal::{cut, thousands};

/// What `--json` prints. `null`: not known to this command, never a guess.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the JSON contract")]
pub(crate) struct Report {
    pub(crate) job: Option<String>,
    pub(crate) verdict: String,
    pub(crate) ok: bool,
    pub(crate) quiescent: bool,
    pub(crate) excluded: Vec<String>,
    pub(crate) result: BTreeMap<String, Value>,
    pub(crate) errors: BTreeMap<String, String>,
    pub(crate) validations: Vec<Validation>,
    pub(crate) tasks: Tasks,
    pub(crate) peers: Peers,
    pub(crate) messages: Messages,
    pub(crate) tokens: Tokens,
    pub(crate) ms: Times,
    pub(crate) topology: String,
    pub(crate) transport: String,
    pub(crate) durable: Option<bool>,
    pub(crate) seed: Option<u64>,
    pub(crate) resumed: bool,
    pub(crate) events: Option<String>,
    pub(crate) certificate: Option<String>,
    pub(crate) version: String,
}

/// What voters decided about a task's result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Validation {
    pub(crate) task: String,
    pub(crate) key: String,
    /// `approved`, `rejected`, `expired`.
    pub(crate) outcome: String,
    /// The same in a sentence.
    pub(crate) words: String,
    /// What `formic verify --electorate` pins.
    pub(crate) electorate: String,
    /// Who said no.
    pub(crate) against: Vec<String>,
    /// Who is proven to have contradicted itself.
    pub(crate) liars: Vec<String>,
    /// Where the decision was written.
    pub(crate) file: Option<String>,
    /// The decision itself.
    #[serde(skip)]
    pub(crate) proof: String,
}

/// Counts of tasks, the root not counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tasks {
    pub(crate) total: Option<u64>,
    pub(crate) ok: Option<u64>,
    pub(crate) failed: Option<u64>,
    /// Bodies that were started.
    pub(crate) executions: Option<u64>,
    /// Times that a task was given up at a dead peer and executed again.
    pub(crate) respawned: Option<u64>,
    /// Bodies that ended and do not count.
    pub(crate) duplicates: Option<u64>,
    /// Tasks of the execution that counts without a result.
    pub(crate) lost: Option<u64>,
    pub(crate) divergent_results: Option<u64>,
}

/// Counts of peers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Peers {
    pub(crate) started: Option<u64>,
    pub(crate) killed: Option<u64>,
    pub(crate) alive: Option<u64>,
    pub(crate) by_capability: BTreeMap<String, u64>,
}

/// Messages sent, by sort; of killed peers what they counted last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Messages {
    pub(crate) work: Option<u64>,
    pub(crate) control: Option<u64>,
    pub(crate) probes: Option<u64>,
}

/// Tokens: `null`, because this version has no meter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tokens {
    pub(crate) wire: Option<u64>,
    pub(crate) reported: Option<u64>,
}

/// Milliseconds since the command started, and two spans.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Times {
    /// All peers are members.
    pub(crate) spawn: Option<u64>,
    /// The first task's body starts.
    pub(crate) first_task: Option<u64>,
    /// The last body that counts ended.
    pub(crate) last_body: Option<u64>,
    /// The result is decided.
    pub(crate) complete: Option<u64>,
    /// The first peer knows that all are sealed.
    pub(crate) quiescent: Option<u64>,
    /// The last live peer knows the verdict.
    pub(crate) everyone_knows: Option<u64>,
    /// From a kill to the last live peer knowing it, at most.
    pub(crate) detect_max: Option<u64>,
    /// From a kill to the start of the last re-execution of what it lost, at most.
    pub(crate) respawn_max: Option<u64>,
    pub(crate) total: Option<u64>,
}

impl Report {
    /// Takes all figures of `job` from the log.
    pub(crate) fn measure(&mut self, lines: &[LogLine], job: Option<&str>) {
        figures(self, lines, job);
    }

    /// One JSON object.
    pub(crate) fn json(&self) -> String {
        // Strings, numbers and maps with text keys: always JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}
