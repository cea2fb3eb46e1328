//! Completion certificates as files, and checking them offline.
//!
//! A file has exactly one spelling of a certificate: it is parsed, written again and compared byte by byte, so that a
//! changed byte is refused even where a parser would not care.

use crate::hex;
use formic_completion::{Attestation, Certificate, Seal, Statement, Tally};
use formic_core::{Digest, Incarnation, Life, PeerId};
use formic_node::{Unproved, verify_certificate};
use serde::{Deserialize, Serialize};

/// What a file of this version calls itself.
const FORMAT: &str = "formic-completion-certificate-1";

/// Why a file is no certificate that verifies. The fault of whoever wrote or changed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unverified {
    /// Not the text of a certificate.
    #[error("it is no certificate: {what}")]
    Unreadable {
        /// What is wrong with it.
        what: String,
    },
    /// Another version, or another thing.
    #[error("its format is {found:?}, this version reads {FORMAT:?}")]
    Format {
        /// What it calls itself.
        found: String,
    },
    /// A certificate, but not in its one spelling.
    #[error("it was changed: byte {position} is not as a certificate is written")]
    NotCanonical {
        /// The first byte that differs, from 0.
        position: usize,
    },
    /// It contradicts itself, or a key or a signature is not what it should be.
    #[error(transparent)]
    Unproved(#[from] Unproved),
    /// A home peer that the user did not pin.
    #[error("home peer {peer} is not among the pinned peers")]
    Stranger {
        /// Who.
        peer: PeerId,
    },
    /// About another plan.
    #[error("it is about the plan with SHA-256 {found}, not {expected}")]
    OtherPlan {
        /// In the certificate.
        found: Digest,
        /// Of the user's plan.
        expected: Digest,
    },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    job: String,
    plan: String,
    result: String,
    tasks: u64,
    ok: u64,
    failed: u64,
    executions: u64,
    home: Vec<String>,
    sealed: Vec<Sealed>,
    excluded: Vec<String>,
    attestations: Vec<Signed>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    peer: String,
    live_before: u32,
    sent: u64,
    accepted: u64,
    finished: u64,
    disturbed: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    signer: String,
    public_key: String,
    signature: String,
}

/// The one spelling of a certificate.
pub fn write(certificate: &Certificate) -> String {
    let Statement { job, plan, result, tally, home, sealed, excluded } = &certificate.statement;
    let file = File {
        format: FORMAT.to_owned(),
        job: job.to_string(),
        plan: plan.to_string(),
        result: result.to_string(),
        tasks: tally.tasks,
        ok: tally.ok,
        failed: tally.failed,
        executions: tally.executions,
        home: home.iter().map(show).collect(),
        sealed: sealed.iter().map(|(life, seal)| write_seal(life, seal)).collect(),
        excluded: excluded.iter().map(show).collect(),
        attestations: certificate.attestations.iter().map(write_attestation).collect(),
    };
    spell(&file)
}

/// Reads a certificate in its one spelling. Nothing is verified yet.
///
/// # Errors
/// [`Unverified::Unreadable`], [`Unverified::Format`], [`Unverified::NotCanonical`].
pub fn read(bytes: &[u8]) -> Result<Certificate, Unverified> {
    let text = str::from_utf8(bytes).map_err(unreadable)?;
    let file: File = serde_json::from_str(text).map_err(unreadable)?;
    if file.format != FORMAT {
        return Err(Unverified::Format { found: file.format });
    }
    let canonical = spell(&file);
    if canonical.as_bytes() != bytes {
        let same = canonical.bytes().zip(bytes).take_while(|(a, b)| a == *b).count();
        return Err(Unverified::NotCanonical { position: same });
    }
    decode(&file)
}

