//! Random schedules: loss, duplication, reordering, restarts from any durable prefix.

use super::*;

/// What becomes of a replica while it handles an input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lives,
    Crashes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Weather {
    Faults,
    Calm,
}

struct World {
    random: Random,
    now: Time,
    replicas: Vec<Register<u32>>,
    lives: Vec<Life>,
    disks: Vec<Vec<Record<u32>>>,
    flying: Vec<(Life, Life, Message<u32>)>,
    decided: Vec<u32>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let count = [1, 2, 3, 3, 4, 5, 6, 7][usize::try_from(random.below(8)).unwrap()];
        Self {
            random,
            now: Time::ZERO,
            replicas: (0..count).map(|rank| replica(count, rank)).collect(),
            lives: group(count),
            disks: vec![vec![]; count],
            flying: vec![],
            decided: vec![],
        }
    }

    fn any(&mut self) -> usize {
        usize::try_from(self.random.below(self.replicas.len() as u64)).unwrap()
    }

    fn feed(&mut self, rank: usize, input: Input<u32>, fate: Fate) {
        let before = self.replicas[rank].promised();
        let mut out = Vec::new();
        self.replicas[rank].handle(self.now, input, &mut out).unwrap();
        self.replicas[rank].check();
        assert!(self.replicas[rank].promised() >= before, "a promise fell");
        let crash = fate == Fate::Crashes;
        let until = if crash { self.random.below(out.len() as u64 + 1) } else { u64::MAX };
        for (effect, index) in out.into_iter().zip(0..) {
            if index >= until {
                break;
            }
            match effect {
                Effect::Persist(record) => self.disks[rank].push(record),
                Effect::Send { to, message } => self.flying.push((self.lives[rank], to, message)),
                Effect::Decided(value) => self.decided.push(value),
            }
        }
        if crash {
            self.restart(rank);
        }
    }

    fn restart(&mut self, rank: usize) {
        self.lives[rank].incarnation = self.lives[rank].incarnation.next();
        let records = self.disks[rank].clone();
        self.replicas[rank] = Register::new(self.lives.clone(), rank).unwrap();
        self.feed(rank, Input::Restore(records), Fate::Lives);
        let life = self.lives[rank];
        for other in (0..self.replicas.len()).filter(|other| *other != rank) {
            self.feed(other, Input::Replaced { rank, life }, Fate::Lives);
        }
    }

    fn step(&mut self, weather: Weather) {
        let faults = weather == Weather::Faults;
        let dies = faults && self.random.chance(30);
        let crash = if dies { Fate::Crashes } else { Fate::Lives };
        if self.flying.is_empty() || self.random.chance(100) {
            self.now = self.now + core::time::Duration::from_millis(60);
            let rank = self.any();
            return self.feed(rank, Input::Deadline, crash);
        }
        if self.random.chance(60) {
            let (rank, value) = (self.any(), self.random.below(5));
            return self.feed(rank, Input::Propose(u32::try_from(value).unwrap()), crash);
        }
        let at = usize::try_from(self.random.below(self.flying.len() as u64)).unwrap();
        let doubled = faults && self.random.chance(200);
        let (from, to, message) =
            if doubled { self.flying[at].clone() } else { self.flying.swap_remove(at) };
        let rank = self.lives.iter().position(|life| life.peer == to.peer).unwrap();
        if self.lives[rank] == to && !(faults && self.random.chance(200)) {
            self.feed(rank, Input::Message { from, message }, crash);
        }
    }

    fn settle(&mut self) {
        for rank in 0..self.replicas.len() {
            self.feed(rank, Input::Propose(9), Fate::Lives);
        }
        for _ in 0..20_000 {
            if self.replicas.iter().all(|replica| replica.decided().is_some()) {
                return;
            }
            self.step(Weather::Calm);
        }
        let states: Vec<_> = self.replicas.iter().map(Register::deadline).collect();
        assert!(self.replicas.iter().all(|replica| replica.decided().is_some()), "{states:?}");
    }
}

#[test]
fn interleavings() {
    let mut contested = 0;
    for seed in 0..3_000 {
        let mut world = World::new(seed);
        let steps = world.random.below(300);
        for _ in 0..steps {
            world.step(Weather::Faults);
        }
        world.settle();
        let values: BTreeSet<u32> = world.decided.iter().copied().collect();
        assert_eq!(values.len(), 1, "seed {seed} decided {values:?}");
        let high = |replica: &Register<u32>| replica.promised().is_some_and(|b| b.round > 2);
        contested += u32::from(world.replicas.iter().any(high));
    }
    assert!(contested > 500, "only {contested} schedules were contested");
}
