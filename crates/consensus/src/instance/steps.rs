//! The transitions of consensus.md section 8, one function each: what is due is done until nothing is.

use std::collections::{BTreeMap, BTreeSet};

use formic_core::{Sink, Time, rule};

use super::{Ground, Instance, Phase};
use crate::{
    Ballot, Body, Effect, Event, Outcome, Rank, Record, Statement, Value, Verdict, Vote,
    check::leader,
    outcome,
    rounds::{Moved, Seen as _},
};

/// What a leader may propose.
#[derive(Clone, Copy, Debug)]
enum Offer {
    /// What an earlier round notarized.
    Again(Value),
    /// What its own ballots say.
    Mine(Outcome),
}

impl Instance {
    /// Does everything that is due.
    pub(crate) fn advance(&mut self, ground: &Ground<'_>, out: &mut impl Sink<Effect>) {
        while self.decide(ground, out)
            || (self.phase != Phase::Decided
                && (self.leave(ground, out)
                    || self.start(ground)
                    || self.time_out(ground, out)
                    || self.lead(ground, out)
                    || self.follow(ground, out)
                    || self.give_up(ground, out)))
        {}
        if ground.now >= self.resend {
            self.remind(ground, out);
        }
    }

    /// Persists an own statement and asks for its signature, in this order: it is binding from here on.
    pub(crate) fn cast(&mut self, statement: Statement, out: &mut impl Sink<Effect>) {
        self.unsigned.insert(statement);
        if rule!("consensus/persist") {
            out.push(Effect::Persist(Record::Own(self.id, statement)));
        }
        out.push(Effect::Sign(self.id, statement));
    }

    /// A7: a quorum finalized.
    fn decide(&mut self, ground: &Ground<'_>, out: &mut impl Sink<Effect>) -> bool {
        let Some((round, value)) = self.votes.finalizations().next() else {
            return false;
        };
        if !self.rounds.on_finalized(round, &value, &self.votes) {
            return false;
        }
        self.phase = Phase::Decided;
        if let Some(certificate) = self.votes.certificate(&Vote::Finalize(round, value)) {
            out.push(Effect::Persist(Record::Certificate(certificate.clone())));
        }
        (self.resend, self.resent) = (ground.now + ground.delta(1) * 2, 0);
        self.tell_decision(ground, out);
        out.push(Effect::Event(Event::Decided(self.id, value)));
        true
    }

    /// A4, A6: a quorum ended the round, or a later one.
    fn leave(&mut self, ground: &Ground<'_>, out: &mut impl Sink<Effect>) -> bool {
        let Some(vote) = self.votes.ending(self.rounds.round()) else {
            return false;
        };
        let moved = match vote {
            Vote::Notarize(round, value) => self.rounds.on_notarized(round, &value, &self.votes),
            Vote::Nullify(round) => self.rounds.on_nullified(round, &self.votes),
            Vote::Finalize(..) => None,
        };
        let Some(moved) = moved else {
            return false;
        };
        if let Some(certificate) = self.votes.certificate(&vote) {
            out.push(Effect::Persist(Record::Certificate(certificate.clone())));
        }
        self.phase = Phase::Agreeing;
        self.base = ground.now;
        if let Vote::Notarize(round, value) = vote {
            // Time for the finalizations: the next round is needed only if they do not come.
            self.base = ground.now + ground.delta(round);
            if moved == Moved::Finalized {
                self.cast(Statement::Vote(Vote::Finalize(round, value)), out);
            }
        }
        (self.resend, self.resent) = (ground.now + ground.delta(self.round()) * 2, 0);
        if self.round() > self.stalled {
            self.report_stall(vote.round(), ground, out);
        }
        true
    }

    fn report_stall(&mut self, round: u64, ground: &Ground<'_>, out: &mut impl Sink<Effect>) {
        self.stalled = self.round() + ground.electorate.len() as u64;
        let silent = |rank: &Rank| *rank != ground.me && !self.votes.spoke(*rank, round);
        let missing = ground.electorate.ranks().filter(silent);
        let missing = missing.filter_map(|rank| ground.peer(rank)).collect();
        out.push(Effect::Event(Event::Stalled(self.id, missing)));
    }

