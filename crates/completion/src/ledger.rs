//! The ledger: spawned children, their facts, and what happens when their executor is lost.

use std::sync::Arc;

use formic_core::{Descriptor, Key, Life, Outcome, rule};

use crate::{
    Completion, Effect, Error, Event, Fact, Message, Record, Spawn, Tail, Tally, Waiter,
    task::{Child, Handed, Progress, descriptor_bytes},
    timers::Timer,
};

/// All tails of a task travel in one fact, which must stay well below a message's limit.
const TAILS_BYTES: usize = 32 * 1_024;
/// Hints are an optimisation: more of them would only make Work large.
const HINTS_MAX: usize = 512;
/// After so many repeats an executor that this life never met is given up.
const STRANGER_AGE: u32 = 4;

impl Completion {
    /// T2, T2t.
    pub(crate) fn on_spawn(
        &mut self,
        owner: Key,
        index: u64,
        descriptor: Arc<Descriptor>,
        mode: Spawn,
    ) -> Result<(), Error> {
        let task = self.tasks.get(&owner).filter(|task| task.runs());
        let Some(task) = task else { return Err(Error::NotRunning { owner }) };
        let key = Key::child(self.job, owner, index, descriptor.digest());
        let known = task.children.contains_key(&key) || task.tails.contains_key(&key);
        let room = task.handed_bytes() + descriptor_bytes(&descriptor) <= TAILS_BYTES;
        self.event(Event::Spawned { owner, key });
        if known {
            return Ok(());
        }
        let tail = mode == Spawn::Tail && room && !self.early.contains_key(&key);
        match self.sole_waiter(owner).filter(|_| tail) {
            Some(_) => self.hand_over(owner, key, descriptor),
            None => {
                self.counts.sent += 1;
                if let Some(fact) = self.take_on(owner, key, descriptor, None) {
                    self.record(owner, fact);
                }
            }
        }
        Ok(())
    }

    /// The one reachable waiter of a task, if it has exactly one.
    fn sole_waiter(&self, key: Key) -> Option<Waiter> {
        let mut waiters = self.tasks.get(&key)?.waiters.keys();
        let waiter = *waiters.next()?;
        (waiters.next().is_none() && !self.members.is_down(waiter.life)).then_some(waiter)
    }

    /// T2t.
    fn hand_over(&mut self, owner: Key, key: Key, descriptor: Arc<Descriptor>) {
        self.counts.sent += 1;
        let hint = self.hint(owner, key);
        if let Some(task) = self.tasks.get_mut(&owner) {
            let handed = Handed { life: None, descriptor: Arc::clone(&descriptor) };
            task.tails.insert(key, handed);
        }
        self.handing.entry(key).or_default().insert(owner);
        match hint {
            Some(life) => self.assign_tail(owner, key, life),
            None => {
                self.ask_place(key, 1, descriptor, None);
            }
        }
    }

    /// Enters a child into a ledger; returns its fact if that was here first.
    fn take_on(
        &mut self,
        owner: Key,
        key: Key,
        descriptor: Arc<Descriptor>,
        given: Option<Life>,
    ) -> Option<Arc<Fact>> {
        let elsewhere = self.executor_elsewhere(key);
        let task = self.tasks.get_mut(&owner)?;
        task.children.insert(key, Child::new(descriptor));
        task.open += 1;
        self.owner_of.entry(key).or_default().insert(owner);
        if let Some(fact) = self.early.get(&key) {
            let fact = Arc::clone(fact);
            if let Some(child) = self.child_mut(owner, key) {
                child.progress = Progress::Sent; // For a moment: the caller records the fact.
            }
            return Some(fact);
        }
        let known = self.hint(owner, key).or(given).or(elsewhere);
        match known {
            Some(life) if !self.members.is_down(life) => self.assign(owner, key, life),
            Some(life) => self.respawn(owner, key, life),
            None => self.seek_place(owner, key, None),
        }
        None
    }

