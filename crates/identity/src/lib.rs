//! Prove who said it: keys and signatures, bindings of voting keys, tickets; [`merkle`] trees.
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
//! A [`PublicKey`] is who a peer is and speaks on its links. A [`VotingKey`] signs what it says in `consensus`: Ed25519 or
//! RSA-2048 (PKCS#1 v1.5, SHA-256), one [`Scheme`] each, on crates `ed25519-dalek` and `rsa`, with feature `aws-lc` on
//! aws-lc. A [`KeyBinding`] says which voting key is whose; a [`Ticket`] is what a stranger's knock costs.
//!
//! **Guarantees.**
//! - One flipped bit in the key, the statement or the signature is refused
//!   (`tests::one_flipped_bit_is_refused`, `tests::backends`).
//! - One key has exactly one encoding: another spelling of the same point, a longer or a shorter
//!   one is refused (`tests::another_spelling_of_a_key_is_refused`, `tests::rsa::one_key_has_one_encoding`), so one key is
//!   one `PeerId`.
//! - Keys of small order, under which anything verifies, are refused
//!   (`tests::weak_keys_are_refused`). RSA: 2048 bits, exponent 65537, signatures of 256 bytes below the modulus.
//! - Both backends accept the same keys and signatures and make the same bytes (`tests::backends`: mutated signatures and
//!   keys, the published edge cases; `FORMIC_MUTATIONS` asks for more of them).
//! - Same key, same statement, same bytes: entropy only blinds (`tests::rfc8032_vectors_hold`,
//!   `tests::rsa::openssl_and_we_mean_the_same_key_and_signature`).
//! - A voting key is bound by its holder alone; two bindings under one serial are evidence (`tests::binding`).
//! - A ticket is of one peer in one electorate of one mesh (`tests::ticket`).
//! - A Merkle proof holds for its leaf and place alone (`merkle::tests`).
//! - A secret never appears in `Debug` (`tests::a_secret_shows_nothing`, `tests::rsa::secrets_are_never_shown`) and is
//!   overwritten when dropped.
//!
//! **Limits.** Identity keys are Ed25519 only. Nothing uses tickets and bindings yet: electorates do not change, and no
//! record carries a binding. Crate `rsa` 0.10.0 does not overwrite one precomputed number of a secret key, the inverse of
//! one prime modulo the other. Whether an RSA modulus has two large prime factors cannot be seen: who makes a weak key
//! harms himself. aws-lc blinds with entropy of its own, which never reaches the output. Statements are signed as they
//! are: whoever lays them out puts a domain in front that no other kind of statement has, and fixed widths behind it.
//!
//! **Left out.** Membership certificates and revocations as hand-laid bytes: membership is proved by the X.509
//! certificates of `formic_quic::Authority` (`formic ca`), and a second certificate for the same peer would be a second
//! truth. What they would add, rights for a range of electorates, means nothing before electorates change.
//!
//! **Sources.** RFC 8032 (Ed25519), RFC 8410 (its SPKI and PKCS#8), RFC 8017 and RFC 3279 (RSA, its SPKI), RFC 7250 (a raw
//! key in TLS), RFC 6962 (Merkle trees), hashcash (Back 2002) for tickets.
//! Deviations: verification is the strict variant of ed25519-dalek (small-order keys and `R`
//! refused), so that all peers accept the same set of signatures. A ticket's work is any number of tries, not a power of
//! two, so that it follows admissions smoothly.

#[cfg(feature = "aws-lc")]
mod aws_lc;
mod binding;
mod entropy;
mod error;
pub mod merkle;
mod public;
mod rsa2048;
mod scheme;
mod secret;
mod signature;
#[cfg(test)]
mod tests;
mod ticket;
mod voting;

#[cfg(feature = "aws-lc")]
pub use aws_lc::{
    AwsEd25519, AwsEd25519Public, AwsEd25519Secret, AwsRsa2048, AwsRsaPublic, AwsRsaSecret,
};
pub use binding::{Binding, BindingError, KeyBinding};
pub use entropy::Entropy;
pub use error::KeyError;
pub use public::PublicKey;
pub use rsa2048::{Rsa2048, RsaPublic, RsaSecret};
pub use scheme::{ED25519, Ed25519, RSA_2048, Scheme};
pub use secret::SecretKey;
pub use signature::Signature;
pub use ticket::{Challenge, Solver, TICKET_BYTES, Ticket, TicketError, WANTED, Work};
pub use voting::{VotingKey, VotingPublicKey};

/// A domain of signed or hashed bytes: ASCII, padded with zeros to 16 bytes. The names are this crate's own, none is
/// longer.
pub(crate) fn domain(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (byte, letter) in bytes.iter_mut().zip(name.as_bytes()) {
        *byte = *letter;
    }
    bytes
}
