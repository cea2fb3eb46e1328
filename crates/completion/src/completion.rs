//! The machine: its state, dispatch, and the order in which one input takes effect.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use formic_core::{Digest, JobId, Key, Life, Protocol, Sink, Time, earliest};

use crate::{
    Config, Effect, Error, Fact, Input, Message, Record, Seal, Signal, Verdict, Waiter,
    home::Home,
    members::Members,
    task::{Progress, Task},
    timers::{Timer, Timers},
    wave::Wave,
};

/// What a task waits for, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Awaits {
    /// Children for which a place is looked for.
    pub placing: usize,
    /// Children sent, not yet confirmed.
    pub sent: usize,
    /// Children their executor confirmed.
    pub accepted: usize,
    /// Children that are done.
    pub done: usize,
}

/// One peer's part in one job: executor, ledger, and, if the job's home is here, its keeper.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Completion {
    pub(crate) config: Config,
    pub(crate) me: Life,
    pub(crate) job: JobId,
    pub(crate) now: Time,
    pub(crate) fresh: bool,
    pub(crate) members: Members,
    pub(crate) tasks: BTreeMap<Key, Task>,
    /// Bodies that run here, the root's not counted.
    pub(crate) running: usize,
    /// Owners of each child: a set, because an attempt and an adopter may meet here (8.3 #6).
    pub(crate) owner_of: BTreeMap<Key, BTreeSet<Key>>,
    /// Tasks with a tail that has no place yet, by tail.
    pub(crate) handing: BTreeMap<Key, BTreeSet<Key>>,
    /// Open placements and the attempt they were asked for.
    pub(crate) places: BTreeMap<Key, u16>,
    /// Facts nobody here waited for when they came.
    pub(crate) early: BTreeMap<Key, Arc<Fact>>,
    /// Where orphans are alive: (owner, child).
    pub(crate) hints: BTreeMap<(Key, Key), Life>,
    pub(crate) pend: BTreeMap<Life, Signal>,
    pub(crate) timers: Timers,
    pub(crate) home: Home,
    pub(crate) wave: Wave,
    pub(crate) sealed: Option<Seal>,
    pub(crate) closed: Option<Arc<Verdict>>,
    pub(crate) counts: Seal,
    /// Messages to this life itself, checks and effects: empty between two inputs.
    pub(crate) inbox: VecDeque<Message>,
    pub(crate) checks: BTreeSet<Key>,
    pub(crate) out: Vec<Effect>,
}

impl Completion {
    /// The part of `me` in `job`, before anything happened.
    ///
    /// # Panics
    /// If [`Config::check`] refuses `config`.
    pub fn new(config: Config, me: Life, job: JobId) -> Self {
        assert_eq!(config.check(), Ok(()), "the configuration was not checked");
        Self {
            config,
            me,
            job,
            now: Time::ZERO,
            fresh: true,
            members: Members::default(),
            tasks: BTreeMap::new(),
            running: 0,
            owner_of: BTreeMap::new(),
            handing: BTreeMap::new(),
            places: BTreeMap::new(),
            early: BTreeMap::new(),
            hints: BTreeMap::new(),
            pend: BTreeMap::new(),
            timers: Timers::default(),
            home: Home::default(),
            wave: Wave::default(),
            sealed: None,
            closed: None,
            counts: Seal::default(),
            inbox: VecDeque::new(),
            checks: BTreeSet::new(),
            out: Vec::new(),
        }
    }

    /// The owner of the root: a task without a body, one per home life.
    pub fn home_key(job: JobId) -> Key {
        Key::from_bytes(Digest::of(&[b"formic/home/1", job.as_bytes()]).half())
    }

    /// The job.
    pub const fn job(&self) -> JobId {
        self.job
    }

    /// Whether the verdict is known here.
    pub const fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// This life's rank in the home group that keeps the job, as far as it knows.
    pub const fn rank(&self) -> Option<usize> {
        self.home.rank
    }

    /// Whether this life refuses further work of the job.
    pub const fn is_sealed(&self) -> bool {
        self.sealed.is_some()
    }

    /// The verdict, once known.
    pub const fn verdict(&self) -> Option<&Arc<Verdict>> {
        self.closed.as_ref()
    }

    /// Tasks here that are not done.
    pub fn live(&self) -> usize {
        let home = Self::home_key(self.job);
        self.tasks.iter().filter(|(key, task)| task.done.is_none() && **key != home).count()
    }

    /// Ledger entries here that are not done.
    pub fn open_children(&self) -> usize {
        self.tasks.values().map(|task| task.open).sum()
    }

    /// Ledger entries here that are not done and were given to this life.
    pub fn open_at(&self, life: Life) -> usize {
        let children = self.tasks.values().flat_map(|task| task.children.values());
        let open =
            children.filter(|child| child.exec == Some(life) && child.progress != Progress::Done);
        open.count()
    }

