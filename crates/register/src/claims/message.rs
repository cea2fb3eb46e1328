use core::{fmt::Debug, hash::Hash, time::Duration};
use std::sync::Arc;

use formic_core::{Digest, Epoch, JobId, Key, Life, PeerId, Time, View};
use serde::{Deserialize, Serialize};

/// What an exclusive task may end in: replicated in full, so it must stay small.
pub trait Value: Clone + Eq + Hash + Debug {
    /// Its size in bytes, as the limit counts it.
    fn size(&self) -> usize;
}

impl Value for Vec<u8> {
    fn size(&self) -> usize {
        self.len()
    }
}

impl Value for Digest {
    fn size(&self) -> usize {
        self.as_bytes().len()
    }
}

/// An exclusive task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Task {
    /// Of which job.
    pub job: JobId,
    /// Which of its tasks.
    pub key: Key,
}

/// What the holder of a grant shows to outside systems. Of one task they rise strictly, and one is
/// granted to one life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fence {
    /// The view whose replicas granted it.
    pub epoch: Epoch,
    /// Which try in that view.
    pub attempt: u64,
}

/// One try of one life to hold a task. Unique: a life uses a fence once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// What is to be granted.
    pub fence: Fence,
    /// To whom.
    pub holder: Life,
}

/// What every question of a claimant, and every answer to it, is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ask {
    /// The task.
    pub task: Task,
    /// No claim of the task is older than this view.
    pub born: Epoch,
    /// The try.
    pub stamp: Stamp,
    /// The view whose replicas are asked. Answers of different views are never added up.
    pub set: Epoch,
}

/// Why a replica does not do what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Refusal {
    /// It promised this fence, which is not below the asked one.
    Lower {
        /// The promised fence.
        promised: Fence,
    },
    /// The lease of another life runs.
    Held {
        /// For at most this long.
        remaining: Duration,
    },
    /// It is in a later view.
    Moved {
        /// That view.
        epoch: Epoch,
    },
    /// It is not in that view yet, or has not pulled what the earlier replicas knew.
    NotInstalled,
    /// Another set of peers keeps this task.
    NotReplica,
    /// The asking life is no member.
    NotMember,
    /// It keeps as many registers as it may.
    Full,
}

/// How long a life may believe to be the only one, as a replica sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Leased {
    /// Whose lease.
    pub holder: Life,
    /// What was asked for.
    pub length: Duration,
    /// What is left of it.
    pub rest: Duration,
}

/// What a replica knows of a task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Snapshot<V> {
    /// The highest promise.
    pub promised: Option<Stamp>,
    /// The newest accepted value.
    pub accepted: Option<(Stamp, V)>,
    /// The decided value.
    pub decided: Option<(Stamp, V)>,
    /// Running leases; on disk all those that may still run.
    pub leases: Vec<Leased>,
}

