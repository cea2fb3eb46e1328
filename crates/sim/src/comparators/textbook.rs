//! Dijkstra-Scholten as in the textbook: counters and signals.
//!
//! E. W. Dijkstra, C. S. Scholten, "Termination detection for diffusing computations", 1980.

use formic_completion::Error;
use formic_core::Time;

use super::{Act, Detector, Happened, Schedule};

/// What its peers say to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Execute this task.
    Work {
        /// Which.
        task: usize,
    },
    /// One of the messages you sent me is settled.
    Ack,
}

#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    running: usize,
    /// Work it sent that is not settled.
    deficit: usize,
    /// Who engaged it. Peer 0 is engaged by nobody and never asks.
    parent: Option<usize>,
}

/// One counter and one parent for each peer.
#[derive(Clone, Debug)]
pub struct Textbook<'a> {
    schedule: &'a Schedule,
    peers: Vec<Peer>,
    announced: bool,
}

impl<'a> Textbook<'a> {
    /// All peers, idle and disengaged.
    pub fn new(schedule: &'a Schedule) -> Self {
        Self { schedule, peers: vec![Peer::default(); schedule.peers], announced: false }
    }

    /// An idle peer without deficit leaves the tree; the root announces.
    fn settle(&mut self, peer: usize, out: &mut Vec<Act<Signal>>) {
        let state = &mut self.peers[peer];
        if state.running > 0 || state.deficit > 0 {
            return;
        }
        if let Some(to) = state.parent.take() {
            out.push(Act::Send { to, message: Signal::Ack });
        } else if peer == 0 && !self.announced {
            self.announced = true;
            out.push(Act::Announce);
        }
    }

    fn on_signal(&mut self, peer: usize, from: usize, signal: Signal, out: &mut Vec<Act<Signal>>) {
        let state = &mut self.peers[peer];
        match signal {
            Signal::Work { task } => {
                state.running += 1;
                if peer == 0 || state.parent.is_some() {
                    out.push(Act::Send { to: from, message: Signal::Ack });
                } else {
                    state.parent = Some(from);
                }
                out.push(Act::Execute { task });
            }
            Signal::Ack => {
                // Only a fault settles more than was sent; the book has no answer to that.
                state.deficit = state.deficit.saturating_sub(1);
                self.settle(peer, out);
            }
        }
    }
}

impl Detector for Textbook<'_> {
    type Message = Signal;

    fn on(
        &mut self,
        _now: Time,
        peer: usize,
        what: Happened<Signal>,
        out: &mut Vec<Act<Signal>>,
    ) -> Result<(), Error> {
        match what {
            Happened::Start if peer == 0 => {
                self.peers[0].running += 1;
                out.push(Act::Execute { task: 0 });
            }
            Happened::Message { from, message } => self.on_signal(peer, from, message, out),
            Happened::Spawned { child, .. } if self.schedule.place(child) == peer => {
                self.peers[peer].running += 1;
                out.push(Act::Execute { task: child });
            }
            Happened::Spawned { child, .. } => {
                self.peers[peer].deficit += 1;
                let message = Signal::Work { task: child };
                out.push(Act::Send { to: self.schedule.place(child), message });
            }
            Happened::Ended { .. } => {
                self.peers[peer].running -= 1;
                self.settle(peer, out);
            }
            Happened::Restarted => self.peers[peer] = Peer::default(),
            Happened::Start | Happened::Down { .. } | Happened::Up { .. } | Happened::Deadline => {}
        }
        Ok(())
    }

    fn deadline(&self, _peer: usize) -> Option<Time> {
        None
    }

    fn work(&self, message: &Signal) -> Option<usize> {
        match message {
            Signal::Work { task } => Some(*task),
            Signal::Ack => None,
        }
    }

    fn words(&self, message: &Signal) -> Option<String> {
        Some(match message {
            Signal::Work { task } => format!("run {}", self.schedule.name(*task)),
            Signal::Ack => "settled".to_owned(),
        })
    }
}
