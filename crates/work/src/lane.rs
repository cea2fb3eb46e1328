//! Tasks with one requirement, and the probe that stands for them.

use std::collections::{BTreeMap, BTreeSet};

use formic_core::{Capability, Life, Time};

use crate::{Load, TaskId};

/// A place in a line, lowest first. What was lost once goes ahead of everything new: others wait for it for longer
/// already, and a job is complete only after its last re-execution.
pub(crate) const fn turn(attempt: u16, number: u64) -> u64 {
    const NEW: u64 = 1 << 63;
    if attempt > 1 { number } else { NEW | number }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Lane {
    /// Oldest first.
    pub(crate) held: BTreeMap<u64, TaskId>,
    /// What the running probe stands for.
    pub(crate) batch: Vec<TaskId>,
    pub(crate) phase: Phase,
    /// Probes in a row that nobody answered.
    pub(crate) silent: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// Nothing to do, or about to choose.
    #[default]
    Idle,
    /// Candidates were asked for.
    Choosing,
    /// Promises are awaited.
    Probing {
        id: u64,
        asked: BTreeSet<Life>,
        promises: BTreeMap<Life, Promised>,
        since: Time,
        until: Time,
        capable: Vec<Life>,
    },
    /// Nobody has room.
    Waiting { until: Time },
    /// Nobody is capable.
    Nobody { missing: Vec<Capability> },
}

impl Lane {
    pub(crate) fn deadline(&self) -> Option<Time> {
        match self.phase {
            Phase::Probing { until, .. } | Phase::Waiting { until } => Some(until),
            Phase::Idle | Phase::Choosing | Phase::Nobody { .. } => None,
        }
    }

    pub(crate) fn take_batch(&mut self, max: usize) {
        while self.batch.len() < max
            && let Some((_, task)) = self.held.pop_first()
        {
            self.batch.push(task);
        }
    }

    /// Nobody waits in it and no answer is awaited.
    pub(crate) fn is_unused(&self) -> bool {
        let awaits = matches!(self.phase, Phase::Probing { .. } | Phase::Choosing);
        self.held.is_empty() && self.batch.is_empty() && !awaits
    }
}

/// A worker's answer, with this owner's awards since.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Promised {
    pub(crate) load: Load,
    pub(crate) room: u32,
    /// Drawn, so that equals share.
    pub(crate) tie: u64,
}

impl Promised {
    /// The least loaded with room, by tasks per slot.
    pub(crate) fn best(
        promises: &BTreeMap<Life, Self>,
        allowed: impl Fn(Life) -> bool,
    ) -> Option<Life> {
        let usable = promises.iter().filter(|(life, p)| p.room > 0 && allowed(**life));
        let least = usable.min_by(|(_, a), (_, b)| {
            // a.tasks / a.slots < b.tasks / b.slots, in integers.
            let left = a.tasks() * u64::from(b.load.slots);
            let right = b.tasks() * u64::from(a.load.slots);
            left.cmp(&right).then(a.tie.cmp(&b.tie))
        });
        least.map(|(&life, _)| life)
    }

    pub(crate) fn take(&mut self) {
        self.load.queued = self.load.queued.saturating_add(1);
        self.room = self.room.saturating_sub(1);
    }

    fn tasks(&self) -> u64 {
        u64::from(self.load.running) + u64::from(self.load.queued)
    }
}
