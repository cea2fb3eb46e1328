//! Bodies at work, as the driver runs them: a spawn waits for its acknowledgement, a join gives the
//! slot back and gets one again.

use core::time::Duration;
use std::{collections::BTreeMap, sync::Arc};

use formic_completion::Spawn;
use formic_core::{Descriptor, JobId, Key, Outcome, Output, mix};
use formic_node::{Fence, Input};

use super::world::{What, World};
use crate::{
    Draw, Execution,
    completion::plan::{Shape, Workload},
    marks::Mark,
    oracles::one_holder,
};

/// How long the lease of an exclusive task is.
const LEASE: Duration = Duration::from_secs(1);
/// No body works longer than this by itself.
const LONGEST: u64 = 4_000_000;

/// What one execution will do.
#[derive(Clone, Debug)]
struct Script {
    /// What it spawns, and how long it works before each.
    spawns: Vec<(Duration, Arc<Descriptor>, Spawn)>,
    /// How long it works after the last of them.
    rest: Duration,
    /// Whether it waits for its awaited children, and how long it works afterwards.
    joins: Option<Duration>,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It works until its next step.
    Works,
    /// It waits until its spawn is acknowledged.
    Spawns,
    /// It waits for children, without its slot.
    Waits,
    /// It wants its slot again.
    Regains,
    /// It works after its join, then ends.
    Last,
}

pub(super) struct Body {
    script: Script,
    run: usize,
    root: bool,
    pub(super) phase: Phase,
    next: usize,
    /// Awaited children, and whether they are done.
    children: BTreeMap<Key, bool>,
}

impl Body {
    /// Whether it needs one of its peer's slots.
    pub(super) const fn holds_slot(&self) -> bool {
        !self.root && matches!(self.phase, Phase::Works | Phase::Spawns | Phase::Last)
    }
}

/// A job's root, or a task in it: where it is in the tree, and who it is.
pub(super) fn descriptor(
    job: u64,
    level: u64,
    who: u64,
    exclusive: Option<Duration>,
) -> Arc<Descriptor> {
    let payload = [job, level, who].map(u64::to_be_bytes).concat();
    Arc::new(Descriptor {
        kind: "sim".to_owned(),
        name: String::new(),
        requires: vec![],
        payload,
        recipe: vec![],
        wall: None,
        exclusive,
    })
}

