use std::collections::BTreeSet;

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
    #[serde(with = "serde_bytes")]
    pub public_key: Vec<u8>,
    /// The signature over `Statement::signed_bytes`.
    #[serde(with = "serde_bytes")]
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

/// Why a certificate cannot be true, whatever its signatures say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadCertificate {
    /// The home group is neither 1, 2 nor an odd number of unique peers up to 7.
    #[error("home group of {count} is not 1, 2 or an odd number of unique peers up to 7")]
    Home {
        /// How many lives it names.
        count: usize,
    },
    /// Signers are not sorted and unique.
    #[error("signers are not sorted and unique")]
    SignerOrder,
    /// A signer is not home.
    #[error("signer {signer} is no home life of the job")]
    SignerNotHome {
        /// The signer.
        signer: Life,
    },
    /// Too few signers.
    #[error("{signers} of {home} home lives signed: no quorum")]
    NoQuorum {
        /// How many signed.
        signers: usize,
        /// How many could.
        home: usize,
    },
    /// Sealed or excluded members are not sorted and unique.
    #[error("members are not sorted and unique")]
    MemberOrder,
    /// A member is both sealed and excluded.
    #[error("{life} is both sealed and excluded")]
    SealedAndExcluded {
        /// The member.
        life: Life,
    },
    /// Not even one home life sealed.
    #[error("no home life is sealed")]
    HomeNotSealed,
    /// The tally contradicts itself.
    #[error("tally does not add up: {ok} ok and {failed} failed of {tasks} tasks")]
    Tally {
        /// All tasks.
        tasks: u64,
        /// Ended well.
        ok: u64,
        /// Did not.
        failed: u64,
    },
    /// The statement is about another job.
    #[error("the statement is about another job")]
    OtherJob,
    /// The statement's result or counts are not those of the decree.
    #[error("the statement and the decree differ")]
    OtherResult,
}

/// Whether these lives may be a home group: 1, 2 or an odd number of unique peers up to 7.
pub(crate) fn is_home_group(home: &[Life]) -> bool {
    let unique: BTreeSet<_> = home.iter().map(|life| life.peer).collect();
    let count = home.len();
    unique.len() == count && count <= 7 && (count == 2 || count % 2 == 1)
}

fn rises(lives: impl Iterator<Item = Life>) -> bool {
    let mut last = None;
    for life in lives {
        if last >= Some(life) {
            return false;
        }
        last = Some(life);
    }
    true
}

fn put(bytes: &mut Vec<u8>, numbers: &[u64]) {
    for number in numbers {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
}

impl Statement {
    /// What is signed: a 32-byte domain, then every field in order, big-endian and fixed-width, each
    /// list after its length. Never codec output.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; 32];
        let domain = b"formic/complete/1";
        bytes[..domain.len()].copy_from_slice(domain);
        bytes.extend_from_slice(self.job.as_bytes());
        bytes.extend_from_slice(self.plan.as_bytes());
        bytes.extend_from_slice(self.result.as_bytes());
        let tally = &self.tally;
        put(&mut bytes, &[tally.tasks, tally.ok, tally.failed, tally.executions]);
        put(&mut bytes, &[self.home.len() as u64]);
        for life in &self.home {
            bytes.extend_from_slice(&life.to_bytes());
        }
        put(&mut bytes, &[self.sealed.len() as u64]);
        for (life, seal) in &self.sealed {
            bytes.extend_from_slice(&life.to_bytes());
            let live = u64::from(seal.live_before);
            let counts = [live, seal.sent, seal.accepted, seal.finished, seal.disturbed];
            put(&mut bytes, &counts);
        }
        put(&mut bytes, &[self.excluded.len() as u64]);
        for life in &self.excluded {
            bytes.extend_from_slice(&life.to_bytes());
        }
        bytes
    }

    /// SHA-256 of [`signed_bytes`](Self::signed_bytes).
    pub fn digest(&self) -> Digest {
        Digest::of(&[&self.signed_bytes()])
    }

    fn check_shape(&self) -> Result<(), BadCertificate> {
        if !is_home_group(&self.home) {
            return Err(BadCertificate::Home { count: self.home.len() });
        }
        let sealed = || self.sealed.iter().map(|(life, _)| *life);
        if !rises(sealed()) || !rises(self.excluded.iter().copied()) {
            return Err(BadCertificate::MemberOrder);
        }
        if let Some(life) = sealed().find(|life| self.excluded.binary_search(life).is_ok()) {
            return Err(BadCertificate::SealedAndExcluded { life });
        }
        if !sealed().any(|life| self.home.contains(&life)) {
            return Err(BadCertificate::HomeNotSealed);
        }
        let Tally { tasks, ok, failed, .. } = self.tally;
        if ok.checked_add(failed) != Some(tasks) {
            return Err(BadCertificate::Tally { tasks, ok, failed });
        }
        Ok(())
    }
}

impl Certificate {
    /// All that can be checked without cryptography. The caller checks each signature over
    /// [`Statement::signed_bytes`] and each public key against its signer's peer id.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn check_shape(&self) -> Result<(), BadCertificate> {
        self.statement.check_shape()?;
        if !rises(self.attestations.iter().map(|attestation| attestation.signer)) {
            return Err(BadCertificate::SignerOrder);
        }
        let home = &self.statement.home;
        let mut ranks = BTreeSet::new();
        for Attestation { signer, .. } in &self.attestations {
            match home.iter().position(|life| life == signer) {
                Some(rank) => ranks.insert(rank),
                None => return Err(BadCertificate::SignerNotHome { signer: *signer }),
            };
        }
        if !formic_register::is_quorum(&ranks, home.len(), 0) {
            return Err(BadCertificate::NoQuorum { signers: ranks.len(), home: home.len() });
        }
        Ok(())
    }

    /// As [`check_shape`](Self::check_shape), and whether it certifies `decree` for `job`.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn check_decree(&self, job: JobId, decree: &Decree) -> Result<(), BadCertificate> {
        self.check_shape()?;
        if self.statement.job != job {
            return Err(BadCertificate::OtherJob);
        }
        let same = self.statement.result == decree.outcome.digest();
        if !same || self.statement.tally != decree.tally {
            return Err(BadCertificate::OtherResult);
        }
        Ok(())
    }
}
