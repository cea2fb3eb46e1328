//! The members of the view with what is known about each, and this peer itself.

use std::collections::BTreeMap;

use formic_core::{Life, PeerId, Time, earliest};

use crate::Record;

/// What is known about a member's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Heard of, not heard.
    Fresh,
    /// healing says it is alive.
    Alive,
    /// It has been silent for a while.
    Suspect,
    /// healing says it is dead.
    Down,
    /// It said that it goes.
    Left,
}

/// Whether a member announced that it pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Pace {
    Running,
    Paused,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) life: Life,
    /// `None`: on its way.
    pub(crate) record: Option<Record>,
    pub(crate) standing: Standing,
    pub(crate) pace: Pace,
    /// When to dial it; `None` while linked, gone for good, or without known addresses.
    pub(crate) dial_at: Option<Time>,
    /// Dials that failed in a row.
    pub(crate) failed: u32,
}

impl Entry {
    pub(crate) const fn new(life: Life) -> Self {
        Self {
            life,
            record: None,
            standing: Standing::Fresh,
            pace: Pace::Running,
            dial_at: None,
            failed: 0,
        }
    }

    /// Whether it may be given work, as far as its own record and healing say.
    pub(crate) fn takes_work(&self) -> bool {
        let draining = self.record.as_ref().is_none_or(|record| record.draining);
        self.standing == Standing::Alive && self.pace == Pace::Running && !draining
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Roster {
    entries: BTreeMap<PeerId, Entry>,
}

impl Roster {
    pub(crate) fn get(&self, peer: &PeerId) -> Option<&Entry> {
        self.entries.get(peer)
    }

    pub(crate) fn get_mut(&mut self, peer: &PeerId) -> Option<&mut Entry> {
        self.entries.get_mut(peer)
    }

    /// The member of exactly this life.
    pub(crate) fn of(&self, life: Life) -> Option<&Entry> {
        self.entries.get(&life.peer).filter(|entry| entry.life == life)
    }

    pub(crate) fn of_mut(&mut self, life: Life) -> Option<&mut Entry> {
        self.entries.get_mut(&life.peer).filter(|entry| entry.life == life)
    }

    pub(crate) fn insert(&mut self, entry: Entry) {
        self.entries.insert(entry.life.peer, entry);
    }

    pub(crate) fn remove(&mut self, life: Life) -> Option<Entry> {
        self.of(life)?;
        self.entries.remove(&life.peer)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.values_mut()
    }

    /// When the next dial is due.
    pub(crate) fn next_dial(&self) -> Option<Time> {
        self.iter().fold(None, |next, entry| earliest(next, entry.dial_at))
    }
}
