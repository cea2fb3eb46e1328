//! Tasks that are executed here: who waits for them, and how they end.

use core::time::Duration;
use std::sync::Arc;

use formic_core::{Descriptor, Key, Life, Outcome};

use crate::{
    Completion, Effect, Event, Message, Waiter,
    task::{Task, Waiting, patience},
    timers::Timer,
};

impl Completion {
    /// T3.
    pub(crate) fn on_work(
        &mut self,
        from: Life,
        (key, attempt, descriptor): (Key, u16, Arc<Descriptor>),
        (waiter, grand): (Waiter, Vec<Waiter>),
        hints: Vec<(Key, Life)>,
    ) {
        if let Some(seal) = self.sealed {
            if from != self.me {
                self.send(from, Message::Sealed { seal });
            }
            return;
        }
        if !self.tasks.contains_key(&key) {
            self.start_body(key, attempt, descriptor);
        }
        self.ask_later();
        let stale = self.members.is_stale(waiter.life);
        let Some(task) = self.tasks.get_mut(&key) else { return };
        if stale {
            task.lost.insert(waiter);
        } else {
            task.waiters.insert(waiter, Waiting { grand, taken: false });
        }
        if task.done.is_some() {
            task.age = 0;
            self.tell_waiters(key); // T3d
        } else {
            self.post_accepted(waiter.life, key);
            self.watch_waiters(key);
            self.take_hints(key, hints);
        }
    }

    /// T3b.
    fn start_body(&mut self, key: Key, attempt: u16, descriptor: Arc<Descriptor>) {
        let root = self.home.root == Some(key);
        self.tasks.insert(key, Task::new());
        self.counts.accepted += 1;
        self.running += usize::from(!root);
        self.out.push(Effect::Execute { key, attempt, descriptor, root });
    }

    fn take_hints(&mut self, key: Key, hints: Vec<(Key, Life)>) {
        for (child, life) in hints {
            if !self.members.is_down(life) {
                self.note_hint(life, child, key);
            }
        }
    }

    /// T4.
    pub(crate) fn on_finished(&mut self, key: Key, outcome: Outcome, slot: Duration) {
        let root = self.home.root == Some(key);
        let Some(task) = self.tasks.get_mut(&key).filter(|task| task.runs()) else { return };
        (task.outcome, task.slot) = (Some(outcome), slot);
        self.running -= usize::from(!root);
        self.counts.finished += 1;
        self.checks.insert(key);
    }

    /// Sends the fact to every waiter that has not taken it.
    pub(crate) fn tell_waiters(&mut self, key: Key) {
        let me = self.me;
        let Some(task) = self.tasks.get_mut(&key) else { return };
        let Some(fact) = task.done.clone() else { return };
        let mut told = Vec::new();
        let mut open = false;
        for (waiter, waiting) in &mut task.waiters {
            if waiting.taken {
                continue;
            }
            if waiter.life == me {
                waiting.taken = true; // The self-queue loses nothing.
                told.push(me);
                continue;
            }
            open = true;
            if !self.members.is_down(waiter.life) {
                told.push(waiter.life);
            }
        }
        let wait = patience(self.config.resend, self.config.sync * 8, task.age);
        told.dedup();
        told.into_iter().for_each(|life| self.post_done(life, &fact));
        if open {
            self.timers.set(Timer::Fact(key), self.now + wait);
        }
    }

    /// T15 for one fact.
    pub(crate) fn on_fact_timer(&mut self, key: Key) {
        if let Some(task) = self.tasks.get_mut(&key) {
            task.age = task.age.saturating_add(1);
            self.tell_waiters(key);
        }
    }

    /// T8.
    pub(crate) fn on_taken(&mut self, from: Life, key: Key) {
        let Some(task) = self.tasks.get_mut(&key).filter(|task| task.done.is_some()) else {
            return;
        };
        let here = task.waiters.iter_mut().filter(|(waiter, _)| waiter.life == from);
        here.for_each(|(_, waiting)| waiting.taken = true);
        if task.waiters.values().all(|waiting| waiting.taken) {
            self.timers.clear(Timer::Fact(key));
        }
    }

    /// T9.
    pub(crate) fn on_cancelled(&mut self, from: Life, key: Key, owner: Key) {
        let Some(task) = self.tasks.get_mut(&key).filter(|task| task.done.is_none()) else {
            return;
        };
        let removed = task.waiters.remove(&Waiter { life: from, owner });
        if removed.is_some() && task.waiters.is_empty() {
            self.cancel_task(key);
        } else {
            self.watch_waiters(key);
        }
    }

    /// T10.
    fn cancel_task(&mut self, key: Key) {
        let Some(task) = self.tasks.remove(&key) else { return };
        if task.runs() {
            self.running -= usize::from(self.home.root != Some(key));
            self.out.push(Effect::Abort { key });
        }
        self.counts.disturbed += 1;
        for (child, entry) in &task.children {
            self.unindex(key, *child);
            let exec = entry.exec.filter(|_| entry.progress != crate::task::Progress::Done);
            if let Some(exec) = exec {
                self.post_cancelled(exec, *child, key);
            }
        }
        for (tail, handed) in &task.tails {
            if handed.life.is_none() {
                self.unhand(key, *tail);
            }
        }
        self.timers.clear(Timer::Lease(key));
        self.timers.clear(Timer::Fact(key));
        self.event(Event::Dropped { key });
    }

    /// Starts or ends the lease of a live task: it runs while no waiter is reachable (I4).
    pub(crate) fn watch_waiters(&mut self, key: Key) {
        let Some(task) = self.tasks.get(&key).filter(|task| task.done.is_none()) else { return };
        if key == Self::home_key(self.job) {
            return;
        }
        let reachable = |waiter: &Waiter| !self.members.is_down(waiter.life);
        if task.waiters.keys().any(reachable) {
            self.timers.clear(Timer::Lease(key));
        } else {
            self.timers.arm(Timer::Lease(key), self.now + self.config.lease);
        }
    }

    /// The lease is over: whoever still wants the task hears that it is gone.
    pub(crate) fn on_lease(&mut self, key: Key) {
        let waiters = self.waiters(key);
        if waiters.iter().any(|waiter| !self.members.is_down(waiter.life)) {
            return;
        }
        self.cancel_task(key);
        for waiter in waiters {
            self.post_unknown(waiter.life, key);
        }
    }

    /// Refuses all further work of the job (I5), stops bodies, drops the ledger.
    pub(crate) fn seal(&mut self) {
        if self.sealed.is_some() {
            return;
        }
        let live_before = u32::try_from(self.live()).unwrap_or(u32::MAX);
        self.sealed = Some(crate::Seal { live_before, ..self.counts });
        for (key, task) in core::mem::take(&mut self.tasks) {
            if task.runs() {
                self.out.push(Effect::Abort { key });
            }
        }
        for key in core::mem::take(&mut self.places).into_keys() {
            self.out.push(Effect::Unplace { key });
        }
        self.running = 0;
        self.owner_of.clear();
        self.handing.clear();
        self.early.clear();
        self.hints.clear();
        self.pend.clear();
        self.checks.clear();
        self.timers.forget_tasks();
        self.timers.clear(Timer::Flush);
    }
}
