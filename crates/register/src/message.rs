use formic_core::Life;
use serde::{Deserialize, Serialize};

/// One try to get a value decided. Unique: one proposer uses it once, across its restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ballot {
    /// From 1. Round 1 belongs to rank 0.
    pub round: u64,
    /// The proposer's rank.
    pub rank: u16,
}

/// What replicas say to each other. All idempotent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Message<V> {
    /// Promise me to accept nothing below this ballot.
    Prepare {
        /// The ballot.
        ballot: Ballot,
    },
    /// Promised; this is what I accepted last.
    Promise {
        /// The ballot.
        ballot: Ballot,
        /// The newest accepted ballot and value.
        accepted: Option<(Ballot, V)>,
    },
    /// Accept this value.
    Accept {
        /// The ballot.
        ballot: Ballot,
        /// The value.
        value: V,
    },
    /// Accepted, durably.
    Accepted {
        /// The ballot.
        ballot: Ballot,
    },
    /// I promised a higher ballot to somebody.
    Refuse {
        /// The refused ballot.
        ballot: Ballot,
        /// What I promised.
        promised: Ballot,
    },
    /// It is decided.
    Decided(V),
}

/// What must survive the process.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Record<V> {
    /// Nothing below this ballot will be accepted here.
    Promised(Ballot),
    /// This value was accepted here (and its ballot promised).
    Accepted(Ballot, V),
    /// The decided value.
    Decided(V),
}

/// What happened at this replica.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input<V> {
    /// What was durable when the process ended, in the order it was persisted. Only as the first.
    Restore(Vec<Record<V>>),
    /// Get this value, or another one, decided. Repeating it changes nothing.
    Propose(V),
    /// Find out what is decided, proposing nothing: asks until some replica accepted a value.
    Learn,
    /// A replica said something.
    Message {
        /// Which life of it. Votes belong to the peer: its disk outlives its lives.
        from: Life,
        /// What.
        message: Message<V>,
    },
    /// A replica came back with its records and answers as this life.
    Replaced {
        /// Its rank.
        rank: usize,
        /// Its life.
        life: Life,
    },
    /// The time asked for by `deadline()` has come.
    Deadline,
}

/// What is to be done outside, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect<V> {
    /// Make durable before any `Send` or `Decided` that follows.
    Persist(Record<V>),
    /// Send to a replica, never to this one.
    Send {
        /// To whom.
        to: Life,
        /// What.
        message: Message<V>,
    },
    /// The value is decided. Once per life.
    Decided(V),
}
