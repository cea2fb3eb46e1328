//! An acknowledged job ends with a verdict.

use crate::Truth;

/// An accepted job has a verdict somewhere.
///
/// # Errors
/// What was found instead.
pub fn at_end(truth: &Truth) -> Result<(), String> {
    match (truth.accepted, truth.verdicts.is_empty()) {
        (Some(at), true) => Err(format!("accepted at {at:?}, no verdict anywhere")),
        _ => Ok(()),
    }
}
