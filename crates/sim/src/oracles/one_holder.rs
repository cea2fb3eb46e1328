//! Of an exclusive task one body runs at a time, under fences that rise, and one result counts (I9).

use std::collections::BTreeSet;

use formic_core::{Digest, Life};
use formic_node::Fence;

/// What really happened to an exclusive task.
#[derive(Clone, Debug, Default)]
pub struct Sole {
    /// The fence of the latest start.
    pub fence: Option<Fence>,
    /// How often a body of it started.
    pub starts: u64,
    /// Where it was to be done.
    pub known: BTreeSet<Life>,
    /// The result that was decided.
    pub result: Option<Digest>,
}

/// A body starts while those of `others` run.
///
/// # Errors
/// What was found instead.
pub fn at_start(sole: &mut Sole, life: Life, fence: Fence, others: &[Life]) -> Result<(), String> {
    let before = sole.fence.replace(fence);
    sole.starts += 1;
    sole.known.insert(life);
    if let Some(before) = before.filter(|before| *before >= fence) {
        return Err(format!("{life} starts under {fence:?}, after a start under {before:?}"));
    }
    match others.first() {
        None => Ok(()),
        Some(other) => Err(format!("{life} starts under {fence:?} while {other} still runs it")),
    }
}

/// A peer reports this result as the decided one.
///
/// # Errors
/// What was found instead.
pub fn at_result(sole: &mut Sole, life: Life, result: Digest) -> Result<(), String> {
    match sole.result.replace(result) {
        Some(other) if other != result => {
            Err(format!("{life} reports {}, another was {}", result.short(), other.short()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use formic_core::{Epoch, Incarnation, PeerId};

    use super::*;

    #[test]
    fn second_holders_old_fences_and_second_results_are_seen() {
        let life = |n| Life::new(PeerId::from_bytes([n; 32]), Incarnation(1));
        let fence = |attempt| Fence { epoch: Epoch(1), attempt };
        let mut sole = Sole::default();
        assert!(at_start(&mut sole, life(1), fence(2), &[]).is_ok());
        assert!(at_start(&mut sole, life(2), fence(2), &[]).is_err());
        assert!(at_start(&mut sole, life(2), fence(3), &[life(1)]).is_err());
        assert!(at_start(&mut sole, life(2), fence(4), &[]).is_ok());
        let result = |text: &[u8]| Digest::of(&[text]);
        assert!(at_result(&mut sole, life(2), result(b"a")).is_ok());
        assert!(at_result(&mut sole, life(1), result(b"a")).is_ok());
        assert!(at_result(&mut sole, life(1), result(b"b")).is_err());
    }
}
