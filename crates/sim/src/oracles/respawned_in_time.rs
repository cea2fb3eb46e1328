//! Whoever hears that an executor is dead gives its open children to others at once (T11).

use formic_completion::Completion;
use formic_core::Life;

/// Right after a life that believed `dead` alive was told of its end, none of its open entries waits for
/// `dead`.
///
/// # Errors
/// What was found instead.
pub fn at_down(machine: &Completion, dead: Life) -> Result<(), String> {
    match machine.open_at(dead) {
        0 => Ok(()),
        open => Err(format!("{open} open children are still given to {dead}, which is down")),
    }
}
