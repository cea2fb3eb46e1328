//! The owner's side: every task is in exactly one of Held, Probing, Awarded.

use core::{ops::Bound, time::Duration};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use formic_core::{Descriptor, JobId, Key, Kind, Life, Sink, Time, earliest};

use crate::{
    Config, Effect, Message, Probe, Reason, TaskId, Want,
    lane::{Asked, Lane, Phase, turn},
};

/// Answers that take longer are not waited for.
pub(crate) const PATIENCE_MAX: Duration = Duration::from_secs(2);
/// An award is on its way for so long at least.
const HOLDS_MIN: Duration = Duration::from_millis(2);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) attempt: u16,
    descriptor: Arc<Descriptor>,
    pub(crate) kind: Kind,
    pub(crate) at: At,
    /// Its age among all tasks of this owner.
    pub(crate) seq: u64,
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

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub(crate) tasks: BTreeMap<TaskId, Entry>,
    pub(crate) lanes: BTreeMap<Want, Lane>,
    next_probe: u64,
    next_seq: u64,
    /// Tasks not awarded.
    pub(crate) held: usize,
    /// `Effect::Full` was pushed last.
    full: bool,
    /// How long answers take at most by what was seen; at least `probe_timeout` is waited anyway.
    pub(crate) patience: Duration,
}

impl Owner {
    pub(crate) const fn held(&self) -> usize {
        self.held
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.full
    }

    pub(crate) const fn probes(&self) -> u64 {
        self.next_probe
    }

    pub(crate) fn at(&self, task: TaskId) -> Option<At> {
        self.tasks.get(&task).map(|entry| entry.at)
    }

    /// The attempt of this task that this life was awarded.
    pub(crate) fn awarded(&self, task: TaskId, life: Life) -> Option<u16> {
        let entry = self.tasks.get(&task).filter(|entry| entry.at == At::Awarded(life));
        entry.map(|entry| entry.attempt)
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
        self.remove(task, out);
        self.next_seq += 1;
        let avoid = avoid.into_iter().collect();
        let kind = Kind::of(&descriptor.kind);
        let entry = Entry { attempt, descriptor, kind, at: At::Held, seq, avoid, told: false };
        let want = entry.want();
        self.tasks.insert(task, entry);
        self.held += 1;
        self.lanes.entry(want.clone()).or_default().held.insert(seq, task);
        self.tell_missing(&want, out);
        self.advance(&want, out);
    }

    /// Takes a task out of wherever it is.
    pub(crate) fn remove(&mut self, task: TaskId, out: &mut impl Sink<Effect>) {
        let Some(entry) = self.tasks.remove(&task) else { return };
        if matches!(entry.at, At::Awarded(_)) {
            out.push(Effect::Withdrawn { task, attempt: entry.attempt });
            return;
        }
        self.held -= 1;
        let want = entry.want();
        let Some(lane) = self.lanes.get_mut(&want) else { return };
        if entry.at == At::Held {
            lane.held.remove(&entry.seq);
        } else {
            lane.batch.retain(|&other| other != task);
        }
        if lane.is_unused() {
            self.lanes.remove(&want);
        }
    }

    pub(crate) fn remove_job(&mut self, job: JobId, out: &mut impl Sink<Effect>) {
        let first = TaskId { job, key: Key::from_bytes([0; 16]) };
        let range = (Bound::Included(first), Bound::Unbounded);
        let tasks: Vec<TaskId> =
            self.tasks.range(range).map(|(&task, _)| task).take_while(|t| t.job == job).collect();
        for task in tasks {
            self.remove(task, out);
        }
    }

    /// W2: who may be asked is asked of mesh whenever tasks are held and nobody is being asked.
    pub(crate) fn advance(&mut self, want: &Want, out: &mut impl Sink<Effect>) {
        if let Some(lane) = self.lanes.get_mut(want)
            && lane.phase == Phase::Idle
            && !lane.held.is_empty()
        {
            lane.phase = Phase::Choosing;
            out.push(Effect::Choose { want: want.clone() });
        }
    }

