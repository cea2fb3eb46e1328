//! Random inputs: what must hold after every one of them.

use std::collections::BTreeMap;

use formic_core::{Blame, Fault, Life, Protocol, Random, Time, transport::Address};

use super::world::{SECOND, address, delta, founder, knock, life, lives, record, view};
use crate::{
    Audience, Cast, CastMessage, Draft, Effect, Event, Input, Load, Mesh, Message, Order, Path,
    Record, Scope, Slot, SlotRecord, Stream, Value,
};

struct Walk {
    mesh: Mesh,
    random: Random,
    now: u64,
    epoch: u64,
    newest: BTreeMap<(Life, Slot), u64>,
    delivered: std::collections::BTreeSet<(Life, u32, u64)>,
}

fn peer(random: &mut Random) -> u8 {
    u8::try_from(1 + random.below(8)).unwrap()
}

impl Walk {
    fn step(&mut self) {
        self.now += self.random.below(300_000);
        let input = self.input();
        let mut out = Vec::new();
        let before = self.mesh.clone();
        if let Err(error) = self.mesh.handle(Time::from_us(self.now), input.clone(), &mut out) {
            assert!(self.mesh == before && out.is_empty(), "{error} changed something: {input:?}");
            let excused = matches!(error.fault(), Fault::Peer(_) | Fault::Environment);
            let is_own = matches!(input, Input::Cast { .. });
            assert!(excused || is_own, "{error} blames the caller for {input:?}");
        }
        self.check(&out);
    }

    fn check(&mut self, out: &[Effect]) {
        let mesh = &self.mesh;
        let members = mesh.view().map_or(1, |view| view.members.len());
        assert!(mesh.deadline().is_some_and(|at| at >= Time::ZERO));
        // M1.
        let mains = mesh.members().map(|(it, _)| ((it.life, Slot::MAIN), it.version));
        let slots = (1..9).flat_map(|n| mesh.slots.of(life(n).peer));
        let slots = slots.map(|it| ((it.owner, it.slot), it.version));
        for (name, version) in mains.chain(slots).collect::<Vec<_>>() {
            let newest = self.newest.entry(name).or_default();
            assert!(version >= *newest, "{name:?} fell from {newest} to {version}");
            *newest = version;
        }
        for life in self.newest.keys().map(|(life, _)| *life).collect::<Vec<_>>() {
            if !mesh.is_member(life) {
                self.newest.retain(|(owner, _), _| *owner != life);
            }
        }
        // M8.
        assert!(mesh.members().count() <= members.max(1));
        assert!(mesh.search.hints().count() <= 64);
        assert!(mesh.casts.size().0 <= members * crate::STREAMS_MAX);
        assert!(mesh.casts.size().1 <= 8 << 20);
        // M9.
        let wanted = ["hash".parse().unwrap()];
        for candidate in mesh.candidates(&wanted) {
            let record = mesh.member(candidate).unwrap();
            assert!(record.can(&wanted) && !record.draining);
        }
        // M3.
        for effect in out {
            if let Effect::Event(Event::Delivered { cast }) = effect {
                assert!(self.delivered.insert((cast.origin, cast.stream, cast.seq)), "twice");
            }
        }
    }

    fn input(&mut self) -> Input {
        let random = &mut self.random;
        let (n, other) = (peer(random), peer(random));
        let version = random.below(6);
        let addresses = vec![address(n), Address::new("memory", &random.next().to_string())];
        let capabilities = if random.chance(500) { vec!["hash".parse().unwrap()] } else { vec![] };
        match random.below(16) {
            0 => Input::LinkUp { life: life(n) },
            1 => Input::LinkDown { life: life(n) },
            2 => Input::Up { life: life(n) },
            3 => Input::Down { life: life(n) },
            4 => {
                self.epoch += random.below(2);
                let members: Vec<u8> = (2..9).filter(|_| random.chance(600)).collect();
                let members = [&[1], &members[..]].concat();
                Input::View { view: view(self.epoch, &members) }
            }
            5 => knock(n, None),
            6 => Input::Found { addresses },
            7 => {
                let record = Record { version, capabilities, addresses, ..record(other) };
                delta(n, vec![record])
            }
            8 => slot_delta(n, other, version),
            9 => Input::Suspect { life: life(n) },
            10 => Input::Cast { to: Audience::All, draft: draft() },
            11 => {
                let running = u16::try_from(random.below(5)).unwrap();
                Input::SetLoad { load: Load { running, slots: 4, ..Load::default() } }
            }
            12 | 13 => cast_message(random, n, other),
            14 => {
                let message = Message::Nodes { nodes: vec![(Path::default(), [version; 16])] };
                Input::Message { from: life(n), message }
            }
            _ => Input::Deadline,
        }
    }
}

fn draft() -> Draft {
    Draft { stream: 1, order: Order::Ordered, payload: vec![1; 9] }
}

fn slot_delta(n: u8, owner: u8, version: u64) -> Input {
    let value = Value::Application(version.to_be_bytes().to_vec());
    let slot = Slot::application(owner % 8).unwrap();
    let slots = vec![SlotRecord { owner: life(owner), slot, version, value }];
    let message = Message::Delta { mesh: super::world::mesh_id(), records: vec![], slots };
    Input::Message { from: life(n), message }
}

fn cast_message(random: &mut Random, n: u8, origin: u8) -> Input {
    let origin = if random.chance(800) { n } else { origin };
    let stream = Stream { origin: life(origin), number: 1 };
    let seq = 1 + random.below(40);
    let message = match random.below(6) {
        0 => CastMessage::Have { stream, since: 1, upto: seq },
        1 => CastMessage::Want { stream, seqs: vec![seq, seq + 1] },
        2 => CastMessage::Skip { stream, seqs: vec![seq] },
        3 if random.chance(50) => CastMessage::Gone { stream, upto: seq },
        _ => {
            let cast = Cast {
                origin: life(origin),
                stream: 1,
                seq,
                epoch: formic_core::Epoch(99),
                scope: Scope::All,
                order: if n.is_multiple_of(2) { Order::Ordered } else { Order::Unordered },
                payload: vec![n],
            };
            let follows = (seq > 1).then(|| random.below(seq));
            CastMessage::Cast { cast: cast.into(), follows }
        }
    };
    Input::Message { from: life(n), message: Message::Cast(message) }
}

/// M1, M3, M8, M9, M10, and that what is refused changes nothing.
#[test]
fn nothing_that_arrives_breaks_what_must_hold() {
    for seed in 0..60 {
        let (newest, delivered) = (BTreeMap::new(), std::collections::BTreeSet::new());
        let random = Random::new(seed);
        let (mesh, now, epoch) = (founder(1), 1_000, 2);
        let mut walk = Walk { mesh, random, now, epoch, newest, delivered };
        for _ in 0..400 {
            walk.step();
            // A stream of a life that was evicted starts again.
            let is_member = |life: Life| walk.mesh.is_member(life);
            walk.delivered.retain(|(origin, ..)| is_member(*origin));
        }
        walk.now += 61 * SECOND;
        let mut out = Vec::new();
        walk.mesh.handle(Time::from_us(walk.now), Input::Deadline, &mut out).unwrap();
        assert!(walk.mesh.door.is_empty(), "M10: seed {seed}");
        assert_eq!(walk.mesh.departed().count(), 0);
        assert!(!walk.mesh.is_member(lives(1, 2)));
    }
}
