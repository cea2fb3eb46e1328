//! All ways to know when all is done, side by side: what they cost, and which fault breaks which.

use core::time::Duration;

use formic_completion::{Error, Spawn};

use super::{
    Fault, FourCounter, Naive, Recovery, Run, Safra, Schedule, Shipped, Textbook, play,
    schedule::ms,
};
use crate::Draw;

/// Seeds per row of [`costs`]: only the lengths of bodies differ.
const COST_SEEDS: u64 = 9;
/// Peers in [`fault_matrix`].
const PEERS: usize = 5;
/// By then a submission is acknowledged, whatever the links of [`fault_matrix`].
const ACCEPTED: Duration = ms(10);

/// A way to know when all is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// [`Naive`].
    Naive,
    /// [`Textbook`].
    Textbook,
    /// [`Safra`].
    Safra,
    /// [`FourCounter`].
    FourCounter,
    /// [`Recovery`].
    Credit,
    /// [`Shipped`], each task awaited by its parent.
    Nested,
    /// [`Shipped`], each task handed over to its parent's waiter.
    Tails,
}

impl Algorithm {
    /// All, ours last.
    pub const ALL: [Self; 7] = [
        Self::Naive,
        Self::Textbook,
        Self::Safra,
        Self::FourCounter,
        Self::Credit,
        Self::Nested,
        Self::Tails,
    ];

    /// What tables call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Naive => "naive scan",
            Self::Textbook => "Dijkstra-Scholten",
            Self::Safra => "Safra",
            Self::FourCounter => "four-counter",
            Self::Credit => "credit recovery",
            Self::Nested => "formic",
            Self::Tails => "formic, tails",
        }
    }

    /// Plays a schedule for it.
    ///
    /// # Errors
    /// A peer refused something.
    pub fn play(self, schedule: &Schedule, fault: Option<Fault>) -> Result<Run, Error> {
        match self {
            Self::Naive => play(schedule, fault, Naive::new(schedule)),
            Self::Textbook => play(schedule, fault, Textbook::new(schedule)),
            Self::Safra => play(schedule, fault, Safra::new(schedule)),
            Self::FourCounter => play(schedule, fault, FourCounter::new(schedule)),
            Self::Credit => play(schedule, fault, Recovery::new(schedule)),
            Self::Nested => play(schedule, fault, Shipped::new(schedule)),
            Self::Tails => play(schedule, fault, Shipped::spawning(schedule, Spawn::Tail)),
        }
    }
}

/// Shapes of work for [`costs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// The root spawns 1,000 tasks.
    Flat,
    /// 1,000 tasks, three below each.
    Tree,
    /// 200 tasks, one below the other, each on another peer.
    Chain,
}

impl Workload {
    /// All.
    pub const ALL: [Self; 3] = [Self::Flat, Self::Tree, Self::Chain];

    /// What tables call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat, 1,000 tasks",
            Self::Tree => "tree, 1,000 tasks",
            Self::Chain => "chain, 200 tasks",
        }
    }

    /// Bodies take up to 10 one-way delays.
    fn schedule(self, peers: usize, seed: u64) -> Schedule {
        let mut schedule = match self {
            Self::Flat => Schedule::flat(peers, 1_000),
            Self::Tree => Schedule::tree(peers, 1_000, 3),
            Self::Chain => Schedule::tree(peers, 200, 1),
        };
        let draw = Draw::new(seed);
        for (number, task) in schedule.tasks.iter_mut().enumerate() {
            task.length = Duration::from_micros(draw.below("length", &[number as u64], 10_000));
        }
        schedule
    }
}

/// What one algorithm paid for one workload without faults.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// The workload.
    pub workload: Workload,
    /// How many peers.
    pub peers: usize,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// Work messages of all seeds.
    pub work: u64,
    /// Other messages before the announcement.
    pub control: u64,
    /// Other messages in all: ours goes on to seal all peers, to prove it, and to tell them.
    pub in_all: u64,
    /// Median from the end of the last body to the announcement, in thousandths of a one-way delay.
    pub latency: u64,
    /// Seeds in which it announced too early or not at all.
    pub wrong: u64,
}

/// What each algorithm but the naive one pays on each workload, at 10 and at 100 peers.
///
/// # Errors
/// A peer refused something.
pub fn costs() -> Result<Vec<Cost>, Error> {
    let mut rows = vec![];
    for workload in Workload::ALL {
        for peers in [10, 100] {
            for algorithm in &Algorithm::ALL[1..] {
                rows.push(cost(workload, peers, *algorithm)?);
            }
        }
    }
    Ok(rows)
}

/// One row of [`costs`].
///
/// # Errors
/// A peer refused something.
pub fn cost(workload: Workload, peers: usize, algorithm: Algorithm) -> Result<Cost, Error> {
    let zero =
        Cost { workload, peers, algorithm, work: 0, control: 0, in_all: 0, latency: 0, wrong: 0 };
    let mut row = zero;
    let mut latencies = vec![];
    for seed in 0..COST_SEEDS {
        let schedule = workload.schedule(peers, seed);
        let run = algorithm.play(&schedule, None)?;
        row.work += run.work;
        row.in_all += run.control;
        row.wrong += u64::from(Ending::of(&run) != Ending::Right);
        if let Some(said) = &run.announced {
            row.control += said.control;
            let last = run.bodies.iter().filter_map(|body| body.to).max().unwrap_or_default();
            let late = said.at.saturating_sub(last).as_micros() * 1_000;
            let delays = late / schedule.link.as_micros().max(1);
            latencies.push(u64::try_from(delays).unwrap_or(u64::MAX));
        }
    }
    latencies.sort_unstable();
    row.latency = latencies.get(latencies.len() / 2).copied().unwrap_or(u64::MAX);
    Ok(row)
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// It announced while work was open: what really happened decides, not what peers think.
    Early,
    /// It never announced.
    Never,
    /// It announced when all was done.
    Right,
}

