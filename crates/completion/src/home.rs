//! The home group: storing the job, acting for it, taking over, deciding its result.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use formic_core::{Key, Life, Outcome, Output, PeerId, Protocol, Time, rule};
use formic_register::{Register, is_quorum};

use crate::{
    Completion, Decree, Effect, Error, Event, JobSpec, Message, Record, Ruling, Tally, Verdict,
    certificate::is_home_group,
    succession::{Pool, current, is_succession},
    task::Task,
    timers::Timer,
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
    /// The home groups after the first one, by generation.
    pub(crate) later: Vec<Vec<Life>>,
    pub(crate) pool: Option<Pool>,
    pub(crate) root: Option<Key>,
    pub(crate) rank: Option<usize>,
    /// The current group by rank; restarts replaced.
    pub(crate) lives: Vec<Life>,
    /// Lives that came back with their records.
    pub(crate) backs: BTreeMap<PeerId, Life>,
    /// Of the current group.
    pub(crate) register: Option<Register<Ruling>>,
    /// Ranks that stored the job and this generation.
    pub(crate) stored: BTreeSet<usize>,
    pub(crate) origin: Origin,
    /// Lives that have not heard of this one's return.
    pub(crate) owed: BTreeSet<Life>,
    /// What this life wants to be the result, whichever generation decides it.
    pub(crate) wanted: Option<Decree>,
    pub(crate) decided: Option<Arc<Decree>>,
    pub(crate) root_outcome: Option<Outcome>,
    pub(crate) reign: Reign,
    /// What keeps this peer from deciding.
    pub(crate) ban: Ban,
}

