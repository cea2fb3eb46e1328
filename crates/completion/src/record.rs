use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Certificate, Decree, Fact, JobSpec};

/// What must survive the process. Later records win over earlier ones of the same kind and key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Record {
    /// This peer is in the home group of the job.
    Home(Arc<JobSpec>),
    /// What this peer promised or accepted as a replica of the result.
    Register(formic_register::Record<Decree>),
    /// A fact that reached the root's ledger here: its task is not executed again.
    Fact(Arc<Fact>),
    /// The job is over; all other records of the job may be deleted.
    Closed {
        /// The result.
        decree: Arc<Decree>,
        /// The proof.
        certificate: Arc<Certificate>,
    },
}
