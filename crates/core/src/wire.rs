//! The codec: bincode 2 behind two functions, size-limited, trailing bytes refused.
//!
//! bincode 2.0.1 is finished and unmaintained, so nothing outside this module names it: leaving it is
//! a change of this file (dependencies.md).
#![deny(clippy::indexing_slicing, clippy::as_conversions)]

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use serde::{Serialize, de::DeserializeOwned};

/// The first bytes of every connection.
pub const MAGIC: [u8; 4] = *b"FRMC";

/// The version of the messages in this build.
pub const VERSION: u16 = 1;

/// The largest encoded message of any class, in bytes.
pub const MESSAGE_MAX: usize = 1 << 20;

/// Why bytes could not be encoded or decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The encoded value is larger than a message may be. The caller's fault.
    #[error("message has {size} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Encoded size in bytes.
        size: usize,
        /// Largest allowed size in bytes.
        limit: usize,
    },
    /// The value cannot be represented, e.g. a map without a length. The caller's fault.
    #[error("value cannot be encoded")]
    Unencodable,
    /// Not the bytes of such a value. The sender's fault.
    #[error("bytes are no valid message")]
    Malformed,
    /// A valid value, and then more. The sender's fault.
    #[error("{extra} bytes after the end of the message")]
    Trailing {
        /// How many bytes are left over.
        extra: usize,
    },
}

/// What decoding may claim. bincode counts integers by their width in memory, up to 16 bytes for one
/// on the wire: a smaller limit would refuse what [`encode`] accepts.
const DECODED_MAX: usize = 16 * MESSAGE_MAX;

const CONFIG: Configuration<LittleEndian, Varint, Limit<DECODED_MAX>> =
    bincode::config::standard().with_limit::<DECODED_MAX>();

/// Encodes `value`.
///
/// # Errors
/// [`WireError::TooLarge`] above [`MESSAGE_MAX`] bytes, [`WireError::Unencodable`].
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, WireError> {
    let bytes = bincode::serde::encode_to_vec(value, CONFIG).map_err(|_| WireError::Unencodable)?;
    if bytes.len() > MESSAGE_MAX {
        return Err(WireError::TooLarge { size: bytes.len(), limit: MESSAGE_MAX });
    }
    Ok(bytes)
}

/// Encodes `value` at the end of `out` and returns how many bytes it has. On an error the end of `out`
/// holds a part of it: the caller cuts it off.
///
/// # Errors
/// [`WireError::TooLarge`] above [`MESSAGE_MAX`] bytes, [`WireError::Unencodable`].
pub fn encode_into<T: Serialize>(
    value: &T,
    out: &mut impl std::io::Write,
) -> Result<usize, WireError> {
    let size = bincode::serde::encode_into_std_write(value, out, CONFIG)
        .map_err(|_| WireError::Unencodable)?;
    if size > MESSAGE_MAX {
        return Err(WireError::TooLarge { size, limit: MESSAGE_MAX });
    }
    Ok(size)
}

/// Decodes exactly one value from all of `bytes`. Allocates no more than 16 times
/// [`MESSAGE_MAX`] bytes, whatever lengths the bytes claim.
///
/// # Errors
/// [`WireError::TooLarge`] before anything is read, [`WireError::Malformed`], [`WireError::Trailing`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    if bytes.len() > MESSAGE_MAX {
        return Err(WireError::TooLarge { size: bytes.len(), limit: MESSAGE_MAX });
    }
    let (value, used) =
        bincode::serde::decode_from_slice(bytes, CONFIG).map_err(|_| WireError::Malformed)?;
    match bytes.len().checked_sub(used) {
        Some(0) => Ok(value),
        Some(extra) => Err(WireError::Trailing { extra }),
        None => Err(WireError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Failure, Outcome, Output};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_encoded_decodes_and_nothing_else_does(text in ".{0,40}", retryable: bool) {
            let outcome = Outcome::Failed(Failure { code: "c".into(), message: text, retryable });
            let bytes = encode(&outcome).unwrap();
            let mut appended = vec![7];
            prop_assert_eq!(encode_into(&outcome, &mut appended), Ok(bytes.len()));
            prop_assert_eq!(&appended[1..], &bytes[..]);
            prop_assert_eq!(decode::<Outcome>(&bytes), Ok(outcome));
            for end in 0..bytes.len() {
                prop_assert_eq!(decode::<Outcome>(&bytes[..end]), Err(WireError::Malformed));
            }
            let longer = [&bytes[..], &[0]].concat();
            prop_assert_eq!(decode::<Outcome>(&longer), Err(WireError::Trailing { extra: 1 }));
        }
    }

    #[test]
    fn a_huge_length_allocates_nothing() {
        // Varint marker 253: a 64-bit length follows.
        let bytes = [253, 255, 255, 255, 255, 255, 255, 255, 127];
        assert_eq!(decode::<Vec<u8>>(&bytes), Err(WireError::Malformed));
    }

    #[test]
    fn the_largest_messages_decode() {
        // A length of 5 bytes, then as many elements as fit: of 1 byte here, of 8 and 16 in memory.
        let count = MESSAGE_MAX - 5;
        let bytes = encode(&vec![1u8; count]).unwrap();
        assert_eq!(bytes.len(), MESSAGE_MAX);
        assert_eq!(decode::<Vec<u8>>(&bytes).map(|decoded| decoded.len()), Ok(count));
        assert_eq!(decode::<Vec<u64>>(&bytes).map(|decoded| decoded.len()), Ok(count));
        assert_eq!(decode::<Vec<u128>>(&bytes).map(|decoded| decoded.len()), Ok(count));
    }

    #[test]
    fn bytes_as_one_piece_are_bounded_and_encoded_like_a_sequence() {
        let output = Output { value: vec![1, 2, 3], files: vec![] };
        assert_eq!(encode(&output), encode(&(vec![1u8, 2, 3], Vec::<u8>::new())));
        // A length of 4 GiB, and nothing behind it.
        for length in [&[252, 255, 255, 255, 255][..], &[253, 0, 0, 0, 0, 1, 0, 0, 0], &[9, 1]] {
            assert_eq!(decode::<Output>(length), Err(WireError::Malformed));
        }
    }

    #[test]
    fn too_large_is_refused_on_both_sides() {
        let large = vec![0u8; MESSAGE_MAX + 1];
        assert!(matches!(encode(&large), Err(WireError::TooLarge { .. })));
        assert!(matches!(decode::<Vec<u8>>(&large), Err(WireError::TooLarge { .. })));
    }
}
