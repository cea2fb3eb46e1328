//! Voting keys by scheme: the one place that knows which there are.

use formic_consensus::Seal;
use formic_core::PeerId;
use formic_identity::{PublicKey, SecretKey};

/// Ed25519, the identity key itself.
pub(crate) const IDENTITY: u8 = 1;

/// Reads a SubjectPublicKeyInfo. `None`: it is none, or of a scheme that this version has not.
pub(crate) fn voting_key(scheme: u8, spki: &[u8]) -> Option<PublicKey> {
    if scheme == IDENTITY { PublicKey::from_spki_der(spki).ok() } else { None }
}

/// The voting key of `peer`, if these bytes are it.
pub(crate) fn key_of(peer: PeerId, spki: &[u8]) -> Option<PublicKey> {
    voting_key(IDENTITY, spki).filter(|key| key.peer_id() == peer)
}

/// The seal of a statement's bytes (`formic_consensus::Statement::bytes`).
pub(crate) fn seal(secret: &SecretKey, statement: &[u8]) -> Seal {
    Seal(secret.sign(statement).as_bytes().to_vec())
}
