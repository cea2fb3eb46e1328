//! The chain of committed views, and the register that decides the next one (healing.md section 5).

use core::time::Duration;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use formic_core::{
    Digest, Epoch, Life, Member, PeerId, Protocol as _, Time, View, earliest, mix, rule,
};
use formic_register::{
    Ballot, Effect as VoteEffect, Input as VoteInput, Message as Vote, Register,
};

use crate::{
    Belief, Cause, Cut, Effect, Error, Event, Healing, Message, Record, Standing,
    message::number,
    watch::{Subject, Told, Watch},
};

/// Views that are remembered for those who missed them.
const LOG_MAX: usize = 64;
/// Members in one message of views at most: 48 bytes each, a Control message has 64 KiB.
const SHOWN_MAX: usize = 1_100;
/// Pending admissions at most, and how long one waits.
const ADMITS_MAX: usize = 256;
const ADMIT_FOR: Duration = Duration::from_secs(10);
/// An admission is passed on again after this.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// How long a proposal waits for verdicts that are under way.
const DISPUTE_MAX: Duration = Duration::from_millis(300);
/// After an objection the reserved round is given this long before its owner starts another.
const OBJECTION: Duration = Duration::from_millis(500);
/// How often, and how many peers at once, are asked for later views by one that has no majority.
const SEEK_EVERY: Duration = Duration::from_secs(1);
const SEEK_AT_ONCE: usize = 4;

/// Committed views and the vote about the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Chain {
    /// Oldest first, the newest included.
    log: VecDeque<Arc<View>>,
    vote: Option<Register<Arc<Cut>>>,
    /// Members' lives in the order in which they propose.
    line: Vec<Life>,
    admits: BTreeMap<PeerId, (Member, Time)>,
    committed_at: Time,
    /// When to look again whether something is to be proposed; `Some` of the past: now.
    consider_at: Option<Time>,
    ask_at: Option<Time>,
    objected: Option<Time>,
    origin: Origin,
}

/// Where the newest view came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Origin {
    #[default]
    Committed,
    /// From this peer's disk: nobody in it was heard in this life.
    Restored,
    /// There is another view of the same epoch: decisions stop.
    Forked,
}

impl Chain {
    pub(crate) fn deadline(&self) -> Option<Time> {
        let vote = self.vote.as_ref().and_then(Register::deadline);
        let wakes = [vote, self.consider_at, self.ask_at, self.objected];
        wakes.into_iter().fold(None, earliest)
    }

    /// Something changed that a view may have to follow.
    pub(crate) fn stir(&mut self) {
        self.consider_at = Some(Time::ZERO);
    }

    /// Whether it is time to look again whether something is to be proposed or passed on.
    pub(crate) fn is_due(&self, now: Time) -> bool {
        let due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        due(self.consider_at) || due(self.ask_at)
    }

    /// For models: the register that decides the next view.
    #[cfg(test)]
    pub(crate) const fn ballots(&self) -> Option<&Register<Arc<Cut>>> {
        self.vote.as_ref()
    }

    pub(crate) const fn is_restored(&self) -> bool {
        matches!(self.origin, Origin::Restored)
    }

    pub(crate) const fn is_forked(&self) -> bool {
        matches!(self.origin, Origin::Forked)
    }

    pub(crate) fn check(&self) {
        if let Some(vote) = &self.vote {
            vote.check();
        }
        let mut last: Option<&Arc<View>> = None;
        for view in &self.log {
            let rises = last.is_none_or(|last| last.epoch < view.epoch);
            assert!(rises, "views of rising epochs, not {view:?}");
            let chains = last.is_none_or(|last| last.hash() == view.previous);
            assert!(chains, "what is shown to others must chain, {view:?} does not");
            last = Some(view);
        }
        assert!(self.admits.len() <= ADMITS_MAX, "pending admissions are bounded");
    }
}

impl Healing {
    pub(crate) fn on_restore(&mut self, records: Vec<Record>) -> Result<(), Error> {
        if !self.fresh {
            return Err(Error::RestoreNotFirst);
        }
        let views = records.iter().filter_map(|record| match record {
            Record::View(view) => Some(Arc::clone(view)),
            Record::Ballot { .. } => None,
        });
        let Some(view) = views.max_by_key(|view| view.epoch) else { return Ok(()) };
        let votes = records.into_iter().filter_map(|record| match record {
            Record::Ballot { epoch, record } if epoch == view.epoch => Some(record),
            _ => None,
        });
        let votes: Vec<_> = votes.collect();
        self.install(view, Origin::Restored);
        if !votes.is_empty() {
            self.vote(VoteInput::Restore(votes))?;
        }
        Ok(())
    }

