//! What others do (pheromones.md 12.2).

use std::collections::VecDeque;

use formic_core::Random;
use formic_pheromones::Finding;

use crate::{
    rule::{Answer, Asked, Pick, Rule, Tried},
    world::{KINDS, MEAN_US, S, World},
};

/// Which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Random,
    RoundRobin,
    /// By the last hint.
    LeastLoaded,
    /// Two random picks, fewer own outstanding.
    LeastRequests,
    /// The same picks, moving average of latency x (outstanding + 1); up at once, down with tau 10 s.
    PeakEwma,
    /// Two, five random probes, shortest claimed queue.
    TwoChoices,
    JoinShortest,
    /// Five random probes, smallest promised wait and service.
    ShortestDelay,
    /// Reuses probes; "hot" by requests in flight, else fastest (Wydrowski et al., NSDI 2024).
    Prequal,
    Thompson,
    /// Trail += 100 ms / latency, half-life 30 s, weight trail / (outstanding + 1)^2.
    NaiveAnts,
    /// The same, and believes what others tell.
    NaiveTwin,
    Oracle,
}

/// Three verified bad results in a row: out for 30 s, unless over half would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ejection {
    No,
    Yes,
}

/// What one dispatcher knows of one peer.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    outstanding: u32,
    hint: u32,
    ewma_us: f64,
    ewma_at: u64,
    bad_in_row: u32,
    out_until: u64,
    errors: f64,
}

/// The same per kind.
#[derive(Clone, Copy, Debug, Default)]
struct Skilled {
    trail: f64,
    trail_at: u64,
    /// The last deposit: taken back if its result turns out bad.
    deposit: f64,
    /// Thompson: weight, weighted mean and square sum of log latency.
    weight: f64,
    mean: f64,
    at: u64,
    /// What the twin was told, and by how many.
    told: f64,
    tellers: f64,
}

/// Prequal's pooled probe.
#[derive(Clone, Copy, Debug)]
struct Pooled {
    peer: usize,
    at: u64,
    in_flight: u32,
    latency: f64,
    uses: u32,
}

pub(crate) struct Rival {
    name: Name,
    ejection: Ejection,
    random: Random,
    peers: usize,
    known: Vec<Known>,
    skilled: Vec<Skilled>,
    next: Vec<usize>,
    pools: Vec<Vec<Pooled>>,
    /// Requests in flight of the last 300 probes, per dispatcher.
    seen: Vec<VecDeque<u32>>,
    probes: u64,
}

impl Rival {
    pub(crate) fn new(world: &World, name: Name, ejection: Ejection) -> Self {
        let n = world.scenario.peers;
        let start = Known { ewma_us: MEAN_US, ..Known::default() };
        Self {
            name,
            ejection,
            random: Random::new(world.seed ^ 0x5eed),
            peers: n,
            known: vec![start; n * n],
            skilled: vec![Skilled::default(); n * n * KINDS],
            next: (0..n * KINDS).collect(),
            pools: vec![Vec::new(); n * KINDS],
            seen: vec![VecDeque::new(); n],
            probes: 0,
        }
    }

    fn known(&mut self, dispatcher: usize, peer: usize) -> &mut Known {
        &mut self.known[dispatcher * self.peers + peer]
    }

    fn skilled(&mut self, dispatcher: usize, kind: usize, peer: usize) -> &mut Skilled {
        &mut self.skilled[(dispatcher * KINDS + kind) * self.peers + peer]
    }

    /// Who may be chosen: up, untried, not ejected, if that leaves anybody.
    fn pool(&mut self, asked: &Asked<'_>) -> Vec<usize> {
        let untried: Vec<usize> =
            asked.up.iter().copied().filter(|peer| !asked.tried.contains(peer)).collect();
        let pool = if untried.is_empty() { asked.up.to_vec() } else { untried };
        let in_favour = |rival: &Self, peer: &usize| {
            rival.known[asked.dispatcher * rival.peers + peer].out_until <= asked.now
        };
        let kept: Vec<usize> = pool.iter().copied().filter(|peer| in_favour(self, peer)).collect();
        if self.ejection == Ejection::Yes && kept.len() * 2 >= pool.len() { kept } else { pool }
    }

