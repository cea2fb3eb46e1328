//! A holder that ends, and one that is only slow: three replicas, two claimants, one time for all.

use super::{
    super::super::model::space::{First, compare, explore},
    LEASE, three,
    world::{Clock, Goal, Local, World},
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

/// As [`world`], and peer 0 has its grant.
fn granted(goal: Goal) -> World {
    let mut world = world(2, 1, goal);
    world.first.extend([1, 2, 0].map(First::Deliver));
    world
}

#[test]
fn one_holder() {
    explore("claims, 1 attempt", world(1, 1, Goal::Commits), 0, 25_882);
    explore("claims, 2 attempts, the first granted", granted(Goal::Adopts), 0, 78_783);
}

#[test]
fn the_dead_do_not_matter() {
    compare(|| world(1, 1, Goal::Commits), 0);
}

#[test]
#[ignore = "minutes: cargo test -p formic-register --lib model -- --ignored --nocapture"]
fn deeper() {
    explore("claims, 2 attempts", world(2, 1, Goal::Adopts), 0, 290_841);
    explore("claims, 1 attempt", world(1, 1, Goal::Commits), 1, 382_154);
}

#[test]
#[ignore = "minutes, as above"]
fn deeper_with_a_crash() {
    explore("claims, 2 attempts, the first granted", granted(Goal::Adopts), 1, 1_128_613);
}
