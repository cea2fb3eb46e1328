//! The worker's side: a bounded queue in front of slots.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use formic_core::{Capability, Descriptor, JobId, Kind, Life, Sink, Time};

use crate::{
    Backlog, Config, Effect, Error, Load, Message, Place, Probe, Reason, TaskId, lane::turn,
    message::RETURNED_MAX,
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
    pub(crate) kind: Kind,
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
    Running(Seat),
    /// Gave its slot back.
    Waiting(Seat),
    /// Wants its slot again.
    Returning(Seat),
}

/// A body that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Seat {
    place: Place,
    attempt: u16,
    owner: Life,
    kind: Kind,
    /// Since when it runs, or waits.
    since: Time,
    /// For how long it ran before.
    served: Duration,
}

impl Seat {
    fn pause(&mut self, now: Time) {
        self.served += now.since(self.since);
        self.since = now;
    }

    fn resume(&mut self, now: Time) {
        self.since = now;
    }
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
    /// Who wants to hear of room, and with how much to do at most.
    interested: BTreeMap<Life, u32>,
    /// What waits for a slot, by kind.
    kinds: BTreeMap<Kind, u32>,
    /// Waiting bodies whose owners have not heard of it, by when they are to.
    untold: BTreeSet<(Time, TaskId)>,
    /// The time of the input that is handled.
    pub(crate) now: Time,
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
            interested: BTreeMap::new(),
            kinds: BTreeMap::new(),
            untold: BTreeSet::new(),
            now: Time::ZERO,
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
        self.bodies.values().any(|body| matches!(body, Body::Running(_) | Body::Returning(_)))
    }

    pub(crate) fn runs(&self, task: TaskId) -> bool {
        !matches!(self.bodies.get(&task), None | Some(Body::Queued { .. } | Body::Parked { .. }))
    }

    fn can(&self, requires: &[Capability]) -> bool {
        Capability::lacking(&self.capabilities, requires).next().is_none()
    }

    /// For how long a body that was started here has had a slot, and what it is an example of.
    pub(crate) fn slot_time(&self, task: TaskId, now: Time) -> Option<(Kind, Duration)> {
        let (seat, more) = match self.bodies.get(&task)? {
            Body::Running(seat) => (seat, now.since(seat.since)),
            Body::Waiting(seat) | Body::Returning(seat) => (seat, Duration::ZERO),
            Body::Queued { .. } | Body::Parked { .. } => return None,
        };
        // The root of a job needs no slot.
        (seat.place == Place::Slot).then_some((seat.kind, seat.served + more))
    }

    /// W4: what is to be said is estimated outside, from what runs and waits here.
    pub(crate) fn on_probe(
        &self,
        config: &Config,
        (to, probe): (Life, Probe),
        out: &mut impl Sink<Effect>,
    ) {
        let (load, id) = (self.load(config), probe.id);
        if self.draining || config.slots == 0 || !self.can(&probe.requires) {
            let message = Message::Promise { id, load, offer: None };
            out.push(Effect::Send { to, message });
            return;
        }
        let (backlog, room) = (self.backlog(config), self.room(config));
        out.push(Effect::Estimate { to, probe, backlog, load, room });
    }

    fn backlog(&self, config: &Config) -> Backlog {
        let running = self.bodies.values().filter_map(|body| match body {
            Body::Running(seat) if seat.place == Place::Slot => {
                Some((seat.kind, seat.served + self.now.since(seat.since)))
            }
            Body::Returning(seat) => Some((seat.kind, seat.served)),
            _ => None,
        });
        let queued = self.kinds.iter().map(|(kind, count)| (*kind, *count)).collect();
        Backlog { queued, running: running.collect(), slots: config.slots }
    }

    pub(crate) fn on_interest(
        &mut self,
        config: &Config,
        (from, tasks): (Life, u32),
        out: &mut impl Sink<Effect>,
    ) {
        let wanted = self.interested.entry(from).or_default();
        *wanted = tasks.max(*wanted);
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
            *self.kinds.entry(award.kind).or_default() += 1;
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
        let now = self.now;
        match self.bodies.get_mut(&task) {
            Some(body @ Body::Running(_)) => {
                let Body::Running(mut seat) = *body else { return Ok(()) };
                seat.pause(now);
                *body = Body::Waiting(seat);
                self.busy -= u32::from(seat.place == Place::Slot);
                if seat.place == Place::Slot {
                    self.untold.insert((now + config.tell_waits, task));
                }
            }
            Some(body @ Body::Returning(_)) => {
                let Body::Returning(seat) = *body else { return Ok(()) };
                *body = Body::Waiting(seat);
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
        let now = self.now;
        match self.bodies.get_mut(&task) {
            Some(body @ Body::Waiting(_)) => {
                let Body::Waiting(mut seat) = *body else { return Ok(()) };
                if seat.place == Place::Outside {
                    seat.resume(now);
                    *body = Body::Running(seat);
                    out.push(Effect::Resume { task });
                } else {
                    *body = Body::Returning(seat);
                    self.returning.push_back(task);
                }
            }
            Some(Body::Running(_) | Body::Returning(_)) => {
                return Err(Error::OutOfTurn { job, key, what: "it did not wait" });
            }
            None | Some(Body::Queued { .. } | Body::Parked { .. }) => {
                return Err(Error::NoBody { job, key });
            }
        }
        self.pump(config, out);
        Ok(())
    }

    pub(crate) fn next_told(&self) -> Option<Time> {
        self.untold.first().map(|(at, _)| *at)
    }

    /// W12: owners of bodies that wait for long are told, so that they are not taken for slow.
    pub(crate) fn on_deadline(&mut self, out: &mut impl Sink<Effect>) {
        let mut owners: BTreeMap<Life, Vec<(TaskId, u16)>> = BTreeMap::new();
        while let Some(&(at, task)) = self.untold.first()
            && at <= self.now
        {
            self.untold.pop_first();
            if let Some(Body::Waiting(seat) | Body::Returning(seat)) = self.bodies.get(&task) {
                owners.entry(seat.owner).or_default().push((task, seat.attempt));
            }
        }
        for (to, tasks) in owners {
            for tasks in tasks.chunks(RETURNED_MAX) {
                out.push(Effect::Send { to, message: Message::Waits { tasks: tasks.to_vec() } });
            }
        }
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
        let (able, mut left) = (self.capabilities.clone(), Vec::new());
        for body in self.bodies.values_mut() {
            let Body::Queued { seq, award } = body else { continue };
            let requires = &award.descriptor.requires;
            if reason == Reason::Draining || Capability::lacking(&able, requires).next().is_some() {
                owners.entry(award.owner).or_default().push((award.task, award.attempt));
                self.queue.remove(seq);
                left.push(award.kind);
                self.parked.insert(*seq, award.task);
                *body = Body::Parked { seq: *seq, award: award.clone() };
            }
        }
        left.into_iter().for_each(|kind| self.uncount(kind));
        for (to, tasks) in owners {
            for tasks in tasks.chunks(RETURNED_MAX) {
                let message = Message::Returned { tasks: tasks.to_vec(), reason };
                out.push(Effect::Send { to, message });
            }
        }
    }

    fn remove(&mut self, task: TaskId) {
        match self.bodies.remove(&task) {
            Some(Body::Queued { seq, award }) => {
                self.queue.remove(&seq);
                self.uncount(award.kind);
            }
            Some(Body::Parked { seq, .. }) => drop(self.parked.remove(&seq)),
            Some(Body::Running(seat)) => self.busy -= u32::from(seat.place == Place::Slot),
            Some(Body::Waiting(_)) => self.untold.retain(|(_, other)| *other != task),
            Some(Body::Returning(_)) => self.returning.retain(|&other| other != task),
            None => {}
        }
    }

    fn uncount(&mut self, kind: Kind) {
        if let Some(count) = self.kinds.get_mut(&kind) {
            *count -= 1;
            if *count == 0 {
                self.kinds.remove(&kind);
            }
        }
    }

    fn start(&mut self, award: Award, out: &mut impl Sink<Effect>) {
        let Award { task, attempt, descriptor, kind, owner, place } = award;
        self.busy += u32::from(place == Place::Slot);
        let (since, served) = (self.now, Duration::ZERO);
        let seat = Seat { place, attempt, owner, kind, since, served };
        self.bodies.insert(task, Body::Running(seat));
        out.push(Effect::Start { task, attempt, descriptor, place });
    }

    /// Fills free slots: bodies that come back first, then the queue, then what nobody took back.
    fn pump(&mut self, config: &Config, out: &mut impl Sink<Effect>) {
        while self.busy < config.slots {
            if let Some(task) = self.returning.pop_front() {
                self.sit_down(task, out);
            } else if let Some(award) = self.next_award() {
                self.start(award, out);
            } else {
                break;
            }
        }
        self.offer_room(config, out);
    }

    /// A body that waited goes on.
    fn sit_down(&mut self, task: TaskId, out: &mut impl Sink<Effect>) {
        let now = self.now;
        let Some(Body::Returning(seat)) = self.bodies.get(&task) else { return };
        let mut seat = *seat;
        seat.resume(now);
        self.bodies.insert(task, Body::Running(seat));
        self.busy += 1;
        self.untold.retain(|(_, other)| *other != task);
        out.push(Effect::Resume { task });
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

    /// W9: room is reported when at least half of the queue is free, so that a report is worth its messages, and
    /// to each owner when there is as little to do as it wants.
    fn offer_room(&mut self, config: &Config, out: &mut impl Sink<Effect>) {
        let room = self.room(config);
        if room == 0 || self.interested.is_empty() {
            return;
        }
        let Load { running, queued, slots } = self.load(config);
        let least = slots.saturating_add(config.queue_max() / 2);
        let tasks = running.saturating_add(queued);
        self.interested.retain(|&to, wanted| {
            let waits = tasks > least.min(*wanted);
            if !waits {
                out.push(Effect::Send { to, message: Message::Room { room } });
            }
            waits
        });
    }

    /// Broken invariants are bugs of this crate.
    pub(crate) fn check(&self, config: &Config) {
        let count =
            |which: fn(&Body) -> bool| self.bodies.values().filter(|body| which(body)).count();
        let busy = count(|body| matches!(body, Body::Running(seat) if seat.place == Place::Slot));
        assert_eq!(busy, self.busy as usize, "every held slot of {} is counted once", self.me);
        assert!(self.busy <= config.slots, "no more bodies than slots at {}", self.me);
        assert_eq!(count(|body| matches!(body, Body::Queued { .. })), self.queue.len());
        let counted: usize = self.kinds.values().map(|count| *count as usize).sum();
        assert_eq!(counted, self.queue.len(), "each queued task of {} is of one kind", self.me);
        assert_eq!(count(|body| matches!(body, Body::Parked { .. })), self.parked.len());
        assert_eq!(count(|body| matches!(body, Body::Returning(_))), self.returning.len());
    }
}