/// What claimants and replicas say to each other. All idempotent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Message<V> {
    /// R1: promise me this fence, and to nobody else while the lease runs.
    Prepare {
        /// What about.
        ask: Ask,
        /// For how long.
        lease: Duration,
    },
    /// Promised; this was accepted last.
    Promise {
        /// What about.
        ask: Ask,
        /// The newest accepted value.
        accepted: Option<(Stamp, V)>,
    },
    /// R2: accept this result.
    Accept {
        /// What about.
        ask: Ask,
        /// The result.
        value: V,
    },
    /// Accepted, durably.
    Accepted {
        /// What about.
        ask: Ask,
    },
    /// R6: go on with my lease.
    Renew {
        /// What about.
        ask: Ask,
        /// From now on for how long.
        lease: Duration,
        /// Which renewal: its sender knows when it was sent.
        serial: u64,
    },
    /// The lease runs from when this renewal came.
    Renewed {
        /// What about.
        ask: Ask,
        /// Which renewal.
        serial: u64,
    },
    /// I hold it no longer: my lease need not be waited out.
    Release {
        /// The task.
        task: Task,
        /// The try that ends.
        stamp: Stamp,
    },
    /// No.
    Refuse {
        /// What about.
        ask: Ask,
        /// Why.
        why: Refusal,
    },
    /// R7: it is decided.
    Decided {
        /// The task.
        task: Task,
        /// No claim of the task is older than this view.
        born: Epoch,
        /// Under which stamp.
        stamp: Stamp,
        /// What.
        value: V,
    },
    /// X2: tell me, a replica in this view, what you knew as one in the view before.
    Pull {
        /// The task.
        task: Task,
        /// No claim of the task is older than this view.
        born: Epoch,
        /// The view of the asker.
        epoch: Epoch,
    },
    /// What a replica of the view before knows, or one of this view that has it all.
    State {
        /// The task.
        task: Task,
        /// The view of the asker.
        epoch: Epoch,
        /// The newest view for which whoever answers has pulled everything.
        installed: Epoch,
        /// What.
        state: Box<Snapshot<V>>,
    },
    /// You keep this task in this view: pull it.
    Hint {
        /// The task.
        task: Task,
        /// No claim of the task is older than this view.
        born: Epoch,
        /// The view.
        epoch: Epoch,
    },
    /// Done.
    Installed {
        /// The task.
        task: Task,
        /// The view.
        epoch: Epoch,
    },
    /// X2, for all tasks that nobody asked for: which tasks do you know? I keep the job's from this view on.
    WhatIsKnown {
        /// The job.
        job: JobId,
        /// The view whose replicas ask those of the one before.
        epoch: Epoch,
    },
    /// These, and no more for any view before that one.
    Known {
        /// The job.
        job: JobId,
        /// The view.
        epoch: Epoch,
        /// The newest view for which whoever answers knows it of all its replicas before.
        installed: Epoch,
        /// Sorted; at most 2,048.
        keys: Vec<Key>,
    },
}

impl<V> Message<V> {
    /// The job it is about.
    pub const fn job(&self) -> JobId {
        match self {
            Self::WhatIsKnown { job, .. } | Self::Known { job, .. } => *job,

            Self::Prepare { ask, .. }
            | Self::Promise { ask, .. }
            | Self::Accept { ask, .. }
            | Self::Accepted { ask }
            | Self::Renew { ask, .. }
            | Self::Renewed { ask, .. }
            | Self::Refuse { ask, .. } => ask.task.job,
            Self::Release { task, .. }
            | Self::Decided { task, .. }
            | Self::Pull { task, .. }
            | Self::State { task, .. }
            | Self::Hint { task, .. }
            | Self::Installed { task, .. } => task.job,
        }
    }

    /// The view whose replicas a claimant asks with it.
    pub const fn asked(&self) -> Option<Epoch> {
        match self {
            Self::Prepare { ask, .. } | Self::Accept { ask, .. } | Self::Renew { ask, .. } => {
                Some(ask.set)
            }
            _ => None,
        }
    }

    /// The view whose replicas ask those of the one before with it.
    pub const fn pulled(&self) -> Option<Epoch> {
        match self {
            Self::Pull { epoch, .. } | Self::WhatIsKnown { epoch, .. } => Some(*epoch),
            _ => None,
        }
    }
}

/// What must survive the process.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Record<V> {
    /// This view was entered: nothing is answered for the replicas of an earlier one.
    View(Epoch),
    /// What this replica knows of a task. The last one of a task counts.
    Register {
        /// The task.
        task: Task,
        /// No claim of the task is older than this view.
        born: Epoch,
        /// The newest view for which everything was pulled.
        installed: Option<Epoch>,
        /// What.
        state: Box<Snapshot<V>>,
    },
    /// All tasks but these, and those with a register, were not asked for by anybody before this view.
    Ground {
        /// A view of which this peer is a replica.
        epoch: Epoch,
        /// Sorted.
        known: Vec<Key>,
    },
    /// All tasks of this job are forgotten.
    Forgotten(JobId),
}

