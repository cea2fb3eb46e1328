//! The proposer: claim, adopt, hold, commit (healing.md 7.2).

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use formic_core::{Epoch, Life, PeerId, Time, earliest, mix};

use super::{
    Claims,
    lease::holder_end,
    message::{Ask, Denial, Event, Fence, Message, Refusal, Stamp, Task, Value},
    sets::Set,
};

#[cfg(test)]
mod shift;
#[cfg(test)]
pub(crate) use shift::Stage;

/// Unanswered questions are asked again after this: five round trips of a slow wide-area link.
const RESEND: Duration = Duration::from_millis(250);
/// The unit of the back-off, and when a replica that is not ready is asked again: a round trip.
const BACKOFF: Duration = Duration::from_millis(50);
/// Without a majority for this long a claim is said to be undecided: two rounds of 500 ms.
const UNDECIDED: Duration = Duration::from_secs(1);
/// Four renewals per lease: three may be lost.
const RENEWALS: u32 = 4;

/// One claim of this life.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Claim<V> {
    born: Epoch,
    attempt: u64,
    length: Duration,
    /// How often it was refused.
    tries: u64,
    /// When what is unanswered is asked again.
    resend: Option<Time>,
    /// When it is undecided.
    overdue: Option<Time>,
    phase: Phase<V>,
}

/// Whose result is driven to a majority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Origin {
    Own,
    Adopted,
}

/// A round of answers of the replicas of one view.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Round {
    set: Epoch,
    yes: BTreeSet<PeerId>,
    /// Who refused, and which fence it promised.
    no: BTreeMap<PeerId, Option<Fence>>,
    /// How long the longest lease of another life runs.
    held: Duration,
}

impl Round {
    const fn new(set: Epoch) -> Self {
        Self { set, yes: BTreeSet::new(), no: BTreeMap::new(), held: Duration::ZERO }
    }

    /// X5: the answers of replicas of one view say nothing about another one.
    fn is_won(&self, set: &Set) -> bool {
        if formic_core::rule!("register/set-epoch") {
            set.is_quorum(|peer| self.yes.contains(&peer))
        } else {
            self.yes.len() * 2 > set.peers().len()
        }
    }

    fn is_lost(&self, set: &Set) -> bool {
        !set.is_quorum(|peer| self.yes.contains(&peer) || !self.no.contains_key(&peer))
    }

    fn highest(&self) -> Option<Fence> {
        self.no.values().flatten().max().copied()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase<V> {
    /// Asks again then; without a view, as soon as there is one.
    Waiting {
        until: Option<Time>,
    },
    Preparing {
        stamp: Stamp,
        sent: Time,
        round: Round,
        accepted: Option<(Stamp, V)>,
    },
    Holding {
        stamp: Stamp,
        until: Time,
        renewal: Option<Renewal>,
    },
    /// The lease ended; what is finished may be committed.
    Lapsed {
        stamp: Stamp,
    },
    Committing {
        stamp: Stamp,
        value: V,
        origin: Origin,
        round: Round,
    },
}

/// A renewal that no majority has answered yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Renewal {
    serial: u64,
    sent: Time,
    round: Round,
}

impl<V> Claim<V> {
    pub(super) fn deadline(&self) -> Option<Time> {
        let own = match &self.phase {
            Phase::Waiting { until } => *until,
            Phase::Holding { until, .. } => Some(*until),
            Phase::Preparing { .. } | Phase::Lapsed { .. } | Phase::Committing { .. } => None,
        };
        earliest(own, earliest(self.resend, self.overdue))
    }

    /// The fence under which this life may believe at `now` to run alone.
    pub(super) fn held(&self, now: Time) -> Option<Fence> {
        match &self.phase {
            Phase::Holding { stamp, until, .. } if *until > now => Some(stamp.fence),
            _ => None,
        }
    }

    pub(super) const fn may_commit(&self) -> bool {
        matches!(self.phase, Phase::Holding { .. } | Phase::Lapsed { .. })
    }
}

impl<V: Value> Claims<V> {
    pub(super) fn claim(&mut self, task: Task, born: Epoch, attempt: u64, length: Duration) {
        let phase = Phase::Waiting { until: None };
        let attempt = self.used.remove(&task).unwrap_or_default().max(attempt);
        let claim = Claim { born, attempt, length, tries: 0, resend: None, overdue: None, phase };
        self.claims.insert(task, claim);
        self.prepare(task);
    }

