//! Identities: who (peer, life), what (job, key), and digests.

use core::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Epoch;

/// Why a text is not an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseIdError {
    /// Wrong number of hexadecimal digits. The caller's fault.
    #[error("expected {expected} hexadecimal digits, found {found}")]
    Length {
        /// Digits this identity has.
        expected: usize,
        /// Characters found.
        found: usize,
    },
    /// A character that is no lower-case hexadecimal digit. The caller's fault.
    #[error("expected a lower-case hexadecimal digit at position {position}")]
    Digit {
        /// Position of the first offending byte, from 0.
        position: usize,
    },
}

fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], ParseIdError> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return Err(ParseIdError::Length { expected: N * 2, found: digits.len() });
    }
    let mut bytes = [0; N];
    for (position, digit) in digits.iter().enumerate() {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return Err(ParseIdError::Digit { position }),
        };
        bytes[position / 2] = bytes[position / 2] << 4 | value;
    }
    Ok(bytes)
}

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident, $size:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name([u8; $size]);

        impl $name {
            /// Wraps raw bytes.
            pub const fn from_bytes(bytes: [u8; $size]) -> Self {
                Self(bytes)
            }

            /// The raw bytes.
            pub const fn as_bytes(&self) -> &[u8; $size] {
                &self.0
            }

            /// The first 8 hexadecimal digits: for people, not for comparing.
            pub fn short(&self) -> String {
                self.0.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_hex(text).map(Self)
            }
        }
    };
}

bytes_id! {
    /// A peer's stable identity: SHA-256 of its SubjectPublicKeyInfo. Prints as 64 hexadecimal digits.
    PeerId, 32
}
bytes_id! {
    /// A SHA-256 digest. Prints as 64 hexadecimal digits.
    Digest, 32
}
bytes_id! {
    /// A job: the first 10 bytes of a SHA-256 over its first home life and that life's job counter,
    /// then the epoch of the view in which it was accepted.
    JobId, 16
}
bytes_id! {
    /// A task: deterministic, so that a re-executed parent that spawns the same child finds it again
    /// (completion.md section 1).
    Key, 16
}

impl Digest {
    /// SHA-256 of the concatenation of `parts`.
    ///
    /// The caller makes the concatenation unambiguous (fixed widths or length prefixes).
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// The first 16 bytes.
    pub fn half(&self) -> [u8; 16] {
        let mut half = [0; 16];
        half.copy_from_slice(&self.0[..16]);
        half
    }
}

/// One more after each restart of a peer; compared only between lives of the same peer.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Incarnation(pub u64);

impl Incarnation {
    /// The life after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A peer between two restarts: what can crash, and what dies with the process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Life {
    /// The stable identity.
    pub peer: PeerId,
    /// Which of its lives.
    pub incarnation: Incarnation,
}

impl Life {
    /// Names a life.
    pub const fn new(peer: PeerId, incarnation: Incarnation) -> Self {
        Self { peer, incarnation }
    }

    /// 40 bytes: the peer, then the incarnation in big-endian order. Used under signatures.
    pub fn to_bytes(self) -> [u8; 40] {
        let mut bytes = [0; 40];
        bytes[..32].copy_from_slice(&self.peer.0);
        bytes[32..].copy_from_slice(&self.incarnation.0.to_be_bytes());
        bytes
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.peer.short(), self.incarnation.0)
    }
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Life({self})")
    }
}

impl JobId {
    /// The id of the `number`-th job whose first home life is `home`, accepted in the first view.
    pub fn derive(home: Life, number: u64) -> Self {
        Self::born_in(Epoch(1), home, number)
    }

    /// The id of the `number`-th job whose first home life is `home`, accepted in this view: no task
    /// of it was claimed earlier, which spares later views a search.
    pub fn born_in(epoch: Epoch, home: Life, number: u64) -> Self {
        let digest = Digest::of(&[b"formic/job/2", &home.to_bytes(), &number.to_be_bytes()]);
        let mut bytes = digest.half();
        let epoch = epoch.0.to_be_bytes();
        // 48 bits of epoch: more than forced views and a view each millisecond use up in a century.
        bytes[10..].copy_from_slice(&epoch[2..]);
        Self(bytes)
    }

    /// The view in which the job was accepted, or an earlier one.
    pub fn born(&self) -> Epoch {
        let mut epoch = [0; 8];
        epoch[2..].copy_from_slice(&self.0[10..]);
        Epoch(u64::from_be_bytes(epoch))
    }
}

impl Key {
    /// The root task of a job.
    pub fn root(job: JobId, descriptor: Digest) -> Self {
        Self(Digest::of(&[b"formic/root/1", &job.0, descriptor.as_bytes()]).half())
    }

    /// The child that `parent` spawns as its `index`-th with this descriptor.
    pub fn child(job: JobId, parent: Self, index: u64, descriptor: Digest) -> Self {
        Self(
            Digest::of(&[
                b"formic/task/1",
                &job.0,
                &parent.0,
                &index.to_be_bytes(),
                descriptor.as_bytes(),
            ])
            .half(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_parse_what_they_print() {
        let peer = PeerId::from_bytes([0xa7; 32]);
        assert_eq!(peer.to_string().parse(), Ok(peer));
        assert_eq!(peer.short(), "a7a7a7a7");
    }

    #[test]
    fn a_bad_id_says_what_is_wrong() {
        assert_eq!("ab".parse::<Key>(), Err(ParseIdError::Length { expected: 32, found: 2 }));
        let text = format!("{}G", "0".repeat(31));
        assert_eq!(text.parse::<Key>(), Err(ParseIdError::Digit { position: 31 }));
        assert_eq!("é".repeat(16).parse::<Key>(), Err(ParseIdError::Digit { position: 0 }));
    }

    #[test]
    fn keys_depend_on_every_part() {
        let home = Life::new(PeerId::from_bytes([1; 32]), Incarnation(1));
        let job = JobId::derive(home, 1);
        let descriptor = Digest::of(&[b"d"]);
        let root = Key::root(job, descriptor);
        let child = Key::child(job, root, 0, descriptor);
        assert_eq!(child, Key::child(job, root, 0, descriptor));
        assert_ne!(child, Key::child(job, root, 1, descriptor));
        assert_ne!(child, Key::child(JobId::derive(home, 2), root, 0, descriptor));
        assert_ne!(child, Key::child(job, root, 0, Digest::of(&[b"e"])));
        let later = JobId::born_in(Epoch((1 << 32) + 7), home, 1);
        assert_eq!((job.born(), later.born()), (Epoch(1), Epoch((1 << 32) + 7)));
        assert_ne!(job, later);
        assert_ne!(child, Key::child(job, child, 0, descriptor));
    }
}
