use core::time::Duration;
use std::sync::Arc;

use formic_core::{Capability, Descriptor, JobId, Key, Life};

use crate::{Message, TaskId, Want};

/// What happened at this peer, as far as placing and queueing is concerned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// Owner: find a peer for this task (W1). Answered by `Placed`. A repeated attempt changes nothing,
    /// a higher one replaces what was known of the task, a lower one is ignored.
    Place {
        /// The task.
        task: TaskId,
        /// Which attempt.
        attempt: u16,
        /// What it needs.
        descriptor: Arc<Descriptor>,
        /// A life that just failed it, avoided where others are capable.
        avoid: Option<Life>,
    },
    /// Owner: the task needs no place any more: it is done or cancelled.
    Unplace {
        /// The task.
        task: TaskId,
    },
    /// Answer to [`Effect::Choose`](crate::Effect::Choose).
    Chosen {
        /// From the question.
        want: Want,
        /// Who is alive, takes work and has all of it; sorted, unique.
        lives: Vec<Life>,
        /// Where there is nobody: what is missing.
        missing: Vec<Capability>,
    },
    /// Answer to [`Effect::Draw`](crate::Effect::Draw).
    Drawn {
        /// From the question.
        key: Key,
        /// Whom to probe: some of the eligible.
        lives: Vec<Life>,
        /// How long a task of the kind takes on average, as known or guessed.
        mean: Duration,
    },
    /// Answer to [`Effect::Rank`](crate::Effect::Rank).
    Ranked {
        /// From the question.
        key: Key,
        /// Where the tasks go, first to last; fewer than asked for: the rest is held back.
        places: Vec<Ranked>,
        /// How long one more task would wait at those who bid, these awards included.
        waits: Vec<(Life, Duration)>,
    },
    /// The answers to `Choose` may have changed: somebody came, came back or changed what it can do.
    RosterChanged,
    /// A life is believed dead: its promises, probes and interests are void.
    Down {
        /// Who.
        life: Life,
    },
    /// Worker: a task was awarded here and is to be executed (W7).
    Queue {
        /// The task.
        task: TaskId,
        /// Which attempt.
        attempt: u16,
        /// What to do.
        descriptor: Arc<Descriptor>,
        /// Who placed it here; this life for its own tasks.
        owner: Life,
        /// The root of a job runs outside the slots.
        place: Place,
    },
    /// Worker: a body waits for others and gives its slot back.
    Waits {
        /// Whose body.
        task: TaskId,
    },
    /// Worker: a waiting body wants to go on. Answered by `Resume` once it has a slot.
    Runs {
        /// Whose body.
        task: TaskId,
    },
    /// Worker: a body ended, or is not wanted any more; queued or running.
    Ended {
        /// Whose body.
        task: TaskId,
    },
    /// The job is over here: nothing of it is placed, queued or running any more.
    JobOver {
        /// Which.
        job: JobId,
    },
    /// What this peer can do changed.
    SetCapabilities {
        /// All of it: sorted, unique.
        capabilities: Vec<Capability>,
    },
    /// Worker: take nothing more and give back what is queued.
    Drain,
    /// A message arrived.
    Message {
        /// The life at the other end of the link; this life for its own.
        from: Life,
        /// What it said.
        message: Message,
    },
    /// The time asked for by `deadline()` has come.
    Deadline,
}

/// Where one task goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ranked {
    /// To whom: one of those who bid and have room.
    pub life: Life,
    /// Wait and service together.
    pub promised: Duration,
    /// The service alone.
    pub service: Duration,
}

/// Whether a body needs a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// An agent's body: runs in a slot.
    Slot,
    /// A job's root: run by the mesh itself, outside the slots.
    Outside,
}