    /// START: my ballots settle it, or a quorum waited too long, or others began.
    fn start(&mut self, ground: &Ground<'_>) -> bool {
        let starts = self.phase == Phase::Collecting
            && (!self.votes.is_empty() || self.expired(ground) || self.outcome(ground).is_some());
        if starts {
            self.phase = Phase::Agreeing;
            self.base = ground.now;
        }
        starts
    }

    fn expired(&self, ground: &Ground<'_>) -> bool {
        self.timeouts.len() >= ground.electorate.quorum()
    }

    /// B5: ballots take too long.
    fn time_out(&mut self, ground: &Ground<'_>, out: &mut impl Sink<Effect>) -> bool {
        let due = self.timeout_at(ground).is_some_and(|at| ground.now >= at);
        if due {
            self.cast(Statement::Timeout, out);
        }
        due
    }

    pub(super) fn timeout_at(&self, ground: &Ground<'_>) -> Option<Time> {
        let timeout = Statement::Timeout;
        if self.own.contains_key(&timeout)
            || self.unsigned.contains(&timeout)
            || self.outcome(ground).is_some()
        {
            return None;
        }
        Some(self.early_at(ground).map_or(self.expires, |early| early.min(self.expires)))
    }

    /// EARLY: when those without a ballot that are down would settle it if they had rejected.
    fn early_at(&self, ground: &Ground<'_>) -> Option<Time> {
        let proposal = &self.submission.proposal;
        let total = proposal.total(ground.electorate);
        let mut lost: u64 = 0;
        for (rank, (ballot, _)) in &self.ballots {
            if self.evidence.contains_key(rank) || ballot.verdict != Verdict::Approve {
                lost += proposal.weight(ground.electorate, *rank);
            }
        }
        let silent = ground.down.iter().filter(|(rank, _)| !self.ballots.contains_key(rank));
        let mut silent: Vec<_> = silent.map(|(rank, (_, since))| (*since, *rank)).collect();
        silent.sort_unstable();
        for (since, rank) in silent {
            lost += proposal.weight(ground.electorate, rank);
            if total.saturating_sub(lost) * 1_000 < u64::from(proposal.policy.threshold) * total {
                return Some(since + ground.config.down_grace);
            }
        }
        None
    }

    /// A1: I lead the round and have a value.
    fn lead(&mut self, ground: &Ground<'_>, out: &mut impl Sink<Effect>) -> bool {
        if !self.can_lead(ground) || ground.now < self.base {
            return false;
        }
        let (value, body) = match self.offer(ground) {
            None => return false,
            Some(Offer::Again(value)) => (value, None),
            Some(Offer::Mine(outcome)) => {
                let body = self.my_body(outcome);
                (body.value(outcome, ground.electorate, self.id), Some(body))
            }
        };
        let cast = self.rounds.notarize(&value, &self.votes);
        if cast {
            if let Some(body) = body {
                out.push(Effect::Persist(Record::Body(self.id, value, body.clone())));
                self.bodies.insert(value, body);
            }
            self.proposals.insert(self.round(), value);
            self.cast(Statement::Vote(Vote::Notarize(self.round(), value)), out);
        }
        cast
    }

    pub(super) fn can_lead(&self, ground: &Ground<'_>) -> bool {
        self.phase == Phase::Agreeing
            && leader(ground.electorate, self.id, self.round()) == ground.me
            && self.rounds.may_notarize()
            && self.offer(ground).is_some()
    }

    /// The value of the highest notarization if all later rounds are nullified; else what my ballots
    /// say; else Expired if a quorum waited too long.
    fn offer(&self, ground: &Ground<'_>) -> Option<Offer> {
        for round in (1..self.round()).rev() {
            if let Some(value) = self.votes.notarization(round) {
                return Some(Offer::Again(value));
            }
            if !self.votes.nullified(round) {
                return None;
            }
        }
        let outcome = self.outcome(ground);
        let outcome = outcome.or_else(|| self.expired(ground).then_some(Outcome::Expired));
        outcome.map(Offer::Mine)
    }

