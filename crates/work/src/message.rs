use formic_core::{Capability, JobId, Key, transport::Class};
use serde::{Deserialize, Serialize};

/// The most tasks in one [`Message::Returned`].
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
    /// Owner: how much room have you for tasks that require this?
    Probe {
        /// Returned in the answer.
        id: u64,
        /// How many tasks the probe stands for.
        count: u32,
        /// What each of them requires: sorted, unique.
        requires: Vec<Capability>,
    },
    /// Worker: this much.
    Promise {
        /// From the probe.
        id: u64,
        /// What I have to do.
        load: Load,
        /// How many more tasks I would queue.
        room: u32,
    },
    /// Worker: these tasks are not going to start here soon; place them elsewhere.
    Returned {
        /// Tasks and attempts, at most [`RETURNED_MAX`].
        tasks: Vec<(TaskId, u16)>,
        /// Why.
        reason: Reason,
    },
    /// Owner: tell me when you have room again. Dies with the link.
    Interest,
    /// Worker: I have room for this many.
    Room {
        /// How many.
        room: u32,
    },
}

impl Message {
    /// How this message travels.
    pub const fn class(&self) -> Class {
        Class::Control
    }
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
