use core::time::Duration;

use crate::Error;

/// How trails fade, how peers are chosen, how much others are believed (pheromones.md section 9).
///
/// ```
/// # use {formic_core::*, formic_pheromones::{Config, Pheromones}};
/// # let me = Life::new(PeerId::from_bytes([7; 32]), Incarnation(1));
/// let mut config = Config::default();
/// config.candidates = 8; // Hints about load are old here: ask more peers.
/// let pheromones = Pheromones::new(config, me, Random::new(7))?;
/// # Ok::<(), formic_pheromones::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// The shortest half-life of a speed trail: `1 s..=1 h`, default 30 s. Shorter forgets sooner what
    /// has changed, and what was learned.
    pub half_life_min: Duration,
    /// Half-lives are doubled until this many mean services fit in: `30..=10,000`, default 300.
    pub services_per_half_life: u32,
    /// Half-life of quality over that of speed: `1..=100`, default 10. Verified outcomes are rare.
    pub quality_factor: u32,
    /// Exponent of what was learned in the draw of candidates: `0..=8`, default 3. With both exponents 0
    /// candidates are drawn evenly: trails then only enter the score.
    pub alpha: u32,
    /// Exponent of the load heard of in the draw of candidates: `0..=8`, default 2.
    pub beta: u32,
    /// How much a peer's speed at the kind counts beside its queue, default [`Affinity::Half`].
    pub affinity: Affinity,
    /// Each eligible peer's least weight in the draw, in thousandths of the largest: `0..=500`, default 20.
    pub floor_permille: u32,
    /// Candidates asked for a promise: `1..=16`, default 5.
    pub candidates: usize,
    /// Candidates above `many` eligible peers: `1..=16`, default 8.
    pub candidates_of_many: usize,
    /// See `candidates_of_many`: `2..=256`, default 16.
    pub many: usize,
    /// Candidates for kinds whose mean service is below `brief`, this peer among them if it can do it: `1..=16`,
    /// default 2.
    pub candidates_of_brief: usize,
    /// See `candidates_of_brief`: `0..=1 s`, default 20 ms.
    pub brief: Duration,
    /// Quality below which a peer is quarantined, in thousandths: `0..=950`, default 500. 0: never.
    pub quality_gate_permille: u32,
    /// Observed over promised latency from which a promise counts as broken, in tenths: `15..=1,000`,
    /// default 40. Below, promises are believed: crashes and stragglers look like lies.
    pub broken_promise_tenths: u32,
    /// A task is overdue after so many promised latencies and one mean service: `1..=64`, default 4.
    pub overdue_promises: u32,
    /// What one source may count for, in samples: `1..=64`, default 4.
    pub source_cap: u32,
    /// Share of the panel that may lie, in percent: `5..=45`, default 15.
    pub trim_percent: u32,
    /// Own trails are shared at most this often: `20 ms..=1 min`, default 200 ms.
    pub share_interval: Duration,
    /// Records shared, and accepted from one source, per second: `1..=1,000`, default 20.
    pub share_rate: u32,
    /// Records shared, and accepted from one source, at once: `1..=1,000`, default 100.
    pub share_burst: u32,
    /// Sources listened to in a larger mesh: `4..=256`, default 24.
    pub panel: usize,
    /// What a hardly verified peer may get of the last attempts where verification is rare, in tenths of a
    /// fair share: `10..=1,000`, default 15.
    pub share_cap_tenths: u32,
    /// The time over which `share_cap_tenths` counts: `1 s..=10 min`, default 10 s.
    pub share_cap_window: Duration,
    /// Mean service of a kind of which nothing is known: `1 ms..=24 h`, default 10 s. Too high costs less
    /// than too low.
    pub expect: Duration,
    /// Own trails, heard trails and attempts kept, each: `64..=1,000,000`, default 65,536.
    pub trails_max: usize,
    /// Kinds kept: `1..=65,536`, default 256.
    pub kinds_max: usize,
}

/// The exponent of a peer's own service time in its score (P7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Affinity {
    /// 0: shortest expected delay. Fast generalists take everything, and capacity is lost.
    None,
    /// 1/2: work stays with its specialists.
    Half,
    /// 1: like weighted workload, throughput-optimal for affinity (GB-PANDAS, arXiv 1709.08115).
    Full,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            half_life_min: Duration::from_secs(30),
            services_per_half_life: 300,
            quality_factor: 10,
            alpha: 3,
            beta: 2,
            affinity: Affinity::Half,
            floor_permille: 20,
            candidates: 5,
            candidates_of_many: 8,
            many: 16,
            candidates_of_brief: 2,
            brief: Duration::from_millis(20),
            quality_gate_permille: 500,
            broken_promise_tenths: 40,
            overdue_promises: 4,
            source_cap: 4,
            trim_percent: 15,
            share_interval: Duration::from_millis(200),
            share_rate: 20,
            share_burst: 100,
            panel: 24,
            share_cap_tenths: 15,
            share_cap_window: Duration::from_secs(10),
            expect: Duration::from_secs(10),
            trails_max: 65_536,
            kinds_max: 256,
        }
    }
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let us = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        const S: u64 = 1_000_000;
        within("half_life_min in us", us(self.half_life_min), S, 3_600 * S)?;
        within("services_per_half_life", self.services_per_half_life.into(), 30, 10_000)?;
        within("quality_factor", self.quality_factor.into(), 1, 100)?;
        within("alpha", self.alpha.into(), 0, 8)?;
        within("beta", self.beta.into(), 0, 8)?;
        within("floor_permille", self.floor_permille.into(), 0, 500)?;
        within("candidates", self.candidates as u64, 1, 16)?;
        within("candidates_of_many", self.candidates_of_many as u64, 1, 16)?;
        within("many", self.many as u64, 2, 256)?;
        within("candidates_of_brief", self.candidates_of_brief as u64, 1, 16)?;
        within("brief in us", us(self.brief), 0, S)?;
        within("quality_gate_permille", self.quality_gate_permille.into(), 0, 950)?;
        within("broken_promise_tenths", self.broken_promise_tenths.into(), 15, 1_000)?;
        within("overdue_promises", self.overdue_promises.into(), 1, 64)?;
        within("source_cap", self.source_cap.into(), 1, 64)?;
        within("trim_percent", self.trim_percent.into(), 5, 45)?;
        within("share_interval in us", us(self.share_interval), 20_000, 60 * S)?;
        within("share_rate", self.share_rate.into(), 1, 1_000)?;
        within("share_burst", self.share_burst.into(), 1, 1_000)?;
        within("panel", self.panel as u64, 4, 256)?;
        within("share_cap_tenths", self.share_cap_tenths.into(), 10, 1_000)?;
        within("share_cap_window in us", us(self.share_cap_window), S, 600 * S)?;
        within("expect in us", us(self.expect), 1_000, 86_400 * S)?;
        within("trails_max", self.trails_max as u64, 64, 1_000_000)?;
        within("kinds_max", self.kinds_max as u64, 1, 65_536)
    }
}

fn within(field: &'static str, value: u64, low: u64, high: u64) -> Result<(), Error> {
    if value < low || value > high {
        return Err(Error::Config { field, value, low, high });
    }
    Ok(())
}
