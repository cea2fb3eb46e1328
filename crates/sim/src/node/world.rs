//! The world: one queue of events, whole nodes, links, disks, bodies.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use formic_core::{
    Blame as _, Digest, Fault as Whose, Incarnation, JobId, Key, Life, PeerId, Protocol as _, Time,
    mix, transport::CloseReason,
};
use formic_identity::SecretKey;
use formic_node::{Effect, Error, Input, Message};

use super::{
    Report, glue,
    goal::Goal,
    host::{Host, State},
    links::{Dial, Links},
    plan::{Plan, When},
    sky::Sky,
    truth::WorldTruth,
};
use crate::{
    Draw, Violation,
    engine::{Detail, Queue, Trace, Watch},
    marks::{Mark, Marks},
    oracles::{blame_is_just, bounded},
};

/// What happens next.
pub(super) enum What {
    Start {
        peer: usize,
    },
    Submit {
        job: usize,
        peer: usize,
        round: u32,
    },
    Strike {
        number: usize,
    },
    /// A fault that has a span is over.
    Over {
        number: usize,
    },
    /// A flapping link changes.
    Flips {
        number: usize,
        cut: bool,
    },
    Burn {
        host: usize,
        born: u64,
        number: usize,
    },
    Thaw {
        host: usize,
        since: Time,
    },
    Calm,
    Look,
    Detect {
        promise: Duration,
        host: usize,
        born: u64,
        dead: Life,
        /// Members of its view that were dead already.
        ghosts: BTreeSet<PeerId>,
    },
    Wake {
        host: usize,
        born: u64,
    },
    Durable {
        host: usize,
        born: u64,
    },
    Works {
        host: usize,
        born: u64,
        task: (JobId, Key),
        run: usize,
    },
    Dialled(Box<Dial>),
    Up {
        link: usize,
        side: usize,
    },
    Down {
        link: usize,
        side: usize,
        reason: CloseReason,
    },
    Idle {
        link: usize,
        side: usize,
        since: Time,
    },
    Arrive {
        link: usize,
        side: usize,
        message: Message,
    },
}

pub(super) struct World<'a> {
    pub(super) plan: &'a Plan,
    pub(super) draw: Draw,
    pub(super) now: Time,
    pub(super) queue: Queue<What>,
    pub(super) hosts: Vec<Host>,
    /// Whose identity it is, or was.
    pub(super) of_peer: BTreeMap<PeerId, usize>,
    pub(super) links: Links,
    pub(super) sky: Sky,
    pub(super) dials: u64,
    pub(super) truth: WorldTruth,
    pub(super) goal: Goal,
    pub(super) report: Report,
    pub(super) marks: Marks,
    trace: Trace,
    /// The first claim that did not hold: the run ends with it.
    broken: Option<Violation>,
    print: u64,
}

impl<'a> World<'a> {
    pub(super) fn new(plan: &'a Plan, watch: Watch) -> Self {
        let draw = Draw::new(plan.seed);
        let count = plan.peers.len();
        let nobody = Life::new(PeerId::from_bytes([0; 32]), Incarnation(0));
        let mut world = Self {
            plan,
            draw,
            now: Time::ZERO,
            queue: Queue::new(),
            hosts: plan.peers.iter().map(|peer| Host::new(*peer, nobody)).collect(),
            of_peer: BTreeMap::new(),
            links: Links::new(count),
            sky: Sky::new(count),
            dials: 0,
            truth: WorldTruth::new(plan.jobs.len()),
            goal: Goal::default(),
            report: Report { seeds: 1, ..Report::default() },
            marks: Marks::default(),
            trace: Trace::new(watch),
            broken: None,
            print: plan.seed,
        };
        for (peer, planned) in plan.peers.iter().enumerate() {
            planned.start.into_iter().for_each(|at| world.queue.push(at, What::Start { peer }));
        }
        for (job, planned) in plan.jobs.iter().enumerate() {
            let submit = What::Submit { job, peer: planned.peer, round: 0 };
            world.queue.push(planned.at, submit);
        }
        for (number, strike) in plan.faults.iter().enumerate() {
            if let When::At(at) = strike.when {
                world.queue.push(at, What::Strike { number });
            }
        }
        world.queue.push(plan.calm, What::Calm);
        world
    }

