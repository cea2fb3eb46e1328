use core::{hash::Hash, time::Duration};
use std::collections::{BTreeMap, BTreeSet};

use formic_core::{Life, Protocol, Sink, Time, earliest, mix};

use crate::{Ballot, Effect, Error, Input, Message, Record};

#[cfg(test)]
mod shift;

/// Unanswered messages are sent again after this: five round trips of a slow wide-area link.
const RESEND: Duration = Duration::from_millis(250);
/// The unit of the back-off after a refusal: longer than a round trip inside one site.
const BACKOFF: Duration = Duration::from_millis(50);
/// As many as a view has members at most (healing.md section 10): all of them vote on the next one.
const REPLICAS_MAX: usize = 4_096;

/// Whether the replicas of these ranks decide among `count`: more than half, or half with the one of
/// rank `anchor`. Any two quorums of one group share a replica.
pub fn is_quorum(ranks: &BTreeSet<usize>, count: usize, anchor: usize) -> bool {
    ranks.len() * 2 > count || ranks.len() * 2 == count && ranks.contains(&anchor)
}

/// As [`is_quorum`], over whatever is known of each rank: one look-up, whatever their number.
fn is_quorum_of<T>(known: &BTreeMap<usize, T>, count: usize, anchor: usize) -> bool {
    known.len() * 2 > count || known.len() * 2 == count && known.contains_key(&anchor)
}

/// The ranks sorted by peer; `None` unless there are 1 to [`REPLICAS_MAX`] unique ones.
fn order(replicas: &[Life]) -> Option<Vec<u16>> {
    if replicas.is_empty() || replicas.len() > REPLICAS_MAX {
        return None;
    }
    let count = u16::try_from(replicas.len()).ok()?;
    let mut ranks: Vec<u16> = (0..count).collect();
    let peer = |rank: &u16| replicas[usize::from(*rank)].peer;
    ranks.sort_unstable_by_key(peer);
    let unique = ranks.windows(2).all(|pair| peer(&pair[0]) < peer(&pair[1]));
    unique.then_some(ranks)
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase<V> {
    Idle,
    /// Refused: tries again later.
    Waiting {
        until: Time,
    },
    Preparing {
        ballot: Ballot,
        promises: BTreeMap<usize, Option<(Ballot, V)>>,
    },
    Accepting {
        ballot: Ballot,
        value: V,
        votes: BTreeSet<usize>,
    },
}

/// Whether this replica wants to know the value even without one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Wish {
    Nothing,
    Learn,
}

/// One replica of a write-once register, proposer and acceptor in one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Register<V> {
    replicas: Vec<Life>,
    /// The ranks in the order of their peers, to find a sender among thousands.
    by_peer: Vec<u16>,
    rank: usize,
    anchor: usize,
    now: Time,
    fresh: bool,
    promised: Option<Ballot>,
    accepted: Option<(Ballot, V)>,
    decided: Option<V>,
    proposal: Option<V>,
    wish: Wish,
    phase: Phase<V>,
    attempt: u64,
    highest: u64,
    resend: Option<Time>,
}

impl<V: Clone + Eq + Hash> Register<V> {
    /// The replica of rank `rank` among `replicas`, anchored at rank 0.
    ///
    /// # Errors
    /// [`Error::Replicas`] unless there are 1 to 4,096 unique peers and `rank` is one of them.
    pub fn new(replicas: Vec<Life>, rank: usize) -> Result<Self, Error> {
        Self::anchored(replicas, rank, 0)
    }

    /// The replica of rank `rank` among `replicas`, where exactly half of them decide if the one of
    /// rank `anchor` is among them. The reserved round 1 belongs to rank 0, whoever the anchor is.
    ///
    /// # Errors
    /// [`Error::Replicas`] unless there are 1 to 4,096 unique peers and `rank` and `anchor` are two of
    /// them or the same.
    pub fn anchored(replicas: Vec<Life>, rank: usize, anchor: usize) -> Result<Self, Error> {
        let refused = Error::Replicas { count: replicas.len(), rank: rank.max(anchor) };
        let Some(by_peer) = order(&replicas) else { return Err(refused) };
        if rank.max(anchor) >= replicas.len() {
            return Err(refused);
        }
        Ok(Self {
            replicas,
            by_peer,
            rank,
            anchor,
            now: Time::ZERO,
            fresh: true,
            promised: None,
            accepted: None,
            decided: None,
            proposal: None,
            wish: Wish::Nothing,
            phase: Phase::Idle,
            attempt: 0,
            highest: 1,
            resend: None,
        })
    }

    /// The decided value, as far as this replica knows.
    pub const fn decided(&self) -> Option<&V> {
        self.decided.as_ref()
    }

