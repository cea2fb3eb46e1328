//! A holder that ends, and one that is only slow: three replicas, two claimants, one time for all.

use super::{
    super::super::model::space::{First, compare, explore},
    three,
    world::{Clock, Goal, Local, World},
    LEASE,
};

/// Both claim at once.
fn world(attempts: (u64, u64), renewals: u64, tick: u32) -> World {
    let views = (0..3).map(|at| First::Local(at, Local::View));
    let claims = (0..2).map(|at| First::Local(at, Local::Claim));
    World {
        peers: 3,
        views: vec![three()],
        claimants: vec![(0, 1, 1), (1, attempts.0, 1)],
        clock: Clock::Common(LEASE / tick),
        attempt: attempts.1,
        renewals,
        first: views.chain(claims).collect(),
        goal: Goal::Commits,
    }
}

#[test]
fn one_holder() {
    explore("claims, one attempt", world((1, 1), 0, 1), 0);
    explore("claims, one attempt", world((1, 1), 0, 1), 1);
}

#[test]
fn the_dead_do_not_matter() {
    compare(|| world((1, 1), 0, 1), 0);
}

#[test]
fn deeper() {
    explore("claims, 2 attempts", world((2, 2), 0, 1), 0);
    explore("claims, 2 attempts, 2 ticks", world((2, 2), 0, 2), 0);
    explore("claims, 2 attempts", world((2, 2), 0, 1), 1);
}
