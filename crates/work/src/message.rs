use formic_core::{Capability, JobId, Key, Kind, transport::Class};
use serde::{Deserialize, Serialize};

/// The most tasks in one [`Message::Returned`] or [`Message::Waits`].
pub const RETURNED_MAX: usize = 256;
/// The most capabilities in one [`Message::Probe`].
pub const REQUIRES_MAX: usize = 256;

/// A task, named across jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId {
    /// The job.
    pub job: JobId,
    /// The task.
    pub key: Key,
}

/// What owners and workers say to each other about placing tasks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// Owner: when would you begin tasks like these, and how long would one take?
    Probe(Probe),
    /// Worker: so.
    Promise {
        /// From the probe.
        id: u64,
        /// What I have to do.
        load: Load,
        /// None: I do not take such tasks.
        offer: Option<Offer>,
    },
    /// Worker: these tasks are not going to start here soon; place them elsewhere.
    Returned {
        /// Tasks and attempts, at most [`RETURNED_MAX`].
        tasks: Vec<(TaskId, u16)>,
        /// Why.
        reason: Reason,
    },
    /// Owner: tell me when you have room and at most so much to do. Dies with the link.
    Interest {
        /// Bodies that hold a slot, and tasks that wait for one.
        tasks: u32,
    },
    /// Worker: I have room for this many.
    Room {
        /// How many.
        room: u32,
    },
    /// Worker: these bodies have been waiting for others, without a slot, for a while (W12).
    Waits {
        /// Tasks and attempts, at most [`RETURNED_MAX`].
        tasks: Vec<(TaskId, u16)>,
    },
}

impl Message {
    /// How this message travels.
    pub const fn class(&self) -> Class {
        Class::Control
    }
}

/// What an owner asks: metadata only, no agent hears of it (W3).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Probe {
    /// Returned in the answer.
    pub id: u64,
    /// How many tasks the probe stands for: 1 to 1,024.
    pub count: u32,
    /// How many peers are asked: 1 to 64.
    pub asked: u32,
    /// What the tasks are examples of.
    pub kind: Kind,
    /// What each of them requires: sorted, unique.
    pub requires: Vec<Capability>,
    /// How long such a task takes on average, as the owner knows or guesses, in microseconds: at least 1.
    pub mean_us: u64,
    /// For how long an award may be on its way, in microseconds: at most 10 s.
    pub holds_us: u64,
}

/// What a worker promises for the first of the tasks (W4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Offer {
    /// How many more tasks it would queue.
    pub room: u32,
    /// How long it would wait, in microseconds: at most 30 days.
    pub wait_us: u64,
    /// How long it would take, in microseconds: 1 us to 30 days.
    pub service_us: u64,
}

/// What a worker has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Load {
    /// Bodies that hold a slot.
    pub running: u32,
    /// Tasks that wait for a slot.
    pub queued: u32,
    /// Slots.
    pub slots: u32,
}

/// Why a task is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// The queue is full.
    Full,
    /// The worker goes away.
    Draining,
    /// The worker has not, or has no longer, what the task requires.
    Incapable,
}