    /// What this replica promised last.
    pub const fn promised(&self) -> Option<Ballot> {
        self.promised
    }

    /// Asserts what must hold between any two inputs.
    ///
    /// # Panics
    /// If an invariant is broken.
    pub fn check(&self) {
        let accepted = self.accepted.as_ref().map(|(ballot, _)| *ballot);
        assert!(self.promised >= accepted, "accepted {accepted:?} above the promise");
        if let Phase::Accepting { ballot, .. } | Phase::Preparing { ballot, .. } = &self.phase {
            assert!(usize::from(ballot.rank) == self.rank, "runs a foreign ballot {ballot:?}");
            assert!(self.promised >= Some(*ballot), "proposed before promising {ballot:?}");
            assert!(self.decided.is_none(), "goes on proposing after the decision");
        }
    }

    fn rank_of(&self, from: Life) -> Result<usize, Error> {
        let peer = |rank: &u16| self.replicas[usize::from(*rank)].peer;
        let place = self.by_peer.binary_search_by_key(&from.peer, peer);
        match place.map(|place| usize::from(self.by_peer[place])) {
            Ok(rank) if rank != self.rank => Ok(rank),
            _ => Err(Error::NotReplica { from }),
        }
    }

    fn restore(
        &mut self,
        records: Vec<Record<V>>,
        out: &mut impl Sink<Effect<V>>,
    ) -> Result<(), Error> {
        if !self.fresh {
            return Err(Error::RestoreNotFirst);
        }
        for record in records {
            match record {
                Record::Promised(ballot) => self.promised = self.promised.max(Some(ballot)),
                Record::Accepted(ballot, value) => {
                    self.promised = self.promised.max(Some(ballot));
                    self.accepted = Some((ballot, value));
                }
                Record::Decided(value) => self.decided = Some(value),
            }
        }
        if let Some(value) = self.decided.clone() {
            out.push(Effect::Decided(value));
        }
        Ok(())
    }

    fn propose(&mut self, value: V, out: &mut impl Sink<Effect<V>>) {
        if self.decided.is_none() && self.proposal.is_none() {
            self.proposal = Some(value);
            // A ballot under way takes the proposal along.
            if self.wish == Wish::Nothing {
                self.start(out);
            }
        }
    }

    fn learn(&mut self, out: &mut impl Sink<Effect<V>>) {
        if self.decided.is_none() && self.proposal.is_none() && self.wish == Wish::Nothing {
            self.wish = Wish::Learn;
            self.start(out);
        }
    }

    /// Begins a ballot: the reserved one if it is this replica's and unused, else a new one.
    fn start(&mut self, out: &mut impl Sink<Effect<V>>) {
        let reserved = Ballot { round: 1, rank: 0 };
        // The value of an earlier life may be under way: it must be repeated (tests::reserved).
        let accepted = self.accepted.as_ref().map(|(_, value)| value.clone());
        // Once refused, the reserved round is lost: its promise is at another replica.
        if self.rank == 0
            && self.highest == 1
            && self.promised.is_none_or(|promised| promised == reserved)
            && let Some(value) = accepted.or_else(|| self.proposal.clone())
        {
            return self.begin_accept(reserved, value, out);
        }
        let round = self.promised.map_or(1, |promised| promised.round).max(self.highest) + 1;
        let ballot = Ballot { round, rank: u16::try_from(self.rank).unwrap_or(u16::MAX) };
        // The own promise makes the ballot unique across restarts, so it goes first.
        self.promised = Some(ballot);
        out.push(Effect::Persist(Record::Promised(ballot)));
        let promises = BTreeMap::from([(self.rank, self.accepted.clone())]);
        self.phase = Phase::Preparing { ballot, promises };
        self.resend = Some(self.now + RESEND);
        self.send_to_missing(out);
        self.try_accept(out);
    }

    /// Repeats the phase's message to those that did not answer it.
    fn send_to_missing(&self, out: &mut impl Sink<Effect<V>>) {
        for (rank, life) in self.replicas.iter().enumerate() {
            if let Some(message) = self.question_for(rank) {
                out.push(Effect::Send { to: *life, message });
            }
        }
    }

    fn question_for(&self, rank: usize) -> Option<Message<V>> {
        match &self.phase {
            Phase::Preparing { ballot, promises } if !promises.contains_key(&rank) => {
                Some(Message::Prepare { ballot: *ballot })
            }
            Phase::Accepting { ballot, value, votes } if !votes.contains(&rank) => {
                Some(Message::Accept { ballot: *ballot, value: value.clone() })
            }
            _ => None,
        }
    }

