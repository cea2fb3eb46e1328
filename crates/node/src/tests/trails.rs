//! Work goes to whom it suits.

use super::world::{SEED, World, tree};
use crate::{Event, TrailStatus};

const SECOND: u64 = 1_000_000;

fn share(world: &World, n: u8) -> f64 {
    let all: usize = world.runs.values().sum();
    *world.runs.get(&n).unwrap_or(&0) as f64 / all as f64
}

fn known(world: &World, of: u8) -> Option<TrailStatus> {
    let peer = world.life(of).peer;
    world.nodes[&SEED].trails().into_iter().find(|trail| trail.peer == peer)
}

/// A fair share is a quarter, that of its speed one of thirty-one.
#[test]
fn a_slow_peer_gets_little() {
    let mut world = World::of(4);
    world.services = (0..4).map(|n| (n, if n == 3 { 400_000 } else { 40_000 })).collect();
    let job = world.submit(SEED, tree(1, 250, "hash"));
    world.run_for(30 * SECOND);
    world.assert_complete(job, 250);
    assert!(share(&world, 3) < 0.08, "{:?}", world.runs);
    let (slow, fast) = (known(&world, 3).unwrap(), known(&world, 1).unwrap());
    assert!(slow.service_us > 4 * fast.service_us, "{slow:?} {fast:?}");
    assert_eq!(slow.kind, "hash");
}

#[test]
fn speeds_that_change_are_noticed() {
    let mut world = World::of(4);
    world.services = (0..4).map(|n| (n, if n == 3 { 400_000 } else { 40_000 })).collect();
    let first = world.submit(SEED, tree(1, 250, "hash"));
    world.run_for(20 * SECOND);
    world.assert_complete(first, 250);
    world.runs.clear();
    world.services = (0..4).map(|n| (n, if n == 3 { 40_000 } else { 400_000 })).collect();
    let second = world.submit(SEED, tree(1, 250, "hash"));
    world.run_for(60 * SECOND);
    world.assert_complete(second, 250);
    assert!(share(&world, 3) > 0.5, "{:?}", world.runs);
}

/// It is done with everything at once, and must not look fast for it.
#[test]
fn a_peer_that_fails_at_once_does_not_attract_work() {
    let mut world = World::of(4);
    world.services = (0..4).map(|n| (n, if n == 3 { 1_000 } else { 40_000 })).collect();
    world.fails.insert(3);
    world.submit(SEED, tree(1, 250, "hash"));
    world.run_for(30 * SECOND);
    assert!(share(&world, 3) < 0.25, "{:?}", world.runs);
}

#[test]
fn peers_tell_each_other_and_nobody_praises_itself() {
    let mut world = World::of(6);
    let job = world.submit(SEED, tree(2, 10, "hash"));
    world.run_for(20 * SECOND);
    world.assert_complete(job, 110);
    let blamed = world.count(|event| matches!(event, Event::Misbehaved { .. }));
    assert_eq!(blamed, 0);
    let quiet = world.nodes.values().filter(|node| node.trails().is_empty()).count();
    assert!(quiet < 6, "somebody knows something");
}
