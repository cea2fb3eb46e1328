use core::time::Duration;

use formic_core::{Time, mix};

use crate::Draw;

use super::{Detector, Seat, Setting, world::World};

/// How many crashes are measured, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crashes {
    /// Worlds, each with its own seed.
    pub worlds: u64,
    /// Crashes in each, one after the other. They stay dead.
    pub each: usize,
    /// Who never crashes, e.g. the peer whose vote breaks a tie.
    pub spared: Option<usize>,
    /// What happens before it does not count, and nobody crashes.
    pub warm_up: Duration,
    /// Crashes are this far apart, plus up to half of it.
    pub gap: Duration,
    /// So long after the last crash those not known to all count as missed.
    pub patience: Duration,
}

impl Crashes {
    /// 100 worlds with one crash each.
    pub const fn single() -> Self {
        Self {
            worlds: 100,
            each: 1,
            spared: None,
            warm_up: Duration::from_secs(2),
            gap: Duration::from_secs(2),
            patience: Duration::from_secs(20),
        }
    }
}

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// From each crash until the last live peer knew it.
    pub detected: Vec<Duration>,
    /// Crashes that somebody never learnt of.
    pub missed: u64,
    /// From each crash until the last live peer's view was without it.
    pub evicted: Vec<Duration>,
    /// Crashes that stayed in somebody's view; not counted for detectors without views.
    pub kept: u64,
    /// Live subjects that somebody held dead.
    pub false_verdicts: u64,
    /// Live subjects that somebody's view lost.
    pub false_evictions: u64,
    /// Messages sent, repetitions included.
    pub messages: u64,
    /// Their bytes, without what a transport adds.
    pub bytes: u64,
    /// Inputs that a detector refused.
    pub refused: u64,
    /// Stalls and outages.
    pub pauses: u64,
    /// Those above [`LONG`](super::LONG).
    pub long_pauses: u64,
    /// Those above [`LASTING`](super::LASTING).
    pub lasting_pauses: u64,
    /// The time that all peers lived, summed.
    pub lived: Duration,
}

impl Figures {
    /// Adds what was measured elsewhere.
    pub fn merge(&mut self, other: Self) {
        self.detected.extend(other.detected);
        self.missed += other.missed;
        self.evicted.extend(other.evicted);
        self.kept += other.kept;
        self.false_verdicts += other.false_verdicts;
        self.false_evictions += other.false_evictions;
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.refused += other.refused;
        self.pauses += other.pauses;
        self.long_pauses += other.long_pauses;
        self.lasting_pauses += other.lasting_pauses;
        self.lived += other.lived;
    }

    /// The span that this share of `spans` does not exceed; `None` if there are none.
    pub fn permille(spans: &[Duration], permille: usize) -> Option<Duration> {
        let mut sorted = spans.to_vec();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        sorted.get((sorted.len() * permille).div_ceil(1_000).saturating_sub(1).min(last)).copied()
    }

    /// All crashes of one world as one: the slowest counts, and one that is missing misses all.
    fn into_one_crash(mut self) -> Self {
        let slowest = |spans: Vec<Duration>, lacking: u64| -> (Vec<Duration>, u64) {
            let slowest = spans.into_iter().max().filter(|_| lacking == 0);
            (slowest.into_iter().collect(), lacking.min(1))
        };
        (self.detected, self.missed) = slowest(self.detected, self.missed);
        (self.evicted, self.kept) = slowest(self.evicted, self.kept);
        self
    }

    fn of<D: Detector>(world: &World<D>) -> Self {
        let mut figures = Self {
            false_verdicts: world.opinions.false_verdicts,
            false_evictions: world.opinions.false_evictions,
            messages: world.traffic.messages,
            bytes: world.traffic.bytes,
            refused: world.traffic.refused,
            pauses: world.traffic.pauses,
            long_pauses: world.traffic.long_pauses,
            lasting_pauses: world.traffic.lasting_pauses,
            lived: Duration::from_micros(world.traffic.lived_us),
            ..Self::default()
        };
        for crash in world.opinions.crashes() {
            match crash.known_after() {
                Some(after) => figures.detected.push(after),
                None => figures.missed += 1,
            }
            match crash.evicted_after() {
                Some(after) => figures.evicted.push(after),
                None => figures.kept += u64::from(D::VIEWS),
            }
        }
        figures
    }
}

