use core::time::Duration;
use std::collections::BTreeMap;

use formic_core::{Life, Time};

use super::{PAUSE, PAUSE_MAX, SILENCE};

/// One stream of this peer's own, and how far each reader is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Outbox {
    last: u64,
    readers: BTreeMap<Life, Reader>,
    /// The slowest reader is a whole window behind.
    full: bool,
}

/// One member that casts of a stream were for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Reader {
    /// The first and the last number for it.
    first: u64,
    last: u64,
    /// It has all of its numbers up to here.
    acked: u64,
    /// When it was last heard to get on.
    heard: Time,
    /// When to ask it how far it is.
    due: Option<Time>,
    pause: Duration,
}

impl Reader {
    const fn is_behind(&self) -> bool {
        self.acked < self.last
    }

    /// Silent for so long that it holds nobody up.
    const fn is_left_out(&self) -> bool {
        self.due.is_none()
    }
}

impl Outbox {
    /// The newest number.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// The next number.
    pub(super) const fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// The newest cast goes to `life`; returns the number before it that did.
    pub(super) fn sends(&mut self, life: Life, now: Time) -> Option<u64> {
        let seq = self.last;
        let Some(reader) = self.readers.get_mut(&life) else {
            let due = Some(now + PAUSE);
            let (first, acked) = (seq, seq - 1);
            let reader = Reader { first, last: seq, acked, heard: now, due, pause: PAUSE };
            self.readers.insert(life, reader);
            return None;
        };
        let follows = reader.last;
        if !reader.is_behind() {
            reader.heard = now;
            reader.pause = PAUSE;
            reader.due = Some(now + PAUSE);
        }
        reader.last = seq;
        Some(follows)
    }

    /// When `life` is to be asked.
    pub(super) fn due(&self, life: Life) -> Option<Time> {
        self.readers.get(&life).and_then(|reader| reader.due)
    }

    /// What there is for `life`, if it has not all of it.
    pub(super) fn offer(&self, life: Life) -> Option<(u64, u64)> {
        let reader = self.readers.get(&life).filter(|reader| reader.is_behind())?;
        Some((reader.first, reader.last))
    }

    /// `life` was asked; next time later.
    pub(super) fn asked(&mut self, life: Life, now: Time) {
        if let Some(reader) = self.readers.get_mut(&life) {
            let waits = reader.is_behind() && now.since(reader.heard) < SILENCE;
            reader.pause = (reader.pause * 2).min(PAUSE_MAX);
            reader.due = waits.then_some(now + reader.pause);
        }
    }

    /// `life` is in touch again: it is asked as if it had just been sent something.
    pub(super) fn ask_again(&mut self, life: Life, now: Time) {
        if let Some(reader) = self.readers.get_mut(&life)
            && reader.is_behind()
        {
            reader.heard = now;
            reader.pause = PAUSE;
            reader.due = Some(now + PAUSE);
        }
    }

    /// `life` has all of its numbers up to `upto`; false if that cannot be.
    pub(super) fn acknowledged(&mut self, life: Life, upto: u64, now: Time) -> bool {
        let Some(reader) = self.readers.get_mut(&life) else { return true };
        if upto > self.last {
            return false;
        }
        // It may know of later numbers that are for others.
        let upto = upto.min(reader.last);
        if upto > reader.acked {
            reader.acked = upto;
            reader.heard = now;
            reader.pause = PAUSE;
            reader.due = reader.is_behind().then_some(now + PAUSE);
        }
        true
    }

    pub(super) fn forget(&mut self, life: Life) {
        self.readers.remove(&life);
    }

    /// How far the slowest of these readers is that is not left out; `None`: all have everything.
    pub(super) fn slowest(&self, readers: &[Life]) -> Option<u64> {
        let behind = readers.iter().filter_map(|life| self.readers.get(life));
        behind
            .filter(|reader| reader.is_behind() && !reader.is_left_out())
            .map(|reader| reader.acked)
            .min()
    }

    /// Notes whether there is room; true if there is and was none before. O(readers).
    pub(super) fn has_room_anew(&mut self, window: u64) -> bool {
        let waiting = self.readers.values().filter(|r| r.is_behind() && !r.is_left_out());
        let slowest = waiting.map(|reader| reader.acked).min();
        let behind = slowest.map_or(0, |acked| self.last - acked);
        let was_full = core::mem::replace(&mut self.full, behind >= window);
        was_full && !self.full
    }

    pub(super) const fn is_full(&self) -> bool {
        self.full
    }
}
