//! Machines of several peers, links that work at once, messages in order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use formic_core::{Digest, Incarnation, Life, PeerId, Protocol, Time, transport::Address};

use crate::{Config, Effect, Event, Input, Mesh, Message, Record};

pub(super) fn life(n: u8) -> Life {
    Life::new(PeerId::from_bytes([n; 32]), Incarnation(1))
}

pub(super) fn address(n: u8) -> Address {
    Address::new("memory", &n.to_string())
}

pub(super) fn mesh_id() -> Digest {
    Digest::of(&[b"test mesh"])
}

pub(super) fn record(n: u8) -> Record {
    Record {
        life: life(n),
        version: 1,
        name: format!("p{n}"),
        addresses: vec![address(n)],
        capabilities: vec![],
        slots: 1,
        draining: false,
    }
}

pub(super) fn config(n: u8, founds: Option<Digest>, seeds: &[u8]) -> Config {
    Config {
        found: founds,
        seeds: seeds.iter().copied().map(address).collect(),
        name: format!("p{n}"),
        addresses: vec![address(n)],
        ..Config::default()
    }
}

/// A founder that has started.
pub(super) fn founder(n: u8) -> Mesh {
    let mut mesh = Mesh::new(config(n, Some(mesh_id()), &[]), life(n)).unwrap();
    mesh.handle(Time::ZERO, Input::Deadline, &mut Vec::new()).unwrap();
    mesh
}

#[derive(Default)]
pub(super) struct World {
    pub(super) now: Time,
    pub(super) peers: BTreeMap<u8, Mesh>,
    pub(super) links: BTreeSet<(u8, u8)>,
    pub(super) events: Vec<(u8, Event)>,
    pub(super) dials: usize,
    inputs: VecDeque<(u8, Input)>,
}

impl World {
    pub(super) fn add(&mut self, n: u8, config: Config) {
        self.peers.insert(n, Mesh::new(config, life(n)).unwrap());
    }

    pub(super) fn feed(&mut self, n: u8, input: Input) {
        self.inputs.push_back((n, input));
        while let Some((n, input)) = self.inputs.pop_front() {
            let Some(peer) = self.peers.get_mut(&n) else { continue };
            let mut out = Vec::new();
            peer.handle(self.now, input, &mut out).unwrap();
            for effect in out {
                self.apply(n, effect);
            }
        }
    }

    fn apply(&mut self, n: u8, effect: Effect) {
        match effect {
            Effect::Send { to, message } => {
                let target = to.peer.as_bytes()[0];
                if self.links.contains(&(n, target)) {
                    self.inputs.push_back((target, Input::Message { from: life(n), message }));
                }
            }
            Effect::Dial { peer, addresses } => {
                self.dials += 1;
                let target: u8 = addresses[0].rest("memory").unwrap().parse().unwrap();
                assert_ne!(target, n, "nobody dials itself");
                if !self.peers.contains_key(&target) {
                    let failed = peer.map(|peer| (n, Input::DialFailed { peer }));
                    self.inputs.extend(failed);
                } else if self.links.insert((n, target)) {
                    self.links.insert((target, n));
                    self.inputs.push_back((n, Input::LinkUp { life: life(target) }));
                    self.inputs.push_back((target, Input::LinkUp { life: life(n) }));
                }
            }
            Effect::Hangup { life: target } => {
                let target = target.peer.as_bytes()[0];
                self.links.remove(&(n, target));
                self.links.remove(&(target, n));
                self.inputs.push_back((n, Input::LinkDown { life: life(target) }));
                self.inputs.push_back((target, Input::LinkDown { life: life(n) }));
            }
            Effect::Event(event) => {
                // What healing would say about a linked member.
                if let Event::Added { life } = event {
                    self.inputs.push_back((n, Input::Up { life }));
                }
                self.events.push((n, event));
            }
        }
    }

    pub(super) fn kill(&mut self, n: u8) {
        self.peers.remove(&n);
        let lost: Vec<_> = self.links.iter().copied().filter(|&(a, b)| a == n || b == n).collect();
        for (a, b) in lost {
            self.links.remove(&(a, b));
            self.feed(a, Input::LinkDown { life: life(b) });
        }
    }

    /// Runs all deadlines up to `until`.
    pub(super) fn run(&mut self, until: Time) {
        loop {
            let next = self.peers.iter().filter_map(|(&n, p)| Some((p.deadline()?, n))).min();
            match next {
                Some((at, n)) if at <= until => {
                    self.now = self.now.max(at);
                    self.feed(n, Input::Deadline);
                }
                _ => break,
            }
        }
        self.now = until;
    }

    /// Everybody knows everybody and has a link to everybody.
    pub(super) fn assert_full(&self) {
        let records: BTreeSet<Vec<&Record>> =
            self.peers.values().map(|p| p.members().map(|(record, _)| record).collect()).collect();
        assert_eq!(records.len(), 1, "all peers hold the same records");
        assert!(records.iter().all(|list| list.len() == self.peers.len()));
        assert_eq!(self.links.len(), self.peers.len() * (self.peers.len() - 1));
        let meshes: BTreeSet<_> = self.peers.values().map(Mesh::mesh).collect();
        assert_eq!(meshes.len(), 1, "one mesh");
        assert!(!meshes.contains(&None));
    }
}

pub(super) fn knock(n: u8, mesh: Option<Digest>) -> Input {
    Input::Message { from: life(n), message: Message::Knock { mesh, record: Box::new(record(n)) } }
}

pub(super) fn handle(mesh: &mut Mesh, input: Input) -> Result<Vec<Effect>, crate::Error> {
    let mut out = Vec::new();
    mesh.handle(Time::from_us(1_000), input, &mut out).map(|()| out)
}
