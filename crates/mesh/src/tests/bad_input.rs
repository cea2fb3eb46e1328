use formic_core::{Blame, Digest, Fault, Incarnation, Protocol, Time};

use super::world::{
    address, config, delta, founder, handle, handle_at, knock, life, lives, member_of, mesh_id,
    record, view,
};
use crate::{
    Config, Effect, Error, Input, Mesh, Message, Record, Refusal, Slot, SlotRecord, Value,
};

fn from(n: u8, message: Message) -> Input {
    Input::Message { from: life(n), message }
}

/// The input is refused, its sender is blamed, nothing changed.
fn refused(mesh: &mut Mesh, input: Input) -> Error {
    let before = mesh.clone();
    let error = handle(mesh, input).unwrap_err();
    assert_eq!(*mesh, before);
    assert_eq!(error.fault(), Fault::Peer(life(2).peer));
    error
}

fn answer(mesh: &mut Mesh, input: Input) -> Refusal {
    let before: Vec<_> = mesh.members().map(|(record, _)| record.clone()).collect();
    let out = handle(mesh, input).unwrap();
    let after: Vec<_> = mesh.members().map(|(record, _)| record.clone()).collect();
    assert_eq!(before, after, "a refused knock leaves no record");
    match &out[..] {
        [Effect::Send { message: Message::Refused { reason }, .. }] => *reason,
        other => panic!("expected one refusal, found {other:?}"),
    }
}

#[test]
fn records_over_a_limit_are_refused_whole() {
    let mut mesh = member_of(1, &[2]);
    let long = Record { name: "x".repeat(65), ..record(3) };
    let unsorted =
        Record { capabilities: vec!["b".parse().unwrap(), "a".parse().unwrap()], ..record(3) };
    let many = Record { addresses: vec![address(3); 9], ..record(3) };
    let unlabelled = Record { labels: vec!["gpu".to_owned()], ..record(3) };
    let far = Record { version: u64::MAX, ..record(3) };
    for bad in [long, unsorted, many, unlabelled, far] {
        let newer = Record { version: 2, ..record(2) };
        let error = refused(&mut mesh, delta(2, vec![newer, bad]));
        assert!(matches!(error, Error::BadRecord { .. }), "{error}");
    }
    let (owner, version) = (life(2), 1);
    let large = Value::Application(vec![0; 1_025]);
    let slots = [
        SlotRecord { owner, slot: Slot::application(1).unwrap(), version, value: large },
        SlotRecord { owner, slot: Slot::LOAD, version, value: Value::Application(vec![]) },
    ];
    for slot in slots {
        let message = Message::Delta { mesh: mesh_id(), records: vec![], slots: vec![slot] };
        assert!(matches!(refused(&mut mesh, from(2, message)), Error::BadRecord { .. }));
    }
}

#[test]
fn lies_about_oneself_are_refused() {
    let mut mesh = founder(1);
    let lie = Input::Message {
        from: life(2),
        message: Message::Knock {
            mesh: None,
            fate: formic_core::FateId(2),
            record: Box::new(record(3)),
        },
    };
    assert!(matches!(refused(&mut mesh, lie), Error::ForeignRecord { .. }));
    let (records, slots) = (vec![record(2)], vec![]);
    let other = Message::Delta { mesh: Digest::of(&[b"other"]), records, slots };
    assert!(matches!(refused(&mut mesh, from(2, other)), Error::WrongMesh { .. }));
}

#[test]
fn answers_that_nobody_waits_for_change_nothing() {
    let mut mesh = founder(1);
    let view = view(2, &[1, 2]);
    let answers = [
        Message::Welcome { mesh: mesh_id(), view, records: vec![record(2)] },
        Message::Refused { reason: Refusal::Outside },
        Message::Peers { peers: vec![(life(3).peer, vec![])] },
    ];
    for answer in answers {
        handle(&mut mesh, from(2, answer.clone())).unwrap();
        let before = mesh.clone();
        assert_eq!(handle(&mut mesh, from(2, answer)).unwrap(), []);
        assert_eq!(mesh, before);
    }
}

