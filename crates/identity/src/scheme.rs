use core::fmt::Debug;

use formic_core::Digest;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::{KeyError, PublicKey, SecretKey, Signature};

/// The number of [`Ed25519`].
pub const ED25519: u8 = 1;
/// The number of [`Rsa2048`](crate::Rsa2048).
pub const RSA_2048: u8 = 2;

/// One way to sign, on one backend. Two backends of one scheme accept the same keys and signatures and make the same
/// bytes (`tests::backends`): a signature that half the voters accept would stall them.
///
/// Signatures are deterministic: same key, same statement, same bytes. Entropy only blinds.
pub trait Scheme: Send + Sync + 'static {
    /// Its number on the wire and in electorates: 1 Ed25519, 2 RSA-2048.
    const ID: u8;
    /// Bytes of every SubjectPublicKeyInfo.
    const SPKI_BYTES: usize;
    /// Bytes of every signature.
    const SIGNATURE_BYTES: usize;
    /// A secret key; overwritten when dropped, without secrets in its `Debug`.
    type Secret: Clone + Debug + Send + Sync;
    /// A public key of the one acceptance set.
    type Public: Clone + Debug + Eq + Send + Sync;

    /// A new key out of handed-in entropy: same draws, same key.
    ///
    /// # Errors
    /// [`KeyError::Backend`]: the backend gave up, or refuses what another one made.
    fn generate(entropy: &mut impl CryptoRng) -> Result<Self::Secret, KeyError>;

    /// Reads a PKCS#8 v1 private key in DER.
    ///
    /// # Errors
    /// Any [`KeyError`]; none shows a byte of the key.
    fn secret(pkcs8: &[u8]) -> Result<Self::Secret, KeyError>;

    /// The PKCS#8 v1 private key in DER, the one spelling that [`Scheme::secret`] reads.
    ///
    /// # Errors
    /// [`KeyError::Backend`].
    fn pkcs8(secret: &Self::Secret) -> Result<Zeroizing<Vec<u8>>, KeyError>;

    /// The public half.
    fn public_of(secret: &Self::Secret) -> Self::Public;

    /// Reads a SubjectPublicKeyInfo in its one canonical DER encoding.
    ///
    /// # Errors
    /// Any [`KeyError`].
    fn public(spki: &[u8]) -> Result<Self::Public, KeyError>;

    /// The SubjectPublicKeyInfo in DER.
    fn spki(public: &Self::Public) -> Vec<u8>;

    /// Signs exactly `statement`.
    ///
    /// # Errors
    /// [`KeyError::Backend`]: the signature did not verify under its own key, e.g. because of a flipped bit in memory. It
    /// is not let out: it could betray the key.
    fn sign(
        secret: &Self::Secret,
        statement: &[u8],
        entropy: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, KeyError>;

    /// Whether the holder of `public` signed exactly `statement`.
    fn verify(public: &Self::Public, statement: &[u8], signature: &[u8]) -> bool;

    /// What an electorate lists: SHA-256 of the SubjectPublicKeyInfo.
    fn key_digest(public: &Self::Public) -> Digest {
        Digest::of(&[&Self::spki(public)])
    }
}

/// Ed25519 (RFC 8032) on crate `ed25519-dalek`, strictly: canonical key, `S < L`, no key and no `R` of small order.
#[derive(Clone, Copy, Debug)]
pub struct Ed25519;

impl Scheme for Ed25519 {
    const ID: u8 = ED25519;
    const SPKI_BYTES: usize = 44;
    const SIGNATURE_BYTES: usize = 64;
    type Secret = SecretKey;
    type Public = PublicKey;

    fn generate(entropy: &mut impl CryptoRng) -> Result<SecretKey, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        entropy.fill_bytes(&mut *seed);
        Ok(SecretKey::from_seed(*seed))
    }

    fn secret(pkcs8: &[u8]) -> Result<SecretKey, KeyError> {
        SecretKey::from_pkcs8_der(pkcs8)
    }

    fn pkcs8(secret: &SecretKey) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        Ok(Zeroizing::new(secret.to_pkcs8_der().to_vec()))
    }

    fn public_of(secret: &SecretKey) -> PublicKey {
        secret.public()
    }

    fn public(spki: &[u8]) -> Result<PublicKey, KeyError> {
        PublicKey::from_spki_der(spki)
    }

    fn spki(public: &PublicKey) -> Vec<u8> {
        public.spki_der().to_vec()
    }

    fn sign(
        secret: &SecretKey,
        statement: &[u8],
        _: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, KeyError> {
        Ok(secret.sign(statement).as_bytes().to_vec())
    }

    fn verify(public: &PublicKey, statement: &[u8], signature: &[u8]) -> bool {
        let signature = <[u8; 64]>::try_from(signature).map(Signature::from_bytes);
        signature.is_ok_and(|signature| public.verify(statement, &signature))
    }
}
