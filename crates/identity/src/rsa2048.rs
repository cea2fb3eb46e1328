//! RSA-2048 with PKCS#1 v1.5 and SHA-256 (RFC 8017, section 8.2).
//!
//! Nothing here decrypts, and signing always blinds ([`RandomizedSigner`]): what RUSTSEC-2023-0071 needs.
#![deny(clippy::indexing_slicing, clippy::as_conversions)]

use core::fmt;

use formic_core::Digest;
use rand_core::CryptoRng;
use rsa::{
    BoxedUint, PrivateKey,
    pkcs1v15::{Signature, SigningKey, VerifyingKey},
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _},
    sha2::Sha256,
    signature::{Keypair as _, RandomizedSigner as _, SignatureEncoding as _, Verifier as _},
    traits::PublicKeyParts as _,
};
use zeroize::Zeroizing;

use crate::{KeyError, RSA_2048, Scheme};

/// Bits of the modulus.
const BITS: usize = 2_048;
/// The public exponent.
const EXPONENT: u32 = 65_537;
/// The longest PKCS#8 that is looked at. A key of 2048 bits has about 1,218 bytes.
const PKCS8_MAX: usize = 2_048;

/// SEQUENCE { SEQUENCE { OID 1.2.840.113549.1.1.1, NULL }, BIT STRING { SEQUENCE { INTEGER of 257 bytes, ..
/// (RFC 3279, section 2.3.1), up to the zero before a modulus whose highest bit is set.
const SPKI_HEADER: [u8; 33] = [
    0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01,
    0x01, 0x05, 0x00, 0x03, 0x82, 0x01, 0x0f, 0x00, 0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01,
    0x00,
];
/// .. INTEGER 65537 } } }.
const SPKI_TRAILER: [u8; 5] = [0x02, 0x03, 0x01, 0x00, 0x01];
const SPKI_BYTES: usize = 294;

/// RSA-2048 with PKCS#1 v1.5 and SHA-256 on crate `rsa`.
#[derive(Clone, Copy, Debug)]
pub struct Rsa2048;

/// The modulus of an acceptable key: 2048 bits, odd; its exponent is 65537. What both backends take a public key for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Modulus([u8; 256]);

impl Modulus {
    /// Reads the one encoding of such a key: header, modulus, exponent.
    pub(crate) fn from_spki(spki: &[u8]) -> Result<Self, KeyError> {
        let length = KeyError::Length { expected: SPKI_BYTES, found: spki.len() };
        let bytes: &[u8; SPKI_BYTES] = spki.try_into().map_err(|_| length)?;
        let (header, rest) = bytes.split_at(SPKI_HEADER.len());
        let (modulus, trailer) = rest.split_at_checked(256).ok_or(length)?;
        let differs = |found: &[u8], expected: &[u8]| {
            found.iter().zip(expected).position(|(found, expected)| found != expected)
        };
        if let Some(position) = differs(header, &SPKI_HEADER) {
            return Err(KeyError::Header { position });
        }
        if let Some(at) = differs(trailer, &SPKI_TRAILER) {
            return Err(KeyError::Header { position: SPKI_HEADER.len() + 256 + at });
        }
        let modulus: [u8; 256] = modulus.try_into().map_err(|_| length)?;
        let [first, .., last] = modulus;
        // The highest bit makes 2048 bits and the zero before it necessary; an even modulus has the factor 2.
        if first & 0x80 == 0 || last & 1 == 0 {
            return Err(KeyError::Modulus);
        }
        Ok(Self(modulus))
    }

    pub(crate) fn spki(&self) -> Vec<u8> {
        [&SPKI_HEADER[..], &self.0, &SPKI_TRAILER].concat()
    }

    /// Whether a signature may be given to a backend at all: exactly 256 bytes, as a number below the modulus.
    pub(crate) fn admits(&self, signature: &[u8]) -> bool {
        // Both are big-endian and of one length, so the order of bytes is the order of numbers.
        signature.len() == self.0.len() && *signature < self.0[..]
    }
}

