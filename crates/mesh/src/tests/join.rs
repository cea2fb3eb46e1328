use formic_core::{Digest, FateId, Time};

use super::world::{
    SECOND, World, address, config, founder, handle, handle_at, knock, knock_with, life, lives,
    member, mesh_id, record, view,
};
use crate::{Config, Effect, Event, Input, Mesh, Message, Record, Refusal};

#[test]
fn ten_peers_join_through_one_seed() {
    let mut world = World::default();
    world.add(5, config(5, Some(mesh_id()), &[]));
    world.run(Time::ZERO);
    for n in (0..10).filter(|&n| n != 5) {
        world.add(n, config(n, None, &[5]));
    }
    world.run(Time::from_us(5 * SECOND));
    world.assert_full();
    assert_eq!(world.count(|event| matches!(event, Event::Joined { .. })), 10);
    // 9 seed dials, 36 dials between joiners: nobody dials a peer it has a link to.
    assert_eq!(world.dials, 9 + 36);
}

#[test]
fn a_founder_is_a_member_by_its_first_view() {
    let mut mesh = Mesh::new(config(1, Some(mesh_id()), &[]), life(1)).unwrap();
    let out = handle(&mut mesh, Input::Deadline).unwrap();
    assert!(out.contains(&Effect::Event(Event::Founded { mesh: mesh_id() })));
    let refused = handle(&mut mesh, knock(2, None)).unwrap();
    let reason = Refusal::Outside;
    assert_eq!(refused, [Effect::Send { to: life(2), message: Message::Refused { reason } }]);
    let out = handle(&mut mesh, Input::View { view: view(1, &[1]) }).unwrap();
    assert!(out.contains(&Effect::Event(Event::Joined { mesh: mesh_id(), members: 1 })));
    let out = handle(&mut mesh, Input::View { view: view(1, &[1]) }).unwrap();
    assert_eq!(out, [], "a view that is known changes nothing");
}

#[test]
fn an_outsider_reports_who_of_its_mesh_it_turns_away() {
    let mut mesh = founder(1);
    handle(&mut mesh, Input::View { view: view(2, &[2]) }).unwrap();
    let turned_away =
        [Effect::Send { to: life(2), message: Message::Refused { reason: Refusal::Outside } }];
    assert_eq!(handle(&mut mesh, knock(2, None)).unwrap(), turned_away);
    let other = Some(Digest::of(&[b"other"]));
    assert_eq!(handle(&mut mesh, knock(2, other)).unwrap(), turned_away);
    let out = handle(&mut mesh, knock(2, Some(mesh_id()))).unwrap();
    assert_eq!(out[0], Effect::Event(Event::Kin { life: life(2) }));
    assert_eq!(out[1..], turned_away);
}

#[test]
fn a_knock_waits_for_its_view() {
    let mut mesh = founder(1);
    handle(&mut mesh, Input::LinkUp { life: life(2) }).unwrap();
    let out = handle(&mut mesh, knock(2, None)).unwrap();
    assert_eq!(out, [Effect::Event(Event::Admit { member: member(2) })]);
    assert!(!mesh.is_member(life(2)));
    let out = handle(&mut mesh, Input::View { view: view(2, &[1, 2]) }).unwrap();
    assert!(out.contains(&Effect::Event(Event::Added { life: life(2) })));
    let is_welcome = |effect: &Effect| {
        matches!(effect, Effect::Send { to, message: Message::Welcome { view, records, .. } }
            if *to == life(2) && view.contains(life(2)) && records.contains(&record(2)))
    };
    assert_eq!(out.iter().filter(|effect| is_welcome(effect)).count(), 1);
    let again = handle(&mut mesh, knock(2, Some(mesh_id()))).unwrap();
    assert_eq!(again.iter().filter(|effect| is_welcome(effect)).count(), 1, "{again:?}");
    assert!(!again.iter().any(|effect| matches!(effect, Effect::Event(Event::Admit { .. }))));
}

#[test]
fn a_knock_in_vain_leaves_nothing_behind() {
    let mut mesh = founder(1);
    handle(&mut mesh, knock(2, None)).unwrap();
    handle(&mut mesh, knock(3, Some(Digest::of(&[b"other"])))).unwrap();
    assert!(!mesh.door.is_empty());
    handle_at(&mut mesh, 11 * SECOND, Input::Deadline).unwrap();
    assert!(mesh.door.is_empty());
    assert_eq!(mesh.members().count(), 1);
}

