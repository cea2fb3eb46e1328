//! Which rows are measured, and how long.

use core::time::Duration;
use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use formic_sim::detect::{Crashes, Figures, Pauses, Setting};

use crate::contest::{Contestant, Trial};

/// The seed of all worlds. Not one that settings were searched with.
const SEED: u64 = 20_261_124;

/// Loss below which bursts and stalls happen.
const BURST_LOSS: u64 = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    Quick,
    Full,
}

/// One row, to be measured.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) contestant: Contestant,
    pub(crate) setting: Setting,
    /// Share of peers that crash at once; 0 in all but one table.
    pub(crate) dead_percent: usize,
    /// Crashes, and a time without any.
    trials: Vec<Trial>,
}

/// One row, measured.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) row: Row,
    /// With crashes.
    pub(crate) crashes: Figures,
    /// Without any.
    pub(crate) quiet: Figures,
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How many peers there are in the rows of the main table.
pub(crate) const fn sizes(effort: Effort) -> &'static [usize] {
    match effort {
        Effort::Quick => &[10, 100],
        Effort::Full => &[10, 100, 1_000],
    }
}

/// Crashes one at a time, and a watch, of a mesh of `peers`.
fn trials(contestant: Contestant, peers: usize, effort: Effort) -> Vec<Trial> {
    let heavy = contestant.is_quadratic();
    let plan = |worlds, each| Crashes { worlds, each, ..Crashes::single() };
    let (plan, span) = match (peers, effort) {
        (..=10, Effort::Quick) => (plan(100, 1), s(600)),
        (..=10, Effort::Full) => (plan(500, 1), s(7_200)),
        (..=100, Effort::Quick) => (plan(10, 3), s(30)),
        (..=100, Effort::Full) if heavy => (plan(25, 4), s(60)),
        (..=100, Effort::Full) => (plan(50, 4), s(600)),
        _ if heavy => (Crashes { patience: s(3), ..plan(1, 4) }, s(4)),
        _ => (plan(2, 20), s(120)),
    };
    vec![Trial::Watch(plan.warm_up, span), Trial::Crashes(plan)]
}

/// Rows of the main table.
pub(crate) fn losses(effort: Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    for &peers in sizes(effort) {
        for loss_permille in [0, 50, 100, 200] {
            let setting = Setting { loss_permille, ..Setting::new(peers, SEED) };
            rows.extend(Contestant::ALL.map(|contestant| Row {
                contestant,
                setting: setting.clone(),
                dead_percent: 0,
                trials: trials(contestant, peers, effort),
            }));
        }
    }
    rows
}

/// Rows without crashes in which processes pause as `with` says.
fn pausing(effort: Effort, with: impl Fn(Setting) -> Setting) -> Vec<Row> {
    let mut rows = Vec::new();
    for (peers, quick, full) in [(10, 600, 7_200), (100, 30, 300)] {
        let span = if effort == Effort::Quick { quick } else { full };
        let setting = with(Setting::new(peers, SEED));
        rows.extend(Contestant::ALL.map(|contestant| Row {
            contestant,
            setting: setting.clone(),
            dead_percent: 0,
            trials: vec![Trial::Watch(s(2), s(span))],
        }));
    }
    rows
}

/// Rows of the table of stalls.
pub(crate) fn stalls(effort: Effort) -> Vec<Row> {
    pausing(effort, |setting| Setting { stalls: Some(Pauses::BUSY), ..setting })
}

/// Rows of the table of bursts.
pub(crate) fn bursts(effort: Effort) -> Vec<Row> {
    let outages = Some(Pauses { every: s(5), mean: Duration::from_millis(100) });
    pausing(effort, |setting| Setting { outages, loss_permille: BURST_LOSS, ..setting })
}

/// Rows of the table of correlated crashes.
pub(crate) fn correlated(effort: Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    for (peers, quick, full) in [(10, 100, 500), (100, 5, 50)] {
        let worlds = if effort == Effort::Quick { quick } else { full };
        for (loss_permille, dead_percent) in [(0, 30), (100, 30), (0, 50), (100, 50)] {
            let each = peers * dead_percent / 100;
            let spared = Some(0);
            let plan = Crashes { worlds, each, spared, ..Crashes::single() };
            let setting = Setting { loss_permille, ..Setting::new(peers, SEED) };
            rows.extend(Contestant::ALL.map(|contestant| Row {
                contestant,
                setting: setting.clone(),
                dead_percent,
                trials: vec![Trial::Correlated(plan.clone())],
            }));
        }
    }
    rows
}

/// Measures all rows on all cores; in the order given.
pub(crate) fn measure(rows: &[Row]) -> Vec<Measured> {
    each(rows, |row| {
        let (mut crashes, mut quiet) = (Figures::default(), Figures::default());
        for trial in &row.trials {
            let figures = row.contestant.measure(&row.setting, trial);
            match trial {
                Trial::Watch(..) => quiet.merge(figures),
                Trial::Crashes(_) | Trial::Correlated(_) => crashes.merge(figures),
            }
        }
        Measured { row: row.clone(), crashes, quiet }
    })
}

/// What `work` makes of each item, in order, on all cores.
pub(crate) fn each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return done };
            done.push((index, work(item)));
        }
    };
    let mut done = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .flat_map(|part| part.expect("a detector panicked: its message is above"))
            .collect::<Vec<_>>()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}
