//! Several owners and workers, messages that take a random time, bodies that wait now and then.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use formic_core::{Life, Protocol, Random, Time};
use proptest::prelude::*;

use super::{config, descriptor, life, rank, task, work};
use crate::{Config, Effect, Error, Input, Message, Offer, Place, TaskId, Work};

struct World {
    peers: Vec<Work>,
    random: Random,
    /// By time and order: what reaches whom.
    inputs: BTreeMap<(u64, u64), (usize, Input)>,
    sent: u64,
    now: u64,
    placed: BTreeMap<TaskId, Life>,
    ran: BTreeMap<TaskId, u32>,
    /// Where a task was awarded once: completion does not execute it there again.
    seen: BTreeSet<(usize, TaskId)>,
    given_back: BTreeSet<TaskId>,
    /// Above or below what counts as brief.
    mean_us: u64,
}

impl World {
    fn new(seed: u64, slots: &[u32]) -> Self {
        let numbered = slots.iter().zip(0_u8..);
        let config = |slots| Config { queue_per_slot: 2, batch: 4, ..config(slots) };
        let peers = numbered.map(|(&slots, n)| work(n, config(slots))).collect();
        let (random, inputs) = (Random::new(seed), BTreeMap::new());
        let (placed, ran) = (BTreeMap::new(), BTreeMap::new());
        let (seen, given_back) = (BTreeSet::new(), BTreeSet::new());
        let mean_us = 1_000 + seed % 40_000;
        Self { peers, random, inputs, sent: 0, now: 0, placed, ran, seen, given_back, mean_us }
    }

    fn later(&mut self, after: u64, n: usize, input: Input) {
        self.sent += 1;
        self.inputs.insert((self.now + after, self.sent), (n, input));
    }

    fn step(&mut self) -> bool {
        let timer = self.peers.iter().enumerate();
        let timer = timer.filter_map(|(n, peer)| Some((peer.deadline()?.as_us(), n))).min();
        let message = self.inputs.first_key_value().map(|(&(at, _), _)| at);
        let (n, input) = match (timer, message) {
            (Some((at, n)), message) if message.is_none_or(|other| at < other) => {
                self.now = self.now.max(at);
                (n, Input::Deadline)
            }
            (_, Some(_)) => {
                let Some(((at, _), next)) = self.inputs.pop_first() else { return false };
                self.now = self.now.max(at);
                next
            }
            _ => return false,
        };
        if let Input::Queue { task, .. } = &input
            && !self.seen.insert((n, *task))
        {
            return true;
        }
        let mut out = Vec::new();
        // A body that was moved away while it ran no longer waits or ends here.
        let refused = self.peers[n].handle(Time::from_us(self.now), input, &mut out);
        if let Err(Error::NoBody { job, key }) = refused {
            assert!(self.given_back.contains(&TaskId { job, key }));
        } else {
            refused.unwrap();
        }
        self.peers[n].check();
        out.into_iter().for_each(|effect| self.apply(n, effect));
        true
    }

    fn place(&mut self, n: usize, (task, attempt): (TaskId, u16), life: Life) {
        let me = super::life(n as u8);
        // completion moves it: the first place is told to forget it.
        let before = self.placed.insert(task, life);
        if let Some(before) = before.filter(|&before| before != life) {
            self.seen.remove(&(before.peer.as_bytes()[0].into(), task));
            self.later(1, before.peer.as_bytes()[0].into(), Input::Ended { task });
        }
        let (descriptor, place) = (descriptor(&[]), Place::Slot);
        let queue = Input::Queue { task, attempt, descriptor, owner: me, place };
        self.later(200, life.peer.as_bytes()[0].into(), queue);
    }

    fn apply(&mut self, n: usize, effect: Effect) {
        let me = life(n as u8);
        match effect {
            Effect::Send { to, message } => {
                if let Message::Returned { tasks, .. } = &message {
                    self.given_back.extend(tasks.iter().map(|(task, _)| *task));
                }
                let delay = if to == me { 0 } else { 100 + self.random.below(400) };
                self.later(
                    delay,
                    to.peer.as_bytes()[0].into(),
                    Input::Message { from: me, message },
                );
            }
            Effect::Choose { want } => {
                let lives = (0..self.peers.len() as u8).map(life).collect();
                self.later(0, n, Input::Chosen { want, lives, missing: vec![] });
            }
            Effect::Draw { key, mut eligible, .. } => {
                while eligible.len() > 3 {
                    eligible.remove(self.random.below(eligible.len() as u64) as usize);
                }
                let mean = Duration::from_micros(self.mean_us);
                self.later(0, n, Input::Drawn { key, lives: eligible, mean });
            }
            Effect::Rank { key, count, hold, patience, bids } => {
                self.later(0, n, rank(key, (count, hold, patience), bids));
            }
            Effect::Estimate { to, probe, load, room, .. } => {
                let wait_us = u64::from(load.queued) * 3_000 + self.random.below(20_000);
                let offer = Some(Offer { room, wait_us, service_us: 3_000 });
                let message = Message::Promise { id: probe.id, load, offer };
                let delay = if to == me { 0 } else { 100 + self.random.below(400) };
                let to = to.peer.as_bytes()[0].into();
                self.later(delay, to, Input::Message { from: me, message });
            }
            Effect::Placed { task, attempt, life, .. } => self.place(n, (task, attempt), life),
            Effect::Start { task, .. } => {
                *self.ran.entry(task).or_default() += 1;
                let busy = 500 + self.random.below(5_000);
                let (waits, ends) = if self.random.chance(300) {
                    (Input::Waits { task }, Input::Runs { task })
                } else {
                    self.later(busy, n, Input::Ended { task });
                    return;
                };
                self.later(busy, n, waits);
                self.later(busy + 3_000, n, ends);
            }
            Effect::Resume { task } => self.later(700, n, Input::Ended { task }),
            Effect::Withdrawn { .. }
            | Effect::Waits { .. }
            | Effect::Unplaceable { .. }
            | Effect::Full
            | Effect::NotFull => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_task_runs_once(
        seed: u64,
        slots in proptest::collection::vec(0_u32..4, 1..6),
        tasks in 1_u64..80,
    ) {
        prop_assume!(slots.iter().sum::<u32>() > 0);
        let mut world = World::new(seed, &slots);
        for n in 0..tasks {
            let at = world.random.below(20_000);
            let owner = world.random.below(slots.len() as u64) as usize;
            let place = Input::Place {
                task: task(n), attempt: 1, descriptor: descriptor(&[]), avoid: None,
            };
            world.later(at, owner, place);
        }
        let mut steps = 0;
        while world.step() {
            steps += 1;
            prop_assert!(steps < 200_000, "it does not come to rest");
        }
        let expected: BTreeSet<TaskId> = (0..tasks).map(task).collect();
        prop_assert_eq!(world.ran.keys().copied().collect::<BTreeSet<_>>(), expected);
        for (task, runs) in &world.ran {
            prop_assert!(*runs == 1 || world.given_back.contains(task), "{task:?} ran {runs} times");
        }
        prop_assert!(world.peers.iter().all(|peer| peer.held() == 0 && peer.deadline().is_none()));
    }
}