impl Ending {
    /// The ending of a run.
    pub fn of(run: &Run) -> Self {
        match &run.announced {
            None => Self::Never,
            Some(said) if said.early.is_some() => Self::Early,
            Some(_) => Self::Right,
        }
    }
}

/// How many runs ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Too early.
    pub early: u64,
    /// Never.
    pub never: u64,
    /// Right.
    pub right: u64,
}

/// What goes wrong, once per run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    None,
    /// One control message is lost.
    Lost,
    /// One work message arrives twice.
    Doubled,
    /// A worker dies for good.
    Crash,
    /// A worker dies and begins again.
    Restart,
    /// The peer that began and collects dies for good.
    Initiator,
    /// All believe a peer dead for a while that is well.
    Suspicion,
}

impl Kind {
    /// All.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Lost,
        Self::Doubled,
        Self::Crash,
        Self::Restart,
        Self::Initiator,
        Self::Suspicion,
    ];

    /// What tables call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "no fault",
            Self::Lost => "control lost",
            Self::Doubled => "work doubled",
            Self::Crash => "worker dies",
            Self::Restart => "worker restarts",
            Self::Initiator => "initiator dies",
            Self::Suspicion => "false suspicion",
        }
    }

    /// The fault, while the run `clean` of the same seed was under way.
    fn draw(self, draw: Draw, schedule: &Schedule, clean: &Run) -> Option<Fault> {
        let said = clean.announced.as_ref();
        let (end, control) = said.map_or((ms(40), 1), |said| (said.at, said.control));
        let span = u64::try_from(end.saturating_sub(ACCEPTED).as_micros()).unwrap_or(0);
        let at = ACCEPTED + Duration::from_micros(draw.below("at", &[], span));
        let worker = 1 + draw.index("worker", &[], PEERS - 1);
        let noticed = ms(50);
        match self {
            Self::None => None,
            Self::Lost => Some(Fault::Lost { number: draw.below("lost", &[], control) }),
            Self::Doubled => {
                let sent = schedule.sent();
                let task = *sent.get(draw.index("doubled", &[], sent.len()))?;
                let later = Duration::from_micros(draw.below("later", &[], 40_000));
                Some(Fault::Doubled { task, later })
            }
            Self::Crash => Some(Fault::Crash { peer: worker, at, noticed }),
            Self::Restart => {
                let back = noticed + Duration::from_micros(draw.below("back", &[], 50_000));
                Some(Fault::Restart { peer: worker, at, noticed, back })
            }
            Self::Initiator => Some(Fault::Crash { peer: 0, at, noticed }),
            Self::Suspicion => {
                let span = ms(5) + Duration::from_micros(draw.below("span", &[], 60_000));
                Some(Fault::Suspicion { peer: worker, at, span })
            }
        }
    }
}

/// Five peers, 12 to 20 tasks below each other at random, links of 0.5 to 3 ms.
fn drawn(draw: Draw) -> Schedule {
    let us = |name, what: u64, least, bound| {
        Duration::from_micros(least + draw.below(name, &[what], bound))
    };
    let tasks = 12 + draw.below("tasks", &[], 9);
    let parents: Vec<usize> =
        (0..tasks).map(|number| draw.index("parent", &[number], number as usize + 1)).collect();
    let mut schedule = Schedule::below(PEERS, &parents);
    for (number, task) in schedule.tasks.iter_mut().enumerate() {
        let number = number as u64;
        task.length = us("length", number, 2_000, 18_000);
        task.on = if number == 0 { 0 } else { draw.index("on", &[number], PEERS) };
        for (at, child) in &mut task.spawns {
            *at = us("spawn", *child as u64, 0, 2_000);
        }
        task.spawns.sort_unstable();
    }
    let pairs = (0..PEERS).flat_map(|a| (a + 1..PEERS).map(move |b| (a, b)));
    schedule.slow =
        pairs.map(|(a, b)| (a, b, us("link", (a * PEERS + b) as u64, 500, 2_500))).collect();
    schedule.scan = us("scan", 0, 0, 40_000);
    schedule.again = ms(5);
    schedule
}

/// How many of `seeds` runs end how, for one algorithm under one kind of fault.
///
/// # Errors
/// A peer refused something.
pub fn endings(algorithm: Algorithm, kind: Kind, seeds: u64) -> Result<Tally, Error> {
    let mut tally = Tally::default();
    for seed in 0..seeds {
        let draw = Draw::new(seed);
        let schedule = drawn(draw);
        let clean = algorithm.play(&schedule, None)?;
        let run = match kind.draw(draw, &schedule, &clean) {
            None => clean,
            fault => algorithm.play(&schedule, fault)?,
        };
        match Ending::of(&run) {
            Ending::Early => tally.early += 1,
            Ending::Never => tally.never += 1,
            Ending::Right => tally.right += 1,
        }
    }
    Ok(tally)
}

/// [`endings`] of each algorithm under each kind of fault.
///
/// # Errors
/// A peer refused something.
pub fn fault_matrix(seeds: u64) -> Result<Vec<(Algorithm, Vec<Tally>)>, Error> {
    let row = |algorithm| {
        let tallies = Kind::ALL.iter().map(|kind| endings(algorithm, *kind, seeds));
        Ok((algorithm, tallies.collect::<Result<_, Error>>()?))
    };
    Algorithm::ALL.into_iter().map(row).collect()
}