    /// The root as the only child of its keeper.
    pub(crate) fn take_root(&mut self, keeper: Key, root: Key, descriptor: Arc<Descriptor>) {
        if let Some(fact) = self.take_on(keeper, root, descriptor, Some(self.me)) {
            self.record(keeper, fact);
        }
    }

    /// Where another ledger of this life has the same child.
    fn executor_elsewhere(&self, key: Key) -> Option<Life> {
        let owners = self.owner_of.get(&key)?;
        owners.iter().find_map(|owner| self.tasks.get(owner)?.children.get(&key)?.exec)
    }

    fn hint(&self, owner: Key, key: Key) -> Option<Life> {
        self.hints.get(&(owner, key)).copied().filter(|life| !self.members.is_down(*life))
    }

    fn child_mut(&mut self, owner: Key, key: Key) -> Option<&mut Child> {
        self.tasks.get_mut(&owner)?.children.get_mut(&key)
    }

    /// Asks for a place, unless that is under way; returns the attempt that is asked for.
    fn ask_place(
        &mut self,
        key: Key,
        attempt: u16,
        descriptor: Arc<Descriptor>,
        avoid: Option<Life>,
    ) -> u16 {
        if let Some(open) = self.places.get(&key) {
            return attempt.max(*open);
        }
        self.places.insert(key, attempt);
        self.out.push(Effect::Place { key, attempt, descriptor, avoid });
        attempt
    }

    fn seek_place(&mut self, owner: Key, key: Key, avoid: Option<Life>) {
        let Some(child) = self.child_mut(owner, key) else { return };
        child.exec = None;
        child.progress = Progress::Placing;
        let (attempt, descriptor) = (child.attempt, Arc::clone(&child.descriptor));
        let attempt = self.ask_place(key, attempt, descriptor, avoid);
        if let Some(child) = self.child_mut(owner, key) {
            child.attempt = attempt;
        }
        self.timers.clear(Timer::Child(owner, key));
    }

    /// Gives a child to `life` and tells it so.
    fn assign(&mut self, owner: Key, key: Key, life: Life) {
        let resend = self.config.resend;
        let Some(child) = self.child_mut(owner, key) else { return };
        child.exec = Some(life);
        child.progress = Progress::Sent;
        child.age = 0;
        self.ask_executor(owner, key);
        if life != self.me {
            self.timers.set(Timer::Child(owner, key), self.now + resend);
        }
        self.close_place(key);
    }

    /// Sends Work for a ledger entry to its executor.
    fn ask_executor(&mut self, owner: Key, key: Key) {
        let grand = self.grand_of(owner);
        let range = (key, Key::from_bytes([0; 16]))..=(key, Key::from_bytes([255; 16]));
        let hints = self.hints.range(range).take(HINTS_MAX);
        let hints = hints.map(|((_, child), life)| (*child, *life)).collect();
        let waiter = Waiter { life: self.me, owner };
        let Some(child) = self.tasks.get(&owner).and_then(|task| task.children.get(&key)) else {
            return;
        };
        let Some(life) = child.exec else { return };
        let own = life == self.me && Some(key) != self.home.root;
        if own && !rule!("completion/own-tails") {
            return;
        }
        let (attempt, descriptor) = (child.attempt, Arc::clone(&child.descriptor));
        let work = Message::Work { key, attempt, descriptor, waiter, grand, hints };
        self.send_work(life, work);
    }

    /// Who respawns `owner` if this life dies. For the root and its keeper: the other home lives.
    pub(crate) fn grand_of(&self, owner: Key) -> Vec<Waiter> {
        let keeper = Self::home_key(self.job);
        if owner == keeper || Some(owner) == self.home.root {
            let others = self.home.lives.iter().filter(|life| life.peer != self.me.peer);
            let up = others.map(|life| Waiter { life: *life, owner: keeper });
            return up.collect();
        }
        self.tasks
            .get(&owner)
            .map(|task| task.waiters.keys().copied().collect())
            .unwrap_or_default()
    }

