//! The world of pheromones.md 12.1: who is fast at what, what comes when, who crashes when. Every draw is a
//! hash of the seed and of what is drawn, so that all rules of a seed see the same world.

use formic_core::mix;

/// Kinds of tasks; kind k comes with weight 1 / (1 + k/2).
pub(crate) const KINDS: usize = 4;
/// Mean size of a task, in microseconds of a peer of speed 1.
pub(crate) const MEAN_US: f64 = 100_000.0;
/// Microseconds in a second.
pub(crate) const S: u64 = 1_000_000;
/// Speed of a garbage peer: it computes nothing.
const GARBAGE_SPEED: f64 = 50.0;

/// Who lies, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Liars {
    None,
    /// One answers at once with garbage, claims no load, promises nothing but speed, praises itself.
    Garbage,
    /// One is slow and good, with the same claims.
    Slow,
    /// A tenth are garbage peers that praise each other and slander everybody else.
    Colluders,
    /// A tenth, that lie in what they share and are honest otherwise.
    Gossips,
}

/// What goes wrong besides liars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Faults {
    None,
    /// Crashes, stragglers, and a swap of speeds at half time.
    All,
}

/// How different peers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fleet {
    Mixed,
    Homogeneous,
}

/// One cell of the tables.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) peers: usize,
    /// Offered load over the fleet's capacity, in percent.
    pub(crate) load: u32,
    pub(crate) liars: Liars,
    pub(crate) faults: Faults,
    pub(crate) fleet: Fleet,
    /// Share of results that are verified, in percent.
    pub(crate) verified: u32,
    pub(crate) seconds: u64,
}

/// One task that is offered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offered {
    pub(crate) at: u64,
    pub(crate) dispatcher: usize,
    pub(crate) kind: usize,
    /// In microseconds of a peer of speed 1.
    pub(crate) size: f64,
}

/// A peer's speed per kind and the share of its results that are good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Skill {
    pub(crate) speed: [f64; KINDS],
    pub(crate) quality: f64,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) seed: u64,
    pub(crate) skills: Vec<Skill>,
    pub(crate) liar: Vec<bool>,
    pub(crate) tasks: Vec<Offered>,
    /// Per peer: when it crashes.
    pub(crate) crashes: Vec<Vec<u64>>,
    /// Tasks a second that the fleet could do.
    pub(crate) capacity: f64,
}

/// What a draw is about.
#[derive(Clone, Copy)]
#[repr(u64)]
pub(crate) enum Stream {
    Peer = 1,
    Pair,
    Quality,
    Arrival,
    Dispatcher,
    Kind,
    Size,
    Crash,
    Straggler,
    Good,
    Verified,
}