/// Peers crash one after the other, each at a random moment; in how many worlds says `plan`.
pub fn crashes<D: Detector>(
    setting: &Setting,
    plan: &Crashes,
    make: impl Fn(Seat) -> D,
) -> Figures {
    let mut sum = Figures::default();
    for number in 0..plan.worlds {
        let setting = of_world(setting, number);
        let mut world = warm(&setting, plan.warm_up, &make);
        let draw = Draw::new(setting.seed);
        let mut at = Time::ZERO + plan.warm_up;
        for (turn, peer) in victims(&setting, plan).into_iter().enumerate() {
            let half = u64::try_from(plan.gap.as_micros() / 2).unwrap_or(u64::MAX);
            let shift = Duration::from_micros(draw.below("crash", &[turn as u64], half));
            world.plan_crash(at + shift, peer);
            world.run_until(at + shift);
            at = at + plan.gap;
        }
        settle(&mut world, plan.patience);
        sum.merge(Figures::of(&world));
    }
    sum
}

/// `plan.each` peers crash at once, at a random moment, in each world. A world counts as one crash: until
/// the last of them is known to the last live peer.
pub fn correlated<D: Detector>(
    setting: &Setting,
    plan: &Crashes,
    make: impl Fn(Seat) -> D,
) -> Figures {
    let mut sum = Figures::default();
    for number in 0..plan.worlds {
        let setting = of_world(setting, number);
        let mut world = warm(&setting, plan.warm_up, &make);
        let half = u64::try_from(plan.gap.as_micros() / 2).unwrap_or(u64::MAX);
        let shift = Draw::new(setting.seed).below("crash", &[], half);
        let at = Time::ZERO + plan.warm_up + Duration::from_micros(shift);
        for peer in victims(&setting, plan) {
            world.plan_crash(at, peer);
        }
        world.run_until(at);
        settle(&mut world, plan.patience);
        sum.merge(Figures::of(&world).into_one_crash());
    }
    sum
}

/// Nobody crashes: false verdicts and traffic.
pub fn watch<D: Detector>(
    setting: &Setting,
    (warm_up, span): (Duration, Duration),
    make: impl Fn(Seat) -> D,
) -> Figures {
    let mut world = warm(setting, warm_up, &make);
    world.run_until(Time::ZERO + warm_up + span);
    Figures::of(&world)
}

/// A world's own seed.
fn of_world(setting: &Setting, number: u64) -> Setting {
    Setting { seed: mix(setting.seed.wrapping_add(mix(number))), ..setting.clone() }
}

fn warm<D: Detector>(setting: &Setting, warm_up: Duration, make: &impl Fn(Seat) -> D) -> World<D> {
    let mut world = World::new(setting, make);
    world.run_until(Time::ZERO + warm_up);
    world.count_from_here();
    world
}

/// Different peers in a random order; at least one is spared.
fn victims(setting: &Setting, plan: &Crashes) -> Vec<usize> {
    let draw = Draw::new(setting.seed);
    let peers = (0..setting.peers).filter(|&peer| Some(peer) != plan.spared);
    let mut peers: Vec<usize> = peers.collect();
    peers.sort_by_key(|&peer| draw.bits("victim", &[peer as u64]));
    peers.truncate(plan.each.min(setting.peers.saturating_sub(1)));
    peers
}

/// Runs until every crash has been known for a while, so that late frames of the dead can still be seen
/// to confuse somebody.
fn settle<D: Detector>(world: &mut World<D>, patience: Duration) {
    const STEP: Duration = Duration::from_millis(100);
    let end = world.now() + patience;
    while world.now() < end {
        let since = world.now();
        world.run_until(since + STEP);
        let opinions = &world.opinions;
        if opinions.all_known(since) && (!D::VIEWS || opinions.all_evicted(since)) {
            break;
        }
    }
}
