//! Once the faults are over, every live peer learns the verdict and falls silent.

use formic_core::{Life, Time};

/// What a live peer looks like at the end of a run.
#[derive(Clone, Copy, Debug)]
pub struct Last {
    /// Who.
    pub life: Life,
    /// Whether it knows the verdict.
    pub closed: bool,
    /// When it wants to wake up again.
    pub deadline: Option<Time>,
}

/// Every live peer is closed and sleeps.
///
/// # Errors
/// What was found instead.
pub fn at_end(peers: &[Last]) -> Result<(), String> {
    match peers.iter().find(|last| !last.closed || last.deadline.is_some()) {
        None => Ok(()),
        Some(last) => Err(format!("{last:?}, {} peers live", peers.len())),
    }
}