impl<V> Record<V> {
    /// Whether somebody may rely on it: a promise, a vote or a decision about a task.
    pub const fn is_promise(&self) -> bool {
        match self {
            Self::Register { state, .. } => {
                state.promised.is_some() || state.accepted.is_some() || state.decided.is_some()
            }
            Self::View(_) | Self::Ground { .. } | Self::Forgotten(_) => false,
        }
    }
}

/// Whether a majority of the view is in touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quorum {
    /// It is.
    Held,
    /// It is not: no claim is begun.
    Lost,
}

/// What happened at this peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input<V> {
    /// What was durable when the process ended, in the order it was persisted. Only as the first.
    Restore(Vec<Record<V>>),
    /// Who keeps tasks from now on, in the order of epochs. The first may be any: a joiner is given the
    /// one before its own as well, or it can never pull; after a restart all that are kept.
    View(Arc<View>),
    /// This life may claim although it keeps nothing, and is the newest one of its peer so far.
    Guest(Life),
    /// This life is to run the task alone.
    Claim {
        /// The task.
        task: Task,
        /// Not later than the first claim of this task by anybody: the view in which its job was accepted.
        born: Epoch,
        /// The first attempt to try for.
        attempt: u64,
        /// How long the others wait when this life is gone: 0.5 s to 10 min.
        lease: Duration,
    },
    /// The task is done: get its result decided.
    Commit {
        /// The task, held or lapsed.
        task: Task,
        /// The result.
        value: V,
    },
    /// The task is given up without a result.
    Release {
        /// The task.
        task: Task,
    },
    /// The jobs of all tasks here are over: nothing follows the views any more.
    Over,
    /// The job is sealed long enough that nobody claims a task of it again.
    Forget(JobId),
    /// Whether a majority is in touch.
    Quorum(Quorum),
    /// A peer said something.
    Message {
        /// Which life of it. Votes belong to the peer: its disk outlives its lives.
        from: Life,
        /// What.
        message: Message<V>,
    },
    /// The time asked for by `deadline()` has come.
    Deadline,
}

/// What is to be done outside, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect<V> {
    /// Make durable before any `Send` or `Event` that follows.
    Persist(Record<V>),
    /// Send to the newest life of this peer, never to this one.
    Send {
        /// The newest life known here.
        to: Life,
        /// What.
        message: Message<V>,
    },
    /// Tell the owner of a claim.
    Event(Event<V>),
}

/// What became of an own claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event<V> {
    /// Run it, with this fence, until the lease ends or is lost.
    Granted {
        /// The task.
        task: Task,
        /// What to show outside.
        fence: Fence,
        /// The end of the lease unless it is renewed, which happens by itself.
        until: Time,
    },
    /// Another life holds it; it is asked for again afterwards.
    Waiting {
        /// The task.
        task: Task,
        /// For at most this long, then again.
        remaining: Duration,
    },
    /// It is decided, by another life's work: do not run it. The claim is closed.
    Adopted {
        /// The task.
        task: Task,
        /// Its result.
        value: V,
    },
    /// Stop running it. What was finished may still be committed.
    LeaseLost {
        /// The task.
        task: Task,
    },
    /// The committed result is decided. The claim is closed.
    Committed {
        /// The task.
        task: Task,
        /// The result.
        value: V,
    },
    /// No majority of its replicas answers. It is tried on.
    Undecided {
        /// The task.
        task: Task,
        /// Whose answer is missing, sorted. Where this peer is a replica itself and lacks what earlier ones knew: those.
        missing: Vec<PeerId>,
    },
    /// The claim is closed without a decision. A result that was to be committed may yet be adopted:
    /// claim again to learn.
    Refused {
        /// The task.
        task: Task,
        /// Why.
        why: Denial,
    },
}

/// Why a claim ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denial {
    /// A higher fence was promised to somebody.
    Superseded {
        /// That fence.
        promised: Fence,
    },
    /// This life is no member any more.
    NotMember,
}