    pub(super) fn run(mut self) -> Result<(Report, Digest), Violation> {
        while let Some((at, what)) = self.queue.pop() {
            if self.trace.is_over(at) {
                break;
            }
            self.now = at;
            self.report.steps += 1;
            self.step(what);
            let steps = self.report.steps;
            if steps.is_multiple_of(4_096) {
                let count =
                    bounded::at_count("events on their way", self.queue.len(), bounded::EVENTS_MAX);
                self.claim("bounded", count);
                if steps > bounded::STEPS_MAX {
                    self.claim("bounded", Err(format!("{steps} events and no end")));
                }
            }
            if let Some(violation) = self.broken.take() {
                return Err(violation);
            }
            if self.goal.is_over() {
                break;
            }
        }
        self.report.virtual_time = self.now.since(Time::ZERO);
        self.report.marks.add_run(&self.marks);
        self.report.trace = self.trace.lines();
        Ok((self.report, Digest::of(&[&self.print.to_be_bytes()])))
    }

    fn step(&mut self, what: What) {
        match what {
            What::Start { peer } => self.start(peer),
            What::Submit { job, peer, round } => self.submit((job, round), peer),
            What::Strike { number } => self.strike(number),
            What::Over { number } => self.weather(number, false),
            What::Flips { number, cut } => self.flip(number, cut),
            What::Burn { host, born, number } if self.hosts[host].is(born) => self.burn(number),
            What::Thaw { host, since } => self.thaw(host, since),
            What::Calm => self.calm(),
            What::Look => self.look(),
            What::Detect { host, born, dead, promise, ghosts } => {
                self.detect((host, born), (dead, ghosts), promise);
            }
            What::Wake { host, born } if self.hosts[host].is(born) => self.wake(host),
            What::Durable { host, born } if self.hosts[host].is(born) => self.durable(host),
            What::Works { host, born, task, run } if self.hosts[host].is(born) => {
                match self.hosts[host].frozen {
                    Some(_) => self.queue.push(
                        self.now + Duration::from_millis(5),
                        What::Works { host, born, task, run },
                    ),
                    None => self.body_works(host, task, run),
                }
            }
            What::Burn { .. } | What::Wake { .. } | What::Durable { .. } | What::Works { .. } => {}
            What::Dialled(dial) => self.dialled(*dial),
            What::Up { link, side } => self.link_up(link, side),
            What::Down { link, side, reason } => self.link_down((link, side), reason),
            What::Idle { link, side, since } => self.idle((link, side), since),
            What::Arrive { link, side, message } => self.arrive(link, side, message),
        }
    }

    /// A claim; the first that does not hold ends the run.
    pub(super) fn claim(&mut self, oracle: &'static str, result: Result<(), String>) {
        if let (Err(what), None) = (result, &self.broken) {
            let (seed, at, trace) = (self.plan.seed, self.now, self.trace.lines());
            self.broken = Some(Violation { seed, oracle, at, what, trace });
        }
    }

    pub(super) fn note(
        &mut self,
        detail: Detail,
        host: Option<usize>,
        line: impl FnOnce() -> String,
    ) {
        self.trace.note(self.now, (detail, host), line);
    }

    /// A rare situation; what waits for it strikes.
    pub(super) fn reach(&mut self, mark: Mark) {
        if !self.marks.reach(mark) || self.now >= self.plan.calm {
            return;
        }
        self.note(Detail::Brief, None, || format!("mark {}", mark.name()));
        for (number, strike) in self.plan.faults.iter().enumerate() {
            if let When::Mark(waited, after) = strike.when
                && waited == mark
                && self.now + after + strike.fault.span() < self.plan.calm
            {
                self.queue.push(self.now + after, What::Strike { number });
            }
        }
    }

    pub(super) fn secret(&self, host: usize) -> SecretKey {
        let identity = self.hosts[host].identity;
        let part = |index: u64| self.draw.bits("secret", &[host as u64, identity, index]);
        let mut bytes = [0; 32];
        for (index, chunk) in (0..).zip(bytes.chunks_exact_mut(8)) {
            chunk.copy_from_slice(&part(index).to_be_bytes());
        }
        SecretKey::from_seed(bytes)
    }

    /// Something happened outside a node: fed now, or when its process can take it.
    pub(super) fn give(&mut self, host: usize, input: Input) {
        if !self.hosts[host].is_running() {
            return;
        }
        if self.hosts[host].is_busy() {
            let inbox = &mut self.hosts[host].inbox;
            inbox.push_back(input);
            let count = bounded::at_count("inputs wait", inbox.len(), bounded::INBOX_MAX);
            self.claim("bounded", count);
            return;
        }
        let mut effects = Vec::new();
        self.feed(host, input, &mut effects);
        self.turn(host, effects);
    }

