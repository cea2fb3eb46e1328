//! Many peers in virtual time: seeded loss and delay, cuts, crashes, restarts.

use core::{cmp::Reverse, time::Duration};
use std::{
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    sync::Arc,
};

use formic_core::{
    FateId, Incarnation, Life, Member, PeerId, Protocol as _, Random, Time, View, transport::Class,
};

use crate::{Busy, Config, Effect, Event, Fate, Healing, Input, Message, Record, Standing};

pub(super) fn ms(ms: u64) -> Time {
    Time::from_us(ms * 1_000)
}

pub(super) fn life(n: usize, incarnation: u64) -> Life {
    Life::new(PeerId::from_bytes([u8::try_from(n + 1).unwrap(); 32]), Incarnation(incarnation))
}

pub(super) fn member(n: usize, incarnation: u64) -> Member {
    let fate = FateId((n as u64) << 8 | incarnation);
    Member { life: life(n, incarnation), fate }
}

enum What {
    Deliver { from: Life, to: usize, message: Message },
    Wake { peer: usize },
}

pub(super) struct Host {
    pub(super) machine: Healing,
    pub(super) alive: bool,
    pub(super) incarnation: u64,
    disk: Vec<Record>,
    stalled_until: Time,
    queue: Vec<(Life, Message)>,
    wake: Option<Time>,
}

/// The world.
pub(super) struct World {
    pub(super) now: Time,
    pub(super) hosts: Vec<Host>,
    /// Everything that was reported: when, at whom, what.
    pub(super) events: Vec<(Time, usize, Event)>,
    /// Before which event which peer began a new life.
    restarts: Vec<(usize, usize)>,
    /// Loss of unreliable messages, per mille.
    pub(super) loss: u64,
    /// Pairs that cannot reach each other, in this direction.
    pub(super) cut: BTreeSet<(usize, usize)>,
    pub(super) messages: u64,
    random: Random,
    heap: BinaryHeap<Reverse<(Time, u64)>>,
    events_at: BTreeMap<u64, What>,
    number: u64,
    config: Config,
    /// Peers of one process, which are next to each other.
    mates: usize,
}

impl World {
    /// `count` peers that are members of one view.
    pub(super) fn new(count: usize, seed: u64) -> Self {
        Self::with(count, seed, Config::default())
    }

    /// The same, `mates` of them in each process. Their links tell of no end, as if there had been none.
    pub(super) fn in_processes(mates: usize, count: usize, seed: u64) -> Self {
        let mut world = Self { mates, ..Self::with(0, seed, Config::default()) };
        world.begin(count);
        world
    }

    fn member(&self, n: usize, incarnation: u64) -> Member {
        Member { life: life(n, incarnation), ..member(n / self.mates * self.mates, incarnation) }
    }

    pub(super) fn with(count: usize, seed: u64, config: Config) -> Self {
        let mut world = Self {
            now: ms(1),
            hosts: Vec::new(),
            events: Vec::new(),
            restarts: Vec::new(),
            loss: 0,
            cut: BTreeSet::new(),
            messages: 0,
            random: Random::new(seed),
            heap: BinaryHeap::new(),
            events_at: BTreeMap::new(),
            number: 0,
            config,
            mates: 1,
        };
        world.begin(count);
        world
    }

    fn begin(&mut self, count: usize) {
        let members: Vec<Member> = (0..count).map(|n| self.member(n, 1)).collect();
        let view = Arc::new(View { members, ..View::found(member(0, 1)) });
        for n in 0..count {
            self.add_host(n);
            self.feed(n, Input::Joined(Arc::clone(&view)));
        }
        self.link_all();
    }

    /// A peer without a view.
    pub(super) fn add_host(&mut self, n: usize) {
        let machine =
            Healing::new(self.config.clone(), self.member(n, 1), Random::new(n as u64)).unwrap();
        self.hosts.push(Host {
            machine,
            alive: true,
            incarnation: 1,
            disk: Vec::new(),
            stalled_until: Time::ZERO,
            queue: Vec::new(),
            wake: None,
        });
    }