    fn my_body(&self, outcome: Outcome) -> Body {
        let counted = self.ballots.iter().filter(|(rank, _)| !self.evidence.contains_key(rank));
        let timeouts = self.timeouts.iter().map(|(rank, seal)| (*rank, seal.clone()));
        Body {
            ballots: counted.map(|(rank, (ballot, seal))| (*rank, *ballot, seal.clone())).collect(),
            evidence: self.evidence.values().cloned().collect(),
            timeouts: if outcome == Outcome::Expired { timeouts.collect() } else { vec![] },
        }
    }

    /// A2, A3: the leader's proposal of my round.
    fn follow(&mut self, ground: &Ground<'_>, out: &mut impl Sink<Effect>) -> bool {
        let round = self.round();
        let Some(value) = self.proposals.get(&round).copied() else {
            return false;
        };
        if !self.rounds.may_notarize() || self.refused.contains(&round) {
            return false;
        }
        // V3. What is missing may still come: the round's timer ends the wait.
        let Some(parent) = self.rounds.parent(&value, &self.votes) else {
            return false;
        };
        if parent == 0 {
            let Some(body) = self.bodies.get(&value) else {
                return false;
            };
            if !self.accepts(&value, body, ground) {
                self.refused.insert(round);
                self.show_ballots(&[round, round + 1], ground, out);
                return true;
            }
            out.push(Effect::Persist(Record::Body(self.id, value, body.clone())));
        }
        let cast = self.rounds.notarize(&value, &self.votes);
        if cast {
            self.cast(Statement::Vote(Vote::Notarize(round, value)), out);
        }
        cast
    }

    /// V4: the body says what is claimed. V5: I know nothing that it hides.
    fn accepts(&self, value: &Value, body: &Body, ground: &Ground<'_>) -> bool {
        let void: BTreeSet<_> = body.evidence.iter().map(|pair| pair.one.rank).collect();
        let ballots: BTreeMap<_, _> =
            body.ballots.iter().map(|(rank, ballot, _)| (*rank, *ballot)).collect();
        let hides = |(rank, ballot): (&Rank, &Ballot)| {
            let other = self.ballots.get(rank).is_some_and(|(mine, _)| mine != ballot);
            let twice = self
                .evidence
                .get(rank)
                .is_some_and(|pair| matches!(pair.one.statement, Statement::Ballot(_)));
            !void.contains(rank) && (other || twice)
        };
        if ballots.iter().any(hides) {
            return false;
        }
        let says = outcome(&ballots, &void, &self.submission.proposal, ground.electorate);
        match value.outcome {
            Outcome::Expired => {
                let settled = self.outcome(ground).is_some();
                says.is_none() && !settled && body.timeouts.len() >= ground.electorate.quorum()
            }
            claimed => says == Some(claimed),
        }
    }

    /// A5: the leader or the round took too long, or its proposal was refused.
    fn give_up(&mut self, ground: &Ground<'_>, out: &mut impl Sink<Effect>) -> bool {
        let due = self.give_up_at(ground).is_some_and(|at| ground.now >= at);
        if !due || !self.rounds.nullify() {
            return false;
        }
        let round = self.round();
        self.cast(Statement::Vote(Vote::Nullify(round)), out);
        if self.outcome(ground).is_some() {
            self.show_ballots(&[round + 1], ground, out);
        }
        true
    }

    pub(super) fn give_up_at(&self, ground: &Ground<'_>) -> Option<Time> {
        if self.phase != Phase::Agreeing || !self.rounds.may_nullify() {
            return None;
        }
        let round = self.round();
        let delta = ground.delta(round);
        if self.rounds.in_round(round).notarize.is_some() {
            return Some(self.base + delta * 3);
        }
        let leads = leader(ground.electorate, self.id, round);
        let dead = ground.down.contains_key(&leads) || self.refused.contains(&round);
        Some(if dead { self.base } else { self.base + delta * 2 })
    }
}
