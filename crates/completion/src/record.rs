use std::sync::Arc;

use formic_core::Life;
use serde::{Deserialize, Serialize};

use crate::{Certificate, Decree, Fact, JobSpec, Ruling};

/// What must survive the process. Later records win over earlier ones of the same kind and key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Record {
    /// This peer is, or was, in the home group of the job.
    Home {
        /// The job.
        spec: Arc<JobSpec>,
        /// Its home groups after the first one, by generation.
        later: Vec<Vec<Life>>,
    },
    /// What this peer promised or accepted as a replica of what a home group decides.
    Register {
        /// Of which generation.
        generation: u32,
        /// What.
        record: formic_register::Record<Ruling>,
    },
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
