use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use formic_core::{Incarnation, PeerId, Sink, Time, earliest};

use crate::{
    Ballot, Body, Certificate, Config, Effect, Electorate, Event, Evidence, InstanceId, Message,
    Outcome, Propose, Rank, Record, Seal, Signed, Statement, Submission, To, Value, Vote,
    check::leader, message::CERTIFICATES_MAX, outcome, rounds::Rounds, votes::Votes,
};

mod steps;
mod telling;

/// How often a decision is told again to voters that did not say that they know.
const REMINDERS: u32 = 6;

/// What an instance is judged against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ground<'a> {
    pub(crate) config: &'a Config,
    pub(crate) electorate: &'a Electorate,
    pub(crate) down: &'a BTreeMap<Rank, (Incarnation, Time)>,
    pub(crate) me: Rank,
    pub(crate) now: Time,
}

impl Ground<'_> {
    fn peer(&self, rank: Rank) -> Option<PeerId> {
        self.electorate.member(rank).map(|member| member.peer)
    }

    /// `delta_r`: doubles after each turn of all leaders, at most 64 times `delta`.
    fn delta(&self, round: u64) -> Duration {
        let turns = round.saturating_sub(1) / self.electorate.len() as u64;
        self.config.delta * (1 << turns.min(6))
    }
}

/// How far an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Phase {
    Collecting,
    Agreeing,
    Decided,
}

/// One question, from its proposal to its decision.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Instance {
    id: InstanceId,
    pub(crate) submission: Submission,
    phase: Phase,
    expires: Time,
    ballots: BTreeMap<Rank, (Ballot, Seal)>,
    timeouts: BTreeMap<Rank, Seal>,
    evidence: BTreeMap<Rank, Evidence>,
    unsigned: BTreeSet<Statement>,
    own: BTreeMap<Statement, Seal>,
    rounds: Rounds<Value>,
    votes: Votes,
    proposals: BTreeMap<u64, Value>,
    bodies: BTreeMap<Value, Body>,
    refused: BTreeSet<u64>,
    /// When the round began, or a delay later after a notarization.
    base: Time,
    resend: Time,
    resent: u32,
    /// Other voters that know the decision or ask when they do not.
    informed: BTreeSet<Rank>,
    answered: BTreeMap<Rank, Time>,
    stalled: u64,
}

impl Instance {
    pub(crate) fn new(id: InstanceId, submission: Submission, ground: &Ground<'_>) -> Self {
        Self {
            id,
            expires: submission.proposal.expires(ground.now),
            submission,
            phase: Phase::Collecting,
            ballots: BTreeMap::new(),
            timeouts: BTreeMap::new(),
            evidence: BTreeMap::new(),
            unsigned: BTreeSet::new(),
            own: BTreeMap::new(),
            rounds: Rounds::new(),
            votes: Votes::default(),
            proposals: BTreeMap::new(),
            bodies: BTreeMap::new(),
            refused: BTreeSet::new(),
            base: ground.now,
            resend: ground.now + ground.delta(1) * 2,
            resent: 0,
            informed: BTreeSet::new(),
            answered: BTreeMap::new(),
            stalled: ground.electorate.len() as u64,
        }
    }

    pub(crate) const fn round(&self) -> u64 {
        self.rounds.round()
    }

    pub(crate) const fn decided(&self) -> Option<&Value> {
        self.rounds.decided()
    }

