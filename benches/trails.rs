//! `cargo bench -p formic-benches --bench trails -- --quick`: what a choice costs the machine at a hundred
//! peers, everybody known, a panel of 24 heard.

use core::time::Duration;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use formic_core::{
    Epoch, FateId, Incarnation, Key, Life, Member, PeerId, Protocol, Random, Time, View, mix,
};
use formic_pheromones::{
    Award, Config, Effect, Event, Finding, Input, Kind, Latency, Message, Pheromones, Promise,
    Record, Size,
};

const PEERS: u64 = 100;

fn life(n: u64) -> Life {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&mix(n).to_be_bytes());
    Life::new(PeerId::from_bytes(bytes), Incarnation(1))
}

fn key(n: u64) -> Key {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&mix(n).to_be_bytes());
    Key::from_bytes(bytes)
}

/// One dispatcher in a mesh of a hundred.
struct Bench {
    machine: Pheromones,
    kind: Kind,
    lives: Vec<Life>,
    now: Time,
    next: u64,
    out: Vec<Effect>,
}

impl Bench {
    fn new() -> Self {
        let mut lives: Vec<Life> = (0..PEERS).map(life).collect();
        let machine = Pheromones::new(Config::default(), lives[0], Random::new(1));
        let mut view = View::found(Member { life: lives[0], fate: FateId(0) });
        view.members = lives.iter().map(|life| Member { life: *life, fate: FateId(0) }).collect();
        lives.sort_unstable();
        let kind = Kind::of("review");
        let machine = machine.expect("the default is in range");
        let mut bench = Self { machine, kind, lives, now: Time::ZERO, next: 0, out: vec![] };
        bench.feed(Input::View(view));
        for _ in 0..3_000 {
            bench.task();
        }
        (0..PEERS).for_each(|number| bench.hear(number));
        bench
    }

    /// Everybody tells of one peer.
    fn hear(&mut self, number: u64) {
        let (kind, subject) = (self.kind, self.lives[number as usize].peer);
        let record =
            Record { kind, subject, count: 64, mean_us: 50_000, verified: 64, good: 9_000 };
        let sources = self.lives.clone().into_iter().filter(|from| from.peer != subject);
        for from in sources {
            let (epoch, seq) = (Epoch(1), number + 1);
            let message = Message::Trails { epoch, seq, records: vec![record] };
            self.feed(Input::Message { from, message });
        }
        self.now = self.now + Duration::from_millis(50);
    }

    fn feed(&mut self, input: Input) {
        self.machine.handle(self.now, input, &mut self.out).expect("honest input");
    }

    /// Choose, rank, send, finish, verify.
    fn task(&mut self) {
        self.next += 1;
        let (key, kind, size) = (key(self.next), self.kind, Size::MEAN);
        self.out.clear();
        let eligible = self.lives.clone();
        self.feed(Input::Choose { key, kind, size, eligible, tried: vec![] });
        let lives = self.out.drain(..).find_map(|effect| match effect {
            Effect::Event(Event::Candidates { lives, .. }) => Some(lives),
            _ => None,
        });
        let ms = Duration::from_millis;
        let promises = lives
            .iter()
            .flatten()
            .zip(0..)
            .filter_map(|(life, n)| Promise::new(*life, ms(n * 7 % 50), ms(40 + n)).ok())
            .collect();
        self.feed(Input::Rank { key, promises });
        let place = self.out.drain(..).find_map(|effect| match effect {
            Effect::Event(Event::Chosen { place, .. }) => place,
            _ => None,
        });
        let place = place.expect("somebody promised");
        let life = place.life;
        let award = Award { life, kind, size, promised: place.promised, service: place.service };
        self.feed(Input::Sent { key, attempt: 1, award });
        self.now = self.now + Duration::from_micros(500);
        let service = ms(40);
        let latency = Latency::Counts;
        self.feed(Input::Finished { key, attempt: 1, life, service, latency });
        self.feed(Input::Verified { key, attempt: 1, life, finding: Finding::Good });
    }
}

fn trails(criterion: &mut Criterion) {
    let mut bench = Bench::new();
    bench.machine.check();
    let mut known =
        bench.lives.iter().map(|life| bench.machine.trail(bench.kind, life.peer, bench.now).count);
    assert!(known.all(|count| count > 1 << 16), "everybody is known");
    let mut group = criterion.benchmark_group("trails/100 peers");
    group.bench_function("choose, rank, send, finish, verify", |bencher| {
        bencher.iter(|| bench.task());
    });
    let mut bench = Bench::new();
    group.bench_function("choose alone", |bencher| {
        bencher.iter(|| {
            bench.next += 1;
            bench.out.clear();
            let eligible = bench.lives.clone();
            let (key, kind, size) = (key(bench.next), bench.kind, Size::MEAN);
            bench.feed(Input::Choose { key, kind, size, eligible, tried: vec![] });
            black_box(&bench.out);
        });
    });
    group.finish();
}

criterion_group!(benches, trails);
criterion_main!(benches);
