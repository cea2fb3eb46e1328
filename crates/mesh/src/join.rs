//! The way into a mesh: rounds over the seeds, knocks, pledges.

use core::time::Duration;
use std::collections::BTreeSet;

use formic_core::{Life, PeerId, Time};

/// What a peer remembers while it looks for others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Join {
    /// When the next round over the seeds starts; `None`: no round is needed.
    pub(crate) round_at: Option<Time>,
    rounds: u32,
    /// Whose answer is awaited.
    knocked: BTreeSet<Life>,
    /// Whom this peer joins if that one founds a mesh.
    pledged_to: Option<Life>,
    /// Who joins if this peer founds a mesh.
    pledged_by: BTreeSet<PeerId>,
}

impl Join {
    pub(crate) fn new() -> Self {
        Self {
            round_at: Some(Time::ZERO),
            rounds: 0,
            knocked: BTreeSet::new(),
            pledged_to: None,
            pledged_by: BTreeSet::new(),
        }
    }

    pub(crate) fn knocks(&mut self, life: Life) {
        self.knocked.insert(life);
    }

    pub(crate) fn has_knocked(&self, life: Life) -> bool {
        self.knocked.contains(&life)
    }

    /// Rounds of 1 s x 1.5^k.
    pub(crate) fn schedule(&mut self, now: Time, first: Duration, max: Duration) {
        let grown = (0..self.rounds).try_fold(first, |pause, _| {
            let pause = pause + pause / 2;
            (pause < max).then_some(pause)
        });
        self.rounds = self.rounds.saturating_add(1).min(64);
        self.round_at = Some(now + grown.unwrap_or(max).min(max));
    }

    /// Somebody let this peer in: no more rounds.
    pub(crate) fn welcomed(&mut self) {
        let knocked = core::mem::take(&mut self.knocked);
        *self = Self { round_at: None, knocked, ..Self::new() };
    }

    /// The last link to a member is gone: rounds start again.
    pub(crate) fn lonely(&mut self, now: Time) {
        if self.round_at.is_none() {
            self.rounds = 0;
            self.round_at = Some(now);
        }
    }

    pub(crate) fn link_lost(&mut self, life: Life) {
        self.knocked.remove(&life);
        self.pledged_by.remove(&life.peer);
        if self.pledged_to == Some(life) {
            self.pledged_to = None;
        }
    }

    /// Whether this outsider pledges to `life`: to one smaller peer at a time, and never once others
    /// count on this peer itself.
    pub(crate) fn may_pledge(&self, me: Life, life: Life) -> bool {
        life.peer < me.peer
            && self.pledged_by.is_empty()
            && self.pledged_to.is_none_or(|to| to == life)
    }

    pub(crate) fn pledge(&mut self, life: Life) {
        self.pledged_to = Some(life);
    }

    /// Takes a pledge; true if every one of `seeds` seeds has pledged, so that this peer founds.
    pub(crate) fn pledged(&mut self, by: Life, seeds: usize) -> bool {
        if self.pledged_to.is_some() {
            return false;
        }
        self.pledged_by.insert(by.peer);
        self.pledged_by.len() >= seeds
    }
}
