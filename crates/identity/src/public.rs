use core::fmt;

use ed25519_dalek::VerifyingKey;
use formic_core::{Digest, PeerId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{KeyError, Signature, error::after_header};

/// SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING of 32 bytes } (RFC 8410, section 4).
const SPKI_HEADER: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A peer's public key: an Ed25519 point of large order in its one canonical encoding.
///
/// Encoded by serde as its 32 bytes, in formats for people as 64 hexadecimal digits; decoding checks
/// what [`PublicKey::from_bytes`] checks.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads the 32 bytes of a key.
    ///
    /// # Errors
    /// [`KeyError::Point`], [`KeyError::Weak`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Point)?;
        // The decoder reduces modulo p, so it takes a second spelling of small coordinates.
        if key.to_edwards().compress().to_bytes() != *bytes {
            return Err(KeyError::Point);
        }
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        Ok(Self(key))
    }

    /// Reads a SubjectPublicKeyInfo in DER, as TLS sends it.
    ///
    /// # Errors
    /// Any [`KeyError`].
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        Self::from_bytes(&after_header(der, &SPKI_HEADER)?)
    }

    /// The 32 bytes of the key.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The SubjectPublicKeyInfo in DER: what is hashed to the [`PeerId`] and sent in TLS.
    pub fn spki_der(&self) -> [u8; 44] {
        let mut der = [0; 44];
        der[..12].copy_from_slice(&SPKI_HEADER);
        der[12..].copy_from_slice(self.0.as_bytes());
        der
    }

    /// Whose key this is: SHA-256 of [`PublicKey::spki_der`].
    pub fn peer_id(&self) -> PeerId {
        PeerId::from_bytes(*Digest::of(&[&self.spki_der()]).as_bytes())
    }

    /// Whether the holder of this key signed exactly `statement`.
    pub fn verify(&self, statement: &[u8], signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature.as_bytes());
        self.0.verify_strict(statement, &signature).is_ok()
    }

    pub(crate) fn of(key: VerifyingKey) -> Self {
        Self(key)
    }
}

impl fmt::Display for PublicKey {
    /// 64 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Digest::from_bytes(self.to_bytes()), f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.peer_id().short())
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.to_bytes().serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = if deserializer.is_human_readable() {
            let digits = String::deserialize(deserializer)?;
            *digits.parse::<Digest>().map_err(D::Error::custom)?.as_bytes()
        } else {
            <[u8; 32]>::deserialize(deserializer)?
        };
        Self::from_bytes(&bytes).map_err(D::Error::custom)
    }
}
