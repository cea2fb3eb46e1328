use core::time::Duration;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use formic_sim::{Mark, Violation, completion, consensus, node};

use crate::{Options, Profile, Until};

/// From so many seeds on, a mark that no run reached is a failure.
const MARKED: u64 = 10_000;

/// The sum of many runs of one profile.
#[derive(Clone, Debug)]
pub enum Sum {
    /// Of whole nodes.
    Node(Box<node::Report>),
    /// Of completion alone.
    Completion(Box<completion::Report>),
    /// Of consensus alone.
    Consensus(Box<consensus::Report>),
}

impl Sum {
    fn new(profile: Profile) -> Self {
        match profile {
            Profile::Node | Profile::Scenario(_) => Self::Node(Box::default()),
            Profile::Completion => Self::Completion(Box::default()),
            Profile::Consensus => Self::Consensus(Box::default()),
        }
    }

    /// Runs that held.
    pub const fn seeds(&self) -> u64 {
        match self {
            Self::Node(report) => report.seeds,
            Self::Completion(report) => report.seeds,
            Self::Consensus(report) => report.seeds,
        }
    }

    fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Node(sum), Self::Node(one)) => sum.merge(one),
            (Self::Completion(sum), Self::Completion(one)) => sum.merge(one),
            (Self::Consensus(sum), Self::Consensus(one)) => sum.merge(one),
            // A campaign has one profile, so its parts are of one kind.
            (Self::Node(_) | Self::Completion(_) | Self::Consensus(_), _) => {}
        }
    }
}

/// What a campaign found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What the runs that held did.
    pub sum: Sum,
    /// Every run that did not, by seed.
    pub violations: Vec<Violation>,
    /// Marks that a campaign of this size and with these faults has to reach and did not.
    pub missed: Vec<Mark>,
    /// By the wall clock.
    pub took: Duration,
}

impl Outcome {
    /// Whether nothing is wrong.
    pub const fn holds(&self) -> bool {
        self.violations.is_empty() && self.missed.is_empty()
    }
}

/// Runs a campaign, seeds in parallel.
pub fn run(options: &Options) -> Outcome {
    let start = Instant::now();
    let next = AtomicU64::new(options.first);
    let end = options.first.saturating_add(options.seeds);
    let worker = || {
        let (mut sum, mut violations) = (Sum::new(options.profile), Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return (sum, violations);
            }
            match guarded(seed, || one(options, seed)) {
                Ok(report) => sum.merge(&report),
                Err(violation) => violations.push(violation),
            }
            if options.until == Until::Violation && !violations.is_empty() {
                next.store(end, Ordering::Relaxed);
            }
        }
    };
    let (mut sum, mut violations) = (Sum::new(options.profile), Vec::new());
    thread::scope(|scope| {
        let threads: Vec<_> = (0..options.jobs).map(|_| scope.spawn(worker)).collect();
        for thread in threads {
            if let Ok((part, found)) = thread.join() {
                sum.merge(&part);
                violations.extend(found);
            }
        }
    });
    violations.sort_by_key(|violation| violation.seed);
    let missed = missed(options, &sum);
    Outcome { sum, violations, missed, took: start.elapsed() }
}

pub(crate) fn missed(options: &Options, sum: &Sum) -> Vec<Mark> {
    match sum {
        Sum::Node(report)
            if options.profile == Profile::Node
                && options.seeds >= MARKED
                && options.kinds == node::Kinds::all() =>
        {
            report.marks.missing()
        }
        Sum::Node(_) | Sum::Completion(_) | Sum::Consensus(_) => vec![],
    }
}

fn one(options: &Options, seed: u64) -> Result<Sum, Violation> {
    match options.profile {
        Profile::Node => node::run_seed(seed, &options.kinds).map(Box::new).map(Sum::Node),
        Profile::Completion => completion::run(seed).map(Box::new).map(Sum::Completion),
        Profile::Consensus => consensus::run(seed).map(Box::new).map(Sum::Consensus),
        Profile::Scenario(scenario) => scenario.run(seed).map(Box::new).map(Sum::Node),
    }
}

/// A machine that panics is a violation of its seed, not the end of the campaign.
pub(crate) fn guarded<T>(
    seed: u64,
    run: impl FnOnce() -> Result<T, Violation>,
) -> Result<T, Violation> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err(Violation::panicked(seed)))
}
