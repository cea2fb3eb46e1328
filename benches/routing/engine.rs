//! Runs one rule in one world, in virtual time.

use core::{cmp::Reverse, time::Duration};
use std::collections::{BinaryHeap, VecDeque};

use formic_core::Time;
use formic_pheromones::{
    Backlog, Config, Finding, Kind, Ledger, Message, Probe, Running, Size, Word,
};

use crate::{
    figures::{Fate, Figures},
    rule::{Answer, Asked, Pick, Rule, Said, Tried},
    world::{Faults, KINDS, S, Stream, World, unit},
};

/// One way, in microseconds.
pub(crate) const DELAY: u64 = 1_000;
/// After this an asked peer is not waited for: max(4 RTT, 20 ms).
const PATIENCE: u64 = 20_000;
/// A crash lasts so long, is known so long after it, and its end so long after that.
const DOWN: u64 = 5 * S;
const DETECT: u64 = 500_000;
const REJOIN: u64 = 200_000;
/// A task is given up after so many bad results, or so many losses.
const TRIES: u32 = 4;
const LOSSES: u32 = 8;
/// How often loads and false trails are told.
const HINT: u64 = 200_000;

/// What is really so.
pub(crate) struct Truth {
    pub(crate) world: World,
    pub(crate) workers: Vec<Worker>,
}

pub(crate) struct Worker {
    pub(crate) up: bool,
    queue: VecDeque<usize>,
    running: Option<(usize, u64, u64)>,
    queued: [u64; KINDS],
    ledger: Ledger,
    /// True service of all that was sent here and is not over, in microseconds.
    pub(crate) assigned: f64,
    /// Raised by a crash, so that ends of bodies that died are not believed.
    life: u64,
}

impl Worker {
    pub(crate) fn in_flight(&self) -> u32 {
        self.queue.len() as u32 + u32::from(self.running.is_some())
    }
}

impl Truth {
    pub(crate) fn service(&self, peer: usize, kind: usize, size: f64) -> f64 {
        size / self.world.skills[peer].speed[kind]
    }

    /// True wait of a new task there.
    pub(crate) fn wait(&self, peer: usize, now: u64) -> f64 {
        let worker = &self.workers[peer];
        let Some((_, started, ends)) = worker.running else { return worker.assigned };
        (worker.assigned - (now - started) as f64).max(ends.saturating_sub(now) as f64)
    }
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    tried: Tried,
    sent: u64,
    service: f64,
    open: bool,
}

#[derive(Clone, Debug, Default)]
struct Task {
    tried: Vec<usize>,
    attempts: u16,
    bad: u32,
    losses: u32,
    open: Vec<usize>,
    fate: Option<(u64, Fate)>,
    rescued: bool,
    probing: u32,
    asked: Vec<usize>,
    answers: Vec<Answer>,
}

#[derive(Clone, Debug)]
enum What {
    Arrive(usize),
    ProbeAt { task: usize, round: u32, peer: usize, mean: u64, asked: u32 },
    Answered { task: usize, round: u32, answer: Answer },
    Patience { task: usize, round: u32 },
    AwardAt(usize),
    Ends { peer: usize, attempt: usize, life: u64 },
    ResultAt { attempt: usize, service: u64 },
    Cancel(usize),
    Crash(usize),
    Return(usize),
    KnownDown(usize),
    KnownUp(usize),
    Again(usize),
    Hint(usize),
    HintAt(Answer),
    Lie,
    Trails { to: usize, from: usize, message: Message },
    Wake(usize),
    Shift,
}

pub(crate) struct Engine<R> {
    truth: Truth,
    rule: R,
    now: u64,
    heap: BinaryHeap<Reverse<(u64, u64)>>,
    events: Vec<Option<What>>,
    free: Vec<usize>,
    seq: u64,
    tasks: Vec<Task>,
    attempts: Vec<Attempt>,
    up: Vec<usize>,
    wakes: Vec<Option<u64>>,
    tokens: Vec<f64>,
    figures: Figures,
    kinds: [Kind; KINDS],
}

