//! Voters of jobs: what a body asks is judged by its job's electorate (consensus.md).
//!
//! ```text
//!   body --Decide--> asker --Case--> all voters --Judge--> judges
//!                      ^                | Opinion
//!                      |                v
//!                    Ruled <--Decided-- Consensus, one per electorate
//! ```
//!
//! An electorate belongs to one job and is named by its digest, which every signature covers. Who asks need not be a
//! voter. Voters learn each other's keys from what they say: every message carries its sender's, and a key is right if a
//! peer's id is its hash; who lacks another's key asks whoever quoted it.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use formic_consensus::{
    Certificate, Consensus, Deed, Electorate, InstanceId, Known, Message as VoteMessage, Outcome,
    Rank, Roster, Standing,
};
use formic_core::{Digest, JobId, Key, Life, PeerId, Time, earliest};
use formic_identity::PublicKey;
use serde::{Deserialize, Serialize};

pub(crate) mod case;
mod court;
mod hearing;
pub(crate) mod keys;

use case::{Case, Decision, Judgement};

use crate::Reputation;

/// Electorates at one peer at most: as many as open jobs.
pub(crate) const COURTS_MAX: usize = 1_024;
/// Messages of electorates that are not known here, or under keys that are not, that wait: newest win.
const EARLY_MAX: usize = 256;
/// Peers without a vote that wait for one decision at most: a job has a few home peers.
const ASKERS_MAX: usize = 16;
/// Good signatures that an electorate remembers, twice at most, 32 bytes each.
const KNOWN: usize = 1_024;
/// How often others are asked what a vote is about: a round trip of a slow wide-area link.
const WHAT_EVERY: Duration = Duration::from_millis(250);
/// How often an undecided case is asked again, of voters that missed it.
pub(crate) const ASK_EVERY: Duration = Duration::from_secs(1);
/// Questions of one electorate at most.
const CASES_MAX: usize = 65_536;
/// Voters whose reputation is kept.
const STANDINGS_MAX: usize = 4_096;
/// Decisions that are kept per job for whoever asks later.
const DECISIONS_MAX: usize = 4_096;

/// What peers say to each other about an electorate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Votes {
    /// Whose job.
    pub job: JobId,
    /// The electorate's digest.
    pub electorate: Digest,
    /// What.
    pub say: Say,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Say {
    /// Judge this, and tell whoever sends it what you decide.
    Case(Arc<Case>),
    /// A voter's message, with the sender's public key: SubjectPublicKeyInfo, DER.
    Vote(#[serde(with = "serde_bytes")] Vec<u8>, Box<VoteMessage>),
    /// It is decided. To whoever asked and has no vote.
    Decided(Box<Decision>),
    /// The voters, ascending, and all of their keys that the sender knows. Answers [`Say::Who`].
    Voters(Vec<PeerId>, Vec<serde_bytes::ByteBuf>),
    /// Who are the voters, and what are their keys?
    Who,
    /// What is this about? Answered by [`Say::Case`].
    What(InstanceId),
}

/// What of an electorate must survive a restart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Docket {
    /// This peer votes in the electorate of these voters in this mesh.
    Voters(Digest, Vec<PeerId>),
    /// What is to be judged.
    Case(Arc<Case>),
    /// What the voter of this electorate must not forget.
    Voter(Digest, formic_consensus::Record),
    /// The job is over: nothing of it is signed any more.
    Closed,
}

/// Names an electorate at this peer.
pub(crate) type CourtId = (JobId, Digest);

/// This peer's part in all electorates.
#[derive(Clone, Debug, Default)]
pub(crate) struct Courts {
    pub(crate) courts: BTreeMap<CourtId, Court>,
    /// What was said about electorates that are not known here yet.
    strays: VecDeque<(Life, Votes)>,
    /// What was decided, by job, until the job is forgotten.
    pub(crate) decisions: BTreeMap<JobId, Vec<Arc<Decision>>>,
    /// What decided values say about voters.
    standings: BTreeMap<PeerId, Standing>,
}