    pub(crate) fn on_found(&mut self) {
        if self.watch.is_none() {
            let view = Arc::new(View::found(self.me));
            self.out.push(Effect::Persist(Record::View(Arc::clone(&view))));
            self.install(view, Origin::Committed);
        }
    }

    pub(crate) fn on_joined(&mut self, view: Arc<View>) -> Result<(), Error> {
        if !view.contains(self.me.life) {
            return Err(Error::NotInView { epoch: view.epoch });
        }
        if self.view().is_none_or(|known| known.epoch < view.epoch) {
            self.out.push(Effect::Persist(Record::View(Arc::clone(&view))));
            self.install(view, Origin::Committed);
        }
        Ok(())
    }

    pub(crate) fn on_admit(&mut self, member: Member) {
        let Some(watch) = &self.watch else { return };
        let listed = watch.view.member(member.life.peer);
        let is_news = listed.is_none_or(|known| known.life.incarnation < member.life.incarnation);
        let room = self.chain.admits.len() < ADMITS_MAX;
        if !is_news || !room {
            return;
        }
        let known = self.chain.admits.get(&member.life.peer);
        let is_new = known.is_none_or(|(known, _)| known.life < member.life);
        if is_new {
            self.chain.admits.insert(member.life.peer, (member, self.now));
        }
        // What was just passed on is not passed on again for being asked again: two peers that each
        // take the other for the first in line would never stop.
        if is_new || self.chain.ask_at.is_none() {
            self.chain.stir();
        }
    }

    /// Makes a view the present one.
    fn install(&mut self, view: Arc<View>, origin: Origin) {
        let now = self.now;
        let old = self.watch.take();
        let was_member = old.as_ref().is_some_and(|watch| watch.me.is_some());
        let mut watch = Watch::new(Arc::clone(&view), self.me.life, &self.config, now);
        let gone = old.map(|old| watch.inherit(old, now, &self.config)).unwrap_or_default();
        let is_member = watch.me.is_some();
        self.watch = Some(watch);
        self.begin_vote(&view, origin);
        self.counters.views += 1;
        self.rumors.clear();
        self.event(Event::View { view: Arc::clone(&view) });
        gone.iter().for_each(|subject| self.bury(subject, &view));
        self.returned.retain(|_, life| !view.contains(*life));
        // A link to a member that was heard before is no news: its silence goes on.
        let linked = self.links.values().map(|(life, _)| *life);
        let news: Vec<Life> = linked.filter(|life| !self.has_heard(*life)).collect();
        news.into_iter().for_each(|life| self.heard(life));
        self.doubt();
        self.beat_soon();
        self.reassign();
        if !is_member && self.chain.vote.is_some() {
            // It votes as its earlier life, whose place it takes.
            self.on_admit(self.me);
        }
        if was_member && !is_member {
            let next = self.me.life.incarnation.next();
            self.event(Event::EvictedSelf { epoch: view.epoch, next });
        }
    }

    fn begin_vote(&mut self, view: &Arc<View>, origin: Origin) {
        let chain = &mut self.chain;
        // A newcomer, or one that was away, may not have the views between: what is shown must chain.
        if chain.log.back().is_some_and(|last| last.hash() != view.previous) {
            chain.log.clear();
        }
        chain.log.push_back(Arc::clone(view));
        if chain.log.len() > LOG_MAX {
            chain.log.pop_front();
        }
        let head = self.watch.as_ref().map_or(0, |watch| watch.head);
        let mut line: Vec<Life> = view.lives().collect();
        line.sort_by_key(|life| (mix(head ^ mix(number(life.peer))), life.peer));
        let anchor = view.anchor().and_then(|anchor| line.iter().position(|l| *l == anchor.life));
        let rank = line.iter().position(|life| life.peer == self.me.life.peer);
        let vote = rank.zip(anchor).map(|(rank, anchor)| {
            let lives = line
                .iter()
                .map(|life| self.returned.get(&life.peer).copied().unwrap_or(*life).max(*life));
            Register::anchored(lives.collect(), rank, anchor)
        });
        chain.vote = vote.and_then(Result::ok);
        chain.line = line;
        chain.origin = origin;
        chain.committed_at = self.now;
        chain.ask_at = None;
        chain.objected = None;
        let listed = |life: Life| {
            view.member(life.peer).is_some_and(|m| m.life.incarnation >= life.incarnation)
        };
        chain.admits.retain(|_, (member, _)| !listed(member.life));
        chain.stir();
    }

