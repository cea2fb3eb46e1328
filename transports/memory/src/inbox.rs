//! What waits for one peer, in the order in which it must be taken.

use core::{mem, task::Waker};
use std::{collections::VecDeque, sync::Arc};

use formic_core::transport::{Class, Event};

use crate::{config::Config, end::Link};

/// Above this, an idle queue gives its buffer back.
const IDLE_CAPACITY: usize = 32;

/// What follows one link change, up to the next. The change is taken first, so a link's messages
/// lie between its `Up` and its `Down`, and a successor's `Up` behind the `Down` of the old life.
#[derive(Debug)]
struct Segment<M> {
    change: Option<Event<M>>,
    control: VecDeque<Event<M>>,
    unreliable: VecDeque<Event<M>>,
    rest: VecDeque<Event<M>>,
}

/// Segments in order.
#[derive(Debug)]
pub(crate) struct Lanes<M>(VecDeque<Segment<M>>);

/// Whether a peer still takes events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Living,
    /// Shut down: what waits may still be taken.
    Leaving,
    /// Killed: nothing is taken any more.
    Gone,
}

/// A peer's inbox. Its lock is a leaf: whoever holds it takes no other lock, except that link changes,
/// which are serialised by the hub, hold the inboxes of both ends.
#[derive(Debug)]
pub(crate) struct Inbox<M> {
    lanes: Lanes<M>,
    waiting: [u32; 4],
    pub(crate) life: Life,
    consumer: Option<Waker>,
    /// Senders that got `Full`: link, their side of it, class.
    refused: Vec<(Arc<Link<M>>, usize, Class)>,
    /// Tasks in `poll_ready`.
    ready: Vec<Waker>,
}

/// What a swap found besides events.
pub(crate) struct Swapped<M> {
    pub(crate) refused: Vec<(Arc<Link<M>>, usize, Class)>,
    pub(crate) ready: Vec<Waker>,
}

/// What became of a pushed message.
pub(crate) enum Pushed {
    Queued,
    /// Queued, and the oldest of its class was dropped for it.
    Dropped,
}

impl<M> Segment<M> {
    const fn opened_by(change: Option<Event<M>>) -> Self {
        Self {
            change,
            control: VecDeque::new(),
            unreliable: VecDeque::new(),
            rest: VecDeque::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.change.is_none()
            && self.control.is_empty()
            && self.unreliable.is_empty()
            && self.rest.is_empty()
    }

    /// Takes at most `max`: Control first, but a quarter is for the others if they wait.
    fn take(&mut self, out: &mut Vec<Event<M>>, max: usize) -> usize {
        let before = out.len();
        let mut left = max;
        if left > 0
            && let Some(change) = self.change.take()
        {
            out.push(change);
            left -= 1;
        }
        let reserved = (self.unreliable.len() + self.rest.len()).min(left.div_ceil(4));
        let mut limit = left - reserved;
        for lane in [&mut self.control, &mut self.unreliable, &mut self.rest] {
            let count = lane.len().min(limit);
            out.extend(lane.drain(..count));
            limit = max - (out.len() - before);
        }
        out.len() - before
    }

    fn shrink(&mut self) {
        for lane in [&mut self.control, &mut self.unreliable, &mut self.rest] {
            if lane.capacity() > IDLE_CAPACITY {
                lane.shrink_to(0);
            }
        }
    }
}

impl<M> Lanes<M> {
    pub(crate) const fn new() -> Self {
        Self(VecDeque::new())
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(Segment::is_empty)
    }

