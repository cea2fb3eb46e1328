//! Random schedules: loss, duplication, reordering, crashes between any two effects, restarts from
//! disk, growing and shrinking views, clocks that differ by less than two percent.

use std::collections::BTreeMap;

use formic_core::{Incarnation, Random};

use super::*;
use crate::claims::{Event, Fence, Message, Record, Stamp};

/// Peers that exist; views hold some of them.
const PEERS: usize = 6;
const LEASE: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Weather {
    Faults,
    Calm,
}

/// What becomes of a peer while it handles an input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lives,
    Crashes,
}

struct Host {
    machine: Claims<u32>,
    life: Life,
    /// Parts per million of real time.
    rate: u64,
    disk: Vec<Record<u32>>,
    /// The first view it was told, and how many it was told: kept on disk.
    first: usize,
    told: usize,
}

struct World {
    random: Random,
    seed: u64,
    real_us: u64,
    views: Vec<Arc<View>>,
    hosts: Vec<Host>,
    flying: Vec<(Life, Life, Message<u32>)>,
    granted: BTreeMap<Task, (Fence, Life)>,
    decided: BTreeMap<Task, u32>,
    said: BTreeMap<(usize, Task), Stamp>,
    values: u32,
    adopted: u64,
    moved: u64,
}

/// In every other schedule all tasks are of one job with one set of replicas.
fn machine(seed: u64, life: Life) -> Claims<u32> {
    let machine = Claims::new(life);
    if seed.is_multiple_of(2) { machine } else { machine.of_job(task(0).job) }
}

/// How many of so many members may be in a view.
const fn fitting(seed: u64, members: usize) -> usize {
    match (seed % 2, members) {
        (1, 4) => 3,
        (1, 6) => 5,
        (_, members) => members,
    }
}

