//! Another view while a commit is under way: of the replicas 0, 1 and 3 the last one is replaced by 4.
//! Peer 2 claims in the first view and keeps nothing itself. Leases are
//! over at once for those that gave them: two results are ruled out without them.

use std::sync::Arc;

use formic_core::View;

use super::{
    super::{
        super::{life, model::space::{First, compare, explore}},
        view,
    },
    world::{Clock, Goal, Local, World},
};

/// Of these members the first three by weight keep the task: never peer 2 (`who_keeps_the_task`).
fn views() -> Vec<Arc<View>> {
    let lives = |peers: [usize; 4]| peers.map(|at| life(at, 1));
    vec![view(1, &lives([0, 1, 2, 3])), view(2, &lives([0, 1, 2, 4]))]
}

/// The claim of peer 2 was granted by `promised` and its commit is under way; `second` claims in the
/// second view.
fn world(promised: &[usize], second: usize, attempt: u64) -> World {
    let told = [0, 1, 2, 3, 4].map(|at| First::Local(at, Local::View));
    let promises = promised.iter().map(|at| First::Deliver(*at));
    let commit = [First::Deliver(2), First::Local(2, Local::Commit)];
    let claim = [First::Local(2, Local::Claim)];
    World {
        peers: 5,
        views: views(),
        claimants: vec![(2, 1, 1), (second, 1, 2)],
        clock: Clock::None,
        attempt,
        renewals: 0,
        first: told.into_iter().chain(claim).chain(promises).chain(commit).collect(),
        goal: Goal::Commits,
    }
}

#[test]
fn one_result() {
    explore("a replica replaced", world(&[0, 1, 3], 1, 1), 0);
}

#[test]
fn the_dead_do_not_matter() {
    compare(|| world(&[0, 1], 1, 1), 0);
}

#[test]
fn deeper() {
    explore("a replica replaced", world(&[0, 1, 3], 1, 1), 0);
    explore("a replica replaced", world(&[0, 3], 1, 1), 0);
    explore("a replica replaced", world(&[0, 1, 3], 4, 1), 0);
    explore("a replica replaced", world(&[0, 3], 4, 1), 0);
}