impl fmt::Debug for Modulus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Digest::of(&[&self.spki()]).short())
    }
}

/// A secret key. Overwritten when dropped; shows only its public half.
#[derive(Clone)]
pub struct RsaSecret {
    key: SigningKey<Sha256>,
    public: RsaPublic,
}

impl RsaSecret {
    fn of(key: PrivateKey) -> Result<Self, KeyError> {
        if key.n().bit_width_vartime() != 2_048 || *key.e() != BoxedUint::from(EXPONENT) {
            return Err(KeyError::Modulus);
        }
        let modulus = key.n().to_be_bytes();
        let modulus: [u8; 256] = modulus.as_ref().try_into().map_err(|_| KeyError::Modulus)?;
        let key = SigningKey::new(key);
        let public = RsaPublic { modulus: Modulus(modulus), key: key.verifying_key() };
        Ok(Self { key, public })
    }
}

impl fmt::Debug for RsaSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaSecret(of {:?})", self.public.modulus)
    }
}

/// A public key: 2048 bits, exponent 65537.
#[derive(Clone)]
pub struct RsaPublic {
    modulus: Modulus,
    key: VerifyingKey<Sha256>,
}

impl PartialEq for RsaPublic {
    fn eq(&self, other: &Self) -> bool {
        self.modulus == other.modulus
    }
}

impl Eq for RsaPublic {}

impl fmt::Debug for RsaPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaPublic({:?})", self.modulus)
    }
}

impl Scheme for Rsa2048 {
    const ID: u8 = RSA_2048;
    const SPKI_BYTES: usize = SPKI_BYTES;
    const SIGNATURE_BYTES: usize = 256;
    type Secret = RsaSecret;
    type Public = RsaPublic;

    fn generate(entropy: &mut impl CryptoRng) -> Result<RsaSecret, KeyError> {
        RsaSecret::of(PrivateKey::new(entropy, BITS).map_err(|_| KeyError::Backend)?)
    }

    fn secret(pkcs8: &[u8]) -> Result<RsaSecret, KeyError> {
        if pkcs8.len() > PKCS8_MAX {
            return Err(KeyError::Length { expected: PKCS8_MAX, found: pkcs8.len() });
        }
        let secret =
            RsaSecret::of(PrivateKey::from_pkcs8_der(pkcs8).map_err(|_| KeyError::Pkcs8)?)?;
        // One key, one file: other numbers for the same key, attributes and other spellings are refused.
        if *Self::pkcs8(&secret)? != *pkcs8 {
            return Err(KeyError::Pkcs8);
        }
        Ok(secret)
    }

    fn pkcs8(secret: &RsaSecret) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        Ok(secret.key.to_pkcs8_der().map_err(|_| KeyError::Backend)?.to_bytes())
    }

    fn public_of(secret: &RsaSecret) -> RsaPublic {
        secret.public.clone()
    }

    fn public(spki: &[u8]) -> Result<RsaPublic, KeyError> {
        let modulus = Modulus::from_spki(spki)?;
        let number = BoxedUint::from_be_slice(&modulus.0, 2_048).map_err(|_| KeyError::Backend)?;
        let key = rsa::PublicKey::new(number, BoxedUint::from(EXPONENT));
        let key = VerifyingKey::new(key.map_err(|_| KeyError::Backend)?);
        Ok(RsaPublic { modulus, key })
    }

    fn spki(public: &RsaPublic) -> Vec<u8> {
        public.modulus.spki()
    }

    fn sign(
        secret: &RsaSecret,
        statement: &[u8],
        entropy: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, KeyError> {
        // The backend checks the signature under the public key before it hands it out.
        let signature = secret.key.try_sign_with_rng(entropy, statement);
        Ok(signature.map_err(|_| KeyError::Backend)?.to_vec())
    }

    fn verify(public: &RsaPublic, statement: &[u8], signature: &[u8]) -> bool {
        public.modulus.admits(signature)
            && Signature::try_from(signature)
                .is_ok_and(|signature| public.key.verify(statement, &signature).is_ok())
    }
}
