use std::collections::BTreeMap;

use formic_consensus::{Ballot, NOT_JUDGED, Reason, Verdict};
use formic_node::DIMENSION_NAMES;
use serde::{Deserialize, Serialize};

/// One line of the event log: the single source for reports, `formic why` and replay.
///
/// Lives are written `PEER.INCARNATION` with the first 8 digits of the peer; jobs and tasks in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// Microseconds since the start of the command that owns the log.
    pub at_us: u64,
    /// The life that saw it; `-` for the command itself.
    pub peer: String,
    /// What.
    #[serde(flatten)]
    pub event: LogEvent,
}

/// What can happen, as the event log names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the variants' docs say what the fields of a log line are")]
pub enum LogEvent {
    /// A command starts peers or submits a job.
    RunStarted {
        version: String,
        plan: String,
        peers: u32,
        transport: String,
        seed: u64,
        durable: bool,
    },
    /// A peer's process or task runs and is reachable.
    PeerStarted { name: String, pid: u32, capabilities: Vec<String>, slots: u32, address: String },
    /// The peer is a member of the mesh.
    PeerJoined { mesh: String, members: u32 },
    /// The peer was refused by the mesh.
    PeerRefused { reason: String },
    /// Another peer is known and alive.
    PeerUp { who: String, name: String },
    /// Another peer is missed and gets no new work.
    PeerSuspect { who: String },
    /// A peer's results of a kind are bad: it gets such tasks only if there is nobody else.
    PeerQuarantined { who: String, kind: String },
    /// It may try again.
    PeerReleased { who: String, kind: String },
    /// Another peer is believed dead.
    PeerDown { who: String, reason: String },
    /// The mesh had declared the life `was` dead while it was out of touch; the peer goes on as its next life.
    PeerReborn { was: String },
    /// A view was committed or learnt: `hash` has 8 digits, `members` are lives by seniority.
    ViewCommitted { epoch: u64, hash: String, members: Vec<String>, forced: Option<String> },
    /// No majority of the last view is in touch: nothing is decided here.
    QuorumLost {},
    /// A majority is in touch.
    QuorumHeld {},
    /// Members died within half a second.
    Loss { who: Vec<String> },
    /// Two committed views of one epoch, or a forced one beside the known chain.
    ViewFork { ours: String, theirs: String },
    /// The health of the peer's part of the mesh changed: `well`, `degraded` or `critical`.
    Health { status: String },
    /// Chaos: the command cut the network between these peers and the others.
    ChaosCut { who: Vec<String> },
    /// Chaos: the cut is over.
    ChaosHeal {},
    /// The peer ended in good order.
    PeerStopped {},
    /// Chaos: the command killed a peer without notice.
    ChaosKill { who: String, pid: u32 },
    /// A majority of the home group has the job.
    JobAccepted { job: String, home: Vec<String> },
    /// The job was found in the state directory and goes on.
    JobResumed { job: String },
    /// Other home peers keep the job.
    HomeChanged { job: String, generation: u64, home: Vec<String> },
    /// A home peer took over.
    HomeTookOver { job: String, rank: u32 },
    /// A ledger entry was made.
    TaskSpawned { job: String, owner: String, key: String, kind: String, name: String },
    /// A task was sent to a peer.
    TaskPlaced {
        job: String,
        key: String,
        attempt: u16,
        who: String,
        /// When its result is expected at the latest: wait, service, and what the messages may take.
        #[serde(default)]
        promised_ms: u64,
    },
    /// Nobody alive can do the task; it waits.
    TaskUnplaceable { job: String, key: String, missing: Vec<String> },
    /// A body starts; `fence` (`KEY.VIEW.ATTEMPT`) if the task is exclusive.
    TaskStarted {
        job: String,
        key: String,
        attempt: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fence: Option<String>,
    },
    /// An exclusive task waits until the lease of its last holder ended.
    TaskHeld { job: String, key: String, remaining_ms: u64 },
    /// The lease of an exclusive task ended before its body did: the body is stopped.
    LeaseLost { job: String, key: String },
    /// An exclusive task is done by another peer's work: it does not run here.
    TaskAdopted { job: String, key: String },
    /// An exclusive task is waited for: the peers that keep it do not answer, or one of them lacks the disks of earlier
    /// keepers (`missing`). It is tried on.
    TaskUndecided { job: String, key: String, missing: Vec<String> },
    /// A body reports progress.
    TaskProgress { job: String, key: String, per_mille: u16, note: String },
    /// A line of an agent's log.
    TaskLog { job: String, key: String, level: String, message: String },
    /// A body ended.
    TaskFinished { job: String, key: String, outcome: String, detail: String },
    /// A result reached the parent's ledger; `by` executed the body that counts.
    TaskDone { job: String, owner: String, key: String, by: String, outcome: String },
    /// A task was lost with its peer and is executed again.
    TaskRespawned { job: String, key: String, attempt: u16, from: String },
    /// A task was dropped here: nobody waits for it any more.
    TaskDropped { job: String, key: String },
    /// A second, different result was seen and not used.
    TaskDivergent { job: String, key: String },
    /// All work is covered; the result is decided.
    JobComplete { job: String, outcome: String },
    /// The job is over at this peer: sealed, verdict known.
    JobVerdict { job: String, outcome: String, excluded: Vec<String>, tasks: u64, executions: u64 },
    /// Two independent proofs disagree.
    JobAnomaly { job: String, what: String },
    /// A peer broke a rule; counted and ignored.
    Misbehaved { who: String, what: String },
    /// What the peer sent until now, by sort; written with every verdict.
    PeerCounters { work: u64, control: u64, probes: u64 },
    /// A body asks voters about the result of task `key`: `electorate` is the digest to pin, `author` does not judge.
    DecisionAsked {
        job: String,
        key: String,
        name: String,
        electorate: String,
        voters: u32,
        author: Option<String>,
    },
    /// The peer casts its ballot about the result of task `key`.
    BallotCast {
        job: String,
        key: String,
        #[serde(flatten)]
        ballot: LogBallot,
    },
    /// The voters decided: `ballots` by peer; `liars` are proven to have contradicted themselves; `proof` is what `formic
    /// verify` checks, in hexadecimal digits.
    DecisionMade {
        job: String,
        key: String,
        name: String,
        outcome: String,
        words: String,
        electorate: String,
        ballots: BTreeMap<String, LogBallot>,
        liars: Vec<String>,
        proof: String,
    },
    /// As many rounds as there are voters passed without a decision: these votes are missing.
    DecisionStalled { job: String, key: String, missing: Vec<String> },
    /// Proven: a voter signed what no honest voter signs.
    VoterLied { job: String, who: String },
    /// The command ends.
    RunFinished { verdict: String, exit: u8 },
}