    /// W2: the capable ones, less those that are full and those that the oldest task avoids.
    pub(crate) fn on_chosen(
        &mut self,
        now: Time,
        config: &Config,
        (want, capable, missing): (Want, Vec<Life>, Vec<formic_core::Capability>),
        out: &mut impl Sink<Effect>,
    ) {
        let Some(lane) = self.lanes.get_mut(&want) else { return };
        if lane.phase != Phase::Choosing {
            return;
        }
        let head = lane.held.values().next().and_then(|task| Some((*task, self.tasks.get(task)?)));
        let Some((head, entry)) = head else {
            self.lanes.remove(&want);
            return;
        };
        if capable.is_empty() {
            lane.phase = Phase::Nobody { missing };
            self.tell_missing(&want, out);
            return;
        }
        let may =
            |life: &&Life| !lane.full.contains_key(life) && entry.may_go_to(**life, now, &capable);
        let mut eligible: Vec<Life> = capable.iter().filter(may).copied().collect();
        eligible.dedup_by_key(|life| life.peer);
        let until = now + config.ask_again;
        if eligible.is_empty() {
            let avoided = entry.avoid.iter().map(|(_, until)| *until).min();
            let until = avoided.filter(|at| *at > now).map_or(until, |at| at.min(until));
            lane.phase = Phase::Waiting { until };
            return;
        }
        lane.phase = Phase::Drawing { key: head.key, capable, until };
        out.push(Effect::Draw { key: head.key, kind: want.kind, eligible });
    }

    /// W3: one probe stands for a batch.
    pub(crate) fn on_drawn(
        &mut self,
        now: Time,
        config: &Config,
        (key, mut lives, mean): (Key, Vec<Life>, Duration),
        out: &mut impl Sink<Effect>,
    ) {
        let drawing =
            |lane: &Lane| matches!(&lane.phase, Phase::Drawing { key: k, .. } if *k == key);
        let found = self.lanes.iter().find(|(_, lane)| drawing(lane)).map(|(want, _)| want.clone());
        let Some(want) = found else { return };
        let Some(lane) = self.lanes.get_mut(&want) else { return };
        let Phase::Drawing { capable, .. } = core::mem::take(&mut lane.phase) else { return };
        if lane.held.is_empty() {
            self.lanes.remove(&want);
            return;
        }
        lives.retain(|life| capable.contains(life));
        if lives.is_empty() {
            lane.phase = Phase::Waiting { until: now + config.ask_again };
            return;
        }
        take_batch(&mut self.tasks, lane, (now, config.batch));
        let id = self.next_probe;
        self.next_probe += 1;
        let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let (count, asked) = (small(lane.batch.len()), small(lives.len()));
        let us = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let (mean_us, holds_us) = (us(mean).max(1), us(self.patience.max(HOLDS_MIN)));
        let Want { kind, requires } = want;
        for &to in &lives {
            let requires = requires.clone();
            let probe = Probe { id, count, asked, kind, requires, mean_us, holds_us };
            out.push(Effect::Send { to, message: Message::Probe(probe) });
        }
        let until = now + self.patience.max(config.probe_timeout);
        let (promises, lives) = (BTreeMap::new(), lives.into_iter().collect());
        let asked = Asked { id, key, mean, lives, promises, since: now, until, capable };
        lane.phase = Phase::Probing(Box::new(asked));
    }

    /// W8: a worker gives tasks back. Only what is awarded to it moves.
    pub(crate) fn on_returned(
        &mut self,
        from: Life,
        until: Time,
        (tasks, reason): (Vec<(TaskId, u16)>, Reason),
        out: &mut impl Sink<Effect>,
    ) {
        let mut wants = BTreeSet::new();
        for (task, attempt) in tasks {
            if self.awarded(task, from) != Some(attempt) {
                continue;
            }
            let Some(entry) = self.tasks.get_mut(&task) else { continue };
            entry.at = At::Held;
            entry.avoid.retain(|&(life, _)| life != from);
            entry.avoid.push((from, until));
            self.held += 1;
            out.push(Effect::Withdrawn { task, attempt });
            let want = entry.want();
            self.lanes.entry(want.clone()).or_default().held.insert(entry.seq, task);
            wants.insert(want);
        }
        for want in wants {
            let lane = self.lanes.entry(want.clone()).or_default();
            if reason == Reason::Full && lane.full.insert(from, None).is_none() {
                out.push(Effect::Send { to: from, message: Message::Interest { tasks: u32::MAX } });
            }
            self.tell_missing(&want, out);
            self.advance(&want, out);
        }
    }