/// Whether a result may be decided here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Ban {
    #[default]
    None,
    /// No majority of the mesh is in touch; what is wanted is decided when one is.
    NoQuorum,
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
        self.enter_home(&spec, vec![]);
        self.home.origin = Origin::Submitted;
        self.out.push(Effect::Persist(Record::Home { spec, later: vec![] }));
        self.on_home_timer();
        self.check_accepted();
        Ok(())
    }

    fn enter_home(&mut self, spec: &Arc<JobSpec>, later: Vec<Vec<Life>>) {
        self.home.root = Some(Key::root(self.job, spec.root.digest()));
        self.home.spec = Some(Arc::clone(spec));
        self.home.later = later;
        self.enter_generation();
        self.review_home();
    }

    pub(crate) fn vet_put(
        &self,
        from: Life,
        spec: &JobSpec,
        later: &[Vec<Life>],
    ) -> Result<(), Error> {
        let fits = match &self.home.spec {
            Some(known) => {
                let (mine, theirs) = (self.home.later.iter(), later.iter());
                **known == *spec && mine.zip(theirs).all(|(mine, theirs)| mine == theirs)
            }
            None => current(spec, later).contains(&self.me) && is_home_group(&spec.home),
        };
        let groups = core::iter::once(&spec.home).chain(later);
        let home = groups.flatten().any(|life| life.peer == from.peer);
        let good = spec.job == self.job && fits && home && is_succession(later);
        if good { Ok(()) } else { Err(Error::HomeMismatch { from }) }
    }

    pub(crate) fn on_home_put(&mut self, from: Life, spec: Arc<JobSpec>, later: Vec<Vec<Life>>) {
        // The verdict was sent instead: a job that is over is not kept anew, it would restart after a crash.
        if self.closed.is_some() {
            return;
        }
        if self.home.spec.is_none() {
            self.enter_home(&spec, later.clone());
            self.out.push(Effect::Persist(Record::Home { spec, later }));
            self.tell_groups();
        } else if self.home.later.len() < later.len() {
            self.succeed(later);
        }
        self.send(from, Message::HomeAck { generation: self.home.generation() });
    }

    pub(crate) fn on_home_ack(&mut self, from: Life, generation: u32) {
        if generation < self.home.generation() {
            return;
        }
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

    /// The home peer of `from`, where the groups up to that generation are known here.
    pub(crate) fn vet_home_peer(&self, from: Life, generation: u32) -> Result<(), Error> {
        let known = self.home.spec.is_some() && generation <= self.home.generation();
        if known && !self.home.ever_had(from.peer) {
            return Err(Error::NotFromHome { from });
        }
        Ok(())
    }

    pub(crate) fn on_home_back(&mut self, from: Life, generation: u32) {
        let ours = self.home.generation();
        let later = generation > ours && rule!("completion/later-home");
        if later && self.home.spec.is_some() && self.home.ever_had(self.me.peer) {
            // It is of a later group that this home peer never heard of, and may be one of: whoever decided it may be
            // gone. It is not acknowledged before it told.
            self.send(from, Message::HomeBack { generation: ours });
        } else {
            self.send(from, Message::HomeBackAck);
        }
        let newer = self.home.backs.insert(from.peer, from) < Some(from);
        if generation < self.home.generation() {
            self.tell_succession(from);
        }
        if let Some(rank) = self.home.rank_of(from.peer).filter(|_| newer) {
            self.home.lives[rank] = from;
            if generation >= self.home.generation() {
                self.home.stored.insert(rank);
            }
            self.wave.forget_statement();
            let input = formic_register::Input::Replaced { rank, life: from };
            self.feed_register(input).ok();
            self.check_accepted();
        }
        if newer {
            self.tell_returned(from);
            self.review_home();
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
            let generation = self.home.generation();
            self.send(life, Message::HomeBack { generation });
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
                let later = self.home.later.clone();
                self.send(life, Message::HomePut { spec: Arc::clone(&spec), later });
            }
        }
        let members = &self.members;
        self.home.owed.retain(|life| !members.is_stale(*life));
        for life in self.home.owed.clone() {
            open = true;
            if !self.members.is_down(life) {
                let generation = self.home.generation();
                self.send(life, Message::HomeBack { generation });
            }
        }
        if open {
            self.timers.set(Timer::Home, self.now + self.config.resend);
        }
    }

    fn return_home(&mut self, spec: &Arc<JobSpec>, later: Vec<Vec<Life>>) {
        self.home.backs.insert(self.me.peer, self.me);
        self.home.origin = Origin::Restored;
        self.enter_home(spec, later);
        self.tell_groups();
        self.counts.disturbed += 1;
    }

    /// What survived the process.
    pub(crate) fn restore(&mut self, records: Vec<Record>) {
        let mut votes = Vec::new();
        let home = records.iter().rev().find_map(|record| match record {
            Record::Home { spec, later } => Some((Arc::clone(spec), later.clone())),
            _ => None,
        });
        if let Some((spec, later)) = home {
            self.return_home(&spec, later);
        }
        for record in records {
            match record {
                Record::Register { generation, record } if generation == self.home.generation() => {
                    votes.push(record);
                }
                Record::Home { .. } | Record::Register { .. } => {}
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
        generation: u32,
        message: formic_register::Message<Ruling>,
    ) -> Result<(), Error> {
        use formic_register::Message::{Accept, Prepare};
        if self.closed.is_some() {
            self.announce_to(from); // Whoever asks for the result gets the proof with it.
            return Ok(());
        }
        // Earlier registers have decided who follows them; of later ones this life hears from its home group.
        if generation != self.home.generation() && rule!("completion/generation") {
            let asks = matches!(message, Prepare { .. } | Accept { .. });
            if generation < self.home.generation() && asks {
                self.tell_succession(from);
            }
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

    pub(crate) fn feed_register(
        &mut self,
        input: formic_register::Input<Ruling>,
    ) -> Result<(), formic_register::Error> {
        let generation = self.home.generation();
        let Some(register) = &mut self.home.register else { return Ok(()) };
        let (mut effects, mut ruled) = (Vec::new(), None);
        register.handle(self.now, input, &mut effects)?;
        for effect in effects {
            match effect {
                formic_register::Effect::Persist(record) => {
                    let record = Record::Register { generation, record };
                    self.out.push(Effect::Persist(record));
                }
                formic_register::Effect::Send { to, message } => {
                    self.send(to, Message::Register { generation, message });
                }
                formic_register::Effect::Decided(Ruling::Result(decree)) => self.on_decided(decree),
                formic_register::Effect::Decided(Ruling::Succeed(next)) => ruled = Some(next),
            }
        }
        // Last: what the register says is of the generation that ends with it.
        if let Some(next) = ruled {
            let mut later = self.home.later.clone();
            later.push(next);
            self.succeed(later);
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
            self.home.ban = Ban::NoQuorum;
        }
    }

    pub(crate) fn on_quorum_held(&mut self) {
        if core::mem::take(&mut self.home.ban) == Ban::None {
            return;
        }
        if self.home.decided.is_some() {
            self.tell_complete();
        } else if let Some(decree) = self.home.wanted.clone() {
            self.propose(decree);
        }
        self.review_home();
    }

    fn propose(&mut self, decree: Decree) {
        self.home.reign = Reign::Acts;
        // The others may have decided without this life, closed, and begun new lives since.
        self.ask_later();
        self.home.wanted.get_or_insert_with(|| decree.clone());
        self.rule(decree);
    }

    /// Proposes the result to the current group.
    pub(crate) fn rule(&mut self, decree: Decree) {
        if self.home.ban == Ban::None || !rule!("completion/quorum") {
            self.feed_register(formic_register::Input::Propose(Ruling::Result(decree))).ok();
        }
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
        self.timers.clear(Timer::Succeed);
        self.timers.clear(Timer::Takeover);
    }
}
