use core::time::Duration;
use std::sync::Arc;

use formic_core::{Descriptor, Digest, Key, Life, Outcome};

use crate::{Attestation, JobSpec, Message, Record};

/// Whether a spawned child is awaited by its parent or handed over to the parent's waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spawn {
    /// The parent is done only after the child (T2).
    Nested,
    /// The parent's waiter waits for the child instead, like a tail call (T2t).
    Tail,
}

/// What happened at this peer, for one job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// What was durable when the process ended, in the order it was persisted. Only as the first input, or
    /// after [`Input::Quorum`]: whoever is not in touch with a majority must not decide from its records.
    Restore {
        /// All records of this job.
        records: Vec<Record>,
    },
    /// This life, rank 0 of `spec.home`, is asked to host the job (T1).
    Submit {
        /// What to do and who is home.
        spec: Arc<JobSpec>,
    },
    /// A message of this job arrived.
    Message {
        /// The life at the other end of the link.
        from: Life,
        /// What it said.
        message: Message,
    },
    /// A life is known and reachable (T12, T13). The first one of a peer makes it a member of the job.
    Up {
        /// Who.
        life: Life,
    },
    /// A life is believed dead (T11). May be wrong; costs duplicates only.
    Down {
        /// Who.
        life: Life,
    },
    /// The body of `owner` spawns a child. Its key is `Key::child(job, owner, index, descriptor.digest())`.
    Spawn {
        /// A task whose body runs here.
        owner: Key,
        /// Fixed by the body: equal indexes of two attempts mean the same child.
        index: u64,
        /// What the child is to do.
        descriptor: Arc<Descriptor>,
        /// Awaited or handed over.
        mode: Spawn,
    },
    /// A body ended (T4).
    BodyFinished {
        /// Whose body.
        key: Key,
        /// How. A fact from here on.
        outcome: Outcome,
        /// For how long it had a slot: goes into the fact.
        slot: Duration,
    },
    /// Answer to [`Effect::Place`](crate::Effect::Place): where the child goes. Another answer for the same
    /// attempt moves a child whose first choice refused it.
    Placed {
        /// The child.
        key: Key,
        /// The attempt that was asked for; an older one is ignored.
        attempt: u16,
        /// Who shall execute it.
        life: Life,
    },
    /// A view of the mesh was committed: a home group that lost members to it is refilled, one that is
    /// smaller than the view allows grows.
    Members {
        /// The members by seniority; this life need not be one.
        lives: Arc<[Life]>,
    },
    /// Whether this peer is in touch with a majority of the mesh. Without, no result is decided here:
    /// a home group that was cut off must not end the job. `true` until told otherwise.
    Quorum {
        /// It is.
        held: bool,
    },
    /// Somebody who may do so cancels the job. At a home life; ignored once the result is decided.
    Cancel {
        /// Who and why, for people.
        reason: String,
    },
    /// A home life's signature over a statement arrived and was verified by the node.
    Attested {
        /// Digest of the statement.
        statement: Digest,
        /// Who signed, with what.
        attestation: Attestation,
    },
    /// The time asked for by `deadline()` has come.
    Deadline,
}
