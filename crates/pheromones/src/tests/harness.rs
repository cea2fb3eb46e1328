//! A machine, fed by hand.

use core::time::Duration;

use formic_core::{
    Epoch, FateId, Incarnation, Key, Life, Member, PeerId, Protocol, Random, Time, View,
};

use crate::{
    Award, Config, Effect, Error, Event, Finding, Input, Kind, Latency, Message, Pheromones,
    Placed, Promise, Record, Size,
};

pub(crate) const KIND: Kind = Kind(7);

pub(crate) fn peer(n: u8) -> PeerId {
    PeerId::from_bytes([n; 32])
}

pub(crate) fn life(n: u8) -> Life {
    Life::new(peer(n), Incarnation(1))
}

pub(crate) fn key(n: u64) -> Key {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    Key::from_bytes(bytes)
}

pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(crate) fn view(members: u8) -> View {
    let member = |n: u8| Member { life: life(n), fate: FateId(n.into()) };
    let mut view = View::found(member(0));
    view.members = (0..members).map(member).collect();
    view
}

/// Peer 0, its clock and what it said.
#[derive(Clone)]
pub(crate) struct Harness {
    pub(crate) machine: Pheromones,
    pub(crate) now: Time,
    pub(crate) out: Vec<Effect>,
    next: u64,
}

impl Harness {
    fn with(mut config: Config) -> Self {
        // Services of a millisecond stand for long ones here.
        config.brief = Duration::ZERO;
        let machine = Pheromones::new(config, life(0), Random::new(1)).unwrap();
        Self { machine, now: Time::from_us(1), out: Vec::new(), next: 0 }
    }

    /// With the mean service of [`KIND`] known.
    pub(crate) fn expecting(config: Config, mean: Duration) -> Self {
        let mut harness = Self::with(config);
        harness.feed(Input::Expect { kind: KIND, mean }).unwrap();
        harness
    }

    /// One input; a refused one must change and say nothing.
    pub(crate) fn feed(&mut self, input: Input) -> Result<(), Error> {
        let (before, said) = (self.machine.clone(), self.out.len());
        let result = self.machine.handle(self.now, input, &mut self.out);
        self.machine.check();
        if result.is_err() {
            assert_eq!(self.machine, before, "a refused input changed something");
            assert_eq!(self.out.len(), said, "a refused input said something");
        }
        result
    }

    pub(crate) fn wait(&mut self, span: Duration) {
        self.now = self.now + span;
    }

    /// Feeds all deadlines until then.
    pub(crate) fn idle(&mut self, span: Duration) -> usize {
        let (end, mut wakes) = (self.now + span, 0);
        while let Some(at) = self.machine.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.feed(Input::Deadline).unwrap();
            wakes += 1;
        }
        self.now = end;
        wakes
    }

    pub(crate) fn choose(&mut self, key: Key, eligible: &[u8], tried: &[u8]) -> Vec<Life> {
        let eligible = eligible.iter().map(|n| life(*n)).collect();
        let tried = tried.iter().map(|n| peer(*n)).collect();
        self.out.clear();
        let size = Size::MEAN;
        self.feed(Input::Choose { key, kind: KIND, size, eligible, tried }).unwrap();
        let candidates = self.out.iter().find_map(|effect| match effect {
            Effect::Event(Event::Candidates { lives, .. }) => Some(lives.clone()),
            _ => None,
        });
        candidates.unwrap_or_default()
    }

    pub(crate) fn rank(&mut self, key: Key, promises: &[(u8, u64, u64)]) -> Option<Placed> {
        let promise = |(n, wait, service): &(u8, u64, u64)| {
            Promise::new(life(*n), ms(*wait), ms(*service)).unwrap()
        };
        let promises = promises.iter().map(promise).collect();
        self.out.clear();
        self.feed(Input::Rank { key, promises }).unwrap();
        self.out.iter().find_map(|effect| match effect {
            Effect::Event(Event::Chosen { place, .. }) => *place,
            _ => None,
        })
    }

    pub(crate) fn send(&mut self, key: Key, attempt: u16, n: u8, promised: Duration) {
        let (kind, size) = (KIND, Size::MEAN);
        let award = Award { life: life(n), kind, size, promised, service: promised };
        self.feed(Input::Sent { key, attempt, award }).unwrap();
    }

    pub(crate) fn finish(&mut self, key: Key, n: u8, service: Duration) -> Result<(), Error> {
        let latency = Latency::Counts;
        self.feed(Input::Finished { key, attempt: 1, life: life(n), service, latency })
    }

    pub(crate) fn verify(&mut self, key: Key, n: u8, finding: Finding) -> Result<(), Error> {
        self.feed(Input::Verified { key, attempt: 1, life: life(n), finding })
    }

    /// A whole attempt at this peer: it takes as long as it says.
    pub(crate) fn serve(&mut self, n: u8, service: Duration) -> Key {
        self.next += 1;
        let key = key(1_000_000 + self.next);
        self.send(key, 1, n, service);
        self.wait(service);
        self.finish(key, n, service).unwrap();
        key
    }

    pub(crate) fn judged(&mut self, n: u8, service: Duration, finding: Finding) {
        let key = self.serve(n, service);
        self.verify(key, n, finding).unwrap();
    }

    pub(crate) fn trail(&self, n: u8) -> crate::Trail {
        self.machine.trail(KIND, peer(n), self.now)
    }

    pub(crate) fn hear(&mut self, from: u8, seq: u64, records: Vec<Record>) -> Result<(), Error> {
        let message = Message::Trails { epoch: Epoch(1), seq, records };
        self.feed(Input::Message { from: life(from), message })
    }

    /// How often each of the peers is among the candidates, of so many choices.
    pub(crate) fn draws(&mut self, eligible: &[u8], times: u64) -> Vec<u64> {
        let mut counts = vec![0; 256];
        for n in 0..times {
            for life in self.choose(key(n), eligible, &[]) {
                counts[usize::from(life.peer.as_bytes()[0])] += 1;
            }
        }
        eligible.iter().map(|n| counts[usize::from(*n)]).collect()
    }
}

pub(crate) fn record(subject: u8, mean_us: u64) -> Record {
    Record { kind: KIND, subject: peer(subject), count: 64, mean_us, verified: 64, good: 10_000 }
}