/// A number in 0..1 that depends on what it is about alone.
pub(crate) fn unit(seed: u64, stream: Stream, a: u64, b: u64) -> f64 {
    let bits = mix(mix(mix(mix(seed) ^ stream as u64).wrapping_add(a)).wrapping_add(b));
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// Standard normal, by Box and Muller.
fn normal(seed: u64, stream: Stream, a: u64, b: u64) -> f64 {
    let radius = (-2.0 * (1.0 - unit(seed, stream, a, b * 2)).ln()).sqrt();
    radius * (core::f64::consts::TAU * unit(seed, stream, a, b * 2 + 1)).cos()
}

/// Exponential with mean 1.
fn exponential(seed: u64, stream: Stream, a: u64, b: u64) -> f64 {
    -(1.0 - unit(seed, stream, a, b)).ln()
}

impl World {
    pub(crate) fn new(scenario: Scenario, seed: u64) -> Self {
        let n = scenario.peers;
        let liars = match scenario.liars {
            Liars::None => 0,
            Liars::Garbage | Liars::Slow => 1,
            Liars::Colluders | Liars::Gossips => n / 10,
        };
        let liar: Vec<bool> = (0..n).map(|peer| peer < liars).collect();
        let skills: Vec<Skill> = (0..n).map(|peer| skill(&scenario, seed, peer, liars)).collect();
        let mut world = Self {
            scenario,
            seed,
            skills,
            liar,
            tasks: Vec::new(),
            crashes: vec![Vec::new(); n],
            capacity: 0.0,
        };
        world.capacity = world.rate();
        world.offer();
        if scenario.faults == Faults::All {
            world.crashes = (0..n).map(|peer| crashes(&scenario, seed, peer)).collect();
        }
        world
    }

    pub(crate) fn is_garbage(&self, peer: usize) -> bool {
        let makes = matches!(self.scenario.liars, Liars::Garbage | Liars::Colluders);
        self.liar[peer] && makes
    }

    /// Whether its promises, claims and reports are false.
    pub(crate) fn is_false(&self, peer: usize) -> bool {
        self.liar[peer] && self.scenario.liars != Liars::Gossips
    }

    /// The largest rate at which peers' time shares cover all kinds (12.1, Load).
    fn rate(&self) -> f64 {
        let verified = f64::from(self.scenario.verified) / 100.0;
        let useful: Vec<[f64; KINDS]> = self
            .skills
            .iter()
            .enumerate()
            .filter(|(peer, _)| !self.is_garbage(*peer))
            .map(|(_, skill)| {
                let redo = 1.0 + verified * (1.0 - skill.quality);
                skill.speed.map(|speed| speed / redo / (MEAN_US / S as f64))
            })
            .collect();
        let lost = match self.scenario.faults {
            Faults::None => 1.0,
            Faults::All => 120.0 / 125.0 / 1.09,
        };
        cover(&useful) * lost
    }

    fn offer(&mut self) {
        let rate = self.capacity * f64::from(self.scenario.load) / 100.0;
        let honest: Vec<usize> = (0..self.liar.len()).filter(|peer| !self.liar[*peer]).collect();
        let (seed, weights) = (self.seed, kind_weights());
        let mut at = 0.0;
        for number in 0.. {
            at += exponential(seed, Stream::Arrival, number, 0) / rate * S as f64;
            if at >= (self.scenario.seconds * S) as f64 {
                return;
            }
            let pick = unit(seed, Stream::Dispatcher, number, 0) * honest.len() as f64;
            let mut left = unit(seed, Stream::Kind, number, 0);
            let kind = weights.iter().position(|weight| {
                left -= weight;
                left < 0.0
            });
            let sigma = 0.83;
            let z = normal(seed, Stream::Size, number, 0);
            let size = MEAN_US * (sigma * z - sigma * sigma / 2.0).exp();
            let dispatcher = honest[pick as usize];
            let kind = kind.unwrap_or(KINDS - 1);
            self.tasks.push(Offered { at: at as u64, dispatcher, kind, size });
        }
    }

    /// At half time the fastest and the slowest honest peers change places, and so on inwards.
    pub(crate) fn shift(&mut self) {
        let mut ranked: Vec<usize> =
            (0..self.skills.len()).filter(|peer| !self.liar[*peer]).collect();
        let total = |skill: &Skill| skill.speed.iter().sum::<f64>();
        ranked.sort_by(|a, b| total(&self.skills[*a]).total_cmp(&total(&self.skills[*b])));
        let last = ranked.len() - 1;
        let mut rank = 0;
        while 2 * rank < last - 2 * rank {
            self.skills.swap(ranked[2 * rank], ranked[last - 2 * rank]);
            rank += 1;
        }
    }
}

fn skill(scenario: &Scenario, seed: u64, peer: usize, liars: usize) -> Skill {
    let p = peer as u64;
    if peer < liars && matches!(scenario.liars, Liars::Garbage | Liars::Colluders) {
        return Skill { speed: [GARBAGE_SPEED; KINDS], quality: 0.0 };
    }
    if peer < liars && scenario.liars == Liars::Slow {
        return Skill { speed: [0.3; KINDS], quality: 0.98 };
    }
    let own = (0.35 * normal(seed, Stream::Peer, p, 0)).exp();
    let mut speed = [1.0; KINDS];
    if scenario.fleet == Fleet::Mixed {
        for (kind, speed) in speed.iter_mut().enumerate() {
            let pair = (0.6 * normal(seed, Stream::Pair, p, kind as u64)).exp();
            *speed = (own * pair).clamp(0.1, 6.0);
        }
    }
    let good = unit(seed, Stream::Quality, p, 0) < 0.8;
    Skill { speed, quality: if good { 0.98 } else { 0.75 } }
}

/// Exponential with mean 120 s after the last one ended, at least 6 s later; down for 5 s.
fn crashes(scenario: &Scenario, seed: u64, peer: usize) -> Vec<u64> {
    let (mut at, mut all) = (0.0, Vec::new());
    for number in 0.. {
        at += (exponential(seed, Stream::Crash, peer as u64, number) * 120.0).max(6.0) + 5.0;
        if at >= scenario.seconds as f64 {
            break;
        }
        all.push((at * S as f64) as u64);
    }
    all
}

pub(crate) fn kind_weights() -> [f64; KINDS] {
    let raw: [f64; KINDS] = core::array::from_fn(|kind| 1.0 / (1.0 + kind as f64 / 2.0));
    let sum: f64 = raw.iter().sum();
    raw.map(|weight| weight / sum)
}

/// The linear program's value by its dual: prices z on the simplex that minimise sum over peers of the
/// best price x rate, found by exponentiated gradient steps.
fn cover(rates: &[[f64; KINDS]]) -> f64 {
    let share = kind_weights();
    let mut prices = [1.0 / KINDS as f64; KINDS];
    let mut best = f64::MAX;
    for step in 0..4_000 {
        let (mut value, mut slope) = (0.0, [0.0; KINDS]);
        for rate in rates {
            let worth: [f64; KINDS] = core::array::from_fn(|k| rate[k] * prices[k] / share[k]);
            let kind = (0..KINDS).max_by(|a, b| worth[*a].total_cmp(&worth[*b])).unwrap_or(0);
            value += worth[kind];
            slope[kind] += rate[kind] / share[kind];
        }
        best = f64::min(best, value);
        let eta = 1.0 / value / f64::from(step + 4).sqrt();
        for kind in 0..KINDS {
            prices[kind] *= (-eta * slope[kind]).exp();
        }
        let sum: f64 = prices.iter().sum();
        prices.iter_mut().for_each(|price| *price /= sum);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: Scenario = Scenario {
        name: "main",
        peers: 10,
        load: 70,
        liars: Liars::Garbage,
        faults: Faults::All,
        fleet: Fleet::Mixed,
        verified: 50,
        seconds: 20,
    };

    #[test]
    fn capacity_of_known_fleets() {
        let equal = cover(&[[10.0; KINDS]; 5]);
        assert!((equal - 50.0).abs() < 0.5, "{equal}");
        // One specialist a kind, as fast as its kind is frequent: each serves its kind alone.
        let weights = kind_weights();
        let mut specialists = [[0.0; KINDS]; KINDS];
        for (kind, rates) in specialists.iter_mut().enumerate() {
            rates[kind] = 100.0 * weights[kind];
        }
        let apart = cover(&specialists);
        assert!((apart - 100.0).abs() < 1.0, "{apart}");
    }

    #[test]
    fn a_seed_is_one_world_and_offers_its_load() {
        let (a, b) = (World::new(MAIN, 7), World::new(MAIN, 7));
        assert_eq!(a.tasks.len(), b.tasks.len());
        let offered = a.tasks.len() as f64 / 20.0 / a.capacity;
        assert!((offered - 0.7).abs() < 0.07, "{offered}");
        assert!(a.tasks.iter().all(|task| !a.liar[task.dispatcher]), "liars dispatch nothing");
        let mean = a.tasks.iter().map(|task| task.size).sum::<f64>() / a.tasks.len() as f64;
        assert!((mean / MEAN_US - 1.0).abs() < 0.1, "{mean}");
    }

    #[test]
    fn the_shift_changes_places_and_no_sum() {
        let mut world = World::new(MAIN, 3);
        let total = |world: &World| world.skills.iter().map(|s| s.speed[0]).sum::<f64>();
        let (before, first) = (total(&world), world.skills[1].speed);
        let speeds: Vec<_> = world.skills.iter().map(|skill| skill.speed[0]).collect();
        world.shift();
        let after: Vec<_> = world.skills.iter().map(|skill| skill.speed[0]).collect();
        assert!((total(&world) - before).abs() < 1e-9);
        assert_ne!(speeds, after);
        world.shift();
        let moved = (world.skills[1].speed[0] - first[0]).abs();
        assert!(moved < 1e-9, "a swap undoes itself");
    }
}
