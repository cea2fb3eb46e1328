use formic_core::{Blame, Digest, Fault, Incarnation, Protocol, Time};

use super::world::{config, founder, handle, knock, life, mesh_id, record};
use crate::{Config, Effect, Error, Input, Mesh, Message, Record, Refusal};

fn from(n: u8, message: Message) -> Input {
    Input::Message { from: life(n), message }
}

fn announce(records: Vec<Record>) -> Message {
    Message::Announce { mesh: mesh_id(), records }
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
    let mut mesh = founder(1);
    let long = Record { name: "x".repeat(65), ..record(3) };
    let unsorted =
        Record { capabilities: vec!["b".parse().unwrap(), "a".parse().unwrap()], ..record(3) };
    let many = Record { addresses: vec![super::world::address(3); 9], ..record(3) };
    for bad in [long, unsorted, many] {
        let error = refused(&mut mesh, from(2, announce(vec![record(2), bad])));
        assert!(matches!(error, Error::BadRecord { .. }), "{error}");
    }
}

#[test]
fn lies_about_oneself_are_refused() {
    let mut mesh = founder(1);
    let message = Message::Knock { mesh: None, record: Box::new(record(3)) };
    assert!(matches!(refused(&mut mesh, from(2, message)), Error::ForeignRecord { .. }));
    assert!(matches!(refused(&mut mesh, from(2, announce(vec![]))), Error::Stranger { .. }));
    let other = Message::Announce { mesh: Digest::of(&[b"other"]), records: vec![record(2)] };
    assert!(matches!(refused(&mut mesh, from(2, other)), Error::WrongMesh { .. }));
    let unasked = Message::Welcome { mesh: mesh_id(), records: vec![record(2)] };
    assert!(matches!(refused(&mut mesh, from(2, unasked)), Error::Unasked { .. }));
    assert!(matches!(refused(&mut mesh, from(2, Message::Pledge)), Error::Unasked { .. }));
}

#[test]
fn knocks_are_refused_by_name() {
    let mut mesh = founder(1);
    let other = Some(Digest::of(&[b"other"]));
    assert_eq!(answer(&mut mesh, knock(2, other)), Refusal::WrongMesh { ours: mesh_id() });
    assert_eq!(answer(&mut mesh, knock(1, None)), Refusal::Duplicate);
    let mut newer = record(2);
    newer.life.incarnation = Incarnation(5);
    let sender = newer.life;
    let message = Message::Knock { mesh: None, record: Box::new(newer) };
    handle(&mut mesh, Input::Message { from: sender, message }).unwrap();
    let newest = Incarnation(5);
    assert_eq!(answer(&mut mesh, knock(2, None)), Refusal::StaleLife { newest });

    let full = Config { members_max: 1, ..config(1, Some(mesh_id()), &[]) };
    let mut mesh = Mesh::new(full, life(1)).unwrap();
    assert_eq!(answer(&mut mesh, knock(2, None)), Refusal::Full);
    let error = refused(&mut mesh, from(2, announce(vec![record(2)])));
    assert!(matches!(error, Error::Full { count: 1, room: 0, .. }));
}

#[test]
fn a_mistaken_caller_is_told() {
    let long = Config { name: "x".repeat(65), ..Config::default() };
    assert!(matches!(Mesh::new(long, life(1)), Err(Error::OwnRecord(_))));
    let none = Config { members_max: 0, ..Config::default() };
    assert_eq!(Mesh::new(none, life(1)), Err(Error::MembersMax { value: 0 }));
    let hasty = Config { first_retry: core::time::Duration::ZERO, ..Config::default() };
    assert!(matches!(Mesh::new(hasty, life(1)), Err(Error::Config { field: "first_retry", .. })));
    let mut mesh = founder(1);
    handle(&mut mesh, Input::Deadline).unwrap();
    let back = mesh.handle(Time::ZERO, Input::Deadline, &mut Vec::new());
    assert_eq!(back.unwrap_err().fault(), Fault::Caller);
}