    pub(super) fn link_all(&mut self) {
        let alive: Vec<usize> = (0..self.hosts.len()).filter(|n| self.hosts[*n].alive).collect();
        for a in &alive {
            for b in alive.iter().filter(|b| *b != a) {
                let life = life(*b, self.hosts[*b].incarnation);
                self.feed(*a, Input::LinkUp { life, fate: Fate::Own });
            }
        }
    }

    pub(super) fn crash(&mut self, n: usize) {
        self.hosts[n].alive = false;
    }

    /// With what was durable; linked to all that live.
    pub(super) fn restart(&mut self, n: usize) {
        let host = &mut self.hosts[n];
        host.incarnation += 1;
        host.alive = true;
        host.wake = None;
        host.queue.clear();
        self.restarts.push((self.events.len(), n));
        let (incarnation, seed) = (host.incarnation, host.incarnation << 8 | n as u64);
        let me = self.member(n, incarnation);
        let host = &mut self.hosts[n];
        host.machine = Healing::new(self.config.clone(), me, Random::new(seed)).unwrap();
        let records = host.disk.clone();
        self.feed(n, Input::Restore(records));
        for other in 0..self.hosts.len() {
            if other != n && self.hosts[other].alive {
                let theirs = life(other, self.hosts[other].incarnation);
                self.feed(n, Input::LinkUp { life: theirs, fate: Fate::Own });
                self.feed(other, Input::LinkUp { life: me.life, fate: Fate::Own });
            }
        }
    }

    pub(super) fn stall(&mut self, n: usize, span: Duration) {
        self.hosts[n].stalled_until = self.now + span;
        let at = self.now + span;
        self.hosts[n].wake = Some(at);
        self.at(at, What::Wake { peer: n });
    }

    /// Nothing passes between the two sides.
    pub(super) fn split(&mut self, side: &[usize]) {
        let all = 0..self.hosts.len();
        for a in all.clone() {
            let other = all.clone().filter(|b| side.contains(&a) != side.contains(b));
            self.cut.extend(other.map(|b| (a, b)));
        }
    }

    fn at(&mut self, at: Time, what: What) {
        self.number += 1;
        self.heap.push(Reverse((at, self.number)));
        self.events_at.insert(self.number, what);
    }

