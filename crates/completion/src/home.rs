//! The home group: storing the job, acting for it, taking over, deciding its result.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use formic_core::{Key, Life, Outcome, Output, PeerId, Protocol, Time, rule};
use formic_register::{Register, is_quorum};

use crate::{
    Completion, Decree, Effect, Error, Event, JobSpec, Message, Record, Tally, Verdict,
    certificate::is_home_group, task::Task, timers::Timer,
};

/// How this life came to the job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    /// As any member, or asked to store it.
    #[default]
    Member,
    /// It was submitted here; nobody acknowledged it yet.
    Submitted,
    /// A quorum stored it.
    Accepted,
    /// From its disk.
    Restored,
}

/// Whether this home life acts for the job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Reign {
    #[default]
    No,
    /// All lower ranks are gone since then.
    Waiting { since: Time },
    /// Acts. For good: another one that acts as well costs duplicates only.
    Acts,
}

/// What a home life keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Home {
    pub(crate) spec: Option<Arc<JobSpec>>,
    pub(crate) root: Option<Key>,
    pub(crate) rank: Option<usize>,
    /// By rank; restarts replaced.
    pub(crate) lives: Vec<Life>,
    /// Lives that came back with their records.
    pub(crate) backs: BTreeMap<PeerId, Life>,
    register: Option<Register<Decree>>,
    /// Ranks that stored the job.
    stored: BTreeSet<usize>,
    pub(crate) origin: Origin,
    /// Lives that have not heard of this one's return.
    pub(crate) owed: BTreeSet<Life>,
    pub(crate) decided: Option<Arc<Decree>>,
    pub(crate) root_outcome: Option<Outcome>,
    pub(crate) reign: Reign,
    /// What keeps this peer from deciding.
    ban: Ban,
}

/// Whether a result may be decided here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
enum Ban {
    #[default]
    None,
    /// No majority of the mesh is in touch; this is to be decided when one is.
    NoQuorum { waiting: Option<Decree> },
}

impl Home {
    pub(crate) fn register_deadline(&self) -> Option<Time> {
        self.register.as_ref().and_then(Register::deadline)
    }

    fn rank_of(&self, peer: PeerId) -> Option<usize> {
        self.lives.iter().position(|life| life.peer == peer)
    }
}

impl Completion {
    /// T1.
    pub(crate) fn on_submit(&mut self, spec: Arc<JobSpec>) -> Result<(), Error> {
        if self.home.spec.is_some() {
            return Err(Error::SubmittedTwice);
        }
        let first = spec.home.first() == Some(&self.me);
        if spec.job != self.job || !first || !is_home_group(&spec.home) {
            return Err(Error::BadSubmit { job: spec.job, home: spec.home.len() });
        }
        self.enter_home(&spec, 0);
        self.home.origin = Origin::Submitted;
        self.out.push(Effect::Persist(Record::Home(spec)));
        self.on_home_timer();
        self.check_accepted();
        Ok(())
    }

    fn enter_home(&mut self, spec: &Arc<JobSpec>, rank: usize) {
        let back = |life: &Life| *self.home.backs.get(&life.peer).unwrap_or(life);
        self.home.lives = spec.home.iter().map(back).collect();
        self.home.register = Register::new(self.home.lives.clone(), rank).ok();
        self.home.root = Some(Key::root(self.job, spec.root.digest()));
        self.home.rank = Some(rank);
        self.home.stored.insert(rank);
        self.home.spec = Some(Arc::clone(spec));
    }

    pub(crate) fn vet_put(&self, from: Life, spec: &JobSpec) -> Result<(), Error> {
        let known = self.home.spec.as_ref();
        let fits = match known {
            Some(known) => **known == *spec,
            None => spec.home.contains(&self.me) && is_home_group(&spec.home),
        };
        let home = spec.home.iter().any(|life| life.peer == from.peer);
        let good = spec.job == self.job && fits && home;
        if good { Ok(()) } else { Err(Error::HomeMismatch { from }) }
    }

    pub(crate) fn on_home_put(&mut self, from: Life, spec: Arc<JobSpec>) {
        // The verdict was sent instead: a job that is over is not kept anew, it would restart after a crash.
        if self.closed.is_some() {
            return;
        }
        if self.home.spec.is_none()
            && let Some(rank) = spec.home.iter().position(|life| *life == self.me)
        {
            self.enter_home(&spec, rank);
            self.out.push(Effect::Persist(Record::Home(spec)));
        }
        self.send(from, Message::HomeAck);
    }

