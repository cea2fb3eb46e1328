//! The consensus profile: 4, 7 or 10 voters, up to a third of them lie, the network loses, doubles, delays,
//! reorders and is cut until it heals, honest voters crash and come back with their disks.
//!
//! One seed in twenty has one liar more than the protocol bears: all of them twins, the honest voters cut in
//! two. Then forks are allowed, and whoever forked must be found in the certificates that honest voters keep.
//!
//! Signatures are of a scheme for the simulator alone (8 bytes, a keyed mix): what is tested is the protocol.

use core::time::Duration;

use formic_core::{Digest, Time};

use crate::{Violation, engine::Watch, oracles::replays};

mod keys;
mod liars;
mod plan;
mod world;

pub use liars::Lie;

/// Events kept for a violation, unless more are asked for.
const TRACE: usize = 80;

/// What one run, or the sum of many, did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Runs.
    pub seeds: u64,
    /// Decisions, of each voter and instance once.
    pub decisions: u64,
    /// Of these, with liars as bearable: approved.
    pub approved: u64,
    /// Rejected.
    pub rejected: u64,
    /// Expired.
    pub expired: u64,
    /// Messages sent.
    pub messages: u64,
    /// Messages refused by their signatures or shape.
    pub refused: u64,
    /// Checked inputs that came too late, or from too far ahead.
    pub late: u64,
    /// Proofs against liars, at each honest voter that had one.
    pub accused: u64,
    /// Lives that died.
    pub crashes: u64,
    /// Times that as many rounds passed as there are voters.
    pub stalled: u64,
    /// Instances that too many liars forked.
    pub forks: u64,
    /// The highest round of a decision.
    pub rounds_max: u64,
    /// Virtual time, summed.
    pub virtual_time: Duration,
}

impl Report {
    /// Adds another report's counts.
    pub fn merge(&mut self, other: &Self) {
        let pairs = [
            (&mut self.seeds, other.seeds),
            (&mut self.decisions, other.decisions),
            (&mut self.approved, other.approved),
            (&mut self.rejected, other.rejected),
            (&mut self.expired, other.expired),
            (&mut self.messages, other.messages),
            (&mut self.refused, other.refused),
            (&mut self.late, other.late),
            (&mut self.accused, other.accused),
            (&mut self.crashes, other.crashes),
            (&mut self.stalled, other.stalled),
            (&mut self.forks, other.forks),
        ];
        pairs.into_iter().for_each(|(sum, one)| *sum += one);
        self.rounds_max = self.rounds_max.max(other.rounds_max);
        self.virtual_time += other.virtual_time;
    }
}

/// Runs one seed; each 50th twice, to see that it replays.
///
/// # Errors
/// The first claim that did not hold, with the last events before it.
pub fn run(seed: u64) -> Result<Report, Violation> {
    let plan = plan::Plan::of(seed);
    let (report, digest) = match world::World::run(seed, &plan, Watch::NOTHING) {
        Ok(result) => result,
        // A second run writes the trace down: nobody pays for it while all is well.
        Err(quiet) => {
            return match world::World::run(seed, &plan, Watch::last(TRACE)) {
                Err(traced) => Err(traced),
                Ok(_) => Err(quiet),
            };
        }
    };
    if seed.is_multiple_of(50) {
        let (_, again): (_, Digest) = world::World::run(seed, &plan, Watch::NOTHING)?;
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

/// Runs one seed and keeps the last `lines` events of a violation.
///
/// # Errors
/// The first claim that did not hold.
pub fn replay(seed: u64, lines: usize) -> Result<Report, Violation> {
    let plan = plan::Plan::of(seed);
    world::World::run(seed, &plan, Watch::last(lines)).map(|(report, _)| report)
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
mod tests {
    use super::*;

    /// A vote of a liar started the agreement before the ballots settled it: rounds passed without a value.
    #[test]
    fn rounds_are_counted_from_when_there_is_something_to_propose() {
        for seed in [451, 1_098, 1_533] {
            assert_eq!(run(seed).map(|report| report.seeds), Ok(1));
        }
    }

    /// The short campaign of the tests.
    #[test]
    fn a_campaign_holds() {
        let report = match campaign(0, 200) {
            Ok(report) => report,
            Err(violation) => panic!("{violation}"),
        };
        assert!(report.approved > 100 && report.rejected > 100, "{report:?}");
        assert!(report.expired > 10 && report.crashes > 50, "{report:?}");
        assert!(report.accused > 10 && report.refused > 10 && report.forks > 0, "{report:?}");
    }
}
