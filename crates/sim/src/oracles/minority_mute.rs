//! Who cannot reach a majority of the last view decides nothing (I6).

use core::time::Duration;
use std::collections::BTreeSet;

use formic_core::{PeerId, View};

/// What was sent before a cut may still complete a majority for so long.
pub const LAG: Duration = Duration::from_millis(1_000);

/// Somebody decides who could reach these peers, and himself, in the last [`LAG`].
///
/// # Errors
/// They are no majority of the view.
pub fn at_decision(view: &View, reachable: &BTreeSet<PeerId>, what: &str) -> Result<(), String> {
    if view.is_quorum(reachable) {
        return Ok(());
    }
    let members = view.members.len();
    let there = view.members.iter().filter(|member| reachable.contains(&member.life.peer)).count();
    Err(format!("{what} and reaches {there} of {members} members of view {}", view.epoch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use formic_core::{FateId, Incarnation, Life, Member};

    #[test]
    fn a_decision_of_one_of_three_is_noticed() {
        let peer = |n| PeerId::from_bytes([n; 32]);
        let member =
            |n| Member { life: Life::new(peer(n), Incarnation(1)), fate: FateId(n.into()) };
        let mut view = View::found(member(1));
        view.members.extend([member(2), member(3)]);
        assert!(at_decision(&view, &[peer(1), peer(3)].into(), "decides").is_ok());
        assert!(at_decision(&view, &[peer(3)].into(), "decides").is_err());
    }
}
