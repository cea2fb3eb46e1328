//! A holder that ends, and one that is only slow: three replicas, two claimants, one time for all.

use super::{
    super::super::model::space::{First, compare, explore},
    three,
    world::{Clock, Goal, Local, World},
    LEASE,
};

/// Peer 0 has claimed, with the first attempt; peer 1 claims at any time, with this one.
fn world(second: u64, tick: u32, goal: Goal) -> World {
    let views = (0..3).map(|at| First::Local(at, Local::View));
    World {
        peers: 3,
        views: vec![three()],
        claimants: vec![(0, 1, 1), (1, second, 1)],
        clock: Clock::Common(LEASE / tick),
        attempt: second,
        renewals: 0,
        first: views.chain([First::Local(0, Local::Claim)]).collect(),
        goal,
    }
}

#[test]
fn one_holder() {
    explore("claims, 1 attempt", world(1, 1, Goal::Commits), 0);
    explore("claims, 2 attempts", world(2, 1, Goal::Adopts), 0);
}

#[test]
fn the_dead_do_not_matter() {
    compare(|| world(1, 1, Goal::Commits), 0);
}

#[test]
#[ignore = "minutes"]
fn deeper() {
    explore("claims, 1 attempt", world(1, 1, Goal::Commits), 1);
    explore("claims, 2 attempts, ticks of half a lease", world(2, 2, Goal::Adopts), 0);
    explore("claims, 2 attempts", world(2, 1, Goal::Adopts), 1);
}
