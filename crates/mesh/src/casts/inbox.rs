use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use formic_core::Time;

use super::{Cast, Order, PAUSE, PAUSE_MAX, WINDOW, log::LOG_TIME};

/// What the application hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Deliver(Arc<Cast>),
    Gap { from: u64, to: u64 },
}

/// One stream of another member, as far as it is for this peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Inbox {
    /// All numbers below are delivered, given up or for others.
    next: u64,
    /// So are these above; at most a window.
    settled: BTreeSet<u64>,
    /// Arrived, waiting for earlier ones.
    held: BTreeMap<u64, Arc<Cast>>,
    /// Numbers up to here are known to exist.
    upto: u64,
    /// A cast for this peer arrived or its origin spoke of some: a hole is a loss.
    is_mine: bool,
    hole: Option<Hole>,
    /// Asked for and not settled.
    wanted: BTreeSet<u64>,
    /// Arrived since the last acknowledgement.
    unacknowledged: u32,
    acknowledge_at: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Hole {
    /// The lowest missing number, and since when it is missed.
    seq: u64,
    since: Time,
    due: Time,
    pause: Duration,
}

impl Inbox {
    pub(super) const fn new() -> Self {
        Self {
            next: 1,
            settled: BTreeSet::new(),
            held: BTreeMap::new(),
            upto: 0,
            is_mine: false,
            hole: None,
            wanted: BTreeSet::new(),
            unacknowledged: 0,
            acknowledge_at: None,
        }
    }

    /// All up to here is settled.
    pub(super) const fn settled_upto(&self) -> u64 {
        self.next - 1
    }

    pub(super) fn is_news(&self, seq: u64) -> bool {
        seq >= self.next && !self.settled.contains(&seq) && !self.held.contains_key(&seq)
    }

    pub(super) fn asked(&self, seq: u64) -> bool {
        self.wanted.contains(&seq)
    }

    /// The origin says which numbers before `seq` are for others.
    pub(super) fn follow(&mut self, seq: u64, follows: Option<u64>) -> Vec<Step> {
        let is_first = !self.is_mine && self.settled.is_empty() && self.held.is_empty();
        self.is_mine = true;
        match follows {
            None if is_first => self.next = self.next.max(seq),
            None => {}
            Some(before) if before < self.next => self.next = self.next.max(seq),
            Some(before) => {
                let reach = self.next.saturating_add(WINDOW).min(seq);
                self.settled.extend(before.saturating_add(1)..reach);
            }
        }
        self.advance()
    }

    /// A cast that is news arrived.
    pub(super) fn take(&mut self, cast: &Arc<Cast>) -> Vec<Step> {
        let seq = cast.seq;
        let mut steps = Vec::new();
        if seq >= self.next + WINDOW {
            steps.extend(self.give_up(seq - WINDOW));
        }
        self.is_mine = true;
        self.upto = self.upto.max(seq);
        if cast.order == Order::Ordered {
            self.held.insert(seq, Arc::clone(cast));
        } else {
            self.settled.insert(seq);
            steps.push(Step::Deliver(Arc::clone(cast)));
        }
        steps.extend(self.advance());
        steps
    }

    /// These numbers are for others.
    pub(super) fn skip(&mut self, seqs: &[u64]) -> Vec<Step> {
        let (low, high) = (self.next, self.next + WINDOW);
        let news = seqs.iter().filter(|seq| (low..high).contains(*seq));
        self.settled.extend(news.filter(|seq| !self.held.contains_key(seq)));
        self.advance()
    }

    /// The origin has casts for this peer from `since` to `upto`.
    pub(super) fn offered(&mut self, since: u64, upto: u64) -> Vec<Step> {
        if !self.is_mine || self.next < since {
            self.next = self.next.max(since);
        }
        self.is_mine = true;
        self.upto = self.upto.max(upto);
        self.advance()
    }

    /// Another reader has casts of this stream; whether they are for this peer too is not said.
    pub(super) fn heard_of(&mut self, since: u64, upto: u64) {
        if !self.is_mine {
            self.next = self.next.max(since);
        }
        self.upto = self.upto.max(upto);
    }

