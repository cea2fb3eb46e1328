//! Tasks of one kind with one requirement, and the probe that stands for them.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use formic_core::{Capability, Key, Life, Time};

use crate::{Bid, Load, Offer, TaskId};

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
    /// Who is not asked for now, and what it promised: it had no room or too long a queue, and was asked to say
    /// when that changes; or it does not take such tasks.
    pub(crate) full: BTreeMap<Life, Option<Seen>>,
}

/// What is remembered of a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    pub(crate) at: Time,
    pub(crate) wait: Duration,
    pub(crate) service: Duration,
    pub(crate) slots: u32,
}

impl Seen {
    /// It can be waited for, not chosen.
    pub(crate) fn bid(self, life: Life, now: Time) -> Bid {
        let wait = self.wait.saturating_sub(now.since(self.at));
        let Self { service, slots, .. } = self;
        Bid { life, wait, service, room: 0, slots, free: 0 }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// Nothing to do, or about to choose.
    #[default]
    Idle,
    /// Asked: who is capable?
    Choosing,
    /// Asked: whom of them to probe?
    Drawing { key: Key, capable: Vec<Life>, until: Time },
    /// Promises are awaited.
    Probing(Box<Asked>),
    /// Asked: who gets what?
    Ranking { asked: Box<Asked>, hold: Duration, until: Time },
    /// Nobody has room.
    Waiting { until: Time },
    /// Nobody is capable.
    Nobody { missing: Vec<Capability> },
}

/// One probe and its answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    pub(crate) id: u64,
    /// The task that was chosen for.
    pub(crate) key: Key,
    /// Mean service of the kind.
    pub(crate) mean: Duration,
    pub(crate) lives: BTreeSet<Life>,
    pub(crate) promises: BTreeMap<Life, Promised>,
    pub(crate) since: Time,
    pub(crate) until: Time,
    pub(crate) capable: Vec<Life>,
}

impl Lane {
    pub(crate) fn deadline(&self) -> Option<Time> {
        match &self.phase {
            Phase::Probing(asked) => Some(asked.until),
            Phase::Drawing { until, .. }
            | Phase::Ranking { until, .. }
            | Phase::Waiting { until } => Some(*until),
            Phase::Idle | Phase::Choosing | Phase::Nobody { .. } => None,
        }
    }

    /// Nobody waits in it and no answer is awaited.
    pub(crate) fn is_unused(&self) -> bool {
        let idle = matches!(self.phase, Phase::Idle | Phase::Waiting { .. } | Phase::Nobody { .. });
        self.held.is_empty() && self.batch.is_empty() && idle
    }

    /// A life is gone: true if the probe has all its answers now.
    pub(crate) fn forget(&mut self, life: Life) -> bool {
        self.full.remove(&life);
        match &mut self.phase {
            Phase::Drawing { capable, .. } => {
                capable.retain(|other| *other != life);
                false
            }
            Phase::Probing(asked) => asked.forget(life) && asked.is_answered(),
            Phase::Ranking { asked, .. } => {
                asked.forget(life);
                false
            }
            Phase::Idle | Phase::Choosing | Phase::Waiting { .. } | Phase::Nobody { .. } => false,
        }
    }
}

impl Asked {
    fn forget(&mut self, life: Life) -> bool {
        self.promises.remove(&life);
        self.lives.remove(&life)
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.promises.len() == self.lives.len()
    }
}

/// A worker's answer, with this owner's awards since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Promised {
    pub(crate) load: Load,
    pub(crate) offer: Option<Offer>,
    pub(crate) awards: u32,
    /// How long the answer took: an award is on its way, and its result, about as long.
    pub(crate) way: Duration,
}

impl Promised {
    pub(crate) fn bid(&self, life: Life) -> Option<Bid> {
        let Offer { room, wait_us, service_us } = self.offer?;
        let wait = Duration::from_micros(wait_us) + self.way;
        let service = Duration::from_micros(service_us);
        let slots = self.load.slots;
        let free = slots.saturating_sub(self.tasks());
        Some(Bid { life, wait, service, room, slots, free })
    }

    /// What it has to do, as far as this owner knows.
    pub(crate) fn tasks(&self) -> u32 {
        let Load { running, queued, .. } = self.load;
        running.saturating_add(queued).saturating_add(self.awards)
    }

    /// What it is to have to do at most when it reports room: half of its queue, and less than it has.
    pub(crate) fn report_at(&self) -> u32 {
        let (tasks, slots) = (self.tasks(), self.load.slots);
        match tasks.saturating_sub(slots) {
            0 => tasks.saturating_sub(1),
            queued => slots + queued / 2,
        }
    }
}