    fn last(&mut self) -> &mut Segment<M> {
        if self.0.is_empty() {
            self.0.push_back(Segment::opened_by(None));
        }
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    fn push_change(&mut self, change: Event<M>) {
        match self.0.back_mut() {
            Some(last) if last.is_empty() => last.change = Some(change),
            _ => self.0.push_back(Segment::opened_by(Some(change))),
        }
    }

    fn push(&mut self, class: Class, event: Event<M>) {
        let last = self.last();
        match class {
            Class::Control => last.control.push_back(event),
            Class::Data | Class::Bulk => last.rest.push_back(event),
            Class::Unreliable => last.unreliable.push_back(event),
        }
    }

    fn drop_oldest_unreliable(&mut self) {
        let oldest = self.0.iter_mut().find(|segment| !segment.unreliable.is_empty());
        if let Some(segment) = oldest {
            segment.unreliable.pop_front();
        }
    }

    /// Takes at most `max` events, and keeps one emptied segment for its buffers.
    pub(crate) fn take(&mut self, out: &mut Vec<Event<M>>, max: usize) -> usize {
        let mut taken = 0;
        while let Some(front) = self.0.front_mut() {
            taken += front.take(out, max - taken);
            if !front.is_empty() || self.0.len() == 1 {
                break;
            }
            self.0.pop_front();
        }
        taken
    }

    pub(crate) fn shrink(&mut self) {
        self.0.iter_mut().for_each(Segment::shrink);
    }

    pub(crate) fn clear(&mut self) {
        self.0 = VecDeque::new();
    }
}

impl<M> Inbox<M> {
    pub(crate) const fn new() -> Self {
        Self {
            lanes: Lanes::new(),
            waiting: [0; 4],
            life: Life::Living,
            consumer: None,
            refused: Vec::new(),
            ready: Vec::new(),
        }
    }

    pub(crate) fn has_room(&self, class: Class, config: &Config) -> bool {
        self.waiting[class as usize] < config.bound(class)
    }

    /// Queues a message. The caller has checked that there is room, except for `Unreliable`.
    pub(crate) fn push(&mut self, class: Class, event: Event<M>, config: &Config) -> Pushed {
        let full = !self.has_room(class, config);
        if full {
            self.lanes.drop_oldest_unreliable();
        } else {
            self.waiting[class as usize] += 1;
        }
        self.lanes.push(class, event);
        if full { Pushed::Dropped } else { Pushed::Queued }
    }

    pub(crate) fn push_change(&mut self, change: Event<M>) {
        self.lanes.push_change(change);
    }

    /// Not bounded by the class: there is at most one per link and class.
    pub(crate) fn push_writable(&mut self, writable: Event<M>) {
        self.lanes.push(Class::Control, writable);
    }

    pub(crate) fn consumer(&mut self) -> Option<Waker> {
        self.consumer.take()
    }

    pub(crate) fn await_writable(&mut self, link: Arc<Link<M>>, side: usize, class: Class) {
        self.refused.push((link, side, class));
    }

    pub(crate) fn await_ready(&mut self, waker: &Waker) {
        if !self.ready.iter().any(|known| known.will_wake(waker)) {
            self.ready.push(waker.clone());
        }
    }

    pub(crate) fn take_ready(&mut self) -> Vec<Waker> {
        mem::take(&mut self.ready)
    }

    /// Swaps all that waits into `empty`, or remembers whom to wake.
    pub(crate) fn swap(&mut self, empty: &mut Lanes<M>, waker: &Waker) -> Option<Swapped<M>> {
        if self.lanes.is_empty() {
            self.lanes.shrink();
            match &mut self.consumer {
                Some(known) => known.clone_from(waker),
                None => self.consumer = Some(waker.clone()),
            }
            return None;
        }
        mem::swap(&mut self.lanes, empty);
        self.waiting = [0; 4];
        Some(Swapped { refused: mem::take(&mut self.refused), ready: self.take_ready() })
    }

    /// Ends the life of this inbox and forgets what waits in it.
    pub(crate) fn kill(&mut self) -> Swapped<M> {
        self.life = Life::Gone;
        self.lanes.clear();
        Swapped { refused: mem::take(&mut self.refused), ready: self.take_ready() }
    }
}