    pub(crate) fn on_home_ack(&mut self, from: Life) {
        if let Some(rank) = self.home.rank_of(from.peer) {
            self.home.stored.insert(rank);
            self.check_accepted();
        }
    }

    fn check_accepted(&mut self) {
        let quorum = is_quorum(&self.home.stored, self.home.lives.len(), 0);
        if self.home.origin == Origin::Submitted && quorum {
            self.home.origin = Origin::Accepted;
            self.event(Event::Accepted);
        }
    }

    /// The home peer of `from`, where the group is known here.
    pub(crate) fn vet_home_peer(&self, from: Life) -> Result<(), Error> {
        let known = self.home.spec.is_some();
        if known && self.home.rank_of(from.peer).is_none() {
            return Err(Error::NotFromHome { from });
        }
        Ok(())
    }

    pub(crate) fn on_home_back(&mut self, from: Life) {
        self.send(from, Message::HomeBackAck);
        let newer = self.home.backs.insert(from.peer, from) < Some(from);
        if let Some(rank) = self.home.rank_of(from.peer).filter(|_| newer) {
            self.home.lives[rank] = from;
            self.home.stored.insert(rank);
            self.wave.forget_statement();
            let input = formic_register::Input::Replaced { rank, life: from };
            self.feed_register(input).ok();
            self.check_accepted();
        }
        if newer {
            self.tell_returned(from);
        }
        // Whoever hears of the job by this alone is open from now on, and nobody else knows it: not whoever
        // will announce the verdict, who need not be the one that returned.
        self.ask_later();
    }

    /// Tasks that waited for an earlier life of a home peer are offered to the one that will execute
    /// their owner again.
    fn tell_returned(&mut self, from: Life) {
        let mut orphans = Vec::new();
        for (key, task) in &self.tasks {
            let lost = task.lost.iter().filter(|waiter| waiter.life.peer == from.peer);
            orphans.extend(lost.map(|waiter| (*key, waiter.owner)));
        }
        for (key, owner) in orphans {
            self.send(from, Message::Orphan { key, owner });
        }
    }

    /// A restored home life tells everybody it meets that it is back.
    pub(crate) fn greet(&mut self, life: Life) {
        if self.home.origin == Origin::Restored && self.closed.is_none() {
            self.home.owed.insert(life);
            self.send(life, Message::HomeBack);
            self.timers.arm(Timer::Home, self.now + self.config.resend);
        }
    }

    /// Repeats home records and returns that nobody confirmed.
    pub(crate) fn on_home_timer(&mut self) {
        let submitted = matches!(self.home.origin, Origin::Submitted | Origin::Accepted);
        let acts = submitted || self.home.reign == Reign::Acts || self.first_is_gone();
        let (Some(spec), true) = (self.home.spec.clone(), self.closed.is_none()) else { return };
        let mut open = false;
        for rank in 0..self.home.lives.len() {
            let life = self.home.lives[rank];
            if !acts || self.home.stored.contains(&rank) || self.members.is_stale(life) {
                continue;
            }
            open = true;
            if !self.members.is_down(life) {
                self.send(life, Message::HomePut { spec: Arc::clone(&spec) });
            }
        }
        let members = &self.members;
        self.home.owed.retain(|life| !members.is_stale(*life));
        for life in self.home.owed.clone() {
            open = true;
            if !self.members.is_down(life) {
                self.send(life, Message::HomeBack);
            }
        }
        if open {
            self.timers.set(Timer::Home, self.now + self.config.resend);
        }
    }

    fn return_home(&mut self, spec: &Arc<JobSpec>) {
        let here = |life: &Life| life.peer == self.me.peer;
        let Some(rank) = spec.home.iter().position(here) else { return };
        self.home.backs.insert(self.me.peer, self.me);
        self.enter_home(spec, rank);
        self.home.origin = Origin::Restored;
        self.counts.disturbed += 1;
    }

