//! Who is asked, and who is chosen: P5 to P8, and the record for `formic why`.

use core::time::Duration;

use formic_core::{Digest, Key, Life, PeerId, Random, Time, rule};

use crate::{
    Affinity, Config, Kind, Size,
    estimate::{Estimate, HONEST},
    fixed::{ONE, exp2_negative, log2, scale},
    units::{TICKS, span},
};

/// Choices kept for promises to come, and for `formic why`.
pub(crate) const CHOICES_MAX: usize = 1_024;
/// log2 of 1,000 in Q32: a quarantined peer's trail counts for a thousandth.
const QUARANTINE: i64 = 42_802_895_103;

/// Why a task went where it went (`Pheromones::explain`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Choice {
    /// The task.
    pub key: Key,
    /// What it is an example of.
    pub kind: Kind,
    /// How large it is.
    pub size: Size,
    /// When candidates were drawn.
    pub at: Time,
    /// Who was asked, in the order of the draw.
    pub candidates: Vec<Candidate>,
    /// Who got it; nobody as long as promises are awaited, or if none came.
    pub chosen: Option<Life>,
}

/// One candidate, and what spoke for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// Who.
    pub life: Life,
    /// Its weight in the draw, in millionths of the largest.
    pub weight_ppm: u32,
    /// P1: expected service for a task of mean size, in microseconds.
    pub service_us: u64,
    /// P2: expected share of good results, in millionths.
    pub quality_ppm: u32,
    /// P3: latency over promise, in thousandths; 1,000 below the bound.
    pub honesty_permille: u32,
    /// What it promised, in microseconds: wait, own awards included that it cannot have seen, and service.
    pub promise_us: Option<(u64, u64)>,
    /// P7: the smallest wins.
    pub score: Option<u128>,
}

impl Candidate {
    pub(crate) fn new(life: Life, weight: u64, estimate: &Estimate) -> Self {
        Self {
            life,
            weight_ppm: scale(weight, 1_000_000, ONE) as u32,
            service_us: estimate.service / TICKS,
            quality_ppm: scale(estimate.quality, 1_000_000, ONE) as u32,
            honesty_permille: scale(estimate.honesty, 1_000, HONEST) as u32,
            promise_us: None,
            score: None,
        }
    }
}

/// The last choices, oldest overwritten: their memory is used again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Choices {
    ring: Vec<Choice>,
    /// Where the next one goes.
    next: usize,
}

impl Choices {
    /// A blank choice to be filled; candidates are empty.
    pub(crate) fn add(&mut self, (key, kind, size): (Key, Kind, Size), at: Time) -> &mut Choice {
        if self.ring.len() < CHOICES_MAX {
            let candidates = Vec::new();
            self.ring.push(Choice { key, kind, size, at, candidates, chosen: None });
        }
        let slot = self.next;
        self.next = (slot + 1) % CHOICES_MAX;
        let choice = &mut self.ring[slot];
        (choice.key, choice.kind, choice.size, choice.at) = (key, kind, size, at);
        choice.candidates.clear();
        choice.chosen = None;
        choice
    }

    /// Newest first.
    fn order(&self) -> impl Iterator<Item = usize> {
        let (newer, older) = (0..self.next, self.next..self.ring.len());
        newer.rev().chain(older.rev())
    }

    pub(crate) fn find(&self, key: Key) -> Option<&Choice> {
        self.order().filter_map(|slot| self.ring.get(slot)).find(|choice| choice.key == key)
    }

    fn find_mut(&mut self, key: Key) -> Option<&mut Choice> {
        let slot = self.order().find(|slot| self.ring[*slot].key == key)?;
        self.ring.get_mut(slot)
    }

    /// Notes what a candidate promised, and its score; false if it is none.
    pub(crate) fn note(
        &mut self,
        key: Key,
        life: Life,
        promise_us: (u64, u64),
        score: u128,
    ) -> bool {
        let choice = self.find_mut(key);
        let candidate = choice.and_then(|choice| {
            choice.candidates.iter_mut().find(|candidate| candidate.life == life)
        });
        let Some(candidate) = candidate else { return false };
        (candidate.promise_us, candidate.score) = (Some(promise_us), Some(score));
        true
    }

