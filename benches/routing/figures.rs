//! What a run is judged by.

use crate::world::{Offered, S, Scenario, World};

/// Tasks offered before this are not scored: nobody has learned anything.
const WARM: u64 = 10 * S;
/// Nor those of the last second, which could not be late.
const LATE: u64 = S;
/// Latencies are averaged over so long for the adaptation time.
pub(crate) const WINDOW: u64 = 2 * S;

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Good,
    Bad,
    Refused,
}

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    scenario: Scenario,
    /// In microseconds; without refused tasks; unfinished ones with their age.
    latencies: Vec<u64>,
    offered: u64,
    in_time: u64,
    correct: u64,
    refused: u64,
    attempts: u64,
    to_liars: u64,
    pub(crate) probes: u64,
    pub(crate) hints: u64,
    pub(crate) trails: u64,
    /// Sum of latencies and number of tasks by window of their arrival.
    windows: Vec<(f64, u64)>,
    /// Attempts before the warm-up ended, too: for messages a task.
    all_tasks: u64,
}

impl Figures {
    pub(crate) fn new(world: &World) -> Self {
        let scenario = world.scenario;
        Self {
            scenario,
            latencies: Vec::new(),
            offered: 0,
            in_time: 0,
            correct: 0,
            refused: 0,
            attempts: 0,
            to_liars: 0,
            probes: 0,
            hints: 0,
            trails: 0,
            windows: vec![(0.0, 0); (scenario.seconds * S / WINDOW) as usize],
            all_tasks: world.tasks.len() as u64,
        }
    }

    pub(crate) fn attempt(&mut self, world: &World, now: u64, peer: usize) {
        if now >= WARM {
            self.attempts += 1;
            self.to_liars += u64::from(world.liar[peer]);
        }
    }

    pub(crate) fn task(&mut self, offered: &Offered, fate: Option<(u64, Fate)>, end: u64) {
        if offered.at < WARM || offered.at + LATE > end {
            return;
        }
        self.offered += 1;
        let latency = fate.map_or(end, |fate| fate.0) - offered.at;
        let fate = fate.map(|fate| fate.1);
        if fate == Some(Fate::Refused) {
            self.refused += 1;
            return;
        }
        self.latencies.push(latency);
        self.correct += u64::from(fate == Some(Fate::Good));
        self.in_time += u64::from(fate == Some(Fate::Good) && latency <= S);
        if let Some(window) = self.windows.get_mut((offered.at / WINDOW) as usize) {
            // One task that waits for ever says as much as one that waits for ten seconds.
            *window = (window.0 + latency.min(10 * S) as f64, window.1 + 1);
        }
    }

    pub(crate) fn row(&mut self) -> Row {
        self.latencies.sort_unstable();
        let at = |permille: usize| {
            let last = self.latencies.len().saturating_sub(1);
            self.latencies.get(last * permille / 1_000).map_or(0.0, |us| *us as f64 / 1_000.0)
        };
        let of = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        let windows =
            self.windows.iter().map(|(sum, count)| sum / (*count).max(1) as f64 / 1_000.0);
        Row {
            slo: 100.0 * of(self.in_time, self.offered),
            correct: 100.0 * of(self.correct, self.offered),
            p50: at(500),
            p99: at(990),
            share: 100.0 * of(self.to_liars, self.attempts),
            refused: 100.0 * of(self.refused, self.offered),
            probes: of(self.probes, self.all_tasks),
            hints: of(self.hints, self.all_tasks),
            trails: of(self.trails, self.all_tasks),
            windows: windows.collect(),
            half: (self.scenario.seconds * S / 2 / WINDOW) as usize,
        }
    }
}

/// One run's figures: percent, milliseconds, messages a task.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) slo: f64,
    pub(crate) correct: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) share: f64,
    pub(crate) refused: f64,
    pub(crate) probes: f64,
    pub(crate) hints: f64,
    pub(crate) trails: f64,
    windows: Vec<f64>,
    half: usize,
}

/// A mean over seeds and half of its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mean {
    pub(crate) mean: f64,
    pub(crate) half: f64,
}

/// Student's t, two-sided 95 %, by degrees of freedom from 1.
const T: [f64; 15] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131,
];

impl Mean {
    pub(crate) fn of(rows: &[Row], field: impl Fn(&Row) -> f64) -> Self {
        Self::of_values(&rows.iter().map(field).collect::<Vec<_>>())
    }

    pub(crate) fn of_values(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        if values.len() < 2 {
            return Self { mean, half: f64::INFINITY };
        }
        let square = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let t = T.get(values.len() - 2).copied().unwrap_or(2.131 - 0.171 * (1.0 - 16.0 / n));
        Self { mean, half: t * (square / (n - 1.0) / n).sqrt() }
    }
}

/// Seconds from the shift until the mean latency, over seeds, is within 1.25x of the last quarter's
/// median and stays there for one more window; none if it never is.
pub(crate) fn adaptation(rows: &[Row]) -> Option<u64> {
    let first = rows.first()?;
    let count = first.windows.len();
    let mean =
        |window: usize| rows.iter().map(|row| row.windows[window]).sum::<f64>() / rows.len() as f64;
    // The last window ends with the run: its tasks had no time to be late.
    let means: Vec<f64> = (0..count - 1).map(mean).collect();
    let mut last: Vec<f64> = means[count * 3 / 4..].to_vec();
    last.sort_by(f64::total_cmp);
    let bound = 1.25 * last[last.len() / 2];
    let settled = |window: &usize| means[*window..].iter().take(2).all(|mean| *mean <= bound);
    let window = (first.half..count - 1).find(settled)?;
    Some((window - first.half) as u64 * WINDOW / S)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(slo: f64, windows: Vec<f64>) -> Row {
        let half = windows.len() / 2;
        Row {
            slo,
            correct: 0.0,
            p50: 0.0,
            p99: 0.0,
            share: 0.0,
            refused: 0.0,
            probes: 0.0,
            hints: 0.0,
            trails: 0.0,
            windows,
            half,
        }
    }

    #[test]
    fn an_interval_is_students() {
        let rows: Vec<Row> = [1.0, 2.0, 3.0].into_iter().map(|slo| row(slo, vec![])).collect();
        let mean = Mean::of(&rows, |row| row.slo);
        assert!((mean.mean - 2.0).abs() < 1e-12);
        assert!((mean.half - 4.303 / 3.0_f64.sqrt()).abs() < 1e-3, "{}", mean.half);
    }

    #[test]
    fn adaptation_ends_where_latency_is_near_its_last_quarter() {
        let mut windows = vec![100.0; 20];
        windows[10] = 900.0;
        windows[11] = 300.0;
        assert_eq!(adaptation(&[row(0.0, windows.clone())]), Some(4));
        windows[13] = 500.0;
        assert_eq!(adaptation(&[row(0.0, windows)]), Some(8));
        assert_eq!(adaptation(&[]), None);
    }
}
