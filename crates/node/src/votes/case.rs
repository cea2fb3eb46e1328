//! What voters are asked, and what came of it.

use formic_consensus::{
    BadElectorate, BadProposal, Ballot, Body, DIMENSIONS, Decision as Proof, Electorate, Flaw,
    InstanceId, Member, Outcome, Policy, Proposal, Rank, Reason, Rejection, Standing, Verdict,
    outcome, verify,
};
use formic_core::{DESCRIPTOR_MAX, Digest, JobId, Key, PeerId};
use serde::{Deserialize, Serialize};

use super::keys;

/// The longest name of what is judged, in bytes.
pub const CASE_NAME_MAX: usize = 256;
/// The lowest threshold that a policy may have, in thousandths: more than half.
pub const THRESHOLD_MIN: u16 = 501;

/// The five dimensions by name, in the order of a ballot's scores.
pub const DIMENSION_NAMES: [&str; DIMENSIONS] =
    ["quality", "security", "performance", "tests", "docs"];

/// What a body wants judged, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Case {
    /// Who has a vote: sorted, unique, 1 to [`VOTERS_MAX`](formic_consensus::VOTERS_MAX). The electorate of the job, number
    /// 0; they vote with their identity keys.
    pub voters: Vec<PeerId>,
    /// The task whose result is judged.
    pub task: Key,
    /// Its name for people, at most [`CASE_NAME_MAX`] bytes.
    pub name: String,
    /// Which try, from 0.
    pub attempt: u32,
    /// Whose work it is: it does not judge itself. `None`: nobody's.
    pub author: Option<PeerId>,
    /// When it counts as approved.
    pub policy: Policy,
    /// What is judged and how, for the judges; at most [`DESCRIPTOR_MAX`] bytes. All of it is hashed into the question.
    #[serde(with = "serde_bytes")]
    pub content: Vec<u8>,
}

/// Why a case cannot be asked. The fault of whoever made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadCase {
    /// Its voters are no electorate.
    #[error(transparent)]
    Electorate(#[from] BadElectorate),
    /// Its policy is out of range.
    #[error(transparent)]
    Proposal(#[from] BadProposal),
    /// Its name is too long.
    #[error("a name of {size} bytes, at most {CASE_NAME_MAX} are allowed")]
    Name {
        /// Bytes found.
        size: usize,
    },
    /// Its content is too large.
    #[error("{size} bytes to be judged, at most {DESCRIPTOR_MAX} fit")]
    Content {
        /// Bytes found.
        size: usize,
    },
}

impl Case {
    /// The question that voters sign. The name is part of it.
    pub fn proposal(&self) -> Proposal {
        Proposal {
            subject: subject(self.task, &self.name),
            attempt: self.attempt,
            author: self.author,
            policy: self.policy,
            payload: Digest::of(&[&self.content]),
        }
    }

    /// The electorate, once everything is found in range.
    pub(crate) fn check(&self, mesh: Digest, job: JobId) -> Result<Electorate, BadCase> {
        let electorate = electorate(mesh, job, &self.voters)?;
        self.proposal().check(&electorate)?;
        if self.name.len() > CASE_NAME_MAX {
            return Err(BadCase::Name { size: self.name.len() });
        }
        if self.content.len() > DESCRIPTOR_MAX {
            return Err(BadCase::Content { size: self.content.len() });
        }
        Ok(electorate)
    }
}

fn subject(task: Key, name: &str) -> Digest {
    Digest::of(&[b"formic/subject/1", task.as_bytes(), name.as_bytes()])
}

/// The electorate of a job: these voters with their identity keys, number 0. Mesh and job are part of its digest, so that
/// nothing signed in it means anything in another job.
///
/// # Errors
/// [`BadElectorate`]: no or too many voters, not strictly ascending.
pub fn electorate(
    mesh: Digest,
    job: JobId,
    voters: &[PeerId],
) -> Result<Electorate, BadElectorate> {
    let ground = Digest::of(&[b"formic/voters/1\0", mesh.as_bytes(), job.as_bytes()]);
    let member = |peer: &PeerId| Member {
        peer: *peer,
        scheme: keys::IDENTITY,
        // A peer's id is the hash of its identity key.
        key: Digest::from_bytes(*peer.as_bytes()),
        standing: Standing::default(),
    };
    let zero = Digest::from_bytes([0; 32]);
    Electorate::new(ground, (0, zero), THRESHOLD_MIN, voters.iter().map(member).collect())
}

/// A decision with all that proves it: whoever has it needs nobody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Decision {
    /// The mesh.
    pub mesh: Digest,
    /// The job.
    pub job: JobId,
    /// The task whose result was judged.
    pub task: Key,
    /// Its name.
    pub name: String,
    /// The quorum's signatures: `formic_consensus::prove`.
    #[serde(with = "serde_bytes")]
    pub proof: Vec<u8>,
    /// The ballots that support it; `None` where the peer that kept it learnt the decision from others.
    pub body: Option<Body>,
}

