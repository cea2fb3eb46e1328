//! Plays a schedule in virtual time and writes down what really happened.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use formic_completion::Error;
use formic_core::{Key, Time};

use super::{Act, Detector, Fault, Happened, Schedule, shipped::life};
use crate::{Execution, Truth, oracles::never_early};

/// Nothing of a small schedule takes longer; a detector that has not announced by then never will.
const HORIZON: Time = Time::from_us(60_000_000);
/// Nor does a detector that has not announced so long after the last body began or ended, the last work
/// was delivered, and the last fault struck: twice the longest patience of ours.
const QUIET: Duration = Duration::from_secs(20);

/// One thing that happened, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When, counted from the start of the root's body.
    pub at: Duration,
    /// Where.
    pub peer: usize,
    /// What.
    pub text: String,
}

/// One run of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body {
    /// Of this task.
    pub task: usize,
    /// Where.
    pub peer: usize,
    /// From when, counted from the start of the root's body.
    pub from: Duration,
    /// To when; `None` if it never ended.
    pub to: Option<Duration>,
}

/// "All is done", and whether it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// When, counted from the start of the root's body.
    pub at: Duration,
    /// What `oracles::never_early` says: `None` if all was done, else what was not.
    pub early: Option<String>,
    /// Tasks whose bodies ran at that moment.
    pub running: Vec<usize>,
    /// Messages other than work that were sent before it.
    pub control: u64,
}

/// What one run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The first announcement.
    pub announced: Option<Announcement>,
    /// All bodies, in order of their starts.
    pub bodies: Vec<Body>,
    /// All that people may want to see.
    pub lines: Vec<Line>,
    /// Work messages sent.
    pub work: u64,
    /// Other messages sent.
    pub control: u64,
    /// Work is spawned or on its way whose body nobody has begun, or a body runs, at the end.
    pub busy_at_end: bool,
}

#[derive(Clone, Debug)]
enum What<M> {
    Start { peer: usize },
    Deliver { from: usize, to: usize, message: M },
    Wake { peer: usize },
    Spawn { body: usize, index: usize },
    End { body: usize },
    Crash { peer: usize, noticed: Duration },
    Back { peer: usize },
    Down { observer: usize, peer: usize },
    Up { observer: usize, peer: usize },
}

struct World<'a, D: Detector> {
    schedule: &'a Schedule,
    fault: Option<Fault>,
    detector: D,
    now: Time,
    queue: BTreeMap<(Time, u64), What<D::Message>>,
    sequence: u64,
    dead: BTreeSet<usize>,
    /// Work on its way, per task.
    flying: BTreeMap<usize, usize>,
    /// When the root's body began.
    origin: Option<Time>,
    /// When something happened last that a detector did not do itself.
    stirred: Time,
    truth: Truth,
    run: Run,
}

/// Plays `schedule`, with at most one fault, for the peers of one detector.
///
/// # Errors
/// A peer refused something. Honest peers refuse nothing that honest peers do.
pub fn play<D: Detector>(
    schedule: &Schedule,
    fault: Option<Fault>,
    detector: D,
) -> Result<Run, Error> {
    let mut world = World {
        schedule,
        fault,
        detector,
        now: Time::ZERO,
        queue: BTreeMap::new(),
        sequence: 0,
        dead: BTreeSet::new(),
        flying: BTreeMap::new(),
        origin: None,
        stirred: Time::ZERO,
        truth: Truth::default(),
        run: Run::default(),
    };
    for peer in (0..schedule.peers).rev() {
        world.after(Duration::ZERO, What::Start { peer });
    }
    while let Some(((at, _), what)) = world.queue.pop_first() {
        if at > HORIZON || at.since(world.stirred) > QUIET {
            break;
        }
        world.now = at;
        world.step(what)?;
    }
    world.run.busy_at_end = !world.truth.running.is_empty() || !world.flying.is_empty();
    Ok(world.run)
}

/// The oracle knows tasks by key; here a task has one number wherever it runs.
fn key(task: usize) -> Key {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&(task as u64).to_be_bytes());
    Key::from_bytes(bytes)
}

