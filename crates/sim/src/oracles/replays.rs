//! The same seed gives the same run.

use formic_core::Digest;

/// Compares the digests of two runs' traces.
///
/// # Errors
/// What was found instead.
pub fn at_end(first: Digest, again: Digest) -> Result<(), String> {
    if first == again {
        return Ok(());
    }
    Err(format!("two runs differ: {} and {}", first.short(), again.short()))
}