/// One electorate.
#[derive(Clone, Debug)]
pub(crate) struct Court {
    pub(crate) mesh: Digest,
    pub(crate) voters: Vec<PeerId>,
    pub(crate) roster: Roster<PublicKey>,
    /// Signatures that need not be checked again.
    pub(crate) known: Known,
    pub(crate) spkis: BTreeMap<Rank, Vec<u8>>,
    /// `None`: this peer has no vote in it.
    pub(crate) machine: Option<Box<Consensus>>,
    pub(crate) cases: BTreeMap<InstanceId, Open>,
    /// Asked to judge without knowing what.
    unjudged: BTreeSet<InstanceId>,
    /// What could not be checked for want of a key.
    early: VecDeque<(Life, VoteMessage)>,
    /// When it was asked last what a question is about; under the electorate's own digest, who its voters are.
    asked: BTreeMap<InstanceId, Time>,
    /// The machine's deadline.
    pub(crate) wake: Option<Time>,
    /// When undecided own questions are looked at again.
    pub(crate) asks_at: Option<Time>,
}

/// One question.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) case: Arc<Case>,
    /// Own bodies that wait.
    pub(crate) owners: BTreeSet<Key>,
    /// Others without a vote that wait.
    pub(crate) askers: BTreeSet<Life>,
    pub(crate) decided: Option<Arc<Decision>>,
    /// Since when more voters are down than may be.
    pub(crate) short_since: Option<Time>,
}

impl Open {
    fn new(case: Arc<Case>) -> Self {
        let (owners, askers) = (BTreeSet::new(), BTreeSet::new());
        Self { case, owners, askers, decided: None, short_since: None }
    }
}

impl Courts {
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.courts.values().map(Court::deadline).fold(None, earliest)
    }

    pub(crate) fn due(&self, now: Time) -> Vec<CourtId> {
        let is_due = |court: &Court| court.deadline().is_some_and(|at| at <= now);
        self.courts.iter().filter(|(_, court)| is_due(court)).map(|(id, _)| *id).collect()
    }

    pub(crate) fn ids(&self) -> Vec<CourtId> {
        self.courts.keys().copied().collect()
    }

    /// The electorate of a job that judges this.
    pub(crate) fn judging(&self, job: JobId, instance: InstanceId) -> Option<CourtId> {
        let mut of_job = self.courts.iter().filter(|((of, _), _)| *of == job);
        of_job.find(|(_, court)| court.cases.contains_key(&instance)).map(|(id, _)| *id)
    }

    pub(crate) fn keep(&mut self, job: JobId, decision: &Arc<Decision>) {
        let kept = self.decisions.entry(job).or_default();
        if kept.len() < DECISIONS_MAX && !kept.contains(decision) {
            kept.push(Arc::clone(decision));
        }
    }

    /// A decision says something about each of its voters but the author, if it came with its ballots.
    fn account(&mut self, judgement: &Judgement) {
        if !judgement.has_ballots() {
            return;
        }
        let proof = &judgement.proof;
        let voted: BTreeSet<PeerId> = judgement.ballots.iter().map(|(peer, _)| *peer).collect();
        for member in proof.electorate.members() {
            let peer = member.peer;
            let deed = if judgement.liars.contains(&peer) {
                Deed::Lied
            } else if voted.contains(&peer) {
                Deed::Voted
            } else if proof.value.outcome == Outcome::Expired && proof.proposal.author != Some(peer)
            {
                Deed::Missed
            } else {
                continue;
            };
            let known = self.standings.entry(peer).or_default();
            *known = known.after(deed);
        }
        while self.standings.len() > STANDINGS_MAX {
            self.standings.pop_first();
        }
    }

    pub(crate) fn reputations(&self) -> Vec<Reputation> {
        let standings = self.standings.iter();
        let said = |(peer, standing): (&PeerId, &Standing)| Reputation {
            peer: *peer,
            per_mille: standing.permille(),
        };
        standings.map(said).collect()
    }

    /// Forgets the electorates of a job; true if there was one.
    pub(crate) fn close(&mut self, job: JobId) -> bool {
        let before = self.courts.len();
        self.courts.retain(|(of, _), _| *of != job);
        self.strays.retain(|(_, stray)| stray.job != job);
        self.courts.len() < before
    }

    fn stray(&mut self, from: Life, votes: Votes) {
        if self.strays.len() >= EARLY_MAX {
            self.strays.pop_front();
        }
        self.strays.push_back((from, votes));
    }

    fn has_strays(&self, id: CourtId) -> bool {
        self.strays.iter().any(|(_, stray)| (stray.job, stray.electorate) == id)
    }

    /// What was said about an electorate before it was known.
    fn strays_of(&mut self, id: CourtId) -> Vec<(Life, Votes)> {
        let all = core::mem::take(&mut self.strays);
        let (of, others) =
            all.into_iter().partition(|(_, stray)| (stray.job, stray.electorate) == id);
        self.strays = others;
        Vec::from(of)
    }

    pub(crate) fn check(&self) {
        for ((job, digest), court) in &self.courts {
            assert_eq!(court.electorate().digest(), *digest, "an electorate of {job} is misfiled");
            assert!(court.early.len() <= EARLY_MAX, "{job} keeps too much");
            for open in court.cases.values() {
                let waits = open.decided.is_some() && !open.owners.is_empty();
                assert!(!waits, "bodies of {job} wait for what is decided");
            }
        }
    }
}