    /// A life that the new view does not have.
    fn bury(&mut self, subject: &Subject, view: &View) {
        let life = subject.life();
        self.held.remove(&life);
        self.counters.evictions += 1;
        let replaced = view.member(life.peer).is_some();
        let cause = match subject.belief {
            Belief::Condemned { cause, .. } => cause,
            _ if replaced => Cause::Restarted,
            _ => Cause::Evicted,
        };
        if subject.told == Told::Up && life != self.me.life {
            let standing = self.standing;
            self.event(Event::Down { life, cause, standing });
        }
    }

    pub(crate) fn tell_register(&mut self, life: Life) {
        let rank = self.chain.line.iter().position(|known| known.peer == life.peer);
        if let Some(rank) = rank {
            // Only an older life would be refused.
            self.vote(VoteInput::Replaced { rank, life }).ok();
        }
    }

    /// Feeds the register of the next view.
    fn vote(&mut self, input: VoteInput<Arc<Cut>>) -> Result<(), Error> {
        let (Some(view), Some(vote)) = (self.view().cloned(), &mut self.chain.vote) else {
            return Ok(());
        };
        let mut effects = Vec::new();
        vote.handle(self.now, input, &mut effects)?;
        let (epoch, base) = (view.epoch, view.hash());
        let mut decided = None;
        for effect in effects {
            match effect {
                // The view that it makes is persisted instead.
                VoteEffect::Persist(formic_register::Record::Decided(_)) => {}
                VoteEffect::Persist(record) => {
                    self.out.push(Effect::Persist(Record::Ballot { epoch, record }));
                }
                VoteEffect::Send { to, message } => {
                    let to = self.newest(to);
                    self.send(to, Message::Ballot { epoch, base, message });
                }
                VoteEffect::Decided(cut) => decided = Some(cut),
            }
        }
        if let Some(cut) = decided
            && let Ok(next) = cut.apply(&view, self.config.members_max as usize)
        {
            let next = Arc::new(next);
            self.out.push(Effect::Persist(Record::View(Arc::clone(&next))));
            self.install(next, Origin::Committed);
        }
        Ok(())
    }

    pub(crate) fn on_ballot(
        &mut self,
        from: Life,
        (epoch, base): (Epoch, Digest),
        message: Vote<Arc<Cut>>,
    ) -> Result<(), Error> {
        let Some(view) = self.view().cloned() else { return Ok(()) };
        if epoch > view.epoch {
            self.heard(from);
            self.send(from, Message::Want { epoch: view.epoch });
            return Ok(());
        }
        if epoch < view.epoch {
            self.heard(from);
            self.show_views(from, epoch);
            return Ok(());
        }
        if base != view.hash() {
            self.on_other_view(from);
            return Ok(());
        }
        let cut = match &message {
            Vote::Accept { value, .. } | Vote::Decided(value) => Some(value),
            Vote::Promise { accepted, .. } => accepted.as_ref().map(|(_, value)| value),
            Vote::Prepare { .. } | Vote::Accepted { .. } | Vote::Refuse { .. } => None,
        };
        if let Some(cut) = cut {
            let fits = cut.apply(&view, self.config.members_max as usize);
            fits.map_err(|why| Error::BadCut { from, why })?;
        }
        if let Vote::Accept { ballot: Ballot { round: 1, .. }, value } = &message
            && let Some(life) = self.objection(value)
        {
            self.heard(from);
            self.send(from, Message::StillHere { epoch, life });
            return Ok(());
        }
        self.vote(VoteInput::Message { from, message })?;
        self.heard(from);
        Ok(())
    }

    /// Whom a cut evicts although this observer hears it.
    fn objection(&self, cut: &Cut) -> Option<Life> {
        let watch = self.watch.as_ref().filter(|_| rule!("healing/evidence"))?;
        let mut silent = cut.evict.iter().filter(|(_, cause)| *cause == Cause::Silent);
        let heard = |life: &Life| {
            let place = watch.place_of(*life);
            place.is_some_and(|place| watch.duties.contains(&place) && self.hears(place))
        };
        silent.find(|(life, _)| heard(life)).map(|(life, _)| *life)
    }

    /// Somebody hears one of those that the reserved round's owner wants to evict.
    pub(crate) fn on_still_here(&mut self, from: Life, epoch: Epoch) {
        self.heard(from);
        let ours = self.view().is_some_and(|view| view.epoch == epoch);
        if ours && self.chain.objected.is_none() {
            self.chain.objected = Some(self.now + OBJECTION);
        }
    }

