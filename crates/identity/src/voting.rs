use core::fmt;

use formic_core::Digest;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::{ED25519, KeyError, RSA_2048, Scheme};

#[cfg(feature = "aws-lc")]
use crate::{AwsEd25519 as Ed, AwsRsa2048 as Rsa};
#[cfg(not(feature = "aws-lc"))]
use crate::{Ed25519 as Ed, Rsa2048 as Rsa};

/// A secret voting key of either scheme, on the fastest backend of this build. Overwritten when dropped; shows only
/// its public half.
///
/// ```
/// use formic_identity::{ED25519, Entropy, VotingKey, VotingPublicKey};
///
/// // Whoever has entropy hands it in; the same seed is the same key.
/// let mut entropy = Entropy::from_seed([7; 32]);
/// let key = VotingKey::generate(ED25519, &mut entropy)?;
/// let signature = key.sign(b"formic/example/1: yes", &mut entropy)?;
/// let public = VotingPublicKey::from_spki_der(ED25519, &key.public().spki_der())?;
/// assert!(public.verify(b"formic/example/1: yes", &signature));
/// # Ok::<(), formic_identity::KeyError>(())
/// ```
#[derive(Clone)]
pub struct VotingKey(Secret);

#[derive(Clone)]
enum Secret {
    Ed25519(Box<<Ed as Scheme>::Secret>),
    Rsa2048(Box<<Rsa as Scheme>::Secret>),
}

impl VotingKey {
    /// A new key of a scheme. RSA takes about 0.1 s with a long tail: in the background, never while a peer starts.
    ///
    /// # Errors
    /// [`KeyError::Scheme`], [`KeyError::Backend`].
    pub fn generate(scheme: u8, entropy: &mut impl CryptoRng) -> Result<Self, KeyError> {
        match scheme {
            ED25519 => Ed::generate(entropy).map(|key| Self(Secret::Ed25519(Box::new(key)))),
            RSA_2048 => Rsa::generate(entropy).map(|key| Self(Secret::Rsa2048(Box::new(key)))),
            found => Err(KeyError::Scheme { found }),
        }
    }

    /// Reads a PKCS#8 v1 private key in DER, as [`VotingKey::to_pkcs8_der`] writes it.
    ///
    /// # Errors
    /// Any [`KeyError`]; none shows a byte of the key.
    pub fn from_pkcs8_der(scheme: u8, der: &[u8]) -> Result<Self, KeyError> {
        match scheme {
            ED25519 => Ed::secret(der).map(|key| Self(Secret::Ed25519(Box::new(key)))),
            RSA_2048 => Rsa::secret(der).map(|key| Self(Secret::Rsa2048(Box::new(key)))),
            found => Err(KeyError::Scheme { found }),
        }
    }

    /// The PKCS#8 v1 private key in DER: what the state directory keeps. Overwritten when dropped.
    ///
    /// # Errors
    /// [`KeyError::Backend`].
    pub fn to_pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        match &self.0 {
            Secret::Ed25519(key) => Ed::pkcs8(key),
            Secret::Rsa2048(key) => Rsa::pkcs8(key),
        }
    }

    /// The public half.
    pub fn public(&self) -> VotingPublicKey {
        VotingPublicKey(match &self.0 {
            Secret::Ed25519(key) => Public::Ed25519(Ed::public_of(key)),
            Secret::Rsa2048(key) => Public::Rsa2048(Rsa::public_of(key)),
        })
    }

    /// Signs exactly `statement`. Same key, same statement, same bytes; `entropy` blinds RSA and nothing else.
    ///
    /// # Errors
    /// [`KeyError::Backend`]: the signature did not verify under its own key and is not let out.
    pub fn sign(
        &self,
        statement: &[u8],
        entropy: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, KeyError> {
        match &self.0 {
            Secret::Ed25519(key) => Ed::sign(key, statement, entropy),
            Secret::Rsa2048(key) => Rsa::sign(key, statement, entropy),
        }
    }
}

impl fmt::Debug for VotingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VotingKey(of {:?})", self.public())
    }
}

/// A public voting key of either scheme, on the fastest backend of this build.
#[derive(Clone, PartialEq, Eq)]
pub struct VotingPublicKey(Public);

#[derive(Clone, PartialEq, Eq)]
enum Public {
    Ed25519(<Ed as Scheme>::Public),
    Rsa2048(<Rsa as Scheme>::Public),
}

impl VotingPublicKey {
    /// Reads a SubjectPublicKeyInfo in the one canonical DER encoding of a scheme.
    ///
    /// # Errors
    /// Any [`KeyError`].
    pub fn from_spki_der(scheme: u8, der: &[u8]) -> Result<Self, KeyError> {
        match scheme {
            ED25519 => Ed::public(der).map(|key| Self(Public::Ed25519(key))),
            RSA_2048 => Rsa::public(der).map(|key| Self(Public::Rsa2048(key))),
            found => Err(KeyError::Scheme { found }),
        }
    }

    /// The SubjectPublicKeyInfo in DER: 44 bytes of Ed25519, 294 of RSA-2048.
    pub fn spki_der(&self) -> Vec<u8> {
        match &self.0 {
            Public::Ed25519(key) => Ed::spki(key),
            Public::Rsa2048(key) => Rsa::spki(key),
        }
    }

    /// What an electorate lists: SHA-256 of the SubjectPublicKeyInfo.
    pub fn digest(&self) -> Digest {
        Digest::of(&[&self.spki_der()])
    }

    /// The scheme's number: [`ED25519`] or [`RSA_2048`].
    pub const fn scheme(&self) -> u8 {
        match &self.0 {
            Public::Ed25519(_) => ED25519,
            Public::Rsa2048(_) => RSA_2048,
        }
    }

    /// Whether the holder of this key signed exactly `statement`.
    pub fn verify(&self, statement: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            Public::Ed25519(key) => Ed::verify(key, statement, signature),
            Public::Rsa2048(key) => Rsa::verify(key, statement, signature),
        }
    }
}

impl fmt::Debug for VotingPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VotingPublicKey({}, {})", self.scheme(), self.digest().short())
    }
}

/// The bytes of a public key and of a signature of a scheme.
pub(crate) const fn widths(scheme: u8) -> Option<(usize, usize)> {
    match scheme {
        ED25519 => Some((Ed::SPKI_BYTES, Ed::SIGNATURE_BYTES)),
        RSA_2048 => Some((Rsa::SPKI_BYTES, Rsa::SIGNATURE_BYTES)),
        _ => None,
    }
}