fn index(life: Life) -> usize {
    usize::from(life.peer.as_bytes()[0]) - 1
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let host = |rank: usize, random: &mut Random| Host {
            machine: machine(seed, life(rank, 1)),
            life: life(rank, 1),
            rate: 990_500 + random.below(19_000),
            disk: vec![],
            first: 0,
            told: 0,
        };
        let hosts = (0..PEERS).map(|rank| host(rank, &mut random)).collect();
        let members = fitting(seed, 2 + usize::try_from(random.below(4)).unwrap());
        let lives: Vec<_> = (0..members).map(|rank| life(rank, 1)).collect();
        Self {
            random,
            seed,
            real_us: 1_000,
            views: vec![view(1, &lives)],
            hosts,
            flying: vec![],
            granted: BTreeMap::new(),
            decided: BTreeMap::new(),
            said: BTreeMap::new(),
            values: 0,
            adopted: 0,
            moved: 0,
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).unwrap()
    }

    fn local(&self, at: usize) -> Time {
        let us = u128::from(self.real_us) * u128::from(self.hosts[at].rate) / 1_000_000;
        Time::from_us(u64::try_from(us).unwrap())
    }

    fn feed(&mut self, at: usize, input: Input<u32>, fate: Fate) {
        let mut out = Vec::new();
        let now = self.local(at);
        let result = self.hosts[at].machine.handle(now, input, &mut out);
        // A member that is ahead is a stranger until its view arrives.
        if let Err(error) = result {
            assert!(matches!(error, crate::Error::Stranger { .. }), "{error}");
        }
        self.hosts[at].machine.check();
        let crash = fate == Fate::Crashes;
        let until = if crash { self.below(out.len() + 1) } else { usize::MAX };
        for effect in out.into_iter().take(until) {
            self.effect(at, effect);
        }
        if crash {
            self.restart(at);
        }
        self.one_holder();
    }

    fn effect(&mut self, at: usize, effect: Effect<u32>) {
        match effect {
            Effect::Persist(record) => self.hosts[at].disk.push(record),
            Effect::Send { to, message } => {
                self.durable(at, &message);
                self.flying.push((self.hosts[at].life, to, message));
            }
            Effect::Event(Event::Granted { task, fence, .. }) => {
                let life = self.hosts[at].life;
                let last = self.granted.insert(task, (fence, life));
                assert!(last.is_none_or(|(last, _)| last < fence), "I4: {fence:?} after {last:?}");
            }
            Effect::Event(Event::Adopted { task, value }) => {
                self.adopted += 1;
                self.decide(task, value);
            }
            Effect::Event(Event::Committed { task, value }) => self.decide(task, value),
            Effect::Event(_) => {}
        }
    }

    fn decide(&mut self, task: Task, value: u32) {
        let first = *self.decided.entry(task).or_insert(value);
        assert_eq!(first, value, "I3: two results");
    }

    /// I10 and I5.
    fn durable(&mut self, at: usize, message: &Message<u32>) {
        let disk = &self.hosts[at].disk;
        let state = |task: Task| {
            disk.iter().rev().find_map(|record| match record {
                Record::Register { task: other, state, .. } if *other == task => Some(&**state),
                _ => None,
            })
        };
        match message {
            Message::Promise { ask, .. } => {
                let promised = state(ask.task).and_then(|state| state.promised);
                assert!(promised >= Some(ask.stamp), "I10: an unwritten promise left");
                let last = self.said.insert((at, ask.task), ask.stamp);
                let rises = |last: Stamp| last == ask.stamp || last.fence < ask.stamp.fence;
                assert!(last.is_none_or(rises), "I5: {:?} promised after {last:?}", ask.stamp);
            }
            Message::Accepted { ask } => {
                let accepted = state(ask.task).and_then(|state| state.accepted.as_ref());
                let at = accepted.map(|(stamp, _)| *stamp);
                assert!(at >= Some(ask.stamp), "I10: an unwritten vote left");
            }
            _ => {}
        }
    }

    /// I7.
    fn one_holder(&self) {
        for number in 0..2 {
            let holds = |at: &usize| self.hosts[*at].machine.held(task(number), self.local(*at));
            let holders: Vec<_> = (0..PEERS).filter(|at| holds(at).is_some()).collect();
            assert!(holders.len() <= 1, "I7: {holders:?} hold one task");
        }
    }

    fn restart(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        host.life.incarnation = Incarnation(host.life.incarnation.0 + 1);
        host.machine = machine(self.seed, host.life);
        let (disk, first, told) = (host.disk.clone(), host.first, host.told);
        // The said stays: what an earlier life promised binds the later ones.
        self.feed(at, Input::Restore(disk), Fate::Lives);
        for epoch in first..told {
            let view = Arc::clone(&self.views[epoch]);
            self.feed(at, Input::View(view), Fate::Lives);
        }
    }

    /// Tells a peer the next view; one that is no member yet first the one before its own.
    fn tell(&mut self, at: usize, fate: Fate) {
        let host = &mut self.hosts[at];
        if host.told == 0 {
            let member = |view: &Arc<View>| view.member(host.life.peer).is_some();
            let Some(first) = self.views.iter().position(member) else { return };
            host.first = first.saturating_sub(1);
            host.told = host.first;
        }
        let Some(view) = self.views.get(host.told).cloned() else { return };
        host.told += 1;
        self.feed(at, Input::View(view), fate);
    }

    /// A later view: somebody out, somebody in, restarted members by their current lives.
    fn change(&mut self) {
        let epoch = self.views.len() as u64 + 1;
        let mut ranks: Vec<usize> = self.views[self.views.len() - 1].lives().map(index).collect();
        if ranks.len() > 1 && self.random.chance(600) {
            let out = self.below(ranks.len());
            ranks.remove(out);
        }
        let new = self.below(PEERS);
        if !ranks.contains(&new) && self.random.chance(600) {
            ranks.push(new);
        }
        ranks.truncate(fitting(self.seed, ranks.len()));
        let lives: Vec<_> = ranks.iter().map(|rank| self.hosts[*rank].life).collect();
        self.views.push(view(epoch, &lives));
        self.moved += 1;
    }

    fn work(&mut self, at: usize, fate: Fate) {
        let task = task(u8::try_from(self.random.below(2)).unwrap());
        let gives_up = self.random.chance(200);
        let host = &self.hosts[at];
        let current = host.told.checked_sub(1).map(|last| &self.views[last]);
        if gives_up && host.machine.claims_task(task) {
            return self.feed(at, Input::Release { task }, fate);
        }
        if host.machine.may_commit(task) {
            self.values += 1;
            let value = self.values;
            return self.feed(at, Input::Commit { task, value }, fate);
        }
        let member = current.is_some_and(|view| view.contains(host.life));
        if member && !host.machine.claims_task(task) {
            let attempt = 1 + self.random.below(2);
            let input = Input::Claim { task, born: Epoch(1), attempt, lease: LEASE };
            self.feed(at, input, fate);
        }
    }

    fn step(&mut self, weather: Weather) {
        let faults = weather == Weather::Faults;
        let dies = faults && self.random.chance(15);
        let fate = if dies { Fate::Crashes } else { Fate::Lives };
        let at = self.below(PEERS);
        match self.random.below(100) {
            0..=9 => {
                self.real_us += self.random.below(if faults { 150_000 } else { 8_000 });
                if self.hosts[at].machine.deadline().is_some_and(|due| due <= self.local(at)) {
                    self.feed(at, Input::Deadline, fate);
                }
            }
            10..=17 => self.work(at, fate),
            18..=21 => self.tell(at, fate),
            22 if faults && self.views.len() < 8 => self.change(),
            _ => self.deliver(weather, fate),
        }
    }

    fn deliver(&mut self, weather: Weather, fate: Fate) {
        let faults = weather == Weather::Faults;
        if self.flying.is_empty() {
            return self.late_deadlines();
        }
        let message = self.below(self.flying.len());
        let doubled = faults && self.random.chance(150);
        let (from, to, message) =
            if doubled { self.flying[message].clone() } else { self.flying.swap_remove(message) };
        // Old lives are forgotten by whoever knows a newer one; their disks are not.
        if !(faults && self.random.chance(100)) {
            self.feed(index(to), Input::Message { from, message }, fate);
        }
    }

    fn late_deadlines(&mut self) {
        self.real_us += 10_000;
        for at in 0..PEERS {
            if self.hosts[at].machine.deadline().is_some_and(|due| due <= self.local(at)) {
                self.feed(at, Input::Deadline, Fate::Lives);
            }
        }
    }

    /// Faults end, all come back: every task is decided, and every claim is closed.
    fn settle(&mut self) {
        let last = self.views[self.views.len() - 1].clone();
        let lives: Vec<_> = last.lives().map(|life| self.hosts[index(life)].life).collect();
        self.views.push(view(self.views.len() as u64 + 1, &lives));
        for at in 0..PEERS {
            for _ in 0..self.views.len() {
                self.tell(at, Fate::Lives);
            }
        }
        for _ in 0..200_000 {
            let closed = |host: &Host| (0..2).all(|number| !host.machine.claims_task(task(number)));
            if self.decided.len() == 2 && self.hosts.iter().all(closed) {
                return;
            }
            self.step(Weather::Calm);
        }
        let states: Vec<_> = self.hosts.iter().map(|host| &host.machine).collect();
        assert_eq!(self.decided.len(), 2, "nothing is decided: {states:#?}");
        panic!("claims stay open: {states:#?}");
    }
}

fn run(seeds: core::ops::Range<u64>) -> (u64, u64) {
    let (mut adopted, mut moved) = (0, 0);
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            let steps = world.random.below(1_500);
            for _ in 0..steps {
                world.step(Weather::Faults);
            }
            let adopted = world.adopted;
            world.settle();
            (adopted, world.moved)
        });
        let (more, changes) = outcome.unwrap_or_else(|_| panic!("seed {seed} breaks an invariant"));
        adopted += more;
        moved += changes;
    }
    (adopted, moved)
}

#[test]
fn one_result_one_holder_and_rising_fences_under_any_schedule() {
    let (adopted, moved) = run(0..3_000);
    assert!(adopted > 500 && moved > 5_000, "{adopted} adopted, {moved} view changes");
}

#[test]
#[ignore = "100,000 schedules take minutes"]
fn a_hundred_thousand_schedules() {
    run(3_000..103_000);
}