#[test]
fn a_welcome_without_the_newcomer_is_refused() {
    let mut mesh = Mesh::new(config(3, None, &[2]), life(3)).unwrap();
    handle(&mut mesh, Input::Deadline).unwrap();
    handle(&mut mesh, Input::LinkUp { life: life(2) }).unwrap();
    let records = vec![record(2)];
    let welcome = Message::Welcome { mesh: mesh_id(), view: view(2, &[1, 2]), records };
    assert!(matches!(refused(&mut mesh, from(2, welcome)), Error::NotInView { .. }));
    let bad = vec![Record { name: "x".repeat(65), ..record(2) }];
    let welcome = Message::Welcome { mesh: mesh_id(), view: view(3, &[2, 3]), records: bad };
    assert!(matches!(refused(&mut mesh, from(2, welcome)), Error::BadRecord { .. }));
}

#[test]
fn the_words_of_strangers_change_no_record() {
    let mut mesh = member_of(1, &[2]);
    let before: Vec<Record> = mesh.members().map(|(record, _)| record.clone()).collect();
    let lie = Record { version: 9, slots: 99, ..record(2) };
    handle(&mut mesh, delta(7, vec![lie, record(8)])).unwrap();
    handle(&mut mesh, from(7, Message::Leave)).unwrap();
    handle(&mut mesh, from(7, Message::Root { root: 1 })).unwrap();
    let after: Vec<Record> = mesh.members().map(|(record, _)| record.clone()).collect();
    assert_eq!(before, after);
}

#[test]
fn knocks_are_refused_by_name() {
    let mut mesh = founder(1);
    let other = Some(Digest::of(&[b"other"]));
    assert_eq!(answer(&mut mesh, knock(2, other)), Refusal::WrongMesh { ours: mesh_id() });
    assert_eq!(answer(&mut mesh, knock(1, None)), Refusal::Duplicate);
    let mut newer = (*view(2, &[1, 2])).clone();
    newer.members[1].life = lives(2, 5);
    handle(&mut mesh, Input::View { view: newer.into() }).unwrap();
    let newest = Incarnation(5);
    assert_eq!(answer(&mut mesh, knock(2, None)), Refusal::StaleLife { newest });

    let full = Config { members_max: 1, ..config(1, Some(mesh_id()), &[]) };
    let mut mesh = Mesh::new(full, life(1)).unwrap();
    handle(&mut mesh, Input::View { view: view(1, &[1]) }).unwrap();
    assert_eq!(answer(&mut mesh, knock(2, None)), Refusal::Full);
}

#[test]
fn a_mistaken_caller_is_told() {
    let long = Config { name: "x".repeat(65), ..Config::default() };
    assert!(matches!(Mesh::new(long, life(1)), Err(Error::OwnRecord(_))));
    let none = Config { members_max: 0, ..Config::default() };
    assert!(matches!(Mesh::new(none, life(1)), Err(Error::Count { field: "members_max", .. })));
    let marks = Config { saturate_at: 50, ..Config::default() };
    assert!(matches!(Mesh::new(marks, life(1)), Err(Error::Count { field: "saturate_at", .. })));
    let hasty = Config { first_retry: core::time::Duration::ZERO, ..Config::default() };
    assert!(matches!(Mesh::new(hasty, life(1)), Err(Error::Config { field: "first_retry", .. })));
    let both = Config { found: Some(mesh_id()), rejoin: Some(mesh_id()), ..Config::default() };
    assert_eq!(Mesh::new(both, life(1)), Err(Error::FoundAndRejoin));
    let mut outside = Mesh::new(Config::default(), life(1)).unwrap();
    let early = handle(&mut outside, Input::View { view: view(1, &[1]) });
    assert_eq!(early, Err(Error::NoMesh));
    let mut mesh = founder(1);
    let same = handle(&mut mesh, Input::Reborn { life: life(1) });
    assert_eq!(same, Err(Error::NotReborn { life: life(1), me: life(1) }));
    let large = Input::SetRecord { slot: Slot::application(0).unwrap(), value: vec![0; 1_025] };
    assert!(matches!(handle(&mut mesh, large), Err(Error::OwnRecord(_))));
    handle_at(&mut mesh, 2_000, Input::Deadline).unwrap();
    let back = mesh.handle(Time::ZERO, Input::Deadline, &mut Vec::new());
    assert_eq!(back.unwrap_err().fault(), Fault::Caller);
}
