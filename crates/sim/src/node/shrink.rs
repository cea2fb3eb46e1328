//! Makes a plan smaller while it still violates the same claim.

use super::{
    Plan,
    plan::{When, peers_of},
};
use crate::{Violation, completion::plan::Shape};

/// A smaller plan, and how it was found.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The plan.
    pub plan: Plan,
    /// What it violates.
    pub violation: Violation,
    /// How many plans were run.
    pub runs: usize,
}

struct Search<'a> {
    best: Plan,
    violation: Violation,
    runs: usize,
    limit: usize,
    run: &'a mut dyn FnMut(&Plan) -> Option<Violation>,
}

impl Search<'_> {
    /// Takes the plan if it violates the same claim.
    fn takes(&mut self, plan: Plan) -> bool {
        if plan == self.best || self.runs >= self.limit || plan.check().is_err() {
            return false;
        }
        self.runs += 1;
        match (self.run)(&plan) {
            Some(violation) if violation.oracle == self.violation.oracle => {
                (self.best, self.violation) = (plan, violation);
                true
            }
            _ => false,
        }
    }

    /// Removes runs of faults, halves first, then smaller ones, until no single one can go.
    fn fewer_faults(&mut self) {
        let mut size = self.best.faults.len();
        while size > 0 {
            let mut from = 0;
            while from < self.best.faults.len() {
                let mut plan = self.best.clone();
                let to = (from + size).min(plan.faults.len());
                plan.faults.drain(from..to);
                if !self.takes(plan) {
                    from += size;
                }
            }
            size /= 2;
        }
    }

    fn fewer_peers(&mut self) {
        for peer in (1..self.best.peers.len()).rev() {
            let mut plan = self.best.clone();
            plan.peers[peer].start = None;
            plan.faults.retain(|strike| {
                let named = peers_of(&strike.fault);
                named.is_empty() || named.iter().any(|named| *named != peer)
            });
            self.takes(plan);
        }
    }

    fn fewer_jobs(&mut self) {
        // From the last on: the others keep their numbers, and with them their draws.
        while self.best.jobs.len() > 1 {
            let mut plan = self.best.clone();
            plan.jobs.pop();
            if !self.takes(plan) {
                break;
            }
        }
        for job in 0..self.best.jobs.len() {
            self.smaller_job(job);
        }
    }

    fn smaller_job(&mut self, job: usize) {
        let changes: [fn(&mut crate::completion::plan::Workload); 8] = [
            |work| work.width = 1,
            |work| work.width /= 2,
            |work| work.depth = 1,
            |work| work.moody = 0,
            |work| work.exclusive = 0,
            |work| work.tails = 0,
            |work| work.joins = 0,
            |work| work.shape = Shape::Flat,
        ];
        for change in changes {
            let mut plan = self.best.clone();
            change(&mut plan.jobs[job].work);
            if plan.jobs[job].work.width > 0 {
                self.takes(plan);
            }
        }
    }

    fn plainer(&mut self) {
        let mut plan = self.best.clone();
        (plan.delay, plan.jitter) = (500, 1);
        self.takes(plan);
        let mut plan = self.best.clone();
        plan.held_max = 10_000;
        self.takes(plan);
        for number in 0..self.best.faults.len() {
            let mut plan = self.best.clone();
            if let When::At(at) = &mut plan.faults[number].when {
                // Full tenths of a second are easier to read.
                *at = formic_core::Time::from_us(at.as_us() / 100_000 * 100_000);
            }
            self.takes(plan);
        }
    }
}

/// Shrinks a plan with at most `limit` runs. `run` says what a plan violates, if anything. `None`: the
/// plan violates nothing.
pub fn shrink(
    plan: &Plan,
    limit: usize,
    run: &mut dyn FnMut(&Plan) -> Option<Violation>,
) -> Option<Shrunk> {
    let violation = run(plan)?;
    let mut search = Search { best: plan.clone(), violation, runs: 1, limit, run };
    loop {
        let before = search.best.clone();
        search.fewer_faults();
        search.fewer_peers();
        search.fewer_jobs();
        search.plainer();
        if search.best == before || search.runs >= limit {
            break;
        }
    }
    Some(Shrunk { plan: search.best, violation: search.violation, runs: search.runs })
}
