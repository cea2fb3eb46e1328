//! The four-counter method: two waves over all counters, one after the other.
//!
//! F. Mattern, "Algorithms for distributed termination detection", Distributed Computing 2 (1987).

use formic_completion::Error;
use formic_core::Time;

use super::{Act, Detector, Happened, Schedule};

/// What its peers say to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Execute this task.
    Work {
        /// Which.
        task: usize,
    },
    /// How much work have you sent and received? Answered when the peer is passive.
    Ask {
        /// Number of the wave.
        wave: u64,
    },
    /// Answer to `Ask`.
    Answer {
        /// Number of the wave.
        wave: u64,
        /// Work messages sent.
        sent: u64,
        /// Work messages received.
        received: u64,
    },
}

#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    running: usize,
    sent: u64,
    received: u64,
    /// A wave that waits here until the peer is passive.
    asked: Option<u64>,
}

/// The wave that peer 0 is collecting, and the sums of the one before.
#[derive(Clone, Copy, Debug, Default)]
struct Wave {
    number: u64,
    answers: usize,
    sent: u64,
    received: u64,
    /// Work received according to the wave before.
    before: Option<u64>,
}

/// Two counters for each peer; peer 0 asks all of them, wave after wave.
#[derive(Clone, Debug)]
pub struct FourCounter<'a> {
    schedule: &'a Schedule,
    peers: Vec<Peer>,
    wave: Wave,
    /// When the next wave begins.
    next: Option<Time>,
    announced: bool,
}

impl<'a> FourCounter<'a> {
    /// All peers, passive. The first wave begins when peer 0 has become passive.
    pub fn new(schedule: &'a Schedule) -> Self {
        let peers = vec![Peer::default(); schedule.peers];
        Self { schedule, peers, wave: Wave::default(), next: None, announced: false }
    }

    fn begin(&mut self, now: Time, out: &mut Vec<Act<Count>>) {
        let wave = self.wave.number + 1;
        let before = (self.wave.number > 0).then_some(self.wave.received);
        self.wave = Wave { number: wave, before, ..Wave::default() };
        self.next = None;
        let asks = (1..self.peers.len()).map(|to| Act::Send { to, message: Count::Ask { wave } });
        out.extend(asks);
        self.peers[0].asked = Some(wave);
        self.answer(now, 0, out);
    }

    /// A passive peer answers the wave that waits for it.
    fn answer(&mut self, now: Time, peer: usize, out: &mut Vec<Act<Count>>) {
        let state = &mut self.peers[peer];
        let Some(wave) = state.asked.filter(|_| state.running == 0) else { return };
        state.asked = None;
        let Peer { sent, received, .. } = *state;
        if peer == 0 {
            self.collect(now, (wave, sent, received), out);
        } else {
            out.push(Act::Send { to: 0, message: Count::Answer { wave, sent, received } });
        }
    }

    fn collect(
        &mut self,
        now: Time,
        (wave, sent, received): (u64, u64, u64),
        out: &mut Vec<Act<Count>>,
    ) {
        if wave != self.wave.number || self.announced {
            return;
        }
        self.wave.answers += 1;
        self.wave.sent += sent;
        self.wave.received += received;
        if self.wave.answers < self.peers.len() {
            return;
        }
        if self.wave.before == Some(self.wave.sent) {
            self.announced = true;
            out.push(Act::Announce);
        } else if self.wave.sent == self.wave.received {
            self.begin(now, out); // The second wave of the pair.
        } else {
            self.next = Some(now + self.schedule.again);
        }
    }
}

impl Detector for FourCounter<'_> {
    type Message = Count;

    fn on(
        &mut self,
        now: Time,
        peer: usize,
        what: Happened<Count>,
        out: &mut Vec<Act<Count>>,
    ) -> Result<(), Error> {
        let state = &mut self.peers[peer];
        match what {
            Happened::Start if peer == 0 => {
                state.running += 1;
                out.push(Act::Execute { task: 0 });
            }
            Happened::Message { message: Count::Work { task }, .. } => {
                state.received += 1;
                state.running += 1;
                out.push(Act::Execute { task });
            }
            Happened::Message { message: Count::Ask { wave }, .. } => {
                state.asked = Some(wave);
                self.answer(now, peer, out);
            }
            Happened::Message { message: Count::Answer { wave, sent, received }, .. } => {
                self.collect(now, (wave, sent, received), out);
            }
            Happened::Spawned { child, .. } if self.schedule.place(child) == peer => {
                state.running += 1;
                out.push(Act::Execute { task: child });
            }
            Happened::Spawned { child, .. } => {
                state.sent += 1;
                let message = Count::Work { task: child };
                out.push(Act::Send { to: self.schedule.place(child), message });
            }
            Happened::Ended { .. } => {
                state.running -= 1;
                if peer == 0 && state.running == 0 && self.wave.number == 0 {
                    self.begin(now, out);
                } else {
                    self.answer(now, peer, out);
                }
            }
            Happened::Deadline => self.begin(now, out),
            Happened::Restarted => {
                *state = Peer::default();
                if peer == 0 {
                    (self.wave, self.next) = (Wave::default(), None);
                }
            }
            Happened::Start | Happened::Down { .. } | Happened::Up { .. } => {}
        }
        Ok(())
    }

    fn deadline(&self, peer: usize) -> Option<Time> {
        self.next.filter(|_| peer == 0)
    }

    fn work(&self, message: &Count) -> Option<usize> {
        match message {
            Count::Work { task } => Some(*task),
            _ => None,
        }
    }

    fn words(&self, message: &Count) -> Option<String> {
        Some(match message {
            Count::Work { task } => format!("run {}", self.schedule.name(*task)),
            Count::Ask { wave } => format!("wave {wave}: what have you sent and received?"),
            Count::Answer { sent, received, .. } => format!("sent {sent}, received {received}"),
        })
    }
}
