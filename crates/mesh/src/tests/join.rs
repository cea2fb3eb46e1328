use formic_core::Time;

use super::world::{World, config, life, mesh_id};
use crate::{Event, Input};

const SECOND: u64 = 1_000_000;

#[test]
fn ten_peers_join_through_one_seed() {
    let mut world = World::default();
    world.add(5, config(5, Some(mesh_id()), &[]));
    for n in (0..10).filter(|&n| n != 5) {
        world.add(n, config(n, None, &[5]));
    }
    world.run(Time::from_us(5 * SECOND));
    world.assert_full();
    let joined = world.events.iter().filter(|(_, e)| matches!(e, Event::Joined { .. })).count();
    assert_eq!(joined, 10);
    // 9 seed dials, 36 dials between joiners: nobody dials a peer it has a link to.
    assert_eq!(world.dials, 9 + 36);
}

#[test]
fn a_seed_that_comes_late_is_found() {
    let mut world = World::default();
    world.add(1, config(1, None, &[2]));
    world.add(3, config(3, None, &[2]));
    world.run(Time::from_us(20 * SECOND));
    assert!(world.events.is_empty());
    world.add(2, config(2, Some(mesh_id()), &[]));
    world.run(Time::from_us(60 * SECOND));
    world.assert_full();
}

#[test]
fn rounds_over_the_seeds_slow_down() {
    let mut world = World::default();
    world.add(1, config(1, None, &[2]));
    world.run(Time::from_us(8 * SECOND));
    // At 0, 1, 2.5, 4.75 s; the next at 8.1 s.
    assert_eq!(world.dials, 4);
    world.run(Time::from_us(600 * SECOND));
    let before = world.dials;
    world.run(Time::from_us(900 * SECOND));
    assert_eq!(world.dials - before, 10, "every 30 s in the end");
}

#[test]
fn two_peers_that_join_each_other_form_one_mesh() {
    let mut world = World::default();
    world.add(1, config(1, None, &[2]));
    world.add(2, config(2, None, &[1]));
    world.add(3, config(3, None, &[2]));
    world.run(Time::from_us(10 * SECOND));
    world.assert_full();
}

#[test]
fn a_ring_of_seeds_forms_one_mesh() {
    let mut world = World::default();
    for n in 0..4 {
        world.add(n, config(n, None, &[(n + 1) % 4]));
    }
    world.run(Time::from_us(60 * SECOND));
    world.assert_full();
}

#[test]
fn a_founder_with_a_seed_of_its_own_mesh_joins_the_others() {
    let mut world = World::default();
    world.add(1, config(1, Some(mesh_id()), &[1, 2]));
    world.add(2, config(2, Some(mesh_id()), &[1]));
    world.run(Time::from_us(10 * SECOND));
    world.assert_full();
}

#[test]
fn a_peer_alone_after_a_partition_knocks_again() {
    let mut world = World::default();
    world.add(1, config(1, Some(mesh_id()), &[]));
    world.add(2, config(2, None, &[1]));
    world.run(Time::from_us(SECOND));
    world.assert_full();
    let founder = world.peers[&1].clone();
    world.kill(1);
    world.feed(2, Input::Down { life: life(1) });
    world.run(Time::from_us(200 * SECOND));
    assert_eq!(world.peers[&2].members().count(), 1, "the founder is forgotten");
    world.peers.insert(1, founder);
    world.run(Time::from_us(300 * SECOND));
    world.assert_full();
}

#[test]
fn the_larger_peer_dials_after_a_grace() {
    let mut world = World::default();
    world.add(1, config(1, Some(mesh_id()), &[]));
    world.add(2, config(2, None, &[1]));
    world.run(Time::from_us(SECOND));
    world.links.clear();
    let before = world.dials;
    world.feed(2, Input::LinkDown { life: life(1) });
    world.run(Time::from_us(SECOND + 400_000));
    // The smaller one does not know, the larger one waits; only the lonely peer's seed round dials.
    assert_eq!(world.dials - before, 1);
}