    /// What the next view should change, and since when. `None`: nothing.
    fn wanted(&self) -> Option<(Cut, Time)> {
        let watch = self.watch.as_ref()?;
        let mut ready: Option<Time> = None;
        let mut cut = Cut::default();
        for (member, since) in self.chain.admits.values().take(self.config.admit_max as usize) {
            cut.admit.push(*member);
            ready = earliest(ready, Some(*since));
        }
        for subject in &watch.subjects {
            let Belief::Condemned { since, cause } = subject.belief else { continue };
            let life = subject.life();
            if cut.admit.iter().any(|member| member.life.peer == life.peer) {
                continue;
            }
            let at_once = matches!(cause, Cause::Gone | Cause::Left);
            let wait = if at_once { Duration::ZERO } else { self.config.evict_after };
            ready = earliest(ready, Some(since + wait));
            cut.evict.push((life, cause));
        }
        Some((cut, ready?))
    }

    /// Proposes the next view when it is this peer's turn, or passes an admission on.
    pub(crate) fn consider(&mut self) {
        let now = self.now;
        self.chain.consider_at = None;
        self.chain.ask_at = None;
        self.chain.admits.retain(|_, (_, since)| now.since(*since) < ADMIT_FOR);
        let (Some((cut, ready)), Some(watch)) = (self.wanted(), &self.watch) else { return };
        if self.chain.vote.is_none() {
            return;
        }
        let touch = self.in_touch(watch);
        let mut line = self.chain.line.iter().filter(|life| touch.contains(&life.peer));
        let first = line.clone().next().copied();
        let turn = line.position(|life| life.peer == self.me.life.peer).unwrap_or(0);
        let disputed = watch.subjects.iter().any(|s| s.disputed.is_some() && !s.is_condemned());
        let pause = if disputed && !cut.evict.is_empty() { DISPUTE_MAX } else { Duration::ZERO };
        let start = (ready + pause).max(self.chain.committed_at + self.config.view_gap);
        let at = start + self.config.stagger * u32::try_from(turn).unwrap_or(u32::MAX);
        if at > now {
            self.chain.consider_at = Some(at);
        } else {
            // The register keeps the first proposal and repeats it by itself.
            self.vote(VoteInput::Propose(Arc::new(cut))).ok();
        }
        if turn > 0
            && let Some(first) = first
        {
            self.pass_on(first);
        }
    }

    fn pass_on(&mut self, first: Life) {
        let to = self.newest(first);
        let members: Vec<Member> = self.chain.admits.values().map(|(member, _)| *member).collect();
        if members.is_empty() {
            return;
        }
        members.into_iter().for_each(|member| self.send(to, Message::Ask { member }));
        self.chain.ask_at = Some(self.now + ASK_EVERY);
    }

    pub(crate) fn chain_deadline(&mut self) {
        let now = self.now;
        let vote = self.chain.vote.as_ref().and_then(Register::deadline);
        if vote.is_some_and(|at| at <= now) {
            self.vote(VoteInput::Deadline).ok();
        }
        if self.chain.objected.is_some_and(|at| at <= now) {
            self.chain.objected = None;
            // As if a higher round had been promised: the next one asks for promises first, and in it
            // evidence alone counts, else a value accepted once could block for ever.
            let rank = self.chain.line.iter().position(|l| l.peer == self.me.life.peer);
            let other = self.chain.line.iter().find(|life| life.peer != self.me.life.peer).copied();
            if let (Some(0), Some(from)) = (rank, other) {
                let ballot = Ballot { round: 1, rank: 0 };
                let promised = Ballot { round: 2, rank: 1 };
                let message = Vote::Refuse { ballot, promised };
                self.vote(VoteInput::Message { from, message }).ok();
            }
        }
    }

    /// While it has no majority, others may have gone on without this peer: those it is linked with are asked, members of
    /// its view or not. Those of its view may all be gone, or live on as later lives that it does not know.
    pub(crate) fn seek(&mut self) {
        self.timers.seek = None;
        let Some(epoch) = self.lost_view() else { return };
        let mut linked: Vec<Life> = self.links.values().map(|(life, _)| *life).collect();
        while linked.len() > SEEK_AT_ONCE {
            let one = self.random.below(linked.len() as u64);
            linked.swap_remove(usize::try_from(one).unwrap_or(0));
        }
        linked.into_iter().for_each(|to| self.send(to, Message::Want { epoch }));
        self.timers.seek = Some(self.now + SEEK_EVERY);
    }

