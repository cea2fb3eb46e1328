use formic_core::{Capability, Incarnation, Time};

use super::world::{World, config, founder, handle, knock, life, mesh_id, record};
use crate::{Effect, Event, Input, Message, Record, Standing};

fn capability(name: &str) -> Capability {
    name.parse().unwrap()
}

#[test]
fn candidates_are_alive_capable_and_take_work() {
    let mut mesh = founder(1);
    handle(&mut mesh, Input::LinkUp { life: life(2) }).unwrap();
    let able = Record { capabilities: vec![capability("hash")], ..record(2) };
    let message = Message::Knock { mesh: None, record: Box::new(able.clone()) };
    handle(&mut mesh, Input::Message { from: life(2), message }).unwrap();
    let hash = [capability("hash")];
    assert_eq!(mesh.candidates(&hash), [], "heard of, not alive");
    assert_eq!(mesh.missing(&hash), hash);
    handle(&mut mesh, Input::Up { life: life(2) }).unwrap();
    assert_eq!(mesh.candidates(&hash), [life(2)]);
    assert_eq!(mesh.candidates(&[]), [life(1), life(2)]);
    assert_eq!(mesh.missing(&[capability("gpu"), capability("hash")]), [capability("gpu")]);
    handle(&mut mesh, Input::SetCapabilities { capabilities: vec![capability("gpu")] }).unwrap();
    let both = [capability("gpu"), capability("hash")];
    assert_eq!(mesh.missing(&both), both, "somebody has each, nobody both");
    let draining = Record { draining: true, version: 2, ..able };
    let message = Message::Announce { mesh: mesh_id(), records: vec![draining] };
    handle(&mut mesh, Input::Message { from: life(2), message }).unwrap();
    assert_eq!(mesh.candidates(&hash), []);
}

#[test]
fn a_changed_capability_is_known_everywhere() {
    let mut world = World::default();
    world.add(1, config(1, Some(mesh_id()), &[]));
    world.add(2, config(2, None, &[1]));
    world.add(3, config(3, None, &[1]));
    world.run(Time::from_us(1_000_000));
    world.feed(3, Input::SetCapabilities { capabilities: vec![capability("hash")] });
    for peer in world.peers.values() {
        assert_eq!(peer.candidates(&[capability("hash")]), [life(3)]);
    }
    world.feed(3, Input::Drain);
    assert!(world.peers.values().all(|peer| peer.candidates(&[]) == [life(1), life(2)]));
}

#[test]
fn who_leaves_is_told_to_all_and_not_dialled_again() {
    let mut world = World::default();
    world.add(1, config(1, Some(mesh_id()), &[]));
    world.add(2, config(2, None, &[1]));
    world.run(Time::from_us(1_000_000));
    world.feed(2, Input::Leave);
    assert!(world.events.contains(&(1, Event::Left { life: life(2) })));
    world.kill(2);
    let before = world.dials;
    world.run(Time::from_us(100_000_000));
    assert_eq!(world.dials, before);
    assert_eq!(world.peers[&1].members().count(), 1, "forgotten after a minute");
}

#[test]
fn a_new_life_replaces_the_old_one() {
    let mut mesh = founder(1);
    handle(&mut mesh, Input::LinkUp { life: life(2) }).unwrap();
    handle(&mut mesh, knock(2, None)).unwrap();
    handle(&mut mesh, Input::Up { life: life(2) }).unwrap();
    let mut newer = record(2);
    newer.life.incarnation = Incarnation(2);
    let from = newer.life;
    let message = Message::Knock { mesh: None, record: Box::new(newer) };
    let out = handle(&mut mesh, Input::Message { from, message }).unwrap();
    assert!(out.contains(&Effect::Event(Event::Added { life: from })));
    assert_eq!(mesh.member(life(2)), None);
    let standing = mesh.members().find(|(record, _)| record.life == from).map(|(_, s)| s);
    assert_eq!(standing, Some(Standing::Fresh));
}

#[test]
fn an_own_record_from_the_past_is_outbid() {
    let mut mesh = founder(1);
    let past = Record { version: 40, ..record(1) };
    let message = Message::Announce { mesh: mesh_id(), records: vec![record(2), past] };
    handle(&mut mesh, Input::LinkUp { life: life(2) }).unwrap();
    handle(&mut mesh, Input::Message { from: life(2), message }).unwrap();
    assert_eq!(mesh.own().map(|own| own.version), Some(41));
}

#[test]
fn a_large_mesh_travels_in_pages_that_fit() {
    let mut mesh = founder(1);
    let capabilities: Vec<_> = (0..256).map(|i| capability(&format!("{i:064}"))).collect();
    for n in 2..12 {
        let record = Record { capabilities: capabilities.clone(), ..record(n) };
        handle(&mut mesh, Input::LinkUp { life: life(n) }).unwrap();
        let message = Message::Knock { mesh: None, record: Box::new(record) };
        handle(&mut mesh, Input::Message { from: life(n), message }).unwrap();
    }
    handle(&mut mesh, Input::LinkUp { life: life(20) }).unwrap();
    let out = handle(&mut mesh, knock(20, None)).unwrap();
    let mut records = 0;
    for effect in &out {
        let Effect::Send { to, message } = effect else { continue };
        assert!(formic_core::wire::encode(message).unwrap().len() <= 64 * 1_024);
        if *to == life(20) {
            records += match message {
                Message::Welcome { records, .. } | Message::Announce { records, .. } => {
                    records.len()
                }
                _ => 0,
            };
        }
    }
    assert_eq!(records, 12);
}
