use std::sync::Arc;

use formic_core::{Descriptor, JobId, Key, Life};
use formic_work::TaskId;

use crate::{Ended, Message, votes::CourtId};

/// One input of one machine, waiting for its turn: effects of one input are applied before the next is
/// fed, and messages to oneself wait in the same queue.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Mesh(formic_mesh::Input),
    Healing(formic_healing::Input),
    Work(formic_work::Input),
    Trails(formic_pheromones::Input),
    Claims(JobId, formic_register::claims::Input<Ended>),
    Completion {
        job: JobId,
        input: formic_completion::Input,
        origin: Origin,
    },
    Votes(CourtId, formic_consensus::Input),
    /// Claims that are wanted and not asked for yet.
    AskForClaims,
    /// Stop a body, wherever it is by then.
    Abort(TaskId),
    /// A message of this peer to itself.
    Own(Message),
}

impl Step {
    pub(crate) const fn completion(job: JobId, input: formic_completion::Input) -> Self {
        Self::Completion { job, input, origin: Origin::Other }
    }
}

/// What an input of completion came from, as far as its effects need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `Work` for this task: who sent it hears when it is given back.
    Work {
        from: Life,
        key: Key,
    },
    /// A spawn: its acknowledgement carries the index, its event kind and name.
    Spawn {
        index: u64,
        descriptor: Arc<Descriptor>,
    },
    Other,
}