    fn draw(&mut self, mut pool: Vec<usize>, count: usize) -> Vec<usize> {
        for place in 0..count.min(pool.len()) {
            let rest = self.random.below((pool.len() - place) as u64) as usize;
            pool.swap(place, place + rest);
        }
        pool.truncate(count);
        pool
    }

    fn best(pool: &[usize], mut cost: impl FnMut(usize) -> f64) -> Option<usize> {
        let costs = pool.iter().map(|peer| (*peer, cost(*peer)));
        costs.min_by(|a, b| a.1.total_cmp(&b.1)).map(|best| best.0)
    }

    fn unit(&mut self) -> f64 {
        (self.random.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (core::f64::consts::TAU * self.unit()).cos()
    }

    fn peak(&mut self, asked: &Asked<'_>, peer: usize) -> f64 {
        let known = self.known(asked.dispatcher, peer);
        known.ewma_us * f64::from(known.outstanding + 1)
    }

    fn trail(&mut self, now: u64, (dispatcher, kind): (usize, usize), peer: usize) -> f64 {
        let entry = self.skilled(dispatcher, kind, peer);
        let faded = entry.trail * 0.5_f64.powf((now - entry.trail_at) as f64 / (30 * S) as f64);
        let told = if entry.tellers > 0.0 { entry.told / entry.tellers } else { 0.0 };
        faded + told
    }

    fn ants(&mut self, asked: &Asked<'_>, pool: &[usize]) -> Option<usize> {
        let mut weights = Vec::new();
        for &peer in pool {
            let trail = self.trail(asked.now, (asked.dispatcher, asked.kind), peer) + 0.1;
            let busy = f64::from(self.known(asked.dispatcher, peer).outstanding + 1);
            weights.push(trail / (busy * busy));
        }
        let mut left = self.unit() * weights.iter().sum::<f64>();
        let place = weights.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        place.map(|place| pool[place]).or_else(|| pool.last().copied())
    }

    fn thompson(&mut self, asked: &Asked<'_>, pool: &[usize]) -> Option<usize> {
        let mut draws = Vec::new();
        for &peer in pool {
            let z = self.normal();
            let entry = *self.skilled(asked.dispatcher, asked.kind, peer);
            let fade = 0.5_f64.powf((asked.now - entry.at) as f64 / (30 * S) as f64);
            let weight = entry.weight * fade;
            let mean = (70_000.0_f64.ln() + weight * entry.mean) / (1.0 + weight);
            draws.push((peer, mean + z / (1.0 + weight).sqrt()));
        }
        draws.into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).map(|best| best.0)
    }

    /// Fastest of the cold, else least in flight of the hot; a use adds one in flight.
    fn prequal(&mut self, asked: &Asked<'_>, pool: &[usize]) -> Option<usize> {
        self.probe_into_pool(asked, pool);
        let slot = asked.dispatcher * KINDS + asked.kind;
        let mut flights: Vec<u32> = self.seen[asked.dispatcher].iter().copied().collect();
        flights.sort_unstable();
        let hot = flights.get(flights.len() * 84 / 100).copied().unwrap_or(u32::MAX);
        let known = &self.known[asked.dispatcher * self.peers..];
        let usable =
            |entry: &&mut Pooled| pool.contains(&entry.peer) && known[entry.peer].errors <= 0.5;
        let cost = |entry: &Pooled| {
            if entry.in_flight <= hot { entry.latency } else { 1e12 + f64::from(entry.in_flight) }
        };
        let entries = self.pools[slot].iter_mut().filter(usable);
        let best = entries.min_by(|a, b| cost(a).total_cmp(&cost(b)))?;
        best.uses += 1;
        best.in_flight += 1;
        Some(best.peer)
    }