    /// Answer to [`Effect::Place`].
    pub(crate) fn on_placed(&mut self, key: Key, attempt: u16, life: Life) {
        if self.sealed.is_some() {
            return;
        }
        let asked = self.places.get(&key) == Some(&attempt);
        if asked {
            self.places.remove(&key);
        }
        for owner in self.owners(key) {
            let Some(child) = self.child_mut(owner, key) else { continue };
            match child.progress {
                Progress::Placing if asked => self.assign(owner, key, life),
                // Also after `accepted`: a peer that leaves hands its queue back.
                Progress::Sent | Progress::Accepted
                    if child.attempt == attempt && child.exec != Some(life) =>
                {
                    let first = child.exec;
                    self.counts.disturbed += 1;
                    first.into_iter().for_each(|first| self.post_cancelled(first, key, owner));
                    self.assign(owner, key, life);
                }
                _ => {}
            }
        }
        if asked {
            let owners = self.handing.get(&key).cloned().unwrap_or_default();
            owners.into_iter().for_each(|owner| self.assign_tail(owner, key, life));
        }
    }

    /// Sends a tail's Work; its waiter is the owner's waiter.
    fn assign_tail(&mut self, owner: Key, key: Key, life: Life) {
        self.handing.remove(&key);
        let Some(task) = self.tasks.get_mut(&owner) else { return };
        let members = &self.members;
        let up = task.waiters.iter().find(|(waiter, _)| !members.is_down(waiter.life));
        let Some((waiter, waiting)) = up.or_else(|| task.waiters.first_key_value()) else { return };
        let (waiter, grand) = (*waiter, waiting.grand.clone());
        let Some(handed) = task.tails.get_mut(&key) else { return };
        handed.life = Some(life);
        let descriptor = Arc::clone(&handed.descriptor);
        let work = Message::Work { key, attempt: 1, descriptor, waiter, grand, hints: vec![] };
        self.send_work(life, work);
    }

    /// Takes a placement back that nobody needs any more.
    fn close_place(&mut self, key: Key) {
        let placing = |owner: &Key| {
            let child = self.tasks.get(owner).and_then(|task| task.children.get(&key));
            child.is_some_and(|child| child.progress == Progress::Placing)
        };
        let wanted = self.owner_of.get(&key).is_some_and(|owners| owners.iter().any(placing));
        if !wanted && !self.handing.contains_key(&key) && self.places.remove(&key).is_some() {
            self.out.push(Effect::Unplace { key });
        }
    }

    pub(crate) fn owners(&self, key: Key) -> Vec<Key> {
        self.owner_of.get(&key).map(|owners| owners.iter().copied().collect()).unwrap_or_default()
    }

    /// T6, T6b.
    pub(crate) fn on_fact(&mut self, from: Life, fact: Fact) {
        let (key, fact) = (fact.key, Arc::new(fact));
        let owners = self.owners(key);
        if owners.is_empty() {
            self.early.entry(key).or_insert(fact);
        } else {
            for owner in owners {
                self.cancel_others(owner, key, from);
                self.record(owner, Arc::clone(&fact));
            }
        }
        self.post_taken(from, key);
    }

    /// Somebody else was first: the executor asked by the ledger may stop.
    fn cancel_others(&mut self, owner: Key, key: Key, from: Life) {
        let Some(child) = self.child_mut(owner, key) else { return };
        if child.progress != Progress::Done
            && let Some(exec) = child.exec.filter(|exec| *exec != from)
        {
            self.counts.disturbed += 1;
            self.post_cancelled(exec, key, owner);
        }
    }

    /// T6: marks the child done and adopts its tails in one step, with all early facts they lead to.
    fn record(&mut self, owner: Key, fact: Arc<Fact>) {
        let mut facts = vec![fact];
        while let Some(fact) = facts.pop() {
            if !self.mark_done(owner, &fact) {
                continue;
            }
            if !rule!("completion/atomic") {
                self.check_done(owner);
            }
            facts.extend(fact.tails.iter().filter_map(|tail| self.adopt(owner, tail)));
        }
        self.checks.insert(owner);
    }

