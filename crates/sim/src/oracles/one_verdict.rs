//! All lives that learn a verdict learn the same one (I7), each of them once.

use formic_core::{Digest, Life};

use crate::Truth;

/// Compares a verdict with all earlier ones, then remembers it.
///
/// # Errors
/// What was found instead.
pub fn at_verdict(truth: &mut Truth, life: Life, result: Digest) -> Result<(), String> {
    if let Some((other, first)) = truth.verdicts.iter().find(|(_, first)| **first != result) {
        return Err(format!("{life} learns {}, {other} learnt {}", result.short(), first.short()));
    }
    match truth.verdicts.insert(life, result) {
        None => Ok(()),
        Some(_) => Err(format!("{life} learns the verdict twice")),
    }
}