/// What [`descriptor`] wrote.
fn identity(descriptor: &Descriptor) -> [u64; 3] {
    let mut parts = descriptor
        .payload
        .chunks_exact(8)
        .map(|chunk| chunk.try_into().map_or(0, u64::from_be_bytes));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

impl Script {
    fn of(draw: Draw, work: &Workload, [job, level, who]: [u64; 3], run: Run) -> Self {
        let moody = draw.chance("task-moody", &[who], work.moody);
        let what = [who, if moody { run.number } else { 0 }];
        let body = u64::try_from(work.body.as_micros()).unwrap_or(1_000);
        let long = draw.chance("task-long", &what, 20);
        let length = draw.below("task-length", &what, body * if long { 20 } else { 2 });
        let count = run.fence.map_or_else(|| children(draw, work, level, &what), |_| 0);
        let gap = Duration::from_micros(length.min(LONGEST) / (count + 1));
        let spawn = |index: u64| {
            let tail = draw.chance("task-tail", &[who, index], work.tails);
            let mode = if tail { Spawn::Tail } else { Spawn::Nested };
            let child = mix(who ^ mix(index + 1) ^ what[1].wrapping_mul(0x9e37));
            let alone = draw.chance("task-exclusive", &[child], work.exclusive);
            (gap, descriptor(job, level + 1, child, alone.then_some(LEASE)), mode)
        };
        let joins = draw.chance("task-joins", &what, work.joins);
        Self {
            spawns: (0..count).map(spawn).collect(),
            rest: gap,
            joins: joins.then_some(gap / 4),
            outcome: if draw.chance("task-fails", &what, 30) {
                Outcome::failed("failed", "as scripted")
            } else {
                // Two holders would not say the same.
                let held = run.fence.map(|fence| [fence.epoch.0, fence.attempt]);
                let value = [who].into_iter().chain(held.into_iter().flatten());
                let value = value.flat_map(u64::to_be_bytes).collect();
                Outcome::Ok(Output { value, files: vec![] })
            },
        }
    }
}

fn children(draw: Draw, work: &Workload, level: u64, what: &[u64]) -> u64 {
    match work.shape {
        Shape::Flat if level == 0 => work.width,
        Shape::Chain if level < work.width => 1,
        Shape::Tree if level == 0 => work.width,
        Shape::Tree if level <= work.depth => draw.below("task-children", what, 4),
        _ => 0,
    }
}

/// A body of the driver is to start.
pub(super) struct Start {
    pub(super) job: JobId,
    pub(super) key: Key,
    pub(super) descriptor: Arc<Descriptor>,
    pub(super) fence: Option<Fence>,
    pub(super) root: bool,
}

/// Which execution of its task.
#[derive(Clone, Copy)]
struct Run {
    number: u64,
    fence: Option<Fence>,
}

impl World<'_> {
    pub(super) fn start_body(&mut self, host: usize, start: Start) {
        let Start { job, key, descriptor, fence, root } = start;
        let parts = identity(&descriptor);
        let number = usize::try_from(parts[0]).unwrap_or(usize::MAX);
        let Some(work) = self.plan.jobs.get(number).map(|job| job.work) else { return };
        let life = self.hosts[host].life;
        let truth = &mut self.truth.job(job, number).truth;
        if root {
            truth.root = Some(key);
        }
        let all = truth.executions.entry(key).or_default();
        let run = all.len();
        all.push(Execution { life, children: vec![], finished: false });
        truth.running.insert((life, key), run);
        if run > 0 {
            self.reach(Mark::RunTwice);
        }
        self.report.executions += 1;
        if let Some(fence) = fence {
            self.holds(host, (job, key), fence);
        }
        let script = Script::of(self.draw, &work, parts, Run { number: run as u64, fence });
        let first = script.spawns.first().map_or(script.rest, |(gap, ..)| *gap);
        let (phase, children) = (Phase::Works, BTreeMap::new());
        let body = Body { script, run, root, phase, next: 0, children };
        self.hosts[host].bodies.insert((job, key), body);
        self.body_after(host, (job, key), first);
        self.check_slots(host);
    }

    /// A body of an exclusive task starts. Whoever stands still, or did a moment ago, does nothing outside.
    fn holds(&mut self, host: usize, (job, key): (JobId, Key), fence: Fence) {
        self.reach(Mark::Exclusive);
        let now = self.now;
        let stands = |other: usize| {
            self.hosts[other].frozen.is_some()
                || self.truth.stalled.get(&other).is_some_and(|until| *until >= now)
        };
        let others: Vec<_> = (0..self.hosts.len())
            .filter(|other| *other != host && !stands(*other))
            .filter(|other| self.hosts[*other].bodies.contains_key(&(job, key)))
            .map(|other| self.hosts[other].life)
            .collect();
        let life = self.hosts[host].life;
        let sole = self.truth.jobs.entry(job).or_default().exclusive.entry(key).or_default();
        let alone = one_holder::at_start(sole, life, fence, &others);
        self.claim("one_holder", alone);
    }

    /// A result is reported to the parent.
    pub(super) fn on_finished(&mut self, host: usize, (job, key): (JobId, Key), outcome: &Outcome) {
        let life = self.hosts[host].life;
        let Some(job) = self.truth.jobs.get_mut(&job) else { return };
        if let Some(sole) = job.exclusive.get_mut(&key) {
            let one = one_holder::at_result(sole, life, outcome.digest());
            self.claim("one_holder", one);
        }
    }

    /// The body's next step comes after this long.
    fn body_after(&mut self, host: usize, task: (JobId, Key), wait: Duration) {
        let Some(body) = self.hosts[host].bodies.get(&task) else { return };
        let (born, run) = (self.hosts[host].born, body.run);
        let at = self.now + wait + Duration::from_micros(3);
        self.queue.push(at, What::Works { host, born, task, run });
    }

    pub(super) fn body_works(&mut self, host: usize, (job, key): (JobId, Key), run: usize) {
        let Some(body) = self.hosts[host].bodies.get_mut(&(job, key)) else { return };
        if body.run != run {
            return;
        }
        let open = body.children.values().any(|done| !done);
        match body.phase {
            Phase::Works => match body.script.spawns.get(body.next).cloned() {
                Some((_, descriptor, mode)) => {
                    body.phase = Phase::Spawns;
                    let index = body.next as u64;
                    self.give(host, Input::Spawn { job, owner: key, index, descriptor, mode });
                }
                None if open && body.script.joins.is_some() => {
                    body.phase = Phase::Waits;
                    if !body.root {
                        self.give(host, Input::Waits { job, key });
                    }
                }
                None => self.body_ends(host, (job, key)),
            },
            Phase::Waits if !open && body.root => self.body_ends(host, (job, key)),
            Phase::Waits if !open => {
                body.phase = Phase::Regains;
                self.give(host, Input::Runs { job, key });
            }
            Phase::Last => self.body_ends(host, (job, key)),
            Phase::Waits | Phase::Spawns | Phase::Regains => {}
        }
    }

    pub(super) fn body_spawned(&mut self, host: usize, (job, owner): (JobId, Key), child: Key) {
        let Some(body) = self.hosts[host].bodies.get_mut(&(job, owner)) else { return };
        if body.phase != Phase::Spawns {
            return;
        }
        if body.script.spawns.get(body.next).is_some_and(|(.., mode)| *mode == Spawn::Nested) {
            body.children.entry(child).or_insert(false);
        }
        let run = body.run;
        body.next += 1;
        body.phase = Phase::Works;
        let next = body.script.spawns.get(body.next);
        let wait = next.map_or(body.script.rest, |(gap, ..)| *gap);
        let all =
            self.truth.jobs.get_mut(&job).and_then(|job| job.truth.executions.get_mut(&owner));
        if let Some(execution) = all.and_then(|all| all.get_mut(run)) {
            execution.children.push(child);
        }
        self.body_after(host, (job, owner), wait);
    }

    pub(super) fn body_child_done(&mut self, host: usize, (job, owner): (JobId, Key), child: Key) {
        let Some(body) = self.hosts[host].bodies.get_mut(&(job, owner)) else { return };
        body.children.insert(child, true);
        if body.phase == Phase::Waits {
            self.body_after(host, (job, owner), Duration::ZERO);
        }
    }

    pub(super) fn body_resumes(&mut self, host: usize, task: (JobId, Key)) {
        let Some(body) = self.hosts[host].bodies.get_mut(&task) else { return };
        if body.phase == Phase::Regains {
            body.phase = Phase::Last;
            let wait = body.script.joins.unwrap_or_default();
            self.reach(Mark::Waited);
            self.body_after(host, task, wait);
            self.check_slots(host);
        }
    }

    /// The node stopped it; nothing it does is heard any more.
    pub(super) fn body_stops(&mut self, host: usize, (job, key): (JobId, Key)) {
        if self.hosts[host].bodies.remove(&(job, key)).is_some() {
            self.reach(Mark::Aborted);
        }
        let life = self.hosts[host].life;
        if let Some(job) = self.truth.jobs.get_mut(&job) {
            job.truth.running.remove(&(life, key));
        }
    }

    fn body_ends(&mut self, host: usize, (job, key): (JobId, Key)) {
        let Some(body) = self.hosts[host].bodies.remove(&(job, key)) else { return };
        let life = self.hosts[host].life;
        let now = self.now;
        if let Some(job) = self.truth.jobs.get_mut(&job) {
            job.truth.running.remove(&(life, key));
            job.truth.last_end = now;
            let all = job.truth.executions.get_mut(&key);
            if let Some(execution) = all.and_then(|all| all.get_mut(body.run)) {
                execution.finished = true;
            }
        }
        self.give(host, Input::Finished { job, key, outcome: body.script.outcome });
    }
}