    /// Step 1, for the replicas of the current view.
    fn prepare(&mut self, task: Task) {
        let (now, holder) = (self.now, self.me);
        let Some(epoch) = self.views.epoch() else { return };
        let Some(claim) = self.claims.get_mut(&task) else { return };
        if claim.born > epoch {
            claim.phase = Phase::Waiting { until: None };
            return;
        }
        let stamp = Stamp { fence: Fence { epoch, attempt: claim.attempt }, holder };
        // The next try needs another one: what was promised to this one is forgotten with it.
        claim.attempt += 1;
        claim.phase =
            Phase::Preparing { stamp, sent: now, round: Round::new(epoch), accepted: None };
        claim.resend = Some(now + RESEND);
        claim.overdue = claim.overdue.or(Some(now + UNDECIDED));
        self.ask(task);
    }

    /// Asks every replica whose answer is missing.
    fn ask(&mut self, task: Task) {
        let Some(claim) = self.claims.get(&task) else { return };
        let (born, lease) = (claim.born, claim.length);
        let about = |stamp: Stamp, set| Ask { task, born, stamp, set };
        let (round, message) = match &claim.phase {
            Phase::Preparing { stamp, round, .. } => {
                (round, Message::Prepare { ask: about(*stamp, round.set), lease })
            }
            Phase::Holding { stamp, renewal: Some(renewal), .. } => {
                let (round, serial) = (&renewal.round, renewal.serial);
                (round, Message::Renew { ask: about(*stamp, round.set), lease, serial })
            }
            Phase::Committing { stamp, round, value, .. } => {
                let ask = about(*stamp, round.set);
                (round, Message::Accept { ask, value: value.clone() })
            }
            Phase::Waiting { .. } | Phase::Holding { .. } | Phase::Lapsed { .. } => return,
        };
        let Some(set) = self.views.set(round.set, task.key) else { return };
        let missing = set.peers().iter().filter(|peer| !round.yes.contains(peer));
        for peer in missing.copied().collect::<Vec<_>>() {
            self.send(peer, message.clone());
        }
    }

    /// The round that `ask` belongs to. R4: answers for another view's replicas belong to none.
    fn round(&mut self, ask: &Ask) -> Option<&mut Round> {
        let claim = self.claims.get_mut(&ask.task)?;
        let (stamp, round) = match &mut claim.phase {
            Phase::Preparing { stamp, round, .. } | Phase::Committing { stamp, round, .. } => {
                (stamp, round)
            }
            Phase::Holding { stamp, renewal: Some(renewal), .. } => (stamp, &mut renewal.round),
            Phase::Waiting { .. } | Phase::Holding { .. } | Phase::Lapsed { .. } => return None,
        };
        let same = round.set == ask.set || !formic_core::rule!("register/set-epoch");
        (*stamp == ask.stamp && same).then_some(round)
    }

    pub(super) fn on_promise(&mut self, from: Life, ask: Ask, told: Option<(Stamp, V)>) {
        let preparing = |claim: &Claim<V>| matches!(claim.phase, Phase::Preparing { .. });
        if !self.claims.get(&ask.task).is_some_and(preparing) {
            return;
        }
        let Some(round) = self.round(&ask) else { return };
        round.yes.insert(from.peer);
        let epoch = round.set;
        let Some(set) = self.views.set(epoch, ask.task.key) else { return };
        let Some(claim) = self.claims.get_mut(&ask.task) else { return };
        let Phase::Preparing { stamp, sent, round, accepted } = &mut claim.phase else { return };
        let at = |known: &Option<(Stamp, V)>| known.as_ref().map(|(stamp, _)| *stamp);
        if at(&told) > at(accepted) {
            *accepted = told;
        }
        if !round.is_won(&set) {
            return;
        }
        let (stamp, sent, accepted) = (*stamp, *sent, accepted.take());
        match accepted.filter(|_| formic_core::rule!("register/adopt")) {
            // Step 2: whoever held it before may be half done.
            Some((_, value)) => self.commit(ask.task, stamp, value, Origin::Adopted),
            None => self.granted(ask.task, stamp, sent),
        }
    }

