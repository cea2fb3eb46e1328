//! The naive detector: all peers idle and all acks in, read one peer after the other.

use formic_completion::Error;
use formic_core::Time;

use super::{Act, Detector, Happened, Schedule};

/// What its peers say to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Execute this task.
    Work {
        /// Which.
        task: usize,
    },
    /// Work was delivered.
    Ack,
    /// Are you idle, and are all your acks in?
    Ask,
    /// Answer to `Ask`, true when it was written.
    Answer {
        /// Bodies that run there.
        running: usize,
        /// Work it sent that was not acked.
        owed: usize,
    },
}

/// One peer: idle flag and deficit.
#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    running: usize,
    owed: usize,
}

impl Peer {
    const fn quiet(self) -> bool {
        self.running == 0 && self.owed == 0
    }
}

/// Peer 0 asks one peer after the other; if nobody was busy, all is done.
#[derive(Clone, Debug)]
pub struct Naive<'a> {
    schedule: &'a Schedule,
    peers: Vec<Peer>,
    /// When the next scan begins.
    scan: Option<Time>,
}

impl<'a> Naive<'a> {
    /// All peers, idle.
    pub fn new(schedule: &'a Schedule) -> Self {
        Self { schedule, peers: vec![Peer::default(); schedule.peers], scan: None }
    }

    /// The scan has found all peers before `next` quiet.
    fn scan_on(&mut self, now: Time, next: usize, out: &mut Vec<Act<Word>>) {
        self.scan = None;
        if next == 0 && !self.peers[0].quiet() {
            self.scan = Some(now + self.schedule.again);
        } else if next.max(1) < self.peers.len() {
            if next == 0 {
                out.push(Act::Say { text: "reads itself: idle, all acks in" });
            }
            out.push(Act::Send { to: next.max(1), message: Word::Ask });
        } else {
            out.push(Act::Announce);
        }
    }

    fn on_word(&mut self, now: Time, peer: usize, from: usize, word: Word) -> Vec<Act<Word>> {
        let mut out = vec![];
        match word {
            Word::Work { task } => {
                self.peers[peer].running += 1;
                out.push(Act::Send { to: from, message: Word::Ack });
                out.push(Act::Execute { task });
            }
            Word::Ack => self.peers[peer].owed = self.peers[peer].owed.saturating_sub(1),
            Word::Ask => {
                let Peer { running, owed } = self.peers[peer];
                out.push(Act::Send { to: from, message: Word::Answer { running, owed } });
            }
            Word::Answer { running, owed } if (Peer { running, owed }).quiet() => {
                self.scan_on(now, from + 1, &mut out);
            }
            Word::Answer { .. } => self.scan = Some(now + self.schedule.again),
        }
        out
    }
}

impl Detector for Naive<'_> {
    type Message = Word;

    fn on(
        &mut self,
        now: Time,
        peer: usize,
        what: Happened<Word>,
        out: &mut Vec<Act<Word>>,
    ) -> Result<(), Error> {
        match what {
            Happened::Start if peer == 0 => {
                self.peers[0].running += 1;
                self.scan = Some(now + self.schedule.scan);
                out.push(Act::Execute { task: 0 });
            }
            Happened::Message { from, message } => {
                out.extend(self.on_word(now, peer, from, message));
            }
            Happened::Spawned { child, .. } if self.schedule.place(child) == peer => {
                self.peers[peer].running += 1;
                out.push(Act::Execute { task: child });
            }
            Happened::Spawned { child, .. } => {
                self.peers[peer].owed += 1;
                let message = Word::Work { task: child };
                out.push(Act::Send { to: self.schedule.place(child), message });
            }
            Happened::Ended { .. } => self.peers[peer].running -= 1,
            Happened::Deadline => self.scan_on(now, 0, out),
            Happened::Restarted => self.peers[peer] = Peer::default(),
            Happened::Start | Happened::Down { .. } | Happened::Up { .. } => {}
        }
        Ok(())
    }

    fn deadline(&self, peer: usize) -> Option<Time> {
        self.scan.filter(|_| peer == 0)
    }

    fn work(&self, message: &Word) -> Option<usize> {
        match message {
            Word::Work { task } => Some(*task),
            _ => None,
        }
    }

    fn words(&self, message: &Word) -> Option<String> {
        Some(match message {
            Word::Work { task } => format!("run {}", self.schedule.name(*task)),
            Word::Ack => "got it".to_owned(),
            Word::Ask => "are you idle, are your acks in?".to_owned(),
            Word::Answer { running: 0, owed: 0 } => "idle, all acks in".to_owned(),
            Word::Answer { running, owed } => format!("{running} running, {owed} acks missing"),
        })
    }
}
