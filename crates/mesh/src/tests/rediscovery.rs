use formic_core::{Life, Time, transport::Address};

use super::world::{
    SECOND, World, address, config, founder, handle, handle_at, knock, life, member_of, mesh_id,
    record,
};
use crate::{Config, Effect, Event, Input, Mesh, Message};

#[test]
fn a_seed_that_comes_late_is_found() {
    let mut world = World::default();
    world.add(1, config(1, None, &[2]));
    world.add(3, config(3, None, &[2]));
    world.run(Time::from_us(20 * SECOND));
    assert_eq!(world.count(|event| matches!(event, Event::Joined { .. })), 0);
    world.add(2, config(2, Some(mesh_id()), &[]));
    world.run(Time::from_us(60 * SECOND));
    world.assert_full();
}

#[test]
fn rounds_over_the_seeds_slow_down() {
    let mut world = World::default();
    world.add(1, config(1, None, &[2]));
    world.run(Time::from_us(7 * SECOND));
    // At 0, 1, 2.5, 4.75 s, each within a tenth; the next at 8.1 s.
    assert_eq!(world.dials, 4);
    assert_eq!(world.asked_outside, 4, "the outside is asked as often");
    world.run(Time::from_us(600 * SECOND));
    let before = world.dials;
    world.run(Time::from_us(900 * SECOND));
    let rounds = world.dials - before;
    assert!((9..=11).contains(&rounds), "every 30 s in the end, not {rounds} times in 300 s");
}

#[test]
fn what_outside_sources_find_is_dialled() {
    let mut world = World::default();
    world.add(1, config(1, None, &[]));
    world.add(2, config(2, Some(mesh_id()), &[]));
    world.run(Time::from_us(SECOND));
    world.feed(1, Input::Found { addresses: vec![address(1), address(2), address(2)] });
    world.run(Time::from_us(5 * SECOND));
    world.assert_full();
}

#[test]
fn ten_thousand_hints_are_a_few() {
    let mut mesh = Mesh::new(config(1, None, &[]), life(1)).unwrap();
    handle(&mut mesh, Input::Deadline).unwrap();
    let addresses = (0..10_000).map(|n| Address::new("memory", &format!("h{n}"))).collect();
    let out = handle(&mut mesh, Input::Found { addresses }).unwrap();
    assert!(out.len() <= 32, "{} dials", out.len());
    let out = handle(&mut mesh, Input::Found { addresses: vec![address(1)] }).unwrap();
    assert_eq!(out, [], "its own address is no hint");
}

#[test]
fn the_rendezvous_is_asked_when_nothing_else_answers() {
    let mut world = World::default();
    let lost = Config { rendezvous: vec![address(9)], ..config(1, None, &[7]) };
    world.add(1, lost);
    world.add(9, config(9, Some(mesh_id()), &[]));
    world.run(Time::from_us(1_900_000));
    assert!(world.links.is_empty(), "others may answer for 2 s");
    world.run(Time::from_us(5 * SECOND));
    world.assert_full();
}

#[test]
fn a_member_that_cannot_decide_introduces_others() {
    let mut mesh = member_of(1, &[2, 3]);
    handle(&mut mesh, Input::Down { life: life(3) }).unwrap();
    let asks = Input::Message { from: life(8), message: Message::Who { max: 32 } };
    let out = handle_at(&mut mesh, 2 * SECOND, asks).unwrap();
    let here = vec![(life(1).peer, vec![address(1)]), (life(2).peer, vec![address(2)])];
    let told = Message::Peers { peers: here };
    assert_eq!(out, [Effect::Send { to: life(8), message: told }], "the dead are not named");

    let mut outsider = Mesh::new(config(8, None, &[1]), life(8)).unwrap();
    handle(&mut outsider, Input::Deadline).unwrap();
    handle(&mut outsider, Input::LinkUp { life: life(1) }).unwrap();
    let reason = crate::Refusal::NoQuorum;
    let refused = Message::Refused { reason };
    handle(&mut outsider, Input::Message { from: life(1), message: refused }).unwrap();
    let peers = vec![(life(2).peer, vec![address(2)]), (life(8).peer, vec![address(8)])];
    let told = Input::Message { from: life(1), message: Message::Peers { peers } };
    let out = handle(&mut outsider, told).unwrap();
    let dial = Effect::Dial { peer: Some(life(2).peer), addresses: vec![address(2)] };
    assert_eq!(out, [dial]);
}

