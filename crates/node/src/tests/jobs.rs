use super::world::{SEED, World, tree};
use crate::{Event, Input};

const SECOND: u64 = 1_000_000;

/// Tasks of a tree: the root is not counted.
fn tasks(depth: u32, width: u64) -> u64 {
    (1..=depth).map(|level| width.pow(level)).sum()
}

fn respawns(world: &World) -> usize {
    world.count(|event| matches!(event, Event::TaskRespawned { .. }))
}

#[test]
fn a_nested_job_completes_everywhere() {
    for count in [1, 2, 3, 10] {
        let mut world = World::of(count);
        let job = world.submit(SEED, tree(3, 4, "t"));
        world.run_for(10 * SECOND);
        world.assert_complete(job, tasks(3, 4));
        assert_eq!(respawns(&world), 0);
        assert_eq!(world.runs.values().sum::<usize>() as u64, tasks(3, 4), "each runs once");
        assert_eq!(world.runs.len(), usize::from(count), "everybody works");
    }
}

#[test]
fn a_worker_dies_and_nothing_is_lost() {
    for victim in [3, 7] {
        let mut world = World::of(10);
        let job = world.submit(SEED, tree(3, 5, "t"));
        world.run_for(120_000);
        world.crash(victim);
        world.run_for(20 * SECOND);
        world.assert_complete(job, tasks(3, 5));
        assert!(respawns(&world) > 0, "it had work");
    }
}

#[test]
fn the_home_peer_dies_and_another_takes_over() {
    let mut world = World::of(10);
    let job = world.submit(SEED, tree(3, 4, "t"));
    world.run_for(150_000);
    world.crash(SEED);
    world.run_for(30 * SECOND);
    world.assert_complete(job, tasks(3, 4));
    assert!(world.count(|event| matches!(event, Event::HomeTookOver { .. })) > 0);
}

#[test]
fn a_late_joiner_takes_work() {
    let mut world = World::of(3);
    let job = world.submit(SEED, tree(3, 6, "t"));
    world.run_for(200_000);
    world.start(3);
    world.run_for(20 * SECOND);
    world.assert_complete(job, tasks(3, 6));
    assert!(world.runs[&3] > 20, "{:?}", world.runs);
}

#[test]
fn who_leaves_lets_bodies_end_and_is_not_missed() {
    let mut world = World::of(4);
    let job = world.submit(SEED, tree(2, 12, "t"));
    world.run_for(100_000);
    world.feed(2, Input::Leave);
    world.run_for(20 * SECOND);
    assert!(world.left.contains(&2));
    world.assert_complete(job, tasks(2, 12));
    let down = |event: &Event| matches!(event, Event::PeerDown { reason: "left", .. });
    assert_eq!(world.count(down), 3);
}

#[test]
fn whoever_leaves_last_in_good_order_remembers_no_mesh() {
    for apart in [0, 250, 500, 900] {
        let mut world = World::of(3);
        let job = world.submit(SEED, tree(2, 3, "t"));
        world.run_for(10 * SECOND);
        world.assert_complete(job, tasks(2, 3));
        // What the others' farewells set going reaches each when it has taken its own leave already.
        for n in 0..3 {
            world.feed(n, Input::Leave);
            world.run_for(apart);
        }
        world.run_for(SECOND);
        assert_eq!(world.left.len(), 3);
        world.start(SEED);
        world.run_for(SECOND);
        let alone = world.submit(SEED, tree(2, 3, "t"));
        world.run_for(10 * SECOND);
        world.assert_complete(alone, tasks(2, 3));
    }
}

#[test]
fn a_restart_of_all_resumes_the_job() {
    let mut world = World::of(3);
    let job = world.submit(SEED, tree(3, 4, "t"));
    world.run_for(150_000);
    (0..3).for_each(|n| world.crash(n));
    world.run_for(SECOND);
    (0..3).for_each(|n| world.start(n));
    world.run_for(30 * SECOND);
    world.assert_complete(job, tasks(3, 4));
}

#[test]
fn two_jobs_at_once_do_not_mix() {
    let mut world = World::of(3);
    let first = world.submit(0, tree(2, 5, "a"));
    let second = world.submit(1, tree(2, 4, "b"));
    world.run_for(10 * SECOND);
    world.assert_complete(first, tasks(2, 5));
    world.assert_complete(second, tasks(2, 4));
}

#[test]
fn spawners_wait_while_too_much_is_held() {
    let mut world = World::default();
    let mut config = world.config(SEED);
    config.work.held_max = 5;
    config.mesh.slots = 1;
    world.start_with(SEED, config);
    world.run_for(SECOND);
    let job = world.submit(SEED, tree(2, 30, "t"));
    world.run_for(60 * SECOND);
    world.assert_complete(job, tasks(2, 30));
}

#[test]
fn who_left_founds_a_mesh_of_its_own() {
    let mut world = World::of(3);
    let job = world.submit(SEED, tree(1, 2, "t"));
    world.run_for(10 * SECOND);
    world.assert_complete(job, tasks(1, 2));
    (0..3).for_each(|n| world.feed(n, Input::Leave));
    world.run_for(SECOND);
    world.start(SEED);
    world.run_for(SECOND);
    let again = world.submit(SEED, tree(1, 2, "again"));
    world.run_for(10 * SECOND);
    world.assert_complete(again, tasks(1, 2));
}

#[test]
fn who_left_with_a_job_open_comes_back_to_it() {
    let mut world = World::of(3);
    let job = world.submit(SEED, tree(3, 4, "t"));
    world.run_for(150_000);
    (0..3).for_each(|n| world.feed(n, Input::Leave));
    world.run_for(10 * SECOND);
    (0..3).for_each(|n| world.start(n));
    world.run_for(30 * SECOND);
    world.assert_complete(job, tasks(3, 4));
}
