use formic_core::{Blame, Fault};

/// Why bytes are no key. Nothing was changed; the bytes themselves are never shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not the length this encoding has. The fault of whoever wrote the bytes.
    #[error("expected {expected} bytes, found {found}")]
    Length {
        /// Bytes this encoding has.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// Not what the DER encoding of such a key has around the key. The fault of whoever wrote the bytes.
    #[error("not the DER encoding of such a key: byte {position} differs")]
    Header {
        /// Position of the first byte that differs, from 0.
        position: usize,
    },
    /// No point of the curve, or one spelled in a second way. The fault of whoever wrote the bytes.
    #[error("not the canonical encoding of a curve point")]
    Point,
    /// A point of small order: signatures under it prove nothing. The fault of whoever made the key.
    #[error("a key of small order proves nothing")]
    Weak,
    /// Not an RSA key of 2048 bits with the exponent 65537. The fault of whoever made the key.
    #[error("not an RSA key of 2048 bits with the exponent 65537")]
    Modulus,
    /// Not the one PKCS#8 encoding of such a secret key. The fault of whoever wrote the bytes.
    #[error("not the PKCS#8 encoding of such a secret key")]
    Pkcs8,
    /// A scheme that is not spoken here. The fault of whoever wrote its number.
    #[error("there is no signature scheme {found}, only 1 (Ed25519) and 2 (RSA-2048)")]
    Scheme {
        /// The number found.
        found: u8,
    },
    /// A cryptographic library failed at what it should do: memory that flips bits, or a bug. The environment's fault.
    #[error("the cryptographic backend failed")]
    Backend,
}

impl Blame for KeyError {
    /// [`Fault::Caller`] unless a library failed: only the caller knows whether the bytes came from a peer.
    fn fault(&self) -> Fault {
        match self {
            Self::Backend => Fault::Environment,
            _ => Fault::Caller,
        }
    }
}

/// The last 32 bytes of `der`, if it is exactly `header` and those.
pub(crate) fn after_header<const HEADER: usize>(
    der: &[u8],
    header: &[u8; HEADER],
) -> Result<[u8; 32], KeyError> {
    let length = KeyError::Length { expected: HEADER + 32, found: der.len() };
    let (head, rest) = der.split_at_checked(HEADER).ok_or(length)?;
    let key = rest.try_into().map_err(|_| length)?;
    match head.iter().zip(header).position(|(found, expected)| found != expected) {
        Some(position) => Err(KeyError::Header { position }),
        None => Ok(key),
    }
}