    /// What survived the process.
    pub(crate) fn restore(&mut self, records: Vec<Record>) {
        let mut votes = Vec::new();
        for record in records {
            match record {
                Record::Home(spec) => self.return_home(&spec),
                Record::Register(record) => votes.push(record),
                Record::Fact(fact) => {
                    self.early.insert(fact.key, fact);
                }
                Record::Closed { decree, certificate } => {
                    let (decree, certificate) = ((*decree).clone(), (*certificate).clone());
                    self.close(Verdict { decree, certificate });
                }
            }
        }
        if self.closed.is_none() {
            self.feed_register(formic_register::Input::Restore(votes)).ok();
        }
    }

    pub(crate) fn on_register(
        &mut self,
        from: Life,
        message: formic_register::Message<Decree>,
    ) -> Result<(), Error> {
        if self.closed.is_some() {
            self.announce_to(from); // Whoever asks for the result gets the proof with it.
            return Ok(());
        }
        self.feed_register(formic_register::Input::Message { from, message })
            .map_err(|why| Error::Register { from, why })
    }

    pub(crate) fn on_register_deadline(&mut self) {
        if self.home.register_deadline().is_some_and(|at| at <= self.now) {
            self.feed_register(formic_register::Input::Deadline).ok();
        }
    }

    fn feed_register(
        &mut self,
        input: formic_register::Input<Decree>,
    ) -> Result<(), formic_register::Error> {
        let Some(register) = &mut self.home.register else { return Ok(()) };
        let mut effects = Vec::new();
        register.handle(self.now, input, &mut effects)?;
        for effect in effects {
            match effect {
                formic_register::Effect::Persist(record) => {
                    self.out.push(Effect::Persist(Record::Register(record)));
                }
                formic_register::Effect::Send { to, message } => {
                    self.send(to, Message::Register(message));
                }
                formic_register::Effect::Decided(decree) => self.on_decided(decree),
            }
        }
        Ok(())
    }

    /// T18, once the group agreed.
    fn on_decided(&mut self, decree: Decree) {
        self.home.decided = Some(Arc::new(decree));
        // The answers may come after the majority was lost: a minority tells nobody.
        if self.home.ban == Ban::None || !rule!("completion/quorum") {
            self.tell_complete();
        }
    }

    fn tell_complete(&mut self) {
        if let (Reign::Acts, Some(decree)) = (self.home.reign, self.home.decided.clone()) {
            let (outcome, tally) = (decree.outcome.clone(), decree.tally);
            self.event(Event::Complete { outcome, tally });
        }
    }

    pub(crate) fn learn_result(&mut self) {
        self.ask_later();
        self.feed_register(formic_register::Input::Learn).ok();
    }

    /// A minority goes on working but ends nothing (healing.md section 6.2).
    pub(crate) fn on_quorum_lost(&mut self) {
        if self.home.ban == Ban::None {
            self.home.ban = Ban::NoQuorum { waiting: None };
        }
    }

    pub(crate) fn on_quorum_held(&mut self) {
        match core::mem::take(&mut self.home.ban) {
            Ban::NoQuorum { .. } if self.home.decided.is_some() => self.tell_complete(),
            Ban::NoQuorum { waiting: Some(decree) } => self.propose(decree),
            Ban::NoQuorum { waiting: None } | Ban::None => {}
        }
    }

    fn propose(&mut self, decree: Decree) {
        self.home.reign = Reign::Acts;
        // The others may have decided without this life, closed, and begun new lives since.
        self.ask_later();
        if let Ban::NoQuorum { waiting } = &mut self.home.ban
            && rule!("completion/quorum")
        {
            waiting.get_or_insert(decree);
            return;
        }
        self.feed_register(formic_register::Input::Propose(decree)).ok();
    }

    /// T18: the root and all its tails are done.
    pub(crate) fn on_home_done(&mut self) {
        let keeper = Self::home_key(self.job);
        let Some(outcome) = self.home.root_outcome.clone() else { return };
        let Some(task) = self.tasks.get(&keeper) else { return };
        let (mut tally, own) = (task.below, Tally::of_body(&outcome));
        tally.tasks = tally.tasks.saturating_sub(own.tasks);
        tally.ok = tally.ok.saturating_sub(own.ok);
        tally.failed = tally.failed.saturating_sub(own.failed);
        self.propose(Decree { outcome, tally });
    }

    /// Cancelling is deciding that the result is nothing.
    pub(crate) fn on_cancel(&mut self, reason: String) -> Result<(), Error> {
        if self.home.rank.is_none() {
            return Err(Error::NotHome);
        }
        if self.home.decided.is_none() && self.closed.is_none() {
            let root = self.home.root.and_then(|root| self.tasks.get(&root));
            let tally = root.map(|task| task.below).unwrap_or_default();
            self.propose(Decree { outcome: Outcome::Cancelled { reason }, tally });
        }
        Ok(())
    }

