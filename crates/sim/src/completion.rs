//! The completion profile: whole jobs on 1 to 200 peers, with and without faults.
//!
//! `run` is a pure function of the seed, so seeds may run in parallel, one per thread.

use core::time::Duration;

use formic_core::{Digest, Time};

use crate::{Violation, engine::Watch, oracles::replays};

mod bodies;
mod detector;
mod events;
mod faults;
pub mod plan;
mod running;
mod views;
mod world;

/// Events kept for a violation, unless more are asked for.
const TRACE: usize = 80;

/// What one run, or the sum of many, did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Runs.
    pub seeds: u64,
    /// Distinct tasks executed.
    pub tasks: u64,
    /// Bodies started.
    pub executions: u64,
    /// Messages sent.
    pub messages: u64,
    /// Of these: Work.
    pub work: u64,
    /// Lives that died.
    pub crashes: u64,
    /// Lives that came back.
    pub restarts: u64,
    /// Live peers believed dead.
    pub suspicions: u64,
    /// Home take-overs by ranks above 0.
    pub takeovers: u64,
    /// Changes of the home group, at the first life that knew each.
    pub successions: u64,
    /// Children given to another executor.
    pub respawns: u64,
    /// Verdicts that excluded somebody.
    pub exclusions: u64,
    /// Lives that learnt the verdict.
    pub closed: u64,
    /// Runs whose home group lost its quorum for good before it had stored the job.
    pub waived: u64,
    /// Runs in which all lives that knew the verdict died for good: the others cannot learn it.
    pub untold: u64,
    /// Runs in which the two proofs disagreed for a while or for good.
    pub anomalies: u64,
    /// Virtual time, summed.
    pub virtual_time: Duration,
    /// Last end of a body to `Complete`, summed and largest, fault-free runs only.
    pub to_complete: Span,
    /// `Complete` to the first verdict, likewise.
    pub to_verdict: Span,
    /// First verdict to the last, likewise.
    pub to_all: Span,
}

/// A sum of spans, their number, and the largest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// How many.
    pub count: u32,
    /// Their sum.
    pub sum: Duration,
    /// The largest.
    pub max: Duration,
}

impl Span {
    fn add(&mut self, from: Option<Time>, to: Option<Time>) {
        if let (Some(from), Some(to)) = (from, to) {
            let one = to.since(from);
            self.merge(&Self { count: 1, sum: one, max: one });
        }
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }

    /// The average; zero of none.
    pub fn mean(&self) -> Duration {
        self.sum.checked_div(self.count).unwrap_or_default()
    }
}

impl Report {
    /// Adds another report's counts.
    pub fn merge(&mut self, other: &Self) {
        let pairs = [
            (&mut self.seeds, other.seeds),
            (&mut self.tasks, other.tasks),
            (&mut self.executions, other.executions),
            (&mut self.messages, other.messages),
            (&mut self.work, other.work),
            (&mut self.crashes, other.crashes),
            (&mut self.restarts, other.restarts),
            (&mut self.suspicions, other.suspicions),
            (&mut self.takeovers, other.takeovers),
            (&mut self.successions, other.successions),
            (&mut self.respawns, other.respawns),
            (&mut self.exclusions, other.exclusions),
            (&mut self.closed, other.closed),
            (&mut self.waived, other.waived),
            (&mut self.untold, other.untold),
            (&mut self.anomalies, other.anomalies),
        ];
        pairs.into_iter().for_each(|(sum, one)| *sum += one);
        self.virtual_time += other.virtual_time;
        self.to_complete.merge(&other.to_complete);
        self.to_verdict.merge(&other.to_verdict);
        self.to_all.merge(&other.to_all);
    }
}

/// Runs one seed; each 50th twice, to see that it replays.
///
/// # Errors
/// The first claim that did not hold, with the last events before it.
pub fn run(seed: u64) -> Result<Report, Violation> {
    let plan = plan::Plan::of(seed);
    let (report, digest) = run_plan(seed, &plan)?;
    if seed.is_multiple_of(50) {
        let (_, again) = run_plan(seed, &plan)?;
        replays::at_end(digest, again).map_err(|what| Violation {
            seed,
            oracle: "replays",
            at: Time::ZERO,
            what,
            trace: vec![],
        })?;
    }
    Ok(report)
}

/// Runs a given plan under a seed's draws; returns the digest of its trace as well.
///
/// # Errors
/// The first claim that did not hold, with the last events before it.
pub fn run_plan(seed: u64, plan: &plan::Plan) -> Result<(Report, Digest), Violation> {
    match world::World::new(seed, plan, Watch::NOTHING).run() {
        Ok(result) => Ok(result),
        // A second run writes the trace down: nobody pays for it while all is well.
        Err(quiet) => match world::World::new(seed, plan, Watch::last(TRACE)).run() {
            Err(traced) => Err(traced),
            Ok(_) => Err(quiet),
        },
    }
}

/// Runs one seed and keeps the last `lines` events of a violation.
///
/// # Errors
/// The first claim that did not hold.
pub fn replay(seed: u64, lines: usize) -> Result<Report, Violation> {
    let plan = plan::Plan::of(seed);
    world::World::new(seed, &plan, Watch::last(lines)).run().map(|(report, _)| report)
}

/// Runs `count` seeds from `first` on, one after the other.
///
/// # Errors
/// The first violation.
pub fn campaign(first: u64, count: u64) -> Result<Report, Violation> {
    let mut sum = Report::default();
    for seed in first..first + count {
        sum.merge(&run(seed)?);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests;
