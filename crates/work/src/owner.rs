//! The owner's side: every task is in exactly one of Held, Probing, Awarded.

use core::{ops::Bound, time::Duration};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use formic_core::{Capability, Descriptor, JobId, Key, Life, Random, Sink, Time, earliest};

use crate::{
    Config, Effect, Error, Load, Message, Reason, TaskId,
    lane::{Lane, Phase, Promised, turn},
};

/// Answers that take longer are not waited for.
const PATIENCE_MAX: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Entry {
    attempt: u16,
    descriptor: Arc<Descriptor>,
    at: At,
    /// Its age among all tasks of this owner.
    seq: u64,
    /// Who shall not get it, until when.
    avoid: Vec<(Life, Time)>,
    /// Whether `Unplaceable` was pushed.
    told: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum At {
    Held,
    Probing,
    Awarded(Life),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    tasks: BTreeMap<TaskId, Entry>,
    lanes: BTreeMap<Vec<Capability>, Lane>,
    /// Peers without room that promised to report when they have some.
    full_peers: BTreeSet<Life>,
    next_probe: u64,
    next_seq: u64,
    /// Tasks not awarded.
    held: usize,
    /// `Effect::Full` was pushed last.
    full: bool,
    /// How long answers take at most by what was seen; at least `probe_timeout` is waited anyway.
    patience: Duration,
    random: Random,
}

impl Owner {
    pub(crate) const fn new(random: Random) -> Self {
        Self {
            tasks: BTreeMap::new(),
            lanes: BTreeMap::new(),
            full_peers: BTreeSet::new(),
            next_probe: 0,
            next_seq: 0,
            held: 0,
            full: false,
            patience: Duration::ZERO,
            random,
        }
    }

    pub(crate) const fn held(&self) -> usize {
        self.held
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.full
    }

    pub(crate) fn at(&self, task: TaskId) -> Option<At> {
        self.tasks.get(&task).map(|entry| entry.at)
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.lanes.values().fold(None, |wake, lane| earliest(wake, lane.deadline()))
    }

    /// W1. A repeat of what is not awarded yet changes nothing.
    pub(crate) fn on_place(
        &mut self,
        (task, attempt): (TaskId, u16),
        descriptor: Arc<Descriptor>,
        avoid: Option<(Life, Time)>,
        out: &mut impl Sink<Effect>,
    ) {
        let known = self.tasks.get(&task);
        // Whoever asks again for what was awarded, or for another attempt, has dropped it since: attempts are
        // counted anew with the owner's ledger, and may be lower than before.
        let is_repeat = |known: &Entry| match known.at {
            At::Awarded(_) => false,
            At::Held | At::Probing => known.attempt == attempt,
        };
        if known.is_some_and(is_repeat) {
            return;
        }
        let seq = turn(attempt, self.next_seq);
        let seq = known.map_or(seq, |known| known.seq.min(seq));
        self.remove(task);
        self.next_seq += 1;
        let avoid = avoid.into_iter().collect();
        let requires = descriptor.requires.clone();
        let entry = Entry { attempt, descriptor, at: At::Held, seq, avoid, told: false };
        self.tasks.insert(task, entry);
        self.held += 1;
        self.lanes.entry(requires.clone()).or_default().held.insert(seq, task);
        self.tell_missing(&requires, out);
        self.advance(&requires, out);
    }

    /// Takes a task out of wherever it is.
    pub(crate) fn remove(&mut self, task: TaskId) {
        let Some(entry) = self.tasks.remove(&task) else { return };
        let requires = &entry.descriptor.requires;
        if let Some(lane) = self.lanes.get_mut(requires) {
            match entry.at {
                At::Held => drop(lane.held.remove(&entry.seq)),
                At::Probing => lane.batch.retain(|&other| other != task),
                At::Awarded(_) => {}
            }
            if lane.is_unused() {
                self.lanes.remove(requires);
            }
        }
        if !matches!(entry.at, At::Awarded(_)) {
            self.held -= 1;
        }
    }

    pub(crate) fn remove_job(&mut self, job: JobId) {
        let first = TaskId { job, key: Key::from_bytes([0; 16]) };
        let range = (Bound::Included(first), Bound::Unbounded);
        let tasks: Vec<TaskId> =
            self.tasks.range(range).map(|(&task, _)| task).take_while(|t| t.job == job).collect();
        for task in tasks {
            self.remove(task);
        }
    }

    /// W2: who may be asked is asked of mesh whenever tasks are held and nobody is being asked.
    fn advance(&mut self, requires: &[Capability], out: &mut impl Sink<Effect>) {
        if let Some(lane) = self.lanes.get_mut(requires)
            && lane.phase == Phase::Idle
            && !lane.held.is_empty()
        {
            lane.phase = Phase::Choosing;
            out.push(Effect::Choose { requires: requires.to_vec() });
        }
    }

    /// W3: one probe stands for a batch.
    pub(crate) fn on_chosen(
        &mut self,
        now: Time,
        config: &Config,
        (requires, lives, missing): (Vec<Capability>, Vec<Life>, Vec<Capability>),
        out: &mut impl Sink<Effect>,
    ) {
        let Some(lane) = self.lanes.get_mut(&requires) else { return };
        if lane.phase != Phase::Choosing {
            return;
        }
        if lane.held.is_empty() {
            self.lanes.remove(&requires);
            return;
        }
        if lives.is_empty() {
            lane.phase = Phase::Nobody { missing };
            self.tell_missing(&requires, out);
            return;
        }
        let mut asked: Vec<Life> =
            lives.iter().copied().filter(|life| !self.full_peers.contains(life)).collect();
        if asked.is_empty() {
            lane.phase = Phase::Waiting { until: now + config.ask_again };
            return;
        }
        keep_some(&mut self.random, &mut asked, config.probes);
        let id = self.next_probe;
        self.next_probe += 1;
        lane.take_batch(config.batch);
        for task in &lane.batch {
            if let Some(entry) = self.tasks.get_mut(task) {
                entry.at = At::Probing;
            }
        }
        let count = u32::try_from(lane.batch.len()).unwrap_or(u32::MAX);
        for &to in &asked {
            let message = Message::Probe { id, count, requires: requires.clone() };
            out.push(Effect::Send { to, message });
        }
        let asked = asked.into_iter().collect();
        let until = now + self.patience.max(config.probe_timeout);
        let promises = BTreeMap::new();
        lane.phase = Phase::Probing { id, asked, promises, since: now, until, capable: lives };
    }

    pub(crate) fn on_promise(
        &mut self,
        now: Time,
        config: &Config,
        (from, id, load, room): (Life, u64, Load, u32),
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        if id >= self.next_probe {
            return Err(Error::Unasked { from, id });
        }
        if load.slots == 0 && room > 0 {
            return Err(Error::RoomWithoutSlots { from, room });
        }
        let probed = self.lanes.iter_mut().find_map(|(requires, lane)| match &mut lane.phase {
            Phase::Probing { id: current, asked, promises, since, .. } if *current == id => {
                Some((requires.clone(), asked, promises, *since))
            }
            _ => None,
        });
        // A promise that came after its probe was decided is late, not wrong.
        let Some((requires, asked, promises, since)) = probed else { return Ok(()) };
        if promises.contains_key(&from) {
            return Err(Error::Unasked { from, id });
        }
        // Held for dead meanwhile, or never asked: it is not waited for.
        if !asked.contains(&from) {
            return Ok(());
        }
        self.patience = (now.since(since) * 2).min(PATIENCE_MAX);
        let tie = self.random.next();
        promises.insert(from, Promised { load, room, tie });
        if promises.len() == asked.len() {
            self.award(now, config, &requires, out);
        }
        Ok(())
    }

    /// W5, W6: each task of the batch goes to the least loaded peer with room, own awards counted.
    fn award(
        &mut self,
        now: Time,
        config: &Config,
        requires: &[Capability],
        out: &mut impl Sink<Effect>,
    ) {
        let Some(lane) = self.lanes.get_mut(requires) else { return };
        let phase = core::mem::take(&mut lane.phase);
        let Phase::Probing { mut promises, capable, .. } = phase else { return };
        let mut awarded = 0;
        for task in core::mem::take(&mut lane.batch) {
            let Some(entry) = self.tasks.get_mut(&task) else { continue };
            match Promised::best(&promises, |life| entry.may_go_to(life, now, &capable)) {
                Some(life) => {
                    promises.entry(life).and_modify(Promised::take);
                    assert!(capable.contains(&life), "an awarded life was eligible (L3)");
                    entry.at = At::Awarded(life);
                    (awarded, self.held) = (awarded + 1, self.held - 1);
                    out.push(Effect::Placed { task, attempt: entry.attempt, life });
                }
                None => {
                    entry.at = At::Held;
                    lane.held.insert(entry.seq, task);
                }
            }
        }
        if lane.held.is_empty() {
            self.lanes.remove(requires);
            return;
        }
        let mut learned = false;
        for (&to, _) in promises.iter().filter(|(_, promised)| promised.room == 0) {
            // Late binding: who has no room says when it has.
            learned |= self.full_peers.insert(to);
            out.push(Effect::Send { to, message: Message::Interest });
        }
        lane.silent = if promises.is_empty() { lane.silent.saturating_add(1).min(5) } else { 0 };
        if promises.is_empty() {
            // Over a slow link every answer would come too late, for ever.
            self.patience = (self.patience.max(config.probe_timeout) * 2).min(PATIENCE_MAX);
        }
        if awarded == 0 && !learned {
            let pause = config.probe_timeout * (1 << lane.silent);
            let until = now + if promises.is_empty() { pause } else { config.avoid_for };
            lane.phase = Phase::Waiting { until };
        }
        self.advance(requires, out);
    }

    /// W8: a worker gives tasks back. Only what is awarded to it moves.
    pub(crate) fn on_returned(
        &mut self,
        from: Life,
        until: Time,
        (tasks, reason): (Vec<(TaskId, u16)>, Reason),
        out: &mut impl Sink<Effect>,
    ) {
        let mut lanes = BTreeSet::new();
        for (task, attempt) in tasks {
            let Some(entry) = self.tasks.get_mut(&task) else { continue };
            if entry.at != At::Awarded(from) || entry.attempt != attempt {
                continue;
            }
            entry.at = At::Held;
            entry.avoid.retain(|&(life, _)| life != from);
            entry.avoid.push((from, until));
            self.held += 1;
            let requires = entry.descriptor.requires.clone();
            self.lanes.entry(requires.clone()).or_default().held.insert(entry.seq, task);
            lanes.insert(requires);
        }
        if reason == Reason::Full && !lanes.is_empty() && self.full_peers.insert(from) {
            out.push(Effect::Send { to: from, message: Message::Interest });
        }
        for requires in lanes {
            self.tell_missing(&requires, out);
            self.advance(&requires, out);
        }
    }

    /// W9.
    pub(crate) fn on_room(&mut self, from: Life, out: &mut impl Sink<Effect>) {
        self.full_peers.remove(&from);
        self.wake(|phase| matches!(phase, Phase::Waiting { .. }), out);
    }

    pub(crate) fn on_roster_changed(&mut self, out: &mut impl Sink<Effect>) {
        let asks = |phase: &Phase| matches!(phase, Phase::Waiting { .. } | Phase::Nobody { .. });
        self.wake(asks, out);
    }

    fn wake(&mut self, which: impl Fn(&Phase) -> bool, out: &mut impl Sink<Effect>) {
        let lanes: Vec<_> = self
            .lanes
            .iter()
            .filter(|(_, lane)| which(&lane.phase))
            .map(|(r, _)| r.clone())
            .collect();
        for requires in lanes {
            if let Some(lane) = self.lanes.get_mut(&requires) {
                lane.phase = Phase::Idle;
            }
            self.advance(&requires, out);
        }
    }

    pub(crate) fn on_down(
        &mut self,
        now: Time,
        config: &Config,
        life: Life,
        out: &mut impl Sink<Effect>,
    ) {
        self.full_peers.remove(&life);
        let mut decided = Vec::new();
        for (requires, lane) in &mut self.lanes {
            let Phase::Probing { asked, promises, .. } = &mut lane.phase else { continue };
            let was_asked = asked.remove(&life);
            promises.remove(&life);
            if was_asked && promises.len() == asked.len() {
                decided.push(requires.clone());
            }
        }
        for requires in decided {
            self.award(now, config, &requires, out);
        }
    }

    pub(crate) fn on_deadline(&mut self, now: Time, config: &Config, out: &mut impl Sink<Effect>) {
        let due: Vec<_> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.deadline().is_some_and(|at| at <= now))
            .map(|(requires, _)| requires.clone())
            .collect();
        for requires in due {
            let Some(lane) = self.lanes.get_mut(&requires) else { continue };
            if matches!(lane.phase, Phase::Waiting { .. }) {
                // A `Room` may have been lost with its link: believe nobody to be full any more.
                self.full_peers.clear();
                lane.phase = Phase::Idle;
                self.advance(&requires, out);
            } else {
                self.award(now, config, &requires, out);
            }
        }
    }

    /// `Full` and `NotFull`, with a tenth of the bound between them.
    pub(crate) fn report_fill(&mut self, config: &Config, out: &mut impl Sink<Effect>) {
        if !self.full && self.held >= config.held_max {
            self.full = true;
            out.push(Effect::Full);
        } else if self.full && self.held <= config.held_max / 10 * 9 && self.held < config.held_max
        {
            self.full = false;
            out.push(Effect::NotFull);
        }
    }

    fn tell_missing(&mut self, requires: &[Capability], out: &mut impl Sink<Effect>) {
        let Some(lane) = self.lanes.get(requires) else { return };
        let Phase::Nobody { missing } = &lane.phase else { return };
        for &task in lane.held.values() {
            if let Some(entry) = self.tasks.get_mut(&task)
                && !core::mem::replace(&mut entry.told, true)
            {
                out.push(Effect::Unplaceable { task, missing: missing.clone() });
            }
        }
    }

    /// Broken invariants are bugs of this crate.
    pub(crate) fn check(&self) {
        let mut held = 0;
        for (task, entry) in &self.tasks {
            let lane = self.lanes.get(&entry.descriptor.requires);
            let is_held = lane.is_some_and(|lane| lane.held.get(&entry.seq) == Some(task));
            let is_probing = lane.is_some_and(|lane| lane.batch.contains(task));
            let expected = (entry.at == At::Held, entry.at == At::Probing);
            assert_eq!((is_held, is_probing), expected, "{task:?} is in exactly one place (L1)");
            held += usize::from(!matches!(entry.at, At::Awarded(_)));
        }
        let listed: usize =
            self.lanes.values().map(|lane| lane.held.len() + lane.batch.len()).sum();
        assert_eq!((held, listed), (self.held, self.held), "every held task is counted once (L1)");
    }
}

impl Entry {
    /// Whoever failed or refused it is avoided where others are capable.
    fn may_go_to(&self, life: Life, now: Time, capable: &[Life]) -> bool {
        let avoided = |life: &Life| self.avoid.iter().any(|(a, until)| a == life && *until > now);
        !avoided(&life) || capable.iter().all(avoided)
    }
}

/// Leaves `count` of `lives`, drawn at random.
fn keep_some(random: &mut Random, lives: &mut Vec<Life>, count: usize) {
    for position in 0..count.min(lives.len()) {
        let rest = (lives.len() - position) as u64;
        let draw = usize::try_from(random.below(rest)).unwrap_or(0);
        lives.swap(position, position + draw);
    }
    lives.truncate(count);
}
