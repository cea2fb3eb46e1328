//! Draws plans: each seed has its own kinds of faults, and its own hardness of each.

use core::time::Duration;

use formic_core::Time;

use super::{
    faults::{Disk, Fault},
    plan::{Job, Kinds, Peer, Plan, Strike, When},
};
use crate::{
    Draw,
    completion::plan::{Shape, Workload},
    marks::Mark,
};

/// Narrow windows: what may be waited for.
const WINDOWS: [Mark; 8] = [
    Mark::Complete,
    Mark::Complete,
    Mark::Accepted,
    Mark::TookOver,
    Mark::Respawned,
    Mark::FalseDown,
    Mark::RestoredOpen,
    Mark::LateJoin,
];

/// The peers that late ones ask first. The first of them founded the mesh and always comes back.
const SEEDS: usize = 3;
/// Faults start in here, in microseconds.
const FIRST: u64 = 300_000;

pub(super) struct Swarm<'a> {
    draw: Draw,
    kinds: &'a Kinds,
    is_faulty: bool,
    seed: u64,
    peers: usize,
    processes: Vec<usize>,
    faults: Vec<Strike>,
    horizon: u64,
}

const fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}

impl<'a> Swarm<'a> {
    pub(super) fn new(seed: u64, kinds: &'a Kinds) -> Self {
        let draw = Draw::new(seed);
        let pick = |name: &str, bound: u64| draw.below(name, &[], bound);
        let peers = match pick("node-size", 100) {
            0..=3 => 1 + pick("node-peers", 2),
            4..=9 => 13 + pick("node-peers", 8),
            10..=29 => 9 + pick("node-peers", 4),
            _ => 3 + pick("node-peers", 6),
        };
        let peers = usize::try_from(peers).unwrap_or(3);
        let grouped = draw.chance("node-grouped", &[], 250);
        let process = |peer: usize| if grouped { peer / 2 } else { peer };
        let processes = (0..peers).map(process).collect();
        let is_faulty = pick("node-faulty", 20) > 0;
        let horizon = 2_500_000 + pick("node-horizon", 3_500_000);
        Self { draw, kinds, is_faulty, seed, peers, processes, faults: vec![], horizon }
    }

    pub(super) fn plan(mut self) -> Plan {
        let draw = self.draw;
        if self.is_faulty {
            self.draw_deaths();
            self.draw_stalls();
            self.draw_weather();
            self.draw_cuts();
            self.draw_people();
        }
        let peers = (0..self.peers).map(|peer| self.peer(peer)).collect();
        let jobs = self.jobs();
        let end = |strike: &Strike| match strike.when {
            When::At(at) => at + strike.fault.span(),
            // What waits for a mark has the whole horizon, and then its own time.
            When::Mark(_, after) => Time::from_us(self.horizon) + after + strike.fault.span(),
        };
        let last = self.faults.iter().map(end).max().unwrap_or(Time::ZERO);
        let far = draw.chance("node-far", &[], 200);
        let held = draw.chance("node-held", &[], 150);
        Plan {
            seed: self.seed,
            delay: if far { 10_000 } else { 300 },
            jitter: if far { 20_000 } else { 1_000 },
            held_max: if held { 3 } else { 10_000 },
            peers,
            jobs,
            calm: last.max(Time::from_us(2_500_000)) + us(200_000),
            faults: self.faults,
        }
    }

    fn peer(&self, peer: usize) -> Peer {
        let what = [peer as u64];
        let late = peer >= SEEDS && self.draw.chance("node-late", &what, 100);
        let most = if late { 4_000_000 } else { 150_000 };
        let start = if peer == 0 { 0 } else { self.draw.below("node-start", &what, most) };
        let slots = 1 + u32::try_from(self.draw.below("node-slots", &what, 4)).unwrap_or(0);
        let process = self.processes[peer];
        // Peers of one process start together.
        let start = self.processes.iter().position(|other| *other == process).map_or(start, |it| {
            if it == peer { start } else { self.draw.below("node-start", &[it as u64], 150_000) }
        });
        Peer { start: Some(Time::from_us(start)), slots, process }
    }

    fn jobs(&self) -> Vec<Job> {
        let count = 1 + self.draw.below("node-jobs", &[], 3);
        let job = |number: u64| {
            let early = self.draw.chance("node-early", &[number], 50);
            let at = self.draw.below("node-submit", &[number], 2_000_000);
            Job {
                at: Time::from_us(if early { at / 20 } else { 700_000 + at }),
                peer: self.draw.index("node-host", &[number], self.peers),
                work: workload(self.draw, number),
            }
        };
        (0..count).map(job).collect()
    }