    /// What `owner` waits for; `None` if it is not here.
    pub fn awaits(&self, owner: Key) -> Option<Awaits> {
        let mut awaits = Awaits::default();
        for child in self.tasks.get(&owner)?.children.values() {
            match child.progress {
                Progress::Placing => awaits.placing += 1,
                Progress::Sent => awaits.sent += 1,
                Progress::Accepted => awaits.accepted += 1,
                Progress::Done => awaits.done += 1,
            }
        }
        Some(awaits)
    }

    /// Where the child of `owner` is executed, as far as its ledger knows.
    pub fn executor(&self, owner: Key, key: Key) -> Option<Life> {
        self.tasks.get(&owner)?.children.get(&key)?.exec
    }

    /// Who waits for `key`, if it is a task of this life.
    pub fn waiters(&self, key: Key) -> Vec<Waiter> {
        self.tasks.get(&key).map(|task| task.waiters.keys().copied().collect()).unwrap_or_default()
    }

    /// Asserts what must hold between any two inputs.
    ///
    /// # Panics
    /// If an invariant is broken.
    pub fn check(&self) {
        assert!(self.inbox.is_empty() && self.checks.is_empty(), "an input was not drained");
        assert!(self.out.is_empty(), "an effect was kept");
        assert!(self.sealed.is_none() || self.tasks.is_empty(), "a sealed life keeps tasks");
        assert!(self.closed.is_none() || self.sealed.is_some(), "closed before sealed");
        self.timers.check();
        let root = self.home.root;
        let runs = |(key, task): &(&Key, &Task)| task.runs() && Some(**key) != root;
        let running = self.tasks.iter().filter(runs).count();
        assert_eq!(self.running, running, "running bodies are counted wrongly");
        for (key, task) in &self.tasks {
            self.check_task(*key, task);
        }
        for (key, owners) in &self.owner_of {
            for owner in owners {
                let entry = self.tasks.get(owner).and_then(|task| task.children.get(key));
                assert!(entry.is_some(), "{key} is indexed under {owner} without an entry");
            }
        }
    }

    fn check_task(&self, key: Key, task: &Task) {
        let open = task.children.values().filter(|child| child.progress != Progress::Done).count();
        assert_eq!(task.open, open, "open children of {key} are counted wrongly");
        if task.done.is_some() {
            assert!(open == 0 && !task.runs(), "{key} is done with {open} open children");
        }
        for (child, entry) in &task.children {
            let owners = self.owner_of.get(child);
            assert!(owners.is_some_and(|owners| owners.contains(&key)), "{child} is not indexed");
            let placing = entry.progress == Progress::Placing;
            assert!(!placing || self.places.contains_key(child), "{child} waits for no place");
        }
    }

    /// All checks of a message before anything changes.
    fn vet(&self, from: Life, message: &Message) -> Result<(), Error> {
        if from == self.me {
            return Err(Error::FromMyself);
        }
        match message {
            Message::HomePut { spec, later } => self.vet_put(from, spec, later),
            Message::HomeBack { generation } => self.vet_home_peer(from, *generation),
            Message::Attest { statement, generation } => {
                self.vet_attest(from, statement, *generation)
            }
            Message::Probe { result, generation } => self.vet_probe(from, *result, *generation),
            Message::Announce { decree, certificate } => {
                self.vet_announce(from, decree, certificate)
            }
            _ => Ok(()),
        }
    }

    fn on_outside(&mut self, from: Life, message: Message) -> Result<(), Error> {
        self.vet(from, &message)?;
        if self.members.is_stale(from) {
            return Ok(()); // A frame of a life that is over (section 3).
        }
        if let Message::Register { generation, message } = message {
            self.on_register(from, generation, message)?;
            self.heard(from);
            return Ok(());
        }
        self.heard(from);
        let asks = matches!(
            message,
            Message::HomePut { .. }
                | Message::HomeBack { .. }
                | Message::Probe { .. }
                | Message::Ask { .. }
                | Message::Attest { .. }
        );
        if asks && self.closed.is_some() {
            self.announce_to(from); // Whoever still works towards the verdict gets it.
        }
        self.on_message(from, message);
        Ok(())
    }

    /// One message, from outside or from the self-queue.
    fn on_message(&mut self, from: Life, message: Message) {
        match message {
            Message::HomePut { spec, later } => self.on_home_put(from, spec, later),
            Message::HomeAck { generation } => self.on_home_ack(from, generation),
            Message::HomeBack { generation } => self.on_home_back(from, generation),
            Message::Ask { home } => self.on_ask(from, home),
            Message::HomeBackAck => {
                self.home.owed.remove(&from);
            }
            Message::Work { key, attempt, descriptor, waiter, grand, hints } => {
                let waiting = (waiter, grand);
                self.on_work(from, (key, attempt, descriptor), waiting, hints);
            }
            Message::Signal(signal) => self.on_signal(from, signal),
            Message::Orphan { key, owner } => self.on_orphan(from, key, owner),
            Message::Probe { .. } => self.on_probe(from),
            Message::Sealed { seal } => self.on_sealed(from, seal),
            Message::Attest { statement, generation } => {
                self.on_attest(from, &statement, generation);
            }
            Message::Announce { decree, certificate } => {
                self.on_announce(from, &decree, &certificate);
            }
            Message::AnnounceAck => {
                self.wave.announcing.remove(&from); // T24
            }
            // Handled where its errors can still be reported; the register never writes to itself.
            Message::Register { .. } => {}
        }
    }

