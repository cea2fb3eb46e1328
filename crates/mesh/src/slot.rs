//! What a peer publishes beside its main record: each value with its own version.

use std::collections::BTreeMap;

use formic_core::{Life, PeerId};
use serde::{Deserialize, Serialize};

use crate::record::{Defect, VERSION_MAX};

/// The largest value of an application slot, in bytes.
pub const APPLICATION_MAX: usize = 1_024;

/// One of a peer's published values.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Slot(u8);

/// A number that names no slot. The fault of whoever wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no slot: expected 0, 3 or 16 to 23")]
pub struct BadSlot(pub u8);

impl Slot {
    /// The main record: addresses, capabilities, profile.
    pub const MAIN: Self = Self(0);
    /// [`Load`].
    pub const LOAD: Self = Self(3);

    /// The `index`-th of the 8 application slots, which are numbered 16 to 23.
    pub const fn application(index: u8) -> Option<Self> {
        if index < 8 { Some(Self(16 + index)) } else { None }
    }

    /// Its number on the wire.
    pub const fn number(self) -> u8 {
        self.0
    }

    const fn is_application(self) -> bool {
        self.0 >= 16
    }
}

impl TryFrom<u8> for Slot {
    type Error = BadSlot;
    fn try_from(number: u8) -> Result<Self, BadSlot> {
        match number {
            0 | 3 | 16..=23 => Ok(Self(number)),
            _ => Err(BadSlot(number)),
        }
    }
}

impl From<Slot> for u8 {
    fn from(slot: Slot) -> Self {
        slot.0
    }
}

/// Whether a peer takes work.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Activity {
    /// It does.
    #[default]
    Taking,
    /// Not for the moment.
    Paused,
    /// Not any more.
    Draining,
}

/// How busy a peer is, in real units.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Load {
    /// Tasks that wait for a slot.
    pub queued: u32,
    /// Bodies that run.
    pub running: u16,
    /// Bodies that may run at once.
    pub slots: u16,
    /// Whether it takes work.
    pub activity: Activity,
}

impl Load {
    /// Whether one of the figures differs by more than a tenth of the larger one.
    pub(crate) fn differs_much(&self, other: &Self) -> bool {
        let figures = |load: &Self| [load.queued, load.running.into(), load.slots.into()];
        let far = |(a, b): (u32, u32)| u64::from(a.abs_diff(b)) * 10 > u64::from(a.max(b));
        self.activity != other.activity || figures(self).into_iter().zip(figures(other)).any(far)
    }
}

/// What a slot other than the main record holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Value {
    /// In [`Slot::LOAD`].
    Load {
        /// The figures.
        load: Load,
        /// The owner says that its slots have been nearly full for a while.
        saturated: bool,
    },
    /// In an application slot: whatever the application means by it.
    Application(#[serde(with = "serde_bytes")] Vec<u8>),
}

/// One published value. Only its owner writes it; the order of the fields after `slot` is the order
/// of precedence between two values of one peer's slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SlotRecord {
    /// Whose.
    pub owner: Life,
    /// Which.
    pub slot: Slot,
    /// Raised by its owner with every change.
    pub version: u64,
    /// What.
    pub value: Value,
}

impl SlotRecord {
    /// Whether this replaces `other`, a value of the same peer and slot: higher incarnation, then
    /// higher version, then (two values of one version: a faulty owner) the greater value.
    pub fn supersedes(&self, other: &Self) -> bool {
        let newer = (self.owner.incarnation, self.version, &self.value);
        newer > (other.owner.incarnation, other.version, &other.value)
    }

    pub(crate) fn check(&self) -> Result<(), Defect> {
        let fits = match &self.value {
            Value::Load { .. } => self.slot == Slot::LOAD,
            Value::Application(bytes) => {
                self.slot.is_application() && bytes.len() <= APPLICATION_MAX
            }
        };
        if !fits {
            return Err(Defect::Slot { slot: self.slot.number() });
        }
        if self.version > VERSION_MAX {
            return Err(Defect::Version { version: self.version });
        }
        Ok(())
    }

    /// An upper bound of its encoded size in bytes.
    pub(crate) fn size(&self) -> usize {
        match &self.value {
            Value::Load { .. } => 96,
            Value::Application(bytes) => 72 + bytes.len(),
        }
    }
}

/// The newest value of each slot of each member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Slots {
    values: BTreeMap<(PeerId, Slot), SlotRecord>,
}

impl Slots {
    /// True if `record` is news.
    pub(crate) fn merge(&mut self, record: &SlotRecord) -> bool {
        let place = (record.owner.peer, record.slot);
        let is_news = self.values.get(&place).is_none_or(|known| record.supersedes(known));
        if is_news {
            self.values.insert(place, record.clone());
        }
        is_news
    }

    pub(crate) fn get(&self, peer: PeerId, slot: Slot) -> Option<&SlotRecord> {
        self.values.get(&(peer, slot))
    }

    pub(crate) fn of(&self, peer: PeerId) -> impl Iterator<Item = &SlotRecord> {
        self.values.range((peer, Slot(0))..=(peer, Slot(u8::MAX))).map(|(_, record)| record)
    }

    /// Removes all values of a peer and names the slots.
    pub(crate) fn remove(&mut self, peer: PeerId) -> Vec<Slot> {
        let slots: Vec<Slot> = self.of(peer).map(|record| record.slot).collect();
        for &slot in &slots {
            self.values.remove(&(peer, slot));
        }
        slots
    }
}