    /// How often a kind strikes: `0` unless the seed drew it.
    fn hardness(&self, kind: &'static str, bound: u64) -> u64 {
        if !self.kinds.has(kind) || !self.draw.chance("node-kind", &[key(kind)], 300) {
            return 0;
        }
        1 + self.draw.below("node-hardness", &[key(kind)], bound)
    }

    fn any(&self, kind: &'static str, what: &[u64]) -> usize {
        self.draw.index("node-who", &[&[key(kind)], what].concat(), self.peers)
    }

    fn span(&self, kind: &'static str, number: u64, most: u64) -> Duration {
        us(1_000 + self.draw.below("node-span", &[key(kind), number], most))
    }

    fn strike(&mut self, number: u64, fault: Fault) {
        let what = [key(fault.kind()), number];
        let span = u64::try_from(fault.span().as_micros()).unwrap_or(0);
        let room = self.horizon.saturating_sub(FIRST);
        let waits = span < 1_500_000 && self.draw.chance("node-waits", &what, 200);
        let when = if waits {
            let mark = WINDOWS[self.draw.index("node-window", &what, WINDOWS.len())];
            When::Mark(mark, us(self.draw.below("node-after", &what, 3_000)))
        } else {
            When::At(Time::from_us(FIRST + self.draw.below("node-at", &what, room)))
        };
        self.faults.push(Strike { when, fault });
    }

    /// Whether the founder is in the process of this peer: it must come back with its disk.
    fn is_founder(&self, peer: usize) -> bool {
        self.processes[peer] == self.processes[0]
    }

    fn back(&self, kind: &'static str, number: u64, peer: usize) -> Option<(Duration, Disk)> {
        let what = [key(kind), number];
        let long = self.draw.chance("node-long-gone", &what, 200);
        let most = if long { 6_000_000 } else { 1_200_000 };
        let after = us(1_000 + self.draw.below("node-back", &what, most));
        let disk = if self.draw.chance("node-disk", &what, 650) { Disk::Kept } else { Disk::Lost };
        match (self.is_founder(peer), self.draw.chance("node-returns", &what, 650)) {
            (true, _) => Some((after, Disk::Kept)),
            (false, true) => Some((after, disk)),
            (false, false) => None,
        }
    }

    fn draw_deaths(&mut self) {
        for number in 0..self.hardness("crash", 5) {
            let peer = self.any("crash", &[number]);
            let back = self.back("crash", number, peer);
            self.strike(number, Fault::Crash { peer, back });
        }
        for number in 0..self.hardness("crashall", 2) {
            let all = self.draw.chance("node-everybody", &[number], 200);
            let one = |peer: &usize| {
                all || self.draw.chance("node-crashall", &[number, *peer as u64], 400)
            };
            let peers: Vec<usize> = (0..self.peers).filter(one).collect();
            let founder = peers.iter().copied().find(|peer| self.is_founder(*peer));
            let back = self.back("crashall", number, founder.unwrap_or(self.peers - 1));
            if !peers.is_empty() {
                self.strike(number, Fault::CrashAll { peers, back });
            }
        }
        for number in 0..self.hardness("drop", 3) {
            let peer = self.any("drop", &[number]);
            let back = self.back("drop", number, peer);
            self.strike(number, Fault::Drop { peer, back });
        }
    }

    fn draw_stalls(&mut self) {
        for number in 0..self.hardness("freeze", 6) {
            let peer = self.any("freeze", &[number]);
            let long = self.draw.chance("node-long-freeze", &[number], 400);
            let span = self.span("freeze", number, if long { 5_000_000 } else { 500_000 });
            self.strike(number, Fault::Freeze { peer, span });
        }
        for number in 0..self.hardness("skew", 4) {
            let peer = self.any("skew", &[number]);
            let rate = i64::try_from(self.draw.below("node-rate", &[number], 40_001)).unwrap_or(0);
            let (when, rate) = (When::At(Time::from_us(1_000)), rate - 20_000);
            self.faults.push(Strike { when, fault: Fault::Skew { peer, rate } });
        }
    }

