//! What is asked of a peer, and who answers to it.

use formic_core::{Blame, Capability, Fault, Life, PeerId};
use serde::{Deserialize, Serialize};

/// What a peer must have, and what it had better have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Requirement {
    /// All of these: at most 16.
    pub required: Vec<Capability>,
    /// One of each group: at most 8 groups of at most 8.
    pub any_of: Vec<Vec<Capability>>,
    /// The more weight it has of these, the fitter: at most 16, each of weight 1 to 100.
    pub preferred: Vec<(Capability, u8)>,
    /// All of these labels, by their whole text: at most 8.
    pub labels: Vec<String>,
    /// None of these peers: at most 64.
    pub exclude: Vec<PeerId>,
}

impl Requirement {
    /// Just these capabilities.
    pub fn of(required: &[Capability]) -> Self {
        Self { required: required.to_vec(), ..Self::default() }
    }

    /// # Errors
    /// It breaks a limit.
    pub fn check(&self) -> Result<(), Excess> {
        let groups = self.any_of.iter().map(Vec::len).max().unwrap_or(0);
        let limits = [
            ("required", self.required.len(), 16),
            ("any_of", self.any_of.len(), 8),
            ("a group of any_of", groups, 8),
            ("preferred", self.preferred.len(), 16),
            ("labels", self.labels.len(), 8),
            ("exclude", self.exclude.len(), 64),
        ];
        for (part, count, limit) in limits {
            if count > limit {
                return Err(Excess::Count { part, count, limit });
            }
        }
        let bad = |&&(_, weight): &&(Capability, u8)| weight == 0 || weight > 100;
        match self.preferred.iter().find(bad) {
            Some(&(_, weight)) => Err(Excess::Weight { weight }),
            None => Ok(()),
        }
    }

    /// The share of the preferred weight that these capabilities have, in percent; 100 if nothing is
    /// preferred.
    pub fn fit(&self, offered: &[Capability]) -> u8 {
        let weigh = |(_, weight): &(Capability, u8)| u32::from(*weight);
        let all: u32 = self.preferred.iter().map(weigh).sum();
        let has = |(wanted, _): &&(Capability, u8)| offered.iter().any(|it| it.serves(wanted));
        let got: u32 = self.preferred.iter().filter(has).map(weigh).sum();
        (got * 100).checked_div(all).map_or(100, |fit| u8::try_from(fit).unwrap_or(100))
    }

    /// The capabilities that a peer with these lacks; of a group that it has nothing of, the first.
    pub(crate) fn lacking(&self, offered: &[Capability]) -> Vec<Capability> {
        let serves = |wanted: &Capability| offered.iter().any(|it| it.serves(wanted));
        let group = self.any_of.iter().filter(|group| !group.iter().any(serves));
        let first = group.filter_map(|group| group.first());
        self.required.iter().filter(|wanted| !serves(wanted)).chain(first).cloned().collect()
    }
}

/// How a requirement breaks a limit. The caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Excess {
    /// Too many of something.
    #[error("{part} has {count} entries, at most {limit} are allowed")]
    Count {
        /// Of what.
        part: &'static str,
        /// How many.
        count: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// A weight outside its range.
    #[error("weight {weight}, expected 1 to 100")]
    Weight {
        /// It.
        weight: u8,
    },
}

/// A peer that has all that is required.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// Who.
    pub life: Life,
    /// The share of the preferred weight it has, in percent; 100 if nothing is preferred.
    pub fit: u8,
    /// Its slots have been nearly full for a while: work may queue there, but listed last.
    pub saturated: bool,
}

/// Nobody alive that takes work has all that is required.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("no capable peer")]
pub struct NoCapablePeer {
    /// The required capabilities that nobody has; of a group of alternatives, the first.
    pub missing: Vec<Capability>,
    /// At most 5 peers that lack least, with what each lacks. Empty lists: label or exclusion only.
    pub nearest: Vec<(Life, Vec<Capability>)>,
}

/// Why a search found nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoMatch {
    /// The requirement breaks a limit.
    #[error(transparent)]
    Excess(#[from] Excess),
    /// It is sound, but nobody answers to it.
    #[error(transparent)]
    Nobody(#[from] NoCapablePeer),
}

impl Blame for NoMatch {
    fn fault(&self) -> Fault {
        match self {
            Self::Excess(_) => Fault::Caller,
            Self::Nobody(_) => Fault::Environment,
        }
    }
}
