//! Which voting key is a peer's: both keys say so.
#![deny(clippy::indexing_slicing, clippy::as_conversions)]

use formic_core::{Blame, Digest, Fault, PeerId, rule};
use rand_core::CryptoRng;

use crate::{
    KeyError, PublicKey, SecretKey, Signature, VotingKey, VotingPublicKey, domain, voting::widths,
};

/// The identity key signs this.
const BIND: &str = "formic/bind/1";
/// The voting key signs this: nobody binds a key that he does not have.
const OWN: &str = "formic/own/1";
/// Bytes of a statement.
const STATEMENT: usize = 121;

/// What is signed: 121 bytes, big-endian, of fixed widths (consensus.md section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Binding {
    /// In which mesh.
    pub mesh: Digest,
    /// Whose voting key.
    pub peer: PeerId,
    /// Of which scheme.
    pub scheme: u8,
    /// Rises with every new key of a peer.
    pub serial: u64,
    /// SHA-256 of the voting key's SubjectPublicKeyInfo.
    pub key: Digest,
}

impl Binding {
    /// The bytes under a domain: domain 16, mesh 32, peer 32, scheme 1, serial 8, key 32.
    fn statement(&self, name: &str) -> [u8; STATEMENT] {
        let parts: [&[u8]; 6] = [
            &domain(name),
            self.mesh.as_bytes(),
            self.peer.as_bytes(),
            &[self.scheme],
            &self.serial.to_be_bytes(),
            self.key.as_bytes(),
        ];
        let mut bytes = [0; STATEMENT];
        for (byte, from) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
            *byte = *from;
        }
        bytes
    }
}

/// A binding that both keys signed: there is no other way to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyBinding {
    binding: Binding,
    identity: PublicKey,
    voting: VotingPublicKey,
    by_identity: Signature,
    by_voting: Vec<u8>,
}

/// Why bytes bind nothing. The fault of whoever wrote them; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindingError {
    /// Not the length that a binding of this scheme has.
    #[error("a binding of this scheme has {expected} bytes, found {found}")]
    Length {
        /// Bytes it has; of an unknown or cut scheme, the fewest that any has.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// Another kind of statement.
    #[error("not a statement of the domain formic/bind/1")]
    Domain,
    /// A binding of another mesh.
    #[error("a binding of another mesh")]
    Mesh,
    /// A key that is none.
    #[error(transparent)]
    Key(KeyError),
    /// A key that is not the one whose hash is signed.
    #[error("the keys are not those that are signed")]
    OtherKey,
    /// The peer did not sign this.
    #[error("not a signature of the identity key")]
    Identity,
    /// The holder of the voting key did not sign this.
    #[error("not a signature of the voting key")]
    Voting,
}

impl Blame for BindingError {
    /// [`Fault::Caller`]: only the caller knows from whom the bytes came.
    fn fault(&self) -> Fault {
        match self {
            Self::Key(error) => error.fault(),
            _ => Fault::Caller,
        }
    }
}

impl KeyBinding {
    /// Binds a voting key to a peer.
    ///
    /// # Errors
    /// [`KeyError::Backend`].
    pub fn sign(
        (mesh, serial): (Digest, u64),
        identity: &SecretKey,
        voting: &VotingKey,
        entropy: &mut impl CryptoRng,
    ) -> Result<Self, KeyError> {
        let (public, key) = (identity.public(), voting.public());
        let (peer, scheme) = (public.peer_id(), key.scheme());
        let binding = Binding { mesh, peer, scheme, serial, key: key.digest() };
        let by_identity = identity.sign(&binding.statement(BIND));
        let by_voting = voting.sign(&binding.statement(OWN), entropy)?;
        Ok(Self { binding, identity: public, voting: key, by_identity, by_voting })
    }

    /// The bytes that travel: the statement 121, the identity key's SPKI 44 and signature 64, the voting key's SPKI and
    /// signature (44 and 64, or 294 and 256). 337 or 779 in all.
    pub fn to_bytes(&self) -> Vec<u8> {
        [
            &self.binding.statement(BIND)[..],
            &self.identity.spki_der(),
            self.by_identity.as_bytes(),
            &self.voting.spki_der(),
            &self.by_voting,
        ]
        .concat()
    }

    /// Reads and checks [`KeyBinding::to_bytes`] of a mesh. Lengths, hashes and keys are looked at before signatures.
    ///
    /// # Errors
    /// A [`BindingError`]: any changed, missing or added byte is one.
    pub fn from_bytes(mesh: Digest, bytes: &[u8]) -> Result<Self, BindingError> {
        let mut reader = Reader { rest: bytes, all: bytes.len() };
        let name: [u8; 16] = reader.array()?;
        let of_mesh = Digest::from_bytes(reader.array()?);
        let peer = PeerId::from_bytes(reader.array()?);
        let [scheme] = reader.array()?;
        let serial = u64::from_be_bytes(reader.array()?);
        let key = Digest::from_bytes(reader.array()?);
        if name != domain(BIND) {
            return Err(BindingError::Domain);
        }
        if of_mesh != mesh {
            return Err(BindingError::Mesh);
        }
        let unknown = BindingError::Key(KeyError::Scheme { found: scheme });
        let (spki, signature) = widths(scheme).ok_or(unknown)?;
        let expected = STATEMENT + 44 + 64 + spki + signature;
        if bytes.len() != expected {
            return Err(BindingError::Length { expected, found: bytes.len() });
        }
        let identity: [u8; 44] = reader.array()?;
        let by_identity = Signature::from_bytes(reader.array()?);
        let voting = reader.take(spki)?;
        let by_voting = reader.take(signature)?.to_vec();
        if Digest::of(&[&identity]).as_bytes() != peer.as_bytes() || Digest::of(&[voting]) != key {
            return Err(BindingError::OtherKey);
        }
        let identity = PublicKey::from_spki_der(&identity).map_err(BindingError::Key)?;
        let voting = VotingPublicKey::from_spki_der(scheme, voting).map_err(BindingError::Key)?;
        let binding = Binding { mesh, peer, scheme, serial, key };
        if !identity.verify(&binding.statement(BIND), &by_identity) {
            return Err(BindingError::Identity);
        }
        let owned = voting.verify(&binding.statement(OWN), &by_voting);
        if rule!("identity/own") && !owned {
            return Err(BindingError::Voting);
        }
        Ok(Self { binding, identity, voting, by_identity, by_voting })
    }

    /// What is bound to what.
    pub const fn binding(&self) -> &Binding {
        &self.binding
    }

    /// The voting key.
    pub const fn voting(&self) -> &VotingPublicKey {
        &self.voting
    }

    /// Whether the two prove that their peer equivocates: one mesh, peer and serial, two keys. Both are signed by its
    /// identity key, so the pair of their bytes is evidence for anybody.
    pub fn contradicts(&self, other: &Self) -> bool {
        let of = |it: &Self| (it.binding.mesh, it.binding.peer, it.binding.serial);
        of(self) == of(other) && self.binding.key != other.binding.key
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    all: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], BindingError> {
        let short =
            BindingError::Length { expected: STATEMENT + 44 + 64 + 44 + 64, found: self.all };
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BindingError> {
        let short =
            BindingError::Length { expected: STATEMENT + 44 + 64 + 44 + 64, found: self.all };
        self.take(N)?.try_into().map_err(|_| short)
    }
}