    pub(crate) fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.votes.certificates()
    }

    pub(crate) fn evidence(&self) -> &BTreeMap<Rank, Evidence> {
        &self.evidence
    }

    pub(crate) fn body(&self, value: &Value) -> Option<&Body> {
        self.bodies.get(value)
    }

    /// The quorum that decided.
    pub(crate) fn proof(&self) -> Option<&Certificate> {
        let value = self.rounds.decided()?;
        let (round, value) = self.votes.finalizations().find(|(_, other)| other == value)?;
        self.votes.certificate(&Vote::Finalize(round, value))
    }

    pub(crate) fn has_opinion(&self, me: Rank) -> bool {
        let voted = |statement: &Statement| matches!(statement, Statement::Ballot(_));
        self.ballots.contains_key(&me) || self.unsigned.iter().any(voted)
    }

    pub(crate) fn awaits(&self, statement: &Statement) -> bool {
        self.unsigned.contains(statement)
    }

    /// Stores a ballot (B3), or evidence against whoever casts two (B4).
    pub(crate) fn add_ballot(
        &mut self,
        signed: Signed,
        ground: &Ground<'_>,
        out: &mut impl Sink<Effect>,
    ) {
        let Statement::Ballot(ballot) = signed.statement else {
            return;
        };
        match self.ballots.get(&signed.rank) {
            None => {
                self.ballots.insert(signed.rank, (ballot, signed.seal));
            }
            Some((first, _)) if *first == ballot => {}
            Some((first, seal)) => {
                let one = Signed {
                    statement: Statement::Ballot(*first),
                    seal: seal.clone(),
                    ..signed.clone()
                };
                self.accuse(Evidence { one, two: signed }, ground, out);
            }
        }
    }

    /// Stores a timeout (B6).
    pub(crate) fn add_timeout(&mut self, rank: Rank, seal: Seal) {
        self.timeouts.entry(rank).or_insert(seal);
    }

    /// Stores a vote, or evidence against whoever contradicts itself.
    pub(crate) fn add_vote(
        &mut self,
        (rank, vote): (Rank, Vote),
        seal: Seal,
        ground: &Ground<'_>,
        out: &mut impl Sink<Effect>,
    ) {
        if matches!(vote, Vote::Finalize(..)) && rank != ground.me {
            self.informed.insert(rank);
        }
        let quorum = ground.electorate.quorum();
        if let Some(evidence) = self.votes.add((self.id, rank), vote, seal, quorum) {
            self.accuse(evidence, ground, out);
        }
    }

    pub(crate) fn add_certificate(
        &mut self,
        certificate: Certificate,
        ground: &Ground<'_>,
        out: &mut impl Sink<Effect>,
    ) {
        for (rank, seal) in &certificate.seals {
            self.add_vote((*rank, certificate.vote), seal.clone(), ground, out);
        }
        self.votes.prove(certificate);
    }

    /// Keeps the first proof against a voter and tells everybody.
    pub(crate) fn accuse(
        &mut self,
        evidence: Evidence,
        ground: &Ground<'_>,
        out: &mut impl Sink<Effect>,
    ) {
        let rank = evidence.one.rank;
        let ballots = |evidence: &Evidence| matches!(evidence.one.statement, Statement::Ballot(_));
        let known = self.evidence.get(&rank);
        // A double ballot matters for the outcome, so it replaces evidence of another kind.
        if known.is_some_and(|known| ballots(known) || !ballots(&evidence)) {
            return;
        }
        if known.is_none()
            && let Some(peer) = ground.peer(rank)
        {
            out.push(Effect::Event(Event::Misbehaved(peer)));
        }
        out.push(Effect::Send(To::Electorate, Message::Evidence(Box::new(evidence.clone()))));
        self.evidence.insert(rank, evidence);
    }

    /// A leader's proposal: its vote, what justifies it, what supports it.
    pub(crate) fn add_propose(
        &mut self,
        propose: Propose,
        ground: &Ground<'_>,
        out: &mut impl Sink<Effect>,
    ) {
        let Statement::Vote(vote @ Vote::Notarize(round, value)) = propose.vote.statement else {
            return;
        };
        self.add_vote((propose.vote.rank, vote), propose.vote.seal, ground, out);
        for certificate in propose.certificates {
            self.add_certificate(certificate, ground, out);
        }
        if self.votes.has(propose.vote.rank, &vote) {
            self.proposals.entry(round).or_insert(value);
            if let Some(body) = propose.body {
                self.bodies.entry(value).or_insert(body);
            }
        }
    }

    /// An own statement got its signature: it is stored as if received, and sent.
    pub(crate) fn signed(
        &mut self,
        (statement, seal): (Statement, Seal),
        ground: &Ground<'_>,
        out: &mut impl Sink<Effect>,
    ) {
        self.unsigned.remove(&statement);
        self.own.insert(statement, seal.clone());
        let me = ground.me;
        match statement {
            Statement::Submit => {}
            Statement::Ballot(_) => {
                let signed = Signed { instance: self.id, rank: me, statement, seal };
                self.add_ballot(signed, ground, out);
            }
            Statement::Timeout => self.add_timeout(me, seal),
            Statement::Vote(vote) => self.add_vote((me, vote), seal, ground, out),
        }
        if let Some(message) = self.telling(statement, ground) {
            out.push(Effect::Send(To::Electorate, message));
        }
    }

    /// R1: what the disk says. Own statements are signed again, the quorums are believed.
    pub(crate) fn restore(
        &mut self,
        record: Record,
        ground: &Ground<'_>,
        out: &mut impl Sink<Effect>,
    ) {
        match record {
            Record::Opened(_) => {}
            Record::Body(_, value, body) => {
                self.bodies.insert(value, body);
            }
            Record::Certificate(certificate) => self.add_certificate(certificate, ground, out),
            Record::Own(_, statement) => {
                self.unsigned.insert(statement);
                out.push(Effect::Sign(self.id, statement));
                if let Statement::Vote(vote) = statement {
                    self.remember(vote, ground);
                }
            }
        }
    }

    fn remember(&mut self, vote: Vote, ground: &Ground<'_>) {
        self.phase = Phase::Agreeing;
        self.rounds.restore(vote.round(), |own| match vote {
            Vote::Notarize(_, value) => own.notarize = Some(value),
            Vote::Finalize(_, value) => own.finalize = Some(value),
            Vote::Nullify(_) => own.nullify = true,
        });
        if let Vote::Notarize(round, value) = vote
            && leader(ground.electorate, self.id, round) == ground.me
        {
            self.proposals.insert(round, value);
        }
    }

    /// The message that carries an own statement.
    fn telling(&self, statement: Statement, ground: &Ground<'_>) -> Option<Message> {
        let seal = self.own.get(&statement)?.clone();
        let signed = Signed { instance: self.id, rank: ground.me, statement, seal };
        Some(match statement {
            Statement::Submit => return None,
            Statement::Ballot(_) => Message::Ballot(Box::new((self.submission.clone(), signed))),
            Statement::Vote(Vote::Notarize(round, value))
                if leader(ground.electorate, self.id, round) == ground.me =>
            {
                let (parent, certificates) = self.justification(round, &value);
                let body = if parent { None } else { self.bodies.get(&value).cloned() };
                Message::Propose(Box::new(Propose { vote: signed, body, certificates }))
            }
            Statement::Timeout | Statement::Vote(_) => Message::Statement(Box::new(signed)),
        })
    }

    /// Whether an earlier round notarized it, and the newest certificates that justify it, newest first.
    fn justification(&self, round: u64, value: &Value) -> (bool, Vec<Certificate>) {
        let mut found = vec![];
        for earlier in (1..round).rev() {
            if let Some(parent) = self.votes.certificate(&Vote::Notarize(earlier, *value)) {
                found.truncate(CERTIFICATES_MAX - 1);
                found.push(parent.clone());
                return (true, found);
            }
            found.extend(self.votes.certificate(&Vote::Nullify(earlier)).cloned());
        }
        found.truncate(CERTIFICATES_MAX);
        (false, found)
    }

    fn ballot_message(&self, rank: Rank) -> Option<Message> {
        let (ballot, seal) = self.ballots.get(&rank)?;
        let statement = Statement::Ballot(*ballot);
        let signed = Signed { instance: self.id, rank, statement, seal: seal.clone() };
        Some(Message::Ballot(Box::new((self.submission.clone(), signed))))
    }

    /// What my ballots say.
    fn outcome(&self, ground: &Ground<'_>) -> Option<Outcome> {
        let ballots = self.ballots.iter().map(|(rank, (ballot, _))| (*rank, *ballot)).collect();
        let void = self.evidence.keys().copied().collect();
        outcome(&ballots, &void, &self.submission.proposal, ground.electorate)
    }

    /// When to look again, if nothing else happens.
    pub(crate) fn deadline(&self, ground: &Ground<'_>) -> Option<Time> {
        if self.phase == Phase::Decided {
            let all = self.informed.len() + 1 >= ground.electorate.len();
            return (!all && self.resent < REMINDERS).then_some(self.resend);
        }
        let timeout = self.timeout_at(ground);
        let lead = self.can_lead(ground).then_some(self.base);
        let round = self.give_up_at(ground);
        earliest(earliest(Some(self.resend), timeout), earliest(lead, round))
    }
}
