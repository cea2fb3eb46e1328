use formic_core::{Digest, JobId, Life, Outcome};
use serde::{Deserialize, Serialize};

use crate::{Seal, Tally};

/// What the home group decides once: the job's result. First write wins.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Decree {
    /// How the root ended.
    pub outcome: Outcome,
    /// Counts over the execution tree that produced it.
    pub tally: Tally,
}

/// What home lives sign when a job is over. Hand-laid bytes, never codec output.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Statement {
    /// The job.
    pub job: JobId,
    /// SHA-256 of the plan.
    pub plan: Digest,
    /// Digest of the root's outcome.
    pub result: Digest,
    /// Counts over the execution tree.
    pub tally: Tally,
    /// The home group by rank.
    pub home: Vec<Life>,
    /// Sealed members with their reports, sorted by life.
    pub sealed: Vec<(Life, Seal)>,
    /// Members that did not seal because they were believed dead, sorted.
    pub excluded: Vec<Life>,
}

/// One home life's signature over a statement. Opaque here: node signs and verifies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attestation {
    /// Who signed.
    pub signer: Life,
    /// Its public key: SubjectPublicKeyInfo, DER, whose SHA-256 is the signer's PeerId.
    pub public_key: Vec<u8>,
    /// The signature over `Statement::signed_bytes`.
    pub signature: Vec<u8>,
}

/// A statement and the signatures of a quorum of its home group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Certificate {
    /// What is certified.
    pub statement: Statement,
    /// Sorted by signer, unique.
    pub attestations: Vec<Attestation>,
}

/// How a job ended, as every member learns it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// The result.
    pub decree: Decree,
    /// The proof, with members and excluded lives.
    pub certificate: Certificate,
}