/// Checks everything a certificate claims: its shape, each key against its signer, each signature.
///
/// With `pinned` peers, all home peers must be among them; without, the file itself says who they are.
///
/// # Errors
/// The first [`Unverified`] found.
pub fn verify(certificate: &Certificate, pinned: &[PeerId]) -> Result<(), Unverified> {
    verify_certificate(certificate)?;
    let mut home = certificate.statement.home.iter();
    match home.find(|life| !pinned.is_empty() && !pinned.contains(&life.peer)) {
        Some(life) => Err(Unverified::Stranger { peer: life.peer }),
        None => Ok(()),
    }
}

fn unreadable(error: impl core::fmt::Display) -> Unverified {
    Unverified::Unreadable { what: error.to_string() }
}

fn spell(file: &File) -> String {
    // Texts, numbers and lists: always JSON.
    let mut text = serde_json::to_string_pretty(file).unwrap_or_default();
    text.push('\n');
    text
}

fn show(life: &Life) -> String {
    format!("{}.{}", life.peer, life.incarnation.0)
}

fn write_seal(life: &Life, seal: &Seal) -> Sealed {
    Sealed {
        peer: show(life),
        live_before: seal.live_before,
        sent: seal.sent,
        accepted: seal.accepted,
        finished: seal.finished,
        disturbed: seal.disturbed,
    }
}

fn write_attestation(attestation: &Attestation) -> Signed {
    Signed {
        signer: show(&attestation.signer),
        public_key: hex::encode(&attestation.public_key),
        signature: hex::encode(&attestation.signature),
    }
}

fn life(text: &str) -> Result<Life, Unverified> {
    let wrong = || unreadable(format!("{text:?} is no PEER.INCARNATION"));
    let (peer, incarnation) = text.split_once('.').ok_or_else(wrong)?;
    let peer = peer.parse().map_err(|_| wrong())?;
    let number: u64 = incarnation.parse().map_err(|_| wrong())?;
    // "01" and "+1" are other spellings of 1.
    if number.to_string() != incarnation {
        return Err(wrong());
    }
    Ok(Life::new(peer, Incarnation(number)))
}

fn lives(texts: &[String]) -> Result<Vec<Life>, Unverified> {
    texts.iter().map(|text| life(text)).collect()
}

fn decode(file: &File) -> Result<Certificate, Unverified> {
    let File { tasks, ok, failed, executions, .. } = *file;
    let sealed = file.sealed.iter().map(|it| Ok((life(&it.peer)?, seal(it))));
    let statement = Statement {
        job: file.job.parse().map_err(unreadable)?,
        plan: file.plan.parse().map_err(unreadable)?,
        result: file.result.parse().map_err(unreadable)?,
        tally: Tally { tasks, ok, failed, executions },
        home: lives(&file.home)?,
        sealed: sealed.collect::<Result<_, Unverified>>()?,
        excluded: lives(&file.excluded)?,
    };
    let attestations = file.attestations.iter().map(|signed| {
        Ok(Attestation {
            signer: life(&signed.signer)?,
            public_key: hex::decode(&signed.public_key).map_err(unreadable)?,
            signature: hex::decode(&signed.signature).map_err(unreadable)?,
        })
    });
    Ok(Certificate { statement, attestations: attestations.collect::<Result<_, Unverified>>()? })
}

fn seal(sealed: &Sealed) -> Seal {
    let Sealed { live_before, sent, accepted, finished, disturbed, .. } = *sealed;
    Seal { live_before, sent, accepted, finished, disturbed }
}

#[cfg(test)]
mod tests {
    use formic_completion::BadCertificate;
    use formic_core::JobId;
    use formic_identity::SecretKey;
    use formic_node::attested_bytes;

