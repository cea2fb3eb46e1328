//! Prove who said it: keys and signatures; [`merkle`] trees.
//!
//! ```text
//!   32 seed bytes --> SecretKey --> sign(statement) --------------> Signature
//!                        |                                              |
//!                        v                                              v
//!                    PublicKey --> verify(statement, signature) --> true or false
//!                        |
//!                        v
//!          SubjectPublicKeyInfo DER, 44 bytes --SHA-256--> PeerId
//! ```
//!
//! A peer's id is the hash of its key, so a signature or a TLS handshake proves the id without any
//! authority. This crate has no entropy: whoever makes a key hands in its 32 seed bytes.
//!
//! ```
//! use formic_identity::{PublicKey, SecretKey};
//!
//! let secret = SecretKey::from_seed([7; 32]);
//! let public = secret.public();
//! let signature = secret.sign(b"formic/example/1: done");
//! assert!(public.verify(b"formic/example/1: done", &signature));
//! assert!(!public.verify(b"formic/example/1: gone", &signature));
//!
//! let received = PublicKey::from_spki_der(&public.spki_der())?;
//! assert_eq!(received.peer_id(), public.peer_id());
//! # Ok::<(), formic_identity::KeyError>(())
//! ```
//!
//! **Guarantees.**
//! - One flipped bit in the key, the statement or the signature is refused
//!   (`tests::one_flipped_bit_is_refused`).
//! - One key has exactly one encoding: another spelling of the same point, a longer or a shorter
//!   one is refused (`tests::another_spelling_of_a_key_is_refused`), so one key is one `PeerId`.
//! - Keys of small order, under which anything verifies, are refused
//!   (`tests::weak_keys_are_refused`).
//! - Same key, same statement, same bytes: signing has no entropy (`tests::rfc8032_vectors_hold`).
//! - A Merkle proof holds for its leaf and place alone (`merkle::tests`).
//! - A secret never appears in `Debug` (`tests::a_secret_shows_nothing`) and is overwritten when
//!   dropped.
//!
//! **Limits.** Ed25519 only. Statements are signed as they are: whoever lays them out puts a domain
//! in front that no other kind of statement has, and fixed widths behind it.
//!
//! **Sources.** RFC 8032 (Ed25519), RFC 8410 (its SPKI and PKCS#8), RFC 7250 (a raw key in TLS),
//! RFC 6962 (Merkle trees).
//! Deviation: verification is the strict variant of ed25519-dalek (small-order keys and `R`
//! refused), so that all peers accept the same set of signatures.

mod error;
pub mod merkle;
mod public;
mod secret;
mod signature;
#[cfg(test)]
mod tests;

pub use error::KeyError;
pub use public::PublicKey;
pub use secret::SecretKey;
pub use signature::Signature;
