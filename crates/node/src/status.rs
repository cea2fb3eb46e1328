use std::sync::Arc;

use formic_core::{Capability, Digest, JobId, Life, PeerId, View, transport::Address};
use formic_mesh::Health;
use serde::{Deserialize, Serialize};

/// A peer's view of the mesh and its own work.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Status {
    /// The mesh, once joined.
    pub mesh: Option<Digest>,
    /// Who answers.
    pub me: Life,
    /// The last committed view.
    pub view: Option<Arc<View>>,
    /// Whether a majority of it is in touch.
    pub quorum: bool,
    /// How many further crashes at once the majority survives; `None`: it is lost.
    pub margin: Option<u64>,
    /// How this peer's part of the mesh does, and why.
    pub health: Health,
    /// All known members, this one included, sorted by life.
    pub members: Vec<MemberStatus>,
    /// Jobs with state at this peer, sorted.
    pub jobs: Vec<JobStatus>,
    /// Voters of open jobs, as far as this peer takes part, sorted.
    pub electorates: Vec<ElectorateStatus>,
    /// Of voters whose decisions this life has seen, sorted.
    pub reputations: Vec<Reputation>,
}

/// The voters of a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ElectorateStatus {
    /// The job.
    pub job: JobId,
    /// The electorate's digest: what to pin.
    pub digest: Digest,
    /// Who has a vote, sorted.
    pub voters: Vec<PeerId>,
    /// How many decide.
    pub quorum: u64,
    /// Voters that are alive, as this peer sees them.
    pub alive: u64,
    /// Questions that are not decided here.
    pub open: u64,
    /// Questions that are.
    pub decided: u64,
    /// The highest threshold asked for so far, in thousandths; 0: nothing was asked.
    pub threshold: u16,
}

/// What decisions say about a voter. For people: ballots have equal weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reputation {
    /// Who.
    pub peer: PeerId,
    /// In thousandths: 500 for a newcomer, less for ballots that others had to wait for in vain or proven lies.
    pub per_mille: u16,
}

/// One member as seen by the answering peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Who.
    pub life: Life,
    /// Its name.
    pub name: String,
    /// What it can do.
    pub capabilities: Vec<Capability>,
    /// Where it can be reached.
    pub addresses: Vec<Address>,
    /// `joining`, `alive`, `suspect`, `down`, `leaving`, `left`.
    pub state: String,
    /// Agent slots.
    pub slots: u32,
    /// Bodies running, as last heard; `None`: not heard yet, or not published in a mesh of this size.
    pub running: Option<u32>,
    /// Tasks queued, likewise.
    pub queued: Option<u32>,
    /// Microseconds since it was last heard; 0 for the answering peer.
    pub heard_us: u64,
}

/// One job as seen by the answering peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JobStatus {
    /// Which.
    pub job: JobId,
    /// `open`, `sealed`, `closed`.
    pub state: String,
    /// This peer's rank in its home group.
    pub rank: Option<usize>,
    /// Tasks alive at this peer.
    pub live: u64,
    /// Children this peer waits for.
    pub awaited: u64,
    /// Home lives that are alive, of how many.
    pub home_alive: (usize, usize),
}

/// What the answering peer learned about a member at a kind of work: its own experience, and what is left of what
/// others told it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TrailStatus {
    /// The kind's name.
    pub kind: String,
    /// About whom.
    pub peer: PeerId,
    /// Completions, faded, in thousandths.
    pub samples_milli: u64,
    /// Expected time in a slot, in microseconds. Optimistic where samples are few.
    pub service_us: u64,
    /// How long it takes over what it promises, in thousandths; 1,000 below the bound at which promises count as
    /// broken.
    pub honesty_permille: u32,
}