    /// Gives up all that is missing up to `upto`.
    pub(super) fn give_up(&mut self, upto: u64) -> Vec<Step> {
        let mut steps = Vec::new();
        while self.next <= upto {
            let later = |seq: Option<&u64>| seq.copied().unwrap_or(u64::MAX);
            let known = later(self.settled.first()).min(later(self.held.keys().next()));
            let to = upto.min(known.saturating_sub(1));
            if self.is_mine && to >= self.next {
                steps.push(Step::Gap { from: self.next, to });
            }
            self.next = self.next.max(to + 1);
            steps.extend(self.advance());
        }
        steps
    }

    /// The origin is gone: all that is known to be missing is.
    pub(super) fn give_up_all(&mut self) -> Vec<Step> {
        self.give_up(self.upto)
    }

    /// Delivers and passes what is settled without a hole before it.
    fn advance(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        // Numbers that were passed in one leap.
        self.settled = self.settled.split_off(&self.next);
        self.held = self.held.split_off(&self.next);
        loop {
            if self.settled.remove(&self.next) {
                self.next += 1;
            } else if let Some(cast) = self.held.remove(&self.next) {
                self.next += 1;
                steps.push(Step::Deliver(cast));
            } else {
                break;
            }
        }
        self.wanted = self.wanted.split_off(&self.next);
        steps
    }

    /// The lowest numbers that are missing.
    pub(super) fn wants(&mut self, limit: usize) -> Vec<u64> {
        let reach = self.upto.min(self.next + WINDOW - 1);
        let missing = (self.next..=reach).filter(|&seq| self.is_news(seq));
        let seqs: Vec<u64> = missing.take(limit).collect();
        self.wanted.extend(&seqs);
        seqs
    }

    /// Counts an arrival; true at every `limit`-th since the last acknowledgement.
    pub(super) const fn counts_to(&mut self, limit: u32) -> bool {
        self.unacknowledged += 1;
        self.unacknowledged >= limit
    }

    /// Owes an acknowledgement at `at`; `None` if it is owed earlier.
    pub(super) fn acknowledge_by(&mut self, at: Time) -> Option<Time> {
        if self.acknowledge_at.is_some() {
            return None;
        }
        self.acknowledge_at = Some(at);
        self.acknowledge_at
    }

    pub(super) fn owes_since(&self, at: Time) -> bool {
        self.acknowledge_at == Some(at)
    }

    /// The number to acknowledge.
    pub(super) const fn acknowledges(&mut self) -> u64 {
        (self.unacknowledged, self.acknowledge_at) = (0, None);
        self.settled_upto()
    }

    pub(super) fn hole_due(&self) -> Option<Time> {
        self.hole.map(|hole| hole.due)
    }

    /// Starts to watch the lowest missing number; `None` if it is watched or nothing is missing.
    pub(super) fn watch_hole(&mut self, now: Time) -> Option<Time> {
        if self.next > self.upto {
            self.hole = None;
            return None;
        }
        if self.hole.is_some_and(|hole| hole.seq == self.next) {
            return None;
        }
        let due = now + PAUSE;
        self.hole = Some(Hole { seq: self.next, since: now, due, pause: PAUSE });
        Some(due)
    }

    /// Goes on watching after a question.
    pub(super) fn watch_on(&mut self, now: Time) -> Option<Time> {
        if self.next > self.upto {
            self.hole = None;
            return None;
        }
        match &mut self.hole {
            Some(hole) if hole.seq == self.next => {
                hole.pause = (hole.pause * 2).min(PAUSE_MAX);
                hole.due = now + hole.pause;
                Some(hole.due)
            }
            _ => self.watch_hole(now),
        }
    }

    /// Gives up what was missed for too long: later casts that wait for it are delivered.
    pub(super) fn outlast(&mut self, now: Time, gap_after: Duration) -> Vec<Step> {
        let patience = if self.held.is_empty() { LOG_TIME } else { gap_after };
        let Some(hole) = self.hole else { return Vec::new() };
        if hole.seq != self.next || now.since(hole.since) < patience {
            return Vec::new();
        }
        let later = |seq: Option<&u64>| seq.copied().unwrap_or(u64::MAX);
        let known = later(self.settled.first()).min(later(self.held.keys().next()));
        self.give_up(self.upto.min(known.saturating_sub(1)))
    }
}
