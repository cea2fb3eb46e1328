use core::time::Duration;
use std::sync::Arc;

use formic_completion::Spawn;
use formic_consensus::{Ballot, InstanceId};
use formic_core::{
    Capability, Descriptor, Digest, Epoch, JobId, Key, Life, Outcome, PeerId,
    transport::{Address, CloseReason},
};

use crate::{Case, Message, Record};

/// What happened at this peer, outside the protocols.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// What was durable when the process ended, in the order it was persisted. Only as the first input.
    Restore {
        /// All records.
        records: Vec<Record>,
    },
    /// A link to a life came up.
    LinkUp {
        /// Who.
        life: Life,
        /// Both ends share one OS process: its `Gone` is proof of death.
        shared_fate: bool,
    },
    /// The link to a life ended.
    LinkDown {
        /// Who.
        life: Life,
        /// Why.
        reason: CloseReason,
    },
    /// A message arrived.
    Message {
        /// The life at the other end of the link.
        from: Life,
        /// What it said.
        message: Message,
    },
    /// A dial asked for by [`Effect::Dial`](crate::Effect::Dial) failed.
    DialFailed {
        /// Whom it was for; `None` for a seed address.
        peer: Option<PeerId>,
        /// The addresses that were tried.
        addresses: Vec<Address>,
    },
    /// The local user submits a job here.
    Submit {
        /// Returned in the answer.
        request: u64,
        /// The root task.
        root: Arc<Descriptor>,
        /// SHA-256 of the plan as the user wrote it.
        plan: Digest,
    },
    /// The local user cancels a job.
    Cancel {
        /// Which.
        job: JobId,
        /// Who and why, for people.
        reason: String,
    },
    /// A body that runs here spawns a child. Answered by `Effect::Spawned`, late while too much is held back.
    Spawn {
        /// The job.
        job: JobId,
        /// The task whose body spawns.
        owner: Key,
        /// Fixed by the body, see `formic_completion::Input::Spawn`.
        index: u64,
        /// What the child is to do.
        descriptor: Arc<Descriptor>,
        /// Awaited or handed over.
        mode: Spawn,
    },
    /// A body ended.
    Finished {
        /// The job.
        job: JobId,
        /// Whose body.
        key: Key,
        /// How.
        outcome: Outcome,
    },
    /// A body that was aborted does nothing any more. Only asked for where the task is exclusive.
    Stopped {
        /// The job.
        job: JobId,
        /// Whose body.
        key: Key,
    },
    /// A body that runs here wants a result judged by voters. Answered by `Effect::Ruled`.
    Decide {
        /// The job.
        job: JobId,
        /// The task whose body asks.
        owner: Key,
        /// What, and by whom.
        case: Arc<Case>,
    },
    /// Answers [`Effect::Judge`](crate::Effect::Judge).
    Opinion {
        /// The job.
        job: JobId,
        /// The question.
        instance: InstanceId,
        /// This peer's opinion.
        ballot: Ballot,
    },
    /// A body waits for children and gives its slot back.
    Waits {
        /// The job.
        job: JobId,
        /// Whose body.
        key: Key,
    },
    /// A waiting body wants to go on. Answered by `Effect::Resume` once it has a slot again.
    Runs {
        /// The job.
        job: JobId,
        /// Whose body.
        key: Key,
    },
    /// What this peer can do changed.
    SetCapabilities {
        /// All of it: sorted, unique.
        capabilities: Vec<Capability>,
    },
    /// Outside sources know where peers may be found. Answers [`Effect::Discover`](crate::Effect::Discover).
    Found {
        /// Hints: a peer is who its key says.
        addresses: Vec<Address>,
    },
    /// This process is about to stand still. Answered by `Event::PauseGranted` or `PauseRefused`.
    Pause {
        /// For so long.
        span: Duration,
    },
    /// It runs again.
    Resume,
    /// An operator goes on without a majority that is lost for ever.
    ForceView {
        /// Who is left, this peer included.
        members: Vec<PeerId>,
        /// The last committed view that the operator saw.
        epoch: Epoch,
        /// Why, for people.
        reason: String,
    },
    /// Send to many members. Answered by `Event::CastRefused` where it cannot be.
    Cast {
        /// To whom.
        to: formic_mesh::Audience,
        /// What.
        draft: formic_mesh::Draft,
    },
    /// What an application publishes about this peer.
    SetRecord {
        /// In which slot.
        slot: formic_mesh::Slot,
        /// The value.
        value: Vec<u8>,
    },
    /// The peer goes away in good order: takes no new work, returns what is queued, tells everybody.
    Leave,
    /// The time asked for by `deadline()` has come.
    Deadline,
}
