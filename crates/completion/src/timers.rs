use std::collections::{BTreeMap, BTreeSet};

use formic_core::{Key, Time};

/// What a moment is kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Timer {
    /// Gathered signals leave (T16).
    Flush,
    /// This home rank may take over (T17).
    Takeover,
    /// Home records and home returns are repeated.
    Home,
    /// The home group may have to change.
    Succeed,
    /// Probes and statements are repeated.
    Wave,
    /// The two proofs have disagreed long enough.
    Anomaly,
    /// Somebody is asked for the verdict of what was sealed.
    Ask,
    /// The verdict is repeated.
    Announce,
    /// A child is asked for again: owner, child.
    Child(Key, Key),
    /// A fact is repeated to waiters that did not take it.
    Fact(Key),
    /// A task without reachable waiters is dropped.
    Lease(Key),
}

/// One moment per timer, ordered by moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Timers {
    at: BTreeMap<Timer, Time>,
    order: BTreeSet<(Time, Timer)>,
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, at: Time) {
        self.clear(timer);
        self.at.insert(timer, at);
        self.order.insert((at, timer));
    }

    /// Sets it unless it is set already.
    pub(crate) fn arm(&mut self, timer: Timer, at: Time) {
        if !self.at.contains_key(&timer) {
            self.set(timer, at);
        }
    }

    pub(crate) fn clear(&mut self, timer: Timer) {
        if let Some(at) = self.at.remove(&timer) {
            self.order.remove(&(at, timer));
        }
    }

    pub(crate) fn first(&self) -> Option<Time> {
        self.order.first().map(|(at, _)| *at)
    }

    pub(crate) fn pop_due(&mut self, now: Time) -> Option<Timer> {
        let (at, timer) = *self.order.first()?;
        if at > now {
            return None;
        }
        self.clear(timer);
        Some(timer)
    }

    /// Keeps only what a sealed life still needs.
    pub(crate) fn forget_tasks(&mut self) {
        let gone =
            |timer: &Timer| matches!(timer, Timer::Child(..) | Timer::Fact(_) | Timer::Lease(_));
        self.at.retain(|timer, _| !gone(timer));
        self.order.retain(|(_, timer)| !gone(timer));
    }

    /// All that are set, in no order of time.
    #[cfg(test)]
    pub(crate) fn armed(&self) -> impl Iterator<Item = Timer> {
        self.at.keys().copied()
    }

    /// Moves all to one moment: for models, in which any of them may come first.
    #[cfg(test)]
    pub(crate) fn park(&mut self, at: Time) {
        self.order = self.at.keys().map(|timer| (at, *timer)).collect();
        self.at.values_mut().for_each(|when| *when = at);
    }

    pub(crate) fn check(&self) {
        assert_eq!(self.at.len(), self.order.len(), "timers and their order differ");
    }
}