#[test]
fn a_newcomer_takes_over_the_view_of_its_welcome() {
    let mut mesh = Mesh::new(config(2, None, &[1]), life(2)).unwrap();
    handle(&mut mesh, Input::Deadline).unwrap();
    let out = handle(&mut mesh, Input::LinkUp { life: life(1) }).unwrap();
    let knocks = |effect: &Effect| {
        matches!(effect, Effect::Send { message: Message::Knock { fate, .. }, .. }
            if *fate == FateId(2))
    };
    assert!(out.iter().any(knocks), "{out:?}");
    let records = vec![record(1)];
    let message = Message::Welcome { mesh: mesh_id(), view: view(2, &[1, 2]), records };
    let out = handle(&mut mesh, Input::Message { from: life(1), message }).unwrap();
    let events: Vec<&Event> = out
        .iter()
        .filter_map(|effect| match effect {
            Effect::Event(event) => Some(event),
            _ => None,
        })
        .collect();
    assert_eq!(events[0], &Event::Welcomed { view: view(2, &[1, 2]) });
    assert!(events.contains(&&Event::Added { life: life(1) }));
    assert!(events.contains(&&Event::Joined { mesh: mesh_id(), members: 2 }));
    assert_eq!(mesh.member(life(1)), Some(&record(1)));
}

#[test]
fn a_knock_is_repeated_three_times_until_it_is_answered() {
    let mut mesh = Mesh::new(config(2, None, &[1]), life(2)).unwrap();
    handle_at(&mut mesh, 0, Input::Deadline).unwrap();
    handle_at(&mut mesh, 0, Input::LinkUp { life: life(1) }).unwrap();
    let mut knocks = Vec::new();
    for us in (100_000..900_000).step_by(100_000) {
        let out = handle_at(&mut mesh, us, Input::Deadline).unwrap();
        let is_knock =
            |it: &Effect| matches!(it, Effect::Send { message: Message::Knock { .. }, .. });
        knocks.extend(out.iter().filter(|it| is_knock(it)).map(|_| us));
    }
    assert_eq!(knocks, [500_000]);
    let message = Message::Refused { reason: Refusal::NoQuorum };
    let out = handle_at(&mut mesh, 900_000, Input::Message { from: life(1), message }).unwrap();
    assert!(matches!(&out[..], [Effect::Send { message: Message::Who { .. }, .. }]), "{out:?}");
}

#[test]
fn without_a_majority_nobody_is_let_in() {
    let mut mesh = founder(1);
    handle(&mut mesh, Input::Quorum { held: false }).unwrap();
    let reason = Refusal::NoQuorum;
    assert!(!reason.is_final());
    let refused = [Effect::Send { to: life(2), message: Message::Refused { reason } }];
    assert_eq!(handle(&mut mesh, knock(2, None)).unwrap(), refused);
    handle(&mut mesh, Input::Quorum { held: true }).unwrap();
    let out = handle(&mut mesh, knock(2, None)).unwrap();
    assert_eq!(out, [Effect::Event(Event::Admit { member: member(2) })]);
}

#[test]
fn a_second_process_with_the_same_identity_is_refused() {
    let mut mesh = World::of(2).peers.remove(&0).unwrap();
    let out = handle_at(&mut mesh, 3 * SECOND, knock_with(record(1), None, 99)).unwrap();
    let reason = Refusal::Duplicate;
    let refused = [Effect::Send { to: life(1), message: Message::Refused { reason } }];
    assert_eq!(out, refused);
    assert_eq!(mesh.members().count(), 2, "the registry stays as it was");
    handle_at(&mut mesh, 3 * SECOND, knock_with(record(7), None, 7)).unwrap();
    let out = handle_at(&mut mesh, 3 * SECOND, knock_with(record(7), None, 8)).unwrap();
    assert!(matches!(
        out[..],
        [Effect::Send { message: Message::Refused { reason: Refusal::Duplicate }, .. }]
    ));
}

#[test]
fn a_restarted_peer_replaces_its_earlier_life() {
    let mut world = World::of(3);
    world.kill(2);
    let again = Config { rejoin: Some(mesh_id()), ..config(2, None, &[0]) };
    world.add_life(2, 2, again);
    world.run_for(3 * SECOND);
    world.assert_full();
    assert!(world.events.contains(&(1, Event::Forgotten { life: life(2) })));
    assert!(world.events.contains(&(1, Event::Added { life: lives(2, 2) })));
    assert!(world.peers[&0].departed().any(|(gone, record)| gone == life(2) && record.is_some()));
    world.run_for(61 * SECOND);
    assert_eq!(world.peers[&0].departed().count(), 0, "after a minute nothing is known of it");
}

