//! Voters over a network of one virtual delay: nothing is lost, what is written is durable at once.

use core::time::Duration;
use std::collections::BTreeMap;

use formic_core::{Digest, PeerId, Protocol, Time};

use crate::{
    Ballot, Config, Consensus, DIMENSIONS, Effect, Electorate, Event, Input, InstanceId, Member,
    Message, Policy, Proposal, PublicKey, Rank, Record, Roster, Seal, Standing, Statement, To,
    Value, Verdict, Weighting,
};

/// One way, in microseconds.
pub(super) const DELAY: u64 = 1_000;

/// A signature is a hash of key and statement: cheap, deterministic, and no secret at all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Toy(pub(super) u64);

impl Toy {
    pub(super) fn seal(self, statement: &[u8]) -> Seal {
        Seal(Digest::of(&[&self.0.to_be_bytes(), statement]).half().to_vec())
    }
}

impl PublicKey for Toy {
    fn verify(&self, statement: &[u8], signature: &[u8]) -> bool {
        self.seal(statement).0 == signature
    }
}

pub(super) fn peer(rank: usize) -> PeerId {
    PeerId::from_bytes([u8::try_from(rank).unwrap() + 1; 32])
}

pub(super) fn electorate(voters: usize) -> Electorate {
    let member = |rank| Member {
        peer: peer(rank),
        scheme: 1,
        key: Digest::of(&[b"key", &[u8::try_from(rank).unwrap()]]),
        standing: Standing::default(),
    };
    let members = (0..voters).map(member).collect();
    let zero = Digest::from_bytes([0; 32]);
    Electorate::new(Digest::of(&[b"mesh"]), (0, zero), 501, members).unwrap()
}

pub(super) fn roster(voters: usize) -> Roster<Toy> {
    let keys = (0..voters as u64).map(Toy).collect();
    Roster::new(electorate(voters), keys).unwrap()
}

pub(super) fn proposal(subject: u8) -> Proposal {
    Proposal {
        subject: Digest::of(&[&[subject]]),
        attempt: 0,
        author: None,
        policy: Policy {
            threshold: 900,
            weighting: Weighting::Equal,
            deadline_ms: 1_000,
            floors: [0; DIMENSIONS],
        },
        payload: Digest::of(&[b"payload"]),
    }
}

pub(super) fn ballot(verdict: Verdict) -> Ballot {
    Ballot { verdict, scores: [900; DIMENSIONS], comment: Digest::from_bytes([0; 32]) }
}

/// All voters, and what they said.
pub(super) struct World {
    pub(super) roster: Roster<Toy>,
    pub(super) voters: Vec<Consensus>,
    pub(super) disks: Vec<Vec<Record>>,
    pub(super) now: Time,
    pub(super) queue: BTreeMap<(Time, u64), (usize, usize, Message)>,
    pub(super) decided: Vec<BTreeMap<InstanceId, (Value, Time)>>,
    pub(super) accused: Vec<PeerId>,
    /// What a voter answers when it is asked; `None`: nothing.
    pub(super) opinions: Vec<Option<Ballot>>,
    /// Voters that send and receive nothing.
    pub(super) dead: Vec<usize>,
    pub(super) messages: u64,
    sequence: u64,
}

impl World {
    pub(super) fn new(voters: usize) -> Self {
        let machine =
            |rank| Consensus::new(peer(rank), electorate(voters), Config::default()).unwrap();
        Self {
            roster: roster(voters),
            voters: (0..voters).map(machine).collect(),
            disks: vec![vec![]; voters],
            now: Time::ZERO,
            queue: BTreeMap::new(),
            decided: vec![BTreeMap::new(); voters],
            accused: vec![],
            opinions: vec![Some(ballot(Verdict::Approve)); voters],
            dead: vec![],
            messages: 0,
            sequence: 0,
        }
    }

    pub(super) fn sign(&self, rank: usize, id: InstanceId, statement: &Statement) -> Seal {
        let at = Rank(u16::try_from(rank).unwrap());
        Toy(rank as u64).seal(&statement.bytes(self.roster.electorate(), id, at))
    }

    pub(super) fn feed(&mut self, rank: usize, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut out = vec![];
            self.voters[rank].handle(self.now, input, &mut out).unwrap();
            for effect in out {
                match effect {
                    Effect::Persist(record) => self.disks[rank].push(record),
                    Effect::Sign(id, statement) => {
                        let seal = self.sign(rank, id, &statement);
                        inputs.insert(0, Input::Signed(id, statement, seal));
                    }
                    Effect::Send(To::One(to), message) => {
                        let to = self.roster.electorate().rank(to).unwrap().index();
                        self.send(rank, to, message);
                    }
                    Effect::Send(To::Electorate, message) => {
                        for to in (0..self.voters.len()).filter(|to| *to != rank) {
                            self.send(rank, to, message.clone());
                        }
                    }
                    Effect::Event(Event::Judge(id, _)) => {
                        if let Some(ballot) = self.opinions[rank] {
                            inputs.insert(0, Input::Opinion(id, ballot));
                        }
                    }
                    Effect::Event(Event::Decided(id, value)) => {
                        self.decided[rank].insert(id, (value, self.now));
                    }
                    Effect::Event(Event::Misbehaved(peer)) => self.accused.push(peer),
                    Effect::Event(Event::Stalled(..)) => {}
                }
            }
        }
    }

    pub(super) fn send(&mut self, from: usize, to: usize, message: Message) {
        if self.dead.contains(&from) || self.dead.contains(&to) {
            return;
        }
        self.messages += 1;
        self.sequence += 1;
        let at = self.now + Duration::from_micros(DELAY);
        self.queue.insert((at, self.sequence), (from, to, message));
    }

    /// Runs until this moment.
    pub(super) fn run(&mut self, until: Time) {
        loop {
            let wake = (0..self.voters.len())
                .filter(|rank| !self.dead.contains(rank))
                .filter_map(|rank| Some((self.voters[rank].deadline()?, rank)))
                .min();
            let next = self.queue.first_key_value().map(|((at, _), _)| *at);
            match (next, wake) {
                (Some(at), wake) if at <= until && wake.is_none_or(|(due, _)| at <= due) => {
                    let ((at, _), (from, to, message)) = self.queue.pop_first().unwrap();
                    self.now = at.max(self.now);
                    let message = Box::new(self.roster.check(message).unwrap());
                    self.feed(to, Input::Message { from: peer(from), message });
                }
                (_, Some((due, rank))) if due <= until => {
                    self.now = due.max(self.now);
                    self.feed(rank, Input::Deadline);
                    let next = self.voters[rank].deadline();
                    assert!(next.is_none_or(|next| next > self.now), "a driver would spin");
                }
                _ => break,
            }
        }
        self.now = until;
    }

    /// The one decision of all living voters.
    pub(super) fn decision(&self, id: InstanceId) -> Value {
        let living = (0..self.voters.len()).filter(|rank| !self.dead.contains(rank));
        let mut values = living.map(|rank| self.decided[rank].get(&id).expect("all decide").0);
        let first = values.next().unwrap();
        assert!(values.all(|value| value == first));
        first
    }
}
