//! Two contestants in one run: their rounds alternate, so that what disturbs one disturbs the other.

use core::time::Duration;
use std::time::Instant;

use formic_core::Random;
use rustix::time::{ClockId, clock_gettime};

/// Rounds that only warm up.
const DROPPED: usize = 2;
/// How often the median is taken of resampled rounds.
const RESAMPLES: usize = 2_000;

/// What one round did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Round {
    /// Units of work, e.g. messages.
    pub units: u64,
    /// Wall time.
    pub wall: Duration,
    /// Time of all threads of the process, user and system.
    pub cpu: Duration,
}

/// A round that is running.
#[derive(Debug)]
pub struct Timer {
    wall: Instant,
    cpu: Duration,
}

/// Time of all threads of this process so far.
fn cpu() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = Duration::from_secs(spent.tv_sec.unsigned_abs());
    seconds + Duration::from_nanos(spent.tv_nsec.unsigned_abs())
}

impl Timer {
    /// The round begins.
    pub fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu() }
    }

    /// The round ends.
    pub fn stop(self, units: u64) -> Round {
        Round { units, wall: self.wall.elapsed(), cpu: cpu().saturating_sub(self.cpu) }
    }
}

impl Round {
    /// Units per second.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub fn rate(&self) -> f64 {
        self.units as f64 / self.wall.as_secs_f64()
    }

    /// Nanoseconds of processor time per unit.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub fn cpu_ns(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e9 / self.units as f64
    }
}

/// Both contestants' rounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Pairs {
    /// Ours and theirs, round by round, warm.
    pub rounds: Vec<[Round; 2]>,
}

/// A ratio and the interval that holds it with 95 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// Median over the pairs of rounds.
    pub median: f64,
    /// 2.5th percentile of the resampled median.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
}

impl Pairs {
    /// Runs `rounds` rounds of each after two that are dropped: ours first, theirs first, in turn.
    ///
    /// # Panics
    /// If no round is asked for.
    pub fn run(
        rounds: usize,
        mut ours: impl FnMut() -> Round,
        mut theirs: impl FnMut() -> Round,
    ) -> Self {
        assert!(rounds > 0, "a comparison takes at least one round");
        let mut kept = Vec::with_capacity(rounds);
        for round in 0..rounds + DROPPED {
            let pair = if round % 2 == 0 {
                let first = ours();
                [first, theirs()]
            } else {
                let first = theirs();
                [ours(), first]
            };
            if round >= DROPPED {
                kept.push(pair);
            }
        }
        Self { rounds: kept }
    }

    /// The median of a figure of ours (0) or theirs (1).
    pub fn median(&self, side: usize, figure: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(|pair| figure(&pair[side])).collect())
    }

    /// Ours over theirs.
    pub fn ratio(&self, figure: impl Fn(&Round) -> f64) -> Ratio {
        let ratios: Vec<f64> =
            self.rounds.iter().map(|[ours, theirs]| figure(ours) / figure(theirs)).collect();
        let mut random = Random::new(1);
        let mut medians: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                let resampled =
                    (0..ratios.len()).filter_map(|_| random.pick(&ratios).copied()).collect();
                median(resampled)
            })
            .collect();
        medians.sort_by(f64::total_cmp);
        let (low, high) = (medians[RESAMPLES / 40], medians[RESAMPLES - 1 - RESAMPLES / 40]);
        Ratio { median: median(ratios), low, high }
    }
}

/// The middle of the values.
///
/// # Panics
/// If there is none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        return values[middle];
    }
    f64::midpoint(values[middle - 1], values[middle])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(units: u64, ms: u64) -> Round {
        Round { units, wall: Duration::from_millis(ms), cpu: Duration::from_millis(ms) }
    }

    #[test]
    fn the_ratio_is_taken_pair_by_pair() {
        let mut slow = 0;
        // The machine gets slower by the round: the ratio does not.
        let mut next = |units| {
            slow += 1;
            round(units, 100 * (slow + slow % 2))
        };
        let mut pairs = Vec::new();
        for _ in 0..5 {
            pairs.push([next(3_000), next(1_000)]);
        }
        let pairs = Pairs { rounds: pairs };
        let ratio = pairs.ratio(Round::rate);
        for it in [ratio.median, ratio.low, ratio.high] {
            assert!((it - 3.0).abs() < 1e-9, "{ratio:?}");
        }
        assert!(pairs.median(0, Round::rate) < 15_001.0);
    }

    #[test]
    fn both_begin_equally_often_and_two_are_dropped() {
        let order = core::cell::RefCell::new(String::new());
        let go = |name: char| {
            order.borrow_mut().push(name);
            round(1, 1)
        };
        let pairs = Pairs::run(4, || go('a'), || go('b'));
        assert_eq!(pairs.rounds.len(), 4);
        assert_eq!(order.into_inner(), "abbaabbaabba");
    }

    #[test]
    fn medians() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
    }
}
