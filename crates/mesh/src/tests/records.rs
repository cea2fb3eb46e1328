use formic_core::Capability;

use super::world::{
    SECOND, World, config, delta, founder, handle, knock_with, life, member_of, mesh_id, record,
    view,
};
use crate::{Effect, Event, Input, Message, Record, Slot, SlotRecord, Value};

fn capability(name: &str) -> Capability {
    name.parse().unwrap()
}

#[test]
fn candidates_are_alive_capable_and_take_work() {
    let mut mesh = founder(1);
    let able = Record { capabilities: vec![capability("hash")], ..record(2) };
    handle(&mut mesh, Input::LinkUp { life: life(2) }).unwrap();
    handle(&mut mesh, knock_with(able.clone(), None, 2)).unwrap();
    let hash = [capability("hash")];
    handle(&mut mesh, Input::View { view: view(2, &[1, 2]) }).unwrap();
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
    handle(&mut mesh, delta(2, vec![draining])).unwrap();
    assert_eq!(mesh.candidates(&hash), []);
}

#[test]
fn a_changed_capability_is_known_everywhere() {
    let mut world = World::of(3);
    world.feed(2, Input::SetCapabilities { capabilities: vec![capability("hash")] });
    for peer in world.peers.values() {
        assert_eq!(peer.candidates(&[capability("hash")]), [life(2)]);
    }
    world.feed(2, Input::Drain);
    assert!(world.peers.values().all(|peer| peer.candidates(&[]) == [life(0), life(1)]));
}

#[test]
fn who_leaves_is_told_to_all_and_not_dialled_again() {
    let mut world = World::of(2);
    world.feed(1, Input::Leave);
    assert!(world.events.contains(&(0, Event::Left { life: life(1) })));
    world.kill(1);
    let before = world.dials;
    world.run_for(100 * SECOND);
    assert_eq!(world.dials, before);
    assert_eq!(world.peers[&0].members().count(), 2, "a view makes it no member, not its word");
    world.evict(&[1]);
    assert_eq!(world.peers[&0].members().count(), 1);
    assert!(world.events.contains(&(0, Event::Forgotten { life: life(1) })));
}

#[test]
fn an_application_value_is_known_everywhere_and_to_newcomers() {
    let mut world = World::of(3);
    let slot = Slot::application(2).unwrap();
    world.feed(1, Input::SetRecord { slot, value: b"one".to_vec() });
    world.feed(1, Input::SetRecord { slot, value: b"two".to_vec() });
    world.add(3, config(3, None, &[0]));
    world.run_for(3 * SECOND);
    for peer in world.peers.values() {
        let value = peer.slot(life(1), slot).map(|record| (record.version, &record.value));
        assert_eq!(value, Some((2, &Value::Application(b"two".to_vec()))));
    }
    assert!(world.events.contains(&(0, Event::RecordChanged { life: life(1), slot })));
    world.evict(&[1]);
    assert_eq!(world.peers[&0].slot(life(1), slot), None, "only members have records");
}

#[test]
fn an_own_record_from_the_past_is_outbid() {
    let mut mesh = member_of(1, &[2]);
    handle(&mut mesh, delta(2, vec![Record { version: 40, ..record(1) }])).unwrap();
    assert_eq!(mesh.own().map(|own| own.version), Some(41));
    let slot = Slot::application(0).unwrap();
    handle(&mut mesh, Input::SetRecord { slot, value: vec![1] }).unwrap();
    let past = Value::Application(vec![9]);
    let slots = vec![SlotRecord { owner: life(1), slot, version: 7, value: past }];
    let message = Message::Delta { mesh: mesh_id(), records: vec![], slots };
    handle(&mut mesh, Input::Message { from: life(2), message }).unwrap();
    let own = mesh.slot(life(1), slot).map(|own| (own.version, own.value.clone()));
    assert_eq!(own, Some((8, Value::Application(vec![1]))));
}

#[test]
fn a_large_mesh_travels_in_pages_that_fit() {
    let mut mesh = founder(1);
    let capabilities: Vec<_> = (0..256).map(|i| capability(&format!("{i:064}"))).collect();
    for n in 2..12 {
        let record = Record { capabilities: capabilities.clone(), ..record(n) };
        handle(&mut mesh, knock_with(record, None, u64::from(n))).unwrap();
        let all: Vec<u8> = (1..=n).collect();
        handle(&mut mesh, Input::View { view: view(u64::from(n), &all) }).unwrap();
    }
    handle(&mut mesh, Input::LinkUp { life: life(20) }).unwrap();
    handle(&mut mesh, knock_with(record(20), None, 20)).unwrap();
    let all: Vec<u8> = (1..12).chain([20]).collect();
    let out = handle(&mut mesh, Input::View { view: view(20, &all) }).unwrap();
    let mut records = 0;
    for effect in &out {
        let Effect::Send { to, message } = effect else { continue };
        assert!(formic_core::wire::encode(message).unwrap().len() <= 64 * 1_024);
        if let (20, Message::Welcome { records: page, .. } | Message::Delta { records: page, .. }) =
            (to.peer.as_bytes()[0], message)
        {
            records += page.len();
        }
    }
    assert_eq!(records, 12 + 1, "all of them, and its host's own again when they greet");
}