    pub(super) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(Reverse((at, number))) = self.heap.peek().copied() {
            if at > end {
                break;
            }
            self.heap.pop();
            self.now = at;
            let what = self.events_at.remove(&number).unwrap();
            match what {
                What::Deliver { from, to, message } => self.deliver(from, to, message),
                What::Wake { peer } => self.wake(peer),
            }
        }
        self.now = end;
    }

    fn deliver(&mut self, from: Life, to: usize, message: Message) {
        let host = &mut self.hosts[to];
        if !host.alive {
            return;
        }
        if host.stalled_until > self.now {
            host.queue.push((from, message));
            return;
        }
        // Unreliable messages overtake: an old beat is refused, as everything that is out of order.
        self.try_feed(to, Input::Message { from, message });
    }

    fn wake(&mut self, peer: usize) {
        let host = &mut self.hosts[peer];
        if !host.alive || host.wake.is_none_or(|at| at > self.now) {
            return;
        }
        host.wake = None;
        for (from, message) in core::mem::take(&mut host.queue) {
            self.try_feed(peer, Input::Message { from, message });
        }
        self.feed(peer, Input::Deadline);
    }

    fn try_feed(&mut self, peer: usize, input: Input) {
        let mut out = Vec::new();
        let result = self.hosts[peer].machine.handle(self.now, input, &mut out);
        assert!(result.is_ok() || out.is_empty(), "an error pushes nothing");
        self.hosts[peer].machine.check();
        self.apply(peer, out);
    }

    pub(super) fn feed(&mut self, peer: usize, input: Input) {
        let mut out = Vec::new();
        self.hosts[peer].machine.handle(self.now, input, &mut out).unwrap();
        self.hosts[peer].machine.check();
        self.apply(peer, out);
    }

    fn apply(&mut self, peer: usize, effects: Vec<Effect>) {
        let me = life(peer, self.hosts[peer].incarnation);
        for effect in effects {
            match effect {
                Effect::Persist(record) => self.hosts[peer].disk.push(record),
                Effect::Send { to, message } => self.send(me, to, message),
                Effect::Event(event) => self.events.push((self.now, peer, event)),
            }
        }
        if let Some(at) = self.hosts[peer].machine.deadline() {
            let at =
                at.max(self.now + Duration::from_micros(1)).max(self.hosts[peer].stalled_until);
            if self.hosts[peer].wake.is_none_or(|wake| wake > at) {
                self.hosts[peer].wake = Some(at);
                self.at(at, What::Wake { peer });
            }
        }
    }

    fn send(&mut self, from: Life, to: Life, message: Message) {
        self.messages += 1;
        let index = |life: Life| usize::from(life.peer.as_bytes()[0]) - 1;
        let pair = (index(from), index(to));
        let there = self.hosts.get(pair.1).is_some_and(|host| host.incarnation == to.incarnation.0);
        let lost = message.class() == Class::Unreliable && self.random.chance(self.loss);
        if !there || lost || self.cut.contains(&pair) {
            return;
        }
        let delay = Duration::from_micros(300 + self.random.below(1_700));
        self.at(self.now + delay, What::Deliver { from, to: pair.1, message });
    }

    /// The newest view of a peer.
    pub(super) fn view(&self, n: usize) -> Arc<View> {
        Arc::clone(self.hosts[n].machine.view().unwrap())
    }

    /// When each live peer other than `dead` heard that it is down, counted from `since`.
    pub(super) fn downs(&self, dead: usize, since: Time) -> Vec<Duration> {
        let live = (0..self.hosts.len()).filter(|n| self.hosts[*n].alive && *n != dead);
        live.map(|n| {
            let down = self.events.iter().find(|(at, by, event)| {
                let of = matches!(event, Event::Down { life, .. }
                    if life.peer == super::world::life(dead, 1).peer);
                *by == n && *at >= since && of
            });
            down.unwrap_or_else(|| panic!("{n} never heard of the death of {dead}")).0.since(since)
        })
        .collect()
    }

    pub(super) fn false_downs(&self) -> usize {
        self.events.iter().filter(|(_, _, event)| matches!(event, Event::Down { .. })).count()
    }

    pub(super) fn standing(&self, n: usize) -> Standing {
        self.hosts[n].machine.standing()
    }

    pub(super) fn all_busy(&mut self, busy: Busy) {
        for n in 0..self.hosts.len() {
            self.feed(n, Input::Busy(busy));
        }
    }

    /// One view per epoch, at whatever peer, and verdicts that alternate.
    pub(super) fn check_history(&self) {
        let mut views: BTreeMap<u64, &Arc<View>> = BTreeMap::new();
        let mut told: BTreeMap<(usize, Life), bool> = BTreeMap::new();
        for (number, (at, by, event)) in self.events.iter().enumerate() {
            for (_, peer) in self.restarts.iter().filter(|(first, _)| *first == number) {
                told.retain(|(by, _), _| by != peer);
            }
            match event {
                Event::View { view } => {
                    let first = views.entry(view.epoch.0).or_insert(view);
                    assert_eq!(*first, view, "two views of one epoch at {at:?}");
                }
                Event::Up { life } => {
                    let last = told.insert((*by, *life), true);
                    assert_ne!(last, Some(true), "{by} hears twice that {life} is up at {at:?}");
                }
                Event::Down { life, .. } => {
                    let last = told.insert((*by, *life), false);
                    assert_eq!(last, Some(true), "{by} hears that {life} is down at {at:?}");
                }
                _ => {}
            }
        }
    }
}
