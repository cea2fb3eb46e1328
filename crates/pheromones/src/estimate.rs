//! What trails say about a peer: P1 to P3.

use crate::{
    Config,
    fixed::{ONE, scale},
    trails::Sums,
    units::{SAMPLE, TICKS},
};

/// One, as honesty: Q16.
pub(crate) const HONEST: u64 = 1 << 16;

/// What to expect of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Estimate {
    /// Mean service, in ticks, for a task of mean size.
    pub(crate) service: u64,
    /// Share of good results, Q32.
    pub(crate) quality: u64,
    /// Latency over promise, Q16; [`HONEST`] below the bound.
    pub(crate) honesty: u64,
}

impl Estimate {
    /// Of a kind whose mean service is `mean_us`.
    pub(crate) fn new(config: &Config, sums: &Sums, promises: (u64, u64), mean_us: u64) -> Self {
        let honesty = honesty(config, promises, mean_us);
        Self { service: service(sums, mean_us), quality: quality(sums), honesty }
    }

    /// P13.
    pub(crate) fn is_quarantined(&self, config: &Config) -> bool {
        let gate = scale(ONE, config.quality_gate_permille.into(), 1_000);
        formic_core::rule!("pheromones/P2-gate") && self.quality < gate
    }
}

/// P1: e = (S + 0.7 m) / (n + 1), at least m/100. The prior is better than the mean, so that everybody is
/// tried.
fn service(sums: &Sums, mean_us: u64) -> u64 {
    let mean = mean_us.saturating_mul(TICKS);
    let seen = sums.service.saturating_add(mean / 10 * 7);
    scale(seen, SAMPLE, sums.count.saturating_add(SAMPLE)).max(mean / 100).max(1)
}

/// P2: q = (qs + 1.9) / (qn + 2), in 0.02..=1.
fn quality(sums: &Sums) -> u64 {
    let good = sums.good.saturating_add(SAMPLE * 19 / 10);
    scale(good, ONE, sums.verified.saturating_add(2 * SAMPLE)).clamp(ONE / 50, ONE)
}

/// P3: rho = (o + m) / (p + m), in 1..=1,000; below the bound it counts as 1, because crashes and
/// stragglers look like lies.
fn honesty(config: &Config, (observed, promised): (u64, u64), mean_us: u64) -> u64 {
    let ratio = scale(observed.saturating_add(mean_us), HONEST, promised.saturating_add(mean_us));
    let bound = HONEST / 10 * u64::from(config.broken_promise_tenths);
    let believed = ratio < bound || !formic_core::rule!("pheromones/P3");
    if believed { HONEST } else { ratio.clamp(HONEST, HONEST * 1_000) }
}