impl<D: Detector> World<'_, D> {
    fn after(&mut self, delay: Duration, what: What<D::Message>) {
        self.sequence += 1;
        self.queue.insert((self.now + delay, self.sequence), what);
    }

    fn since_origin(&self) -> Duration {
        self.origin.map_or(Duration::ZERO, |origin| self.now.since(origin))
    }

    fn line(&mut self, peer: usize, text: String) {
        let at = self.since_origin();
        self.run.lines.push(Line { at, peer, text });
    }

    fn step(&mut self, what: What<D::Message>) -> Result<(), Error> {
        match what {
            What::Start { peer } => self.tell(peer, Happened::Start),
            What::Deliver { from, to, message } => self.deliver(from, to, message),
            What::Wake { peer }
                if self.detector.deadline(peer).is_some_and(|at| at <= self.now) =>
            {
                self.tell(peer, Happened::Deadline)
            }
            What::Wake { .. } => Ok(()),
            What::Spawn { body, index } => self.spawn(body, index),
            What::End { body } => self.end(body),
            What::Crash { peer, noticed } => {
                self.crash(peer, noticed);
                Ok(())
            }
            What::Back { peer } => self.restart(peer),
            What::Down { observer, peer } => {
                self.stirred = self.now;
                self.tell(observer, Happened::Down { peer })
            }
            What::Up { observer, peer } => {
                self.stirred = self.now;
                self.tell(observer, Happened::Up { peer })
            }
        }
    }

    /// Feeds a peer and does what it wants done.
    fn tell(&mut self, peer: usize, what: Happened<D::Message>) -> Result<(), Error> {
        if self.dead.contains(&peer) {
            return Ok(());
        }
        let mut out = Vec::new();
        self.detector.on(self.now, peer, what, &mut out)?;
        for act in out {
            match act {
                Act::Send { to, message } => self.send(peer, to, message),
                Act::Execute { task } => self.execute(peer, task),
                Act::Abort { task } => {
                    self.truth.running.remove(&(life(peer), key(task)));
                }
                Act::Say { text } => self.line(peer, text.to_owned()),
                Act::Announce => self.announce(peer),
            }
        }
        if let Some(at) = self.detector.deadline(peer) {
            // A microsecond at least: time passes even where a peer is in a hurry.
            let delay = at.since(self.now).max(Duration::from_micros(1));
            self.after(delay, What::Wake { peer });
        }
        Ok(())
    }

    fn send(&mut self, from: usize, to: usize, message: D::Message) {
        let delay = self.schedule.delay(from, to);
        let work = self.detector.work(&message);
        if work.is_some() {
            self.run.work += 1;
        } else {
            self.run.control += 1;
            if self.fault == Some(Fault::Lost { number: self.run.control - 1 }) {
                self.stirred = self.now;
                return;
            }
        }
        if let Some(task) = work {
            *self.flying.entry(task).or_default() += 1;
            if let Some(Fault::Doubled { task: doubled, later }) = self.fault
                && doubled == task
            {
                self.fault = None;
                *self.flying.entry(task).or_default() += 1;
                let message = message.clone();
                self.after(delay + later, What::Deliver { from, to, message });
            }
        }
        self.after(delay, What::Deliver { from, to, message });
    }

    fn deliver(&mut self, from: usize, to: usize, message: D::Message) -> Result<(), Error> {
        if let Some(task) = self.detector.work(&message)
            && let Some(count) = self.flying.get_mut(&task)
        {
            self.stirred = self.now;
            *count -= 1;
            self.flying.retain(|_, count| *count > 0);
        }
        if self.dead.contains(&to) {
            return Ok(());
        }
        if let Some(words) = self.detector.words(&message) {
            self.line(to, format!("hears from {from}: {words}"));
        }
        self.tell(to, Happened::Message { from, message })
    }

    fn execute(&mut self, peer: usize, task: usize) {
        if self.origin.is_none() {
            self.origin = Some(self.now);
            self.truth.root = Some(key(task));
            self.plan_fault();
        }
        self.stirred = self.now;
        self.line(peer, format!("starts {}", self.schedule.name(task)));
        let body = self.run.bodies.len();
        let from = self.since_origin();
        self.run.bodies.push(Body { task, peer, from, to: None });
        let all = self.truth.executions.entry(key(task)).or_default();
        all.push(Execution { life: life(peer), children: vec![], finished: false });
        self.truth.running.insert((life(peer), key(task)), body);
        let Some(script) = self.schedule.tasks.get(task) else { return };
        for (index, (at, _)) in script.spawns.iter().enumerate() {
            self.after(*at, What::Spawn { body, index });
        }
        self.after(script.length, What::End { body });
    }

    /// What counts from the start of the root's body.
    fn plan_fault(&mut self) {
        match self.fault {
            Some(Fault::Crash { peer, at, noticed }) => {
                self.after(at, What::Crash { peer, noticed });
            }
            Some(Fault::Restart { peer, at, noticed, back }) => {
                self.after(at, What::Crash { peer, noticed });
                self.after(at + back.max(noticed), What::Back { peer });
            }
            Some(Fault::Suspicion { peer, at, span }) => {
                for observer in (0..self.schedule.peers).filter(|observer| *observer != peer) {
                    self.after(at, What::Down { observer, peer });
                    self.after(at + span, What::Up { observer, peer });
                }
            }
            Some(Fault::Doubled { .. } | Fault::Lost { .. }) | None => {}
        }
    }

    /// The task and peer of a body that still runs.
    fn running(&self, body: usize) -> Option<(usize, usize)> {
        let Body { task, peer, to, .. } = *self.run.bodies.get(body)?;
        let runs = to.is_none() && self.truth.running.contains_key(&(life(peer), key(task)));
        runs.then_some((task, peer))
    }

    /// What the truth knows of a body.
    fn execution(&mut self, body: usize) -> Option<&mut Execution> {
        let task = self.run.bodies.get(body)?.task;
        let earlier = self.run.bodies.iter().take(body).filter(|other| other.task == task).count();
        self.truth.executions.get_mut(&key(task))?.get_mut(earlier)
    }

    fn spawn(&mut self, body: usize, index: usize) -> Result<(), Error> {
        let Some((parent, peer)) = self.running(body) else { return Ok(()) };
        let spawns = self.schedule.tasks.get(parent).map_or(&[][..], |task| &task.spawns);
        let Some((_, child)) = spawns.get(index).copied() else { return Ok(()) };
        let words = format!(
            "runs {}, which spawns {}",
            self.schedule.name(parent),
            self.schedule.name(child)
        );
        self.line(peer, words);
        if let Some(execution) = self.execution(body) {
            execution.children.push(key(child));
        }
        self.tell(peer, Happened::Spawned { parent, index, child })
    }

    fn end(&mut self, body: usize) -> Result<(), Error> {
        let Some((task, peer)) = self.running(body) else { return Ok(()) };
        self.line(peer, format!("ends {}", self.schedule.name(task)));
        self.stirred = self.now;
        self.run.bodies[body].to = Some(self.since_origin());
        if let Some(execution) = self.execution(body) {
            execution.finished = true;
        }
        let others = |other: &Body| (other.task, other.peer, other.to) == (task, peer, None);
        if !self.run.bodies.iter().any(others) {
            self.truth.running.remove(&(life(peer), key(task)));
        }
        self.tell(peer, Happened::Ended { task })
    }

    fn crash(&mut self, peer: usize, noticed: Duration) {
        self.line(peer, "DIES".to_owned());
        self.dead.insert(peer);
        self.truth.running.retain(|(at, _), _| *at != life(peer));
        for observer in (0..self.schedule.peers).filter(|observer| *observer != peer) {
            self.after(noticed, What::Down { observer, peer });
        }
    }

    /// It is back, all hear of each other.
    fn restart(&mut self, peer: usize) -> Result<(), Error> {
        self.line(peer, "begins again".to_owned());
        self.dead.remove(&peer);
        self.stirred = self.now;
        self.tell(peer, Happened::Restarted)?;
        let others: Vec<usize> = (0..self.schedule.peers).filter(|other| *other != peer).collect();
        for other in &others {
            self.tell(peer, Happened::Up { peer: *other })?;
        }
        for observer in others {
            self.after(self.schedule.delay(peer, observer), What::Up { observer, peer });
        }
        Ok(())
    }

    fn announce(&mut self, peer: usize) {
        let early = never_early::at_complete(&self.truth).err();
        let mine = |body: &&Body| {
            self.truth.running.contains_key(&(life(body.peer), key(body.task))) && body.to.is_none()
        };
        let running: Vec<usize> =
            self.run.bodies.iter().filter(mine).map(|body| body.task).collect();
        let words = match running.first() {
            Some(task) => format!("says ALL DONE while {} runs", self.schedule.name(*task)),
            None if early.is_some() => "says ALL DONE too early".to_owned(),
            None => "says ALL DONE, and it is".to_owned(),
        };
        self.line(peer, words);
        let at = self.since_origin();
        let control = self.run.control;
        self.run.announced.get_or_insert(Announcement { at, early, running, control });
    }
}