    fn probe_into_pool(&mut self, asked: &Asked<'_>, pool: &[usize]) {
        let slot = asked.dispatcher * KINDS + asked.kind;
        for peer in self.draw(pool.to_vec(), 3) {
            let worker = &asked.truth.workers[peer];
            self.probes += 2;
            if !worker.up {
                continue;
            }
            let (in_flight, latency) = if asked.truth.world.is_false(peer) {
                (0, 1_000.0)
            } else {
                let service = asked.truth.service(peer, asked.kind, MEAN_US);
                (worker.in_flight(), asked.truth.wait(peer, asked.now) + service)
            };
            let seen = &mut self.seen[asked.dispatcher];
            seen.push_back(in_flight);
            if seen.len() > 300 {
                seen.pop_front();
            }
            let at = asked.now;
            self.pools[slot].push(Pooled { peer, at, in_flight, latency, uses: 0 });
        }
        let drop_worst = self.random.chance(500);
        let entries = &mut self.pools[slot];
        entries.retain(|entry| entry.uses < 3 && asked.now - entry.at <= S);
        if drop_worst && entries.len() > 1 {
            let worst = (0..entries.len()).max_by(|a, b| {
                let key = |at: usize| (entries[at].in_flight, entries[at].latency as u64);
                key(*a).cmp(&key(*b))
            });
            worst.map(|worst| entries.remove(worst));
        }
        let over = entries.len().saturating_sub(16);
        entries.drain(..over);
    }

    fn oracle(&self, asked: &Asked<'_>, pool: &[usize]) -> Option<usize> {
        let truth = asked.truth;
        let size = truth.world.tasks[asked.task].size;
        let able: Vec<usize> = pool
            .iter()
            .copied()
            .filter(|peer| truth.workers[*peer].up && !truth.world.is_false(*peer))
            .collect();
        Self::best(&able, |peer| {
            let service = truth.service(peer, asked.kind, size);
            let quality = truth.world.skills[peer].quality;
            (truth.wait(peer, asked.now) + service) * service.sqrt() / quality
        })
    }
}

impl Rule for Rival {
    fn choose(&mut self, asked: &Asked<'_>) -> Pick {
        let pool = self.pool(asked);
        let dispatcher = asked.dispatcher;
        let picked = match self.name {
            Name::Random => self.draw(pool, 1).first().copied(),
            Name::RoundRobin => {
                let next = &mut self.next[dispatcher * KINDS + asked.kind];
                *next += 1;
                pool.get(*next % pool.len().max(1)).copied()
            }
            Name::LeastLoaded => {
                let shuffled = self.draw(pool, usize::MAX);
                Self::best(&shuffled, |peer| self.known(dispatcher, peer).hint.into())
            }
            Name::LeastRequests => {
                let two = self.draw(pool, 2);
                Self::best(&two, |peer| self.known(dispatcher, peer).outstanding.into())
            }
            Name::PeakEwma => {
                let two = self.draw(pool, 2);
                Self::best(&two, |peer| self.peak(asked, peer))
            }
            Name::TwoChoices => return Pick::Probe(self.draw(pool, 2), MEAN_US as u64),
            Name::JoinShortest | Name::ShortestDelay => {
                return Pick::Probe(self.draw(pool, 5), MEAN_US as u64);
            }
            Name::Prequal => {
                let found = self.prequal(asked, &pool);
                found.or_else(|| self.draw(pool, 1).first().copied())
            }
            Name::Thompson => self.thompson(asked, &pool),
            Name::NaiveAnts | Name::NaiveTwin => self.ants(asked, &pool),
            Name::Oracle => self.oracle(asked, &pool),
        };
        picked.map_or(Pick::Nobody, Pick::Send)
    }

    fn answered(&mut self, _asked: &Asked<'_>, answers: &[Answer]) -> Pick {
        let cost = |answer: &&Answer| match self.name {
            Name::ShortestDelay => answer.wait + answer.service,
            _ => answer.tasks.into(),
        };
        answers.iter().min_by_key(cost).map_or(Pick::Nobody, |answer| Pick::Send(answer.peer))
    }