    use super::*;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed([seed; 32])
    }

    fn life_of(seed: u8) -> Life {
        Life::new(key(seed).public().peer_id(), Incarnation(1))
    }

    fn statement() -> Statement {
        let home = vec![life_of(1), life_of(2), life_of(3)];
        let seal = Seal { live_before: 0, sent: 2, accepted: 3, finished: 4, disturbed: 0 };
        let mut sealed = vec![(life_of(1), seal), (life_of(2), seal), (life_of(4), seal)];
        sealed.sort_by_key(|(life, _)| *life);
        Statement {
            job: JobId::derive(life_of(1), 1),
            plan: Digest::of(&[b"plan"]),
            result: Digest::of(&[b"result"]),
            tally: Tally { tasks: 7, ok: 6, failed: 1, executions: 9 },
            home,
            sealed,
            excluded: vec![life_of(3)],
        }
    }

    fn signed_by(statement: Statement, seeds: &[u8]) -> Certificate {
        let sign = |seed: &u8| Attestation {
            signer: life_of(*seed),
            public_key: key(*seed).public().spki_der().to_vec(),
            signature: key(*seed).sign(&attested_bytes(statement.digest())).as_bytes().to_vec(),
        };
        let mut attestations: Vec<_> = seeds.iter().map(sign).collect();
        attestations.sort();
        Certificate { statement, attestations }
    }

    #[test]
    fn what_is_written_reads_back_and_verifies() {
        let certificate = signed_by(statement(), &[1, 2]);
        let read = read(write(&certificate).as_bytes()).unwrap();
        assert_eq!(read, certificate);
        assert_eq!(verify(&read, &[]), Ok(()));
        let pinned = [life_of(3).peer, life_of(1).peer, life_of(2).peer];
        assert_eq!(verify(&read, &pinned), Ok(()));
    }

    #[test]
    fn every_flipped_byte_is_refused() {
        let text = write(&signed_by(statement(), &[1, 2]));
        for position in 0..text.len() {
            for bit in 0..8 {
                let mut bytes = text.clone().into_bytes();
                bytes[position] ^= 1 << bit;
                let refused = read(&bytes).and_then(|certificate| verify(&certificate, &[]));
                assert!(refused.is_err(), "byte {position}, bit {bit}");
            }
        }
    }

    #[test]
    fn appended_and_cut_bytes_are_refused() {
        let text = write(&signed_by(statement(), &[1, 2]));
        assert!(matches!(
            read(format!("{text}\n").as_bytes()),
            Err(Unverified::NotCanonical { .. })
        ));
        assert!(matches!(
            read(&text.as_bytes()[..text.len() - 1]),
            Err(Unverified::NotCanonical { .. })
        ));
        assert!(matches!(read(&text.as_bytes()[..100]), Err(Unverified::Unreadable { .. })));
        assert!(matches!(read(b""), Err(Unverified::Unreadable { .. })));
    }

    #[test]
    fn a_missing_signer_is_refused() {
        let refused = verify(&signed_by(statement(), &[1]), &[]);
        let shape = BadCertificate::NoQuorum { signers: 1, home: 3 };
        assert_eq!(refused, Err(Unproved::Shape(shape).into()));
    }

    #[test]
    fn another_jobs_signature_is_refused() {
        let mut other = statement();
        other.job = JobId::derive(life_of(1), 2);
        let foreign = signed_by(other, &[1, 2]).attestations;
        let certificate = Certificate { statement: statement(), attestations: foreign };
        assert!(matches!(
            verify(&certificate, &[]),
            Err(Unverified::Unproved(Unproved::Signature { .. }))
        ));
    }

    #[test]
    fn a_stranger_cannot_sign_for_a_home_peer() {
        let mut certificate = signed_by(statement(), &[1, 2]);
        certificate.attestations[0].public_key = key(9).public().spki_der().to_vec();
        assert!(matches!(
            verify(&certificate, &[]),
            Err(Unverified::Unproved(Unproved::Key { .. }))
        ));
    }

    #[test]
    fn home_peers_that_are_not_pinned_are_refused() {
        let certificate = signed_by(statement(), &[1, 2]);
        let refused = verify(&certificate, &[life_of(1).peer, life_of(2).peer]);
        assert_eq!(refused, Err(Unverified::Stranger { peer: life_of(3).peer }));
    }
}
