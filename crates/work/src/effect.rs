use core::time::Duration;
use std::sync::Arc;

use formic_core::{Capability, Descriptor, Key, Kind, Life};

use crate::{Load, Message, Place, Probe, TaskId};

/// What is to be done outside, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Send to this life, which may be this life itself.
    Send {
        /// To whom.
        to: Life,
        /// What.
        message: Message,
    },
    /// Who can do this? Answered by [`Input::Chosen`](crate::Input::Chosen).
    Choose {
        /// What the tasks are examples of, and require.
        want: Want,
    },
    /// Which of these are to be asked? Answered by [`Input::Drawn`](crate::Input::Drawn).
    Draw {
        /// The first of the tasks: stands for all of them.
        key: Key,
        /// What they are examples of.
        kind: Kind,
        /// Who is capable and may have room: sorted, unique by peer, not empty.
        eligible: Vec<Life>,
    },
    /// Who gets how many? Answered by [`Input::Ranked`](crate::Input::Ranked).
    Rank {
        /// From `Draw`.
        key: Key,
        /// How many tasks.
        count: u32,
        /// None is to wait longer than this (W5).
        hold: Duration,
        /// Whether a task waits for the best peer where that has no room.
        patience: Patience,
        /// What was promised, and by some that were not asked this time: these have no room.
        bids: Vec<Bid>,
    },
    /// Worker: what is to be promised for this? The answer goes to `to` as [`Message::Promise`].
    Estimate {
        /// Who asks.
        to: Life,
        /// What.
        probe: Probe,
        /// What runs and waits here.
        backlog: Backlog,
        /// For the answer.
        load: Load,
        /// For the answer.
        room: u32,
    },
    /// The task goes to this life (W5). A second one for an attempt moves the task.
    Placed {
        /// The task.
        task: TaskId,
        /// Which attempt.
        attempt: u16,
        /// Where.
        life: Life,
        /// On what promise.
        award: Award,
    },
    /// An attempt that was placed is not awaited any more: given back, done, cancelled or placed again.
    Withdrawn {
        /// The task.
        task: TaskId,
        /// Which attempt.
        attempt: u16,
    },
    /// The body of an attempt that was placed waits for others, without a slot.
    Waits {
        /// The task.
        task: TaskId,
        /// Which attempt.
        attempt: u16,
        /// Where.
        life: Life,
    },
    /// Run this body here.
    Start {
        /// The task.
        task: TaskId,
        /// Which attempt.
        attempt: u16,
        /// What to do.
        descriptor: Arc<Descriptor>,
        /// Whether it holds a slot.
        place: Place,
    },
    /// A waiting body has a slot again.
    Resume {
        /// Whose body.
        task: TaskId,
    },
    /// No live peer can do this; it is held until one can. Once per task.
    Unplaceable {
        /// The task.
        task: TaskId,
        /// What nobody has, or no single peer has together.
        missing: Vec<Capability>,
    },
    /// Too much is held back: acknowledge no further spawns.
    Full,
    /// Spawns may be acknowledged again.
    NotFull,
}

/// What tasks have in common that one probe stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Want {
    /// What they are examples of.
    pub kind: Kind,
    /// What they require: sorted, unique.
    pub requires: Vec<Capability>,
}

/// A promise, for whoever compares it with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bid {
    /// Who promised.
    pub life: Life,
    /// How long the first task would wait.
    pub wait: Duration,
    /// How long it would take: at least 1 us.
    pub service: Duration,
    /// For how many there is room.
    pub room: u32,
    /// Bodies that run at once there.
    pub slots: u32,
    /// Slots that are free.
    pub free: u32,
}

/// Whether tasks wait for the best peer where it has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Patience {
    /// They do.
    Waits,
    /// They are too brief for that and go to the next best.
    None,
}

/// What a task was placed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Award {
    /// What it is an example of.
    pub kind: Kind,
    /// Until its result is here: wait, service, and what the messages may take.
    pub promised: Duration,
    /// The service alone.
    pub service: Duration,
}

/// What waits and runs at a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Backlog {
    /// Tasks that wait for a slot, by kind: sorted, unique.
    pub queued: Vec<(Kind, u32)>,
    /// Bodies that hold a slot or are about to take it back, and for how long they have had it.
    pub running: Vec<(Kind, Duration)>,
    /// Bodies that run at once.
    pub slots: u32,
}
