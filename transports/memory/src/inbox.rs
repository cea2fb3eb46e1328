//! What waits for one peer, in the order in which it must be taken.

use core::{mem, task::Waker};
use std::sync::Arc;

use formic_core::transport::{Class, Event, Lanes};

use crate::{config::Config, end::Link};

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
    lanes: Lanes<Event<M>>,
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
    pub(crate) fn swap(
        &mut self,
        empty: &mut Lanes<Event<M>>,
        waker: &Waker,
    ) -> Option<Swapped<M>> {
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

    /// Keeps link changes only. Nobody waits for room any more: all links are down.
    pub(crate) fn forget_messages(&mut self) {
        self.lanes.keep_changes();
        self.waiting = [0; 4];
        self.refused = Vec::new();
    }

    /// Ends the life of this inbox and forgets what waits in it.
    pub(crate) fn kill(&mut self) -> Swapped<M> {
        self.life = Life::Gone;
        self.lanes.clear();
        Swapped { refused: mem::take(&mut self.refused), ready: self.take_ready() }
    }
}