#[test]
fn an_evicted_life_comes_back_only_as_a_later_one() {
    let mut world = World::of(3);
    world.evict(&[2]);
    let mut mesh = world.peers[&0].clone();
    assert!(!mesh.is_member(life(2)));
    let out = handle_at(&mut mesh, 3 * SECOND, knock(2, None)).unwrap();
    let reason = Refusal::StaleLife { newest: life(2).incarnation };
    assert_eq!(out, [Effect::Send { to: life(2), message: Message::Refused { reason } }]);
    world.run_for(3 * SECOND);
    assert!(!world.peers[&0].is_member(life(2)), "the same life does not knock");
    // A process goes on as a later life over new links.
    world.cut(0, 2);
    world.cut(1, 2);
    world.flush();
    world.feed(2, Input::Reborn { life: lives(2, 2) });
    world.run_for(3 * SECOND);
    world.assert_full();
    assert!(world.peers[&0].is_member(lives(2, 2)));
}

#[test]
fn a_mesh_whose_power_failed_finds_itself_again() {
    let mut world = World::of(3);
    world.run_for(10 * SECOND);
    let view = world.views[&mesh_id()].clone();
    (0..3).for_each(|n| world.kill(n));
    for n in 0..3 {
        // No seeds: all that is left is what was durable.
        world.add_life(n, 2, Config { rejoin: Some(mesh_id()), ..config(n, None, &[]) });
        let addresses = world.persisted[&n].clone();
        assert_eq!(addresses.len(), 2);
        world.feed(n, Input::Addresses { addresses });
        world.feed(n, Input::View { view: view.clone() });
    }
    world.run_for(5 * SECOND);
    world.assert_full();
    assert!((0..3).all(|n| world.peers[&0].is_member(lives(n, 2))));
}

#[test]
fn peers_that_only_know_outsiders_found_no_mesh() {
    let mut world = World::default();
    for n in 0..4 {
        world.add(n, config(n, None, &[(n + 1) % 4]));
    }
    world.run(Time::from_us(10 * SECOND));
    assert_eq!(world.count(|event| matches!(event, Event::Founded { .. })), 0);
    // Somebody who founds one is found by all, one round after the other.
    world.add(4, config(4, Some(mesh_id()), &[0]));
    world.run(Time::from_us(300 * SECOND));
    world.assert_full();
}

#[test]
fn two_hundred_peers_join_at_once() {
    let mut world = World::default();
    world.add(0, config(0, Some(mesh_id()), &[]));
    // More than wait at one door: whoever finds it full comes back after the next view.
    (1..200).for_each(|n| world.add(n, config(n, None, &[0])));
    world.run(Time::from_us(5 * SECOND));
    world.assert_full();
}

#[test]
fn knocks_are_counted() {
    let mut mesh = founder(1);
    let admits = |mesh: &mut Mesh, us| {
        let out = handle_at(mesh, us, knock(2, None)).unwrap();
        matches!(out[..], [Effect::Event(Event::Admit { .. })])
    };
    assert_eq!((0..20).filter(|&us| admits(&mut mesh, 2_000 + us)).count(), 10);
    assert!(admits(&mut mesh, 2_000 + SECOND), "a second later it may knock again");
    for n in 10..138 {
        handle_at(&mut mesh, 2 * SECOND, knock(n, None)).unwrap();
    }
    let out = handle_at(&mut mesh, 2 * SECOND, knock(200, None)).unwrap();
    let is_busy = |it: &Effect| {
        matches!(it, Effect::Send { message: Message::Refused { reason }, .. }
            if matches!(reason, Refusal::Busy { .. }))
    };
    assert!(out.iter().any(is_busy), "128 wait already: {out:?}");
}

#[test]
fn a_record_that_comes_before_its_view_is_kept_for_it() {
    let mut mesh = founder(1);
    handle(&mut mesh, Input::View { view: view(2, &[1, 2]) }).unwrap();
    let news = Record { addresses: vec![address(3)], ..record(3) };
    handle(&mut mesh, super::world::delta(2, vec![record(2), news.clone()])).unwrap();
    assert_eq!(mesh.member(life(3)), None);
    handle(&mut mesh, Input::View { view: view(3, &[1, 2, 3]) }).unwrap();
    assert_eq!(mesh.member(life(3)), Some(&news));
}
