//! The second backend: aws-lc, the C library that TLS uses anyway (feature `aws-lc`).
//!
//! It blinds with entropy of its own, which never reaches the output. Its key generation takes no seed, so keys come
//! from the first backend. What it accepts is checked against the first backend in `tests::backends`; what it alone
//! would accept is refused before it is asked.

use core::fmt;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeyPair,
    signature::{
        self, Ed25519KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
    },
};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::{Ed25519, KeyError, PublicKey, Rsa2048, Scheme, SecretKey, rsa2048::Modulus};

/// RSA-2048 with PKCS#1 v1.5 and SHA-256 on aws-lc.
#[derive(Clone, Copy, Debug)]
pub struct AwsRsa2048;

/// A secret key of [`AwsRsa2048`]. Overwritten when dropped; shows only its public half.
#[derive(Clone)]
pub struct AwsRsaSecret {
    // aws-lc gives no key out again as it came in, so its bytes are kept.
    pkcs8: Zeroizing<Vec<u8>>,
    key: std::sync::Arc<KeyPair>,
    public: AwsRsaPublic,
}

impl fmt::Debug for AwsRsaSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AwsRsaSecret(of {:?})", self.public.modulus)
    }
}

/// A public key of [`AwsRsa2048`].
#[derive(Clone)]
pub struct AwsRsaPublic {
    modulus: Modulus,
    key: ParsedPublicKey,
}

impl PartialEq for AwsRsaPublic {
    fn eq(&self, other: &Self) -> bool {
        self.modulus == other.modulus
    }
}

impl Eq for AwsRsaPublic {}

impl fmt::Debug for AwsRsaPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AwsRsaPublic({:?})", self.modulus)
    }
}

impl Scheme for AwsRsa2048 {
    const ID: u8 = Rsa2048::ID;
    const SPKI_BYTES: usize = Rsa2048::SPKI_BYTES;
    const SIGNATURE_BYTES: usize = Rsa2048::SIGNATURE_BYTES;
    type Secret = AwsRsaSecret;
    type Public = AwsRsaPublic;

    fn generate(entropy: &mut impl CryptoRng) -> Result<AwsRsaSecret, KeyError> {
        Self::secret(&Rsa2048::pkcs8(&Rsa2048::generate(entropy)?)?)
    }

    fn secret(pkcs8: &[u8]) -> Result<AwsRsaSecret, KeyError> {
        // The first backend decides which bytes are a key.
        let checked = Rsa2048::secret(pkcs8)?;
        let public = Self::public(&Rsa2048::spki(&Rsa2048::public_of(&checked)))?;
        let key = KeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError::Backend)?;
        Ok(AwsRsaSecret { pkcs8: Zeroizing::new(pkcs8.to_vec()), key: key.into(), public })
    }

    fn pkcs8(secret: &AwsRsaSecret) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        Ok(secret.pkcs8.clone())
    }

    fn public_of(secret: &AwsRsaSecret) -> AwsRsaPublic {
        secret.public.clone()
    }

    fn public(spki: &[u8]) -> Result<AwsRsaPublic, KeyError> {
        let modulus = Modulus::from_spki(spki)?;
        let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, spki);
        Ok(AwsRsaPublic { modulus, key: key.map_err(|_| KeyError::Backend)? })
    }

    fn spki(public: &AwsRsaPublic) -> Vec<u8> {
        public.modulus.spki()
    }

    fn sign(
        secret: &AwsRsaSecret,
        statement: &[u8],
        _: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, KeyError> {
        let mut signature = vec![0; Self::SIGNATURE_BYTES];
        let random = SystemRandom::new();
        let signed = secret.key.sign(&RSA_PKCS1_SHA256, &random, statement, &mut signature);
        signed.map_err(|_| KeyError::Backend)?;
        Ok(signature)
    }

    fn verify(public: &AwsRsaPublic, statement: &[u8], signature: &[u8]) -> bool {
        public.modulus.admits(signature) && public.key.verify_sig(statement, signature).is_ok()
    }
}

