//! Criterion benches and comparators.
//!
//! ```text
//!   Schedule --> drive: one queue, no network, no waiting --> the same loop for each detector
//! ```
//!
//! ```
//! use formic_benches::drive;
//! use formic_sim::comparators::{Schedule, Shipped};
//!
//! let schedule = Schedule::flat(10, 100);
//! let done = drive(&schedule, &mut Shipped::new(&schedule))?;
//! assert_eq!((done.bodies, done.announcements), (101, 1));
//! # Ok::<(), formic_completion::Error>(())
//! ```
//!
//! **Guarantees.** What is timed is whole: every body runs, exactly one announcement (each bench asserts
//! both before it measures).
//!
//! **Limits.** Nothing is encoded, sent or stored: the figures are the machines' own cost. Bodies take no time.
//! One core.
//!
//! [`Swim`] is foca 2 as a contestant of [`formic_sim::detect`]: `cargo xtask bench detect`.
//!
//! **Sources.** Dijkstra and Scholten 1980 for the comparator `textbook counters`. Das, Gupta, Motivala
//! 2002 for SWIM, which foca implements.

pub mod date;
pub mod pairs;
pub mod voters;

use core::time::Duration;
use std::collections::VecDeque;

use formic_completion::Error;
use formic_core::Time;
use formic_sim::comparators::{Act, Detector, Happened, Schedule};

/// What a driven job did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Bodies that ran, the root's among them.
    pub bodies: usize,
    /// Messages between peers.
    pub messages: usize,
    /// Times "all is done" was said.
    pub announcements: usize,
}

mod swim;

pub use swim::{Swim, Tuning};

enum Next<M> {
    Happened(usize, Happened<M>),
    Body(usize, usize),
}

/// Drives all peers until nobody has anything to do or to wait for.
///
/// # Errors
/// A peer refused something.
pub fn drive<D: Detector>(schedule: &Schedule, detector: &mut D) -> Result<Done, Error> {
    let mut driver =
        Driver { done: Done::default(), now: Time::ZERO, queue: VecDeque::new(), out: vec![] };
    for peer in (0..schedule.peers).rev() {
        driver.queue.push_back(Next::Happened(peer, Happened::Start));
    }
    loop {
        while let Some(next) = driver.queue.pop_front() {
            match next {
                Next::Happened(peer, what) => driver.tell(detector, peer, what)?,
                Next::Body(peer, task) => driver.body(schedule, detector, peer, task)?,
            }
        }
        let deadlines = (0..schedule.peers).map(|peer| (detector.deadline(peer), peer));
        let first = deadlines.filter_map(|(at, peer)| Some((at?, peer))).min();
        let Some((at, peer)) = first else { return Ok(driver.done) };
        driver.now = driver.now.max(at);
        driver.queue.push_back(Next::Happened(peer, Happened::Deadline));
    }
}

struct Driver<M> {
    done: Done,
    now: Time,
    queue: VecDeque<Next<M>>,
    out: Vec<Act<M>>,
}

impl<M: Clone> Driver<M> {
    fn tell<D>(&mut self, detector: &mut D, peer: usize, what: Happened<M>) -> Result<(), Error>
    where
        D: Detector<Message = M>,
    {
        self.now = self.now + Duration::from_micros(1);
        detector.on(self.now, peer, what, &mut self.out)?;
        for act in self.out.drain(..) {
            match act {
                Act::Send { to, message } => {
                    self.done.messages += 1;
                    let what = Happened::Message { from: peer, message };
                    self.queue.push_back(Next::Happened(to, what));
                }
                Act::Execute { task } => self.queue.push_back(Next::Body(peer, task)),
                Act::Announce => self.done.announcements += 1,
                // Bodies that take no time are never stopped, and nobody reads along.
                Act::Abort { .. } | Act::Say { .. } => {}
            }
        }
        Ok(())
    }

    fn body<D>(
        &mut self,
        schedule: &Schedule,
        detector: &mut D,
        peer: usize,
        task: usize,
    ) -> Result<(), Error>
    where
        D: Detector<Message = M>,
    {
        self.done.bodies += 1;
        let spawns = schedule.tasks.get(task).map_or(&[][..], |task| &task.spawns);
        for (index, (_, child)) in spawns.iter().enumerate() {
            let what = Happened::Spawned { parent: task, index, child: *child };
            self.tell(detector, peer, what)?;
        }
        self.tell(detector, peer, Happened::Ended { task })
    }
}