    fn draw_weather(&mut self) {
        let permille = |draw: Draw, kind: &'static str, number: u64, most: u64| {
            1 + draw.below("node-permille", &[key(kind), number], most)
        };
        for number in 0..self.hardness("loss", 3) {
            // A burst is short and hard.
            let burst = self.draw.chance("node-burst", &[number], 400);
            let span = self.span("loss", number, if burst { 300_000 } else { 4_000_000 });
            let permille = permille(self.draw, "loss", number, if burst { 1_000 } else { 250 });
            self.strike(number, Fault::Loss { permille, span });
        }
        for number in 0..self.hardness("reorder", 2) {
            let span = self.span("reorder", number, 3_000_000);
            let permille = permille(self.draw, "reorder", number, 300);
            self.strike(number, Fault::Reorder { permille, span });
        }
        for number in 0..self.hardness("late", 3) {
            let span = self.span("late", number, 2_000_000);
            let extra = us(1_000 + self.draw.below("node-extra", &[number], 800_000));
            let permille = permille(self.draw, "late", number, 200);
            self.strike(number, Fault::Late { permille, extra, span });
        }
        for number in 0..self.hardness("half", 2) {
            let span = self.span("half", number, 3_000_000);
            let permille = permille(self.draw, "half", number, 500);
            // Links come up early and after other faults.
            let at = Time::from_us(self.draw.below("node-half", &[number], 2_000_000));
            let fault = Fault::Half { permille, span };
            self.faults.push(Strike { when: When::At(at), fault });
        }
    }

    fn draw_cuts(&mut self) {
        for number in 0..self.hardness("partition", 2) {
            let bridge = self.draw.chance("node-bridge", &[number], 250);
            let (left, right) = self.sides(number, usize::from(bridge));
            let span = self.span("partition", number, 5_000_000);
            self.strike(number, Fault::Partition { left, right, span });
        }
        for number in 0..self.hardness("oneway", 2) {
            let (from, to) = self.sides(number + 100, 0);
            let span = self.span("oneway", number, 4_000_000);
            self.strike(number, Fault::OneWay { from, to, span });
        }
        for number in 0..self.hardness("flap", 3) {
            let (left, right) = (self.any("flap", &[number, 0]), self.any("flap", &[number, 1]));
            let every = us(20_000 + self.draw.below("node-every", &[number], 600_000));
            let span = self.span("flap", number, 4_000_000);
            if left != right {
                self.strike(number, Fault::Flap { left, right, every, span });
            }
        }
        for number in 0..self.hardness("reset", 5) {
            let (left, right) = (self.any("reset", &[number, 0]), self.any("reset", &[number, 1]));
            if left != right {
                self.strike(number, Fault::Reset { left, right });
            }
        }
    }

    /// Two sides in a drawn order: halves, six and four, or any.
    fn sides(&self, number: u64, neither: usize) -> (Vec<usize>, Vec<usize>) {
        let mut order: Vec<usize> = (0..self.peers).collect();
        order.sort_by_key(|peer| self.draw.bits("node-side", &[number, *peer as u64]));
        order.truncate(self.peers.saturating_sub(neither));
        let count = order.len();
        let left = match self.draw.below("node-sides", &[number], 4) {
            0 => count / 2,
            1 => (count * 3).div_ceil(5),
            2 => 1.min(count),
            _ => self.draw.index("node-left", &[number], count + 1),
        };
        let mut right = order.split_off(left.min(count));
        order.sort_unstable();
        right.sort_unstable();
        (order, right)
    }

    fn draw_people(&mut self) {
        for number in 0..self.hardness("leave", 2) {
            let peer = self.any("leave", &[number]);
            if peer >= SEEDS.min(self.peers - 1) && peer > 0 {
                self.strike(number, Fault::Leave { peer });
            }
        }
        let jobs = 1 + self.draw.below("node-jobs", &[], 3);
        for number in 0..self.hardness("people", 2) {
            let job = self.draw.index("node-which", &[number], usize::try_from(jobs).unwrap_or(1));
            let peer = self.any("people", &[number]);
            let again = self.draw.chance("node-again", &[number], 500);
            let fault =
                if again { Fault::Again { job, peer } } else { Fault::Cancel { job, peer } };
            self.strike(number, fault);
        }
    }
}

/// A kind as part of a draw's identity.
fn key(kind: &str) -> u64 {
    kind.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(131).wrapping_add(u64::from(byte)))
}

/// About 5 to 60 tasks.
fn workload(draw: Draw, job: u64) -> Workload {
    let pick = |name: &str, bound: u64| draw.below(name, &[job], bound);
    let shape = match pick("node-shape", 4) {
        0 => Shape::Chain,
        1 => Shape::Flat,
        _ => Shape::Tree,
    };
    let width = match shape {
        Shape::Tree => 2 + pick("node-width", 6),
        Shape::Chain => 4 + pick("node-width", 16),
        Shape::Flat => 4 + pick("node-width", 50),
    };
    Workload {
        shape,
        width,
        depth: 1 + pick("node-depth", 3),
        tails: [0, 0, 300, 1_000][draw.index("node-tails", &[job], 4)],
        joins: [0, 300, 1_000][draw.index("node-joins", &[job], 3)],
        moody: [0, 0, 200][draw.index("node-moody", &[job], 3)],
        exclusive: [0, 0, 100, 500][draw.index("node-exclusive", &[job], 4)],
        body: us(1_000 << pick("node-body", 8)),
    }
}