    /// R3: a quorum of promises; the newest accepted value wins over the own one.
    fn try_accept(&mut self, out: &mut impl Sink<Effect<V>>) {
        let Phase::Preparing { ballot, promises } = &self.phase else { return };
        if !is_quorum_of(promises, self.replicas.len(), self.anchor) {
            return;
        }
        let ballot = *ballot;
        if self.promised != Some(ballot) {
            return self.back_off(self.promised.map_or(0, |promised| promised.round));
        }
        let newest = promises.values().flatten().max_by_key(|(ballot, _)| *ballot);
        let adopted = newest.map(|(_, value)| value.clone());
        let adopted = if formic_core::rule!("register/R3") { adopted } else { None };
        match adopted.or_else(|| self.proposal.clone()) {
            Some(value) => self.begin_accept(ballot, value, out),
            None => self.back_off(ballot.round), // Nothing to learn yet.
        }
    }

    fn begin_accept(&mut self, ballot: Ballot, value: V, out: &mut impl Sink<Effect<V>>) {
        self.promised = Some(ballot);
        self.accepted = Some((ballot, value.clone()));
        out.push(Effect::Persist(Record::Accepted(ballot, value.clone())));
        self.phase = Phase::Accepting { ballot, value, votes: BTreeSet::from([self.rank]) };
        self.resend = Some(self.now + RESEND);
        self.send_to_missing(out);
        self.try_decide(out);
    }

    /// R4: a quorum of votes for one ballot.
    fn try_decide(&mut self, out: &mut impl Sink<Effect<V>>) {
        let Phase::Accepting { value, votes, .. } = &self.phase else { return };
        if is_quorum(votes, self.replicas.len(), self.anchor) {
            let value = value.clone();
            self.decide(value.clone(), out);
            let ranks = self.replicas.iter().enumerate();
            for (_, to) in ranks.filter(|(rank, _)| *rank != self.rank) {
                out.push(Effect::Send { to: *to, message: Message::Decided(value.clone()) });
            }
        }
    }

    fn decide(&mut self, value: V, out: &mut impl Sink<Effect<V>>) {
        self.decided = Some(value.clone());
        self.phase = Phase::Idle;
        self.resend = None;
        out.push(Effect::Persist(Record::Decided(value.clone())));
        out.push(Effect::Decided(value));
    }

    /// R5: the wait depends on who and how often, so that two proposers do not meet for ever.
    fn back_off(&mut self, round: u64) {
        self.highest = self.highest.max(round);
        self.attempt += 1;
        let peer = self.replicas[self.rank].peer;
        let head = peer.as_bytes().first_chunk().map_or(0, |head| u64::from_be_bytes(*head));
        let spread = 4 * self.attempt.min(8);
        let units = 1 + mix(head ^ mix(self.attempt)) % spread;
        let wait = BACKOFF * u32::try_from(units).unwrap_or(1);
        self.phase = Phase::Waiting { until: self.now + wait };
        self.resend = None;
    }

    /// Who may ask under which ballot: its own rank; round 1 without promises, rank 0 only.
    fn check_ballot(&self, from: Life, rank: usize, message: &Message<V>) -> Result<(), Error> {
        let (ballot, owner, first) = match message {
            Message::Prepare { ballot } => (*ballot, rank, 2),
            Message::Accept { ballot, .. } => (*ballot, rank, if rank == 0 { 1 } else { 2 }),
            Message::Promise { ballot, .. } => (*ballot, self.rank, 2),
            Message::Accepted { ballot } | Message::Refuse { ballot, .. } => {
                (*ballot, self.rank, if self.rank == 0 { 1 } else { 2 })
            }
            Message::Decided(value) => {
                let other = self.decided.as_ref().is_some_and(|decided| decided != value);
                return if other { Err(Error::OtherDecision { from }) } else { Ok(()) };
            }
        };
        if usize::from(ballot.rank) != owner || ballot.round < first {
            return Err(Error::ForeignBallot { from, ballot });
        }
        if let (Message::Accept { value, .. }, Some((at, accepted))) = (message, &self.accepted)
            && *at == ballot
            && accepted != value
        {
            return Err(Error::TwoValues { from, ballot });
        }
        Ok(())
    }

