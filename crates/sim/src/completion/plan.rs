//! What a seed decides before time starts.

use core::time::Duration;

use formic_core::Time;

use crate::Draw;

/// What the tree of tasks looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A few children each, fewer the deeper.
    Tree,
    /// One child each.
    Chain,
    /// The root has them all.
    Flat,
}

/// How the work looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The tree.
    pub shape: Shape,
    /// How many children the root has, or how long the chain is.
    pub width: u64,
    /// How deep a tree may grow.
    pub depth: u64,
    /// Tails among spawns, in permille.
    pub tails: u64,
    /// Bodies that wait for their children, in permille.
    pub joins: u64,
    /// Bodies that spawn something else when run again, in permille.
    pub moody: u64,
    /// Exclusive tasks among children, in permille; they spawn nothing. Only in the world of whole nodes.
    pub exclusive: u64,
    /// The usual length of a body.
    pub body: Duration,
}

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A peer dies, in the middle of an input, after so many of its effects.
    Crash {
        /// Who.
        peer: usize,
        /// When it comes back.
        back: Option<Duration>,
        /// Whether its disk survives.
        disk: bool,
    },
    /// One peer believes another dead for a while.
    Suspect {
        /// Who believes.
        observer: usize,
        /// What.
        target: usize,
        /// How long.
        span: Duration,
    },
    /// A peer stands still and is believed dead meanwhile.
    Freeze {
        /// Who.
        peer: usize,
        /// How long.
        span: Duration,
    },
}

/// A seed's decisions.
#[derive(Clone, Debug)]
pub struct Plan {
    /// All peers.
    pub peers: usize,
    /// Home is the first of them.
    pub home: usize,
    /// When each peer starts.
    pub start: Vec<Time>,
    /// The work.
    pub workload: Workload,
    /// Lost messages, in permille.
    pub loss: u64,
    /// Doubled messages, in permille.
    pub doubled: u64,
    /// Late messages, in permille.
    pub late: u64,
    /// Placements that move, in permille.
    pub moved: u64,
    /// What goes wrong, when.
    pub faults: Vec<(Time, Fault)>,
    /// The number of a crash that strikes so long after its peer says `Complete`, not at its time.
    pub at_complete: Option<(usize, Duration)>,
    /// When somebody cancels.
    pub cancel: Option<Time>,
    /// When all faults are over.
    pub calm: Time,
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Plan {
    /// The plan of a seed. One in twenty has no faults at all.
    pub fn of(seed: u64) -> Self {
        let draw = Draw::new(seed);
        let pick = |name: &str, bound: u64| draw.below(name, &[], bound);
        let peers = match pick("size", 100) {
            0 => 100 + pick("peers", 100),
            1..=14 => 11 + pick("peers", 30),
            _ => 1 + pick("peers", 10),
        };
        let peers = usize::try_from(peers).unwrap_or(3);
        let faulty = pick("faulty", 20) > 0;
        let some = |name: &str, bound: u64| {
            if faulty && draw.chance(name, &[1], 500) { draw.below(name, &[2], bound) } else { 0 }
        };
        let home = match peers.min(7) {
            even @ (4 | 6) => even - 1,
            odd => odd,
        };
        let late_start = |peer: usize| {
            let late = peer >= home && draw.chance("late-start", &[peer as u64], 150);
            let at = draw.below("start", &[peer as u64], if late { 2_500_000 } else { 1_000 });
            Time::from_us(if peer == 0 { 0 } else { at })
        };
        let mut plan = Self {
            peers,
            home,
            start: (0..peers).map(late_start).collect(),
            workload: workload(draw),
            loss: some("loss", 300),
            doubled: some("doubled", 300),
            late: some("late", 300),
            moved: some("moved", 200),
            faults: vec![],
            at_complete: None,
            cancel: (pick("cancel", 40) == 0).then(|| Time::from_us(pick("cancel-at", 2_000_000))),
            calm: Time::from_us(3_000_000),
        };
        if faulty {
            plan.draw_crashes(draw, some("crash", 600));
            plan.draw_suspicions(draw, some("suspect", 6));
        }
        let last = plan.faults.iter().map(|(at, _)| *at).max().unwrap_or(Time::ZERO);
        plan.calm = plan.calm.max(last + ms(5_000));
        plan
    }

    /// A quorum of home peers survives with its disk, or comes back with it.
    fn draw_crashes(&mut self, draw: Draw, permille: u64) {
        let mut spare = if self.home == 2 { 0 } else { (self.home - 1) / 2 };
        for (peer, round) in (0..self.peers).flat_map(|peer| [(peer, 0), (peer, 1)]) {
            if draw.chance("crashes", &[peer as u64, round], permille / (round + 1)) {
                self.draw_crash(draw, (peer, round), &mut spare);
            }
        }
        // One more strikes rank 0 when it completes.
        if permille > 0 && draw.chance("completer", &[], 300) {
            let after = Duration::from_micros(draw.below("completer-after", &[], 5_000));
            self.at_complete = Some((self.faults.len(), after));
            self.draw_crash(draw, (0, 2), &mut spare);
        }
    }

    fn draw_crash(&mut self, draw: Draw, (peer, round): (usize, u64), spare: &mut usize) {
        let what = [peer as u64, round];
        let span = 1_000_000 << draw.below("crash-span", &what, 2);
        let at = Time::from_us(draw.below("crash-at", &what, span));
        let back = ms(draw.below("back", &what, 1_500));
        let mut back = draw.chance("returns", &what, 600).then_some(back);
        let mut disk = draw.chance("disk", &what, 500);
        let lost = peer < self.home && !(back.is_some() && disk);
        if lost && *spare > 0 && !(self.home == 2 && peer == 0) {
            *spare -= 1;
        } else if lost {
            back = Some(back.unwrap_or(ms(700)));
            disk = true;
        }
        self.faults.push((at, Fault::Crash { peer, back, disk }));
    }

    fn draw_suspicions(&mut self, draw: Draw, count: u64) {
        for number in 0..count {
            let at = Time::from_us(draw.below("suspect-at", &[number], 2_500_000));
            let span = ms(30 + draw.below("suspect-span", &[number], 2_000));
            let observer = draw.index("observer", &[number], self.peers);
            let target = draw.index("target", &[number], self.peers);
            let fault = if draw.chance("freezes", &[number], 300) {
                Fault::Freeze { peer: target, span }
            } else {
                Fault::Suspect { observer, target, span }
            };
            self.faults.push((at, fault));
        }
    }
}

fn workload(draw: Draw) -> Workload {
    let pick = |name: &str, bound: u64| draw.below(name, &[], bound);
    let shape = match pick("shape", 4) {
        0 => Shape::Chain,
        1 => Shape::Flat,
        _ => Shape::Tree,
    };
    let tails = [0, 0, 300, 1_000][draw.index("tails", &[], 4)];
    Workload {
        shape,
        width: 1 + pick("width", if shape == Shape::Tree { 6 } else { 40 }),
        depth: 1 + pick("depth", 4),
        tails,
        joins: [0, 300, 1_000][draw.index("joins", &[], 3)],
        moody: [0, 0, 200][draw.index("moody", &[], 3)],
        exclusive: 0,
        body: Duration::from_micros(500 << pick("body", 9)),
    }
}