    /// Step 3.
    fn granted(&mut self, task: Task, stamp: Stamp, sent: Time) {
        let now = self.now;
        let Some(claim) = self.claims.get_mut(&task) else { return };
        let until = holder_end(sent, claim.length);
        // Promises that took as long as the lease are worth nothing: others may hold it already.
        if until <= now {
            return self.back_off(task, None, Duration::ZERO);
        }
        claim.phase = Phase::Holding { stamp, until, renewal: None };
        claim.resend = Some((sent + claim.length / RENEWALS).max(now));
        claim.overdue = None;
        claim.tries = 0;
        self.event(Event::Granted { task, fence: stamp.fence, until });
    }

    pub(super) fn on_renewed(&mut self, from: Life, ask: Ask, serial: u64) {
        let now = self.now;
        let Some(claim) = self.claims.get(&ask.task) else { return };
        let Phase::Holding { renewal: Some(renewal), .. } = &claim.phase else { return };
        if renewal.serial != serial {
            return;
        }
        let Some(round) = self.round(&ask) else { return };
        round.yes.insert(from.peer);
        let epoch = round.set;
        let Some(set) = self.views.set(epoch, ask.task.key) else { return };
        let Some(claim) = self.claims.get_mut(&ask.task) else { return };
        let Phase::Holding { until, renewal, .. } = &mut claim.phase else { return };
        let Some(Renewal { sent, round, .. }) = renewal else { return };
        if round.is_won(&set) {
            *until = holder_end(*sent, claim.length).max(*until);
            claim.resend = Some((*sent + claim.length / RENEWALS).max(now));
            *renewal = None;
        }
    }

    /// Step 4.
    fn renew(&mut self, task: Task) {
        let (now, serial) = (self.now, self.serial + 1);
        let Some(epoch) = self.views.epoch() else { return };
        let Some(claim) = self.claims.get_mut(&task) else { return };
        let Phase::Holding { renewal, .. } = &mut claim.phase else { return };
        if renewal.as_ref().is_none_or(|renewal| renewal.round.set != epoch) {
            *renewal = Some(Renewal { serial, sent: now, round: Round::new(epoch) });
            self.serial = serial;
        }
        claim.resend = Some(now + (claim.length / RENEWALS).min(RESEND));
        self.ask(task);
    }

    pub(super) fn on_commit(&mut self, task: Task, value: V) {
        let stamp = match self.claims.get(&task).map(|claim| &claim.phase) {
            Some(Phase::Holding { stamp, .. } | Phase::Lapsed { stamp }) => *stamp,
            _ => return,
        };
        self.commit(task, stamp, value, Origin::Own);
    }

    /// Step 5, for the replicas of the current view.
    fn commit(&mut self, task: Task, stamp: Stamp, value: V, origin: Origin) {
        let now = self.now;
        let Some(epoch) = self.views.epoch() else { return };
        let Some(claim) = self.claims.get_mut(&task) else { return };
        claim.phase = Phase::Committing { stamp, value, origin, round: Round::new(epoch) };
        claim.resend = Some(now + RESEND);
        claim.overdue = Some(now + UNDECIDED);
        self.ask(task);
    }

    pub(super) fn on_accepted(&mut self, from: Life, ask: Ask) {
        let committing = |claim: &Claim<V>| matches!(claim.phase, Phase::Committing { .. });
        if !self.claims.get(&ask.task).is_some_and(committing) {
            return;
        }
        let Some(round) = self.round(&ask) else { return };
        round.yes.insert(from.peer);
        let epoch = round.set;
        let Some(set) = self.views.set(epoch, ask.task.key) else { return };
        let Some(claim) = self.claims.get(&ask.task) else { return };
        let Phase::Committing { stamp, value, round, .. } = &claim.phase else { return };
        if !round.is_won(&set) {
            return;
        }
        let (stamp, value, born) = (*stamp, value.clone(), claim.born);
        self.close(ask.task, &value);
        for peer in set.peers() {
            let value = value.clone();
            self.send(*peer, Message::Decided { task: ask.task, born, stamp, value });
        }
    }

