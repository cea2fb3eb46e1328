//! The records of all members, this peer's own among them.

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
    /// healing says it is not.
    Down,
    /// It said that it goes.
    Left,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Member {
    pub(crate) record: Record,
    pub(crate) standing: Standing,
    /// Since when.
    pub(crate) since: Time,
    /// When to dial it; `None` while linked or gone for good.
    pub(crate) dial_at: Option<Time>,
    /// Dials that failed in a row.
    pub(crate) failed: u32,
}

/// What merging a record did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Merge {
    /// Older than or equal to what is known.
    Stale,
    /// A newer version of the same life.
    Changed,
    /// A life that was not a member.
    Added,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Roster {
    members: BTreeMap<PeerId, Member>,
}

impl Roster {
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn get(&self, peer: &PeerId) -> Option<&Member> {
        self.members.get(peer)
    }

    /// The member whose newest life this is.
    pub(crate) fn of(&self, life: Life) -> Option<&Member> {
        self.members.get(&life.peer).filter(|member| member.record.life == life)
    }

    pub(crate) fn of_mut(&mut self, life: Life) -> Option<&mut Member> {
        self.members.get_mut(&life.peer).filter(|member| member.record.life == life)
    }

    pub(crate) fn get_mut(&mut self, peer: &PeerId) -> Option<&mut Member> {
        self.members.get_mut(peer)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.members.values_mut()
    }

    pub(crate) fn merge(&mut self, now: Time, record: Record) -> Merge {
        let fresh = |record| Member {
            record,
            standing: Standing::Fresh,
            since: now,
            dial_at: None,
            failed: 0,
        };
        let Some(known) = self.members.get_mut(&record.life.peer) else {
            self.members.insert(record.life.peer, fresh(record));
            return Merge::Added;
        };
        if !record.supersedes(&known.record) {
            return Merge::Stale;
        }
        if known.record.life == record.life {
            known.record = record;
            return Merge::Changed;
        }
        *known = fresh(record);
        Merge::Added
    }

    /// Removes the members that have been gone for `forget_after`, sorted.
    pub(crate) fn forget(&mut self, now: Time, forget_after: core::time::Duration) -> Vec<Life> {
        let gone: Vec<Life> = self
            .iter()
            .filter(|member| {
                member.standing != Standing::Alive && member.since + forget_after <= now
            })
            .map(|member| member.record.life)
            .collect();
        for life in &gone {
            self.members.remove(&life.peer);
        }
        gone
    }

    /// When the next dial or the next forgetting is due.
    pub(crate) fn wake(&self, forget_after: core::time::Duration) -> Option<Time> {
        self.iter().fold(None, |wake, member| {
            let forget =
                (member.standing != Standing::Alive).then_some(member.since + forget_after);
            earliest(wake, earliest(forget, member.dial_at))
        })
    }
}