/// Why a decision proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadDecision {
    /// The proof itself.
    #[error(transparent)]
    Proof(#[from] Flaw),
    /// Its voters decided about another job, another mesh, or are no electorate of a job.
    #[error("the voters signed for another job or mesh than the file names")]
    OtherJob,
    /// They decided about another task.
    #[error("the voters signed about another task than the file names")]
    OtherTask,
    /// The ballots are not those that were decided about.
    #[error("the ballots are not those under the decided Merkle root")]
    Ballots,
    /// The ballots say something else than the decision.
    #[error("the ballots do not give the decided outcome")]
    Outcome,
}

/// What a decision says, checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Judgement {
    /// Electorate, question, outcome and signers.
    pub proof: Proof,
    /// Who voted how, ascending by peer; empty without the ballots.
    pub ballots: Vec<(PeerId, Ballot)>,
    /// Who is proven to have signed what no honest voter signs.
    pub liars: Vec<PeerId>,
}

impl Decision {
    /// Checks everything offline: the quorum's signatures, that they are about this job and task, and that the ballots are
    /// the decided ones and give the outcome. With `pinned` it must be this electorate's decision; without, whose decision
    /// it is remains the file's own word.
    ///
    /// # Errors
    /// [`BadDecision`]: the first thing found wrong.
    pub fn check(&self, pinned: Option<Digest>) -> Result<Judgement, BadDecision> {
        let proof = verify(pinned, &self.proof, keys::voting_key)?;
        let voters: Vec<PeerId> =
            proof.electorate.members().iter().map(|member| member.peer).collect();
        let expected = electorate(self.mesh, self.job, &voters);
        if !expected.is_ok_and(|expected| expected == proof.electorate) {
            return Err(BadDecision::OtherJob);
        }
        if proof.proposal.subject != subject(self.task, &self.name) {
            return Err(BadDecision::OtherTask);
        }
        let Some(body) = &self.body else {
            return Ok(Judgement { proof, ballots: Vec::new(), liars: Vec::new() });
        };
        let value = proof.value;
        if body.value(value.outcome, &proof.electorate, proof.instance) != value {
            return Err(BadDecision::Ballots);
        }
        let peer = |rank: Rank| proof.electorate.member(rank).map(|member| member.peer);
        let cast = body.ballots.iter().map(|(rank, ballot, _)| (*rank, *ballot)).collect();
        let void = body.evidence.iter().map(|pair| pair.one.rank).collect();
        let said = outcome(&cast, &void, &proof.proposal, &proof.electorate);
        if said.unwrap_or(Outcome::Expired) != value.outcome {
            return Err(BadDecision::Outcome);
        }
        let ballots = cast.iter().filter_map(|(rank, ballot)| Some((peer(*rank)?, *ballot)));
        let ballots = ballots.collect();
        let liars = void.iter().filter_map(|rank| peer(*rank)).collect();
        Ok(Judgement { proof, ballots, liars })
    }
}

impl Judgement {
    /// The instance.
    pub const fn instance(&self) -> InstanceId {
        self.proof.instance
    }