    /// The end of a claim: `value` is decided.
    pub(super) fn close(&mut self, task: Task, value: &V) {
        let Some(claim) = self.claims.remove(&task) else { return };
        let own = matches!(&claim.phase,
            Phase::Committing { origin: Origin::Own, value: mine, .. } if mine == value);
        let value = value.clone();
        if own {
            self.event(Event::Committed { task, value });
        } else {
            self.event(Event::Adopted { task, value });
        }
    }

    pub(super) fn on_refuse(&mut self, from: Life, ask: Ask, why: Refusal) {
        let soon = self.now + BACKOFF;
        let claim = self.claims.get(&ask.task);
        let preparing = claim.is_some_and(|claim| matches!(claim.phase, Phase::Preparing { .. }));
        let Some(round) = self.round(&ask) else { return };
        match why {
            Refusal::Lower { promised } => {
                round.no.insert(from.peer, Some(promised));
            }
            Refusal::Held { remaining } if preparing => {
                round.no.insert(from.peer, None);
                round.held = round.held.max(remaining);
            }
            Refusal::Held { .. }
            | Refusal::Moved { .. }
            | Refusal::NotInstalled
            | Refusal::NotReplica
            | Refusal::NotMember
            | Refusal::Full => {
                if let Some(claim) = self.claims.get_mut(&ask.task) {
                    claim.resend = earliest(claim.resend, Some(soon));
                }
                return;
            }
        }
        let (epoch, promised, held) = (round.set, round.highest(), round.held);
        let Some(set) = self.views.set(epoch, ask.task.key) else { return };
        if self.round(&ask).is_some_and(|round| round.is_lost(&set)) {
            self.lost_round(ask.task, promised, held);
        }
    }

    fn lost_round(&mut self, task: Task, promised: Option<Fence>, held: Duration) {
        let Some(claim) = self.claims.get(&task) else { return };
        match (&claim.phase, promised) {
            (Phase::Committing { origin: Origin::Own, .. }, Some(promised)) => {
                self.drop_claim(task);
                self.event(Event::Refused { task, why: Denial::Superseded { promised } });
            }
            // A lease ends when it ends: a higher promise means that it ended at that replica.
            (Phase::Holding { .. } | Phase::Lapsed { .. }, _) => {}
            _ => self.back_off(task, promised, held),
        }
    }

    /// R5: the wait depends on who and how often, so that two claimants do not meet for ever.
    fn back_off(&mut self, task: Task, promised: Option<Fence>, held: Duration) {
        self.let_go(task);
        let (now, epoch) = (self.now, self.views.epoch());
        let head =
            self.me.peer.as_bytes().first_chunk().map_or(0, |head| u64::from_be_bytes(*head));
        let Some(claim) = self.claims.get_mut(&task) else { return };
        claim.tries += 1;
        let spread = 4 * claim.tries.min(8);
        let units = 1 + mix(head ^ mix(claim.tries)) % spread;
        let wait = held + BACKOFF * u32::try_from(units).unwrap_or(1);
        if let Some(promised) = promised.filter(|promised| Some(promised.epoch) == epoch) {
            claim.attempt = claim.attempt.max(promised.attempt + 1);
        }
        claim.phase = Phase::Waiting { until: Some(now + wait) };
        claim.resend = None;
        if held > Duration::ZERO {
            claim.overdue = None;
            self.event(Event::Waiting { task, remaining: held });
        }
    }

    /// Tells the replicas that nobody has to wait for this claim.
    fn let_go(&mut self, task: Task) {
        let Some(claim) = self.claims.get(&task) else { return };
        let stamp = match &claim.phase {
            Phase::Preparing { stamp, .. }
            | Phase::Holding { stamp, .. }
            | Phase::Committing { stamp, .. } => *stamp,
            Phase::Waiting { .. } | Phase::Lapsed { .. } => return,
        };
        let Some(set) = self.views.epoch().and_then(|epoch| self.views.set(epoch, task.key)) else {
            return;
        };
        for peer in set.peers() {
            self.send(*peer, Message::Release { task, stamp });
        }
    }

    pub(super) fn on_release_claim(&mut self, task: Task) {
        self.let_go(task);
        self.drop_claim(task);
    }

    fn drop_claim(&mut self, task: Task) {
        if let Some(claim) = self.claims.remove(&task) {
            self.used.insert(task, claim.attempt);
        }
    }

