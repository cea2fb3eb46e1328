use std::collections::{BTreeMap, BTreeSet};

use formic_core::{Blame, Fault, Incarnation, Life};

use super::world::{SECOND, World, handle, life, member_of, view};
use crate::{
    Audience, Cast, CastMessage, Draft, Effect, Error, Event, Input, Message, Order, Requirement,
    Scope, Stream,
};

fn draft(n: u32, order: Order) -> Draft {
    Draft { stream: 1, order, payload: n.to_be_bytes().to_vec() }
}

fn cast_all(world: &mut World, from: u8, n: u32, order: Order) {
    world.feed(from, Input::Cast { to: Audience::All, draft: draft(n, order) });
}

fn payloads(world: &World, at: u8, origin: u8) -> Vec<u32> {
    let of = |cast: &&Cast| cast.origin.peer.as_bytes()[0] == origin;
    let number = |cast: &Cast| u32::from_be_bytes(cast.payload.clone().try_into().unwrap());
    world.delivered(at).into_iter().filter(of).map(number).collect()
}

fn gaps(world: &World) -> usize {
    world.count(|event| matches!(event, Event::Gap { .. }))
}

#[test]
fn ten_peers_get_a_cast_in_one_hop() {
    let mut world = World::of(10);
    let before = world.sent.get("cast").copied().unwrap_or(0);
    cast_all(&mut world, 3, 7, Order::Unordered);
    for n in (0..10).filter(|&n| n != 3) {
        assert_eq!(payloads(&world, n, 3), [7]);
    }
    assert_eq!(payloads(&world, 3, 3), [0; 0], "its origin knows it already");
    assert_eq!(world.sent["cast"] - before, 9);
}

#[test]
fn three_of_five_get_what_is_for_them() {
    let mut world = World::of(5);
    let named = vec![life(1), life(2), life(4)];
    for n in 0..50 {
        let to = if n % 2 == 0 { Audience::All } else { Audience::Named(named.clone()) };
        world.feed(0, Input::Cast { to, draft: draft(n, Order::Ordered) });
    }
    world.run_for(10 * SECOND);
    for n in [1, 2, 4] {
        assert_eq!(payloads(&world, n, 0), (0..50).collect::<Vec<_>>());
    }
    assert_eq!(payloads(&world, 3, 0), (0..50).step_by(2).collect::<Vec<_>>());
    assert_eq!(gaps(&world), 0, "what is for others is no gap");
}

#[test]
fn the_capable_get_what_asks_for_them() {
    let mut world = World::of(4);
    for n in [1, 3] {
        let capabilities = vec!["gpu@1.2".parse().unwrap()];
        world.feed(n, Input::SetCapabilities { capabilities });
    }
    let gpu = Requirement::of(&["gpu@1.1".parse().unwrap()]);
    let to = Audience::Capable(gpu);
    world.feed(0, Input::Cast { to, draft: draft(1, Order::Unordered) });
    let got: Vec<u8> = (0..4).filter(|&n| !world.delivered(n).is_empty()).collect();
    assert_eq!(got, [1, 3]);
}

#[test]
fn a_hundred_of_a_hundred_arrive_in_order_although_a_third_is_lost() {
    let mut world = World::of(4);
    world.loss = 300;
    for n in 0..100 {
        cast_all(&mut world, 0, n, Order::Ordered);
        world.run_for(1_000);
    }
    world.run_for(5 * SECOND);
    for n in 1..4 {
        assert_eq!(payloads(&world, n, 0), (0..100).collect::<Vec<_>>(), "at {n}");
    }
    assert_eq!(gaps(&world), 0);
}

#[test]
fn ten_peers_cast_a_hundred_each_over_lossy_links_once_to_everybody() {
    let mut world = World::of(10);
    world.loss = 300;
    for n in 0..100 {
        (0..10).for_each(|from| cast_all(&mut world, from, n, Order::Unordered));
        world.run_for(2_000);
    }
    world.run_for(20 * SECOND);
    for at in 0..10 {
        for from in (0..10).filter(|&from| from != at) {
            let mut got = payloads(&world, at, from);
            got.sort_unstable();
            assert_eq!(got, (0..100).collect::<Vec<_>>(), "{from} to {at}");
        }
    }
    assert_eq!(gaps(&world), 0);
}

