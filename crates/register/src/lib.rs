//! Agree on one value among a majority that may crash (single-decree, promise/accept).

use serde::{Deserialize, Serialize};

/// Placeholder of the wire message, replaced with the machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message<V> {
    /// The decided value.
    Decided(V),
}

/// Placeholder of the durable record, replaced with the machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Record<V> {
    /// The decided value.
    Decided(V),
}