    /// X5: a grant survives the move; what was asked of the replicas before is asked of these.
    pub(super) fn move_claims(&mut self) {
        let Some(view) = self.views.current().cloned() else { return };
        let member = self.views.admits(self.me);
        for task in self.claims.keys().copied().collect::<Vec<_>>() {
            if member {
                self.move_claim(task, view.epoch);
            } else {
                self.expel(task);
            }
        }
    }

    fn expel(&mut self, task: Task) {
        let claim = self.claims.remove(&task);
        if matches!(claim.map(|claim| claim.phase), Some(Phase::Holding { .. })) {
            self.event(Event::LeaseLost { task });
        }
        self.event(Event::Refused { task, why: Denial::NotMember });
    }

    fn move_claim(&mut self, task: Task, epoch: Epoch) {
        let Some(claim) = self.claims.get_mut(&task) else { return };
        match &mut claim.phase {
            Phase::Waiting { until: None } | Phase::Preparing { .. } => self.prepare(task),
            Phase::Holding { .. } => self.renew(task),
            Phase::Committing { round, .. } => {
                if formic_core::rule!("register/set-epoch") {
                    *round = Round::new(epoch);
                } else {
                    round.set = epoch;
                }
                self.ask(task);
            }
            Phase::Waiting { .. } | Phase::Lapsed { .. } => {}
        }
    }

    pub(super) fn on_claim_timer(&mut self, task: Task) {
        let now = self.now;
        let due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        let Some(claim) = self.claims.get_mut(&task) else { return };
        if due(claim.overdue) {
            claim.overdue = None;
            self.undecided(task);
            self.end_split_round(task);
        }
        let Some(claim) = self.claims.get_mut(&task) else { return };
        match &claim.phase {
            Phase::Waiting { until } if due(*until) => return self.prepare(task),
            Phase::Holding { stamp, until, .. } if *until <= now => {
                claim.phase = Phase::Lapsed { stamp: *stamp };
                claim.resend = None;
                return self.event(Event::LeaseLost { task });
            }
            _ => {}
        }
        if !due(claim.resend) {
            return;
        }
        if matches!(claim.phase, Phase::Holding { .. }) {
            return self.renew(task);
        }
        let is_overdue = claim.overdue.is_none();
        claim.resend = Some(now + RESEND);
        self.ask(task);
        if is_overdue {
            self.end_split_round(task);
        }
    }

    /// Some refuse, some are silent, maybe for ever: another try asks for more than those promised.
    fn end_split_round(&mut self, task: Task) {
        let Some(claim) = self.claims.get(&task) else { return };
        if let Phase::Preparing { round, .. } | Phase::Committing { round, .. } = &claim.phase
            && !round.no.is_empty()
        {
            let (promised, held) = (round.highest(), round.held);
            self.lost_round(task, promised, held);
        }
    }

    fn undecided(&mut self, task: Task) {
        let Some(claim) = self.claims.get(&task) else { return };
        let (Phase::Preparing { round, .. } | Phase::Committing { round, .. }) = &claim.phase
        else {
            return;
        };
        let Some(set) = self.views.set(round.set, task.key) else { return };
        let answered = |peer: &&PeerId| round.yes.contains(peer) || round.no.contains_key(peer);
        let mut missing: BTreeSet<PeerId> =
            set.peers().iter().filter(|peer| !answered(peer)).copied().collect();
        // It knows better what its own answer waits for.
        if missing.contains(&self.me.peer)
            && let Some(others) = self.waits_for(task)
        {
            missing = others;
        }
        let missing = missing.into_iter().collect();
        self.event(Event::Undecided { task, missing });
    }

    /// Asserts what must hold of claims between any two inputs.
    pub(super) fn check_claims(&self) {
        let epoch = self.views.epoch();
        for (task, claim) in &self.claims {
            let round = match &claim.phase {
                Phase::Preparing { round, .. } | Phase::Committing { round, .. } => round,
                Phase::Holding { renewal: Some(renewal), .. } => &renewal.round,
                Phase::Waiting { .. } | Phase::Holding { .. } | Phase::Lapsed { .. } => continue,
            };
            assert_eq!(Some(round.set), epoch, "{task:?} asks the replicas of another view");
            assert!(claim.resend.is_some(), "{task:?} waits for answers for ever");
        }
    }
}
