//! What is known about a kind: its mean service, half-life, how much is verified, and its trails.

use std::collections::{BTreeSet, VecDeque};

use formic_core::Time;

use crate::{
    Config,
    clock::HalfLives,
    fixed::{ONE, scale},
    heard::Heard,
    trails::Trails,
    units::{SAMPLE, TICKS, us},
};

/// Attempts remembered for the share cap (P14), per kind.
const RECENT_MAX: usize = 4_096;
/// Half-lives are doubled at most so often.
const DOUBLINGS: u32 = 10;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KindState {
    /// Services, a hundredth forgotten with each.
    mean: Faded,
    expect_us: u64,
    /// Completions and verified ones, a hundredth forgotten with each completion.
    verified: Faded,
    pub(crate) clock: HalfLives,
    pub(crate) trails: Trails,
    pub(crate) heard: Heard,
    /// Slots of peers that were announced as quarantined.
    pub(crate) quarantined: BTreeSet<u32>,
    recent: Recent,
    pub(crate) touched: Time,
}

/// A sum over samples that forgets a hundredth with each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Faded {
    count: u64,
    sum: u64,
}

impl Faded {
    fn add(&mut self, value: u64) {
        self.count = self.count - self.count / 100 + SAMPLE;
        self.sum = (self.sum - self.sum / 100).saturating_add(value);
    }
}

impl KindState {
    pub(crate) fn new(config: &Config, now: Time) -> Self {
        let expect_us = us(config.expect);
        Self {
            mean: Faded::default(),
            expect_us,
            verified: Faded::default(),
            clock: HalfLives::new(half_life_us(config, expect_us)),
            trails: Trails::default(),
            heard: Heard::default(),
            quarantined: BTreeSet::new(),
            recent: Recent::default(),
            touched: now,
        }
    }

    /// m(k), in microseconds: at least 1.
    pub(crate) fn mean_us(&self) -> u64 {
        if self.mean.count == 0 {
            return self.expect_us;
        }
        (scale(self.mean.sum, SAMPLE, self.mean.count) / TICKS).max(1)
    }

    pub(crate) fn expect(&mut self, config: &Config, now: Time, mean_us: u64) {
        self.expect_us = mean_us.max(1);
        self.clock.set(now, half_life_us(config, self.mean_us()));
    }

    /// A service of a task of mean size, in ticks.
    pub(crate) fn add_service(&mut self, config: &Config, now: Time, ticks: u64) {
        self.mean.add(ticks);
        self.clock.set(now, half_life_us(config, self.mean_us()));
    }

    pub(crate) fn add_completion(&mut self) {
        self.verified.add(0);
    }

    pub(crate) fn add_verified(&mut self) {
        self.verified.sum = self.verified.sum.saturating_add(SAMPLE).min(self.verified.count);
    }

    /// v(k), Q32: the share of completions that got verified; one half counts for two completions, so that
    /// the first ones do not switch the share cap on and off.
    pub(crate) fn verified_share(&self) -> u64 {
        scale(self.verified.sum + SAMPLE, ONE, self.verified.count + 2 * SAMPLE).min(ONE)
    }

    /// P14: only kinds that are hardly verified have a share cap. One of which nothing was ever verified has
    /// none: nothing tells liars from specialists, and the cap would send a third of the work away from these.
    pub(crate) fn has_share_cap(&self) -> bool {
        let some = self.verified.sum > 0;
        formic_core::rule!("pheromones/P14") && some && self.verified_share() < ONE / 10
    }

    pub(crate) fn add_attempt(&mut self, config: &Config, now: Time, slot: u32) {
        self.recent.forget(now, config);
        self.recent.add(now, slot);
    }

    pub(crate) fn forget_attempts(&mut self, config: &Config, now: Time) {
        self.recent.forget(now, config);
    }

    /// P14: whether the peer has had max(2, `share_cap` / eligible) of the last attempts.
    pub(crate) fn is_capped(&self, config: &Config, slot: u32, eligible: usize) -> bool {
        let had = u64::from(self.recent.count(slot));
        let all = self.recent.attempts.len() as u64;
        let fair = all * u64::from(config.share_cap_tenths) / 10 / eligible.max(1) as u64;
        had >= fair.max(2)
    }

    pub(crate) fn has_attempts_of(&self, slot: u32) -> bool {
        self.recent.count(slot) > 0
    }

    pub(crate) fn check(&self) {
        self.trails.check();
        self.recent.check();
        assert!(self.verified.sum <= self.verified.count, "more verified than completed");
    }
}

/// H(k): doubled from the least until 300 mean services fit in.
fn half_life_us(config: &Config, mean_us: u64) -> u64 {
    let least = us(config.half_life_min);
    let wanted = mean_us.saturating_mul(config.services_per_half_life.into());
    let doubled = (0..=DOUBLINGS).map(|times| least << times).find(|us| *us >= wanted);
    doubled.unwrap_or(least << DOUBLINGS)
}

/// Own attempts of the last seconds, and how many each peer got of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Recent {
    attempts: VecDeque<(Time, u32)>,
    counts: Vec<u16>,
}

impl Recent {
    fn count(&self, slot: u32) -> u16 {
        self.counts.get(slot as usize).copied().unwrap_or(0)
    }

    fn add(&mut self, now: Time, slot: u32) {
        if self.counts.len() <= slot as usize {
            self.counts.resize(slot as usize + 1, 0);
        }
        self.counts[slot as usize] += 1;
        self.attempts.push_back((now, slot));
    }

    fn forget(&mut self, now: Time, config: &Config) {
        let since = now - config.share_cap_window;
        while let Some(&(at, slot)) = self.attempts.front()
            && (at < since || self.attempts.len() >= RECENT_MAX)
        {
            self.attempts.pop_front();
            self.counts[slot as usize] -= 1;
        }
    }

    fn check(&self) {
        let counted: usize = self.counts.iter().map(|count| usize::from(*count)).sum();
        assert_eq!(counted, self.attempts.len(), "each recent attempt is counted once");
        assert!(self.attempts.len() <= RECENT_MAX, "recent attempts are bounded");
    }
}
