use formic_core::{Epoch, PeerId, transport::Class};
use serde::{Deserialize, Serialize};

use crate::Kind;

/// The most records in one [`Message::Trails`].
pub const RECORDS_MAX: usize = 8;
/// The largest count of a record: 4 samples, in 1/16.
pub const COUNT_MAX: u16 = 64;
/// All of a record's verified outcomes were good.
pub const GOOD_MAX: u16 = 10_000;
/// The longest mean service of a record, in microseconds: 24 hours.
pub const MEAN_MAX_US: u64 = 24 * 3_600 * 1_000_000;

/// What peers tell each other about others: own experience only, never relayed, so the authenticated
/// link is the signature (section 6).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// What changed since the last one.
    Trails {
        /// The sender's view.
        epoch: Epoch,
        /// One more with each message under that view, from 1.
        seq: u64,
        /// At most [`RECORDS_MAX`].
        records: Vec<Record>,
    },
}

impl Message {
    /// How it travels: a lost one is made good by the next.
    pub const fn class(&self) -> Class {
        match self {
            Self::Trails { .. } => Class::Unreliable,
        }
    }
}

/// One peer's experience with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// Which kind.
    pub kind: Kind,
    /// With whom.
    pub subject: PeerId,
    /// Completions, faded, in 1/16: at most [`COUNT_MAX`].
    pub count: u16,
    /// Their mean service for a task of mean size, in microseconds: 1 to [`MEAN_MAX_US`].
    pub mean_us: u64,
    /// Verified outcomes, faded, in 1/16: at most [`COUNT_MAX`].
    pub verified: u16,
    /// Good ones among them, in 1/10,000: at most [`GOOD_MAX`].
    pub good: u16,
}
