//! What is said again, to whom: reminders, answers, what a leader lacks.

use std::collections::BTreeSet;

use formic_core::{Sink, Time};

use super::{Ground, Instance, Phase, REMINDERS};
use crate::{
    Effect, Message, Rank, Statement, To, Vote, check::leader, message::CERTIFICATES_MAX,
    rounds::Seen as _,
};

impl Instance {
    /// A7: the certificate, to voters that are not known to have it.
    pub(super) fn tell_decision(&self, ground: &Ground<'_>, out: &mut impl Sink<Effect>) {
        let Some(certificate) = self.proof() else {
            return;
        };
        let uninformed = |rank: &Rank| *rank != ground.me && !self.informed.contains(rank);
        let uninformed = ground.electorate.ranks().filter(uninformed);
        for peer in uninformed.filter_map(|rank| ground.peer(rank)) {
            out.push(Effect::Send(To::One(peer), Message::Certificate(certificate.clone())));
        }
    }

    /// A3, A5: my ballots and evidence, to those who lead these rounds.
    pub(super) fn show_ballots(
        &self,
        rounds: &[u64],
        ground: &Ground<'_>,
        out: &mut impl Sink<Effect>,
    ) {
        let leaders: BTreeSet<_> =
            rounds.iter().map(|round| leader(ground.electorate, self.id, *round)).collect();
        for rank in leaders.into_iter().filter(|rank| *rank != ground.me) {
            let Some(peer) = ground.peer(rank) else {
                continue;
            };
            let ballots = self.ballots.keys().filter_map(|rank| self.ballot_message(*rank));
            let proofs = self.evidence.values().cloned();
            let proofs = proofs.map(|evidence| Message::Evidence(Box::new(evidence)));
            for message in ballots.chain(proofs) {
                out.push(Effect::Send(To::One(peer), message));
            }
        }
    }

    /// A8: what others may have lost, less and less often.
    pub(super) fn remind(&mut self, ground: &Ground<'_>, out: &mut impl Sink<Effect>) {
        if self.phase == Phase::Decided {
            if self.resent < REMINDERS && self.informed.len() + 1 < ground.electorate.len() {
                self.tell_decision(ground, out);
                self.next_reminder(ground);
            }
            return;
        }
        self.next_reminder(ground);
        let mut send = |message| out.push(Effect::Send(To::Electorate, message));
        if self.submission.proposer == ground.me && !self.ballots.contains_key(&ground.me) {
            send(Message::Submission(self.submission.clone()));
        }
        let before = self.round().saturating_sub(1);
        let recent = |statement: &&Statement| match statement {
            Statement::Vote(vote) => vote.round() >= before,
            Statement::Submit | Statement::Ballot(_) | Statement::Timeout => true,
        };
        let own = self.own.keys().filter(recent);
        own.filter_map(|statement| self.telling(*statement, ground)).for_each(&mut send);
        let highest = |kind: fn(&Vote) -> bool| {
            let some = self.votes.certificates().filter(|one| kind(&one.vote));
            some.max_by_key(|one| one.vote.round()).cloned()
        };
        let notarized = highest(|vote| matches!(vote, Vote::Notarize(..)));
        let nullified = highest(|vote| matches!(vote, Vote::Nullify(_)));
        notarized.into_iter().chain(nullified).map(Message::Certificate).for_each(&mut send);
        let proofs = self.evidence.values().cloned();
        proofs.map(|evidence| Message::Evidence(Box::new(evidence))).for_each(&mut send);
        let gaps = self.gaps();
        if !gaps.is_empty() {
            send(Message::Want(self.id, gaps));
        }
    }

    fn next_reminder(&mut self, ground: &Ground<'_>) {
        self.resent += 1;
        let delta = ground.delta(self.round());
        self.resend = ground.now + delta * 2 * (1 << self.resent.min(3));
    }

    /// Rounds after the highest notarization whose end this voter cannot prove, newest first.
    fn gaps(&self) -> Vec<u64> {
        let rounds = (1..self.round()).rev();
        let open = rounds.take_while(|round| self.votes.notarization(*round).is_none());
        open.filter(|round| !self.votes.nullified(*round)).take(CERTIFICATES_MAX).collect()
    }

    /// Answers a `Want`: the proposal, and certificates of these rounds, or of the decision.
    pub(crate) fn answer(
        &self,
        (from, rounds): (Rank, &[u64]),
        ground: &Ground<'_>,
        out: &mut impl Sink<Effect>,
    ) {
        let Some(peer) = ground.peer(from) else {
            return;
        };
        let mut send = |message| out.push(Effect::Send(To::One(peer), message));
        send(Message::Submission(self.submission.clone()));
        if let Some(proof) = self.proof() {
            send(Message::Certificate(proof.clone()));
            return;
        }
        let asked = |vote: &Vote| rounds.contains(&vote.round());
        let found = self.votes.certificates().filter(|one| asked(&one.vote));
        found.take(2 * CERTIFICATES_MAX).cloned().map(Message::Certificate).for_each(send);
    }

    /// A straggler's message about what is decided: it gets the certificate, once per delta.
    pub(crate) fn inform(&mut self, from: Rank, ground: &Ground<'_>, out: &mut impl Sink<Effect>) {
        let recent = |at: &Time| ground.now < *at + ground.config.delta;
        if self.answered.get(&from).is_some_and(recent) {
            return;
        }
        if let (Some(proof), Some(peer)) = (self.proof(), ground.peer(from)) {
            out.push(Effect::Send(To::One(peer), Message::Certificate(proof.clone())));
            self.answered.insert(from, ground.now);
        }
    }

    /// Whoever shows the certificate has it.
    pub(crate) fn knows(&mut self, from: Rank) {
        self.informed.insert(from);
    }
}