    pub(crate) fn close(&mut self, key: Key, chosen: Option<Life>) {
        if let Some(choice) = self.find_mut(key) {
            choice.chosen = chosen;
        }
    }

    pub(crate) fn check(&self) {
        assert!(self.ring.len() <= CHOICES_MAX, "choices are bounded (T10)");
    }
}

/// P5: the logarithm (Q32) of tau^alpha eta^beta; tau = q / (e rho), eta = 1 / (W rho + e + 0.2 m), tau
/// a thousandth in quarantine.
pub(crate) fn log_weight(
    config: &Config,
    estimate: &Estimate,
    (backlog_us, mean_us): (u64, u64),
) -> i64 {
    if !rule!("pheromones/trail") {
        return 0; // An even draw: what the ablation `no trails` of the benches does by alpha = beta = 0.
    }
    let wait = scale(backlog_us.saturating_mul(TICKS), estimate.honesty, HONEST);
    let expected =
        wait.saturating_add(estimate.service).saturating_add(mean_us.saturating_mul(TICKS) / 5);
    let mut tau = log2(estimate.quality) - log2(estimate.service) - log2(estimate.honesty);
    if estimate.is_quarantined(config) {
        tau -= QUARANTINE;
    }
    i64::from(config.alpha) * tau - i64::from(config.beta) * log2(expected)
}

/// P5: logarithms to weights (Q32), each at least the floor's share of the largest.
pub(crate) fn normalise(config: &Config, logs: &[i64], out: &mut Vec<u64>) {
    let largest = logs.iter().copied().max().unwrap_or(0);
    let mut floor = scale(ONE, config.floor_permille.into(), 1_000).max(1);
    if !rule!("pheromones/floor") {
        floor = 1;
    }
    out.extend(logs.iter().map(|log| exp2_negative(largest.abs_diff(*log)).max(floor)));
}

/// Draws a position by weight and takes it out; none if nothing has weight.
pub(crate) fn draw(random: &mut Random, weights: &mut [u64]) -> Option<(usize, u64)> {
    let total: u64 = weights.iter().sum();
    let mut left = random.below(total);
    let position = weights.iter().position(|weight| {
        let here = left < *weight;
        left = left.wrapping_sub(*weight);
        here
    })?;
    Some((position, core::mem::take(&mut weights[position])))
}

/// P7 for one candidate. All times in microseconds, for this task's size.
pub(crate) struct Scored<'a> {
    pub(crate) config: &'a Config,
    pub(crate) estimate: Estimate,
    /// w' and s.
    pub(crate) promise: (u64, u64),
    /// m x size.
    pub(crate) mean_us: u64,
    /// v, Q32.
    pub(crate) verified: u64,
}

impl Scored<'_> {
    /// (rho w' + a + m (1/q - 1)) x a^affinity, x 1,000,000 in quarantine; a = max(m/100, rho s) (1 + v (1 -
    /// q)): the last two terms price the redo of a bad result.
    pub(crate) fn score(&self) -> u128 {
        let Estimate { quality, honesty, .. } = self.estimate;
        let (wait, service) = self.promise;
        let (wait, service) = (scale(wait, honesty, HONEST), scale(service, honesty, HONEST));
        let bad = scale(self.verified, ONE - quality, ONE);
        let own = scale(service.max(self.mean_us / 100).max(1), ONE + bad, ONE);
        let redo = scale(self.mean_us, ONE - quality, quality);
        let delay = u128::from(wait.saturating_add(own).saturating_add(redo));
        let half = rule!("pheromones/P7-affinity");
        let factor = match self.config.affinity {
            Affinity::Half if half => u128::from((own << 16).isqrt()),
            Affinity::Half | Affinity::None => 1 << 8,
            Affinity::Full => u128::from(own) << 8,
        };
        let gate = if self.estimate.is_quarantined(self.config) { 1_000_000 } else { 1 };
        delay * factor * gate
    }
}

/// P8: ties go by a hash, so that they do not pile up on the smallest id.
pub(crate) fn tie(key: Key, peer: PeerId) -> Digest {
    Digest::of(&[key.as_bytes(), peer.as_bytes()])
}

/// Wait and service together.
pub(crate) fn promised((wait, service): (u64, u64)) -> Duration {
    span(wait.saturating_add(service))
}