    fn on_message(
        &mut self,
        from: Life,
        message: Message<V>,
        out: &mut impl Sink<Effect<V>>,
    ) -> Result<(), Error> {
        let rank = self.rank_of(from)?;
        self.check_ballot(from, rank, &message)?;
        // R7: whoever still asks is told.
        if let Some(value) = &self.decided {
            if matches!(message, Message::Prepare { .. } | Message::Accept { .. }) {
                out.push(Effect::Send { to: from, message: Message::Decided(value.clone()) });
            }
            return Ok(());
        }
        match message {
            Message::Prepare { ballot } => self.on_prepare(from, ballot, out),
            Message::Accept { ballot, value } => self.on_accept(from, ballot, value, out),
            Message::Promise { ballot, accepted } => {
                if let Phase::Preparing { ballot: mine, promises } = &mut self.phase
                    && *mine == ballot
                {
                    promises.insert(rank, accepted);
                    self.try_accept(out);
                }
            }
            Message::Accepted { ballot } => {
                if let Phase::Accepting { ballot: mine, votes, .. } = &mut self.phase
                    && *mine == ballot
                {
                    votes.insert(rank);
                    self.try_decide(out);
                }
            }
            Message::Refuse { ballot, promised } => {
                let mine = match &self.phase {
                    Phase::Preparing { ballot, .. } | Phase::Accepting { ballot, .. } => *ballot,
                    Phase::Idle | Phase::Waiting { .. } => return Ok(()),
                };
                if mine == ballot && promised > ballot {
                    self.back_off(promised.round);
                }
            }
            Message::Decided(value) => self.decide(value, out),
        }
        Ok(())
    }

    /// R1.
    fn on_prepare(&mut self, from: Life, ballot: Ballot, out: &mut impl Sink<Effect<V>>) {
        if let Some(promised) = self.promised.filter(|promised| *promised > ballot) {
            out.push(Effect::Send { to: from, message: Message::Refuse { ballot, promised } });
            return;
        }
        if self.promised != Some(ballot) {
            self.promised = Some(ballot);
            out.push(Effect::Persist(Record::Promised(ballot)));
        }
        let accepted = self.accepted.clone();
        out.push(Effect::Send { to: from, message: Message::Promise { ballot, accepted } });
    }

    /// R2.
    fn on_accept(&mut self, from: Life, ballot: Ballot, value: V, out: &mut impl Sink<Effect<V>>) {
        let above = self.promised.filter(|promised| *promised > ballot);
        if let Some(promised) = above.filter(|_| formic_core::rule!("register/R2")) {
            out.push(Effect::Send { to: from, message: Message::Refuse { ballot, promised } });
            return;
        }
        if self.accepted.as_ref().map(|(at, _)| *at) != Some(ballot) {
            self.promised = self.promised.max(Some(ballot));
            self.accepted = Some((ballot, value.clone()));
            out.push(Effect::Persist(Record::Accepted(ballot, value)));
        }
        out.push(Effect::Send { to: from, message: Message::Accepted { ballot } });
    }

    fn replaced(
        &mut self,
        rank: usize,
        life: Life,
        out: &mut impl Sink<Effect<V>>,
    ) -> Result<(), Error> {
        let Some(old) = self.replicas.get_mut(rank).filter(|old| old.peer == life.peer) else {
            return Err(Error::WrongRank { rank, life });
        };
        if old.incarnation < life.incarnation {
            *old = life;
            if let Some(message) = self.question_for(rank) {
                out.push(Effect::Send { to: life, message });
            }
        }
        Ok(())
    }

    fn on_deadline(&mut self, out: &mut impl Sink<Effect<V>>) {
        if let Phase::Waiting { until } = self.phase
            && until <= self.now
        {
            self.phase = Phase::Idle;
            self.start(out);
        }
        if self.resend.is_some_and(|at| at <= self.now) {
            self.resend = Some(self.now + RESEND);
            self.send_to_missing(out);
        }
    }
}

impl<V: Clone + Eq + Hash> Protocol for Register<V> {
    type Input = Input<V>;
    type Effect = Effect<V>;
    type Error = Error;

    fn handle(
        &mut self,
        now: Time,
        input: Input<V>,
        out: &mut impl Sink<Effect<V>>,
    ) -> Result<(), Error> {
        if now < self.now {
            return Err(Error::ClockWentBack { last: self.now, now });
        }
        let before = core::mem::replace(&mut self.now, now);
        let result = match input {
            Input::Restore(records) => self.restore(records, out),
            Input::Propose(value) => {
                self.propose(value, out);
                Ok(())
            }
            Input::Learn => {
                self.learn(out);
                Ok(())
            }
            Input::Message { from, message } => self.on_message(from, message, out),
            Input::Replaced { rank, life } => self.replaced(rank, life, out),
            Input::Deadline => {
                self.on_deadline(out);
                Ok(())
            }
        };
        if result.is_err() {
            self.now = before;
        } else {
            self.fresh = false;
        }
        result
    }

    fn deadline(&self) -> Option<Time> {
        let waiting = match self.phase {
            Phase::Waiting { until } => Some(until),
            _ => None,
        };
        earliest(waiting, self.resend)
    }
}
