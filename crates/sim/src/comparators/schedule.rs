//! A schedule: what bodies do, where, when, and how slow the links are.

use core::time::Duration;

/// One task and what each execution of its body does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// For people.
    pub name: String,
    /// The peer it is placed on while that peer is believed alive.
    pub on: usize,
    /// How long its body runs.
    pub length: Duration,
    /// When after its start it spawns which task, in this order.
    pub spawns: Vec<(Duration, usize)>,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The first message with the work of this task arrives a second time.
    Doubled {
        /// Which task.
        task: usize,
        /// How long after the first copy.
        later: Duration,
    },
    /// A peer dies for good.
    Crash {
        /// Who.
        peer: usize,
        /// When, counted from the start of the root's body.
        at: Duration,
        /// After how long the others believe it.
        noticed: Duration,
    },
    /// A peer dies and begins again, with its disk.
    Restart {
        /// Who.
        peer: usize,
        /// When it dies, counted from the start of the root's body.
        at: Duration,
        /// After how long the others believe it.
        noticed: Duration,
        /// After how long it is back, and the others know: not before they noticed.
        back: Duration,
    },
    /// All others believe a peer dead that is well.
    Suspicion {
        /// Who.
        peer: usize,
        /// From when, counted from the start of the root's body.
        at: Duration,
        /// For how long.
        span: Duration,
    },
    /// A message that is not work is lost.
    Lost {
        /// Its number among the messages that are not work, from 0.
        number: u64,
    },
}

/// Who spawns what on whom, when, and how long messages travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// How many peers.
    pub peers: usize,
    /// How many of them, from 0 on, are the home group of the shipped machines: 1, 2 or odd.
    pub home: usize,
    /// All tasks; the first is the root, on peer 0. Each of the others is spawned by one with a lower
    /// number.
    pub tasks: Vec<Task>,
    /// How long a message travels between peers that `slow` does not name.
    pub link: Duration,
    /// Links that take longer, both ways.
    pub slow: Vec<(usize, usize, Duration)>,
    /// When peer 0 begins to read the others, for the naive detector.
    pub scan: Duration,
    /// How long it waits after it saw somebody busy.
    pub again: Duration,
}

pub(super) const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

impl Schedule {
    /// The schedule on which reading peer by peer goes wrong without any fault (completion.md 8.1).
    ///
    /// `plan` on peer 0 hands `long` to peer 2 and ends. Peer 0 reads itself and peer 1: both idle.
    /// Then `long` hands `late` to peer 1, has its ack, and ends, all before the question reaches peer 2.
    pub fn recorded() -> Self {
        let task = |name: &str, on, length, spawns: &[(Duration, usize)]| Task {
            name: name.to_owned(),
            on,
            length,
            spawns: spawns.to_vec(),
        };
        Self {
            peers: 3,
            home: 3,
            tasks: vec![
                task("plan", 0, ms(1), &[(Duration::from_micros(500), 1)]),
                task("long", 2, Duration::from_micros(8_500), &[(ms(6), 2)]),
                task("late", 1, ms(20), &[]),
            ],
            link: ms(1),
            slow: vec![(0, 2, ms(4))],
            scan: ms(9),
            again: ms(5),
        }
    }

    /// The root spawns `tasks` at once, dealt out to `peers` in turn. Bodies take no time.
    pub fn flat(peers: usize, tasks: usize) -> Self {
        let parents = vec![0; tasks];
        Self::below(peers, &parents)
    }

    /// A tree in which each task spawns `fanout` others until there are `tasks`, without the root,
    /// dealt out to `peers` in turn. Bodies take no time.
    pub fn tree(peers: usize, tasks: usize, fanout: usize) -> Self {
        let parents: Vec<usize> = (0..tasks).map(|number| number / fanout.max(1)).collect();
        Self::below(peers, &parents)
    }

    /// `parents[n]` spawns task `n + 1` at once. Bodies take no time.
    pub(super) fn below(peers: usize, parents: &[usize]) -> Self {
        let mut children = vec![vec![]; parents.len() + 1];
        for (number, parent) in parents.iter().enumerate() {
            children[*parent].push((Duration::ZERO, number + 1));
        }
        let task = |(number, spawns)| Task {
            name: format!("t{number}"),
            on: number % peers.max(1),
            length: Duration::ZERO,
            spawns,
        };
        Self {
            peers,
            home: if peers < 3 { 1 } else { 3 },
            tasks: children.into_iter().enumerate().map(task).collect(),
            link: ms(1),
            slow: vec![],
            scan: Duration::ZERO,
            again: ms(1),
        }
    }

    /// How long a message travels.
    pub fn delay(&self, from: usize, to: usize) -> Duration {
        let same = |(a, b, _): &&(usize, usize, Duration)| {
            (*a, *b) == (from, to) || (*a, *b) == (to, from)
        };
        self.slow.iter().find(same).map_or(self.link, |(_, _, delay)| *delay)
    }

    /// Tasks whose work travels: they are placed on another peer than their parent.
    pub(super) fn sent(&self) -> Vec<usize> {
        let away = |task: &Task| {
            let children = task.spawns.iter().map(|(_, child)| *child);
            children.filter(|child| self.place(*child) != task.on).collect::<Vec<_>>()
        };
        self.tasks.iter().flat_map(away).collect()
    }

    /// What a task is called.
    pub fn name(&self, task: usize) -> &str {
        self.tasks.get(task).map_or("?", |task| &task.name)
    }

    /// Where a task goes. A task the schedule does not have stays on peer 0.
    pub fn place(&self, task: usize) -> usize {
        self.tasks.get(task).map_or(0, |task| task.on)
    }
}
