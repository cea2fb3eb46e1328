//! Safra's token ring: message counters and colours.
//!
//! E. W. Dijkstra, "Shmuel Safra's version of termination detection", EWD 998, 1987.

use formic_completion::Error;
use formic_core::Time;

use super::{Act, Detector, Happened, Schedule};

/// What its peers say to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ring {
    /// Execute this task.
    Work {
        /// Which.
        task: usize,
    },
    /// The token of the probe that is on.
    Token {
        /// Work sent and not received by the peers that the token has passed.
        count: i64,
        /// Whether one of them received work since the token passed it last.
        black: bool,
    },
}

#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    running: usize,
    /// Work sent minus work received.
    count: i64,
    black: bool,
    /// The token waits here until the peer is passive: its count and colour.
    token: Option<(i64, bool)>,
}

/// One counter and one colour for each peer, one token for all.
#[derive(Clone, Debug)]
pub struct Safra<'a> {
    schedule: &'a Schedule,
    peers: Vec<Peer>,
    announced: bool,
}

impl<'a> Safra<'a> {
    /// All peers, passive and white; peer 0 has the token, as after a probe that failed.
    pub fn new(schedule: &'a Schedule) -> Self {
        let mut peers = vec![Peer::default(); schedule.peers];
        peers[0].token = Some((0, true));
        Self { schedule, peers, announced: false }
    }

    /// A passive peer passes the token on; peer 0 judges it and begins the next probe.
    fn pass(&mut self, peer: usize, out: &mut Vec<Act<Ring>>) {
        let last = self.peers.len() - 1;
        let state = &mut self.peers[peer];
        let Some((count, black)) = state.token.filter(|_| state.running == 0) else { return };
        if peer > 0 {
            let token = Ring::Token { count: count + state.count, black: black || state.black };
            (state.token, state.black) = (None, false);
            out.push(Act::Send { to: peer - 1, message: token });
            return;
        }
        let over = !black && !state.black && count + state.count == 0;
        if over || last == 0 {
            if !core::mem::replace(&mut self.announced, true) {
                out.push(Act::Announce);
            }
            return;
        }
        (state.token, state.black) = (None, false);
        out.push(Act::Send { to: last, message: Ring::Token { count: 0, black: false } });
    }
}

impl Detector for Safra<'_> {
    type Message = Ring;

    fn on(
        &mut self,
        _now: Time,
        peer: usize,
        what: Happened<Ring>,
        out: &mut Vec<Act<Ring>>,
    ) -> Result<(), Error> {
        let state = &mut self.peers[peer];
        match what {
            Happened::Start if peer == 0 => {
                state.running += 1;
                out.push(Act::Execute { task: 0 });
            }
            Happened::Message { message: Ring::Work { task }, .. } => {
                state.count -= 1;
                state.black = true;
                state.running += 1;
                out.push(Act::Execute { task });
            }
            Happened::Message { message: Ring::Token { count, black }, .. } => {
                state.token = Some((count, black));
                self.pass(peer, out);
            }
            Happened::Spawned { child, .. } if self.schedule.place(child) == peer => {
                state.running += 1;
                out.push(Act::Execute { task: child });
            }
            Happened::Spawned { child, .. } => {
                state.count += 1;
                let message = Ring::Work { task: child };
                out.push(Act::Send { to: self.schedule.place(child), message });
            }
            Happened::Ended { .. } => {
                state.running -= 1;
                self.pass(peer, out);
            }
            Happened::Restarted => *state = Peer::default(),
            Happened::Start | Happened::Down { .. } | Happened::Up { .. } | Happened::Deadline => {}
        }
        Ok(())
    }

    fn deadline(&self, _peer: usize) -> Option<Time> {
        None
    }

    fn work(&self, message: &Ring) -> Option<usize> {
        match message {
            Ring::Work { task } => Some(*task),
            Ring::Token { .. } => None,
        }
    }

    fn words(&self, message: &Ring) -> Option<String> {
        Some(match message {
            Ring::Work { task } => format!("run {}", self.schedule.name(*task)),
            Ring::Token { count, black: true } => format!("black token, {count} on their way"),
            Ring::Token { count, black: false } => format!("white token, {count} on their way"),
        })
    }
}
