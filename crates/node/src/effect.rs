use std::sync::Arc;

use formic_completion::Verdict;
use formic_core::{
    Capability, Descriptor, Digest, JobId, Key, Life, Outcome, PeerId, transport::Address,
};

use crate::{Message, Record};

/// What is to be done outside, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Make durable before any later effect but another `Persist`.
    Persist(Record),
    /// Send over the link to this life, with class `message.class()`. Dropped where no link is up.
    Send {
        /// To whom.
        to: Life,
        /// What.
        message: Message,
    },
    /// Open a link. Answered by `LinkUp` or `DialFailed`.
    Dial {
        /// Whom; `None`: whoever answers at the addresses.
        peer: Option<PeerId>,
        /// Where, any one will do.
        addresses: Vec<Address>,
    },
    /// Close the link to this life.
    Hangup {
        /// Whose.
        life: Life,
    },
    /// Run this body. Answered by `Finished`.
    Start {
        /// The job.
        job: JobId,
        /// The task.
        key: Key,
        /// Which attempt.
        attempt: u16,
        /// What to do.
        descriptor: Arc<Descriptor>,
        /// The job's root: run by the mesh itself, outside the agents' slots.
        root: bool,
    },
    /// Stop this body. Its end is not to be reported.
    Abort {
        /// The job.
        job: JobId,
        /// The task.
        key: Key,
    },
    /// A waiting body has a slot again.
    Resume {
        /// The job.
        job: JobId,
        /// The task.
        key: Key,
    },
    /// A child is in the ledger.
    Spawned {
        /// The job.
        job: JobId,
        /// The parent.
        owner: Key,
        /// The index the body gave.
        index: u64,
        /// The child's key.
        key: Key,
    },
    /// A child is done.
    ChildDone {
        /// The job.
        job: JobId,
        /// The parent.
        owner: Key,
        /// The child.
        key: Key,
        /// How it ended.
        outcome: Outcome,
    },
    /// A local submission was acknowledged: a majority of the home group has it.
    Submitted {
        /// From `Input::Submit`.
        request: u64,
        /// The job.
        job: JobId,
    },
    /// A local submission was refused.
    SubmitRefused {
        /// From `Input::Submit`.
        request: u64,
        /// Why, for people.
        reason: String,
    },
    /// This peer has left: nothing more is owed to anybody.
    Left,
    /// Something for the event log and the local user.
    Event(Event),
}

/// What happened, for the event log, `formic why`, reports and metrics.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// This peer is a member of a mesh.
    Joined {
        /// Which.
        mesh: Digest,
        /// How many members are known, this one included.
        members: usize,
    },
    /// Nobody would let this peer in.
    JoinRefused {
        /// Why, for people.
        reason: String,
    },
    /// A member is known and alive.
    PeerUp {
        /// Who.
        life: Life,
        /// Its name.
        name: String,
        /// What it can do.
        capabilities: Vec<Capability>,
    },
    /// A member is believed dead.
    PeerDown {
        /// Who.
        life: Life,
        /// Why: `silent`, `gone`, `left`, `restarted`.
        reason: &'static str,
    },
    /// A job was stored by a majority of its home group.
    JobAccepted {
        /// The job.
        job: JobId,
        /// Its home group by rank.
        home: Vec<Life>,
    },
    /// A home life took over.
    HomeTookOver {
        /// The job.
        job: JobId,
        /// Its rank.
        rank: usize,
    },
    /// A ledger entry was made.
    TaskSpawned {
        /// The job.
        job: JobId,
        /// The parent.
        owner: Key,
        /// The child.
        key: Key,
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// A child was sent to a peer.
    TaskPlaced {
        /// The job.
        job: JobId,
        /// The child.
        key: Key,
        /// Which attempt.
        attempt: u16,
        /// Where.
        life: Life,
    },
    /// No live peer has what a child requires; it waits for one.
    TaskUnplaceable {
        /// The job.
        job: JobId,
        /// The child.
        key: Key,
        /// Capabilities that nobody alive has, or that no single peer has together.
        missing: Vec<Capability>,
    },
    /// A body starts.
    TaskStarted {
        /// The job.
        job: JobId,
        /// The task.
        key: Key,
        /// Which attempt.
        attempt: u16,
    },
    /// A body ended.
    TaskFinished {
        /// The job.
        job: JobId,
        /// The task.
        key: Key,
        /// How.
        outcome: Outcome,
    },
    /// A fact reached the ledger of the parent.
    TaskDone {
        /// The job.
        job: JobId,
        /// The parent.
        owner: Key,
        /// The task.
        key: Key,
        /// Whose execution counts.
        by: Life,
        /// `Outcome::word`.
        outcome: &'static str,
    },
    /// A child was given up at a dead peer and is executed again.
    TaskRespawned {
        /// The job.
        job: JobId,
        /// The task.
        key: Key,
        /// The new attempt.
        attempt: u16,
        /// The life that lost it.
        from: Life,
    },
    /// A task was dropped here because nobody waits for it, or a body was stopped.
    TaskDropped {
        /// The job.
        job: JobId,
        /// The task.
        key: Key,
    },
    /// A second, different result for a task was seen and not used.
    TaskDivergent {
        /// The job.
        job: JobId,
        /// The task.
        key: Key,
    },
    /// All work is covered; the result is decided.
    JobComplete {
        /// The job.
        job: JobId,
        /// How the root ended.
        outcome: Outcome,
    },
    /// The job is over here: sealed, verdict known.
    JobVerdict {
        /// The job.
        job: JobId,
        /// Result and proof.
        verdict: Arc<Verdict>,
    },
    /// Two independent proofs disagree.
    JobAnomaly {
        /// The job.
        job: JobId,
        /// What, for people.
        what: String,
    },
    /// A peer sent what no correct peer sends; counted, state unchanged.
    Misbehaved {
        /// Who.
        peer: PeerId,
        /// What, for people.
        what: String,
    },
}
