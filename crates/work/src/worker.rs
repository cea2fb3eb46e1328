//! The worker's side: a bounded queue in front of slots.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use formic_core::{Capability, Descriptor, JobId, Life, Sink};

use crate::{
    Config, Effect, Error, Load, Message, Place, Reason, TaskId, lane::turn, message::RETURNED_MAX,
};

/// Owners award what they were promised, but several may have been promised the same room: the queue
/// takes this many times the promised bound before it gives tasks back.
const HARD_FACTOR: usize = 4;

/// A task as it was awarded here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Award {
    pub(crate) task: TaskId,
    pub(crate) attempt: u16,
    pub(crate) descriptor: Arc<Descriptor>,
    pub(crate) owner: Life,
    pub(crate) place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Body {
    /// Waits for a slot.
    Queued { seq: u64, award: Award },
    /// Given back to its owner, who has not moved it yet.
    Parked { seq: u64, award: Award },
    /// Holds a slot, if it needs one.
    Running(Place),
    /// Gave its slot back.
    Waiting(Place),
    /// Wants its slot again.
    Returning,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Worker {
    me: Life,
    bodies: BTreeMap<TaskId, Body>,
    queue: BTreeMap<u64, TaskId>,
    parked: BTreeMap<u64, TaskId>,
    /// They hold memory and finish what others wait for: ahead of the queue.
    returning: VecDeque<TaskId>,
    next_seq: u64,
    /// Slots held.
    busy: u32,
    draining: bool,
    capabilities: Vec<Capability>,
    interested: BTreeSet<Life>,
}

impl Worker {
    pub(crate) fn new(me: Life, capabilities: Vec<Capability>) -> Self {
        Self {
            me,
            bodies: BTreeMap::new(),
            queue: BTreeMap::new(),
            parked: BTreeMap::new(),
            returning: VecDeque::new(),
            next_seq: 0,
            busy: 0,
            draining: false,
            capabilities,
            interested: BTreeSet::new(),
        }
    }

    pub(crate) fn load(&self, config: &Config) -> Load {
        let queued = u32::try_from(self.queue.len() + self.returning.len()).unwrap_or(u32::MAX);
        Load { running: self.busy, queued, slots: config.slots }
    }

    /// How many more tasks may be promised.
    fn room(&self, config: &Config) -> u32 {
        if self.draining || config.slots == 0 {
            return 0;
        }
        let free = config.slots.saturating_sub(self.busy);
        (config.queue_max() + free).saturating_sub(self.load(config).queued)
    }

    /// Whether any body runs that does not wait for others.
    pub(crate) fn is_running(&self) -> bool {
        self.bodies.values().any(|body| matches!(body, Body::Running(_) | Body::Returning))
    }

    pub(crate) fn runs(&self, task: TaskId) -> bool {
        !matches!(self.bodies.get(&task), None | Some(Body::Queued { .. } | Body::Parked { .. }))
    }

    fn can(&self, requires: &[Capability]) -> bool {
        Capability::lacking(&self.capabilities, requires).next().is_none()
    }

    /// W4.
    pub(crate) fn promise(&self, config: &Config, id: u64, requires: &[Capability]) -> Message {
        let room = if self.can(requires) { self.room(config) } else { 0 };
        Message::Promise { id, load: self.load(config), room }
    }

    pub(crate) fn on_interest(&mut self, config: &Config, from: Life, out: &mut impl Sink<Effect>) {
        self.interested.insert(from);
        self.offer_room(config, out);
    }

    pub(crate) fn on_down(&mut self, life: Life) {
        self.interested.remove(&life);
    }

    pub(crate) fn refusal(&self, config: &Config, requires: &[Capability]) -> Option<Reason> {
        if self.draining {
            return Some(Reason::Draining);
        }
        if !self.can(requires) {
            return Some(Reason::Incapable);
        }
        let hard = config.queue_max() as usize * HARD_FACTOR;
        (self.queue.len() >= hard).then_some(Reason::Full)
    }

    /// W7.
    pub(crate) fn on_queue(&mut self, config: &Config, award: Award, out: &mut impl Sink<Effect>) {
        let task = award.task;
        if self.runs(task) {
            return; // Another attempt of what runs here already: one body serves both.
        }
        self.remove(task);
        if award.place == Place::Outside {
            self.start(award, out);
            return;
        }
        let reason = self.refusal(config, &award.descriptor.requires);
        let seq = turn(award.attempt, self.next_seq);
        self.next_seq += 1;
        if let Some(reason) = reason {
            let tasks = vec![(task, award.attempt)];
            let message = Message::Returned { tasks, reason };
            out.push(Effect::Send { to: award.owner, message });
            self.parked.insert(seq, task);
            self.bodies.insert(task, Body::Parked { seq, award });
        } else {
            self.queue.insert(seq, task);
            self.bodies.insert(task, Body::Queued { seq, award });
        }
        self.pump(config, out);
    }

    pub(crate) fn on_waits(
        &mut self,
        config: &Config,
        task: TaskId,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        let TaskId { job, key } = task;
        match self.bodies.get_mut(&task) {
            Some(body @ Body::Running(_)) => {
                let Body::Running(place) = *body else { return Ok(()) };
                *body = Body::Waiting(place);
                self.busy -= u32::from(place == Place::Slot);
            }
            Some(body @ Body::Returning) => {
                *body = Body::Waiting(Place::Slot);
                self.returning.retain(|&other| other != task);
            }
            Some(Body::Waiting(_)) => {
                return Err(Error::OutOfTurn { job, key, what: "it waits already" });
            }
            None | Some(Body::Queued { .. } | Body::Parked { .. }) => {
                return Err(Error::NoBody { job, key });
            }
        }
        self.pump(config, out);
        Ok(())
    }

    pub(crate) fn on_runs(
        &mut self,
        config: &Config,
        task: TaskId,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        let TaskId { job, key } = task;
        match self.bodies.get_mut(&task) {
            Some(body @ Body::Waiting(Place::Outside)) => {
                *body = Body::Running(Place::Outside);
                out.push(Effect::Resume { task });
            }
            Some(body @ Body::Waiting(Place::Slot)) => {
                *body = Body::Returning;
                self.returning.push_back(task);
            }
            Some(Body::Running(_) | Body::Returning) => {
                return Err(Error::OutOfTurn { job, key, what: "it did not wait" });
            }
            None | Some(Body::Queued { .. } | Body::Parked { .. }) => {
                return Err(Error::NoBody { job, key });
            }
        }
        self.pump(config, out);
        Ok(())
    }

    pub(crate) fn on_ended(&mut self, config: &Config, task: TaskId, out: &mut impl Sink<Effect>) {
        self.remove(task);
        self.pump(config, out);
    }

    pub(crate) fn on_job_over(&mut self, config: &Config, job: JobId, out: &mut impl Sink<Effect>) {
        let tasks: Vec<_> = self.bodies.keys().copied().filter(|task| task.job == job).collect();
        for task in tasks {
            self.remove(task);
        }
        self.pump(config, out);
    }

    pub(crate) fn on_capabilities(
        &mut self,
        config: &Config,
        capabilities: Vec<Capability>,
        out: &mut impl Sink<Effect>,
    ) {
        self.capabilities = capabilities;
        self.give_back(Reason::Incapable, out);
        self.pump(config, out);
    }

    /// B3: a peer that goes away gives back all that is queued.
    pub(crate) fn on_drain(&mut self, out: &mut impl Sink<Effect>) {
        self.draining = true;
        self.give_back(Reason::Draining, out);
    }

    fn give_back(&mut self, reason: Reason, out: &mut impl Sink<Effect>) {
        let mut owners: BTreeMap<Life, Vec<(TaskId, u16)>> = BTreeMap::new();
        let able = self.capabilities.clone();
        for body in self.bodies.values_mut() {
            let Body::Queued { seq, award } = body else { continue };
            let requires = &award.descriptor.requires;
            if reason == Reason::Draining || Capability::lacking(&able, requires).next().is_some() {
                owners.entry(award.owner).or_default().push((award.task, award.attempt));
                self.queue.remove(seq);
                self.parked.insert(*seq, award.task);
                *body = Body::Parked { seq: *seq, award: award.clone() };
            }
        }
        for (to, tasks) in owners {
            for tasks in tasks.chunks(RETURNED_MAX) {
                let message = Message::Returned { tasks: tasks.to_vec(), reason };
                out.push(Effect::Send { to, message });
            }
        }
    }

    fn remove(&mut self, task: TaskId) {
        match self.bodies.remove(&task) {
            Some(Body::Queued { seq, .. }) => drop(self.queue.remove(&seq)),
            Some(Body::Parked { seq, .. }) => drop(self.parked.remove(&seq)),
            Some(Body::Running(Place::Slot)) => self.busy -= 1,
            Some(Body::Returning) => self.returning.retain(|&other| other != task),
            Some(Body::Running(Place::Outside) | Body::Waiting(_)) | None => {}
        }
    }

    fn start(&mut self, award: Award, out: &mut impl Sink<Effect>) {
        let Award { task, attempt, descriptor, place, .. } = award;
        self.busy += u32::from(place == Place::Slot);
        self.bodies.insert(task, Body::Running(place));
        out.push(Effect::Start { task, attempt, descriptor, place });
    }

    /// Fills free slots: bodies that come back first, then the queue, then what nobody took back.
    fn pump(&mut self, config: &Config, out: &mut impl Sink<Effect>) {
        while self.busy < config.slots {
            if let Some(task) = self.returning.pop_front() {
                self.busy += 1;
                self.bodies.insert(task, Body::Running(Place::Slot));
                out.push(Effect::Resume { task });
            } else if let Some(award) = self.next_award() {
                self.start(award, out);
            } else {
                break;
            }
        }
        self.offer_room(config, out);
    }

    fn next_award(&mut self) -> Option<Award> {
        let parked = self.parked.values().find(|task| match self.bodies.get(task) {
            Some(Body::Parked { award, .. }) => {
                !self.draining && self.can(&award.descriptor.requires)
            }
            _ => false,
        });
        let task = *self.queue.values().next().or(parked)?;
        let award = match self.bodies.get(&task) {
            Some(Body::Queued { award, .. } | Body::Parked { award, .. }) => award.clone(),
            _ => return None,
        };
        self.remove(task);
        Some(award)
    }

    /// W9: room is reported when half of the queue is free, so that a report is worth its messages.
    fn offer_room(&mut self, config: &Config, out: &mut impl Sink<Effect>) {
        let room = self.room(config);
        if room < config.queue_max().div_ceil(2).max(1) {
            return;
        }
        for to in core::mem::take(&mut self.interested) {
            out.push(Effect::Send { to, message: Message::Room { room } });
        }
    }

    /// Broken invariants are bugs of this crate.
    pub(crate) fn check(&self, config: &Config) {
        let count =
            |which: fn(&Body) -> bool| self.bodies.values().filter(|body| which(body)).count();
        let busy = count(|body| matches!(body, Body::Running(Place::Slot)));
        assert_eq!(busy, self.busy as usize, "every held slot of {} is counted once", self.me);
        assert!(self.busy <= config.slots, "no more bodies than slots at {}", self.me);
        assert_eq!(count(|body| matches!(body, Body::Queued { .. })), self.queue.len());
        assert_eq!(count(|body| matches!(body, Body::Parked { .. })), self.parked.len());
        assert_eq!(count(|body| matches!(body, Body::Returning)), self.returning.len());
    }
}
