mod needs;
mod owner;
mod properties;
mod worker;

use core::time::Duration;
use std::sync::Arc;

use formic_core::{
    Capability, Descriptor, Digest, Incarnation, JobId, Key, Kind, Life, PeerId, Protocol, Time,
};

use crate::{
    Bid, Config, Effect, Error, Input, Load, Message, Offer, Patience, Place, Probe, Ranked,
    TaskId, Want, Work,
};

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
    Work::new(config, life(n)).unwrap()
}

/// How long a task takes on average, as whoever draws and ranks in these tests says.
const MEAN: Duration = Duration::from_secs(1);

/// One input, and the answers to what is asked about draws and ranks: all eligible are drawn.
fn feed(work: &mut Work, at_ms: u64, input: Input) -> Vec<Effect> {
    let (mut inputs, mut told) = (std::collections::VecDeque::from([input]), Vec::new());
    while let Some(input) = inputs.pop_front() {
        let mut out = Vec::new();
        work.handle(Time::from_us(at_ms * 1_000), input, &mut out).unwrap();
        work.check();
        for effect in out {
            match effect {
                Effect::Draw { key, eligible, .. } => {
                    inputs.push_back(Input::Drawn { key, lives: eligible, mean: MEAN });
                }
                Effect::Rank { key, count, hold, patience, bids } => {
                    inputs.push_back(rank(key, (count, hold, patience), bids));
                }
                effect => told.push(effect),
            }
        }
    }
    told
}

/// The shortest wait first.
fn rank(key: Key, (count, hold, patience): (u32, Duration, Patience), mut bids: Vec<Bid>) -> Input {
    let mut places = Vec::new();
    for _ in 0..count {
        let able = bids.iter_mut().filter(|bid| bid.room > 0 || patience == Patience::Waits);
        let Some(best) = able.min_by_key(|bid| (bid.wait, bid.life)) else { break };
        if best.room == 0 || best.wait > hold {
            break;
        }
        let (life, promised, service) = (best.life, best.wait + best.service, best.service);
        places.push(Ranked { life, promised, service });
        best.room -= 1;
        best.free = best.free.saturating_sub(1);
        if best.free == 0 {
            best.wait += best.service / best.slots;
        }
    }
    let waits = bids.iter().map(|bid| (bid.life, bid.wait)).collect();
    Input::Ranked { key, places, waits }
}

fn want(requires: &[Capability]) -> Want {
    Want { kind: Kind::of("test"), requires: requires.to_vec() }
}

fn choose(requires: &[Capability]) -> Effect {
    Effect::Choose { want: want(requires) }
}

fn probe(id: u64, count: u32, asked: u32, requires: &[Capability]) -> Message {
    let Want { kind, requires } = want(requires);
    let (mean_us, holds_us) = (1_000_000, 2_000);
    Message::Probe(Probe { id, count, asked, kind, requires, mean_us, holds_us })
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
    Input::Chosen { want: want(&[]), lives, missing: vec![] }
}

fn message(n: u8, message: Message) -> Input {
    Input::Message { from: life(n), message }
}

/// 100 ms for each task that is ahead, and for this one.
fn promise(id: u64, running: u32, slots: u32, room: u32) -> Message {
    let ahead = u64::from((running + 1).saturating_sub(slots));
    let wait_us = ahead * 100_000 / u64::from(slots);
    let offer = Some(Offer { room, wait_us, service_us: 100_000 });
    Message::Promise { id, load: Load { running, queued: 0, slots }, offer }
}

#[test]
fn a_mistaken_caller_is_told() {
    let bad = Config { batch: 0, ..Config::default() };
    let refused = Work::new(bad, life(1));
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
    let huge = refuse(message(2, probe(0, 1, 1, &requires)));
    assert!(matches!(huge, Error::TooMany { count: 257, limit: 256, .. }));
    let none = refuse(message(2, probe(0, 0, 1, &[])));
    assert!(matches!(none, Error::OutOfRange { field: "count", value: 0, .. }));
    let Message::Probe(asked) = probe(0, 1, 1, &[]) else { unreachable!() };
    let held = refuse(message(2, Message::Probe(Probe { holds_us: u64::MAX, ..asked })));
    assert!(matches!(held, Error::OutOfRange { field: "holds_us", .. }));
}

#[test]
fn promises_that_no_correct_peer_gives_are_refused() {
    let mut owner = work(1, config(1));
    feed(&mut owner, 0, place(0));
    feed(&mut owner, 0, chosen(&[2, 3]));
    let load = Load { running: 0, queued: 0, slots: 1 };
    let month = 30 * 24 * 3_600 * 1_000_000;
    for (slots, wait_us, service_us) in [(1, 0, 0), (1, month + 1, 1), (1, 0, month + 1), (0, 0, 1)]
    {
        let offer = Some(Offer { room: 1, wait_us, service_us });
        let message = Message::Promise { id: 0, load: Load { slots, ..load }, offer };
        let (before, input) = (owner.clone(), Input::Message { from: life(2), message });
        let refused = owner.handle(Time::ZERO, input, &mut Vec::new());
        assert!(refused.is_err() && owner == before);
    }
}