#[test]
fn the_larger_peer_dials_after_a_grace() {
    let mut world = World::of(2);
    world.blocked.extend([(0, 1), (1, 0)]);
    world.cut(0, 1);
    let before = world.dialled.len();
    world.flush();
    world.run_for(400_000);
    let dialled = |n| world.dialled[before..].iter().filter(|it| **it == (n, 1 - n)).count();
    // The larger one's only dial is of its seed, in the round that follows a loss.
    assert!(dialled(0) >= 2 && dialled(1) == 1, "{} and {} dials", dialled(0), dialled(1));
    world.blocked.clear();
    world.run_for(2 * SECOND);
    world.assert_full();
}

#[test]
fn without_a_majority_every_member_is_tried_every_second() {
    let mut world = World::of(4);
    world.blocked.extend((1..4).flat_map(|n| [(0, n), (n, 0)]));
    (1..4).for_each(|n| world.cut(0, n));
    world.flush();
    world.feed(0, Input::Quorum { held: false });
    world.run_for(60 * SECOND);
    let before = world.dialled.len();
    world.run_for(10 * SECOND);
    for n in 1..4 {
        let tries = world.dialled[before..].iter().filter(|it| **it == (0, n)).count();
        assert!((9..=22).contains(&tries), "{tries} dials of {n} in 10 s");
    }
    world.blocked.clear();
    world.run_for(2 * SECOND);
    world.assert_full();
}

#[test]
fn a_member_without_a_link_is_dialled_at_least_every_30_s() {
    let mut world = World::of(2);
    world.blocked.extend([(0, 1), (1, 0)]);
    world.cut(0, 1);
    world.flush();
    world.run_for(300 * SECOND);
    let before = world.dialled.len();
    world.run_for(60 * SECOND);
    assert!(world.dialled[before..].iter().filter(|it| **it == (0, 1)).count() >= 2);
    world.blocked.clear();
    world.run_for(35 * SECOND);
    world.assert_full();
}

#[test]
fn a_quiet_member_asks_outside_every_300_s_and_looks_every_30_s() {
    let mut world = World::of(3);
    let (asked, dials) = (world.asked_outside, world.dials);
    world.run_for(3_600 * SECOND);
    let asked = world.asked_outside - asked;
    assert!((3 * 9..=3 * 12).contains(&asked), "{asked} questions of three peers in an hour");
    assert_eq!(world.dials, dials, "everybody is linked: nothing to dial");
}

#[test]
fn addresses_are_durable_once_in_five_seconds() {
    let mut mesh = founder(1);
    let mut writes: Vec<(u64, Vec<_>)> = Vec::new();
    for n in 2..12 {
        let us = u64::from(n) * 500_000;
        handle_at(&mut mesh, us, knock(n, None)).unwrap();
        let all: Vec<u8> = (1..=n).collect();
        let view = super::world::view(u64::from(n), &all);
        handle_at(&mut mesh, us, Input::View { view }).unwrap();
        for effect in handle_at(&mut mesh, us, Input::Deadline).unwrap() {
            if let Effect::Persist { addresses } = effect {
                writes.push((us, addresses));
            }
        }
    }
    assert!(writes.len() <= 2, "{} writes in 5 s", writes.len());
    let out = handle_at(&mut mesh, 20 * SECOND, Input::Deadline).unwrap();
    let last = out.iter().find_map(|effect| match effect {
        Effect::Persist { addresses } => Some(addresses.clone()),
        _ => None,
    });
    let expected: Vec<_> = (2..12).map(|n| (life(n).peer, record(n).addresses)).collect();
    assert_eq!(last.or(writes.pop().map(|(_, list)| list)), Some(expected));
}

#[test]
fn a_member_in_the_view_is_dialled_where_it_was_last() {
    let rejoin = Config { rejoin: Some(mesh_id()), ..config(1, None, &[]) };
    let mut mesh = Mesh::new(rejoin, Life::new(life(1).peer, formic_core::Incarnation(2))).unwrap();
    let addresses = vec![(life(2).peer, vec![address(2)])];
    handle(&mut mesh, Input::Addresses { addresses: addresses.clone() }).unwrap();
    handle(&mut mesh, Input::View { view: super::world::view(4, &[1, 2]) }).unwrap();
    let out = handle(&mut mesh, Input::Deadline).unwrap();
    let dial = Effect::Dial { peer: Some(life(2).peer), addresses: vec![address(2)] };
    assert!(out.contains(&dial), "{out:?}");
}