/// Ed25519 on aws-lc, as strict as [`Ed25519`].
#[derive(Clone, Copy, Debug)]
pub struct AwsEd25519;

/// A secret key of [`AwsEd25519`]. Overwritten when dropped; shows only its public half.
#[derive(Clone)]
pub struct AwsEd25519Secret {
    secret: SecretKey,
    key: std::sync::Arc<Ed25519KeyPair>,
    public: AwsEd25519Public,
}

impl fmt::Debug for AwsEd25519Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Aws{:?}", self.secret)
    }
}

/// A public key of [`AwsEd25519`].
#[derive(Clone)]
pub struct AwsEd25519Public {
    public: PublicKey,
    key: ParsedPublicKey,
}

impl PartialEq for AwsEd25519Public {
    fn eq(&self, other: &Self) -> bool {
        self.public == other.public
    }
}

impl Eq for AwsEd25519Public {}

impl fmt::Debug for AwsEd25519Public {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Aws{:?}", self.public)
    }
}

impl AwsEd25519 {
    fn of(public: PublicKey) -> Result<AwsEd25519Public, KeyError> {
        let key = ParsedPublicKey::new(&signature::ED25519, public.to_bytes());
        Ok(AwsEd25519Public { public, key: key.map_err(|_| KeyError::Backend)? })
    }
}

/// The encodings of the eight points of small order. The backend compares `R` with the one encoding of the point that
/// it computes, so it refuses their other spellings itself.
pub(crate) const SMALL_ORDER: [[u8; 32]; 8] = {
    const fn point(mut bytes: [u8; 32], last: u8) -> [u8; 32] {
        bytes[31] = last;
        bytes
    }
    // y = 1, -1, 0 and 0, and the two of order 8 with both signs.
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    let low = [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0,
    ];
    let high = [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0,
    ];
    [
        one,
        point(minus_one, 0x7f),
        [0; 32],
        point([0; 32], 0x80),
        point(low, 0x05),
        point(low, 0x85),
        point(high, 0x7a),
        point(high, 0xfa),
    ]
};

impl Scheme for AwsEd25519 {
    const ID: u8 = Ed25519::ID;
    const SPKI_BYTES: usize = Ed25519::SPKI_BYTES;
    const SIGNATURE_BYTES: usize = Ed25519::SIGNATURE_BYTES;
    type Secret = AwsEd25519Secret;
    type Public = AwsEd25519Public;

    fn generate(entropy: &mut impl CryptoRng) -> Result<AwsEd25519Secret, KeyError> {
        Self::secret(&Ed25519::pkcs8(&Ed25519::generate(entropy)?)?)
    }

    fn secret(pkcs8: &[u8]) -> Result<AwsEd25519Secret, KeyError> {
        let secret = Ed25519::secret(pkcs8)?;
        // Version 1 of PKCS#8 has no public key to compare with: "unchecked" means only that.
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8);
        let key = key.map_err(|_| KeyError::Backend)?.into();
        let public = Self::of(secret.public())?;
        Ok(AwsEd25519Secret { secret, key, public })
    }

    fn pkcs8(secret: &AwsEd25519Secret) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        Ed25519::pkcs8(&secret.secret)
    }

    fn public_of(secret: &AwsEd25519Secret) -> AwsEd25519Public {
        secret.public.clone()
    }

    fn public(spki: &[u8]) -> Result<AwsEd25519Public, KeyError> {
        Self::of(Ed25519::public(spki)?)
    }

    fn spki(public: &AwsEd25519Public) -> Vec<u8> {
        Ed25519::spki(&public.public)
    }

    fn sign(
        secret: &AwsEd25519Secret,
        statement: &[u8],
        _: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, KeyError> {
        Ok(secret.key.sign(statement).as_ref().to_vec())
    }

    fn verify(public: &AwsEd25519Public, statement: &[u8], signature: &[u8]) -> bool {
        let small = SMALL_ORDER.iter().any(|point| signature.starts_with(point));
        !small
            && signature.len() == Self::SIGNATURE_BYTES
            && public.key.verify_sig(statement, signature).is_ok()
    }
}
