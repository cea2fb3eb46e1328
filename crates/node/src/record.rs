use formic_core::JobId;
use serde::{Deserialize, Serialize};

/// What must survive the process. (The incarnation is the driver's: it is raised before the node exists.)
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// The job it belongs to.
    pub job: JobId,
    /// What.
    pub record: formic_completion::Record,
}

impl Record {
    /// Whether all earlier records of the job may be deleted once this one is durable.
    pub const fn closes(&self) -> bool {
        matches!(self.record, formic_completion::Record::Closed { .. })
    }
}
