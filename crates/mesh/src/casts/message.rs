use std::sync::Arc;

use formic_core::{Epoch, Life};
use serde::{Deserialize, Serialize};

/// Whom a cast is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// All members of the view in which it was cast.
    All,
    /// These lives: at most [`NAMED_MAX`](crate::NAMED_MAX).
    Named(Vec<Life>),
}

/// Whether the casts of a stream wait for earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Order {
    /// They are delivered by number.
    Ordered,
    /// They are delivered as they arrive.
    Unordered,
}

/// One message to many. `(origin, stream, seq)` names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cast {
    /// Who casts.
    pub origin: Life,
    /// One of its streams.
    pub stream: u32,
    /// From 1, without holes.
    pub seq: u64,
    /// The view in which it was cast.
    pub epoch: Epoch,
    /// Whom it is for.
    pub scope: Scope,
    /// Whether it waits for earlier ones.
    pub order: Order,
    /// At most [`PAYLOAD_MAX`](crate::PAYLOAD_MAX) bytes.
    #[serde(with = "serde_bytes")]
    pub payload: Vec<u8>,
}

/// Names a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stream {
    /// Whose.
    pub origin: Life,
    /// Which of its streams.
    pub number: u32,
}

/// What members say to each other about casts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CastMessage {
    /// A cast.
    Cast {
        /// It.
        cast: Arc<Cast>,
        /// From the origin itself: the last number before it that is for this reader, `None` if this
        /// is the first. What lies between is for others.
        follows: Option<u64>,
    },
    /// From the origin: there are casts for you from `since` to `upto`. To the origin: I have all up to
    /// `upto`. From anybody else: I have all of mine from `since` to `upto`.
    Have {
        /// Of which stream.
        stream: Stream,
        /// The first.
        since: u64,
        /// The last.
        upto: u64,
    },
    /// Send me these.
    Want {
        /// Of which stream.
        stream: Stream,
        /// At most 64.
        seqs: Vec<u64>,
    },
    /// These are not for you.
    Skip {
        /// Of which stream.
        stream: Stream,
        /// As many as were wanted at most.
        seqs: Vec<u64>,
    },
    /// From the origin: it does not keep these any more.
    Gone {
        /// Of which stream.
        stream: Stream,
        /// Up to this one.
        upto: u64,
    },
}

/// What is to be cast.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Draft {
    /// In which of this peer's streams.
    pub stream: u32,
    /// Whether it waits for earlier ones.
    pub order: Order,
    /// What: at most [`PAYLOAD_MAX`](crate::PAYLOAD_MAX) bytes.
    pub payload: Vec<u8>,
}