    /// W12: whose clock stands, as far as they are awarded to whoever says so.
    pub(crate) fn on_waits(
        &self,
        life: Life,
        tasks: Vec<(TaskId, u16)>,
        out: &mut impl Sink<Effect>,
    ) {
        for (task, attempt) in tasks {
            if self.awarded(task, life) == Some(attempt) {
                out.push(Effect::Waits { task, attempt, life });
            }
        }
    }

    /// W9.
    pub(crate) fn on_room(&mut self, from: Life, out: &mut impl Sink<Effect>) {
        self.wake(
            |lane| lane.full.remove(&from).is_some() && matches!(lane.phase, Phase::Waiting { .. }),
            out,
        );
    }

    pub(crate) fn on_roster_changed(&mut self, out: &mut impl Sink<Effect>) {
        let asks = |lane: &mut Lane| {
            // Who did not take such tasks may do so now.
            lane.full.retain(|_, seen| seen.is_some());
            matches!(lane.phase, Phase::Waiting { .. } | Phase::Nobody { .. })
        };
        self.wake(asks, out);
    }

    fn wake(&mut self, which: impl Fn(&mut Lane) -> bool, out: &mut impl Sink<Effect>) {
        let mut woken = Vec::new();
        for (want, lane) in &mut self.lanes {
            if which(lane) {
                lane.phase = Phase::Idle;
                woken.push(want.clone());
            }
        }
        for want in woken {
            self.advance(&want, out);
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

    fn tell_missing(&mut self, want: &Want, out: &mut impl Sink<Effect>) {
        let Some(lane) = self.lanes.get(want) else { return };
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
            let lane = self.lanes.get(&entry.want());
            let is_held = lane.is_some_and(|lane| lane.held.get(&entry.seq) == Some(task));
            let is_probing = lane.is_some_and(|lane| lane.batch.contains(task));
            let expected = (entry.at == At::Held, entry.at == At::Probing);
            assert_eq!((is_held, is_probing), expected, "{task:?} is in exactly one place (L1)");
            held += usize::from(!matches!(entry.at, At::Awarded(_)));
        }
        let listed: usize =
            self.lanes.values().map(|lane| lane.held.len() + lane.batch.len()).sum();
        assert_eq!((held, listed), (self.held, self.held), "every held task is counted once (L1)");
        let is_idle = |lane: &Lane| lane.phase == Phase::Idle && !lane.held.is_empty();
        assert!(!self.lanes.values().any(is_idle), "what is held is looked at (L8)");
    }
}

impl Entry {
    pub(crate) fn want(&self) -> Want {
        Want { kind: self.kind, requires: self.descriptor.requires.clone() }
    }

    /// Whoever failed or refused it is avoided where others are capable.
    fn may_go_to(&self, life: Life, now: Time, capable: &[Life]) -> bool {
        let avoided = |life: &Life| self.avoid.iter().any(|(a, until)| a == life && *until > now);
        !avoided(&life) || capable.iter().all(avoided)
    }
}

/// The oldest tasks that avoid nobody else than the oldest of them, so that one choice suits all.
fn take_batch(tasks: &mut BTreeMap<TaskId, Entry>, lane: &mut Lane, (now, max): (Time, usize)) {
    let avoided = |task: &TaskId| -> Vec<Life> {
        let all = tasks.get(task).map(|entry| entry.avoid.as_slice()).unwrap_or_default();
        all.iter().filter(|(_, until)| *until > now).map(|(life, _)| *life).collect()
    };
    let Some(head) = lane.held.values().next().map(avoided) else { return };
    let alike = lane.held.iter().filter(|(_, task)| avoided(task) == head);
    let taken: Vec<(u64, TaskId)> = alike.map(|(seq, task)| (*seq, *task)).take(max).collect();
    for (seq, task) in taken {
        lane.held.remove(&seq);
        lane.batch.push(task);
        if let Some(entry) = tasks.get_mut(&task) {
            entry.at = At::Probing;
        }
    }
}