    /// Without rank 0 every home life passes the job on: the next rank may never have heard of it.
    fn first_is_gone(&self) -> bool {
        // Whoever is back from its disk meets all that are there: whom it does not meet is gone.
        let unmet = |first: &Life| {
            self.home.origin == Origin::Restored && !self.members.has_met(first.peer)
        };
        let first = self.home.lives.first();
        first.is_some_and(|first| self.members.is_down(*first) || unmet(first))
    }

    fn lower_ranks_are_gone(&self, rank: usize) -> bool {
        // Per life: a peer that restarted without its records holds its rank no more (8.3 #3).
        let is_gone = |life: &Life| {
            if rule!("completion/home-per-life") {
                self.members.is_down(*life)
            } else {
                self.members.is_down(self.members.newest(*life))
            }
        };
        let mut lower = self.home.lives.iter().take(rank);
        lower.all(|life| is_gone(life) || !self.members.has_met(life.peer))
    }

    /// Whether the group, as seen here, could decide.
    fn sees_quorum(&self) -> bool {
        let here = |(_, life): &(usize, &Life)| {
            **life == self.me || self.members.is_known(**life) && !self.members.is_down(**life)
        };
        let ranks = self.home.lives.iter().enumerate().filter(here).map(|(rank, _)| rank).collect();
        is_quorum(&ranks, self.home.lives.len(), 0)
    }

    /// T17, always last (8.3 #10).
    pub(crate) fn home_check(&mut self) {
        let Some(rank) = self.home.rank else { return };
        if rank > 0 && !rule!("completion/T17") {
            return;
        }
        if self.home.reign == Reign::Acts {
            // The verdict may have come from one that died while it spread it.
            if self.closed.is_some() && !self.wave.announces {
                self.announce_to_all();
            }
            return self.go_on();
        }
        if rank > 0 && self.closed.is_none() && self.first_is_gone() {
            self.timers.arm(Timer::Home, self.now + self.config.resend);
        }
        let waits =
            self.closed.is_none() && (self.home.origin == Origin::Submitted || !self.sees_quorum());
        if waits || !self.lower_ranks_are_gone(rank) {
            self.home.reign = Reign::No;
            // The others may have ended the job without this life, and live on as lives that it waits for no
            // more and that have nothing to say of their own: also rank 0 asks.
            self.ask_later();
            return;
        }
        let since = match self.home.reign {
            Reign::Waiting { since } => since,
            _ => self.now,
        };
        let turn = since + self.config.takeover * u32::try_from(rank).unwrap_or(u32::MAX);
        if turn > self.now {
            self.home.reign = Reign::Waiting { since };
            self.timers.set(Timer::Takeover, turn);
            return;
        }
        self.home.reign = Reign::Acts;
        if self.closed.is_some() {
            return self.announce_to_all();
        }
        if rank > 0 {
            self.event(Event::TookOver { rank });
        }
        self.go_on();
    }

    /// What an acting home life does next.
    fn go_on(&mut self) {
        if self.closed.is_some() {
            return;
        }
        if self.home.decided.is_some() {
            return self.start_wave();
        }
        if self.sealed.is_some() {
            return self.learn_result();
        }
        if !self.tasks.contains_key(&Self::home_key(self.job)) {
            self.execute_root();
        }
    }

    /// Creates the root's keeper and executes the root here.
    fn execute_root(&mut self) {
        let (Some(spec), Some(root)) = (self.home.spec.clone(), self.home.root) else { return };
        let keeper = Self::home_key(self.job);
        let mut task = Task::new();
        task.outcome = Some(Outcome::Ok(Output::default()));
        self.tasks.insert(keeper, task);
        self.counts.sent += 1;
        if self.home.origin != Origin::Accepted {
            self.counts.disturbed += 1;
        }
        self.take_root(keeper, root, Arc::clone(&spec.root));
        self.on_home_timer();
    }

    /// Drops what only an open job needs.
    pub(crate) fn leave_home(&mut self) {
        self.home.register = None;
        self.home.owed.clear();
        self.timers.clear(Timer::Home);
        self.timers.clear(Timer::Takeover);
    }
}
