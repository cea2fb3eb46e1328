use std::collections::BTreeMap;

use formic_completion::Spawn;
use formic_core::{Epoch, JobId, Key, Protocol as _, Time};
use formic_register::claims::{Message as ClaimsMessage, Task};

use super::world::{EXCLUSIVE, SEED, World, tree};
use crate::{Effect, Error, Event, Fence, Input, Message, Record};

/// Of each task the fences rise from one start to the next.
fn assert_rising(world: &World) {
    let mut last: BTreeMap<_, Fence> = BTreeMap::new();
    for (_, _, key, fence) in &world.fences {
        let before = last.insert(*key, *fence);
        assert!(before.is_none_or(|before| before < *fence), "{key}: {before:?}, then {fence:?}");
    }
}

#[test]
fn exclusive_tasks_run_once_each_under_a_fence() {
    let mut world = World::of(5);
    let job = world.submit(SEED, tree(1, 12, EXCLUSIVE.0));
    world.run_for(10_000_000);
    world.assert_complete(job, 12);
    assert_eq!(world.fences.len(), 12, "nothing failed: no second start");
    assert_rising(&world);
}

#[test]
fn the_next_holder_waits_until_the_lease_of_a_dead_one_ended() {
    let mut world = World::of(5);
    let job = world.submit(SEED, tree(1, 12, EXCLUSIVE.0));
    let running = |world: &World| world.fences.iter().find(|start| start.1 != SEED).copied();
    while running(&world).is_none() {
        world.run_for(1_000);
    }
    let (started, holder, key, fence) = running(&world).unwrap();
    world.crash(holder);
    world.run_for(20_000_000);
    world.assert_complete(job, 12);
    let again = world.fences.iter().filter(|start| start.2 == key && start.3 > fence);
    let again = again.map(|start| start.0 - started).next().unwrap();
    assert!(again > 1_000_000, "{again} us after the first start, of a lease of 1 s");
    assert!(world.count(|event| matches!(event, Event::TaskHeld { .. })) > 0);
    assert_rising(&world);
}

#[test]
fn a_restart_of_all_goes_on_with_exclusive_tasks() {
    for when in [1_000, 9_000, 12_000, 60_000] {
        let mut world = World::of(3);
        let job = world.submit(SEED, tree(1, 12, EXCLUSIVE.0));
        world.run_for(when);
        (0..3).for_each(|n| world.crash(n));
        world.run_for(1_000_000);
        (0..3).for_each(|n| world.start(n));
        world.run_for(30_000_000);
        world.assert_complete(job, 12);
        assert_rising(&world);
    }
}

#[test]
fn a_newcomer_takes_part_in_what_was_claimed_before_it_came() {
    let mut world = World::of(1);
    let job = world.submit(0, tree(1, 30, EXCLUSIVE.0));
    (1..6).for_each(|n| world.start(n));
    world.run_for(3_000_000);
    // Of the seven replicas that the tasks have by now only one was there at the beginning.
    world.crash(0);
    world.run_for(30_000_000);
    world.start(0);
    world.run_for(30_000_000);
    world.assert_complete(job, 30);
    assert_rising(&world);
}

#[test]
fn an_exclusive_body_must_not_spawn() {
    let mut world = World::of(1);
    let job = world.submit(SEED, tree(1, 1, EXCLUSIVE.0));
    while world.fences.is_empty() {
        world.run_for(100);
    }
    let owner = world.fences[0].2;
    let (descriptor, mode) = (tree(0, 0, "t"), Spawn::Nested);
    let spawn = Input::Spawn { job, owner, index: 0, descriptor, mode };
    let now = Time::from_us(world.now);
    let node = world.nodes.get_mut(&SEED).unwrap();
    let refused = node.handle(now, spawn, &mut Vec::new());
    assert_eq!(refused, Err(Error::ExclusiveSpawn { job, key: owner }));
}

#[test]
fn a_cancelled_job_lets_its_exclusive_tasks_go() {
    let mut world = World::of(3);
    let job = world.submit(SEED, tree(1, 40, EXCLUSIVE.0));
    world.run_for(30_000);
    world.feed(SEED, Input::Cancel { job, reason: "enough".to_owned() });
    world.run_for(5_000_000);
    assert_eq!(world.verdicts(job).len(), 3);
    let before = world.fences.len();
    world.run_for(10_000_000);
    assert_eq!(world.fences.len(), before, "nothing starts afterwards");
}

/// Bodies that ended while their keepers died for good hold no slots: other jobs go on. Node seed 80230.
#[test]
fn results_that_are_never_decided_hold_no_slots() {
    let mut world = World::of(3);
    world.submit(1, tree(1, 250, EXCLUSIVE.0));
    (3..8).for_each(|n| world.start(n));
    let busy = |world: &World| (3..8).all(|n| world.fences.iter().any(|start| start.1 == n));
    while !busy(&world) {
        world.run_for(1_000);
    }
    // Two of its three keepers.
    [0, 2].into_iter().for_each(|n| world.crash(n));
    world.run_for(5_000_000);
    assert!(world.count(|event| matches!(event, Event::TaskUndecided { .. })) > 0);
    let job = world.submit(3, tree(1, 12, "t"));
    world.run_for(60_000_000);
    world.assert_complete(job, 12);
}

/// What peer 2 says, in its second life, about a job of whose first home group it was: node seed 39685.
fn asked_about_an_unknown_job(forgets: impl FnOnce(&mut Vec<Record>)) -> Vec<Effect> {
    let mut world = World::of(3);
    let (first, asker) = (world.life(2), world.life(1));
    world.crash(2);
    forgets(world.records.get_mut(&2).unwrap());
    world.run_for(2_000_000);
    world.start(2);
    world.run_for(3_000_000);
    let job = JobId::derive(world.life(0), 77);
    let task = Task { job, key: Key::from_bytes([7; 16]) };
    let (born, epoch) = (job.born(), Epoch(job.born().0 + 1));
    let pull = Message::Claims(Box::new(ClaimsMessage::Pull { task, born, epoch }));
    let groups = vec![vec![world.life(0), first, asker], vec![world.life(0), asker]];
    let now = Time::from_us(world.now);
    let node = world.nodes.get_mut(&2).unwrap();
    let mut hears = |message: &Message| {
        let mut out = Vec::new();
        node.handle(now, Input::Message { from: asker, message: message.clone() }, &mut out)
            .unwrap();
        node.check();
        out
    };
    let keepers = Message::Keepers { job, groups };
    assert!(hears(&keepers).is_empty(), "nobody asked");
    let asks = |effect: &Effect| matches!(effect, Effect::Send { message, .. } if *message == Message::WhoKeeps { job });
    assert!(hears(&pull).iter().any(asks));
    assert!(!hears(&pull).iter().any(asks), "not with every question");
    hears(&keepers);
    hears(&pull)
}

fn is_answer(effect: &Effect) -> bool {
    matches!(effect, Effect::Send { message, .. } if matches!(message, Message::Claims(_)))
}

#[test]
fn who_was_never_told_of_a_job_says_that_it_knows_nothing_of_it() {
    assert!(asked_about_an_unknown_job(|_| ()).iter().any(is_answer));
}

#[test]
fn who_may_have_forgotten_says_nothing() {
    let no_since = |records: &mut Vec<Record>| {
        records.retain(|record| !matches!(record, Record::Since(_)));
    };
    assert!(!asked_about_an_unknown_job(no_since).iter().any(is_answer));
}