    /// What became of the question.
    pub const fn outcome(&self) -> Outcome {
        self.proof.value.outcome
    }

    /// Whether the ballots came with it: whoever learned a decision from its signatures alone has none to show.
    pub fn has_ballots(&self) -> bool {
        self.ballots.len() >= usize::from(self.proof.value.ballots)
    }

    /// How many may judge: all voters but the author.
    pub fn judges(&self) -> usize {
        let author = self.proof.proposal.author;
        let members = self.proof.electorate.members().iter();
        members.filter(|member| Some(member.peer) != author).count()
    }

    /// The lower median of a score over the ballots that were cast, one that was not given being 0.
    pub fn median(&self, dimension: usize) -> u16 {
        let author = self.proof.proposal.author;
        let counted = self.ballots.iter().filter(|(peer, _)| Some(*peer) != author);
        let given = counted.filter_map(|(_, ballot)| ballot.scores.get(dimension).copied());
        let judged = |score: u16| if score == formic_consensus::NOT_JUDGED { 0 } else { score };
        let mut scores: Vec<u16> = given.map(judged).collect();
        scores.sort_unstable();
        scores.get(scores.len().saturating_sub(1) / 2).copied().unwrap_or(0)
    }

    /// The outcome in a sentence.
    pub fn in_words(&self) -> String {
        let yes = |(_, ballot): &&(PeerId, Ballot)| ballot.verdict == Verdict::Approve;
        let author = self.proof.proposal.author;
        let counted = || self.ballots.iter().filter(|(peer, _)| Some(*peer) != author);
        let approvals = counted().filter(yes).count();
        let policy = &self.proof.proposal.policy;
        let mut asked = format!("{approvals} of {} judges approve", self.judges());
        let unable = Verdict::Reject(Reason::Unable);
        let unable = counted().filter(|(_, ballot)| ballot.verdict == unable).count();
        let missing = self.judges().saturating_sub(counted().count());
        if unable > 0 {
            asked += &format!(", {unable} could not judge");
        }
        if missing > 0 && self.outcome() != Outcome::Approved {
            asked += &format!(", {missing} without a ballot by then");
        }
        let share = share(policy.threshold);
        if !self.has_ballots() {
            let quorum = self.proof.electorate.quorum();
            asked = format!("as {quorum} voters signed, whose ballots are not known here");
        }
        match self.outcome() {
            Outcome::Rejected(Rejection::Floor(dimension)) if !self.has_ballots() => {
                let name = DIMENSION_NAMES.get(usize::from(dimension)).copied().unwrap_or("score");
                format!("rejected by ballots: {name} is under its floor, {asked}")
            }
            Outcome::Approved => format!("approved: {asked}, threshold {share}"),
            Outcome::Rejected(Rejection::Dissent) => {
                format!("rejected by ballots: {asked}, threshold {share}")
            }
            Outcome::Rejected(Rejection::Void) => {
                let void = self.liars.len();
                format!(
                    "rejected: {asked}, {void} voted twice and count on neither side, threshold {share}"
                )
            }
            Outcome::Rejected(Rejection::Floor(dimension)) => {
                let at = usize::from(dimension);
                let name = DIMENSION_NAMES.get(at).copied().unwrap_or("score");
                let floor = policy.floors.get(at).copied().unwrap_or(0);
                format!("rejected by ballots: {name} {} < {floor}, {asked}", self.median(at))
            }
            Outcome::Expired => format!("not judged in time: {asked}, threshold {share}"),
        }
    }
}

/// Thousandths as people write them: 900 is `0.9`.
pub fn share(per_mille: u16) -> String {
    if per_mille >= 1_000 {
        return "1".to_owned();
    }
    let digits = format!("0.{per_mille:03}");
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What a body that asked is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ruling {
    /// The voters decided.
    Decided(Box<Decision>),
    /// The case cannot be asked, or nobody can decide it any more.
    Undecided {
        /// Why, for people.
        reason: String,
    },
}
