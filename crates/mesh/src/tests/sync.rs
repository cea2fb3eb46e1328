use formic_core::{Capability, Time};

use super::world::{SECOND, World, handle, life, member_of};
use crate::{Effect, Error, Input, Key, Message, Path, Slot};

fn write(world: &mut World, n: u8, value: u8) {
    let slot = Slot::application(value % 8).unwrap();
    world.feed(n, Input::SetRecord { slot, value: vec![value] });
}

#[test]
fn values_written_on_both_sides_of_a_cut_are_equal_two_rounds_after_it_heals() {
    let mut world = World::of(6);
    for (a, b) in (0..3).flat_map(|a| (3..6).map(move |b| (a, b))) {
        world.blocked.extend([(a, b), (b, a)]);
        world.cut(a, b);
    }
    world.flush();
    for n in 0..6 {
        (0..20).for_each(|value| write(&mut world, n, value));
        let capabilities: Vec<Capability> = vec![format!("c{n}").parse().unwrap()];
        world.feed(n, Input::SetCapabilities { capabilities });
    }
    assert!(world.roots().len() > 1);
    // One link heals: the rest of the news goes by comparison.
    world.blocked.remove(&(0, 3));
    world.blocked.remove(&(3, 0));
    world.run_for(35 * SECOND);
    let linked = world.now;
    world.run(Time::from_us(linked.as_us() + 6 * SECOND));
    assert_eq!(world.roots().len(), 1);
    let slot = Slot::application(3).unwrap();
    for peer in world.peers.values() {
        assert!((0..6).all(|n| peer.slot(life(n), slot).is_some_and(|it| it.version == 3)));
    }
}

#[test]
fn a_link_alone_makes_two_peers_equal() {
    let mut world = World::of(2);
    world.blocked.extend([(0, 1), (1, 0)]);
    world.cut(0, 1);
    world.flush();
    (0..8).for_each(|value| write(&mut world, 0, value));
    (0..8).for_each(|value| write(&mut world, 1, value));
    assert_eq!(world.roots().len(), 2);
    world.blocked.clear();
    world.run_for(2 * SECOND);
    assert_eq!(world.roots().len(), 1);
}

#[test]
fn comparisons_slow_down_while_nothing_changes() {
    let mut world = World::of(3);
    world.run_for(600 * SECOND);
    let before = world.sent["root"];
    world.run_for(300 * SECOND);
    let rounds = world.sent["root"] - before;
    assert!((27..=33).contains(&rounds), "{rounds} rounds of three peers in 300 s");
    let compared = world.sent.get("comparison").copied().unwrap_or(0);
    write(&mut world, 0, 1);
    world.run_for(10 * SECOND);
    let after = world.sent["root"] - before - rounds;
    assert!(after >= 20, "{after} rounds in the 10 s after a change");
    assert_eq!(world.sent.get("comparison").copied().unwrap_or(0), compared, "the push told all");
}

#[test]
fn answers_that_are_too_large_or_make_no_sense_are_refused() {
    let mut mesh = member_of(1, &[2]);
    let key = Key { owner: life(2), slot: Slot::MAIN, version: 1, hash: 1 };
    let path = Path { depth: 1, digits: 1 << 60 };
    let deep = Path { depth: 16, digits: 0 };
    let loose = Path { depth: 1, digits: 1 };
    let lies = [
        Message::Nodes { nodes: vec![(path, [0; 16]); 65] },
        Message::Nodes { nodes: vec![(deep, [0; 16])] },
        Message::Nodes { nodes: vec![(loose, [0; 16])] },
        Message::Keys { leaves: vec![(path, vec![key; 65])] },
        Message::Keys { leaves: vec![(path, vec![]); 65] },
        Message::Pull { keys: vec![key; 1_025] },
    ];
    for message in lies {
        let before = mesh.clone();
        let lie = Input::Message { from: life(2), message };
        assert!(matches!(handle(&mut mesh, lie), Err(Error::SyncRules { .. })));
        assert_eq!(mesh, before);
    }
}

#[test]
fn what_is_not_here_is_pulled_and_what_is_not_there_is_pushed() {
    let mut mesh = member_of(1, &[2, 3]);
    let newer = Key { owner: life(2), slot: Slot::MAIN, version: 9, hash: 1 };
    let stranger = Key { owner: life(9), slot: Slot::MAIN, version: 1, hash: 1 };
    let message = Message::Keys { leaves: vec![(Path::default(), vec![newer, stranger])] };
    let out = handle(&mut mesh, Input::Message { from: life(2), message }).unwrap();
    let pull = Effect::Send { to: life(2), message: Message::Pull { keys: vec![newer] } };
    assert!(out.contains(&pull), "{out:?}");
    let pushed = out.iter().find_map(|effect| match effect {
        Effect::Send { message: Message::Delta { records, .. }, .. } => Some(records.len()),
        _ => None,
    });
    assert_eq!(pushed, Some(2), "its own record and that of 3");
}