impl<R: Rule> Engine<R> {
    pub(crate) fn new(world: World, rule: R) -> Self {
        let n = world.scenario.peers;
        let config = Config::default();
        let worker = |_| Worker {
            up: true,
            queue: VecDeque::new(),
            running: None,
            queued: [0; KINDS],
            ledger: Ledger::new(&config),
            assigned: 0.0,
            life: 0,
        };
        let (figures, tasks) = (Figures::new(&world), vec![Task::default(); world.tasks.len()]);
        Self {
            truth: Truth { workers: (0..n).map(worker).collect(), world },
            rule,
            now: 0,
            heap: BinaryHeap::new(),
            events: Vec::new(),
            free: Vec::new(),
            seq: 0,
            tasks,
            attempts: Vec::new(),
            up: (0..n).collect(),
            wakes: vec![None; n],
            tokens: vec![3.0; n],
            figures,
            kinds: kinds(),
        }
    }

    pub(crate) fn run(mut self) -> Figures {
        let scenario = self.truth.world.scenario;
        for peer in 0..scenario.peers {
            for at in self.truth.world.crashes[peer].clone() {
                self.at(at, What::Crash(peer));
            }
            let offset = HINT * peer as u64 / scenario.peers as u64;
            self.at(offset, What::Hint(peer));
        }
        if self.truth.world.liar.contains(&true) {
            self.at(HINT, What::Lie);
        }
        if scenario.faults == Faults::All {
            self.at(scenario.seconds * S / 2, What::Shift);
        }
        self.at(self.truth.world.tasks[0].at, What::Arrive(0));
        let end = scenario.seconds * S;
        while let Some(Reverse((at, key))) = self.heap.pop() {
            if at > end {
                break;
            }
            self.now = at;
            let slot = (key & 0xff_ffff) as usize;
            self.free.push(slot);
            if let Some(what) = self.events[slot].take() {
                self.on(what);
            }
            self.settle();
        }
        self.figures.probes += self.rule.own_probes();
        for (number, task) in self.tasks.iter().enumerate() {
            self.figures.task(&self.truth.world.tasks[number], task.fate, end);
        }
        self.figures
    }

