//! The shipped crate as a rule: one machine per dispatcher, driven as node would drive it.

use core::time::Duration;

use formic_core::{
    Epoch, FateId, Incarnation, Key, Life, Member, PeerId, Protocol, Random, Time, View, mix,
};
use formic_pheromones::{
    Award, COUNT_MAX, Config, Effect, Event, Finding, GOOD_MAX, Input, Kind, Latency, Message,
    Pheromones, Promise, Record, Size,
};

use crate::{
    engine::kinds,
    rule::{Answer, Asked, Pick, Rule, Said, Tried},
    world::{KINDS, Liars, S, World},
};

/// What is switched off, by the configuration alone: the machine is the shipped one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) config: Config,
    pub(crate) sharing: Sharing,
    pub(crate) rescue: Rescue,
    /// Refuse what could not begin and end within so long (work.md W10), in microseconds.
    pub(crate) max_wait: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rescue {
    On,
    Off,
}

impl Default for Options {
    fn default() -> Self {
        Self { config: Config::default(), sharing: Sharing::On, rescue: Rescue::On, max_wait: None }
    }
}

pub(crate) struct Formic {
    options: Options,
    machines: Vec<Pheromones>,
    kinds: [Kind; KINDS],
    /// Sorted by peer, with the peer's number.
    lives: Vec<(Life, usize)>,
    by_number: Vec<Life>,
    effects: Vec<Effect>,
    said: Vec<Said>,
    turn: usize,
    random: Random,
}

impl Formic {
    pub(crate) fn new(world: &World, options: Options) -> Self {
        let n = world.scenario.peers;
        let by_number: Vec<Life> = (0..n).map(|peer| life(world.seed, peer)).collect();
        let mut lives: Vec<(Life, usize)> =
            by_number.iter().enumerate().map(|(number, life)| (*life, number)).collect();
        lives.sort_unstable();
        let member = |life: &Life| Member { life: *life, fate: FateId(0) };
        let mut view = View::found(member(&by_number[0]));
        view.members = by_number.iter().map(member).collect();
        let machine = |peer: usize| {
            let random = Random::new(mix(world.seed ^ (peer as u64) << 32));
            let mut machine = Pheromones::new(options.config.clone(), by_number[peer], random)
                .expect("the configurations of this suite are in range");
            if options.sharing == Sharing::On {
                let mut out = Vec::new();
                let input = Input::View(view.clone());
                machine.handle(Time::ZERO, input, &mut out).expect("a view is never refused");
            }
            machine
        };
        Self {
            machines: (0..n).map(machine).collect(),
            options,
            kinds: kinds(),
            lives,
            by_number,
            effects: Vec::new(),
            said: Vec::new(),
            turn: 0,
            random: Random::new(world.seed),
        }
    }

    fn feed(&mut self, now: u64, dispatcher: usize, input: Input) {
        let (time, machine) = (Time::from_us(now), &mut self.machines[dispatcher]);
        let refused = machine.handle(time, input, &mut self.effects).err();
        // Honest peers refuse nothing of each other; what liars share is refused where it can be.
        assert!(
            refused
                .is_none_or(|error| matches!(error, formic_pheromones::Error::SelfPraise { .. })),
            "{refused:?}"
        );
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Send { to, message, .. } => {
                    let to = number(&self.lives, to);
                    self.said.push(Said::Trails { from: dispatcher, to, message });
                }
                Effect::Event(Event::Overdue { key, attempt, life, word }) => {
                    let tried = Tried {
                        dispatcher,
                        task: task_of(key),
                        number: attempt,
                        peer: number(&self.lives, life),
                        kind: 0,
                    };
                    self.said.push(Said::Overdue(tried, word));
                }
                Effect::Event(_) => {}
            }
        }
    }

    /// The one answer to `Choose` or `Rank`, and what else was said.
    fn ask(&mut self, now: u64, dispatcher: usize, input: Input) -> Event {
        let (time, machine) = (Time::from_us(now), &mut self.machines[dispatcher]);
        machine.handle(time, input, &mut self.effects).expect("choices are made in order");
        let answer = self.effects.iter().position(|effect| {
            matches!(effect, Effect::Event(Event::Candidates { .. } | Event::Chosen { .. }))
        });
        let answer = self.effects.remove(answer.expect("each question has an answer"));
        let Effect::Event(event) = answer else { unreachable!("positions are of events") };
        let rest = core::mem::take(&mut self.effects);
        for effect in rest {
            if let Effect::Send { to, message, .. } = effect {
                let to = number(&self.lives, to);
                self.said.push(Said::Trails { from: dispatcher, to, message });
            }
        }
        event
    }

    /// W10: the best that anybody promises would be too late.
    fn is_too_late(&self, asked: &Asked<'_>, key: Key) -> bool {
        let Some(max) = self.options.max_wait else { return false };
        let choice = self.machines[asked.dispatcher].explain(key);
        let times = choice.into_iter().flat_map(|choice| &choice.candidates).filter_map(|it| {
            let (wait, service) = it.promise_us?;
            Some(wait * u64::from(it.honesty_permille) / 1_000 + service)
        });
        let first = asked.tried.is_empty();
        match times.min() {
            Some(best) if first => best + asked.age > max,
            _ => asked.age > max,
        }
    }
}

