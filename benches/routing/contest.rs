//! Who competes, and how a cell of the tables is run: seeds in parallel, one thread each.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::{sync::Mutex, thread};

use formic_pheromones::{Affinity, Config};

use crate::{
    engine::Engine,
    figures::Row,
    formic::{Formic, Options, Rescue, Sharing},
    rivals::{Ejection, Name, Rival},
    world::{Scenario, World},
};

/// Longest wait where overload is refused (work.md 5).
pub(crate) const MAX_WAIT: u64 = 600_000;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Contestant {
    Formic(&'static str, Box<Options>),
    Rival(&'static str, Name, Ejection),
}

impl Contestant {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Formic(name, _) | Self::Rival(name, ..) => name,
        }
    }
}

pub(crate) fn formic() -> Contestant {
    Contestant::Formic("formic", Box::default())
}

/// The same, and what cannot be in time is refused at once.
pub(crate) fn admitting() -> Contestant {
    let options = Options { max_wait: Some(MAX_WAIT), ..Options::default() };
    Contestant::Formic("formic, max wait 600 ms", Box::new(options))
}

pub(crate) const ORACLE: Contestant = Contestant::Rival("oracle", Name::Oracle, Ejection::No);
pub(crate) const TWIN: Contestant =
    Contestant::Rival("naive twin, believes all", Name::NaiveTwin, Ejection::No);
pub(crate) const TWO_CHOICES: Contestant = Contestant::Rival("p2c", Name::TwoChoices, Ejection::No);
pub(crate) const PREQUAL: Contestant =
    Contestant::Rival("Prequal-like", Name::Prequal, Ejection::No);

/// All baselines of 12.2, the oracle last.
pub(crate) fn rivals() -> Vec<Contestant> {
    use Contestant::Rival;
    use Ejection::{No, Yes};
    vec![
        Rival("random", Name::Random, No),
        Rival("round robin", Name::RoundRobin, No),
        Rival("least loaded", Name::LeastLoaded, No),
        Rival("least requests", Name::LeastRequests, No),
        Rival("peak-EWMA", Name::PeakEwma, No),
        Rival("peak-EWMA + ejection", Name::PeakEwma, Yes),
        TWO_CHOICES,
        Rival("JSQ(5)", Name::JoinShortest, No),
        Rival("SED(5)", Name::ShortestDelay, No),
        Rival("SED(5) + ejection", Name::ShortestDelay, Yes),
        PREQUAL,
        Rival("Thompson", Name::Thompson, No),
        Rival("naive ants", Name::NaiveAnts, No),
        ORACLE,
    ]
}

/// What is left when one thing is switched off, by configuration alone.
pub(crate) fn ablations() -> Vec<Contestant> {
    let with = |name, change: fn(&mut Options)| {
        let mut options = Options::default();
        change(&mut options);
        Contestant::Formic(name, Box::new(options))
    };
    vec![
        formic(),
        with("no trails in the draw", |options| {
            (options.config.alpha, options.config.beta) = (0, 0);
        }),
        with("affinity 0", |options| options.config.affinity = Affinity::None),
        with("affinity 1", |options| options.config.affinity = Affinity::Full),
        with("no quality gate", |options| options.config.quality_gate_permille = 0),
        with("no sharing", |options| options.sharing = Sharing::Off),
        with("promises believed up to 100x", |options| {
            options.config.broken_promise_tenths = 1_000;
        }),
        with("no rescue", |options| options.rescue = Rescue::Off),
        with("alpha 1", |options| options.config.alpha = 1),
        with("d = 2", |options| options.config.candidates = 2),
        with("d = 3", |options| options.config.candidates = 3),
        with("d = 8", |options| options.config.candidates = 8),
        with("half-life from 10 s", |options| {
            options.config.half_life_min = core::time::Duration::from_secs(10);
        }),
        with("floor 0", |options| options.config.floor_permille = 0),
    ]
}

/// Five candidates however many are eligible.
pub(crate) fn always_five() -> Contestant {
    let mut config = Config::default();
    config.candidates_of_many = 5;
    Contestant::Formic("formic, d = 5", Box::new(Options { config, ..Options::default() }))
}

fn once(contestant: &Contestant, scenario: Scenario, seed: u64) -> Row {
    let world = World::new(scenario, seed);
    let mut figures = match contestant {
        Contestant::Formic(_, options) => {
            let rule = Formic::new(&world, (**options).clone());
            Engine::new(world, rule).run()
        }
        Contestant::Rival(_, name, ejection) => {
            let rule = Rival::new(&world, *name, *ejection);
            Engine::new(world, rule).run()
        }
    };
    figures.row()
}

/// One row per seed, in the order of the seeds.
pub(crate) fn run(contestant: &Contestant, scenario: Scenario, seeds: &[u64]) -> Vec<Row> {
    let next = AtomicUsize::new(0);
    let rows: Mutex<Vec<(usize, Row)>> = Mutex::new(Vec::new());
    let work = || {
        while let Some((place, seed)) = claim(&next, seeds) {
            let row = once(contestant, scenario, seed);
            if let Ok(mut rows) = rows.lock() {
                rows.push((place, row));
            }
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
    let mut rows = rows.into_inner().unwrap_or_default();
    assert_eq!(rows.len(), seeds.len(), "every seed has run");
    rows.sort_by_key(|row| row.0);
    rows.into_iter().map(|row| row.1).collect()
}

fn claim(next: &AtomicUsize, seeds: &[u64]) -> Option<(usize, u64)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    seeds.get(place).map(|seed| (place, *seed))
}
