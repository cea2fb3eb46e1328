use formic_core::{Blame, Digest, Fault, JobId, Protocol, Time};
use formic_identity::Signature;

use super::world::{SEED, World, client, secret};
use crate::{Config, Error, Event, Input, Message, Node};

#[test]
fn another_peers_secret_is_refused() {
    let refused = Node::new(Config::new(client(), secret(1)));
    assert!(matches!(refused, Err(Error::WrongSecret { .. })));
}

#[test]
fn a_forged_attestation_is_misbehaviour() {
    let mut world = World::of(2);
    let message = Message::Attestation {
        job: JobId::derive(world.life(1), 1),
        statement: Digest::of(&[b"s"]),
        public_key: secret(1).public().spki_der().to_vec(),
        signature: Signature::from_bytes([1; 64]),
    };
    let from = world.life(1);
    world.feed(SEED, Input::Message { from, message: message.clone() });
    assert_eq!(world.count(|event| matches!(event, Event::Misbehaved { .. })), 1);
    world.feed(SEED, Input::Message { from: client(), message });
    let counters = world.nodes[&SEED].counters();
    assert_eq!((counters.strangers, counters.misbehaved[&from.peer]), (1, 1));
}

#[test]
fn a_mistaken_caller_is_told_and_nothing_changes() {
    let mut world = World::of(1);
    let job = JobId::derive(world.life(SEED), 9);
    let key = formic_core::Key::from_bytes([1; 16]);
    world.feed(SEED, Input::Deadline);
    let node = world.nodes.get_mut(&SEED).unwrap();
    let mut refuse = |at: u64, input: Input| {
        let before = format!("{node:?}");
        let mut out = Vec::new();
        let error = node.handle(Time::from_us(at), input, &mut out).unwrap_err();
        assert_eq!((format!("{node:?}"), out), (before, vec![]));
        assert_eq!(error.fault(), Fault::Caller);
        error
    };
    assert!(matches!(refuse(0, Input::Deadline), Error::ClockWentBack { .. }));
    let at = 9_000_000;
    assert_eq!(refuse(at, Input::Restore { records: vec![] }), Error::RestoreNotFirst);
    let cancel = Input::Cancel { job, reason: String::new() };
    assert_eq!(refuse(at, cancel), Error::UnknownJob { job });
    assert!(matches!(refuse(at, Input::Waits { job, key }), Error::Work(_)));
    let capabilities = vec!["b".parse().unwrap(), "a".parse().unwrap()];
    assert!(matches!(refuse(at, Input::SetCapabilities { capabilities }), Error::Mesh(_)));
}