impl Formic {
    /// Friends are perfect, all others twenty times slower than the mean, and bad.
    fn lie_about(&self, world: &World, turn: usize) -> Record {
        let subject = turn / KINDS % self.by_number.len();
        let (mean_us, good) = if world.liar[subject] { (1_000, GOOD_MAX) } else { (2_000_000, 0) };
        Record {
            kind: self.kinds[turn % KINDS],
            subject: self.by_number[subject].peer,
            count: COUNT_MAX,
            mean_us,
            verified: COUNT_MAX,
            good,
        }
    }

    fn tell_all(&mut self, from: usize, seq: u64, records: Vec<Record>) {
        if records.is_empty() {
            return; // All of this turn were about itself.
        }
        let message = Message::Trails { epoch: Epoch(1), seq, records };
        for to in (0..self.by_number.len()).filter(|to| *to != from) {
            self.said.push(Said::Trails { from, to, message: message.clone() });
        }
    }
}

fn life(seed: u64, peer: usize) -> Life {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&mix(mix(seed) ^ peer as u64).to_be_bytes());
    Life::new(PeerId::from_bytes(bytes), Incarnation(1))
}

fn number(lives: &[(Life, usize)], life: Life) -> usize {
    let found = lives.binary_search_by_key(&life, |entry| entry.0);
    lives[found.expect("only members are named")].1
}

fn key_of(task: usize) -> Key {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&(task as u64).to_be_bytes());
    bytes[..8].copy_from_slice(&mix(task as u64).to_be_bytes());
    Key::from_bytes(bytes)
}

fn task_of(key: Key) -> usize {
    let bytes = key.as_bytes().iter().skip(8);
    bytes.fold(0, |task, byte| task << 8 | usize::from(*byte))
}

impl Rule for Formic {
    fn choose(&mut self, asked: &Asked<'_>) -> Pick {
        let kind = self.kinds[asked.kind];
        if self.options.max_wait.is_some_and(|max| asked.age > max) {
            return Pick::Refuse;
        }
        let up = self.lives.iter().filter(|(_, number)| asked.up.contains(number));
        let eligible: Vec<Life> = up.map(|entry| entry.0).collect();
        let tried = asked.tried.iter().map(|peer| self.by_number[*peer].peer).collect();
        let (key, size) = (key_of(asked.task), Size::MEAN);
        let input = Input::Choose { key, kind, size, eligible, tried };
        match self.ask(asked.now, asked.dispatcher, input) {
            Event::Candidates { lives, mean, .. } => {
                let peers = lives.into_iter().map(|life| number(&self.lives, life)).collect();
                Pick::Probe(peers, mean.as_micros() as u64)
            }
            _ => Pick::Nobody,
        }
    }