/// A ballot as the event log writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogBallot {
    /// `approve` or `reject`.
    pub verdict: String,
    /// Why it rejects, if a reason was given: `wrong`, `insecure`, `slow`, `untested`, `undocumented`, `unable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// By dimension, 0 to 1000; a dimension that was not judged is left out.
    pub scores: BTreeMap<String, u16>,
}

impl From<&Ballot> for LogBallot {
    fn from(ballot: &Ballot) -> Self {
        Self::of(ballot)
    }
}

impl LogBallot {
    pub(crate) fn of(ballot: &Ballot) -> Self {
        let (verdict, reason) = match ballot.verdict {
            Verdict::Approve => ("approve", None),
            Verdict::Reject(reason) => ("reject", word(reason)),
        };
        let scores = DIMENSION_NAMES.iter().zip(ballot.scores);
        let given = scores.filter(|(_, score)| *score != NOT_JUDGED);
        Self {
            verdict: verdict.to_owned(),
            reason: reason.map(str::to_owned),
            scores: given.map(|(name, score)| ((*name).to_owned(), score)).collect(),
        }
    }
}

const fn word(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::None => None,
        Reason::Wrong => Some("wrong"),
        Reason::Insecure => Some("insecure"),
        Reason::Slow => Some("slow"),
        Reason::Untested => Some("untested"),
        Reason::Undocumented => Some("undocumented"),
        Reason::Unable => Some("unable"),
    }
}
