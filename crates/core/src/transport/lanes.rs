use std::collections::VecDeque;

use super::Class;

/// Above this, an idle queue gives its buffer back.
const IDLE_CAPACITY: usize = 32;

/// What waits for the consumer of a transport, in the order in which it must be taken.
///
/// A link change is a barrier: what was pushed before it is taken before it, so a link's messages lie
/// between its `Up` and its `Down`, and a successor's `Up` behind the `Down` of the old life. Between
/// two changes Control goes first, but a quarter of each taking is for the other classes.
#[derive(Debug)]
pub struct Lanes<E>(VecDeque<Segment<E>>);

/// What follows one link change, up to the next.
#[derive(Debug)]
struct Segment<E> {
    change: Option<E>,
    control: VecDeque<E>,
    unreliable: VecDeque<E>,
    rest: VecDeque<E>,
}

impl<E> Segment<E> {
    const fn opened_by(change: Option<E>) -> Self {
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

    fn take(&mut self, out: &mut Vec<E>, max: usize) -> usize {
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

impl<E> Default for Lanes<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Lanes<E> {
    /// Nothing waits; nothing is allocated.
    pub const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Segment::is_empty)
    }

    /// Appends a link change.
    pub fn push_change(&mut self, change: E) {
        match self.0.back_mut() {
            Some(last) if last.is_empty() => last.change = Some(change),
            _ => self.0.push_back(Segment::opened_by(Some(change))),
        }
    }

    /// Appends an event of a class.
    pub fn push(&mut self, class: Class, event: E) {
        if self.0.is_empty() {
            self.0.push_back(Segment::opened_by(None));
        }
        let Some(last) = self.0.back_mut() else { return };
        match class {
            Class::Control => last.control.push_back(event),
            Class::Data | Class::Bulk => last.rest.push_back(event),
            Class::Unreliable => last.unreliable.push_back(event),
        }
    }

    /// Takes out the oldest event of [`Class::Unreliable`].
    pub fn drop_oldest_unreliable(&mut self) -> Option<E> {
        self.0.iter_mut().find_map(|segment| segment.unreliable.pop_front())
    }

    /// Appends at most `max` events to `out`. An emptied buffer is kept for reuse.
    pub fn take(&mut self, out: &mut Vec<E>, max: usize) -> usize {
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

    /// Gives large buffers back if nothing waits in them.
    pub fn shrink(&mut self) {
        if self.is_empty() {
            self.0.iter_mut().for_each(Segment::shrink);
        }
    }

    /// Forgets all that waits but link changes: for a consumer whose links all end now.
    pub fn keep_changes(&mut self) {
        for segment in &mut self.0 {
            *segment = Segment::opened_by(segment.change.take());
        }
        self.0.retain(|segment| segment.change.is_some());
    }

    /// Forgets all that waits.
    pub fn clear(&mut self) {
        self.0 = VecDeque::new();
    }
}