    fn at(&mut self, at: u64, what: What) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        assert!(slot < 1 << 24, "events are bounded");
        self.events[slot] = Some(what);
        self.seq += 1;
        self.heap.push(Reverse((at.max(self.now), self.seq << 24 | slot as u64)));
    }

    fn on(&mut self, what: What) {
        let now = self.now;
        match what {
            What::Arrive(task) => {
                if let Some(next) = self.truth.world.tasks.get(task + 1) {
                    self.at(next.at, What::Arrive(task + 1));
                }
                self.place(task);
            }
            What::ProbeAt { task, round, peer, mean, asked } => {
                let kind = self.truth.world.tasks[task].kind;
                if self.truth.workers[peer].up {
                    let answer = self.answer(peer, Some((kind, mean, asked)));
                    self.at(now + DELAY, What::Answered { task, round, answer });
                }
            }
            What::Answered { task, round, answer } => self.on_answer(task, round, answer),
            What::Patience { task, round } => self.rank(task, round),
            What::AwardAt(attempt) => self.on_award(attempt),
            What::Ends { peer, attempt, life } => self.on_end(peer, attempt, life),
            What::ResultAt { attempt, service } => self.on_result(attempt, service),
            What::Cancel(attempt) => self.on_cancel(attempt),
            What::Crash(peer) => self.on_crash(peer),
            What::Return(peer) => {
                self.truth.workers[peer].up = true;
                self.at(now + REJOIN, What::KnownUp(peer));
            }
            What::KnownDown(peer) => self.on_known_down(peer),
            What::KnownUp(peer) => {
                self.up.push(peer);
                self.up.sort_unstable();
            }
            What::Again(task) => self.place(task),
            What::Hint(peer) => self.on_hint(peer),
            What::HintAt(answer) => self.rule.hint(now, answer),
            What::Lie => {
                self.rule.lie(now, &self.truth.world);
                self.at(now + HINT, What::Lie);
            }
            What::Trails { to, from, message } => self.rule.trails(now, to, from, message),
            What::Wake(dispatcher) => {
                self.wakes[dispatcher] = None;
                self.rule.wake(now, dispatcher);
                self.watch(dispatcher);
            }
            What::Shift => self.truth.world.shift(),
        }
    }

    /// What the rule said while it handled an event.
    fn settle(&mut self) {
        for said in self.rule.said() {
            match said {
                Said::Overdue(tried, word) => self.on_overdue(tried, word),
                Said::Trails { from, to, message } => {
                    self.figures.trails += 1;
                    self.at(self.now + DELAY, What::Trails { to, from, message });
                }
            }
        }
    }

    fn watch(&mut self, dispatcher: usize) {
        let Some(at) = self.rule.deadline(dispatcher) else { return };
        if self.wakes[dispatcher].is_none_or(|wake| at < wake) {
            self.wakes[dispatcher] = Some(at);
            self.at(at, What::Wake(dispatcher));
        }
    }

    fn asked<'a>(&'a mut self, task: usize, tried: &'a [usize]) -> (&'a mut R, Asked<'a>) {
        let offered = &self.truth.world.tasks[task];
        let asked = Asked {
            now: self.now,
            truth: &self.truth,
            dispatcher: offered.dispatcher,
            task,
            kind: offered.kind,
            age: self.now - offered.at,
            tried,
            up: &self.up,
        };
        (&mut self.rule, asked)
    }

    fn place(&mut self, task: usize) {
        if self.tasks[task].fate.is_some() {
            return;
        }
        let tried = self.tasks[task].tried.clone();
        let (rule, asked) = self.asked(task, &tried);
        let pick = rule.choose(&asked);
        self.obey(task, pick);
    }

    fn obey(&mut self, task: usize, pick: Pick) {
        let now = self.now;
        match pick {
            Pick::Send(peer) => self.send(task, peer),
            Pick::Probe(peers, mean) => {
                let entry = &mut self.tasks[task];
                entry.probing += 1;
                (entry.asked, entry.answers) = (peers.clone(), Vec::new());
                let round = entry.probing;
                let asked = peers.len() as u32;
                self.figures.probes += u64::from(asked) * 2;
                for peer in peers {
                    self.at(now + DELAY, What::ProbeAt { task, round, peer, mean, asked });
                }
                self.at(now + PATIENCE, What::Patience { task, round });
            }
            Pick::Nobody => self.at(now + 100_000, What::Again(task)),
            Pick::Refuse => self.tasks[task].fate = Some((now, Fate::Refused)),
        }
        self.watch(self.truth.world.tasks[task].dispatcher);
    }

    fn on_answer(&mut self, task: usize, round: u32, answer: Answer) {
        let entry = &mut self.tasks[task];
        if entry.probing != round || entry.asked.is_empty() {
            return;
        }
        entry.answers.push(answer);
        if entry.answers.len() == entry.asked.len() {
            self.rank(task, round);
        }
    }

    fn rank(&mut self, task: usize, round: u32) {
        let entry = &mut self.tasks[task];
        if entry.probing != round || entry.asked.is_empty() {
            return;
        }
        entry.asked.clear();
        if entry.fate.is_some() {
            return;
        }
        let (answers, tried) = (core::mem::take(&mut entry.answers), entry.tried.clone());
        let (rule, asked) = self.asked(task, &tried);
        let pick = rule.answered(&asked, &answers);
        self.obey(task, pick);
    }

    fn send(&mut self, task: usize, peer: usize) {
        let (now, offered) = (self.now, self.truth.world.tasks[task]);
        let entry = &mut self.tasks[task];
        entry.attempts += 1;
        let (number, kind, dispatcher) = (entry.attempts, offered.kind, offered.dispatcher);
        let tried = Tried { dispatcher, task, number, peer, kind };
        let service = self.truth.service(peer, kind, offered.size);
        let attempt = self.attempts.len();
        self.attempts.push(Attempt { tried, sent: now, service, open: true });
        self.tasks[task].open.push(attempt);
        self.truth.workers[peer].assigned += service;
        self.tokens[dispatcher] = (self.tokens[dispatcher] + 0.05).min(5.0);
        self.figures.attempt(&self.truth.world, now, peer);
        self.rule.sent(now, tried);
        self.watch(dispatcher);
        self.at(now + DELAY, What::AwardAt(attempt));
    }

    fn on_award(&mut self, attempt: usize) {
        let Tried { peer, kind, .. } = self.attempts[attempt].tried;
        let worker = &mut self.truth.workers[peer];
        if !worker.up || !self.attempts[attempt].open {
            return;
        }
        worker.queue.push_back(attempt);
        worker.queued[kind] += 1;
        self.start(peer);
    }

    fn start(&mut self, peer: usize) {
        let worker = &mut self.truth.workers[peer];
        if worker.running.is_some() {
            return;
        }
        let Some(attempt) = worker.queue.pop_front() else { return };
        let Tried { task, number, kind, .. } = self.attempts[attempt].tried;
        worker.queued[kind] -= 1;
        let (world, life) = (&self.truth.world, worker.life);
        let mut service = world.tasks[task].size / world.skills[peer].speed[kind];
        let draw = unit(world.seed, Stream::Straggler, task as u64, number.into());
        if world.scenario.faults == Faults::All && draw < 0.01 {
            service *= 10.0;
        }
        let ends = self.now + service as u64;
        worker.running = Some((attempt, self.now, ends));
        self.at(ends, What::Ends { peer, attempt, life });
    }

    fn on_end(&mut self, peer: usize, attempt: usize, life: u64) {
        let worker = &mut self.truth.workers[peer];
        let Some((running, started, _)) = worker.running else { return };
        if running != attempt || worker.life != life {
            return;
        }
        worker.running = None;
        worker.assigned = (worker.assigned - self.attempts[attempt].service).max(0.0);
        let service = self.now - started;
        let kind = self.kinds[self.attempts[attempt].tried.kind];
        let span = Duration::from_micros(service);
        worker.ledger.served(Time::from_us(self.now), kind, Size::MEAN, span);
        let told = if self.truth.world.is_false(peer) { 1_000 } else { service };
        self.at(self.now + DELAY, What::ResultAt { attempt, service: told });
        self.start(peer);
    }

    fn on_result(&mut self, attempt: usize, service: u64) {
        let now = self.now;
        let Attempt { tried, sent, open, .. } = self.attempts[attempt];
        if !open {
            return;
        }
        self.attempts[attempt].open = false;
        self.tasks[tried.task].open.retain(|other| *other != attempt);
        self.rule.finished(now, tried, service, now - sent);
        let world = &self.truth.world;
        let draw = |stream| unit(world.seed, stream, tried.task as u64, tried.number.into());
        let good = draw(Stream::Good) < world.skills[tried.peer].quality;
        let verified = draw(Stream::Verified) * 100.0 < f64::from(world.scenario.verified);
        if verified {
            let finding = if good { Finding::Good } else { Finding::Bad };
            self.rule.verified(now, tried, finding);
        }
        let task = &mut self.tasks[tried.task];
        let again = verified && !good && task.bad + 1 < TRIES;
        if again {
            task.bad += 1;
            task.tried.push(tried.peer);
            if task.open.is_empty() {
                self.place(tried.task);
            }
        } else {
            task.fate = Some((now, if good { Fate::Good } else { Fate::Bad }));
            for other in core::mem::take(&mut task.open) {
                self.cancel(other);
            }
        }
        self.watch(tried.dispatcher);
    }

    /// The dispatcher does not want it any more; the worker hears of it.
    fn cancel(&mut self, attempt: usize) {
        self.attempts[attempt].open = false;
        self.rule.cancelled(self.now, self.attempts[attempt].tried);
        self.at(self.now + DELAY, What::Cancel(attempt));
    }

    fn on_cancel(&mut self, attempt: usize) {
        let Tried { peer, kind, .. } = self.attempts[attempt].tried;
        let worker = &mut self.truth.workers[peer];
        let here = worker.queue.iter().position(|other| *other == attempt);
        if let Some(place) = here {
            worker.queue.remove(place);
            worker.queued[kind] -= 1;
        } else if worker.running.is_some_and(|running| running.0 == attempt) {
            worker.running = None;
        } else {
            return;
        }
        worker.assigned = (worker.assigned - self.attempts[attempt].service).max(0.0);
        self.start(peer);
    }

    fn on_crash(&mut self, peer: usize) {
        let worker = &mut self.truth.workers[peer];
        worker.up = false;
        worker.queue.clear();
        worker.queued = [0; KINDS];
        worker.running = None;
        worker.assigned = 0.0;
        worker.life += 1;
        worker.ledger = Ledger::new(&Config::default());
        self.at(self.now + DETECT, What::KnownDown(peer));
        self.at(self.now + DOWN, What::Return(peer));
    }

    /// What was sent there is lost, and placed again.
    fn on_known_down(&mut self, peer: usize) {
        self.up.retain(|other| *other != peer);
        self.rule.down(self.now, peer);
        let back = |attempt: &Attempt| attempt.open && attempt.tried.peer == peer;
        let lost: Vec<usize> = (0..self.tasks.len())
            .flat_map(|task| self.tasks[task].open.clone())
            .filter(|attempt| back(&self.attempts[*attempt]))
            .collect();
        for attempt in lost {
            self.attempts[attempt].open = false;
            let number = self.attempts[attempt].tried.task;
            let task = &mut self.tasks[number];
            task.open.retain(|other| *other != attempt);
            task.losses += 1;
            if task.losses >= LOSSES {
                task.fate = Some((self.now, Fate::Bad));
            } else if task.open.is_empty() {
                self.place(number);
            }
        }
    }

    /// work.md 7: once per task, on a budget; who breaks promises needs none.
    fn on_overdue(&mut self, tried: Tried, word: Word) {
        let task = &mut self.tasks[tried.task];
        if task.fate.is_some() || task.rescued || !self.rule.rescues() {
            return;
        }
        let tokens = &mut self.tokens[tried.dispatcher];
        let costs = if word == Word::Broken { 0.0 } else { 1.0 };
        if *tokens < costs {
            return;
        }
        *tokens -= costs;
        task.rescued = true;
        task.tried.push(tried.peer);
        self.place(tried.task);
    }

    /// What a peer says about its load; to a probe of this kind.
    fn answer(&mut self, peer: usize, probe: Option<(usize, u64, u32)>) -> Answer {
        let now = Time::from_us(self.now);
        let worker = &mut self.truth.workers[peer];
        if self.truth.world.is_false(peer) {
            return Answer { peer, tasks: 0, wait: 0, service: 1_000 };
        }
        let tasks = worker.in_flight();
        let queued: [(Kind, u64); KINDS] =
            core::array::from_fn(|kind| (self.kinds[kind], worker.queued[kind] << 16));
        let running: Vec<Running> = worker
            .running
            .iter()
            .map(|(attempt, started, _)| Running {
                kind: self.kinds[self.attempts[*attempt].tried.kind],
                size: Size::MEAN,
                elapsed: Duration::from_micros(self.now - started),
            })
            .collect();
        let backlog = Backlog { queued: &queued, running: &running, slots: 1 };
        let (wait, service) = match probe {
            None => (worker.ledger.queued(now, &backlog), Duration::ZERO),
            Some((kind, mean, asked)) => {
                let (kind, mean) = (self.kinds[kind], Duration::from_micros(mean));
                let holds = Duration::from_micros(4 * DELAY);
                let probe = Probe { kind, size: Size::MEAN, mean, asked, count: 1, holds };
                worker.ledger.promise(now, &probe, &backlog)
            }
        };
        let us = |span: Duration| span.as_micros() as u64;
        Answer { peer, tasks, wait: us(wait), service: us(service) }
    }

    /// mesh.md 5: every 200 ms up to 32 peers, every second above.
    fn on_hint(&mut self, peer: usize) {
        let peers = self.truth.world.scenario.peers;
        if self.truth.workers[peer].up {
            let answer = self.answer(peer, None);
            self.figures.hints += peers as u64 - 1;
            self.at(self.now + DELAY, What::HintAt(answer));
        }
        let gap = if peers <= 32 { HINT } else { S };
        self.at(self.now + gap, What::Hint(peer));
    }
}

pub(crate) fn kinds() -> [Kind; KINDS] {
    ["plan", "write", "test", "review"].map(Kind::of)
}