    /// Enters a tail into the ledger of its adopter; returns its fact if that was here first.
    fn adopt(&mut self, owner: Key, tail: &Tail) -> Option<Arc<Fact>> {
        if self.tasks.get(&owner)?.children.contains_key(&tail.key) {
            return None;
        }
        self.take_on(owner, tail.key, Arc::clone(&tail.descriptor), tail.life)
    }

    /// Whether the fact was the first for this entry.
    fn mark_done(&mut self, owner: Key, fact: &Arc<Fact>) -> bool {
        let (key, keeper) = (fact.key, Self::home_key(self.job));
        let digest = fact.outcome.digest();
        let Some(task) = self.tasks.get_mut(&owner) else { return false };
        let Some(child) = task.children.get_mut(&key) else { return false };
        if child.progress == Progress::Done {
            if child.outcome != Some(digest) {
                self.event(Event::Divergent { key });
            }
            return false;
        }
        child.progress = Progress::Done;
        child.outcome = Some(digest);
        let is_root = owner == keeper && Some(key) == self.home.root;
        let mut tally = fact.tally;
        if !is_root {
            tally.executions = tally.executions.saturating_add(u64::from(child.attempt));
        }
        task.below.add(&tally);
        task.open -= 1;
        self.timers.clear(Timer::Child(owner, key));
        self.close_place(key);
        if owner == keeper || Some(owner) == self.home.root {
            self.out.push(Effect::Persist(Record::Fact(Arc::clone(fact))));
        }
        if is_root {
            self.home.root_outcome = Some(fact.outcome.clone());
        } else {
            let outcome = fact.outcome.clone();
            let below = fact.tally.tasks.saturating_sub(1);
            let (by, slot) = (fact.by, fact.slot);
            self.event(Event::ChildDone { owner, key, by, outcome, slot, below });
        }
        true
    }

    /// T5.
    pub(crate) fn check_done(&mut self, key: Key) {
        let Some(task) = self.tasks.get(&key).filter(|task| task.done.is_none()) else { return };
        let Some(outcome) = task.outcome.clone() else { return };
        if task.open > 0 && rule!("completion/T5") {
            return;
        }
        if key == Self::home_key(self.job) {
            self.on_home_done();
            return;
        }
        self.become_done(key, outcome);
    }

    fn become_done(&mut self, key: Key, outcome: Outcome) {
        let by = self.me;
        let Some(task) = self.tasks.get_mut(&key) else { return };
        let mut tally = Tally::of_body(&outcome);
        tally.add(&task.below);
        let children = core::mem::take(&mut task.children);
        task.open = 0;
        let handed = core::mem::take(&mut task.tails);
        let tail = |(key, handed): (Key, Handed)| Tail {
            key,
            life: handed.life,
            descriptor: handed.descriptor,
        };
        let tails: Vec<Tail> = handed.into_iter().map(tail).collect();
        let slot = task.slot;
        let fact = Arc::new(Fact { key, by, outcome, tails, tally, slot });
        task.done = Some(Arc::clone(&fact));
        children.keys().for_each(|child| self.unindex(key, *child));
        for tail in fact.tails.iter().filter(|tail| tail.life.is_none()) {
            self.unhand(key, tail.key);
        }
        self.timers.clear(Timer::Lease(key));
        self.tell_waiters(key);
    }

    /// The adopter places what had no place yet.
    pub(crate) fn unhand(&mut self, owner: Key, key: Key) {
        if let Some(owners) = self.handing.get_mut(&key) {
            owners.remove(&owner);
            if owners.is_empty() {
                self.handing.remove(&key);
            }
        }
        self.close_place(key);
    }

    pub(crate) fn unindex(&mut self, owner: Key, key: Key) {
        let owners = self.owner_of.get_mut(&key);
        let emptied = owners.is_some_and(|owners| {
            owners.remove(&owner);
            owners.is_empty() || !rule!("completion/owner-sets")
        });
        if emptied {
            self.owner_of.remove(&key);
        }
        self.timers.clear(Timer::Child(owner, key));
        self.close_place(key);
    }