#[test]
fn what_was_cast_while_a_link_was_down_comes_with_the_link() {
    let mut world = World::of(2);
    world.blocked.extend([(0, 1), (1, 0)]);
    world.cut(0, 1);
    world.flush();
    for n in 0..20 {
        cast_all(&mut world, 0, n, Order::Ordered);
    }
    // So long that the origin has left the reader out.
    world.run_for(5 * SECOND);
    assert_eq!(payloads(&world, 1, 0), [0; 0]);
    world.links.extend([(0, 1), (1, 0)]);
    world.feed(1, Input::LinkUp { life: life(0) });
    world.feed(0, Input::LinkUp { life: life(1) });
    // No time has passed since: no round, no question by the clock.
    assert_eq!(payloads(&world, 1, 0), (0..20).collect::<Vec<_>>());
}

#[test]
fn others_complete_what_a_dead_peer_had_begun() {
    let mut world = World::of(4);
    cast_all(&mut world, 0, 0, Order::Ordered);
    world.run_for(SECOND);
    // Only 1 hears the last words of 0.
    for n in [2, 3] {
        world.blocked.extend([(0, n), (n, 0)]);
        world.cut(0, n);
    }
    world.flush();
    (1..6).for_each(|n| cast_all(&mut world, 0, n, Order::Ordered));
    world.kill(0);
    for n in 1..4 {
        world.feed(n, Input::Down { life: life(0) });
    }
    world.run_for(SECOND / 2);
    for n in 1..4 {
        assert_eq!(payloads(&world, n, 0), (0..6).collect::<Vec<_>>(), "at {n}");
    }
    world.evict(&[0]);
    world.run_for(70 * SECOND);
    assert_eq!(gaps(&world), 0);
    let kept: BTreeSet<_> = world.peers.values().map(|peer| peer.casts.size()).collect();
    assert_eq!(kept, BTreeSet::from([(0, 0)]), "nothing is kept of the dead");
}

#[test]
fn what_nobody_has_any_more_is_a_gap_and_the_rest_arrives() {
    let mut mesh = member_of(1, &[2]);
    let cast = |seq, follows| {
        let cast = Cast {
            origin: life(2),
            stream: 1,
            seq,
            epoch: view(2, &[1]).epoch,
            scope: Scope::All,
            order: Order::Ordered,
            payload: vec![],
        };
        let message = CastMessage::Cast { cast: cast.into(), follows };
        Input::Message { from: life(2), message: Message::Cast(message) }
    };
    handle(&mut mesh, cast(1, None)).unwrap();
    let out = handle(&mut mesh, cast(4, Some(3))).unwrap();
    let stream = Stream { origin: life(2), number: 1 };
    let want = CastMessage::Want { stream, seqs: vec![2, 3] };
    assert!(out.contains(&Effect::Send { to: life(2), message: Message::Cast(want) }), "{out:?}");
    let gone = Message::Cast(CastMessage::Gone { stream, upto: 2 });
    let out = handle(&mut mesh, Input::Message { from: life(2), message: gone }).unwrap();
    let gap = |from, to| Effect::Event(Event::Gap { origin: life(2), stream: 1, from, to });
    assert!(out.contains(&gap(2, 2)), "{out:?}");
    let mut heard = Vec::new();
    for us in (0..7 * SECOND).step_by(100_000) {
        heard.extend(super::world::handle_at(&mut mesh, 2_000 + us, Input::Deadline).unwrap());
    }
    let at = |which: &dyn Fn(&Effect) -> bool| heard.iter().position(which);
    let lost = at(&|effect| *effect == gap(3, 3));
    let rest = at(&|it| matches!(it, Effect::Event(Event::Delivered { cast }) if cast.seq == 4));
    assert!(lost.is_some() && lost < rest, "{lost:?} {rest:?}");
    assert_eq!(mesh.cast_gaps(), 2);
}

