//! 60 virtual seconds after the last fault, every live peer believes exactly the live ones alive.

use core::time::Duration;
use std::collections::BTreeSet;

use formic_core::{Life, View};

/// How long healing may take.
pub const HOLD: Duration = Duration::from_secs(60);

/// Whether this peer, of the live ones, believes exactly the others alive.
///
/// # Errors
/// Who is missing, and who is too many.
pub fn at_end(me: Life, up: &BTreeSet<Life>, live: &BTreeSet<Life>) -> Result<(), String> {
    let missing: Vec<String> =
        live.difference(up).filter(|life| **life != me).map(Life::to_string).collect();
    let extra: Vec<String> = up.difference(live).map(Life::to_string).collect();
    if missing.is_empty() && extra.is_empty() {
        return Ok(());
    }
    let (missing, extra) = (missing.join(" "), extra.join(" "));
    Err(format!("{me} misses [{missing}] and believes in [{extra}]"))
}

/// The last view that a live peer knows has exactly the live ones.
///
/// # Errors
/// Who is missing in it, and who is too many.
pub fn at_view(me: Life, view: &View, live: &BTreeSet<Life>) -> Result<(), String> {
    let members: BTreeSet<Life> = view.lives().collect();
    if members == *live {
        return Ok(());
    }
    let missing: Vec<String> = live.difference(&members).map(Life::to_string).collect();
    let extra: Vec<String> = members.difference(live).map(Life::to_string).collect();
    let (epoch, missing, extra) = (view.epoch, missing.join(" "), extra.join(" "));
    Err(format!("the view {epoch} of {me} misses [{missing}] and has [{extra}]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use formic_core::{Incarnation, PeerId};

    #[test]
    fn a_missing_peer_and_a_ghost_are_named() {
        let life = |n| Life::new(PeerId::from_bytes([n; 32]), Incarnation(1));
        let live: BTreeSet<Life> = [life(1), life(2)].into();
        assert_eq!(at_end(life(1), &[life(2)].into(), &live), Ok(()));
        assert!(at_end(life(1), &[].into(), &live).is_err());
        assert!(at_end(life(1), &[life(2), life(3)].into(), &live).is_err());
    }
}
