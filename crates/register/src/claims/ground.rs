//! What nobody asked for: tasks without a register, when all tasks have the same replicas.
//!
//! A replica of a new set may take a task that it never heard of for one that nobody claimed only if a majority of
//! the set before says so; and that majority may be gone when the first claim comes. So each replica asks
//! early, once per set, which tasks are known at all. All others are fresh, and need no transfer of their own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use formic_core::{Epoch, JobId, Key, Life, PeerId, View};

use super::{
    Claims, Role,
    message::{Message, Record, Task, Value},
    sets::REPLICAS,
};

/// How many known tasks are told at most: a message of 64 KiB. Where there are more, none is taken for fresh.
pub(super) const KNOWN_MAX: usize = 2_048;

/// What this replica knows of tasks that it has no register of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ground {
    /// All tasks here are of this job.
    job: JobId,
    /// The newest view for which it is known which tasks anybody asked for, as one of its replicas.
    installed: Option<Epoch>,
    /// What others asked for.
    known: BTreeSet<Key>,
    /// Per view that is being installed: who of the one before answered.
    pub(super) asking: BTreeMap<Epoch, BTreeSet<PeerId>>,
}

impl Ground {
    pub(super) const fn new(job: JobId) -> Self {
        Self { job, installed: None, known: BTreeSet::new(), asking: BTreeMap::new() }
    }
}

/// Whether all tasks have the same replicas: all members, each in a process of its own.
fn is_one_set(view: &View) -> bool {
    let fates: BTreeSet<_> = view.members.iter().map(|member| member.fate).collect();
    let count = view.members.len();
    count <= REPLICAS && fates.len() == count && (count == 2 || count % 2 == 1)
}

impl<V: Value> Claims<V> {
    /// The same, for the exclusive tasks of one job that all have the same replicas: what nobody claimed stays
    /// claimable when all who could say so are gone.
    #[must_use]
    pub fn of_job(mut self, job: JobId) -> Self {
        self.ground = Some(Ground::new(job));
        self
    }

    /// Since which view the task is known to be fresh here, if it is.
    pub(super) fn fresh_since(&self, task: Task) -> Option<Epoch> {
        let ground = self.ground.as_ref().filter(|ground| ground.job == task.job)?;
        ground.installed.filter(|_| !ground.known.contains(&task.key))
    }

    /// A view was entered: what was asked for in the one before?
    pub(super) fn enter_ground(&mut self, view: &Arc<View>) {
        let (epoch, me) = (view.epoch, self.me.peer);
        let before = self.views.before(epoch).cloned();
        let Some(ground) = &mut self.ground else { return };
        if view.member(me).is_none() {
            ground.asking.clear();
            return;
        }
        if !is_one_set(view) || ground.installed >= Some(epoch) {
            return;
        }
        match before {
            // The job is not older: nobody could ask.
            None => ground.installed = Some(epoch),
            Some(before) if is_one_set(&before) => {
                ground.asking.entry(epoch).or_default();
                self.ask_ground(epoch);
            }
            Some(_) => {}
        }
    }

    fn ask_ground(&mut self, epoch: Epoch) {
        let Some(before) = self.views.before(epoch).cloned() else { return };
        let Some(ground) = &self.ground else { return };
        let Some(answered) = ground.asking.get(&epoch) else { return };
        let job = ground.job;
        // As for one task: those of the same view too.
        let after = self.views.get(epoch).cloned();
        let lives = before.lives().chain(after.iter().flat_map(|view| view.lives()));
        let peers: BTreeSet<PeerId> = lives.map(|life| life.peer).collect();
        let missing: Vec<PeerId> =
            peers.into_iter().filter(|peer| !answered.contains(peer)).collect();
        for peer in missing {
            self.send(peer, Message::WhatIsKnown { job, epoch });
        }
    }

    /// X1, X3: as for one task.
    pub(super) fn on_what_is_known(&mut self, from: Life, job: JobId, epoch: Epoch) {
        if self.role == Role::Claimant {
            return;
        }
        if self.entered() < Some(epoch) {
            return self.keep_ground_pull(from, job, epoch);
        }
        let Some(before) = self.views.before(epoch) else { return };
        let asked = before.epoch;
        let me = self.me.peer;
        let kept = before.member(me).is_some();
        let keeps = self.views.get(epoch).is_some_and(|view| view.member(me).is_some());
        let Some(ground) = self.ground.as_ref().filter(|ground| ground.job == job) else { return };
        let complete = keeps && ground.installed >= Some(epoch);
        let knows = complete || kept && ground.installed >= Some(asked);
        if !knows {
            return if kept || keeps {
                self.keep_ground_pull(from, job, epoch);
            };
        }
        let used = self.registers.iter().filter(|(_, register)| register.is_used());
        let keys: BTreeSet<Key> =
            used.map(|(task, _)| task.key).chain(ground.known.iter().copied()).collect();
        if keys.len() <= KNOWN_MAX {
            let keys = keys.into_iter().collect();
            let installed = if complete { epoch } else { asked };
            self.send(from.peer, Message::Known { job, epoch, installed, keys });
        }
    }

    pub(super) fn on_known(
        &mut self,
        from: Life,
        (job, epoch): (JobId, Epoch),
        installed: Epoch,
        keys: Vec<Key>,
    ) {
        let Some(before) = self.views.before(epoch).cloned() else { return };
        let Some(ground) = self.ground.as_mut().filter(|ground| ground.job == job) else { return };
        let Some(answered) = ground.asking.get_mut(&epoch) else { return };
        answered.insert(from.peer);
        ground.known.extend(keys);
        let enough = installed >= epoch || before.is_quorum(answered);
        if !enough && formic_core::rule!("register/ground-majority") {
            return;
        }
        ground.installed = ground.installed.max(Some(epoch));
        ground.asking.retain(|at, _| *at > epoch);
        let known = ground.known.iter().copied().collect();
        self.record(Record::Ground { epoch, known });
        self.extend_fresh();
        self.answer_all();
        self.arm_transfer();
    }

    /// Registers that were opened before it was known that nobody asked for them.
    fn extend_fresh(&mut self) {
        let tasks: Vec<Task> = self.registers.keys().copied().collect();
        for task in tasks {
            let fresh = self.fresh_since(task);
            let Some(register) = self.registers.get_mut(&task) else { continue };
            if fresh > register.installed {
                register.installed = fresh;
                self.installed_now(task);
            }
        }
    }

    /// Whether it waits for answers.
    pub(super) fn ground_waits(&self) -> bool {
        self.ground.as_ref().is_some_and(|ground| !ground.asking.is_empty())
    }

    pub(super) fn ask_ground_again(&mut self) {
        let asking = self.ground.iter().flat_map(|ground| ground.asking.keys().copied());
        for epoch in asking.collect::<Vec<_>>() {
            self.ask_ground(epoch);
        }
    }

    pub(super) fn restore_ground(&mut self, epoch: Epoch, known: Vec<Key>) {
        if let Some(ground) = &mut self.ground {
            ground.installed = ground.installed.max(Some(epoch));
            ground.known.extend(known);
        }
    }
}
