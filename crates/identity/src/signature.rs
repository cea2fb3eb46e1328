use core::{fmt, str::FromStr};

use formic_core::{Digest, ParseIdError};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// An Ed25519 signature. Prints as 128 hexadecimal digits.
///
/// Encoded by serde as its 64 bytes, in formats for people as its digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Wraps raw bytes. They are judged by [`PublicKey::verify`](crate::PublicKey::verify).
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    fn halves(&self) -> [[u8; 32]; 2] {
        let mut halves = [[0; 32]; 2];
        halves[0].copy_from_slice(&self.0[..32]);
        halves[1].copy_from_slice(&self.0[32..]);
        halves
    }

    fn join(halves: [[u8; 32]; 2]) -> Self {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&halves[0]);
        bytes[32..].copy_from_slice(&halves[1]);
        Self(bytes)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", Digest::from_bytes(self.halves()[0]).short())
    }
}

impl FromStr for Signature {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let length = ParseIdError::Length { expected: 128, found: text.len() };
        if text.len() != 128 {
            return Err(length);
        }
        if let Some(position) = text.bytes().position(|byte| !byte.is_ascii()) {
            return Err(ParseIdError::Digit { position });
        }
        let (first, second) = text.split_at(64);
        let first: Digest = first.parse()?;
        let second: Digest = second.parse().map_err(|error| match error {
            ParseIdError::Digit { position } => ParseIdError::Digit { position: position + 64 },
            other => other,
        })?;
        Ok(Self::join([*first.as_bytes(), *second.as_bytes()]))
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.halves().serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
        } else {
            <[[u8; 32]; 2]>::deserialize(deserializer).map(Self::join)
        }
    }
}
