use std::collections::BTreeMap;

use formic_core::Digest;

use crate::{
    Certificate, Evidence, InstanceId, Rank, Seal, Signed, Statement, Value, Vote, rounds::Seen,
};

/// Received votes of one instance, and the quorums they make. Of a voter that contradicts itself the
/// first vote counts here; a certificate counts as the quorum it proves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Votes {
    seals: BTreeMap<Vote, BTreeMap<Rank, Seal>>,
    certificates: BTreeMap<Vote, Certificate>,
}

impl Votes {
    /// Stores a vote; evidence if it contradicts an earlier one of its voter.
    pub(crate) fn add(
        &mut self,
        (instance, rank): (InstanceId, Rank),
        vote: Vote,
        seal: Seal,
        quorum: usize,
    ) -> Option<Evidence> {
        let against = self.against(rank, vote).map(|(other, first)| {
            let signed =
                |vote, seal| Signed { instance, rank, statement: Statement::Vote(vote), seal };
            Evidence { one: signed(other, first.clone()), two: signed(vote, seal.clone()) }
        });
        if against.is_some() {
            return against;
        }
        let seals = self.seals.entry(vote).or_default();
        seals.entry(rank).or_insert(seal);
        if seals.len() >= quorum && !self.certificates.contains_key(&vote) {
            let seals = seals.iter().map(|(rank, seal)| (*rank, seal.clone())).collect();
            self.certificates.insert(vote, Certificate { instance, vote, seals });
        }
        None
    }

    /// Stores a checked certificate.
    pub(crate) fn prove(&mut self, certificate: Certificate) {
        self.certificates.entry(certificate.vote).or_insert(certificate);
    }

    /// Whether this vote of this voter is stored.
    pub(crate) fn has(&self, rank: Rank, vote: &Vote) -> bool {
        self.seals.get(vote).is_some_and(|seals| seals.contains_key(&rank))
    }

    /// Whether a vote of this voter in this round is stored.
    pub(crate) fn spoke(&self, rank: Rank, round: u64) -> bool {
        let here = self.seals.iter().filter(|(vote, _)| vote.round() == round);
        here.into_iter().any(|(_, seals)| seals.contains_key(&rank))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.seals.is_empty() && self.certificates.is_empty()
    }

    pub(crate) fn certificate(&self, vote: &Vote) -> Option<&Certificate> {
        self.certificates.get(vote)
    }

    pub(crate) fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.certificates.values()
    }

    /// The value that a quorum notarized in this round.
    pub(crate) fn notarization(&self, round: u64) -> Option<Value> {
        let least = Vote::Notarize(round, LEAST);
        match self.certificates.range(least..Vote::Notarize(round + 1, LEAST)).next() {
            Some((Vote::Notarize(_, value), _)) => Some(*value),
            _ => None,
        }
    }

    /// The first quorum that ends a round at or above this one, notarizations first.
    pub(crate) fn ending(&self, round: u64) -> Option<Vote> {
        let notarized = self.certificates.range(Vote::Notarize(round, LEAST)..Vote::Nullify(0));
        let nullified = self.certificates.range(Vote::Nullify(round)..=Vote::Nullify(u64::MAX));
        let first = |mut votes: std::collections::btree_map::Range<'_, Vote, Certificate>| {
            votes.next().map(|(vote, _)| *vote)
        };
        match (first(notarized), first(nullified)) {
            (Some(one), Some(two)) => Some(if one.round() <= two.round() { one } else { two }),
            (one, two) => one.or(two),
        }
    }

    /// The quorums that finalized.
    pub(crate) fn finalizations(&self) -> impl Iterator<Item = (u64, Value)> {
        self.certificates.keys().filter_map(|vote| match vote {
            Vote::Finalize(round, value) => Some((*round, *value)),
            Vote::Notarize(..) | Vote::Nullify(_) => None,
        })
    }

    fn against(&self, rank: Rank, vote: Vote) -> Option<(Vote, &Seal)> {
        let new = Statement::Vote(vote);
        let contradicts = |old: &Vote| Statement::Vote(*old).contradicts(&new);
        let mut stored = self.seals.iter().filter(|(old, _)| contradicts(old));
        stored.find_map(|(old, seals)| Some((*old, seals.get(&rank)?)))
    }
}

/// No value is below it.
const LEAST: Value = Value {
    outcome: crate::Outcome::Approved,
    ballots: 0,
    ballots_root: Digest::from_bytes([0; 32]),
    evidence: 0,
    evidence_root: Digest::from_bytes([0; 32]),
};

impl Seen<Value> for Votes {
    fn notarized(&self, round: u64, value: &Value) -> bool {
        self.certificates.contains_key(&Vote::Notarize(round, *value))
    }
    fn nullified(&self, round: u64) -> bool {
        self.certificates.contains_key(&Vote::Nullify(round))
    }
    fn finalized(&self, round: u64, value: &Value) -> bool {
        self.certificates.contains_key(&Vote::Finalize(round, *value))
    }
}
