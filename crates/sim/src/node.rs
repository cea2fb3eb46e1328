//! The node profile: whole shipped nodes with links, disks, processes and agents in virtual time.
//!
//! ```text
//!   Plan (peers, jobs, faults: a text file) -> World -- one input --> Node -- effects --> links, disks, bodies
//!                                                |                                           |
//!                                                +-- what really happened --> oracles, marks <+
//! ```
//!
//! ```
//! use formic_sim::node::{self, Kinds, Plan};
//!
//! let plan = Plan::of(7, &Kinds::all());
//! let again: Plan = plan.to_string().parse()?; // A plan is a text.
//! assert_eq!(plan, again);
//! let report = node::run(&plan)?;
//! assert!(report.inputs > 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use core::time::Duration;
use std::collections::BTreeMap;

use formic_core::{Digest, Time};

use crate::{Violation, engine::Watch, marks::Marks, oracles::replays};

mod agents;
mod faults;
mod glue;
mod goal;
mod host;
mod links;
mod majority;
mod plan;
mod process;
mod scenarios;
mod shrink;
mod sky;
mod swarm;
#[cfg(test)]
mod tests;
mod text;
mod truth;
mod world;

pub use faults::{Disk, Fault, KINDS};
pub use plan::{Job, Kinds, Peer, Plan, Strike, When};
pub use scenarios::Scenario;
pub use shrink::{Shrunk, shrink};
pub use text::BadPlan;

/// Events kept for a violation.
const TRACE: usize = 60;

/// What one run, or the sum of many, did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Runs.
    pub seeds: u64,
    /// Jobs that somebody worked on.
    pub jobs: u64,
    /// Jobs that were acknowledged to their users.
    pub submitted: u64,
    /// Distinct tasks executed.
    pub tasks: u64,
    /// Bodies started.
    pub executions: u64,
    /// Verdicts learnt, by lives.
    pub verdicts: u64,
    /// Messages that a link took.
    pub messages: u64,
    /// Inputs fed to nodes.
    pub inputs: u64,
    /// Inputs refused as the caller's fault: races with the end of a task.
    pub refused: u64,
    /// Deadlines fed.
    pub wakes: u64,
    /// Events of this world.
    pub steps: u64,
    /// Events of worlds that came to their end.
    pub events: u64,
    /// Dials.
    pub dials: u64,
    /// Lives that began.
    pub starts: u64,
    /// Lives that died.
    pub crashes: u64,
    /// Views committed.
    pub views: u64,
    /// Lives that were evicted alive and went on as the next.
    pub reborn: u64,
    /// Runs whose majority was lost for good: nothing is promised then.
    pub waived: u64,
    /// Accepted jobs without a verdict: a majority of their newest home group is gone for good.
    pub lost_homes: u64,
    /// Live peers believed dead.
    pub false_downs: u64,
    /// Deaths in good weather whose detection was judged, by observers.
    pub detections: u64,
    /// Home take-overs by ranks above 0.
    pub takeovers: u64,
    /// Children given to another executor.
    pub respawns: u64,
    /// Faults that struck, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Rare situations, by how many runs reached them.
    pub marks: Marks,
    /// Virtual time, summed.
    pub virtual_time: Duration,
    /// From the last fault until all live peers knew one view of exactly them, summed and longest.
    pub one_view_sum: Duration,
    /// The longest of these.
    pub one_view_max: Duration,
    /// From the last fault until all was well, summed and longest.
    pub healed_sum: Duration,
    /// The longest of these.
    pub healed_max: Duration,
    /// What was written down, of one run.
    pub trace: Vec<String>,
}

impl Report {
    /// Adds another report's counts.
    pub fn merge(&mut self, other: &Self) {
        let pairs = [
            (&mut self.seeds, other.seeds),
            (&mut self.jobs, other.jobs),
            (&mut self.submitted, other.submitted),
            (&mut self.tasks, other.tasks),
            (&mut self.executions, other.executions),
            (&mut self.verdicts, other.verdicts),
            (&mut self.messages, other.messages),
            (&mut self.inputs, other.inputs),
            (&mut self.refused, other.refused),
            (&mut self.wakes, other.wakes),
            (&mut self.steps, other.steps),
            (&mut self.events, other.events),
            (&mut self.dials, other.dials),
            (&mut self.starts, other.starts),
            (&mut self.crashes, other.crashes),
            (&mut self.views, other.views),
            (&mut self.reborn, other.reborn),
            (&mut self.waived, other.waived),
            (&mut self.lost_homes, other.lost_homes),
            (&mut self.false_downs, other.false_downs),
            (&mut self.detections, other.detections),
            (&mut self.takeovers, other.takeovers),
            (&mut self.respawns, other.respawns),
        ];
        pairs.into_iter().for_each(|(sum, one)| *sum += one);
        for (kind, count) in &other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        self.marks.merge(&other.marks);
        self.virtual_time += other.virtual_time;
        self.one_view_sum += other.one_view_sum;
        self.one_view_max = self.one_view_max.max(other.one_view_max);
        self.healed_sum += other.healed_sum;
        self.healed_max = self.healed_max.max(other.healed_max);
    }
}

/// Runs a plan.
///
/// # Errors
/// The first claim that did not hold, with the last events before it.
pub fn run(plan: &Plan) -> Result<Report, Violation> {
    match replay(plan, Watch::NOTHING) {
        Ok((report, _)) => Ok(report),
        // A second run writes the trace down: nobody pays for it while all is well.
        Err(quiet) => Err(replay(plan, Watch::last(TRACE)).err().unwrap_or(quiet)),
    }
}

/// Runs a plan and writes down what is asked for; returns the digest of its trace as well.
///
/// # Errors
/// The first claim that did not hold.
pub fn replay(plan: &Plan, watch: Watch) -> Result<(Report, Digest), Violation> {
    world::World::new(plan, watch).run()
}

/// Runs one seed; each 50th twice, to see that it replays.
///
/// # Errors
/// The first claim that did not hold, with the last events before it.
pub fn run_seed(seed: u64, kinds: &Kinds) -> Result<Report, Violation> {
    let plan = Plan::of(seed, kinds);
    let report = run(&plan)?;
    if seed.is_multiple_of(50) {
        let (_, first) = replay(&plan, Watch::NOTHING)?;
        let (_, again) = replay(&plan, Watch::last(1))?;
        replays::at_end(first, again).map_err(|what| Violation {
            seed,
            oracle: "replays",
            at: Time::ZERO,
            what,
            trace: vec![],
        })?;
    }
    Ok(report)
}