impl Court {
    pub(crate) fn new(
        mesh: Digest,
        electorate: Electorate,
        machine: Option<Box<Consensus>>,
    ) -> Self {
        let voters = electorate.members().iter().map(|member| member.peer).collect();
        let roster = Roster::of_some(electorate, Vec::new());
        let (spkis, cases, unjudged) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let (early, asked, wake, asks_at) = (VecDeque::new(), BTreeMap::new(), None, None);
        Self {
            mesh,
            voters,
            roster,
            known: Known::new(KNOWN),
            spkis,
            machine,
            cases,
            unjudged,
            early,
            asked,
            wake,
            asks_at,
        }
    }

    pub(crate) const fn electorate(&self) -> &Electorate {
        self.roster.electorate()
    }

    fn deadline(&self) -> Option<Time> {
        earliest(self.asks_at, self.wake)
    }

    /// Whether it is time to ask others about this; then it counts as asked.
    fn asks(&mut self, what: InstanceId, now: Time) -> bool {
        let is_recent = |at: &Time| *at + WHAT_EVERY > now;
        if self.asked.get(&what).is_some_and(is_recent) {
            return false;
        }
        if self.asked.len() >= EARLY_MAX {
            self.asked.retain(|_, at| is_recent(at));
        }
        self.asked.insert(what, now);
        true
    }

    /// Takes a voter's key; false if it is not the key of `peer`, or `peer` has no vote.
    pub(crate) fn learn(&mut self, peer: PeerId, spki: &[u8]) -> bool {
        let Some(rank) = self.electorate().rank(peer) else { return false };
        if self.roster.knows(rank) {
            return self.spkis.get(&rank).is_some_and(|known| known == spki);
        }
        let Some(key) = keys::key_of(peer, spki) else { return false };
        self.roster.learn(rank, key);
        self.spkis.insert(rank, spki.to_vec());
        true
    }

    /// The keys of whoever signed, in the order of the seals.
    fn signers(&self, certificate: &Certificate) -> Option<Vec<&[u8]>> {
        certificate.seals.iter().map(|(rank, _)| self.spkis.get(rank).map(Vec::as_slice)).collect()
    }

    /// The machine's decision of a case that is known here.
    pub(crate) fn decision(&self, job: JobId, instance: InstanceId) -> Option<Decision> {
        let machine = self.machine.as_ref()?;
        let case = &self.cases.get(&instance)?.case;
        let certificate = machine.proof(instance)?;
        let spkis = self.signers(certificate)?;
        let proposal = case.proposal();
        let proof = formic_consensus::prove(self.electorate(), &proposal, certificate, &spkis)?;
        let (mesh, task, name) = (self.mesh, case.task, case.name.clone());
        let body = machine.body(instance).cloned();
        Some(Decision { mesh, job, task, name, proof, body })
    }
}

/// What a decision says; it was checked when it was made or received.
pub(crate) fn judgement(decision: &Decision) -> Option<Judgement> {
    decision.check(None).ok()
}
