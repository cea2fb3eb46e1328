//! What a seed decides before time starts: peers, work, faults.

use core::time::Duration;

use formic_core::Time;

use super::{faults::Fault, swarm::Swarm, text::BadPlan};
use crate::{completion::plan::Workload, marks::Mark};

/// One peer of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// When it starts; `None`: never.
    pub start: Option<Time>,
    /// Bodies it runs at once.
    pub slots: u32,
    /// The process it is in: peers of one die together.
    pub process: usize,
}

/// One job of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// When it is submitted.
    pub at: Time,
    /// Where.
    pub peer: usize,
    /// What it looks like.
    pub work: Workload,
}

/// When a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At this moment.
    At(Time),
    /// So long after a mark was reached first.
    Mark(Mark, Duration),
}

/// One line of a plan: what goes wrong, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strike {
    /// When.
    pub when: When,
    /// What.
    pub fault: Fault,
}

/// A run's decisions. Everything else is drawn from the seed by identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Seeds all draws.
    pub seed: u64,
    /// A link's smallest delay in microseconds.
    pub delay: u64,
    /// What is added to it at most.
    pub jitter: u64,
    /// Tasks held back at their owner above which spawns are acknowledged late.
    pub held_max: usize,
    /// By number.
    pub peers: Vec<Peer>,
    /// By number.
    pub jobs: Vec<Job>,
    /// What goes wrong.
    pub faults: Vec<Strike>,
    /// From here on, nothing goes wrong.
    pub calm: Time,
}

/// Which kinds of faults a campaign draws.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kinds(Vec<&'static str>);

impl Kinds {
    /// Every kind.
    pub fn all() -> Self {
        Self(super::faults::KINDS.to_vec())
    }

    /// `all`, `none`, or kinds with commas between.
    ///
    /// # Errors
    /// A word is no kind.
    pub fn parse(text: &str) -> Result<Self, BadPlan> {
        match text {
            "all" => Ok(Self::all()),
            "none" => Ok(Self(vec![])),
            _ => {
                let kind = |word: &str| {
                    let known = super::faults::KINDS.iter().copied().find(|kind| *kind == word);
                    known.ok_or_else(|| BadPlan::expected("a kind of faults", word))
                };
                Ok(Self(text.split(',').map(kind).collect::<Result<_, _>>()?))
            }
        }
    }

    /// Whether this kind is drawn.
    pub fn has(&self, kind: &str) -> bool {
        self.0.contains(&kind)
    }
}

impl Plan {
    pub(super) const fn empty() -> Self {
        Self {
            seed: 0,
            delay: 500,
            jitter: 1_000,
            held_max: 10_000,
            peers: vec![],
            jobs: vec![],
            faults: vec![],
            calm: Time::ZERO,
        }
    }

    /// The plan of a seed. One in twenty has no faults at all.
    pub fn of(seed: u64, kinds: &Kinds) -> Self {
        Swarm::new(seed, kinds).plan()
    }

    /// Whether every number in it means something.
    pub(super) fn check(&self) -> Result<(), BadPlan> {
        let peers = self.peers.len();
        let known = |peer: &usize| *peer < peers;
        if self.peers.is_empty() {
            return Err(BadPlan::expected("at least one peer", "none"));
        }
        if let Some(job) = self.jobs.iter().find(|job| !known(&job.peer)) {
            return Err(BadPlan::expected("a job at a peer of the plan", &job.peer.to_string()));
        }
        for Strike { fault, .. } in &self.faults {
            let job = match fault {
                Fault::Cancel { job, .. } | Fault::Again { job, .. } => Some(*job),
                _ => None,
            };
            let is_known = peers_of(fault).iter().all(known)
                && job.is_none_or(|job| job < self.jobs.len())
                && !matches!(fault, Fault::Flap { every, .. } if every.is_zero());
            if !is_known {
                let found = fault.to_string();
                return Err(BadPlan::expected("peers and jobs of the plan", &found));
            }
        }
        Ok(())
    }
}

/// All peers that a fault names.
pub(crate) fn peers_of(fault: &Fault) -> Vec<usize> {
    match fault {
        Fault::Crash { peer, .. }
        | Fault::Drop { peer, .. }
        | Fault::Freeze { peer, .. }
        | Fault::Skew { peer, .. }
        | Fault::Leave { peer }
        | Fault::Cancel { peer, .. }
        | Fault::Again { peer, .. } => vec![*peer],
        Fault::CrashAll { peers, .. } => peers.clone(),
        Fault::Partition { left, right, .. } => [left.as_slice(), right].concat(),
        Fault::OneWay { from, to, .. } => [from.as_slice(), to].concat(),
        Fault::Flap { left, right, .. } | Fault::Reset { left, right } => vec![*left, *right],
        Fault::Loss { .. } | Fault::Reorder { .. } | Fault::Late { .. } | Fault::Half { .. } => {
            vec![]
        }
    }
}