    /// One input into one node.
    pub(super) fn feed(&mut self, host: usize, input: Input, effects: &mut Vec<Effect>) {
        self.note(Detail::Full, Some(host), || format!("p{host} <- {}", brief(&input)));
        let Host { node, clock, .. } = &mut self.hosts[host];
        let Some(node) = node else { return };
        let before = effects.len();
        let refused_spawn = match &input {
            Input::Spawn { job, owner, .. } => Some((*job, *owner)),
            _ => None,
        };
        self.report.inputs += 1;
        let result = node.handle(clock.local(self.now), input, effects);
        let made = effects.len() - before;
        self.print = mix(self.print ^ mix(self.now.as_us() ^ (host as u64) << 40) ^ made as u64);
        if self.print.is_multiple_of(64) {
            node.check();
        }
        let count = bounded::at_count("effects of one input", made, bounded::EFFECTS_MAX);
        self.claim("bounded", count);
        let Err(error) = result else { return };
        self.note(Detail::Full, Some(host), || format!("p{host} refuses: {error}"));
        if let Some(task) = refused_spawn {
            // Its task was dropped meanwhile.
            self.body_stops(host, task);
        }
        self.refused(host, &error);
    }

    /// The world does what a driver does: what is refused as the caller's fault may only be a race.
    fn refused(&mut self, host: usize, error: &Error) {
        match error.fault() {
            Whose::Peer(peer) => {
                let accused =
                    self.of_peer.get(&peer).map_or_else(String::new, |it| format!("p{it}"));
                let what = format!("p{host} refuses: {error}");
                self.claim("blame_is_just", blame_is_just::at_blame(&accused, &what));
            }
            Whose::Caller | Whose::Environment => self.report.refused += 1,
        }
    }

    /// All effects of a turn: records first, then, once they are durable, everything else.
    pub(super) fn turn(&mut self, host: usize, effects: Vec<Effect>) {
        if effects.iter().any(|effect| glue::record_of(effect).is_some()) {
            let Host { born, commits, .. } = &mut self.hosts[host];
            *commits += 1;
            let (born, what) = (*born, [host as u64, *born, *commits]);
            let slow = self.draw.chance("disk-slow", &what, 50);
            let wait = 50 + self.draw.below("disk", &what, if slow { 20_000 } else { 1_500 });
            self.hosts[host].pending = Some(effects);
            let at = self.now + Duration::from_micros(wait);
            self.queue.push(at, What::Durable { host, born });
            return;
        }
        self.apply_all(host, effects);
        self.schedule_wake(host);
    }

    fn durable(&mut self, host: usize) {
        let Some(effects) = self.hosts[host].pending.take() else { return };
        let records = effects.iter().filter_map(glue::record_of).cloned().collect();
        self.keep(host, records);
        self.apply_all(host, effects);
        self.drain(host);
    }

    /// What waited is fed, all of it in one turn.
    pub(super) fn drain(&mut self, host: usize) {
        if self.hosts[host].is_busy() || !self.hosts[host].is_running() {
            return;
        }
        let inputs = core::mem::take(&mut self.hosts[host].inbox);
        let mut effects = Vec::new();
        for input in inputs {
            self.feed(host, input, &mut effects);
        }
        self.turn(host, effects);
    }

    fn apply_all(&mut self, host: usize, effects: Vec<Effect>) {
        let born = self.hosts[host].born;
        if glue::withholds(&effects) {
            self.reach(Mark::Withheld);
        }
        for effect in effects {
            match self.hosts[host].fuse {
                Some((0, number)) => {
                    self.reach(Mark::HalfTurn);
                    self.burn(number);
                    return;
                }
                Some((left, number)) => self.hosts[host].fuse = Some((left - 1, number)),
                None => {}
            }
            self.apply(host, effect);
            if !self.hosts[host].is(born) {
                return;
            }
        }
    }

    pub(super) fn schedule_wake(&mut self, host: usize) {
        let Host { node, clock, wake, born, state, .. } = &mut self.hosts[host];
        let deadline = node.as_ref().and_then(|node| node.deadline());
        let (Some(deadline), State::Running) = (deadline, *state) else { return };
        let at = clock.world(deadline).max(self.now + Duration::from_micros(1));
        if wake.is_none_or(|wake| wake > at) {
            *wake = Some(at);
            self.queue.push(at, What::Wake { host, born: *born });
        }
    }

    fn wake(&mut self, host: usize) {
        let now = self.now;
        let Host { node, clock, wake, .. } = &mut self.hosts[host];
        // An earlier wake took the place of this one.
        if *wake != Some(now) {
            return;
        }
        *wake = None;
        let due = node.as_ref().and_then(|node| node.deadline()).map(|at| clock.world(at));
        match due {
            // Whatever keeps it busy wakes it again.
            _ if self.hosts[host].is_busy() => {}
            Some(at) if at <= now => {
                self.report.wakes += 1;
                self.give(host, Input::Deadline);
            }
            _ => self.schedule_wake(host),
        }
    }
}

fn brief(input: &Input) -> String {
    format!("{input:?}").chars().take(300).collect()
}
