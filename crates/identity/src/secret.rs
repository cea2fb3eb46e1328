use core::fmt;

use ed25519_dalek::{Signer as _, SigningKey};
use zeroize::Zeroizing;

use crate::{KeyError, PublicKey, Signature, error::after_header};

/// SEQUENCE { INTEGER 0, SEQUENCE { OID 1.3.101.112 }, OCTET STRING { OCTET STRING of 32 bytes } }
/// (RFC 8410, section 7).
const PKCS8_HEADER: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// A peer's secret key. Overwritten when dropped; shows only its public half.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key that belongs to a seed. Every seed is a key; whoever knows the seed is the peer.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self(SigningKey::from_bytes(&seed))
    }

    /// Reads a PKCS#8 v1 private key in DER, as [`SecretKey::to_pkcs8_der`] writes it.
    ///
    /// # Errors
    /// [`KeyError::Length`], [`KeyError::Header`].
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        after_header(der, &PKCS8_HEADER).map(Self::from_seed)
    }

    /// The PKCS#8 v1 private key in DER: what TLS and the state directory take.
    pub fn to_pkcs8_der(&self) -> Zeroizing<[u8; 48]> {
        let mut der = Zeroizing::new([0; 48]);
        der[..16].copy_from_slice(&PKCS8_HEADER);
        der[16..].copy_from_slice(self.0.as_bytes());
        der
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey::of(self.0.verifying_key())
    }

    /// Signs `statement`. Same key, same statement, same bytes.
    pub fn sign(&self, statement: &[u8]) -> Signature {
        #[expect(clippy::disallowed_methods, reason = "Ed25519 signs without blinding")]
        let signature = self.0.sign(statement);
        Signature::from_bytes(signature.to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public().peer_id().short())
    }
}
