use formic_core::Digest;
use formic_identity::merkle;
use serde::{Deserialize, Serialize};

use crate::{
    Ballot, Electorate, InstanceId, Outcome, Proposal, Rank, Seal, Signed, Statement, Value, Vote,
};

/// Certificates that one `Propose` or one answer to a `Want` carries at most.
pub const CERTIFICATES_MAX: usize = 4;

/// A proposal with the signature of the voter that proposes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Submission {
    /// What is to be decided.
    pub proposal: Proposal,
    /// Who proposes it.
    pub proposer: Rank,
    /// Its signature under the submit statement.
    pub seal: Seal,
}

/// Two statements of one voter that no honest voter signs both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Evidence {
    /// The one.
    pub one: Signed,
    /// The other.
    pub two: Signed,
}

/// A quorum's votes for one thing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Certificate {
    /// In which instance.
    pub instance: InstanceId,
    /// What they voted for.
    pub vote: Vote,
    /// Who and how, strictly ascending by rank.
    pub seals: Vec<(Rank, Seal)>,
}

/// What supports a value: all of it is hashed into the value.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Body {
    /// Ballots, strictly ascending by rank.
    pub ballots: Vec<(Rank, Ballot, Seal)>,
    /// Evidence, strictly ascending by the rank it accuses.
    pub evidence: Vec<Evidence>,
    /// For `Expired`: a quorum's timeouts, strictly ascending by rank. Not hashed: any quorum will do.
    pub timeouts: Vec<(Rank, Seal)>,
}

impl Body {
    /// The value of this body with this outcome.
    pub fn value(&self, outcome: Outcome, electorate: &Electorate, instance: InstanceId) -> Value {
        let ballot = |(rank, ballot, seal): &(Rank, Ballot, Seal)| {
            let mut data = Statement::Ballot(*ballot).bytes(electorate, instance, *rank);
            data.extend(&seal.0);
            merkle::leaf(&data)
        };
        let signed = |signed: &Signed| {
            let mut data = signed.statement.bytes(electorate, instance, signed.rank);
            data.extend(&signed.seal.0);
            *Digest::of(&[&data]).as_bytes()
        };
        let evidence =
            |pair: &Evidence| merkle::leaf(&[signed(&pair.one), signed(&pair.two)].concat());
        let ballots: Vec<_> = self.ballots.iter().map(ballot).collect();
        let accused: Vec<_> = self.evidence.iter().map(evidence).collect();
        let count = |leaves: &[Digest]| u16::try_from(leaves.len()).unwrap_or(u16::MAX);
        Value {
            outcome,
            ballots: count(&ballots),
            ballots_root: merkle::root(&ballots),
            evidence: count(&accused),
            evidence_root: merkle::root(&accused),
        }
    }
}

/// A leader's proposal of a round: its notarize vote and what justifies it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Propose {
    /// The leader's own notarize.
    pub vote: Signed,
    /// What supports the value; only where no earlier round notarized it.
    pub body: Option<Body>,
    /// The newest certificates that justify it.
    pub certificates: Vec<Certificate>,
}

/// What voters tell each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Message {
    /// Please judge this.
    Submission(Submission),
    /// A ballot, with what it is about.
    Ballot(Box<(Submission, Signed)>),
    /// A timeout, or a vote of the agreement.
    Statement(Box<Signed>),
    /// A leader's proposal.
    Propose(Box<Propose>),
    /// A quorum.
    Certificate(Certificate),
    /// A proof that somebody lied.
    Evidence(Box<Evidence>),
    /// Asks for the proposal, and for the certificates of these rounds, at most [`CERTIFICATES_MAX`].
    Want(InstanceId, Vec<u64>),
}

impl Message {
    /// What it is about; `None` for a submission, which names its proposal.
    pub fn instance(&self) -> Option<InstanceId> {
        Some(match self {
            Self::Submission(_) => return None,
            Self::Ballot(pair) => pair.1.instance,
            Self::Statement(signed) => signed.instance,
            Self::Propose(propose) => propose.vote.instance,
            Self::Certificate(certificate) => certificate.instance,
            Self::Evidence(evidence) => evidence.one.instance,
            Self::Want(instance, _) => *instance,
        })
    }
}