#[test]
fn a_newcomer_hears_what_is_cast_after_it_came() {
    let mut world = World::of(2);
    (0..10).for_each(|n| cast_all(&mut world, 0, n, Order::Ordered));
    world.add(2, super::world::config(2, None, &[0]));
    world.run_for(2 * SECOND);
    (10..15).for_each(|n| cast_all(&mut world, 0, n, Order::Ordered));
    world.run_for(40 * SECOND);
    assert_eq!(payloads(&world, 2, 0), (10..15).collect::<Vec<_>>());
    assert_eq!(gaps(&world), 0);
}

#[test]
fn a_reader_a_window_behind_stops_its_origin_until_it_is_left_out() {
    let mut mesh = member_of(1, &[2]);
    let cast = || {
        let payload = vec![0; 10];
        let draft = Draft { stream: 5, order: Order::Unordered, payload };
        Input::Cast { to: Audience::All, draft }
    };
    for _ in 0..1_024 {
        handle(&mut mesh, cast()).unwrap();
    }
    let before = mesh.clone();
    let error = handle(&mut mesh, cast()).unwrap_err();
    assert_eq!(error, Error::CastFull { stream: 5, behind: 1_024 });
    assert_eq!(error.fault(), Fault::Environment);
    assert_eq!(mesh, before);
    let stream = Stream { origin: life(1), number: 5 };
    let have = Message::Cast(CastMessage::Have { stream, since: 0, upto: 200 });
    let out = handle(&mut mesh, Input::Message { from: life(2), message: have }).unwrap();
    assert!(out.contains(&Effect::Event(Event::CastWritable { stream: 5 })), "{out:?}");
    (0..200).for_each(|_| drop(handle(&mut mesh, cast()).unwrap()));
    handle(&mut mesh, cast()).unwrap_err();
    let mut writable = false;
    for us in (0..6 * SECOND).step_by(50_000) {
        let out = super::world::handle_at(&mut mesh, 2_000 + us, Input::Deadline).unwrap();
        writable |= out.contains(&Effect::Event(Event::CastWritable { stream: 5 }));
    }
    assert!(writable, "who is silent for 2 s holds nobody up");
    super::world::handle_at(&mut mesh, 7 * SECOND, cast()).unwrap();
}

#[test]
fn liars_about_casts_are_named() {
    let mut mesh = member_of(1, &[2, 3]);
    let cast = Cast {
        origin: life(3),
        stream: 1,
        seq: 1,
        epoch: view(2, &[1]).epoch,
        scope: Scope::All,
        order: Order::Unordered,
        payload: vec![],
    };
    let stream = Stream { origin: life(1), number: 1 };
    let forged = |cast: Cast| CastMessage::Cast { cast: cast.into(), follows: None };
    let large = Cast { origin: life(2), payload: vec![0; 65_537], ..cast.clone() };
    let others = Cast { origin: life(2), scope: Scope::Named(vec![life(3)]), ..cast.clone() };
    let own = Cast { origin: life(1), ..cast.clone() };
    let to = Audience::All;
    handle(&mut mesh, Input::Cast { to, draft: draft(0, Order::Ordered) }).unwrap();
    let lies = [
        forged(cast),
        forged(large),
        forged(others),
        forged(own),
        CastMessage::Have { stream, since: 1, upto: 9 },
        CastMessage::Want { stream, seqs: (0..65).collect() },
        CastMessage::Gone { stream: Stream { origin: life(3), number: 1 }, upto: 1 },
    ];
    for lie in lies {
        let before = mesh.clone();
        let message = Message::Cast(lie.clone());
        let error = handle(&mut mesh, Input::Message { from: life(2), message }).unwrap_err();
        assert_eq!(error.fault(), Fault::Peer(life(2).peer), "{lie:?}");
        assert_eq!(mesh, before);
    }
    let mistakes = [
        (Audience::Named(vec![life(9)]), 0),
        (Audience::Named((0..65).map(|n| Life::new(life(n).peer, Incarnation(1))).collect()), 0),
        (Audience::All, 65_537),
    ];
    for (to, bytes) in mistakes {
        let draft = Draft { stream: 1, order: Order::Ordered, payload: vec![0; bytes] };
        let error = handle(&mut mesh, Input::Cast { to, draft }).unwrap_err();
        assert_eq!(error.fault(), Fault::Caller);
    }
}