    /// A link came up while this peer has no majority.
    pub(crate) fn ask_newcomer(&mut self, life: Life) {
        if let Some(epoch) = self.lost_view() {
            self.send(life, Message::Want { epoch });
        }
    }

    /// The newest view that this peer knows, if it has no majority of it.
    fn lost_view(&self) -> Option<Epoch> {
        let lost = self.standing == Standing::Lost && rule!("healing/seek");
        self.view().filter(|_| lost).map(|view| view.epoch)
    }

    /// The majority was lost, or is there again.
    pub(crate) fn seek_soon(&mut self) {
        self.timers.seek = self.lost_view().map(|_| self.now + SEEK_EVERY);
    }

    /// Shows a peer the views it missed, or at least the newest.
    pub(crate) fn show_views(&mut self, to: Life, after: Epoch) {
        let missed = self.chain.log.iter().filter(|view| view.epoch > after);
        let mut views: Vec<Arc<View>> = missed.cloned().collect();
        let size: usize = views.iter().map(|view| view.members.len()).sum();
        if size > SHOWN_MAX {
            views.drain(..views.len() - 1);
        }
        if !views.is_empty() {
            self.send(to, Message::Committed { views });
        }
    }

    /// Whoever is turned away by an outsider may find in the newest view that it decides itself.
    pub(crate) fn on_kin(&mut self, life: Life) {
        let Some(view) = self.view() else { return };
        let before = Epoch(view.epoch.0.saturating_sub(1));
        if self.may_show(life.peer, OBJECTION) {
            self.show_views(life, before);
        }
    }

    pub(crate) fn vet_views(&self, from: Life, views: &[Arc<View>]) -> Result<(), Error> {
        let unchained = |view: &View| Error::Unchained { from, epoch: view.epoch };
        for pair in views.windows(2) {
            let follows = pair[1].previous == pair[0].hash() && pair[1].epoch > pair[0].epoch;
            if !follows {
                return Err(unchained(&pair[1]));
            }
        }
        let most = self.config.members_max as usize;
        let odd = |view: &&Arc<View>| view.members.is_empty() || view.members.len() > most;
        views.iter().find(odd).map_or(Ok(()), |view| Err(unchained(view)))
    }

    pub(crate) fn on_committed(&mut self, from: Life, mut views: Vec<Arc<View>>) {
        self.heard(from);
        let Some(ours) = self.view().cloned() else { return };
        let beside = views.iter().find(|view| view.epoch == ours.epoch && ***view != *ours);
        if let Some(theirs) = beside.cloned() {
            self.on_fork(ours, theirs);
            return;
        }
        views.retain(|view| view.epoch > ours.epoch);
        let Some(last) = views.pop() else { return };
        let first = views.first().unwrap_or(&last);
        // Next in number, but made on another base: both chains are kept, the later one counts.
        if first.epoch == ours.epoch.next() && first.previous != ours.hash() {
            let theirs = Arc::clone(first);
            self.event(Event::Fork { ours: Arc::clone(&ours), theirs });
        }
        // Who showed them may have joined late: what lies between is not known here either.
        if first.previous != ours.hash() {
            self.chain.log.clear();
        }
        for view in views {
            self.chain.log.push_back(view);
        }
        self.out.push(Effect::Persist(Record::View(Arc::clone(&last))));
        self.install(last, Origin::Committed);
        while self.chain.log.len() > LOG_MAX {
            self.chain.log.pop_front();
        }
    }

    /// Another view of the same epoch: one of the two sides broke the rules.
    pub(crate) fn on_other_view(&mut self, from: Life) {
        let Some(view) = self.view() else { return };
        let before = Epoch(view.epoch.0.saturating_sub(1));
        if self.may_show(from.peer, OBJECTION) {
            self.send(from, Message::Want { epoch: before });
        }
    }

    fn on_fork(&mut self, ours: Arc<View>, theirs: Arc<View>) {
        if !self.chain.is_forked() {
            self.chain.origin = Origin::Forked;
            self.doubt();
            self.event(Event::Fork { ours, theirs });
        }
    }

    /// A view that an operator forced, agreed to by everybody in it.
    pub(crate) fn install_forced(&mut self, view: Arc<View>) {
        self.out.push(Effect::Persist(Record::View(Arc::clone(&view))));
        self.install(Arc::clone(&view), Origin::Committed);
        let me = self.me.life;
        for life in view.lives().filter(|life| *life != me) {
            self.send(life, Message::Committed { views: vec![Arc::clone(&view)] });
        }
    }
}
