mod needs;
mod owner;
mod properties;
mod worker;

use std::sync::Arc;

use formic_core::{
    Capability, Descriptor, Digest, Incarnation, JobId, Key, Life, PeerId, Protocol, Random, Time,
};

use crate::{Config, Effect, Error, Input, Load, Message, Place, TaskId, Work};

fn life(n: u8) -> Life {
    Life::new(PeerId::from_bytes([n; 32]), Incarnation(1))
}

fn task(n: u64) -> TaskId {
    let job = JobId::derive(life(0), 1);
    TaskId { job, key: Key::child(job, Key::from_bytes([0; 16]), n, Digest::from_bytes([0; 32])) }
}

fn capability(name: &str) -> Capability {
    name.parse().unwrap()
}

fn descriptor(requires: &[Capability]) -> Arc<Descriptor> {
    Arc::new(Descriptor {
        kind: "test".into(),
        name: String::new(),
        requires: requires.to_vec(),
        payload: vec![],
        recipe: vec![],
        wall: None,
        exclusive: None,
    })
}

fn config(slots: u32) -> Config {
    Config { slots, ..Config::default() }
}

fn work(n: u8, config: Config) -> Work {
    Work::new(config, life(n), Random::new(u64::from(n))).unwrap()
}

fn feed(work: &mut Work, at_ms: u64, input: Input) -> Vec<Effect> {
    let mut out = Vec::new();
    work.handle(Time::from_us(at_ms * 1_000), input, &mut out).unwrap();
    work.check();
    out
}

fn place(n: u64) -> Input {
    Input::Place { task: task(n), attempt: 1, descriptor: descriptor(&[]), avoid: None }
}

fn queue(n: u64) -> Input {
    let (task, owner, place) = (task(n), life(9), Place::Slot);
    Input::Queue { task, attempt: 1, descriptor: descriptor(&[]), owner, place }
}

fn chosen(lives: &[u8]) -> Input {
    let lives = lives.iter().copied().map(life).collect();
    Input::Chosen { requires: vec![], lives, missing: vec![] }
}

fn message(n: u8, message: Message) -> Input {
    Input::Message { from: life(n), message }
}

fn promise(id: u64, running: u32, slots: u32, room: u32) -> Message {
    Message::Promise { id, load: Load { running, queued: 0, slots }, room }
}

#[test]
fn a_mistaken_caller_is_told() {
    let bad = Config { batch: 0, ..Config::default() };
    let refused = Work::new(bad, life(1), Random::new(1));
    assert!(matches!(refused, Err(Error::Config { field: "batch", value: 0, .. })));
    let mut work = work(1, config(1));
    feed(&mut work, 1, Input::Deadline);
    let back = work.handle(Time::ZERO, Input::Deadline, &mut Vec::new());
    assert!(matches!(back, Err(Error::ClockWentBack { .. })));
    let nobody = work.handle(Time::from_us(1_000), Input::Waits { task: task(1) }, &mut Vec::new());
    assert!(matches!(nobody, Err(Error::NoBody { .. })));
}

#[test]
fn liars_are_named() {
    let mut work = work(1, config(1));
    let mut refuse = |input: Input| {
        let before = work.clone();
        let error = work.handle(Time::ZERO, input, &mut Vec::new()).unwrap_err();
        assert_eq!(work, before);
        error
    };
    let unasked = refuse(message(2, promise(0, 0, 1, 1)));
    assert_eq!(unasked, Error::Unasked { from: life(2), id: 0 });
    let requires = vec![capability("a"); 257];
    let huge = refuse(message(2, Message::Probe { id: 0, count: 1, requires }));
    assert!(matches!(huge, Error::TooMany { count: 257, limit: 256, .. }));
}
