use core::time::Duration;
use std::collections::BTreeMap;

use formic_completion::Spawn;
use formic_core::{Epoch, Incarnation, JobId, Key, Life, Protocol as _, Time};
use formic_register::claims::{
    Ask, Message as ClaimsMessage, Record as ClaimsRecord, Refusal, Snapshot, Stamp, Task,
};

use super::world::{EXCLUSIVE, SEED, World, tree};
use crate::{Effect, Error, Event, Fence, Input, Message, Record, Reply};

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

/// Peer 2, in its second life, with what was durable before it.
fn reborn(change: impl FnOnce(&World, &mut Vec<Record>)) -> World {
    let mut world = World::of(3);
    world.crash(2);
    let mut records = world.records.remove(&2).unwrap();
    change(&world, &mut records);
    world.records.insert(2, records);
    world.run_for(2_000_000);
    world.start(2);
    world.run_for(3_000_000);
    world
}

/// What peer 2 says to something that peer 1 says.
fn hears(world: &mut World, message: &Message) -> Vec<Effect> {
    let (now, from) = (Time::from_us(world.now), world.life(1));
    let node = world.nodes.get_mut(&2).unwrap();
    let mut out = Vec::new();
    node.handle(now, Input::Message { from, message: message.clone() }, &mut out).unwrap();
    node.check();
    out
}

fn a_task(world: &World) -> (Task, Epoch) {
    let job = JobId::derive(world.life(0), 77);
    (Task { job, key: Key::from_bytes([7; 16]) }, job.born())
}

fn asks_who_keeps(out: &[Effect]) -> bool {
    let asks =
        |effect: &Effect| matches!(effect, Effect::Send { message: Message::WhoKeeps { .. }, .. });
    out.iter().any(asks)
}

/// What peer 2 says, in its second life, about a job of whose first home group it was: node seed 39685.
fn asked_about_an_unknown_job(forgets: impl FnOnce(&mut Vec<Record>)) -> Vec<Effect> {
    let mut world = reborn(|_, records| forgets(records));
    let (task, born) = a_task(&world);
    let (job, epoch) = (task.job, Epoch(born.0 + 1));
    let pull = Message::Claims(Box::new(ClaimsMessage::Pull { task, born, epoch }));
    let [home, asker] = [0, 1].map(|n| world.life(n));
    let first = Life { incarnation: Incarnation(1), ..world.life(2) };
    let groups = vec![vec![home, first, asker], vec![home, asker]];
    let keepers = Message::Keepers { job, groups };
    assert!(hears(&mut world, &keepers).is_empty(), "nobody asked");
    assert!(asks_who_keeps(&hears(&mut world, &pull)));
    assert!(!asks_who_keeps(&hears(&mut world, &pull)), "not with every question");
    hears(&mut world, &keepers);
    hears(&mut world, &pull)
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

/// It had learnt from others that it keeps the job's claims, and has no home record: node seed 101039.
#[test]
fn what_a_keeper_promised_without_a_home_record_outlives_it() {
    let stamp =
        |holder: Life, born: Epoch| Stamp { fence: Fence { epoch: born, attempt: 1 }, holder };
    let mut world = reborn(|world, records| {
        let (task, born) = a_task(world);
        let promised = Some(stamp(world.life(0), born));
        let state = Snapshot { promised, accepted: None, decided: None, leases: vec![] };
        let (job, state, installed) = (task.job, Box::new(state), Some(born));
        let record = ClaimsRecord::Register { task, born, installed, state };
        records.push(Record::Claims { job, record });
    });
    let (task, born) = a_task(&world);
    let job = task.job;
    let (home, asker) = (world.life(0), world.life(1));
    let first = Life { incarnation: Incarnation(1), ..world.life(2) };
    let back = formic_completion::Message::HomeBack { generation: 0 };
    hears(&mut world, &Message::Completion { job, message: back });
    let pull = ClaimsMessage::Pull { task, born, epoch: Epoch(born.0 + 1) };
    assert!(asks_who_keeps(&hears(&mut world, &Message::Claims(Box::new(pull)))));
    hears(&mut world, &Message::Keepers { job, groups: vec![vec![home, first, asker]] });
    let ask = Ask { task, born, stamp: stamp(asker, born), set: born };
    let prepare = ClaimsMessage::Prepare { ask, lease: Duration::from_secs(1) };
    let out = hears(&mut world, &Message::Claims(Box::new(prepare)));
    let refused = |effect: &Effect| match effect {
        Effect::Send { message: Message::Claims(message), .. } => {
            matches!(**message, ClaimsMessage::Refuse { why: Refusal::Lower { .. }, .. })
        }
        _ => false,
    };
    assert!(out.iter().any(refused), "a fence has one holder: {out:?}");
}

/// It forwarded a `Cancel` to a member that had not heard yet that it is one: node seed 62884.
#[test]
fn whoever_takes_a_member_for_a_client_is_not_blamed() {
    let mut world = World::of(3);
    let job = a_task(&world).0.job;
    let blames = |out: &[Effect]| {
        let blame = |effect: &Effect| matches!(effect, Effect::Event(Event::Misbehaved { .. }));
        out.iter().any(blame)
    };
    assert!(!blames(&hears(&mut world, &Message::Reply(Reply::Unknown { job }))));
    let status = world.nodes[&1].status();
    let reply = Message::Reply(Reply::Status(std::sync::Arc::new(status)));
    assert!(blames(&hears(&mut world, &reply)));
}
