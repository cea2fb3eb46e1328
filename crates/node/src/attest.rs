//! Signatures over completion statements: made on the way out, checked on the way in.

use formic_completion::{Attestation, BadCertificate, Certificate};
use formic_core::{Digest, Life};
use formic_identity::{PublicKey, SecretKey, Signature};

/// What a home life signs: a 32-byte domain, then the digest of the statement.
pub fn attested_bytes(statement: Digest) -> [u8; 64] {
    let mut bytes = [0; 64];
    let domain = b"formic/complete/1";
    bytes[..domain.len()].copy_from_slice(domain);
    bytes[32..].copy_from_slice(statement.as_bytes());
    bytes
}

/// Why a certificate proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unproved {
    /// It contradicts itself.
    #[error(transparent)]
    Shape(#[from] BadCertificate),
    /// A public key is not the signer's.
    #[error("the public key of {signer} is not its own")]
    Key {
        /// Whose.
        signer: Life,
    },
    /// A signature is not over this statement.
    #[error("the signature of {signer} is not over this statement")]
    Signature {
        /// Whose.
        signer: Life,
    },
}

/// Checks a certificate offline: its shape, every key, every signature.
///
/// # Errors
/// The first thing found wrong.
pub fn verify_certificate(certificate: &Certificate) -> Result<(), Unproved> {
    certificate.check_shape()?;
    let statement = certificate.statement.digest();
    for attestation in &certificate.attestations {
        verify(statement, attestation)?;
    }
    Ok(())
}

pub(crate) fn sign(secret: &SecretKey, statement: Digest) -> (Vec<u8>, Signature) {
    (secret.public().spki_der().to_vec(), secret.sign(&attested_bytes(statement)))
}

pub(crate) fn verify(statement: Digest, attestation: &Attestation) -> Result<(), Unproved> {
    let signer = attestation.signer;
    let key = PublicKey::from_spki_der(&attestation.public_key);
    let key = key.ok().filter(|key| key.peer_id() == signer.peer);
    let key = key.ok_or(Unproved::Key { signer })?;
    let bytes = <[u8; 64]>::try_from(attestation.signature.as_slice());
    let signature = bytes.map(Signature::from_bytes).map_err(|_| Unproved::Signature { signer })?;
    if key.verify(&attested_bytes(statement), &signature) {
        Ok(())
    } else {
        Err(Unproved::Signature { signer })
    }
}
