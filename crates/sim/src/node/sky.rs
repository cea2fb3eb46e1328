//! The weather: which faults of the network are on, and what follows from all of them together.

use core::time::Duration;
use std::collections::BTreeSet;

use formic_core::Time;

use super::{faults::Fault, world::World};
use crate::marks::Mark;

#[derive(Clone, Debug, Default)]
pub(super) struct Sky {
    /// Numbers of strikes that are on.
    on: BTreeSet<usize>,
    pub(super) loss: u64,
    pub(super) reorder: u64,
    /// How many in permille, and how late at most in microseconds.
    pub(super) late: (u64, u64),
    pub(super) half: u64,
    /// Since when nothing gets from one to the other.
    cut: Vec<Option<Time>>,
    peers: usize,
    /// The last moment at which any of it was on.
    pub(super) stormy: Option<Time>,
}

impl Sky {
    pub(super) fn new(peers: usize) -> Self {
        Self { cut: vec![None; peers * peers], peers, ..Self::default() }
    }

    pub(super) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut_since(from, to).is_some()
    }

    pub(super) fn cut_since(&self, from: usize, to: usize) -> Option<Time> {
        self.cut[from * self.peers + to]
    }

    pub(super) fn is_stormy(&self) -> bool {
        !self.on.is_empty()
    }
}

/// Who does not hear whom while this fault is on.
fn cuts(fault: &Fault) -> Vec<(usize, usize)> {
    let between = |from: &[usize], to: &[usize]| -> Vec<(usize, usize)> {
        from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to))).collect()
    };
    match fault {
        Fault::Partition { left, right, .. } => {
            [between(left, right), between(right, left)].concat()
        }
        Fault::OneWay { from, to, .. } => between(from, to),
        Fault::Flap { left, right, .. } => vec![(*left, *right), (*right, *left)],
        _ => vec![],
    }
}

impl World<'_> {
    /// A fault of the network begins or ends.
    pub(super) fn weather(&mut self, number: usize, begins: bool) {
        self.sky.stormy = Some(self.now);
        if begins {
            self.sky.on.insert(number);
        } else {
            self.sky.on.remove(&number);
        }
        self.recompute();
    }

    /// All of it ends.
    pub(super) fn clear_sky(&mut self) {
        self.sky.on.clear();
        self.recompute();
    }

    fn recompute(&mut self) {
        let faults = self.sky.on.iter().filter_map(|number| self.plan.faults.get(*number));
        let (mut loss, mut reorder, mut late, mut half) = (0, 0, (0, 0), 0);
        let mut cut = vec![false; self.sky.cut.len()];
        for strike in faults {
            match &strike.fault {
                Fault::Loss { permille, .. } => loss = loss.max(*permille),
                Fault::Reorder { permille, .. } => reorder = reorder.max(*permille),
                Fault::Late { permille, extra, .. } => {
                    late = late.max((*permille, micros(*extra)));
                }
                Fault::Half { permille, .. } => half = half.max(*permille),
                other => {
                    for (from, to) in cuts(other) {
                        cut[from * self.sky.peers + to] = from != to;
                    }
                }
            }
        }
        (self.sky.loss, self.sky.reorder, self.sky.late, self.sky.half) =
            (loss, reorder, late, half);
        for (index, cut) in cut.into_iter().enumerate() {
            let (from, to) = (index / self.sky.peers, index % self.sky.peers);
            self.set_cut((from, to), cut);
        }
    }

    fn set_cut(&mut self, (from, to): (usize, usize), cut: bool) {
        let index = from * self.sky.peers + to;
        // Peers of one process need no network.
        let shared = self.hosts[from].peer.process == self.hosts[to].peer.process;
        match (self.sky.cut[index].is_some(), cut && !shared) {
            (false, true) => {
                self.sky.cut[index] = Some(self.now);
                if self.truth.jobs.values().any(|job| job.truth.first_verdict.is_none()) {
                    self.reach(Mark::CutDuringJob);
                }
                for link in [self.links.of(from, to), self.links.of(to, from)] {
                    link.into_iter().for_each(|link| self.expect_silence(link));
                }
            }
            (true, false) => {
                self.sky.cut[index] = None;
                self.release(from, to);
            }
            _ => {}
        }
    }
}

pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