#[test]
fn what_a_peer_keeps_of_casts_is_bounded() {
    let mut mesh = member_of(1, &[2]);
    for seq in 1..=300_u64 {
        let cast = Cast {
            origin: life(2),
            stream: 1,
            seq,
            epoch: view(2, &[1]).epoch,
            scope: Scope::All,
            order: Order::Unordered,
            payload: vec![0; 60_000],
        };
        let follows = (seq > 1).then_some(seq - 1);
        let message = Message::Cast(CastMessage::Cast { cast: cast.into(), follows });
        handle(&mut mesh, Input::Message { from: life(2), message }).unwrap();
    }
    assert!(mesh.casts.size().1 <= 8 << 20);
}

/// M3 and M4 in a walk: random casts, losses, links that break and heal, one crash.
#[test]
fn no_cast_is_told_twice_or_out_of_order_and_a_hole_is_a_gap() {
    for seed in 0..30 {
        let mut random = formic_core::Random::new(seed);
        let mut world = World::of(4);
        world.loss = random.below(400);
        for n in 0..120 {
            match random.below(12) {
                0 => cut_some_link(&mut world, &mut random),
                1 if n > 100 => crash(&mut world),
                sort => cast_something(&mut world, &mut random, (n, sort)),
            }
            world.run_for(random.below(50_000));
        }
        world.run_for(90 * SECOND);
        check_walk(&world, seed);
    }
}

fn some_peer(random: &mut formic_core::Random) -> u8 {
    u8::try_from(random.below(4)).unwrap()
}

fn cut_some_link(world: &mut World, random: &mut formic_core::Random) {
    let (a, b) = (some_peer(random), some_peer(random));
    if world.links.contains(&(a, b)) {
        world.cut(a, b);
        world.flush();
    }
}

fn crash(world: &mut World) {
    if world.peers.contains_key(&3) {
        world.kill(3);
        (0..3).for_each(|at| world.feed(at, Input::Down { life: life(3) }));
    }
}

fn cast_something(world: &mut World, random: &mut formic_core::Random, (n, sort): (u32, u64)) {
    let from = some_peer(random);
    let readers = vec![life((from + 1) % 4), life((from + 2) % 4)];
    let to = if sort.is_multiple_of(3) { Audience::Named(readers) } else { Audience::All };
    let order = if from.is_multiple_of(2) { Order::Ordered } else { Order::Unordered };
    if world.peers.contains_key(&from) {
        world.feed(from, Input::Cast { to, draft: draft(n, order) });
    }
}

fn check_walk(world: &World, seed: u64) {
    let mut next: BTreeMap<(u8, Life), u64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (at, event) in &world.events {
        match event {
            Event::Delivered { cast } => {
                assert!(seen.insert((*at, cast.origin, cast.seq)), "seed {seed}: twice");
                if let Scope::Named(lives) = &cast.scope {
                    assert!(lives.contains(&life(*at)), "seed {seed}: not for {at}");
                }
                if cast.order == Order::Ordered {
                    let next = next.entry((*at, cast.origin)).or_default();
                    assert!(cast.seq > *next, "seed {seed}: out of order");
                    *next = cast.seq;
                }
            }
            Event::Gap { origin, .. } => {
                assert_eq!(*origin, life(3), "seed {seed}: only the dead may leave gaps");
            }
            _ => {}
        }
    }
    // M4: of an origin that stays up, everybody who stays up and is linked has all or none.
    for origin in 0..3 {
        let has = |at: u8| -> BTreeSet<u64> {
            let casts = world.delivered(at).into_iter();
            let all = casts.filter(|it| it.origin == life(origin) && it.scope == Scope::All);
            all.map(|cast| cast.seq).collect()
        };
        let sets: BTreeSet<_> = (0..3).filter(|at| *at != origin).map(has).collect();
        assert_eq!(sets.len(), 1, "seed {seed}: casts of {origin}");
    }
}
