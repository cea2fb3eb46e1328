use core::time::Duration;
use std::sync::Arc;

use formic_completion::Verdict;
use formic_consensus::{Ballot, InstanceId};
use formic_core::{
    Capability, Descriptor, Digest, Incarnation, JobId, Key, Life, Outcome, PeerId, View,
    transport::Address,
};
use formic_register::claims::Fence;

use crate::{Case, Decision, Judgement, Message, Record, Ruling};

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
    /// Ask the outside sources for addresses. Answered by `Input::Found`, maybe often, maybe never.
    Discover,
    /// A committed view does not have this life: the driver ends it and starts the next one at once,
    /// from what this one persisted.
    Reborn {
        /// The next life's incarnation, to be durable before it speaks.
        incarnation: Incarnation,
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
        /// What to show outside, if the task is exclusive.
        fence: Option<Fence>,
        /// The job's root: run by the mesh itself, outside the agents' slots.
        root: bool,
    },
    /// Stop this body. How it ends is not to be reported, that it did is by `Stopped`.
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
        /// Who executed the body that counts.
        by: Life,
        /// How it ended.
        outcome: Outcome,
    },
    /// Judge this, outside of the slots, and answer with `Input::Opinion`. Asked again after a restart.
    Judge {
        /// The job.
        job: JobId,
        /// The question.
        instance: InstanceId,
        /// What to judge.
        case: Arc<Case>,
    },
    /// What a body asked voters is ruled.
    Ruled {
        /// The job.
        job: JobId,
        /// The task whose body asked.
        owner: Key,
        /// The task whose result was judged.
        task: Key,
        /// What came of it.
        ruling: Ruling,
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
        /// Why: `silent`, `gone`, `left`, `restarted`, `evicted`.
        reason: &'static str,
    },
    /// This peer misses a member and gives it no new work.
    PeerSuspect {
        /// Who.
        life: Life,
    },
    /// A view was committed, or learnt.
    ViewCommitted {
        /// It.
        view: Arc<View>,
    },
    /// No majority of the last committed view is in touch: nothing is decided here.
    QuorumLost,
    /// A majority is in touch.
    QuorumHeld,
    /// Members died within half a second: one by one, or for one reason.
    Loss {
        /// Who, in the order of the verdicts.
        lives: Vec<Life>,
    },
    /// Two committed views of one epoch, or a forced one beside the known chain.
    Fork {
        /// What this peer knew.
        ours: Arc<View>,
        /// What it met.
        theirs: Arc<View>,
    },
    /// A forced view that the local user asked for was not made.
    ForceRefused {
        /// Why, for people.
        reason: String,
    },
    /// The announced pause is agreed to.
    PauseGranted {
        /// Others wait this long.
        span: Duration,
    },
    /// It is not.
    PauseRefused {
        /// Why.
        reason: formic_healing::PauseRefusal,
    },
    /// The health of this peer's part of the mesh changed.
    Health {
        /// To what.
        status: formic_mesh::Status,
    },
    /// A member can do more or less than before.
    CapabilitiesChanged {
        /// Who.
        life: Life,
        /// What it has and had not.
        added: Vec<Capability>,
        /// What it had and has not.
        removed: Vec<Capability>,
    },
    /// An application slot of a member changed.
    RecordChanged {
        /// Whose.
        life: Life,
        /// Which.
        slot: formic_mesh::Slot,
    },
    /// A body of this peer asks voters.
    DecisionAsked {
        /// The job.
        job: JobId,
        /// The task whose result is judged.
        task: Key,
        /// Its name.
        name: String,
        /// The electorate's digest: what to pin.
        electorate: Digest,
        /// How many have a vote.
        voters: usize,
        /// Whose work it is.
        author: Option<PeerId>,
    },
    /// This peer casts its ballot.
    BallotCast {
        /// The job.
        job: JobId,
        /// The task whose result is judged.
        task: Key,
        /// It.
        ballot: Ballot,
    },
    /// What a body of this peer asked is decided.
    DecisionMade {
        /// The job.
        job: JobId,
        /// The task whose result was judged.
        task: Key,
        /// The decision with its proof.
        decision: Arc<Decision>,
        /// What it says.
        judgement: Box<Judgement>,
    },
    /// As many rounds as there are voters passed without a decision.
    DecisionStalled {
        /// The job.
        job: JobId,
        /// The task whose result is judged.
        task: Key,
        /// Whose votes are missing.
        missing: Vec<PeerId>,
    },
    /// Proven: a voter signed what no honest voter signs.
    VoterLied {
        /// The job.
        job: JobId,
        /// Who.
        peer: PeerId,
    },
    /// A message to many arrived: once per life, in order where its stream is ordered.
    Cast(Arc<formic_mesh::Cast>),
    /// Messages to many are lost for this peer.
    CastGap {
        /// Whose.
        origin: Life,
        /// In which of its streams.
        stream: u32,
        /// From the first to the last.
        lost: (u64, u64),
    },
    /// A stream has room again.
    CastWritable {
        /// Which.
        stream: u32,
    },
    /// A job was stored by a majority of its home group.
    JobAccepted {
        /// The job.
        job: JobId,
        /// Its home group by rank.
        home: Vec<Life>,
    },
    /// Another home group keeps a job.
    HomeChanged {
        /// The job.
        job: JobId,
        /// How many groups kept it before.
        generation: u64,
        /// By rank.
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
        /// When its result is expected, at the latest: wait, service, and what the messages may take.
        promised: Duration,
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
        /// What it shows outside, if it is exclusive.
        fence: Option<Fence>,
    },
    /// An exclusive task waits until the lease of its last holder ended.
    TaskHeld {
        /// The job.
        job: JobId,
        /// The task.
        key: Key,
        /// For at most this long.
        remaining: Duration,
    },
    /// The lease of an exclusive task ended before its body: the body is stopped.
    LeaseLost {
        /// The job.
        job: JobId,
        /// The task.
        key: Key,
    },
    /// An exclusive task is done by somebody else's work: its body does not run here.
    TaskAdopted {
        /// The job.
        job: JobId,
        /// The task.
        key: Key,
    },
    /// No majority of an exclusive task's replicas answers, or can answer before earlier ones do. It is tried on.
    TaskUndecided {
        /// The job.
        job: JobId,
        /// The task.
        key: Key,
        /// Whose answer is missing.
        missing: Vec<PeerId>,
    },
    /// A body ended; what an exclusive one ended in is decided.
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
    /// A member's results of a kind are bad: it gets such tasks only if there is nobody else.
    PeerQuarantined {
        /// Who.
        peer: PeerId,
        /// At what.
        kind: String,
    },
    /// It may try again.
    PeerReleased {
        /// Who.
        peer: PeerId,
        /// At what.
        kind: String,
    },
    /// A peer sent what no correct peer sends; counted, state unchanged.
    Misbehaved {
        /// Who.
        peer: PeerId,
        /// What, for people.
        what: String,
    },
}
