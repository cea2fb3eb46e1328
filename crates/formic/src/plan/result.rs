use std::collections::BTreeMap;

use formic_core::{Digest, Outcome, OutputFile};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Plan;

/// The largest value of a plan's root, in bytes: it travels in a message of its own kind, so it may exceed
/// [`VALUE_MAX`](formic_core::VALUE_MAX).
pub(crate) const RESULT_MAX: usize = 48 * 1_024;

/// What came of a plan: the value of its job's root.
///
/// With many tasks, or large values, the whole would not fit into 48 KiB. Then values are replaced by their digests,
/// and where that is not enough, errors, files and digests are left out too: outcomes are always there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
#[non_exhaustive]
pub struct PlanResult {
    /// By the task's name in the plan.
    pub tasks: BTreeMap<String, TaskResult>,
}

/// What came of one task of a plan: of its last try.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskResult {
    /// `ok`, `failed`, `expired`, `cancelled`.
    pub outcome: String,
    /// The task's value, if it ended well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// SHA-256 of the value's JSON text, where the value itself was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Files the task produced, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<OutputFile>,
    /// Why it did not end well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Why a job has no plan result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResultError {
    /// The root itself did not end well, e.g. because the job was cancelled.
    #[error("the job {word}: {reason}")]
    NotOk {
        /// The outcome in one word.
        word: &'static str,
        /// Why.
        reason: String,
    },
    /// The root's value is no plan result: the job was submitted by another program or version.
    #[error("the job's value is no result of a plan")]
    Malformed,
}

impl PlanResult {
    /// Reads the outcome of a job's root.
    ///
    /// # Errors
    /// [`ResultError`].
    pub fn of(outcome: &Outcome) -> Result<Self, ResultError> {
        match outcome {
            Outcome::Ok(output) => {
                serde_json::from_slice(&output.value).map_err(|_| ResultError::Malformed)
            }
            other => Err(ResultError::NotOk {
                word: other.word(),
                reason: reason_of(other).unwrap_or_default(),
            }),
        }
    }

    /// Whether every task ended well.
    pub fn is_ok(&self) -> bool {
        self.tasks.values().all(|task| task.outcome == "ok")
    }

    /// The value of a task that ended well, if it was not left out.
    pub fn value(&self, task: &str) -> Option<&Value> {
        self.tasks.get(task)?.value.as_ref()
    }

    /// As the root's value, shortened until it fits.
    pub(crate) fn into_value(mut self) -> Value {
        for shorten in [TaskResult::without_value, TaskResult::outcome_only] {
            if self.size() <= RESULT_MAX {
                break;
            }
            self.tasks.values_mut().for_each(shorten);
        }
        serde_json::to_value(&self).unwrap_or_default()
    }

    fn size(&self) -> usize {
        serde_json::to_vec(self).map_or(usize::MAX, |text| text.len())
    }
}

impl TaskResult {
    pub(crate) fn of(outcome: &Outcome) -> Self {
        let (value, files) = match outcome {
            Outcome::Ok(output) => {
                (serde_json::from_slice(&output.value).ok(), output.files.clone())
            }
            _ => (None, Vec::new()),
        };
        let (outcome, error) = (outcome.word().to_owned(), reason_of(outcome));
        Self { outcome, value, digest: None, files, error }
    }

    fn without_value(&mut self) {
        if let Some(value) = self.value.take() {
            self.digest = Some(Digest::of(&[value.to_string().as_bytes()]));
        }
    }

    fn outcome_only(&mut self) {
        let outcome = core::mem::take(&mut self.outcome);
        *self = Self { outcome, ..Self::default() };
    }
}

/// Why an outcome is not ok, for people.
pub(crate) fn reason_of(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Ok(_) => None,
        Outcome::Failed(failure) => Some(format!("{}: {}", failure.code, failure.message)),
        Outcome::Expired { reason } | Outcome::Cancelled { reason } => Some(reason.clone()),
    }
}

/// Bytes of the result of `plan` with outcomes only, all of the longest word.
pub(super) fn shortest_result(plan: &Plan) -> usize {
    let entry = |name: &String| {
        let quoted = serde_json::to_string(name).map_or(0, |quoted| quoted.len());
        quoted + r#":{"outcome":"cancelled"},"#.len()
    };
    2 + plan.tasks.iter().map(|task| entry(&task.name)).sum::<usize>()
}