    fn on_signal(&mut self, from: Life, signal: Signal) {
        if let Some(seal) = self.sealed {
            if !signal.done.is_empty() && from != self.me {
                self.send(from, Message::Sealed { seal });
            }
            return;
        }
        signal.accepted.into_iter().for_each(|key| self.on_accepted(from, key));
        signal.done.into_iter().for_each(|fact| self.on_fact(from, fact));
        signal.taken.into_iter().for_each(|key| self.on_taken(from, key));
        signal.cancelled.into_iter().for_each(|(key, owner)| self.on_cancelled(from, key, owner));
        signal.unknown.into_iter().for_each(|key| self.on_unknown(from, key));
    }

    fn on_deadline(&mut self) {
        while let Some(timer) = self.timers.pop_due(self.now) {
            match timer {
                Timer::Flush => self.flush(),
                Timer::Takeover => {} // The home check below looks at the clock.
                Timer::Home => self.on_home_timer(),
                Timer::Succeed => self.on_succeed_timer(),
                Timer::Wave => self.on_wave_timer(),
                Timer::Anomaly => self.on_anomaly_timer(),
                Timer::Ask => self.on_ask_timer(),
                Timer::Announce => self.on_announce_timer(),
                Timer::Child(owner, key) => self.on_child_timer(owner, key),
                Timer::Fact(key) => self.on_fact_timer(key),
                Timer::Lease(key) => self.on_lease(key),
            }
        }
        self.on_register_deadline();
    }

    fn drain_queue(&mut self) {
        loop {
            if let Some(message) = self.inbox.pop_front() {
                self.on_message(self.me, message);
            } else if let Some(key) = self.checks.pop_first() {
                self.check_done(key);
            } else {
                return;
            }
        }
    }

    /// Frames to oneself and all checks come after the handler; home and probe checks come last, when
    /// the whole state of the input is in place (atomicity rule, 8.3 #9 and #10).
    fn drain(&mut self) {
        self.drain_queue();
        loop {
            self.home_check();
            self.probe_check();
            if self.inbox.is_empty() && self.checks.is_empty() {
                break;
            }
            self.drain_queue();
        }
        if self.running == 0 {
            self.flush(); // T16: nobody here is going to add to it soon.
        }
    }

    fn dispatch(&mut self, input: Input) -> Result<(), Error> {
        match input {
            Input::Restore { records } => self.on_restore(records),
            Input::Submit { spec } => self.on_submit(spec),
            Input::Message { from, message } => self.on_outside(from, message),
            Input::Up { life } => {
                self.on_up(life);
                Ok(())
            }
            Input::Down { life } => {
                self.on_down(life);
                Ok(())
            }
            Input::Spawn { owner, index, descriptor, mode } => {
                self.on_spawn(owner, index, descriptor, mode)
            }
            Input::BodyFinished { key, outcome, slot } => {
                self.on_finished(key, outcome, slot);
                Ok(())
            }
            Input::Placed { key, attempt, life } => {
                self.on_placed(key, attempt, life);
                Ok(())
            }
            Input::Members { lives } => {
                self.on_members(lives);
                Ok(())
            }
            Input::Quorum { held: true } => {
                self.on_quorum_held();
                Ok(())
            }
            Input::Quorum { held: false } => {
                self.on_quorum_lost();
                Ok(())
            }
            Input::Cancel { reason } => self.on_cancel(reason),
            Input::Attested { statement, attestation } => {
                self.on_attested(statement, attestation);
                Ok(())
            }
            Input::Deadline => {
                self.on_deadline();
                Ok(())
            }
        }
    }

    fn on_restore(&mut self, records: Vec<Record>) -> Result<(), Error> {
        if !self.fresh {
            return Err(Error::RestoreNotFirst);
        }
        self.restore(records);
        Ok(())
    }
}

impl Protocol for Completion {
    type Input = Input;
    type Effect = Effect;
    type Error = Error;

    fn handle(
        &mut self,
        now: Time,
        input: Input,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        if now < self.now {
            return Err(Error::ClockWentBack { last: self.now, now });
        }
        let before = core::mem::replace(&mut self.now, now);
        let stays_fresh = matches!(input, Input::Quorum { .. });
        if let Err(error) = self.dispatch(input) {
            self.now = before;
            return Err(error);
        }
        self.fresh &= stays_fresh;
        self.drain();
        core::mem::take(&mut self.out).into_iter().for_each(|effect| out.push(effect));
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        earliest(self.timers.first(), self.home.register_deadline())
    }
}