    fn answered(&mut self, asked: &Asked<'_>, answers: &[Answer]) -> Pick {
        let us = Duration::from_micros;
        let promise = |answer: &Answer| {
            let life = self.by_number[answer.peer];
            Promise::new(life, us(answer.wait), us(answer.service)).ok()
        };
        let promises = answers.iter().filter_map(promise).collect();
        let key = key_of(asked.task);
        let input = Input::Rank { key, promises };
        let Event::Chosen { place: Some(place), .. } = self.ask(asked.now, asked.dispatcher, input)
        else {
            return Pick::Nobody;
        };
        if self.is_too_late(asked, key) {
            return Pick::Refuse;
        }
        Pick::Send(number(&self.lives, place.life))
    }

    fn sent(&mut self, now: u64, tried: Tried) {
        let (key, life) = (key_of(tried.task), self.by_number[tried.peer]);
        let choice = self.machines[tried.dispatcher].explain(key);
        let mut candidates = choice.into_iter().flat_map(|choice| &choice.candidates);
        let promise = candidates.find(|it| it.life == life).and_then(|it| it.promise_us);
        let (wait, service) = promise.expect("only those are chosen that promised");
        let us = Duration::from_micros;
        let award = Award {
            life,
            kind: self.kinds[tried.kind],
            size: Size::MEAN,
            promised: us(wait + service),
            service: us(service),
        };
        self.feed(now, tried.dispatcher, Input::Sent { key, attempt: tried.number, award });
    }

    fn finished(&mut self, now: u64, tried: Tried, service: u64, _latency: u64) {
        let (key, life) = (key_of(tried.task), self.by_number[tried.peer]);
        let service = Duration::from_micros(service);
        let (attempt, latency) = (tried.number, Latency::Counts);
        let input = Input::Finished { key, attempt, life, service, latency };
        self.feed(now, tried.dispatcher, input);
    }

    fn verified(&mut self, now: u64, tried: Tried, finding: Finding) {
        let (key, life) = (key_of(tried.task), self.by_number[tried.peer]);
        let input = Input::Verified { key, attempt: tried.number, life, finding };
        self.feed(now, tried.dispatcher, input);
    }

    fn cancelled(&mut self, now: u64, tried: Tried) {
        let input = Input::Cancelled { key: key_of(tried.task), attempt: tried.number };
        self.feed(now, tried.dispatcher, input);
    }

    fn down(&mut self, now: u64, peer: usize) {
        let life = self.by_number[peer];
        (0..self.machines.len()).for_each(|at| self.feed(now, at, Input::Down { life }));
    }

    fn hint(&mut self, now: u64, answer: Answer) {
        let (peer, queued) = (self.by_number[answer.peer].peer, Duration::from_micros(answer.wait));
        let input = || Input::Load { peer, queued };
        (0..self.machines.len()).for_each(|at| self.feed(now, at, input()));
    }

    /// As many records as the rate allows, as heavy as one may be. Every liar praises itself, too.
    fn lie(&mut self, now: u64, world: &World) {
        let n = self.by_number.len();
        if world.scenario.liars == Liars::Slow {
            return;
        }
        for from in (0..n).filter(|peer| world.liar[*peer]) {
            let own = self.by_number[from].peer;
            let mut records: Vec<Record> =
                (0..4).map(|step| self.lie_about(world, self.turn + step)).collect();
            records.retain(|record| record.subject != own);
            let praise = Record { subject: own, ..self.lie_about(world, self.turn) };
            let seq = now / 1_000 * 2;
            self.tell_all(from, seq, records);
            self.tell_all(from, seq + 1, vec![praise]);
        }
        self.turn += 4;
        if now < S {
            // Where the cycle begins is no secret of the seed: it must not favour anybody.
            self.turn += self.random.below(n as u64) as usize * KINDS;
        }
    }

    fn trails(&mut self, now: u64, to: usize, from: usize, message: Message) {
        if self.options.sharing == Sharing::On {
            let input = Input::Message { from: self.by_number[from], message };
            self.feed(now, to, input);
        }
    }

    fn wake(&mut self, now: u64, dispatcher: usize) {
        self.feed(now, dispatcher, Input::Deadline);
    }

    fn deadline(&self, dispatcher: usize) -> Option<u64> {
        self.machines[dispatcher].deadline().map(Time::as_us)
    }

    fn said(&mut self) -> Vec<Said> {
        core::mem::take(&mut self.said)
    }

    fn rescues(&self) -> bool {
        self.options.rescue == Rescue::On
    }
}