    /// T11 for one child: another attempt, a hint first.
    pub(crate) fn respawn(&mut self, owner: Key, key: Key, from: Life) {
        let hint = self.hint(owner, key);
        let Some(child) = self.child_mut(owner, key) else { return };
        if !rule!("completion/mark-done-on-down") {
            child.progress = Progress::Done;
            if let Some(task) = self.tasks.get_mut(&owner) {
                task.open -= 1;
            }
            self.checks.insert(owner);
            return;
        }
        child.attempt = child.attempt.saturating_add(1);
        let attempt = child.attempt;
        self.counts.disturbed += 1;
        self.event(Event::Respawned { key, attempt, from });
        match hint.filter(|life| *life != from) {
            Some(life) => self.assign(owner, key, life),
            None => self.seek_place(owner, key, Some(from)),
        }
    }

    /// T7, T7b.
    pub(crate) fn on_accepted(&mut self, from: Life, key: Key) {
        // A life does not ask itself again.
        let next = (from != self.me).then_some(self.now + self.config.sync);
        for owner in self.owners(key) {
            let Some(child) = self.child_mut(owner, key) else { continue };
            match child.progress {
                Progress::Sent if child.exec == Some(from) => {
                    child.progress = Progress::Accepted;
                    child.age = 0;
                    let timers = &mut self.timers;
                    next.into_iter().for_each(|at| timers.set(Timer::Child(owner, key), at));
                }
                Progress::Done => self.post_cancelled(from, key, owner),
                _ => {}
            }
        }
    }

    /// T9, `unknown`: the executor does not have it.
    pub(crate) fn on_unknown(&mut self, from: Life, key: Key) {
        for owner in self.owners(key) {
            let Some(child) = self.child_mut(owner, key) else { continue };
            if child.progress != Progress::Done && child.exec == Some(from) {
                self.respawn(owner, key, from);
            }
        }
    }

    /// T15 for one child.
    pub(crate) fn on_child_timer(&mut self, owner: Key, key: Key) {
        let Some(child) = self.child_mut(owner, key) else { return };
        let (Some(exec), false) = (child.exec, child.progress == Progress::Done) else { return };
        child.age = child.age.saturating_add(1);
        let age = child.age;
        let stranger = age > STRANGER_AGE && !self.members.is_known(exec);
        if self.members.is_down(exec) || stranger {
            return self.respawn(owner, key, exec);
        }
        if rule!("completion/T15") {
            self.ask_executor(owner, key);
        }
        let config = &self.config;
        let child = self.tasks.get(&owner).and_then(|task| task.children.get(&key));
        if let Some(patience) = child.map(|child| child.patience(config)) {
            self.timers.set(Timer::Child(owner, key), self.now + patience);
        }
    }

    /// T14.
    pub(crate) fn on_orphan(&mut self, from: Life, key: Key, owner: Key) {
        if self.sealed.is_some() {
            return;
        }
        self.note_hint(from, key, owner);
        for above in self.owners(owner) {
            let entry = self.tasks.get(&above).and_then(|task| task.children.get(&owner));
            let asked =
                |child: &Child| matches!(child.progress, Progress::Sent | Progress::Accepted);
            if entry.is_some_and(asked) {
                self.ask_executor(above, owner);
            }
        }
    }

    /// Remembers where an orphan is alive. A child without a place goes there; one that was just given to
    /// somebody else moves back to the orphan, which is further: else the whole tree below it would be
    /// executed twice. Only the first orphan counts, so two of them cannot pull a child to and fro.
    pub(crate) fn note_hint(&mut self, life: Life, key: Key, owner: Key) {
        let first = self.hints.insert((owner, key), life).is_none();
        let Some(child) = self.child_mut(owner, key) else { return };
        match (child.progress, child.exec) {
            (Progress::Placing, _) => self.assign(owner, key, life),
            (Progress::Sent | Progress::Accepted, Some(second)) if first && second != life => {
                self.counts.disturbed += 1;
                self.post_cancelled(second, key, owner);
                self.assign(owner, key, life);
            }
            _ => {}
        }
    }
}
