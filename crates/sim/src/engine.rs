//! What every profile shares: one heap of events in virtual time, and the trace.

use core::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use formic_core::Time;

/// Events by time; of one moment, in the order in which they were pushed.
#[derive(Clone, Debug)]
pub(crate) struct Queue<E> {
    /// Small keys are sifted, the events stay in their slots.
    heap: BinaryHeap<Reverse<(Time, u64, usize)>>,
    slots: Vec<Option<E>>,
    free: Vec<usize>,
    sequence: u64,
}

impl<E> Queue<E> {
    pub(crate) const fn new() -> Self {
        Self { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), sequence: 0 }
    }

    pub(crate) fn push(&mut self, at: Time, event: E) {
        self.sequence += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(event);
        self.heap.push(Reverse((at, self.sequence, slot)));
    }

    pub(crate) fn pop(&mut self) -> Option<(Time, E)> {
        let Reverse((at, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        let event = self.slots.get_mut(slot)?.take()?;
        Some((at, event))
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }
}

/// How much a trace tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// Nothing: nobody pays for a trace while all is well.
    #[default]
    Off,
    /// Faults, lives, links, what peers say happened.
    Brief,
    /// Every input and every effect as well.
    Full,
}

/// What of a run is written down.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    /// How much.
    pub detail: Detail,
    /// The last lines that are kept.
    pub lines: usize,
    /// Only what happens at this peer, and what happens to all.
    pub peer: Option<usize>,
    /// Nothing after this moment; the run ends there.
    pub until: Option<Time>,
}

impl Watch {
    /// Nothing is written down.
    pub const NOTHING: Self = Self { detail: Detail::Off, lines: 0, peer: None, until: None };

    /// The last `lines` of everything.
    pub const fn last(lines: usize) -> Self {
        Self { detail: Detail::Full, lines, peer: None, until: None }
    }
}

/// The last lines of what happened.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    watch: Watch,
    lines: VecDeque<String>,
}

impl Trace {
    pub(crate) const fn new(watch: Watch) -> Self {
        Self { watch, lines: VecDeque::new() }
    }

    /// Writes a line down, if anybody wants it.
    pub(crate) fn note(
        &mut self,
        at: Time,
        (detail, peer): (Detail, Option<usize>),
        line: impl FnOnce() -> String,
    ) {
        let watch = self.watch;
        let hidden = peer.is_some() && watch.peer.is_some() && peer != watch.peer;
        if watch.lines == 0 || detail > watch.detail || hidden {
            return;
        }
        if self.lines.len() >= watch.lines {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{at:?}  {}", line()));
    }

    pub(crate) fn is_over(&self, now: Time) -> bool {
        self.watch.until.is_some_and(|until| now > until)
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_one_moment_keep_their_order_and_slots_are_used_again() {
        let mut queue = Queue::new();
        for (at, name) in [(5, "c"), (1, "a"), (5, "d"), (2, "b")] {
            queue.push(Time::from_us(at), name);
        }
        assert_eq!(queue.pop(), Some((Time::from_us(1), "a")));
        queue.push(Time::from_us(2), "b2");
        let rest: Vec<_> = core::iter::from_fn(|| queue.pop()).map(|(_, name)| name).collect();
        assert_eq!((rest, queue.slots.len()), (vec!["b", "b2", "c", "d"], 4));
    }

    #[test]
    fn a_trace_keeps_the_last_lines_of_the_peer_that_is_watched() {
        let watch = Watch { detail: Detail::Brief, lines: 2, peer: Some(1), until: None };
        let mut trace = Trace::new(watch);
        let mut note = |detail, peer, line: &str| {
            trace.note(Time::ZERO, (detail, peer), || line.to_owned());
        };
        note(Detail::Brief, Some(1), "a");
        note(Detail::Full, Some(1), "not asked for");
        note(Detail::Brief, Some(2), "another peer");
        note(Detail::Brief, None, "b");
        note(Detail::Brief, Some(1), "c");
        assert_eq!(trace.lines(), ["0.000000s  b", "0.000000s  c"]);
    }
}
