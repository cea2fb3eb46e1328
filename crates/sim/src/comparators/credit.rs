//! Credit recovery: work carries a share of one credit, passive peers give it back.
//!
//! F. Mattern, "Global quiescence detection based on credit distribution and recovery", IPL 30 (1989).

use std::collections::BTreeSet;

use formic_completion::Error;
use formic_core::Time;

use super::{Act, Detector, Happened, Schedule};

/// An exact sum of powers of one half; each exponent at most once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share(BTreeSet<i32>);

impl Share {
    /// One.
    pub(super) fn whole() -> Self {
        Self(BTreeSet::from([0]))
    }

    /// Adds a share; two equal powers make the next larger one, also above one.
    pub(super) fn add(&mut self, other: Self) {
        for mut exponent in other.0 {
            while self.0.remove(&exponent) {
                exponent -= 1;
            }
            self.0.insert(exponent);
        }
    }

    /// Gives part of it away and keeps the rest: the smallest power is halved.
    pub(super) fn split(&mut self) -> Self {
        let Some(smallest) = self.0.pop_last() else { return Self::default() };
        self.0.insert(smallest + 1);
        Self(BTreeSet::from([smallest + 1]))
    }
}

/// What its peers say to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credit {
    /// Execute this task.
    Work {
        /// Which.
        task: usize,
        /// What it brings along.
        share: Share,
    },
    /// A passive peer gives back what it had.
    Back {
        /// All of it.
        share: Share,
    },
}

#[derive(Clone, Debug, Default)]
struct Peer {
    running: usize,
    share: Share,
}

/// A share for each peer that is active, and peer 0's account of what came back.
#[derive(Clone, Debug)]
pub struct Recovery<'a> {
    schedule: &'a Schedule,
    peers: Vec<Peer>,
    back: Share,
    announced: bool,
}

impl<'a> Recovery<'a> {
    /// All peers, passive; peer 0 has the whole credit.
    pub fn new(schedule: &'a Schedule) -> Self {
        let peers = vec![Peer::default(); schedule.peers];
        Self { schedule, peers, back: Share::default(), announced: false }
    }

    /// A passive peer keeps nothing.
    fn give_back(&mut self, peer: usize, out: &mut Vec<Act<Credit>>) {
        if self.peers[peer].running > 0 {
            return;
        }
        let share = core::mem::take(&mut self.peers[peer].share);
        if peer == 0 {
            self.recover(share, out);
        } else {
            out.push(Act::Send { to: 0, message: Credit::Back { share } });
        }
    }

    fn recover(&mut self, share: Share, out: &mut Vec<Act<Credit>>) {
        self.back.add(share);
        if self.back == Share::whole() && !core::mem::replace(&mut self.announced, true) {
            out.push(Act::Announce);
        }
    }
}

impl Detector for Recovery<'_> {
    type Message = Credit;

    fn on(
        &mut self,
        _now: Time,
        peer: usize,
        what: Happened<Credit>,
        out: &mut Vec<Act<Credit>>,
    ) -> Result<(), Error> {
        let state = &mut self.peers[peer];
        match what {
            Happened::Start if peer == 0 => {
                state.running += 1;
                state.share = Share::whole();
                out.push(Act::Execute { task: 0 });
            }
            Happened::Message { message: Credit::Work { task, share }, .. } => {
                state.running += 1;
                state.share.add(share);
                out.push(Act::Execute { task });
            }
            Happened::Message { message: Credit::Back { share }, .. } => self.recover(share, out),
            Happened::Spawned { child, .. } if self.schedule.place(child) == peer => {
                state.running += 1;
                out.push(Act::Execute { task: child });
            }
            Happened::Spawned { child, .. } => {
                let message = Credit::Work { task: child, share: state.share.split() };
                out.push(Act::Send { to: self.schedule.place(child), message });
            }
            Happened::Ended { .. } => {
                state.running -= 1;
                self.give_back(peer, out);
            }
            Happened::Restarted => {
                *state = Peer::default();
                if peer == 0 {
                    self.back = Share::default();
                }
            }
            Happened::Start | Happened::Down { .. } | Happened::Up { .. } | Happened::Deadline => {}
        }
        Ok(())
    }

    fn deadline(&self, _peer: usize) -> Option<Time> {
        None
    }

    fn work(&self, message: &Credit) -> Option<usize> {
        match message {
            Credit::Work { task, .. } => Some(*task),
            Credit::Back { .. } => None,
        }
    }

    fn words(&self, message: &Credit) -> Option<String> {
        Some(match message {
            Credit::Work { task, .. } => format!("run {}", self.schedule.name(*task)),
            Credit::Back { share } => format!("credit back, {} parts", share.0.len()),
        })
    }
}
