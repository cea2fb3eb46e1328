//! Plans that are written, not drawn: what a mesh is asked to survive by name (healing.md section 1).

use core::time::Duration;

use formic_core::Time;

use super::{
    Report,
    faults::Fault,
    plan::{Job, Peer, Plan, Strike, When},
    run,
};
use crate::{
    Draw, Violation,
    completion::plan::{Shape, Workload},
};

/// How many peers each scenario begins with.
const PEERS: usize = 10;
/// A crash is detected, evicted, and the home group refilled well before the next one.
const STEP: Duration = Duration::from_millis(2_500);
const FIRST: Time = Time::from_us(2_000_000);

/// A named scenario. The seed draws who is hit and all delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Eight of ten peers crash for good, one after the other, while a job runs; a new job at each step.
    Shrinking,
    /// Ten peers are cut six to four, or five to five, for ten seconds while a job runs.
    Split,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Shrinking, Self::Split];

    /// How it is called on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shrinking => "shrinking",
            Self::Split => "split",
        }
    }

    /// The one that is called so.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == name)
    }

    /// What happens under this seed.
    pub fn plan(self, seed: u64) -> Plan {
        match self {
            Self::Shrinking => shrinking(seed),
            Self::Split => split(seed),
        }
    }

    /// Runs it. Nothing is waived here: the majority and a majority of each home group are there all the time,
    /// so every job ends.
    ///
    /// # Errors
    /// The first claim that does not hold.
    pub fn run(self, seed: u64) -> Result<Report, Violation> {
        let plan = self.plan(seed);
        let report = run(&plan)?;
        let jobs = plan.jobs.len() as u64;
        let kept = report.waived + report.lost_homes == 0 && report.submitted == jobs;
        if kept {
            return Ok(report);
        }
        let what = format!(
            "{} of {jobs} jobs accepted, {} of them lost their home group, {} meshes their majority",
            report.submitted, report.lost_homes, report.waived
        );
        Err(Violation { seed, oracle: self.name(), at: plan.calm, what, trace: vec![] })
    }
}

/// The peers in an order of the seed's.
fn shuffled(draw: Draw) -> Vec<usize> {
    let mut peers: Vec<usize> = (0..PEERS).collect();
    peers.sort_by_key(|peer| draw.below("scenario-order", &[*peer as u64], u64::MAX));
    peers
}

fn peers() -> Vec<Peer> {
    (0..PEERS).map(|process| Peer { start: Some(Time::ZERO), slots: 2, process }).collect()
}

/// A chain of so many bodies of about half a second.
fn long_job(peer: usize, width: u64) -> Job {
    let workload = Workload {
        shape: Shape::Chain,
        width,
        depth: 1,
        tails: 0,
        joins: 300,
        moody: 0,
        exclusive: 0,
        body: Duration::from_millis(512),
    };
    Job { at: Time::from_us(1_000_000), peer, work: workload }
}

fn shrinking(seed: u64) -> Plan {
    let order = shuffled(Draw::new(seed));
    let (dying, staying) = order.split_at(8);
    let mut plan = Plan { seed, peers: peers(), ..Plan::empty() };
    // The one that hosts it may be the first to die.
    plan.jobs.push(long_job(order[usize::from(seed.is_multiple_of(2)) * 9], 55));
    for (step, peer) in (0..).zip(dying) {
        let at = FIRST + STEP * step;
        let fault = Fault::Crash { peer: *peer, back: None };
        plan.faults.push(Strike { when: When::At(at), fault });
        let work = Workload {
            shape: Shape::Flat,
            width: 8,
            body: Duration::from_millis(16),
            ..long_job(0, 1).work
        };
        let host = staying[usize::try_from(step).unwrap_or(0) % staying.len()];
        plan.jobs.push(Job { at: at + STEP / 2, peer: host, work });
        plan.calm = at + STEP;
    }
    plan
}

fn split(seed: u64) -> Plan {
    let order = shuffled(Draw::new(seed));
    let larger = if seed.is_multiple_of(2) { 6 } else { 5 };
    let (left, right) = order.split_at(larger);
    let mut plan = Plan { seed, peers: peers(), ..Plan::empty() };
    plan.jobs = vec![long_job(order[0], 30), long_job(order[9], 30)];
    let (left, right, span) = (left.to_vec(), right.to_vec(), Duration::from_secs(10));
    plan.faults
        .push(Strike { when: When::At(FIRST), fault: Fault::Partition { left, right, span } });
    plan.calm = FIRST + span;
    plan
}
