//! Nothing is decided without the votes of its quorum, and whoever cannot reach a majority of the last
//! view that he knows tells no result (I6).
//!
//! Of a decision only votes are demanded, not that its voters can be reached when it falls: a vote that
//! was given before a cut may be counted long after it, and it binds its voter all the same. And nobody is
//! held to a view that he has not heard of: it may have been committed behind a cut that has just ended.
//! Whoever was evicted by it is told with the first answer that he gets; until then a majority of the last
//! view that he knows may answer him, and no rule could tell him better.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use formic_core::{PeerId, View};
use formic_register::Ballot;

/// So long after a cut whoever is cut off may not know it yet.
pub const LAG: Duration = Duration::from_millis(1_000);

/// Who durably accepted one value, by ballot. A vote belongs to the peer: its disk outlives its lives.
pub type Votes = BTreeMap<Ballot, BTreeSet<PeerId>>;

/// A value is decided for which these votes were given, among peers of whom `is_quorum` knows whether they
/// suffice.
///
/// # Errors
/// No ballot has a quorum: votes of different ballots do not add up.
pub fn at_decision(
    votes: &Votes,
    is_quorum: impl Fn(&BTreeSet<PeerId>) -> bool,
    what: &str,
) -> Result<(), String> {
    if votes.values().any(is_quorum) {
        return Ok(());
    }
    let counts: Vec<String> = votes.values().map(|voters| voters.len().to_string()).collect();
    Err(format!("{what} by [{}] votes, which are no quorum", counts.join(" ")))
}

/// Somebody tells a result, which nobody told before, who could reach these peers, and himself, in the
/// last [`LAG`].
///
/// # Errors
/// They are no majority of the last view that he knows.
pub fn at_result(view: &View, reachable: &BTreeSet<PeerId>) -> Result<(), String> {
    if view.is_quorum(reachable) {
        return Ok(());
    }
    let members = view.members.len();
    let there = view.members.iter().filter(|member| reachable.contains(&member.life.peer)).count();
    Err(format!("tells a result and reaches {there} of {members} members of view {}", view.epoch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use formic_core::{FateId, Incarnation, Life, Member};

    fn peer(n: u8) -> PeerId {
        PeerId::from_bytes([n; 32])
    }

    fn of_three() -> View {
        let member =
            |n: u8| Member { life: Life::new(peer(n), Incarnation(1)), fate: FateId(n.into()) };
        let mut view = View::found(member(1));
        view.members.extend([member(2), member(3)]);
        view
    }

    #[test]
    fn a_result_told_by_one_of_three_is_noticed() {
        assert!(at_result(&of_three(), &[peer(1), peer(3)].into()).is_ok());
        assert!(at_result(&of_three(), &[peer(3)].into()).is_err());
    }

    #[test]
    fn votes_of_a_minority_or_of_two_ballots_decide_nothing() {
        let view = of_three();
        let decides = |votes: &Votes| {
            at_decision(votes, |voters| view.is_quorum(voters), "commits a view").is_ok()
        };
        let ballot = |round| Ballot { round, rank: 0 };
        assert!(!decides(&Votes::new()), "nobody voted");
        assert!(!decides(&[(ballot(1), [peer(1)].into())].into()), "a minority");
        let split = [(ballot(1), [peer(1)].into()), (ballot(2), [peer(2)].into())];
        assert!(!decides(&split.into()), "two ballots");
        assert!(!decides(&[(ballot(1), [peer(1), peer(9)].into())].into()), "a stranger");
        assert!(decides(&[(ballot(2), [peer(2), peer(3)].into())].into()));
    }
}