    fn sent(&mut self, _now: u64, tried: Tried) {
        self.known(tried.dispatcher, tried.peer).outstanding += 1;
    }

    fn finished(&mut self, now: u64, tried: Tried, _service: u64, latency: u64) {
        let Tried { dispatcher, peer, kind, .. } = tried;
        let known = self.known(dispatcher, peer);
        known.outstanding = known.outstanding.saturating_sub(1);
        let (latency_us, past) = (latency as f64, (now - known.ewma_at) as f64);
        let keep = (-past / (10 * S) as f64).exp();
        let mixed = known.ewma_us * keep + latency_us * (1.0 - keep);
        known.ewma_us = if latency_us > known.ewma_us { latency_us } else { mixed };
        known.ewma_at = now;
        let own = self.trail_own(now, (dispatcher, kind), peer);
        let entry = self.skilled(dispatcher, kind, peer);
        entry.deposit = MEAN_US / latency_us.max(1.0);
        (entry.trail, entry.trail_at) = (own + entry.deposit, now);
        entry.learn(now, latency_us.max(1.0).ln());
    }

    fn verified(&mut self, now: u64, tried: Tried, finding: Finding) {
        let good = finding == Finding::Good;
        let Tried { dispatcher, peer, kind, .. } = tried;
        let known = self.known(dispatcher, peer);
        known.errors = known.errors * 0.8 + if good { 0.0 } else { 0.2 };
        known.bad_in_row = if good { 0 } else { known.bad_in_row + 1 };
        if known.bad_in_row >= 3 {
            (known.bad_in_row, known.out_until) = (0, now + 30 * S);
        }
        if !good {
            let entry = self.skilled(dispatcher, kind, peer);
            entry.trail = (entry.trail - entry.deposit).max(0.0);
            entry.learn(now, ((S as f64) + MEAN_US).ln());
        }
    }

    fn cancelled(&mut self, _now: u64, tried: Tried) {
        let known = self.known(tried.dispatcher, tried.peer);
        known.outstanding = known.outstanding.saturating_sub(1);
    }

    fn down(&mut self, _now: u64, peer: usize) {
        (0..self.peers).for_each(|dispatcher| self.known(dispatcher, peer).outstanding = 0);
    }

    fn hint(&mut self, _now: u64, answer: Answer) {
        for dispatcher in 0..self.peers {
            self.known(dispatcher, answer.peer).hint = answer.tasks;
        }
    }

    fn own_probes(&self) -> u64 {
        self.probes
    }

    /// The twin averages what everybody tells, liars with a million.
    fn lie(&mut self, now: u64, world: &World) {
        if self.name != Name::NaiveTwin {
            return;
        }
        let peers = self.peers;
        for (kind, subject) in (0..KINDS).flat_map(|k| (0..peers).map(move |s| (k, s))) {
            let (mut told, mut tellers) = (0.0, 0.0);
            for source in 0..self.peers {
                told += match (world.liar[source], world.liar[subject]) {
                    (true, true) => 1e6,
                    (true, false) => 0.0,
                    (false, _) => self.trail_own(now, (source, kind), subject),
                };
                tellers += 1.0;
            }
            for dispatcher in 0..self.peers {
                let entry = self.skilled(dispatcher, kind, subject);
                (entry.told, entry.tellers) = (told, tellers);
            }
        }
    }
}

impl Rival {
    fn trail_own(&mut self, now: u64, place: (usize, usize), peer: usize) -> f64 {
        let (dispatcher, kind) = place;
        let entry = self.skilled(dispatcher, kind, peer);
        entry.trail * 0.5_f64.powf((now - entry.trail_at) as f64 / (30 * S) as f64)
    }
}

impl Skilled {
    fn learn(&mut self, now: u64, log: f64) {
        let fade = 0.5_f64.powf((now - self.at) as f64 / (30 * S) as f64);
        let weight = self.weight * fade;
        self.mean = (self.mean * weight + log) / (weight + 1.0);
        (self.weight, self.at) = (weight + 1.0, now);
    }
}
